//! Secrets with logins, in a folder outside git: for the streams of their own namespace (rules I166, I170).
//!
//! They are read whenever a registry wants a login, as files of logins are. What is told of them is the file, the name
//! and the kind of fault, never what stands in them: a parser's own message could quote a password (law 10).

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_yaml::Value;

use super::logins::{self, Logins};
use crate::limits;
use crate::names::Namespace;
use crate::pods::{Contents, SourceKind};

/// A folder of manifests, those of Secrets among them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SecretFolder {
    /// The folder; its `*.yaml`, `*.yml` and `*.json` are read, and no folder in it.
    pub path: PathBuf,
    /// The namespace of Secrets that name none.
    pub default_namespace: Namespace,
}

/// The namespaces that have logins of their own.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Owners {
    /// Namespaces with a Secret that counts.
    pub namespaces: BTreeSet<Namespace>,
    /// What could not be read, so that there may be others.
    pub problems: Vec<String>,
}

/// The Secrets of one namespace.
#[derive(Clone)]
pub(super) struct OwnLogins {
    pub(super) folder: Arc<SecretFolder>,
    pub(super) namespace: Namespace,
}

/// What the folder holds.
#[derive(Default)]
struct Held {
    secrets: Vec<LoginSecret>,
    problems: Vec<String>,
}

/// A Secret with logins.
struct LoginSecret {
    namespace: Namespace,
    /// Its name and its file.
    from: String,
    logins: Result<logins::File, String>,
}

impl OwnLogins {
    /// The logins of the namespace, over all of its Secrets: the closest first (rule I168).
    pub(super) async fn find(&self, host: &str, repository: &str) -> Logins {
        let folder = Arc::clone(&self.folder);
        let read = tokio::task::spawn_blocking(move || folder.read()).await;
        let Held { secrets, problems } = read.unwrap_or_default();
        let mut logins = Logins { found: Vec::new(), problems };
        let mut found = Vec::new();
        for secret in secrets.into_iter().filter(|secret| secret.namespace == self.namespace) {
            let LoginSecret { from, logins: file, .. } = secret;
            match file.and_then(|file| file.logins((host, repository), &from)) {
                Ok(logins) => found.extend(logins),
                Err(why) => logins.problems.push(format!("cannot use the {from}: {why}")),
            }
        }
        found.sort_by_key(|(len, _)| std::cmp::Reverse(*len));
        logins.found = found.into_iter().map(|(_, login)| login).collect();
        logins
    }
}

impl SecretFolder {
    /// Looks for the namespaces that have logins of their own.
    #[must_use]
    pub fn owners(&self) -> Owners {
        let Held { secrets, problems } = self.read();
        let namespaces = secrets.into_iter().map(|secret| secret.namespace).collect();
        Owners { namespaces, problems }
    }

