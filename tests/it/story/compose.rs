//! The example that drives Docker Compose, against a program that plays docker.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use tidegate::fact::{Fact, Outcome, RolloutCause};

use super::play::{Play, project, started};
use crate::support::daemon::eventually;
use crate::support::registry::DockerRegistry;

const DOCKER: &str = include_str!("fake-docker.sh");

const A: &str = "r.io/shop@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const B: &str = "r.io/shop@sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

/// The program of the example alone, in a folder of its own.
struct Stage(tempfile::TempDir);

impl Stage {
    fn new() -> Self {
        let stage = Self(tempfile::tempdir().unwrap());
        let example = project().join("examples/compose-rollout");
        for folder in ["project", "bin"] {
            std::fs::create_dir(stage.path(folder)).unwrap();
        }
        for file in ["roll-out", "project/compose.yaml"] {
            std::fs::copy(example.join(file), stage.path(file)).unwrap();
        }
        crate::support::git::program(&stage.path("bin/docker"), DOCKER);
        stage
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// Sets how the engine behaves.
    fn engine(&self, what: &str, text: &str) {
        std::fs::write(self.path("bin").join(what), text).unwrap();
    }

    /// Runs it, and returns its exit code and what it said.
    fn run(&self, action: &str, images: &str) -> (i32, String) {
        let path = format!("{}:/usr/bin:/bin", self.path("bin").display());
        let mut command = Command::new(self.path("roll-out"));
        command.arg("project").current_dir(self.0.path()).env_clear().stdin(Stdio::null());
        command.env("PATH", path).env("SETTLE_SECONDS", "0");
        command.env("ROLLOUT_ACTION", action).env("ROLLOUT_NAME", "shop");
        let output = command.env("ROLLOUT_IMAGES", images).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code().unwrap(), String::from_utf8(said).unwrap())
    }

    fn calls(&self) -> Vec<String> {
        let calls = self.read("bin/calls");
        std::fs::remove_file(self.path("bin/calls")).unwrap();
        let words = |line: &str| {
            let is_file = |word: &&str| word.starts_with("images/");
            let words: Vec<&str> = line.split(' ').filter(|word| !is_file(word)).collect();
            words.into_iter().filter(|word| *word != "-f").take(5).collect::<Vec<_>>().join(" ")
        };
        calls.lines().filter(|line| !line.starts_with("inspect")).map(words).collect()
    }
}

/// R31: what ran before is untouched until everything is here; then it runs, pinned, and is looked at.
#[test]
fn r031_compose_pulls_then_starts_then_looks() {
    let stage = Stage::new();
    let (code, said) = stage.run("rollout", &format!("web={A}\nqueue={B}"));
    assert_eq!(code, 0, "{said}");
    assert!(said.contains(&format!("web runs {A}\nqueue runs {B}\n")), "{said}");
    let file = format!("services:\n  web:\n    image: \"{A}\"\n  queue:\n    image: \"{B}\"\n");
    assert_eq!(stage.read("project/images/shop.yaml"), file);
    assert_eq!(stage.read("bin/running/queue").trim(), B);
    assert_eq!(stage.read("bin/running/database"), "", "another service is none of its business");
    let compose = "compose --project-directory . compose.yaml";
    let call = |what: &str| format!("{compose} {what}");
    let calls = stage.calls();
    let of = |what: &str| calls.iter().position(|line| *line == call(what)).expect(what);
    assert!(of("config") < of("pull") && of("pull") < of("up") && of("up") < of("ps"), "{calls:?}");
    // Once more is the same.
    assert_eq!(stage.run("rollout", &format!("web={A}\nqueue={B}")).0, 0);
    assert_eq!(stage.read("project/images/shop.yaml"), file);
    assert_eq!(std::fs::read_dir(stage.path("project/images")).unwrap().count(), 1);
}

/// R31: 75 says that nothing was touched, 1 that it does not run.
#[test]
fn r031_compose_tells_what_may_pass_from_a_verdict() {
    let stage = Stage::new();
    assert_eq!(stage.run("rollout", &format!("web={A}")).0, 0);
    let before = stage.read("project/images/shop.yaml");
    for (what, words) in
        [("no-registry", "the images cannot be pulled"), ("down", "docker does not answer")]
    {
        stage.engine(what, "");
        let (code, said) = stage.run("rollout", &format!("web={B}"));
        assert!(code == 75 && said.contains(words), "{code} {said}");
        assert_eq!(stage.read("project/images/shop.yaml"), before);
        assert_eq!(stage.read("bin/running/web").trim(), A);
        assert_eq!(std::fs::read_dir(stage.path("project/images")).unwrap().count(), 1);
    }
    std::fs::remove_file(stage.path("bin/down")).unwrap();
    stage.calls();
    let (code, said) = stage.run("rollout", "web=r.io/shop:1");
    assert!(code == 1 && said.contains("web: the image `r.io/shop:1` has no digest"), "{said}");
    assert_eq!(stage.calls(), ["version"]);
    stage.engine("broken", B);
    let (code, said) = stage.run("rollout", &format!("web={B}"));
    assert!(code == 1 && said.contains("not every service became healthy"), "{code} {said}");
    assert!(said.contains("logs --no-color --tail 3 web"), "{said}");
    // The restore.
    assert_eq!(stage.run("rollout", &format!("web={A}")).0, 0);
    assert_eq!(stage.read("bin/running/web").trim(), A);
    stage.engine("restarts", "");
    let (code, said) = stage.run("rollout", &format!("web={A}"));
    assert!(code == 1 && said.contains("a service was started anew"), "{code} {said}");
    std::fs::remove_file(stage.path("bin/restarts")).unwrap();
    stage.engine("stubborn", "r.io/shop:1\n");
    let (code, said) = stage.run("rollout", &format!("web={A}"));
    assert!(code == 1 && said.contains("web runs r.io/shop:1: another file says so"), "{said}");
}

