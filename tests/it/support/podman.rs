//! A real podman with images, containers and a network of its own, and a registry beside it.
//!
//! A test that uses it runs in namespaces of its own ([`alone`]): ports, bridges and firewall rules go away with it, and
//! so does every process that it leaves behind.

use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::registry::{DockerRegistry, Options, write};

/// Says to the test that runs in namespaces of its own that it does.
const ALONE: &str = "TIDEGATE_TEST_ALONE";

/// Runs this test in namespaces of its own; true in there, false when it is done.
pub(crate) fn alone() -> bool {
    if std::env::var_os(ALONE).is_some() {
        let up = Command::new("ip").args(["link", "set", "lo", "up"]).status().unwrap();
        assert!(up.success());
        // Podman's networks and names are kept there, for all that run on a machine, and whether it was started anew.
        for path in ["/run/containers", "/run/libpod"] {
            std::fs::create_dir_all(path).unwrap();
            let own = ["-t", "tmpfs", "tmpfs", path];
            assert!(Command::new("mount").args(own).status().unwrap().success());
        }
        // Nor is it a systemd of theirs that runs the machine.
        if Path::new("/run/systemd").exists() {
            let own = ["-t", "tmpfs", "tmpfs", "/run/systemd"];
            assert!(Command::new("mount").args(own).status().unwrap().success());
        }
        return true;
    }
    for program in ["setpriv", "unshare", "ip", "podman", "buildah", "runc", "docker-registry"] {
        if super::need(program).is_none() {
            return false;
        }
    }
    if !rustix::process::geteuid().is_root() {
        super::skip("containers of a test need root");
        return false;
    }
    let spaces = ["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"];
    let thread = std::thread::current();
    let test = thread.name().expect("libtest names its threads by their tests");
    // Whoever kills this test kills that one, too.
    let status = Command::new("setpriv")
        .args(["--pdeathsig", "KILL", "unshare"])
        .args(spaces)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(ALONE, "1")
        .status()
        .unwrap();
    assert!(status.success(), "{test} failed in namespaces of its own");
    false
}

/// What an image does.
#[derive(Clone, Copy)]
pub(crate) enum Program {
    /// Serves its version and is healthy.
    Healthy,
    /// Serves its version and never says that it is ready.
    NeverReady,
    /// Is healthy for this many seconds and then ends.
    Crashes(u32),
    /// Is healthy, and does not end when it is told to.
    IgnoresTerm,
    /// Is healthy, and answers `/cgi-bin/late` when it is told to end, before it does.
    AnswersLate,
    /// Is healthy where nobody else works in the volume at `/data`, and ends at once where somebody does.
    NeedsVolume,
}

pub(crate) struct Podman {
    dir: tempfile::TempDir,
    pub(crate) registry: DockerRegistry,
}

impl Podman {
    pub(crate) fn start() -> Option<Self> {
        Self::start_with(&Options::default())
    }

