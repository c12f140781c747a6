//! Our own settings: one `tidegate.toml`, file < environment < flags; every value knows where it came from.
//!
//! The file is the one that `--config` names, else `./tidegate.toml` if it is there, else
//! `/etc/tidegate/tidegate.toml`; without any of them everything has its default. Scalars can also be set by a variable
//! `TIDEGATE_<SECTION>__<KEY>` (`TIDEGATE_IMPORTS__INTERVAL=1m`, `TIDEGATE_STATE_DIR=/srv/tidegate`). Relative paths
//! of the file are relative to the file. The keys are [`KEYS`]; unknown ones are refused.
//!
//! Loading has no side effects, so that a running daemon can load again and keep what it has when that fails.

mod builds;
mod compat;
mod hosts;
mod keys;
mod layer;
mod listener;
mod read;
mod registries;
mod sections;
mod size;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use keys::{KEYS, KeyDoc};
pub use layer::Origin;
pub use listener::{BuildSecret, HookSettings, ListenAddress, ListenerSettings};

use crate::fact::ConfigAdopted;
use crate::journal::Retention;
use crate::limits;
use crate::names::{ContentHash, TargetName};
use crate::policy::Policy;
use crate::world::build::BuilderConfig;
use crate::world::git::SourceConfig;
use crate::world::registry::{RegistryConfig, SecretFolder, ShortNames};
use crate::world::target::TargetConfig;
use keys::KeyPath;
use layer::Layers;
use read::Reader;

/// The settings in force.
#[derive(Clone, PartialEq, Debug)]
pub struct Config {
    /// What decides the plan.
    pub policy: Policy,
    /// Where desired state is read.
    pub source: SourceSettings,
    /// Where commands put new manifests.
    pub edit: EditSettings,
    /// How registries are spoken to.
    pub registries: RegistrySettings,
    /// Where rollouts go; `none` is always among them.
    pub targets: BTreeMap<TargetName, TargetConfig>,
    /// Where state is kept, absolute.
    pub state_dir: PathBuf,
    /// How much history the journal keeps.
    pub retention: Retention,
    /// Where the daemon answers commands, absolute.
    pub control_socket: PathBuf,
    /// Where the daemon takes webhooks; none where it takes none.
    pub listener: Option<ListenerSettings>,
    /// How images are built.
    pub builder: BuilderConfig,
    /// What is logged.
    pub log: LogSettings,
    /// The file that was read.
    pub file: Option<PathBuf>,
    /// Every key with its value and where that came from; secrets are masked.
    pub settings: Vec<Setting>,
    /// What is odd but does not stop anybody.
    pub warnings: Vec<String>,
}

/// Where desired state is read: `[source]`.
#[derive(Clone, PartialEq, Eq)]
pub struct SourceSettings {
    /// An absolute path or a remote address; empty if nobody set it. May hold a password: never print it.
    pub repository: String,
    /// The branch.
    pub branch: String,
    /// Folders that are read; none means all.
    pub paths: Vec<String>,
    /// Name of the ignore file in the repository.
    pub ignore_file: String,
    /// Time between two looks.
    pub poll: Duration,
    /// Time that one run of `git` may take.
    pub timeout: Duration,
    /// What `git` runs in the place of `ssh`.
    pub ssh_command: Option<String>,
}

impl SourceSettings {
    /// What the daemon and every command open.
    pub(crate) fn source(&self) -> SourceConfig {
        SourceConfig {
            branch: self.branch.clone(),
            paths: self.paths.clone(),
            ignore_file: self.ignore_file.clone(),
            poll: self.poll,
            timeout: self.timeout,
            ssh_command: self.ssh_command.clone(),
            ..SourceConfig::new(self.repository.clone())
        }
    }
}

impl fmt::Debug for SourceSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SourceSettings")
            .field("repository", &shown_address(&self.repository))
            .field("branch", &self.branch)
            .finish_non_exhaustive()
    }
}

