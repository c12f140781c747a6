//! The sections, one function each.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use super::hosts::{self, Kind, OWN_KEYS};
use super::keys::KeyPath;
use super::layer::{Origin, Value};
use super::read::{Reader, Show};
use super::size::{size_or_unlimited, span_or_forever};
use super::{
    EditSettings, Environment, LogFormat, LogSettings, SourceSettings, registries, shown_address,
};
use crate::action::{ImportMode, Platform};
use crate::journal::Retention;
use crate::limits;
use crate::names::{Namespace, ObjectKey, TargetName};
use crate::policy::{CrossNamespace, OnInvalid, Policy, Routes};
use crate::secret::sounds_secret;
use crate::world::target::{ExecTarget, Secret, SecretSource, TargetConfig, WebhookTarget};

const SECOND: Duration = Duration::from_secs(1);

/// State directory and control socket.
pub(super) fn places(reader: &mut Reader, environment: &Environment) -> (PathBuf, PathBuf) {
    let state = KeyPath::of("state_dir");
    let is_set = reader.origin(&state) != Origin::Default;
    let state_dir = reader.path(&state).unwrap_or_else(|| {
        let (path, origin) = environment.folder("STATE_DIRECTORY", "/var/lib/tidegate");
        reader.note(&state, path.display().to_string().into(), origin);
        path
    });
    let socket = KeyPath::of("control.socket");
    let control = reader.path(&socket).unwrap_or_else(|| {
        // Daemon and commands must come to the same place, and only the daemon has RUNTIME_DIRECTORY.
        let (folder, origin) = if is_set {
            (state_dir.clone(), Origin::Default)
        } else {
            environment.folder("RUNTIME_DIRECTORY", "/run/tidegate")
        };
        let path = folder.join("control.sock");
        reader.note(&socket, path.display().to_string().into(), origin);
        path
    });
    // sockaddr_un has 108 bytes, the last a zero.
    if control.as_os_str().len() > 107 {
        let why = format!("`{}` is too long for a socket: at most 107 bytes", control.display());
        reader.problem(&socket, why);
    }
    (state_dir, control)
}

pub(super) fn source(reader: &mut Reader) -> SourceSettings {
    let key = KeyPath::of("source.repository");
    let repository = match reader.read(&key, Show::Plain, Value::text) {
        Some(text) if is_remote(&text) => {
            reader.replace_note(shown_address(&text));
            text
        }
        Some(text) if !text.is_empty() => {
            let path = reader.absolute(&key, &text).display().to_string();
            reader.replace_note(path.clone());
            path
        }
        Some(_) => String::new(),
        None => {
            reader.note(&key, "".into(), Origin::Default);
            String::new()
        }
    };
    if repository.starts_with('-') {
        reader.problem(&key, "a repository must not begin with `-`");
    }
    let branch = reader.text("source.branch", "main");
    if branch.is_empty() || branch.starts_with('-') || branch.contains([' ', ':', '~', '^', '\\']) {
        reader.problem(&KeyPath::of("source.branch"), format!("`{branch}` is not a branch"));
    }
    let paths = reader.list("source.paths");
    for path in &paths {
        if path.starts_with('/') || path.split('/').any(|part| part == "..") {
            let why = format!("`{path}` must be a path inside the repository, like `apps/web`");
            reader.problem(&KeyPath::of("source.paths"), why);
        }
    }
    SourceSettings {
        repository,
        branch,
        paths,
        ignore_file: reader.text("source.ignore_file", ".tidegateignore"),
        poll: reader.span("source.poll", limits::SOURCE_POLL, SECOND),
        timeout: reader.span("source.timeout", limits::SOURCE_FETCH_TIMEOUT, SECOND),
        ssh_command: reader.read(&KeyPath::of("source.ssh_command"), Show::Plain, Value::text),
    }
}

