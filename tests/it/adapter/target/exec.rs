//! Rule R31.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tidegate::action::{Action, ActionId, Input, NoticeKind, RolloutReport};
use tidegate::limits;
use tidegate::world::World;
use tidegate::world::git::{Source, SourceConfig};
use tidegate::world::registry::{Registries, RegistryConfig};
use tidegate::world::target::{ExecTarget, TargetConfig};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::support::git::Repo;

struct Fixture {
    folder: tempfile::TempDir,
    targets: Targets,
}

impl Fixture {
    /// Runs `script` with the folder as `$HOME`.
    fn new(script: &str) -> Self {
        Self::with(script, MINUTE, manifest(0))
    }

    fn with(script: &str, timeout: Duration, manifest: Vec<u8>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("roll-out");
        fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        // Another test that forks while the file is open for writing would give ETXTBSY: let the shell read it.
        let exec = ExecTarget {
            program: "sh".into(),
            arguments: vec![program.display().to_string()],
            timeout,
            environment: BTreeMap::from([
                ("PATH".into(), "/usr/bin:/bin".into()),
                ("HOME".into(), folder.path().display().to_string()),
            ]),
        };
        let targets = targets_with(TargetConfig::Exec(exec), folder.path(), manifest);
        Self { folder, targets }
    }

    async fn roll_out(&self) -> RolloutReport {
        self.targets.roll_out(&request(), CancellationToken::new()).await
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.folder.path().join(file)).unwrap()
    }

    fn lock(&self) -> PathBuf {
        let name = ContentHash::of(object().to_string().as_bytes());
        self.folder.path().join("locks").join(format!("{name}.lock"))
    }

    /// A program of a daemon that was killed: it holds the lock of the object.
    fn orphan(&self, script: &str) -> Orphan {
        let child = Command::new("flock")
            .args(["--no-fork"])
            .arg(self.lock())
            .args(["sh", "-c", script])
            .env("HOME", self.folder.path())
            .stdin(Stdio::null())
            .process_group(0)
            .spawn();
        Orphan(child.unwrap())
    }
}

/// Ends with its group.
struct Orphan(Child);

impl Drop for Orphan {
    fn drop(&mut self) {
        let group = rustix::process::Pid::from_child(&self.0);
        // It may have ended by itself.
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        drop(self.0.wait());
    }
}

/// Waits until something holds; bounded.
async fn wait_for(what: &str, holds: impl Fn() -> bool) {
    let mut looks = tokio::time::interval(Duration::from_millis(10));
    for _ in 0..3000 {
        if holds() {
            return;
        }
        looks.tick().await;
    }
    panic!("waited in vain for {what}");
}

fn is_alive(pid: &str) -> bool {
    fs::read_to_string(format!("/proc/{}/stat", pid.trim()))
        .is_ok_and(|stat| !stat.contains(") Z "))
}

fn is_file_with_line(path: &Path) -> bool {
    fs::read_to_string(path).is_ok_and(|text| text.ends_with('\n'))
}

/// Lets a program end that holds a lock, when a new run has looked at the lock more than once.
async fn let_go_after_looks(go: &Path) {
    let mut looks = tokio::time::interval(limits::TARGET_LOCK_POLL);
    for _ in 0..4 {
        looks.tick().await;
    }
    fs::write(go, "").unwrap();
}

