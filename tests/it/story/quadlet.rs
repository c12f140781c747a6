//! Workloads as services of a real systemd: tags move, units follow, and a host starts what it runs alone (section 8.3).

use tidegate::fact::{Fact, JobFinished, Outcome, RolloutStep};

use crate::support::daemon::eventually;
use crate::support::git::Repo;
use crate::support::machine::{DAEMON, Machine};
use crate::support::podman::{Podman, Program, alone};
use crate::support::registry::write;
use crate::support::shop::{End, READY, Web, end_of, last_steps, served};

use RolloutStep::{Checking, Pulling, RollingBack, StartingNew, Verifying};

/// The port of the host that leads to the shop.
const PORT: u16 = 18080;

/// A stream and a workload that follows it; `more` are further annotations.
fn manifests(registry: &str, more: &str) -> String {
    let web = Web {
        annotations: &format!(
            "tidegate.dev/publish: '127.0.0.1:18080:8080', tidegate.dev/retry: '0'{more}"
        ),
        spec: "strategy: {type: Rolling, rollingParams: {timeoutSeconds: 8}}",
        container: &format!("ports: [{{containerPort: 8080}}]\n{READY}"),
        ..Web::default()
    };
    web.yaml(registry)
}

/// A CronJob that does not run by itself within this century, and whose init container waits for a file.
const NIGHT: &str = r#"---
apiVersion: batch/v1
kind: CronJob
metadata:
  name: night
  namespace: shop
  annotations:
    image.openshift.io/triggers: >-
      [{"from":{"kind":"ImageStreamTag","name":"web:latest"},
      "fieldPath":"spec.jobTemplate.spec.template.spec.initContainers[0].image"},
      {"from":{"kind":"ImageStreamTag","name":"web:latest"},
      "fieldPath":"spec.jobTemplate.spec.template.spec.containers[0].image"}]
spec:
  schedule: '0 0 29 2 *'
  jobTemplate:
    spec:
      backoffLimit: 0
      template:
        spec:
          restartPolicy: Never
          terminationGracePeriodSeconds: 1
          initContainers:
          - name: first
            image: ' '
            command: [/bin/sh, -c, 'echo >> /gate/ran; until busybox test -e /gate/go; do busybox sleep 0.1; done']
            volumeMounts: [{name: gate, mountPath: /gate}]
          containers: [{name: main, image: ' ', command: [/bin/sh, -c, 'echo ran >&2']}]
          volumes: [{name: gate, hostPath: {path: /srv/gate}}]
"#;

/// A command works on the repository that it is in.
const IMPORT: &str = "cd /srv/manifests && tidegate import-image web -n shop";

const RESTART: &str = "cd /srv/manifests && tidegate rollout restart dc/web -n shop";

const TAKE_OVER: &str = "cd /srv/manifests && tidegate rollout retry --force dc/web -n shop";

const CANCEL: &str = "cd /srv/manifests && tidegate rollout cancel dc/web -n shop";

const IN_PLACE: &str = ", tidegate.dev/verify: 'false'";

const SETTINGS: &str = "[targets.units]\nkind = \"quadlet\"\n[routes]\ndefault = \"units\"\n";

struct Shop {
    machine: Machine,
    podman: Podman,
    repo: Repo,
    rollouts: usize,
}

impl Shop {
    /// A machine that is booted, and whose daemon does not run yet.
    fn open(more: &str) -> Option<Self> {
        Self::with(more, SETTINGS)
    }

    fn with(more: &str, settings: &str) -> Option<Self> {
        if !alone() {
            return None;
        }
        let podman = Podman::start()?;
        podman.push("shop/web:latest", "v1", Program::Healthy);
        let repo = Repo::new();
        let registry = podman.registry.address();
        repo.write("web.yaml", manifests(&registry, more)).commit("the shop");
        let machine = Machine::new(repo.path(), &registry, settings)?;
        machine.boot();
        Some(Self { machine, podman, repo, rollouts: 0 })
    }

    /// The daemon starts, and its first rollout is complete.
    fn begin(&mut self) {
        self.machine.start_daemon();
        self.completes();
        assert_eq!(served(PORT).as_deref(), Some("v1"));
    }

    fn completes(&mut self) {
        let end = self.rolled_out();
        assert_eq!(end, (Outcome::Complete, String::new(), None), "{}", self.machine.story());
    }