/// Where commands put new manifests: `[edit]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EditSettings {
    /// A folder of the repository; empty for its root.
    pub folder: String,
}

/// How registries are spoken to: `[registries]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RegistrySettings {
    /// Hosts that may be reached by plain HTTP or unverified TLS.
    pub insecure: BTreeSet<String>,
    /// One request, from connect to the last byte.
    pub timeout: Duration,
    /// Files of logins, in order; they may be missing.
    pub auth_files: Vec<PathBuf>,
    /// A folder of Secrets with logins.
    pub secrets: Option<SecretFolder>,
    /// A file in the format of containers-registries.conf(5) that says where images are.
    pub conf: Option<PathBuf>,
    /// Folders whose `*.conf` come after that file.
    pub conf_folders: Vec<PathBuf>,
    /// What a short name means.
    pub short_names: ShortNames,
    /// Requests of checks at one host at once.
    pub requests_max: usize,
    /// Folders with a folder of certificates for each registry.
    pub certs_folders: Vec<PathBuf>,
    /// Certificates of authorities that are trusted at one registry, beside those of the system.
    pub ca_files: BTreeMap<String, PathBuf>,
}

impl RegistrySettings {
    /// How the daemon and every command ask.
    pub(crate) fn client(&self) -> RegistryConfig {
        RegistryConfig {
            insecure: self.insecure.clone(),
            timeout: self.timeout,
            auth_files: self.auth_files.clone(),
            secrets: self.secrets.clone(),
            ca_files: self.ca_files.clone(),
            certs_folders: self.certs_folders.clone(),
            conf: self.conf.clone(),
            conf_folders: self.conf_folders.clone(),
            short_names: self.short_names,
            requests_max: self.requests_max,
        }
    }
}

/// What is logged: `[log]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogSettings {
    /// A level or a filter by module.
    pub level: String,
    /// How lines look.
    pub format: LogFormat,
}

/// How log lines look.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// One key and what it came to.
#[derive(Clone, PartialEq, Debug)]
pub struct Setting {
    /// The key, as TOML would write its path.
    pub key: String,
    /// The value; `***` for secrets.
    pub value: serde_json::Value,
    /// Where it came from.
    pub origin: Origin,
}

/// What the command line says about settings.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    /// `--config`.
    pub config: Option<PathBuf>,
    /// The others: flag, key, value.
    pub values: Vec<(String, String, String)>,
}

/// The flags that set keys, for commands that use the configuration.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct SettingArguments {
    /// Where state is kept, in place of `state_dir`
    #[arg(long, value_name = "DIR", help_heading = "Settings")]
    state_dir: Option<String>,
    /// What the daemon logs: error, warn, info, debug, trace, or a filter, in place of `log.level`
    #[arg(long, value_name = "LEVEL", help_heading = "Settings")]
    log_level: Option<String>,
    /// Set any key of the configuration for this run, like imports.interval=1m; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE", help_heading = "Settings")]
    set: Vec<String>,
}

impl SettingArguments {
    /// With the file of `--config`, what [`load`] takes.
    #[must_use]
    pub fn flags(&self, config: Option<PathBuf>) -> Flags {
        let named = [
            ("--state-dir", "state_dir", self.state_dir.as_ref()),
            ("--log-level", "log.level", self.log_level.as_ref()),
        ];
        let named = named.into_iter().filter_map(|(flag, key, value)| {
            Some((flag.to_owned(), key.to_owned(), value?.clone()))
        });
        let set = self.set.iter().map(|pair| {
            // The first `=` outside of quotes ends the key; a quoted host has none.
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            ("--set".to_owned(), key.trim().to_owned(), value.trim().to_owned())
        });
        Flags { config, values: set.chain(named).collect() }
    }
}

/// Those of commands that decide what follows from manifests.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct DecidingArguments {
    #[command(flatten)]
    pub(crate) settings: SettingArguments,
    /// Follow OpenShift also where tidegate deviates from it in triggers and rollouts, in place of `strict_openshift`
    #[arg(long, help_heading = "Settings")]
    strict_openshift: bool,
}

