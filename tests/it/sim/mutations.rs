//! The proof that the simulator sees: each deliberate bug is caught, and the story that catches it is short.

use std::sync::Mutex;

use tidegate::sabotage::{self, Bug};

use super::rng::Plot;
use super::shrink::shrink;
use super::{Played, TICKS, number, play};

/// Seeds that a bug may take.
const SEEDS_MAX: u64 = 2_000;

/// Seeds that are known to catch a bug that few do, below [`SEEDS_MAX`]: tried first, so that an ordinary run does not take
/// minutes. After a change of the simulator another seed may; then all are tried, and the one that did belongs here.
const RARE: &[(Bug, u64)] = &[
    (Bug::IgnoreRunPolicy, 7),
    (Bug::StopTwice, 8),
    (Bug::TrustEmptyTree, 8),
    (Bug::CutTooMuch, 9),
    (Bug::PruneInUse, 9),
    (Bug::SkipDirectorySync, 11),
    (Bug::KeepPlace, 19),
    (Bug::WriteInPlace, 24),
    (Bug::CollectAtOnce, 42),
    (Bug::TrustFailedSync, 46),
    (Bug::TagAgain, 57),
    (Bug::KeepOverlay, 87),
    (Bug::IgnoreInterval, 127),
    (Bug::ForgetScale, 130),
];

/// The first seed that breaks a law with a bug switched on in this thread.
fn caught(bug: Bug, seeds: u64) -> Option<(u64, Played)> {
    sabotage::set(Some(bug));
    let rare = RARE.iter().filter(|(rare, seed)| *rare == bug && *seed < seeds);
    let order = rare.map(|(_, seed)| *seed).chain(0..seeds);
    let mut played = order.map(|seed| (seed, play(Plot::Seed(seed, TICKS), None)));
    let caught = played.find(|(_, played)| played.broken.is_some());
    sabotage::set(None);
    caught
}

/// Switches each bug on; `SIM_BUGS=N` plays at most N seeds for each, `SIM_BUG=NAME` tries that one alone.
#[test]
fn every_bug_is_caught() {
    let seeds = number("SIM_BUGS").unwrap_or(SEEDS_MAX);
    let only = std::env::var("SIM_BUG").ok();
    let wanted = |bug: &Bug| only.as_ref().is_none_or(|only| *only == format!("{bug:?}"));
    let bugs: Vec<Bug> = Bug::ALL.into_iter().filter(wanted).collect();
    let tried = bugs.len();
    let bugs = Mutex::new(bugs.into_iter());
    let lines = Mutex::new(Vec::new());
    let work = || {
        loop {
            let Some(bug) = bugs.lock().unwrap().next() else { return };
            let line = match caught(bug, seeds) {
                Some((seed, Played { broken: Some(broken), .. })) => {
                    let why = broken.why.replace('\n', " ");
                    let why: String = why.chars().take(100).collect();
                    (true, format!("{bug:?}: caught by seed {seed}: {why}"))
                }
                _ => (false, format!("{bug:?}: not caught in {seeds} seeds")),
            };
            println!("{}", line.1);
            lines.lock().unwrap().push(line);
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(work);
        scope.spawn(work);
    });
    let lines = lines.into_inner().unwrap();
    let missed: Vec<_> = lines.iter().filter(|(caught, _)| !caught).map(|(_, l)| l).collect();
    assert!(lines.len() == tried && tried > 0, "not every bug was tried");
    assert!(missed.is_empty(), "the simulator is blind: {missed:#?}");
}

/// A failing seed becomes a story of a few events that breaks the same law, and replays.
#[test]
fn a_failing_seed_is_shrunk_to_a_short_story() {
    for (bug, events_max) in [(Bug::DoubleTrigger, 3), (Bug::SkipAppendSync, 8)] {
        let (_, long) = caught(bug, SEEDS_MAX).expect("it is caught");
        let broken = long.broken.unwrap();
        sabotage::set(Some(bug));
        let story = shrink(long.story, &broken);
        let short = play(Plot::Story(&story), None);
        let again = play(Plot::Story(&story), None);
        sabotage::set(None);
        assert_eq!(short.broken.as_ref().map(|b| &b.place), Some(&broken.place), "{bug:?}");
        assert_eq!(short.broken, again.broken, "{bug:?}: it replays");
        assert!(short.events <= events_max, "{bug:?}: {} events", short.events);
    }
}
