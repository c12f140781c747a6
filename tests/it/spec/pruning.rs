//! Pruning of images (section 7 of the image-stream specification).

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::time::Duration;

use proptest::prelude::*;
use tidegate::action::{ImageContents, PruneRequest, Request};
use tidegate::effective;
use tidegate::fact::{Keep, Outcome, PruneOptions, PrunedItems};
use tidegate::names::{Digest, Seq, StreamTag};
use tidegate::observed::tag_history::TagItem;
use tidegate::plan::prune::Pruning;
use tidegate::policy::Policy;
use tidegate::report;
use tidegate::report::prune::{Manifests, to_text};
use tidegate::time::Span;

use crate::support::engine::World;
use crate::support::manifest;
use crate::support::start::{committed, moves};
use crate::support::story::digest;

const WEB: &str = "is web latest=r.io/web:1";

/// What is kept is this many revisions, whatever its age.
fn keep(revisions: u64) -> PruneOptions {
    younger(revisions, 0)
}

/// What is kept is this many revisions and what is younger than this many seconds.
fn younger(revisions: u64, seconds: u64) -> PruneOptions {
    let keep = Keep::Recent { revisions, younger_than: Span(Duration::from_secs(seconds)) };
    PruneOptions { keep, all: true, namespace: None, ignore_invalid: false, registry: true }
}

fn request(options: PruneOptions, confirm: bool) -> Request {
    let contents = ImageContents::default();
    Request::Prune(Box::new(PruneRequest { options, confirm, contents }))
}

fn prune(world: &mut World, options: PruneOptions) -> String {
    world.ask(request(options, true))
}

/// What goes, as the last answer says.
fn gone(world: &World) -> &Pruning {
    &world.pruned.as_ref().expect("an answer").pruning
}

fn delete(world: &mut World, name: &str) -> String {
    world.ask(Request::DeleteImage(digest(name)))
}

fn stream_tag(text: &str) -> StreamTag {
    format!("shop/{text}").parse().unwrap()
}

const NAMES: [&str; 6] = ["a", "b", "c", "d", "x", "y"];

/// The images of a tag, newest first; `-` for an item without one.
fn images(world: &World, tag: &str) -> String {
    let Some(state) = world.engine.observed().tag(&stream_tag(tag)) else { return "gone".into() };
    let name = |item: &TagItem| match item.event.image {
        Some(image) => NAMES.into_iter().find(|name| digest(name) == image).unwrap(),
        None => "-",
    };
    state.items.iter().map(name).collect()
}

/// The images that there are.
fn known(world: &World) -> String {
    let known = effective::images(world.engine.observed());
    NAMES.into_iter().filter(|name| known.contains_key(&digest(name))).collect()
}

/// A world whose `web:latest` had these images, the last one now; `more` stands in git beside it.
fn history(names: &str, more: &str) -> World {
    let mut world = committed(&format!("{WEB}\n{more}"));
    for (at, name) in names.split("").filter(|name| !name.is_empty()).enumerate() {
        if at == 0 {
            world.resolve("r.io/web:1", name);
        } else {
            moves(&mut world, name);
        }
    }
    world.records();
    world
}

/// A world whose `web:latest`, which git does not name, was pushed to `r.io/web` as each of these in turn.
fn pushed(names: &str, objects: &str) -> World {
    let mut world = committed(objects);
    for name in names.split("").filter(|name| !name.is_empty()) {
        assert_eq!(world.push("shop/web:latest", "r.io/web", name), "done");
    }
    world.records();
    world
}

/// A world in which `app`, in these words, ran each of these images of `web:latest` in turn.
fn rolled_out(names: &str, app: &str) -> World {
    let mut world = committed(&format!("{WEB}\n{app}"));
    for (at, name) in names.split("").filter(|name| !name.is_empty()).enumerate() {
        if at == 0 {
            world.resolve("r.io/web:1", name);
        } else {
            moves(&mut world, name);
        }
        world.complete("app");
    }
    world.records();
    world
}

