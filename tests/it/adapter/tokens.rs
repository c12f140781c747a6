//! A real registry with a real token server (section 8.1): one token for each scope, as long as it is good.

use std::sync::Arc;

use serde_json::json;
use tidegate::fact::ImportReason;
use tidegate::world::registry::RegistryConfig;

use super::registry::{Ours, check, quick};
use crate::support::registry::{DockerRegistry, Options, write};
use crate::support::token::TokenServer;

const CANARY: &str = "canary-that-buys-tokens";

/// A registry with two images that wants tokens, and the server that sells them for the canary.
async fn guarded() -> Option<(DockerRegistry, TokenServer)> {
    let mut registry = DockerRegistry::start()?;
    for name in ["team/a", "team/b"] {
        registry.push_image(name, "1", name).await;
    }
    let server = TokenServer::start(Some(("anna", CANARY)))?;
    let tokens = Some((server.realm(), server.certificate()));
    registry.start_again_with(&Options { tokens, ..Options::default() });
    Some((registry, server))
}

fn with_password(registry: &DockerRegistry, password: &str) -> (tempfile::TempDir, Arc<Ours>) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("auth.json");
    let login = json!({"username": "anna", "password": password});
    write(&file, &json!({"auths": {registry.address(): login}}).to_string());
    let config = RegistryConfig { auth_files: vec![file], ..quick() };
    (dir, Arc::new(Ours::new(config)))
}

#[tokio::test]
async fn i169_one_token_is_asked_for_each_scope_however_many_checks_need_it() {
    let Some((registry, server)) = guarded().await else { return };
    let (_dir, ours) = with_password(&registry, CANARY);
    let mut checks = tokio::task::JoinSet::new();
    for n in 0..20 {
        let name = if n % 2 == 0 { "a" } else { "b" };
        let image = format!("{}/team/{name}:1", registry.address());
        let ours = Arc::clone(&ours);
        checks.spawn(async move { Box::pin(ours.ask(check(&image), None)).await });
    }
    for resolution in checks.join_all().await {
        assert!(resolution.unwrap().image.is_some());
    }
    let mut scopes = server.scopes();
    scopes.sort();
    assert_eq!(scopes, ["repository:team/a:pull", "repository:team/b:pull"]);
}

#[tokio::test]
async fn i169_what_the_token_server_refuses_is_told_in_its_words_and_without_a_secret() {
    let Some((registry, server)) = guarded().await else { return };
    let (_dir, ours) = with_password(&registry, &format!("not-{CANARY}"));
    let image = format!("{}/team/a:1", registry.address());
    let failure = Box::pin(ours.ask(check(&image), None)).await.unwrap_err();
    assert_eq!(failure.reason, ImportReason::Unauthorized);
    assert!(failure.message.contains("incorrect username or password"), "{}", failure.message);
    assert!(!failure.message.contains(CANARY), "{}", failure.message);
    assert!(!server.scopes().is_empty());
}
