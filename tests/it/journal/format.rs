//! The format that must open forever, and that a stranger can check.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use proptest::prelude::*;
use tidegate::action::ImportMode;
use tidegate::fact::{
    Appeared, Checkpoint, CommitAdopted, CommitRefused, CommitWithdrawn, Concurrency,
    ConfigAdopted, ContainerList, ContainerRef, CronSpec, DigestHeld, Ending, Fact, FailurePolicy,
    HistoryDropped, HoldReleased, ImageDeleted, ImagesPruned, ImportFailed, ImportReason,
    JobCreated, JobEnding, JobFinished, JobMissed, JobStarted, Keep, ListingFailed,
    ManifestDeleted, Ordered, Outcome, Overlaid, OverlaySet, Position, PruneOptions, PrunedItems,
    QuotaMark, Reason, Record, RecordsLost, Rejected, Release, RemovalFate, RemovalsReleased,
    Removed, RolloutCause, RolloutFinished, RolloutImage, RolloutOrdered, RolloutStarted,
    RolloutStep, RolloutStepped, RolloutSuperseded, RolloutsPaused, ScaleFinished, ScalePrepared,
    ScaleStarted, SourceFailed, Space, SpecSource, StopFinished, StopStarted, StoredManifest,
    StreamChanged, TagEvent, TagImage, TagImages, TagImported, TagProbed, TagRecovered, TagRemoval,
    TagRemoved, TagSpec, TagTrimmed, TagsListed, TriggerFired, TriggerOutcome, Vanished,
    VanishedTag, Via,
};
use tidegate::journal::{LineHash, encode};
use tidegate::names::{
    CommitId, ContentHash, Digest, Generation, Incarnation, ObjectKey, Revision, Seq, StreamName,
    StreamTag,
};
use tidegate::time::{Span, Timestamp};

use super::{PLAIN, journal_of, open_with, put, records, segments};

/// Record number 12 as it was written on the day of the first release.
const V1: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/journal/v1.jsonl");

fn digest(text: &str) -> Digest {
    Digest::of(text.as_bytes())
}

fn content(text: &str) -> ContentHash {
    ContentHash::of(text.as_bytes())
}

fn web() -> ObjectKey {
    "DeploymentConfig/shop/web".parse().unwrap()
}

fn commit() -> CommitId {
    "0123456789abcdef0123456789abcdef01234567".parse().unwrap()
}

fn adopted() -> Fact {
    let position = Position { path: "apps/old.yaml".into(), line: 3, column: 7 };
    let old: ObjectKey = "Deployment/shop/old".parse().unwrap();
    Fact::CommitAdopted(Box::new(CommitAdopted {
        commit: commit(),
        branch: "main".into(),
        forced: true,
        objects: 3,
        companions: 2,
        appeared: vec![Appeared { object: web(), incarnation: Incarnation(2) }],
        removed: vec![
            Removed { object: old.clone(), fate: RemovalFate::Pruned },
            Removed { object: old.clone(), fate: RemovalFate::Kept },
            Removed { object: old.clone(), fate: RemovalFate::Held { version: content("held") } },
        ],
        streams: vec![StreamChanged {
            stream: "shop/web".parse().unwrap(),
            generation: Generation(2),
            tags: vec!["3.10".parse().unwrap()],
            gone: vec!["3.9".parse().unwrap()],
            unlisted: false,
        }],
        rejected: vec![Rejected {
            object: Some(old),
            position,
            rule: "D3".into(),
            message: "unknown field `replica`".into(),
            kept: Some(content("kept")),
        }],
        superseded: vec!["shop/web:3.10".parse().unwrap()],
    }))
}

fn imported() -> Fact {
    Fact::TagImported(Box::new(TagImported {
        tag: "shop/web:3.10".parse().unwrap(),
        event: TagEvent {
            created: Timestamp::from_millis(1_700_000_000_123),
            reference: format!("registry.example.com/shop/web@{}", digest("image")),
            image: Some(digest("image")),
            generation: Generation(2),
        },
        probed: Some(digest("index")),
        asked: 2_779_096_485,
        metadata: Some(content("metadata")),
        via: Via::Alias("shop/base:latest".parse().unwrap()),
        reason: Reason::SpecChanged { generation: Generation(2) },
    }))
}

