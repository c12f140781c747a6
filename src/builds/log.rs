//! Where the log of a build is, and its end, for its status (rule B31).

use std::path::{Path, PathBuf};

use crate::names::Namespace;

/// Lines of it.
const LINES_MAX: usize = 5;

/// Characters of a line.
const LINE_CHARS_MAX: usize = 120;

/// Characters that are left of a longer line on either side of `...`.
const KEPT: (usize, usize) = (58, 59);

/// The log of a build, below a state directory. One that is too long is replaced by a shorter one while it grows.
#[must_use]
pub fn log_path(state_dir: &Path, namespace: &Namespace, build: &str) -> PathBuf {
    state_dir.join("builds/logs").join(namespace.as_str()).join(format!("{build}.log"))
}

/// The last lines of a log, each short.
///
/// Terminals rewrite a line behind `\r`: what ended up on it is what is behind the last one.
#[must_use]
pub fn log_snippet(log: &str) -> String {
    let log = log.trim_end();
    let mut last: Vec<&str> = log.rsplit('\n').take(LINES_MAX).collect();
    last.reverse();
    let lines: Vec<String> = last.into_iter().map(|line| short(line.trim_end())).collect();
    lines.join("\n")
}

fn short(line: &str) -> String {
    let line = line.rsplit('\r').next().unwrap_or_default();
    let count = line.chars().count();
    if count <= LINE_CHARS_MAX {
        return line.to_owned();
    }
    let start: String = line.chars().take(KEPT.0).collect();
    let end: String = line.chars().skip(count - KEPT.1).collect();
    format!("{start}...{end}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn b031_the_last_five_lines_are_shown() {
        assert_eq!(log_snippet(""), "");
        assert_eq!(log_snippet("\n\n"), "");
        assert_eq!(log_snippet("one\n"), "one");
        assert_eq!(log_snippet("1\n2\n3\n4\n5\n6\r\n7"), "3\n4\n5\n6\n7");
        assert_eq!(log_snippet("10 %\r20 %\rdone\n"), "done");
    }

    #[test]
    fn b031_a_long_line_loses_its_middle() {
        let line = |count: usize| -> String { ('a'..='z').cycle().take(count).collect() };
        assert_eq!(log_snippet(&line(120)), line(120));
        let cut = log_snippet(&line(121));
        assert_eq!(cut.len(), 120);
        assert_eq!(cut, format!("{}...{}", &line(121)[..58], &line(121)[62..]));
    }

    proptest! {
        #[test]
        fn b031_whatever_was_printed_is_short(log in "(.|\n|\r|ä|\u{1F600}){0,2000}") {
            let snippet = log_snippet(&log);
            prop_assert!(snippet.lines().count() <= LINES_MAX);
            prop_assert!(snippet.split('\n').all(|line| line.chars().count() <= LINE_CHARS_MAX));
        }
    }
}
