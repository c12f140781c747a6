//! `get --watch` and `get all`, on what a daemon writes.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};
use std::sync::mpsc::{self, Receiver};

use tidegate::fact::Fact;

use crate::support::daemon::{Host, eventually};
use crate::support::git::Repo;

/// A stream whose tag needs no registry.
fn stream(name: &str, tag: &str) -> String {
    format!(
        "apiVersion: image.openshift.io/v1\nkind: ImageStream\nmetadata: {{name: {name}, namespace: shop, labels: {{app: {name}}}}}\n\
         spec:\n  tags:\n  - name: '{tag}'\n    reference: true\n    from: {{kind: DockerImage, name: 'quay.io/org/{name}:{tag}'}}\n"
    )
}

const CONFIGS: &str = "\
apiVersion: apps.openshift.io/v1
kind: DeploymentConfig
metadata: {name: web, namespace: shop, labels: {app: web}}
spec:
  replicas: 2
  selector: {app: web}
  triggers:
  - type: ConfigChange
  - type: ImageChange
    imageChangeParams:
      automatic: true
      containerNames: [web]
      from: {kind: ImageStreamTag, name: 'web:1'}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - {name: web, image: ' '}
---
apiVersion: build.openshift.io/v1
kind: BuildConfig
metadata: {name: web, namespace: shop}
spec:
  source: {git: {uri: 'https://example.com/web.git', ref: 0123456789abcdef0123456789abcdef01234567}}
  strategy: {sourceStrategy: {from: {kind: ImageStreamTag, name: 'web:1'}}}
";

fn shop() -> (Host, Repo) {
    let repo = Repo::new();
    repo.write("web.yaml", stream("web", "1")).write("configs.yaml", CONFIGS).commit("web");
    let mut host = Host::new(repo.path(), "");
    host.start();
    host.wait_for("the tag", |fact| matches!(fact, Fact::TagImported(_)));
    (host, repo)
}

/// A command that goes on, with the lines that it prints.
struct Watch {
    child: Child,
    lines: Receiver<String>,
}

impl Watch {
    fn start(host: &Host, arguments: &[&str]) -> Self {
        let mut child = host.tidegate(arguments).stdout(Stdio::piped()).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            out.lines().map_while(Result::ok).all(|line| sender.send(line).is_ok())
        });
        Self { child, lines }
    }

    /// The lines up to the first that is wanted.
    fn until(&self, what: &str, wanted: impl Fn(&str) -> bool) -> Vec<String> {
        let mut seen = Vec::new();
        eventually(what, || {
            seen.extend(self.lines.try_iter());
            seen.iter().any(|line| wanted(line)).then_some(())
        });
        seen
    }

    /// Interrupts it; returns how it ended.
    fn interrupt(mut self) -> std::process::ExitStatus {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
        eventually("its end", || self.child.try_wait().unwrap())
    }
}

#[test]
fn a_watch_prints_the_table_and_then_a_line_for_each_change() {
    let (host, repo) = shop();
    let watch = Watch::start(&host, &["get", "is", "-n", "shop", "--watch"]);
    let only = Watch::start(&host, &["get", "istag", "-A", "--watch-only", "-o", "name"]);
    let tags = Watch::start(&host, &["get", "itag", "-l", "app=api", "-n", "shop", "-w"]);
    let first = watch.until("the table", |line| line.starts_with("web"));
    assert_eq!(first.len(), 2, "{first:?}");
    assert!(first[0].starts_with("NAME ") && first[0].ends_with("UPDATED"), "{first:?}");
    repo.write("api.yaml", stream("api", "2")).commit("api");
    let added = watch.until("the new stream", |line| line.starts_with("api") && line.contains('2'));
    assert!(added.iter().all(|line| line.starts_with("api")), "no header again: {added:?}");
    let column = first[0].find("TAGS").unwrap();
    let row = added.iter().find(|line| line.contains('2')).unwrap();
    assert_eq!(&row[column..=column], "2", "columns stay where they were: {first:?} {added:?}");
    // A table that is empty has its header before the first line.
    let added = tags.until("the tag", |line| line.starts_with("api:2") && line.contains("quay.io"));
    assert!(added[0].starts_with("NAME "), "{added:?}");
    repo.write("web.yaml", stream("web", "3")).commit("web");
    let changed =
        watch.until("the other tag", |line| line.starts_with("web") && line.contains('3'));
    assert!(changed.iter().all(|line| line.starts_with("web")), "{changed:?}");
    for watch in [watch, only, tags] {
        assert_eq!(watch.interrupt().code(), Some(0));
    }
}

