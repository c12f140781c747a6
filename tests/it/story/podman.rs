//! The main job on one host: tags move, pods follow, and what does not become healthy takes nothing away (section 8.2).

use rustix::process::{Pid, Signal, kill_process};
use tidegate::fact::{Fact, Outcome, RolloutStep};

use crate::support::client;
use crate::support::daemon::{Host, eventually};
use crate::support::git::Repo;
use crate::support::podman::{Podman, Program, alone};
use crate::support::shop::{ENDED, End, READY, Web, end_of, import, last_steps, served};

/// The port of the host that leads to the shop.
const PORT: u16 = 18080;

fn manifests(registry: &str, more: &str) -> String {
    let web = Web {
        annotations: &format!("tidegate.dev/publish: '127.0.0.1:18080:8080'{more}"),
        spec: "strategy: {type: Rolling, rollingParams: {timeoutSeconds: 8}}",
        container: &format!("ports: [{{containerPort: 8080}}]\n{READY}"),
        ..Web::default()
    };
    web.yaml(registry)
}

fn without_probe(registry: &str) -> String {
    let manifests = manifests(registry, ", tidegate.dev/verify: 'false'");
    let lines = manifests.lines().filter(|line| !line.contains("readinessProbe"));
    let lines = lines.map(|line| match line.contains("  triggers:") {
        true => format!("{line}\n  - type: ConfigChange"),
        false => line.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\n")
}

struct Shop {
    podman: Podman,
    repo: Repo,
    host: Host,
    rollouts: usize,
}

impl Shop {
    fn open(more: &str) -> Option<Self> {
        Self::open_with(|registry| manifests(registry, more))
    }

    fn open_with(manifests: impl FnOnce(&str) -> String) -> Option<Self> {
        if !alone() {
            return None;
        }
        let podman = Podman::start()?;
        podman.push("shop/web:latest", "v1", Program::Healthy);
        let repo = Repo::new();
        repo.write("web.yaml", manifests(&podman.registry.address())).commit("the shop");
        let toml = format!(
            "[targets.here]\nkind = \"podman\"\nprogram = {:?}\n[routes]\ndefault = \"here\"\n",
            podman.program().display()
        );
        let host = Host::new(repo.path(), &toml);
        Some(Self { podman, repo, host, rollouts: 0 })
    }

    /// The daemon starts, and its first rollout is complete.
    fn begin(&mut self) {
        self.host.start();
        self.completes();
    }

    fn completes(&mut self) {
        let end = self.rolled_out();
        assert_eq!(end, (Outcome::Complete, String::new(), None), "{}", self.host.story());
    }

    /// How the next rollout ends: outcome, reason, and whether the one before runs.
    fn rolled_out(&mut self) -> End {
        self.rollouts += 1;
        let wanted = self.rollouts;
        eventually(&format!("rollout {wanted}; {}", self.host.story()), || {
            end_of(self.host.records(), wanted)
        })
    }

    fn moves(&mut self, version: &str, program: Program) {
        self.podman.push("shop/web:latest", version, program);
        import(&self.host, "web");
    }

    /// The steps of the last rollout.
    fn steps(&self) -> Vec<RolloutStep> {
        last_steps(self.host.records())
    }

    /// How many rollouts were started.
    fn started(&self) -> usize {
        self.host.count(|fact| matches!(fact, Fact::RolloutStarted(_)))
    }

    fn pods(&self) -> String {
        self.podman.run(&["pod", "ps", "--format", "{{.Name}} {{.Status}}"])
    }

    fn container(&self) -> String {
        self.podman.run(&[
            "container",
            "inspect",
            "--format",
            "{{.Id}} {{.ImageName}}",
            "web-0-main",
        ])
    }
}

#[test]
fn r013_a_new_image_takes_over_when_it_is_healthy_and_never_before() {
    use RolloutStep::{Checking, Pulling, RollingBack, StartingNew, StoppingOld, Verifying};
    let Some(mut shop) = Shop::open("") else { return };
    shop.begin();
    assert_eq!(served(PORT).as_deref(), Some("v1"));
    assert_eq!(shop.steps(), [Pulling, StartingNew, Checking]);
    assert_eq!(shop.pods(), "web-0 Running");
    assert!(shop.container().contains("/shop/web@sha256:"), "{}", shop.container());

    shop.moves("v2", Program::Healthy);
    shop.completes();
    assert_eq!(served(PORT).as_deref(), Some("v2"));
    assert_eq!(shop.steps(), [Pulling, Verifying, StoppingOld, StartingNew, Checking]);
    assert_eq!(shop.pods(), "web-0 Running");

    let before = shop.container();
    shop.moves("v3", Program::NeverReady);
    let (outcome, reason, rolled_back) = shop.rolled_out();
    assert_eq!((outcome, rolled_back), (Outcome::Failed, Some(true)), "{reason}");
    assert!(
        reason.starts_with(
            "not healthy within 8s: container web-check-main is not ready: GET http://"
        ),
        "{reason}"
    );
    assert!(reason.ends_with("/healthz: status 404"), "{reason}");
    assert_eq!(shop.steps(), [Pulling, Verifying, RollingBack]);
    assert_eq!(
        (served(PORT).as_deref(), shop.container()),
        (Some("v2"), before),
        "it was not touched"
    );
    assert_eq!(shop.pods(), "web-0 Running");

    let manifests = manifests(&shop.podman.registry.address(), "");
    let stream = manifests.split("---").next().unwrap();
    shop.repo.write("web.yaml", stream).commit("the shop closes");
    shop.host.wait_for(
        "the stop",
        |fact| matches!(fact, Fact::StopFinished(stop) if stop.outcome == Outcome::Complete),
    );
    assert_eq!(shop.pods(), "");
}

/// R5: a container that never starts is given up as the kubelet would, long before the time is over.
#[test]
fn r005_what_never_starts_is_given_up() {
    let slow = |registry: &str| {
        let startup = "startupProbe: {exec: {command: [/bin/sh, -c, 'test -e /started']}, \
                       periodSeconds: 1, failureThreshold: 2}";
        let manifests = manifests(registry, "").replace("timeoutSeconds: 8", "timeoutSeconds: 600");
        manifests.replace(
            "        readinessProbe:",
            &format!("        {startup}\n        readinessProbe:"),
        )
    };
    let Some(mut shop) = Shop::open_with(slow) else { return };
    shop.host.start();
    let (outcome, reason, rolled_back) = shop.rolled_out();
    assert_eq!((outcome, rolled_back), (Outcome::Failed, Some(true)), "{reason}");
    let why = "container web-0-main: its startup probe failed 2 times: exec /bin/sh -c test -e /started: ";
    assert!(reason.starts_with(why), "{reason}");
    // And one that podman itself keeps: nobody runs its timers here.
    let lives = manifests(&shop.podman.registry.address(), "").replace(
        "        readinessProbe:",
        "        livenessProbe: {exec: {command: [test, -e, /www/index.html]}, \
         periodSeconds: 1}\n        readinessProbe:",
    );
    let lives = lives.replace("  triggers:", "  triggers:\n  - type: ConfigChange");
    shop.repo.write("web.yaml", lives).commit("it lives");
    shop.completes();
    let inspect = ["container", "inspect", "--format", "{{.State.Health.Status}}", "web-0-main"];
    assert_eq!(shop.podman.run(&inspect), "healthy");
}

/// What ends at once is seen at once, and said with what it printed.
#[test]
fn r005_what_crashes_is_no_success() {
    let Some(mut shop) = Shop::open(", tidegate.dev/verify: 'false'") else { return };
    shop.begin();
    shop.repo.write("web.yaml", without_probe(&shop.podman.registry.address())).commit("no probe");
    shop.completes();
    shop.moves("v2", Program::Crashes(5));
    let (outcome, reason, rolled_back) = shop.rolled_out();
    assert_eq!((outcome, rolled_back), (Outcome::Failed, Some(true)), "{reason}");
    assert!(ENDED.contains(&reason.as_str()), "{reason}");
    assert_eq!(served(PORT).as_deref(), Some("v1"));
    let status = shop.host.text(&["status"]);
    assert!(status.contains("| it breaks"), "{status}");
}

/// R4: whichever step a kill meets, the next start goes on, and the image takes over once.
#[test]
fn r004_a_kill_at_each_step_converges_once() {
    use RolloutStep::{Checking, Pulling, StartingNew, StoppingOld, Verifying};
    let Some(mut shop) = Shop::open("") else { return };
    shop.begin();
    for (revision, step) in (2..).zip([Pulling, Verifying, StoppingOld, StartingNew, Checking]) {
        let version = format!("v{revision}");
        shop.moves(&version, Program::Healthy);
        eventually(&format!("{step} of {version}"), || {
            let steps = shop.steps();
            (shop.started() == revision && steps.contains(&step)).then_some(())
        });
        shop.host.kill();
        shop.host.start();
        let end = shop.rolled_out();
        assert_eq!(end, (Outcome::Complete, String::new(), None), "{step}: {}", shop.host.story());
        assert_eq!(served(PORT), Some(version), "{step}");
        assert_eq!(shop.pods(), "web-0 Running", "{step}");
        assert_eq!(shop.started(), revision, "{step}: once");
    }
}

/// D40, R16: hooks run with the image of the new revision; one that fails under `Abort` fails the rollout.
#[test]
fn d040_3_a_hook_that_fails_ends_the_rollout_before_anything_is_touched() {
    use RolloutStep::{Checking, PreHook, Pulling, RollingBack, StartingNew};
    let Some(mut shop) = Shop::open("") else { return };
    let command = "[/bin/sh, -c, 'read v < /www/index.html; echo $OPENSHIFT_DEPLOYMENT_NAME migrates to $v; test $v = v1']";
    let hook = format!("pre: {{failurePolicy: Abort, execNewPod: {{command: {command}}}}}");
    let manifests = manifests(&shop.podman.registry.address(), "");
    let manifests = manifests.replace("timeoutSeconds: 8", &format!("timeoutSeconds: 8, {hook}"));
    shop.repo.write("web.yaml", manifests).commit("a hook");
    shop.begin();
    assert_eq!(shop.steps(), [Pulling, PreHook, StartingNew, Checking]);
    shop.moves("v2", Program::Healthy);
    let end = shop.rolled_out();
    let why = "pre hook failed: exit status 1".to_owned();
    assert_eq!(end, (Outcome::Failed, why, Some(true)), "{}", shop.host.story());
    assert_eq!(shop.steps(), [Pulling, PreHook, RollingBack]);
    assert_eq!(served(PORT).as_deref(), Some("v1"));
    let status = shop.host.text(&["status"]);
    assert!(status.contains("| web-2 migrates to v2"), "{status}");
}

/// T25: where podman is not there nothing is known against the image, and nothing is touched.
#[test]
fn t025_without_podman_nothing_is_touched() {
    let Some(mut shop) = Shop::open(", tidegate.dev/retry: '0'") else { return };
    shop.host.configure(|text| text.replace("bin/podman", "bin/none"));
    shop.host.start();
    let (outcome, reason, rolled_back) = shop.rolled_out();
    assert_eq!((outcome, rolled_back), (Outcome::Failed, Some(true)), "{reason}");
    assert!(reason.starts_with("Pulling failed in 1 attempt: cannot start `"), "{reason}");
    assert!(reason.ends_with("/bin/none`: No such file or directory (os error 2)"), "{reason}");
}

/// A name is taken by what somebody else runs: it is left alone, and said whose it is.
#[test]
fn r011_a_pod_of_somebody_else_is_left_alone() {
    let Some(mut shop) = Shop::open("") else { return };
    shop.podman.run(&["pod", "create", "--name", "web-0"]);
    let before = shop.podman.run(&["pod", "inspect", "--format", "{{.ID}}", "web-0"]);
    shop.host.start();
    let why = "there is a pod `web-0` of somebody else: rename one of them, or remove it";
    assert_eq!(shop.rolled_out(), (Outcome::Failed, why.to_owned(), Some(true)));
    assert_eq!(shop.podman.run(&["pod", "inspect", "--format", "{{.ID}}", "web-0"]), before);
}

/// In a network of its own a workload is found by its name, whatever its pods are called.
#[test]
fn r011_a_workload_is_found_by_its_name() {
    let Some(mut shop) = Shop::open(", tidegate.dev/retry: '0'") else { return };
    shop.host.configure(|text| text.replace("[routes]", "network = \"shop\"\n[routes]"));
    shop.host.start();
    let (outcome, reason, rolled_back) = shop.rolled_out();
    assert_eq!((outcome, rolled_back), (Outcome::Failed, Some(true)), "{reason}");
    assert!(reason.contains("podman has no network `shop`: make it with"), "{reason}");
    shop.podman.run(&["network", "create", "shop"]);
    shop.host.text(&["release", "dc/web", "-n", "shop"]);
    shop.completes();
    let image = shop.container().split_once(' ').unwrap().1.to_owned();
    let ask = ["run", "--rm", "--network", "shop", &image, "busybox", "nslookup", "web"];
    let answer = shop.podman.run(&ask);
    assert!(answer.contains("web.dns.podman"), "{answer}");
}

impl Shop {
    /// A shop with a network, and somebody in it who never stops asking.
    fn with_client(manifests: impl FnOnce(&str) -> String) -> Option<Self> {
        let mut shop = Self::open_with(manifests)?;
        shop.host.configure(|text| text.replace("[routes]", "network = \"shop\"\n[routes]"));
        shop.podman.run(&["network", "create", "shop"]);
        shop.begin();
        client::start(&shop.podman);
        Some(shop)
    }
}

/// R13: who resolves the name for each request sees none fail, also where the new revision turns out to be none.
#[test]
fn r013_a_client_in_the_network_sees_no_failed_request() {
    let Some(mut shop) = Shop::with_client(|registry| manifests(registry, "")) else { return };
    shop.moves("v2", Program::Healthy);
    shop.completes();
    client::until_served(&shop.podman, "v2");
    assert_eq!(client::named(), ["web-0"]);
    assert_eq!(shop.pods(), "web-0 Running");
    let history = shop.host.text(&["history"]);
    assert!(history.contains("; ports of the host led nowhere for "), "{history}");
    assert!(history.contains("connections drained in 1."), "{history}");
    let seen = client::seen(&shop.podman);
    assert!(!seen.contains("FAILED"), "{seen}");
    // It is healthy while it is tried, and not in its place; what it does to its clients when it crashes is its own affair.
    shop.moves("v3", Program::Crashes(9));
    let (outcome, reason, rolled_back) = shop.rolled_out();
    println!("{outcome}: {reason}");
    assert_ne!(rolled_back, Some(false), "{reason}");
    assert_eq!(client::named(), ["web-0"]);
}

/// R4, R13: whichever step a kill meets, at the end the name leads to the new revision, and to nothing else.
#[test]
fn r013_a_kill_at_each_step_loses_no_name() {
    use RolloutStep::{Checking, StartingNew, StoppingOld};
    let Some(mut shop) = Shop::with_client(|registry| manifests(registry, "")) else { return };
    for (revision, step) in (2..).zip([StoppingOld, StartingNew, Checking]) {
        let version = format!("v{revision}");
        shop.moves(&version, Program::Healthy);
        eventually(&format!("{step} of {version}"), || {
            let steps = shop.steps();
            (shop.started() == revision && steps.contains(&step)).then_some(())
        });
        shop.host.kill();
        shop.host.start();
        shop.completes();
        client::until_served(&shop.podman, &version);
        assert_eq!(client::named(), ["web-0"], "{step}");
        assert_eq!(shop.pods(), "web-0 Running", "{step}");
    }
}

/// R13: what ran goes on until the name server leads to the new revision, however long it takes to read its table; that it
/// does not is told.
#[test]
fn r013_what_ran_goes_on_until_the_name_server_leads_elsewhere() {
    let Some(mut shop) = Shop::with_client(|registry| manifests(registry, "")) else { return };
    let server = std::fs::read_to_string("/run/containers/networks/aardvark-dns/aardvark.pid");
    let server = Pid::from_raw(server.unwrap().trim().parse().unwrap()).unwrap();
    kill_process(server, Signal::STOP).unwrap();
    shop.moves("v2", Program::Healthy);
    eventually("it is told", || {
        let status = shop.host.text(&["status"]);
        let why = "the name server at 10.89.0.1:53 does not lead `web` to 10.89.0.4 and away from 10.89.0.2: no answer";
        status.contains(why).then_some(())
    });
    let pods = shop.pods();
    assert!(pods.contains("web-0 Running") && pods.contains("web-check Running"), "{pods}");
    assert_eq!(served(PORT).as_deref(), Some("v1"));
    kill_process(server, Signal::CONT).unwrap();
    shop.completes();
    client::until_served(&shop.podman, "v2");
    assert_eq!(client::named(), ["web-0"]);
}

/// The shop with several instances, which no port of the host leads to.
fn several(registry: &str, replicas: u32) -> String {
    manifests(registry, "")
        .replace("tidegate.dev/publish: '127.0.0.1:18080:8080'", "")
        .replace("replicas: 1", &format!("replicas: {replicas}"))
}

/// R14, D36: one more runs while each is replaced, over a kill as well; who resolves the name sees none fail.
#[test]
fn r014_instances_are_replaced_one_after_the_other() {
    use RolloutStep::{Checking, Pulling, StartingNew, Updating, Verifying};
    let Some(mut shop) = Shop::with_client(|registry| several(registry, 3)) else { return };
    assert_eq!(shop.steps(), [Pulling, StartingNew, Checking], "D35: all at once");
    let all = "web-0 Running\nweb-1 Running\nweb-2 Running";
    let pods = |shop: &Shop| {
        let pods = shop.pods();
        let mut lines: Vec<_> = pods.lines().collect();
        lines.sort_unstable();
        lines.join("\n")
    };
    assert_eq!(pods(&shop), all);
    for (revision, is_killed) in [(2, false), (3, true)] {
        let version = format!("v{revision}");
        shop.moves(&version, Program::Healthy);
        if is_killed {
            eventually("three pods, one of them of the new revision", || {
                (shop.started() == revision && shop.steps().contains(&Updating)).then_some(())
            });
            shop.host.kill();
            shop.host.start();
        }
        shop.completes();
        assert_eq!(shop.steps(), [Pulling, Verifying, Updating]);
        assert_eq!(pods(&shop), all);
        assert_eq!(client::named(), ["web-0", "web-1", "web-2"]);
        client::until_served(&shop.podman, &version);
        let seen = client::seen(&shop.podman);
        assert!(is_killed || !seen.contains("FAILED"), "{seen}");
    }
    let history = shop.host.text(&["history"]);
    assert!(history.contains(": 3 instances replaced in 3 rounds, in "), "{history}");
}

/// D36: old instances go no earlier than `updatePeriodSeconds` after new ones were started, however healthy those are.
#[test]
fn d036_old_instances_go_when_the_update_period_is_over() {
    let slow = |registry: &str| {
        let patient = ", updatePeriodSeconds: 3600}, activeDeadlineSeconds: 15}";
        several(registry, 2).replace("timeoutSeconds: 8}}", &format!("timeoutSeconds: 8{patient}"))
    };
    let Some(mut shop) = Shop::open_with(slow) else { return };
    shop.begin();
    let ids = |shop: &Shop| shop.podman.run(&["pod", "inspect", "--format", "{{.Id}}", "web-0"]);
    let before = ids(&shop);
    shop.moves("v2", Program::Healthy);
    let (outcome, reason, rolled_back) = shop.rolled_out();
    assert_eq!((outcome, rolled_back), (Outcome::Failed, Some(true)), "{reason}");
    assert_eq!(
        shop.steps(),
        [
            RolloutStep::Pulling,
            RolloutStep::Verifying,
            RolloutStep::Updating,
            RolloutStep::RollingBack
        ]
    );
    assert_eq!(ids(&shop), before, "{reason}");
}

/// D22: another number of replicas adds and removes instances of what runs; the others are not touched, and no rollout
/// begins.
#[test]
fn d022_another_number_of_replicas_touches_nothing_else() {
    let Some(shop) = Shop::with_client(|registry| several(registry, 1)) else { return };
    let id = |shop: &Shop| shop.podman.run(&["pod", "inspect", "--format", "{{.Id}}", "web-0"]);
    let before = id(&shop);
    let scaled = |shop: &Shop, times: usize| {
        eventually("it is scaled", || {
            let ended = shop.host.records().into_iter().filter_map(|record| match record.fact {
                Fact::ScaleFinished(end) => Some(end),
                _ => None,
            });
            let ended: Vec<_> = ended.collect();
            (ended.len() == times).then(|| ended.last().cloned().unwrap())
        })
    };
    let write = |shop: &Shop, text: String, why: &str| {
        shop.repo.write("web.yaml", text).commit(why);
    };
    let registry = shop.podman.registry.address();
    shop.repo.write("web.yaml", several(&registry, 3));
    let said = shop.host.text(&["diff", &format!("--worktree={}", shop.repo.path().display())]);
    assert!(said.contains("Scaling\n  DeploymentConfig/shop/web from 1 to 3 instances"), "{said}");
    write(&shop, several(&registry, 3), "three");
    assert_eq!(scaled(&shop, 1).outcome, Outcome::Complete);
    let sorted = |shop: &Shop| {
        let pods = shop.pods();
        let mut lines: Vec<String> = pods.lines().map(str::to_owned).collect();
        lines.sort_unstable();
        lines
    };
    assert_eq!(sorted(&shop), ["web-0 Running", "web-1 Running", "web-2 Running"]);
    assert_eq!(client::named(), ["web-0", "web-1", "web-2"]);
    write(&shop, several(&registry, 2), "two");
    eventually("two", || (sorted(&shop) == ["web-0 Running", "web-1 Running"]).then_some(()));
    assert_eq!(id(&shop), before, "the first was never touched");
    assert_eq!(shop.started(), 1, "no rollout");
    let shown = shop.host.text(&["get", "dc", "-n", "shop"]);
    assert!(shown.contains("web") && shown.contains(" 2 "), "{shown}");
    assert!(shop.host.text(&["history"]).contains(" of revision 1 from 1 to 3 instances"));
}

/// D22: an instance that is added and does not become healthy goes again; that is a hold, and no failure of what runs.
#[test]
fn d022_an_instance_that_is_added_and_is_not_healthy_goes_again() {
    let broken = |registry: &str, replicas| {
        several(registry, replicas).replace(
            "httpGet: {path: /healthz, port: 8080}",
            "exec: {command: [/bin/sh, -c, 'test $(busybox hostname) != web-1']}",
        )
    };
    let Some(mut shop) = Shop::open_with(|registry| broken(registry, 1)) else { return };
    shop.host.start();
    shop.completes();
    let registry = shop.podman.registry.address();
    shop.repo.write("web.yaml", broken(&registry, 2)).commit("two");
    let end = shop.host.wait_for("the end", |fact| matches!(fact, Fact::ScaleFinished(_)));
    let Fact::ScaleFinished(end) = end.fact else { panic!() };
    assert_eq!(end.outcome, Outcome::Failed, "{}", end.reason);
    assert_eq!(shop.pods(), "web-0 Running");
    let status = shop.host.text(&["status"]);
    assert!(
        status.contains(
            "2 instances are wanted, there were 1, and it could not be made so: not healthy"
        ),
        "{status}"
    );
    assert!(status.contains("Complete"), "{status}");
}

/// D37, X44: the second instance is broken; that the first is healthy does not make it a success.
#[test]
fn d037_x044_recreate_accepts_nothing_but_all_instances() {
    let broken = |registry: &str| {
        several(registry, 2)
            .replace("type: Rolling, rollingParams", "type: Recreate, recreateParams")
            .replace(
                "httpGet: {path: /healthz, port: 8080}",
                "exec: {command: [/bin/sh, -c, 'test $(busybox hostname) != web-1']}",
            )
    };
    let Some(mut shop) = Shop::open_with(broken) else { return };
    shop.host.start();
    let (outcome, reason, rolled_back) = shop.rolled_out();
    assert_eq!((outcome, rolled_back), (Outcome::Failed, Some(true)), "{reason}");
    assert!(
        reason.starts_with("not healthy within 8s: container web-1-main is not ready: exec"),
        "{reason}"
    );
    assert_eq!(shop.pods(), "");
}

/// A port that somebody else has is a failure with its words; what was begun is removed.
#[test]
fn r010_a_port_that_is_taken_fails_the_rollout() {
    let Some(mut shop) = Shop::open("") else { return };
    let taken = std::net::TcpListener::bind("127.0.0.1:18080").unwrap();
    shop.host.start();
    let (outcome, reason, rolled_back) = shop.rolled_out();
    assert_eq!((outcome, rolled_back), (Outcome::Failed, Some(true)), "{reason}");
    assert!(reason.contains("address already in use"), "{reason}");
    assert_eq!(shop.pods(), "");
    drop(taken);
    shop.host.text(&["release", "dc/web", "-n", "shop"]);
    shop.completes();
    assert_eq!(served(PORT).as_deref(), Some("v1"));
}

#[test]
fn r013a_what_fails_in_place_is_replaced_by_what_ran_before() {
    use RolloutStep::{Checking, Pulling, RollingBack, StartingNew, StoppingOld};
    let Some(mut shop) = Shop::open(", tidegate.dev/verify: 'false'") else { return };
    shop.begin();
    let image = shop.container().split_once(' ').unwrap().1.to_owned();
    shop.moves("v2", Program::NeverReady);
    let (outcome, reason, rolled_back) = shop.rolled_out();
    assert_eq!((outcome, rolled_back), (Outcome::Failed, Some(true)), "{reason}");
    assert_eq!(shop.steps(), [Pulling, StoppingOld, StartingNew, Checking, RollingBack]);
    assert_eq!(served(PORT).as_deref(), Some("v1"));
    assert_eq!(shop.container().split_once(' ').unwrap().1, image);
    assert_eq!(shop.pods(), "web-0 Running");
    let status = shop.host.text(&["status"]);
    assert!(status.contains("failed with these digests"), "{status}");
}
