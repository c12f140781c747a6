//! A small story that the tests of all reports tell: a tag moves, the rollout fails and is rolled back, a tag cannot be
//! checked, a manifest gets invalid.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::action::{ImportMode, Platform};
use crate::desired::tag_filter::TagFilter;
use crate::desired::{
    Container, DesiredState, Gates, ImageStream, ImageTrigger, Origin, TagReference, TagSource,
    Workload,
};
use crate::fact::{
    Appeared, Checkpoint, CommitAdopted, ContainerList, ContainerRef, DigestHeld, Fact,
    ImportFailed, ImportReason, Outcome, Position, Reason, Record, Rejected, RolloutCause,
    RolloutFinished, RolloutImage, RolloutStarted, SourceFailed, StreamChanged, TagEvent,
    TagImported, TriggerFired, TriggerOutcome, Via,
};
use crate::names::{
    CommitId, ContentHash, Digest, Generation, Incarnation, ObjectKey, Revision, Seq, StreamName,
};
use crate::observed::ObservedState;
use crate::time::{Monotonic, Now, Timestamp};

pub(super) fn object() -> ObjectKey {
    "DeploymentConfig/shop/web".parse().unwrap()
}

pub(super) fn digest(n: u8) -> Digest {
    Digest::of(&[n])
}

pub(super) fn commit(n: u8) -> CommitId {
    format!("{n:02x}").repeat(20).parse().unwrap()
}

pub(super) fn at(minutes: i64) -> Timestamp {
    let start: Timestamp = "2026-11-21T08:00:00Z".parse().unwrap();
    Timestamp::from_millis(start.as_millis() + minutes * 60_000)
}

pub(super) fn now() -> Now {
    Now { wall: at(180), mono: Monotonic::START }
}

fn container() -> ContainerRef {
    ContainerRef { list: ContainerList::Regular, name: "web".into() }
}

pub(super) fn position(line: u32) -> Position {
    Position { path: "shop/web.yaml".into(), line, column: 1 }
}

fn template() -> ContentHash {
    ContentHash::of(b"template")
}

fn imported(tag: &str, n: u8, at: Timestamp, reason: Reason) -> Fact {
    let image = Some(digest(n));
    let reference = format!("registry.example.com/team/python@{}", digest(n));
    Fact::TagImported(Box::new(TagImported {
        tag: tag.parse().unwrap(),
        event: TagEvent { created: at, reference, image, generation: Generation(1) },
        probed: image,
        asked: 1,
        metadata: None,
        via: Via::Registry,
        reason,
    }))
}

fn fired(event: u64, old: Option<u8>, new: u8, revision: u64) -> Fact {
    Fact::TriggerFired(TriggerFired {
        object: object(),
        trigger: 0,
        from: "shop/python:3.6".parse().unwrap(),
        event: Seq(event),
        old: old.map(digest),
        new: digest(new),
        outcome: TriggerOutcome::Rollout(Revision(revision)),
    })
}

