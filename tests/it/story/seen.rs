//! What runs, long after its rollout was complete: what somebody stops, removes or kills, and what breaks by itself, is
//! told by every command that speaks of it, and by none as success (law 8; R5, C1, C4, C6).

use tidegate::fact::Outcome;

use crate::support::daemon::{Host, eventually};
use crate::support::git::Repo;
use crate::support::podman::{Podman, Program, alone};
use crate::support::shop::{READY, Web, end_of, import};

struct Seen {
    podman: Podman,
    host: Host,
    _repo: Repo,
}

impl Seen {
    /// A workload that is complete; `probes` are those of its container.
    fn open(probes: &str) -> Option<Self> {
        if !alone() {
            return None;
        }
        let podman = Podman::start()?;
        podman.push("shop/web:latest", "v1", Program::Healthy);
        let toml = format!(
            "[targets.here]\nkind = \"podman\"\nprogram = {:?}\n[routes]\ndefault = \"here\"\n",
            podman.between().display()
        );
        let web = Web { container: probes, grace: 1, ..Web::default() };
        let repo = Repo::new();
        repo.write("web.yaml", web.yaml(&podman.registry.address())).commit("the shop");
        let mut host = Host::new(repo.path(), &toml);
        host.start();
        let seen = Self { podman, host, _repo: repo };
        seen.completes(1);
        Some(seen)
    }

    fn completes(&self, number: usize) {
        let end = eventually(&format!("rollout {number}; {}", self.host.story()), || {
            end_of(self.host.records(), number)
        });
        assert_eq!(end.0, Outcome::Complete, "{end:?}");
    }

    /// The words of the first line of what is shown that begins so; how long ago something was is left out.
    fn line(&self, command: &[&str], begins: &str) -> String {
        let shown = self.host.text(&[command, &["-n", "shop"]].concat());
        let lines = shown.lines().map(str::trim_start);
        let mut lines = lines.filter(|line| line.starts_with(begins));
        let line = lines.next().unwrap_or_default();
        let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
        let ages = regex::Regex::new(r"( \(\d+m?\d*s ago\))? \d+m?\d*s$").unwrap();
        ages.replace(&line, "").into_owned()
    }

    fn pod(&self) -> String {
        self.line(&["get", "pods"], "web-0 ")
    }

    /// NAME, REVISION, DESIRED, CURRENT.
    fn config(&self) -> String {
        self.line(&["get", "dc"], "web ").replace(" image(web:latest)", "")
    }

    fn described(&self) -> String {
        self.line(&["describe", "dc/web"], "Pods Status:")
    }

    /// Whether there is as much of it as there should be.
    fn is_available(&self) -> String {
        let path = "jsonpath={.status.conditions[0].type} {.status.conditions[0].status}";
        self.host.text(&["get", "dc/web", "-n", "shop", "-o", path])
    }

    fn status(&self) -> String {
        self.host.text(&["status"])
    }
}

/// R1, C4, C6: what is stopped or removed by hand is nowhere shown as if it ran; where nobody looks nothing is known.
#[test]
fn c004_what_is_stopped_or_removed_by_hand_is_shown_so() {
    let Some(mut seen) = Seen::open(READY) else { return };
    assert_eq!((seen.pod().as_str(), seen.config().as_str()), ("web-0 1/1 Running 0", "web 1 1 1"));
    assert_eq!(seen.line(&["get", "rc"], "web-1 "), "web-1 1 1 1");
    assert_eq!(seen.described(), "Pods Status: 1 Running / 0 Waiting / 0 Succeeded / 0 Failed");
    assert_eq!(seen.is_available(), "Available True");

    seen.podman.run(&["pod", "stop", "--time", "1", "web-0"]);
    assert_eq!(
        (seen.pod().as_str(), seen.config().as_str()),
        ("web-0 0/1 Completed 0", "web 1 1 0")
    );
    assert_eq!(seen.line(&["get", "rc"], "web-1 "), "web-1 1 0 0");
    assert_eq!(seen.described(), "Pods Status: 0 Running / 0 Waiting / 1 Succeeded / 0 Failed");
    assert_eq!(seen.is_available(), "Available False");
    assert!(seen.status().contains("pod web-0 is exited"), "{}", seen.status());

    seen.podman.run(&["pod", "start", "web-0"]);
    // Podman does not count what somebody starts.
    assert_eq!(seen.pod(), "web-0 1/1 Running <unknown>");
    assert_eq!(seen.config(), "web 1 1 1");
    assert!(seen.status().contains("container web-0-main was started again, last "));

    seen.podman.run(&["pod", "rm", "--force", "web-0"]);
    assert_eq!((seen.pod().as_str(), seen.config().as_str()), ("", "web 1 1 0"));
    assert_eq!(seen.described(), "Pods Status: 0 Running / 0 Waiting / 0 Succeeded / 0 Failed");
    assert_eq!(seen.is_available(), "Available False");
    assert!(seen.status().contains("pod web-0 is gone"), "{}", seen.status());

    // A podman that says no, and a daemon that does not run, are no news of what runs.
    seen.podman.puts_between("echo 'Error: the store is locked' >&2; exit 125");
    let unknown = || {
        assert_eq!(seen.pod(), "web-0 <unknown> <unknown> <unknown>");
        assert_eq!(seen.config(), "web 1 1 <unknown>");
        assert_eq!(seen.line(&["get", "rc"], "web-1 "), "web-1 1 <unknown> <unknown>");
        assert_eq!(seen.described(), "Pods Status: <unknown>");
        assert_eq!(seen.is_available(), "Available Unknown");
        let told = seen.host.run(&["get", "pods", "-n", "shop"]).stderr;
        String::from_utf8(told).unwrap()
    };
    let told = unknown();
    let why = "podman pod ps: the store is locked";
    assert_eq!(told, format!("warning: what runs at target `here` is not known: {why}\n"));
    assert!(seen.status().contains(&format!("cannot look at what runs: {why}")));
    seen.host.stop();
    let gone = |seen: &Seen| {
        assert_eq!(seen.pod(), "web-0 <unknown> <unknown> <unknown>");
        assert_eq!(seen.config(), "web 1 1 <unknown>");
        assert_eq!(seen.described(), "Pods Status: <unknown>");
        String::from_utf8(seen.host.run(&["get", "pods", "-n", "shop"]).stderr).unwrap()
    };
    let why = "no daemon runs that could look";
    assert_eq!(gone(&seen), format!("warning: what runs at target `here` is not known: {why}\n"));
}

