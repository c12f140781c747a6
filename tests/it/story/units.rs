//! A workload that has everything, as a service of a real systemd: hooks, configuration, several instances, a stop by
//! hand, the way back and a machine that starts alone (rules R15 to R18, R23, D40, D47).

use std::path::PathBuf;

use tidegate::fact::{Fact, Outcome, RolloutStep};

use crate::support::daemon::eventually;
use crate::support::git::Repo;
use crate::support::machine::{DAEMON, Machine};
use crate::support::podman::{Podman, Program, alone};
use crate::support::registry::write;
use crate::support::shop::{READY, Web, configs, end_of, last_steps};

use RolloutStep::{
    Checking, MidHook, PostHook, PreHook, Pulling, RollingBack, StartingNew, StoppingOld,
};

/// Two instances that end before their successors start, and are ready so many seconds before they count.
fn manifests(registry: &str, ready: u32, hooks: &str, colour: &str, password: &str) -> String {
    let web = Web {
        replicas: 2,
        spec: &format!(
            "minReadySeconds: {ready}
strategy: {{type: Recreate, recreateParams: {{timeoutSeconds: 10, {hooks}}}}}"
        ),
        annotations: "tidegate.dev/retry: '0'",
        grace: 1,
        pod: "volumes:
- {name: said, hostPath: {path: /srv/said, type: DirectoryOrCreate}}
- {name: app, configMap: {name: app}}
- {name: keys, secret: {secretName: db}}",
        container: &format!(
            "{READY}
envFrom: [{{configMapRef: {{name: app}}}}]
env: [{{name: PASSWORD, valueFrom: {{secretKeyRef: {{name: db, key: password}}}}}}]
volumeMounts: [{{name: said, mountPath: /said}}, {{name: app, mountPath: /app}}, {{name: keys, mountPath: /keys}}]"
        ),
        ..Web::default()
    };
    format!("{}---\n{}", web.yaml(registry), configs(colour, password))
}

fn hook(name: &str, policy: &str, script: &str) -> String {
    format!(
        "{name}: {{failurePolicy: {policy}, execNewPod: {{command: [/bin/sh, -c, '{script}'], volumes: [said]}}}}"
    )
}

/// A hook at each place, which says who it is and what it finds; the last one may do more.
fn hooks(post: &str) -> String {
    let say = |name: &str, more: &str| {
        let script = format!(
            "echo {name} $OPENSHIFT_DEPLOYMENT_NAME $(busybox cat /www/index.html) $PASSWORD >> /said/said{more}"
        );
        hook(name, "Abort", &script)
    };
    [say("pre", ""), say("mid", ""), say("post", post)].join(", ")
}

/// What they say.
fn says(deployment: &str, finds: &str) -> String {
    ["pre", "mid", "post"].map(|name| format!("{name} {deployment} {finds}\n")).concat()
}

struct Shop {
    machine: Machine,
    podman: Podman,
    repo: Repo,
    rollouts: usize,
    ready: u32,
}

/// Everything that tells whether it is the same that runs.
type Runs = (Vec<Option<String>>, String, [String; 2], String);

impl Shop {
    fn open(hooks: &str) -> Option<Self> {
        Self::open_with(hooks, 0)
    }

    fn open_with(hooks: &str, ready: u32) -> Option<Self> {
        if !alone() {
            return None;
        }
        let podman = Podman::start()?;
        podman.push("shop/web:latest", "v1", Program::Healthy);
        let repo = Repo::new();
        let registry = podman.registry.address();
        repo.write("web.yaml", manifests(&registry, ready, hooks, "blue", "canary-one"))
            .commit("the shop");
        let settings = "[targets.units]\nkind = \"quadlet\"\n[routes]\ndefault = \"units\"\n";
        let machine = Machine::new(repo.path(), &registry, settings)?;
        std::fs::create_dir_all(machine.root().join("srv/said")).unwrap();
        machine.boot();
        Some(Self { machine, podman, repo, rollouts: 0, ready })
    }

    /// The bytes of its files, which containers run of which image and rollout, what these find, and what the host holds
    /// for them.
    fn runs(&self) -> Runs {
        let files = ["web.kube", "web.yaml"].map(|name| self.machine.unit(name));
        let pods = ["podman", "pod", "ps", "--filter=status=running", "--format={{.Name}}"];
        let mut pods: Vec<String> = self.machine.run(&pods).lines().map(str::to_owned).collect();
        pods.sort_unstable();
        let held = ["volume", "secret"]
            .map(|kind| self.machine.run(&["podman", kind, "ls", "--format={{.Name}}"]));
        (files.to_vec(), pods.join(" ") + "\n" + &self.containers(), self.finds(), held.join("\n"))
    }