impl DecidingArguments {
    /// With the file of `--config`, what [`load`] takes.
    #[must_use]
    pub fn flags(&self, config: Option<PathBuf>) -> Flags {
        let mut flags = self.settings.flags(config);
        if self.strict_openshift {
            let [flag, key, value] = ["--strict-openshift", "strict_openshift", "true"];
            flags.values.push((flag.to_owned(), key.to_owned(), value.to_owned()));
        }
        flags
    }
}

/// The parts of the environment that settings may come from.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// Variables that are UTF-8.
    pub variables: BTreeMap<String, String>,
    /// What relative paths are relative to.
    pub work_folder: PathBuf,
}

impl Environment {
    /// Reads it from the process. The only place that does.
    #[must_use]
    pub fn of_process() -> Self {
        let utf8 = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Self {
            variables: std::env::vars_os().filter_map(utf8).collect(),
            work_folder: std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/")),
        }
    }

    /// The first folder that systemd gives in a variable, else `default`.
    fn folder(&self, variable: &str, default: &str) -> (PathBuf, Origin) {
        let given = self.variables.get(variable).and_then(|list| list.split(':').next());
        match given {
            Some(folder) if !folder.is_empty() => {
                (folder.into(), Origin::Environment(variable.to_owned()))
            }
            _ => (default.into(), Origin::Default),
        }
    }

    /// The folder of the user's own settings.
    fn xdg_config(&self) -> PathBuf {
        let set = |name: &str| self.variables.get(name).filter(|value| !value.is_empty());
        set("XDG_CONFIG_HOME").map_or_else(
            || Path::new(set("HOME").map_or("/", String::as_str)).join(".config"),
            PathBuf::from,
        )
    }

    /// Those of the variables that are set.
    fn kept(&self, names: &[&str]) -> BTreeMap<String, String> {
        let kept = |name: &&str| Some(((*name).to_owned(), self.variables.get(*name)?.clone()));
        names.iter().filter_map(kept).collect()
    }

    /// A credential that systemd handed over.
    fn credential(&self, name: &str) -> Option<(PathBuf, Origin)> {
        let folder = self.variables.get("CREDENTIALS_DIRECTORY")?;
        let path = Path::new(folder).join(name);
        let origin = Origin::Environment("CREDENTIALS_DIRECTORY".into());
        path.is_file().then_some((path, origin))
    }

    /// Where podman, skopeo and docker keep their logins, in their order (containers-auth.json(5)): the file that a
    /// variable names, or the usual ones, there or not, and where their folders are from.
    fn logins(&self) -> Vec<(PathBuf, Origin)> {
        let variable = "REGISTRY_AUTH_FILE";
        if let Some(path) = self.variables.get(variable).filter(|path| !path.is_empty()) {
            return vec![(self.work_folder.join(path), Origin::Environment(variable.into()))];
        }
        let places = [
            ("XDG_RUNTIME_DIR", "containers/auth.json"),
            ("XDG_CONFIG_HOME", "containers/auth.json"),
            ("HOME", ".config/containers/auth.json"),
            ("DOCKER_CONFIG", "config.json"),
            ("HOME", ".docker/config.json"),
        ];
        let file = |(variable, file): (&str, &str)| {
            let folder = self.variables.get(variable).filter(|folder| folder.starts_with('/'))?;
            Some((Path::new(folder).join(file), Origin::Environment(variable.to_owned())))
        };
        places.into_iter().filter_map(file).collect()
    }
}

/// The machine's file of containers-registries.conf(5), and the folder beside it.
const REGISTRIES_CONF: &str = "/etc/containers/registries.conf";

