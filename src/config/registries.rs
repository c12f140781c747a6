//! Everything about registries: `[registries]`, `[integrated_registry]`, and which of them are allowed.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use super::keys::KeyPath;
use super::layer::Origin;
use super::read::{Reader, Show};
use super::{Environment, RegistrySettings};
use crate::limits;
use crate::policy::{
    AllowedRegistries, AllowedRegistry, Counted, IntegratedRegistry, Policy, RateLimit,
    RateLimitError, RegistryMode, limited_host,
};
use crate::reference::ImageReference;
use crate::world::registry::{SecretFolder, ShortNames};

/// `[integrated_registry]`; none where no address is given.
pub(super) fn integrated(reader: &mut Reader) -> Option<IntegratedRegistry> {
    let section = KeyPath::of("integrated_registry");
    let host = |reader: &mut Reader, key: &str| {
        reader.read(&section.child(key), Show::Plain, |value| {
            let text = value.text()?;
            // As the registry of a reference it has to be told from a namespace (rule I29).
            let image = format!("{text}/a/b").parse::<ImageReference>().ok();
            match image.is_some_and(|image| image.registry.as_deref() == Some(text.as_str())) {
                true => Ok(text),
                false => Err(format!(
                    "`{text}` is not a registry: write `HOST` with a dot in it, or `HOST:PORT`"
                )),
            }
        })
    };
    let address = host(reader, "address");
    let public_address = host(reader, "public_address");
    let modes = [("managed", RegistryMode::Managed), ("pull-through", RegistryMode::PullThrough)];
    let mode = reader.word("integrated_registry.mode", &modes, 0).unwrap_or_default();
    let Some(address) = address else {
        // A mode that says what holds anyway is no wish: `tidegate config` prints it.
        let wished = public_address.is_some() || mode != RegistryMode::default();
        if wished && reader.origin(&section.child("address")) == Origin::Default {
            reader.problem(&section, "needs `address`, like \"registry.example.com:5000\"");
        }
        return None;
    };
    Some(IntegratedRegistry { address, public_address, mode })
}

/// `imports.allowed_registries`; the integrated registry is always among them.
pub(super) fn allowed(
    reader: &mut Reader,
    integrated: Option<&IntegratedRegistry>,
) -> AllowedRegistries {
    let key = "imports.allowed_registries";
    let mut allowed = Vec::new();
    for text in reader.list(key) {
        match text.parse::<AllowedRegistry>() {
            Ok(registry) => {
                if registry.never_matches() {
                    let why = format!("`{text}` never matches: only a registry can be allowed");
                    reader.warn(&KeyPath::of(key), why);
                }
                allowed.push(registry);
            }
            Err(error) => reader.problem(&KeyPath::of(key), error.to_string()),
        }
    }
    AllowedRegistries::new(allowed, integrated.map(|registry| registry.address.clone()))
}

/// Hosts of `registries."HOST".insecure`.
pub(super) fn insecure(reader: &mut Reader) -> BTreeSet<String> {
    let section = KeyPath::of("registries");
    let mut insecure = BTreeSet::new();
    for host in reader.names(&section) {
        let path = section.child(&host);
        if host.is_empty() || host.contains(['/', '@', ' ']) {
            reader
                .problem(&path, format!("`{host}` is not a registry: write `HOST` or `HOST:PORT`"));
        }
        let key = path.child("insecure");
        if reader.read(&key, Show::Plain, super::layer::Value::boolean) == Some(true) {
            insecure.insert(host);
        }
    }
    insecure
}

/// `registries."HOST".limit` and `registries."HOST".counted`, in place of the defaults.
pub(super) fn limits(
    reader: &mut Reader,
    mut limits: BTreeMap<String, RateLimit>,
) -> BTreeMap<String, RateLimit> {
    let section = KeyPath::of("registries");
    for host in reader.names(&section) {
        let path = section.child(&host);
        let limit = reader.read(&path.child("limit"), Show::Plain, |value| {
            let text = value.text()?;
            match text == "none" {
                true => Ok(None),
                false => text.parse().map(Some).map_err(|error: RateLimitError| {
                    format!("`{text}` is no limit: {error}, or \"none\"")
                }),
            }
        });
        let words = [("manifests", Counted::Manifests), ("all", Counted::All)];
        let counted = reader.read(&path.child("counted"), Show::Plain, |value| {
            let text = value.text()?;
            let found = words.iter().find(|(word, _)| *word == text).map(|(_, counted)| *counted);
            found.ok_or_else(|| format!("`{text}` is not one of `manifests`, `all`"))
        });
        let reserve = reader.read(&path.child("reserve"), Show::Plain, |value| value.count(0));
        let reserve = reserve.map(|reserve| reserve as u64);
        let name = limited_host(&host).to_owned();
        match limit {
            Some(Some(limit)) => drop(limits.insert(name.clone(), limit)),
            Some(None) => drop(limits.remove(&name)),
            None => {}
        }
        match (counted, limits.get_mut(&name)) {
            (Some(counted), Some(limit)) => limit.counted = counted,
            (Some(_), None) => {
                reader.problem(&path.child("counted"), "there is no `limit` beside it");
            }
            (None, _) => {}
        }
        match (reserve, limits.get_mut(&name)) {
            (Some(reserve), Some(limit)) if reserve < limit.requests => {
                limit.reserve = Some(reserve);
            }
            (Some(_), Some(limit)) => {
                let why = format!("leaves nothing of the {} requests of `limit`", limit.requests);
                reader.problem(&path.child("reserve"), why);
            }
            (Some(_), None) => {
                reader.problem(&path.child("reserve"), "there is no `limit` beside it");
            }
            (None, _) => {}
        }
    }
    limits
}

