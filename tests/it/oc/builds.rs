//! Builds by the command line, with a daemon that builds (rules B3, B28, C3, C8, C15, C16). Here every build waits for a
//! place to push to, so that none begins; how they are carried out is told elsewhere.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::process::Stdio;

use tidegate::builds::log_path;
use tidegate::control::{Question, Reply};
use tidegate::fact::{
    BuildEnd, BuildFinished, BuildOptions, BuildStarted, Fact, Reason, Record, TagEvent,
    TagImported, Via,
};
use tidegate::journal::{Journal, ObjectStore};
use tidegate::names::{ContentHash, Generation, ObjectKey, Seq};
use tidegate::time::Timestamp;

use crate::support::daemon::{Host, eventually};
use crate::support::git::Repo;

const MANIFESTS: &str = "apiVersion: image.openshift.io/v1
kind: ImageStream
metadata: {name: web, namespace: shop}
---
apiVersion: build.openshift.io/v1
kind: BuildConfig
metadata: {name: web, namespace: shop, labels: {app: web}}
spec:
  source: {git: {uri: 'https://git.example/web', ref: main}}
  strategy: {dockerStrategy: {}}
  output: {to: {kind: ImageStreamTag, name: 'web:latest'}}
  triggers:
  - {type: GitHub, github: {secret: canary-github}}
  - {type: Generic, generic: {secret: canary-generic}}
";

/// One with another strategy.
const SITE: &str = "apiVersion: build.openshift.io/v1
kind: BuildConfig
metadata: {name: site, namespace: shop}
spec:
  source: {git: {uri: 'https://git.example/site'}}
  strategy: {sourceStrategy: {from: {kind: DockerImage, name: 'r.io/builder:1'}}}
  output: {to: {kind: ImageStreamTag, name: 'web:site'}}
";

struct Shop {
    host: Host,
    _repo: Repo,
}

impl Shop {
    fn open() -> Self {
        Self::of(MANIFESTS)
    }

    fn of(manifests: &str) -> Self {
        let repo = Repo::new();
        repo.write("web.yaml", manifests).commit("the shop");
        let mut host = Host::new(repo.path(), "[builds]\nenabled = true\n");
        host.start();
        host.wait_for("the commit", |fact| matches!(fact, Fact::CommitAdopted(_)));
        eventually("the socket", || host.ask(&Question::Status));
        Self { host, _repo: repo }
    }

    /// How a command ends, what it prints, and what it says beside.
    fn run(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        let output = self.host.run(&[arguments, &["-n", "shop"]].concat());
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    }

    /// What a command prints that must not fail.
    fn text(&self, arguments: &[&str]) -> String {
        let (code, out, err) = self.run(arguments);
        assert_eq!(code, Some(0), "{arguments:?}: {out}{err}");
        out
    }

    /// What a command says that must fail.
    fn refused(&self, arguments: &[&str]) -> String {
        let (code, out, err) = self.run(arguments);
        assert_eq!((code, out.as_str()), (Some(1), ""), "{arguments:?}: {err}");
        err
    }

    /// What a builder would have printed.
    fn logged(&self, build: &str, text: &str) {
        let log = log_path(&self.host.state(), &"shop".parse().unwrap(), build);
        std::fs::create_dir_all(log.parent().unwrap()).unwrap();
        std::fs::write(log, text).unwrap();
    }

    /// What a builder would have brought about; no daemon may run.
    fn recorded(&self, facts: Vec<Fact>, at: Timestamp) {
        let (mut journal, _) = Journal::open(&self.host.state()).unwrap();
        let first = journal.head().seq.0 + 1;
        let records = facts.into_iter().zip(first..);
        let records = records.map(|(fact, seq)| Record { seq: Seq(seq), at, fact });
        journal.append(&records.collect::<Vec<_>>()).unwrap();
    }

    fn uploads(&self) -> usize {
        std::fs::read_dir(self.host.state().join("builds/uploads")).unwrap().count()
    }

    fn has(&self, content: &ContentHash) -> bool {
        ObjectStore::at(&self.host.state()).contains(content).unwrap()
    }

    fn connect(&self) -> UnixStream {
        UnixStream::connect(self.host.path("control.sock")).unwrap()
    }
}

