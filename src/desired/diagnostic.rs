//! What is wrong or odd in a manifest: where, by which rule, and what to do.

use serde::{Deserialize, Serialize};

use crate::fact::Position;

/// How bad it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The object is used as it is, and means what it says; there may be something better.
    Note,
    /// The object is used as it is; something about it is likely not meant.
    Warning,
    /// The object is rejected.
    Error,
}

/// One message about a manifest.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// Where.
    pub position: Position,
    /// Stable name of the rule in kebab case, for filters and SARIF: `unknown-field`, `duplicate-key`, `D7.14`.
    pub rule: String,
    /// What is wrong; lower case, no full stop, values in backticks.
    pub message: String,
    /// What to do about it, if anything can be said.
    #[serde(default)]
    pub hint: Option<String>,
}

impl Diagnostic {
    /// Takes out of the text what could move a terminal's cursor or break a line: names in it come from the manifest.
    pub(super) fn defuse(&mut self) {
        for text in [Some(&mut self.message), self.hint.as_mut()].into_iter().flatten() {
            if text.chars().any(char::is_control) {
                let escape = |c: char| match c.is_control() {
                    true => c.escape_default().to_string(),
                    false => c.to_string(),
                };
                *text = text.chars().map(escape).collect();
            }
        }
    }
}
