//! What may go wrong with podman and around it, with a real one: nothing is lost, and nothing is told as success that is
//! none.

use tidegate::fact::{Fact, Outcome, RolloutStep};

use crate::support::daemon::{Host, eventually, wait};
use crate::support::git::Repo;
use crate::support::podman::{Podman, Program, alone};
use crate::support::shop::{End, Web, end_of, import, last_steps};

fn manifests(registry: &str, hooks: &str) -> String {
    let strategy = format!(
        "strategy: {{type: Rolling, activeDeadlineSeconds: 40, rollingParams: {{timeoutSeconds: 8{hooks}}}}}"
    );
    let annotations = "tidegate.dev/verify: 'false', tidegate.dev/retry: '1'";
    Web { annotations, spec: &strategy, ..Web::default() }.yaml(registry)
}

struct Faulty {
    podman: Podman,
    host: Host,
    _repo: Repo,
    rollouts: usize,
}

impl Faulty {
    fn open(hooks: &str) -> Option<Self> {
        Self::open_with(hooks, "0s")
    }

    /// With a guard against tags that flap.
    fn open_with(hooks: &str, guard: &str) -> Option<Self> {
        if !alone() {
            return None;
        }
        let podman = Podman::start()?;
        podman.push("shop/web:latest", "v1", Program::Healthy);
        let toml = format!(
            "[targets.here]\nkind = \"podman\"\nprogram = {:?}\n[routes]\ndefault = \"here\"\n\
             [triggers]\nflap_guard = \"{guard}\"\n",
            podman.between().display()
        );
        let repo = Repo::new();
        repo.write("web.yaml", manifests(&podman.registry.address(), hooks)).commit("the shop");
        let mut host = Host::new(repo.path(), &toml);
        host.start();
        let mut faulty = Self { podman, host, _repo: repo, rollouts: 0 };
        if hooks.is_empty() {
            faulty.completes();
        }
        Some(faulty)
    }

    fn ends(&mut self) -> End {
        self.rollouts += 1;
        let wanted = self.rollouts;
        eventually(&format!("rollout {wanted}; {}", self.host.story()), || {
            end_of(self.host.records(), wanted)
        })
    }

    fn completes(&mut self) {
        let end = self.ends();
        assert_eq!(end, (Outcome::Complete, String::new(), None), "{}", self.host.story());
    }

    fn imports(&self) {
        import(&self.host, "web");
    }

    fn moves(&self, version: &str, program: Program) {
        self.podman.push("shop/web:latest", version, program);
        self.imports();
    }

    fn steps(&self) -> Vec<RolloutStep> {
        last_steps(self.host.records())
    }

    /// What runs says which version it is.
    fn runs(&self) -> String {
        let look = ["exec", "web-0-main", "/bin/busybox", "cat", "/www/index.html"];
        self.podman.run(&look)
    }
}

/// T25: a podman that is killed while it plays is no verdict about the image; the step is asked for again.
#[test]
fn t025_podman_killed_while_it_plays_is_asked_again() {
    let Some(mut faulty) = Faulty::open("") else { return };
    let once = faulty.podman.beside("once");
    let lines = format!(
        "if [ \"$1 $2\" = 'kube play' ] && mkdir {} 2>/dev/null; then\n\
           {} \"$@\" & sleep 0.4; kill -9 $!; kill -9 $$\nfi\n",
        once.display(),
        faulty.podman.program().display()
    );
    faulty.podman.puts_between(&lines);
    faulty.moves("v2", Program::Healthy);
    faulty.completes();
    assert!(once.exists(), "it was killed once");
    assert_eq!(faulty.runs(), "v2");
    assert_eq!(
        faulty.podman.run(&["pod", "ps", "--format", "{{.Name}} {{.Status}}"]),
        "web-0 Running"
    );
}

