//! A unified diff as data and as text.

use std::time::Duration;

use serde::Serialize;
use similar::{ChangeTag, TextDiff};

use super::words::{BAD, GOOD, PLACE, styled};

/// After this a diff gets coarser, not wrong.
const TIMEOUT: Duration = Duration::from_millis(500);

/// Unchanged lines around a change.
const CONTEXT: usize = 3;

/// A run of changes with the lines around it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Hunk {
    old_start: usize,
    old_lines: usize,
    new_start: usize,
    new_lines: usize,
    lines: Vec<Line>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
struct Line {
    op: Op,
    text: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
enum Op {
    Equal,
    Delete,
    Insert,
}

/// Compares two texts by line.
pub(crate) fn hunks(old: &str, new: &str) -> Vec<Hunk> {
    let diff = TextDiff::configure().timeout(TIMEOUT).diff_lines(old, new);
    let groups = diff.grouped_ops(CONTEXT);
    let hunks = groups.iter().filter_map(|group| {
        let (first, last) = (group.first()?, group.last()?);
        let old_lines = first.old_range().start..last.old_range().end;
        let new_lines = first.new_range().start..last.new_range().end;
        let changes = group.iter().flat_map(|op| diff.iter_changes(op));
        let lines = changes.map(|change| Line {
            op: match change.tag() {
                ChangeTag::Equal => Op::Equal,
                ChangeTag::Delete => Op::Delete,
                ChangeTag::Insert => Op::Insert,
            },
            text: change.value().trim_end_matches('\n').to_owned(),
        });
        Some(Hunk {
            old_start: start(&old_lines),
            old_lines: old_lines.len(),
            new_start: start(&new_lines),
            new_lines: new_lines.len(),
            lines: lines.collect(),
        })
    });
    hunks.collect()
}

/// Lines count from 1; an empty range names the line before it, as `diff -u` does.
fn start(range: &std::ops::Range<usize>) -> usize {
    if range.is_empty() { range.start } else { range.start + 1 }
}

impl Hunk {
    /// Writes the hunk as `diff -u` does.
    pub(crate) fn write(&self, out: &mut String) {
        let Self { old_start, old_lines, new_start, new_lines, lines } = self;
        let place = format!("@@ -{old_start},{old_lines} +{new_start},{new_lines} @@");
        out.push_str(&styled(PLACE, place));
        out.push('\n');
        for line in lines {
            let text = visible(&line.text);
            match line.op {
                Op::Equal => out.push_str(&format!(" {text}")),
                Op::Delete => out.push_str(&styled(BAD, format!("-{text}"))),
                Op::Insert => out.push_str(&styled(GOOD, format!("+{text}"))),
            }
            out.push('\n');
        }
    }
}

/// The line without what could move a terminal's cursor.
fn visible(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\t' { '\u{fffd}' } else { c }).collect()
}