fn started() -> Fact {
    Fact::RolloutStarted(Box::new(RolloutStarted {
        object: web(),
        incarnation: Incarnation(2),
        revision: Revision(4),
        cause: RolloutCause::ImageChange,
        commit: commit(),
        replaces: Some(Seq(5)),
        template: content("template"),
        manifest: content("manifest"),
        images: vec![RolloutImage {
            container: ContainerRef { list: ContainerList::Init, name: "migrate".into() },
            reference: "registry.example.com/shop/web".into(),
            digest: Some(digest("image")),
            previous: Some(digest("previous")),
            lookup: None,
            written: None,
        }],
        target: "local".parse().unwrap(),
        epoch: None,
        steps: Vec::new(),
        over: Vec::new(),
        deadline: None,
        keeps: None,
        size: None,
        tags: Vec::new(),
        names: Vec::new(),
        cron: None,
        force: false,
    }))
}

fn rollout_facts() -> Vec<Fact> {
    vec![
        started(),
        Fact::RolloutSuperseded(RolloutSuperseded {
            rollout: Seq(10),
            object: web(),
            reason: "newer deployment was found running".into(),
            by: None,
        }),
        Fact::RolloutFinished(RolloutFinished {
            rollout: Seq(10),
            object: web(),
            outcome: Outcome::Failed,
            reason: "exit code 1".into(),
            log: "línea 1\n\"línea\" 2\u{1}".into(),
            rolled_back: None,
        }),
        Fact::DigestHeld(DigestHeld {
            object: web(),
            rollout: Seq(10),
            digests: BTreeSet::from([digest("image"), digest("other")]),
            template: content("template"),
            reason: "exit code 1".into(),
        }),
        Fact::HoldReleased(HoldReleased {
            object: web(),
            because: Release::Operator { by: "ada".into() },
        }),
        Fact::StopStarted(StopStarted {
            object: web(),
            incarnation: Incarnation(2),
            rollout: Seq(10),
            manifest: content("manifest"),
            target: "local".parse().unwrap(),
            epoch: None,
        }),
        Fact::StopFinished(StopFinished {
            stop: Seq(15),
            object: web(),
            outcome: Outcome::Cancelled,
            reason: String::new(),
        }),
    ]
}

fn listing_facts() -> Vec<Fact> {
    let mut facts = Vec::new();
    let stream: StreamName = "shop/all".parse().unwrap();
    let tag = |name: &str| name.parse().unwrap();
    let gone = VanishedTag { tag: tag("1.0"), why: Vanished::Gone, listings: 1 };
    facts.push(Fact::TagsListed(Box::new(TagsListed {
        stream: stream.clone(),
        generation: Generation(3),
        asked: 99,
        tags: vec![tag("2.0"), tag("latest")],
        vanished: vec![gone],
        left_out: vec![tag("edge")],
    })));
    facts.push(Fact::ListingFailed(ListingFailed {
        stream: stream.clone(),
        asked: 99,
        reason: ImportReason::NotV2Registry,
        message: "forbidden".into(),
    }));
    let because = TagRemoval::VanishedTags;
    facts.push(Fact::TagRemoved(TagRemoved { tag: stream.tag(tag("1.0")), because }));
    facts
}

