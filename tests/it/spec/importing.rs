//! `import-image` (section 6.5): what its words mean, what it prints, and what it leaves in git and in the journal.

use std::process::Output;

use tidegate::api::{ImageStream, ImageStreamSpec, ObjectMeta, ObjectReference, TagReference};
use tidegate::fact::{Fact, Via};
use tidegate::oc::import::{self, Import, TagImport, Target, Words};

use crate::support::daemon::{Host, wait};
use crate::support::git::Repo;
use crate::support::registry::DockerRegistry;

fn words<'a>(argument: &'a str, from: Option<&'a str>) -> Words<'a> {
    Words { argument, from, all: false, confirm: false }
}

fn target(argument: &str) -> Result<(String, String), String> {
    let target = import::target(words(argument, None)).map_err(|error| error.to_string())?;
    Ok((target.stream, target.tag))
}

/// I141: the name is the last part of the argument, the tag is `latest` unless it is said.
#[test]
fn i141_the_argument_names_a_stream_and_a_tag() {
    let named = |stream: &str, tag: &str| Ok((stream.to_owned(), tag.to_owned()));
    assert_eq!(target("python:3.5"), named("python", "3.5"));
    assert_eq!(target("openshiftkatacoda/blog-django-py"), named("blog-django-py", "latest"));
    assert_eq!(target("quay.io/a/b/c:x"), named("c", "x"));
}

/// I143: what cannot be meant is refused in the words of `oc`.
#[test]
fn i143_what_cannot_be_meant_is_refused_in_the_words_of_oc() {
    let pull_spec = "the image name must be a valid container image pull spec or reference to an image stream (e.g. \
                     myregistry/myteam/image:tag)";
    assert_eq!(target("").unwrap_err(), pull_spec);
    assert_eq!(target("Not An Image").unwrap_err(), pull_spec);
    let by_id = format!("python@sha256:{}", "a".repeat(64));
    assert_eq!(target(&by_id).unwrap_err(), "to import images by ID, use the 'tag' command");
    let all = Words { all: true, ..words("python:3.5", None) };
    let error = import::target(all).unwrap_err().to_string();
    assert_eq!(error, "cannot specify a tag \"python:3.5\" as well as --all");
}

fn tag(name: &str, kind: &str, from: &str) -> TagReference {
    let from = ObjectReference { kind: kind.into(), name: from.into(), namespace: String::new() };
    TagReference { name: name.into(), from: Some(from), ..TagReference::default() }
}

/// A stream with a tag of every kind.
fn stream(repository: &str) -> ImageStream {
    let tags = vec![
        tag("1.0", "DockerImage", "quay.io/team/app:1.0"),
        tag("2.0", "DockerImage", "quay.io/team/app:2.0"),
        tag("copy", "ImageStreamImage", "app@sha256:0123"),
        tag("elsewhere", "ImageStreamTag", "other:1"),
        tag("latest", "ImageStreamTag", "app:1.0"),
        tag("ring", "ImageStreamTag", "ring"),
        TagReference { name: "place".into(), ..TagReference::default() },
    ];
    let meta = ObjectMeta { name: "app".into(), namespace: "shop".into(), ..ObjectMeta::default() };
    let spec = ImageStreamSpec {
        docker_image_repository: repository.into(),
        tags,
        ..ImageStreamSpec::default()
    };
    ImageStream { metadata: meta, spec, ..ImageStream::default() }
}

fn decided(words: Words<'_>, stream: Option<&ImageStream>) -> String {
    let target = match import::target(words) {
        Ok(target) => target,
        Err(error) => return error.to_string(),
    };
    let tag =
        |tag: &TagImport| format!("{}{}={}", if tag.is_new { "+" } else { "" }, tag.tag, tag.from);
    match import::decide(words, &target, stream) {
        Ok(Import::Repository { from }) => format!("all of {from}"),
        Ok(Import::Tags(tags)) => tags.iter().map(tag).collect::<Vec<_>>().join(" "),
        Err(error) => error.to_string(),
    }
}

