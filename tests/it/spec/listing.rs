//! Importing a whole repository (section 3.3), and tags that go (section 4.3).

use tidegate::action::{Input, Nudge};
use tidegate::fact::ImportReason::{InternalError, NotV2Registry, Unauthorized};
use tidegate::policy::{Policy, TagLimit};

use crate::support::engine::World;

const ALL: &str = "is all repository=r.io/all";

/// A world in which the tags of `r.io/all` were listed and imported, with nothing left to show.
fn listed(objects: &str, tags: &str) -> World {
    let mut world = World::new();
    world.commit(objects);
    world.list("r.io/all", tags);
    world.resolve_all("a");
    world.records();
    world
}

/// I40: a stream that was never imported is imported whole: its repository, and the tags that git writes.
#[test]
fn i040_a_new_stream_imports_its_repository_and_its_tags() {
    let mut world = World::new();
    world.commit(&format!("{ALL} own=r.io/own:1"));
    assert_eq!(world.pending(), "list r.io/all\nresolve r.io/own:1");
    world.list("r.io/all", "1.0 latest");
    assert_eq!(
        world.pending(),
        "resolve r.io/own:1\nresolve r.io/all:1.0\nresolve r.io/all:latest"
    );
}

/// I40: somebody who asks gets the repository listed again, whatever its schedule.
#[test]
fn i040_who_asks_gets_the_repository_listed_again() {
    let mut world = listed(ALL, "1.0");
    world.advance(100_000);
    assert_eq!(world.pending(), "", "without a schedule it is never due again");
    world.step(vec![Input::Nudged(Nudge::Repository("shop/all".parse().unwrap()))]);
    assert_eq!(world.pending(), "list r.io/all");
}

/// Law 4: a stream that waits for its turn at a registry stops waiting there when git names another repository, or none.
#[test]
fn law4_a_stream_waits_at_no_registry_that_it_has_left() {
    let policy = Policy { checks_in_flight_max: 1, ..World::policy() };
    let mut world = World::with(policy);
    world.commit(&format!("{ALL}\nis b repository=r.io/b\nis c repository=r.io/c"));
    assert_eq!(world.pending(), "list r.io/all");
    world.commit(&format!("{ALL}\nis b repository=x.io/b\nis c"));
    assert_eq!(world.pending(), "list r.io/all\nlist x.io/b");
    world.list("r.io/all", "1.0");
    assert_eq!(world.pending(), "list x.io/b\nresolve r.io/all:1.0");
}

/// I44 (replaced by I59): a listing is repeated by the schedule of its stream, and finds tags that appear later.
#[test]
fn i044_tags_that_appear_later_are_found() {
    let mut world = listed(&format!("{ALL} schedule=20m"), "1.0");
    world.advance(1_200 + 120);
    world.list("r.io/all", "1.0 1.1");
    world.resolve("r.io/all:1.1", "b");
    assert_eq!(world.tag("shop/all:1.1"), "#b r.io/all@#b @5; spec @5");
}

/// I55: an empty name counts as `latest`, names that occur twice count once, and the rest is what was left out.
#[test]
fn i055_the_first_tags_in_the_order_of_importance_are_imported() {
    let policy = Policy { tag_limit: TagLimit::First(3.try_into().unwrap()), ..World::policy() };
    let mut world = World::with(policy);
    world.commit(ALL);
    let tags = ["", "1.0", "1.0", "2.0.1", "edge", "2.1", "not a tag"].map(str::to_owned);
    let id = *world.actions.keys().next().unwrap();
    world.actions.remove(&id);
    let listing = tidegate::action::TagListing { tags: tags.into(), complete: true };
    world.step(vec![Input::Listed(id, Ok(listing))]);
    let records = world.records();
    let listed = records.lines().last().unwrap();
    assert_eq!(listed, "TagsListed all @2 1.0,2.1,latest +2.0.1 +edge");
}