fn overlay_facts() -> Vec<Fact> {
    let tag: StreamTag = "shop/web:3.10".parse().unwrap();
    let spec = |from| TagSpec {
        from,
        reference: true,
        scheduled: true,
        insecure: true,
        mode: Some(ImportMode::PreserveOriginal),
        local: true,
    };
    let image = SpecSource::Image { stream: "shop/base".parse().unwrap(), image: digest("image") };
    let overlays = [
        Overlaid::Spec(spec(SpecSource::Registry(
            "registry.example.com/shop/web:4".parse().unwrap(),
        ))),
        Overlaid::Spec(spec(SpecSource::Tag("shop/base:latest".parse().unwrap()))),
        Overlaid::Spec(spec(image)),
        Overlaid::Removed,
        Overlaid::Withdrawn,
    ];
    let changed = StreamChanged {
        stream: tag.stream.clone(),
        generation: Generation(3),
        tags: vec![tag.tag.clone()],
        gone: vec!["3.9".parse().unwrap()],
        unlisted: false,
    };
    let fact = |overlay| {
        let (tag, by, changed) = (tag.clone(), "uid 1000".into(), Some(changed.clone()));
        let basis = content("basis");
        let set = OverlaySet { tag, overlay, basis, commit: commit(), changed, by, rollout: None };
        Fact::OverlaySet(Box::new(set))
    };
    overlays.into_iter().map(fact).collect()
}

fn prune_facts() -> Vec<Fact> {
    let mut facts = Vec::new();
    facts.push(Fact::ImagesPruned(Box::new(ImagesPruned {
        options: PruneOptions {
            keep: Keep::Recent { revisions: 3, younger_than: Span(Duration::from_secs(3_600)) },
            all: true,
            namespace: Some("shop".parse().unwrap()),
            ignore_invalid: false,
            registry: true,
        },
        items: vec![PrunedItems { tag: "shop/web:3.10".parse().unwrap(), items: vec![Seq(3)] }],
        images: vec![digest("image")],
        manifests: Vec::new(),
        by: "uid 1000".into(),
    })));
    facts.push(Fact::ImageDeleted(ImageDeleted { image: digest("image"), by: "uid 1000".into() }));
    let repository = "registry.example.com:5000/shop/web".parse().unwrap();
    let manifest = StoredManifest { repository, digest: digest("image") };
    facts.push(Fact::ManifestDeleted(ManifestDeleted { manifest }));
    facts
}

/// One fact of each kind, with every field in use.
fn stepped() -> Fact {
    Fact::RolloutStepped(Box::new(RolloutStepped {
        rollout: Seq(10),
        object: web(),
        step: RolloutStep::RollingBack,
        rendered: Some(content("rendered")),
        note: "healthy after 2.1 s".into(),
        ending: Some(Ending {
            step: RolloutStep::Checking,
            outcome: Outcome::Failed,
            reason: "not healthy within 10m".into(),
            log: "boom".into(),
        }),
        down: None,
    }))
}

fn every_fact() -> Vec<Fact> {
    let mut facts = vec![
        adopted(),
        Fact::CommitRefused(CommitRefused { commit: commit(), reason: "its tree is empty".into() }),
        Fact::SourceFailed(SourceFailed { message: "cannot fetch `/srv/manifests`".into() }),
        Fact::SourceRecovered,
        Fact::RemovalsReleased(RemovalsReleased { objects: vec![web()], by: "ada".into() }),
        imported(),
        Fact::TagProbed(TagProbed {
            tag: "shop/web:3.10".parse().unwrap(),
            probed: digest("index 2"),
        }),
        Fact::ImportFailed(ImportFailed {
            tag: "shop/web:3.10".parse().unwrap(),
            generation: Generation(2),
            reason: ImportReason::Unauthorized,
            message: "you may not have access".into(),
        }),
        Fact::TriggerFired(TriggerFired {
            object: web(),
            trigger: 1,
            from: "shop/web:3.10".parse().unwrap(),
            event: Seq(6),
            old: Some(digest("previous")),
            new: digest("image"),
            outcome: TriggerOutcome::Rollout(Revision(4)),
        }),
    ];
    facts.extend(rollout_facts());
    facts.push(Fact::ConfigAdopted(ConfigAdopted {
        hash: content("config"),
        version: "0.1.0".into(),
    }));
    facts.push(Fact::Checkpoint(Checkpoint {
        checked: vec![("shop/web".parse().unwrap(), Timestamp::from_millis(1_700_000_060_000))],
        ..Checkpoint::default()
    }));
    // Facts that came later stand last: the lines before them stay what they were.
    facts.push(Fact::CommitWithdrawn(CommitWithdrawn { commit: commit() }));
    facts.push(Fact::TagRecovered(TagRecovered { tag: "shop/web:3.10".parse().unwrap() }));
    facts.push(Fact::TagTrimmed(TagTrimmed {
        tag: "shop/web:3.10".parse().unwrap(),
        items: vec![Seq(3), Seq(5)],
    }));
    facts.push(Fact::RecordsLost(RecordsLost { last: Some(Seq(15)) }));
    let space = |free| Space { free, needed: 8 << 20 };
    facts.push(Fact::SpaceShort(space(4 << 20)));
    facts.push(Fact::SpaceRegained(space(64 << 20)));
    facts.push(Fact::HistoryDropped(HistoryDropped { oldest: Seq(12), records: 11 }));
    facts.extend(listing_facts());
    facts.extend(overlay_facts());
    facts.extend(prune_facts());
    let since = Timestamp::from_millis(1_700_000_070_000);
    let account = "bob@registry-1.docker.io".parse().unwrap();
    facts.push(Fact::Checkpoint(Checkpoint {
        checked: Vec::new(),
        quota: vec![QuotaMark { account, since, requests: 7 }],
        resting: vec![("quay.io".into(), since)],
    }));
    facts.push(stepped());
    facts.push(Fact::RolloutStepped(Box::new(RolloutStepped {
        rollout: Seq(10),
        object: web(),
        step: RolloutStep::StartingNew,
        rendered: None,
        note: String::new(),
        ending: None,
        down: Some(since),
    })));
    facts.extend(order_facts());
    facts.extend(later_facts());
    facts
}

