//! From a commit in a local repository to its changed file in hand, for 1,000 and 10,000 manifests.
//!
//! `cargo bench --bench source` prints medians; nothing is asserted.

#![expect(clippy::disallowed_methods, reason = "a bench reads the clock and writes files")]
#![expect(clippy::print_stdout, clippy::use_debug, reason = "a bench prints its figures")]
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a bench may panic")]

#[expect(dead_code, reason = "a bench uses a part of it")]
#[path = "../it/support/git.rs"]
mod git;

use std::time::{Duration, Instant};

use git::Repo;
use tidegate::action::ReadSource;
use tidegate::names::CommitId;
use tidegate::world::git::{Source, SourceConfig};
use tokio_util::sync::CancellationToken;

const ROUNDS: usize = 15;

fn main() {
    let small = measure(1_000);
    let large = measure(10_000);
    for (at, what) in ["first", "unchanged", "changed", "changed, by git fetch"].iter().enumerate()
    {
        let (small, large) = (small[at], large[at]);
        let ratio = large.as_secs_f64() / small.as_secs_f64();
        println!("{what:<22} 1,000: {small:>9.2?}   10,000: {large:>9.2?}   ratio {ratio:.1}");
    }
}

/// Medians of: the first read, a read where nothing changed, one with a changed file, the same through `git fetch`.
fn measure(files: usize) -> [Duration; 4] {
    let repo = Repo::new();
    for number in 0..files {
        let path = format!("team-{:02}/stream-{number}.yaml", number % 50);
        repo.write(&path, manifest(number, "latest"));
    }
    let mut base = repo.commit("all");
    let state = tempfile::tempdir().unwrap();
    let direct = open(&repo.address(), &state.path().join("direct"));
    let fetched = open(&format!("file://{}", repo.address()), &state.path().join("fetched"));
    read(&fetched, None);
    let first = read(&direct, None);
    let (mut unchanged, mut changed, mut by_git) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let number = round * 61 % files;
        let path = format!("team-{:02}/stream-{number}.yaml", number % 50);
        repo.write(&path, manifest(number, &format!("v{round}")));
        let commit = repo.commit("one");
        changed.push(read(&direct, Some(base)));
        by_git.push(read(&fetched, Some(base)));
        unchanged.push(read(&direct, Some(commit)));
        base = commit;
    }
    [first, median(unchanged), median(changed), median(by_git)]
}

fn open(address: &str, state: &std::path::Path) -> Source {
    std::fs::create_dir(state).unwrap();
    Source::open(SourceConfig::new(address), state).unwrap()
}

fn read(source: &Source, base: Option<CommitId>) -> Duration {
    let start = Instant::now();
    source.read(&ReadSource { base }, &CancellationToken::new()).unwrap();
    start.elapsed()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn manifest(number: usize, tag: &str) -> String {
    format!(
        "apiVersion: image.openshift.io/v1\nkind: ImageStream\nmetadata:\n  name: stream-{number}\nspec:\n  tags:\n  - \
         name: latest\n    from:\n      kind: DockerImage\n      name: registry.example.com/team/image-{number}:{tag}\n    \
         importPolicy:\n      scheduled: true\n"
    )
}
