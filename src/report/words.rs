//! How times, digests and headings are written.

use anstyle::{AnsiColor, Style};

use crate::names::Digest;
use crate::time::{Timestamp, ago};

/// Headings.
pub(super) const HEADING: Style = Style::new().bold();
/// What is gone or wrong.
pub(super) const BAD: Style = AnsiColor::Red.on_default();
/// What is new or right.
pub(super) const GOOD: Style = AnsiColor::Green.on_default();
/// What waits.
pub(super) const WAITS: Style = AnsiColor::Yellow.on_default();
/// What is not needed at first sight.
pub(super) const FAINT: Style = Style::new().dimmed();
/// Positions in a diff.
pub(super) const PLACE: Style = AnsiColor::Cyan.on_default();

/// Writes `text` in a style.
pub(super) fn styled(style: Style, text: impl std::fmt::Display) -> String {
    format!("{style}{text}{style:#}")
}

/// How long ago something was, or in how long it will be: `5 minutes ago`, `in 10 seconds`.
pub(super) fn when(at: Timestamp, now: Timestamp) -> String {
    if at > now {
        return format!("in {}", lower_first(&ago(at.since(now))));
    }
    format!("{} ago", lower_first(&ago(now.since(at))))
}

/// A time in both ways: `5 minutes ago (2026-11-21T01:02:03Z)`.
pub(super) fn when_exactly(at: Timestamp, now: Timestamp) -> String {
    format!("{} ({})", when(at, now), at.to_rfc3339_seconds())
}

fn lower_first(words: &str) -> String {
    let mut chars = words.chars();
    chars
        .next()
        .map_or_else(String::new, |first| first.to_ascii_lowercase().to_string() + chars.as_str())
}

/// A digest where the whole one stands elsewhere: `sha256:0123456789ab`.
pub(super) fn short(digest: &Digest) -> String {
    format!("sha256:{}", digest.short())
}

/// The same for a digest that may be missing.
pub(super) fn short_or(digest: Option<&Digest>, otherwise: &str) -> String {
    digest.map_or_else(|| otherwise.to_owned(), short)
}

/// `1 object`, `2 objects`.
pub(super) fn count(n: usize, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

/// The line that says how much a limit left out; nothing if it left nothing out.
pub(super) fn left_out(n: usize, one: &str, many: &str) -> String {
    if n == 0 {
        return String::new();
    }
    let left = count(n, one, many);
    format!("{}\n", styled(FAINT, format!("({left} left out; --limit 0 shows all)")))
}

/// Whether a character of the outside could move a terminal's cursor or turn the order of letters around.
pub(crate) fn is_unsafe(c: char) -> bool {
    const TURNS: [char; 11] = [
        '\u{200e}', '\u{200f}', '\u{202a}', '\u{202b}', '\u{202c}', '\u{202d}', '\u{202e}',
        '\u{2066}', '\u{2067}', '\u{2068}', '\u{2069}',
    ];
    c.is_control() || TURNS.contains(&c)
}

/// Text of the outside on one line, without such characters.
pub(super) fn one_line(text: &str) -> String {
    let clean = |c: char| if is_unsafe(c) { ' ' } else { c };
    let text: String = text.chars().map(clean).collect();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What to do, below what is wrong.
pub(super) fn advised(advice: &str) -> String {
    styled(WAITS, "to do: ") + advice
}

/// What a target printed last, line by line, each on one line.
pub(super) fn lines_of(log: &str) -> Vec<String> {
    log.lines().map(one_line).filter(|line| !line.is_empty()).collect()
}

/// Those lines below what they belong to, apart from our own words.
pub(super) fn printed(lines: &[String], indent: usize) -> String {
    let line = |line: &String| format!("{:indent$}{}\n", "", styled(FAINT, format!("| {line}")));
    lines.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_as_sentences() {
        let at = Timestamp::from_millis(1_000_000);
        assert_eq!(when(at, Timestamp::from_millis(1_060_000)), "about a minute ago");
        assert_eq!(when(Timestamp::from_millis(1_010_000), at), "in 10 seconds");
        assert_eq!(
            when_exactly(at, Timestamp::from_millis(1_005_000)),
            "5 seconds ago (1970-01-01T00:16:40Z)"
        );
    }

    #[test]
    fn text_of_the_outside_cannot_move_the_cursor() {
        assert_eq!(one_line("a\n\u{1b}[2Jb\tc"), "a [2Jb c");
        assert_eq!(one_line("a\u{202e}b"), "a b");
        assert_eq!(lines_of("one\r\n\n\u{1b}[1mtwo"), ["one", "[1mtwo"]);
    }
}
