//! Against sessions with the real `oc`: commands with what they printed. Runs where the shared folder is next to the
//! clone.
//!
//! Every block whose command we have (but for those about Deployments) is compared, or stands in [`NOT_COMPARED`] or
//! [`DIFFERENT`] with the reason.

use std::collections::BTreeSet;
use std::path::Path;

use tidegate::api::ImageStream;
use tidegate::api::view;
use tidegate::desired::exported::{Exported, read_exported};
use tidegate::desired::{Entry, parse_file};
use tidegate::oc;
use tidegate::oc::table::{Shape, Table};
use tidegate::policy::Policy;
use tidegate::time::Timestamp;

use super::ground_truth::{ground_truth, read};
use super::printed;
use crate::story::play;
use crate::support::git::Repo;

const SESSIONS: [&str; 4] = [
    "session-import-tag.txt",
    "session-hidden.txt",
    "session-app-trigger-prune.txt",
    "session-controllers.txt",
];

/// Blocks that nothing is compared with, by the beginning of their command, and why.
const NOT_COMPARED: &[(&str, &str)] = &[
    (
        "import-image ",
        "needs the session's registry; tests/it/spec has the same texts with one of ours",
    ),
    (
        "tag ",
        "names an image that the session imported; what it did is in the stream that is compared",
    ),
    (
        "describe istag",
        "the session does not show the image; ground_truth.rs compares one that is shown",
    ),
    ("describe isimage", "the same"),
    ("describe imagetag", "the same"),
    ("describe is", "the stream is not shown as YAML in that state"),
    ("get is python -o jsonpath", "the stream is not shown as YAML in that state"),
    ("get istag", "the streams are not shown as YAML in that state"),
    ("get itag", "the same; ground_truth.rs compares a larger one"),
    ("get isimage", "the same"),
    ("get is", "the same"),
    ("get images", "the images are not shown; the layout is compared with get-images.txt"),
    (
        "get all",
        "a Deployment's and its pods' lines are a cluster's; `get all` has a test of its own",
    ),
    ("get dc", "the object is not shown; `get all` has a test of its own"),
    ("set image-lookup", "lists streams that the session made by importing"),
    ("annotate istag", "the tag was imported; that of a stream is compared"),
    ("create imagestreamtag blank:1", "--from names an imported image"),
    ("delete istag", "the tag was made from an imported image"),
    (
        "delete is --all",
        "the same streams are not there; one is compared, without the namespace (rule I148)",
    ),
    ("delete all", "deletes a Deployment; without a cluster nothing is there"),
    ("new-app", "needs the session's images; tests/it/spec/told.rs has the same texts"),
    ("adm prune images", "the session's client had no token; ours needs none"),
];

/// Manifests of which our verdict is another one, and why.
const DIFFERENT: &[(&str, &str)] = &[
    ("empty tag name", "I15: a name that no registry can be asked for is refused"),
    ("tag name with colon", "I15"),
    ("tag name with slash", "I15"),
    ("tag name with space", "I15"),
    ("tag name starting with dash", "I15"),
    ("tag name starting with dot", "I15"),
    ("tag name 129 chars", "I15"),
    ("duplicate tag", "I1: two tags of one name are refused"),
    (
        "istag to missing stream",
        "I16: git has no order, so what a tag follows may come later: a warning",
    ),
    ("istag name without tag in other ns", "I16"),
    ("reference true, missing stream", "I16"),
    ("isimage malformed", "accepted without a word; the real server refuses it"),
    ("tag number name", "`2.4` without quotes is taken as text; the real server refuses a number"),
    ("apiVersion v1", "accepted without a word; a current server does not know it"),
];

/// Commands that need no image of the session, in their order, and run here on a repository.
const ON_A_REPOSITORY: &[&str] = &[
    "tag",
    "tag -d nosuch:1",
    "tag -d python:nosuch",
    "tag python:3.6 other:prod --alias",
    "tag python:3.6 python:al --alias=true",
    "tag --source=docker quay.io/org/app:latest other:ext --reference",
    "tag openshift/python:3.6 other:x",
    "import-image nosuch",
    "create imagestream blank",
    "create imagestreamtag blank:2 --from-image=quay.io/org/app:2 --scheduled",
    "create imagestreamtag blank:2 --from-image=quay.io/org/app:2",
    "annotate is/python team=web",
    "label is/python app=py",
    "set image-lookup python",
    "set image-lookup python --enabled=false",
    "delete is python",
];