    fn containers(&self) -> String {
        let format = "{{.Name}} {{.Image}} {{index .Config.Labels \"tidegate.dev/rollout\"}} {{.State.Status}}";
        let inspect =
            ["podman", "container", "inspect", "--format", format, "web-0-main", "web-1-main"];
        String::from_utf8(self.machine.attempt(&inspect).stdout).unwrap()
    }

    /// Git says something else.
    fn becomes(&self, hooks: &str, colour: &str, password: &str) {
        let registry = self.podman.registry.address();
        let text = manifests(&registry, self.ready, hooks, colour, password);
        self.repo.write("web.yaml", text).commit(colour);
    }

    fn ends(&mut self) -> (Outcome, String, Option<bool>) {
        self.rollouts += 1;
        let wanted = self.rollouts;
        eventually(&format!("rollout {wanted}; {}", self.machine.story()), || {
            end_of(self.machine.records(), wanted)
        })
    }

    fn completes(&mut self) {
        let end = self.ends();
        assert_eq!(end, (Outcome::Complete, String::new(), None), "{}", self.machine.story());
    }

    fn moves(&self, version: &str) {
        self.push(version, &[]);
    }

    fn push(&self, version: &str, more: &[&str]) {
        self.podman.push_for("shop/web:latest", version, Program::Healthy, more);
        self.machine.run(&["sh", "-c", "cd /srv/manifests && tidegate import-image web -n shop"]);
    }

    fn started(&self) -> usize {
        self.machine.count(|fact| matches!(fact, Fact::RolloutStarted(_)))
    }

    fn steps(&self) -> Vec<RolloutStep> {
        last_steps(self.machine.records())
    }

    /// What each instance finds.
    fn finds(&self) -> [String; 2] {
        let look = "echo $(busybox cat /www/index.html) $COLOUR $(busybox cat /app/COLOUR) $PASSWORD $(busybox cat /keys/password)";
        let of = |pod: &str| {
            self.machine.run(&["podman", "exec", &format!("{pod}-main"), "/bin/sh", "-c", look])
        };
        [of("web-0"), of("web-1")]
    }

    /// What hooks and this test share.
    fn shared(&self, name: &str) -> PathBuf {
        self.machine.root().join("srv/said").join(name)
    }

    fn said(&self) -> String {
        std::fs::read_to_string(self.shared("said")).unwrap_or_default()
    }

    /// What the hooks said since this was asked last.
    fn said_since(&self) -> String {
        let said = self.said();
        drop(std::fs::remove_file(self.shared("said")));
        said
    }

    /// The files of the service, without what tells one revision from another.
    fn files(&self, rollout: usize) -> String {
        let started = self.machine.records().into_iter().filter_map(|record| match record.fact {
            Fact::RolloutStarted(started) => {
                Some((started.key(record.seq).to_string(), started.revision))
            }
            _ => None,
        });
        let (key, revision) = started.collect::<Vec<_>>().swap_remove(rollout - 1);
        let files = ["web.kube", "web.yaml"].map(|name| self.machine.unit(name).unwrap()).concat();
        assert!(files.contains(&key), "{files}");
        let deployment = format!("\"deployment\":\"web-{revision}\"");
        let files = files.replace(&key, "KEY").replace(&deployment, "deployment N");
        files
            .replace(&format!("revision {revision})"), "revision N)")
            .replace(&format!("tidegate.dev/revision\":\"{revision}\""), "revision N")
    }

    fn is_active(&self) -> String {
        self.machine.show("ActiveState", "web.service")
    }

    /// Stopped by hand: it is told, and left so, by a daemon that starts anew, too.
    fn is_left_stopped(&self) {
        let records = || self.machine.count(|fact| matches!(fact, Fact::RolloutStarted(_)));
        let before = records();
        self.machine.run(&["systemctl", "stop", "web.service"]);
        for _ in 0..2 {
            let status = self.machine.tidegate(&["status", "-n", "shop"]);
            assert!(status.contains("now: not as rolled out: pod web-0 is gone"), "{status}");
            assert_eq!((self.is_active().as_str(), records()), ("inactive", before));
            self.machine.run(&["systemctl", "restart", DAEMON]);
        }
    }

