//! A Dockerfile as buildah reads it, for tests.

use super::parse::{parse, quoted_words};

/// Names and values of all instructions of a kind, read as buildah does it.
pub(crate) fn values(text: &str, keyword: &str) -> Vec<(String, String)> {
    let parsed = parse(text).unwrap();
    let of = parsed.instructions.iter().filter(|one| one.keyword == keyword);
    let words = of.flat_map(|one| quoted_words(one.arguments(), parsed.escape));
    let read = |word: &str| {
        let (name, value) = word.split_once('=').unwrap();
        (unquoted(name), unquoted(value))
    };
    words.map(read).collect()
}

/// What buildah makes of a word in which no variable is left.
fn unquoted(word: &str) -> String {
    let (mut text, mut quote) = (String::new(), None);
    let mut chars = word.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, quote) {
            ('\'' | '"', None) => quote = Some(c),
            (c, Some(open)) if c == open => quote = None,
            (c, Some('\'')) => text.push(c),
            ('\\', None) => text.extend(chars.next()),
            ('\\', _) => text.push(chars.next_if(|c| "\"$\\".contains(*c)).unwrap_or(c)),
            ('$', _) => panic!("{word}"),
            (c, _) => text.push(c),
        }
    }
    assert_eq!(quote, None, "{word}");
    text
}

pub(crate) fn instructions(text: &str) -> Vec<String> {
    parse(text).unwrap().instructions.into_iter().map(|one| one.line).collect()
}