/// Where commands put new manifests: by default below the first path that is read.
pub(super) fn edit(reader: &mut Reader, paths: &[String]) -> EditSettings {
    let folder = reader.text("edit.folder", paths.first().map_or("", String::as_str));
    if folder.starts_with('/') || folder.split('/').any(|part| part == "..") {
        let why = format!("`{folder}` must be a path inside the repository, like `apps`");
        reader.problem(&KeyPath::of("edit.folder"), why);
    }
    EditSettings { folder }
}

/// How much history the journal keeps.
pub(super) fn retention(reader: &mut Reader) -> Retention {
    let keep_for = KeyPath::of("journal.keep_for");
    let keep_bytes = KeyPath::of("journal.keep_bytes");
    let default = Retention { keep_for: None, keep_bytes: Some(limits::JOURNAL_KEEP_BYTES) };
    for (key, shown) in [(&keep_for, "forever"), (&keep_bytes, "1GiB")] {
        if reader.origin(key) == Origin::Default {
            reader.note(key, shown.into(), Origin::Default);
        }
    }
    Retention {
        keep_for: reader.read(&keep_for, Show::Plain, span_or_forever).unwrap_or(default.keep_for),
        keep_bytes: reader
            .read(&keep_bytes, Show::Plain, size_or_unlimited)
            .unwrap_or(default.keep_bytes),
    }
}

/// Whether a repository is reached by git's transports rather than by a path.
fn is_remote(text: &str) -> bool {
    // `host:path` is SSH unless a slash stands before the colon (git's own rule).
    text.contains("://") || text.split_once(':').is_some_and(|(host, _)| !host.contains('/'))
}

pub(super) fn policy(reader: &mut Reader, source_poll: Duration) -> Policy {
    let modes =
        [("Legacy", ImportMode::Legacy), ("PreserveOriginal", ImportMode::PreserveOriginal)];
    let on_invalid = [("hold", OnInvalid::Hold), ("refuse", OnInvalid::Refuse)];
    let defaults = Policy::default();
    let integrated_registry = registries::integrated(reader);
    Policy {
        default_namespace: reader.parsed("default_namespace", Namespace::default()),
        platform: platform(reader),
        strict_openshift: reader.boolean("strict_openshift", false),
        custom_strategies: reader.boolean("custom_strategies", false),
        on_invalid: reader.word("source.on_invalid", &on_invalid, 0).unwrap_or_default(),
        namespaces: reader.map("source.namespaces", Show::Plain),
        parameters: parameters(reader),
        source_poll,
        import_interval: reader.span(
            "imports.interval",
            defaults.import_interval,
            limits::IMPORT_INTERVAL_MIN,
        ),
        import_mode: reader.word("imports.mode", &modes, 0).unwrap_or_default(),
        scheduled_imports: reader.boolean("imports.scheduled", true),
        tag_limit: reader
            .number("imports.max_images_bulk_imported_per_repository", defaults.tag_limit),
        checks_in_flight_max: reader.count(
            "registries.checks_in_flight",
            defaults.checks_in_flight_max,
            1,
        ),
        insecure_registries: registries::insecure(reader),
        short_names_are_hub: true, // said where registries are read
        settle: settle(reader, defaults.settle),
        cross_namespace: cross_namespace(reader),
        rollouts_in_flight_max: reader.count(
            "rollouts.in_flight",
            defaults.rollouts_in_flight_max,
            1,
        ),
        builds_enabled: reader.boolean("builds.enabled", defaults.builds_enabled),
        builds_in_flight_max: reader.count("builds.in_flight", defaults.builds_in_flight_max, 1),
        build_timeout: reader.span(
            "builds.timeout",
            defaults.build_timeout,
            limits::BUILD_TIMEOUT_MIN,
        ),
        routes: Routes::default(),
        targets: BTreeMap::new(),
        hosts: BTreeSet::new(),
        flap_guard: reader.span("triggers.flap_guard", defaults.flap_guard, Duration::ZERO),
        units: BTreeSet::new(),
        prune_grace: reader.span("prune.grace", defaults.prune_grace, Duration::ZERO),
        prune_objects_max: reader.count("prune.max_objects", defaults.prune_objects_max, 0),
        image_size_limits: image_size_limits(reader),
        registry_limits: registries::limits(reader, defaults.registry_limits),
        registry_rates: registries::rates(reader),
        scheduled_per_minute: registries::often(reader.count("imports.scheduled_per_minute", 0, 0)),
        allowed_registries: registries::allowed(reader, integrated_registry.as_ref()),
        // What the folder of Secrets holds is read with the other settings of registries.
        login_namespaces: defaults.login_namespaces,
        integrated_registry,
    }
}

