//! Columns of text as Go's `text/tabwriter` makes them: what `oc` lays out all its output with.
//!
//! A cell is what a TAB ends; what stands behind the last TAB of a line belongs to no column. A column is a run of
//! neighbouring lines that have a cell there, and as wide as its widest cell.

/// How columns are filled up.
#[derive(Clone, Copy, Debug)]
enum Fill {
    /// With TABs, to the next multiple of eight columns.
    Tabs,
    /// With blanks.
    Blanks {
        /// Least width of a column, what stands between two included.
        least: usize,
        /// Blanks between a cell and the next.
        gap: usize,
    },
}

/// Columns a TAB goes to the next multiple of.
const TAB: usize = 8;

/// Lays out a describe block (rule I114).
#[must_use]
pub fn describe(text: &str) -> String {
    lay_out(text, Fill::Tabs, None)
}

/// Lays out a table of `get`, whose lines hold cells with TABs between them (rule I113).
#[must_use]
pub fn table(text: &str) -> String {
    lay_out(text, TABLE, None)
}

/// The same for lines that go on with a table: a column is never narrower than it was in `widths`, which takes over
/// what it is now.
#[must_use]
pub fn table_on(text: &str, widths: &mut Vec<usize>) -> String {
    lay_out(text, TABLE, Some(widths))
}

const TABLE: Fill = Fill::Blanks { least: 6, gap: 3 };

/// Lays out a table that stands closer: `set image-lookup`, `set triggers` (rule I150).
#[must_use]
pub fn narrow_table(text: &str) -> String {
    lay_out(text, Fill::Blanks { least: 0, gap: 2 }, None)
}

fn lay_out(text: &str, fill: Fill, known: Option<&mut Vec<usize>>) -> String {
    let lines: Vec<Vec<&str>> = text.split('\n').map(|line| line.split('\t').collect()).collect();
    let widths = widths(&lines, fill, known);
    let mut out = String::with_capacity(text.len() * 2);
    for (at, (cells, widths)) in lines.iter().zip(&widths).enumerate() {
        if at > 0 {
            out.push('\n');
        }
        for (cell, width) in cells.iter().zip(widths) {
            out.push_str(cell);
            let len = cell.chars().count();
            match fill {
                Fill::Tabs => {
                    let tabs = width.next_multiple_of(TAB).saturating_sub(len).div_ceil(TAB);
                    out.extend(std::iter::repeat_n('\t', tabs));
                }
                Fill::Blanks { .. } => {
                    out.extend(std::iter::repeat_n(' ', width.saturating_sub(len)));
                }
            }
        }
        out.push_str(cells.last().copied().unwrap_or_default());
    }
    out
}

/// The width of each cell of each line that a TAB ends; `known` has the widest of each column so far.
fn widths(lines: &[Vec<&str>], fill: Fill, mut known: Option<&mut Vec<usize>>) -> Vec<Vec<usize>> {
    let (least, gap) = match fill {
        Fill::Tabs => (0, 1),
        Fill::Blanks { least, gap } => (least, gap),
    };
    let count = |line: &Vec<&str>| line.len().saturating_sub(1);
    let mut widths: Vec<Vec<usize>> = lines.iter().map(|line| vec![0; count(line)]).collect();
    let columns = lines.iter().map(count).max().unwrap_or(0);
    for column in 0..columns {
        let mut from = 0;
        while from < lines.len() {
            let run = lines.get(from..).unwrap_or_default();
            let len = run.iter().take_while(|line| count(line) > column).count();
            let cells = run.iter().take(len).filter_map(|line| line.get(column));
            let widest = cells.map(|cell| cell.chars().count() + gap).max().unwrap_or(0).max(least);
            let widest = match &mut known {
                Some(known) if len > 0 => at_least(known, column, widest),
                Some(_) | None => widest,
            };
            for line in widths.iter_mut().skip(from).take(len) {
                if let Some(width) = line.get_mut(column) {
                    *width = widest;
                }
            }
            from += len.max(1);
        }
    }
    widths
}

/// Takes over the width of a column if it is the widest so far; returns what that is.
fn at_least(known: &mut Vec<usize>, column: usize, width: usize) -> usize {
    if known.len() <= column {
        known.resize(column + 1, 0);
    }
    let Some(known) = known.get_mut(column) else { return width };
    *known = width.max(*known);
    *known
}
