//! Tables of `get`.

use super::tabs;

/// Rows under columns; a row may have cells for `-o wide` behind the others.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Table {
    /// Names of the columns, in upper case.
    pub columns: Vec<&'static str>,
    /// Names of the columns of `-o wide`.
    pub wide: Vec<&'static str>,
    /// The rows.
    pub rows: Vec<Row>,
}

/// A row.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Row {
    /// The object's namespace.
    pub namespace: String,
    /// Its name and what stands in the other columns.
    pub cells: Vec<String>,
    /// What stands in the columns of `-o wide`.
    pub wide: Vec<String>,
}

/// How a table is shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Shape<'a> {
    /// With the columns of `-o wide`.
    pub wide: bool,
    /// With the namespace.
    pub namespaces: bool,
    /// Without the names of the columns.
    pub no_headers: bool,
    /// With this resource before each name.
    pub kind: Option<&'a str>,
}

impl Table {
    /// Lays the table out (rule I113); nothing where it has no rows.
    #[must_use]
    pub fn to_text(&self, shape: Shape<'_>) -> String {
        tabs::table(&self.lines(shape))
    }

    /// The same where more rows follow later: `widths` has how wide the columns were so far.
    #[must_use]
    pub fn to_text_on(&self, shape: Shape<'_>, widths: &mut Vec<usize>) -> String {
        tabs::table_on(&self.lines(shape), widths)
    }

    /// Its lines, with TABs between the cells.
    fn lines(&self, shape: Shape<'_>) -> String {
        let mut lines = String::new();
        if self.rows.is_empty() {
            return lines;
        }
        if !shape.no_headers {
            let namespace = shape.namespaces.then_some("NAMESPACE");
            let wide = self.wide.iter().filter(|_| shape.wide);
            let names = self.columns.iter().chain(wide).copied();
            push_line(&mut lines, namespace.into_iter().chain(names));
        }
        for row in &self.rows {
            let namespace = shape.namespaces.then_some(row.namespace.as_str());
            let name = row.cells.first().map(|name| match shape.kind {
                Some(kind) => format!("{kind}/{name}"),
                None => name.clone(),
            });
            let wide = row.wide.iter().filter(|_| shape.wide);
            let rest = row.cells.iter().skip(1).chain(wide).map(String::as_str);
            push_line(&mut lines, namespace.into_iter().chain(name.as_deref()).chain(rest));
        }
        lines
    }
}

fn push_line<'a>(lines: &mut String, cells: impl Iterator<Item = &'a str>) {
    for (at, cell) in cells.enumerate() {
        if at > 0 {
            lines.push('\t');
        }
        match cell.split_once(['\n', '\r', '\u{c}']) {
            // What stands on other lines is left out, and said to be.
            Some((first, _)) => {
                push_cell(lines, first);
                lines.push_str("...");
            }
            None => push_cell(lines, cell),
        }
    }
    lines.push('\n');
}

fn push_cell(lines: &mut String, cell: &str) {
    for (at, piece) in cell.split('\t').enumerate() {
        if at > 0 {
            lines.push(' ');
        }
        lines.push_str(piece);
    }
}
