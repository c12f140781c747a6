//! `-l`: which labels an object must have.

use crate::api::Map;

/// Requirements, all of which must hold.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Selector {
    requirements: Vec<Requirement>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Requirement {
    key: String,
    operator: Operator,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Operator {
    Exists,
    Missing,
    In(Vec<String>),
    NotIn(Vec<String>),
}

/// Why a text selects nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "unable to parse requirement: `{0}` is not `key`, `!key`, `key=value`, `key!=value` or `key in (a,b)`"
)]
pub struct SelectorError(String);

impl std::str::FromStr for Selector {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Self, SelectorError> {
        let mut requirements = Vec::new();
        let mut rest = text;
        while !rest.trim().is_empty() {
            // A comma between parentheses separates values.
            let end =
                rest.find(',').filter(|comma| rest.find('(').is_none_or(|open| open > *comma));
            let end = end.or_else(|| {
                let close = rest.find(')').filter(|_| rest.contains('('))?;
                rest.get(close..)?.find(',').map(|comma| close + comma)
            });
            let (part, after) = match end {
                Some(at) => (rest.get(..at).unwrap_or_default(), rest.get(at + 1..)),
                None => (rest, None),
            };
            requirements.push(requirement(part.trim())?);
            rest = after.unwrap_or_default();
        }
        Ok(Self { requirements })
    }
}

fn requirement(text: &str) -> Result<Requirement, SelectorError> {
    let wrong = || SelectorError(text.to_owned());
    let made = |key: &str, operator| Requirement { key: key.trim().to_owned(), operator };
    let one = |value: &str| vec![value.trim().to_owned()];
    let found = if let Some((key, value)) = text.split_once("!=") {
        made(key, Operator::NotIn(one(value)))
    } else if let Some((key, value)) = text.split_once("==").or_else(|| text.split_once('=')) {
        made(key, Operator::In(one(value)))
    } else if let Some((key, rest)) = text.split_once(char::is_whitespace) {
        let (word, list) = rest.trim().split_once('(').ok_or_else(wrong)?;
        let list = list.strip_suffix(')').ok_or_else(wrong)?;
        let values = list.split(',').map(|value| value.trim().to_owned()).collect();
        match word.trim() {
            "in" => made(key, Operator::In(values)),
            "notin" => made(key, Operator::NotIn(values)),
            _ => return Err(wrong()),
        }
    } else if let Some(key) = text.strip_prefix('!') {
        made(key, Operator::Missing)
    } else {
        made(text, Operator::Exists)
    };
    let is_key = |key: &str| {
        let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '/');
        !key.is_empty() && key.chars().all(word)
    };
    if is_key(&found.key) { Ok(found) } else { Err(wrong()) }
}

impl Selector {
    /// Whether labels have everything that is required.
    #[must_use]
    pub fn matches(&self, labels: &Map) -> bool {
        self.requirements.iter().all(|Requirement { key, operator }| {
            let value = labels.get(key);
            match operator {
                Operator::Exists => value.is_some(),
                Operator::Missing => value.is_none(),
                Operator::In(values) => value.is_some_and(|value| values.contains(value)),
                Operator::NotIn(values) => value.is_none_or(|value| !values.contains(value)),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_selected_as_kubectl_does() {
        let labels: Map = [("app", "py"), ("tier", "1")]
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect();
        for (text, wanted) in [
            ("", true),
            ("app", true),
            ("!app", false),
            ("app=py,tier==1", true),
            ("app!=py", false),
            ("other!=x", true),
            ("app in (go, py),tier", true),
            ("tier notin (1,2)", false),
        ] {
            let selector: Selector = text.parse().unwrap();
            assert_eq!(selector.matches(&labels), wanted, "{text}");
        }
        for text in ["a b", "=x", "a in 1", ",a"] {
            assert!(text.parse::<Selector>().is_err(), "{text}");
        }
    }
}
