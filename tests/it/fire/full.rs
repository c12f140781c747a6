//! A state directory whose file system runs full, for real: a small one in memory, mounted where only the test sees it.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use tidegate::control::{Question, Reply};
use tidegate::fact::Fact;

use crate::story::main_job::{DEPLOYMENT, deliveries, receiver, stream};
use crate::support;
use crate::support::daemon::{Host, eventually, wait};
use crate::support::git::Repo;
use crate::support::registry::{DockerRegistry, FaultProxy};

/// Set for the test that runs in a mount namespace of its own.
const INSIDE: &str = "TIDEGATE_TEST_INSIDE";

const MIB: u64 = 1024 * 1024;

/// Whether this process may mount. Where it may not yet, the test is run again where it may: what is mounted there goes
/// with the last process, however that ends.
fn may_mount(test: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let folder = tempfile::tempdir().unwrap();
    for options in [&["--mount"][..], &["--mount", "--map-root-user"]] {
        let mut look = Command::new("unshare");
        look.args(options).args(["mount", "-t", "tmpfs", "-o", "size=1m", "none"]);
        let Ok(output) = look.arg(folder.path()).output() else { break };
        if !output.status.success() {
            continue;
        }
        let mut again = Command::new("unshare");
        again.args(options).arg(std::env::current_exe().unwrap()).env(INSIDE, "1");
        let name = format!("fire::full::{test}");
        let output = again.args(["--exact", &name, "--nocapture"]).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(output.status.success() && said.contains("1 passed"), "{said}");
        return false;
    }
    support::skip("no file system can be mounted: that needs root or user namespaces");
    false
}

/// A host with a small file system.
struct Small {
    repo: Repo,
    host: Host,
    folder: tempfile::TempDir,
}

impl Small {
    /// A file system of so many MiB, and nothing started.
    fn new(size: u64, source: impl Fn(&Path) -> String) -> Self {
        let (repo, folder) = (Repo::new(), tempfile::tempdir().unwrap());
        let address = source(repo.path());
        let host = Host::new(Path::new(&address), &receiver(folder.path()));
        std::fs::create_dir(host.state()).unwrap();
        let small = Self { repo, host, folder };
        small.mount(&format!("size={size}m,nr_inodes=100000"));
        small
    }

    fn mount(&self, options: &str) {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", options, "none"]).arg(self.host.state());
        assert!(mount.status().unwrap().success(), "{options}");
    }

    fn fill(&self, leave: u64) {
        fill(&self.host.state(), leave);
    }

    /// How many files there are.
    fn files(&self) -> u64 {
        let found = rustix::fs::statvfs(self.host.state()).unwrap();
        found.f_files - found.f_ffree
    }

    fn make_room(&self) {
        std::fs::remove_file(self.host.path("state/ballast")).unwrap();
    }

    fn greet(&self, greeting: &str) {
        self.repo.write("web.yaml", deployment(greeting)).commit(greeting);
    }

    fn rollouts(&self) -> usize {
        self.host.count(|fact| matches!(fact, Fact::RolloutStarted(_)))
    }

    fn finished(&self) -> usize {
        self.host.count(|fact| matches!(fact, Fact::RolloutFinished(_)))
    }

    fn source_failures(&self) -> usize {
        self.host.count(|fact| matches!(fact, Fact::SourceFailed(_)))
    }

    /// How often there was no space, and how often there was again.
    fn shorts(&self) -> (usize, usize) {
        let short = self.host.count(|fact| matches!(fact, Fact::SpaceShort(_)));
        (short, self.host.count(|fact| matches!(fact, Fact::SpaceRegained(_))))
    }

    /// Started, with the first of all rollouts done.
    fn begin(&mut self) {
        self.greet("one");
        self.host.start();
        self.host.wait_for("a rollout", |fact| matches!(fact, Fact::RolloutFinished(_)));
    }

    /// Asks the daemon, which makes it look; it has to be alive.
    fn ask(&self) {
        let answer = eventually("an answer", || self.host.ask(&Question::Status));
        assert!(matches!(answer, Reply::Status(_)), "{answer:?}");
    }