/// So many in a minute; none for 0.
pub(super) fn often(number: usize) -> Option<NonZeroU32> {
    NonZeroU32::new(u32::try_from(number).unwrap_or(u32::MAX))
}

/// `registries."HOST".per_minute`.
pub(super) fn rates(reader: &mut Reader) -> BTreeMap<String, NonZeroU32> {
    let section = KeyPath::of("registries");
    let mut rates = BTreeMap::new();
    for host in reader.names(&section) {
        let key = section.child(&host).child("per_minute");
        let rate = reader.read(&key, Show::Plain, |value| value.count(1));
        if let Some(rate) = rate.and_then(often) {
            rates.insert(limited_host(&host).to_owned(), rate);
        }
    }
    rates
}

/// How registries are spoken to.
pub(super) fn settings(
    reader: &mut Reader,
    environment: &Environment,
    policy: &Policy,
) -> RegistrySettings {
    let auth_files = auth_files(reader, environment);
    let timeout =
        reader.span("registries.timeout", limits::REGISTRY_TIMEOUT, Duration::from_secs(1));
    let section = KeyPath::of("registries");
    let hosts = reader.names(&section).into_iter();
    let ca_files = hosts.filter_map(|host| {
        let file = reader.path(&section.child(&host).child("ca_file"))?;
        Some((host, file))
    });
    let ca_files = ca_files.collect();
    let (conf, conf_folders) = registries_conf(reader, environment);
    let words =
        [("docker-hub", ShortNames::DockerHub), ("registries.conf", ShortNames::RegistriesConf)];
    let short_names = reader.word("registries.short_names", &words, 0).unwrap_or_default();
    let certs = KeyPath::of("registries.certs_d");
    let certs_folders = match reader.read(&certs, Show::Plain, super::layer::Value::list) {
        Some(folders) => folders.iter().map(|folder| reader.absolute(&certs, folder)).collect(),
        None => environment.certs_folders(),
    };
    let secrets = reader.path(&section.child("secrets"));
    let default_namespace = policy.default_namespace.clone();
    let secrets = secrets.map(|path| SecretFolder { path, default_namespace });
    RegistrySettings {
        insecure: policy.insecure_registries.clone(),
        timeout,
        auth_files,
        secrets,
        conf,
        conf_folders,
        short_names,
        requests_max: policy.checks_in_flight_max,
        ca_files,
        certs_folders,
    }
}

/// Where logins are looked for: in the file that the setting names; else in systemd's credentials, and where podman,
/// skopeo and docker keep theirs.
fn auth_files(reader: &mut Reader, environment: &Environment) -> Vec<PathBuf> {
    let key = KeyPath::of("registries.auth_file");
    if let Some(path) = reader.path(&key) {
        return vec![path];
    }
    let places: Vec<_> =
        environment.credential("auth.json").into_iter().chain(environment.logins()).collect();
    // The first one that is there is shown. All are looked into, whenever they come.
    if let Some((path, origin)) = places.iter().find(|(path, _)| path.is_file()) {
        reader.note(&key, path.display().to_string().into(), origin.clone());
    }
    places.into_iter().map(|(path, _)| path).collect()
}

/// The file that says where images are, and the folders that are read after it.
fn registries_conf(
    reader: &mut Reader,
    environment: &Environment,
) -> (Option<PathBuf>, Vec<PathBuf>) {
    let key = KeyPath::of("registries.conf");
    if let Some(path) = reader.path(&key) {
        let mut folder = path.clone().into_os_string();
        folder.push(".d");
        return (Some(path), vec![folder.into()]);
    }
    let (path, origin, folders) = environment.registries_conf();
    // The machine's file is nobody's wish: it may be missing.
    let is_there = origin != Origin::Default || path.is_file();
    reader.note(&key, path.display().to_string().into(), origin);
    (is_there.then_some(path), folders)
}