    /// With a registry that wants a login, it has that one, until [`Self::logs_out`].
    pub(crate) fn start_with(options: &Options) -> Option<Self> {
        let registry = DockerRegistry::start_with(options)?;
        let podman = Self { registry, dir: tempfile::tempdir().unwrap() };
        let dir = podman.dir.path();
        for folder in ["tmp", "networks", "root/bin", "root/www", "root/tmp"] {
            std::fs::create_dir_all(dir.join(folder)).unwrap();
        }
        // What a podman of Debian 12 needs that is root without all capabilities, on hybrid cgroups, without systemd.
        let shown = dir.display();
        let containers = format!(
            "[containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=1000:1000\"]\npids_limit = 0\nlog_driver = \"k8s-file\"\n\
             [engine]\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"file\"\nruntime = \"runc\"\nvolume_path = \"{shown}/volumes\"\n\
             [network]\nnetwork_backend = \"netavark\"\nnetwork_config_dir = \"{shown}/networks\"\n"
        );
        write(&dir.join("containers.conf"), &containers);
        let storage = format!(
            "[storage]\ndriver = \"overlay\"\ngraphroot = \"{shown}/graph\"\nrunroot = \"{shown}/run\"\n"
        );
        write(&dir.join("storage.conf"), &storage);
        let address = podman.registry.address();
        let registries = format!("[[registry]]\nlocation = \"{address}\"\ninsecure = true\n");
        write(&dir.join("registries.conf"), &registries);
        let logins = options.basic.map_or_else(|| "{}".to_owned(), |login| logins(&address, login));
        write(&dir.join("auth.json"), &logins);
        let script = format!(
            "#!/bin/sh\nexport CONTAINERS_CONF={shown}/containers.conf CONTAINERS_STORAGE_CONF={shown}/storage.conf\n\
             export CONTAINERS_REGISTRIES_CONF={shown}/registries.conf REGISTRY_AUTH_FILE={shown}/auth.json\n\
             export BUILDAH_ISOLATION=chroot TMPDIR={shown}/tmp\nexec \"$(basename \"$0\")\" \"$@\"\n"
        );
        std::fs::create_dir(dir.join("bin")).unwrap();
        for name in ["podman", "buildah"] {
            super::git::program(&dir.join("bin").join(name), &script);
        }
        let script = format!(
            "#!/bin/sh\n[ -e {shown}/says ] && . {shown}/says\nexec {shown}/bin/podman \"$@\"\n"
        );
        std::fs::create_dir(dir.join("between")).unwrap();
        super::git::program(&dir.join("between/podman"), &script);
        std::fs::copy("/bin/busybox", dir.join("root/bin/busybox")).unwrap();
        std::os::unix::fs::symlink("busybox", dir.join("root/bin/sh")).unwrap();
        Some(podman)
    }

    /// A program that stands between a daemon and this podman.
    pub(crate) fn between(&self) -> PathBuf {
        self.dir.path().join("between/podman")
    }

    /// The host goes down without a word, and comes up again.
    pub(crate) fn loses_power(&self) {
        let pids = self.run(&["ps", "--all", "--format", "{{.Pid}}", "--pod"]);
        let pids = pids.lines().filter(|pid| *pid != "0");
        let conmon = Command::new("pkill").args(["-KILL", "-x", "conmon"]).status().unwrap();
        assert!(conmon.success(), "containers run");
        for pid in pids {
            drop(Command::new("kill").args(["-KILL", pid]).status());
        }
        let graph = self.beside("graph").display().to_string();
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
        let places = mounts.lines().filter_map(|line| line.split(' ').nth(1));
        for place in places.filter(|place| place.starts_with(&format!("{graph}/overlay"))) {
            drop(Command::new("umount").args(["--lazy", place]).status());
        }
        std::fs::remove_file("/run/libpod/alive").unwrap();
    }

    /// What that program does before it is podman: lines of a shell script.
    pub(crate) fn puts_between(&self, lines: &str) {
        let new = self.beside("said");
        write(&new, lines);
        std::fs::rename(new, self.beside("says")).unwrap();
    }

    /// A file or folder that goes away with it.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The program with this podman's settings.
    pub(crate) fn program(&self) -> PathBuf {
        self.dir.path().join("bin/podman")
    }

    /// Buildah with this podman's settings.
    pub(crate) fn buildah(&self) -> PathBuf {
        self.dir.path().join("bin/buildah")
    }

    /// Runs buildah, and returns what it printed.
    pub(crate) fn buildah_run(&self, args: &[&str]) -> String {
        self.call("buildah", args)
    }

    /// The digest of an image in the registry.
    pub(crate) fn digest(&self, image: &str) -> String {
        self.run(&["pull", "--quiet", image]);
        self.run(&["image", "inspect", "--format", "{{.Digest}}", image])
    }

    /// Runs podman, and returns what it printed.
    pub(crate) fn run(&self, args: &[&str]) -> String {
        self.call("podman", args)
    }

    /// The same; none where podman refuses.
    pub(crate) fn try_run(&self, args: &[&str]) -> Option<String> {
        let output = Command::new(self.program()).args(args).output().unwrap();
        output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
    }