    /// The daemon says that there is no space, in its journal and in its status, and starts nothing.
    fn is_held(&self, rollouts: usize) {
        eventually("SpaceShort", || {
            self.ask();
            let last = self.host.records().into_iter().rev().find_map(|record| match record.fact {
                Fact::SpaceShort(_) => Some(true),
                Fact::SpaceRegained(_) => Some(false),
                _ => None,
            });
            (last == Some(true)).then_some(())
        });
        self.host.ask(&Question::ReadSource);
        self.ask();
        let status = self.host.text(&["status"]);
        assert!(status.contains("state directory"), "{status}");
        assert!(status.contains("nearly full"), "{status}");
        let held = self.host.run(&["status", "--exit-code"]);
        assert_eq!(held.status.code(), Some(3), "{held:?}");
        assert_eq!(self.rollouts(), rollouts, "{}", self.host.story());
    }

    /// There is space again: so many rollouts in all, each told once, and nothing is wrong.
    fn goes_on(&mut self, rollouts: usize) {
        eventually("what was held", || {
            self.ask();
            (self.finished() == rollouts).then_some(())
        });
        eventually("a status that is fine", || {
            self.host.run(&["status", "--exit-code"]).status.success().then_some(())
        });
        assert_eq!(self.rollouts(), rollouts, "{}", self.host.story());
        let told = deliveries(self.folder.path());
        let keys: std::collections::BTreeSet<_> = told.iter().map(|(key, ..)| key).collect();
        assert_eq!((told.len(), keys.len()), (rollouts, rollouts), "{told:?}");
        assert!(self.host.stop().success());
        let verify = self.host.run(&["journal", "verify"]);
        assert!(verify.status.success(), "{verify:?}");
    }
}

fn deployment(greeting: &str) -> String {
    format!(
        "apiVersion: apps.openshift.io/v1
kind: DeploymentConfig
metadata: {{name: web, namespace: shop}}
spec:
  triggers: [{{type: ConfigChange}}]
  template:
    metadata: {{labels: {{app: web}}}}
    spec:
      containers:
      - name: main
        image: quay.io/team/web@sha256:{:064}
        env: [{{name: GREETING, value: {greeting}}}]
",
        1
    )
}

/// Writes somebody else's file until no more than this is free.
fn fill(state: &Path, leave: u64) {
    let free = || {
        let found = rustix::fs::statvfs(state).unwrap();
        found.f_bavail * found.f_frsize
    };
    let mut ballast = File::create(state.join("ballast")).unwrap();
    let page = [7; 4096];
    while free() > leave && ballast.write(&page).is_ok_and(|written| written > 0) {}
    assert!(free() <= leave);
}

fn local(path: &Path) -> String {
    path.display().to_string()
}

#[test]
fn a_file_system_that_is_nearly_full_holds_what_is_new_until_there_is_space() {
    if !may_mount("a_file_system_that_is_nearly_full_holds_what_is_new_until_there_is_space") {
        return;
    }
    let mut small = Small::new(48, local);
    small.begin();
    small.fill(4 * MIB);
    small.greet("two");
    small.is_held(1);
    // A little more is not enough: it would be short again at once.
    small.make_room();
    small.fill(20 * MIB);
    small.is_held(1);
    small.make_room();
    small.goes_on(2);
    assert_eq!(small.shorts(), (1, 1));
}

#[test]
fn a_daemon_that_is_killed_on_a_full_file_system_starts_there_and_goes_on_with_space() {
    if !may_mount(
        "a_daemon_that_is_killed_on_a_full_file_system_starts_there_and_goes_on_with_space",
    ) {
        return;
    }
    let mut small = Small::new(48, local);
    small.begin();
    // Not a byte: neither the mirror nor the object store can take anything, only what the journal keeps back.
    small.fill(0);
    small.greet("two");
    small.is_held(1);
    for _ in 0..3 {
        small.host.kill();
        small.host.start();
        small.is_held(1);
    }
    assert!(small.host.stop().success());
    let verify = small.host.run(&["journal", "verify"]);
    assert!(verify.status.success(), "{verify:?}");
    small.host.start();
    small.is_held(1);
    small.make_room();
    small.goes_on(2);
    assert_eq!(small.shorts(), (1, 1));
}

