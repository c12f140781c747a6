//! Every key of `tidegate.toml`, with what it means: the one table that unknown keys, environment variables,
//! `tidegate config --keys` and the README are made from.

mod table;

use std::fmt;

pub use table::KEYS;

/// What a key is, for people.
#[derive(Debug)]
pub struct KeyDoc {
    /// Its path; `*` stands for a name of the user's.
    pub pattern: &'static str,
    /// What it takes.
    pub takes: &'static str,
    /// Its default, in words.
    pub default: &'static str,
    /// What it does.
    pub help: &'static str,
}

const fn key(
    pattern: &'static str,
    takes: &'static str,
    default: &'static str,
    help: &'static str,
) -> KeyDoc {
    KeyDoc { pattern, takes, default, help }
}

/// The path of a key, as its segments.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub(super) struct KeyPath(pub(super) Vec<String>);

impl KeyPath {
    /// Reads a path whose segments have no dots.
    pub(super) fn of(dotted: &str) -> Self {
        Self(dotted.split('.').map(str::to_owned).collect())
    }

    /// The path with one segment more.
    pub(super) fn child(&self, segment: &str) -> Self {
        let mut segments = self.0.clone();
        segments.push(segment.to_owned());
        Self(segments)
    }

    /// The table entry that it matches.
    pub(super) fn doc(&self) -> Option<&'static KeyDoc> {
        KEYS.iter().find(|doc| doc.segments().len() == self.0.len() && doc.agrees(&self.0))
    }

    /// Whether keys may stand below it.
    pub(super) fn is_section(&self) -> bool {
        KEYS.iter().any(|doc| doc.segments().len() > self.0.len() && doc.agrees(&self.0))
    }

    /// The key that was most likely meant.
    pub(super) fn nearest(&self) -> Option<String> {
        let written = self.0.join(".");
        let last = self.0.last()?;
        let candidates = KEYS.iter().flat_map(|doc| {
            let segments = doc.segments();
            let upto = self.0.len().min(segments.len());
            let filled = |len: usize| {
                let pairs = segments.iter().take(len).zip(self.0.iter().map(Some).chain([None; 4]));
                let fill = |(segment, own): (&&str, Option<&String>)| match (*segment, own) {
                    ("*", Some(own)) => own.clone(),
                    (segment, _) => segment.to_owned(),
                };
                Self(pairs.map(fill).collect())
            };
            // The section as well, for a misspelt one, and the key in another place.
            let elsewhere = segments.last() == Some(&last.as_str()) && !doc.pattern.contains('*');
            [Some(filled(upto)), elsewhere.then(|| filled(segments.len()))]
        });
        let limit = 1 + written.chars().count() / 4;
        let score = |candidate: &Self| {
            let same_name = candidate.0.len() != self.0.len() && candidate.0.last() == Some(last);
            if same_name { 1 } else { strsim::osa_distance(&written, &candidate.0.join(".")) }
        };
        let scored = candidates.flatten().map(|candidate| (score(&candidate), candidate));
        let best = scored.filter(|(score, _)| (1..=limit).contains(score)).min()?;
        Some(best.1.to_string())
    }
}

impl KeyDoc {
    fn segments(&self) -> Vec<&'static str> {
        self.pattern.split('.').collect()
    }

    /// Whether the segments agree as far as both go.
    fn agrees(&self, path: &[String]) -> bool {
        self.segments().iter().zip(path).all(|(segment, own)| *segment == "*" || segment == own)
    }

    /// The environment variable that sets it; keys with a name of the user's have none.
    #[must_use]
    pub fn variable(&self) -> Option<String> {
        if self.pattern.contains('*') {
            return None;
        }
        Some(format!("TIDEGATE_{}", self.pattern.replace('.', "__").to_uppercase()))
    }
}

impl fmt::Display for KeyPath {
    /// As TOML would write it: segments that are no bare keys are quoted.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-' || c == '*';
        for (index, segment) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(".")?;
            }
            if !segment.is_empty() && segment.chars().all(bare) {
                f.write_str(segment)?;
            } else {
                write!(f, "\"{}\"", segment.escape_default())?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_key_has_a_nearest_one() {
        let nearest = |path: &[&str]| {
            KeyPath(path.iter().map(|segment| (*segment).to_owned()).collect()).nearest()
        };
        assert_eq!(nearest(&["imports", "intervall"]).as_deref(), Some("imports.interval"));
        assert_eq!(nearest(&["import"]).as_deref(), Some("imports"));
        assert_eq!(nearest(&["import", "interval"]).as_deref(), Some("imports.interval"));
        assert_eq!(nearest(&["statedir"]).as_deref(), Some("state_dir"));
        assert_eq!(nearest(&["repository"]).as_deref(), Some("source.repository"));
        assert_eq!(nearest(&["targets", "hook", "Kind"]).as_deref(), Some("targets.hook.kind"));
        let host = "localhost:5000";
        assert_eq!(
            nearest(&["registries", host, "insecur"]).as_deref(),
            Some("registries.\"localhost:5000\".insecure")
        );
        assert_eq!(nearest(&["quux"]), None);
    }

    #[test]
    fn every_key_is_documented_once() {
        let mut patterns: Vec<_> = KEYS.iter().map(|doc| doc.pattern).collect();
        patterns.sort_unstable();
        patterns.dedup();
        assert_eq!(patterns.len(), KEYS.len());
        assert!(KEYS.iter().all(|doc| !doc.help.is_empty() && !doc.takes.is_empty()));
    }
}
