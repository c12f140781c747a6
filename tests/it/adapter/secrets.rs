//! Secrets of a folder outside git as logins: each for the streams of its own namespace, and nobody sees them (rules I166,
//! I170, law 10).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use tidegate::fact::{Fact, ImportReason};

use super::logins::{CANARY, Guarded, auth};
use crate::support::daemon::{Host, eventually, wait};
use crate::support::registry::write;

/// The manifest of a Secret that holds logins as Kubernetes has them.
pub(super) fn secret(name: &str, rest: &str, auths: &serde_json::Value) -> String {
    let config = STANDARD.encode(json!({"auths": auths}).to_string());
    format!(
        "---\napiVersion: v1\nkind: Secret\nmetadata: {{name: {name}, {rest}}}\n\
         type: kubernetes.io/dockerconfigjson\ndata: {{.dockerconfigjson: {config}}}\n"
    )
}

/// A stream with one tag, `1`, of an image.
pub(super) fn stream(namespace: &str, image: &str) -> String {
    format!(
        "---\napiVersion: image.openshift.io/v1\nkind: ImageStream\n\
         metadata: {{name: web, namespace: {namespace}}}\n\
         spec: {{tags: [{{name: '1', from: {{kind: DockerImage, name: '{image}'}}}}]}}\n"
    )
}

/// A host beside a registry that wants a login, with an empty folder of Secrets.
pub(super) fn guarded() -> Option<Guarded> {
    let guarded = Guarded::start()?;
    guarded.host.configure(|text| format!("{text}[registries]\nsecrets = \"secrets\"\n"));
    std::fs::create_dir(guarded.host.path("secrets")).unwrap();
    Some(guarded)
}

fn failed(namespace: &str) -> impl Fn(&Fact) -> bool {
    move |fact| {
        matches!(fact, Fact::ImportFailed(failed) if failed.reason == ImportReason::Unauthorized
            && failed.tag.stream.namespace.as_str() == namespace)
    }
}

fn imported(namespace: &str) -> impl Fn(&Fact) -> bool {
    move |fact| {
        matches!(fact, Fact::TagImported(imported)
            if imported.tag.stream.namespace.as_str() == namespace)
    }
}

/// Looks for the canary in all that the daemon wrote.
pub(super) fn nobody_sees_it(host: &Host) {
    assert!(!host.log().contains(CANARY), "law 10: {}", host.log());
    let seen = walk(&host.state()).into_iter().find(|path| {
        let bytes = std::fs::read(path).unwrap_or_default();
        let secrets = [CANARY.to_owned(), STANDARD.encode(format!("anna:{CANARY}"))];
        secrets
            .iter()
            .any(|secret| bytes.windows(secret.len()).any(|part| part == secret.as_bytes()))
    });
    assert_eq!(seen, None, "law 10");
}

fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let paths = entries.map(|entry| entry.path());
    paths.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

#[test]
fn i166_auth_check_uses_every_secret_of_the_namespace_before_the_files() {
    let Some(guarded) = guarded() else { return };
    wait(guarded.registry.push_image("team/web", "1", "a"));
    let (image, host) = (guarded.image("team/web:1"), guarded.registry.address());
    let team = format!("{host}/team");
    guarded.containers(&json!({"auths": {&host: auth("carol:wrong")}}));
    let good = auth(&format!("anna:{CANARY}"));
    let old = json!({&host: &good});
    let excluded = "namespace: shop, annotations: {openshift.io/image.excludeSecret: 'true'}";
    let all = [
        secret("far", "namespace: shop", &json!({&host: auth("bob:wrong")})),
        secret("near", "namespace: shop", &json!({team.clone(): auth("dora:wrong")})),
        secret("no", excluded, &json!({team: auth("eve:wrong")})),
        secret("theirs", "namespace: other", &json!({&host: &good})),
        "---\nkind: ConfigMap\ndata: {1: 2}\n".to_owned(),
    ];
    write(&guarded.host.path("secrets/all.yaml"), &all.concat());
    let (code, text) = guarded.check(&["-n", "shop", &image]);
    let refused = "refused: you may not have access to the container image \"HOST/team/web:1\"";
    let expected = format!(
        "HOST/team/web:1 (namespace shop)
  HOST/team/web: refused
    login `dora` from Secret `shop/near` in `HOME/secrets/all.yaml`, entry `HOST/team`: {refused}
    login `bob` from Secret `shop/far` in `HOME/secrets/all.yaml`, entry `HOST`: {refused}
    login `carol` from `HOME/.config/containers/auth.json`, entry `HOST`: {refused}
    without a login: {refused} and did not have credentials to the repository
"
    );
    assert_eq!((code, text.as_str()), (1, expected.as_str()));
    // A `List`, as `oc get -o json` prints it, of one that names no namespace and is of the old form.
    let item = json!({
        "kind": "Secret", "metadata": {"name": "old"}, "type": "kubernetes.io/dockercfg",
        "stringData": {".dockercfg": old.to_string()},
    });
    let list = json!({"kind": "List", "items": [item]});
    write(&guarded.host.path("secrets/list.json"), &list.to_string());
    let (code, text) = guarded.check(&[&image, "-o", "json"]);
    let report: serde_json::Value = serde_json::from_str(&text).unwrap();
    let found = &report["images"][0];
    let login = &found["places"][0]["logins"][0];
    assert_eq!((code, &found["namespace"], &login["user"]), (0, &json!("default"), &json!("anna")));
    let from = "Secret `default/old` in `HOME/secrets/list.json`, entry `HOST`";
    assert_eq!(login["from"], from);
    let (code, text) = guarded.check(&["-n", "nobody", &image]);
    assert!(code == 1 && !text.contains("Secret"), "{text}");
    // A broken one is told, and hides nothing.
    write(&guarded.host.path("secrets/a.yaml"), &format!("kind: Secret\n  data: {CANARY}\n"));
    let (code, text) = guarded.check(&["-n", "other", &image]);
    let told =
        "not looked at: cannot read Secrets in `HOME/secrets/a.yaml`: document 1 is not YAML";
    assert!(code == 1 && text.contains("entry `HOST`: accepted") && text.contains(told), "{text}");
}

