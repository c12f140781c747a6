//! Whoever asks how things are is told what runs now, too.

use tokio::sync::oneshot;

use crate::control::Reply;
use crate::engine::Engine;
use crate::report::live::LiveAstray;
use crate::world::target::{Astray, Expected, Targets};

/// Answers; how things are, once podman was looked at.
pub(super) fn answer(
    engine: &Engine,
    targets: &Targets,
    reply: Reply,
    asked: oneshot::Sender<Reply>,
) {
    let expected = expected(engine);
    if expected.is_empty() || !matches!(reply, Reply::Status(_)) {
        drop(asked.send(reply)); // whoever asked may have gone
        return;
    }
    let (targets, mut reply) = (targets.clone(), reply);
    tokio::spawn(async move {
        let astray = targets.look(expected).await.into_iter();
        if let Reply::Status(live) = &mut reply {
            live.astray = astray
                .map(|(object, Astray { why, drifted })| LiveAstray { object, why, drifted })
                .collect();
        }
        drop(asked.send(reply)); // as above
    });
}

/// What should run at targets that are told each step, but for what changes just now.
fn expected(engine: &Engine) -> Vec<Expected> {
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