/// A command with what it printed.
#[derive(Debug)]
struct Block {
    command: String,
    printed: String,
    failed: bool,
}

fn blocks(text: &str) -> Vec<Block> {
    let parts = format!("\n{text}");
    let parts = parts.split("\n$ ").skip(1).map(|part| {
        let (command, rest) = part.split_once('\n').unwrap_or((part, ""));
        let rest = rest.strip_suffix('\n').unwrap_or(rest);
        let (printed, failed) = match rest.rsplit_once("[exit 1]") {
            Some((printed, end)) if end.trim().is_empty() => (printed, true),
            _ => (rest, false),
        };
        let command = command.strip_prefix("oc ").unwrap_or(command).to_owned();
        Block { command, printed: printed.to_owned(), failed }
    });
    parts.collect()
}

/// Whether a command left everything as it was.
fn changes_nothing(block: &Block) -> bool {
    let reads = ["get ", "describe ", "status", "adm top", "new-app -", "rollout history"];
    block.failed || reads.iter().any(|verb| block.command.starts_with(verb))
}

/// The blocks that show a stream as YAML, each with those beside it that show the same state.
fn with_yaml(blocks: &[Block]) -> Vec<(usize, String, Vec<usize>)> {
    let mut found = Vec::new();
    for (at, block) in blocks.iter().enumerate() {
        let name = block.command.strip_prefix("get is ").and_then(|c| c.strip_suffix(" -o yaml"));
        let Some(name) = name else { continue };
        let before = (0..at).rev().take_while(|at| changes_nothing(&blocks[*at]));
        let after = (at + 1..blocks.len()).take_while(|at| changes_nothing(&blocks[*at]));
        let same: Vec<usize> = before.chain(after).filter(|at| !blocks[*at].failed).collect();
        let shows = |at: &usize| show(&blocks[*at].command, name).is_some();
        found.push((at, name.to_owned(), same.into_iter().filter(shows).collect()));
    }
    found
}

type Show = fn(&ImageStream, Timestamp) -> String;

/// How a command shows the stream of a name; none if it shows something else.
fn show(command: &str, name: &str) -> Option<Show> {
    fn table(table: &Table) -> String {
        table.to_text(Shape::default())
    }
    fn tags(stream: &ImageStream, now: Timestamp) -> String {
        let names = stream.status.tags.iter().map(|tag| tag.tag.as_str());
        let tags: Vec<_> = names.filter_map(|tag| view::stream_tag(stream, tag, None)).collect();
        table(&oc::get::stream_tags(&tags, now))
    }
    fn streams(stream: &ImageStream, now: Timestamp) -> String {
        table(&oc::get::streams(std::slice::from_ref(stream), now))
    }
    match command {
        "get istag" => Some(tags),
        "get is" => Some(streams),
        _ if command == format!("get is {name}") => Some(streams),
        _ if command == format!("describe is {name}") => Some(oc::stream::describe),
        _ if command == format!("describe is/{name}") => Some(oc::stream::describe),
        _ => None,
    }
}

/// Lines with their cells, whatever the width of the columns.
fn cells(text: &str) -> BTreeSet<Vec<&str>> {
    text.lines()
        .map(|line| line.split("   ").map(str::trim).filter(|c| !c.is_empty()).collect())
        .collect()
}

/// Whether `found` is what was printed; a table of more objects holds the rows of this one.
fn is_printed(block: &Block, found: &str) -> bool {
    let wanted = block.printed.trim_end_matches('\n');
    match block.command.as_str() {
        "get is" | "get istag" => cells(found).is_subset(&cells(wanted)),
        _ => found.trim_end_matches('\n') == wanted,
    }
}

