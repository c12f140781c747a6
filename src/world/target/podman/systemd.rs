//! systemd, and podman's generator that makes services of units (rules R20, R22).

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::program::{Call, Podman, Trouble};
use super::{PodmanTarget, read};
use crate::limits::{PODMAN_ACT_TIMEOUT, PODMAN_LOOK_TIMEOUT};
use crate::names::TargetName;

/// Where distributions put the generator.
const SYSTEM_GENERATORS: [&str; 3] = [
    "/usr/lib/systemd/system-generators/podman-system-generator",
    "/usr/libexec/podman/quadlet",
    "/usr/lib/podman/quadlet",
];
const USER_GENERATORS: [&str; 3] = [
    "/usr/lib/systemd/user-generators/podman-user-generator",
    "/usr/libexec/podman/quadlet",
    "/usr/lib/podman/quadlet",
];

/// Units of this host that podman's generator makes services of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct QuadletTarget {
    /// Podman, which pulls, tries and looks.
    pub podman: PodmanTarget,
    /// The folder of the units.
    pub units: PathBuf,
    /// Whether the units are those of the user that runs this, not of the system.
    pub user: bool,
    /// An absolute path, or a name to look up in `PATH`.
    pub systemctl: PathBuf,
    /// Where the generator is, if not at one of the usual places.
    pub generator: Option<PathBuf>,
}

/// What systemd says of a service.
#[derive(PartialEq, Eq, Debug, Default)]
pub(super) struct State {
    pub(super) active: String,
    pub(super) sub: String,
    pub(super) result: String,
    needs_reload: bool,
}

impl State {
    /// Reads what `systemctl show` printed.
    fn read(said: &str) -> Result<Self, Trouble> {
        let mut state = Self::default();
        for (key, value) in said.lines().filter_map(|line| line.split_once('=')) {
            match key {
                "ActiveState" => state.active = read::word(value),
                "SubState" => state.sub = read::word(value),
                "Result" => state.result = read::word(value),
                "NeedDaemonReload" => state.needs_reload = value == "yes",
                _ => {}
            }
        }
        if state.active.is_empty() {
            let why = "systemctl show does not say whether the service is active";
            return Err(Trouble::Passing(why.into()));
        }
        Ok(state)
    }

    /// Whether it runs as its files say.
    pub(super) fn is_current(&self) -> bool {
        self.active == "active" && !self.needs_reload
    }
}

impl QuadletTarget {
    /// Says what is missing on this machine for services that start with it (rule R22).
    pub(in super::super) fn warn(&self, target: &TargetName) {
        let id = self.user.then(|| rustix::process::getuid().as_raw());
        for why in missing(Path::new("/"), id) {
            tracing::warn!(target_name = %target, why, "units may not run as they should");
        }
    }

    async fn systemctl(
        &self,
        podman: &Podman<'_>,
        arguments: &[&str],
        timeout: Duration,
    ) -> Result<String, Trouble> {
        let mode = self.user.then_some("--user");
        let arguments: Vec<&str> = mode.into_iter().chain(arguments.iter().copied()).collect();
        let done = podman.act_by(Call::of(&self.systemctl, &arguments), timeout).await;
        done.map_err(|trouble| match &trouble {
            // Nobody was asked, so nothing is known.
            Trouble::Refused(why) if why.contains("Failed to connect to") => {
                Trouble::Passing(format!("systemctl: {why}"))
            }
            Trouble::Refused(_) | Trouble::Passing(_) | Trouble::Cancelled => trouble,
        })
    }

    /// Makes systemd read what is in the folder of units.
    pub(super) async fn reload(&self, podman: &Podman<'_>) -> Result<(), Trouble> {
        let done = self.systemctl(podman, &["daemon-reload"], PODMAN_ACT_TIMEOUT).await;
        done.map(drop).map_err(|trouble| match &trouble {
            Trouble::Refused(why) => Trouble::Passing(format!("systemctl daemon-reload: {why}")),
            Trouble::Passing(_) | Trouble::Cancelled => trouble,
        })
    }

    /// Stops a service, if there is one.
    pub(super) async fn stop(
        &self,
        podman: &Podman<'_>,
        service: &str,
        timeout: Duration,
    ) -> Result<(), Trouble> {
        match self.systemctl(podman, &["stop", service], timeout).await {
            Ok(_) => Ok(()),
            Err(Trouble::Refused(why)) if why.contains("not loaded") => Ok(()),
            Err(Trouble::Refused(why)) => {
                Err(Trouble::Passing(format!("systemctl stop {service}: {why}")))
            }
            Err(trouble) => Err(trouble),
        }
    }

