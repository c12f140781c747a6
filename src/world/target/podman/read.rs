//! What podman and the programs beside it print, as far as it is read: whatever it is, it is no verdict about an image
//! (rule T25), and of what cannot be read nothing is told but where.

use serde::de::DeserializeOwned;
use serde_json::error::Category;

use super::program::Trouble;

/// Characters that are told of a reason.
const REASON_CHARS_MAX: usize = 1_000;

/// Characters of what podman calls something: a name has 255 bytes.
const WORD_CHARS_MAX: usize = 255;

/// Reads JSON that a command printed which is called so in messages.
pub(super) fn json<T: DeserializeOwned>(command: &str, said: &str) -> Result<T, Trouble> {
    serde_json::from_str(said).map_err(|error| {
        if said.trim().is_empty() {
            return Trouble::Passing(format!("{command} printed nothing"));
        }
        let what = match error.classify() {
            Category::Eof => "JSON that breaks off",
            Category::Data => "JSON of another shape",
            Category::Syntax | Category::Io => "what is no JSON",
        };
        let (line, column) = (error.line(), error.column());
        Trouble::Passing(format!("{command} printed {what}, at line {line}, column {column}"))
    })
}

/// The same of a command that was asked for so many things and does not fail: it has to tell of each.
pub(super) fn all<T: DeserializeOwned>(
    command: &str,
    said: &str,
    asked: usize,
) -> Result<Vec<T>, Trouble> {
    let told: Vec<T> = json(command, said)?;
    let count = told.len();
    if count < asked {
        let why = format!("{command} tells of {count} of {asked} that it was asked for");
        return Err(Trouble::Passing(why));
    }
    Ok(told)
}

/// The same of a command that was asked for these, told apart by a number.
pub(super) fn each<T: DeserializeOwned>(
    command: &str,
    said: &str,
    asked: &[&str],
    id: impl Fn(&T) -> &str,
) -> Result<Vec<T>, Trouble> {
    let told: Vec<T> = json(command, said)?;
    match asked.iter().find(|asked| !told.iter().any(|one| id(one) == **asked)) {
        Some(missing) => {
            let missing = word(missing);
            Err(Trouble::Passing(format!("{command} does not tell of {missing}")))
        }
        None => Ok(told),
    }
}

/// What podman or systemd calls something: short, and nothing that moves a cursor.
pub(super) fn word(text: &str) -> String {
    cut(text.trim(), WORD_CHARS_MAX)
}

/// A reason, with words of somebody else in it.
pub(super) fn reason(text: &str) -> String {
    crate::secret::masked(&cut(text, REASON_CHARS_MAX))
}

fn cut(text: &str, max: usize) -> String {
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().take(max).map(clean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told<T>(read: Result<T, Trouble>) -> String {
        match read {
            Err(Trouble::Passing(why)) => why,
            Ok(_) | Err(Trouble::Refused(_) | Trouble::Cancelled) => "a verdict".to_owned(),
        }
    }

    #[test]
    fn of_what_cannot_be_read_it_is_told_where_and_nothing_of_it() {
        let of = |said: &str| told(json::<Vec<u8>>("podman ps", said));
        assert_eq!(of(""), "podman ps printed nothing");
        assert_eq!(of("[1,"), "podman ps printed JSON that breaks off, at line 1, column 3");
        assert_eq!(of("\u{1b}["), "podman ps printed what is no JSON, at line 1, column 1");
        let secret = "[1,\n\"password=hunter2\"]";
        assert_eq!(of(secret), "podman ps printed JSON of another shape, at line 2, column 18");
        let few = told(all::<u8>("podman container inspect", "[1]", 2));
        assert_eq!(few, "podman container inspect tells of 1 of 2 that it was asked for");
    }

    #[test]
    fn words_of_others_are_short_and_on_one_line() {
        assert_eq!(word("\u{1b}[31mdead\n"), " [31mdead");
        assert_eq!(word(&"x".repeat(4_000)).len(), WORD_CHARS_MAX);
        assert_eq!(reason("a\nb: token=abc"), "a b: token=***");
        assert_eq!(reason(&"x".repeat(4_000)).len(), REASON_CHARS_MAX);
    }
}
