//! Resolving references at a real registry, and at one that misbehaves.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::expect_used,
    reason = "helpers of tests are tests"
)]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tidegate::action::{
    Check, ImportFailure, ImportMode, ListRequest, Platform, Resolution, ResolveRequest, TagListing,
};
use tidegate::fact::ImportReason;
use tidegate::names::{ContentHash, Digest};
use tidegate::world::demo_registry::DemoRegistry;
use tidegate::world::registry::{Registries, RegistryConfig};

use crate::support::registry::{DockerRegistry, Fault, FaultProxy, OCI_MANIFEST, Seen, write};

/// A registry, a proxy in front of it, and our side; asks go through the proxy.
pub(crate) struct Bench {
    pub(crate) registry: DockerRegistry,
    pub(crate) proxy: FaultProxy,
    pub(crate) ours: Ours,
}

pub(crate) struct Ours {
    pub(crate) registries: Registries,
    pub(crate) kept: Arc<Mutex<BTreeMap<ContentHash, Value>>>,
}

impl Ours {
    pub(crate) fn new(config: RegistryConfig) -> Self {
        let kept = Arc::<Mutex<BTreeMap<_, _>>>::default();
        let store = Arc::clone(&kept);
        let keep = move |bytes: &[u8]| {
            let hash = ContentHash::of(bytes);
            store.lock().unwrap().insert(hash, serde_json::from_slice(bytes)?);
            Ok(hash)
        };
        Self { registries: Registries::new(config, Arc::new(keep)).unwrap(), kept }
    }

    pub(crate) async fn ask(
        &self,
        check: Check,
        known: Option<Digest>,
    ) -> Result<Resolution, ImportFailure> {
        self.registries.resolve(&ResolveRequest { check, known, allowance: None }).await
    }

    pub(crate) fn metadata(&self, resolution: &Resolution) -> Value {
        let hash = resolution.image.as_ref().unwrap().metadata;
        self.kept.lock().unwrap()[&hash].clone()
    }
}

pub(crate) fn check(image: &str) -> Check {
    let (mode, platform) = (ImportMode::Legacy, Platform::default());
    Check {
        image: image.parse().map(Arc::new).unwrap(),
        insecure: true,
        mode,
        platform,
        copy_to: None,
        namespace: None,
    }
}

pub(crate) fn quick() -> RegistryConfig {
    RegistryConfig { timeout: Duration::from_secs(20), ..RegistryConfig::default() }
}

impl Bench {
    pub(crate) fn start() -> Option<Self> {
        let registry = DockerRegistry::start()?;
        let proxy = FaultProxy::start(&registry.address());
        Some(Self { registry, proxy, ours: Ours::new(quick()) })
    }

    pub(crate) fn check(&self, image: &str) -> Check {
        check(&format!("{}/{image}", self.proxy.address()))
    }

    pub(crate) async fn ask(
        &self,
        image: &str,
        known: Option<Digest>,
    ) -> Result<Resolution, ImportFailure> {
        self.ours.ask(self.check(image), known).await
    }

    /// A failure's reason, whether it passes, and its message with the address replaced.
    pub(crate) async fn failure(&self, image: &str) -> (ImportReason, bool, String) {
        let failure = self.ask(image, None).await.expect_err("a failure");
        let message = failure.message.replace(&self.proxy.address(), "HOST");
        (failure.reason, failure.transient, message)
    }
}

pub(crate) fn answer(status: u16, body: &str) -> Fault {
    Fault::Answer(status, Vec::new(), body.to_owned())
}

#[tokio::test]
async fn the_metadata_is_what_openshifts_image_holds() {
    let Some(bench) = Bench::start() else { return };
    let digest = bench.registry.push_image("web", "1", "a").await;
    let found = bench.ask("web:1", None).await.unwrap();
    let metadata = bench.ours.metadata(&found);
    assert_eq!(metadata["name"], digest.to_string());
    assert_eq!(metadata["dockerImageManifestMediaType"], OCI_MANIFEST);
    let docker = &metadata["dockerImageMetadata"];
    assert_eq!(docker["Created"], "2026-01-01T00:00:00Z");
    assert_eq!((&docker["Architecture"], &docker["Os"]), (&"amd64".into(), &"linux".into()));
    assert_eq!(docker["Config"]["Labels"]["seed"], "a");
    let layer = metadata["dockerImageLayers"][0]["size"].as_u64().unwrap();
    assert!(docker["Size"].as_u64().unwrap() > layer, "config and layers");
    assert!(docker["Id"].as_str().unwrap().starts_with("sha256:"));
}