/// In the order in which they came.
fn later_facts() -> Vec<Fact> {
    [
        scale_facts(),
        hook_facts(),
        job_facts(),
        vec![first_rollout()],
        forced_facts(),
        super::builds::facts(),
    ]
    .concat()
}

fn scale_facts() -> Vec<Fact> {
    let (scale, object, outcome) = (Seq(20), web(), Outcome::Failed);
    vec![
        Fact::ScaleStarted(ScaleStarted {
            object: web(),
            incarnation: Incarnation(2),
            rollout: Seq(10),
            from: 1,
            to: 3,
            target: "local".parse().unwrap(),
            epoch: None,
        }),
        Fact::ScalePrepared(ScalePrepared { scale, object: web(), rendered: content("rendered") }),
        Fact::ScaleFinished(ScaleFinished { scale, object, outcome, reason: "a port".into() }),
    ]
}

/// A hook that writes a tag, and the tag that it wrote.
fn hook_facts() -> Vec<Fact> {
    let (tag, started) = ("shop/web:prod".parse::<StreamTag>().unwrap(), rollout_facts().remove(0));
    let Fact::RolloutStarted(mut started) = started else { panic!() };
    started.steps = vec![RolloutStep::Pulling, RolloutStep::PostHook];
    started.tags = vec![TagImages {
        step: RolloutStep::PostHook,
        policy: FailurePolicy::Ignore,
        tags: vec![TagImage { container: "web".into(), to: tag.clone() }],
    }];
    started.names = vec!["api".into()];
    let Some(Fact::OverlaySet(mut set)) = overlay_facts().into_iter().next() else { panic!() };
    (set.tag, set.by, set.rollout) = (tag, "the hook of rollout shop/web-4".into(), Some(Seq(10)));
    vec![Fact::RolloutStarted(started), Fact::OverlaySet(set)]
}

/// A first rollout, to which an operator may come back.
fn first_rollout() -> Fact {
    let Fact::RolloutStarted(mut started) = rollout_facts().remove(0) else { panic!() };
    started.steps = vec![RolloutStep::Pulling, RolloutStep::StartingNew];
    started.over = vec![RolloutStep::Pulling, RolloutStep::Verifying, RolloutStep::StartingNew];
    Fact::RolloutStarted(started)
}

/// What an operator ordered over what somebody edited.
fn forced_facts() -> Vec<Fact> {
    let Fact::RolloutOrdered(ordered) = order_facts().remove(0) else { panic!() };
    let Fact::RolloutStarted(mut started) = rollout_facts().remove(0) else { panic!() };
    started.force = true;
    let ordered = RolloutOrdered { force: true, ..ordered };
    vec![Fact::RolloutOrdered(ordered), Fact::RolloutStarted(started)]
}