    /// Starts a service anew, and waits until it says that it runs.
    pub(super) async fn restart(
        &self,
        podman: &Podman<'_>,
        service: &str,
        timeout: Duration,
    ) -> Result<(), Trouble> {
        // One that failed too often is not started otherwise.
        match self.systemctl(podman, &["reset-failed", service], PODMAN_ACT_TIMEOUT).await {
            Ok(_) | Err(Trouble::Refused(_)) => {}
            Err(trouble) => return Err(trouble),
        }
        match self.systemctl(podman, &["restart", service], timeout).await {
            Ok(_) => Ok(()),
            Err(Trouble::Refused(why)) => {
                let why = self.error(podman, service).await.unwrap_or(why);
                Err(Trouble::Refused(format!("{service} does not start: {why}")))
            }
            Err(trouble) => Err(trouble),
        }
    }

    /// Why a service did not start: the last error that it wrote into the journal, else what systemd says of it.
    async fn error(&self, podman: &Podman<'_>, service: &str) -> Option<String> {
        let show = ["show", "--property=InvocationID", "--value", service];
        let invocation = self.systemctl(podman, &show, PODMAN_LOOK_TIMEOUT).await.ok()?;
        let this = format!("_SYSTEMD_INVOCATION_ID={}", invocation.trim());
        let arguments = ["--output=cat", "--lines=40", "--no-pager", "--quiet", &this];
        let call = Call::of(Path::new("journalctl"), &arguments);
        let said = podman.look_by(call, PODMAN_LOOK_TIMEOUT).await;
        let said = said.map(|ended| ended.out).unwrap_or_default();
        if said.lines().any(|line| line.starts_with("Error:")) {
            return Some(super::program::words(&said, ""));
        }
        let state = self.state(podman, service).await.ok()?;
        Some(format!("systemd says `{}`", state.result))
    }

    /// How a service is.
    pub(super) async fn state(&self, podman: &Podman<'_>, service: &str) -> Result<State, Trouble> {
        let show = ["show", "--property=ActiveState,SubState,Result,NeedDaemonReload", service];
        State::read(&self.systemctl(podman, &show, PODMAN_LOOK_TIMEOUT).await?)
    }

    /// The service that the generator makes of what is in a folder (rule R20).
    pub(super) async fn generate(
        &self,
        podman: &Podman<'_>,
        stage: &Path,
        name: &str,
    ) -> Result<String, Trouble> {
        let usual = if self.user { USER_GENERATORS } else { SYSTEM_GENERATORS };
        let usual = usual.iter().map(Path::new).find(|path| path.exists());
        let Some(generator) = self.generator.as_deref().or(usual) else {
            return Err(Trouble::Passing(
                "podman's generator of units is not there: install podman 4.4 or newer, or say where it is with `generator`"
                    .into(),
            ));
        };
        let mut folders = stage.as_os_str().to_owned();
        for folder in self.other_folders() {
            folders.push(":");
            folders.push(folder);
        }
        let arguments: &[&str] = if self.user { &["-dryrun", "-user"] } else { &["-dryrun"] };
        let environment: &[(&str, &OsStr)] = &[("QUADLET_UNIT_DIRS", &folders)];
        let call = Call { environment, ..Call::of(generator, arguments) };
        let ended = podman.look_by(call, PODMAN_LOOK_TIMEOUT).await?;
        // Another unit may be broken: that is not ours to judge.
        generated(&ended.out, name).ok_or_else(|| {
            let (stage, shown) = (stage.display().to_string(), self.units.display().to_string());
            let why = complaints(&ended.err, name).replace(&stage, &shown);
            Trouble::Refused(format!("no service can be made of the unit: {why}"))
        })
    }

    /// Where else units may be that one of ours names.
    fn other_folders(&self) -> Vec<OsString> {
        let id = rustix::process::getuid().as_raw();
        let runtime = self.podman.environment.get("XDG_RUNTIME_DIR");
        let folders = match self.user {
            true => vec![
                runtime.map_or_else(String::new, |folder| format!("{folder}/containers/systemd")),
                format!("/etc/containers/systemd/users/{id}"),
                "/etc/containers/systemd/users".into(),
            ],
            false => vec![
                "/run/containers/systemd".into(),
                "/etc/containers/systemd".into(),
                "/usr/share/containers/systemd".into(),
            ],
        };
        let others = folders.into_iter().filter(|folder| {
            !folder.is_empty() && Path::new(folder) != self.units && Path::new(folder).is_dir()
        });
        others.map(OsString::from).collect()
    }
}

/// What a dry run printed of one service.
fn generated(out: &str, name: &str) -> Option<String> {
    let head = format!("---{name}.service---");
    let mut lines = out.lines().skip_while(|line| *line != head);
    lines.next()?;
    let of_next = |line: &&str| line.starts_with("---") && line.ends_with("---");
    Some(lines.take_while(|line| !of_next(line)).collect::<Vec<_>>().join("\n"))
}

