//! Real manifests: every image stream among them gets a label, a tag, another source, and loses a tag.

use std::path::{Path, PathBuf};

use similar::{ChangeTag, TextDiff};

use tidegate::edit::tag::{Annotations, SourceKind, TagFields, TagFrom};
use tidegate::edit::{Manifests, Sort, Words};
use tidegate::names::StreamName;
use tidegate::policy::Policy;

use super::{after, path};

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
    let diff = TextDiff::from_lines(before, after);
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
    found.collect()
}

#[test]
fn every_image_stream_of_the_corpus_is_edited_and_only_there() {
    let Some(files) = files() else { return };
    let mut count = 0;
    for file in files {
        let Ok(text) = std::fs::read_to_string(&file) else { continue };
        if !text.contains("ImageStream") {
            continue;
        }
        for (tried, tags) in streams(&text) {
            count += 1;
            let shown = format!("{} {}", file.display(), tried.name);
            let place = tried.all.stream(&tried.name).unwrap().unwrap();
            let words = Words { set: [("zz".into(), "yes".into())].into(), ..Words::default() };
            let label = tried
                .change(|all| all.put_words(&place, &path("metadata.labels"), &words).unwrap());
            // The line before may get a comma, and an empty mapping may be opened.
            assert!(label.0 <= 1 && label.1 <= 3, "{shown}: a label is {label:?}");
            let new = tried.put("zz-new", "quay.io/zz/new:1");
            assert!(new.0 <= 1 && new.1 <= 10, "{shown}: a new tag is {new:?}");
            let Some(tag) = tags.first() else { continue };
            let other = tried.put(tag, "quay.io/zz/other:1");
            assert!(other.0 <= 8 && other.1 <= 6, "{shown}: another source is {other:?}");
            let gone = tried.change(|all| assert!(all.remove_tag(&tried.name, tag).unwrap()));
            assert!(gone.0 >= 1 && gone.1 <= 1, "{shown}: a tag less is {gone:?}");
        }
    }
    assert!(count > 200, "{count} streams");
}
