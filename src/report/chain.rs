//! What `build-chain` prints (rules C13, C14).

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::effective::chain::{Chain, Edge, Link};
use crate::names::{Namespace, StreamTag};

/// A point as `oc` names it: `istag/httpd:2.4`, `bc/web2`.
fn short(link: &Link) -> String {
    match link {
        Link::Tag(tag) => format!("istag/{}:{}", tag.stream.name, tag.tag),
        Link::Build(object) | Link::Workload(object) => {
            format!("{}/{}", object.kind.short(), object.name)
        }
    }
}

fn namespace(link: &Link) -> &Namespace {
    match link {
        Link::Tag(tag) => &tag.stream.namespace,
        Link::Build(object) | Link::Workload(object) => &object.namespace,
    }
}

/// A point, with its namespace where several are looked at.
fn named(link: &Link, chain: Chain<'_>) -> String {
    match chain.namespace {
        Some(_) => short(link),
        None => format!("<{} {}>", namespace(link), short(link)),
    }
}

/// What is said where builds feed themselves: nothing else is said of them then.
#[must_use]
pub fn cycle(way: &[Link]) -> String {
    let way: Vec<String> = way.iter().map(short).collect();
    format!("Cycle detected in build configurations: {}", way.join(" -> "))
}

/// A line for each point, a tab deeper for each step that leads there.
#[must_use]
pub fn tree(chain: Chain<'_>, root: &StreamTag) -> String {
    let mut text = String::new();
    let mut above = Vec::new();
    branch(chain, &Link::Tag(root.clone()), &mut above, &mut text);
    text
}

fn branch(chain: Chain<'_>, link: &Link, above: &mut Vec<Link>, text: &mut String) {
    text.extend(std::iter::repeat_n('\t', above.len()));
    text.push_str(&named(link, chain));
    text.push('\n');
    above.push(link.clone());
    for (next, _) in chain.next(link) {
        // What stands above it is no branch of it.
        if !above.contains(&next) {
            branch(chain, &next, above, text);
        }
    }
    above.pop();
}

/// The points that are reached, each with a number, and what leads from one to another.
struct Reached {
    links: Vec<Link>,
    edges: Vec<(usize, usize, Vec<Edge>)>,
}

impl Reached {
    fn of(chain: Chain<'_>, root: &StreamTag) -> Self {
        let mut reached = Self { links: vec![Link::Tag(root.clone())], edges: Vec::new() };
        let mut numbers = BTreeMap::from([(Link::Tag(root.clone()), 0)]);
        let mut at = 0;
        while let Some(link) = reached.links.get(at).cloned() {
            for (next, ways) in chain.next(&link) {
                let number = *numbers.entry(next.clone()).or_insert_with(|| {
                    reached.links.push(next);
                    reached.links.len() - 1
                });
                let (from, to) = if chain.reverse { (number, at) } else { (at, number) };
                reached.edges.push((from, to, ways));
            }
            at += 1;
        }
        reached.edges.sort();
        reached
    }
}

/// A point as graphs label it: `ImageStreamTag|openshift/httpd:2.4`.
fn label(link: &Link) -> String {
    match link {
        Link::Tag(tag) => format!("ImageStreamTag|{tag}"),
        Link::Build(object) | Link::Workload(object) => {
            format!("{}|{}/{}", object.kind, object.namespace, object.name)
        }
    }
}

fn ways(edges: &[Edge]) -> String {
    let word = |edge: &Edge| match edge {
        Edge::Output => "BuildOutput",
        Edge::Input => "BuildInputImage",
        Edge::Trigger => "BuildTriggerImage",
        Edge::Rollout => "DeploymentTriggerImage",
    };
    edges.iter().map(word).collect::<Vec<_>>().join(",")
}

/// The graph in the language of graphviz.
#[must_use]
pub fn dot(chain: Chain<'_>, root: &StreamTag) -> String {
    let Reached { links, edges } = Reached::of(chain, root);
    // Names hold nothing that would have to be quoted.
    let mut text =
        format!("digraph \"{}:{}\" {{\n  // Node definitions.\n", root.stream.name, root.tag);
    // Writing into a text cannot fail.
    for (number, link) in links.iter().enumerate() {
        let _ = writeln!(text, "  {number} [label=\"{}\"];", label(link));
    }
    if !edges.is_empty() {
        text.push_str("\n  // Edge definitions.\n");
    }
    for (from, to, edges) in &edges {
        let _ = writeln!(text, "  {from} -> {to} [label=\"{}\"];", ways(edges));
    }
    text + "}\n"
}

/// The graph in the language of mermaid, which git hosts draw in Markdown.
#[must_use]
pub fn mermaid(chain: Chain<'_>, root: &StreamTag) -> String {
    let Reached { links, edges } = Reached::of(chain, root);
    let mut text = "flowchart LR\n".to_owned();
    for (number, link) in links.iter().enumerate() {
        let shown = named(link, chain).replace(['<', '>'], "");
        let _ = writeln!(text, "  n{number}[\"{shown}\"]");
    }
    for (from, to, edges) in &edges {
        // What a build is merely made of starts nothing.
        let starts = edges.iter().any(|edge| *edge != Edge::Input);
        let _ = writeln!(text, "  n{from} {} n{to}", if starts { "-->" } else { "-.->" });
    }
    text
}
