//! Documents that nobody wrote: every change of each is made, says what it should, and keeps every comment.

use proptest::prelude::*;
use serde_yaml::Value as Yaml;

use tidegate::desired::Step;
use tidegate::edit::{Change, Value, change};

/// A node with the way in which it is written.
#[derive(Clone, Debug)]
enum Node {
    Scalar(&'static str),
    Map(Vec<Node>, Style),
    List(Vec<Node>, Style),
}

#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is drawn by itself")]
struct Style {
    flow: bool,
    /// Further blanks in front of what stands below.
    indent: usize,
    /// Before each entry, and behind each value of one line.
    comments: bool,
    blank: bool,
    /// The first entry of a mapping on the line of its dash.
    compact: bool,
}

const SCALARS: [&str; 11] = [
    "plain",
    "'single'",
    "\"double\"",
    "3.10",
    "true",
    "''",
    "'yes'",
    "a:b",
    "0x1f",
    "~",
    "\"q \\\" #\"",
];

const KEYS: [&str; 4] = ["name", "from", "a.b/c", "tags"];

fn node() -> impl Strategy<Value = Node> {
    let scalar = prop::sample::select(SCALARS.to_vec()).prop_map(Node::Scalar);
    let style = || {
        let often = prop::bool::weighted(0.8);
        let rare = || prop::bool::weighted(0.2);
        (rare(), 0..3_usize, any::<bool>(), rare(), often).prop_map(
            |(flow, indent, comments, blank, compact)| Style {
                flow,
                indent,
                comments,
                blank,
                compact,
            },
        )
    };
    scalar.prop_recursive(4, 24, 4, move |inner| {
        let nodes = || prop::collection::vec(inner.clone(), 1..4);
        prop_oneof![
            (nodes(), style()).prop_map(|(nodes, style)| Node::Map(nodes, style)),
            (nodes(), style()).prop_map(|(nodes, style)| Node::List(nodes, style)),
        ]
    })
}

/// A node as it is written: on the line that is open, or on lines of its own.
enum Written {
    Inline(String),
    Lines(Vec<String>),
}

fn write(node: &Node, count: &mut usize) -> Written {
    let (nodes, style, is_map) = match node {
        Node::Scalar(text) => return Written::Inline((*text).to_owned()),
        Node::Map(_, style) | Node::List(_, style) if style.flow => {
            return Written::Inline(flow(node));
        }
        Node::Map(nodes, style) => (nodes, style, true),
        Node::List(nodes, style) => (nodes, style, false),
    };
    let mut lines = Vec::new();
    let comment = |count: &mut usize| {
        *count += 1;
        format!("# comment {count}.")
    };
    for (node, key) in nodes.iter().zip(KEYS) {
        if style.comments {
            lines.push(comment(count));
        }
        if style.blank {
            lines.push(String::new());
        }
        let lead = if is_map { format!("{key}:") } else { "-".to_owned() };
        match write(node, count) {
            Written::Inline(text) if style.comments => {
                lines.push(format!("{lead} {text} {}", comment(count)));
            }
            Written::Inline(text) => lines.push(format!("{lead} {text}")),
            Written::Lines(below) => {
                let first = below.first().filter(|line| !line.is_empty() && !line.starts_with('#'));
                let skip = usize::from(!is_map && style.compact && first.is_some());
                lines.push(if skip == 1 { format!("{lead} {}", below[0]) } else { lead });
                let indent = " ".repeat(if skip == 1 { 2 } else { 2 + style.indent });
                let below = below.iter().skip(skip);
                lines.extend(below.map(|line| format!("{indent}{line}").trim_end().to_owned()));
            }
        }
    }
    Written::Lines(lines)
}

fn flow(node: &Node) -> String {
    match node {
        Node::Scalar(text) => (*text).to_owned(),
        Node::Map(nodes, _) => {
            let entries =
                KEYS.iter().zip(nodes).map(|(key, node)| format!("{key}: {}", flow(node)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
        }
        Node::List(nodes, _) => {
            format!("[{}]", nodes.iter().map(flow).collect::<Vec<_>>().join(",  "))
        }
    }
}

/// A document, its lines ended in one of the ways in which they end.
fn document() -> impl Strategy<Value = String> {
    let nodes = prop::collection::vec(node(), 1..4);
    (nodes, any::<bool>(), any::<bool>()).prop_map(|(nodes, windows, ends)| {
        let style = Style { flow: false, indent: 0, comments: false, blank: false, compact: true };
        let Written::Lines(lines) = write(&Node::Map(nodes, style), &mut 0) else { unreachable!() };
        let text = lines.join("\n") + if ends { "\n" } else { "" };
        if windows { text.replace('\n', "\r\n") } else { text }
    })
}

/// Every path of a document, the root's too.
fn paths(node: &Yaml, path: &[Step], found: &mut Vec<Vec<Step>>) {
    found.push(path.to_vec());
    let below = |step| path.iter().cloned().chain([step]).collect::<Vec<_>>();
    match node {
        Yaml::Mapping(map) => {
            for (key, value) in map {
                paths(value, &below(Step::Key(key.as_str().unwrap().into())), found);
            }
        }
        Yaml::Sequence(items) => {
            for (index, value) in items.iter().enumerate() {
                paths(value, &below(Step::Index(index)), found);
            }
        }
        _ => {}
    }
}

fn find<'y>(root: &'y mut Yaml, path: &[Step]) -> &'y mut Yaml {
    path.iter().fold(root, |node, step| match step {
        Step::Key(key) => node.get_mut(&**key).unwrap(),
        Step::Index(index) => node.get_mut(*index).unwrap(),
    })
}

fn values() -> [(Value, Yaml); 3] {
    let map = "name: '2024-05-01'\nfrom: {kind: DockerImage, name: 'a, b'}\n";
    let from = [("kind", Value::text("DockerImage")), ("name", Value::text("a, b"))];
    [
        (Value::text("yes"), "yes".into()),
        (Value::Bool(true), true.into()),
        (
            Value::map([("name", Value::text("2024-05-01")), ("from", Value::map(from))]),
            serde_yaml::from_str(map).unwrap(),
        ),
    ]
}

/// Every change of a document at a path, what it should make, and whether it touches no comment.
fn changes(root: &Yaml, path: &[Step]) -> Vec<(Change, Yaml, bool)> {
    let mut made = Vec::new();
    let mut old = root.clone();
    let node = find(&mut old, path).clone();
    let is_scalar = !node.is_mapping() && !node.is_sequence();
    for (value, yaml) in values() {
        let mut after = root.clone();
        let here = find(&mut after, path);
        match &node {
            Yaml::Mapping(_) => {
                here.as_mapping_mut().unwrap().insert("new".into(), yaml.clone());
                let (path, key) = (path.to_vec(), "new".into());
                made.push((Change::Add { path, key, value: value.clone() }, after, true));
            }
            Yaml::Sequence(_) => {
                here.as_sequence_mut().unwrap().push(yaml.clone());
                made.push((
                    Change::Append { path: path.to_vec(), value: value.clone() },
                    after,
                    true,
                ));
            }
            _ => {}
        }
        if !path.is_empty() {
            let mut after = root.clone();
            *find(&mut after, path) = yaml;
            made.push((Change::Set { path: path.to_vec(), value }, after, is_scalar));
        }
    }
    if let Some((last, above)) = path.split_last() {
        let mut after = root.clone();
        match (find(&mut after, above), last) {
            (Yaml::Mapping(map), Step::Key(key)) => drop(map.remove(&**key)),
            (Yaml::Sequence(items), Step::Index(index)) => drop(items.remove(*index)),
            _ => unreachable!(),
        }
        made.push((Change::Remove { path: path.to_vec() }, after, false));
    }
    made
}

fn comments(text: &str) -> Vec<&str> {
    text.match_indices("# comment").map(|(at, _)| text[at..].split('.').next().unwrap()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_whatever_makes_a_change_panic_or_lie(
        text in "[ ab:{}\\[\\]#'\"&*!|>%@,?\n\r\t-]{0,40}",
        place in prop::collection::vec(prop::bool::ANY, 0..3),
    ) {
        let step = |is_key: bool| if is_key { Step::Key("a".into()) } else { Step::Index(0) };
        let path: Vec<Step> = place.into_iter().map(step).collect();
        for wish in [
            Change::Set { path: path.clone(), value: Value::text("x") },
            Change::Add { path: path.clone(), key: "k".into(), value: Value::text("x") },
            Change::Append { path: path.clone(), value: Value::text("x") },
            Change::Remove { path: path.clone() },
            Change::Rename { path, key: "k".into() },
        ] {
            if let Ok(new) = change(&text, &wish) {
                prop_assert!(serde_yaml::from_str::<Yaml>(&new).is_ok(), "{:?} made {}", text, new);
            }
        }
    }

    #[test]
    fn every_change_of_a_generated_document_is_made(text in document()) {
        let root: Yaml = serde_yaml::from_str(&text).unwrap();
        let mut places = Vec::new();
        paths(&root, &[], &mut places);
        for place in places {
            for (wish, wanted, keeps) in changes(&root, &place) {
                let new = change(&text, &wish);
                let new = new.map_err(|error| TestCaseError::fail(format!("{wish:?} of\n{text}\n{error}")))?;
                let read: Yaml = serde_yaml::from_str(&new).unwrap();
                prop_assert_eq!(&read, &wanted, "{:?} of\n{}\ngave\n{}", wish, text, new);
                if keeps {
                    prop_assert_eq!(comments(&new), comments(&text), "{:?} of\n{}\ngave\n{}", wish, text, new);
                }
            }
        }
    }
}