#[tokio::test]
async fn a_config_that_is_not_what_the_manifest_names_gives_no_image() {
    let Some(bench) = Bench::start() else { return };
    bench.registry.push_image("web", "1", "a").await;
    let blob = |seen: &Seen| seen.path.contains("/blobs/");
    bench.proxy.break_with(move |seen| blob(seen).then(|| answer(200, "{}")));
    let (_, _, message) = bench.failure("web:1").await;
    assert!(message.contains("content integrity error"), "{message}");
    bench.proxy.break_with(move |seen| blob(seen).then(|| answer(404, "")));
    let (reason, _, message) = bench.failure("web:1").await;
    assert_eq!(reason, ImportReason::InternalError, "the tag is there: {message}");
}

#[tokio::test]
async fn a_head_without_a_digest_is_followed_by_the_manifest() {
    let Some(bench) = Bench::start() else { return };
    let digest = bench.registry.push_image("web", "1", "a").await;
    bench.proxy.break_with(|_| Some(Fault::StateDigest(None)));
    assert_eq!(bench.ask("web:1", None).await.unwrap().image.unwrap().digest, digest);
    bench.proxy.requests();
    let again = bench.ask("web:1", Some(digest)).await.unwrap();
    assert_eq!(again, Resolution { probed: digest, image: None });
    assert_eq!(bench.proxy.methods(), "HEAD GET");
    bench.proxy.break_with(|seen| (seen.method == "HEAD").then(|| answer(405, "")));
    assert_eq!(bench.ask("web:1", Some(digest)).await.unwrap().image, None);
}

#[tokio::test]
async fn an_answer_without_end_is_cut() {
    let Some(bench) = Bench::start() else { return };
    let long = "x".repeat(5 * 1024 * 1024);
    bench.proxy.break_with(move |_| Some(answer(200, &long)));
    let (_, _, message) = bench.failure("web:1").await;
    assert!(message.ends_with("answered with more than 4 MiB"), "{message}");
}

#[tokio::test]
async fn an_index_of_very_many_images_is_not_read_whole() {
    let Some(bench) = Bench::start() else { return };
    let entry = serde_json::json!({
        "mediaType": OCI_MANIFEST, "digest": Digest::of(b"x"), "size": 1,
        "platform": {"os": "linux", "architecture": "amd64"},
    });
    let index = serde_json::json!({"schemaVersion": 2, "manifests": vec![entry; 101]}).to_string();
    bench.proxy.break_with(move |_| Some(answer(200, &index)));
    let whole = Check { mode: ImportMode::PreserveOriginal, ..bench.check("web:1") };
    let failure = bench.ours.ask(whole, None).await.unwrap_err();
    assert!(failure.message.contains("the index has 101 images"), "{failure:?}");
    assert_eq!(bench.proxy.methods(), "HEAD GET");
}

#[tokio::test]
async fn redirects_in_a_circle_end() {
    let Some(bench) = Bench::start() else { return };
    bench.proxy.break_with(|seen| {
        let place = ("Location", seen.path.clone());
        Some(Fault::Answer(307, vec![place], String::new()))
    });
    let (_, transient, message) = bench.failure("web:1").await;
    assert!(!transient && message.contains("redirects badly: too many redirects"), "{message}");
    assert!(bench.proxy.requests().len() <= 7);
}

pub(crate) fn auth_file(dir: &tempfile::TempDir, host: &str, login: &str) -> std::path::PathBuf {
    use base64::Engine as _;
    let auth = base64::engine::general_purpose::STANDARD.encode(login);
    let path = dir.path().join("auth.json");
    write(&path, &serde_json::json!({"auths": {host: {"auth": auth}}}).to_string());
    path
}

#[tokio::test]
async fn a_closed_repository_does_not_close_the_open_ones_beside_it() {
    let Some(bench) = Bench::start() else { return };
    let digest = bench.registry.push_image("open", "1", "a").await;
    bench.proxy.break_with(|seen| {
        let ask = ("WWW-Authenticate", "Basic realm=\"x\"".to_owned());
        seen.path.contains("/closed/").then(|| Fault::Answer(401, vec![ask], String::new()))
    });
    assert_eq!(bench.failure("closed:1").await.0, ImportReason::Unauthorized);
    bench.ask("open:1", Some(digest)).await.unwrap();
    bench.proxy.requests();
    bench.ask("open:1", Some(digest)).await.unwrap();
    assert_eq!(bench.proxy.methods(), "HEAD");
}

