//! `.s2iignore`: files of the sources that a build does not see (rule B49).
//!
//! One pattern a line, as Go's `filepath.Glob` has them (source-to-image `pkg/ignore/ignore.go`): a pattern is of a path
//! from the root of the sources, `*` and `?` stand for no `/`, and what is hidden is matched as well. `!` keeps what lines
//! before it removed.

use std::collections::BTreeSet;

use super::super::path::{clean, is_inside};

/// Where it is in the sources.
pub const IGNORE_FILE: &str = ".s2iignore";

/// Which of these paths are removed, each with everything below it. Paths are relative, those of folders as well.
#[must_use]
pub fn ignored(ignore: &str, paths: &BTreeSet<String>) -> BTreeSet<String> {
    let mut removed = BTreeSet::new();
    for line in ignore.lines().map(|line| line.trim_matches(' ')) {
        let (is_kept, line) = match line.strip_prefix('!') {
            Some(rest) => (true, rest),
            None => (false, line),
        };
        let path = clean(line.trim_start_matches('/'));
        if line.is_empty() || line.starts_with('#') && !is_kept || path == "." || !is_inside(&path)
        {
            continue;
        }
        if is_kept {
            if let Some(pattern) = Pattern::parse(&path) {
                removed.retain(|path: &String| !pattern.matches(path));
            }
        } else if let Some(parts) = path.split('/').map(Pattern::parse).collect::<Option<Vec<_>>>()
        {
            let is_meant = |path: &str| {
                let mut names = path.split('/');
                let fit =
                    parts.iter().all(|part| names.next().is_some_and(|name| part.matches(name)));
                fit && names.next().is_none()
            };
            removed.extend(paths.iter().filter(|path| is_meant(path)).cloned());
        }
    }
    removed
}

/// A pattern of Go's `filepath.Match`.
struct Pattern(Vec<Part>);

enum Part {
    /// Any number of characters.
    Any,
    /// One character.
    One,
    /// This character.
    This(char),
    /// One of these, or none of these.
    Class { is_negated: bool, ranges: Vec<(char, char)> },
}

impl Part {
    fn matches(&self, c: char) -> bool {
        match self {
            Self::Any => false,
            Self::One => c != '/',
            Self::This(own) => *own == c,
            Self::Class { is_negated, ranges } => {
                ranges.iter().any(|(from, to)| (*from..=*to).contains(&c)) != *is_negated
            }
        }
    }
}

impl Pattern {
    /// None if it is no pattern, as `[` is not.
    fn parse(text: &str) -> Option<Self> {
        let mut chars = text.chars().peekable();
        let mut parts = Vec::new();
        while let Some(c) = chars.next() {
            parts.push(match c {
                '*' => Part::Any,
                '?' => Part::One,
                '\\' => Part::This(chars.next()?),
                '[' => {
                    let is_negated = chars.next_if_eq(&'^').is_some();
                    let mut ranges = Vec::new();
                    while ranges.is_empty() || chars.next_if_eq(&']').is_none() {
                        let from = in_class(&mut chars)?;
                        let is_range = chars.next_if_eq(&'-').is_some();
                        ranges.push((from, if is_range { in_class(&mut chars)? } else { from }));
                    }
                    Part::Class { is_negated, ranges }
                }
                c => Part::This(c),
            });
        }
        Some(Self(parts))
    }

    /// Goes back to the last `*` only, as Go does: a name of any length is looked at in little time.
    fn matches(&self, name: &str) -> bool {
        let name: Vec<char> = name.chars().collect();
        let (mut part, mut at) = (0, 0);
        // Where the last `*` is, and how far it reaches.
        let mut star: Option<(usize, usize)> = None;
        loop {
            match (self.0.get(part), name.get(at)) {
                (None, None) => return true,
                (Some(Part::Any), _) => {
                    star = Some((part, at));
                    part += 1;
                    continue;
                }
                (Some(own), Some(c)) if own.matches(*c) => {
                    (part, at) = (part + 1, at + 1);
                    continue;
                }
                (Some(_) | None, _) => {}
            }
            let Some((begin, reach)) = star else { return false };
            if name.get(reach).is_none_or(|c| *c == '/') {
                return false;
            }
            star = Some((begin, reach + 1));
            (part, at) = (begin + 1, reach + 1);
        }
    }
}

/// A character between `[` and `]`.
fn in_class(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<char> {
    match chars.next()? {
        '-' | ']' => None,
        '\\' => chars.next(),
        c => Some(c),
    }
}
