//! What a manifest may contain on one host: `ConfigMap`s and `Secret`s, with a real podman (rule R17).

use std::path::Path;

use tidegate::fact::{Fact, Outcome};

use crate::support::daemon::{Host, eventually};
use crate::support::git::{Repo, program};
use crate::support::podman::{Podman, Program, alone, logins};
use crate::support::registry::{Options, write};
use crate::support::shop::{READY, Web, configs, end_of, import};

/// What is given to the container and is not in its image.
const NEEDS: &str = "envFrom: [{configMapRef: {name: app}, prefix: APP_}]
env: [{name: PASSWORD, valueFrom: {secretKeyRef: {name: db, key: password}}}]
volumeMounts: [{name: keys, mountPath: /keys}]";

fn manifests(registry: &str, more: &str) -> String {
    let web = Web {
        annotations: &format!("tidegate.dev/verify: 'false'{more}"),
        config_change: true,
        pod: "volumes:
- name: keys
  secret: {secretName: db, defaultMode: 0400, items: [{key: password, path: sub/password}]}",
        container: &format!("{READY}\n{NEEDS}"),
        ..Web::default()
    };
    web.yaml(registry)
}

struct Kinds {
    podman: Podman,
    repo: Repo,
    host: Host,
    rollouts: usize,
}

impl Kinds {
    fn open() -> Option<Self> {
        if !alone() {
            return None;
        }
        let podman = Podman::start()?;
        podman.push("shop/web:latest", "v1", Program::Healthy);
        let toml = format!(
            "[targets.here]\nkind = \"podman\"\nprogram = {:?}\n[routes]\ndefault = \"here\"\n",
            podman.program().display()
        );
        let repo = Repo::new();
        let host = Host::new(repo.path(), &toml);
        Some(Self { podman, repo, host, rollouts: 0 })
    }

    fn completes(&mut self) {
        self.rollouts += 1;
        let wanted = self.rollouts;
        let end = eventually(&format!("rollout {wanted}; {}", self.host.story()), || {
            end_of(self.host.records(), wanted)
        });
        assert_eq!(end, (Outcome::Complete, String::new(), None), "{}", self.host.story());
    }

    fn moves(&mut self, version: &str) {
        self.podman.push("shop/web:latest", version, Program::Healthy);
        import(&self.host, "web");
    }

    /// What the program finds: its variables and its files.
    fn finds(&self) -> [String; 3] {
        let look = "echo $APP_COLOUR; echo $PASSWORD; busybox cat /keys/sub/password";
        let found = self.podman.run(&["exec", "web-0-main", "/bin/sh", "-c", look]);
        let lines: Vec<String> = found.lines().map(str::to_owned).collect();
        lines.try_into().unwrap()
    }

    /// How many versions the host holds: secrets and volumes.
    fn versions(&self) -> [usize; 2] {
        ["secret", "volume"]
            .map(|what| self.podman.run(&[what, "ls", "--format", "{{.Name}}"]).lines().count())
    }
}

/// Whether a file below a folder has a text.
fn has(folder: &Path, text: &str) -> bool {
    std::fs::read_dir(folder).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => has(&path, text),
            false => {
                let bytes = std::fs::read(&path).unwrap_or_default();
                bytes.windows(text.len()).any(|part| part == text.as_bytes())
            }
        }
    })
}

#[test]
fn r017_a_pod_keeps_the_configuration_that_it_was_started_with() {
    let Some(mut kinds) = Kinds::open() else { return };
    let address = kinds.podman.registry.address();
    kinds.repo.write("web.yaml", manifests(&address, "")).commit("without its configuration");
    kinds.host.start();
    eventually("the hold", || {
        let status = kinds.host.text(&["status"]);
        status.contains("needs secret/db, which git does not have").then_some(())
    });
    kinds.repo.write("configs.yaml", configs("blue", "hunter2")).commit("its configuration");
    kinds.completes();
    assert_eq!(kinds.finds(), ["blue", "hunter2", "hunter2"]);
    assert_eq!(kinds.versions(), [1, 1]);
    let mode = kinds.podman.run(&["exec", "web-0-main", "/bin/busybox", "ls", "-l", "/keys/sub"]);
    assert!(mode.lines().last().unwrap().starts_with("-r--------"), "{mode}");

    kinds.repo.write("configs.yaml", configs("red", "swordfish")).commit("another one");
    kinds.moves("v2");
    kinds.completes();
    assert_eq!(kinds.finds(), ["red", "swordfish", "swordfish"]);
    assert_eq!(kinds.versions(), [2, 2], "those of the revision before can be put back");
    assert_eq!(kinds.host.count(|fact| matches!(fact, Fact::RolloutStarted(_))), 2);

    let annotation = ", tidegate.dev/config-hash: 'true'";
    kinds.repo.write("web.yaml", manifests(&address, annotation)).commit("it counts");
    kinds.completes();
    kinds.repo.write("configs.yaml", configs("green", "xyzzy")).commit("and is rolled out");
    kinds.completes();
    assert_eq!(kinds.finds(), ["green", "xyzzy", "xyzzy"]);
    assert_eq!(kinds.versions(), [2, 2], "what no kept revision names is gone");

    // The value is in git, and nowhere else of what Tidegate keeps.
    for name in ["journal", "objects"] {
        let folder = kinds.host.state().join(name);
        for secret in ["hunter2", "aHVudGVyMg", "swordfish", "xyzzy"] {
            assert!(!folder.exists() || !has(&folder, secret), "{secret} in {name}");
        }
    }
    let log = kinds.host.log();
    assert!(!log.contains("hunter2") && !log.contains("swordfish"), "{log}");
}

/// R7, law 10: images are pulled with the logins of Tidegate, and no argument of podman has one.
#[test]
fn r007_images_are_pulled_with_the_logins_of_tidegate() {
    if !alone() {
        return;
    }
    let login = ("shop", "hunter2");
    let options = Options { basic: Some(login), ..Options::default() };
    let Some(podman) = Podman::start_with(&options) else { return };
    podman.push("shop/web:latest", "v1", Program::Healthy);
    podman.logs_out();
    let address = podman.registry.address();
    let dir = tempfile::tempdir().unwrap();
    let [file, script, said] = ["auth.json", "podman", "said"].map(|name| dir.path().join(name));
    write(&file, &logins(&address, login));
    let text = format!(
        "#!/bin/sh\necho \"$@\" >> {}\nexec {} \"$@\"\n",
        said.display(),
        podman.program().display()
    );
    program(&script, &text);
    let toml = format!(
        "[registries]\nauth_file = {:?}\n[targets.here]\nkind = \"podman\"\nprogram = {:?}\n[routes]\ndefault = \"here\"\n",
        file.display(),
        script.display()
    );
    let repo = Repo::new();
    repo.write("web.yaml", manifests(&address, "")).write("db.yaml", configs("blue", "x"));
    repo.commit("the shop");
    let host = Host::new(repo.path(), &toml);
    let mut kinds = Kinds { podman, repo, host, rollouts: 0 };
    kinds.host.start();
    kinds.completes();
    let said = std::fs::read_to_string(said).unwrap();
    assert!(said.contains("pull --quiet --authfile /dev/stdin"), "{said}");
    assert!(!said.contains("hunter2") && !said.contains("c2hvcDpodW50ZXIy"), "{said}");
}
