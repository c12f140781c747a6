//! Values as an instruction holds them, so that they read as themselves and as nothing else.
//!
//! An instruction ends with its line, and no quote keeps one from ending: a line break within a value is written as the
//! two characters `\n`, as OpenShift does it (openshift/builder `dockerfile/instructions.go`).

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

/// Whether this can be the name of a variable, as Kubernetes has them.
pub(super) fn is_env_name(name: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    !name.is_empty() && !name.starts_with(|c: char| c.is_ascii_digit()) && name.chars().all(is_part)
}

/// Whether this can be the name of a label: in quotes all but what would end it.
pub(super) fn is_label_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(|c: char| c == '=' || c.is_control())
}

/// Whether this can be the image of a `FROM`: one word, in which nothing is put in the place of anything.
pub(super) fn is_image(image: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "._-/:@+".contains(c);
    image.starts_with(|c: char| c.is_ascii_alphanumeric()) && image.chars().all(is_part)
}

/// What is shown of a name that cannot be written.
pub(super) fn shown(text: &str) -> String {
    let text: String = text.chars().take(100).collect();
    format!("{text:?}")
}
