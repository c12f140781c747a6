//! Whoever asks how things are is told what runs now, too.

use std::collections::{BTreeMap, BTreeSet};

use tokio::sync::oneshot;

use crate::control::Reply;
use crate::engine::Engine;
use crate::names::{Kind, ObjectKey, TargetName};
use crate::pods::Astray;
use crate::report::live::LiveAstray;
use crate::world::target::{Expected, Looked, Targets, Wanted};

/// Answers; how things are, once podman was looked at.
pub(super) fn answer(
    engine: &Engine,
    targets: &Targets,
    reply: Reply,
    asked: oneshot::Sender<Reply>,
) {
    let wanted = wanted(engine);
    if wanted.targets.is_empty() || !matches!(reply, Reply::Status(_)) {
        drop(asked.send(reply)); // whoever asked may have gone
        return;
    }
    let (targets, mut reply) = (targets.clone(), reply);
    tokio::spawn(async move {
        let Looked { looks, astray, notes } = targets.look(wanted).await;
        if let Reply::Status(live) = &mut reply {
            (live.looks, live.notes) = (looks, notes);
            let astray = astray.into_iter();
            live.astray = astray
                .map(|(object, Astray { why, how })| LiveAstray { object, why, how })
                .collect();
        }
        drop(asked.send(reply)); // as above
    });
}

/// Where something of ours may run, and what should run there.
fn wanted(engine: &Engine) -> Wanted {
    let workloads = engine.observed().workloads.iter();
    let mut targets: BTreeMap<TargetName, BTreeSet<ObjectKey>> = BTreeMap::new();
    for (object, state) in workloads {
        for rollout in state.active().into_iter().chain(state.last()) {
            let objects = targets.entry(rollout.started.target.clone()).or_default();
            if !state.is_busy() && object.kind != Kind::CronJob {
                objects.insert(object.clone());
            }
        }
    }
    Wanted { targets, expected: expected(engine) }
}

/// What should run at hosts, but for what changes just now.
pub(super) fn expected(engine: &Engine) -> Vec<Expected> {
    let workloads = engine.observed().workloads.iter();
    let settled =
        workloads.filter(|(_, state)| !state.is_busy() && state.restore_failed().is_none());
    let of = settled.filter_map(|(object, state)| {
        let active = state.active()?;
        let (object, target) = (object.clone(), active.started.target.clone());
        Some(Expected { object, target, rendered: active.rendered? })
    });
    of.collect()
}
