//! What looks like a secret is replaced before anything is compared or shown (law 10).
//!
//! A placeholder carries a number instead of the value: the first value seen under a name is `hidden 1`, another value
//! under the same name is `hidden 2`. So a change is visible, and nothing about the value is: a short hash would let
//! whoever reads a report in a pull request test guesses.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Map, Value};

use crate::secret::{WORDS, sounds_secret};

/// Fields that hold a secret themselves, wherever they stand: the secret of a build's webhook, for one.
const SECRET_FIELDS: [&str; 9] = [
    "secret",
    "password",
    "passwd",
    "passphrase",
    "token",
    "apikey",
    "privatekey",
    "credential",
    "credentials",
];

/// The annotation in which kubectl keeps a whole earlier copy of the object.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

struct Patterns {
    option: Option<Regex>,
    login: Option<Regex>,
    pem: Option<Regex>,
}

/// A pattern that did not compile would hide nothing; a test makes sure that all do.
static PATTERNS: LazyLock<Patterns> = LazyLock::new(|| Patterns {
    option: Regex::new(&format!(r"(?is)^(-{{0,2}}[\w.-]*(?:{WORDS})[\w.-]*[=:]\s*)(.+)$")).ok(),
    login: Regex::new(r"(://)(\S*:\S*|[^\s@/]+)(@)").ok(),
    pem: Regex::new(r"(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*").ok(),
});

/// The values that one comparison hid, so that equal ones look equal on both of its sides.
#[derive(Default)]
pub(super) struct Hidden {
    seen: BTreeMap<String, Vec<String>>,
}

impl Hidden {
    /// Replaces what looks like a secret in a manifest.
    pub(super) fn redact(&mut self, manifest: &mut Value) {
        if manifest.get("kind").and_then(Value::as_str) == Some("Secret") {
            self.redact_secret(manifest);
        } else {
            self.walk("", manifest);
        }
    }

    /// A `Secret`: nothing but what names it is shown.
    fn redact_secret(&mut self, manifest: &mut Value) {
        let Some(fields) = manifest.as_object_mut() else { return };
        for (field, value) in fields.iter_mut() {
            match field.as_str() {
                "apiVersion" | "kind" | "type" | "immutable" => {}
                "metadata" => {
                    for (field, value) in value.as_object_mut().into_iter().flat_map(Map::iter_mut)
                    {
                        if !matches!(field.as_str(), "name" | "namespace" | "labels") {
                            self.leaves(field, value);
                        }
                    }
                }
                field => self.leaves(field, value),
            }
        }
    }

    /// Hides every leaf; keys stay.
    fn leaves(&mut self, name: &str, value: &mut Value) {
        match value {
            Value::Object(fields) => {
                for (field, value) in fields.iter_mut() {
                    self.leaves(&format!("{name}.{field}"), value);
                }
            }
            Value::Array(values) => values.iter_mut().for_each(|value| self.leaves(name, value)),
            Value::Null => {}
            Value::Bool(_) | Value::Number(_) | Value::String(_) => self.hide(name, value),
        }
    }

