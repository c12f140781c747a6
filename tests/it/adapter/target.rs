//! Targets against a real HTTP receiver and real programs (rules R30, R31, T25).

mod exec;
pub(crate) mod receiver;
mod webhook;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tidegate::action::{
    AskRollout, Notice, NoticeKind, RolloutReport, RolloutRequest, StopRequest,
};
use tidegate::fact::{ContainerList, ContainerRef, RolloutCause, RolloutImage};
use tidegate::names::{ContentHash, Digest, Incarnation, ObjectKey, Revision, RolloutKey, Seq};
use tidegate::world::target::{TargetConfig, Targets};

/// A manifest with a secret in it, of at least `len` bytes.
fn manifest(len: usize) -> Vec<u8> {
    let env =
        json!([{"name": "DB_PASSWORD", "value": "hunter2"}, {"name": "SIZE", "value": "3.10"}]);
    let manifest = json!({"kind": "DeploymentConfig", "env": env, "filler": "x".repeat(len)});
    manifest.to_string().into_bytes()
}

fn targets_with(config: TargetConfig, state: &Path, manifest: Vec<u8>) -> Targets {
    let configs = BTreeMap::from([("t".parse().unwrap(), config)]);
    let read = move |hash: &ContentHash| {
        assert_eq!(*hash, ContentHash::of(b"manifest"));
        Ok(manifest.clone())
    };
    Targets::new(
        configs,
        "/tidegate/test".into(),
        state,
        (Arc::new(read), Arc::new(|bytes: &[u8]| Ok(ContentHash::of(bytes)))),
        (Arc::new(|_| Err("no commit".to_owned())), None),
    )
    .unwrap()
}

pub(crate) fn targets(config: TargetConfig, state: &Path) -> Targets {
    targets_with(config, state, manifest(0))
}

pub(crate) fn object() -> ObjectKey {
    "DeploymentConfig/shop/web".parse().unwrap()
}

fn key(seq: u64) -> RolloutKey {
    let object = object();
    RolloutKey {
        namespace: object.namespace,
        name: object.name,
        incarnation: Incarnation(1),
        seq: Seq(seq),
        epoch: None,
    }
}

pub(crate) fn request() -> RolloutRequest {
    RolloutRequest {
        key: key(42),
        started: "2026-11-21T01:02:03.004Z".parse().unwrap(),
        object: object(),
        revision: Revision(7),
        cause: RolloutCause::ImageChange,
        replaces: Some(key(40)),
        images: vec![RolloutImage {
            container: ContainerRef { list: ContainerList::Regular, name: "main".into() },
            reference: "registry.example.com/web@sha256:0".into(),
            digest: Some(Digest::of(b"new")),
            previous: Some(Digest::of(b"old")),
            lookup: None,
            written: None,
        }],
        manifest: ContentHash::of(b"manifest"),
        commit: "0".repeat(40).parse().unwrap(),
        target: "t".parse().unwrap(),
        step: None,
    }
}

fn stop_request() -> StopRequest {
    StopRequest {
        key: key(50),
        started: "2026-11-21T01:02:03.004Z".parse().unwrap(),
        object: object(),
        manifest: ContentHash::of(b"manifest"),
        written: Vec::new(),
        target: "t".parse().unwrap(),
    }
}

pub(crate) fn ask(status_url: &str) -> AskRollout {
    AskRollout { key: key(42), target: "t".parse().unwrap(), status_url: status_url.into() }
}

fn notice(kind: NoticeKind) -> Notice {
    Notice {
        kind,
        key: key(42),
        object: object(),
        at: "2026-11-21T01:05:00.000Z".parse().unwrap(),
        message: "it runs".into(),
        target: "t".parse().unwrap(),
    }
}

fn expected_event() -> serde_json::Value {
    json!({
        "specversion": "1.0",
        "id": "shop/web/1/42",
        "source": "/tidegate/test",
        "type": "dev.tidegate.rollout.requested",
        "subject": "DeploymentConfig/shop/web",
        "time": "2026-11-21T01:02:03.004Z",
        "datacontenttype": "application/json",
        "data": {
            "apiVersion": "tidegate.dev/v1",
            "kind": "RolloutRequest",
            "object": {"kind": "DeploymentConfig", "name": "web"},
            "namespace": "shop",
            "revision": 7,
            "cause": "image change",
            "replaces": "shop/web/1/40",
            "images": [{
                "container": "main",
                "reference": "registry.example.com/web@sha256:0",
                "digest": Digest::of(b"new").to_string(),
                "previousDigest": Digest::of(b"old").to_string(),
            }],
            "manifest": serde_json::from_slice::<serde_json::Value>(&manifest(0)).unwrap(),
        },
    })
}

fn complete() -> RolloutReport {
    RolloutReport::Complete { log: String::new() }
}

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn the_target_none_is_complete_at_once() {
    let state = tempfile::tempdir().unwrap();
    let targets = targets(TargetConfig::None, state.path());
    assert_eq!(targets.roll_out(&request(), Default::default()).await, complete());
    assert_eq!(targets.stop(&stop_request(), Default::default()).await, complete());
}

#[tokio::test]
async fn a_target_that_is_gone_is_no_verdict_about_an_image() {
    let state = tempfile::tempdir().unwrap();
    let targets = targets(TargetConfig::None, state.path());
    let mut request = request();
    request.target = "other".parse().unwrap();
    let report = targets.roll_out(&request, Default::default()).await;
    assert!(matches!(report, RolloutReport::Transient { .. }), "{report:?}");
}