    fn call(&self, program: &str, args: &[&str]) -> String {
        let output =
            Command::new(self.dir.path().join("bin").join(program)).args(args).output().unwrap();
        let err = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program} {args:?}: {err}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Images have so many more bytes, which cannot be packed.
    pub(crate) fn weighs(&self, bytes: usize) {
        let mut state = 1_u64;
        let noise = std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 56).to_le_bytes()[0]
        });
        let noise: Vec<u8> = noise.take(bytes).collect();
        std::fs::write(self.dir.path().join("root/noise"), noise).unwrap();
    }

    /// It pulls through another address first.
    pub(crate) fn pulls_through(&self, mirror: &str) {
        let address = self.registry.address();
        let text = format!(
            "[[registry]]\nlocation = \"{address}\"\ninsecure = true\n\
             [[registry.mirror]]\nlocation = \"{mirror}\"\ninsecure = true\n"
        );
        write(&self.dir.path().join("registries.conf"), &text);
    }

    /// It has no login any more.
    pub(crate) fn logs_out(&self) {
        write(&self.dir.path().join("auth.json"), "{}");
    }

    /// Builds an image and pushes it, as `HOST/NAME`.
    pub(crate) fn push(&self, name: &str, version: &str, program: Program) {
        self.push_for(name, version, program, &[]);
    }

    /// The same, with more settings of the image.
    pub(crate) fn push_for(&self, name: &str, version: &str, program: Program, more: &[&str]) {
        let dir = self.dir.path();
        write(&dir.join("root/www/index.html"), version);
        let health = dir.join("root/www/healthz");
        match program {
            Program::NeverReady => drop(std::fs::remove_file(&health)),
            Program::Healthy
            | Program::Crashes(_)
            | Program::IgnoresTerm
            | Program::AnswersLate
            | Program::NeedsVolume => write(&health, "ok"),
        }
        let serve = "busybox httpd -f -p 8080 -h /www & trap 'kill $!; exit 0' TERM;";
        let run = match program {
            Program::Crashes(seconds) => {
                format!("{serve} busybox sleep {seconds}; echo it breaks >&2; exit 3")
            }
            Program::Healthy | Program::NeverReady => format!("{serve} wait"),
            Program::IgnoresTerm => "trap '' TERM; busybox httpd -f -p 8080 -h /www & wait".into(),
            Program::AnswersLate => {
                let cgi = dir.join("root/www/cgi-bin");
                std::fs::create_dir_all(&cgi).unwrap();
                let late = "#!/bin/sh\nbusybox touch /tmp/asked\nuntil [ -e /tmp/ends ]; do busybox usleep 20000; done\n\
                            busybox usleep 500000\nprintf '\\r\\nlate'; busybox touch /tmp/said\n";
                super::git::program(&cgi.join("late"), late);
                "busybox httpd -f -p 8080 -h /www & trap 'kill $!; busybox touch /tmp/ends; \
                 until [ -e /tmp/said ]; do busybox usleep 20000; done; busybox usleep 200000; exit 0' TERM; wait"
                    .into()
            }
            Program::NeedsVolume => {
                "busybox mkdir /data/lock || exit 1; busybox httpd -f -p 8080 -h /www & \
                 trap 'kill $!; busybox rmdir /data/lock; exit 0' TERM; wait"
                    .into()
            }
        };
        let image = format!("{}/{name}", self.registry.address());
        let from = self.call("buildah", &["from", "scratch"]);
        self.call("buildah", &["copy", "--quiet", &from, &path(&dir.join("root")), "/"]);
        let command = serde_json::to_string(&["/bin/sh", "-c", &run]).unwrap();
        let config = ["config", "--cmd", &command];
        self.call("buildah", &[&config[..], more, &[&from]].concat());
        self.call("buildah", &["commit", "--quiet", "--rm", "--timestamp", "0", &from, &image]);
        self.call("buildah", &["push", "--quiet", &image]);
        self.call("buildah", &["rmi", "--force", &image]);
    }
}

/// A file of logins.
pub(crate) fn logins(address: &str, (user, password): (&str, &str)) -> String {
    let login = STANDARD.encode(format!("{user}:{password}"));
    serde_json::json!({"auths": {address: {"auth": login}}}).to_string()
}

fn path(path: &Path) -> String {
    path.display().to_string()
}

impl Drop for Podman {
    fn drop(&mut self) {
        for args in
            [&["pod", "rm", "--all", "--force"][..], &["rm", "--all", "--force", "--time", "0"]]
        {
            drop(Command::new(self.program()).args(args).output());
        }
        let graph = self.dir.path().join("graph/overlay");
        drop(Command::new("umount").arg("--recursive").arg(graph).output());
    }
}
