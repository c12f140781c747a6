//! The last of what a target printed, short enough for the journal and without the secrets that are known.

use crate::limits;
use crate::secret::masked;

/// Shorter texts are not masked: `true` or `1` would stand for everything.
const SECRET_LEN_MIN: usize = 4;

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
        last_lines(&String::from_utf8_lossy(&self.0), secrets)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_five_lines_are_kept() {
        let text: String = (1..=9).map(|line| format!("line {line}\n")).collect();
        assert_eq!(last_lines(&text, []), "line 5\nline 6\nline 7\nline 8\nline 9");
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