#[test]
fn i166_a_secret_counts_for_the_streams_of_its_namespace_alone() {
    let Some(mut guarded) = guarded() else { return };
    wait(guarded.registry.push_image("web", "1", "a"));
    let (image, host) = (guarded.image("web:1"), guarded.registry.address());
    let own = secret("pull", "namespace: shop", &json!({host: auth(&format!("anna:{CANARY}"))}));
    write(&guarded.host.path("secrets/shop.yml"), &own);
    let streams = stream("shop", &image) + &stream("other", &image);
    guarded.repo.write("web.yaml", streams).commit("web");
    guarded.host.start();
    guarded.host.wait_for("the import of shop", imported("shop"));
    guarded.host.wait_for("the refusal of other", failed("other"));
    assert_eq!(guarded.host.count(imported("other")), 0);
    let verdict = |namespace: &str| {
        let text = guarded.host.text(&["status", "-n", namespace, "web:1", "-o", "json"]);
        serde_json::from_str::<serde_json::Value>(&text).unwrap()["tags"][0]["verdict"].clone()
    };
    assert_eq!(verdict("shop"), "proven");
    assert_eq!(verdict("other"), "couldNotCheck");
    assert!(guarded.host.stop().success());
    nobody_sees_it(&guarded.host);
}

#[test]
fn i170_what_was_refused_is_asked_again_as_soon_as_its_login_is_mended() {
    let Some(mut guarded) = guarded() else { return };
    wait(guarded.registry.push_image("web", "1", "a"));
    let (image, host) = (guarded.image("web:1"), guarded.registry.address());
    guarded.containers(&json!({"auths": {&host: auth("anna:wrong")}}));
    let streams = stream("files", &image) + &stream("secrets", &image);
    guarded.repo.write("web.yaml", streams).commit("web");
    guarded.host.start();
    guarded.host.wait_for("the refusal", failed("files"));
    guarded.host.wait_for("the refusal", failed("secrets"));
    // A namespace gets a login of its own, which is none of the other's.
    let good = json!({&host: auth(&format!("anna:{CANARY}"))});
    let own = secret("pull", "namespace: secrets", &good);
    write(&guarded.host.path("secrets/pull.yaml"), &own);
    guarded.host.wait_for("the import with the Secret", imported("secrets"));
    assert_eq!(guarded.host.count(imported("files")), 0);
    guarded.containers(&json!({"auths": good}));
    guarded.host.wait_for("the import with the file", imported("files"));
    let refusals = guarded.host.count(|fact| matches!(fact, Fact::ImportFailed(_)));
    assert_eq!(refusals, 2, "{}", guarded.host.story());
    // What is broken is told, and takes nobody's logins away.
    write(&guarded.host.path("secrets/pull.yaml"), &format!("{CANARY}: ["));
    eventually("the warning", || {
        guarded.host.log().contains("cannot read Secrets in").then_some(())
    });
    assert!(guarded.host.stop().success());
    nobody_sees_it(&guarded.host);
}