impl Environment {
    /// Where podman, skopeo and buildah look for containers-registries.conf(5): the file that a variable names or the
    /// user's, and the folders beside the machine's file and the user's.
    fn registries_conf(&self) -> (PathBuf, Origin, Vec<PathBuf>) {
        let beside = |file: &Path| {
            let mut folder = file.as_os_str().to_owned();
            folder.push(".d");
            PathBuf::from(folder)
        };
        let variable = "CONTAINERS_REGISTRIES_CONF";
        if let Some(path) = self.variables.get(variable).filter(|path| !path.is_empty()) {
            let path = self.work_folder.join(path);
            let folder = beside(&path);
            return (path, Origin::Environment(variable.to_owned()), vec![folder]);
        }
        let home = self.variables.get("HOME").filter(|home| home.starts_with('/'));
        let own = home.map(|home| Path::new(home).join(".config/containers/registries.conf"));
        let machine = PathBuf::from(REGISTRIES_CONF);
        let folders = [Some(beside(&machine)), own.as_deref().map(beside)];
        let folders = folders.into_iter().flatten().collect();
        match own.filter(|own| own.is_file()) {
            Some(own) => (own, Origin::Environment("HOME".into()), folders),
            None => (machine, Origin::Default, folders),
        }
    }
}

impl Environment {
    /// Where podman and docker keep certificates of registries (containers-certs.d(5)).
    fn certs_folders(&self) -> Vec<PathBuf> {
        let home = self.variables.get("HOME").filter(|home| home.starts_with('/'));
        let own = home.map(|home| Path::new(home).join(".config/containers/certs.d"));
        let machine = ["/etc/containers/certs.d", "/etc/docker/certs.d"].map(PathBuf::from);
        own.into_iter().chain(machine).collect()
    }
}

/// One thing that is wrong with the configuration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    /// The key, or the variable.
    pub key: String,
    /// Where it stands.
    pub origin: Origin,
    /// What is wrong, and what to do.
    pub why: String,
}

impl Problem {
    fn new(path: &KeyPath, origin: Origin, why: impl Into<String>) -> Self {
        Self { key: path.to_string(), origin, why: why.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.origin != Origin::Default {
            write!(f, "{}: ", self.origin)?;
        }
        write!(f, "`{}`: {}", self.key, self.why)
    }
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file is there and cannot be read, or was asked for and is not there.
    #[error("cannot read the configuration `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is no text.
    #[error("the configuration `{}` is not UTF-8; save it as UTF-8", path.display())]
    Encoding {
        /// The file.
        path: PathBuf,
    },
    /// It is no configuration.
    #[error(
        "the configuration `{}` has more than {} KiB; name the file that was meant",
        path.display(),
        limits::CONFIG_BYTES_MAX / 1024
    )]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// It is no TOML.
    #[error("{}:{line}: {message}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        message: String,
    },
    /// Keys or values are wrong; all of them are listed.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Invalid(Vec<Problem>),
}

/// Loads the configuration of this process.
///
/// # Errors
/// When the file cannot be read or anything in any layer is wrong; every problem is named.
pub fn load(flags: &Flags) -> Result<Config, ConfigError> {
    load_with(flags, &Environment::of_process())
}

