//! A workload of the shop on a podman of its own: repository, registry and daemon, and what is seen of it.

use serde_json::Value;
use tidegate::fact::{Fact, Outcome, RolloutStarted, RolloutStep};
use tidegate::journal::ObjectStore;
use tidegate::names::Seq;

use super::daemon::{Host, eventually};
use super::git::Repo;
use super::podman::{Podman, Program, alone};
use super::shop::{End, end_of, import, last_steps};

/// What every start of the same container makes anew.
const NEW_EACH_TIME: [&str; 35] = [
    "Id",
    "ID",
    "Created",
    "Pid",
    "ConmonPid",
    "StartedAt",
    "FinishedAt",
    "CgroupPath",
    "PidFile",
    "ConmonPidFile",
    "OCIConfigPath",
    "ResolvConfPath",
    "HostnamePath",
    "HostsPath",
    "StaticDir",
    "GraphDriver",
    "SandboxKey",
    "SandboxID",
    "IPAddress",
    "MacAddress",
    "Networks",
    "Dependencies",
    "Pod",
    "NetworkMode",
    "IpcMode",
    "UTSMode",
    "PidMode",
    "CgroupParent",
    "InfraContainerID",
    "ContainerIDFile",
    "LogConfig",
    "CreateCommand",
    "Containers",
    "io.kubernetes.cri-o.Created",
    "io.kubernetes.cri-o.SandboxID",
];

/// What podman lists in another order each time.
const IN_NO_ORDER: [&str; 4] = ["Env", "Mounts", "Binds", "SharedNamespaces"];

pub(crate) struct Stand {
    pub(crate) podman: Podman,
    pub(crate) repo: Repo,
    pub(crate) host: Host,
    rollouts: usize,
}

impl Stand {
    /// `shop/web:latest` is `v1` of a program; the daemon does not run yet.
    pub(crate) fn open(
        program: Program,
        manifests: impl FnOnce(&Podman) -> String,
    ) -> Option<Self> {
        if !alone() {
            return None;
        }
        let podman = Podman::start()?;
        podman.push("shop/web:latest", "v1", program);
        let repo = Repo::new();
        repo.write("web.yaml", manifests(&podman));
        let toml = format!(
            "[targets.here]\nkind = \"podman\"\nprogram = {:?}\n[routes]\ndefault = \"here\"\n",
            podman.between().display()
        );
        let host = Host::new(repo.path(), &toml);
        Some(Self { podman, repo, host, rollouts: 0 })
    }

    /// The daemon starts on what was written, and its first rollout is complete.
    pub(crate) fn begin(&mut self) {
        self.repo.commit("the shop");
        self.host.start();
        self.completes();
    }

    pub(crate) fn registry(&self) -> String {
        self.podman.registry.address()
    }

    pub(crate) fn moves(&self, version: &str, program: Program) {
        self.podman.push("shop/web:latest", version, program);
        import(&self.host, "web");
    }

    /// How the next rollout ends: outcome, reason, and whether the one before runs.
    pub(crate) fn rolled_out(&mut self) -> End {
        self.rollouts += 1;
        let wanted = self.rollouts;
        eventually(&format!("rollout {wanted}; {}", self.host.story()), || {
            end_of(self.host.records(), wanted)
        })
    }

    pub(crate) fn completes(&mut self) {
        let end = self.rolled_out();
        assert_eq!(end, (Outcome::Complete, String::new(), None), "{}", self.host.story());
    }

    /// The next rollout fails, and what ran before runs; why.
    pub(crate) fn fails(&mut self) -> String {
        let (outcome, reason, rolled_back) = self.rolled_out();
        assert_eq!((outcome, rolled_back), (Outcome::Failed, Some(true)), "{reason}");
        reason
    }

    pub(crate) fn steps(&self) -> Vec<RolloutStep> {
        last_steps(self.host.records())
    }

    /// Waits until the rollout of this number is at a step.
    pub(crate) fn until(&self, started: usize, step: RolloutStep) {
        eventually(&format!("{step}; {}", self.host.story()), || {
            let is_begun = self.host.count(|fact| matches!(fact, Fact::RolloutStarted(_)));
            (is_begun == started && self.steps().contains(&step)).then_some(())
        });
    }

    /// What is told of the steps, in their order.
    pub(crate) fn notes(&self) -> Vec<String> {
        let notes = self.host.records().into_iter().filter_map(|record| match record.fact {
            Fact::RolloutStepped(stepped) => Some(format!("{}: {}", stepped.step, stepped.note)),
            _ => None,
        });
        notes.collect()
    }

    /// Name and state of each pod.
    pub(crate) fn pods(&self) -> Vec<String> {
        let all = self.podman.run(&["pod", "ps", "--format", "{{.Name}} {{.Status}}"]);
        let mut all: Vec<String> = all.lines().map(str::to_owned).collect();
        all.sort_unstable();
        all
    }

    pub(crate) fn volumes(&self) -> String {
        let list = self.podman.run(&["volume", "ls", "--format", "{{.Name}}"]);
        let mut list: Vec<&str> = list.lines().collect();
        list.sort_unstable();
        list.join(" ")
    }

    /// Runs a line of shell in a container.
    pub(crate) fn inside(&self, container: &str, line: &str) -> String {
        self.podman.run(&["exec", container, "/bin/sh", "-c", line])
    }

    pub(crate) fn pod_id(&self, pod: &str) -> String {
        self.podman.run(&["pod", "inspect", "--format", "{{.Id}}", pod])
    }

    /// Everything that podman says of a pod and its container but what each start makes anew.
    pub(crate) fn inspected(&self, pod: &str) -> Value {
        let container = format!("{pod}-main");
        let all = [&["pod", "inspect", pod][..], &["container", "inspect", &container]];
        let all = all.map(|arguments| {
            let mut said: Value = serde_json::from_str(&self.podman.run(arguments)).unwrap();
            scrub(&mut said);
            said
        });
        Value::from(all.to_vec())
    }

    /// The rollouts that were started, with what was put together of each.
    pub(crate) fn rendered(&self) -> Vec<(Seq, RolloutStarted, String)> {
        let store = ObjectStore::at(&self.host.state());
        let records = self.host.records();
        let text = |of: Seq| {
            let hash = records.iter().find_map(|record| match &record.fact {
                Fact::RolloutStepped(stepped) if stepped.rollout == of => stepped.rendered,
                _ => None,
            });
            let bytes = hash.map(|hash| store.get(&hash).unwrap()).unwrap_or_default();
            String::from_utf8(bytes).unwrap()
        };
        let started = records.iter().filter_map(|record| match &record.fact {
            Fact::RolloutStarted(started) => Some((record.seq, (**started).clone())),
            _ => None,
        });
        started.map(|(seq, started)| (seq, started, text(seq))).collect()
    }
}

fn scrub(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|key, _| !NEW_EACH_TIME.contains(&key.as_str()));
            fields.values_mut().for_each(scrub);
            for key in IN_NO_ORDER {
                if let Some(Value::Array(items)) = fields.get_mut(key) {
                    items.sort_by_key(Value::to_string);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(scrub),
        _ => {}
    }
}