fn job_facts() -> Vec<Fact> {
    let object: ObjectKey = "CronJob/shop/night".parse().unwrap();
    let slot = Timestamp::from_millis(1_700_000_040_000);
    let (job, name) = (Seq(40), "night-28333334".to_owned());
    let Fact::RolloutStarted(rollout) = started() else { unreachable!() };
    let cron = CronSpec {
        schedule: "0 3 * * 1-5".into(),
        time_zone: "Europe/Berlin".into(),
        suspend: true,
        starting_deadline: Some(Span(Duration::from_secs(300))),
        concurrency: Concurrency::Forbid,
        deadline: Some(Span(Duration::from_secs(3_600))),
        backoff_limit: 6,
        keeps_successful: 3,
        keeps_failed: 1,
    };
    let rollout = RolloutStarted { object: object.clone(), cron: Some(cron), ..*rollout };
    let began = JobStarted {
        object: object.clone(),
        incarnation: Incarnation(1),
        name: name.clone(),
        slot: Some(slot),
        missed: Some(Timestamp::from_millis(1_699_999_980_000)),
        by: Some("ada".into()),
        rollout: Seq(39),
        commit: commit(),
        manifest: content("manifest"),
        images: rollout.images.clone(),
        target: "local".parse().unwrap(),
        epoch: Some(slot),
        deadline: Some(slot),
        backoff_limit: 6,
    };
    vec![
        Fact::RolloutStarted(Box::new(rollout)),
        Fact::JobStarted(Box::new(began)),
        Fact::JobCreated(JobCreated { job, object: object.clone(), name: name.clone() }),
        Fact::JobEnding(JobEnding {
            job,
            object: object.clone(),
            name: name.clone(),
            outcome: Outcome::Cancelled,
            reason: "replaced".into(),
        }),
        Fact::JobFinished(JobFinished {
            job,
            object: object.clone(),
            name,
            outcome: Outcome::Failed,
            reason: "exit status 1".into(),
            log: "línea 1".into(),
        }),
        Fact::JobMissed(JobMissed { object, since: slot, slot, reason: "too late".into() }),
    ]
}

fn order_facts() -> Vec<Fact> {
    let ordered = |order| {
        Fact::RolloutOrdered(RolloutOrdered {
            object: web(),
            order,
            by: "ada".into(),
            force: false,
        })
    };
    let paused =
        |object, paused| Fact::RolloutsPaused(RolloutsPaused { object, paused, by: "ada".into() });
    let (rollout, revision, basis) = (Seq(10), Revision(4), content("manifest"));
    vec![
        ordered(Ordered::Latest { again: true }),
        ordered(Ordered::Retry { rollout }),
        ordered(Ordered::Undo { rollout, revision, basis }),
        paused(Some(web()), true),
        paused(None, false),
        Fact::RolloutSuperseded(RolloutSuperseded {
            rollout,
            object: web(),
            reason: "cancelled by the user".into(),
            by: Some("ada".into()),
        }),
    ]
}

#[test]
fn every_kind_of_fact_is_listed_once() {
    let kinds: BTreeSet<_> = every_fact().iter().map(Fact::kind).collect();
    assert_eq!(kinds, BTreeSet::from(Fact::KINDS));
}

fn every_record() -> Vec<Record> {
    let at = |seq: u64| Timestamp::from_millis(1_700_000_000_000 + i64::try_from(seq).unwrap());
    let numbered = every_fact().into_iter().zip(1..);
    numbered.map(|(fact, seq)| Record { seq: Seq(seq), at: at(seq), fact }).collect()
}

