//! The kinds of targets, and those that run pods on this host.

use std::path::PathBuf;

use super::Environment;
use super::keys::KeyPath;
use super::layer::Value;
use super::read::{Reader, Show};
use crate::world::target::{PodmanTarget, QuadletTarget};

/// What a target is.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Kind {
    None,
    Exec,
    Webhook,
    Podman,
    Quadlet,
}

impl Kind {
    pub(super) fn read(text: &str) -> Result<Self, String> {
        match text {
            "none" => Ok(Self::None),
            "exec" => Ok(Self::Exec),
            "webhook" => Ok(Self::Webhook),
            "podman" => Ok(Self::Podman),
            "quadlet" => Ok(Self::Quadlet),
            other => Err(format!(
                "`{other}` is not one of `none`, `exec`, `webhook`, `podman`, `quadlet`"
            )),
        }
    }

    /// The keys that mean something to it.
    pub(super) fn keys(self) -> &'static [&'static str] {
        match self {
            Self::None => &[],
            Self::Exec => &["command", "timeout"],
            Self::Webhook => &["url", "secret_file", "headers", "timeout"],
            Self::Podman => &["program", "network"],
            Self::Quadlet => &["program", "network", "user", "units", "systemctl", "generator"],
        }
    }
}

/// The keys of a target that not every kind has.
pub(super) const OWN_KEYS: [&str; 11] = [
    "command",
    "url",
    "secret_file",
    "headers",
    "timeout",
    "program",
    "network",
    "user",
    "units",
    "systemctl",
    "generator",
];

pub(super) fn podman(
    reader: &mut Reader,
    environment: &Environment,
    path: &KeyPath,
) -> PodmanTarget {
    let program = program(reader, &path.child("program"), "podman");
    let network = reader.read(&path.child("network"), Show::Plain, |value| {
        let text = value.text()?;
        let odd = |c: char| !c.is_ascii_alphanumeric() && !matches!(c, '-' | '_' | '.');
        match text.is_empty() || text.contains(odd) {
            true => Err(format!("`{text}` is not the name of a network of podman")),
            false => Ok(text),
        }
    });
    // What podman's programs look at; nothing else of ours reaches them.
    let environment = environment.kept(&[
        "PATH",
        "HOME",
        "LANG",
        "TMPDIR",
        "XDG_RUNTIME_DIR",
        "XDG_CONFIG_HOME",
        "XDG_DATA_HOME",
        "DBUS_SESSION_BUS_ADDRESS",
        "CONTAINERS_CONF",
        "CONTAINERS_STORAGE_CONF",
        "CONTAINERS_REGISTRIES_CONF",
        "REGISTRY_AUTH_FILE",
    ]);
    PodmanTarget { program, network, environment }
}

/// A name that is looked up in `PATH`, or a path.
pub(super) fn program(reader: &mut Reader, key: &KeyPath, default: &str) -> PathBuf {
    let program = reader.read(key, Show::Plain, Value::text).unwrap_or_else(|| default.into());
    if program.contains('/') { reader.absolute(key, &program) } else { program.into() }
}

pub(super) fn quadlet(
    reader: &mut Reader,
    environment: &Environment,
    path: &KeyPath,
) -> QuadletTarget {
    let podman = podman(reader, environment, path);
    let user = reader.read(&path.child("user"), Show::Plain, Value::boolean).unwrap_or(false);
    let systemctl = program(reader, &path.child("systemctl"), "systemctl");
    let mut folder = |name: &str| {
        let key = path.child(name);
        let text = reader.read(&key, Show::Plain, Value::text)?;
        Some(reader.absolute(&key, &text))
    };
    let generator = folder("generator");
    let units = folder("units").unwrap_or_else(|| match user {
        false => "/etc/containers/systemd".into(),
        true => environment.xdg_config().join("containers/systemd"),
    });
    QuadletTarget { podman, units, user, systemctl, generator }
}