/// I142: a stream that is missing needs `--confirm`; a tag of the stream is imported from where it is.
#[test]
fn i142_what_is_imported_follows_from_what_is_there() {
    let there = stream("");
    let one = |argument: &str, from: Option<&str>| decided(words(argument, from), Some(&there));
    assert_eq!(
        decided(words("app:1", None), None),
        "no image stream named \"app\" exists, pass --confirm to create and import"
    );
    let confirmed = Words { confirm: true, ..words("quay.io/team/app", None) };
    assert_eq!(decided(confirmed, None), "+latest=quay.io/team/app", "the argument is the source");
    assert_eq!(one("app:1.0", None), "1.0=quay.io/team/app:1.0");
    assert_eq!(one("app:1.0", Some("quay.io/team/app:1.0")), "1.0=quay.io/team/app:1.0");
    assert_eq!(one("app", None), "1.0=quay.io/team/app:1.0", "the alias leads to its end");
    assert_eq!(one("app:3", Some("quay.io/team/app:3")), "+3=quay.io/team/app:3");
    let whole = stream("quay.io/team/app");
    let bare =
        ImageStream { spec: ImageStreamSpec { tags: vec![], ..whole.spec.clone() }, ..whole };
    assert_eq!(decided(words("app", None), Some(&bare)), "+latest=quay.io/team/app");
}

/// I142: `--all` means the repository, or else every tag of a registry in the order of importance (I147).
#[test]
fn i147_all_tags_are_imported_in_the_order_of_importance() {
    let all = |from, confirm| Words { all: true, confirm, ..words("app", from) };
    let there = stream("");
    assert_eq!(
        decided(all(None, false), Some(&there)),
        "2.0=quay.io/team/app:2.0 1.0=quay.io/team/app:1.0"
    );
    let none = ImageStream { spec: ImageStreamSpec::default(), ..there.clone() };
    assert_eq!(
        decided(all(None, false), Some(&none)),
        "image stream does not have tags pointing to external container images"
    );
    assert_eq!(
        decided(all(Some("quay.io/x/y"), false), Some(&there)),
        "the image stream does not currently import an entire Docker repository, pass --confirm to update"
    );
    assert_eq!(decided(all(Some("quay.io/x/y"), true), Some(&there)), "all of quay.io/x/y");
    let whole = stream("quay.io/team/app");
    assert_eq!(decided(all(None, false), Some(&whole)), "all of quay.io/team/app");
    assert_eq!(
        decided(all(Some("quay.io/x/y"), false), Some(&whole)),
        "the image stream has a different import spec \"quay.io/team/app\", pass --confirm to update"
    );
    assert_eq!(decided(all(Some("quay.io/x/y"), true), None), "all of quay.io/x/y");
}

/// I143: tags that cannot be imported say why, and what changes them.
#[test]
fn i143_tags_that_cannot_be_imported_say_why() {
    let there = stream("");
    let one = |argument: &str, from: Option<&str>| decided(words(argument, from), Some(&there));
    let other = Some("quay.io/x/y");
    for (argument, from, why) in [
        (
            "app:9",
            None,
            "the tag \"9\" does not exist on the image stream - choose an existing tag to import or use the 'tag' command to create a new tag",
        ),
        (
            "app:copy",
            None,
            "tag \"copy\" points to existing ImageStreamImage \"app@sha256:0123\", it cannot be re-imported",
        ),
        (
            "app:elsewhere",
            None,
            "tag \"elsewhere\" points to an imagestreamtag from another ImageStream",
        ),
        ("app:ring", None, "tag \"ring\" on the image stream is a reference to same tag"),
        (
            "app:place",
            other,
            "tag \"place\" already exists - you must use the 'tag' command if you want to change the source to \"quay.io/x/y\"",
        ),
        (
            "app:1.0",
            other,
            "the tag \"1.0\" points to \"quay.io/team/app:1.0\" - use the 'tag' command if you want to change the source to \"quay.io/x/y\"",
        ),
        (
            "app",
            other,
            "the tag \"latest\" points to the tag \"1.0\" which points to \"quay.io/team/app:1.0\" - use the 'tag' command if you want to change the source to \"quay.io/x/y\"",
        ),
    ] {
        assert_eq!(one(argument, from), why);
    }
}

/// Y27: the block of an image is named after the tag of its source.
#[test]
fn y027_the_image_block_is_named_after_the_tag_of_its_source() {
    let source =
        |from: &str| TagImport { tag: "3.5".into(), from: from.into(), is_new: true }.source_tag();
    assert_eq!(source("centos/python-35-centos7"), "latest");
    assert_eq!(source("quay.io/team/app:2"), "2");
    assert_eq!(source(&format!("quay.io/team/app@sha256:{}", "a".repeat(64))), "latest");
    let _: Target; // the stream's own tag is not it
}