#[test]
fn what_the_real_server_held_is_shown_as_the_real_oc_showed_it() {
    let Some(dir) = ground_truth() else { return };
    let mut compared = 0;
    for session in SESSIONS {
        let blocks = blocks(&read(&dir.join(session)));
        for (at, name, same) in with_yaml(&blocks) {
            let text = format!("{}\n", blocks[at].printed.trim_end());
            let objects = read_exported(&text).unwrap();
            let [Exported::Stream(stream)] = objects.as_slice() else { panic!("{objects:?}") };
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), &text).unwrap();
            let file = file.path().to_str().unwrap();
            let namespace = stream.metadata.namespace.as_str();
            let yaml = printed(&["get", "is", &name, "-n", namespace, "-f", file, "-o", "yaml"]);
            assert_eq!(yaml, text, "{session}: {name}");
            let begin = stream.metadata.creation_timestamp.unwrap().timestamp().as_millis();
            for at in same {
                let block = &blocks[at];
                let show = show(&block.command, &name).unwrap();
                // The second at which it was printed is not told.
                let times = (0..300).map(|s| Timestamp::from_millis(begin + s * 1_000));
                let fits = times.into_iter().any(|now| is_printed(block, &show(stream, now)));
                let shown = show(stream, Timestamp::from_millis(begin));
                assert!(fits, "{session}: {}:\n{}\n{shown}", block.command, block.printed);
                compared += 1;
            }
        }
    }
    assert!(compared >= 8, "{compared} blocks were compared");
}

/// What an object that is invalid is told of, line by line; the lines of the server's own admission are left out.
fn reasons(verdict: &str) -> BTreeSet<String> {
    let verdict = verdict.split("[exit 1]").next().unwrap_or_default();
    let Some((_, reasons)) = verdict.split_once(" is invalid: ") else { return BTreeSet::new() };
    let lines = reasons.trim().split("\n* ").map(|line| line.trim_start_matches("* ").trim());
    lines.filter(|line| !line.starts_with("[]: Internal error")).map(str::to_owned).collect()
}

#[test]
fn the_verdicts_of_the_real_server_are_ours_word_for_word() {
    let Some(dir) = ground_truth() else { return };
    let text = read(&dir.join("session-validation.txt"));
    let mut different = BTreeSet::new();
    let mut compared = 0;
    for block in format!("\n{text}").split("\n### ").skip(1) {
        let (title, rest) = block.split_once('\n').unwrap();
        let (manifest, verdict) = rest.split_once("$ oc create -f -\n").unwrap();
        let file = parse_file("f.yaml", manifest.as_bytes(), None, &Policy::default());
        let rejected = file.entries.iter().filter_map(|entry| match entry {
            Entry::Rejected(rejected) => Some(rejected.diagnostic.message.clone()),
            Entry::Object(_) | Entry::Companion(_) => None,
        });
        let found: BTreeSet<String> = rejected.collect();
        let (wanted, refused) = (reasons(verdict), verdict.contains("[exit 1]"));
        if found == wanted && found.is_empty() != refused {
            compared += 1;
            continue;
        }
        assert!(DIFFERENT.iter().any(|(name, _)| *name == title), "{title}:\n{verdict}\n{found:?}");
        different.insert(title.to_owned());
    }
    let listed: BTreeSet<String> = DIFFERENT.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(different, listed, "what differs is what is listed");
    assert_eq!(compared, 25, "manifests with the same verdict");
}

const PYTHON: &str = "apiVersion: image.openshift.io/v1\nkind: ImageStream\nmetadata: {name: python, namespace: demo}\n\
    spec:\n  tags:\n  - name: '3.6'\n    from: {kind: DockerImage, name: 'quay.io/library/python:3.6.0'}\n";

/// Runs a command of a session on a repository; what it said, without the diff and the commit that ours adds.
fn said(folder: &Path, command: &str) -> (String, bool) {
    let words: Vec<&str> = command.split(' ').collect();
    let output = play::tidegate(folder, &[&["--oc-compatible"], words.as_slice()].concat());
    let output = { output }.output().unwrap();
    let out = String::from_utf8(output.stdout).unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    let is_ours =
        |line: &&str| line.starts_with(['+', '-', '@', ' ']) || line.starts_with("committed ");
    let errors = err.lines().filter(|line| !is_ours(line)).map(|line| format!("{line}\n"));
    (errors.chain([out]).collect(), output.status.success())
}

