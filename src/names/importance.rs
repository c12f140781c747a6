//! Which of many tags matter most: the order in which a repository's tags are imported and shown (rule I57).

use std::cmp::Ordering;

use semver::Version;

/// What a tag is, by the look of it; the order is that of importance (rule I57).
#[derive(PartialEq, Eq, Debug)]
enum Class {
    Latest,
    Minor(Version),
    Full(Version),
    Other,
}

/// Orders tags by importance: `latest`, then versions of two parts, then those of three, newest first, then the rest by
/// name (rule I57).
pub fn by_importance<T: AsRef<str>>(tags: &mut [T]) {
    tags.sort_by_cached_key(|tag| Importance::of(tag.as_ref()));
}

/// The key by which [`by_importance`] orders.
#[derive(PartialEq, Eq, Debug)]
pub struct Importance {
    class: Class,
    has_v: bool,
    tag: String,
}

impl Importance {
    /// The importance of a tag.
    #[must_use]
    pub fn of(tag: &str) -> Self {
        Self { class: class(tag), has_v: tag.starts_with('v'), tag: tag.to_owned() }
    }
}

impl PartialOrd for Importance {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Importance {
    fn cmp(&self, other: &Self) -> Ordering {
        let rank = |class: &Class| match class {
            Class::Latest => 0,
            Class::Minor(_) => 1,
            Class::Full(_) => 2,
            Class::Other => 3,
        };
        let by_class = match (&self.class, &other.class) {
            (Class::Minor(a), Class::Minor(b)) | (Class::Full(a), Class::Full(b)) => {
                b.cmp_precedence(a).then(self.has_v.cmp(&other.has_v))
            }
            (a, b) => rank(a).cmp(&rank(b)),
        };
        by_class.then_with(|| self.tag.cmp(&other.tag))
    }
}

/// The version that a tag is, as far as it is one: `5.1`, `v5.1-rc1`, `5.1.3` (rule I57).
#[must_use]
pub fn version(tag: &str) -> Option<Version> {
    match class(tag) {
        Class::Minor(version) | Class::Full(version) => Some(version),
        Class::Latest | Class::Other => None,
    }
}

fn class(tag: &str) -> Class {
    if tag == "latest" {
        return Class::Latest;
    }
    let bare = tag.strip_prefix('v').unwrap_or(tag);
    if let Some(version) = minor(bare) {
        return Class::Minor(version);
    }
    Version::parse(bare).map_or(Class::Other, Class::Full)
}

/// `X.Y` or `X.Y-word`, read as `X.Y.0` and `X.Y.0-word`.
fn minor(tag: &str) -> Option<Version> {
    let (numbers, word) = tag.split_once('-').map_or((tag, None), |(n, word)| (n, Some(word)));
    let (major, minor) = numbers.split_once('.')?;
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit());
    let is_word = |text: &str| {
        !text.is_empty() && text.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_')
    };
    if !is_number(major) || !is_number(minor) || !word.is_none_or(is_word) {
        return None;
    }
    let word = word.map(|word| format!("-{word}")).unwrap_or_default();
    Version::parse(&format!("{numbers}.0{word}")).ok()
}
