//! What sounds like a secret, and how it is taken out of text that nobody knows the shape of (law 10).
//!
//! One list of words for all: what a dry run hides, a rollout's log must not show. Too much is hidden rather than too
//! little: `author: Jane` costs a reader a word, a password costs its owner more.

use std::sync::LazyLock;

use regex::Regex;

/// Parts of names whose values are hidden, as alternatives of a pattern.
pub(crate) const WORDS: &str =
    "pass|pwd|secret|token|key|credential|auth|private|salt|signature|session|cookie|dsn|webhook";

/// Ends of names that are never a word of a sentence.
const CERTAIN: &str = "password|passwd|pwd|secret|token|api[_-]?key|private[_-]?key|cookie|dsn";

/// What stands where a secret stood in free text.
const MASK: &str = "***";

/// `user:password@` of a URL, whose password may hold an `@`.
const LOGIN: &str = r"(://)[^\s/]+@";

/// What stands in its place.
const LOGIN_MASK: &str = "${1}***@";

/// The patterns of free text, in the order in which they are applied. A pattern that did not compile would hide
/// nothing; a test makes sure that all do.
static PATTERNS: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    let name = format!(r"[\w.-]*(?:{WORDS})[\w.-]*");
    let patterns = [
        // A PEM block may be cut off at either end.
        (
            r"(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\z)"
                .to_owned(),
            MASK,
        ),
        (r"(?s)\A[^-]*-----END [A-Z ]*PRIVATE KEY-----".to_owned(), MASK),
        (LOGIN.to_owned(), LOGIN_MASK),
        (r"(?i)(authorization:[ \t]*).+".to_owned(), "${1}***"),
        (r"(?i)\b(bearer[ \t]+)[\w.~+/=-]{16,}".to_owned(), "${1}***"),
        // "name": "value"
        (format!(r#"(?i)("{name}"\s*:\s*)"(?:[^"\\]|\\.)*""#), "${1}\"***\""),
        // name=value
        (format!(r#"(?i)\b({name}=)("[^"]*"|'[^']*'|[^\s&,;]+)"#), "${1}***"),
        // name: value, for names that leave no doubt: of `unauthorized: no such user` nothing would remain
        (format!(r"(?im)^(\s*[\w.-]*(?:{CERTAIN}):[ \t]+)\S.*$"), "${1}***"),
        // --name value
        (format!(r"(?i)(\B--?{name}[ \t]+)([^\s-]\S*)"), "${1}***"),
    ];
    let compiled =
        patterns.into_iter().filter_map(|(text, to)| Some((Regex::new(&text).ok()?, to)));
    compiled.collect()
});

/// The pattern of a name that sounds secret.
static NAME: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(&format!("(?i){WORDS}")).ok());

/// Whether what has this name is better not shown.
pub(crate) fn sounds_secret(name: &str) -> bool {
    NAME.as_ref().is_none_or(|pattern| pattern.is_match(name))
}

/// The pattern of a name that leaves no doubt.
static CERTAIN_NAME: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(&format!("(?i){CERTAIN}")).ok());

/// Whether a name leaves no doubt that it is one of a secret: what somebody is warned of, not what is hidden.
pub(crate) fn names_a_secret(name: &str) -> bool {
    CERTAIN_NAME.as_ref().is_some_and(|pattern| pattern.is_match(name))
}

/// The pattern of a login.
static LOGINS: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(LOGIN).ok());

/// A text without the logins of its URLs: for what is no log, of which all other words are to stay.
pub(crate) fn without_logins(text: &str) -> String {
    match &*LOGINS {
        Some(pattern) => pattern.replace_all(text, LOGIN_MASK).into_owned(),
        None => MASK.to_owned(),
    }
}

/// A text without the values that its own words give away as secrets.
pub(crate) fn masked(text: &str) -> String {
    PATTERNS
        .iter()
        .fold(text.to_owned(), |text, (pattern, to)| pattern.replace_all(&text, *to).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_pattern_compiles() {
        assert_eq!(PATTERNS.len(), 9);
        assert!(NAME.is_some() && CERTAIN_NAME.is_some() && LOGINS.is_some());
    }

    #[test]
    fn what_is_no_secret_stays_readable() {
        for text in [
            "rolled out quay.io/team/web@sha256:00ff in 3 s",
            "GET http://host:8080/path?x=1: connection refused",
            "exit status 1",
            "2026-11-21T07:00:00Z INFO ready",
        ] {
            assert_eq!(masked(text), text);
        }
    }

    proptest! {
        #[test]
        fn no_shape_of_text_shows_a_secret(secret in "[A-Za-z0-9+/]{10,40}={0,2}") {
            for text in [
                format!("dsn postgres://u:{}@db/x", secret.replace('/', "%2F")),
                format!("clone https://u:p@{}@h/x", secret.replace('/', "%2F")),
                format!("SESSION_COOKIE={secret} next"),
                format!("run --password={secret} now"),
                format!("run --password {secret} now"),
                format!("{{\"api_token\": \"{secret}\"}}"),
                format!("password: '{secret}'"),
                format!("Authorization: Bearer {secret}"),
                format!("-----BEGIN RSA PRIVATE KEY-----\n{secret}\n-----END RSA PRIVATE KEY-----"),
                format!("-----BEGIN PRIVATE KEY-----\n{secret}"),
                format!("{secret}\n-----END PRIVATE KEY-----\nrolled out"),
            ] {
                prop_assert!(!masked(&text).contains(&secret), "{} -> {}", text, masked(&text));
            }
        }
    }
}
