//! What a `ConfigMap` or a `Secret` holds, and what may be known of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{ConfigName, SourceKind};
use crate::names::{ContentHash, Namespace};

/// The values, by key. Never printed: they may be secrets.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Contents {
    values: BTreeMap<String, Vec<u8>>,
    /// Keys of `binaryData`, which are files and no variables.
    binary: BTreeSet<String>,
    /// Its annotations.
    annotations: BTreeMap<String, String>,
}

impl fmt::Debug for Contents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.values.keys()).finish()
    }
}

/// Those of a commit that can be read.
pub type Configs = BTreeMap<(Namespace, ConfigName), Contents>;

/// What may be known of one without its values.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Summary {
    /// Tells one content from another: 32 bits of a hash.
    pub version: String,
    /// Its keys.
    pub keys: BTreeSet<String>,
    /// Why it cannot be read.
    #[serde(default)]
    pub fault: Option<String>,
}

impl ConfigName {
    /// Reads what a document is, where it is one of them.
    #[must_use]
    pub fn of(api_version: &str, kind: &str, name: &str) -> Option<Self> {
        let kind = match (api_version, kind) {
            ("v1", "ConfigMap") => SourceKind::ConfigMap,
            ("v1", "Secret") => SourceKind::Secret,
            _ => return None,
        };
        Some(Self { kind, name: name.to_owned() })
    }
}

impl Contents {
    /// Reads a document.
    ///
    /// # Errors
    /// What of it cannot be read; no value is named.
    pub fn read(kind: SourceKind, document: &Value) -> Result<Self, String> {
        let mut contents = Self::default();
        let annotations = document.pointer("/metadata/annotations").and_then(Value::as_object);
        let text =
            |(name, value): (&String, &Value)| Some((name.clone(), value.as_str()?.to_owned()));
        contents.annotations = annotations.into_iter().flatten().filter_map(text).collect();
        let encoded = match kind {
            SourceKind::ConfigMap => "binaryData",
            SourceKind::Secret => "data",
        };
        let plain = match kind {
            SourceKind::ConfigMap => "data",
            SourceKind::Secret => "stringData", // over `data`, as Kubernetes has it
        };
        for (list, is_encoded) in [(encoded, true), (plain, false)] {
            let entries = document.get(list).and_then(Value::as_object).into_iter().flatten();
            for (key, value) in entries.filter(|(_, value)| !value.is_null()) {
                let Some(text) = value.as_str() else {
                    return Err(format!("`{list}.{key}` is no text; quote it"));
                };
                let bytes = match is_encoded {
                    true => STANDARD
                        .decode(text.split_whitespace().collect::<String>())
                        .map_err(|_| format!("`{list}.{key}` is no base64"))?,
                    false => text.as_bytes().to_vec(),
                };
                if kind == SourceKind::ConfigMap && is_encoded {
                    contents.binary.insert(key.clone());
                }
                contents.values.insert(key.clone(), bytes);
            }
        }
        Ok(contents)
    }

    /// What may be known of it.
    #[must_use]
    pub fn summary(read: Result<Self, String>) -> Summary {
        match read {
            Ok(contents) => {
                let mut bytes = Vec::new();
                for (key, value) in &contents.values {
                    put(&mut bytes, key.as_bytes());
                    put(&mut bytes, value);
                }
                let version = hash8(&bytes);
                Summary { version, keys: contents.values.keys().cloned().collect(), fault: None }
            }
            Err(fault) => {
                Summary { version: String::new(), keys: BTreeSet::new(), fault: Some(fault) }
            }
        }
    }

    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&[u8]> {
        self.values.get(key).map(Vec::as_slice)
    }

    /// The values of its annotations whose names begin so.
    pub fn annotated(&self, prefix: &str) -> impl Iterator<Item = &String> {
        let found = self.annotations.iter().filter(move |(name, _)| name.starts_with(prefix));
        found.map(|(_, value)| value)
    }

    /// All of them, by key.
    pub fn iter(&self) -> impl Iterator<Item = (&String, &Vec<u8>)> {
        self.values.iter()
    }

    /// What becomes variables.
    pub(super) fn variables(&self) -> impl Iterator<Item = (&String, &Vec<u8>)> {
        self.values.iter().filter(|(key, _)| !self.binary.contains(*key))
    }
}

/// A piece of what is hashed, told from the next by its length.
pub(super) fn put(bytes: &mut Vec<u8>, piece: &[u8]) {
    bytes.extend((piece.len() as u64).to_be_bytes());
    bytes.extend(piece);
}

/// The first 32 bits of a hash, as a name ends in them.
pub(super) fn hash8(bytes: &[u8]) -> String {
    let hash = ContentHash::of(bytes).to_string();
    let hex = hash.rsplit(':').next().unwrap_or_default();
    hex.chars().take(8).collect()
}
