//! Sizes in bytes: `1GiB`, `512MiB`, `64KiB`, `4096`.

use super::layer::Value;

const UNITS: [(&str, u64); 4] =
    [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40)];

/// Reads a size; none where `unlimited` says that there is no limit.
pub(super) fn size_or_unlimited(value: &Value) -> Result<Option<u64>, String> {
    let text = match value {
        Value::Integer(number) => number.clone(),
        Value::Untyped(_) | Value::Text(_) | Value::Boolean(_) | Value::List(_) => value.text()?,
    };
    if text == "unlimited" {
        return Ok(None);
    }
    let unit = UNITS.iter().find_map(|(unit, bytes)| Some((text.strip_suffix(unit)?, *bytes)));
    let (number, bytes) = unit.unwrap_or((&text, 1));
    let number = number.trim().parse::<u64>().ok().and_then(|number| number.checked_mul(bytes));
    number.map(Some).ok_or_else(|| {
        format!("`{text}` is not a size: write \"512MiB\", \"1GiB\", a number of bytes, or \"unlimited\"")
    })
}

/// Reads a span; none where `forever` says that there is no end.
pub(super) fn span_or_forever(value: &Value) -> Result<Option<std::time::Duration>, String> {
    match value {
        Value::Untyped(text) | Value::Text(text) if text == "forever" => Ok(None),
        Value::Untyped(_)
        | Value::Text(_)
        | Value::Integer(_)
        | Value::Boolean(_)
        | Value::List(_) => value
            .span(std::time::Duration::ZERO)
            .map(Some)
            .map_err(|why| format!("{why}, or \"forever\"")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(text: &str) -> Result<Option<u64>, String> {
        size_or_unlimited(&Value::Text(text.into()))
    }

    #[test]
    fn a_size_is_a_number_with_a_binary_unit_or_without_one() {
        assert_eq!(size("1GiB"), Ok(Some(1 << 30)));
        assert_eq!(size("512 MiB"), Ok(Some(512 << 20)));
        assert_eq!(size_or_unlimited(&Value::Integer("4096".into())), Ok(Some(4096)));
        assert_eq!(size("unlimited"), Ok(None));
        for wrong in ["", "1GB", "-1", "GiB", "99999999999999TiB", "1.5GiB"] {
            assert!(size(wrong).is_err_and(|why| why.contains("is not a size")), "{wrong}");
        }
        assert_eq!(span_or_forever(&Value::Text("forever".into())), Ok(None));
        assert!(
            span_or_forever(&Value::Text("long".into()))
                .is_err_and(|why| why.ends_with("or \"forever\""))
        );
    }
}
