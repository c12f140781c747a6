use std::sync::Arc;

use anstream::adapter::strip_str;
use proptest::prelude::*;

use crate::action::{ResolvedImage, SourceFile};
use crate::names::{BlobId, ContentHash};
use crate::policy::Policy;
use crate::report::{story, to_json};
use crate::time::Monotonic;

use super::*;

const STREAM: &str = "\
apiVersion: image.openshift.io/v1
kind: ImageStream
metadata: {name: python, namespace: shop}
spec:
  tags:
  - name: '3.6'
    from: {kind: DockerImage, name: 'registry.example.com/team/python:3.6'}
    importPolicy: {scheduled: true}
";

const WORKLOAD: &str = "\
apiVersion: apps.openshift.io/v1
kind: DeploymentConfig
metadata: {name: web, namespace: shop}
spec:
  replicas: 1
  selector: {app: web}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: web
        image: ' '
        env:
        - {name: LOG_LEVEL, value: info}
        - {name: DB_PASSWORD, value: first-secret}
  triggers:
  - type: ConfigChange
  - type: ImageChange
    imageChangeParams:
      automatic: true
      containerNames: [web]
      from: {kind: ImageStreamTag, name: 'python:3.6'}
";

const SECRET: &str = "\
apiVersion: v1
kind: Secret
metadata: {name: db, namespace: shop}
stringData: {password: first-secret}
";

fn read(commit: u8, files: &[(&str, &str)]) -> SourceRead {
    let file = |(path, text): &(&str, &str)| {
        let hash = ContentHash::of(text.as_bytes()).to_string();
        let mut blob = [0; 20];
        blob.copy_from_slice(&hash.as_bytes()[..20]);
        SourceFile {
            path: (*path).to_owned(),
            blob: BlobId::from_bytes(blob),
            bytes: Some(Arc::from(text.as_bytes())),
            len: text.len() as u64,
        }
    };
    SourceRead {
        commit: story::commit(commit),
        base: None,
        branch: "main".into(),
        forced: false,
        changed: files.iter().map(file).collect(),
        removed: Vec::new(),
        skipped: Vec::new(),
    }
}

fn now() -> Now {
    Now { wall: story::at(0), mono: Monotonic::START }
}

fn later() -> Now {
    Now { wall: story::at(30), mono: Monotonic::START }
}

fn answer(n: u8) -> Answer {
    let digest = story::digest(n);
    let metadata = ContentHash::of(b"metadata");
    Some(Ok(Resolution { probed: digest, image: Some(ResolvedImage { digest, metadata }) }))
}

fn failure(reason: ImportReason) -> Answer {
    let message = "registry.example.com did not answer".into();
    Some(Err(ImportFailure { reason, message, transient: true, retry_after: None }))
}

const FILES: [(&str, &str); 3] =
    [("shop/python.yaml", STREAM), ("shop/secret.yaml", SECRET), ("shop/web.yaml", WORKLOAD)];

fn fresh() -> Engine {
    Engine::new(Policy::default(), ObservedState::default(), now())
}

/// An engine that adopted the files and came to rest with digest 1.
fn at_rest() -> Engine {
    let mut run = Run {
        engine: fresh(),
        read: Some(read(1, &FILES)),
        mode: Mode::Resolve,
        ask: &mut |requests: &[ResolveRequest]| requests.iter().map(|_| answer(1)).collect(),
        now: now(),
        records: Vec::new(),
        answers: BTreeMap::new(),
        cut: false,
    };
    run.go();
    // As after a restart: what a process may forget is forgotten.
    let observed = ObservedState::default().replay(&run.records);
    let mut engine = Engine::new(Policy::default(), observed, later());
    engine.load(&read(1, &FILES), Vec::new());
    engine
}

fn offline(engine: Engine, read: SourceRead) -> DryRun {
    let mut ask = |_: &[ResolveRequest]| -> Vec<Answer> { panic!("offline asks nobody") };
    simulate(engine, read, Subject::Commit, Mode::Offline, &mut ask, later())
}

fn resolve(engine: Engine, read: SourceRead, answer: &dyn Fn() -> Answer) -> DryRun {
    let mut ask = |requests: &[ResolveRequest]| requests.iter().map(|_| answer()).collect();
    simulate(engine, read, Subject::Commit, Mode::Resolve, &mut ask, later())
}

fn text(report: &DryRun) -> String {
    strip_str(&report.to_text()).to_string()
}

fn edited(from: &str, to: &str) -> SourceRead {
    let files = FILES.map(|(path, text)| (path, text.replace(from, to)));
    let files: Vec<_> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
    read(2, &files)
}

#[test]
fn the_placeholder_of_a_work_tree_is_an_object_id() {
    assert_eq!(no_commit().to_string(), "0".repeat(40));
}

#[test]
fn the_adopted_commit_has_nothing_to_do() {
    let report = offline(at_rest(), read(1, &FILES));
    assert_eq!(report.verdict(), Verdict::NothingToDo, "{}", text(&report));
    insta::assert_snapshot!("nothing_to_do", text(&report));
}

#[test]
fn a_first_commit_offline_lists_what_is_not_known_yet() {
    let report = offline(fresh(), read(1, &FILES));
    assert_eq!(report.verdict(), Verdict::Changes, "{}", text(&report));
    insta::assert_snapshot!("first_offline", text(&report));
}

#[test]
fn a_first_commit_resolved_rolls_out() {
    let report = resolve(fresh(), read(1, &FILES), &|| answer(1));
    assert_eq!(report.verdict(), Verdict::Changes, "{}", text(&report));
    insta::assert_snapshot!("first_resolved", text(&report));
}

