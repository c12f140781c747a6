//! Copying images between two real registries, with the requests counted, and with registries that misbehave.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidegate::action::{Check, ImportFailure, ImportMode, Resolution};
use tidegate::fact::{ImportReason, StoredManifest};
use tidegate::names::Digest;
use tidegate::world::registry::RegistryConfig;

use super::registry::{Ours, check};
use crate::support::registry::{DockerRegistry, Fault, FaultProxy, Options, Seen};

/// Two registries, each behind a proxy, and our side.
struct Bench {
    source: DockerRegistry,
    target: DockerRegistry,
    from: FaultProxy,
    to: FaultProxy,
    ours: Ours,
}

impl Bench {
    fn open() -> Option<Self> {
        let (source, target) = (DockerRegistry::start()?, DockerRegistry::start()?);
        let (from, to) =
            (FaultProxy::start(&source.address()), FaultProxy::start(&target.address()));
        let ours = Ours::new(insecure(&[&to.address()]));
        Some(Self { source, target, from, to, ours })
    }

    /// Asks for an image of the source and to copy it to a repository of the target.
    fn check(&self, image: &str, repository: &str) -> Check {
        let to = format!("{}/{repository}", self.to.address());
        Check {
            copy_to: Some(Arc::new(to.parse().unwrap())),
            ..check(&format!("{}/{image}", self.from.address()))
        }
    }

    async fn copy(&self, image: &str, repository: &str) -> Result<Resolution, ImportFailure> {
        self.ours.ask(self.check(image, repository), None).await
    }

    /// The target's requests since the last call: how often each method went to each kind of thing.
    fn sent(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for request in self.to.requests() {
            let (method, path) = request.split_once(' ').unwrap();
            let kind = match path {
                path if path.contains("mount=") => "mount",
                path if path.contains("/uploads/") => "upload",
                path if path.contains("/blobs/") => "blob",
                path if path.contains("/manifests/") => "manifest",
                _ => continue,
            };
            *counts.entry(format!("{method} {kind}")).or_default() += 1;
        }
        counts
    }
}

fn insecure(hosts: &[&str]) -> RegistryConfig {
    let insecure = hosts.iter().map(|host| (*host).to_owned()).collect();
    RegistryConfig { insecure, ..RegistryConfig::default() }
}

fn counts(of: &[(&str, usize)]) -> BTreeMap<String, usize> {
    of.iter().map(|(what, count)| ((*what).to_owned(), *count)).collect()
}

#[tokio::test]
async fn an_image_is_copied_once_and_is_the_same() {
    let Some(bench) = Bench::open() else { return };
    let digest = bench.source.push_image("team/web", "1", "one").await;
    let found = bench.copy("team/web:1", "shop/web").await.unwrap();
    assert_eq!(found.image.unwrap().digest, digest);
    let wanted = [
        ("HEAD blob", 2),
        ("HEAD manifest", 1),
        ("POST upload", 2),
        ("PUT manifest", 1),
        ("PUT upload", 2),
    ];
    assert_eq!(bench.sent(), counts(&wanted));
    let of = digest.to_string();
    assert_eq!(
        bench.target.manifest("shop/web", &of).await,
        bench.source.manifest("team/web", &of).await
    );
    bench.copy("team/web:1", "shop/web").await.unwrap();
    assert_eq!(bench.sent(), counts(&[("HEAD manifest", 1)]), "all of it is there");
    let known = bench.ours.ask(bench.check("team/web:1", "shop/web"), Some(digest)).await.unwrap();
    assert_eq!((known.image, bench.sent()), (None, counts(&[])), "nothing is copied that is known");
}

