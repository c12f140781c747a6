//! Mirrors: which are asked, in which order, and for what (section 8.4).

use std::path::PathBuf;

use tidegate::action::{Check, ImportMode, ListRequest};
use tidegate::desired::diagnostic::Severity;
use tidegate::fact::{Fact, ImportReason};
use tidegate::names::Digest;
use tidegate::world::registry::{RegistryConfig, ShortNames};

use crate::adapter::registry::{Ours, answer, auth_file, check, quick};
use crate::desired::read;
use crate::support::daemon::Host;
use crate::support::git::Repo;
use crate::support::registry::{DockerRegistry, Fault, FaultProxy, Options, write};

/// A registry, and a proxy in front of it that counts.
struct Place {
    registry: DockerRegistry,
    proxy: FaultProxy,
}

impl Place {
    fn start() -> Option<Self> {
        let registry = DockerRegistry::start()?;
        let proxy = FaultProxy::start(&registry.address());
        Some(Self { registry, proxy })
    }

    fn address(&self) -> String {
        self.proxy.address()
    }

    /// Nobody answers any more.
    fn goes_away(&self) {
        self.proxy.break_with(|_| Some(Fault::Drop));
    }
}

/// A source and two mirrors.
struct Places {
    source: Place,
    first: Place,
    second: Place,
    dir: tempfile::TempDir,
}

/// A mirror and what is said of it.
fn mirror(of: &Place, path: &str, fields: &str) -> String {
    let address = of.address();
    format!("[[registry.mirror]]\nlocation = \"{address}{path}\"\ninsecure = true\n{fields}\n")
}

impl Places {
    fn start() -> Option<Self> {
        let (source, first, second) = (Place::start()?, Place::start()?, Place::start()?);
        Some(Self { source, first, second, dir: tempfile::tempdir().unwrap() })
    }

    /// The file with one entry for the source.
    fn conf(&self, fields: &str, mirrors: &[String]) -> PathBuf {
        let path = self.dir.path().join("registries.conf");
        let address = self.source.address();
        let mirrors = mirrors.concat();
        write(
            &path,
            &format!("[[registry]]\nprefix = \"{address}\"\ninsecure = true\n{fields}\n{mirrors}"),
        );
        path
    }

    /// Our side, with both mirrors for everything.
    fn ours(&self, fields: &str) -> Ours {
        self.ours_with(fields, ["", ""])
    }

    /// Our side, with what is said of each mirror.
    fn ours_with(&self, fields: &str, of_mirrors: [&str; 2]) -> Ours {
        let [first, second] = of_mirrors;
        let mirrors = [mirror(&self.first, "", first), mirror(&self.second, "/m", second)];
        let conf = Some(self.conf(fields, &mirrors));
        Ours::new(RegistryConfig { conf, ..quick() })
    }

    /// A check whose tag says nothing of its registry: the file does.
    fn check(&self, image: &str) -> Check {
        Check { insecure: false, ..check(&format!("{}/{image}", self.source.address())) }
    }

    /// How often each place was asked since the last look: first mirror, second mirror, source.
    fn counts(&self) -> [usize; 3] {
        [&self.first, &self.second, &self.source].map(|place| place.proxy.requests().len())
    }

    /// A text without ports.
    fn shown(&self, text: &str) -> String {
        [(&self.first, "FIRST"), (&self.second, "SECOND"), (&self.source, "SOURCE")]
            .iter()
            .fold(text.to_owned(), |text, (place, name)| text.replace(&place.address(), name))
    }

    fn listing(&self, repository: &str) -> ListRequest {
        let repository = format!("{}/{repository}", self.source.address());
        ListRequest {
            namespace: None,
            repository: repository.parse().map(std::sync::Arc::new).unwrap(),
            insecure: false,
        }
    }
}