/// I56: without a setting, fifty tags are imported.
#[test]
fn i056_fifty_tags_are_imported() {
    let mut world = World::new();
    world.commit(ALL);
    let tags: Vec<String> = (0..60).map(|n| format!("1.{n}")).collect();
    world.list("r.io/all", &tags.join(" "));
    let streams = &world.engine.desired().streams[&"shop/all".parse().unwrap()];
    assert_eq!(streams.tags.len(), 50);
    let has = |tag: &str| streams.tags.contains_key(&tag.parse().unwrap());
    assert!(has("1.59") && !has("1.9"));
    assert!(world.records().ends_with("+1.9 +1.8 +1.7 +1.6 +1.5 +1.4 +1.3 +1.2 +1.1 +1.0"));
}

/// I58 (spec tags written by the import are replaced by I59): a tag that git writes wins over the repository's.
#[test]
fn i058_a_tag_that_git_writes_wins() {
    let mut world = World::new();
    world.commit(&format!("{ALL} 1.0=r.io/own:1"));
    world.list("r.io/all", "1.0 1.1");
    assert_eq!(world.pending(), "resolve r.io/own:1\nresolve r.io/all:1.1");
    world.resolve_all("a");
    // One that git writes later takes over, and is listed again once git lets it go.
    world.commit(&format!("{ALL} 1.0=r.io/own:1 1.1=r.io/own:2"));
    assert_eq!(world.pending(), "resolve r.io/own:2");
}

/// I59: tags that a listing finds are spec tags of the journal: never in git, gone when the repository is.
#[test]
fn i059_derived_tags_go_with_the_repository() {
    let mut world = listed(ALL, "1.0 1.1");
    world.commit("is all");
    assert_eq!(
        world.records(),
        "CommitAdopted ~all@5()-1.0,1.1\n\
         TagRemoved all:1.0: Unreferenced\nTagRemoved all:1.1: Unreferenced"
    );
    assert_eq!(world.tag("shop/all:1.0"), "unknown");
}

/// I59: derived tags survive a restart and a commit that changes something else, without being asked again.
#[test]
fn i059_derived_tags_survive_a_restart() {
    let mut world = listed(ALL, "1.0");
    world.restart();
    assert_eq!(world.pending(), "");
    world.commit(&format!("{ALL} label=new"));
    assert_eq!((world.records().as_str(), world.pending().as_str()), ("CommitAdopted", ""));
    assert_eq!(world.tag("shop/all:1.0"), "#a r.io/all@#a @3; spec @3");
}

/// I60: a listing that fails is told, once, and tried again.
#[test]
fn i060_a_failed_listing_is_told_and_tried_again() {
    let mut world = World::new();
    world.commit(ALL);
    world.list_fails("r.io/all", InternalError, true);
    assert_eq!(
        world.records(),
        "CommitAdopted +all#1 ~all@1()\nListingFailed all InternalError: r.io/all failed"
    );
    world.advance(14);
    assert_eq!(world.pending(), "");
    world.advance(4);
    world.list_fails("r.io/all", InternalError, true);
    assert_eq!(world.records(), "", "the same failure is not told again");
    world.advance(40);
    world.list("r.io/all", "1.0");
    assert_eq!(world.records(), "TagsListed all @2 1.0");
}

/// I60: a failure that does not pass by itself is tried again at the interval only, also over a restart.
#[test]
fn i060_a_lasting_failure_waits_for_the_interval() {
    let mut world = World::new();
    world.commit(ALL);
    world.list_fails("r.io/all", Unauthorized, false);
    world.advance(899);
    assert_eq!(world.pending(), "");
    world.advance(91);
    world.list_fails("r.io/all", NotV2Registry, false);
    assert!(world.records().ends_with("ListingFailed all NotV2Registry: r.io/all failed"));
}

/// I93: a tag that left git keeps its history while something refers to it, and goes when nothing does any more.
#[test]
fn i093_a_removed_tag_stays_while_something_refers_to_it() {
    let mut world = World::new();
    world.commit("is web 1=r.io/web:1\ndc app app<web:1");
    world.resolve("r.io/web:1", "a");
    world.complete("app");
    world.records();
    world.commit("is web\ndc app app<web:1");
    assert_eq!(world.records(), "CommitAdopted ~web@3()-1");
    assert_eq!(world.tag("shop/web:1"), "#a r.io/web@#a @2; spec @0");
    world.commit("is web\ndc app app=r.io/x:1");
    let records = world.records();
    assert!(records.contains("TagRemoved web:1: Unreferenced"), "{records}");
    assert_eq!(world.tag("shop/web:1"), "unknown");
}