#[test]
fn c015_c016_a_build_is_started_shown_and_cancelled() {
    let shop = Shop::open();
    let started = "build.build.openshift.io/web-1 started\n";
    assert_eq!(shop.text(&["start-build", "web"]), started);
    assert_eq!(
        shop.text(&["start-build", "bc/web", "-o", "name", "--commit", "abc"]),
        "build.build.openshift.io/web-2\n"
    );
    let rows = shop.text(&["get", "builds", "--no-headers"]);
    let words: Vec<Vec<&str>> =
        rows.lines().map(|line| line.split_whitespace().collect()).collect();
    let waits = ["New", "(InvalidOutputReference)"];
    let wanted = [["web-1", "Docker", "Git@main"], ["web-2", "Docker", "Git@abc"]];
    assert_eq!(words, wanted.map(|row| [&row[..], &waits].concat()));
    let names = "build.build.openshift.io/web-1\nbuild.build.openshift.io/web-2\n\
                 buildconfig.build.openshift.io/web\n";
    assert_eq!(shop.text(&["get", "all", "-l", "app=web", "-o", "name"]), names);
    let described = shop.text(&["describe", "build/web-1"]);
    for line in ["Status:", "New (no push destination for imagestreamtag web:latest", "Held:"] {
        assert!(described.contains(line), "{line} in {described}");
    }
    let (_, _, said) = shop.run(&["logs", "build/web-1"]);
    assert!(said.starts_with("error: build shop/web-1 has not begun; "), "{said}");
    let end = "build.build.openshift.io/web-1 marked for cancellation, waiting to be cancelled\n\
               build.build.openshift.io/web-1 cancelled\n";
    assert_eq!(shop.text(&["cancel-build", "web-1", "--state=running"]), "");
    assert_eq!(shop.text(&["cancel-build", "web-1", "--state=new"]), end);
    let restarted = shop.text(&["cancel-build", "bc/web", "--restart", "--dump-logs"]);
    assert_eq!(
        restarted,
        end.replace("web-1", "web-2") + "build.build.openshift.io/web-2 restarted\n"
    );
    let states =
        shop.text(&["get", "build", "-o", "custom-columns=NAME:.metadata.name,P:.status.phase"]);
    let words: Vec<&str> = states.split_whitespace().collect();
    let wanted = ["NAME", "P", "web-1", "Cancelled", "web-2", "Cancelled", "web-3", "New"];
    assert_eq!(words, wanted);
    let again = shop.text(&["get", "build/web-3", "-o", "yaml"]);
    assert!(again.contains("openshift.io/build.clone-of: web-2"), "{again}");
    let history = shop.text(&["history", "bc/web"]);
    assert!(history.contains("The build was cancelled by the user."), "{history}");
}

/// C16: what waits is ended before the one that it waits for, or it would begin in between; then all are waited for.
#[test]
fn c016_the_builds_of_a_build_config_are_ended_together() {
    let shop = Shop::open();
    for _ in 0..3 {
        shop.text(&["start-build", "web"]);
    }
    let lines = |numbers: [u8; 3], end: &str| -> String {
        numbers.iter().map(|n| format!("build.build.openshift.io/web-{n} {end}\n")).collect()
    };
    assert_eq!(
        shop.text(&["cancel-build", "bc/web"]),
        lines([3, 2, 1], "marked for cancellation, waiting to be cancelled")
            + &lines([1, 2, 3], "cancelled")
    );
    assert_eq!(shop.text(&["cancel-build", "bc/web"]), "", "none goes on");
}

