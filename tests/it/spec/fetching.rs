//! Asking registries: what is chosen, what is refused, with which login, and over what transport (sections 3.2, 3.5, 8).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use serde_json::json;
use tidegate::action::{Check, ImportMode, Platform, Resolution, ResolveRequest};
use tidegate::desired::diagnostic::Severity;
use tidegate::fact::{Fact, ImportReason};
use tidegate::names::Digest;
use tidegate::policy::Policy;
use tidegate::world::registry::RegistryConfig;

use crate::adapter::registry::{Bench, Ours, answer, auth_file, check, quick, want_tokens};
use crate::desired::{read, stream, with_tag};
use crate::support::daemon::{Host, wait};
use crate::support::engine::World;
use crate::support::git::Repo;
use crate::support::registry::{
    DockerRegistry, Fault, OCI_INDEX, OCI_MANIFEST, Options, Seen, write,
};
use crate::support::start::committed;

/// A login as a header.
fn basic(login: &str) -> String {
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(login))
}

/// An answer that asks for a user name and a password.
fn ask_for_login() -> Fault {
    Fault::Answer(401, vec![("WWW-Authenticate", "Basic realm=\"x\"".into())], String::new())
}

/// A file of logins, by host and path.
fn logins(dir: &tempfile::TempDir, logins: &[(String, &str)]) -> RegistryConfig {
    let auth = |login: &str| base64::engine::general_purpose::STANDARD.encode(login);
    let auths: BTreeMap<_, _> =
        logins.iter().map(|(key, login)| (key, json!({"auth": auth(login)}))).collect();
    let path = dir.path().join("auth.json");
    write(&path, &json!({"auths": auths}).to_string());
    RegistryConfig { auth_files: vec![path], ..quick() }
}

/// A check of an index that is kept whole.
fn whole(bench: &Bench, image: &str) -> Check {
    Check { mode: ImportMode::PreserveOriginal, ..bench.check(image) }
}

/// I18: an index with an entry that is no image, or nobody knows for what, fails as a whole.
#[tokio::test]
async fn i018_an_index_with_an_entry_that_is_not_valid_fails_as_a_whole() {
    let Some(bench) = Bench::start() else { return };
    let right = json!({
        "mediaType": OCI_MANIFEST, "digest": Digest::of(b"x"), "size": 1,
        "platform": {"os": "linux", "architecture": "amd64"},
    });
    for (field, value, fault) in [
        (
            "digest",
            json!("sha256:x"),
            "dockerImageManifests[1].digest: Invalid value: \"sha256:x\": digest does not conform with OCI image specification",
        ),
        (
            "mediaType",
            json!(""),
            "dockerImageManifests[1].mediaType: Invalid value: \"\": media type does not conform to RFC6838",
        ),
        (
            "platform",
            json!(null),
            "[dockerImageManifests[1].architecture: Required value, dockerImageManifests[1].os: Required value]",
        ),
        (
            "platform",
            json!({"os": "linux"}),
            "dockerImageManifests[1].architecture: Required value",
        ),
    ] {
        let mut wrong = right.clone();
        wrong[field] = value;
        let index =
            json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [right, wrong]});
        let body = index.to_string();
        let digest = Digest::of(body.as_bytes());
        bench.proxy.break_with(move |_| Some(answer(200, &body)));
        let failure = bench.ours.ask(whole(&bench, "web:1"), None).await.unwrap_err();
        assert_eq!((failure.reason, failure.transient), (ImportReason::Invalid, false));
        let message = format!("Image.image.openshift.io \"{digest}\" is invalid: {fault}");
        assert_eq!(failure.message, message);
    }
}

/// I46: the insecure flag counts for the tag that has it, not for another one of the same repository.
#[tokio::test]
async fn i046_the_insecure_flag_of_one_tag_does_not_open_the_repository_for_another() {
    let Some(bench) = Bench::start() else { return };
    bench.registry.push_image("web", "1", "a").await;
    bench.ask("web:1", None).await.unwrap();
    let secure = Check { insecure: false, ..bench.check("web:1") };
    let failure = bench.ours.ask(secure, None).await.unwrap_err();
    assert_eq!(failure.reason, ImportReason::BadRequest);
}

