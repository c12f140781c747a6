//! The reading commands of `oc` on a journal with 10,000 streams and 100,000 tags: start to finish, and peak memory.
//!
//! Run with `cargo bench --bench oc`. Measured is the real program, first where no manifests are cached (as after a
//! change of version), then beside the cache that a daemon leaves. `TIDEGATE_BENCH_SCALE=0.1` makes it ten times smaller.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    clippy::use_debug,
    reason = "a bench reads the clock, prints, and ends when something is missing"
)]

mod state;

use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const STREAMS: usize = 10_000;
const TAGS_PER_STREAM: usize = 10;
const IMAGES: usize = 20_000;
const COMMANDS: [&[&str]; 4] = [
    &["get", "is", "-A"],
    &["describe", "is", "s4711", "-n", "shop"],
    &["get", "is", "s4711", "-n", "shop", "-o", "yaml"],
    &["get", "istag", "-A"],
];
const GOAL: Duration = Duration::from_millis(300);

fn main() {
    let scale: f64 =
        std::env::var("TIDEGATE_BENCH_SCALE").ok().and_then(|s| s.parse().ok()).unwrap_or(1.0);
    let sized = |n: usize| ((n as f64 * scale) as usize).max(1);
    let (streams, images) = (sized(STREAMS), sized(IMAGES));
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (repo, state_dir) = (dir.path().join("repo"), dir.path().join("state"));
    state::init(&repo);
    state::write_streams(&repo, streams, TAGS_PER_STREAM);
    state::commit(&repo);
    let records = state::fill(&repo, &state_dir, images);
    println!("{streams} streams, {} tags, {records} records", streams * TAGS_PER_STREAM);
    let config = state::write_config(dir.path(), &repo, &state_dir);
    if std::env::var_os("TIDEGATE_BENCH_KEEP").is_some() {
        println!("kept in {}", dir.keep().display()); // for a profiler
        state::start(config.parent().expect("a folder"), &config);
        return;
    }
    println!("without cached manifests:");
    COMMANDS.iter().for_each(|command| measure(&config, command));
    state::start(dir.path(), &config);
    println!("with cached manifests:");
    COMMANDS.iter().for_each(|command| measure(&config, command));
}

fn measure(config: &Path, arguments: &[&str]) {
    let mut times: Vec<Duration> = (0..5).map(|_| run(config, arguments).0).collect();
    times.sort();
    let (median, (_, bytes)) = (times[times.len() / 2], run(config, arguments));
    println!(
        "  {:<36} median {median:?}, worst {:?}, ratio to {GOAL:?} {:.2}; {bytes} bytes printed, {} MB at most",
        arguments.join(" "),
        times[times.len() - 1],
        median.as_secs_f64() / GOAL.as_secs_f64(),
        peak_kb(config, arguments) / 1024,
    );
}

fn command(config: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    command.args(arguments).arg("--config").arg(config).stdout(Stdio::piped());
    command
}

/// Runs the program; returns how long it took, and how much it printed.
fn run(config: &Path, arguments: &[&str]) -> (Duration, usize) {
    let began = Instant::now();
    let output = command(config, arguments).output().expect("the program");
    let took = began.elapsed();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    (took, output.stdout.len())
}

/// The most memory that it held, by what the kernel last told before it ended.
fn peak_kb(config: &Path, arguments: &[&str]) -> u64 {
    let mut child = command(config, arguments).spawn().expect("the program");
    let status = format!("/proc/{}/status", child.id());
    let mut out = child.stdout.take().expect("a pipe");
    let reader = std::thread::spawn(move || out.read_to_end(&mut Vec::new()));
    let mut peak = 0;
    while child.try_wait().expect("a child").is_none() {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with("VmHWM:"));
        let kb = line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
        peak = kb.unwrap_or(peak);
    }
    reader.join().expect("a reader").expect("output");
    peak
}
