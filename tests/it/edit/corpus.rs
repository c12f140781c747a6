//! Real manifests: every image stream among them gets a label, a tag, another source, and loses a tag; triggers become
//! manual and automatic.

use std::path::{Path, PathBuf};

use similar::{ChangeTag, TextDiff};

use tidegate::edit::tag::{Annotations, SourceKind, TagFields, TagFrom};
use tidegate::edit::triggers::{TriggerError, Wish};
use tidegate::edit::{Document, EditError, Manifests, Sort, Words};
use tidegate::names::StreamName;
use tidegate::policy::Policy;

use super::{after, path};

/// Streams of one file that are tried: the hundred of a long List are all alike, and each edit reads the whole List.
const EACH: usize = 1;

#[expect(clippy::print_stdout, reason = "a suite that is skipped says so")]
fn files() -> Option<Vec<PathBuf>> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus");
    let Ok(index) = std::fs::read_to_string(corpus.join("INDEX.tsv")) else {
        println!("skipped: there is no corpus at {}", corpus.display());
        return None;
    };
    let names = index.lines().skip(1).filter_map(|line| line.split('\t').next());
    Some(names.map(|name| corpus.join(name)).collect())
}

/// How many lines a change takes away and adds.
fn size(before: &str, after: &str) -> (usize, usize) {
    // What is equal at both ends is left out: comparing long Lists takes longer than editing them.
    let (old, new): (Vec<&str>, Vec<&str>) = (before.lines().collect(), after.lines().collect());
    let start = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let rest = old[start..].iter().rev().zip(new[start..].iter().rev());
    let end = rest.take_while(|(a, b)| a == b).count();
    let (old, new) = (&old[start..old.len() - end], &new[start..new.len() - end]);
    let diff = TextDiff::from_slices(old, new);
    let count = |tag| diff.iter_all_changes().filter(|change| change.tag() == tag).count();
    (count(ChangeTag::Delete), count(ChangeTag::Insert))
}

struct Tried {
    text: String,
    all: Manifests,
    name: StreamName,
}

impl Tried {
    /// What one change did to the file, in lines.
    fn change(&self, wish: impl FnOnce(&mut Manifests)) -> (usize, usize) {
        let mut all = self.all.clone();
        wish(&mut all);
        let new = after(&all, "x.yaml");
        size(&self.text, &new)
    }

    fn put(&self, tag: &str, image: &str) -> (usize, usize) {
        let from = TagFrom { kind: SourceKind::DockerImage, name: image.into(), namespace: None };
        let fields = TagFields { annotations: Annotations::Keep, ..TagFields::of(from) };
        self.change(|all| drop(all.put_tag(&self.name, tag, &fields, "").unwrap()))
    }
}

/// The streams of a file that can be edited: those of no template, written once, valid.
fn streams(text: &str) -> Vec<(Tried, Vec<String>)> {
    let policy = Policy::default();
    let all = Manifests::new([("x.yaml", Some(text.as_bytes()))], &policy);
    let found =
        all.documents().filter(|document| document.is(Sort::STREAM) && !document.in_template);
    let found = found.filter_map(|document| {
        let name = StreamName::new(document.namespace.clone(), document.name.parse().ok()?);
        all.find(Sort::STREAM, &name.namespace, name.name.as_str()).ok()?;
        let tried = Tried { text: text.to_owned(), all: all.clone(), name };
        Some((tried, document.tags()))
    });
    found.take(EACH).collect()
}

#[test]
fn every_image_stream_of_the_corpus_is_edited_and_only_there() {
    let Some(files) = files() else { return };
    let mut count = 0;
    let mut wrong = Vec::new();
    for file in files {
        let Ok(text) = std::fs::read_to_string(&file) else { continue };
        if !text.contains("ImageStream") {
            continue;
        }
        for (tried, tags) in streams(&text) {
            count += 1;
            let place = tried.all.stream(&tried.name).unwrap().unwrap();
            let words = Words { set: [("zz".into(), "yes".into())].into(), ..Words::default() };
            let labels = path("metadata.labels");
            // How many lines may go and come: of JSON, the line before gets a comma.
            let mut tries = vec![
                (
                    "a label",
                    (1, 4),
                    tried.change(|all| all.put_words(&place, &labels, &words).unwrap()),
                ),
                ("a new tag", (1, 12), tried.put("zz-new", "quay.io/zz/new:1")),
            ];
            if let Some(tag) = tags.first() {
                tries.push(("another source", (9, 6), tried.put(tag, "quay.io/zz/other:1")));
                let less = |all: &mut Manifests| assert!(all.remove_tag(&tried.name, tag).unwrap());
                tries.push(("a tag less", (usize::MAX, 1), tried.change(less)));
            }
            let too_much =
                tries.into_iter().filter(|(_, most, made)| made.0 > most.0 || made.1 > most.1);
            let shown = format!("{} {}", file.display(), tried.name);
            wrong.extend(too_much.map(|(what, _, made)| format!("{shown}: {what} is {made:?}")));
        }
    }
    assert!(wrong.is_empty(), "{} changes are too large:\n{}", wrong.len(), wrong.join("\n"));
    assert!(count > 100, "{count} streams");
}

/// Triggers become manual and automatic again, in every workload and build of the corpus: what is refused, is refused
/// because nothing would set an image any more.
#[test]
fn the_triggers_of_the_corpus_are_set_and_only_they() {
    let Some(files) = files() else { return };
    let policy = Policy::default();
    let (mut set, mut wrong) = (0, Vec::new());
    for path in files {
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        if !text.contains("triggers") {
            continue;
        }
        let all = Manifests::new([("x.yaml", Some(text.as_bytes()))], &policy);
        let is_tried = |document: &&Document| {
            !document.in_template && matches!(document.triggers(), Some(Ok(_)))
        };
        let documents: Vec<&Document> = all.documents().filter(is_tried).take(EACH).collect();
        for document in documents {
            let place = document.place();
            for automatic in [false, true] {
                let mut changed = all.clone();
                let wish = Wish::All { automatic };
                match changed.set_triggers(&place, &wish) {
                    Ok(_) => {}
                    Err(TriggerError::Edit(EditError::Invalid { .. })) => continue,
                    Err(error) => {
                        wrong.push(format!("{}: {wish:?}: {error}", path.display()));
                        continue;
                    }
                }
                let triggers = changed.at(&place).and_then(Document::triggers);
                let Some(Ok(triggers)) = triggers else {
                    wrong.push(format!("{}: {wish:?}: it has none any more", path.display()));
                    continue;
                };
                let is_done = triggers.images.iter().all(|image| image.automatic == automatic);
                let edits = changed.edits();
                changed.set_triggers(&place, &wish).unwrap();
                if !is_done || changed.edits() != edits {
                    wrong.push(format!("{}: {wish:?}: {triggers:?}", path.display()));
                }
                set += 1;
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {set}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(set > 100, "{set} changes");
}