/// T25: a podman that hangs is ended with its children, and what ran before goes on.
#[test]
fn t025_a_podman_that_hangs_is_ended_with_its_children() {
    let Some(mut faulty) = Faulty::open("") else { return };
    let pids = faulty.podman.beside("pids");
    faulty.podman.puts_between(&format!(
        "if [ \"$1\" = pull ]; then sleep 1000 & echo $$ $! > {}; wait; fi\n",
        pids.display()
    ));
    faulty.moves("v2", Program::Healthy);
    let (outcome, reason, rolled_back) = faulty.ends();
    assert_eq!((outcome, rolled_back), (Outcome::Failed, Some(true)), "{reason}");
    assert!(reason.starts_with("Pulling failed in 2 attempts: podman pull "), "{reason}");
    assert!(reason.ends_with(": it stood still for 8s"), "{reason}");
    assert_eq!(faulty.runs(), "v1");
    for pid in std::fs::read_to_string(pids).unwrap().split_whitespace() {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        assert!(stat.is_empty() || stat.contains(") Z "), "{stat}");
    }
}

/// T25: a registry that is gone between the import and the pull touches nothing, and is asked again.
#[test]
fn t025_a_registry_that_is_gone_before_the_pull_touches_nothing() {
    let Some(mut faulty) = Faulty::open("") else { return };
    // What is asked of the registry from here on is answered by nobody.
    let gone = "if [ \"$1\" = pull ]; then echo 'Error: initializing source: connection refused' >&2; exit 125; fi\n";
    faulty.podman.puts_between(gone);
    faulty.moves("v2", Program::Healthy);
    let (outcome, reason, rolled_back) = faulty.ends();
    assert_eq!((outcome, rolled_back), (Outcome::Failed, Some(true)), "{reason}");
    assert!(reason.starts_with("Pulling failed in 2 attempts: cannot pull "), "{reason}");
    assert_eq!(faulty.steps(), [RolloutStep::Pulling, RolloutStep::RollingBack]);
    assert_eq!(faulty.runs(), "v1");
}

/// T25: a registry that breaks off in the middle of a layer is asked again.
#[test]
fn t025_a_pull_that_breaks_off_is_begun_again() {
    let Some(mut faulty) = Faulty::open("") else { return };
    let once = faulty.podman.beside("once");
    faulty.podman.puts_between(&format!(
        "if [ \"$1\" = pull ] && mkdir {} 2>/dev/null; then {} \"$@\" & sleep 0.1; kill -9 $!; exit 125; fi\n",
        once.display(),
        faulty.podman.program().display()
    ));
    faulty.moves("v2", Program::Healthy);
    faulty.completes();
    assert!(once.exists(), "it broke off once");
    assert_eq!(faulty.runs(), "v2");
}

/// R7: images of revisions that may come back are spared when unused ones are pruned, and a rollback pulls one that is
/// gone all the same.
#[test]
fn r007_what_ran_before_comes_back_though_images_are_pruned() {
    let Some(mut faulty) = Faulty::open("") else { return };
    faulty.moves("v2", Program::Healthy);
    faulty.completes();
    let images = || faulty.podman.run(&["image", "ls", "--quiet"]).lines().count();
    let before = images();
    faulty.podman.run(&["image", "prune", "--all", "--force"]);
    assert_eq!(images(), before, "the images of both revisions are kept");

    // Somebody takes everything away while the new revision is tried.
    faulty.podman.puts_between(&format!(
        "if [ \"$1 $2\" = 'kube play' ]; then {0} rm --force --time 0 web-keep-1-0 web-keep-2-0; {0} image prune --all --force; fi >/dev/null 2>&1\n",
        faulty.podman.program().display()
    ));
    faulty.moves("v3", Program::NeverReady);
    let (outcome, reason, rolled_back) = faulty.ends();
    assert_eq!((outcome, rolled_back), (Outcome::Failed, Some(true)), "{reason}");
    assert_eq!(faulty.runs(), "v2");
}