    /// Law 10, where everything is that the daemon writes or is asked.
    fn keeps_secrets(&self) {
        let find = ["grep", "-rl", "canary-", "/etc/containers/systemd", "/var/lib/tidegate"];
        let found = self.machine.attempt(&find).stdout;
        assert_eq!(String::from_utf8_lossy(&found), "");
        let asked =
            ["status -n shop", "history -n shop", "describe dc/web -n shop", "journal log -o json"];
        for asked in asked {
            let words: Vec<&str> = ["tidegate"].into_iter().chain(asked.split(' ')).collect();
            let said = self.machine.run(&words);
            assert!(said.contains("web") && !said.contains("canary-"), "{asked}: {said}");
        }
        let log = self.machine.run(&["journalctl", "-b", "-o", "cat", "--no-pager"]);
        assert!(!log.contains("canary-"), "{log}");
    }
}

/// All of it in one machine, as to boot one takes longer than any part.
#[test]
fn r015_r023_d047_a_service_with_hooks_and_configuration_goes_back_and_starts_alone() {
    let Some(mut shop) = Shop::open(&hooks("")) else { return };
    shop.machine.start_daemon();
    shop.completes();
    assert_eq!(shop.steps(), [Pulling, PreHook, MidHook, StartingNew, Checking, PostHook]);
    let one = ["v1 blue blue canary-one canary-one"; 2];
    assert_eq!(shop.finds(), one);
    assert_eq!(shop.said_since(), says("web-1", "v1 canary-one"));
    let first = shop.files(1);

    // A configuration does not roll out by itself (rule R17), an image does.
    shop.becomes(&hooks(""), "red", "canary-two");
    shop.moves("v2");
    shop.completes();
    let steps = [Pulling, PreHook, StoppingOld, MidHook, StartingNew, Checking, PostHook];
    assert_eq!(shop.steps(), steps);
    let two = ["v2 red red canary-two canary-two"; 2];
    assert_eq!(shop.finds(), two);
    assert_eq!(shop.said_since(), says("web-2", "v2 canary-two"));
    let second = shop.files(2);

    // D40.5: the hook after it fails, and all of it is put back, down to the bytes of its files.
    shop.becomes(&hooks("; exit 3"), "green", "canary-three");
    shop.moves("v3");
    let (outcome, why, rolled_back) = shop.ends();
    assert_eq!((outcome, rolled_back), (Outcome::Failed, Some(true)), "{why}");
    assert_eq!(why, "post hook failed: exit status 3");
    assert_eq!(shop.steps().last(), Some(&RollingBack));
    assert_eq!((shop.finds(), shop.files(2)), (two.map(str::to_owned), second));
    assert_eq!(shop.said_since(), says("web-3", "v3 canary-three"));

    // R13a.2: what cannot start is found out before the service ends.
    shop.push("v4", &["--entrypoint", "[\"/nowhere\"]"]);
    let (outcome, why, _) = shop.ends();
    assert_eq!((outcome, shop.steps()), (Outcome::Failed, vec![Pulling, RollingBack]), "{why}");
    assert!(why.starts_with("it cannot start: ") && why.contains("/nowhere"), "{why}");
    assert_eq!((shop.finds(), shop.said_since()), (two.map(str::to_owned), String::new()));

    shop.is_left_stopped();

    let undo = "cd /srv/manifests && tidegate rollout undo dc/web -n shop --to-revision=1";
    let output = shop.machine.run(&["sh", "-c", undo]);
    assert!(output.contains("rolled back"), "{output}");
    shop.completes();
    assert_eq!((shop.finds(), shop.is_active().as_str()), (one.map(str::to_owned), "active"));
    assert_eq!(shop.steps(), steps, "it ends what runs before the hook in between");
    assert_eq!(shop.files(5), first, "git does not have it any more");
    assert_eq!(shop.said_since(), says("web-5", "v1 canary-one"));
    let status = shop.machine.tidegate(&["status", "-n", "shop"]);
    assert!(!status.contains("not as rolled out"), "{status}");
    shop.keeps_secrets();

    // R23: neither the daemon nor the registry nor git is there when the machine starts.
    shop.machine.shut_down();
    shop.podman.registry.stop();
    std::fs::rename(shop.repo.path().join(".git"), shop.repo.path().join("gone")).unwrap();
    shop.machine.boot();
    eventually("the service", || (shop.is_active() == "active").then_some(()));
    assert_eq!(shop.machine.show("ActiveState", DAEMON), "inactive");
    assert_eq!(shop.finds(), one);
}