/// I93: the same holds for an alias of another stream.
#[test]
fn i093_an_alias_keeps_a_removed_tag() {
    let mut world = World::new();
    world.commit("is web 1=r.io/web:1\nis top latest=tag:web:1");
    world.resolve("r.io/web:1", "a");
    world.commit("is web\nis top latest=tag:web:1");
    assert_eq!(world.tag("shop/web:1"), "#a r.io/web@#a @2; spec @0");
    world.commit("is web\nis top");
    assert_eq!(world.tag("shop/web:1"), "unknown");
    assert_eq!(world.tag("shop/top:latest"), "unknown");
}

/// I93: a stream that prunes removed tags lets them go at once.
#[test]
fn i093_a_stream_that_prunes_lets_removed_tags_go_at_once() {
    let mut world = World::new();
    let stream = "is web prune=removed-tags";
    world.commit(&format!("{stream} 1=r.io/web:1\ndc app app<web:1"));
    world.resolve("r.io/web:1", "a");
    world.complete("app");
    world.commit(&format!("{stream}\ndc app app<web:1"));
    assert!(world.records().ends_with("TagRemoved web:1: RemovedTags"));
}

/// I194: the filter works before the cap; what it drops is not counted as left out.
#[test]
fn i194_the_filter_works_before_the_cap() {
    let mut world = World::new();
    world.commit(&format!("{ALL} filter=1.*;!*-rc limit=2"));
    world.list("r.io/all", "1.0 1.1 1.2 1.2-rc 2.0 latest");
    let records = world.records();
    assert_eq!(records.lines().last().unwrap(), "TagsListed all @2 1.1,1.2 +1.0");
}

/// I194: tags that git writes are not filtered.
#[test]
fn i194_tags_that_git_writes_are_not_filtered() {
    let mut world = World::new();
    world.commit(&format!("{ALL} filter=1.* own=r.io/own:1"));
    world.list("r.io/all", "1.0 own");
    assert_eq!(world.pending(), "resolve r.io/own:1\nresolve r.io/all:1.0");
}

/// I194: a changed filter makes the listing due; tags that no longer pass are treated as vanished.
#[test]
fn i194_a_changed_filter_makes_the_listing_due() {
    let mut world = listed(ALL, "1.0 2.0");
    world.commit(&format!("{ALL} filter=2.*"));
    world.list("r.io/all", "1.0 2.0");
    assert_eq!(
        world.records(),
        "CommitAdopted\n\
         TagsListed all @5 2.0 -1.0 Filtered 1\n\
         ImportFailed all:1.0 NotFound @5: it does not pass `tidegate.dev/tag-filter` any more"
    );
}

/// I195: the cap of a stream replaces the setting; a tag that is pushed past it is treated as vanished.
#[test]
fn i195_a_tag_that_is_pushed_past_the_cap_vanishes() {
    let mut world = listed(&format!("{ALL} limit=2 schedule=20m"), "1.0 1.1");
    world.advance(1_200 + 120);
    world.list("r.io/all", "1.0 1.1 1.2");
    world.resolve_all("a");
    let records = world.records();
    let first: Vec<_> = records.lines().take(2).collect();
    assert_eq!(
        first,
        [
            "TagsListed all @5 1.1,1.2 -1.0 BeyondLimit 1 +1.0",
            "ImportFailed all:1.0 NotFound @5: it is not among the first 2 tags any more"
        ]
    );
}

/// I195: `-1` means all.
#[test]
fn i195_minus_one_means_all() {
    let mut world = World::new();
    world.commit(&format!("{ALL} limit=-1"));
    let tags: Vec<String> = (0..200).map(|n| format!("1.{n}")).collect();
    world.list("r.io/all", &tags.join(" "));
    let stream = &world.engine.desired().streams[&"shop/all".parse().unwrap()];
    assert_eq!(stream.tags.len(), 200);
}

