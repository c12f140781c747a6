//! A machine of its own: systemd as PID 1, podman with its units, and the daemon as one of its services.
//!
//! It shares the network of the test, which runs in namespaces of its own ([`super::podman::alone`]): there is the
//! registry, and there is what it publishes.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tidegate::fact::{Fact, Record};

use super::daemon::{eventually, program};
use super::registry::write;

/// The unit of the daemon on a host that it manages.
pub(crate) const DAEMON: &str = "tidegate-host.service";

/// Before a command that the user runs whose services are their own.
const AS_USER: [&str; 9] = [
    "setpriv",
    "--reuid=1001",
    "--regid=1001",
    "--init-groups",
    "env",
    "HOME=/home/web",
    "XDG_RUNTIME_DIR=/run/user/1001",
    "DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/1001/bus",
    "TIDEGATE_CONFIG=/home/web/.config/tidegate/tidegate.toml",
];

pub(crate) struct Machine {
    dir: tempfile::TempDir,
    name: String,
    /// The state directory of its daemon.
    pub(crate) state: PathBuf,
}

impl Machine {
    /// Puts one together that reads this repository; it is not booted yet. `None` where it is to be skipped.
    pub(crate) fn new(repository: &Path, registry: &str, settings: &str) -> Option<Self> {
        let base = base()?;
        let dir = tempfile::tempdir().unwrap();
        let name = dir.path().file_name().unwrap().to_str().unwrap().replace('.', "m");
        let state = dir.path().join("root/var/lib/tidegate");
        let machine = Self { dir, name, state };
        for folder in ["upper", "work", "root", "containers", "home"] {
            std::fs::create_dir(machine.dir.path().join(folder)).unwrap();
        }
        let dir = machine.dir.path().display();
        let layers = format!("lowerdir={},upperdir={dir}/upper,workdir={dir}/work", base.display());
        let root = machine.root();
        mount(&["-t", "overlay", "overlay", "-o", &layers], &root);
        // One overlay cannot be above another, and podman makes its own.
        let folders = [
            "var/lib/containers",
            "home",
            "srv/manifests",
            "etc/tidegate",
            "etc/containers/systemd",
        ];
        for folder in folders {
            std::fs::create_dir_all(root.join(folder)).unwrap();
        }
        bind(&machine.dir.path().join("containers"), &root.join("var/lib/containers"));
        bind(&machine.dir.path().join("home"), &root.join("home"));
        bind(repository, &root.join("srv/manifests"));
        write(&root.join("usr/local/bin/tidegate"), "");
        bind(&program(), &root.join("usr/local/bin/tidegate"));
        let insecure = format!("[[registry]]\nlocation = \"{registry}\"\ninsecure = true\n");
        write(&root.join("etc/containers/registries.conf.d/tests.conf"), &insecure);
        let unit = Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd").join(DAEMON);
        let unit = std::fs::read_to_string(unit).unwrap();
        write(&root.join("etc/systemd/system").join(DAEMON), &unit);
        let drop_in = root.join(format!("etc/systemd/system/{DAEMON}.d"));
        std::fs::create_dir(&drop_in).unwrap();
        // As it is shipped but that a test does not wait.
        write(&drop_in.join("tests.conf"), "[Service]\nRestartSec=200ms\n");
        let settings =
            format!("[source]\nrepository = \"/srv/manifests\"\nbranch = \"main\"\n{settings}");
        write(&root.join("etc/tidegate/tidegate.toml"), &settings);
        Some(machine)
    }

    /// Its root directory, seen from outside.
    pub(crate) fn root(&self) -> PathBuf {
        self.dir.path().join("root")
    }

    pub(crate) fn boot(&self) {
        let output = self.host(&["start", &self.name, self.root().to_str().unwrap()]);
        assert!(output.status.success(), "{output:?}");
    }

    /// As a power cut would end it.
    pub(crate) fn shut_down(&self) {
        self.host(&["stop", &self.name]);
    }

    /// Runs a command in it, which may fail.
    pub(crate) fn attempt(&self, args: &[&str]) -> Output {
        self.host(&[&["exec", &self.name], args].concat())
    }

