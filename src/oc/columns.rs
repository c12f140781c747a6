//! `-o custom-columns=NAME:.metadata.name,…`.

use serde_json::Value;
use serde_json_path::JsonPath;

use super::json_path::{TemplateError, path, shown};
use super::tabs;

/// Why columns cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ColumnsError {
    /// There are none.
    #[error("custom-columns format specified but no custom columns given")]
    None,
    /// One has no path.
    #[error("unexpected custom-columns spec: {0}, expected <header>:<json-path-expr>")]
    Shape(String),
    /// A path is none.
    #[error(transparent)]
    Path(#[from] TemplateError),
}

/// Columns, read.
#[derive(Clone, Debug)]
pub struct Columns {
    columns: Vec<(String, JsonPath)>,
}

impl Columns {
    /// Reads `NAME:PATH,NAME:PATH`; the braces and the first dot of a path may be missing.
    ///
    /// # Errors
    /// When there are no columns, or one has no path.
    pub fn parse(text: &str) -> Result<Self, ColumnsError> {
        if text.is_empty() {
            return Err(ColumnsError::None);
        }
        let column = |part: &str| {
            let shape = || ColumnsError::Shape(part.to_owned());
            let (name, expression) = part.split_once(':').ok_or_else(shape)?;
            let bare = expression.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
            Ok((name.to_owned(), path(bare.unwrap_or(expression))?))
        };
        let columns: Result<Vec<_>, ColumnsError> = text.split(',').map(column).collect();
        Ok(Self { columns: columns? })
    }

    /// One row for each object.
    #[must_use]
    pub fn to_text(&self, objects: &[Value], no_headers: bool) -> String {
        let mut lines = String::new();
        if !no_headers {
            let names: Vec<_> = self.columns.iter().map(|(name, _)| name.as_str()).collect();
            lines.push_str(&names.join("\t"));
            lines.push('\n');
        }
        for object in objects {
            let cell = |(_, path): &(String, JsonPath)| {
                let found: Vec<_> = path.query(object).iter().map(|value| shown(value)).collect();
                if found.is_empty() { "<none>".to_owned() } else { found.join(",") }
            };
            let cells: Vec<_> = self.columns.iter().map(cell).collect();
            lines.push_str(&cells.join("\t"));
            lines.push('\n');
        }
        tabs::table(&lines)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_object_is_a_row_and_what_is_missing_is_none() {
        let objects = [
            json!({"metadata": {"name": "a"}, "spec": {"tags": [{"name": "1"}, {"name": "2"}]}}),
            json!({"metadata": {"name": "b"}}),
        ];
        let columns = Columns::parse("NAME:.metadata.name,TAGS:{.spec.tags[*].name}").unwrap();
        assert_eq!(columns.to_text(&objects, false), "NAME   TAGS\na      1,2\nb      <none>\n");
        assert_eq!(Columns::parse("NAME").unwrap_err(), ColumnsError::Shape("NAME".into()));
    }
}
