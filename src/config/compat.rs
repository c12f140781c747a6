//! OpenShift's `imagePolicyConfig`, taken as it is under `[compat.imagePolicyConfig]` (section 5.2, transcript P29).

use toml::Spanned;
use toml::de::DeValue;

use super::keys::KeyPath;
use super::layer::Value;

/// What a key of OpenShift's block comes to.
pub(super) enum Taken {
    /// This key of ours has this value.
    Set(&'static str, Value),
    /// It says what is so anyway.
    Nothing,
    /// It is known, and this version does not act on it; what does the same here.
    NotActedOn(&'static str),
    /// It cannot be read.
    Wrong(&'static str),
    /// OpenShift has no such key.
    Unknown,
}

/// The name of a key of the block; none for any other path.
pub(super) fn name(path: &KeyPath) -> Option<&str> {
    match path.0.as_slice() {
        [compat, block, name] if compat == "compat" && block == "imagePolicyConfig" => Some(name),
        _ => None,
    }
}

/// Reads a key, in any case: the founding documents write capital letters.
pub(super) fn take(name: &str, value: &DeValue<'_>) -> Taken {
    let number = || match value {
        DeValue::Integer(number) if number.radix() == 10 => number.as_str().parse::<i64>().ok(),
        DeValue::String(_)
        | DeValue::Integer(_)
        | DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_)
        | DeValue::Array(_)
        | DeValue::Table(_) => None,
    };
    const NUMBER: &str = "expected a number";
    match name.to_ascii_lowercase().as_str() {
        "maximagesbulkimportedperrepository" => match number() {
            None => Taken::Wrong(NUMBER),
            Some(0) => Taken::Nothing, // as in OpenShift: the default
            Some(limit) => Taken::Set(
                "imports.max_images_bulk_imported_per_repository",
                Value::Integer(limit.to_string()),
            ),
        },
        "scheduledimageimportminimumintervalseconds" => match number() {
            None => Taken::Wrong(NUMBER),
            Some(0) => Taken::Nothing,
            Some(seconds) => Taken::Set("imports.interval", Value::Text(format!("{seconds}s"))),
        },
        "disablescheduledimport" => match value {
            DeValue::Boolean(disabled) => {
                Taken::Set("imports.scheduled", Value::Boolean(!disabled))
            }
            DeValue::String(_)
            | DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Datetime(_)
            | DeValue::Array(_)
            | DeValue::Table(_) => Taken::Wrong("expected true or false"),
        },
        "maxscheduledimageimportsperminute" => match number() {
            None => Taken::Wrong(NUMBER),
            Some(0) => Taken::Nothing,
            Some(often) => Taken::Set(
                "imports.scheduled_per_minute",
                Value::Integer(often.max(0).to_string()), // a negative one is no limit there
            ),
        },
        "allowedregistriesforimport" => match allowed_registries(value) {
            Some(list) => Taken::Set("imports.allowed_registries", Value::List(list)),
            None => Taken::Wrong(
                "expected a list of tables like {domainName = \"quay.io\", insecure = false}",
            ),
        },
        "internalregistryhostname" | "externalregistryhostnames" | "externalregistryhostname" => {
            Taken::NotActedOn("there is no built-in registry")
        }
        "additionaltrustedca" => {
            Taken::NotActedOn("authorities are given by `registries.\"HOST\".ca_file`")
        }
        _ => Taken::Unknown,
    }
}

/// `HOST:PORT` of each entry of `allowedRegistriesForImport`: without a port, 443, or 80 where it is insecure.
fn allowed_registries(value: &DeValue<'_>) -> Option<Vec<String>> {
    let entry = |entry: &Spanned<DeValue<'_>>| {
        let (mut domain, mut insecure) = (None, false);
        for (key, value) in entry.get_ref().as_table()? {
            match key.get_ref().to_ascii_lowercase().as_str() {
                "domainname" => domain = Some(value.get_ref().as_str()?.to_owned()),
                "insecure" => insecure = value.get_ref().as_bool()?,
                _ => return None,
            }
        }
        let domain = domain?;
        Some(if insecure && !domain.contains(':') { format!("{domain}:80") } else { domain })
    };
    value.as_array()?.iter().map(entry).collect()
}
