//! The variables of a build: where their values are from, and what of other variables stands in them (rule B56).

use std::collections::BTreeMap;

use super::spec::{EnvVar, KeyOf, ValueFrom};
use crate::pods::{ConfigName, Contents, SourceKind};

/// A variable with its value. Never printed as a whole: the value may be a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
    /// Whether the value is out of a `Secret`.
    pub is_secret: bool,
}

/// Gives variables their values, each with those before it in place of `$(NAME)`; a name that comes again has the last
/// value.
///
/// # Errors
/// What cannot be resolved; no value is named.
pub fn resolve<'a>(
    variables: &[EnvVar],
    contents: impl Fn(&ConfigName) -> Option<&'a Contents>,
    field: impl Fn(&str) -> Option<String>,
) -> Result<Vec<Variable>, String> {
    let mut resolved: Vec<Variable> = Vec::new();
    for EnvVar { name, value, value_from } in variables {
        let variable = match value_from {
            None => Some(expanded(value, &resolved)),
            Some(from) => value_of(name, from, &contents, &field)?,
        };
        let Some((value, is_secret)) = variable else { continue };
        put(&mut resolved, Variable { name: name.clone(), value, is_secret });
    }
    Ok(resolved)
}

/// Puts variables over others: in the place of those with the same name, else behind them.
pub fn put(variables: &mut Vec<Variable>, new: Variable) {
    match variables.iter_mut().find(|known| known.name == new.name) {
        Some(known) => *known = new,
        None => variables.push(new),
    }
}

/// None where it may be missing and is.
fn value_of<'a>(
    name: &str,
    from: &ValueFrom,
    contents: &impl Fn(&ConfigName) -> Option<&'a Contents>,
    field: &impl Fn(&str) -> Option<String>,
) -> Result<Option<(String, bool)>, String> {
    let ValueFrom { secret_key_ref, config_map_key_ref, field_ref, resource_field_ref } = from;
    if let Some(of) = secret_key_ref {
        let value = value_at(name, SourceKind::Secret, of, contents)?;
        return Ok(value.map(|value| (value, true)));
    }
    if let Some(of) = config_map_key_ref {
        let value = value_at(name, SourceKind::ConfigMap, of, contents)?;
        return Ok(value.map(|value| (value, false)));
    }
    if let Some(of) = field_ref {
        let path = &of.field_path;
        let value = field(path)
            .ok_or_else(|| format!("variable `{name}`: a build has no field `{path}`"))?;
        return Ok(Some((value, false)));
    }
    if resource_field_ref.is_some() {
        return Err(format!("variable `{name}`: resourceFieldRef is not for builds"));
    }
    Err(format!("variable `{name}` has a `valueFrom` that names nothing"))
}

fn value_at<'a>(
    name: &str,
    kind: SourceKind,
    of: &KeyOf,
    contents: &impl Fn(&ConfigName) -> Option<&'a Contents>,
) -> Result<Option<String>, String> {
    let source = ConfigName { kind, name: of.name.clone() };
    let Some(found) = contents(&source) else {
        return match of.optional {
            true => Ok(None),
            false => Err(format!("variable `{name}` needs {source}, which is not there")),
        };
    };
    let Some(value) = found.get(&of.key) else {
        let key = &of.key;
        return match of.optional {
            true => Ok(None),
            false => Err(format!("variable `{name}` needs the key `{key}` of {source}")),
        };
    };
    match std::str::from_utf8(value) {
        Ok(text) => Ok(Some(text.to_owned())),
        Err(_) => Err(format!("variable `{name}`: `{}` of {source} is no text", of.key)),
    }
}