/// D16: of digests that come one right after the other the last one runs in the end, each tried at most once; one that
/// comes back is no new one where it runs still.
#[test]
fn d016_a_tag_that_flaps_ends_where_it_ends() {
    let Some(faulty) = Faulty::open("") else { return };
    let latest = |faulty: &Faulty, version: &str| faulty.moves(version, Program::Healthy);
    latest(&faulty, "v2");
    latest(&faulty, "v3");
    eventually("v3", || {
        let done = faulty.host.records().into_iter().rev().find_map(|record| match record.fact {
            Fact::RolloutFinished(end) => Some(end.outcome),
            _ => None,
        });
        let is_idle = faulty.host.count(|fact| matches!(fact, Fact::RolloutStarted(_)))
            == faulty.host.count(|fact| matches!(fact, Fact::RolloutFinished(_)));
        (is_idle && done == Some(Outcome::Complete) && faulty.runs() == "v3").then_some(())
    });
    let started = faulty.host.count(|fact| matches!(fact, Fact::RolloutStarted(_)));
    assert_eq!(started, 3, "{}", faulty.host.story());
    let completes = |faulty: &Faulty| {
        faulty.host.count(
            |fact| matches!(fact, Fact::RolloutFinished(end) if end.outcome == Outcome::Complete),
        )
    };
    let before = completes(&faulty);
    for (at, version) in (1..).zip(["v1", "v2", "v1"]) {
        latest(&faulty, version);
        eventually(version, || (completes(&faulty) == before + at).then_some(()));
        assert_eq!(faulty.runs(), version);
    }
}

/// D39a: a hook that hangs is ended with the rollout's time, and nothing was touched.
#[test]
fn d040_a_hook_that_hangs_ends_with_the_time_of_the_rollout() {
    let hook =
        ", pre: {failurePolicy: Abort, execNewPod: {command: [/bin/sh, -c, 'busybox sleep 1000']}}";
    let Some(mut faulty) = Faulty::open(hook) else { return };
    let (outcome, reason, rolled_back) = faulty.ends();
    assert_eq!((outcome, rolled_back), (Outcome::Failed, Some(true)), "{reason}");
    assert_eq!(reason, "it was not done within 40s");
    assert_eq!(
        faulty.steps(),
        [RolloutStep::Pulling, RolloutStep::PreHook, RolloutStep::RollingBack]
    );
    assert_eq!(faulty.podman.run(&["pod", "ps", "--quiet"]), "");
}

/// R1, law 8: what somebody stopped or removed by hand is told as that, is left so, and the next rollout replaces it.
#[test]
fn r001_what_is_stopped_by_hand_is_told_and_left_so() {
    let Some(mut faulty) = Faulty::open("") else { return };
    let status = |faulty: &Faulty| faulty.host.text(&["status"]);
    assert!(!status(&faulty).contains("NotRunning"), "{}", status(&faulty));
    faulty.podman.run(&["pod", "stop", "--time", "1", "web-0"]);
    let told = status(&faulty);
    assert!(told.contains("NotRunning") && told.contains("pod web-0 is exited"), "{told}");
    faulty.podman.run(&["pod", "rm", "--force", "web-0"]);
    let told = status(&faulty);
    assert!(told.contains("pod web-0 is gone"), "{told}");
    assert_eq!(faulty.host.count(|fact| matches!(fact, Fact::RolloutStarted(_))), 1, "left so");
    faulty.moves("v2", Program::Healthy);
    faulty.completes();
    assert_eq!(faulty.runs(), "v2");
    assert!(!status(&faulty).contains("NotRunning"), "{}", status(&faulty));
}

/// R13a: an image that is built for other machines is refused before anything is touched, with both platforms.
#[test]
fn r013a_an_image_for_another_platform_touches_nothing() {
    let Some(mut faulty) = Faulty::open("") else { return };
    let inspect = ["container", "inspect", "--format", "{{.Id}}", "web-0-main"];
    let before = faulty.podman.run(&inspect);
    let own = faulty.podman.run(&["info", "--format", "{{.Host.Arch}}"]);
    let other = if own == "arm64" { "amd64" } else { "arm64" };
    faulty.podman.push_for("shop/web:latest", "v2", Program::Healthy, &["--arch", other]);
    faulty.imports();
    let (outcome, reason, rolled_back) = faulty.ends();
    assert_eq!((outcome, rolled_back), (Outcome::Failed, Some(true)), "{reason}");
    let words = format!(" is built for linux/{other}, and this host is linux/{own}");
    assert!(reason.contains("/shop/web@sha256:") && reason.ends_with(&words), "{reason}");
    assert_eq!(faulty.steps(), [RolloutStep::Pulling, RolloutStep::RollingBack]);
    assert_eq!((faulty.podman.run(&inspect), faulty.runs()), (before, "v1".to_owned()));
}