    /// How the next rollout ends: outcome, reason, and whether the one before runs.
    fn rolled_out(&mut self) -> End {
        self.rollouts += 1;
        let wanted = self.rollouts;
        eventually(&format!("rollout {wanted}; {}", self.machine.story()), || {
            end_of(self.machine.records(), wanted)
        })
    }

    /// The next rollout fails, and what ran before runs; why.
    fn fails(&mut self) -> String {
        let (outcome, reason, rolled_back) = self.rolled_out();
        let story = || format!("{reason}\n{}", self.machine.story());
        assert_eq!((outcome, rolled_back), (Outcome::Failed, Some(true)), "{}", story());
        reason
    }

    fn moves(&self, version: &str, program: Program) {
        self.podman.push("shop/web:latest", version, program);
        self.imports();
    }

    /// The daemon of a user, whose units are their own.
    fn begin_as_user(&mut self) {
        let machine = &mut self.machine;
        machine.add_user();
        let settings = format!(
            "state_dir = \"/home/web/.local/state/tidegate\"\n[source]\n\
             repository = \"/srv/manifests\"\nbranch = \"main\"\n{}",
            SETTINGS.replace("[routes]", "user = true\n[routes]")
        );
        machine.start_for_user(&settings);
        self.completes();
        assert_eq!(served(PORT).as_deref(), Some("v1"));
    }

    fn imports(&self) {
        let said = self.machine.attempt(&["sh", "-c", IMPORT]);
        assert!(said.status.success(), "{said:?}");
    }

    /// The steps of the last rollout.
    fn steps(&self) -> Vec<RolloutStep> {
        last_steps(self.machine.records())
    }

    fn started(&self) -> usize {
        self.machine.count(|fact| matches!(fact, Fact::RolloutStarted(_)))
    }

    /// Every container but those that hold networks and services, with its number.
    fn containers(&self) -> String {
        let format = "{{.Names}} {{.ID}} {{.Image}}";
        let all = self.machine.run(&["podman", "ps", "--format", format]);
        let mut own: Vec<_> = all.lines().filter(|line| !line.contains("podman-pause")).collect();
        own.sort_unstable();
        own.join("\n")
    }

    fn pods(&self) -> String {
        self.machine.run(&["podman", "pod", "ps", "--format", "{{.Name}} {{.Status}}"])
    }

    fn files(&self) -> [Option<String>; 2] {
        ["web.kube", "web.yaml"].map(|name| self.machine.unit(name))
    }

    /// Whatever it was that failed, the operator has mended it.
    fn release(&self) {
        self.machine.run(&["tidegate", "release", "dc/web", "-n", "shop"]);
    }
}