/// One stream is read without the others, and a row without the rest of its stream: what they show is the same.
#[test]
fn a_stream_by_its_name_is_what_it_is_among_all() {
    let (mut host, repo) = shop();
    repo.write("api.yaml", stream("api", "2")).commit("api");
    let is_api = |fact: &Fact| matches!(fact, Fact::TagImported(tag) if tag.tag.stream.name.as_str() == "api");
    host.wait_for("the other tag", is_api);
    let age = regex::Regex::new(r"(?i)(less than a second|about a minute|\d+ \w+) ago").unwrap();
    let settled = |text: &str| {
        age.replace_all(text, "[age]").split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let same = |host: &Host, when: &str| {
        let all = host.text(&["get", "is", "-n", "shop", "-o", "json"]);
        let all: serde_json::Value = serde_json::from_str(&all).unwrap();
        let items = all["items"].as_array().unwrap();
        assert_eq!(items.len(), 2, "{when}");
        let described = host.text(&["describe", "is", "-n", "shop"]);
        let table = host.text(&["get", "is", "-n", "shop"]);
        for (item, name) in items.iter().zip(["api", "web"]) {
            let one = host.text(&["get", "is", name, "-n", "shop", "-o", "json"]);
            assert_eq!(*item, serde_json::from_str::<serde_json::Value>(&one).unwrap(), "{when}");
            let one = settled(&host.text(&["describe", "is", name, "-n", "shop"]));
            assert!(settled(&described).contains(&one), "{when}: {described}");
            let one = host.text(&["get", "is", name, "-n", "shop", "--no-headers"]);
            assert!(settled(&table).contains(&settled(&one)), "{when}: {table}");
        }
    };
    same(&host, "by records");
    assert!(host.stop().success());
    host.text(&["journal", "compact"]);
    let snapshots = std::fs::read_dir(host.state().join("journal")).unwrap();
    let names = snapshots.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert!(names.into_iter().any(|name| name.starts_with("snapshot-")), "compaction leaves one");
    same(&host, "by a snapshot and a cache");
    // A cache that is not there, or not this program's, costs time and nothing else.
    std::fs::remove_dir_all(host.state().join("cache")).unwrap();
    same(&host, "by the mirror");
}

/// The rows of all streams come from the outline that is kept beside a snapshot, and what records behind it change from
/// the snapshot itself: each is proven by its own hash, and where that does not fit, the snapshot as a whole counts.
#[test]
fn rows_are_read_from_the_outline_beside_the_snapshot() {
    let (mut host, repo) = shop();
    repo.write("api.yaml", stream("api", "2")).commit("api");
    let imported = |name: &'static str, tag: &'static str| {
        move |fact: &Fact| {
            let Fact::TagImported(of) = fact else { return false };
            of.tag.stream.name.as_str() == name && of.tag.tag.as_str() == tag
        }
    };
    host.wait_for("the other tag", imported("api", "2"));
    assert!(host.stop().success());
    host.text(&["journal", "compact"]);
    host.start();
    repo.write("web.yaml", stream("web", "3")).commit("web");
    host.wait_for("a tag behind the snapshot", imported("web", "3"));
    assert!(host.stop().success());
    let rows = || {
        let output = host.run(&["get", "is", "-A", "--no-headers"]);
        let text = String::from_utf8(output.stdout).unwrap();
        let cells = |line: &str| line.split_whitespace().take(3).collect::<Vec<_>>().join(" ");
        output.status.success().then(|| text.lines().map(cells).collect::<Vec<_>>())
    };
    let expected = rows().unwrap();
    // The newest comes first; two of one second by their names.
    let web = ["shop web 3,1", "shop web 1,3"];
    assert!(expected.iter().any(|row| web.contains(&row.as_str())), "{expected:?}");
    // As retention leaves it: the snapshot, and what is behind it.
    let journal = host.state().join("journal");
    let mut names: Vec<_> =
        std::fs::read_dir(&journal).unwrap().map(|e| e.unwrap().path()).collect();
    names.sort();
    let snapshot = names.iter().rfind(|path| path.extension().unwrap() == "json").unwrap().clone();
    let records = names.iter().rfind(|path| path.extension().unwrap() == "jsonl").unwrap().clone();
    for old in names.iter().filter(|path| **path != snapshot && **path != records) {
        std::fs::remove_file(old).unwrap();
    }
    let whole = std::fs::read_to_string(&snapshot).unwrap();
    let damage = |what: &str| {
        assert!(whole.contains(what), "{whole}");
        std::fs::write(&snapshot, whole.replacen(what, &what.to_uppercase(), 1)).unwrap();
    };
    damage("\"workloads\"");
    assert_eq!(rows().unwrap(), expected, "what no row needs is not read");
    damage("\"shop/api\"");
    assert_eq!(rows().unwrap(), expected, "nor the stream of a row that nothing changed since");
    let at = whole.find("\"shop/web\":{").unwrap();
    let web = host.text(&["get", "is", "web", "-n", "shop", "-o", "yaml"]);
    let text = whole[at..].replacen("generation", "GENERATION", 1);
    std::fs::write(&snapshot, format!("{}{text}", &whole[..at])).unwrap();
    assert_eq!(rows(), None, "a stream that records change is read, and must be what was written");
    let one = || host.run(&["get", "is", "web", "-n", "shop", "-o", "yaml"]);
    assert!(!one().status.success(), "a stream by its name as well");
    damage("\"shop/api\"");
    assert_eq!(String::from_utf8(one().stdout).unwrap(), web, "which reads no other");
    damage("\"workloads\"");
    let outline = host.state().join("cache/outline");
    let mut kept = std::fs::read(&outline).unwrap();
    *kept.last_mut().unwrap() ^= 1;
    std::fs::write(&outline, &kept).unwrap();
    assert_eq!(rows(), None, "an outline that is damaged is not used");
    std::fs::remove_file(&outline).unwrap();
    assert_eq!(rows(), None, "nor one that is not there");
    std::fs::write(&snapshot, &whole).unwrap();
    assert_eq!(rows().unwrap(), expected);
}

/// A daemon whose mirror lost the adopted commit, and that ends before it is read again, must not leave an empty cache
/// that the next start, or a reading command, takes for that commit.
#[test]
fn a_mirror_that_lost_the_commit_is_not_cached_as_an_empty_one() {
    let (mut host, repo) = shop();
    assert!(host.stop().success());
    for folder in ["mirror.git", "cache"] {
        std::fs::remove_dir_all(host.state().join(folder)).unwrap();
    }
    let away = repo.path().with_extension("away");
    std::fs::rename(repo.path(), &away).unwrap();
    host.start();
    eventually("the daemon", || host.ask(&tidegate::control::Question::Status));
    host.wait_for("a source that is away", |fact| matches!(fact, Fact::SourceFailed(_)));
    assert!(host.stop().success());
    assert!(!host.state().join("cache/tree").exists());
    std::fs::rename(&away, repo.path()).unwrap();
    host.start();
    host.wait_for("the source", |fact| matches!(fact, Fact::SourceRecovered));
    let found =
        host.text(&["get", "is", "web", "-n", "shop", "-o", "jsonpath={.spec.tags[0].name}"]);
    assert_eq!(found, "1");
}

#[test]
fn only_one_kind_is_watched() {
    let (host, _repo) = shop();
    let refused = |arguments: &[&str]| {
        let output = host.run(arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    assert_eq!(
        refused(&["get", "is,istag", "-n", "shop", "-w"]),
        "error: you may only specify a single resource type\n"
    );
    assert_eq!(
        refused(&["get", "is", "a", "b", "-n", "shop", "-w"]),
        "error: watch is only supported on individual resources and resource collections - 2 resources were found\n"
    );
    assert_eq!(
        refused(&["get", "is", "nobody", "-n", "shop", "-w"]),
        "Error from server (NotFound): imagestreams.image.openshift.io \"nobody\" not found\n"
    );
}

/// P1, P4, C1, C2, C4: with a table for each kind, in the order of the real one.
#[test]
fn get_all_shows_what_git_and_the_journal_have_of_each_kind() {
    let (host, _repo) = shop();
    assert_eq!(
        host.text(&["get", "all", "-n", "shop", "-o", "name"]),
        "deploymentconfig.apps.openshift.io/web\nbuildconfig.build.openshift.io/web\n\
         imagestream.image.openshift.io/web\n"
    );
    let found = host.text(&["get", "all", "-n", "shop"]);
    let tables: Vec<&str> = found.split("\n\n").collect();
    let [deployments, builds, streams] = tables.as_slice() else { panic!("{found}") };
    assert_eq!(
        *deployments,
        "NAME                                     REVISION   DESIRED   CURRENT     TRIGGERED BY\n\
         deploymentconfig.apps.openshift.io/web   0          2         <unknown>   config,image(web:1)"
    );
    assert_eq!(
        *builds,
        "NAME                                 TYPE     FROM          LATEST\n\
         buildconfig.build.openshift.io/web   Source   Git@0123456   0"
    );
    assert!(
        streams.starts_with("NAME  ") && streams.contains("\nimagestream.image.openshift.io/web  ")
    );
    assert_eq!(
        host.text(&["get", "all", "-n", "shop", "-l", "app=web", "-o", "name"]),
        "deploymentconfig.apps.openshift.io/web\nimagestream.image.openshift.io/web\n"
    );
    assert!(
        host.text(&["describe", "dc", "web", "-n", "shop"]).contains("Latest Deployment:\t<none>")
    );
}

/// A build that ended and that its BuildConfig does not want to be remembered goes, as anything else that goes.
#[test]
fn a_build_that_is_not_remembered_any_more_leaves_a_watch() {
    let repo = Repo::new();
    let build = "apiVersion: build.openshift.io/v1\nkind: BuildConfig\nmetadata: {name: web, namespace: shop}\nspec:\n  \
                 source: {dockerfile: FROM scratch}\n  strategy: {dockerStrategy: {}}\n  output: {to: {kind: \
                 ImageStreamTag, name: 'web:latest'}}\n  failedBuildsHistoryLimit: 0\n";
    repo.write("web.yaml", stream("web", "1")).write("build.yaml", build).commit("web");
    let mut host = Host::new(repo.path(), "[builds]\nenabled = true\n");
    host.start();
    host.wait_for("the tag", |fact| matches!(fact, Fact::TagImported(_)));
    let watch = Watch::start(&host, &["get", "builds", "-n", "shop", "--watch"]);
    host.text(&["start-build", "web", "-n", "shop"]);
    let row = |line: &str| line.starts_with("web-1 ") && line.contains("InvalidOutputReference");
    watch.until("the build", row);
    host.text(&["cancel-build", "web-1", "-n", "shop"]);
    watch.until("its end", row);
    assert!(watch.interrupt().success());
}