    /// The files that are read, by name.
    pub(super) fn files(&self) -> io::Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        for entry in std::fs::read_dir(&self.path)? {
            let name = entry?.file_name();
            let kind = Path::new(&name).extension().and_then(|kind| kind.to_str());
            // Kubernetes mounts the true files in folders that begin with `..`, and links to them.
            let is_hidden = name.as_encoded_bytes().starts_with(b".");
            if !is_hidden && kind.is_some_and(|kind| ["yaml", "yml", "json"].contains(&kind)) {
                files.push(self.path.join(name));
            }
        }
        files.sort();
        Ok(files)
    }

    /// What the Secrets of a namespace hold, whatever they are for; one that cannot be read is not there.
    pub(super) fn contents(&self, namespace: &Namespace) -> Vec<(String, Contents)> {
        let mut found = Vec::new();
        for file in self.files().unwrap_or_default() {
            let text = text(&file).unwrap_or_default();
            let read = documents(&text).map(serde_yaml::from_str::<serde_json::Value>);
            for document in read.flatten() {
                self.take_contents(&document, namespace, &mut found);
            }
        }
        found
    }

    fn take_contents(
        &self,
        document: &serde_json::Value,
        namespace: &Namespace,
        found: &mut Vec<(String, Contents)>,
    ) {
        let of = |path: &str| document.pointer(path).and_then(serde_json::Value::as_str);
        match of("/kind") {
            Some("List" | "SecretList") => {
                let items = document.get("items").and_then(serde_json::Value::as_array);
                let items = items.into_iter().flatten();
                items.for_each(|item| self.take_contents(item, namespace, found));
            }
            Some("Secret") => {
                let own = of("/metadata/namespace").filter(|own| !own.is_empty());
                let own = own.unwrap_or(self.default_namespace.as_str());
                let read = Contents::read(SourceKind::Secret, document);
                if let (true, Some(name), Ok(contents)) =
                    (own == namespace.as_str(), of("/metadata/name"), read)
                {
                    found.push((name.to_owned(), contents));
                }
            }
            Some(_) | None => {}
        }
    }

    fn read(&self) -> Held {
        let mut held = Held::default();
        match self.files() {
            Ok(files) => files.iter().for_each(|file| self.read_file(file, &mut held)),
            Err(error) => held.problems.push(format!(
                "cannot read the folder of Secrets `{}`: {error}",
                self.path.display()
            )),
        }
        held
    }

    fn read_file(&self, file: &Path, held: &mut Held) {
        let mut tell = |why: &str| {
            held.problems.push(format!("cannot read Secrets in `{}`: {why}", file.display()));
        };
        match text(file) {
            Ok(text) => {
                for (at, document) in documents(&text).enumerate() {
                    match serde_yaml::from_str::<Value>(document) {
                        Ok(value) => self.take(file, &value, held),
                        Err(_) => held.problems.push(format!(
                            "cannot read Secrets in `{}`: document {} is not YAML",
                            file.display(),
                            at + 1
                        )),
                    }
                }
            }
            Err(error) => tell(&error.to_string()),
        }
    }

    fn take(&self, file: &Path, value: &Value, held: &mut Held) {
        match field(value, "kind") {
            Some("List" | "SecretList") => {
                let items = value.get("items").and_then(Value::as_sequence);
                items.into_iter().flatten().for_each(|item| self.take(file, item, held));
            }
            Some("Secret") => match self.secret(file, value) {
                Ok(secret) => held.secrets.extend(secret),
                Err(why) => held.problems.push(why),
            },
            Some(_) | None => {}
        }
    }

    /// A Secret with logins; none where it is of another type, or is not to be used.
    fn secret(&self, file: &Path, value: &Value) -> Result<Option<LoginSecret>, String> {
        let of = |key: &str| value.get("metadata").and_then(|metadata| field(metadata, key));
        let (name, file) = (of("name").unwrap_or("without a name"), file.display());
        let wrong = |why: &str| format!("cannot use the Secret `{name}` in `{file}`: {why}");
        let kinds = [
            ("kubernetes.io/dockerconfigjson", ".dockerconfigjson"),
            ("kubernetes.io/dockercfg", ".dockercfg"),
        ];
        let kind = field(value, "type");
        let has = |key: &str| {
            let parts = ["data", "stringData"].into_iter().filter_map(|part| value.get(part));
            parts.into_iter().any(|part| part.get(key).is_some())
        };
        let Some((_, key)) = kinds.into_iter().find(|(of, _)| kind == Some(*of)) else {
            let meant = kinds.into_iter().find(|(_, key)| has(key));
            return meant
                .map_or(Ok(None), |(of, _)| Err(wrong(&format!("its `type` is not `{of}`"))));
        };
        let notes = value.get("metadata").and_then(|metadata| metadata.get("annotations"));
        if notes.and_then(|notes| field(notes, EXCLUDE)) == Some("true") {
            return Ok(None);
        }
        let namespace = match of("namespace").filter(|namespace| !namespace.is_empty()) {
            Some(text) => text.parse().map_err(|_| wrong("its namespace is not a name"))?,
            None => self.default_namespace.clone(),
        };
        let from = format!("Secret `{namespace}/{name}` in `{file}`");
        let logins = content(value, key)
            .and_then(|bytes| logins::File::of_secret(&bytes, key == ".dockercfg"));
        Ok(Some(LoginSecret { namespace, from, logins }))
    }
}

