//! What is wrong or odd in a manifest: where, by which rule, and what to do.

use serde::{Deserialize, Serialize};

use crate::fact::Position;

/// How bad it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
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