#[test]
fn commands_that_need_no_image_say_what_the_real_ones_said() {
    let Some(dir) = ground_truth() else { return };
    let repo = Repo::new();
    repo.write("python.yaml", PYTHON).commit("python");
    let folder = tempfile::tempdir().unwrap();
    let (state, repository) = (folder.path().join("state"), repo.path().display().to_string());
    let settings = format!(
        "state_dir = {:?}\ndefault_namespace = \"demo\"\n[source]\nrepository = {repository:?}\nbranch = \"main\"\n",
        state.display().to_string()
    );
    std::fs::write(folder.path().join("tidegate.toml"), settings).unwrap();
    let all: Vec<Block> =
        SESSIONS.iter().flat_map(|session| blocks(&read(&dir.join(session)))).collect();
    for command in ON_A_REPOSITORY {
        let mut same = all.iter().filter(|block| block.command == *command).peekable();
        assert!(same.peek().is_some(), "no session has `oc {command}`");
        let (said, succeeded) = said(folder.path(), command);
        // `delete` names the namespace since oc 4.17; rule I148 keeps the short form.
        let short = |text: &str| text.replace(" from demo namespace", "").trim_end().to_owned();
        let fits =
            |block: &Block| short(&block.printed) == said.trim_end() && block.failed != succeeded;
        let wanted: Vec<_> = all.iter().filter(|block| block.command == *command).collect();
        assert!(wanted.iter().any(|block| fits(block)), "oc {command}: {said}\n{wanted:?}");
    }
    // A second time, where that is an error.
    let (again, succeeded) = said(folder.path(), "create imagestream blank");
    let exists =
        all.iter().find(|block| block.failed && block.command == "create imagestream blank");
    assert_eq!((again.trim_end(), succeeded), (exists.unwrap().printed.trim_end(), false));
}

/// Whether we have a command.
fn is_ours(command: &str) -> bool {
    let ours = [
        "get is",
        "get istag",
        "get itag",
        "get isimage",
        "get images",
        "get all",
        "get dc",
        "describe is",
        "describe imagetag",
        "tag",
        "import-image",
        "create imagestream",
        "delete is",
        "delete all",
        "set image-lookup",
        "annotate is",
        "label is",
        "adm prune images",
        "new-app",
    ];
    ours.iter().any(|verb| command.starts_with(verb)) && !command.contains("deploy/")
}

#[test]
fn every_block_of_a_session_is_compared_or_listed() {
    let Some(dir) = ground_truth() else { return };
    let mut listed = BTreeSet::new();
    for session in SESSIONS {
        let blocks = blocks(&read(&dir.join(session)));
        let mut compared: BTreeSet<usize> = BTreeSet::new();
        for (at, _, same) in with_yaml(&blocks) {
            compared.insert(at);
            compared.extend(same);
        }
        for (at, block) in blocks.iter().enumerate() {
            let command = block.command.as_str();
            if compared.contains(&at) || ON_A_REPOSITORY.contains(&command) || !is_ours(command) {
                continue;
            }
            let reason = NOT_COMPARED.iter().find(|(begin, _)| command.starts_with(begin));
            let reason =
                reason.unwrap_or_else(|| panic!("{session}: `oc {command}` is not compared"));
            listed.insert(reason.0);
        }
    }
    let unused: Vec<_> = NOT_COMPARED.iter().filter(|(begin, _)| !listed.contains(begin)).collect();
    assert!(unused.is_empty(), "listed for nothing: {unused:?}");
}

/// The layout of `get images`; the images themselves are in no file, so the rows are the input.
#[test]
fn images_are_listed_as_the_real_oc_lists_them() {
    let Some(dir) = ground_truth() else { return };
    let wanted = read(&dir.join("get-images.txt"));
    let image = |line: &str| {
        let (name, reference) = line.split_once("   ").unwrap();
        format!(
            "apiVersion: image.openshift.io/v1\nkind: Image\nmetadata: {{name: '{name}'}}\ndockerImageReference: '{}'\n---\n",
            reference.trim()
        )
    };
    // In another order than that which is printed.
    let text: String =
        wanted.lines().skip(1).collect::<Vec<_>>().into_iter().rev().map(image).collect();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    assert_eq!(printed(&["get", "images", "-f", file.path().to_str().unwrap()]), wanted);
}