fn settle(reader: &mut Reader, default: Duration) -> Duration {
    let seconds = reader.number("triggers.settle_seconds", default.as_secs());
    Duration::from_secs(seconds)
}

fn cross_namespace(reader: &mut Reader) -> CrossNamespace {
    const KEY: &str = "triggers.cross_namespace";
    let path = KeyPath::of(KEY);
    if reader.origin(&path) == Origin::Default {
        reader.note(&path, "allow".into(), Origin::Default);
    }
    let parse = |value: &Value| {
        if value.text().is_ok_and(|text| text == "allow") {
            return Ok(CrossNamespace::Allow);
        }
        let list = value.list();
        let list = list.map_err(|_| "expected `allow` or a list of namespaces".to_owned())?;
        let parsed = list
            .iter()
            .map(|name| name.parse::<Namespace>().map_err(|error| format!("`{name}`: {error}")));
        parsed.collect::<Result<_, _>>().map(CrossNamespace::From)
    };
    reader.read(&path, Show::Plain, parse).unwrap_or_default()
}

fn image_size_limits(reader: &mut Reader) -> BTreeMap<Namespace, u64> {
    let section = KeyPath::of("limits");
    let mut limits = BTreeMap::new();
    for name in reader.names(&section) {
        let path = section.child(&name);
        let size = reader.read(&path.child("image_size"), Show::Plain, size_or_unlimited).flatten();
        match name.parse::<Namespace>() {
            Ok(namespace) => limits.extend(size.map(|size| (namespace, size))),
            Err(error) => reader.problem(&path, error.to_string()),
        }
    }
    limits
}

fn platform(reader: &mut Reader) -> Platform {
    let text = reader.text("default_platform", &Platform::default().to_string());
    let part = |part: &str| {
        !part.is_empty() && part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
    };
    match text.split_once('/') {
        Some((os, architecture)) if part(os) && part(architecture) => {
            Platform { os: os.into(), architecture: architecture.into() }
        }
        _ => {
            let why = format!("`{text}` is not a platform: write it like `linux/arm64`");
            reader.problem(&KeyPath::of("default_platform"), why);
            Platform::default()
        }
    }
}

fn parameters(reader: &mut Reader) -> BTreeMap<String, BTreeMap<String, String>> {
    let section = KeyPath::of("templates");
    let show = |name: &str| if sounds_secret(name) { Show::Masked } else { Show::Plain };
    let names = reader.names(&section);
    names
        .into_iter()
        .map(|name| (name.clone(), reader.map_at(&section.child(&name), show)))
        .collect()
}

pub(super) fn log(reader: &mut Reader) -> LogSettings {
    let formats = [("text", LogFormat::Text), ("json", LogFormat::Json)];
    let format = reader.word("log.format", &formats, 0).unwrap_or_default();
    let level = reader.text("log.level", "info");
    if let Err(error) = level.parse::<tracing_subscriber::filter::Targets>() {
        // `Targets` knows the common grammar of filters, without span fields, which nobody sets here.
        let why = format!("`{level}` is not a level or filter: {error}");
        reader.problem(&KeyPath::of("log.level"), why);
    } else if let Some(word) = level.split(',').map(str::trim).find(|word| is_no_level(word)) {
        let why = format!(
            "`{word}` is not a level: expected off, error, warn, info, debug or trace, or a module with its level like \
             `tidegate::world=debug`"
        );
        reader.problem(&KeyPath::of("log.level"), why);
    }
    LogSettings { level, format }
}

