//! Which lines of a file are better not shown: they may hold a secret (law 10).
//!
//! The text is looked at and not what was read of it: a line is shown because it is wrong, and then often nothing was.

use crate::secret::sounds_secret;

/// Whether line `number` (from 1) of a text may hold a secret: in a Secret, under a name that sounds like one, or beside
/// one.
pub(super) fn may_be_secret(text: &str, number: usize) -> bool {
    let lines: Vec<&str> = text.lines().collect();
    let Some(at) = number.checked_sub(1).filter(|at| *at < lines.len()) else { return false };
    let (start, end) = document(&lines, at);
    let document = lines.get(start..end).unwrap_or_default();
    let at = at - start;
    let object = object(document, at);
    object.iter().any(|line| is_secret_kind(line)) || has_secret_name(document, at)
}

/// The document around a line.
fn document(lines: &[&str], at: usize) -> (usize, usize) {
    let ends = |line: &&str| line.starts_with("---");
    let start = lines.get(..=at).and_then(|before| before.iter().rposition(ends)).unwrap_or(0);
    let after = lines.get(at + 1..).and_then(|after| after.iter().position(ends));
    (start, after.map_or(lines.len(), |after| at + 1 + after))
}

/// The lines of the object that a line is in: an item of a List or of a Template in block style, else the document.
fn object<'a>(document: &'a [&'a str], at: usize) -> &'a [&'a str] {
    let holds = |line: &&str| matches!(line.trim_end(), "items:" | "objects:");
    let Some(list) = document.iter().position(holds).filter(|list| *list < at) else {
        return document;
    };
    let rest = document.get(list + 1..).unwrap_or_default();
    let Some(first) = rest.iter().find(|line| line.trim_start().starts_with('-')) else {
        return document;
    };
    let starts = |line: &&str| {
        indent(line) == indent(first) && line.trim_start().starts_with('-')
            || !line.trim().is_empty() && indent(line) < indent(first)
    };
    let Some(place) = at.checked_sub(list + 1) else { return document };
    let before = rest.get(..=place).unwrap_or_default();
    let start = before.iter().rposition(starts).unwrap_or(0);
    let after = rest.get(place + 1..).unwrap_or_default();
    let end = after.iter().position(starts).map_or(rest.len(), |end| place + 1 + end);
    rest.get(start..end).unwrap_or(document)
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// `kind: Secret`, in YAML or JSON, on a line of its own or not.
fn is_secret_kind(line: &str) -> bool {
    let bare: String = line.chars().filter(|c| !matches!(c, ' ' | '"' | '\'' | '\t')).collect();
    let ends = |rest: &str| !rest.starts_with(|c: char| c.is_alphanumeric());
    bare.match_indices("kind:Secret")
        .any(|(at, found)| bare.get(at + found.len()..).is_none_or(ends))
}

/// Whether the line, one above it that holds it, or its neighbour names something secret.
fn has_secret_name(document: &[&str], at: usize) -> bool {
    let line = |at: usize| document.get(at).copied().unwrap_or_default();
    let mut depth = indent(line(at));
    if sounds_secret(line(at)) {
        return true;
    }
    // `- name: PASSWORD` stands above its `value:`, or below.
    let is_value = line(at).trim_start().trim_start_matches("- ").starts_with(['v', '"']);
    let beside = [at.checked_sub(1), Some(at + 1)].into_iter().flatten();
    if is_value && beside.into_iter().any(|beside| sounds_secret(line(beside))) {
        return true;
    }
    for above in document.get(..at).unwrap_or_default().iter().rev() {
        if !above.trim().is_empty() && indent(above) < depth {
            depth = indent(above);
            if sounds_secret(above) {
                return true;
            }
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every line that may be shown.
    fn shown(text: &str) -> Vec<&str> {
        let lines = text.lines().enumerate();
        lines.filter(|(at, _)| !may_be_secret(text, at + 1)).map(|(_, line)| line).collect()
    }

    #[test]
    fn nothing_of_a_secret_is_shown() {
        assert!(shown("kind: Secret\nmetadata: {name: s}\nstringData:\n  a: hunter2\n").is_empty());
        assert!(shown("{\"kind\": \"Secret\", \"data\": {\"a\": \"hunter2\"}}").is_empty());
        assert_eq!(shown("kind: SecretStore\nspec: {a: b}\n").len(), 1, "its kind sounds secret");
    }

    #[test]
    fn the_documents_and_objects_beside_a_secret_are_shown() {
        let text = "kind: Secret\na: hunter2\n---\nkind: ConfigMap\na: b\n";
        assert_eq!(shown(text), ["---", "kind: ConfigMap", "a: b"]);
        let text = "kind: Template\nobjects:\n- kind: Secret\n  a: hunter2\n- kind: ConfigMap\n  a: b\nlabels: {c: d}\n";
        assert_eq!(shown(text).last(), Some(&"labels: {c: d}"));
        assert!(!shown(text).contains(&"  a: hunter2"));
        assert!(shown(text).contains(&"  a: b"));
    }

    #[test]
    fn what_stands_under_or_beside_a_secret_name_is_not_shown() {
        let text = "env:\n- name: DB_PASSWORD\n  value: hunter2\n- name: LEVEL\n  value: info\n";
        assert_eq!(shown(text), ["env:", "- name: LEVEL", "  value: info"]);
        assert_eq!(shown("data:\n  tls.key: |\n    hunter2\n  a: b\n"), ["data:", "  a: b"]);
    }
}
