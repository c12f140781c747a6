//! Logins: where they come from, what a registry makes of them, and that nobody sees them (rules I166 to I170, law 10).

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use tidegate::fact::ImportReason;
use tidegate::world::registry::RegistryConfig;

use super::registry::{Bench, Ours, answer, quick};
use crate::support::daemon::{Host, wait};
use crate::support::git::Repo;
use crate::support::registry::{DockerRegistry, Fault, FaultProxy, Options, write};

/// What no output may hold.
pub(super) const CANARY: &str = "canary-in-the-mine";

/// A host beside a registry that wants `anna` and the canary.
pub(super) struct Guarded {
    pub(super) registry: DockerRegistry,
    pub(super) repo: Repo,
    pub(super) host: Host,
}

impl Guarded {
    pub(super) fn start() -> Option<Self> {
        let options = Options { basic: Some(("anna", CANARY)), ..Options::default() };
        let registry = DockerRegistry::start_with(&options)?;
        let repo = Repo::new();
        repo.write("empty.yaml", "").commit("nothing");
        let address = registry.address();
        let toml = format!("[registries.\"{address}\"]\ninsecure = true\n");
        let host = Host::new(repo.path(), &toml);
        std::fs::create_dir_all(host.path(".config/containers")).unwrap();
        std::fs::create_dir_all(host.path(".docker")).unwrap();
        Some(Self { registry, repo, host })
    }

    /// The file that podman and the others write.
    pub(super) fn containers(&self, text: &serde_json::Value) {
        write(&self.host.path(".config/containers/auth.json"), &text.to_string());
    }

    /// The file that docker writes.
    fn docker(&self, text: &serde_json::Value) {
        write(&self.host.path(".docker/config.json"), &text.to_string());
    }

    /// A credential helper on the PATH.
    fn helper(&self, name: &str, script: &str) {
        let folder = self.host.path("bin");
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join(format!("docker-credential-{name}"));
        write(&path, &format!("#!/bin/sh\n[ \"$1\" = get ] || exit 2\nread -r server\n{script}\n"));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    pub(super) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.host.tidegate(arguments);
        let path = std::env::var("PATH").unwrap();
        command.env("PATH", format!("{}:{path}", self.host.path("bin").display()));
        command
    }

    /// What `auth check` says, with names in place of what differs between two runs, and its exit code.
    pub(super) fn check(&self, arguments: &[&str]) -> (i32, String) {
        let arguments = [&["auth", "check"], arguments].concat();
        let output = self.command(&arguments).output().unwrap();
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(!text.contains(CANARY), "law 10: {text}");
        let home = self.host.path("").display().to_string();
        let text = text.replace(home.trim_end_matches('/'), "HOME");
        (output.status.code().unwrap(), text.replace(&self.registry.address(), "HOST"))
    }

    pub(super) fn image(&self, name: &str) -> String {
        format!("{}/{name}", self.registry.address())
    }
}

pub(super) fn auth(login: &str) -> serde_json::Value {
    json!({"auth": STANDARD.encode(login)})
}

fn anna() -> serde_json::Value {
    auth(&format!("anna:{CANARY}"))
}

#[test]
fn i168_auth_check_tells_each_login_that_was_tried_and_where_it_is_from() {
    let Some(guarded) = Guarded::start() else { return };
    wait(guarded.registry.push_image("team/web", "1", "a"));
    let (image, host) = (guarded.image("team/web:1"), guarded.registry.address());
    let (code, text) = guarded.check(&[&image]);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("HOST/team/web: refused\n    without a login: refused: "), "{text}");
    let team = format!("{host}/team");
    let other = format!("{host}/other");
    guarded.containers(&json!({"auths": {team: auth("bob:wrong"), other: anna()}}));
    guarded.docker(&json!({"auths": {host: anna()}}));
    let (code, text) = guarded.check(&[&image]);
    assert_eq!(code, 0, "{text}");
    let refused = "refused: you may not have access to the container image \"HOST/team/web:1\"";
    let expected = format!(
        "HOST/team/web:1
  HOST/team/web: accepted
    login `bob` from `HOME/.config/containers/auth.json`, entry `HOST/team`: {refused}
    login `anna` from `HOME/.docker/config.json`, entry `HOST`: accepted
"
    );
    assert_eq!(text, expected);
    let (code, text) = guarded.check(&[&guarded.image("team/none:1"), "-o", "json"]);
    assert_eq!(code, 0, "{text}");
    let report: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(report["formatVersion"], 1);
    let place = &report["images"][0]["places"][0];
    assert_eq!(
        (&place["verdict"], &place["logins"][1]["user"]),
        (&json!("accepted"), &json!("anna"))
    );
    assert!(place["trouble"].as_str().unwrap().ends_with("not found"), "{text}");
    assert!(place["advice"].as_str().unwrap().contains("team/none:1"), "{text}");
}

