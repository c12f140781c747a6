//! 1,721 real files that nobody here wrote, and 49 odd ones. Runs where the shared folder is next to the clone.
//!
//! The lists beside this file are reviewed by hand; a difference is a question, not a number. After a look at it,
//! `CORPUS_ACCEPT=1` writes them anew.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use tidegate::desired::diagnostic::Severity;
use tidegate::desired::{Entry, ParsedFile, parse_file};
use tidegate::policy::Policy;

#[expect(clippy::print_stdout, reason = "a suite that is skipped says so")]
fn corpus() -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus");
    if path.join("INDEX.tsv").is_file() {
        return Some(path);
    }
    println!("skipped: there is no corpus at {}", path.display());
    None
}

/// Every file of the index, read once for all tests; none where there is no corpus.
fn read() -> Option<&'static BTreeMap<String, ParsedFile>> {
    static FILES: OnceLock<Option<BTreeMap<String, ParsedFile>>> = OnceLock::new();
    let files = FILES.get_or_init(|| {
        let corpus = corpus()?;
        let index = std::fs::read_to_string(corpus.join("INDEX.tsv")).unwrap();
        let policy = Policy::default();
        let names = index.lines().skip(1).filter_map(|line| line.split('\t').next());
        let read = names.map(|name| {
            let bytes = std::fs::read(corpus.join(name)).unwrap();
            (name.to_owned(), parse_file(name, &bytes, None, &policy))
        });
        Some(read.collect())
    });
    files.as_ref()
}

fn is_valid(name: &str) -> bool {
    !name.starts_with("odd/")
}

fn compare(list: &str, actual: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/corpus").join(list);
    if std::env::var_os("CORPUS_ACCEPT").is_some() {
        std::fs::write(&path, actual).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap();
    let added: Vec<_> =
        actual.lines().filter(|line| !expected.lines().any(|l| l == *line)).collect();
    let gone: Vec<_> =
        expected.lines().filter(|line| !actual.lines().any(|l| l == *line)).collect();
    assert_eq!((added, gone), (vec![], vec![]), "{list} differs from what was reviewed");
    assert_eq!(actual, expected, "{list} differs in its order");
}

#[test]
fn every_rejection_among_the_valid_files_has_a_reviewed_reason() {
    let Some(files) = read() else { return };
    assert!(files.keys().filter(|name| is_valid(name)).count() >= 1721);
    let mut list = String::new();
    for (name, file) in files.iter().filter(|(name, _)| is_valid(name)) {
        let mut needed: BTreeSet<&str> = BTreeSet::new();
        let mut needing = 0;
        for entry in &file.entries {
            let Entry::Rejected(rejected) = entry else { continue };
            let diagnostic = &rejected.diagnostic;
            assert_ne!(diagnostic.rule, "yaml-syntax", "{name}: {}", diagnostic.message);
            assert_ne!(diagnostic.rule, "internal", "{name}: {}", diagnostic.message);
            if diagnostic.rule == "template-parameter" {
                needing += 1;
                needed.extend(diagnostic.message.split('`').nth(1));
                continue; // one reason for all of them: one line for the file
            }
            let (rule, message) = (&diagnostic.rule, &diagnostic.message);
            writeln!(list, "{}: [{rule}] {message}", diagnostic.position).unwrap();
        }
        if needing > 0 {
            let names: Vec<&str> = needed.into_iter().collect();
            let names = names.join(", ");
            writeln!(list, "{name}: [template-parameter] {needing} objects need a value: {names}")
                .unwrap();
        }
    }
    compare("rejections.txt", &list);
}

#[test]
fn every_unknown_field_of_our_kinds_is_named_and_reviewed() {
    let Some(files) = read() else { return };
    let mut list = String::new();
    for (name, file) in files.iter().filter(|(name, _)| is_valid(name)) {
        for diagnostic in file.diagnostics.iter().filter(|d| d.rule == "unknown-field") {
            let position = &diagnostic.position;
            assert!(position.line > 0 && position.column > 0, "{name}");
            let hint = diagnostic.hint.as_deref().unwrap_or_default();
            writeln!(list, "{position}: {} {hint}", diagnostic.message).unwrap();
        }
    }
    compare("unknown-fields.txt", &list);
}

#[test]
fn the_numbers_of_objects_by_kind_are_those_reviewed() {
    let Some(files) = read() else { return };
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for (_, file) in files.iter().filter(|(name, _)| is_valid(name)) {
        for entry in &file.entries {
            let name = match entry {
                Entry::Object(object) => object.key().kind.to_string(),
                Entry::Companion(_) => "companions".into(),
                Entry::Rejected(rejected) => format!("rejected [{}]", rejected.diagnostic.rule),
            };
            *counts.entry(name).or_default() += 1;
        }
        *counts.entry("other documents".into()).or_default() += file.others as usize;
    }
    let list: String = counts.iter().map(|(name, count)| format!("{count} {name}\n")).collect();
    compare("counts.txt", &list);
}

#[test]
fn each_odd_file_gets_a_diagnostic_that_explains() {
    let Some(files) = read() else { return };
    let mut list = String::new();
    for (name, file) in files.iter().filter(|(name, _)| !is_valid(name)) {
        let rejected = file.entries.iter().filter_map(|entry| match entry {
            Entry::Rejected(rejected) => Some(&rejected.diagnostic),
            Entry::Object(_) | Entry::Companion(_) => None,
        });
        let all: Vec<_> = rejected.chain(&file.diagnostics).collect();
        assert!(!all.is_empty(), "{name} is read without a word");
        for diagnostic in all {
            let severity = match diagnostic.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
                Severity::Note => "note",
            };
            if matches!(diagnostic.rule.as_str(), "template-parameter" | "unknown-parameter") {
                continue; // reviewed elsewhere
            }
            let hint = diagnostic.hint.as_deref().unwrap_or_default();
            let (rule, message) = (&diagnostic.rule, &diagnostic.message);
            writeln!(list, "{severity} {}: [{rule}] {message}; {hint}", diagnostic.position)
                .unwrap();
        }
    }
    compare("odd.txt", &list);
}

#[test]
fn a_corpus_file_that_is_cut_anywhere_never_panics() {
    let Some(corpus) = corpus() else { return };
    let policy = Policy::default();
    for name in ["3scale-demos__apicast-example-policy/openshift.yml"] {
        let bytes = std::fs::read(corpus.join(name)).unwrap();
        for end in (0..bytes.len()).step_by(7) {
            drop(parse_file(name, &bytes[..end], None, &policy)); // that it answers is the test
        }
    }
}