/// D51: what goes from git is stopped; a second time there is nothing to do.
#[test]
fn d051_compose_stops_what_it_started() {
    let stage = Stage::new();
    assert_eq!(stage.run("rollout", &format!("web={A}\nqueue={B}")).0, 0);
    stage.calls();
    assert_eq!(stage.run("stop", "").0, 0);
    assert_eq!(stage.calls(), ["version", "compose --project-directory . compose.yaml rm"]);
    assert!(stage.read("bin/running/web").is_empty() && stage.read("bin/running/queue").is_empty());
    assert!(!stage.path("project/images/shop.yaml").exists());
    assert_eq!(stage.run("stop", "").0, 0);
    assert_eq!(stage.calls(), ["version"]);
}

/// Every shell that is here can read it, and a linter, where one is here, has nothing to say.
#[test]
fn the_program_for_compose_is_plain_shell() {
    let script = project().join("examples/compose-rollout/roll-out");
    let fake = project().join("tests/it/story/fake-docker.sh");
    for words in [["sh", "-n"], ["dash", "-n"], ["bash", "-n"], ["shellcheck", "--severity=style"]]
    {
        for file in [&script, &fake] {
            let Ok(output) = Command::new(words[0]).arg(words[1]).arg(file).output() else {
                continue;
            };
            let said = [output.stdout, output.stderr].concat();
            assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&said));
        }
    }
}

/// R31, D22: below a real daemon with a real registry: an image that fails is put back, what may pass is tried again.
#[tokio::test(flavor = "multi_thread")]
async fn r031_compose_rollout_puts_back_what_fails() {
    let Some(registry) = DockerRegistry::start() else { return };
    let first = registry.push_image("team/shop", "1", "1").await;
    let no_wait = [("SETTLE_SECONDS:-10", "SETTLE_SECONDS:-0")];
    let mut play = Play::of("compose-rollout", &registry.address(), &no_wait);
    std::fs::create_dir(play.path("bin")).unwrap();
    crate::support::git::program(&play.path("bin/docker"), DOCKER);
    let path = std::env::var("PATH").unwrap();
    play.start(&[("PATH", &format!("{}:{path}", play.path("bin").display()))]);
    play.wait_for_rollouts(1);
    let runs = |play: &Play| play.read("bin/running/web");
    assert!(runs(&play).contains(&first.to_string()), "{}", runs(&play));

    let second = registry.push_image("team/shop", "1", "2").await;
    std::fs::write(play.path("bin/broken"), second.to_string()).unwrap();
    play.check("production/shop:1");
    play.wait_for_rollouts(3);
    assert!(runs(&play).contains(&first.to_string()), "{}", runs(&play));
    let file = play.read("project/images/shop.yaml");
    assert!(file.contains(&first.to_string()) && !file.contains(&second.to_string()), "{file}");
    let status = play.shown(&["status"]);
    assert!(status.contains(&second.short()) && status.contains("exit status 1"), "{status}");

    std::fs::write(play.path("bin/no-registry"), "").unwrap();
    let third = registry.push_image("team/shop", "1", "3").await;
    play.check("production/shop:1");
    play.wait_for_rollouts(4);
    assert!(runs(&play).contains(&third.to_string()), "{}", runs(&play));

    let manifest = play.read("apps/shop.yaml");
    let stream = manifest.split_once("---\n").unwrap().0;
    std::fs::write(play.path("apps/shop.yaml"), stream).unwrap();
    play.commit("no workload any more");
    eventually("the end of the services", || runs(&play).is_empty().then_some(()));
    play.stop();

    let facts = play.facts();
    let causes: Vec<RolloutCause> = started(&facts).iter().map(|one| one.cause).collect();
    use RolloutCause::{ConfigChange, ImageChange, Restore};
    assert_eq!(causes, [ConfigChange, ImageChange, Restore, ImageChange]);
    let outcomes: Vec<Outcome> = facts
        .iter()
        .filter_map(|fact| match fact {
            Fact::RolloutFinished(end) => Some(end.outcome),
            _ => None,
        })
        .collect();
    use Outcome::{Complete, Failed};
    assert_eq!(outcomes, [Complete, Failed, Complete, Complete]);
    let pulls = play.read("bin/calls");
    let pulls = pulls.lines().filter(|line| line.contains(" pull --quiet")).count();
    assert_eq!(pulls, 5, "the one that failed was tried again");
}