#[test]
fn a_changed_template_rolls_out_and_no_secret_shows() {
    let report = offline(at_rest(), edited("value: first-secret", "value: second-secret"));
    assert_eq!(report.verdict(), Verdict::Changes, "{}", text(&report));
    insta::assert_snapshot!("changed", text(&report));
    insta::assert_snapshot!("changed_json", to_json(&report));
}

#[test]
fn a_moved_tag_is_seen_when_registries_are_asked() {
    let report = resolve(at_rest(), read(1, &FILES), &|| answer(2));
    assert_eq!(report.verdict(), Verdict::Changes, "{}", text(&report));
    insta::assert_snapshot!("moved", text(&report));
}

#[test]
fn a_registry_that_cannot_be_asked_is_not_taken_for_no_change() {
    let report = resolve(at_rest(), read(1, &FILES), &|| failure(ImportReason::InternalError));
    assert_eq!(report.verdict(), Verdict::Unverified, "{}", text(&report));
    let report = resolve(at_rest(), read(1, &FILES), &|| failure(ImportReason::NotFound));
    assert_eq!(report.verdict(), Verdict::ChangesHeld, "{}", text(&report));
    let report = resolve(fresh(), read(1, &FILES), &|| None);
    assert_eq!(report.verdict(), Verdict::Unverified, "{}", text(&report));
}

#[test]
fn a_removed_workload_would_be_stopped_and_a_removed_namespace_is_held() {
    let report = offline(at_rest(), read(2, &FILES[..2]));
    assert_eq!(report.verdict(), Verdict::Changes, "{}", text(&report));
    assert!(text(&report).contains("DeploymentConfig/shop/web: would be stopped"));
    let report = offline(at_rest(), read(2, &[]));
    assert_eq!(report.verdict(), Verdict::ChangesHeld, "{}", text(&report));
    assert!(text(&report).contains("held: the commit removes too much at once"));
}

#[test]
fn an_invalid_object_is_shown_with_its_position_and_keeps_its_version() {
    let report = offline(at_rest(), edited("replicas: 1", "replicas: many"));
    assert_eq!(report.verdict(), Verdict::ChangesHeld, "{}", text(&report));
    let text = text(&report);
    assert!(text.contains("DeploymentConfig/shop/web at shop/web.yaml:5:"), "{text}");
    assert!(text.contains("its last valid version stays in force"), "{text}");
}

/// Law 8: programs find every hold in one list, people find each in one place.
#[test]
fn what_is_rejected_or_guarded_is_held_for_programs_and_shown_once_to_people() {
    let reasons = |report: &DryRun| {
        let json: serde_json::Value = serde_json::from_str(&to_json(report)).unwrap();
        let held = json["held"].as_array().unwrap().iter();
        held.map(|held| held["held"]["reason"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let invalid = offline(at_rest(), edited("replicas: 1", "replicas: many"));
    assert_eq!(reasons(&invalid), ["rejected"]);
    let shown = text(&invalid);
    assert_eq!(shown.matches("its last valid version stays in force").count(), 1, "{shown}");
    assert!(!shown.contains("\nHeld\n"), "{shown}");
    let emptied = offline(at_rest(), read(2, &[]));
    assert_eq!(reasons(&emptied), ["removalGuarded", "removalGuarded"]);
    assert!(!text(&emptied).contains("\nHeld\n"), "{}", text(&emptied));
}

/// Law 8: what waits for another rollout now is shown as due, in its turn.
#[test]
fn rollouts_that_wait_for_a_slot_are_listed_in_their_turn() {
    let worker = WORKLOAD.replace("name: web, namespace", "name: worker, namespace");
    let files = [FILES[0], FILES[2], ("shop/worker.yaml", worker.as_str())];
    let policy = Policy { rollouts_in_flight_max: 1, ..Policy::default() };
    let engine = Engine::new(policy, ObservedState::default(), now());
    let report = resolve(engine, read(1, &files), &|| answer(1));
    let text = text(&report);
    assert!(text.contains("1. DeploymentConfig/shop/web revision 1"), "{text}");
    assert!(text.contains("2. DeploymentConfig/shop/worker revision 1"), "{text}");
    assert!(!text.contains("\nHeld\n"), "{text}");
}

#[test]
fn a_work_tree_on_the_adopted_commit_is_compared_with_it() {
    let files = SourceRead { commit: story::commit(1), ..edited("info", "debug") };
    let mut ask = |_: &[ResolveRequest]| Vec::new();
    let report = simulate(at_rest(), files, Subject::WorkTree, Mode::Offline, &mut ask, later());
    assert_eq!(report.verdict(), Verdict::Changes, "{}", text(&report));
    assert!(text(&report).starts_with("Dry run of work tree (main) against commit 010101010 "));
}

#[test]
fn the_same_input_prints_the_same_bytes() {
    let report = || offline(at_rest(), edited("info", "debug"));
    assert_eq!(to_json(&report()), to_json(&report()));
    assert_eq!(report().to_text(), report().to_text());
}

#[test]
fn a_dry_run_changes_nothing() {
    let engine = at_rest();
    let before = engine.observed().clone();
    drop(offline(engine.clone(), edited("info", "debug")));
    assert_eq!(*engine.observed(), before);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn a_secret_in_a_manifest_never_shows_in_a_report(secret in "[A-Za-z0-9]{12,30}") {
        let read = edited("first-secret", &secret);
        let report = offline(at_rest(), read);
        prop_assert!(report.verdict() != Verdict::NothingToDo);
        prop_assert!(!report.to_text().contains(&secret), "{}", report.to_text());
        prop_assert!(!to_json(&report).contains(&secret));
        prop_assert!(!to_json(&report).contains("first-secret"));
    }
}