/// T25: while the registry is gone nothing is a success and nothing is touched; when it is back the same rollout goes on.
#[test]
fn t025_a_registry_that_comes_back_completes_the_rollout() {
    let Some(mut faulty) = Faulty::open("") else { return };
    let [begun, go, codes] = ["begun", "go", "codes"].map(|name| faulty.podman.beside(name));
    faulty.podman.puts_between(&format!(
        "if [ \"$1\" = pull ]; then\n\
           : > {}; while ! [ -e {} ]; do sleep 0.1; done\n\
           {} \"$@\"; code=$?; echo $code >> {}; exit $code\n\
         fi\n",
        begun.display(),
        go.display(),
        faulty.podman.program().display(),
        codes.display()
    ));
    faulty.moves("v2", Program::Healthy);
    eventually("the pull", || begun.exists().then_some(()));
    faulty.podman.registry.stop();
    std::fs::write(go, "").unwrap();
    let codes = || std::fs::read_to_string(&codes).unwrap_or_default();
    eventually("it fails", || (codes() == "125\n").then_some(()));
    let ended = faulty.host.count(|fact| matches!(fact, Fact::RolloutFinished(_)));
    assert_eq!((ended, faulty.runs().as_str()), (1, "v1"));
    let status = faulty.host.text(&["rollout", "status", "dc/web", "-n", "shop", "--watch=false"]);
    assert!(status.starts_with("Waiting for rollout to finish: "), "{status}");
    faulty.podman.registry.start_again();
    faulty.completes();
    assert_eq!((codes().as_str(), faulty.runs().as_str()), ("125\n0\n", "v2"));
    assert_eq!(faulty.host.count(|fact| matches!(fact, Fact::RolloutStarted(_))), 2, "the same");
}

/// D16: of two digests within a second the last one runs, and the one before it is never told as complete.
#[test]
fn d016_of_two_digests_within_a_second_the_last_one_runs() {
    let Some(mut faulty) = Faulty::open("") else { return };
    for version in ["v2", "v3"] {
        faulty.podman.push(&format!("shop/web:{version}"), version, Program::Healthy);
    }
    for version in ["v2", "v3"] {
        wait(faulty.podman.registry.move_tag("shop/web", "latest", version));
        faulty.imports();
    }
    // The first of them was begun, or it was not.
    let is_begun = |faulty: &Faulty| faulty.host.count(|f| matches!(f, Fact::RolloutStarted(_)));
    let mut end = faulty.ends();
    if end.0 != Outcome::Complete {
        let why = "newer deployment was found running".to_owned();
        assert_eq!(end, (Outcome::Cancelled, why, Some(true)));
        end = faulty.ends();
    }
    assert_eq!(end, (Outcome::Complete, String::new(), None), "{}", faulty.host.story());
    assert_eq!((faulty.runs().as_str(), is_begun(&faulty)), ("v3", faulty.rollouts));
    let reply = faulty.host.text(&["rollout", "status", "dc/web", "-n", "shop"]);
    assert!(reply.ends_with("successfully rolled out\n"), "{reply}");
}

/// T24 a: a tag that goes to and fro is followed once, and then waits to see what becomes of it.
#[test]
fn t024_a_tag_that_comes_back_at_once_waits() {
    let Some(mut faulty) = Faulty::open_with("", "5m") else { return };
    faulty.moves("v2", Program::Healthy);
    faulty.completes();
    faulty.moves("v1", Program::Healthy);
    let status = || faulty.host.text(&["status"]);
    eventually("the hold", || {
        status().contains("comes back less than 5m after it was replaced").then_some(())
    });
    assert_eq!(faulty.runs(), "v2");
    faulty.moves("v2", Program::Healthy);
    eventually("no hold", || (!status().contains("comes back less than")).then_some(()));
    let started = faulty.host.count(|fact| matches!(fact, Fact::RolloutStarted(_)));
    assert_eq!((started, faulty.runs().as_str()), (2, "v2"));
}