/// What a dry run complained about: what names the unit, else all of it.
fn complaints(err: &str, name: &str) -> String {
    let said = err.lines().map(|line| {
        // The number of the process is another each time (rule I70).
        let rest = line.strip_prefix("quadlet-generator[").and_then(|rest| rest.split_once("]: "));
        rest.map_or(line, |(_, rest)| rest).trim()
    });
    let says = |line: &str| line.chars().any(|c| !c.is_control() && !c.is_whitespace());
    let said = said.filter(|line| says(line) && !line.starts_with("Loading source unit"));
    let said: Vec<&str> = said.collect();
    let is_its = |line: &&&str| {
        [".kube", ".container"].iter().any(|kind| line.contains(&format!("{name}{kind}")))
    };
    let own: Vec<&str> = said.iter().filter(is_its).copied().collect();
    let words = if own.is_empty() { said } else { own }.join("; ");
    if words.is_empty() { "the generator said nothing about it".into() } else { words }
}

/// What each reader makes of a text; see `untrusted`.
pub(super) fn read_untrusted(text: &str) -> [Result<String, Trouble>; 3] {
    let state = State::read(text).map(|state| format!("{state:?} {}", state.is_current()));
    let complaints = Trouble::Refused(complaints(text, "web"));
    [state, Ok(format!("{:?}", generated(text, "web"))), Err(complaints)]
}

/// What services of this machine need and is not there; `id` of the user whose they are, if they are not the system's.
fn missing(root: &Path, id: Option<u32>) -> Vec<String> {
    let mut missing = Vec::new();
    if !root.join("sys/fs/cgroup/cgroup.controllers").exists() {
        missing.push(
            "this machine has no control groups of version 2, which units of podman need: boot it with \
             `systemd.unified_cgroup_hierarchy=1`"
                .to_owned(),
        );
    }
    let Some(id) = id else { return missing };
    if id == 0 {
        missing.push(
            "`user = true` is for a daemon that a user runs, and this one is root's: its services are the system's; leave \
             `user` out"
                .to_owned(),
        );
        return missing;
    }
    let users = std::fs::read_to_string(root.join("etc/passwd")).unwrap_or_default();
    let name = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(id)).then(|| name.to_owned())
    });
    let name = name.unwrap_or_else(|| id.to_string());
    if !root.join("var/lib/systemd/linger").join(&name).exists() {
        missing.push(format!(
            "user {name} does not linger: its services end with its last session and do not start with the machine; \
             `loginctl enable-linger {name}` changes that"
        ));
    }
    missing
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_generator_says_is_cut_to_the_unit() {
        let out = "---a.service---\n[Unit]\nA=1\n\n---web.service---\n[Unit]\nDescription=web\n\n---z.service---\nZ=1\n";
        assert_eq!(generated(out, "web").as_deref(), Some("[Unit]\nDescription=web\n"));
        assert_eq!(generated(out, "we"), None);
        let err = "quadlet-generator[17]: Loading source unit file /stage/web.kube\n\
                   quadlet-generator[17]: converting \"web.kube\": no Yaml key specified\n\
                   converting \"other.kube\": no Yaml key specified\n";
        assert_eq!(complaints(err, "web"), "converting \"web.kube\": no Yaml key specified");
        assert_eq!(complaints("it broke\n", "web"), "it broke");
    }

    /// R22: what is missing is said with what to do.
    #[test]
    fn what_a_machine_lacks_for_services_is_said() {
        let root = tempfile::tempdir().unwrap();
        let folder = |path: &str| std::fs::create_dir_all(root.path().join(path)).unwrap();
        let file = |path: &str, text: &str| {
            let mut file = std::fs::File::create(root.path().join(path)).unwrap();
            std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
        };
        for path in ["sys/fs/cgroup", "etc", "var/lib/systemd/linger"] {
            folder(path);
        }
        file("etc/passwd", "root:x:0:0::/:/bin/sh\nweb:x:1001:1001::/home/web:/bin/sh\n");
        insta::assert_snapshot!(missing(root.path(), None).join("\n"), @"this machine has no control groups of version 2, which units of podman need: boot it with `systemd.unified_cgroup_hierarchy=1`");
        file("sys/fs/cgroup/cgroup.controllers", "");
        assert_eq!(missing(root.path(), None), [""; 0]);
        insta::assert_snapshot!(missing(root.path(), Some(1001)).join("\n"), @"user web does not linger: its services end with its last session and do not start with the machine; `loginctl enable-linger web` changes that");
        file("var/lib/systemd/linger/web", "");
        assert_eq!(missing(root.path(), Some(1001)), [""; 0]);
        insta::assert_snapshot!(missing(root.path(), Some(0)).join("\n"), @"`user = true` is for a daemon that a user runs, and this one is root's: its services are the system's; leave `user` out");
    }
}