/// A repository, a registry, and what runs there.
struct Shop {
    host: Host,
    registry: DockerRegistry,
    repo: Repo,
}

impl Shop {
    fn open() -> Option<Self> {
        let registry = DockerRegistry::start()?;
        wait(registry.push_image("team/app", "1", "one"));
        let repo = Repo::new();
        repo.write("README.md", "manifests").commit("first");
        let host = Host::new(repo.path(), "");
        std::fs::write(host.path("gitconfig"), "[user]\nname = Ada\nemail = ada@example.com\n")
            .unwrap();
        Some(Self { host, registry, repo })
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let arguments: Vec<String> =
            arguments.iter().map(|word| word.replace("HOST", &self.registry.address())).collect();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let mut command = self.host.tidegate(&arguments);
        command.env("GIT_CONFIG_GLOBAL", self.host.path("gitconfig"));
        command.current_dir(self.repo.path()).output().unwrap()
    }

    /// Exit code, standard output and standard error.
    fn told(&self, arguments: &[&str]) -> (i32, String, String) {
        let output = self.run(arguments);
        let text =
            |bytes| String::from_utf8(bytes).unwrap().replace(&self.registry.address(), "HOST");
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }

    fn imports(&self) -> usize {
        let by_registry =
            |fact: &Fact| matches!(fact, Fact::TagImported(i) if i.via == Via::Registry);
        self.host.count(by_registry)
    }
}

const NEW: [&str; 5] =
    ["import-image", "app:1", "--from=HOST/team/app:1", "--insecure", "--confirm"];

/// I145, I146: without a daemon the command imports by itself, writes git first, and prints what `oc` prints.
#[test]
fn i145_without_a_daemon_it_imports_by_itself() {
    let Some(shop) = Shop::open() else { return };
    let (code, out, err) = shop.told(&NEW);
    assert_eq!(code, 0, "{out}{err}");
    assert!(
        out.starts_with("imagestream.image.openshift.io/app imported\n\nName:\t\t\tapp\n"),
        "{out}"
    );
    assert!(
        out.contains(
            "\n1\n  tagged from HOST/team/app:1\n    will use insecure HTTPS or HTTP connections\n"
        ),
        "{out}"
    );
    assert!(out.contains("\n\nImage Name:\tapp:1\nDocker Image:\tHOST/team/app@sha256:"), "{out}");
    assert!(out.ends_with("\n\n\n"), "{out:?}");
    assert!(err.contains("+  - name: \"1\"") && err.contains("committed "), "{err}");
    let manifest = std::fs::read_to_string(shop.repo.path().join("default/imagestream-app.yaml"));
    assert!(!manifest.unwrap().contains("dockerImageRepository"));
    // Nothing is pending: a daemon that starts now has nothing to do.
    assert_eq!(shop.imports(), 1);
    let (code, out, _) = shop.told(&["import-image", "app:1"]);
    assert_eq!(code, 0, "{out}");
    assert_eq!(shop.imports(), 1, "I65: what did not change is not written");
}

/// I146: with a daemon it is the daemon that asks, at once, also for a tag that is not due; the command waits for it.
#[test]
fn i146_a_running_daemon_is_asked_and_waited_for() {
    let Some(mut shop) = Shop::open() else { return };
    shop.host.start();
    shop.host.wait_for("the daemon", |fact| matches!(fact, Fact::ConfigAdopted(_)));
    let (code, out, err) = shop.told(&NEW);
    assert_eq!(code, 0, "{out}{err}");
    wait(shop.registry.push_image("team/app", "1", "two"));
    let (code, out, _) = shop.told(&["import-image", "app:1"]);
    assert_eq!(code, 0);
    assert!(out.contains("Unique Images:\t\t2\n"), "{out}");
    assert_eq!(shop.imports(), 2);
    let (code, name, _) = shop.told(&["import-image", "app:1", "-o", "name"]);
    assert_eq!((code, name.as_str()), (0, "imagestream.image.openshift.io/app\n"));
    // Who changes nothing has to be nobody.
    std::fs::remove_file(shop.host.path("gitconfig")).unwrap();
    let (code, _, err) = shop.told(&["import-image", "app:1"]);
    assert_eq!(code, 0, "{err}");
    let (code, _, err) = shop.told(&["import-image", "app:1", "--scheduled"]);
    assert!(code == 1 && err.contains("git does not know who you are"), "{err}");
}

