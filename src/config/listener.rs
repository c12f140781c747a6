//! `[listener]`: where webhooks come in, and from whom.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use super::Environment;
use super::keys::KeyPath;
use super::layer::{Origin, Value};
use super::read::{Reader, Show};
use super::sections::secret;
use crate::hook::{Hook, Kind};
use crate::world::target::{Secret, SecretSource};

/// Bytes of the name of a hook, which stands in its path and in the name of a credential.
const NAME_BYTES_MAX: usize = 63;

/// What the listener is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListenerSettings {
    /// Where it listens.
    pub address: ListenAddress,
    /// The hooks by their names.
    pub hooks: BTreeMap<String, HookSettings>,
    /// What stands in the place of the `Secret`s that webhook triggers of `BuildConfig`s name, by `NAMESPACE/NAME`.
    pub secrets: BTreeMap<String, BuildSecret>,
}

/// Where a listener listens.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ListenAddress {
    /// An address and a port; port 0 is any that is free.
    Tcp(SocketAddr),
    /// A socket of the file system.
    Unix(PathBuf),
}

impl ListenAddress {
    /// Whether only this host reaches it.
    fn is_local(&self) -> bool {
        match self {
            Self::Tcp(address) => address.ip().is_loopback(),
            Self::Unix(_) => true,
        }
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Where the secret of a trigger is (rule B19).
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum BuildSecret {
    /// A file, one secret a line.
    File(SecretSource),
    /// A variable of the environment, as it was when the configuration was read.
    Variable(Secret),
}

/// One hook.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HookSettings {
    /// What decides what a notice means.
    pub hook: Hook,
    /// Where its secrets are; none where it says that it has none.
    pub secret: Option<SecretSource>,
}

pub(super) fn settings(reader: &mut Reader, environment: &Environment) -> Option<ListenerSettings> {
    let address = address(reader);
    let section = KeyPath::of("listener.hooks");
    let is_local = address.as_ref().is_none_or(ListenAddress::is_local);
    let mut hooks = BTreeMap::new();
    for name in reader.names(&section) {
        let path = section.child(&name);
        let good = |c: u8| c.is_ascii_alphanumeric() || c == b'-' || c == b'_';
        if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.bytes().all(good) {
            reader.problem(&path, "the name of a hook has letters, digits, `-` and `_`");
        }
        if let Some(hook) = hook(reader, environment, &path, &name, is_local) {
            hooks.insert(name, hook);
        }
    }
    let secrets = build_secrets(reader, environment);
    let Some(address) = address else {
        let key = KeyPath::of("listener.address");
        if !hooks.is_empty() && reader.origin(&key) == Origin::Default {
            reader.warn(&section, "nothing listens for these hooks: `listener.address` is not set");
        }
        return None;
    };
    Some(ListenerSettings { address, hooks, secrets })
}

fn build_secrets(reader: &mut Reader, environment: &Environment) -> BTreeMap<String, BuildSecret> {
    let section = KeyPath::of("listener.secrets");
    let mut secrets = BTreeMap::new();
    for name in reader.names(&section) {
        let path = section.child(&name);
        let is_one = |part: &str| !part.is_empty() && !part.contains('/');
        if !name.split_once('/').is_some_and(|(space, own)| is_one(space) && is_one(own)) {
            let why = "name the Secret that stands in its place: \"NAMESPACE/NAME\"";
            reader.problem(&path, why);
        }
        let read = reader.read(&path, Show::Plain, |value| match value.text()?.split_once(':') {
            Some(("file", file)) if !file.is_empty() => Ok((true, file.to_owned())),
            Some(("env", variable)) if !variable.is_empty() => Ok((false, variable.to_owned())),
            // What stands there else is never shown: it may be the secret.
            Some(_) | None => Err(NO_BUILD_SECRET.to_owned()),
        });
        let secret = match read {
            Some((true, file)) => {
                let credential = environment.credential(&file).filter(|_| !file.contains('/'));
                let file =
                    credential.map_or_else(|| reader.absolute(&path, &file), |(file, _)| file);
                BuildSecret::File(SecretSource(file))
            }
            Some((false, variable)) => match environment.variables.get(&variable) {
                Some(value) => BuildSecret::Variable(Secret::new(value.clone())),
                None => {
                    reader.problem(&path, format!("the environment has no variable `{variable}`"));
                    continue;
                }
            },
            None => continue,
        };
        secrets.insert(name, secret);
    }
    secrets
}

/// What is told of a value that says no place.
const NO_BUILD_SECRET: &str =
    "a secret does not stand in this file, which others read: write `file:PATH` or `env:VARIABLE`";

fn address(reader: &mut Reader) -> Option<ListenAddress> {
    let key = KeyPath::of("listener.address");
    let text = reader.read(&key, Show::Plain, Value::text)?;
    if let Some(path) = text.strip_prefix("unix:") {
        let path = reader.absolute(&key, path);
        // sockaddr_un has 108 bytes, the last a zero.
        if path.as_os_str().len() > 107 {
            let why = format!("`{}` is too long for a socket: at most 107 bytes", path.display());
            reader.problem(&key, why);
        }
        reader.replace_note(format!("unix:{}", path.display()));
        return Some(ListenAddress::Unix(path));
    }
    let Ok(address) = text.parse::<SocketAddr>() else {
        let why = format!(
            "`{text}` is not an address to listen at: write `127.0.0.1:PORT`, `[::1]:PORT` or `unix:/PATH`"
        );
        reader.problem(&key, why);
        return None;
    };
    let address = ListenAddress::Tcp(address);
    if !address.is_local() {
        let why = "others than this host reach it, and there is no TLS, so that tokens can be read on the way; listen \
                   on loopback or a socket, with a reverse proxy in front";
        reader.warn(&key, why);
    }
    Some(address)
}

fn hook(
    reader: &mut Reader,
    environment: &Environment,
    path: &KeyPath,
    name: &str,
    is_local: bool,
) -> Option<HookSettings> {
    let kind = kind(reader, path);
    let has_none = no_secret(reader, &path.child("secret"), kind, is_local);
    let file_key = path.child("secret_file");
    let secret = secret(reader, environment, &file_key, name);
    if has_none && reader.is_set(&file_key) {
        reader
            .problem(&path.child("secret"), "there is a `secret_file` as well: remove one of both");
    }
    if secret.is_none() && !reader.is_set(&path.child("secret")) {
        let why = format!(
            "needs a secret: write `secret_file`, or hand `{name}.secret` over as a credential of systemd"
        );
        reader.problem(path, why);
    }
    let header = header(reader, &path.child("header"), kind);
    let registry = reader.read(&path.child("registry"), Show::Plain, |value| {
        let text = value.text()?;
        let odd = |c: char| c.is_whitespace() || matches!(c, '/' | '@');
        match text.is_empty() || text.contains(odd) {
            true => Err(format!("`{text}` is not a registry: write `HOST` or `HOST:PORT`")),
            false => Ok(text),
        }
    });
    let secret = secret.filter(|_| !has_none);
    Some(HookSettings { hook: Hook { kind: kind?, registry, header }, secret })
}

fn kind(reader: &mut Reader, path: &KeyPath) -> Option<Kind> {
    let words = || {
        let words: Vec<_> = Kind::ALL.iter().map(|kind| format!("`{kind}`")).collect();
        words.join(", ")
    };
    let key = path.child("kind");
    let kind = reader.read(&key, Show::Plain, |value| {
        let text = value.text()?;
        let known = Kind::ALL.into_iter().find(|kind| kind.as_str() == text);
        known.ok_or_else(|| format!("`{text}` is not one of {}", words()))
    });
    if kind.is_none() && !reader.is_set(&key) {
        reader.problem(path, format!("needs a `kind`: {}", words()));
    }
    kind
}

/// Whether the hook says that it has no secret. What stands there else is never shown: it may be one.
fn no_secret(reader: &mut Reader, key: &KeyPath, kind: Option<Kind>, is_local: bool) -> bool {
    let none = reader.read(key, Show::Plain, |value| match value.text().as_deref() {
        Ok("none") if !is_local => {
            Err("others than this host reach the listener: write `secret_file` instead".to_owned())
        }
        Ok("none") if kind == Some(Kind::NotifyPush) => {
            Err("who may say what a tag is has to prove itself: write `secret_file` instead"
                .to_owned())
        }
        Ok("none") => Ok(()),
        Ok(_) | Err(_) => Err(
            "a secret does not stand in this file, which others read: write it to another one and \
                               name that in `secret_file`, or write `none`"
                .to_owned(),
        ),
    });
    none.is_some()
}

fn header(reader: &mut Reader, key: &KeyPath, kind: Option<Kind>) -> String {
    let header = reader.read(key, Show::Plain, |value| {
        let text = value.text()?.to_ascii_lowercase();
        match reqwest::header::HeaderName::try_from(&text) {
            Ok(_) => Ok(text),
            Err(_) => Err(format!("`{text}` is not the name of a header")),
        }
    });
    let takes_one = match kind {
        Some(
            Kind::Distribution | Kind::Harbor | Kind::GitLab | Kind::Generic | Kind::NotifyPush,
        )
        | None => true,
        Some(Kind::DockerHub | Kind::GitHub | Kind::Quay | Kind::Gitea | Kind::Bitbucket) => false,
    };
    if header.is_some() && !takes_one {
        reader.problem(key, "has no meaning for this kind of hook: remove it");
    }
    header.unwrap_or_else(|| "authorization".to_owned())
}
