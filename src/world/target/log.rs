//! The last of what a target printed, short enough for the journal and without the secrets that are known.

use crate::limits;
use crate::secret::masked;

/// Shorter texts are not masked: `true` or `1` would stand for everything.
const SECRET_LEN_MIN: usize = 4;

/// What is kept of the beginning and the end of a line that is too long (rule B31).
const LINE_HEAD: usize = 58;
const LINE_TAIL: usize = 59;

/// The end of an output of any length.
#[derive(Default)]
pub(super) struct Tail(Vec<u8>);

impl Tail {
    /// Twice the limit, so that masking cannot be undone by a secret that is cut at its beginning.
    const LEN_MAX: usize = 2 * limits::ROLLOUT_LOG_BYTES_MAX;

    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
        let surplus = self.0.len().saturating_sub(Self::LEN_MAX);
        self.0.drain(..surplus);
    }

    /// The last lines.
    pub(super) fn lines<'a>(&self, secrets: impl IntoIterator<Item = &'a str>) -> String {
        let lines = last_lines(&String::from_utf8_lossy(&self.0), secrets);
        lines.lines().map(cut).collect::<Vec<_>>().join("\n")
    }
}

/// The last lines of a text, bounded, control characters taken out, secrets masked.
pub(super) fn last_lines<'a>(text: &str, secrets: impl IntoIterator<Item = &'a str>) -> String {
    let mut text = text.to_owned();
    for secret in secrets.into_iter().filter(|secret| secret.len() >= SECRET_LEN_MIN) {
        text = text.replace(secret, "***");
    }
    text = masked(&text);
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let first = lines.len().saturating_sub(limits::ROLLOUT_LOG_LINES_MAX);
    let kept = lines.get(first..).unwrap_or_default().join("\n");
    let kept: String = kept.chars().filter(|c| !c.is_control() || "\n\t".contains(*c)).collect();
    let surplus = kept.len().saturating_sub(limits::ROLLOUT_LOG_BYTES_MAX);
    let start = (surplus..=kept.len()).find(|at| kept.is_char_boundary(*at)).unwrap_or(0);
    kept.get(start..).unwrap_or_default().to_owned()
}

/// A line, or the beginning and the end of one that is too long (rule B31).
fn cut(line: &str) -> String {
    let signs = line.chars().count();
    if signs <= limits::ROLLOUT_LOG_LINE_MAX {
        return line.to_owned();
    }
    let head = line.chars().take(LINE_HEAD);
    head.chain("...".chars()).chain(line.chars().skip(signs - LINE_TAIL)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_five_lines_are_kept() {
        let text: String = (1..=9).map(|line| format!("line {line}\n")).collect();
        assert_eq!(last_lines(&text, []), "line 5\nline 6\nline 7\nline 8\nline 9");
    }

    #[test]
    fn of_a_long_line_its_beginning_and_its_end_are_kept() {
        let line = |len: usize| {
            let mut tail = Tail::default();
            tail.push(format!("{}{}\n", "a".repeat(len / 2), "z".repeat(len - len / 2)).as_bytes());
            tail.lines([])
        };
        assert_eq!(line(120).len(), 120);
        assert_eq!(line(121), format!("{}...{}", "a".repeat(58), "z".repeat(59)));
    }

    #[test]
    fn what_looks_like_a_secret_is_not_kept() {
        for (printed, kept) in [
            ("login with DB_PASSWORD=hunter2 failed", "login with DB_PASSWORD=*** failed"),
            ("--token='a b' rejected", "--token=*** rejected"),
            ("https://me:hunter2@r.example/v2: 401", "https://***@r.example/v2: 401"),
            ("> Authorization: Basic aHVudGVyMg==", "> Authorization: ***"),
            ("sent bearer abcdefghijklmnopq", "sent bearer ***"),
            (r#"{"user":"ada","apiKey": "hu\"nter2"}"#, r#"{"user":"ada","apiKey": "***"}"#),
            (
                "a -----BEGIN RSA PRIVATE KEY-----\nMIIB\n-----END RSA PRIVATE KEY-----\nb",
                "a ***\nb",
            ),
            ("MIIB\n-----END PRIVATE KEY-----\nb", "***\nb"),
            ("unauthorized: no such user", "unauthorized: no such user"),
        ] {
            assert_eq!(last_lines(printed, []), kept);
        }
    }

    #[test]
    fn a_log_is_bounded_and_has_no_secret_or_escape() {
        let mut tail = Tail::default();
        for _ in 0..100 {
            tail.push("ä".repeat(500).as_bytes());
        }
        tail.push(b"\x1b[31mpw is hunter2\n");
        tail.push(b"dsn postgres://u:hunter3@db/x --password=argpw\n");
        let log = tail.lines(["hunter2", "a"]);
        assert!(log.len() <= limits::ROLLOUT_LOG_BYTES_MAX, "{}", log.len());
        assert!(log.ends_with("[31mpw is ***\ndsn postgres://***@db/x --password=***"), "{log}");
    }
}
