//! Values as an instruction holds them, so that they read as themselves and as nothing else.
//!
//! An instruction ends with its line, and no quote keeps one from ending: a line break within a value is written as the
//! two characters `\n`, as OpenShift does it (openshift/builder `dockerfile/instructions.go`).

use super::path::clean;

/// Characters of a value on one line; up to August 2023, buildah dropped all that is behind one of 64 KiB.
const LINE_CHARS_MAX: usize = 8_000;

/// `NAME A="b" \`, a pair a line.
pub(super) fn pairs<'a>(
    name: &str,
    escape: char,
    pairs: impl Iterator<Item = (String, &'a str)>,
) -> String {
    let pairs: Vec<String> =
        pairs.map(|(key, value)| format!("{key}={}", quoted(value, escape))).collect();
    if pairs.is_empty() {
        return String::new();
    }
    let indent = " ".repeat(name.len() + 1);
    format!("{name} {}\n", pairs.join(&format!(" {escape}\n{indent}")))
}

/// A value in quotes. Where `\` continues lines, it and `"` and `$` have one before them. Where another character does,
/// buildah finds the end of a word by that and its value by `\`: only what is in single quotes is the same to both.
pub(super) fn quoted(value: &str, escape: char) -> String {
    let quote = if escape == '\\' { '"' } else { '\'' };
    let mut text = String::from(quote);
    for (at, c) in value.chars().enumerate() {
        if at > 0 && at % LINE_CHARS_MAX == 0 {
            text.extend([quote, escape, '\n', quote]);
        }
        match c {
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\0' => text.push_str("\\0"),
            '\'' if quote == '\'' => text.push_str("'\"'\"'"),
            '$' | '"' | '\\' if quote == '"' => text.extend(['\\', c]),
            c => text.push(c),
        }
    }
    text.push(quote);
    text
}

/// What cannot be written into a Dockerfile so that it means itself.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Unwritable {
    /// A name that no variable can have.
    #[error("{} is no name of a variable", shown(.0))]
    EnvName(String),
    /// A name that no label can have.
    #[error("{} is no name of a label", shown(.0))]
    LabelName(String),
    /// What is to stand behind a `FROM` is no image.
    #[error("{} is no image", shown(.0))]
    Image(String),
    /// A path with a line break in it, or none.
    #[error("{} is no path", shown(.0))]
    Path(String),
    /// What is to stand behind a `USER` is no user.
    #[error("{} is no user", shown(.0))]
    User(String),
}

/// Whether this can be the name of a variable, as Kubernetes has them.
pub(super) fn is_env_name(name: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    !name.is_empty() && !name.starts_with(|c: char| c.is_ascii_digit()) && name.chars().all(is_part)
}

/// Looks whether these can be names of variables.
pub(super) fn check_env_names<'a>(
    mut names: impl Iterator<Item = &'a String>,
) -> Result<(), Unwritable> {
    names
        .find(|name| !is_env_name(name))
        .map_or(Ok(()), |name| Err(Unwritable::EnvName(name.clone())))
}

/// Looks whether these can be names of labels: in quotes all but what would end one.
pub(super) fn check_label_names<'a>(
    mut names: impl Iterator<Item = &'a String>,
) -> Result<(), Unwritable> {
    let is_name =
        |name: &str| !name.is_empty() && !name.contains(|c: char| c == '=' || c.is_control());
    names
        .find(|name| !is_name(name))
        .map_or(Ok(()), |name| Err(Unwritable::LabelName(name.clone())))
}

/// What can be the image of a `FROM`: one word, in which nothing is put in the place of anything.
pub(super) fn checked_image(image: &str) -> Result<&str, Unwritable> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "._-/:@+".contains(c);
    let is_image =
        image.starts_with(|c: char| c.is_ascii_alphanumeric()) && image.chars().all(is_part);
    if is_image { Ok(image) } else { Err(Unwritable::Image(image.to_owned())) }
}

/// What can be behind a `USER`: a name or a number.
pub(super) fn checked_user(user: String) -> Result<String, Unwritable> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let is_user = user.chars().all(is_part) && !user.starts_with(['-', '.']) && !user.is_empty();
    if is_user { Ok(user) } else { Err(Unwritable::User(user)) }
}

/// A path in the shortest form, of one line.
pub(super) fn checked_path(path: &str) -> Result<String, Unwritable> {
    if path.is_empty() || path.contains(char::is_control) {
        return Err(Unwritable::Path(path.to_owned()));
    }
    Ok(clean(path))
}

/// Whether a path is the same to everybody who reads it, without quotes.
pub(super) fn is_plain(path: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "._-/".contains(c);
    !path.is_empty() && !path.starts_with('-') && path.chars().all(is_part)
}

/// A path as the shell reads it.
pub(super) fn shell_word(path: &str) -> String {
    if is_plain(path) { path.to_owned() } else { format!("'{}'", path.replace('\'', "'\\''")) }
}

/// What is shown of a text that may be anything.
pub(super) fn shown(text: &str) -> String {
    let text: String = text.chars().take(100).collect();
    format!("{text:?}")
}
