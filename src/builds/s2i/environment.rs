//! `.s2i/environment`: variables that the sources bring along.

use super::super::quote::is_env_name;

/// Where it is in the sources; `.s2iignore` may have removed it.
pub const ENVIRONMENT_FILE: &str = ".s2i/environment";

/// What it says.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Environment {
    /// Names and values, as they come; quotes are part of a value.
    pub values: Vec<(String, String)>,
    /// The numbers of lines that say nothing that can be understood, from 1.
    pub unread: Vec<usize>,
}

/// Reads `NAME=VALUE`, a line each (source-to-image `pkg/scripts/environment.go`); `#` begins a comment.
#[must_use]
pub fn environment(text: &str) -> Environment {
    let mut read = Environment::default();
    for (at, line) in text.lines().enumerate() {
        if line.starts_with('#') || line.trim().is_empty() {
            continue;
        }
        let pair = line.split_once('=').map(|(name, value)| (name.trim(), value.trim()));
        match pair.filter(|(name, _)| is_env_name(name)) {
            Some((name, value)) => read.values.push((name.to_owned(), value.to_owned())),
            None => read.unread.push(at + 1),
        }
    }
    read
}
