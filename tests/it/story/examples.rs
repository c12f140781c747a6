//! Each folder below `examples/` is played: its files as they are, on a real registry.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use tidegate::fact::{Fact, Outcome, RolloutCause};
use tidegate::names::Digest;

use super::play::{Play, project, started, tidegate};
use crate::support;
use crate::support::registry::DockerRegistry;

#[tokio::test(flavor = "multi_thread")]
async fn scheduled_import_follows_a_tag_by_its_schedule() {
    let Some(registry) = DockerRegistry::start() else { return };
    let first = registry.push_image("base/python", "3.12", "1").await;
    registry.push_image("base/python", "3.13", "other").await;
    let kept = registry.push_image("base/python", "3.12.7", "kept").await;
    let mut play = Play::of("scheduled-import", &registry.address(), &[]);
    // The shortest interval there is; the file says a minute.
    play.start(&[("TIDEGATE_IMPORTS__INTERVAL", "10s")]);
    play.wait_for_rollouts(1);
    play.wait("three imports", |facts| imported(facts).len() == 3);

    registry.push_image("base/python", "3.12.7", "moved").await;
    let second = registry.push_image("base/python", "3.12", "2").await;
    play.wait_for_rollouts(2);
    let facts = play.facts();
    assert_eq!(digests(&facts, "default/python:3.12"), [first, second]);
    assert_eq!(digests(&facts, "default/python:3.12.7"), [kept], "it is not scheduled");
    let rollouts = started(&facts);
    assert_eq!(rollouts.len(), 2);
    assert_eq!(rollouts[1].cause, RolloutCause::ImageChange);
    assert_eq!(rollouts[1].images[0].digest, Some(second));

    let history = play.shown(&["history", "python:3.12"]);
    for digest in [first, second] {
        assert!(history.contains(&digest.short()), "{history}");
    }
    let status = play.shown(&["status"]);
    assert!(status.contains("python:3.12") && status.contains(&second.short()), "{status}");
    play.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn webhook_rollout_is_signed_and_done_once_by_its_receiver() {
    let Some(registry) = DockerRegistry::start() else { return };
    if support::need("python3").is_none() {
        return;
    }
    let first = registry.push_image("team/shop", "1", "1").await;
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::start(folder.path());
    let hook = format!("127.0.0.1:{}", receiver.port);
    let mut play = Play::of("webhook-rollout", &registry.address(), &[("127.0.0.1:8080", &hook)]);
    std::fs::write(play.path("deployer.secret"), "very secret\n").unwrap();
    play.start(&[]);
    play.wait_for_rollouts(1);
    let second = registry.push_image("team/shop", "1", "2").await;
    play.check("production/shop:1");
    play.wait_for_rollouts(2);
    play.stop();

    let facts = play.facts();
    assert!(outcomes(&facts).iter().all(|outcome| *outcome == Outcome::Complete));
    let seen = std::fs::read_to_string(folder.path().join("seen.txt")).unwrap();
    assert_eq!(seen.lines().count(), 2, "each rollout has one key: {seen}");
    // What it did before it does not do again, and what is not signed it does not do at all.
    let key = seen.lines().next().unwrap();
    assert_eq!(post(&hook, key, Some("very secret")).await, 409);
    assert_eq!(post(&hook, "production/shop/1/999", Some("another secret")).await, 401);
    assert_eq!(post(&hook, "production/shop/1/999", None).await, 401);
    let line = |cause, container, digest| {
        format!("DeploymentConfig/production/shop: {cause}: {container} -> {digest}")
    };
    assert_eq!(
        receiver.end(),
        [
            line("config change", "queue", first),
            line("config change", "web", first),
            line("image change", "queue", second),
            line("image change", "web", second),
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn shared_streams_in_another_namespace_reach_each_dependent_once() {
    let Some(registry) = DockerRegistry::start() else { return };
    let first = registry.push_image("platform/runtime", "8", "1").await;
    let example = "shared-streams-in-another-namespace";
    let mut play = Play::of(example, &registry.address(), &[]);
    play.start(&[]);
    play.wait_for_rollouts(2);
    let second = registry.push_image("platform/runtime", "8", "2").await;
    play.check("shared/runtime:8");
    play.wait_for_rollouts(4);
    play.stop();

    let facts = play.facts();
    assert_eq!(started(&facts).len(), 4);
    assert!(outcomes(&facts).iter().all(|outcome| *outcome == Outcome::Complete));
    for (log, object) in [("shop.log", "shop/web/"), ("billing.log", "billing/api/")] {
        let log = play.read(log);
        let lines: Vec<_> = log.lines().collect();
        assert_eq!(lines.len(), 2, "{log}");
        assert!(lines.iter().all(|line| line.starts_with(object)), "{log}");
        assert!(lines[0].ends_with(&format!("rollout (config change) {first}")), "{log}");
        assert!(lines[1].ends_with(&format!("rollout (image change) {second}")), "{log}");
    }
    assert_eq!(digests(&facts, "billing/runtime:approved"), [first, second]);
}

/// The folders of the stories; a single file beside them is no story.
fn folders() -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(project().join("examples")).unwrap();
    let mut folders: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    folders.retain(|path| path.is_dir());
    folders.sort();
    folders
}

#[test]
fn every_example_has_a_story() {
    let names = folders().into_iter().map(|f| f.file_name().unwrap().to_owned());
    let folders: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
    let others = ["shared-streams-in-another-namespace", "webhook-rollout"];
    assert_eq!(folders, [&["compose-rollout", "scheduled-import"][..], &others].concat());
}

#[test]
fn starter_manifests_and_examples_are_checked_without_a_warning() {
    for folder in folders().into_iter().chain([project().to_owned()]) {
        let manifests = if folder == project() { "manifests" } else { "apps" };
        let output = tidegate(&folder, &["check", manifests]).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8(said).unwrap();
        assert!(output.status.success(), "{}: {said}", folder.display());
        assert!(!said.contains("warning:"), "{}: {said}", folder.display());
    }
}

#[test]
fn the_configuration_of_every_example_is_understood() {
    for folder in folders() {
        let output = tidegate(&folder, &["config"]).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {error}", folder.display());
    }
}

/// The digests of a tag, in the order in which they were imported.
fn digests(facts: &[Fact], tag: &str) -> Vec<Digest> {
    let of_tag = imported(facts).into_iter().filter(|(imported, _)| imported == tag);
    of_tag.map(|(_, digest)| digest).collect()
}

fn imported(facts: &[Fact]) -> Vec<(String, Digest)> {
    let import = |fact: &Fact| {
        let Fact::TagImported(imported) = fact else { return None };
        Some((imported.tag.to_string(), imported.event.image?))
    };
    facts.iter().filter_map(import).collect()
}

fn outcomes(facts: &[Fact]) -> Vec<Outcome> {
    let outcome = |fact: &Fact| {
        let Fact::RolloutFinished(finished) = fact else { return None };
        Some(finished.outcome)
    };
    facts.iter().filter_map(outcome).collect()
}

/// The receiver of the example, as a child process.
struct Receiver {
    child: Child,
    output: BufReader<std::process::ChildStdout>,
    port: u16,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Receiver {
    fn start(folder: &std::path::Path) -> Self {
        std::fs::write(folder.join("secret"), "very secret\n").unwrap();
        let mut child = Command::new("python3")
            .arg(project().join("examples/webhook-rollout/receiver.py"))
            .args(["0", "secret", "seen.txt"])
            .current_dir(folder)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        let port = line.trim().rsplit(' ').next().unwrap().parse().unwrap();
        Self { child, output, port }
    }

    /// Ends it and returns what it printed, sorted within each rollout by the receiver's own order.
    fn end(mut self) -> Vec<String> {
        self.child.kill().unwrap();
        let mut lines: Vec<String> = (&mut self.output).lines().map(Result::unwrap).collect();
        lines.sort();
        lines
    }
}

/// Posts an event under a key, signed with a secret; returns the status.
async fn post(hook: &str, key: &str, secret: Option<&str>) -> u16 {
    use hmac::{KeyInit as _, Mac as _};
    let body = serde_json::json!({
        "id": key, "type": "dev.tidegate.rollout.requested", "subject": "DeploymentConfig/production/shop",
        "data": {"cause": "image change", "images": []},
    });
    let body = body.to_string();
    let url = format!("http://{hook}/rollouts");
    let mut request = reqwest::Client::new().post(url).header("Idempotency-Key", key);
    if let Some(secret) = secret {
        let mut mac = hmac::Hmac::<sha2::Sha256>::new_from_slice(secret.as_bytes()).unwrap();
        mac.update(body.as_bytes());
        let signature = format!("sha256={}", hex::encode(mac.finalize().into_bytes()));
        request = request.header("X-Tidegate-Signature-256", signature);
    }
    request.body(body).send().await.unwrap().status().as_u16()
}