/// A value with `$(NAME)` put in; whether any of it is a secret. `$$(NAME)` stays as `$(NAME)`, and so does a name that is
/// not known.
fn expanded(value: &str, known: &[Variable]) -> (String, bool) {
    let known: BTreeMap<&str, &Variable> =
        known.iter().map(|one| (one.name.as_str(), one)).collect();
    let (mut text, mut is_secret, mut rest) = (String::new(), false, value);
    while let Some(at) = rest.find('$') {
        let (before, after) = rest.split_at(at);
        text.push_str(before);
        let after = after.get(1..).unwrap_or_default();
        if let Some(behind) = after.strip_prefix('$') {
            text.push('$');
            rest = behind;
        } else if let Some((name, behind)) =
            after.strip_prefix('(').and_then(|inner| inner.split_once(')'))
        {
            match known.get(name) {
                Some(one) => {
                    text.push_str(&one.value);
                    is_secret |= one.is_secret;
                }
                None => text.push_str(&format!("$({name})")),
            }
            rest = behind;
        } else {
            text.push('$');
            rest = after;
        }
    }
    text.push_str(rest);
    (text, is_secret)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn resolved(env: &serde_json::Value) -> Result<Vec<(String, String, bool)>, String> {
        let env: Vec<EnvVar> = serde_json::from_value(env.clone()).unwrap();
        let secret = json!({"data": {"password": "aHVudGVyMg==", "raw": "/w=="}});
        let secret = Contents::read(SourceKind::Secret, &secret).unwrap();
        let map = json!({"data": {"host": "db"}});
        let map = Contents::read(SourceKind::ConfigMap, &map).unwrap();
        let contents = |name: &ConfigName| match (name.kind, name.name.as_str()) {
            (SourceKind::Secret, "login") => Some(&secret),
            (SourceKind::ConfigMap, "places") => Some(&map),
            _ => None,
        };
        let field = |path: &str| (path == "metadata.name").then(|| "web-1".to_owned());
        let all = resolve(&env, contents, field)?;
        Ok(all.into_iter().map(|one| (one.name, one.value, one.is_secret)).collect())
    }

    #[test]
    fn b056_a_value_is_from_a_secret_a_config_map_or_a_field_and_may_name_others() {
        let env = json!([
            {"name": "PW", "valueFrom": {"secretKeyRef": {"name": "login", "key": "password"}}},
            {"name": "HOST", "valueFrom": {"configMapKeyRef": {"name": "places", "key": "host"}}},
            {"name": "BUILD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {"name": "NONE", "valueFrom": {"secretKeyRef": {"name": "no", "key": "k", "optional": true}}},
            {"name": "URL", "value": "db://me:$(PW)@$(HOST)/$(BUILD)"},
            {"name": "LITERAL", "value": "$$(HOST) $(LATER) $HOME $"},
            {"name": "HOST", "value": "$(HOST)2"},
        ]);
        let row = |name: &str, value: &str, secret| (name.to_owned(), value.to_owned(), secret);
        let wanted = [
            row("PW", "hunter2", true),
            row("HOST", "db2", false),
            row("BUILD", "web-1", false),
            row("URL", "db://me:hunter2@db/web-1", true),
            row("LITERAL", "$(HOST) $(LATER) $HOME $", false),
        ];
        assert_eq!(resolved(&env).unwrap(), wanted);
    }

    #[test]
    fn b056_what_cannot_be_resolved_is_named_without_its_value() {
        for (from, why) in [
            (
                json!({"secretKeyRef": {"name": "no", "key": "k"}}),
                "variable `A` needs secret/no, which is not there",
            ),
            (
                json!({"secretKeyRef": {"name": "login", "key": "k"}}),
                "variable `A` needs the key `k` of secret/login",
            ),
            (
                json!({"secretKeyRef": {"name": "login", "key": "raw"}}),
                "variable `A`: `raw` of secret/login is no text",
            ),
            (
                json!({"fieldRef": {"fieldPath": "spec.x"}}),
                "variable `A`: a build has no field `spec.x`",
            ),
            (
                json!({"resourceFieldRef": {"resource": "limits.cpu"}}),
                "variable `A`: resourceFieldRef is not for builds",
            ),
            (json!({}), "variable `A` has a `valueFrom` that names nothing"),
        ] {
            let env = json!([{"name": "A", "valueFrom": from}]);
            assert_eq!(resolved(&env).unwrap_err(), why);
        }
    }
}