/// Whether a part of a filter is a word alone that is no level. It would be taken for a module, with everything else
/// turned off: a misspelt level would make the daemon silent.
fn is_no_level(word: &str) -> bool {
    let levels = ["off", "error", "warn", "info", "debug", "trace"];
    let is_level = levels.iter().any(|level| word.eq_ignore_ascii_case(level));
    let is_number = word.parse::<u8>().is_ok();
    !is_level && !is_number && !word.contains('=') && !word.starts_with("tidegate")
}

/// The targets that exist, with the built-in one.
pub(super) fn targets(
    reader: &mut Reader,
    environment: &Environment,
) -> BTreeMap<TargetName, TargetConfig> {
    let section = KeyPath::of("targets");
    let mut targets = BTreeMap::new();
    for name in reader.names(&section) {
        let path = section.child(&name);
        let target = target(reader, environment, &path, &name);
        match name.parse::<TargetName>() {
            Ok(name) => {
                targets.insert(name, target);
            }
            Err(error) => reader.problem(&path, error.to_string()),
        }
    }
    if let Ok(none) = "none".parse::<TargetName>() {
        let none = targets.entry(none).or_insert(TargetConfig::None);
        if !matches!(none, TargetConfig::None) {
            reader.problem(
                &section.child("none"),
                "`none` is built in and stays what it is: rename this one",
            );
        }
    }
    targets
}

fn target(
    reader: &mut Reader,
    environment: &Environment,
    path: &KeyPath,
    name: &str,
) -> TargetConfig {
    let kind_key = path.child("kind");
    let kind = reader.read(&kind_key, Show::Plain, |value| Kind::read(&value.text()?));
    let timeout_key = path.child("timeout");
    let timeout = reader.read(&timeout_key, Show::Plain, |value| value.span(SECOND));
    let timeout = timeout.unwrap_or(limits::ROLLOUT_TIMEOUT);
    let command = command(reader, &path.child("command"));
    let url_key = path.child("url");
    let url = reader.read(&url_key, Show::Plain, |value| webhook_url(&value.text()?));
    if let Some(url) = &url {
        reader.replace_note(shown_address(url.as_str()));
    }
    let secret = secret(reader, environment, &path.child("secret_file"), name);
    let headers = headers(reader, &path.child("headers"));
    let Some(kind) = kind else {
        if reader.origin(&kind_key) == Origin::Default {
            let why = "needs a `kind`: `none`, `exec`, `webhook`, `podman` or `quadlet`";
            reader.problem(path, why);
        }
        return TargetConfig::None;
    };
    for key in OWN_KEYS.iter().filter(|key| !kind.keys().contains(key)) {
        let key_path = path.child(key);
        if reader.origin(&key_path) != Origin::Default {
            reader.problem(&key_path, "has no meaning for this kind of target: remove it");
        }
    }
    match kind {
        Kind::Exec => {
            let Some((program, arguments)) = command else {
                if reader.origin(&path.child("command")) == Origin::Default {
                    reader.problem(
                        path,
                        "an exec target needs `command`, like [\"/usr/local/bin/roll-out\"]",
                    );
                }
                return TargetConfig::None;
            };
            let environment = environment.kept(&["PATH", "HOME", "LANG"]);
            TargetConfig::Exec(ExecTarget { program, arguments, timeout, environment })
        }
        Kind::Webhook => {
            let Some(url) = url else {
                if reader.origin(&url_key) == Origin::Default {
                    reader
                        .problem(path, "a webhook target needs `url`, like \"https://host/hook\"");
                }
                return TargetConfig::None;
            };
            TargetConfig::Webhook(WebhookTarget { url, secret, headers, timeout })
        }
        Kind::Podman => TargetConfig::Podman(hosts::podman(reader, environment, path)),
        Kind::Quadlet => TargetConfig::Quadlet(hosts::quadlet(reader, environment, path)),
        Kind::None => TargetConfig::None,
    }
}

