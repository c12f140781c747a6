//! Sizes as `oc` writes them.

const UNITS: [&str; 9] = ["B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"];

/// A size in decimal units, four digits at most: `75.4MB`, `4.832kB`, `0B` (rule I119).
#[must_use]
pub fn human(bytes: i64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "four digits are shown")]
    let mut size = bytes as f64;
    let mut unit = 0;
    while size >= 1000.0 && unit + 1 < UNITS.len() {
        size /= 1000.0;
        unit += 1;
    }
    let whole = format!("{:.0}", size.trunc().abs()).len();
    let text = format!("{size:.*}", 4_usize.saturating_sub(whole));
    let text = match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.'),
        false => &text,
    };
    format!("{text}{}", UNITS.get(unit).copied().unwrap_or_default())
}