/// The annotation of a Secret that is not used for imports.
const EXCLUDE: &str = "openshift.io/image.excludeSecret";

/// What stands under a key of a Secret; `stringData` counts before `data`, as in Kubernetes.
fn content(secret: &Value, key: &str) -> Result<Vec<u8>, String> {
    let of = |part: &str| secret.get(part).and_then(|part| field(part, key));
    if let Some(text) = of("stringData") {
        return Ok(text.into());
    }
    let text = of("data").ok_or_else(|| format!("it has no text under `{key}`"))?;
    let text: String = text.split_whitespace().collect();
    STANDARD.decode(text).map_err(|_| format!("what it has under `{key}` is not base64"))
}

fn field<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key).and_then(Value::as_str)
}

fn text(file: &Path) -> io::Result<String> {
    if std::fs::metadata(file)?.len() > limits::REGISTRY_LOGINS_BYTES_MAX {
        return Err(io::Error::other("the file is too large"));
    }
    std::fs::read_to_string(file)
}

/// The documents of a YAML text, cut apart before they are read: one that is broken hides no other.
fn documents(text: &str) -> impl Iterator<Item = &str> {
    let is_mark = |line: &str| {
        line.strip_prefix("---")
            .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
    };
    let mut starts = vec![0];
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        if at > 0 && is_mark(line) {
            starts.push(at);
        }
        at += line.len();
    }
    starts.push(text.len());
    let ends: Vec<_> = starts.iter().skip(1).copied().collect();
    starts.into_iter().zip(ends).filter_map(|(from, to)| text.get(from..to))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_broken_document_hides_no_other_and_nothing_of_it_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let file = std::fs::File::create(folder.path().join(name));
            file.unwrap().write_all(text.as_bytes()).unwrap();
        };
        let secret = |name: &str, rest: &str| {
            format!("--- # one\nkind: Secret\nmetadata: {{name: {name}}}\n{rest}\n")
        };
        let kind = "type: kubernetes.io/dockercfg";
        let text = [
            secret("bare", "type: Opaque"),
            "---\nkind: [hunter2\n".to_owned(),
            "--- 'hunter2\n".to_owned(),
            secret("mistaken", "stringData: {.dockerconfigjson: hunter2}"),
            secret("empty", kind),
            secret("wrong", &format!("{kind}\ndata: {{.dockercfg: hunter2!}}")),
            secret("good", &format!("{kind}\nstringData: {{.dockercfg: '{{}}'}}")),
        ];
        write("a.yaml", &text.concat());
        write("notes.txt", "hunter2: [");
        let folder = SecretFolder {
            path: folder.path().to_owned(),
            default_namespace: "shop".parse().unwrap(),
        };
        let held = folder.read();
        let names: Vec<_> = held.secrets.iter().map(|secret| secret.from.as_str()).collect();
        let place = format!("in `{}/a.yaml`", folder.path.display());
        let named = ["empty", "wrong", "good"].map(|n| format!("Secret `shop/{n}` {place}"));
        assert_eq!(names, named);
        let whys: Vec<_> = held.secrets.iter().map(|s| s.logins.as_ref().err()).collect();
        let why =
            ["it has no text under `.dockercfg`", "what it has under `.dockercfg` is not base64"];
        assert_eq!(whys, [Some(&why[0].to_owned()), Some(&why[1].to_owned()), None]);
        let expected = [
            format!("cannot read Secrets {place}: document 2 is not YAML"),
            format!("cannot read Secrets {place}: document 3 is not YAML"),
            format!(
                "cannot use the Secret `mistaken` {place}: its `type` is not `kubernetes.io/dockerconfigjson`"
            ),
        ];
        assert_eq!(held.problems, expected);
        let gone = SecretFolder { path: folder.path.join("gone"), ..folder };
        assert_eq!(gone.owners().problems.len(), 1);
    }
}