#[tokio::test]
async fn what_the_registry_has_elsewhere_is_mounted() {
    let Some(bench) = Bench::open() else { return };
    let digest = bench.source.push_image("team/web", "1", "one").await;
    bench.copy("team/web:1", "shop/web").await.unwrap();
    bench.sent();
    bench.copy("team/web:1", "far/web").await.unwrap();
    let wanted = [("HEAD blob", 2), ("HEAD manifest", 1), ("POST mount", 2), ("PUT manifest", 1)];
    assert_eq!(bench.sent(), counts(&wanted), "no blob is sent twice");
    bench.target.manifest("far/web", &digest.to_string()).await;
    // A restart forgets where blobs are, but not which repository the image is pulled from.
    let there = Ours::new(insecure(&[&bench.to.address()]));
    let inside = Check {
        image: Arc::new(format!("{}/shop/web@{digest}", bench.to.address()).parse().unwrap()),
        ..bench.check("team/web:1", "third/web")
    };
    there.ask(inside, None).await.unwrap();
    let sent = bench.sent();
    assert_eq!((sent.get("POST mount"), sent.get("PUT upload")), (Some(&2), None), "{sent:?}");
}

#[tokio::test]
async fn an_index_is_copied_with_all_of_its_images() {
    let Some(bench) = Bench::open() else { return };
    let platforms = ["amd64", "s390x", "unknown"];
    let (index, images) = bench.source.push_index("team/web", "1", "one", &platforms).await;
    let whole =
        Check { mode: ImportMode::PreserveOriginal, ..bench.check("team/web:1", "shop/web") };
    assert_eq!(bench.ours.ask(whole, None).await.unwrap().image.unwrap().digest, index);
    for digest in images.values().chain([&index]) {
        bench.target.manifest("shop/web", &digest.to_string()).await;
    }
    let mut puts = bench.to.requests().into_iter().filter(|request| request.starts_with("PUT"));
    let last = puts.next_back().unwrap();
    assert!(last.ends_with(&index.to_string()), "the index comes last: {last}");
    // Of an index that is imported for one platform, that image alone is copied.
    bench.copy("team/web:1", "far/web").await.unwrap();
    let puts: Vec<_> = bench
        .to
        .requests()
        .into_iter()
        .filter(|request| request.contains("PUT /v2/far/web/manifests"))
        .collect();
    assert_eq!(puts.len(), 1);
    assert!(puts[0].ends_with(&images["amd64"].to_string()));
}

#[tokio::test]
async fn an_interrupted_copy_goes_on_where_it_was() {
    let Some(bench) = Bench::open() else { return };
    let digest = bench.source.push_image("team/web", "1", "one").await;
    bench.to.break_with(|seen: &Seen| {
        (seen.method == "PUT" && seen.path.contains("/manifests/")).then_some(Fault::Drop)
    });
    let failure = bench.copy("team/web:1", "shop/web").await.unwrap_err();
    assert!(failure.transient, "{failure:?}");
    assert_eq!(bench.sent().get("PUT upload"), Some(&2));
    bench.to.break_with(|_| None);
    bench.copy("team/web:1", "shop/web").await.unwrap();
    let wanted = [("HEAD blob", 2), ("HEAD manifest", 1), ("PUT manifest", 1)];
    assert_eq!(bench.sent(), counts(&wanted), "what was sent stays");
    bench.target.manifest("shop/web", &digest.to_string()).await;
}

#[tokio::test]
async fn a_source_that_breaks_off_or_lies_leaves_nothing_behind() {
    let Some(bench) = Bench::open() else { return };
    bench.source.push_image("team/web", "1", "one").await;
    let layer = Digest::of(b"layer one amd64");
    let wanted = format!("/blobs/{layer}");
    let lie = |body: &'static str| {
        let wanted = wanted.clone();
        move |seen: &Seen| {
            let is_it = seen.method == "GET" && seen.path.ends_with(&wanted);
            is_it.then(|| Fault::Answer(200, vec![], body.to_owned()))
        }
    };
    for (body, why) in [
        ("layer two amd64", "content integrity error"),
        ("layer", "has 5 bytes and not 15"),
        ("layer one amd64 and more", "has more than its 15 bytes"),
    ] {
        bench.from.break_with(lie(body));
        let failure = bench.copy("team/web:1", "shop/web").await.unwrap_err();
        assert_eq!(failure.reason, ImportReason::InternalError);
        assert!(failure.message.contains(why), "{}", failure.message);
        let sent = bench.sent();
        assert_eq!(sent.get("PUT manifest"), None, "{sent:?}");
    }
    bench.from.break_with(|_| None);
    bench.copy("team/web:1", "shop/web").await.unwrap();
}