/// R18, R19, R20, X50: files, daemon-reload, restart; the names stay, and nothing is left over.
#[test]
fn r020_a_new_image_takes_over_through_its_unit() {
    let Some(mut shop) = Shop::open("") else { return };
    shop.begin();
    assert_eq!(shop.steps(), [Pulling, StartingNew, Checking]);
    assert_eq!(shop.pods(), "web-0 Running");
    insta::assert_snapshot!(shop.machine.unit("web.kube").unwrap(), @r"
    [Unit]
    Description=web (managed; revision 1)
    After=network-online.target
    Wants=network-online.target

    [Kube]
    Yaml=web.yaml
    PublishPort=127.0.0.1:18080:8080
    ExitCodePropagation=any

    [Service]
    Restart=on-failure
    RestartSec=5
    TimeoutStartSec=900

    [Install]
    WantedBy=default.target
    ");
    shop.moves("v2", Program::Healthy);
    shop.completes();
    assert_eq!(served(PORT).as_deref(), Some("v2"));
    assert_eq!(shop.steps(), [Pulling, Verifying, StartingNew, Checking]);
    let history = shop.machine.tidegate(&["history", "-n", "shop"]);
    assert_eq!(history.matches("; ports of the host led nowhere for ").count(), 1, "{history}");
    assert_eq!(shop.pods(), "web-0 Running");
    assert_eq!(shop.machine.show("ActiveState", "web.service"), "active");

    let before = (shop.containers(), shop.files());
    shop.moves("v3", Program::NeverReady);
    let reason = shop.fails();
    assert!(reason.ends_with("/healthz: status 404"), "{reason}");
    assert_eq!(shop.steps(), [Pulling, Verifying, RollingBack]);
    assert_eq!((shop.containers(), shop.files()), before, "it was not touched");

    let manifests = manifests(&shop.podman.registry.address(), "");
    shop.repo.write("web.yaml", manifests.split("---").next().unwrap()).commit("the shop closes");
    eventually("the stop", || {
        let stopped = |fact: &Fact| matches!(fact, Fact::StopFinished(stop) if stop.outcome == Outcome::Complete);
        (shop.machine.count(stopped) == 1).then_some(())
    });
    assert_eq!((shop.pods(), shop.files()), (String::new(), [None, None]));
    assert_eq!(shop.machine.show("LoadState", "web.service"), "not-found");
}

/// R17a, law 6: beside units, podman runs CronJobs by itself; a run outlives a restart of the daemon by systemd, and one
/// that the machine cut short is no success.
#[test]
fn r017a_runs_of_a_cron_job_outlive_a_restart_of_the_service() {
    let Some(mut shop) = Shop::open("") else { return };
    let night = manifests(&shop.podman.registry.address(), "") + NIGHT;
    shop.repo.write("web.yaml", night).commit("each night");
    shop.machine.run(&["mkdir", "/srv/gate"]);
    shop.begin();
    eventually("it is in force", || (shop.started() == 2).then_some(()));
    let runs = |shop: &Shop, name: &str| {
        let create = ["tidegate", "create", "job", name, "--from=cronjob/night", "-n", "shop"];
        shop.machine.run(&create);
        let first = format!("{name}-first ");
        eventually("its init container", || shop.containers().contains(&first).then_some(()));
    };
    let ends = |shop: &Shop, name: &str| -> JobFinished {
        eventually(&format!("the end of {name}; {}", shop.machine.story()), || {
            shop.machine.records().into_iter().find_map(|record| match record.fact {
                Fact::JobFinished(end) if end.name == name => Some(end),
                _ => None,
            })
        })
    };
    runs(&shop, "one");
    shop.machine.run(&["systemctl", "restart", DAEMON]);
    shop.machine.run(&["touch", "/srv/gate/go"]);
    let end = ends(&shop, "one");
    assert_eq!((end.outcome, end.log.as_str()), (Outcome::Complete, "ran"), "{}", end.reason);
    assert_eq!(shop.machine.run(&["wc", "-l", "/srv/gate/ran"]), "1 /srv/gate/ran");
    let logs = ["logs", "cronjob/night", "-n", "shop", "-c", "main"];
    assert_eq!(shop.machine.tidegate(&logs), "ran\n");

    shop.machine.run(&["rm", "/srv/gate/go"]);
    runs(&shop, "two");
    shop.machine.shut_down();
    shop.machine.boot();
    shop.machine.start_daemon();
    let end = ends(&shop, "two");
    let why = "the host went down while it ran (`backoffLimit` is 0)";
    assert_eq!((end.outcome, end.reason.as_str()), (Outcome::Failed, why));
}

/// R7, R20: the files of the revision before take their places again, byte for byte, and their service runs.
#[test]
fn r020_what_fails_is_replaced_by_the_files_of_before() {
    let Some(mut shop) = Shop::open(IN_PLACE) else { return };
    shop.begin();
    let before = shop.files();
    shop.moves("v2", Program::NeverReady);
    let reason = shop.fails();
    assert!(reason.ends_with("/healthz: status 404"), "{reason}");
    assert_eq!(shop.steps(), [Pulling, StartingNew, Checking, RollingBack]);
    assert_eq!(shop.files(), before);
    assert_eq!(served(PORT).as_deref(), Some("v1"));
    assert_eq!(shop.pods(), "web-0 Running");
    assert_eq!(shop.machine.show("ActiveState", "web.service"), "active");
    assert_eq!(shop.machine.show("NeedDaemonReload", "web.service"), "no");
}

/// R10: a service that does not start says why in the words of podman, and what ran before comes back.
#[test]
fn r020_a_service_that_does_not_start_is_told_with_its_error() {
    let Some(mut shop) = Shop::open(IN_PLACE) else { return };
    let taken = std::net::TcpListener::bind("127.0.0.1:18080").unwrap();
    shop.machine.start_daemon();
    let reason = shop.fails();
    assert!(reason.starts_with("web.service does not start: "), "{reason}");
    assert!(reason.contains("ddress already in use"), "{reason}");
    assert_eq!((shop.pods(), shop.files()), (String::new(), [None, None]));
    drop(taken);
    shop.release();
    shop.completes();
    assert_eq!(served(PORT).as_deref(), Some("v1"));
}

/// R20, X51: the generator is asked first, and podman's own updater is not let in.
#[test]
fn r020_what_the_generator_refuses_touches_nothing() {
    let Some(mut shop) = Shop::open("") else { return };
    shop.begin();
    let before = (shop.containers(), shop.files());
    let folder = shop.machine.unit_path("web.kube.d");
    std::fs::create_dir(&folder).unwrap();
    write(&folder.join("10-mine.conf"), "[Kube]\nNonsense=1\n");
    // A unit of somebody else that is broken is no matter of ours.
    write(&shop.machine.unit_path("other.kube"), "[Kube]\n");
    shop.moves("v2", Program::Healthy);
    let reason = shop.fails();
    assert!(reason.starts_with("no service can be made of the unit: "), "{reason}");
    assert!(reason.contains("unsupported key 'Nonsense'"), "{reason}");
    assert_eq!(shop.steps(), [Pulling, RollingBack]);
    assert_eq!((shop.containers(), shop.files()), before);

    write(&folder.join("10-mine.conf"), "[Kube]\nAutoUpdate=registry\n");
    shop.release();
    let reason = shop.fails();
    assert!(reason.starts_with("`AutoUpdate` is set for web.service: "), "{reason}");
    assert_eq!((shop.containers(), shop.files()), before);

    std::fs::remove_dir_all(folder).unwrap();
    shop.release();
    shop.completes();
    assert_eq!(served(PORT).as_deref(), Some("v2"));
}

/// R22: what somebody edited is left as it is, and `status` says so and what to do.
#[test]
fn r022_a_unit_that_was_edited_is_shown_and_not_overwritten() {
    let Some(mut shop) = Shop::open("") else { return };
    shop.begin();
    let path = shop.machine.unit_path("web.kube");
    let edited = shop.machine.unit("web.kube").unwrap() + "# mine\n";
    write(&path, &edited);
    let before = shop.containers();
    let status = shop.machine.tidegate(&["status", "-n", "shop"]);
    let said =
        "somebody edited or removed `/etc/containers/systemd/web.kube`; it is not overwritten";
    assert!(status.contains("Drifted") && status.contains(said), "{status}");
    shop.moves("v2", Program::Healthy);
    let reason = shop.fails();
    assert_eq!(
        reason,
        "drifted: `/etc/containers/systemd/web.kube` is not as Tidegate wrote it and is not overwritten; remove it, or put it \
         back, then `tidegate release` goes on; or take it over with `--force` of `tidegate rollout retry`, or of `restart` where \
         no rollout failed"
    );
    assert_eq!(shop.steps(), [Pulling, RollingBack]);
    assert_eq!(
        (shop.machine.unit("web.kube").unwrap(), shop.containers()),
        (edited.clone(), before)
    );
    let status = shop.machine.tidegate(&["status", "-n", "shop"]);
    assert!(status.contains("drifted: `/etc/containers/systemd/web.kube`"), "{status}");

    // What is taken over is not lost.
    shop.machine.run(&["sh", "-c", TAKE_OVER]);
    shop.completes();
    assert_eq!(served(PORT).as_deref(), Some("v2"));
    assert!(!shop.machine.unit("web.kube").unwrap().contains("mine"));
    assert_eq!(shop.machine.unit("web.kube.edited").unwrap(), edited);
    let history = shop.machine.tidegate(&["history", "-n", "shop", "dc/web"]);
    assert!(history.contains("units that somebody edited are taken over"), "{history}");

    // Where nothing failed there is nothing to release.
    write(&path, "# mine\n");
    let status = shop.machine.tidegate(&["status", "-n", "shop"]);
    let way = "put it back, or `tidegate rollout restart --force` takes it over";
    assert!(status.contains(way), "{status}");
    std::fs::remove_file(path).unwrap();
    shop.machine.run(&["sh", "-c", RESTART]);
    shop.completes();
    assert_eq!(served(PORT).as_deref(), Some("v2"));
    assert!(shop.machine.unit("web.kube").unwrap().contains("revision 3"));
    let status = shop.machine.tidegate(&["status", "-n", "shop"]);
    assert!(!status.contains("Drifted") && !status.contains("not as rolled out"), "{status}");
}

/// D22: without an instance there is no service, and with one again it is the revision that ran.
#[test]
fn d022_a_service_goes_and_comes_with_its_instances() {
    let Some(mut shop) = Shop::open("") else { return };
    shop.begin();
    let scaled = |shop: &Shop, times: usize| {
        eventually("it is scaled", || {
            let is_end = |fact: &Fact| matches!(fact, Fact::ScaleFinished(end) if end.outcome == Outcome::Complete);
            (shop.machine.count(is_end) == times).then_some(())
        });
    };
    let before = shop.machine.unit("web.yaml").unwrap();
    let text = manifests(&shop.podman.registry.address(), "");
    shop.repo.write("web.yaml", text.replace("replicas: 1", "replicas: 0")).commit("none");
    scaled(&shop, 1);
    assert_eq!((served(PORT), shop.machine.unit("web.kube")), (None, None));
    assert_eq!(shop.containers(), "");
    shop.repo.write("web.yaml", text).commit("one");
    scaled(&shop, 2);
    eventually("the service", || served(PORT).filter(|version| version == "v1"));
    assert_eq!(shop.machine.unit("web.yaml").unwrap(), before);
    assert_eq!(shop.machine.count(|fact| matches!(fact, Fact::RolloutStarted(_))), 1);
}

/// R23, X52: neither the daemon nor the registry nor git is there when the machine starts.
#[test]
fn r023_x052_a_machine_that_starts_alone_runs_its_services() {
    let Some(mut shop) = Shop::open("") else { return };
    shop.begin();
    let image = |containers: String| containers.rsplit(' ').next().unwrap().to_owned();
    let before = image(shop.containers());
    shop.machine.shut_down();
    shop.podman.registry.stop();
    std::fs::rename(shop.repo.path().join(".git"), shop.repo.path().join("gone")).unwrap();
    shop.machine.boot();
    eventually("the service", || served(PORT).filter(|version| version == "v1"));
    assert_eq!(shop.machine.show("ActiveState", "web.service"), "active");
    assert_eq!(shop.machine.show("ActiveState", DAEMON), "inactive");
    assert_eq!(image(shop.containers()), before);
}

/// R4: whichever step a kill meets, the next start goes on, and the image takes over once.
#[test]
fn r004_a_kill_at_each_step_of_a_unit_converges_once() {
    let Some(mut shop) = Shop::open("") else { return };
    shop.begin();
    for (revision, step) in (2..).zip([Pulling, Verifying, StartingNew, Checking]) {
        let version = format!("v{revision}");
        shop.moves(&version, Program::Healthy);
        eventually(&format!("{step} of {version}"), || {
            (shop.started() == revision && shop.steps().contains(&step)).then_some(())
        });
        shop.machine.kill_daemon();
        shop.completes();
        assert_eq!(served(PORT), Some(version), "{step}");
        assert_eq!(shop.pods(), "web-0 Running", "{step}");
        assert_eq!(shop.started(), revision, "{step}: once");
        assert_eq!(shop.machine.show("ActiveState", "web.service"), "active", "{step}");
    }
}

/// A disk that is full while a unit is written leaves the old one whole, and its service is not touched.
#[test]
fn r020_a_full_disk_leaves_the_old_unit_whole() {
    let Some(mut shop) = Shop::open(IN_PLACE) else { return };
    let folder = "/etc/containers/systemd";
    shop.machine.run(&["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder]);
    shop.begin();
    let files = || {
        shop.machine.run(&[
            "sh",
            "-c",
            "cd /etc/containers/systemd && ls -A && cat web.kube web.yaml",
        ])
    };
    let before = (shop.containers(), files());
    let fill = "dd if=/dev/zero of=/etc/containers/systemd/filler bs=1k; test -s /etc/containers/systemd/filler";
    shop.machine.run(&["sh", "-c", fill]);
    shop.moves("v2", Program::Healthy);
    let reason = shop.fails();
    assert!(reason.starts_with("StartingNew failed in 1 attempt: cannot write `"), "{reason}");
    assert!(reason.contains("No space left on device"), "{reason}");
    shop.machine.run(&["rm", "/etc/containers/systemd/filler"]);
    let files = || {
        shop.machine.run(&[
            "sh",
            "-c",
            "cd /etc/containers/systemd && ls -A && cat web.kube web.yaml",
        ])
    };
    assert_eq!((shop.containers(), files()), before);
    shop.release();
    shop.completes();
    assert_eq!(served(PORT).as_deref(), Some("v2"));
}

/// Containers are not the daemon's: those of units and those that podman played go on without it.
#[test]
fn r023_a_restart_of_the_daemon_leaves_every_container_running() {
    let settings = format!(
        "[targets.here]\nkind = \"podman\"\n{SETTINGS}[routes.objects]\n\"DeploymentConfig/shop/other\" = \"here\"\n"
    );
    let Some(mut shop) = Shop::with("", &settings) else { return };
    let written = manifests(&shop.podman.registry.address(), "");
    let (_, other) = written.split_once("---").unwrap();
    let other =
        other.replace("name: web, namespace", "name: other, namespace").replace("18080", "18081");
    shop.repo.write("other.yaml", other).commit("another one");
    shop.machine.start_daemon();
    shop.completes();
    shop.completes();
    let state = || {
        let arguments =
            ["podman", "ps", "--all", "--format", "{{.Names}} {{.ID}} {{.Pid}} {{.Status}}"];
        let all = shop.machine.run(&arguments);
        let mut all: Vec<String> =
            all.lines().map(|line| line.split(' ').take(4).collect::<Vec<_>>().join(" ")).collect();
        all.sort_unstable();
        all
    };
    let before = state();
    assert_eq!(
        before.len(),
        7,
        "two with their networks, those that keep their images, and the one that holds the service: {before:?}"
    );
    for _ in 0..2 {
        shop.machine.run(&["systemctl", "restart", DAEMON]);
        assert_eq!(state(), before);
    }
    shop.machine.run(&["systemctl", "stop", DAEMON]);
    assert_eq!(state(), before);
    assert_eq!(served(PORT).as_deref(), Some("v1"));
    shop.machine.start_daemon();
    assert_eq!(shop.started(), 2, "nothing is rolled out again");
}

/// R21: of a `.container` unit that somebody else wrote only the image is ours; its own health check is the gate.
#[test]
fn r021_of_a_container_unit_only_the_image_is_changed() {
    let Some(mut shop) = Shop::open("") else { return };
    let unit = "[Unit]\nDescription=mine\n[Container]\nContainerName=mine\nPublishPort=127.0.0.1:18080:8080\n\
                HealthCmd=busybox test -f /www/healthz\nHealthInterval=1s\nHealthRetries=2\nNotify=healthy\n\
                [Service]\nTimeoutStartSec=8\nRestart=no\n[Install]\nWantedBy=default.target\n";
    write(&shop.machine.unit_path("web.container"), unit);
    shop.begin();
    let image = || shop.machine.unit("web.container.d/50-image.conf").unwrap();
    let first = image();
    assert!(first.starts_with("[Container]\nImage=127.0.0.1:"), "{first}");
    assert_eq!((first.lines().count(), first.contains("@sha256:")), (2, true), "{first}");
    assert_eq!((shop.pods(), shop.files()), (String::new(), [None, None]));
    assert!(shop.containers().starts_with("mine "), "{}", shop.containers());

    shop.moves("v2", Program::Healthy);
    shop.completes();
    assert_eq!(served(PORT).as_deref(), Some("v2"));
    let second = shop.machine.unit("web.container.d/50-image.conf").unwrap();
    assert_ne!(second, first);

    shop.moves("v3", Program::NeverReady);
    let reason = shop.fails();
    assert!(reason.starts_with("web.service does not start: "), "{reason}");
    assert_eq!(shop.machine.unit("web.container.d/50-image.conf").unwrap(), second);
    assert_eq!(served(PORT).as_deref(), Some("v2"));
    assert_eq!(shop.machine.unit("web.container").unwrap(), unit);
}

/// R5, R18, R20, R22: the same without privileges, in the folder and with the services of a user, whose pods are asked in
/// their own network.
#[test]
fn r018_units_of_a_user_are_rolled_out_and_put_back() {
    let Some(mut shop) = Shop::open("") else { return };
    let startup = "startupProbe: {tcpSocket: {port: 8080}, periodSeconds: 1}";
    let registry = shop.podman.registry.address();
    let written = |more: &str| {
        manifests(&registry, more).replace(READY, &format!("{READY}\n        {startup}"))
    };
    shop.repo.write("web.yaml", written("")).commit("two ways to ask");
    shop.begin_as_user();
    let units = shop.machine.root().join("home/web/.config/containers/systemd");
    let files =
        || ["web.kube", "web.yaml"].map(|name| std::fs::read_to_string(units.join(name)).unwrap());
    let moves = |shop: &Shop, version: &str, program: Program| {
        shop.podman.push("shop/web:latest", version, program);
        shop.machine.run_as_user(&["sh", "-c", IMPORT]);
    };
    moves(&shop, "v2", Program::Healthy);
    shop.completes();
    assert_eq!(shop.steps(), [Pulling, Verifying, StartingNew, Checking]);
    assert_eq!(served(PORT).as_deref(), Some("v2"));

    let before = files();
    let said = |reason: &str, pod: &str| {
        let head = format!("not healthy within 8s: container {pod}-main is not ready: GET http://");
        assert!(reason.starts_with(&head), "{reason}");
        assert!(reason.ends_with(":8080/healthz: status 404"), "{reason}");
    };
    moves(&shop, "v3", Program::NeverReady);
    said(&shop.fails(), "web-check");
    assert_eq!(shop.steps(), [Pulling, Verifying, RollingBack]);
    assert_eq!(files(), before);
    shop.repo.write("web.yaml", written(IN_PLACE)).commit("in place");
    eventually("it is read", || {
        (shop.machine.count(|fact| matches!(fact, Fact::CommitAdopted(_))) == 2).then_some(())
    });
    moves(&shop, "v4", Program::NeverReady);
    said(&shop.fails(), "web-0");
    assert_eq!(shop.steps(), [Pulling, StartingNew, Checking, RollingBack]);
    assert_eq!(files(), before);
    assert_eq!(served(PORT).as_deref(), Some("v2"));
    let state = shop.machine.run_as_user(&["systemctl", "--user", "is-active", "web.service"]);
    assert_eq!(state, "active");
    // A restart of the daemon leaves what runs alone.
    let ids = || shop.machine.run_as_user(&["podman", "ps", "--quiet", "--no-trunc"]);
    let before = ids();
    shop.machine.run_as_user(&["systemctl", "--user", "restart", "tidegate.service"]);
    assert_eq!(ids(), before);
    let log = shop.machine.run(&["journalctl", "-b", "-o", "cat", "--no-pager", "_UID=1001"]);
    assert!(!log.contains("does not linger"), "{log}");
    assert_eq!(shop.files(), [None, None], "nothing is the system's");
}

/// R5: whoever asks for a user in the network of a pod does so within the time of the probe, and ends with the rollout.
#[test]
fn r005_a_probe_of_a_user_ends_with_its_time_and_with_the_rollout() {
    let Some(mut shop) = Shop::open("") else { return };
    shop.begin_as_user();
    let registry = shop.podman.registry.address();
    let slow = |timeout: &str| {
        let probe = READY.replace("/healthz", "/cgi-bin/late");
        let probe = probe.replace("periodSeconds: 1", &format!("timeoutSeconds: {timeout}"));
        manifests(&registry, "").replace(READY, &probe)
    };
    shop.repo.write("web.yaml", slow("2")).commit("who answers late");
    shop.podman.push("shop/web:latest", "v2", Program::AnswersLate);
    shop.machine.run_as_user(&["sh", "-c", IMPORT]);
    let reason = shop.fails();
    assert!(reason.ends_with("/cgi-bin/late: no answer within 2s"), "{reason}");

    let asks = || {
        let processes = shop.machine.run(&["ps", "-eo", "user,args"]);
        processes.lines().filter(|line| line.contains("probe-in-pod")).count()
    };
    assert_eq!(asks(), 0);
    shop.repo.write("web.yaml", slow("600")).commit("who may take longer");
    eventually("it is asked", || (asks() > 1).then_some(()));
    shop.machine.run_as_user(&["sh", "-c", CANCEL]);
    eventually("nobody asks any more", || (asks() == 0).then_some(()));
    assert_eq!(shop.fails(), "cancelled by the user");
    assert_eq!(served(PORT).as_deref(), Some("v1"));
}
