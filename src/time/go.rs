//! Durations as Go writes them, which the flags of `oc` take: `60m`, `1h30m`, `1.5h`, `-5s`, `0`.

/// Units in nanoseconds.
const UNITS: [(&str, f64); 8] = [
    ("ns", 1.0),
    ("us", 1e3),
    ("µs", 1e3),
    ("μs", 1e3),
    ("ms", 1e6),
    ("s", 1e9),
    ("m", 60e9),
    ("h", 3600e9),
];

/// Reads one; milliseconds, what is below them cut.
///
/// # Errors
/// In Go's words.
pub fn go_duration(text: &str) -> Result<i64, String> {
    let invalid = || format!("time: invalid duration \"{text}\"");
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut nanos = 0.0;
    while !rest.is_empty() {
        let is_number = |c: char| c.is_ascii_digit() || c == '.';
        let (number, after) = rest.split_at(rest.find(|c| !is_number(c)).unwrap_or(rest.len()));
        let (unit, after) = after.split_at(after.find(is_number).unwrap_or(after.len()));
        let number: f64 = number.parse().map_err(|_| invalid())?;
        if unit.is_empty() {
            return Err(format!("time: missing unit in duration \"{text}\""));
        }
        let known = UNITS.iter().find(|(name, _)| *name == unit);
        let unknown = || format!("time: unknown unit \"{unit}\" in duration \"{text}\"");
        nanos += number * known.ok_or_else(unknown)?.1;
        rest = after;
    }
    // Go counts nanoseconds in 64 bits.
    if nanos > 9_223_372_036_854_775_807.0 {
        return Err(invalid());
    }
    #[expect(clippy::cast_possible_truncation, reason = "it was compared with the largest")]
    Ok((sign * nanos / 1e6) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_reads_them() {
        for (text, millis) in [
            ("0", 0),
            ("-0", 0),
            ("0s", 0),
            ("60m", 3_600_000),
            ("1h30m", 5_400_000),
            ("1.5h", 5_400_000),
            ("+100ms", 100),
            ("-5s", -5_000),
            ("999us", 0),
            ("2562047h", 9_223_369_200_000),
        ] {
            assert_eq!(go_duration(text), Ok(millis), "{text}");
        }
        for (text, why) in [
            ("", "time: invalid duration \"\""),
            ("-", "time: invalid duration \"-\""),
            ("m", "time: invalid duration \"m\""),
            ("1.2.3m", "time: invalid duration \"1.2.3m\""),
            ("9999999h", "time: invalid duration \"9999999h\""),
            ("60", "time: missing unit in duration \"60\""),
            ("1d", "time: unknown unit \"d\" in duration \"1d\""),
        ] {
            assert_eq!(go_duration(text), Err(why.to_owned()), "{text}");
        }
    }
}