#[tokio::test]
async fn i047_a_registry_that_lies_about_a_digest_gives_no_image() {
    let Some(bench) = Bench::start() else { return };
    let true_one = bench.registry.push_image("web", "1", "a").await;
    let lie = Digest::of(b"a lie");
    bench.proxy.break_with(move |_| Some(Fault::StateDigest(Some(lie))));
    let wanted = format!(
        "content integrity error: the manifest retrieved (media type: {OCI_MANIFEST}) with digest \
         {lie} does not match the digest calculated from the content {true_one}"
    );
    for image in ["web:1".to_owned(), format!("web@{true_one}")] {
        let (reason, transient, message) = bench.failure(&image).await;
        assert_eq!(message, format!("Internal error occurred: HOST/{image}: {wanted}"));
        assert_eq!((reason, transient), (ImportReason::InternalError, false));
    }
    assert!(bench.ours.kept.lock().unwrap().is_empty(), "nothing of it was kept");
}

#[tokio::test]
async fn i047_other_content_under_a_pinned_digest_gives_no_image() {
    let Some(bench) = Bench::start() else { return };
    let pinned = bench.registry.push_image("web", "1", "a").await;
    let body = r#"{"schemaVersion": 2, "manifests": []}"#;
    bench.proxy.break_with(move |_| {
        Some(Fault::Answer(200, vec![("Content-Type", OCI_INDEX.into())], body.into()))
    });
    let (_, _, message) = bench.failure(&format!("web@{pinned}")).await;
    assert!(message.contains("content integrity error"), "{message}");
    assert!(message.contains(&Digest::of(body.as_bytes()).to_string()), "{message}");
}

/// I48: an attempt asks once; when there is another one is decided where all of them are known.
#[tokio::test]
async fn i048_a_registry_in_trouble_is_not_asked_again_in_the_same_attempt() {
    let Some(bench) = Bench::start() else { return };
    for status in [500, 502, 503, 504, 429] {
        bench.proxy.break_with(move |_| Some(answer(status, "")));
        let (_, transient, _) = bench.failure("web:1").await;
        assert!(transient, "{status}");
        assert_eq!(bench.proxy.methods(), "HEAD", "{status}");
    }
}

#[tokio::test]
async fn i049_legacy_takes_one_platform_and_remembers_the_index_as_probed() {
    let Some(bench) = Bench::start() else { return };
    let (index, images) =
        bench.registry.push_index("web", "1", "a", &["unknown", "s390x", "amd64"]).await;
    let found = bench.ask("web:1", None).await.unwrap();
    assert_eq!(found.probed, index);
    assert_eq!(found.image.as_ref().unwrap().digest, images["amd64"]);
    assert_eq!(bench.proxy.methods(), "HEAD GET GET GET", "index, manifest, config");
    let platform = Platform { os: "linux".into(), architecture: "s390x".into() };
    let other = Check { platform, ..bench.check("web:1") };
    let found = bench.ours.ask(other, None).await.unwrap();
    assert_eq!(found.image.unwrap().digest, images["s390x"]);
    bench.proxy.requests();
    let again = bench.ask("web:1", Some(index)).await.unwrap();
    assert_eq!((again.image, bench.proxy.methods().as_str()), (None, "HEAD"));
}

#[tokio::test]
async fn i049_preserve_original_takes_the_index_itself() {
    let Some(bench) = Bench::start() else { return };
    let (index, images) = bench.registry.push_index("web", "1", "a", &["amd64", "arm64"]).await;
    let whole = Check { mode: ImportMode::PreserveOriginal, ..bench.check("web:1") };
    let found = bench.ours.ask(whole, None).await.unwrap();
    assert_eq!((found.probed, found.image.as_ref().unwrap().digest), (index, index));
    let metadata = bench.ours.metadata(&found);
    assert_eq!(metadata["dockerImageManifestMediaType"], OCI_INDEX);
    let entry = &metadata["dockerImageManifests"][1];
    assert_eq!(entry["digest"], images["arm64"].to_string());
    assert_eq!((&entry["os"], &entry["architecture"]), (&"linux".into(), &"arm64".into()));
}

#[test]
fn i050_prefer_annotations_choose_the_platform() {
    let text = with_tag("{name: a, annotations: {importer.image.openshift.io/prefer-arch: arm64}}");
    assert_eq!(stream(&text).tags.values().next().unwrap().platform.to_string(), "linux/arm64");
}

