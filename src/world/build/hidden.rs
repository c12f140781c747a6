//! Values that no log shows, also where a text comes in parts.

use std::ops::Range;

/// Shorter values are not hidden: `true` or `1` would stand for everything.
const LEN_MIN: usize = 4;

/// What stands where one stood.
const MASK: &str = "***";

/// The values.
#[derive(Debug, Default)]
pub(super) struct Hidden(Vec<String>);

/// The beginning of a text that goes on.
pub(super) struct Begun {
    /// What may be shown by now.
    pub(super) shown: String,
    /// Bytes at its end that may be the beginning of a value.
    pub(super) left: usize,
    /// How many of them are a part of a value in any case.
    pub(super) covered: usize,
}

impl Hidden {
    /// Hides each line of a value.
    pub(super) fn add(&mut self, value: &str) {
        let lines = value.lines().map(str::trim).filter(|line| line.len() >= LEN_MIN);
        self.0.extend(lines.map(str::to_owned));
        self.0.sort_unstable();
        self.0.dedup();
    }

    /// A text without them; so many bytes at its beginning are a part of one in any case.
    pub(super) fn without(&self, text: &[u8], covered: usize) -> String {
        shown(text, &self.parts(text, covered))
    }

    /// The same of a text that goes on.
    pub(super) fn begun(&self, text: &[u8], covered: usize) -> Begun {
        let left = self.left(text);
        let cut = text.len() - left;
        let parts = self.parts(text, covered);
        let over = parts.iter().find(|part| part.start < cut && cut < part.end);
        let covered = over.map_or(0, |part| part.end - cut).max(covered.saturating_sub(cut));
        let before = parts.iter().filter(|part| part.start < cut);
        let before: Vec<_> = before.map(|part| part.start..part.end.min(cut)).collect();
        let text = text.get(..cut).unwrap_or_default();
        Begun { shown: shown(text, &before), left, covered }
    }

    /// Bytes at the end of a text that may be the beginning of a value.
    fn left(&self, text: &[u8]) -> usize {
        let of = |value: &String| {
            let value = value.as_bytes();
            let ends = |len: &usize| value.get(..*len).is_some_and(|part| text.ends_with(part));
            (1..value.len()).rev().find(ends).unwrap_or_default()
        };
        self.0.iter().map(of).max().unwrap_or_default()
    }

    /// Bytes at the beginning of a text that may be the end of a value, where the text before it is not known.
    pub(super) fn right(&self, text: &[u8]) -> usize {
        let of = |value: &String| {
            let value = value.as_bytes();
            let begins = |at: &usize| value.get(*at..).is_some_and(|part| text.starts_with(part));
            (1..value.len()).find(begins).map_or(0, |at| value.len() - at)
        };
        self.0.iter().map(of).max().unwrap_or_default()
    }

    /// Where they stand, in order; those that overlap are one.
    fn parts(&self, text: &[u8], covered: usize) -> Vec<Range<usize>> {
        let mut parts = Vec::new();
        if covered > 0 {
            parts.push(0..covered.min(text.len()));
        }
        for value in &self.0 {
            let finder = memchr::memmem::Finder::new(value);
            let mut from = 0;
            while let Some(at) = text.get(from..).and_then(|rest| finder.find(rest)) {
                let start = from + at;
                join(&mut parts, start..start + value.len());
                from = start + 1;
            }
        }
        parts.sort_unstable_by_key(|part| part.start);
        let mut joined = Vec::with_capacity(parts.len());
        for part in parts {
            join(&mut joined, part);
        }
        joined
    }
}

/// Puts a part behind others, into the last one where they overlap.
fn join(parts: &mut Vec<Range<usize>>, part: Range<usize>) {
    match parts.last_mut() {
        Some(last) if last.start <= part.start && part.start < last.end => {
            last.end = last.end.max(part.end);
        }
        Some(_) | None => parts.push(part),
    }
}

fn shown(text: &[u8], parts: &[Range<usize>]) -> String {
    let (mut shown, mut from) = (String::with_capacity(text.len()), 0);
    let plain = |from, to| String::from_utf8_lossy(text.get(from..to).unwrap_or_default());
    for part in parts {
        shown.push_str(&plain(from, part.start));
        shown.push_str(MASK);
        from = part.end;
    }
    shown.push_str(&plain(from, text.len()));
    shown
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hidden(values: &[&str]) -> Hidden {
        let mut hidden = Hidden::default();
        values.iter().for_each(|value| hidden.add(value));
        hidden
    }

    #[test]
    fn values_that_overlap_are_hidden_whole() {
        let hidden = hidden(&["password", "word1234", "true\nlonger", "one"]);
        for (text, wanted) in [
            ("a password1234 b", "a *** b"),
            ("passwordpassword", "******"),
            ("longer true one", "*** *** one"),
            ("nothing", "nothing"),
        ] {
            assert_eq!(hidden.without(text.as_bytes(), 0), wanted);
        }
        assert_eq!(hidden.without(b"sword and password", 5), "*** and ***");
    }

    #[test]
    fn a_text_that_was_cut_shows_no_end_of_a_value() {
        let hidden = hidden(&["password", "word and more"]);
        for (text, wanted) in [("sword", 5), ("d and more", 10), ("password", 0), ("no", 0)] {
            assert_eq!(hidden.right(text.as_bytes()), wanted, "{text}");
        }
    }

    proptest! {
        /// However a text comes, no byte of a value shows, and all others do.
        #[test]
        fn what_is_hidden_in_a_text_is_hidden_in_its_parts(
            text in "[ab]{0,40}",
            values in prop::collection::vec("[ab]{4,6}", 0..3),
            cuts in prop::collection::vec(1_usize..9, 1..40),
        ) {
            let hidden = hidden(&values.iter().map(String::as_str).collect::<Vec<_>>());
            let (mut out, mut line, mut covered) = (String::new(), Vec::new(), 0);
            let mut rest = text.as_bytes();
            for cut in cuts {
                let (part, behind) = rest.split_at(cut.min(rest.len()));
                line.extend_from_slice(part);
                rest = behind;
                let begun = hidden.begun(&line, covered);
                out.push_str(&begun.shown);
                line.drain(..line.len() - begun.left);
                covered = begun.covered;
            }
            line.extend_from_slice(rest);
            out.push_str(&hidden.without(&line, covered));
            // A value over a cut may have two masks.
            let bare = |text: &str| text.replace('*', "");
            prop_assert_eq!(bare(&out), bare(&hidden.without(text.as_bytes(), 0)));
        }
    }
}