/// C15: who follows a build reads all of its log, also what is still to be read when the build ends.
#[test]
fn c015_a_log_is_followed_to_its_last_line() {
    let shop = Shop::open();
    let text: String = (0..60_000).map(|line| format!("line {line:>10}\n")).collect();
    shop.logged("web-1", &text);
    let mut command = shop.host.tidegate(&["start-build", "web", "-F", "-n", "shop"]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut first = String::new();
    out.read_line(&mut first).unwrap();
    assert_eq!(first, "build.build.openshift.io/web-1 started\n");
    shop.text(&["cancel-build", "web-1"]); // nobody has read on meanwhile
    let mut rest = String::new();
    out.read_to_string(&mut rest).unwrap();
    assert!(rest == text, "{} of {} bytes", rest.len(), text.len());
    assert!(child.wait().unwrap().success());
}

/// C15, B10, B11: what is asked beside the manifest is on record, and a build that repeats another is asked the same.
#[test]
fn c015_what_is_asked_beside_the_manifest_is_recorded() {
    let shop = Shop::of(&format!("{MANIFESTS}---\n{SITE}"));
    let docker = ["start-build", "web", "--no-cache", "--build-arg", "V=1", "--build-arg=W=x=y"];
    shop.text(
        &[&docker[..], &["-e", "MODE=fast", "--build-loglevel=5", "--commit", "abc"]].concat(),
    );
    shop.text(&["start-build", "site", "--incremental=false"]);
    let again = shop.text(&["start-build", "--from-build=web-1", "-e", "MODE=slow"]);
    assert_eq!(again, "build.build.openshift.io/web-2 started\n");
    let again = shop.text(&["start-build", "--from-build", "build/site-1", "--incremental"]);
    assert_eq!(again, "build.build.openshift.io/site-2 started\n");
    let created = |name: &str| {
        let records = shop.host.records().into_iter().map(|record| record.fact);
        let mut created = records.filter_map(|fact| match fact {
            Fact::BuildCreated(created) if created.name == name => Some(created.options),
            _ => None,
        });
        created.next().unwrap()
    };
    let pairs = |all: &[(&str, &str)]| -> Vec<(String, String)> {
        all.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    let first = BuildOptions {
        commit: Some("abc".into()),
        env: pairs(&[("MODE", "fast"), ("BUILD_LOGLEVEL", "5")]),
        build_args: pairs(&[("V", "1"), ("W", "x=y")]),
        no_cache: Some(true),
        ..BuildOptions::default()
    };
    let repeated = BuildOptions {
        env: pairs(&[("MODE", "fast"), ("BUILD_LOGLEVEL", "5"), ("MODE", "slow")]),
        clone_of: Some("web-1".into()),
        ..first.clone()
    };
    assert_eq!((created("web-1"), created("web-2")), (first, repeated));
    let incremental = ["site-1", "site-2"].map(|name| created(name).incremental);
    assert_eq!(incremental, [Some(false), Some(true)]);
    let shown = shop.text(&["get", "build", "web-2", "-o", "yaml"]);
    assert!(shown.contains("noCache: true\n") && shown.contains("value: slow\n"), "{shown}");
    assert!(!shown.contains("value: fast\n"), "{shown}");
    let said = shop.refused(&["start-build", "site", "--no-cache"]);
    assert!(said.starts_with("error: Cannot specify Docker build specific options on shop/site"));
}

/// S3.7: what was built is one of the images that are listed; `logs bc/web` is the log of its last build.
#[test]
fn s003_07_what_was_built_is_listed_and_its_log_is_that_of_its_build_config() {
    let mut shop = Shop::open();
    shop.text(&["start-build", "web"]);
    let created = shop.host.wait_for("the build", |fact| matches!(fact, Fact::BuildCreated(_)));
    shop.host.kill();
    let object: ObjectKey = "BuildConfig/shop/web".parse().unwrap();
    let (build, name) = (created.seq, "web-1".to_owned());
    let image = format!("sha256:{}", "b".repeat(64));
    let started = BuildStarted { build, object: object.clone(), name: name.clone(), push: None };
    let event = TagEvent {
        created: created.at,
        reference: format!("r.io/team/web@{image}"),
        image: image.parse().ok(),
        generation: Generation(1),
    };
    let tag = TagImported {
        tag: "shop/web:latest".parse().unwrap(),
        event,
        probed: None,
        asked: 0,
        metadata: None,
        via: Via::Build { object: object.clone(), name: name.clone(), build },
        reason: Reason::Nudged,
    };
    let finished = BuildFinished {
        build,
        object,
        name,
        end: BuildEnd::Complete,
        reason: String::new(),
        message: String::new(),
        image: image.parse().ok(),
        revision: None,
        stages: Vec::new(),
        log: String::new(),
    };
    let facts = [
        Fact::BuildStarted(started),
        Fact::TagImported(Box::new(tag)),
        Fact::BuildFinished(Box::new(finished)),
    ];
    shop.recorded(facts.into(), created.at);
    shop.logged("web-1", "one\ntwo\nthree\n");
    let images = shop.text(&["get", "images", "--no-headers"]);
    let words: Vec<&str> = images.split_whitespace().collect();
    assert_eq!(words, [image.as_str(), &format!("r.io/team/web@{image}")]);
    for words in [&["bc/web"][..], &["buildconfig/web", "--version=1"], &["build/web-1"]] {
        assert_eq!(shop.text(&[&["logs"], words].concat()), "one\ntwo\nthree\n", "{words:?}");
        let followed = [&["logs", "-f"], words].concat();
        assert_eq!(shop.text(&followed), "one\ntwo\nthree\n", "{words:?}");
    }
    assert_eq!(shop.text(&["logs", "bc/web", "--tail=2"]), "two\nthree\n");
    let said = shop.refused(&["logs", "bc/web", "--previous"]);
    assert_eq!(said, "error: no previous build found for \"web\"\n");
    let said = shop.refused(&["logs", "bc/web", "--version=7"]);
    assert!(said.starts_with("error: no build #7 of \"web\" is kept: "), "{said}");
}

/// C15, B18: where webhooks are sent; nobody is told their secrets.
#[test]
fn c015_webhooks_are_listed_without_their_secrets() {
    let shop = Shop::open();
    let url = "http://<listener.address>/apis/build.openshift.io/v1/namespaces/shop/buildconfigs/web/webhooks/<secret>";
    let all = format!("GitHub {url}/github\nGeneric {url}/generic\n");
    assert_eq!(shop.text(&["start-build", "web", "--list-webhooks=all"]), all);
    let github = shop.text(&["start-build", "web", "--list-webhooks=github"]);
    assert_eq!(github, format!("{url}/github\n"));
    let described = shop.text(&["describe", "bc/web"]);
    assert!(described.contains(&format!("\t{url}/generic\n")), "{described}");
    assert!(shop.text(&["get", "bc", "web", "-o", "json"]).contains("<secret>"));
    // A socket has no address that a sender could use.
    shop.host.configure(|text| format!("{text}[listener]\naddress = \"unix:hooks.sock\"\n"));
    let proxied = shop.text(&["start-build", "web", "--list-webhooks=github"]);
    assert!(proxied.starts_with("http://<proxy to unix:/"), "{proxied}");
    assert!(
        proxied.contains("/hooks.sock>/apis/build.openshift.io/v1/namespaces/shop/"),
        "{proxied}"
    );
}

/// C15: wrong usage is told as in `oc`.
#[test]
fn c015_c016_wrong_usage_is_refused() {
    let shop = Shop::open();
    let file = shop.host.path("tidegate.toml").display().to_string();
    let usage =
        "error: Must pass a name of a build config or specify build name with '--from-build' flag.";
    for (arguments, said) in [
        (&["start-build"][..], usage),
        (
            &["start-build", "other"],
            "Error from server (NotFound): buildconfigs.build.openshift.io \"other\" not found",
        ),
        (
            &["start-build", "--from-build=other-1"],
            "Error from server (NotFound): builds.build.openshift.io \"other-1\" not found",
        ),
        (&["start-build", "build/web-1"], "error: use --from-build to rerun your builds"),
        (&["start-build", "dc/web"], "error: invalid resource provided: dc"),
        (&["start-build", "web", "-e", "x"], "error: invalid --env `x`: it is NAME=VALUE"),
        (
            &["start-build", "web", "--list-webhooks=some"],
            "error: --list-webhooks must be 'all', 'generic', or 'github'",
        ),
        (
            &["start-build", "web", "--incremental"],
            "error: Cannot specify Source build specific options on shop/web, not a Source build.",
        ),
        (
            &["start-build", "web", "--from-dir", ".", "--from-file", &file],
            "error: only one of --from-file, --from-repo, --from-archive or --from-dir may be specified",
        ),
        (&["cancel-build"], "error: build or a buildconfig name is required"),
        (&["cancel-build", "web-7"], "error: build shop/web-7 not found"),
        (&["logs", "bc/web"], "error: no builds found for \"web\""),
    ] {
        let told = shop.refused(arguments);
        assert!(told.starts_with(said), "{arguments:?}: {told}");
    }
}

/// C15, B28, B37: a folder is uploaded without its `.git`; a build that cannot begin does not wait, and what was handed
/// over goes with it.
#[test]
fn c015_what_is_handed_over_reaches_the_store_and_goes_with_its_build() {
    let shop = Shop::open();
    let folder = shop.host.path("app");
    std::fs::create_dir_all(folder.join(".git")).unwrap();
    for (name, text) in [("Dockerfile", "FROM scratch\n"), (".git/config", "canary-remote\n")] {
        std::fs::write(folder.join(name), text).unwrap();
    }
    let folder = folder.display().to_string();
    let (code, out, err) = shop.run(&["start-build", "web", "--from-dir", &folder, "--wait"]);
    assert_eq!(code, Some(1), "{out}{err}");
    assert_eq!(out, "build.build.openshift.io/web-1 started\n");
    let said = format!(
        "Uploading directory \"{folder}\" as binary input for the build ...\n\nUploading finished\nerror: the build \
         shop/web-1 status is \"Error\"\n"
    );
    assert_eq!(err, said);
    let created = shop.host.wait_for("the build", |fact| matches!(fact, Fact::BuildCreated(_)));
    let Fact::BuildCreated(created) = created.fact else { panic!() };
    let input = created.options.binary.unwrap();
    assert_eq!(input.as_file, None);
    eventually("the end of what was handed over", || {
        shop.host.ask(&Question::ReadSource); // a step
        (!shop.has(&input.content)).then_some(())
    });
    assert_eq!(shop.uploads(), 0);
    let file = shop.host.path("app/Dockerfile").display().to_string();
    let (_, _, err) = shop.run(&["start-build", "web", "--from-file", &file]);
    let said = format!("Uploading file \"{file}\" as binary input for the build ...\n");
    assert!(err.starts_with(&said), "{err}");
    let (_, _, err) = shop.run(&["start-build", "web", "--from-archive", &file]);
    assert!(err.contains("WARNING: the provided file may not be an archive"), "{err}");
    let refused = shop.refused(&["start-build", "--from-build=web-1"]);
    let said =
        "error: web-1 was built from what was handed over, which is not kept; hand it over again\n";
    assert_eq!(refused, said);
}

/// C15: a commit of a repository, as it is committed.
#[test]
fn c015_a_commit_of_a_repository_is_handed_over() {
    let shop = Shop::open();
    let source = Repo::new();
    source.write("Dockerfile", "FROM scratch\n").commit("first");
    let first = source.head().to_string();
    source.write("later", "x").commit("second");
    let path = source.path().display().to_string();
    let (_, out, err) =
        shop.run(&["start-build", "web", "--from-repo", &path, "--commit", "HEAD~1"]);
    assert_eq!(out, "build.build.openshift.io/web-1 started\n", "{err}");
    let said =
        format!("Uploading \"{path}\" at commit \"HEAD~1\" as binary input for the build ...\n");
    assert!(err.starts_with(&said), "{err}");
    let created = shop.host.wait_for("the build", |fact| matches!(fact, Fact::BuildCreated(_)));
    let Fact::BuildCreated(created) = created.fact else { panic!() };
    assert_eq!(created.options.commit, Some(first));
    let refused = shop.refused(&["start-build", "web", "--from-repo", &path, "--commit", "no"]);
    assert!(refused.contains("is not a valid Git repository, or has no such commit"), "{refused}");
}

/// What was uploaded is kept while somebody may still name it, and collected when nobody does.
#[test]
fn an_upload_is_kept_as_long_as_who_made_it_is_there() {
    let shop = Shop::open();
    let mut stream = shop.connect();
    stream.write_all(b"{\"upload\":{\"bytes\":4}}\nfour").unwrap();
    let hash = ContentHash::of(b"four");
    let wanted = serde_json::to_string(&Reply::Uploaded(hash)).unwrap() + "\n";
    let mut answer = vec![0; wanted.len()];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(String::from_utf8(answer).unwrap(), wanted);
    let compact = || match shop.host.ask(&Question::Compact) {
        Some(Reply::Nothing(words)) => words,
        other => panic!("{other:?}"),
    };
    compact();
    assert!(shop.has(&hash), "who uploaded it is still there");
    drop(stream);
    let gone = eventually("the collection", || {
        compact();
        (!shop.has(&hash)).then_some(true)
    });
    assert!(gone);
    // Who goes in the middle leaves nothing.
    let mut half = shop.connect();
    half.write_all(b"{\"upload\":{\"bytes\":900}}\nhalf").unwrap();
    eventually("the upload", || (shop.uploads() == 1).then_some(()));
    drop(half);
    eventually("its end", || (shop.uploads() == 0).then_some(()));
    assert_eq!(shop.host.count(|fact| matches!(fact, Fact::BuildCreated(_))), 0);
}