#[test]
fn i170_a_credential_helper_is_asked_and_told_of_where_it_fails() {
    let Some(guarded) = Guarded::start() else { return };
    wait(guarded.registry.push_image("web", "1", "a"));
    let (image, host) = (guarded.image("web:1"), guarded.registry.address());
    let answer = json!({"ServerURL": "x", "Username": "anna", "Secret": CANARY});
    let only = format!("[ \"$server\" = {host} ] && echo '{answer}'");
    guarded.helper("sesame", &only);
    guarded.containers(&json!({"credHelpers": {host.clone(): "sesame"}}));
    let (code, text) = guarded.check(&[&image]);
    let expected = "HOST/web:1
  HOST/web: accepted
    login `anna` from `docker-credential-sesame` for `HOST`, by `HOME/.config/containers/auth.json`: accepted
";
    assert_eq!((code, text.as_str()), (0, expected));
    // A store has what its file has no entry for.
    guarded.containers(&json!({"auths": {host.clone(): {}}, "credsStore": "sesame"}));
    assert_eq!(guarded.check(&[&image]).0, 0);
    let not_found = "echo 'credentials not found in native keychain'; exit 1";
    let failed = format!("echo 'the vault is sealed, password={CANARY}'; exit 1");
    let garbage = format!("echo '{CANARY}'");
    for (script, said) in [
        (not_found, None),
        (failed.as_str(), Some("gives no login for `HOST`: the vault is sealed, password=***")),
        (garbage.as_str(), Some("its answer is not that of a credential helper")),
    ] {
        guarded.helper("sesame", script);
        let (code, text) = guarded.check(&[&image]);
        assert_eq!(code, 1, "{text}");
        assert_eq!(text.contains("not looked at: "), said.is_some(), "{text}");
        assert!(text.contains(said.unwrap_or("without a login: refused")), "{text}");
    }
    guarded.containers(&json!({"credHelpers": {host: "nobody"}}));
    let (code, text) = guarded.check(&[&image]);
    assert!(code == 1 && text.contains("there is no such program on the PATH"), "{text}");
    // What one file cannot give, the next one may.
    guarded.docker(&json!({"auths": {guarded.registry.address(): anna()}}));
    let (code, text) = guarded.check(&[&image]);
    assert!(code == 1 && text.contains("entry `HOST`: accepted"), "{text}");
}

#[test]
fn auth_check_looks_at_one_image_of_each_repository_of_the_manifests() {
    let Some(guarded) = Guarded::start() else { return };
    let digest = wait(guarded.registry.push_image("web", "1", "a"));
    let address = guarded.registry.address();
    let stream = format!(
        "apiVersion: image.openshift.io/v1
kind: ImageStream
metadata: {{name: web, namespace: shop}}
spec:
  tags:
  - {{name: '1', from: {{kind: DockerImage, name: '{address}/web:1'}}}}
  - {{name: '2', from: {{kind: DockerImage, name: '{address}/web:2'}}}}
  - {{name: '3', from: {{kind: DockerImage, name: 'localhost:1/gone:1'}}}}
"
    );
    guarded.repo.write("web.yaml", stream).commit("web");
    let answer = json!({"ServerURL": "x", "Username": "anna", "Secret": CANARY});
    guarded.helper("sesame", &format!("echo '{answer}'"));
    guarded.docker(&json!({"credsStore": "sesame"}));
    // An import asks as the check does.
    let output = guarded.command(&["diff", "--resolve", "-o", "json"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains(&digest.to_string()), "{text}");
    assert!(!text.contains(CANARY));
    let (code, text) = guarded.check(&[]);
    assert_eq!(code, 4, "one gives no answer: {text}");
    assert_eq!(text.matches("/web: accepted").count(), 1, "{text}");
    assert!(text.contains("localhost:1/gone: no answer\n    "), "{text}");
}

#[tokio::test]
async fn i169_a_refresh_token_buys_a_token_and_goes_nowhere_else() {
    let Some(bench) = Bench::start() else { return };
    let digest = bench.registry.push_image("team/web", "1", "a").await;
    let (dir, host) = (tempfile::tempdir().unwrap(), bench.proxy.address());
    let file = dir.path().join("config.json");
    let entry = json!({"auth": STANDARD.encode("anna:"), "identitytoken": CANARY});
    write(&file, &json!({"auths": {host: entry}}).to_string());
    let ours = Ours::new(RegistryConfig { auth_files: vec![file], ..quick() });
    let sent = Arc::new(Mutex::new(Vec::new()));
    let (realm, seen_by) = (format!("http://{}/token", bench.proxy.address()), Arc::clone(&sent));
    bench.proxy.break_with(move |seen| {
        if seen.path.starts_with("/token") {
            seen_by.lock().unwrap().push(seen.clone());
            return Some(answer(200, r#"{"access_token": "good"}"#));
        }
        let ask = ("WWW-Authenticate", format!("Bearer realm=\"{realm}\",service=\"test\""));
        let ok = seen.authorization.as_deref() == Some("Bearer good");
        (!ok).then(|| Fault::Answer(401, vec![ask], String::new()))
    });
    ours.ask(bench.check("team/web:1"), Some(digest)).await.unwrap();
    let asked = sent.lock().unwrap().pop().unwrap();
    assert_eq!((asked.method.as_str(), asked.path.as_str()), ("POST", "/token"));
    assert_eq!(asked.authorization, None);
    let scope = "scope=repository%3Ateam%2Fweb%3Apull&service=test";
    let grant = format!("grant_type=refresh_token&client_id=tidegate&refresh_token={CANARY}");
    assert_eq!(asked.body, format!("{scope}&{grant}"));
    // It is never sent where a redirect leads.
    let thief = FaultProxy::start(&bench.registry.address());
    let (realm, place) = (format!("http://{}/token", bench.proxy.address()), thief.address());
    bench.proxy.break_with(move |seen| {
        if seen.path.starts_with("/token") {
            let place = ("Location", format!("http://{place}/token"));
            return Some(Fault::Answer(307, vec![place], String::new()));
        }
        let ask = ("WWW-Authenticate", format!("Bearer realm=\"{realm}\",service=\"test\""));
        Some(Fault::Answer(401, vec![ask], String::new()))
    });
    let failure = ours.ask(bench.check("team/web:1"), None).await.unwrap_err();
    assert_eq!(failure.reason, ImportReason::InternalError);
    assert!(failure.message.contains("it answered `307 Temporary Redirect`"), "{failure:?}");
    assert_eq!(thief.requests(), [""; 0]);
}
