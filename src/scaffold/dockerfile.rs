//! What is read of a Dockerfile: the last base image and the ports after it (rule N6).

use std::collections::BTreeMap;

/// What a Dockerfile says of the image that it makes.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Read {
    /// The image of its last `FROM`, with the arguments before it put in.
    pub base: Option<String>,
    /// Whether that `FROM` goes on with a stage of the file: then `base` is the image of that, and no other image may take
    /// the place of the stage.
    pub is_stage: bool,
    /// The ports that it exposes, as they are written; ranges are their first port.
    pub ports: Vec<String>,
}

/// Reads a Dockerfile that is built with these arguments. What cannot be read is passed over: the build says what is wrong
/// with it.
#[must_use]
pub fn read(text: &str, given: &[(String, String)]) -> Read {
    let mut found = Read::default();
    let mut stages: BTreeMap<String, Option<String>> = BTreeMap::new();
    let (mut arguments, mut variables) = (BTreeMap::new(), BTreeMap::new());
    for line in instructions(text) {
        let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((&line, ""));
        let rest = rest.trim();
        match word.to_ascii_uppercase().as_str() {
            "FROM" => {
                let mut words = rest.split_whitespace().filter(|word| !word.starts_with("--"));
                let image = words.next().map(|image| filled(image, &arguments));
                let stage = image.as_ref().and_then(|image| stages.get(&image.to_lowercase()));
                let (base, is_stage) = match stage {
                    Some(base) => (base.clone(), true),
                    None => (image, false),
                };
                let name = words.nth(1).map(str::to_lowercase);
                stages.extend(name.map(|name| (name, base.clone())));
                found = Read { base, is_stage, ports: Vec::new() };
                variables = arguments.clone();
            }
            "ARG" => {
                let (name, default) =
                    rest.split_once('=').map_or((rest, None), |(n, v)| (n, Some(v)));
                let own = given.iter().rev().find(|(key, _)| key == name);
                let default = default.map(|value| filled(unquoted(value), &variables));
                let Some(value) = own.map(|(_, value)| value.clone()).or(default) else { continue };
                if found.base.is_none() {
                    arguments.insert(name.to_owned(), value.clone());
                }
                variables.insert(name.to_owned(), value);
            }
            "ENV" => env(rest, &mut variables),
            "EXPOSE" => {
                let ports = rest.split_whitespace().map(|port| filled(port, &variables));
                found.ports.extend(ports.map(|port| first_of_range(&port)));
            }
            _ => {} // a foreign language: its other instructions say nothing that is asked here
        }
    }
    found
}

/// The instructions, one a line: comments away, lines that go on joined.
fn instructions(text: &str) -> Vec<String> {
    let mut all = Vec::new();
    let mut open = String::new();
    for line in text.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
        match line.strip_suffix('\\') {
            Some(part) => {
                open.push_str(part);
                open.push(' ');
            }
            None if open.is_empty() && line.is_empty() => {}
            None => {
                open.push_str(line);
                all.push(std::mem::take(&mut open));
            }
        }
    }
    all.extend(Some(open).filter(|open| !open.is_empty()));
    all
}

/// `NAME value` or `NAME=value OTHER=value`.
fn env(rest: &str, variables: &mut BTreeMap<String, String>) {
    let first = rest.split_whitespace().next().unwrap_or_default();
    if !first.contains('=') {
        let value = rest.strip_prefix(first).unwrap_or_default().trim();
        let value = filled(value, variables);
        variables.insert(first.to_owned(), value);
        return;
    }
    for (name, value) in rest.split_whitespace().filter_map(|pair| pair.split_once('=')) {
        let value = filled(unquoted(value), variables);
        variables.insert(name.to_owned(), value);
    }
}

fn unquoted(text: &str) -> &str {
    text.trim_matches(['"', '\''])
}

/// A text with `$NAME`, `${NAME}` and `${NAME:-other}` put in; what is not known stays.
fn filled(text: &str, variables: &BTreeMap<String, String>) -> String {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        let (name, other, end) = match after.strip_prefix('{').and_then(|in_| in_.split_once('}')) {
            Some((inside, end)) => {
                let (name, other) = inside.split_once(":-").unwrap_or((inside, ""));
                (name, Some(other).filter(|other| !other.is_empty()), end)
            }
            None => {
                let len = after.find(|c| !is_name(c)).unwrap_or(after.len());
                let (name, end) = after.split_at(len);
                (name, None, end)
            }
        };
        let known = variables.get(name).map(String::as_str).filter(|value| !value.is_empty());
        match known.or(other) {
            Some(value) => out.push_str(value),
            None => {
                let len = after.len() - end.len();
                out.push('$');
                out.push_str(after.get(..len).unwrap_or_default());
            }
        }
        rest = end;
    }
    out + rest
}

fn first_of_range(port: &str) -> String {
    let (numbers, protocol) = port.split_once('/').map_or((port, None), |(n, p)| (n, Some(p)));
    let first = numbers.split_once('-').map_or(numbers, |(first, _)| first);
    protocol.map_or_else(|| first.to_owned(), |protocol| format!("{first}/{protocol}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_stage_counts_with_its_arguments_and_ports() {
        let text = "# x\nARG V=3.6\nFROM golang:1 AS build\nEXPOSE 1\nRUN a \\\n  b\nFROM --platform=x python:${V}\n\
                    ENV PORT 8080\nEXPOSE $PORT/tcp 9000-9010 53/udp\n";
        let found = read(text, &[]);
        assert_eq!(found.base.as_deref(), Some("python:3.6"));
        assert_eq!(read(text, &[("V".into(), "3.9".into())]).base.as_deref(), Some("python:3.9"));
        assert_eq!(found.ports, ["8080/tcp", "9000", "53/udp"]);
    }

    #[test]
    fn a_stage_that_goes_on_with_another_has_its_base() {
        let read = |text| read(text, &[]);
        let found = read("ARG P=1\nfrom centos:7 as base\nFROM base\nARG P\nexpose 80 $P\n");
        assert_eq!((found.base.as_deref(), found.is_stage), (Some("centos:7"), true));
        assert_eq!(found.ports, ["80", "1"]);
        assert_eq!(read("RUN x\n"), Read::default());
        let found = read("FROM ${BASE:-centos}:7\n");
        assert_eq!((found.base.as_deref(), found.is_stage), (Some("centos:7"), false));
    }
}