/// I175: mirrors are tried in their order, then the source; the first that has the image wins, and nobody else is asked.
#[tokio::test]
async fn i175_mirrors_are_tried_in_order_and_then_the_source() {
    let Some(places) = Places::start() else { return };
    let ours = places.ours("");
    let at_source = places.source.registry.push_image("team/web", "1", "source").await;
    let found = ours.ask(places.check("team/web:1"), None).await.unwrap();
    assert_eq!(found.probed, at_source, "neither mirror has it");
    assert_eq!(places.counts(), [1, 1, 3]);
    let at_second = places.second.registry.push_image("m/team/web", "1", "second").await;
    let found = ours.ask(places.check("team/web:1"), None).await.unwrap();
    assert_eq!(found.probed, at_second);
    assert_eq!(places.counts(), [1, 3, 0]);
    let at_first = places.first.registry.push_image("team/web", "1", "first").await;
    let found = ours.ask(places.check("team/web:1"), None).await.unwrap();
    assert_eq!(found.probed, at_first);
    let unchanged = ours.ask(places.check("team/web:1"), Some(at_first)).await.unwrap();
    assert!(unchanged.image.is_none());
    assert_eq!(places.counts(), [4, 0, 0], "an unchanged tag costs one request");
}

/// I175: a pull-through cache of the CNCF's registry is a mirror like others: a tag that moves at its source is seen
/// through it, and it has what it had when its source is gone.
#[tokio::test]
async fn i175_a_pull_through_cache_follows_its_source_and_outlives_it() {
    let Some(mut source) = DockerRegistry::start() else { return };
    let caches = Some(source.address());
    let Some(cache) = DockerRegistry::start_with(&Options { caches, ..Options::default() }) else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("registries.conf");
    let (at, mirror) = (source.address(), cache.address());
    let conf = format!(
        "[[registry]]\nprefix = \"{at}\"\ninsecure = true\n\
         [[registry.mirror]]\nlocation = \"{mirror}\"\ninsecure = true\n"
    );
    write(&path, &conf);
    let ours = Ours::new(RegistryConfig { conf: Some(path), ..quick() });
    let check = || Check { insecure: false, ..check(&format!("{at}/team/web:1")) };
    let one = source.push_image("team/web", "1", "one").await;
    assert_eq!(ours.ask(check(), None).await.unwrap().image.unwrap().digest, one);
    let two = source.push_image("team/web", "1", "two").await;
    let moved = ours.ask(check(), Some(one)).await.unwrap();
    assert_eq!((moved.probed, moved.image.unwrap().digest), (two, two));
    source.stop();
    let left = ours.ask(check(), None).await.unwrap();
    assert_eq!(left.image.unwrap().digest, two, "of the cache alone");
}

/// I175: a mirror that is down, busy, or has only a part of an image is passed over.
#[tokio::test]
async fn i175_a_mirror_that_fails_is_passed_over() {
    let Some(mut places) = Places::start() else { return };
    let digest = places.source.registry.push_image("web", "1", "a").await;
    places.second.registry.push_image("m/web", "1", "a").await;
    // The second has the manifest and not the config that it names.
    let lacks = |seen: &crate::support::registry::Seen| seen.path.contains("/blobs/");
    places.second.proxy.break_with(move |seen| lacks(seen).then(|| answer(404, "")));
    places.first.registry.stop();
    places.first.goes_away();
    let ours = places.ours("");
    let found = ours.ask(places.check("web:1"), None).await.unwrap();
    assert_eq!(found.image.unwrap().digest, digest);
    places.second.proxy.break_with(|_| Some(answer(503, "")));
    let moved = places.source.registry.push_image("web", "1", "b").await;
    assert_eq!(ours.ask(places.check("web:1"), Some(digest)).await.unwrap().probed, moved);
}

