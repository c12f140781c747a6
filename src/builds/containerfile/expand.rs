//! What a word of a Dockerfile is with its variables put in (openshift/imagebuilder `shell_parser.go`).

use std::iter::Peekable;
use std::str::Chars;

/// Bytes of a value; `ARG`s that double each other would fill the memory, and no reference is as long.
const VALUE_BYTES_MAX: usize = 4_096;

/// `${A:-${B:-...}}` within each other.
const DEPTH_MAX: usize = 16;

/// A word without quotes and with the values of its variables; none if that is not known. A variable that is not set is
/// empty, and `get` says none of one that is not known.
pub(super) fn expand(word: &str, get: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    let mut reader = Reader { chars: word.chars().peekable(), get, depth: 0 };
    reader.until(None)
}

struct Reader<'a> {
    chars: Peekable<Chars<'a>>,
    get: &'a dyn Fn(&str) -> Option<String>,
    depth: usize,
}

impl Reader<'_> {
    /// Up to a character, or to the end.
    fn until(&mut self, stop: Option<char>) -> Option<String> {
        let mut read = String::new();
        loop {
            match self.chars.next() {
                None => return stop.is_none().then_some(read),
                Some(c) if Some(c) == stop => return Some(read),
                Some('\'') => loop {
                    match self.chars.next()? {
                        '\'' => break,
                        c => read.push(c),
                    }
                },
                Some('"') => self.in_quotes(&mut read)?,
                Some('\\') => read.extend(self.chars.next()),
                Some('$') => read.push_str(&self.variable()?),
                Some(c) => read.push(c),
            }
            if read.len() > VALUE_BYTES_MAX {
                return None;
            }
        }
    }

    fn in_quotes(&mut self, read: &mut String) -> Option<()> {
        loop {
            match self.chars.next()? {
                '"' => return Some(()),
                '$' => read.push_str(&self.variable()?),
                '\\' => match self.chars.next_if(|next| matches!(next, '"' | '$' | '\\')) {
                    Some(next) => read.push(next),
                    None => read.push('\\'),
                },
                c => read.push(c),
            }
            if read.len() > VALUE_BYTES_MAX {
                return None;
            }
        }
    }

    /// What is behind a `$`.
    fn variable(&mut self) -> Option<String> {
        if self.chars.next_if_eq(&'{').is_none() {
            let name = self.name();
            return if name.is_empty() { Some("$".to_owned()) } else { (self.get)(&name) };
        }
        let name = self.name();
        let value = (self.get)(&name)?;
        match self.chars.next()? {
            '}' => Some(value),
            ':' => {
                let how = self.chars.next()?;
                self.or_else(value, how)
            }
            how => self.or_else(value, how),
        }
    }

    /// `-`: another value where there is none; `+`: where there is one; `?`: a value has to be there.
    fn or_else(&mut self, value: String, how: char) -> Option<String> {
        self.depth += 1;
        let word = if self.depth > DEPTH_MAX { None } else { self.until(Some('}')) };
        self.depth -= 1;
        let word = word?;
        match how {
            '-' if value.is_empty() => Some(word),
            '+' if !value.is_empty() => Some(word),
            '-' | '+' => Some(value),
            '?' => Some(value).filter(|value| !value.is_empty()),
            _ => None,
        }
    }

    fn name(&mut self) -> String {
        if let Some(digit) = self.chars.next_if(char::is_ascii_digit) {
            return digit.to_string();
        }
        let mut name = String::new();
        while let Some(c) = self.chars.next_if(|c| c.is_alphanumeric() || *c == '_') {
            name.push(c);
        }
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_read_as_buildah_reads_them() {
        let get = |name: &str| match name {
            "A" => Some("a b".to_owned()),
            "LONG" => None,
            _ => Some(String::new()),
        };
        for (word, expected) in [
            ("httpd:2.4", Some("httpd:2.4")),
            ("$A/${A}c", Some("a b/a bc")),
            ("'$A'\"$A\\$\\x\"\\$", Some("$Aa b$\\x$")),
            ("${B:-x$A}${A:-y}${A:+z}${B:+z}", Some("xa ba bz")),
            ("${B-x}${A?no}", Some("xa b")),
            ("$1x$", Some("x$")),
            ("${B:?no}", None),
            ("${A##x}", None),
            ("$LONG", None),
            ("${A", None),
            ("'a", None),
            ("\"a", None),
        ] {
            assert_eq!(expand(word, &get).as_deref(), expected, "{word}");
        }
        assert_eq!(expand(&"${B:-".repeat(100_000), &get), None);
    }
}