#[test]
fn a_first_start_on_a_full_file_system_says_so_and_works_with_space() {
    if !may_mount("a_first_start_on_a_full_file_system_says_so_and_works_with_space") {
        return;
    }
    let mut small = Small::new(48, local);
    small.greet("one");
    for leave in [0, 64 * 1024, 300 * 1024] {
        small.fill(leave);
        small.host.start();
        let ended =
            eventually("an end", || small.host.ended().map(|status| (status, small.host.log())));
        let state = small.host.state().display().to_string();
        let (status, log) = ended;
        assert!(!status.success());
        let last = log.split("error: ").last().unwrap();
        assert!(last.contains(&state) && last.contains("No space left on device"), "{log}");
        small.make_room();
    }
    small.host.start();
    small.goes_on(1);
}

/// There is space for bytes but not for files: with one file more each time, each place that makes one fails in turn, in
/// the mirror, in the object store and beside them.
fn no_file_more(source: impl Fn(&Path) -> String) {
    let mut small = Small::new(48, source);
    small.begin();
    let mut ends = 0;
    for more in 0..14 {
        let done = small.finished();
        let failures = small.source_failures();
        small.mount(&format!("remount,nr_inodes={}", small.files() + more));
        small.greet(&format!("with-{more}"));
        small.host.ask(&Question::ReadSource);
        let ended = eventually("an outcome", || match small.host.ended() {
            Some(status) => Some(Some(status)),
            None if small.finished() > done || small.source_failures() > failures => Some(None),
            None => None,
        });
        if let Some(status) = ended {
            ends += 1;
            assert!(!status.success());
            says_that_it_is_full(&small.host);
        }
        small.mount("remount,nr_inodes=100000");
        if ended.is_some() {
            small.host.start();
        }
        eventually("a rollout", || {
            small.host.ask(&Question::ReadSource);
            (small.finished() > done).then_some(())
        });
    }
    let messages = small.host.records().into_iter().filter_map(|record| match record.fact {
        Fact::SourceFailed(failed) => Some(failed.message),
        _ => None,
    });
    let messages: Vec<_> = messages.collect();
    assert!(ends + messages.len() > 0, "nothing failed: {}", small.host.story());
    for message in messages {
        // Of objects that it cannot move into place `git` says nothing but that they are missing.
        let why = ["No space left on device", "did not send all necessary objects"];
        assert!(why.iter().any(|why| message.contains(why)), "{message}");
        assert!(message.contains("the file system of the state directory"), "{message}");
    }
    small.goes_on(15);
}

/// The last error names the state directory, and that its file system is full.
fn says_that_it_is_full(host: &Host) {
    let log = host.log();
    let last = log.split("error: ").last().unwrap();
    let state = host.state().display().to_string();
    assert!(last.contains(&state) && last.contains("No space left on device"), "{log}");
}

#[test]
fn a_mirror_and_a_store_that_cannot_make_files_say_so_and_nothing_is_lost() {
    if may_mount("a_mirror_and_a_store_that_cannot_make_files_say_so_and_nothing_is_lost") {
        no_file_more(local);
    }
}

#[test]
fn a_git_that_cannot_make_files_is_told_as_such_and_nothing_is_lost() {
    if may_mount("a_git_that_cannot_make_files_is_told_as_such_and_nothing_is_lost") {
        no_file_more(|path| format!("file://{}", path.display()));
    }
}

#[test]
fn an_image_that_cannot_be_kept_for_want_of_space_is_imported_when_there_is_some() {
    const NAME: &str =
        "an_image_that_cannot_be_kept_for_want_of_space_is_imported_when_there_is_some";
    if !may_mount(NAME) {
        return;
    }
    let Some(registry) = DockerRegistry::start() else { return };
    wait(registry.push_image("team/web", "1", "one"));
    let network = FaultProxy::start(&registry.address());
    let mut small = Small::new(48, local);
    small.greet("one");
    let (state, once) = (small.host.state(), AtomicBool::new(false));
    // The file system runs full while the image is read, after the daemon last looked.
    network.break_with(move |seen| {
        if seen.path.contains("/blobs/") && !once.swap(true, Ordering::SeqCst) {
            fill(&state, 0);
        }
        None
    });
    small.begin();
    small.repo.write("stream.yaml", stream(&network.address()));
    small.repo.write("web.yaml", DEPLOYMENT).commit("a stream");
    let failed = small.host.wait_for("a failure", |fact| matches!(fact, Fact::ImportFailed(_)));
    let Fact::ImportFailed(failed) = failed.fact else { unreachable!() };
    assert!(failed.message.contains("No space left on device"), "{}", failed.message);
    small.is_held(1);
    small.make_room();
    small.goes_on(2);
}
