//! CronJobs on one host, with a real podman (rule R17a).

use std::path::{Path, PathBuf};

use tidegate::control::Question;
use tidegate::fact::{Fact, JobFinished, Outcome};

use crate::support::daemon::{Host, eventually};
use crate::support::git::Repo;
use crate::support::podman::{Podman, Program, alone};

/// A CronJob that does not run by itself within this century.
fn manifests(registry: &str, shared: &Path, [init, command, limits]: [&str; 3]) -> String {
    let shared = shared.display();
    let volume = format!("          volumes: [{{name: shared, hostPath: {{path: {shared}}}}}]\n");
    let mounts = "volumeMounts: [{name: shared, mountPath: /shared}]";
    let first = format!(
        "          initContainers:\n          - {{name: first, image: '{registry}/shop/web:latest', \
         command: [/bin/sh, -c, '{init}'], {mounts}}}\n"
    );
    let more = if init.is_empty() { volume } else { volume + &first };
    format!(
        "apiVersion: image.openshift.io/v1
kind: ImageStream
metadata: {{name: web, namespace: shop}}
spec:
  tags:
  - name: latest
    from: {{kind: DockerImage, name: '{registry}/shop/web:latest'}}
    importPolicy: {{insecure: true}}
---
apiVersion: batch/v1
kind: CronJob
metadata:
  name: night
  namespace: shop
  annotations:
    image.openshift.io/triggers: >-
      [{{\"from\":{{\"kind\":\"ImageStreamTag\",\"name\":\"web:latest\"}},
      \"fieldPath\":\"spec.jobTemplate.spec.template.spec.containers[0].image\"}}]
spec:
  schedule: '0 0 29 2 *'
  timeZone: Europe/Berlin
  successfulJobsHistoryLimit: 1
  jobTemplate:
    spec:
      backoffLimit: {limits}
      template:
        spec:
          restartPolicy: Never
          terminationGracePeriodSeconds: 1
          containers:
          - name: main
            image: ' '
            command: [/bin/sh, -c, '{command}']
            env: [{{name: PASSWORD, valueFrom: {{secretKeyRef: {{name: db, key: password}}}}}}]
            {mounts}
{more}---
apiVersion: v1
kind: Secret
metadata: {{name: db, namespace: shop}}
stringData: {{password: hunter2}}
"
    )
}

struct Night {
    podman: Podman,
    repo: Repo,
    host: Host,
}

impl Night {
    fn open(command: &str) -> Option<Self> {
        Self::open_with(command, "0")
    }

    fn open_with(command: &str, limits: &str) -> Option<Self> {
        Self::open_after("", command, limits)
    }

    /// With an init container.
    fn open_after(init: &str, command: &str, limits: &str) -> Option<Self> {
        if !alone() {
            return None;
        }
        let podman = Podman::start()?;
        podman.push("shop/web:latest", "v1", Program::Healthy);
        let toml = format!(
            "[targets.here]\nkind = \"podman\"\nprogram = {:?}\n[routes]\ndefault = \"here\"\n",
            podman.between().display()
        );
        let repo = Repo::new();
        let host = Host::new(repo.path(), &toml);
        let mut night = Self { podman, repo, host };
        std::fs::create_dir(night.podman.beside("shared")).unwrap();
        night.commit_after(init, command, limits);
        night.host.start();
        night.host.wait_for("it is in force", |fact| matches!(fact, Fact::RolloutStarted(_)));
        Some(night)
    }

    fn commit(&self, command: &str, limits: &str) {
        self.commit_after("", command, limits);
    }

    fn commit_after(&self, init: &str, command: &str, limits: &str) {
        let (registry, shared) = (self.podman.registry.address(), self.podman.beside("shared"));
        let text = manifests(&registry, &shared, [init, command, limits]);
        self.repo.write("shop.yaml", text).commit("the shop");
    }

    /// Somebody runs it now.
    fn runs(&self, name: &str) {
        let said = self.host.text(&["create", "job", name, "--from=cronjob/night", "-n", "shop"]);
        assert_eq!(said, format!("job.batch/{name} created\n"));
    }

    /// The label that its pods have.
    fn label(&self, name: &str) -> String {
        eventually(&format!("the start of {name}"), || {
            self.host.records().into_iter().find_map(|record| match record.fact {
                Fact::JobStarted(job) if job.name == name => {
                    Some(format!("tidegate.dev/rollout={}", job.key(record.seq)))
                }
                _ => None,
            })
        })
    }

    fn ends(&self, name: &str) -> JobFinished {
        eventually(&format!("the end of {name}; {}", self.host.story()), || {
            self.host.records().into_iter().find_map(|record| match record.fact {
                Fact::JobFinished(end) if end.name == name => Some(end),
                _ => None,
            })
        })
    }

    /// A container is in this state.
    fn is(&self, container: &str, state: &str) {
        eventually(&format!("{container} is {state}; {}", self.host.story()), || {
            let status = format!("status={state}");
            let list = ["ps", "--all", "--filter", &status, "--format", "{{.Names}}"];
            self.podman.run(&list).lines().any(|name| name == container).then_some(())
        });
    }

    /// What its containers find under `/shared`.
    fn shared(&self, name: &str) -> PathBuf {
        self.podman.beside("shared").join(name)
    }

    fn pods(&self) -> Vec<String> {
        let text = self.podman.run(&["pod", "ps", "--format", "{{.Name}}"]);
        let mut pods: Vec<String> = text.lines().map(str::to_owned).collect();
        pods.sort();
        pods
    }
}

/// A run is a pod that ends; what it printed and how it ended are on record, and what is over the limits is removed.
#[test]
fn r017a_a_run_is_a_pod_that_ends() {
    let Some(night) = Night::open("echo it has $PASSWORD | busybox wc -c") else { return };
    night.runs("one");
    let end = night.ends("one");
    assert_eq!(
        (end.outcome, end.log.as_str()),
        (Outcome::Complete, "15"),
        "{}",
        night.host.story()
    );
    night.runs("two");
    assert_eq!(night.ends("two").outcome, Outcome::Complete);
    eventually("the first is removed", || (night.pods() == ["two"]).then_some(()));
}

/// A run that fails says how, and stays to be looked at.
#[test]
fn r017a_a_run_that_fails_says_so() {
    let Some(night) = Night::open("echo no room; exit 3") else { return };
    night.runs("one");
    let end = night.ends("one");
    let how = (end.outcome, end.reason.as_str(), end.log.as_str());
    let why = "container main: exit status 3 (`backoffLimit` is 0)";
    assert_eq!(how, (Outcome::Failed, why, "no room"));
    assert_eq!(night.pods(), ["one"]);
    assert_eq!(night.podman.run(&["logs", "one-main"]), "no room");
}

/// What a run printed on either output is kept, as much of it as anybody reads.
#[test]
fn r017a_what_a_run_printed_is_kept_up_to_a_bound() {
    let long = "busybox head -c 5000000 /dev/zero | busybox tr \"\\000\" x";
    let Some(night) =
        Night::open(&format!("{long}; echo; {long} >&2; echo >&2; echo no room >&2; exit 3"))
    else {
        return;
    };
    night.runs("one");
    let end = night.ends("one");
    assert!(end.reason.starts_with("container main: exit status 3"), "{}", end.reason);
    assert!(end.log.ends_with("xx\nno room"), "{}", end.log);
    assert!(end.log.lines().all(|line| line.len() <= 120), "{}", end.log);
}

/// Law 6: a run that succeeded has succeeded, whatever became of the clock meanwhile.
#[test]
fn r017a_a_clock_that_is_set_back_makes_no_failure() {
    let Some(night) = Night::open_with("echo ran", "1") else { return };
    night.podman.puts_between(&format!(
        "case \"$*\" in *FinishedAt*)\n\
           {} \"$@\" | awk '{{ if ($4 > 0) $4 = $3 - 3600; print }}'; exit ;;\n\
         esac\n",
        night.podman.program().display()
    ));
    night.runs("one");
    let end = night.ends("one");
    assert_eq!((end.outcome, end.log.as_str()), (Outcome::Complete, "ran"), "{}", end.reason);
    assert_eq!(night.pods(), ["one"]);
}

/// How a run ended that podman does not know of is no success: it is asked again.
#[test]
fn r017a_an_end_that_is_not_known_is_no_success() {
    let Some(night) = Night::open("echo ran; exit 3") else { return };
    let (asked, real) = (night.podman.beside("asked"), night.podman.program());
    night.podman.puts_between(&format!(
        "case \"$*\" in *FinishedAt*)\n\
           said=$({} \"$@\")\n\
           case $said in exited*) mkdir {} 2>/dev/null && said=\"unknown ${{said#exited }}\" ;; esac\n\
           echo $said; exit ;;\n\
         esac\n",
        real.display(),
        asked.display()
    ));
    night.runs("one");
    let end = night.ends("one");
    assert!(asked.exists(), "podman did not know once");
    assert_eq!((end.outcome, end.log.as_str()), (Outcome::Failed, "ran"), "{}", end.reason);
}

/// Law 6: a daemon that is killed while a run goes on finds it again, and it has run once.
#[test]
fn r017a_a_run_outlives_the_daemon() {
    let wait = "echo ran; while ! busybox test -e /tmp/go; do busybox sleep 0.1; done";
    let Some(mut night) = Night::open(wait) else { return };
    night.runs("one");
    night.host.wait_for("its start", |fact| matches!(fact, Fact::JobCreated(_)));
    eventually("it runs", || {
        let list = ["ps", "--filter", "status=running", "--format", "{{.Names}}"];
        night.podman.run(&list).lines().any(|name| name == "one-main").then_some(())
    });
    night.host.kill();
    night.host.start();
    night.podman.run(&["exec", "one-main", "/bin/sh", "-c", "echo > /tmp/go"]);
    let end = night.ends("one");
    assert_eq!((end.outcome, end.log.as_str()), (Outcome::Complete, "ran"));
    let began = night.host.records().into_iter();
    assert_eq!(began.filter(|r| matches!(r.fact, Fact::JobStarted(_))).count(), 1);
}

/// A pod that somebody removed is not run again: whether it did its work is not known.
#[test]
fn r017a_a_pod_that_is_gone_is_not_run_again() {
    let Some(mut night) = Night::open("busybox sleep 1000") else { return };
    night.runs("one");
    night.host.wait_for("its start", |fact| matches!(fact, Fact::JobCreated(_)));
    night.host.kill();
    night.podman.run(&["pod", "rm", "--force", "one"]);
    night.host.start();
    let end = night.ends("one");
    assert_eq!(end.outcome, Outcome::Failed);
    assert!(end.reason.contains("somebody removed it"), "{}", end.reason);
}

/// Where the same time comes again, the pod of the run before makes room; one that still runs is told.
#[test]
fn r017a_the_pod_of_a_run_that_is_over_makes_room_for_one_of_its_name() {
    let Some(night) = Night::open("echo ran") else { return };
    for name in ["one", "two"] {
        let of = ["--label", "tidegate.dev/object=CronJob/shop/night"];
        let of = of.into_iter().chain(["--label", "tidegate.dev/rollout=shop/night/1/1"]);
        let create: Vec<&str> = ["pod", "create", "--name", name].into_iter().chain(of).collect();
        night.podman.run(&create);
    }
    night.podman.run(&["pod", "start", "two"]);
    night.runs("one");
    let end = night.ends("one");
    assert_eq!((end.outcome, end.log.as_str()), (Outcome::Complete, "ran"), "{}", end.reason);
    night.runs("two");
    let end = night.ends("two");
    let why = "pod two of an earlier run still runs: wait for it, or end it";
    assert_eq!((end.outcome, end.reason.as_str()), (Outcome::Failed, why));
}

/// Law 6: a pod that was half made when podman was killed is made again, before its run and before another attempt at it.
#[test]
fn r017a_a_pod_that_was_half_made_is_made_again() {
    let Some(mut night) = Night::open_with("echo no room; exit 3", "1") else { return };
    let (once, real) = (night.podman.beside("once"), night.podman.program());
    night.podman.puts_between(&format!(
        "if [ \"$1 $2\" = 'kube play' ] && mkdir {} 2>/dev/null; then\n\
           {1} \"$@\"; {1} rm one-main; kill -9 $$\n\
         fi\n",
        once.display(),
        real.display()
    ));
    night.runs("one");
    eventually("its first attempt", || {
        let list = ["ps", "--all", "--filter", "status=exited", "--format", "{{.Names}}"];
        night.podman.run(&list).lines().any(|name| name == "one-main").then_some(())
    });
    assert!(once.exists(), "podman was killed once");
    night.host.kill();
    let (object, label) = ("tidegate.dev/object=CronJob/shop/night", night.label("one"));
    let of = ["--label", object, "--label", &label, "--label", "tidegate.dev/attempt=1"];
    let create = ["pod", "create", "--name", "one-1"].into_iter().chain(of);
    night.podman.run(&create.collect::<Vec<_>>());
    night.host.start();
    let end = night.ends("one");
    let why = "container main: exit status 3, and so it did the time before (`backoffLimit` is 1)";
    let how = (end.outcome, end.reason.as_str(), end.log.as_str());
    assert_eq!(how, (Outcome::Failed, why, "no room"));
    assert_eq!(night.pods(), ["one-1"]);
}

/// A run that takes its time does not keep the journal from being tidied.
#[test]
fn r017a_a_long_run_does_not_hold_up_the_upkeep() {
    let Some(night) = Night::open("busybox sleep 1000") else { return };
    night.runs("one");
    night.host.wait_for("its start", |fact| matches!(fact, Fact::JobCreated(_)));
    for _ in 0..2 {
        night.host.text(&["journal", "compact"]);
    }
}

/// `activeDeadlineSeconds` ends a run, and its pod.
#[test]
fn r017a_a_run_is_ended_at_its_deadline() {
    let Some(night) = Night::open("busybox sleep 1000") else { return };
    night.commit("busybox sleep 1000", "0\n      activeDeadlineSeconds: 2");
    night.host.ask(&Question::ReadSource);
    eventually("the commit is in force", || {
        let records = night.host.records().into_iter();
        let began = records.filter(|record| matches!(record.fact, Fact::RolloutStarted(_)));
        (began.count() == 2).then_some(())
    });
    night.runs("one");
    let end = night.ends("one");
    assert_eq!(end.outcome, Outcome::Failed);
    assert!(end.reason.contains("was not done within 2s"), "{}", end.reason);
    assert_eq!(night.pods(), Vec::<String>::new());
    let status = String::from_utf8(night.host.run(&["status"]).stdout).unwrap();
    assert!(status.contains("its last run, job one, failed"), "{status}");
    let shown = night.host.text(&["get", "cronjob", "night", "-n", "shop"]);
    let line: Vec<&str> = shown.lines().last().unwrap().split_whitespace().collect();
    assert_eq!(line[..6], ["night", "0", "0", "29", "2", "*"], "{shown}");
    assert_eq!(line[6..10], ["Europe/Berlin", "False", "0", "<none>"], "{shown}");
    let described = night.host.text(&["describe", "cronjob", "night", "-n", "shop"]);
    assert!(described.contains("Failed: it was not done within 2s"), "{described}");
    let history = night.host.text(&["history"]);
    assert!(history.contains("CronJob/shop/night job one by "), "{history}");
}

/// Runs of one CronJob do not wait for each other, be it for an init container that takes its time.
#[test]
fn r017a_runs_go_on_beside_each_other() {
    let init = "busybox hostname | busybox grep -q one || exit 0; \
                while ! busybox test -e /shared/go; do busybox sleep 0.1; done";
    let Some(night) = Night::open_after(init, "echo ran", "0") else { return };
    night.runs("one");
    night.is("one-first", "running");
    night.runs("two");
    let end = night.ends("two");
    assert_eq!((end.outcome, end.log.as_str()), (Outcome::Complete, "ran"), "{}", end.reason);
    std::fs::write(night.shared("go"), "").unwrap();
    let end = night.ends("one");
    assert_eq!((end.outcome, end.log.as_str()), (Outcome::Complete, "ran"), "{}", end.reason);
    eventually("of what is over nothing stays", || {
        let locks = std::fs::read_dir(night.host.state().join("locks")).unwrap();
        (night.pods().len() == 1 && locks.count() <= 1).then_some(())
    });
}

/// Law 6: an init container that goes on or ends while no daemon is there is not run again, and is no failure.
#[test]
fn r017a_an_init_container_runs_once() {
    let init =
        "echo >> /shared/ran; while ! busybox test -e /shared/go; do busybox sleep 0.1; done";
    let Some(mut night) = Night::open_after(init, "echo ran", "0") else { return };
    night.runs("one");
    night.is("one-first", "running");
    night.host.stop();
    night.is("one-first", "running");
    night.host.start();
    std::fs::write(night.shared("go"), "").unwrap();
    let end = night.ends("one");
    assert_eq!((end.outcome, end.log.as_str()), (Outcome::Complete, "ran"), "{}", end.reason);

    std::fs::remove_file(night.shared("go")).unwrap();
    night.runs("two");
    night.is("two-first", "running");
    night.host.stop();
    std::fs::write(night.shared("go"), "").unwrap();
    night.is("two-first", "exited");
    night.host.start();
    let end = night.ends("two");
    assert_eq!((end.outcome, end.log.as_str()), (Outcome::Complete, "ran"), "{}", end.reason);
    assert_eq!(std::fs::read_to_string(night.shared("ran")).unwrap(), "\n\n");
}

/// An attempt that failed before one that succeeded is told, and `logs` finds the run by each of its names.
#[test]
fn r017a_an_attempt_that_failed_is_told_and_logs_shows_the_last_one() {
    let command =
        "busybox test -e /shared/failed && echo fine && exit 0; echo > /shared/failed; exit 3";
    let Some(night) = Night::open_with(command, "1") else { return };
    let logs = |arguments: &[&str]| {
        let output = night.host.run(&[&["logs", "-n", "shop"], arguments].concat());
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (text(&output.stdout), text(&output.stderr))
    };
    let (_, err) = logs(&["-f", "cronjob/night"]);
    assert!(err.starts_with("error: no runs found for \"night\": "), "{err}");
    let (_, err) = logs(&["job/one"]);
    assert_eq!(err, "Error from server (NotFound): jobs.batch \"one\" not found\n");
    night.runs("one");
    let end = night.ends("one");
    let log = "attempt 0: container main: exit status 3\nfine";
    assert_eq!((end.outcome, end.log.as_str()), (Outcome::Complete, log), "{}", end.reason);
    assert_eq!(night.pods(), ["one-1"]);
    for arguments in
        [&["job/one"][..], &["cronjob/night"], &["-f", "cj/night"], &["one"], &["one-1"]]
    {
        let (out, err) = logs(arguments);
        assert_eq!(out, "fine\n", "{arguments:?}: {err}");
    }
    night.podman.run(&["pod", "rm", "--force", "one-1"]);
    let (out, err) = logs(&["job/one"]);
    assert_eq!(out, format!("{log}\n"));
    assert!(err.starts_with("note: its pod is not there any more, "), "{err}");
    assert!(err.contains("; it succeeded at 20"), "{err}");
}
