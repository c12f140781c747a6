//! What is read of a snapshot for a list of streams shows the same as the whole of it (rule I120).

use std::collections::BTreeSet;
use std::time::Duration;

use tidegate::action::{ImageContents, PruneRequest, Request};
use tidegate::effective;
use tidegate::fact::{Fact, Keep, PruneOptions, Record};
use tidegate::observed::{Narrow, ObservedState, Outline};
use tidegate::report::log::streams_named;
use tidegate::time::Span;

use crate::support::engine::World;
use crate::support::start::{APP, moves};

/// A journal with what changes streams: imports, failures, pushes, listings, tags and streams that go, a prune.
fn eventful() -> World {
    let mut world = World::new();
    world.commit(&format!("{APP}\nis all repository=r.io/all\nis far at=tag:web:latest"));
    world.resolve("r.io/web:1", "a");
    world.complete("app");
    world.list("r.io/all", "1.0 latest");
    world.resolve_all("a");
    world.advance(60);
    moves(&mut world, "b");
    world.complete("app");
    world.nudge("shop/web:latest");
    world.resolve_fails("r.io/web:1", tidegate::fact::ImportReason::Unauthorized, false);
    world.push("shop/new:x", "r.io/team/new", "c");
    world.advance(60);
    world.commit("is web stable=r.io/web:2\nis far at=tag:web:stable");
    world.resolve("r.io/web:2", "a");
    world.push("shop/new:x", "r.io/team/new", "d");
    let keep = Keep::Recent { revisions: 1, younger_than: Span(Duration::ZERO) };
    let (namespace, contents) = (None, ImageContents::default());
    let options =
        PruneOptions { keep, all: true, namespace, ignore_invalid: false, registry: false };
    world.ask(Request::Prune(Box::new(PruneRequest { options, confirm: true, contents })));
    world.commit("is web stable=r.io/web:2\nis other\nis all repository=r.io/all");
    world
}

/// The outline that is kept beside a snapshot, written and read.
fn packed(narrow: &Narrow<'_>, snapshot: &str) -> Outline {
    let place = |part: &str| {
        let begin = part.as_ptr().addr() - snapshot.as_ptr().addr();
        Some(begin as u64..(begin + part.len()) as u64)
    };
    let texts = narrow.texts(place).unwrap();
    let again: Narrow<'_> = serde_json::from_str(snapshot).unwrap();
    let state = again.outlined(&BTreeSet::new()).unwrap();
    let outline = Outline::of(state, texts).unwrap();
    let bytes = postcard::to_stdvec(&outline).unwrap();
    assert_eq!(postcard::from_bytes::<Outline>(&bytes).unwrap(), outline);
    outline
}

#[test]
fn i120_rows_are_the_same_from_an_outline_of_any_snapshot_and_the_records_behind_it() {
    let world = eventful();
    let (desired, policy) = (world.engine.desired(), world.engine.policy());
    let rows = |observed: &ObservedState| -> Vec<_> {
        effective::stream_names(desired, observed)
            .map(|name| effective::outline(desired, observed, policy, name))
            .collect()
    };
    let expected = rows(world.engine.observed());
    assert!(expected.len() >= 4, "{expected:?}");
    let is_prune = |record: &Record| matches!(record.fact, Fact::ImagesPruned(_));
    assert!(world.journal.iter().any(is_prune), "nothing was pruned");
    for cut in 0..=world.journal.len() {
        let (before, behind) = world.journal.split_at(cut);
        let snapshot = serde_json::to_string(&ObservedState::default().replay(before)).unwrap();
        let narrow: Narrow<'_> = serde_json::from_str(&snapshot).unwrap();
        let whole = behind.iter().flat_map(|record| streams_named(&record.fact)).collect();
        let packed = packed(&narrow, &snapshot);
        let outlined = narrow.outlined(&whole).unwrap().replay(behind);
        assert_eq!(rows(&outlined), expected, "a snapshot at {cut}");
        let texts = whole.iter().filter_map(|name| Some((name.clone(), packed.text(name)?)));
        let read = texts.map(|(name, text)| {
            let [begin, end] =
                [text.range.start, text.range.end].map(|at| usize::try_from(at).unwrap());
            (name, serde_json::from_str(&snapshot[begin..end]).unwrap())
        });
        let whole = read.collect();
        let unpacked = packed.clone().state(whole).replay(behind);
        assert_eq!(rows(&unpacked), expected, "an outline beside a snapshot at {cut}");
    }
}