fn started(revision: u64, cause: RolloutCause, old: Option<u8>, new: u8) -> Fact {
    Fact::RolloutStarted(Box::new(RolloutStarted {
        object: object(),
        incarnation: Incarnation(1),
        revision: Revision(revision),
        cause,
        commit: commit(0xa1),
        replaces: (cause == RolloutCause::Restore).then_some(Seq(8)),
        template: template(),
        manifest: ContentHash::of(b"manifest"),
        images: vec![RolloutImage {
            container: container(),
            reference: format!("registry.example.com/team/python@{}", digest(new)),
            digest: Some(digest(new)),
            previous: old.map(digest),
            lookup: None,
            written: None,
        }],
        target: "none".parse().unwrap(),
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

fn finished(rollout: u64, outcome: Outcome, reason: &str) -> Fact {
    Fact::RolloutFinished(RolloutFinished {
        rollout: Seq(rollout),
        object: object(),
        outcome,
        reason: reason.into(),
        log: String::new(),
        rolled_back: None,
    })
}

fn adopted(n: u8) -> CommitAdopted {
    CommitAdopted {
        commit: commit(n),
        branch: "main".into(),
        forced: false,
        objects: 3,
        companions: 1,
        appeared: Vec::new(),
        removed: Vec::new(),
        streams: Vec::new(),
        rejected: Vec::new(),
        superseded: Vec::new(),
    }
}

fn first_commit() -> Fact {
    let appeared =
        |object: &str| Appeared { object: object.parse().unwrap(), incarnation: Incarnation(1) };
    let changed = |stream: &str, tag: &str| StreamChanged {
        stream: stream.parse().unwrap(),
        generation: Generation(1),
        tags: vec![tag.parse().unwrap()],
        gone: Vec::new(),
        unlisted: false,
    };
    Fact::CommitAdopted(Box::new(CommitAdopted {
        appeared: vec![
            appeared("ImageStream/shop/base"),
            appeared("ImageStream/shop/python"),
            appeared("DeploymentConfig/shop/web"),
        ],
        streams: vec![changed("shop/base", "1"), changed("shop/python", "3.6")],
        ..adopted(0xa1)
    }))
}

pub(super) fn records() -> Vec<Record> {
    let schedule = Reason::ScheduleDue;
    let spec = Reason::SpecChanged { generation: Generation(1) };
    let base = || "shop/base:1".parse().unwrap();
    let rejected = Rejected {
        object: Some(object()),
        position: position(7),
        rule: "D7.14".into(),
        message: "`spec.replicas` is not a number".into(),
        kept: Some(ContentHash::of(b"kept")),
    };
    let facts = vec![
        (0, first_commit()),
        (1, imported("shop/python:3.6", 1, at(1), spec)),
        (1, fired(2, None, 1, 1)),
        (1, started(1, RolloutCause::ConfigChange, None, 1)),
        (2, finished(4, Outcome::Complete, "")),
        (60, imported("shop/python:3.6", 2, at(60), schedule)),
        (60, fired(6, Some(1), 2, 2)),
        (60, started(2, RolloutCause::ImageChange, Some(1), 2)),
        (61, finished(8, Outcome::Failed, "exit code 3: not healthy")),
        (
            61,
            Fact::DigestHeld(DigestHeld {
                object: object(),
                rollout: Seq(8),
                digests: BTreeSet::from([digest(2)]),
                template: template(),
                reason: "exit code 3: not healthy".into(),
            }),
        ),
        (61, started(1, RolloutCause::Restore, Some(2), 1)),
        (62, finished(11, Outcome::Complete, "")),
        (
            90,
            Fact::ImportFailed(ImportFailed {
                tag: base(),
                generation: Generation(1),
                reason: ImportReason::Unauthorized,
                message: "registry.example.com refused with 401".into(),
            }),
        ),
        (
            120,
            Fact::CommitAdopted(Box::new(CommitAdopted {
                rejected: vec![rejected],
                ..adopted(0xb2)
            })),
        ),
        (
            150,
            Fact::SourceFailed(SourceFailed {
                message: "cannot reach git.example.com: timed out".into(),
            }),
        ),
        (
            151,
            Fact::Checkpoint(Checkpoint {
                checked: vec![("shop/python".parse().unwrap(), at(150))],
                ..Checkpoint::default()
            }),
        ),
    ];
    let numbered = facts.into_iter().zip(1..);
    numbered.map(|((minute, fact), seq)| Record { seq: Seq(seq), at: at(minute), fact }).collect()
}

pub(super) fn observed() -> ObservedState {
    ObservedState::default().replay(&records())
}

pub(super) fn stream(name: &str, tag: &str, image: &str) -> ImageStream {
    let reference = TagReference {
        annotations: BTreeMap::new(),
        from: Some(TagSource::Registry(Arc::new(image.parse().unwrap()))),
        spelled: None,
        reference: false,
        insecure: false,
        scheduled: true,
        mode: ImportMode::Legacy,
        platform: Platform::default(),
        local: false,
        schedule: None,
        minimum_age: None,
        origin: Origin::Written,
        reimport: false,
    };
    let name: StreamName = name.parse().unwrap();
    ImageStream {
        name,
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        lookup_local: false,
        repository: None,
        tags: BTreeMap::from([(tag.parse().unwrap(), reference)]),
        overlaid: BTreeMap::new(),
        schedule: None,
        minimum_age: None,
        paused: false,
        history_limit: None,
        prune_removed_tags: false,
        prune_vanished_tags: false,
        tag_filter: TagFilter::default(),
        tag_limit: None,
        push: None,
        position: position(1),
    }
}

pub(super) fn workload(manifest: &str) -> Workload {
    Workload {
        object: object(),
        triggers: vec![ImageTrigger {
            from: "shop/python:3.6".parse().unwrap(),
            containers: vec![container()],
            automatic: true,
        }],
        config_change: true,
        paused: false,
        scale: Some(1),
        history: None,
        template: template(),
        containers: vec![Container { container: container(), image: " ".into() }],
        target: None,
        prune: true,
        retries: 3,
        gates: Gates::default(),
        hashed: Default::default(),
        resolve_names: false,
        manifest: Arc::from(manifest),
        position: position(3),
    }
}

pub(super) fn desired() -> DesiredState {
    let mut desired = DesiredState::default();
    for stream in [
        stream("shop/python", "3.6", "registry.example.com/team/python:3.6"),
        stream("shop/base", "1", "registry.example.com/team/base:1"),
    ] {
        desired.streams.insert(stream.name.clone(), Arc::new(stream));
    }
    desired.workloads.insert(object(), Arc::new(workload("{}")));
    desired
}
