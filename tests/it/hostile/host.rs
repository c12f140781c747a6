//! A host whose podman and systemd are programs that print a file each: no real one can be made to print what these rows
//! have.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tidegate::action::{RolloutReport, RolloutRequest, StepOrder};
use tidegate::fact::RolloutStep;
use tidegate::limits;
use tidegate::names::{ContentHash, Revision};
use tidegate::pods::{Pods, Units};
use tidegate::world::target::{
    Expected, Looked, PodmanTarget, QuadletTarget, TargetConfig, Targets, Wanted,
};

use crate::adapter::target::{object, request};

/// What must not be told by anybody.
pub(super) const SECRET: &str = "hunter2";

/// A file of its name is what `PROGRAM WORD WORD` prints, or `PROGRAM WORD`.
const SCRIPT: &str = r#"#!/bin/sh
said=FOLDER/said/$(basename "$0")
case "$*" in "pod inspect web-check") echo "Error: no such pod" >&2; exit 125 ;; esac
for words in "$1-$2" "$1"; do
  if [ -e "$said.$words" ]; then exec cat "$said.$words"; fi
done
if [ -e "$said" ]; then exec cat "$said"; fi
"#;

pub(super) struct Fake {
    folder: tempfile::TempDir,
    targets: Targets,
    request: RolloutRequest,
    is_quadlet: bool,
    rendered: ContentHash,
}

impl Fake {
    /// A pod of the shop that runs, as podman played it or as a unit.
    pub(super) fn new(is_quadlet: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["said", "units", "state"] {
            std::fs::create_dir(path(name)).unwrap();
        }
        let script = SCRIPT.replace("FOLDER", &folder.path().display().to_string());
        // By another process: one that is forked meanwhile would keep a file busy that this one writes.
        let write = "for name; do printf %s \"$SCRIPT\" > \"$name\"; chmod +x \"$name\"; done";
        let names = ["podman", "systemctl", "generator"].map(path);
        let mut shell = Command::new("sh");
        shell.args(["-c", write, "sh"]).args(&names).env("SCRIPT", script);
        assert!(shell.status().unwrap().success());
        let [program, systemctl, generator] = names;
        let podman = PodmanTarget { program, network: None, environment: BTreeMap::new() };
        let config = match is_quadlet {
            false => TargetConfig::Podman(podman),
            true => TargetConfig::Quadlet(QuadletTarget {
                podman,
                units: path("units"),
                user: false,
                systemctl,
                generator: Some(generator),
            }),
        };
        let store = Arc::new(Mutex::new(BTreeMap::<ContentHash, Vec<u8>>::new()));
        let (read, kept) = (Arc::clone(&store), Arc::clone(&store));
        let read = move |hash: &ContentHash| Ok(read.lock().unwrap()[hash].clone());
        let keep = move |bytes: &[u8]| {
            let hash = ContentHash::of(bytes);
            kept.lock().unwrap().insert(hash, bytes.to_vec());
            Ok(hash)
        };
        let manifest = keep(manifest().to_string().as_bytes()).unwrap();
        let request = RolloutRequest { manifest, ..request() };
        let pods = Pods::read(&object(), self::manifest().to_string().as_bytes()).unwrap();
        let mut rendered = pods.render(&request.key, request.revision);
        if is_quadlet {
            rendered = pods.units(&rendered, None, request.revision).render();
        }
        let rendered = keep(rendered.as_bytes()).unwrap();
        let configs = BTreeMap::from([("t".parse().unwrap(), config)]);
        let store = (Arc::new(read) as _, Arc::new(keep) as _);
        let no_configs = (Arc::new(|_: &_| Err("no commit".to_owned())) as _, None);
        let targets = Targets::new(configs, "/t".into(), &path("state"), store, no_configs);
        let fake = Self { targets: targets.unwrap(), folder, request, is_quadlet, rendered };
        fake.is_well();
        fake
    }