/// I50: without annotations it is that of the setting, whatever the daemon runs on; one annotation is completed by it.
#[test]
fn i050_the_default_platform_is_a_setting() {
    let platform = Platform { os: "linux".into(), architecture: "riscv64".into() };
    let policy = Policy { platform, ..Policy::default() };
    let mut world = World::with(policy);
    let mut files = crate::support::manifest::files("is web 1=r.io/web:1 2=r.io/web:2");
    let text = files.get_mut("shop/is-web.yaml").unwrap();
    let prefer = "annotations: {importer.image.openshift.io/prefer-os: windows}";
    *text = text.replacen("    reference", &format!("    {prefer}\n    reference"), 1);
    world.commit_files(files);
    let asked = world.checks().into_iter().map(|check| check.platform.to_string());
    assert_eq!(asked.collect::<Vec<_>>(), ["windows/riscv64", "linux/riscv64"]);
}

/// I49: each image of an index that is kept whole is read and kept with it.
#[tokio::test]
async fn i049_preserve_original_keeps_every_image_of_the_index() {
    let Some(bench) = Bench::start() else { return };
    let (_, images) = bench.registry.push_index("web", "1", "a", &["amd64", "arm64"]).await;
    let found = bench.ours.ask(whole(&bench, "web:1"), None).await.unwrap();
    assert_eq!(
        bench.proxy.methods(),
        "HEAD GET GET GET GET GET",
        "index, two manifests and configs"
    );
    let kept = &bench.ours.metadata(&found)["images"];
    for (at, architecture) in ["amd64", "arm64"].into_iter().enumerate() {
        assert_eq!(kept[at]["name"], images[architecture].to_string());
        assert_eq!(kept[at]["dockerImageMetadata"]["Architecture"], architecture);
    }
    assert_eq!(bench.ours.kept.lock().unwrap().len(), 1, "one value");
}

/// I49: an image of the index that cannot be read fails the tag.
#[tokio::test]
async fn i049_preserve_original_fails_with_one_image_of_the_index() {
    let Some(bench) = Bench::start() else { return };
    let (_, images) = bench.registry.push_index("web", "1", "a", &["amd64", "arm64"]).await;
    let missing = images["arm64"].to_string();
    bench.proxy.break_with(move |seen| seen.path.ends_with(&missing).then(|| answer(404, "")));
    bench.ours.ask(whole(&bench, "web:1"), None).await.unwrap_err();
    bench.ask("web:1", None).await.expect("one platform does not need the others");
}

#[tokio::test]
async fn i051_schema_1_is_refused() {
    let Some(bench) = Bench::start() else { return };
    let kind = "application/vnd.docker.distribution.manifest.v1+prettyjws";
    bench.proxy.break_with(move |_| {
        let body = r#"{"schemaVersion": 1, "history": []}"#;
        Some(Fault::Answer(200, vec![("Content-Type", kind.into())], body.into()))
    });
    let failure = bench.failure("web:1").await;
    let message = "schema 1 manifests are not supported".to_owned();
    assert_eq!(failure, (ImportReason::UnsupportedManifest, false, message));
}

#[tokio::test]
async fn i052_an_entry_that_cannot_run_is_not_chosen() {
    let Some(bench) = Bench::start() else { return };
    let (_, images) = bench.registry.push_index("web", "1", "a", &["unknown", "s390x"]).await;
    let found = bench.ask("web:1", None).await.unwrap();
    assert_eq!(found.image.unwrap().digest, images["s390x"], "the first that can run");
    bench.registry.push_index("web", "2", "a", &["unknown"]).await;
    let (reason, transient, message) = bench.failure("web:2").await;
    assert_eq!((reason, transient), (ImportReason::InternalError, false));
    assert_eq!(message, "Internal error occurred: HOST/web:2: no manifests in manifest list");
}