#[tokio::test]
async fn r031_the_event_comes_on_stdin_and_in_short_in_the_environment() {
    let fixture = Fixture::new("cat > ~/event; env | grep -v '^_=\\|^PWD=' | sort > ~/env");
    assert_eq!(fixture.roll_out().await, complete());
    let event: serde_json::Value = serde_json::from_str(&fixture.read("event")).unwrap();
    assert_eq!(event, expected_event());
    let home = fixture.folder.path().display().to_string();
    let environment = fixture.read("env").replace(&home, "HOME");
    // Nothing else of our own environment: it may hold secrets.
    insta::assert_snapshot!(environment, @r"
    HOME=HOME
    PATH=/usr/bin:/bin
    ROLLOUT_ACTION=rollout
    ROLLOUT_CAUSE=image change
    ROLLOUT_IMAGES=main=registry.example.com/web@sha256:0
    ROLLOUT_KEY=shop/web/1/42
    ROLLOUT_KIND=DeploymentConfig
    ROLLOUT_NAME=web
    ROLLOUT_NAMESPACE=shop
    ROLLOUT_OBJECT=DeploymentConfig/shop/web
    ROLLOUT_REPLACES=shop/web/1/40
    ROLLOUT_REVISION=7
    ");
}

#[tokio::test]
async fn a_stop_says_so_in_the_environment_and_on_stdin() {
    let fixture = Fixture::new("cat > ~/event; echo \"$ROLLOUT_ACTION $ROLLOUT_KEY\" > ~/env");
    assert_eq!(fixture.targets.stop(&stop_request(), CancellationToken::new()).await, complete());
    assert_eq!(fixture.read("env"), "stop shop/web/1/50\n");
    assert!(fixture.read("event").contains("dev.tidegate.stop.requested"));
}

#[tokio::test]
async fn a_stop_that_fails_says_what_was_printed() {
    let fixture = Fixture::new("echo no such; echo unit; exit 4");
    let report = fixture.targets.stop(&stop_request(), CancellationToken::new()).await;
    let reason = "exit status 4: no such; unit".to_owned();
    assert_eq!(report, RolloutReport::Failed { reason, log: String::new() });
}

#[tokio::test]
async fn no_program_is_run_for_a_notice() {
    let fixture = Fixture::new("touch ~/ran");
    fixture.targets.notify(&notice(NoticeKind::Finished)).await;
    assert!(!fixture.folder.path().join("ran").exists());
}

#[tokio::test]
async fn r031_the_exit_code_is_the_outcome() {
    for (script, expected) in [
        ("exit 0", complete()),
        (
            "exit 75",
            RolloutReport::Transient { reason: "exit status 75".into(), retry_after: None },
        ),
        (
            "echo registry down; exit 75",
            RolloutReport::Transient {
                reason: "exit status 75: registry down".into(),
                retry_after: None,
            },
        ),
        ("exit 3", RolloutReport::Failed { reason: "exit status 3".into(), log: String::new() }),
        (
            "kill -SEGV $$",
            RolloutReport::Failed { reason: "ended by signal 11".into(), log: String::new() },
        ),
    ] {
        assert_eq!(Fixture::new(script).roll_out().await, expected, "{script}");
    }
}

#[tokio::test]
async fn a_program_that_cannot_be_started_is_no_verdict() {
    let folder = tempfile::tempdir().unwrap();
    let exec = ExecTarget {
        program: folder.path().join("missing"),
        arguments: Vec::new(),
        timeout: MINUTE,
        environment: BTreeMap::new(),
    };
    let targets = targets(TargetConfig::Exec(exec), folder.path());
    let report = targets.roll_out(&request(), CancellationToken::new()).await;
    let RolloutReport::Transient { reason, .. } = report else { panic!("{report:?}") };
    assert!(reason.contains("missing"), "{reason}");
}

#[tokio::test]
async fn r031_the_last_five_lines_are_kept_in_order_and_without_secrets() {
    let script = "for i in 1 2 3; do echo out $i; echo err $i >&2; done; echo pw hunter2; exit 1";
    let report = Fixture::new(script).roll_out().await;
    let RolloutReport::Failed { log, .. } = report else { panic!("{report:?}") };
    assert_eq!(log, "out 2\nerr 2\nout 3\nerr 3\npw ***");
    let much = Fixture::new("yes 0123456789 | head -c 5000000; echo end").roll_out().await;
    let RolloutReport::Complete { log } = much else { panic!("{much:?}") };
    assert!(log.ends_with("end") && log.len() <= limits::ROLLOUT_LOG_BYTES_MAX);
}

#[tokio::test]
async fn a_program_that_does_not_read_its_input_does_not_stall() {
    for script in ["echo done", "exec <&-; echo done", "head -c 10 > /dev/null; echo done"] {
        let fixture = Fixture::with(script, MINUTE, manifest(4 << 20));
        let report = fixture.roll_out().await;
        assert_eq!(report, RolloutReport::Complete { log: "done".into() }, "{script}");
    }
}

#[tokio::test]
async fn r031_a_program_is_killed_at_its_deadline_with_all_that_it_started() {
    let script = "sleep 1000 & echo $! > ~/pid; echo waiting; wait";
    let fixture = Fixture::with(script, Duration::from_millis(500), manifest(0));
    let report = fixture.roll_out().await;
    let RolloutReport::Failed { reason, log } = report else { panic!("{report:?}") };
    assert_eq!(
        (reason.as_str(), log.as_str()),
        ("it did not end within 500ms and was killed", "waiting")
    );
    let pid = fixture.read("pid");
    wait_for("the end of its child", || !is_alive(&pid)).await;
}

#[tokio::test]
async fn a_program_that_ignores_sigterm_gets_sigkill() {
    let script = "trap '' TERM; echo $$ > ~/pid; while :; do sleep 1; done";
    let fixture = Fixture::with(script, Duration::from_millis(500), manifest(0));
    let report = fixture.roll_out().await;
    assert!(matches!(report, RolloutReport::Failed { .. }), "{report:?}");
    assert!(!is_alive(&fixture.read("pid")));
}

#[tokio::test]
async fn a_cancelled_program_is_ended() {
    let fixture = Fixture::new("echo $$ > ~/pid; exec sleep 1000");
    let cancel = CancellationToken::new();
    let request = request();
    let pid = fixture.folder.path().join("pid");
    let (report, ()) = tokio::join!(fixture.targets.roll_out(&request, cancel.clone()), async {
        wait_for("its start", || is_file_with_line(&pid)).await;
        cancel.cancel();
    });
    assert_eq!(report, RolloutReport::Cancelled);
    assert!(!is_alive(&fixture.read("pid")));
}

/// As when the daemon ends: whoever runs the program goes away.
#[tokio::test]
async fn a_run_that_is_broken_off_ends_with_all_that_it_started() {
    let fixture = Fixture::new("sleep 1000 & echo $! > ~/pid; wait");
    let pid = fixture.folder.path().join("pid");
    tokio::select! {
        report = fixture.roll_out() => panic!("{report:?}"),
        () = wait_for("its start", || is_file_with_line(&pid)) => {}
    }
    wait_for("the end of its child", || !is_alive(&fixture.read("pid"))).await;
}

#[tokio::test]
async fn what_a_run_that_was_broken_off_left_is_waited_for() {
    // What left the group is not ended with it, and holds the lock.
    let script = "[ -e ~/left ] && { echo second; exit 0; }; touch ~/left\n\
        setsid sh -c 'echo $$ > ~/pid; while [ ! -e ~/go ]; do sleep 0.05; done; echo old > ~/order' & wait";
    let fixture = Fixture::new(script);
    let pid = fixture.folder.path().join("pid");
    tokio::select! {
        report = fixture.roll_out() => panic!("{report:?}"),
        () = wait_for("its start", || is_file_with_line(&pid)) => {}
    }
    let go = fixture.folder.path().join("go");
    let (report, ()) = tokio::join!(fixture.roll_out(), async {
        let_go_after_looks(&go).await;
    });
    assert_eq!(report, RolloutReport::Complete { log: "second".into() });
    assert_eq!(fixture.read("order"), "old\n", "it ended before the next run began");
}

#[tokio::test]
async fn a_program_that_dies_takes_what_it_started_with_it() {
    let fixture = Fixture::new("sleep 1000 & echo $! > ~/pid; kill -KILL $$");
    let report = fixture.roll_out().await;
    assert!(matches!(report, RolloutReport::Failed { .. }), "{report:?}");
    let pid = fixture.read("pid");
    wait_for("the end of its child", || !is_alive(&pid)).await;
}

#[tokio::test]
async fn what_a_program_leaves_running_holds_up_neither_its_end_nor_the_next_run() {
    let fixture = Fixture::new("sleep 1000 & echo $! >> ~/pids; echo started");
    for _ in 0..2 {
        let report = fixture.roll_out().await;
        assert_eq!(report, RolloutReport::Complete { log: "started".into() });
    }
    let pids = fixture.read("pids");
    assert_eq!(pids.lines().count(), 2);
    for pid in pids.lines() {
        assert!(is_alive(pid), "it was left running on purpose");
        let pid = rustix::process::Pid::from_raw(pid.parse().unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    }
}

/// Writes who holds the lock, as a daemon does after a spawn.
const NOTE: &str = r#"set -- $(sed 's/.*) //' /proc/$$/stat); shift 19; echo "$$ $1" > "$LOCK.new"; cat "$LOCK.new" > "$LOCK""#;

impl Fixture {
    fn noted(&self, script: &str) -> String {
        format!("LOCK='{}'; {NOTE}; echo ready > ~/ready; {script}", self.lock().display())
    }

    async fn ready(&self) {
        let ready = self.folder.path().join("ready");
        wait_for("the orphan", || is_file_with_line(&ready)).await;
    }
}

#[tokio::test]
async fn a_run_that_outlived_the_daemon_is_waited_for() {
    let fixture = Fixture::new("echo new >> ~/order");
    let script = "while [ ! -e ~/go ]; do sleep 0.05; done; echo old >> ~/order";
    let orphan = fixture.orphan(&fixture.noted(script));
    fixture.ready().await;
    let go = fixture.folder.path().join("go");
    let (report, ()) = tokio::join!(fixture.roll_out(), async {
        let_go_after_looks(&go).await;
        // The orphan is this test's child and has to be reaped; after a real crash init does that.
        wait_for("the end of the orphan", || orphan.0.try_wait_ended()).await;
    });
    assert_eq!(report, complete());
    assert_eq!(fixture.read("order"), "old\nnew\n");
}

trait Ended {
    fn try_wait_ended(&self) -> bool;
}

impl Ended for Child {
    fn try_wait_ended(&self) -> bool {
        !is_alive(&self.id().to_string())
    }
}

#[tokio::test]
async fn a_lock_that_only_descendants_of_an_ended_run_hold_is_not_waited_for() {
    let fixture = Fixture::new("echo new");
    let script = fixture.noted("(sleep 1000 < /dev/null > /dev/null 2>&1 &) ; exit 0");
    let mut orphan = fixture.orphan(&script);
    orphan.0.wait().unwrap();
    let held = fs::File::open(fixture.lock()).unwrap();
    assert!(held.try_lock().is_err(), "the descendant holds it");
    drop(held);
    assert_eq!(fixture.roll_out().await, RolloutReport::Complete { log: "new".into() });
}

#[tokio::test]
async fn a_run_that_outlived_the_daemon_and_its_time_is_ended() {
    let fixture = Fixture::with("echo new", Duration::from_millis(500), manifest(0));
    let orphan = fixture.orphan(&fixture.noted("while :; do sleep 0.05; done"));
    fixture.ready().await;
    let report = fixture.roll_out().await;
    assert_eq!(report, RolloutReport::Complete { log: "new".into() });
    assert!(orphan.0.try_wait_ended());
}

#[tokio::test]
async fn two_runs_of_one_object_do_not_overlap() {
    let script = "[ ! -e ~/busy ] || echo overlap >> ~/log; touch ~/busy; sleep 0.2; rm ~/busy; echo ran >> ~/log";
    let fixture = Fixture::new(script);
    tokio::join!(fixture.roll_out(), fixture.roll_out());
    assert_eq!(fixture.read("log"), "ran\nran\n");
}

#[tokio::test]
async fn a_program_inherits_the_lock_of_its_object_and_is_named_in_it() {
    let script = "lock=$(ls ~/locks/*.lock)\n\
        until [ \"$(cut -d' ' -f1 \"$lock\")\" = $$ ]; do sleep 0.01; done\n\
        ls -l /proc/$$/fd | grep -c '\\.lock$'";
    let fixture = Fixture::new(script);
    assert_eq!(fixture.roll_out().await, RolloutReport::Complete { log: "1".into() });
    assert!(fs::File::open(fixture.lock()).unwrap().try_lock().is_ok(), "it is given back");
}

#[tokio::test]
async fn an_error_inside_an_action_is_told_and_not_waited_for() {
    let fixture = Fixture::new("exit 0");
    let repo = Repo::new();
    repo.write("a.yaml", "{}").commit("a");
    let config = SourceConfig::new(repo.address());
    let keep = Arc::new(|bytes: &[u8]| Ok(ContentHash::of(bytes)));
    let world = World {
        source: Arc::new(Source::open(config, fixture.folder.path()).unwrap()),
        registries: Registries::new(RegistryConfig::default(), keep).unwrap(),
        targets: fixture.targets.clone(),
        builder: None,
    };
    // Whoever reads this manifest panics.
    let request = RolloutRequest { manifest: ContentHash::of(b"another"), ..request() };
    let action = Action::RollOut(Box::new(request));
    let told = Box::pin(world.perform(ActionId(1), action, CancellationToken::new())).await;
    let [Input::RolloutReported(ActionId(1), RolloutReport::Transient { reason, .. })] = &told[..]
    else {
        panic!("{told:?}");
    };
    assert!(reason.starts_with("cannot read the manifest"), "{reason}");
}