#[test]
fn each_fact_is_written_as_in_the_first_version() {
    let kinds: BTreeSet<_> = every_fact().iter().map(Fact::kind).collect();
    assert_eq!(kinds.len(), 47, "{kinds:?}");
    let batches: Vec<_> = every_record().chunks(4).map(<[Record]>::to_vec).collect();
    let root = journal_of(PLAIN, &batches);
    let written = fs::read_to_string(&segments(root.path())[0]).unwrap();
    let kept = fs::read_to_string(V1).unwrap_or_default();
    if written != kept {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("v1.jsonl");
        put(&path, written.as_bytes());
        panic!(
            "the journal's lines differ from {V1}; they are now in {}. Old files must stay readable: see habit 23",
            path.display()
        );
    }
}

#[test]
fn the_journal_of_the_first_version_opens() {
    let root = super::directory();
    fs::create_dir(root.path().join("journal")).unwrap();
    let path = root.path().join("journal/00000000000000000001.jsonl");
    put(&path, &fs::read(V1).unwrap());
    let (_, opening) = open_with(root.path(), PLAIN).unwrap();
    assert_eq!(opening.records, every_record());
    assert_eq!(opening.warnings, []);
}

#[test]
fn a_stranger_can_check_the_chain_in_python() {
    let root = journal_of(super::SMALL, &[records(1..=3), records(4..=40)]);
    assert!(segments(root.path()).len() == 1);
    let (mut journal, _) = open_with(root.path(), super::SMALL).unwrap();
    journal.append(&records(41..=42)).unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/read-journal.py");
    let output = match Command::new("python3").arg(script).arg(root.path()).output() {
        Ok(output) => output,
        Err(error) => {
            println!("skipped: python3 cannot be run: {error}");
            return;
        }
    };
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let last = text.lines().last().unwrap();
    assert_eq!(last, format!("42 records, last hash {}", journal.head().hash));
    assert_eq!(text.lines().count(), 43);
    // and one that retention cut, over several files,
    let cut = super::with_snapshots(12, &[4, 8]);
    super::drop_before(cut.path(), 5);
    assert_eq!(segments(cut.path()).len(), 2);
    let output = Command::new("python3").arg(script).arg(cut.path()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    assert!(text.starts_with("5 ") && text.contains("\n8 records, last hash"), "{text}");
    // and it notices a change
    super::edit(&segments(root.path())[0], "for the 7. time", "for the 8. time");
    let output = Command::new("python3").arg(script).arg(root.path()).output().unwrap();
    assert!(!output.status.success());
}

/// The years 1 to 9999, in milliseconds: what RFC 3339 can write.
const YEARS: std::ops::Range<i64> = -62_135_596_800_000..253_402_000_000_000;

fn any_fact() -> impl Strategy<Value = Fact> {
    let known = proptest::sample::select(every_fact());
    let text = any::<String>().prop_map(|message| Fact::SourceFailed(SourceFailed { message }));
    let log = (any::<String>(), any::<String>(), any::<u64>()).prop_map(|(reason, log, seq)| {
        Fact::RolloutFinished(RolloutFinished {
            rollout: Seq(seq),
            object: web(),
            outcome: Outcome::Complete,
            reason,
            log,
            rolled_back: Some(true),
        })
    });
    prop_oneof![known, text, log]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read(facts in prop::collection::vec((any_fact(), YEARS), 0..8)) {
        let records: Vec<_> = facts.into_iter().zip(1..).map(|((fact, millis), seq)| {
            Record { seq: Seq(seq), at: Timestamp::from_millis(millis), fact }
        }).collect();
        let mut text = b"{\"tidegate\":\"journal\",\"format\":1,\"continues\":\"".to_vec();
        text.extend_from_slice(LineHash::START.as_str().as_bytes());
        text.extend_from_slice(b"\",\"from\":1}\n");
        let mut hash = LineHash::START;
        for record in &records {
            hash = encode(&mut text, record, &hash).unwrap();
        }
        let root = super::directory();
        fs::create_dir(root.path().join("journal")).unwrap();
        put(&root.path().join("journal/00000000000000000001.jsonl"), &text);
        let (journal, opening) = open_with(root.path(), PLAIN).unwrap();
        prop_assert_eq!(opening.records, records);
        prop_assert_eq!(journal.head().hash, hash);
    }
}