/// I145: a tag that fails is told first, the stream after it, and the command fails.
#[test]
fn i145_a_failed_import_is_told_and_fails_the_command() {
    let Some(shop) = Shop::open() else { return };
    let arguments = ["import-image", "app:9", "--from=HOST/team/app:9", "--insecure", "--confirm"];
    let (code, out, err) = shop.told(&arguments);
    assert_eq!(code, 1);
    let message = "dockerimage.image.openshift.io \"HOST/team/app:9\" not found";
    assert!(err.contains(&format!("error: tag 9 failed: {message}\n")), "{err}");
    assert!(err.ends_with("error: imported completed with errors\n"), "{err}");
    assert!(out.starts_with("imagestream.image.openshift.io/app imported with errors\n"), "{out}");
    assert!(out.contains(&format!("! error: Import failed (NotFound): {message}")), "{out}");
}

/// I145: `--dry-run` asks the registry and keeps nothing, neither in git nor in the journal.
#[test]
fn i145_a_dry_run_keeps_nothing() {
    let Some(shop) = Shop::open() else { return };
    let head = shop.repo.head();
    let (code, out, err) = shop.told(&[&NEW[..], &["--dry-run"]].concat());
    assert_eq!(code, 0, "{out}{err}");
    assert!(
        out.starts_with(
            "imagestream.image.openshift.io/app imported (dry run)\n\nImage Name:\tapp:1\n"
        ),
        "{out}"
    );
    assert_eq!((shop.repo.head(), shop.imports()), (head, 0));
    assert!(err.contains("+kind: ImageStream"), "{err}");
}

/// I144: what the tag says stays, but for what the command says; the import mode is not reset.
#[test]
fn i144_the_stored_policy_stays() {
    let Some(shop) = Shop::open() else { return };
    let preserve = [&NEW[..], &["--import-mode=PreserveOriginal", "--scheduled"]].concat();
    assert_eq!(shop.told(&preserve).0, 0);
    let manifest =
        || std::fs::read_to_string(shop.repo.path().join("default/imagestream-app.yaml")).unwrap();
    let before = manifest();
    assert!(before.contains("importMode: PreserveOriginal") && before.contains("scheduled: true"));
    assert_eq!(shop.told(&["import-image", "app:1", "--scheduled=false"]).0, 0);
    assert_eq!(manifest(), before);
    let (code, _, err) = shop.told(&["import-image", "app:1", "--reference-policy=local"]);
    assert_eq!(code, 0, "{err}");
    assert!(manifest().contains("type: Local") && manifest().contains("PreserveOriginal"));
}

/// I142, I145: a whole repository, with what was left out.
#[test]
fn i145_a_whole_repository_names_what_was_left_out() {
    let Some(shop) = Shop::open() else { return };
    for tag in ["2", "3"] {
        wait(shop.registry.push_image("team/app", tag, tag));
    }
    shop.host.configure(|text| {
        text.replace("[source]", "[imports]\nmax_images_bulk_imported_per_repository = 2\n[source]")
    });
    let arguments =
        ["import-image", "app", "--all", "--from=HOST/team/app", "--insecure", "--confirm"];
    let (code, out, err) = shop.told(&arguments);
    assert_eq!(code, 0, "{out}{err}");
    let info =
        "\ninfo: The remote repository contained 1 additional tags which were not imported: 3\n\n";
    assert!(out.ends_with(info), "{out}");
    let blocks: Vec<&str> =
        out.lines().filter_map(|line| line.strip_prefix("Image Name:\t")).collect();
    assert_eq!(blocks, ["app:1", "app:2"]);
}

/// What waits for a push is not imported, and nothing is half done.
#[test]
fn a_commit_that_the_daemon_does_not_see_is_told() {
    let Some(shop) = Shop::open() else { return };
    let clone = tempfile::tempdir().unwrap();
    let at = clone.path().join("clone");
    shop.repo.git(&["clone", "--quiet", ".", at.to_str().unwrap()]);
    let arguments = NEW.map(|word| word.replace("HOST", &shop.registry.address()));
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut command = shop.host.tidegate(&arguments);
    command.env("GIT_CONFIG_GLOBAL", shop.host.path("gitconfig")).current_dir(&at);
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("is not the head of") && said.contains("push it there"), "{said}");
    assert_eq!(shop.imports(), 0);
}