/// R5, X48: what ends after its rollout was complete is started again by podman, and that is told.
#[test]
fn r005_what_breaks_after_its_rollout_is_told() {
    let Some(seen) = Seen::open(READY) else { return };
    let pid =
        seen.podman.run(&["container", "inspect", "--format", "{{.State.Pid}}", "web-0-main"]);
    let pid = rustix::process::Pid::from_raw(pid.parse().unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    eventually(&format!("one restart: {}", seen.pod()), || {
        (seen.pod() == "web-0 1/1 Running 1").then_some(())
    });
    let status = seen.status();
    assert!(status.contains("at target here: Restarting"), "{status}");
    assert!(status.contains("container web-0-main restarted once, last "), "{status}");
    let exact = seen.host.run(&["status", "--exit-code"]);
    assert_eq!(exact.status.code(), Some(3), "it is not well");

    seen.podman.push("shop/web:latest", "v2", Program::Crashes(4));
    import(&seen.host, "web");
    seen.completes(2);
    eventually(&format!("a crash loop: {}", seen.status()), || {
        let status = seen.status();
        let words = ["web-0-main restarted 2 times", "web-0-main restarted 3 times"];
        words.iter().any(|words| status.contains(words)).then_some(())
    });
    let yaml = seen.host.text(&["get", "pod/web-0", "-n", "shop", "-o", "yaml"]);
    assert!(!yaml.contains("restartCount: 0"), "{yaml}");
}

/// R5: where no systemd has podman ask its health checks they go on after a rollout all the same: what fails them is
/// started again, and that is told. Podman 4.3 ends the pod over it now and then, as nothing else runs in it.
#[test]
fn r005_health_checks_go_on_where_no_systemd_asks_them() {
    let probe = "livenessProbe: {exec: {command: [test, -e, /www/index.html]}, periodSeconds: 1, failureThreshold: 2}";
    let Some(seen) = Seen::open(&format!("{probe}\n{READY}")) else { return };
    let format = "{{.State.Pid}} {{.State.Health.Status}}";
    let found = || seen.podman.run(&["container", "inspect", "--format", format, "web-0-main"]);
    let renames = |from: &str, to: &str| {
        let line = format!("busybox mv {from} {to}");
        let moves = ["exec", "web-0-main", "/bin/sh", "-c", &line];
        eventually("a container that runs", || seen.podman.try_run(&moves));
    };
    let before = found();
    assert!(before.ends_with(" healthy"), "{before}");
    renames("/www/index.html", "/www/gone");
    let (pid, _) = before.split_once(' ').unwrap();
    eventually(&format!("another process; {}", found()), || {
        (!found().starts_with(&format!("{pid} ")) && !found().starts_with("0 ")).then_some(())
    });
    eventually(&format!("it is told; {}", seen.status()), || {
        seen.status().contains("at target here: Restarting").then_some(())
    });
    renames("/www/gone", "/www/index.html");
    eventually(&format!("it is healthy again; {}", found()), || {
        found().ends_with(" healthy").then_some(())
    });
    assert!(seen.pod().starts_with("web-0 1/1 Running "), "{}", seen.pod());
}

/// R9: a liveness probe that podman cannot ask by itself is left out, and each rollout says so.
#[test]
fn r009_a_liveness_probe_that_is_no_command_restarts_nothing() {
    let probes = "livenessProbe: {httpGet: {path: /nothing, port: 8080}, periodSeconds: 1, failureThreshold: 1}";
    let probes = format!("{probes}\n{READY}");
    let Some(seen) = Seen::open(&probes) else { return };
    let format = ["container", "inspect", "--format", "{{.Config.Healthcheck}}", "web-0-main"];
    let check = seen.podman.run(&format);
    assert!(check == "<nil>" || check.is_empty(), "{check}");
    let history = seen.host.text(&["history", "dc/web", "-n", "shop"]);
    assert!(history.contains("the `livenessProbe` of main is not asked"), "{history}");
}
