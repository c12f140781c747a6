//! How images are built: `[builds]`.

use super::Environment;
use super::hosts::program;
use super::keys::KeyPath;
use super::layer::Origin;
use super::read::{Reader, Show};
use super::size::size_or_unlimited;
use crate::limits;
use crate::world::build::{BuilderConfig, Isolation};

/// The least that a log may have: the beginning and the end of a build that fails.
const LOG_SIZE_MIN: u64 = 64 * 1024;

pub(super) fn settings(reader: &mut Reader, environment: &Environment) -> BuilderConfig {
    let isolations =
        [("chroot", Isolation::Chroot), ("oci", Isolation::Oci), ("rootless", Isolation::Rootless)];
    let isolation = reader.word("builds.isolation", &isolations, 0).unwrap_or_default();
    let buildah = program(reader, &KeyPath::of("builds.buildah"), "buildah");
    let size = KeyPath::of("builds.log_size");
    if reader.origin(&size) == Origin::Default {
        reader.note(&size, "10MiB".into(), Origin::Default);
    }
    let log_bytes_max = reader.read(&size, Show::Plain, |value| match size_or_unlimited(value)? {
        Some(bytes) if bytes >= LOG_SIZE_MIN => Ok(bytes),
        Some(_) => Err("a log needs at least 64KiB".to_owned()),
        None => Err("a log needs a limit: a build can print without end".to_owned()),
    });
    // What buildah and git look at; nothing else of ours reaches them.
    let environment = environment.kept(&[
        "PATH",
        "HOME",
        "USER",
        "LOGNAME",
        "LANG",
        "TMPDIR",
        "XDG_RUNTIME_DIR",
        "XDG_CONFIG_HOME",
        "XDG_DATA_HOME",
        "CONTAINERS_CONF",
        "CONTAINERS_STORAGE_CONF",
        "CONTAINERS_REGISTRIES_CONF",
        "http_proxy",
        "https_proxy",
        "HTTPS_PROXY",
        "no_proxy",
        "NO_PROXY",
        "SSH_AUTH_SOCK",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
        "GIT_SSL_CAINFO",
        "GIT_CONFIG_GLOBAL",
        "GIT_CONFIG_SYSTEM",
        "GIT_CONFIG_NOSYSTEM",
    ]);
    BuilderConfig {
        buildah,
        git: "git".into(),
        isolation,
        log_bytes_max: log_bytes_max.unwrap_or(limits::BUILD_LOG_BYTES_MAX),
        environment,
    }
}