#[tokio::test]
async fn a_target_that_refuses_fails_the_import() {
    let Some(bench) = Bench::open() else { return };
    bench.source.push_image("team/web", "1", "one").await;
    for (status, body, reason, transient) in [
        (
            403,
            r#"{"errors":[{"code":"DENIED","message":"no pushes"}]}"#,
            ImportReason::Unauthorized,
            false,
        ),
        (405, "", ImportReason::InternalError, false),
        (404, "", ImportReason::InternalError, false),
        (503, "", ImportReason::InternalError, true),
    ] {
        bench.to.break_with(move |seen: &Seen| {
            (seen.method == "POST").then(|| Fault::Answer(status, vec![], body.to_owned()))
        });
        let failure = bench.copy("team/web:1", "shop/web").await.unwrap_err();
        assert_eq!((failure.reason, failure.transient), (reason, transient), "{status}");
        assert!(failure.message.contains("shop/web"), "{}", failure.message);
    }
    // One that sends uploads elsewhere gets nothing there.
    let away = FaultProxy::start("127.0.0.1:9");
    let place = format!("http://{}/else/where", away.address());
    bench.to.break_with(move |seen: &Seen| {
        (seen.method == "POST")
            .then(|| Fault::Answer(202, vec![("Location", place.clone())], String::new()))
    });
    let failure = bench.copy("team/web:1", "shop/web").await.unwrap_err();
    assert!(failure.message.contains("does not say where to send"), "{}", failure.message);
    assert_eq!(away.requests(), [""; 0]);
}

#[tokio::test]
async fn a_login_is_used_for_what_is_pushed() {
    let options = Options { basic: Some(("ann", "secret")), ..Options::default() };
    let (Some(source), Some(target)) =
        (DockerRegistry::start(), DockerRegistry::start_with(&options))
    else {
        return;
    };
    let digest = source.push_image("team/web", "1", "one").await;
    let to = target.address();
    let check = || Check {
        copy_to: Some(Arc::new(format!("{to}/shop/web").parse().unwrap())),
        ..check(&format!("{}/team/web:1", source.address()))
    };
    let without = Ours::new(insecure(&[&to]));
    let failure = without.ask(check(), None).await.unwrap_err();
    assert_eq!(failure.reason, ImportReason::Unauthorized);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("auth.json");
    let login = serde_json::json!({"auths": {&to: {"auth": "YW5uOnNlY3JldA=="}}});
    std::fs::write(&file, login.to_string()).unwrap();
    let with = Ours::new(RegistryConfig { auth_files: vec![file], ..insecure(&[&to]) });
    with.ask(check(), None).await.unwrap();
    target.manifest("shop/web", &digest.to_string()).await;
}

#[tokio::test]
async fn a_manifest_is_deleted_and_one_that_is_gone_is_deleted_too() {
    let Some(bench) = Bench::open() else { return };
    let digest = bench.source.push_image("team/web", "1", "one").await;
    bench.copy("team/web:1", "shop/web").await.unwrap();
    let repository = format!("{}/shop/web", bench.to.address()).parse().unwrap();
    let manifest = StoredManifest { repository, digest };
    let delete = || bench.ours.registries.delete_manifest(&manifest);
    bench.to.break_with(|seen: &Seen| {
        (seen.method == "DELETE").then(|| Fault::Answer(405, vec![], String::new()))
    });
    let failure = delete().await.unwrap_err();
    assert!(!failure.transient && failure.message.contains("does not allow deletions"));
    bench.to.break_with(|_| None);
    delete().await.unwrap();
    delete().await.unwrap();
    bench.sent();
    bench.copy("team/web:1", "shop/web").await.unwrap();
    let wanted = [("HEAD blob", 2), ("HEAD manifest", 1), ("PUT manifest", 1)];
    assert_eq!(bench.sent(), counts(&wanted), "its blobs wait for the registry's own collection");
}