fn command(reader: &mut Reader, key: &KeyPath) -> Option<(PathBuf, Vec<String>)> {
    let list = reader.read(key, Show::Plain, |value| match value.list()? {
        list if list.first().is_none_or(String::is_empty) => {
            Err("the command is empty: write the program and its arguments".to_owned())
        }
        list if list.iter().any(|part| part.contains('\0')) => {
            Err("the command has a zero byte".to_owned())
        }
        list => Ok(list),
    })?;
    let (program, arguments) = list.split_first()?;
    // A bare name is looked up in PATH, as a shell would.
    let path =
        if program.contains('/') { reader.absolute(key, program) } else { PathBuf::from(program) };
    Some((path, arguments.to_vec()))
}

fn webhook_url(text: &str) -> Result<url::Url, String> {
    let url = url::Url::parse(text).map_err(|error| format!("is not a URL: {error}"))?;
    if !["http", "https"].contains(&url.scheme()) {
        return Err(format!("expected an http or https URL, found `{}`", url.scheme()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("put no password into the URL: use `headers` or `secret_file`".into());
    }
    Ok(url)
}

pub(super) fn secret(
    reader: &mut Reader,
    environment: &Environment,
    key: &KeyPath,
    name: &str,
) -> Option<SecretSource> {
    let given = reader.read(key, Show::Plain, Value::text);
    let path = match &given {
        // A bare name may be a credential that systemd handed over.
        Some(text) if !text.contains('/') => environment.credential(text).map(|(path, _)| path),
        Some(_) => None,
        None => {
            let (path, origin) = environment.credential(&format!("{name}.secret"))?;
            reader.note(key, path.display().to_string().into(), origin);
            return Some(SecretSource(path));
        }
    };
    let path = path.unwrap_or_else(|| reader.absolute(key, given.as_deref().unwrap_or_default()));
    reader.replace_note(path.display().to_string());
    Some(SecretSource(path))
}

fn headers(reader: &mut Reader, section: &KeyPath) -> BTreeMap<String, Secret> {
    let mut headers = BTreeMap::new();
    for name in reader.names(section) {
        let path = section.child(&name);
        let lower = name.to_ascii_lowercase();
        if ["content-type", "content-length", "host", "idempotency-key", "x-tidegate-signature-256"]
            .contains(&lower.as_str())
        {
            reader.problem(&path, "this header is Tidegate's own");
        } else if reqwest::header::HeaderName::try_from(&lower).is_err() {
            reader.problem(&path, format!("`{name}` is not the name of a header"));
        }
        let value = reader.read(&path, Show::Masked, |value| {
            let text = value.text()?;
            match reqwest::header::HeaderValue::try_from(&text) {
                Ok(_) => Ok(Secret::new(text)),
                Err(_) => Err("the value of a header has no control characters".to_owned()),
            }
        });
        if let Some(value) = value {
            headers.insert(lower, value);
        }
    }
    headers
}

pub(super) fn routes(reader: &mut Reader, targets: &BTreeMap<TargetName, TargetConfig>) -> Routes {
    let check = |reader: &mut Reader, path: &KeyPath, target: &TargetName| {
        if !targets.contains_key(target) {
            let names: Vec<_> = targets.keys().map(|name| format!("`{name}`")).collect();
            let why = format!("there is no target `{target}`: there are {}", names.join(", "));
            reader.problem(path, why);
        }
    };
    let default_key = KeyPath::of("routes.default");
    let default = reader.read(&default_key, Show::Plain, |value| {
        value.text()?.parse::<TargetName>().map_err(|error| error.to_string())
    });
    let namespaces: BTreeMap<Namespace, TargetName> = reader.map("routes.namespaces", Show::Plain);
    let objects: BTreeMap<ObjectKey, TargetName> = reader.map("routes.objects", Show::Plain);
    if let Some(target) = &default {
        check(reader, &default_key, target);
    }
    for (namespace, target) in &namespaces {
        let path = KeyPath::of("routes.namespaces").child(namespace.as_str());
        check(reader, &path, target);
    }
    for (object, target) in &objects {
        let path = KeyPath::of("routes.objects").child(&object.to_string());
        if !object.kind.is_workload() {
            reader.problem(&path, format!("no `{}` is ever rolled out: remove it", object.kind));
        }
        check(reader, &path, target);
    }
    Routes { objects, namespaces, default }
}