    /// What everybody says where nothing is wrong.
    pub(super) fn is_well(&self) {
        let labels = json!({
            "tidegate.dev/object": object().to_string(),
            "tidegate.dev/rollout": self.request.key.to_string(),
        });
        let members = json!([{"Id": "main"}, {"Id": "infra"}]);
        let pod = json!({"Id": "pod", "Name": "web-0", "InfraId": "infra", "InfraContainerID": "infra",
            "Status": "Running", "Labels": labels, "Containers": members});
        let says = |command: &str, said: &Value| self.says(command, said.to_string().as_bytes());
        let old = json!({"Name": "web-1", "Labels": {"tidegate.dev/object": object().to_string()}});
        says("podman.pod-ps", &json!([pod, old]));
        says("podman.ps", &Value::Null);
        says("podman.pod-inspect", &pod);
        says(
            "podman.container-inspect",
            &json!([container(&labels), {"Id": "infra",
            "Name": "infra", "IsInfra": true, "State": {"Running": true, "Status": "running"}}]),
        );
        self.says("podman.image-inspect", b"linux/amd64\n");
        self.says("podman.info", b"linux/amd64\n");
        self.says("podman.wait", b"0\n");
        self.says("systemctl.show", b"ActiveState=active\nSubState=running\nNeedDaemonReload=no\n");
        self.says("generator", b"---web.service---\n[Service]\n");
        for (path, text) in self.units().iter().flat_map(Units::files) {
            std::fs::write(self.unit(path), text).unwrap();
        }
    }

    /// What a program prints from now on.
    pub(super) fn says(&self, command: &str, said: &[u8]) {
        std::fs::write(self.folder.path().join("said").join(command), said).unwrap();
    }

    /// What was put together of the files of a unit.
    fn units(&self) -> Option<Units> {
        let manifest = manifest().to_string();
        let pods = Pods::read(&object(), manifest.as_bytes()).unwrap();
        let (key, revision) = (&self.request.key, Revision(7));
        self.is_quadlet.then(|| pods.units(&pods.render(key, revision), None, revision))
    }

    /// A path in the folder of units.
    pub(super) fn unit(&self, name: &str) -> PathBuf {
        self.folder.path().join("units").join(name)
    }

    /// Takes a step: what came of it in a word, and what is told.
    pub(super) fn step(&self, step: RolloutStep) -> (&'static str, String) {
        let order = StepOrder {
            step,
            rendered: Some(self.rendered),
            previous: None,
            written: vec![self.rendered],
            got_to: None,
            down: None,
            names: Vec::new(),
            force: false,
        };
        let request = RolloutRequest { step: Some(order), ..self.request.clone() };
        let report =
            self.run(
                move |targets| async move { targets.roll_out(&request, Default::default()).await },
            );
        match report {
            RolloutReport::Stepped { note, .. } => ("stepped", note),
            RolloutReport::Failed { reason, log } => ("failed", format!("{reason}\n{log}")),
            RolloutReport::Transient { reason, .. } => ("transient", reason),
            other => ("other", format!("{other:?}")),
        }
    }

    /// What runs, to whoever asks.
    pub(super) fn look(&self) -> Looked {
        let target: tidegate::names::TargetName = "t".parse().unwrap();
        let targets = BTreeMap::from([(target.clone(), BTreeSet::from([object()]))]);
        let expected = vec![Expected { object: object(), target, rendered: self.rendered }];
        let wanted = Wanted { targets, expected };
        self.run(move |targets| async move { targets.look(wanted).await })
    }

    /// A thread that waits for ever is left behind, and the test fails.
    fn run<T: Send + 'static, F: Future<Output = T>>(
        &self,
        work: impl FnOnce(Targets) -> F + Send + 'static,
    ) -> T {
        let (targets, (done, ends)) = (self.targets.clone(), std::sync::mpsc::channel());
        std::thread::spawn(move || {
            let mut runtime = tokio::runtime::Builder::new_current_thread();
            let runtime = runtime.enable_all().build().unwrap();
            drop(done.send(runtime.block_on(work(targets))));
            runtime.shutdown_background();
        });
        ends.recv_timeout(limits::PODMAN_LOOK_TIMEOUT * 2).expect("it goes on")
    }
}

fn manifest() -> Value {
    let pre = json!({"failurePolicy": "Abort", "execNewPod": {"command": ["true"]}});
    let containers =
        json!([{"name": "main", "image": format!("r.io/web@sha256:{}", "0".repeat(64))}]);
    json!({"kind": "DeploymentConfig", "spec": {
        "replicas": 1,
        "strategy": {"rollingParams": {"pre": pre}},
        "template": {"spec": {"containers": containers}},
    }})
}

fn container(labels: &Value) -> Value {
    json!({"Id": "main", "Name": "web-0-main", "Config": {"Labels": labels}, "State":
        {"Running": true, "Status": "running", "StartedAt": "2026-11-21T01:02:03Z"}})
}