/// Exit code and standard error of a command that cannot be meant.
fn refused(arguments: &[&str]) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(crate::support::daemon::program());
    let output = command.env_clear().current_dir(folder.path()).args(arguments).output().unwrap();
    assert_eq!(output.stdout, b"");
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

/// I152: what cannot be meant is refused in the words of `oc`, with or without `adm`.
#[test]
fn i152_what_cannot_be_meant_is_refused_in_the_words_of_oc() {
    let both = "--prune-over-size-limit cannot be specified with --keep-tag-revisions nor --keep-younger-than";
    for (flags, why) in [
        (vec!["--prune-over-size-limit", "--keep-tag-revisions=1"], both),
        (vec!["--prune-over-size-limit=true", "--keep-younger-than=0"], both),
        (vec!["--keep-younger-than=-1m"], "--keep-younger-than must be greater than or equal to 0"),
        (
            vec!["--keep-tag-revisions=-1"],
            "--keep-tag-revisions must be greater than or equal to 0",
        ),
        (
            vec!["--certificate-authority=ca.crt", "--force-insecure"],
            "--certificate-authority cannot be specified with --force-insecure",
        ),
    ] {
        for before in [&["prune", "images"][..], &["adm", "prune", "images"]] {
            let found = refused(&[before, &flags].concat());
            assert_eq!(found, (Some(1), format!("error: {why}\n")), "{flags:?}");
        }
    }
    let (code, said) = refused(&["adm", "prune", "images", "all", "--oc-compatible"]);
    assert_eq!(code, Some(1));
    insta::assert_snapshot!(said, @r"
    error: no arguments are allowed to this command
    See 'oc adm prune images -h' for help and examples
    ");
}

fn build(strategy: &str, source: &str) -> String {
    format!(
        "apiVersion: build.openshift.io/v1\nkind: BuildConfig\nmetadata: {{name: made, namespace: shop}}\n\
         spec:\n  source: {{git: {{uri: 'https://git.example.com/app.git'}}, images: [{source}]}}\n  \
         strategy: {{type: Source, sourceStrategy: {{from: {strategy}}}}}\n"
    )
}

/// I153 as I156 has it: containers and init containers of workloads in git are users, and so is what builds are made from.
#[test]
fn i153_manifests_in_git_are_users() {
    let pinned = |name: &str| format!("r.io/elsewhere@{}", digest(name));
    let job = format!("dc job init:one={} two={} noconfig", pinned("a"), pinned("b"));
    let mut world = history("abcd", &job);
    prune(&mut world, keep(0));
    assert_eq!(images(&world, "web:latest"), "dba");
    // P24: a build in git is one, too.
    let mut world = history("abcd", "");
    let hex = &digest("c").to_string()[7..19];
    let strategy = format!("{{kind: ImageStreamImage, name: 'web@{hex}'}}");
    let source = format!(
        "{{from: {{kind: DockerImage, name: '{}'}}, paths: [{{sourcePath: /a, destinationDir: b}}]}}",
        pinned("b")
    );
    let mut files = manifest::files(WEB);
    files.insert("build.yaml".into(), build(&strategy, &source));
    world.commit_files(files);
    prune(&mut world, keep(0));
    assert_eq!(images(&world, "web:latest"), "dcb", "only `a` has no user any more");
    // The current item of a tag that a build is made from, although git does not name the tag any more.
    let mut files = manifest::files("is web");
    let strategy = "{kind: ImageStreamTag, name: 'web:latest'}";
    files.insert("build.yaml".into(), build(strategy, ""));
    world.commit_files(files);
    prune(&mut world, keep(0));
    assert_eq!(images(&world, "web:latest"), "d");
    world.commit("is web");
    prune(&mut world, keep(0));
    assert_eq!(images(&world, "web:latest"), "gone");
}

/// I154 as I156 has it: a reference counts by its recorded repository, not by two names that happen to be a stream's.
#[test]
fn i154_a_reference_counts_by_its_repository() {
    let mut world = history("ab", "dc job one=elsewhere.io/shop/web:latest noconfig");
    world.commit("is web\ndc job one=elsewhere.io/shop/web:latest noconfig");
    prune(&mut world, keep(0));
    assert_eq!(images(&world, "web:latest"), "gone");
    let mut world = pushed("ab", "is web\ndc job one=r.io/web noconfig");
    prune(&mut world, keep(0));
    assert_eq!(images(&world, "web:latest"), "b", "its current item");
}

/// I155 as I156 has it: a reference that cannot be read protects nothing, is told, and stops nothing; blanks are none.
#[test]
fn i155_a_bad_reference_is_a_warning() {
    let mut world = history("ab", "dc job one=r.io/UPPER noconfig\ndc idle app~web:none noconfig");
    assert_eq!(
        prune(&mut world, keep(1)),
        "Deleting 1 items from image stream web Deleting image #a Summary: deleted 1 image object(s), \
         deleted 1 image stream tag item(s), updated 1 image stream(s)"
    );
    assert_eq!(
        gone(&world).warnings,
        [
            "deploymentconfigs/job namespace=shop: container one: invalid image reference \"r.io/UPPER\": repository name \
          must be lowercase; it protects no image"
        ]
    );
    prune(&mut world, PruneOptions { ignore_invalid: true, ..keep(1) });
    assert_eq!(gone(&world).warnings, [""; 0]);
}

/// I156: what is rolled out, what would be put back, and what a rollback goes to are in use.
#[test]
fn i156_x053_what_runs_and_what_a_rollback_needs_stays() {
    let mut world = rolled_out("abcd", "dc app app<web:latest");
    prune(&mut world, keep(0));
    assert_eq!(images(&world, "web:latest"), "dc", "it runs `d`, and would go back to `c`");
    moves(&mut world, "x");
    prune(&mut world, keep(0));
    assert_eq!(
        images(&world, "web:latest"),
        "xdc",
        "while `x` is tried, `d` may have to be put back"
    );
    world.refuse("app");
    world.complete("app");
    prune(&mut world, keep(0));
    assert_eq!(images(&world, "web:latest"), "xdc", "`d` runs again");
    world.restart();
    prune(&mut world, keep(0));
    assert_eq!(images(&world, "web:latest"), "xdc");
}

/// I156: a workload whose manifest is gone is a user until it is stopped; a rollout is one while it is young.
#[test]
fn i156_what_is_not_stopped_yet_is_in_use() {
    let mut world = rolled_out("ab", "dc app app<web:latest");
    moves(&mut world, "c");
    world.complete("app");
    world.commit(WEB);
    prune(&mut world, keep(0));
    assert_eq!(images(&world, "web:latest"), "cb");
    world.complete("app");
    prune(&mut world, younger(0, 1));
    assert_eq!(images(&world, "web:latest"), "cb", "as a pod that finished less than that ago");
    world.advance(2);
    prune(&mut world, younger(0, 1));
    assert_eq!(images(&world, "web:latest"), "c");
}

/// I156: triggers, aliases and pins are users: the first two of the current item, pins of the one that they name.
#[test]
fn i156_triggers_aliases_and_pins_are_users() {
    let hex = &digest("a").to_string()[7..17];
    for (user, left) in [
        ("dc app app~web:latest noconfig".to_owned(), "c"),
        ("deploy app app<web:latest".to_owned(), "c"),
        ("is other at=tag:web:latest".to_owned(), "c"),
        (format!("is other at=image:web@{hex}"), "a"),
        ("is other at=tag:web:another".to_owned(), "gone"), // by itself: rule I93
    ] {
        let mut world = history("abc", &user);
        world.commit(&format!("is web\n{user}"));
        prune(&mut world, keep(0));
        let found = images(&world, "web:latest");
        assert!(found.starts_with(left), "{user}: {found}");
        let rest = if user.starts_with("deploy") { found.len() <= 3 } else { found == left };
        assert!(rest, "{user}: {found}");
    }
}

/// I157: young streams, young items and the newest revisions stay; the rest goes in one record.
#[test]
fn i157_young_and_new_items_stay() {
    let mut world = committed(WEB);
    world.resolve("r.io/web:1", "a");
    world.advance(100);
    moves(&mut world, "b");
    world.advance(100);
    moves(&mut world, "c");
    moves(&mut world, "d");
    world.records();
    prune(&mut world, younger(0, 300));
    assert_eq!(images(&world, "web:latest"), "dcba", "the stream is younger than that");
    prune(&mut world, keep(4));
    assert_eq!(images(&world, "web:latest"), "dcba");
    assert_eq!(world.records(), "", "nothing is no record");
    prune(&mut world, younger(1, 150));
    assert_eq!(images(&world, "web:latest"), "dcb", "`a` is older, and `b` is not");
    prune(&mut world, younger(1, 50));
    assert_eq!(images(&world, "web:latest"), "dc");
    prune(&mut world, keep(1));
    assert_eq!(images(&world, "web:latest"), "d");
    assert_eq!(
        world.records(),
        "ImagesPruned web:latest-1 #a\nImagesPruned web:latest-1 #b\nImagesPruned web:latest-1 #c"
    );
}

/// I157: a tag that git does not have loses its last item and is gone; the spec is never touched.
#[test]
fn i157_a_tag_without_items_is_gone_and_the_spec_stays() {
    let mut world = pushed("ab", "is web next=-");
    let before = world.engine.desired().clone();
    assert_eq!(prune(&mut world, keep(0)).matches("Deleting 2 items").count(), 1);
    assert_eq!(images(&world, "web:latest"), "gone");
    assert_eq!(world.tag("shop/web:next"), "spec @1");
    assert_eq!(world.engine.desired(), &before);
}

/// I157: by size, only images over the limit of their namespace go, whatever their age and number.
#[test]
fn i157_by_size_only_what_is_over_the_limit_goes() {
    let limit = |bytes| [("shop".parse().unwrap(), bytes)].into();
    let policy = Policy { image_size_limits: limit(10), ..World::policy() };
    let mut world = World::with(policy);
    world.commit(WEB);
    world.resolve("r.io/web:1", "a");
    for name in ["b", "c", "d"] {
        moves(&mut world, name);
    }
    let sizes = [("a", 10), ("b", 11), ("d", 12)].map(|(name, size)| (digest(name), size));
    let contents = ImageContents { sizes: sizes.into(), ..ImageContents::default() };
    let options = PruneOptions { keep: Keep::WithinLimit, ..keep(0) };
    let order = PruneRequest { options: options.clone(), confirm: true, contents };
    world.ask(Request::Prune(Box::new(order.clone())));
    // `a` is not over it, what `c` has is not known, and `d` is the image of the tag.
    assert_eq!(images(&world, "web:latest"), "dca");
    assert_eq!(known(&world), "acd");
    world.engine.set_policy(World::policy());
    world.ask(Request::Prune(Box::new(order)));
    assert_eq!(gone(&world).items, []);
    let warning = &gone(&world).warnings[0];
    assert!(warning.contains("`limits.\"NAMESPACE\".image_size`"), "{warning}");
}

/// I158: items whose image is deleted go however many revisions are kept; not the image of a tag of the spec (I159).
#[test]
fn i158_items_of_deleted_images_go() {
    let mut world = history("abcd", "is other at=r.io/other:1");
    world.resolve("r.io/other:1", "b");
    for name in ["b", "d"] {
        assert_eq!(delete(&mut world, name), "done");
    }
    prune(&mut world, younger(9, 1));
    assert_eq!(images(&world, "web:latest"), "dcba", "they are too young");
    prune(&mut world, keep(9));
    assert_eq!(images(&world, "web:latest"), "dca");
    assert_eq!(images(&world, "other:at"), "b", "the spec still names the tag");
    world.commit("is web\nis other");
    prune(&mut world, keep(9));
    assert_eq!(images(&world, "other:at"), "gone");
    assert!(world.engine.observed().images.is_empty(), "nothing is left to remember");
    let mut world = pushed("acd", "is web");
    delete(&mut world, "d");
    prune(&mut world, keep(9));
    assert_eq!(images(&world, "web:latest"), "ca", "its first item, too");
}

/// I159: an item without an image is not one whose image is missing, and a tag of the spec keeps its first item.
#[test]
fn i159_reference_tags_keep_what_they_are() {
    let mut world = committed("is web at=r.io/one:1,reference");
    world.commit("is web at=r.io/two:1,reference");
    world.commit("is web at=r.io/three:1,reference");
    prune(&mut world, keep(3));
    assert_eq!(images(&world, "web:at"), "---");
    prune(&mut world, keep(0));
    assert_eq!(images(&world, "web:at"), "-", "older ones go by their number");
    prune(&mut world, keep(0));
    assert_eq!(images(&world, "web:at"), "-");
}

/// I160 as I156 and I164 have it: an image goes with its last item, unless it is part of an index that stays, or
/// `--all=false` asks for pushed images alone.
#[test]
fn i160_an_image_goes_with_its_last_item() {
    let mut world = history("abc", "is other at=r.io/other:1");
    world.resolve("r.io/other:1", "b");
    prune(&mut world, keep(1));
    assert_eq!((images(&world, "web:latest"), known(&world)), ("c".into(), "bc".into()));
    let mut world = history("abc", "");
    let parts = [(digest("c"), vec![digest("b")])].into();
    let contents = ImageContents { parts, ..ImageContents::default() };
    let order = PruneRequest { options: keep(1), confirm: true, contents };
    world.ask(Request::Prune(Box::new(order)));
    assert_eq!(gone(&world).images, [digest("a")]);
    assert_eq!((images(&world, "web:latest"), known(&world)), ("c".into(), "bc".into()));
    let mut world = history("abc", "");
    prune(&mut world, PruneOptions { all: false, ..keep(1) });
    assert_eq!((images(&world, "web:latest"), known(&world)), ("c".into(), "abc".into()));
    prune(&mut world, younger(1, 60));
    assert_eq!(known(&world), "abc", "they are too young");
    world.restart();
    // What runs counts here as well.
    world.commit(&format!("{WEB}\ndc job one=r.io/elsewhere@{} noconfig", digest("b")));
    assert_eq!(prune(&mut world, keep(1)).matches("Deleting image").count(), 1);
    assert_eq!(known(&world), "bc");
    world.complete("job");
    world.commit(WEB);
    prune(&mut world, keep(1));
    assert_eq!(known(&world), "bc", "it is not stopped yet");
    world.complete("job");
    prune(&mut world, keep(1));
    assert_eq!(known(&world), "c");
}

/// I161: a dry run tells both stages, and changes nothing.
#[test]
fn i161_a_dry_run_tells_what_would_happen() {
    let mut world = history("ab", "");
    let before = world.engine.observed().clone();
    let told = world.ask(request(keep(1), false));
    assert_eq!(world.pruned.as_ref().unwrap().record, None);
    assert_eq!((world.records(), world.engine.observed()), (String::new(), &before));
    assert!(told.contains("Deleting image #a"), "{told}");
    assert_eq!(prune(&mut world, keep(1)), told, "and that is what happens");
    assert_eq!(world.pruned.as_ref().unwrap().record, Some(world.engine.observed().last_seq));
}

/// I162: a stream that lost everything stays, and is told (K22).
#[test]
fn i162_an_empty_stream_stays() {
    let mut world = history("a", "is full at=r.io/full:1,reference");
    world.commit("is web\nis full at=r.io/full:1,reference");
    prune(&mut world, keep(0));
    assert_eq!(images(&world, "web:latest"), "gone");
    let (desired, observed) = (world.engine.desired(), world.engine.observed());
    assert!(
        effective::stream(desired, observed, world.engine.policy(), &"shop/web".parse().unwrap())
            .is_some()
    );
    assert_eq!(gone(&world).empty, ["shop/web".parse().unwrap()]);
    insta::assert_snapshot!(
        report::prune::empty_streams(gone(&world)).unwrap(),
        @"Image streams without an image, which stay until git removes them: shop/web"
    );
}

/// I163: the lines of `oc`, streams by name, then digests, then the summary without what is zero.
#[test]
fn i163_a_prune_prints_what_oc_prints() {
    let items = |tag: &str, seqs: &[u64]| PrunedItems {
        tag: tag.parse().unwrap(),
        items: seqs.iter().map(|seq| Seq(*seq)).collect(),
    };
    let zeros: Digest = format!("sha256:{}", "0".repeat(64)).parse().unwrap();
    let ones: Digest = format!("sha256:{}", "1".repeat(64)).parse().unwrap();
    let pruning = Pruning {
        items: vec![
            items("a/web:1", &[1, 2]),
            items("a/web:latest", &[3]),
            items("shop/api:latest", &[4]),
        ],
        images: vec![zeros, ones],
        manifests: vec![("a/web".parse().unwrap(), zeros)],
        ..Pruning::default()
    };
    insta::assert_snapshot!(to_text(&pruning, Manifests::Deleted), @r"
    Deleting 3 items from image stream a/web
    Deleting 1 items from image stream shop/api
    Deleting manifest link sha256:0000000000000000000000000000000000000000000000000000000000000000 in repository a/web
    Deleting image sha256:0000000000000000000000000000000000000000000000000000000000000000
    Deleting image sha256:1111111111111111111111111111111111111111111111111111111111111111
    Summary: deleted 2 image object(s), deleted 4 image stream tag item(s), updated 2 image stream(s), deleted 1 manifest link(s)
    ");
    assert!(!to_text(&pruning, Manifests::Untouched).contains("manifest link"));
    let nothing = to_text(&Pruning::default(), Manifests::Untouched);
    assert_eq!(nothing, "Summary: deleted 0 objects\n");
    assert_eq!(
        report::prune::ONLY_OBJECTS,
        "Only API objects will be removed.  No modifications to the image registry will be made."
    );
    assert_eq!(
        report::prune::DRY_RUN,
        "Dry run enabled - no modifications will be made. Add --confirm to remove images"
    );
}

/// I164: one record lists everything that went, with who asked; what a managed registry would lose is told by stream.
#[test]
fn i164_one_record_lists_everything() {
    let mut world = history("abc", "is other at=r.io/other:1");
    world.resolve("r.io/other:1", "a");
    world.nudge("shop/other:at");
    world.resolve("r.io/other:1", "x");
    world.nudge("shop/other:at");
    world.resolve("r.io/other:1", "c");
    world.records();
    prune(&mut world, keep(1));
    let manifests: BTreeSet<_> = gone(&world).manifests.iter().cloned().collect();
    let stream = |name: &str| format!("shop/{name}").parse().unwrap();
    let lost = [("web", "a"), ("web", "b"), ("other", "a"), ("other", "x")];
    assert_eq!(manifests, lost.map(|(name, image)| (stream(name), digest(image))).into());
    let record = world.journal.last().unwrap();
    let tidegate::fact::Fact::ImagesPruned(fact) = &record.fact else { panic!("{record:?}") };
    assert_eq!((fact.item_count(), fact.images.len(), fact.by.as_str()), (4, 3, "ann"));
    assert_eq!(world.records().lines().count(), 1);
}

/// I164: while nobody knows what the manifests use, nothing goes.
#[test]
fn i164_without_the_adopted_commit_nothing_goes() {
    let mut world = history("ab", "dc job one=r.io/web:1 noconfig");
    let found = world.engine.pruning(&keep(0), &ImageContents::default(), world.now);
    assert!(found.is_ok());
    world.engine.forget_tree();
    let answer = prune(&mut world, keep(0));
    assert!(answer.starts_with("refused: the adopted commit "), "{answer}");
    assert_eq!(images(&world, "web:latest"), "ba");
}

/// I165: a deleted image leaves its items dangling, and an import that finds it brings it back.
#[test]
fn i165_a_deleted_image_comes_back_when_it_is_found_again() {
    let mut world = history("ab", "is other at=tag:web:latest");
    assert_eq!(delete(&mut world, "x"), "nothing: there is no image `#x`");
    assert_eq!(delete(&mut world, "b"), "done");
    assert!(delete(&mut world, "b").starts_with("nothing: "), "it is gone already");
    assert_eq!(world.records(), "ImageDeleted #b");
    assert_eq!((images(&world, "web:latest"), known(&world)), ("ba".into(), "a".into()));
    assert_eq!(images(&world, "other:at"), "ba");
    let named: BTreeSet<_> = world.engine.observed().objects().collect();
    assert_eq!(named.len(), 1, "its metadata may be collected");
    world.restart();
    world.nudge("shop/web:latest");
    assert_eq!(world.pending(), "resolve r.io/web:1", "the whole image is asked for");
    world.resolve("r.io/web:1", "b");
    assert_eq!(known(&world), "ab");
    assert!(world.engine.observed().images.is_empty());
    assert_eq!(images(&world, "web:latest"), "ba", "no item is added");
    assert!(world.records().starts_with("TagImported web:latest #b"));
    assert_eq!(world.records(), "");
}

/// I165: the deletion of an image is no event for triggers, and neither is its return.
#[test]
fn i165_nothing_is_rolled_out_because_an_image_is_deleted() {
    let mut world = rolled_out("ab", "dc app app<web:latest");
    delete(&mut world, "b");
    moves(&mut world, "b");
    assert_eq!(world.pending(), "");
    assert_eq!(world.records().lines().count(), 2);
}

/// I137: `describe is` does not notice; the tag has no image to show any more.
#[test]
fn i137_a_deleted_image_is_noticed_by_who_reads_it() {
    let mut world = history("ab", "");
    let describe = |world: &World| {
        let (desired, observed) = (world.engine.desired(), world.engine.observed());
        let stream = effective::stream(
            desired,
            observed,
            world.engine.policy(),
            &"shop/web".parse().unwrap(),
        )
        .unwrap();
        tidegate::oc::stream::describe(&stream, world.now.wall)
    };
    let before = describe(&world);
    delete(&mut world, "b");
    assert_eq!(describe(&world), before);
    assert!(!effective::images(world.engine.observed()).contains_key(&digest("b")));
}

/// Y35: OpenShift's prune empties reference tags; ours does not, and stale items go regardless of revisions.
#[test]
fn y035_a_prune_does_not_empty_reference_tags() {
    let mut world = history("abc", "is ref at=r.io/one:1,reference");
    delete(&mut world, "b");
    world.advance(7_200);
    prune(&mut world, younger(3, 3_600));
    assert_eq!((images(&world, "ref:at"), images(&world, "web:latest")), ("-".into(), "ca".into()));
}

/// Y36: with a namespace no image goes; the next prune without one takes it.
#[test]
fn y036_a_prune_of_one_namespace_takes_no_image() {
    let mut world = history("abc", "is web latest=r.io/far:1 ns=far");
    world.resolve("r.io/far:1", "x");
    let only = |namespace: &str| {
        let namespace = Some(namespace.parse().unwrap());
        PruneOptions { namespace, ..keep(1) }
    };
    assert_eq!(prune(&mut world, only("far")), "Summary: deleted 0 objects");
    let told = prune(&mut world, only("shop"));
    assert_eq!(
        told,
        "Deleting 2 items from image stream web Summary: deleted 2 image stream tag item(s), updated 1 image stream(s)"
    );
    assert_eq!(known(&world), "abcx");
    moves(&mut world, "a");
    assert_eq!(images(&world, "web:latest"), "ac");
    prune(&mut world, keep(2));
    assert_eq!(known(&world), "acx", "`a` has an item again");
}

/// What happens in a generated world.
#[derive(Clone, Debug)]
enum Event {
    /// `web:latest` moves to an image.
    Moves(&'static str),
    /// The rollout that is in flight, if one is, ends.
    Ends {
        well: bool,
    },
    /// Git changes to one of these.
    Commit(usize),
    Delete(&'static str),
    Prune(u64),
}

fn event() -> impl Strategy<Value = Event> {
    let image = proptest::sample::select(NAMES.to_vec());
    prop_oneof![
        4 => image.clone().prop_map(Event::Moves),
        4 => any::<bool>().prop_map(|well| Event::Ends { well }),
        1 => (0..GIT.len()).prop_map(Event::Commit),
        1 => image.prop_map(Event::Delete),
        2 => (0..3_u64).prop_map(Event::Prune),
    ]
}

const GIT: [&str; 5] = [
    "is web latest=r.io/web:1\nis other at=tag:web:latest\ndc app app<web:latest",
    "is web latest=r.io/web:1\nis other at=tag:web:latest\ndc app app<web:latest paused",
    "is web\nis other at=tag:web:latest\ndc app app<web:latest",
    "is web latest=r.io/web:1\ndc app app~web:latest prune=false",
    "is web latest=r.io/web:1\nis other at=-",
];

/// The items that a prune must leave, by tag (K21), found without the code that decides it.
fn protected(world: &World) -> BTreeMap<StreamTag, BTreeSet<Seq>> {
    let (desired, observed) = (world.engine.desired(), world.engine.observed());
    let mut digests = BTreeSet::new();
    for state in observed.workloads.values() {
        let life: Vec<_> = state.life().collect();
        digests.extend(life.last().into_iter().flat_map(|rollout| rollout.digests()));
        let complete = life.iter().rev().filter(|r| r.outcome() == Some(Outcome::Complete));
        digests.extend(complete.take(2).flat_map(|rollout| rollout.digests()));
    }
    let mut followed: BTreeSet<StreamTag> = BTreeSet::new();
    for stream in desired.streams.values() {
        followed.extend(stream.tags.keys().map(|tag| stream.name.tag(tag.clone())));
    }
    followed.extend(desired.workloads.values().flat_map(|w| &w.triggers).map(|t| t.from.clone()));
    if desired.streams.values().any(|s| s.tags.keys().any(|tag| tag.as_str() == "at")) {
        followed.insert(stream_tag("web:latest"));
    }
    let mut found = BTreeMap::new();
    for (name, stream) in &observed.streams {
        for (tag, state) in &stream.tags {
            let tag = name.tag(tag.clone());
            let stays = |(at, item): &(usize, &TagItem)| {
                let runs = item.event.image.is_some_and(|image| digests.contains(&image));
                runs || *at == 0 && followed.contains(&tag)
            };
            let items = state.items.iter().enumerate().filter(stays);
            let items = items.map(|(_, item)| item.seq).collect();
            found.insert(tag, items);
        }
    }
    found
}

fn play(events: Vec<Event>) {
    let mut world = committed(GIT[0]);
    world.resolve("r.io/web:1", "a");
    let asks = |world: &World| world.pending().contains("resolve r.io/web:1");
    for event in events {
        match event {
            Event::Moves(name) if asks(&world) => world.resolve("r.io/web:1", name),
            Event::Moves(name) => {
                world.nudge("shop/web:latest");
                if asks(&world) {
                    world.resolve("r.io/web:1", name);
                }
            }
            Event::Ends { well } => match (world.pending().contains("app"), well) {
                (true, true) => world.complete("app"),
                (true, false) => world.refuse("app"),
                (false, _) => {}
            },
            Event::Commit(at) => world.commit(GIT[at]),
            Event::Delete(name) => drop(delete(&mut world, name)),
            Event::Prune(revisions) => {
                let before = protected(&world);
                prune(&mut world, keep(revisions));
                for (tag, items) in before {
                    let state = world.engine.observed().tag(&tag);
                    let left: BTreeSet<_> =
                        state.into_iter().flat_map(|s| &s.items).map(|item| item.seq).collect();
                    assert!(items.is_subset(&left), "{tag}: {items:?} of {left:?}");
                }
                let named: BTreeSet<_> = world.engine.observed().objects().collect();
                let items = world.engine.observed().streams.values().flat_map(|s| s.tags.values());
                let metadata = items.flat_map(|tag| &tag.items).filter_map(|item| item.metadata);
                assert!(metadata.into_iter().all(|hash| named.contains(&hash)));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        cases: 48,
        ..ProptestConfig::default()
    })]

    /// K21: nothing that is referenced is removed, whatever happened before.
    #[test]
    fn nothing_that_is_in_use_is_ever_pruned(events in prop::collection::vec(event(), 1..30)) {
        play(events);
    }
}