/// Makes the proxy want tokens: `good` is the one that counts, `password` (if any) what gets it.
pub(crate) fn want_tokens(proxy: &FaultProxy, good: &Arc<Mutex<String>>, login: Option<&str>) {
    use base64::Engine as _;
    let basic = login.map(|login| base64::engine::general_purpose::STANDARD.encode(login));
    let (realm, good) = (format!("http://{}/token", proxy.address()), Arc::clone(good));
    proxy.break_with(move |seen| {
        let given = seen.authorization.as_deref().unwrap_or_default();
        let token = good.lock().unwrap();
        if seen.path.starts_with("/token") {
            let ok = basic.as_ref().is_none_or(|basic| given == format!("Basic {basic}"));
            return Some(match ok {
                true => answer(200, &format!(r#"{{"token": "{token}"}}"#)),
                false => answer(401, r#"{"details": "incorrect username or password"}"#),
            });
        }
        let ask = ("WWW-Authenticate", format!("Bearer realm=\"{realm}\",service=\"test\""));
        let ok = given == format!("Bearer {token}");
        (!ok).then(|| Fault::Answer(401, vec![ask], String::new()))
    });
}

#[tokio::test]
async fn a_token_is_fetched_kept_and_renewed_once() {
    let Some(bench) = Bench::start() else { return };
    let digest = bench.registry.push_image("shop/web", "1", "a").await;
    let good = Arc::new(Mutex::new("first".to_owned()));
    want_tokens(&bench.proxy, &good, None);
    bench.ask("shop/web:1", Some(digest)).await.unwrap();
    let requests = bench.proxy.requests();
    assert_eq!(requests.len(), 4, "a 401, the ping, the token, the answer: {requests:?}");
    assert!(requests[2].contains("scope=repository%3Ashop%2Fweb%3Apull"), "{requests:?}");
    bench.ask("shop/web:1", Some(digest)).await.unwrap();
    assert_eq!(bench.proxy.methods(), "HEAD", "the token is kept");
    "second".clone_into(&mut good.lock().unwrap());
    bench.ask("shop/web:1", Some(digest)).await.unwrap();
    assert_eq!(bench.proxy.methods(), "HEAD GET GET HEAD", "it was revoked and is renewed");
}

#[tokio::test]
async fn many_checks_of_one_repository_share_one_token() {
    let Some(bench) = Bench::start() else { return };
    let digest = bench.registry.push_image("web", "1", "a").await;
    want_tokens(&bench.proxy, &Arc::new(Mutex::new("token".to_owned())), None);
    let asks = (0..6).map(|_| bench.ask("web:1", Some(digest)));
    for found in futures_util::future::join_all(asks).await {
        assert_eq!(found.unwrap().image, None);
    }
    let requests = bench.proxy.requests();
    let tokens = requests.iter().filter(|line| line.contains("/token")).count();
    assert_eq!(tokens, 1, "{requests:?}");
}

#[tokio::test]
async fn a_refused_login_at_the_token_server_is_told_in_its_words() {
    let Some(bench) = Bench::start() else { return };
    bench.registry.push_image("web", "1", "a").await;
    want_tokens(&bench.proxy, &Arc::new(Mutex::new("t".to_owned())), Some("anna:right"));
    let dir = tempfile::tempdir().unwrap();
    let auth = auth_file(&dir, &bench.proxy.address(), "anna:hunter2");
    let ours = Ours::new(RegistryConfig { auth_files: vec![auth], ..quick() });
    let failure = ours.ask(bench.check("web:1"), None).await.unwrap_err();
    let message = failure.message.replace(&bench.proxy.address(), "HOST");
    insta::assert_snapshot!(message, @r#"incorrect username or password for image "HOST/web:1""#);
    assert_eq!(failure.reason, ImportReason::Unauthorized);
    auth_file(&dir, &bench.proxy.address(), "anna:right");
    ours.ask(bench.check("web:1"), None).await.unwrap();
}

#[tokio::test]
async fn the_demo_registry_serves_what_was_put() {
    let registry = DemoRegistry::start().await.unwrap();
    let first = registry.put_image("demo/web", "1", "a");
    let ours = Ours::new(quick());
    let ask = || check(&format!("{}/demo/web:1", registry.address()));
    let found = ours.ask(ask(), None).await.unwrap();
    assert_eq!(found.image.as_ref().unwrap().digest, first);
    assert_eq!(ours.metadata(&found)["dockerImageMetadata"]["Config"]["Labels"]["seed"], "a");
    let counts = registry.requests();
    assert_eq!((counts.head, counts.get), (1, 2));
    let second = registry.put_image("demo/web", "1", "b");
    assert_eq!(ours.ask(ask(), Some(first)).await.unwrap().probed, second);
    assert!(registry.move_tag("demo/web", "1", &first));
    assert_eq!(ours.ask(ask(), Some(first)).await.unwrap().image, None);
    let other = check(&format!("{}/demo/none:1", registry.address()));
    assert_eq!(ours.ask(other, None).await.unwrap_err().reason, ImportReason::NotFound);
}

impl Bench {
    async fn list(&self, repository: &str) -> Result<TagListing, ImportFailure> {
        let repository = format!("{}/{repository}", self.proxy.address());
        let repository = repository.parse().map(Arc::new).unwrap();
        self.ours
            .registries
            .list(&ListRequest { repository, insecure: true, namespace: None })
            .await
    }
}

#[tokio::test]
async fn i055_the_tags_of_a_repository_are_listed() {
    let Some(bench) = Bench::start() else { return };
    for tag in ["latest", "1.0", "2.0"] {
        bench.registry.push_image("shop/web", tag, "a").await;
    }
    bench.proxy.requests();
    let mut listing = bench.list("shop/web").await.unwrap();
    listing.tags.sort();
    assert_eq!(listing, TagListing { tags: strings(&["1.0", "2.0", "latest"]), complete: true });
    assert_eq!(bench.proxy.requests(), ["GET /v2/shop/web/tags/list?n=1000"]);
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

/// A registry that answers in pages, or in circles.
fn pages(bench: &Bench, next: impl Fn(&str) -> Option<(String, &'static str)> + Send + 'static) {
    bench.proxy.break_with(move |seen| {
        let (link, tags) = next(&seen.path)?;
        let headers = if link.is_empty() { vec![] } else { vec![("Link", link)] };
        Some(Fault::Answer(200, headers, format!("{{\"name\":\"web\",\"tags\":{tags}}}")))
    });
}

#[tokio::test]
async fn i055_every_page_is_read_and_a_registry_that_goes_in_circles_is_cut_short() {
    let Some(bench) = Bench::start() else { return };
    pages(&bench, |path| match path.split_once("last=") {
        Some(_) => Some((String::new(), "[\"c\"]")),
        None => Some(("</v2/web/tags/list?last=b&n=2>; rel=\"next\"".to_owned(), "[\"a\",\"b\"]")),
    });
    let listing = bench.list("web").await.unwrap();
    assert_eq!(listing, TagListing { tags: strings(&["a", "b", "c"]), complete: true });
    // Another host in the link is not gone to.
    pages(&bench, |_| {
        Some(("<http://192.0.2.1/v2/other/tags/list?n=1000>; rel=next".to_owned(), "[\"a\"]"))
    });
    let listing = bench.list("web").await.unwrap();
    assert_eq!(listing, TagListing { tags: strings(&["a"]), complete: false });
    pages(&bench, |_| Some((String::new(), "null")));
    assert_eq!(bench.list("web").await.unwrap().tags, Vec::<String>::new());
}

#[tokio::test]
async fn i060_what_is_wrong_with_a_repository_is_told_from_what_is_no_registry() {
    let Some(bench) = Bench::start() else { return };
    let failure = |failure: ImportFailure| {
        (failure.reason, failure.message.replace(&bench.proxy.address(), "HOST"))
    };
    let missing = failure(bench.list("nothing").await.unwrap_err());
    let words = "dockerimage.image.openshift.io \"HOST/nothing:latest\" not found";
    assert_eq!(missing, (ImportReason::NotFound, words.to_owned()));
    bench.proxy.break_with(|_| Some(answer(404, "<html>nothing here</html>")));
    let none = failure(bench.list("web").await.unwrap_err());
    let words = "forbidden: registry \"HOST\" does not support the v2 Registry API";
    assert_eq!(none, (ImportReason::NotV2Registry, words.to_owned()));
    bench.proxy.break_with(|_| Some(answer(200, "<html>welcome</html>")));
    let page = failure(bench.list("web").await.unwrap_err());
    assert_eq!(page.0, ImportReason::InternalError);
    assert!(page.1.contains("the answer is not a list of tags"), "{}", page.1);
}

#[tokio::test]
async fn tags_that_name_one_image_read_it_once_also_at_the_same_time() {
    let Some(bench) = Bench::start() else { return };
    let digest = bench.registry.push_image("web", "1", "a").await;
    for tag in ["2", "3", "4"] {
        bench.registry.move_tag("web", tag, "1").await;
    }
    bench.proxy.requests();
    let asks = ["web:1", "web:2", "web:3", "web:4"].map(|image| bench.ask(image, None));
    for resolution in futures_util::future::join_all(asks).await {
        assert_eq!(resolution.unwrap().image.unwrap().digest, digest);
    }
    let methods = bench.proxy.methods();
    let count = |method: &str| methods.split(' ').filter(|word| *word == method).count();
    assert_eq!((count("HEAD"), count("GET")), (4, 2), "{methods}");
}