/// I52: what cannot run is recorded with its index, and not read.
#[tokio::test]
async fn i052_an_entry_that_cannot_run_is_recorded_and_not_read() {
    let Some(bench) = Bench::start() else { return };
    let (_, images) = bench.registry.push_index("web", "1", "a", &["unknown", "amd64"]).await;
    let found = bench.ours.ask(whole(&bench, "web:1"), None).await.unwrap();
    let unknown = images["unknown"].to_string();
    assert!(bench.proxy.requests().iter().all(|line| !line.contains(&unknown)));
    let kept = bench.ours.metadata(&found);
    assert_eq!(kept["dockerImageManifests"][0]["digest"], unknown);
    assert_eq!(kept["images"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn i053_a_tag_pinned_to_an_index_ends_at_the_image_of_the_platform() {
    let Some(bench) = Bench::start() else { return };
    let (index, images) = bench.registry.push_index("web", "1", "a", &["amd64"]).await;
    let found = bench.ask(&format!("web:ignored@{index}"), None).await.unwrap();
    assert_eq!((found.probed, found.image.unwrap().digest), (index, images["amd64"]));
}

/// I54: an item is called as the tag spells it, with the digest; the tag is dropped.
#[test]
fn i054_an_item_is_spelled_as_its_tag() {
    for spelled in ["python", "centos/python", "docker.io/python", "r.io:5000/a/b/c"] {
        let mut world = committed(&format!("is web 1={spelled}:3.6"));
        world.resolve(&format!("{spelled}:3.6"), "a");
        assert_eq!(world.tag("shop/web:1"), format!("#a {spelled}@#a @2; spec @2"));
    }
}

#[tokio::test]
async fn i073_a_missing_image_is_not_found_by_its_full_name() {
    let Some(bench) = Bench::start() else { return };
    let digest = bench.registry.push_image("web", "1", "a").await;
    bench.registry.delete("web", &digest).await;
    for image in ["web:1", "never/pushed"] {
        let (reason, transient, message) = bench.failure(image).await;
        let full = if image == "web:1" { "web:1" } else { "never/pushed:latest" };
        assert_eq!(message, format!("dockerimage.image.openshift.io \"HOST/{full}\" not found"));
        assert_eq!((reason, transient), (ImportReason::NotFound, false));
        assert_eq!(bench.proxy.methods(), "HEAD GET", "nothing shows yet that it has HEAD");
    }
}

/// I73: what a registry answers is told by one of OpenShift's reasons, in OpenShift's words.
#[tokio::test]
async fn i073_every_answer_has_its_reason_and_its_words() {
    let Some(bench) = Bench::start() else { return };
    let access = "you may not have access to the container image \"HOST/web:1\"";
    let unauthorized = ImportReason::Unauthorized;
    bench.proxy.break_with(|_| Some(answer(401, "")));
    assert_eq!(bench.failure("web:1").await, (unauthorized, false, access.to_owned()));
    bench.proxy.break_with(|_| Some(ask_for_login()));
    let none = format!("{access} and did not have credentials to the repository");
    assert_eq!(bench.failure("web:1").await, (unauthorized, false, none));
    bench.proxy.break_with(|_| Some(answer(418, "")));
    let (reason, _, message) = bench.failure("web:1").await;
    assert_eq!(reason, ImportReason::InternalError);
    assert!(message.starts_with("Internal error occurred: HOST/web:1: "), "{message}");
}

#[tokio::test]
async fn i074_a_limit_of_requests_passes_and_says_when() {
    let Some(bench) = Bench::start() else { return };
    bench
        .proxy
        .break_with(|_| Some(Fault::Answer(429, vec![("Retry-After", "7".into())], String::new())));
    let failure = bench.ask("web:1", None).await.unwrap_err();
    assert_eq!(failure.retry_after, Some(Duration::from_secs(7)));
    assert!(failure.transient && failure.reason == ImportReason::InternalError);
    assert_eq!(bench.proxy.methods(), "HEAD", "one request, not one more");
    bench.proxy.break_with(|_| {
        let date = ("Date", "Sat, 21 Nov 2026 10:00:00 GMT".to_owned());
        let until = ("Retry-After", "Sat, 21 Nov 2026 10:02:00 GMT".to_owned());
        Some(Fault::Answer(429, vec![date, until], String::new()))
    });
    let failure = bench.ask("web:1", None).await.unwrap_err();
    assert_eq!(failure.retry_after, Some(Duration::from_secs(120)));
    let message = failure.message.replace(&bench.proxy.address(), "HOST");
    insta::assert_snapshot!(message, @"Internal error occurred: HOST/web:1: `HOST` limits requests (`429 Too Many Requests`)");
}

#[tokio::test]
async fn i074_a_server_in_trouble_passes_and_a_page_of_html_is_no_manifest() {
    let Some(bench) = Bench::start() else { return };
    bench.proxy.break_with(|_| Some(answer(502, "<html>bad gateway</html>")));
    let (reason, transient, message) = bench.failure("web:1").await;
    assert_eq!((reason, transient), (ImportReason::InternalError, true));
    insta::assert_snapshot!(message, @"Internal error occurred: HOST/web:1: the registry answered `502 Bad Gateway`");
    bench.proxy.break_with(|_| {
        let html = vec![("Content-Type", "text/html; charset=utf-8".to_owned())];
        Some(Fault::Answer(200, html, "<html>please log in</html>".into()))
    });
    let (reason, transient, message) = bench.failure("web:1").await;
    assert_eq!((reason, transient), (ImportReason::InternalError, false));
    assert!(message.contains("the answer (`text/html`) is not a manifest"), "{message}");
}

#[tokio::test]
async fn i074_denied_is_unauthorized_in_the_registrys_words() {
    let Some(bench) = Bench::start() else { return };
    let body = r#"{"errors":[{"code":"DENIED","message":"team only"}]}"#;
    bench.proxy.break_with(move |_| Some(answer(403, body)));
    let (reason, transient, message) = bench.failure("web:1").await;
    assert_eq!((reason, transient), (ImportReason::Unauthorized, false));
    insta::assert_snapshot!(message, @r#"you may not have access to the container image "HOST/web:1": team only"#);
}

#[tokio::test]
async fn i074_no_answer_at_all_passes() {
    let Some(bench) = Bench::start() else { return };
    let digest = bench.registry.push_image("web", "1", "a").await;
    bench.proxy.break_with(|_| Some(Fault::Drop));
    let (reason, transient, message) = bench.failure("web:1").await;
    assert_eq!((reason, transient), (ImportReason::InternalError, true), "{message}");
    bench.proxy.break_with(|_| None);
    bench.ask("web:1", Some(digest)).await.expect("it is well again");
    bench.proxy.break_with(|_| Some(Fault::Hang));
    let config = RegistryConfig { timeout: Duration::from_millis(300), ..quick() };
    let failure = Ours::new(config).ask(bench.check("web:1"), None).await.unwrap_err();
    assert!(failure.transient && failure.message.contains("did not answer within"), "{failure:?}");
}

#[tokio::test]
async fn i074_a_registry_that_is_down_passes() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let failure = Ours::new(quick()).ask(check(&format!("{free}/web")), None).await.unwrap_err();
    assert!(failure.transient, "{failure:?}");
    let message = failure.message.replace(&free.to_string(), "HOST");
    insta::assert_snapshot!(message, @"Internal error occurred: HOST/web:latest: cannot connect to `HOST`: Connection refused (os error 111)");
}

/// I75: what a login does not open is asked for without one, and nothing else is.
#[tokio::test]
async fn i075_only_what_failed_is_asked_for_without_a_login() {
    let Some(bench) = Bench::start() else { return };
    let (dir, right) = (tempfile::tempdir().unwrap(), basic("anna:right"));
    for repository in ["open", "closed"] {
        bench.registry.push_image(repository, "1", "a").await;
    }
    bench.proxy.break_with(move |seen| {
        let given = seen.authorization.as_deref();
        let is_closed = seen.path.contains("/closed/");
        let ok = if is_closed { given == Some(&right) } else { given.is_none() };
        (!ok).then(ask_for_login)
    });
    let ours = Ours::new(logins(&dir, &[(bench.proxy.address(), "anna:right")]));
    ours.ask(bench.check("closed:1"), None).await.unwrap();
    bench.proxy.requests();
    let found = ours.ask(bench.check("open:1"), None).await.unwrap();
    let requests = bench.proxy.requests();
    assert!(requests.iter().all(|line| line.contains("/open/")), "{requests:?}");
    ours.ask(bench.check("closed:1"), Some(found.probed)).await.unwrap();
}

/// I166: logins are those of the daemon's settings; a secret beside the stream is none.
#[test]
fn i166_a_secret_beside_the_stream_is_no_login() {
    let options = Options { basic: Some(("anna", "right")), ..Options::default() };
    let Some(registry) = DockerRegistry::start_with(&options) else { return };
    wait(registry.push_image("web", "2", "a"));
    let base64 = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
    let host = registry.address();
    let logins = json!({"auths": {&host: {"auth": base64("anna:right")}}}).to_string();
    let secret = format!(
        "apiVersion: v1\nkind: Secret\ntype: kubernetes.io/dockerconfigjson\nmetadata: {{name: pull}}\ndata: {{.dockerconfigjson: {}}}\n",
        base64(&logins)
    );
    let manifest = |tag: u32| {
        with_tag(&format!(
            "{{name: a, importPolicy: {{insecure: true}}, from: {{kind: DockerImage, name: '{host}/web:{tag}'}}}}"
        ))
    };
    let repo = Repo::new();
    repo.write("pull.yaml", secret).write("web.yaml", manifest(1)).commit("both");
    let file = tempfile::tempdir().unwrap();
    let settings = format!("[registries]\nauth_file = \"{}/auth.json\"\n", file.path().display());
    let mut daemon = Host::new(repo.path(), &settings);
    daemon.start();
    let record = daemon.wait_for("the failure", |fact| matches!(fact, Fact::ImportFailed(_)));
    let Fact::ImportFailed(failed) = record.fact else { unreachable!() };
    assert!(failed.message.ends_with("did not have credentials to the repository"), "{failed:?}");
    write(&file.path().join("auth.json"), &logins);
    repo.write("web.yaml", manifest(2)).commit("another tag");
    daemon.wait_for("the image", |fact| matches!(fact, Fact::TagImported(_)));
    assert!(daemon.stop().success());
}

/// I167: a login is for its path and what is below, not for all that begins like it.
#[tokio::test]
async fn i167_a_login_is_not_for_a_neighbour_whose_name_begins_alike() {
    let Some(bench) = Bench::start() else { return };
    let (dir, right) = (tempfile::tempdir().unwrap(), basic("anna:right"));
    for repository in ["foo/x", "foobar/x"] {
        bench.registry.push_image(repository, "1", "a").await;
    }
    let denied = move |seen: &Seen| seen.authorization.as_ref() != Some(&right);
    bench.proxy.break_with(move |seen| denied(seen).then(ask_for_login));
    let key = format!("{}/foo", bench.proxy.address());
    let ours = Ours::new(logins(&dir, &[(key, "anna:right")]));
    ours.ask(bench.check("foo/x:1"), None).await.unwrap();
    let failure = ours.ask(bench.check("foobar/x:1"), None).await.unwrap_err();
    assert!(failure.message.ends_with("did not have credentials to the repository"), "{failure:?}");
}

/// I168: the closest login is tried first, then the next, then none.
#[tokio::test]
async fn i168_after_a_login_that_is_refused_the_next_one_is_tried() {
    let Some(bench) = Bench::start() else { return };
    let dir = tempfile::tempdir().unwrap();
    bench.registry.push_image("team/web", "1", "a").await;
    let seen = Arc::<Mutex<Vec<Option<String>>>>::default();
    let (given, right) = (Arc::clone(&seen), basic("host:right"));
    bench.proxy.break_with(move |seen| {
        given.lock().unwrap().push(seen.authorization.clone());
        (seen.authorization.as_ref() != Some(&right)).then(ask_for_login)
    });
    let host = bench.proxy.address();
    let all = [(format!("{host}/team"), "team:old"), (host, "host:right")];
    let ours = Ours::new(logins(&dir, &all));
    ours.ask(bench.check("team/web:1"), None).await.unwrap();
    let tried = seen.lock().unwrap()[..3].to_vec();
    assert_eq!(tried, [None, Some(basic("team:old")), Some(basic("host:right"))]);
}

/// I169: a token is fetched with the login, for pulling from the one repository.
#[tokio::test]
async fn i169_a_token_is_for_pulling_from_one_repository() {
    let Some(bench) = Bench::start() else { return };
    let dir = tempfile::tempdir().unwrap();
    let digest = bench.registry.push_image("shop/web", "1", "a").await;
    want_tokens(&bench.proxy, &Arc::new(Mutex::new("t".to_owned())), Some("anna:right"));
    let ours = Ours::new(logins(&dir, &[(bench.proxy.address(), "anna:right")]));
    ours.ask(bench.check("shop/web:1"), Some(digest)).await.unwrap();
    let requests = bench.proxy.requests();
    let token = requests.iter().find(|line| line.contains("/token")).unwrap();
    assert!(token.contains("scope=repository%3Ashop%2Fweb%3Apull"), "{token}");
}

/// I170: a Secret in git is accepted with a warning that names where logins stand, and nothing of its values.
#[test]
fn i170_a_secret_in_git_is_warned_of() {
    let file =
        read("apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {p: hunter2}\n");
    let [warning] = &file.diagnostics[..] else { panic!("{:?}", file.diagnostics) };
    assert_eq!((warning.severity, warning.position.line), (Severity::Warning, 2));
    assert!(warning.hint.as_ref().unwrap().contains("registries.auth_file"));
    assert!(!format!("{warning:?}").contains("hunter2"));
}

#[tokio::test]
async fn i170_logins_come_from_a_file_and_a_new_one_is_noticed() {
    let options = Options { basic: Some(("anna", "right")), ..Options::default() };
    let Some(registry) = DockerRegistry::start_with(&options) else { return };
    let digest = registry.push_image("web", "1", "a").await;
    let (host, dir) = (registry.address(), tempfile::tempdir().unwrap());
    let ask =
        |known| ResolveRequest { check: check(&format!("{host}/web:1")), known, allowance: None };
    let none = Ours::new(quick()).registries.resolve(&ask(None)).await.unwrap_err();
    assert_eq!(none.reason, ImportReason::Unauthorized);
    assert!(none.message.ends_with("and did not have credentials to the repository"), "{none:?}");
    let auth = auth_file(&dir, &host, "anna:wrong");
    let ours = Ours::new(RegistryConfig { auth_files: vec![auth], ..quick() });
    let wrong = ours.registries.resolve(&ask(None)).await.unwrap_err();
    assert_eq!(wrong.reason, ImportReason::Unauthorized);
    assert!(!wrong.message.contains("wrong"), "{wrong:?}");
    auth_file(&dir, &host, "anna:right");
    assert_eq!(ours.registries.resolve(&ask(None)).await.unwrap().probed, digest);
    assert_eq!(ours.registries.resolve(&ask(Some(digest))).await.unwrap().image, None);
}

#[tokio::test]
async fn i171_plain_http_needs_the_insecure_flag_or_list() {
    let Some(bench) = Bench::start() else { return };
    bench.registry.push_image("shop/web", "1", "a").await;
    let secure = || Check { insecure: false, ..bench.check("shop/web:1") };
    let failure = bench.ours.ask(secure(), None).await.unwrap_err();
    assert_eq!((failure.reason, failure.transient), (ImportReason::BadRequest, false));
    let wanted = "the repository shop/web is HTTP only and requires the insecure flag to import";
    assert_eq!(failure.message, wanted);
    assert_eq!(bench.proxy.methods(), "");
    let insecure = BTreeSet::from([bench.proxy.address()]);
    let listed = Ours::new(RegistryConfig { insecure, ..quick() });
    listed.ask(secure(), None).await.unwrap();
}

/// I172: the annotation of a stream counts for the imports of all its tags.
#[test]
fn i172_the_insecure_annotation_counts_for_every_tag_of_the_stream() {
    let mut files = crate::support::manifest::files("is web 1=r.io/web:1\nis top 1=r.io/top:1");
    let text = files.get_mut("shop/is-web.yaml").unwrap();
    let note = "  annotations: {openshift.io/image.insecureRepository: 'true'}\nspec:";
    *text = text.replacen("spec:", note, 1);
    let mut world = World::new();
    world.commit_files(files);
    let insecure = world.checks().into_iter().filter(|check| check.insecure);
    let images: Vec<_> = insecure.map(|check| check.image.to_string()).collect();
    assert_eq!(images, ["r.io/web:1"]);
}

#[tokio::test]
async fn i178_tls_needs_a_known_authority_or_the_insecure_flag() {
    let options = Options { tls: true, ..Options::default() };
    let Some(registry) = DockerRegistry::start_with(&options) else { return };
    let digest = registry.push_image("web", "1", "a").await;
    let host = registry.address();
    let secure = || Check { insecure: false, ..check(&format!("{host}/web:1")) };
    let failure = Ours::new(quick()).ask(secure(), None).await.unwrap_err();
    let message = failure.message.replace(&host, "HOST");
    assert!(message.contains("no secure connection to `HOST`: invalid peer"), "{message}");
    let ca_files = BTreeMap::from([(host.clone(), registry.ca_file())]);
    let trusting = Ours::new(RegistryConfig { ca_files, ..quick() });
    assert_eq!(trusting.ask(secure(), None).await.unwrap().probed, digest);
    let careless = Check { insecure: true, ..secure() };
    assert_eq!(Ours::new(quick()).ask(careless, None).await.unwrap().probed, digest);
}

#[tokio::test]
async fn i197_1_an_unchanged_tag_costs_one_request() {
    let Some(bench) = Bench::start() else { return };
    let digest = bench.registry.push_image("shop/web", "1", "a").await;
    let first = bench.ask("shop/web:1", None).await.unwrap();
    assert_eq!((first.probed, first.image.as_ref().unwrap().digest), (digest, digest));
    assert_eq!(bench.proxy.methods(), "HEAD GET GET", "manifest and config");
    for _ in 0..3 {
        let again = bench.ask("shop/web:1", Some(digest)).await.unwrap();
        assert_eq!(again, Resolution { probed: digest, image: None });
        assert_eq!(bench.proxy.requests(), ["HEAD /v2/shop/web/manifests/1"]);
    }
    let moved = bench.registry.push_image("shop/web", "1", "b").await;
    let after = bench.ask("shop/web:1", Some(digest)).await.unwrap();
    assert_eq!((after.probed, after.image.unwrap().digest), (moved, moved));
    assert_eq!(bench.proxy.methods(), "HEAD GET GET");
    bench.registry.move_tag("shop/web", "1", &digest.to_string()).await;
    let back = bench.ask("shop/web:1", Some(moved)).await.unwrap();
    assert_eq!((back.probed, back.image.unwrap().digest), (digest, digest));
}

/// I173 (what mirrors do to it is replaced by I176): a blocked registry is not asked, and the condition says why.
#[tokio::test]
async fn i173_a_blocked_registry_is_not_asked() {
    let dir = tempfile::tempdir().unwrap();
    let conf = dir.path().join("registries.conf");
    write(
        &conf,
        "[[registry]]\nprefix = \"bad.example.com\"\nblocked = true\n[[registry]]\nprefix = \"docker.io/team\"\nblocked = true\n",
    );
    let ours = Ours::new(RegistryConfig { conf: Some(conf), ..quick() });
    for (image, registry) in [("bad.example.com/a/b:1", "bad.example.com"), ("team/app", "")] {
        let failure = ours.ask(check(image), None).await.unwrap_err();
        let message = format!("forbidden: registry {registry} blocked");
        assert_eq!((failure.reason, failure.message), (ImportReason::Forbidden, message));
        assert!(!failure.transient);
    }
}

/// Prefixes of registries.conf(5): the image is where the file says, and is named as the manifest spells it.
#[tokio::test]
async fn registries_conf_says_where_an_image_is() {
    let Some(bench) = Bench::start() else { return };
    let digest = bench.registry.push_image("hub/library/python", "3.6", "a").await;
    let dir = tempfile::tempdir().unwrap();
    let conf = dir.path().join("registries.conf");
    let location = format!("{}/hub", bench.proxy.address());
    write(
        &conf,
        &format!(
            "[[registry]]\nprefix = \"docker.io\"\nlocation = \"{location}\"\ninsecure = true\n"
        ),
    );
    let ours = Ours::new(RegistryConfig { conf: Some(conf), ..quick() });
    let there = Check { insecure: false, ..check("docker.io/python:3.6") };
    assert_eq!(ours.ask(there, None).await.unwrap().probed, digest);
    assert_eq!(bench.proxy.requests()[0], "HEAD /v2/hub/library/python/manifests/3.6");
    let missing = Check { insecure: false, ..check("python:9") };
    let failure = ours.ask(missing, None).await.unwrap_err();
    assert_eq!(
        failure.message,
        "dockerimage.image.openshift.io \"docker.io/library/python:9\" not found"
    );
}
