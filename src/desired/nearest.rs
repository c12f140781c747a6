//! The known word nearest to an unknown one, for hints.

/// Returns the candidate that takes the fewest edits to reach, if it is near enough to have been meant.
pub(crate) fn nearest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let limit = (word.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(edits, _)| *edits <= limit)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Whether a word is within so many edits of another, the same word in upper and lower case included.
pub(crate) fn is_near(word: &str, other: &str, edits_max: usize) -> bool {
    distance(word, other) <= edits_max
}

/// Edits between two words, upper and lower case taken as equal; two neighbours swapped count as one edit.
fn distance(a: &str, b: &str) -> usize {
    if a.len().abs_diff(b.len()) > 8 || a.len() > 64 {
        return usize::MAX;
    }
    strsim::osa_distance(&a.to_lowercase(), &b.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typo_finds_the_word_that_was_meant() {
        let known = ["importPolicy", "referencePolicy", "from", "name"];
        assert_eq!(nearest("importPolcy", known), Some("importPolicy"));
        assert_eq!(nearest("importpolicy", known), Some("importPolicy"));
        assert_eq!(nearest("form", known), Some("from"));
        assert_eq!(nearest("whatever", known), None);
    }
}