/// Loads the configuration for an environment.
///
/// # Errors
/// As [`load`].
pub fn load_with(flags: &Flags, environment: &Environment) -> Result<Config, ConfigError> {
    let mut layers = Layers::default();
    let file = match find_file(flags, environment) {
        Some((path, needed)) => match read_file(&path) {
            Ok(text) if text.len() as u64 > limits::CONFIG_BYTES_MAX => {
                return Err(ConfigError::TooLarge { path });
            }
            Ok(text) => {
                layers.add_file(&path, &text)?;
                Some(path)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound && needed == Needed::No => None,
            Err(source) if source.kind() == io::ErrorKind::InvalidData => {
                return Err(ConfigError::Encoding { path });
            }
            Err(source) => return Err(ConfigError::Read { path, source }),
        },
        None => None,
    };
    layers.add_environment(&environment.variables);
    for (flag, key, value) in &flags.values {
        layers.add_flag(flag, key, value);
    }
    let folder = file.as_deref().and_then(Path::parent).unwrap_or(&environment.work_folder);
    let reader = Reader::new(layers, folder.to_owned(), environment.work_folder.clone());
    read_sections(reader, environment, file)
}

/// Reads a file, which may be a pipe or without an end, up to a little more than is allowed.
fn read_file(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let file = std::fs::File::open(path)?;
    file.take(limits::CONFIG_BYTES_MAX + 1).read_to_string(&mut text)?;
    Ok(text)
}

#[derive(PartialEq)]
enum Needed {
    Yes,
    No,
}

fn find_file(flags: &Flags, environment: &Environment) -> Option<(PathBuf, Needed)> {
    if let Some(path) = &flags.config {
        return Some((environment.work_folder.join(path), Needed::Yes));
    }
    let here = environment.work_folder.join("tidegate.toml");
    if here.exists() {
        return Some((here, Needed::Yes));
    }
    Some((PathBuf::from("/etc/tidegate/tidegate.toml"), Needed::No))
}

fn read_sections(
    mut reader: Reader,
    environment: &Environment,
    file: Option<PathBuf>,
) -> Result<Config, ConfigError> {
    let (state_dir, control_socket) = sections::places(&mut reader, environment);
    let retention = sections::retention(&mut reader);
    let source = sections::source(&mut reader);
    let edit = sections::edit(&mut reader, &source.paths);
    let mut policy = sections::policy(&mut reader, source.poll);
    let registries = registries::settings(&mut reader, environment, &policy);
    policy.short_names_are_hub = registries.short_names == ShortNames::DockerHub;
    // What cannot be read is told where a login is wanted of it.
    let owners = registries.secrets.as_ref().map(SecretFolder::owners).unwrap_or_default();
    policy.login_namespaces = owners.namespaces;
    let targets = sections::targets(&mut reader, environment);
    policy.routes = sections::routes(&mut reader, &targets);
    let hosts = targets.iter().filter(|(_, target)| target.is_told_each_step());
    policy.hosts = hosts.map(|(name, _)| name.clone()).collect();
    let units = targets.iter().filter(|(_, target)| matches!(target, TargetConfig::Quadlet(_)));
    policy.units = units.map(|(name, _)| name.clone()).collect();
    policy.targets =
        targets.iter().map(|(name, target)| (name.clone(), target.timeout())).collect();
    let listener = listener::settings(&mut reader, environment);
    let builder = builds::settings(&mut reader, environment);
    let log = sections::log(&mut reader);
    let (mut settings, problems, warnings) = reader.finish();
    if !problems.is_empty() {
        return Err(ConfigError::Invalid(problems));
    }
    settings.sort_by(|left, right| left.key.cmp(&right.key));
    Ok(Config {
        policy,
        source,
        edit,
        registries,
        targets,
        state_dir,
        retention,
        control_socket,
        listener,
        builder,
        log,
        file,
        settings,
        warnings,
    })
}

impl Config {
    /// What a record says about which settings were in force: a hash of the effective values, without secrets.
    #[must_use]
    pub fn adopted(&self) -> ConfigAdopted {
        let values =
            self.settings.iter().map(|setting| format!("{}={}\n", setting.key, setting.value));
        let hash = ContentHash::of(values.collect::<String>().as_bytes());
        ConfigAdopted { hash, version: env!("CARGO_PKG_VERSION").to_owned() }
    }
}

/// An address without its password and query, which may be secrets.
fn shown_address(address: &str) -> String {
    let Ok(mut url) = url::Url::parse(address) else { return address.to_owned() };
    if url.cannot_be_a_base() {
        return address.to_owned();
    }
    if url.password().is_some() && url.set_password(Some("***")).is_err() {
        return "***".into();
    }
    // A token may stand where a user name does.
    let is_ssh_user = url.scheme().contains("ssh") || url.username().is_empty();
    if !is_ssh_user && url.set_username("***").is_err() {
        return "***".into();
    }
    if url.query().is_some() {
        url.set_query(Some("***"));
    }
    url.to_string()
}

#[cfg(test)]
mod tests;
