//! `tidegate.dev/tag-filter`: which tags of a repository are imported (rule I194).

use globset::{GlobBuilder, GlobMatcher};
use regex::Regex;
use semver::VersionReq;
use serde::{Deserialize, Serialize};

use crate::names::importance;

/// A filter: one expression a line.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TagFilter {
    text: String,
    wanted: Vec<Expression>,
    unwanted: Vec<Expression>,
}

impl PartialEq for TagFilter {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl From<TagFilter> for String {
    fn from(filter: TagFilter) -> Self {
        filter.text
    }
}

impl TryFrom<String> for TagFilter {
    type Error = TagFilterError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

#[derive(Clone, Debug)]
enum Expression {
    Glob(GlobMatcher),
    Regex(Regex),
    Versions(VersionReq),
}

/// A line that is no expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Invalid value: {line:?}: {why}")]
pub struct TagFilterError {
    /// The line.
    pub line: String,
    /// Why.
    pub why: String,
}

impl TagFilter {
    /// Reads a filter. Empty lines mean nothing.
    ///
    /// # Errors
    /// The first line that is no expression.
    pub fn parse(text: &str) -> Result<Self, TagFilterError> {
        let mut filter = Self { text: text.to_owned(), ..Self::default() };
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let (bare, list) = match line.strip_prefix('!') {
                Some(bare) => (bare.trim(), &mut filter.unwanted),
                None => (line, &mut filter.wanted),
            };
            let read = expression(bare);
            list.push(read.map_err(|why| TagFilterError { line: line.to_owned(), why })?);
        }
        Ok(filter)
    }

    /// The filter as it was written; empty where everything passes.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether a tag passes: nothing excludes it, and something includes it where anything includes at all.
    #[must_use]
    pub fn passes(&self, tag: &str) -> bool {
        let is = |expression: &Expression| match expression {
            Expression::Glob(glob) => glob.is_match(tag),
            Expression::Regex(regex) => regex.is_match(tag),
            Expression::Versions(range) => {
                importance::version(tag).is_some_and(|version| range.matches(&version))
            }
        };
        !self.unwanted.iter().any(is) && (self.wanted.is_empty() || self.wanted.iter().any(is))
    }
}

fn expression(text: &str) -> Result<Expression, String> {
    if let Some(text) = text.strip_prefix("regex:") {
        // The whole tag must match.
        let regex = Regex::new(&format!("^(?:{text})$")).map_err(|error| {
            let text = error.to_string();
            text.lines().last().unwrap_or_default().trim().to_owned()
        });
        return regex.map(Expression::Regex);
    }
    if let Some(text) = text.strip_prefix("semver:") {
        let range = VersionReq::parse(text.trim()).map_err(|error| error.to_string());
        return range.map(Expression::Versions);
    }
    let glob = text.strip_prefix("glob:").unwrap_or(text);
    let built = GlobBuilder::new(glob).literal_separator(false).build();
    built.map(|glob| Expression::Glob(glob.compile_matcher())).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passing(filter: &str, tags: &[&str]) -> String {
        let filter = TagFilter::parse(filter).unwrap();
        let passing = tags.iter().filter(|tag| filter.passes(tag));
        passing.copied().collect::<Vec<_>>().join(" ")
    }

    const TAGS: [&str; 8] =
        ["latest", "1.0", "1.1-rc1", "1.1", "v2.0.3", "2.1.0", "dev", "1.1-ubi9"];

    #[test]
    fn i194_patterns_expressions_and_ranges_include_or_exclude() {
        assert_eq!(passing("", &TAGS), TAGS.join(" "));
        assert_eq!(passing("1.*\n", &TAGS), "1.0 1.1-rc1 1.1 1.1-ubi9");
        assert_eq!(passing("glob:1.?\nlatest", &TAGS), "latest 1.0 1.1");
        assert_eq!(passing("regex:1\\.\\d", &TAGS), "1.0 1.1");
        assert_eq!(passing("semver:>=1.1, <3", &TAGS), "1.1 v2.0.3 2.1.0");
        assert_eq!(passing("semver:>=1.1.0-rc1", &TAGS), "1.1-rc1 1.1 v2.0.3 2.1.0 1.1-ubi9");
        assert_eq!(passing("!dev\n!regex:.*-.*", &TAGS), "latest 1.0 1.1 v2.0.3 2.1.0");
        assert_eq!(passing("1.*\n!*-*", &TAGS), "1.0 1.1");
    }

    #[test]
    fn i194_a_bad_line_says_which_and_why() {
        let error = |filter: &str| TagFilter::parse(filter).unwrap_err().to_string();
        assert!(error("latest\nregex:(").starts_with("Invalid value: \"regex:(\": "));
        assert!(error("semver:>=x").starts_with("Invalid value: \"semver:>=x\": "));
        assert!(error("!glob:[").starts_with("Invalid value: \"!glob:[\": "));
    }
}