/// I196: a tag that vanished keeps its history, says so, and is not imported any more; it may come back.
#[test]
fn i196_a_vanished_tag_keeps_its_history_and_may_come_back() {
    let mut world = listed(&format!("{ALL} schedule=20m"), "1.0 1.1");
    world.advance(1_200 + 120);
    world.list("r.io/all", "1.1");
    world.resolve_all("a");
    let tag = world.tag("shop/all:1.0");
    assert_eq!(tag, "#a r.io/all@#a @3; NotFound @5; spec @5");
    assert_eq!(
        world.records(),
        "TagsListed all @5 1.1 -1.0 Gone 1\n\
         ImportFailed all:1.0 NotFound @5: dockerimage.image.openshift.io \"r.io/all:1.0\" not found"
    );
    world.advance(1_200 + 120);
    assert!(!world.pending().contains("r.io/all:1.0"), "{}", world.pending());
    world.list("r.io/all", "1.0 1.1");
    world.resolve_all("b");
    assert!(world.tag("shop/all:1.0").starts_with("#b r.io/all@#b "));
}

/// I196: with `vanished-tags` it goes once two complete listings in a row lacked it and nothing uses it.
#[test]
fn i196_a_vanished_tag_goes_after_two_listings_if_nothing_uses_it() {
    let stream = format!("{ALL} schedule=20m prune=vanished-tags");
    let mut world = listed(&format!("{stream}\ndc app app<all:1.0"), "1.0 1.1 1.2");
    world.complete("app");
    for _ in 0..2 {
        assert_ne!(world.tag("shop/all:1.1"), "unknown");
        world.advance(1_200 + 120);
        world.list("r.io/all", "1.2");
        world.resolve_all("a");
    }
    assert_eq!(world.tag("shop/all:1.1"), "unknown");
    assert!(world.tag("shop/all:1.0").starts_with("#a "), "it is used");
    assert!(world.held().contains("tag all:1.0 is not in its repository any more"));
    world.commit(&stream);
    world.complete("app");
    assert_eq!(world.tag("shop/all:1.0"), "unknown");
    assert_eq!(world.held(), "");
}

/// I196: a listing that failed, was cut short or is empty removes nothing.
#[test]
fn i196_a_listing_that_is_not_whole_removes_nothing() {
    let mut world = listed(&format!("{ALL} schedule=20m prune=vanished-tags"), "1.0 1.1");
    for tags in ["", "1.1 ...", ""] {
        world.advance(1_200 + 120);
        world.list("r.io/all", tags);
        world.resolve_all("a");
    }
    world.advance(1_200 + 120);
    world.list_fails("r.io/all", InternalError, true);
    assert_eq!(world.tag("shop/all:1.0"), "#a r.io/all@#a @3; spec @3");
    assert_eq!(world.records(), "ListingFailed all InternalError: r.io/all failed");
}

/// I78: what is answered to a question that git has changed meanwhile is dropped, and the new one is asked.
#[test]
fn i078_a_listing_of_another_repository_is_dropped() {
    let mut world = World::new();
    world.commit(ALL);
    world.commit("is all repository=r.io/other");
    world.list("r.io/all", "1.0");
    assert_eq!(world.pending(), "list r.io/other");
    assert!(!world.records().contains("TagsListed"));
}

/// Y19: importing a whole repository overwrites no tag of git, and is repeated where the stream says so.
#[test]
fn y019_a_repository_import_overwrites_nothing_and_is_repeated() {
    let mut world = listed(&format!("{ALL} schedule=20m 1.0=r.io/own:1"), "1.0 1.1");
    assert!(world.tag("shop/all:1.0").contains("r.io/own@"));
    world.advance(1_200 + 120);
    assert!(world.pending().contains("list r.io/all"));
}

/// Y20: the failure of a listing is visible, in the journal and in what is held.
#[test]
fn y020_the_failure_of_a_listing_is_visible() {
    let mut world = World::new();
    world.commit(ALL);
    world.list_fails("r.io/all", Unauthorized, false);
    let stream = &world.engine.observed().streams[&"shop/all".parse().unwrap()];
    let failure = stream.listing.as_ref().unwrap().failure.as_ref().unwrap();
    assert_eq!((failure.reason, failure.message.as_str()), (Unauthorized, "r.io/all failed"));
}
