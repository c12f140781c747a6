//! From a local commit to `CommitAdopted` on disk, for 1,000 and 10,000 manifests of which one changed.
//!
//! Run with `cargo bench --bench commit`. The measured process is the real program, watching a real repository with a real
//! journal; the clock runs from the moment `git commit` is back until the record can be read from the journal's file.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::use_debug,
    reason = "a bench reads the clock, prints, and ends when something is missing"
)]

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Commits that are timed.
const ROUNDS: usize = 15;

fn main() {
    let small = measure(1_000);
    let large = measure(10_000);
    let ratio = large.as_secs_f64() / small.as_secs_f64();
    println!("10,000 manifests take {ratio:.1} times as long as 1,000");
}

fn measure(manifests: usize) -> Duration {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (repo, state) = (dir.path().join("repo"), dir.path().join("state"));
    git(Path::new("/"), &["init", "-q", "-b", "main", &repo.display().to_string()]);
    for number in 0..manifests {
        write(&repo, number, "first");
    }
    commit(&repo);
    let config = dir.path().join("tidegate.toml");
    let mut text = format!("state_dir = {state:?}\n[source]\nrepository = {repo:?}\n");
    writeln!(text, "[control]\nsocket = {:?}", dir.path().join("control.sock")).expect("memory");
    std::fs::write(&config, text).expect("a configuration");
    let mut daemon = Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .args(["run", "--config"])
        .arg(&config)
        .stderr(Stdio::null())
        .spawn()
        .expect("the daemon");
    adopted(&state, &head(&repo), &mut daemon);
    let mut times: Vec<Duration> = (0..ROUNDS)
        .map(|round| {
            // Commits come singly: one that follows within a quarter of a second is looked at with the next burst.
            std::thread::park_timeout(2 * tidegate::limits::WATCH_QUIET);
            write(&repo, round, &format!("round {round}"));
            commit(&repo);
            let began = Instant::now();
            adopted(&state, &head(&repo), &mut daemon);
            began.elapsed()
        })
        .collect();
    daemon.kill().expect("an end");
    daemon.wait().expect("an end");
    times.sort();
    let (least, median, most) = (times.first(), times.get(ROUNDS / 2), times.last());
    let median = *median.expect("rounds");
    println!("{manifests} manifests: median {median:?}, least {least:?}, most {most:?}");
    median
}

fn write(repo: &Path, number: usize, greeting: &str) {
    let folder = repo.join(format!("apps/{}", number % 100));
    std::fs::create_dir_all(&folder).expect("a folder");
    let text = format!(
        "apiVersion: apps.openshift.io/v1\nkind: DeploymentConfig\nmetadata:\n  name: d{number}\n  namespace: shop\n\
         spec:\n  replicas: 1\n  paused: true\n  selector: {{app: d{number}}}\n  template:\n    metadata:\n      \
         labels: {{app: d{number}}}\n    spec:\n      containers:\n      - name: main\n        image: example.com/d:1\n        \
         env:\n        - {{name: GREETING, value: \"{greeting}\"}}\n"
    );
    std::fs::write(folder.join(format!("d{number}.yaml")), text).expect("a manifest");
}

fn commit(repo: &Path) {
    git(repo, &["add", "-A"]);
    git(repo, &["-c", "user.name=b", "-c", "user.email=b@example.com", "commit", "-qm", "round"]);
}

fn git(dir: &Path, args: &[&str]) {
    let status = Command::new("git").current_dir(dir).args(args).status().expect("git");
    assert!(status.success(), "git {args:?}");
}

fn head(repo: &Path) -> String {
    let path = repo.join(".git/refs/heads/main");
    std::fs::read_to_string(path).expect("a branch").trim().to_owned()
}

/// Waits until the journal's file holds the adoption of the commit.
fn adopted(state: &Path, commit: &str, daemon: &mut Child) {
    let needle = format!("\"CommitAdopted\":{{\"commit\":\"{commit}\"");
    loop {
        assert!(daemon.try_wait().expect("a state").is_none(), "the daemon ended");
        let segments = std::fs::read_dir(state.join("journal")).into_iter().flatten();
        let texts = segments.flatten().filter_map(|entry| std::fs::read(entry.path()).ok());
        if texts.into_iter().any(|text| String::from_utf8_lossy(&text).contains(&needle)) {
            return;
        }
        std::thread::yield_now();
    }
}
