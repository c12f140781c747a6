//! `status`, `history`, `diff` and `release` through the real binary, on a journal that no daemon holds open.

use std::path::Path;
use std::process::Command;

use tidegate::action::{Action, Input, Resolution, ResolvedImage, RolloutReport};
use tidegate::engine::{Effect, Engine};
use tidegate::journal::Journal;
use tidegate::names::{ContentHash, Digest};
use tidegate::observed::ObservedState;
use tidegate::policy::Policy;
use tidegate::time::{Monotonic, Now};
use tidegate::world::git::{Freshness, Source, SourceConfig};

use crate::support::git::Repo;

const MANIFESTS: &str = "\
apiVersion: image.openshift.io/v1
kind: ImageStream
metadata: {name: python, namespace: shop}
spec:
  tags:
  - name: '3.6'
    from: {kind: DockerImage, name: 'localhost:1/team/python:3.6'}
---
apiVersion: apps.openshift.io/v1
kind: DeploymentConfig
metadata: {name: web, namespace: shop}
spec:
  replicas: 1
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: ' ', env: [{name: API_TOKEN, value: hunter2hunter2}]}]}
  triggers:
  - type: ConfigChange
  - type: ImageChange
    imageChangeParams:
      automatic: true
      containerNames: [web]
      from: {kind: ImageStreamTag, name: 'python:3.6'}
";

/// Does once what a daemon would do, with a registry that knows one image and a target that takes everything.
fn play(repo: &Repo, state: &Path) {
    let source = Source::open(SourceConfig::new(repo.address()), state).unwrap();
    let (mut journal, _) = Journal::open(state).unwrap();
    let now = Now { wall: "2026-11-21T08:00:00Z".parse().unwrap(), mono: Monotonic::START };
    let mut engine = Engine::new(Policy::default(), ObservedState::default(), now);
    let mut inputs = vec![Input::Wake];
    while !inputs.is_empty() {
        let effects = engine.step(std::mem::take(&mut inputs), now);
        for effect in effects {
            match effect {
                Effect::Append(records) => journal.append(&records).unwrap(),
                Effect::Start(id, Action::ReadSource(_)) => {
                    let stop = tokio_util::sync::CancellationToken::new();
                    let read = source.read_revision(None, Freshness::Offline, &stop).unwrap();
                    inputs.push(Input::SourceRead(id, Ok(Box::new(read))));
                }
                Effect::Start(id, Action::Resolve(_)) => {
                    let digest = Digest::of(b"image");
                    let metadata = ContentHash::of(b"metadata");
                    let image = Some(ResolvedImage { digest, metadata });
                    let answer = Ok(Resolution { probed: digest, image });
                    inputs.push(Input::Resolved(id, answer));
                }
                Effect::Start(id, Action::RollOut(_)) => {
                    let report = RolloutReport::Complete { log: String::new() };
                    inputs.push(Input::RolloutReported(id, report));
                }
                Effect::Store(_)
                | Effect::Start(..)
                | Effect::Cancel(_)
                | Effect::Answer(..)
                | Effect::WakeAt(_)
                | Effect::Exit => {}
            }
        }
    }
}

struct World {
    repo: Repo,
    folder: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let repo = Repo::new();
        repo.write("shop/web.yaml", MANIFESTS).commit("one");
        let folder = tempfile::tempdir().unwrap();
        let config = format!(
            "state_dir = {:?}\ndefault_namespace = \"shop\"\n[source]\nrepository = {:?}\n",
            folder.path().join("state"),
            repo.address()
        );
        std::fs::write(folder.path().join("tidegate.toml"), config).unwrap();
        let world = Self { repo, folder };
        let state = world.folder.path().join("state");
        std::fs::create_dir(&state).unwrap();
        play(&world.repo, &state);
        world
    }

    /// Runs a command; returns its exit code and what it printed.
    fn tidegate(&self, words: &[&str]) -> (i32, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_tidegate"))
            .args(words)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .current_dir(self.folder.path())
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let talk = String::from_utf8(output.stderr).unwrap();
        (output.status.code().unwrap(), text + &talk)
    }
}

