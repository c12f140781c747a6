//! What a word is: environment, a source, a template file, a component (rules N1, N8).

use std::collections::BTreeMap;

/// What an argument is (rule N1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Word {
    /// `KEY=VALUE`.
    Environment,
    /// A folder, or a repository that answers.
    Source,
    /// A file that holds a Template.
    Template,
    /// An image, a stream, `image~source`, several of them with `+`.
    Component,
}

impl Word {
    /// What errors call it.
    #[must_use]
    pub fn shown(self) -> &'static str {
        match self {
            Self::Environment => "an environment value",
            Self::Source => "a source repository",
            Self::Template => "a template",
            Self::Component => "an image, image~source, or loaded template reference",
        }
    }
}

/// What the world says of an argument.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Facts {
    /// Whether it is a folder here.
    pub is_folder: bool,
    /// Whether it is a repository that answers.
    pub is_repository: bool,
    /// Whether it is a file with a Template.
    pub is_template: bool,
    /// Why it is no source, as errors tell it.
    pub not_a_source: String,
}

/// Whether it is environment; then nobody has to look any further.
#[must_use]
pub fn is_environment(word: &str) -> bool {
    word.find('=').is_some_and(|at| at > 0)
}

/// Whether it can be the URL of a repository, so that asking there makes sense.
///
/// `host:path` is one of `git`, too, but so is `python:3.6`: without a user or `.git` it is taken as an image.
#[must_use]
pub fn is_url(word: &str) -> bool {
    if let Some((scheme, _)) = word.split_once("://") {
        return ["https", "http", "ssh", "git", "file"].contains(&scheme);
    }
    let Some((host, path)) = word.split_once(':') else { return false };
    let path = path.split('#').next().unwrap_or_default();
    !host.contains(['/', '~']) && (host.contains('@') || path.ends_with(".git"))
}

/// What an argument is.
#[must_use]
pub fn classify(word: &str, facts: &Facts) -> Word {
    match () {
        () if is_environment(word) => Word::Environment,
        () if facts.is_folder || facts.is_repository => Word::Source,
        () if facts.is_template => Word::Template,
        () => Word::Component,
    }
}

/// Cuts `image~source`: the image, the source if there is one, and whether it is said that something is built.
///
/// # Errors
/// When there is a `~` and no image before it.
pub fn component(word: &str) -> Result<(&str, Option<&str>, bool), String> {
    match word.split_once('~') {
        None => Ok((word, None, false)),
        Some(("", _)) => Err(format!(
            "when using '[image]~[code]' form for \"{word}\", you must specify a image name"
        )),
        Some((image, "")) => Ok((image, None, true)),
        Some((image, source)) => Ok((image, Some(source), true)),
    }
}

/// What `KEY=VALUE` words say, and the keys that were said twice; the first one counts.
///
/// # Errors
/// When a word is no assignment.
pub fn environment(words: &[String]) -> Result<(BTreeMap<String, String>, Vec<String>), String> {
    let (mut found, mut twice) = (BTreeMap::new(), Vec::new());
    for word in words {
        let pair = word.split_once('=').filter(|(key, _)| is_variable(key));
        let Some((key, value)) = pair else {
            return Err(format!(
                "invalid parameter assignment in \"{word}\": a name is made of letters, digits, '-', '_' and '.', and does \
                 not begin with a digit"
            ));
        };
        if found.contains_key(key) {
            twice.push(key.to_owned());
        } else {
            found.insert(key.to_owned(), value.to_owned());
        }
    }
    Ok((found, twice))
}

/// The same of the lines of a file, which `#` comments.
///
/// # Errors
/// When a line is no assignment.
pub fn environment_file(text: &str) -> Result<BTreeMap<String, String>, String> {
    let lines = text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#'));
    let unquoted = |text: &str| {
        let inner =
            |quote| text.strip_prefix(quote).and_then(|rest: &str| rest.strip_suffix(quote));
        inner('"').or_else(|| inner('\'')).unwrap_or(text).to_owned()
    };
    let line = |line: &str| {
        let line = line.strip_prefix("export ").unwrap_or(line);
        line.split_once('=').map_or_else(
            || line.to_owned(),
            |(key, value)| format!("{}={}", key.trim(), unquoted(value.trim())),
        )
    };
    let words: Vec<String> = lines.map(line).collect();
    environment(&words).map(|(found, _)| found)
}

fn is_variable(name: &str) -> bool {
    let first = name.bytes().next();
    first.is_some_and(|byte| !byte.is_ascii_digit())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

/// How long a name may be: rollouts append a number to it.
const NAME_LEN: usize = 58;

/// Checks `--name` (rule N8).
///
/// # Errors
/// When it is none that every object may have.
pub fn check_name(name: &str) -> Result<(), String> {
    let good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let is_name = name.bytes().all(good)
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && !name.ends_with('-')
        && name.len() <= NAME_LEN;
    if is_name {
        return Ok(());
    }
    Err(format!(
        "invalid name: {name}. Must be an a lower case alphanumeric (a-z, and 0-9) string with a maximum length of 58 \
         characters, where the first character is a letter (a-z), and the '-' character is allowed anywhere except the \
         first or last character."
    ))
}

/// The names of one command: made of what is suggested, each once (rule N8).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Names(BTreeMap<String, usize>);

impl Names {
    /// The next name for something that is called so.
    ///
    /// # Errors
    /// When nothing is left of it.
    pub fn next(&mut self, suggested: &str) -> Result<String, String> {
        let name = simple(suggested);
        if suggested.len() < 2 || name.len() < 2 {
            return Err(format!("invalid name: {suggested}"));
        }
        let count = self.0.entry(name.clone()).and_modify(|count| *count += 1).or_insert(0);
        Ok(if *count == 0 { name } else { format!("{name}-{count}") })
    }
}

/// In lower case, without what no name may hold.
fn simple(text: &str) -> String {
    let lower = text.to_lowercase();
    let kept: String = lower
        .chars()
        .filter(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || *c == '-')
        .collect();
    let kept = kept.trim_start_matches('-');
    kept.get(..NAME_LEN).unwrap_or(kept).trim_end_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_git_takes_as_a_host_is_an_image_unless_it_says_more() {
        for url in ["https://h/x", "git@h:x/y", "h:x/y.git", "h:x.git#main", "ssh://h/x"] {
            assert!(is_url(url), "{url}");
        }
        for image in
            ["python", "python:3.6", "h.io:5000/x:1", "httpd:2.4~https://h/x", "./a", "oci://x"]
        {
            assert!(!is_url(image), "{image}");
        }
    }

    #[test]
    fn a_file_of_variables_has_comments_and_quotes() {
        let found = environment_file("# x\nA=1\n\nexport B = \"x y\"\n").unwrap();
        assert_eq!(found, [("A".into(), "1".into()), ("B".into(), "x y".into())].into());
        assert!(environment_file("no\n").is_err());
    }
}