/// I175: where every place fails, each is named with what happened there.
#[tokio::test]
async fn i175_where_all_fail_each_place_is_named() {
    let Some(places) = Places::start() else { return };
    places.second.proxy.break_with(|_| Some(answer(503, "")));
    let ours = places.ours("");
    let failure = ours.ask(places.check("web:1"), None).await.unwrap_err();
    assert_eq!(failure.reason, ImportReason::NotFound, "what the source said");
    assert!(failure.transient, "the second mirror may come back");
    insta::assert_snapshot!(places.shown(&failure.message), @r#"[FIRST/web: dockerimage.image.openshift.io "SOURCE/web:1" not found, SECOND/m/web: Internal error occurred: SOURCE/web:1: the registry answered `503 Service Unavailable`, SOURCE/web: dockerimage.image.openshift.io "SOURCE/web:1" not found]"#);
    places.second.proxy.break_with(|_| None);
    let failure = ours.ask(places.check("web:1"), None).await.unwrap_err();
    assert!(!failure.transient);
    assert_eq!(
        places.shown(&failure.message),
        "dockerimage.image.openshift.io \"SOURCE/web:1\" not found",
        "what all of them say is said once"
    );
}

/// I175: mirrors for digests are not asked for tags, and those for tags are not asked for digests.
#[tokio::test]
async fn i175_a_mirror_is_asked_for_what_it_is_for() {
    let Some(places) = Places::start() else { return };
    let digest = places.source.registry.push_image("web", "1", "a").await;
    for registry in [&places.first.registry, &places.second.registry] {
        registry.push_image("web", "1", "a").await;
        registry.push_image("m/web", "1", "a").await;
    }
    let kinds = ["pull-from-mirror = \"digest-only\"", "pull-from-mirror = \"tag-only\""];
    let by_digest = format!("web@{digest}");
    let ours = places.ours_with("", kinds);
    ours.ask(places.check("web:1"), None).await.unwrap();
    assert_eq!(places.counts(), [0, 3, 0]);
    let ours = places.ours_with("", kinds);
    ours.ask(places.check(&by_digest), None).await.unwrap();
    assert_eq!(places.counts(), [3, 0, 0]);
    let ours = places.ours("mirror-by-digest-only = true");
    ours.ask(places.check("web:1"), None).await.unwrap();
    assert_eq!(places.counts(), [0, 0, 3]);
}

/// I175, I54: the event records the image's own name, whichever mirror it came from.
#[test]
fn i175_the_event_records_the_name_of_the_source() {
    let Some(places) = Places::start() else { return };
    let digest = crate::support::daemon::wait(places.first.registry.push_image("web", "1", "a"));
    let conf = places.conf("blocked = true", &[mirror(&places.first, "", "")]);
    let repo = Repo::new();
    let source = places.source.address();
    repo.write(
        "web.yaml",
        format!(
            "apiVersion: image.openshift.io/v1\nkind: ImageStream\nmetadata: {{name: web}}\nspec:\n  tags:\n  - {{name: '1', from: {{kind: DockerImage, name: '{source}/web:1'}}}}\n"
        ),
    )
    .commit("web");
    let mut host =
        Host::new(repo.path(), &format!("[registries]\nconf = \"{}\"\n", conf.display()));
    host.start();
    let record = host.wait_for("the image", |fact| matches!(fact, Fact::TagImported(_)));
    let Fact::TagImported(imported) = record.fact else { unreachable!() };
    assert_eq!(imported.event.reference, format!("{source}/web@{digest}"));
    assert_eq!(places.counts()[2], 0);
    assert!(host.stop().success());
}

/// I175: mirror sets of a cluster are no mirrors of ours; what to write instead is shown, with its position.
#[test]
fn i175_mirror_sets_in_git_are_shown_as_a_line_to_write() {
    let set = |api: &str, kind: &str, list: &str, rest: &str| {
        format!(
            "apiVersion: {api}\nkind: {kind}\nmetadata: {{name: m}}\nspec:\n  {list}:\n  - source: quay.io/team\n    mirrors: [m.example.com/team, n.example.com]\n{rest}"
        )
    };
    for (api, kind, list, pull) in [
        (
            "operator.openshift.io/v1alpha1",
            "ImageContentSourcePolicy",
            "repositoryDigestMirrors",
            "digest-only",
        ),
        ("config.openshift.io/v1", "ImageDigestMirrorSet", "imageDigestMirrors", "digest-only"),
        ("config.openshift.io/v1", "ImageTagMirrorSet", "imageTagMirrors", "tag-only"),
    ] {
        let file = read(&set(api, kind, list, "    mirrorSourcePolicy: NeverContactSource\n"));
        let [warning] = &file.diagnostics[..] else { panic!("{:?}", file.diagnostics) };
        assert_eq!((warning.severity, warning.position.line), (Severity::Warning, 2), "{kind}");
        let (_, line) = warning.hint.as_deref().unwrap().split_once("`: ").unwrap();
        let conf = tidegate::world::registry::RegistriesConf::parse(line);
        assert!(conf.is_ok(), "what is shown can be used: {line}");
        assert_eq!(
            line,
            format!(
                "registry = [{{prefix = \"quay.io/team\", blocked = true, mirror = [{{location = \"m.example.com/team\", pull-from-mirror = \"{pull}\"}}, {{location = \"n.example.com\", pull-from-mirror = \"{pull}\"}}]}}]"
            )
        );
    }
    let other = read(&set("example.com/v1", "ImageTagMirrorSet", "imageTagMirrors", ""));
    assert!(other.diagnostics.is_empty(), "{:?}", other.diagnostics);
}

/// I176: a source that is blocked behind its mirrors is never contacted, whether they have the image or not.
#[tokio::test]
async fn i176_a_source_that_is_blocked_behind_mirrors_is_never_contacted() {
    let Some(places) = Places::start() else { return };
    places.source.registry.push_image("web", "1", "a").await;
    let digest = places.second.registry.push_image("m/web", "1", "b").await;
    let ours = places.ours("blocked = true");
    assert_eq!(ours.ask(places.check("web:1"), None).await.unwrap().probed, digest);
    let failure = ours.ask(places.check("web:2"), None).await.unwrap_err();
    assert_eq!(failure.reason, ImportReason::NotFound);
    insta::assert_snapshot!(places.shown(&failure.message), @r#"[FIRST/web: dockerimage.image.openshift.io "SOURCE/web:2" not found, SECOND/m/web: dockerimage.image.openshift.io "SOURCE/web:2" not found, SOURCE/web: forbidden: registry SOURCE blocked]"#);
    let only_digests = places.ours("blocked = true\nmirror-by-digest-only = true");
    let failure = only_digests.ask(places.check("web:1"), None).await.unwrap_err();
    assert_eq!((failure.reason, failure.transient), (ImportReason::Forbidden, false));
    insta::assert_snapshot!(places.shown(&failure.message), @"forbidden: registry SOURCE blocked, and none of its mirrors may be asked for a tag (`mirror-by-digest-only`, `pull-from-mirror`)");
    places.goes_away_all();
    ours.ask(places.check("web:1"), None).await.unwrap_err();
    assert_eq!(places.counts()[2], 0);
}

impl Places {
    fn goes_away_all(&self) {
        self.first.goes_away();
        self.second.goes_away();
    }
}

/// I176: a whole repository is listed from a mirror as well; one that has nothing yet says nothing of the repository.
#[tokio::test]
async fn i176_a_repository_is_listed_from_its_mirrors() {
    let Some(places) = Places::start() else { return };
    for (registry, repository, tag) in
        [(&places.source.registry, "web", "source"), (&places.second.registry, "m/web", "second")]
    {
        registry.push_image(repository, tag, "a").await;
    }
    let ours = places.ours("");
    let listing = ours.registries.list(&places.listing("web")).await.unwrap();
    assert_eq!(listing.tags, ["second"]);
    assert_eq!(places.counts()[2], 0);
    let empty = "{\"name\":\"m/web\",\"tags\":[]}";
    places.second.proxy.break_with(move |_| Some(answer(200, empty)));
    let listing = ours.registries.list(&places.listing("web")).await.unwrap();
    assert_eq!(listing.tags, ["source"]);
    let only_digests = places.ours("mirror-by-digest-only = true");
    only_digests.registries.list(&places.listing("web")).await.unwrap();
    let [first, second, source] = places.counts();
    assert_eq!((first, second, source), (1, 1, 2), "a listing is no digest");
}

/// I177: the images of an index are asked for by digest: at mirrors for digests, also where the tag was found at a mirror
/// for tags.
#[tokio::test]
async fn i177_images_of_an_index_come_from_mirrors_for_digests() {
    let Some(places) = Places::start() else { return };
    let architectures = ["amd64", "arm64"];
    let (index, images) =
        places.second.registry.push_index("m/web", "1", "a", &architectures).await;
    places.first.registry.push_index("web", "1", "a", &architectures).await;
    let kinds = ["pull-from-mirror = \"digest-only\"", "pull-from-mirror = \"tag-only\""];
    for (mode, digest, of_images) in
        [(ImportMode::Legacy, images["amd64"], 2), (ImportMode::PreserveOriginal, index, 4)]
    {
        let ours = places.ours_with("", kinds);
        let found = ours.ask(Check { mode, ..places.check("web:1") }, None).await.unwrap();
        assert_eq!((found.probed, found.image.unwrap().digest), (index, digest));
        let at_first = places.first.proxy.requests();
        let is_digest = |line: &String| line.contains("sha256:");
        assert!(at_first.iter().all(is_digest) && at_first.len() == of_images, "{at_first:?}");
        let at_second = places.second.proxy.requests();
        assert_eq!(at_second, ["HEAD /v2/m/web/manifests/1", "GET /v2/m/web/manifests/1"]);
        assert_eq!(places.counts()[2], 0);
    }
}

/// Y34: the trap: a listing went past the mirrors, and `NeverContactSource` was ignored.
#[tokio::test]
async fn y034_neither_a_listing_nor_an_import_goes_past_the_mirrors() {
    let Some(places) = Places::start() else { return };
    places.source.registry.push_image("web", "1", "a").await;
    places.first.registry.push_image("web", "1", "a").await;
    let ours = places.ours("blocked = true");
    ours.ask(places.check("web:1"), None).await.unwrap();
    assert_eq!(ours.registries.list(&places.listing("web")).await.unwrap().tags, ["1"]);
    places.goes_away_all();
    ours.ask(places.check("web:1"), None).await.unwrap_err();
    ours.registries.list(&places.listing("web")).await.unwrap_err();
    assert_eq!(places.counts()[2], 0);
}

/// I169: a mirror has the login and the certificates of its own host, and what a tag says of its registry is not said of
/// a mirror.
#[tokio::test]
async fn i169_a_mirror_is_reached_as_its_own_host() {
    let options = Options { basic: Some(("anna", "right")), tls: true, ..Options::default() };
    let (Some(private), Some(places)) = (DockerRegistry::start_with(&options), Places::start())
    else {
        return;
    };
    let digest = private.push_image("team/web", "1", "a").await;
    let port = private.address().rsplit(':').next().unwrap().to_owned();
    let host = format!("localhost:{port}");
    let entry = format!("[[registry.mirror]]\nlocation = \"{host}\"\n");
    let conf = Some(places.conf("blocked = true", &[entry]));
    let auth_files = vec![auth_file(&places.dir, &host, "anna:right")];
    let ca_files = [(host, private.ca_file())].into();
    let config = RegistryConfig { conf, auth_files, ca_files, ..quick() };
    let ours = Ours::new(config.clone());
    assert_eq!(ours.ask(places.check("team/web:1"), None).await.unwrap().probed, digest);
    let insecure = Check { insecure: true, ..places.check("team/web:1") };
    let unknown = Ours::new(RegistryConfig { ca_files: Default::default(), ..config });
    let failure = unknown.ask(insecure, None).await.unwrap_err();
    assert!(failure.message.contains("no secure connection to `localhost"), "{failure:?}");
}

/// I169: what a mirror says of its limits is kept for every tag that would be asked there, and the next place is asked.
#[tokio::test]
async fn i169_a_mirror_that_limits_requests_is_left_alone() {
    let Some(places) = Places::start() else { return };
    let digest: Digest = places.source.registry.push_image("web", "1", "a").await;
    places.source.registry.push_image("shop", "1", "a").await;
    let limit = || Fault::Answer(429, vec![("Retry-After", "3600".into())], String::new());
    places.first.proxy.break_with(move |_| Some(limit()));
    let ours = places.ours("");
    for image in ["web:1", "shop:1", "web:1"] {
        ours.ask(places.check(image), Some(digest)).await.unwrap();
    }
    assert_eq!(places.counts()[0], 1);
}

/// Short names mean Docker Hub (rule I31), unless the operator has them looked up; then a registry that is down makes no
/// other image of the name (law 7).
#[tokio::test]
async fn a_short_name_is_looked_up_where_the_operator_says_so() {
    let Some(places) = Places::start() else { return };
    let (first, second) = (places.first.address(), places.second.address());
    let path = places.dir.path().join("registries.conf");
    let insecure =
        |address: &str| format!("[[registry]]\nprefix = \"{address}\"\ninsecure = true\n");
    write(
        &path,
        &format!(
            "unqualified-search-registries = [\"{first}\", \"{second}\"]\naliases = {{\"tool\" = \"{second}/m/tool\"}}\n{}{}",
            insecure(&first),
            insecure(&second)
        ),
    );
    let short_names = ShortNames::RegistriesConf;
    let ours = Ours::new(RegistryConfig { conf: Some(path), short_names, ..quick() });
    let ask = |image: &str| ours.ask(Check { insecure: false, ..check(image) }, None);
    let tool = places.second.registry.push_image("m/tool", "1", "tool").await;
    assert_eq!(ask("tool:1").await.unwrap().probed, tool);
    let web = places.second.registry.push_image("web", "1", "web").await;
    assert_eq!(ask("web:1").await.unwrap().probed, web, "the first does not have it");
    places.first.goes_away();
    let failure = ask("web:1").await.unwrap_err();
    assert!(failure.transient && failure.message.contains(&first), "{failure:?}");
}