#[test]
fn without_a_daemon_status_and_history_tell_what_the_journal_proves() {
    let world = World::new();
    let (code, text) = world.tidegate(&["status"]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("daemon not running: as of record 5, 2026-11-21T08:00:00Z"), "{text}");
    assert!(text.contains("DeploymentConfig/shop/web at target none: Complete"), "{text}");
    assert!(text.contains("not verified, no daemon runs"), "{text}");
    let hint = "\n1 info identified, use 'tidegate status --suggest' to see details.\n";
    assert!(text.starts_with("In project shop from ") && text.ends_with(hint), "{text}");
    let (_, text) = world.tidegate(&["status", "--suggest", "--oc-compatible", "-n", "shop"]);
    assert!(text.contains("\nInfo:\n  * dc/web has no readiness probe to verify"), "{text}");
    assert!(text.ends_with(" or list resources with 'oc get all'.\n"), "{text}");
    let (_, text) = world.tidegate(&["status", "-n", "empty"]);
    let begin = "\nRun 'tidegate new-app' to create an application.\n";
    assert!(text.starts_with("In project empty from ") && text.ends_with(begin), "{text}");
    assert!(!text.contains("shop/web"), "{text}");
    assert_eq!(world.tidegate(&["status", "--exit-code"]).0, 4);
    let (code, text) = world.tidegate(&["status", "dc/wbe"]);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("did you mean `deploymentconfig/web`?"), "{text}");
    let (_, text) = world.tidegate(&["history", "dc/web"]);
    let words = ["commit", "import", "trigger", "rollout", "complete"];
    let found: Vec<_> = text.lines().filter_map(|line| line.split_whitespace().nth(2)).collect();
    assert_eq!(found, words, "{text}");
    let (_, text) = world.tidegate(&["history", "--runs", "-o", "json"]);
    let runs: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(runs["formatVersion"], 1);
    assert_eq!(runs["runs"][0]["commit"], world.repo.head().to_string());
    assert_eq!(runs["runs"][0]["digests"]["web"], Digest::of(b"image").to_string());
}

#[test]
fn a_dry_run_of_the_work_tree_and_of_commits_exits_by_what_it_finds() {
    let world = World::new();
    let (code, text) = world.tidegate(&["diff"]);
    assert_eq!(code, 0, "{text}");
    world.repo.write("shop/web.yaml", MANIFESTS.replace("hunter2hunter2", "hunter3hunter3"));
    assert_eq!(world.tidegate(&["diff"]).0, 0, "what is not committed is not at the head");
    let (code, text) = world.tidegate(&["diff", "--worktree"]);
    assert_eq!(code, 2, "{text}");
    assert!(text.contains("<hidden 2>"), "{text}");
    assert!(!text.contains("hunter"), "a secret shows: {text}");
    assert!(text.contains("1. DeploymentConfig/shop/web revision 2"), "{text}");
    world.repo.write("shop/web.yaml", MANIFESTS.replace("replicas: 1", "replicas: many"));
    world.repo.commit("two");
    let (code, text) = world.tidegate(&["diff", "main", "-o", "json"]);
    assert_eq!(code, 3, "{text}");
    let report: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(report["rejected"][0]["kept"], true);
    // Nothing listens at port 1: what could not be asked is not taken for unchanged.
    let moved = MANIFESTS.replace("team/python:3.6", "team/python:3.7");
    world.repo.write("shop/web.yaml", moved);
    assert_eq!(world.tidegate(&["diff", "--worktree"]).0, 2);
    assert_eq!(world.tidegate(&["diff", "--worktree", "--resolve"]).0, 4);
    assert_eq!(world.tidegate(&["diff", "nosuch"]).0, 1);
    assert_eq!(world.tidegate(&["diff", "main", "--worktree"]).0, 64);
}

#[test]
fn a_release_without_a_daemon_says_what_to_do() {
    let world = World::new();
    let (code, text) = world.tidegate(&["release", "dc/web"]);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("no daemon listens at") && text.contains("tidegate run"), "{text}");
    assert_eq!(world.tidegate(&["release"]).0, 64);
}