    /// Runs a command in it and returns what it printed.
    pub(crate) fn run(&self, args: &[&str]) -> String {
        let output = self.attempt(args);
        let err = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{args:?}: {err}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// What the program says; what it exits with is looked at by others.
    pub(crate) fn tidegate(&self, args: &[&str]) -> String {
        let output = self.attempt(&[&["tidegate"], args].concat());
        let text = [output.stdout, output.stderr].concat();
        String::from_utf8(text).unwrap()
    }

    /// A user whose services start with the machine.
    pub(crate) fn add_user(&self) {
        self.run(&["git", "config", "--system", "safe.directory", "*"]);
        self.run(&["useradd", "--create-home", "--uid", "1001", "web"]);
        // Services of users wait for it, and nothing here asks for it.
        self.run(&["systemctl", "start", "network-online.target"]);
        self.run(&["loginctl", "enable-linger", "web"]);
        eventually("services of the user", || {
            let state = self
                .attempt(&[&AS_USER[..], &["systemctl", "--user", "is-system-running"]].concat());
            state.stdout.starts_with(b"running").then_some(())
        });
    }

    /// Starts the daemon of that user by the unit that is shipped.
    pub(crate) fn start_for_user(&mut self, settings: &str) {
        let home = self.root().join("home/web");
        self.state = home.join(".local/state/tidegate");
        let unit = Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd/user/tidegate.service");
        let unit = std::fs::read_to_string(unit).unwrap();
        let files =
            [("systemd/user/tidegate.service", &*unit), ("tidegate/tidegate.toml", settings)];
        for (path, text) in files {
            let path = Path::new(".config").join(path);
            let folder = Path::new("/home/web").join(path.parent().unwrap());
            self.run_as_user(&["mkdir", "--parents", folder.to_str().unwrap()]);
            write(&home.join(path), text);
        }
        self.run_as_user(&["systemctl", "--user", "daemon-reload"]);
        self.run_as_user(&["systemctl", "--user", "enable", "--now", "tidegate.service"]);
    }

    /// Runs a command as that user.
    pub(crate) fn run_as_user(&self, args: &[&str]) -> String {
        self.run(&[&AS_USER[..], args].concat())
    }

    /// What systemd says of a unit.
    pub(crate) fn show(&self, property: &str, unit: &str) -> String {
        self.run(&["systemctl", "show", "-P", property, unit])
    }

    pub(crate) fn start_daemon(&self) {
        self.run(&["systemctl", "start", DAEMON]);
    }

    /// Ends the daemon with SIGKILL; systemd starts it again.
    pub(crate) fn kill_daemon(&self) {
        let before = self.show("MainPID", DAEMON);
        self.run(&["kill", "-KILL", &before]);
        eventually("the daemon is started again", || {
            let now = self.show("MainPID", DAEMON);
            (now != "0" && now != before && self.show("ActiveState", DAEMON) == "active")
                .then_some(())
        });
    }

    /// A file in the folder of units; none if there is none.
    pub(crate) fn unit(&self, name: &str) -> Option<String> {
        std::fs::read_to_string(self.unit_path(name)).ok()
    }

    pub(crate) fn unit_path(&self, name: &str) -> PathBuf {
        self.root().join("etc/containers/systemd").join(name)
    }

    /// Every whole record of the journal.
    pub(crate) fn records(&self) -> Vec<Record> {
        match tidegate::journal::read(&self.state) {
            Ok(reader) => reader.map_while(Result::ok).collect(),
            Err(_) => Vec::new(), // not there yet
        }
    }

    /// How many records `wanted` accepts.
    pub(crate) fn count(&self, wanted: impl Fn(&Fact) -> bool) -> usize {
        self.records().iter().filter(|record| wanted(&record.fact)).count()
    }

    /// The journals of the daemon and of the machine, for a failing test.
    pub(crate) fn story(&self) -> String {
        let kinds: Vec<_> = self.records().iter().map(|r| r.fact.kind()).collect();
        let log = self.attempt(&["journalctl", "-b", "-o", "cat", "--no-pager", "-n", "60"]);
        format!("journal: {kinds:?}\nlog:\n{}", String::from_utf8_lossy(&log.stdout))
    }

    fn host(&self, args: &[&str]) -> Output {
        Command::new(script())
            .args(args)
            .env("TIDEGATE_HOST_DIR", self.dir.path().join("hosts"))
            .env("TIDEGATE_HOST_NET", "shared")
            .output()
            .unwrap()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.shut_down();
        let mut mounted = Command::new("umount");
        mounted.args(["--recursive", "--lazy"]).arg(self.root());
        drop(mounted.output());
    }
}

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/systemd/host")
}

/// The root directory that all machines have in common; made where nobody did yet.
fn base() -> Option<PathBuf> {
    let cache =
        std::env::var_os("XDG_CACHE_HOME").filter(|path| !path.is_empty()).map(PathBuf::from);
    let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache"));
    let base = cache.or_else(home).unwrap().join("tidegate-test/systemd-2");
    let made = Command::new(script()).arg("base").arg(&base).output().unwrap();
    if !made.status.success() {
        let why =
            String::from_utf8_lossy(&made.stderr).lines().last().unwrap_or_default().to_owned();
        super::skip(&format!("a root directory with systemd and podman cannot be made: {why}"));
        return None;
    }
    Some(base)
}

fn bind(from: &Path, to: &Path) {
    mount(&["--bind", from.to_str().unwrap()], to);
}

fn mount(args: &[&str], at: &Path) {
    let output = Command::new("mount").args(args).arg(at).output().unwrap();
    assert!(output.status.success(), "mount {args:?}: {}", String::from_utf8_lossy(&output.stderr));
}