    /// Any other manifest: environment variables, `ConfigMap` keys, options and logins that look like secrets.
    fn walk(&mut self, name: &str, value: &mut Value) {
        match value {
            Value::Object(fields) => {
                let variable = fields.get("name").and_then(Value::as_str).map(str::to_owned);
                for (field, value) in fields.iter_mut() {
                    let scalar = !value.is_object() && !value.is_array() && !value.is_null();
                    let own = variable.as_deref().filter(|_| field == "value");
                    let secret = match own {
                        Some(variable) => sounds_secret(variable),
                        None if matches!(
                            name,
                            "data" | "binaryData" | "stringData" | "annotations"
                        ) =>
                        {
                            field == LAST_APPLIED || sounds_secret(field)
                        }
                        None => SECRET_FIELDS.contains(&field.to_ascii_lowercase().as_str()),
                    };
                    if scalar && secret {
                        self.hide(own.unwrap_or(field), value);
                    } else {
                        self.walk(field, value);
                    }
                }
            }
            Value::Array(values) => self.walk_list(name, values),
            Value::String(text) => self.text(name, text),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// A list: the word after `--password` is as secret as the one in `--password=…`.
    fn walk_list(&mut self, name: &str, values: &mut [Value]) {
        let mut option: Option<String> = None;
        for value in values {
            let word = value.as_str().map(str::to_owned);
            let is_option = |word: &String| word.starts_with('-') && !word.contains(['=', ' ']);
            match (option.take(), &word) {
                (Some(option), Some(word)) if !word.starts_with('-') => self.hide(&option, value),
                (Some(_) | None, _) => self.walk(name, value),
            }
            option = word.filter(is_option).filter(|word| sounds_secret(word));
        }
    }

    /// A text that is not secret as a whole may hold an option or a login.
    fn text(&mut self, name: &str, text: &mut String) {
        let pattern = |pattern: &'static Option<Regex>| pattern.as_ref();
        if let Some(found) = pattern(&PATTERNS.option).and_then(|option| option.captures(text))
            && let (Some(start), Some(value)) = (found.get(1), found.get(2))
        {
            let mark = self.mark(start.as_str(), value.as_str());
            *text = format!("{}{mark}", start.as_str());
            return;
        }
        if let Some(login) = pattern(&PATTERNS.login) {
            let replace = |found: &regex::Captures<'_>| {
                let part = |n| found.get(n).map_or("", |part| part.as_str());
                format!("{}{}{}", part(1), self.mark(name, part(2)), part(3))
            };
            let shown = login.replace_all(text, replace).into_owned();
            *text = shown;
        }
        if let Some(found) = pattern(&PATTERNS.pem).and_then(|pem| pem.find(text)) {
            let mark = self.mark(name, found.as_str());
            *text = format!("{}{mark}", text.get(..found.start()).unwrap_or_default());
        }
    }

    fn hide(&mut self, name: &str, value: &mut Value) {
        let plain = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        *value = Value::String(self.mark(name, &plain));
    }

    /// The placeholder of a value: a number per name, in the order in which values are met.
    fn mark(&mut self, name: &str, value: &str) -> String {
        let seen = self.seen.entry(name.to_owned()).or_default();
        let known = seen.iter().position(|known| known == value);
        let index = known.unwrap_or_else(|| {
            seen.push(value.to_owned());
            seen.len() - 1
        });
        format!("<hidden {}>", index + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn redacted(mut manifest: Value) -> String {
        Hidden::default().redact(&mut manifest);
        manifest.to_string()
    }

    #[test]
    fn every_pattern_compiles() {
        assert!(PATTERNS.option.is_some() && PATTERNS.login.is_some() && PATTERNS.pem.is_some());
    }

    #[test]
    fn what_is_no_secret_stays_readable() {
        let manifest = json!({
            "kind": "DeploymentConfig",
            "spec": {"containers": [{"name": "web", "env": [
                {"name": "LOG_LEVEL", "value": "info"},
                {"name": "DB_PASSWORD", "valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}}},
            ]}], "volumes": [{"name": "tls", "secret": {"secretName": "web-tls"}}]},
        });
        assert_eq!(redacted(manifest.clone()), manifest.to_string());
    }

    #[test]
    fn a_changed_secret_is_seen_as_changed_and_not_shown() {
        let mut hidden = Hidden::default();
        let secret = |value: &str| json!({"kind": "Secret", "data": {"password": value}});
        let (mut old, mut same, mut new) = (secret("aaaa"), secret("aaaa"), secret("bbbb"));
        hidden.redact(&mut old);
        hidden.redact(&mut same);
        hidden.redact(&mut new);
        assert_eq!(old, same);
        assert_eq!(old.pointer("/data/password"), Some(&json!("<hidden 1>")));
        assert_eq!(new.pointer("/data/password"), Some(&json!("<hidden 2>")));
    }

    proptest! {
        #[test]
        fn a_secret_never_shows(secret in "[A-Za-z0-9+/]{12,40}") {
            let places = [
                json!({"kind": "Secret", "data": {"a": secret}}),
                json!({"kind": "Secret", "stringData": {"a": secret}}),
                json!({"kind": "Secret", "metadata": {"name": "x", "annotations": {LAST_APPLIED: secret}}}),
                json!({"kind": "Secret", "extra": [{"deep": secret}]}),
                json!({"kind": "Deployment", "env": [{"name": "API_TOKEN", "value": secret}]}),
                json!({"kind": "Deployment", "env": [{"value": secret, "name": "dbPassword"}]}),
                json!({"kind": "Deployment", "env": [{"name": "URL", "value": format!("postgres://u:{secret}@db/x")}]}),
                json!({"kind": "Deployment", "args": [format!("--password={secret}")]}),
                json!({"kind": "Deployment", "args": ["--password", secret]}),
                json!({"kind": "ConfigMap", "data": {"db-password": secret}}),
                json!({"kind": "BuildConfig", "spec": {"triggers": [{"github": {"secret": secret}}]}}),
            ];
            for place in places {
                let shown = redacted(place.clone());
                prop_assert!(!shown.contains(&secret), "{} shows it", shown);
            }
        }
    }
}