/// R4, R15, D40.4, X46: a hook that runs while nothing else may run outlives the daemon, and runs once. Where the machine
/// went down the old service starts with it, and ends before that hook runs again.
#[test]
fn r015_x046_nothing_runs_beside_the_hook_in_between_whatever_goes_down() {
    let waits =
        "echo mid >> /said/said; until busybox test -e /said/go; do busybox sleep 0.1; done";
    let Some(mut shop) = Shop::open(&hook("mid", "Retry", waits)) else { return };
    let go = shop.shared("go");
    write(&go, "");
    shop.machine.start_daemon();
    shop.completes();
    let begins = |shop: &Shop, times: usize| {
        eventually(&format!("the hook; {}", shop.machine.story()), || {
            (shop.said() == "mid\n".repeat(times)).then_some(())
        });
        let pods = ["podman", "pod", "ps", "--filter=status=running", "--format={{.Name}}"];
        let pod = format!("web-{}-hook-mid", shop.rollouts + 1);
        assert_eq!((shop.machine.run(&pods), shop.is_active()), (pod, "inactive".to_owned()));
    };
    shop.said_since();
    std::fs::remove_file(&go).unwrap();
    shop.moves("v2");
    begins(&shop, 1);
    shop.machine.kill_daemon();
    write(&go, "");
    shop.completes();
    assert_eq!(shop.said_since(), "mid\n");
    assert_eq!(shop.finds(), ["v2 blue blue canary-one canary-one"; 2]);

    std::fs::remove_file(&go).unwrap();
    shop.moves("v3");
    begins(&shop, 1);
    shop.machine.shut_down();
    shop.machine.boot();
    eventually("the old service", || (shop.is_active() == "active").then_some(()));
    assert_eq!(shop.finds(), ["v2 blue blue canary-one canary-one"; 2]);
    shop.machine.start_daemon();
    begins(&shop, 2);
    write(&go, "");
    shop.completes();
    assert_eq!(shop.said(), "mid\nmid\n");
    assert_eq!(shop.steps(), [Pulling, StoppingOld, MidHook, StartingNew, Checking]);
    assert_eq!(shop.finds(), ["v3 blue blue canary-one canary-one"; 2]);
    assert_eq!(shop.is_active(), "active");
}

/// What is waited for, in words and as it is seen, and what goes down then.
type Moment<'a> = (&'a str, &'a dyn Fn(&Shop) -> bool, fn(&Machine));

/// R4, R7, R20: whichever moment of the way back a kill or a power cut meets, that goes on, ends once, and exactly what ran
/// before runs again; no hook runs a second time.
#[test]
fn r004_r020_whatever_goes_down_on_the_way_back_of_a_unit_it_converges_once() {
    let Some(mut shop) = Shop::open_with(&hooks(""), 3) else { return };
    shop.machine.start_daemon();
    shop.completes();
    shop.said_since();
    let before = shop.runs();
    let containers = shop.containers();
    let old_files = |shop: &Shop| shop.machine.unit("web.kube") == before.0[0];
    let moments: [Moment<'_>; 4] = [
        ("it began", &|_| true, Machine::kill_daemon),
        ("the files are back", &old_files, Machine::kill_daemon),
        ("the pods are back", &|shop| shop.containers() == containers, Machine::kill_daemon),
        ("the files are back, and the machine goes down", &old_files, |machine| {
            machine.shut_down();
            machine.boot();
            machine.start_daemon();
        }),
    ];
    shop.becomes(&hooks("; exit 3"), "red", "canary-two");
    for (revision, (moment, is_it, goes_down)) in (2..).zip(moments) {
        let version = format!("v{revision}");
        shop.moves(&version);
        eventually(&format!("{moment}; {}", shop.machine.story()), || {
            let is_back = shop.started() == revision && shop.steps().last() == Some(&RollingBack);
            (is_back && is_it(&shop)).then_some(())
        });
        assert_eq!(end_of(shop.machine.records(), revision), None, "{moment}: it is on its way");
        goes_down(&shop.machine);
        let (outcome, why, rolled_back) = shop.ends();
        let end = (outcome, why.as_str(), rolled_back);
        let wanted = (Outcome::Failed, "post hook failed: exit status 3", Some(true));
        assert_eq!(end, wanted, "{moment}; {}", shop.machine.story());
        assert_eq!(shop.runs(), before, "{moment}");
        assert_eq!(
            shop.said_since(),
            says(&format!("web-{revision}"), &format!("{version} canary-two"))
        );
        assert_eq!((shop.started(), shop.is_active().as_str()), (revision, "active"), "{moment}");
        assert_eq!(shop.machine.show("NeedDaemonReload", "web.service"), "no", "{moment}");
    }
    shop.becomes(&hooks(""), "red", "canary-two");
    shop.moves("v6");
    shop.completes();
    assert_eq!(shop.finds(), ["v6 red red canary-two canary-two"; 2]);
}
