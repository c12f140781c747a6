//! The mirror stays small, and keeps what was adopted.

use tidegate::action::ReadSource;
use tidegate::names::{CommitId, Seq};
use tidegate::world::git::{Source, SourceConfig};
use tokio_util::sync::CancellationToken;

use crate::support::git::Repo;

fn files(folder: &std::path::Path) -> usize {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let count = |entry: std::fs::DirEntry| {
        if entry.file_type().unwrap().is_dir() { files(&entry.path()) } else { 1 }
    };
    entries.map(count).sum()
}

#[test]
fn a_packed_mirror_still_has_every_adopted_commit() {
    let repo = Repo::new();
    let state = tempfile::tempdir().unwrap();
    let source = Source::open(SourceConfig::new(repo.address()), state.path()).unwrap();
    let cancel = CancellationToken::new();
    let mut base: Option<CommitId> = None;
    let mut adopted = Vec::new();
    let mut adopt = |text: &str| {
        let commit = repo.write("a.yaml", text).commit(text);
        let read = source.read(&ReadSource { base }, &cancel).unwrap();
        assert_eq!(read.commit, commit);
        base = Some(commit);
        let seq = Seq(u64::try_from(adopted.len()).unwrap() + 1);
        source.keep(seq, &commit).unwrap();
        adopted.push((seq, commit, text.to_owned()));
    };
    for number in 0..20 {
        adopt(&format!("number {number}"));
    }
    // What was adopted and then pushed away is reached by nothing else.
    repo.reset("HEAD~10");
    for number in 20..30 {
        adopt(&format!("number {number}"));
    }
    let mirror = state.path().join("mirror.git");
    let before = files(&mirror);
    assert!(!source.tidy(1_000, &cancel).unwrap(), "there is no need yet");
    assert_eq!(files(&mirror), before);
    assert!(source.tidy(50, &cancel).unwrap());
    assert!(files(&mirror) < 20, "{before} files before, {} after", files(&mirror));
    assert!(!source.tidy(50, &cancel).unwrap(), "once is enough");
    adopt("after");
    let kept: Vec<_> = source.kept().unwrap().into_iter().collect();
    let expected: Vec<_> = adopted.iter().map(|(seq, commit, _)| (*seq, *commit)).collect();
    assert_eq!(kept, expected);
    for (_, commit, text) in &adopted {
        let read = source.read_adopted(commit).unwrap();
        assert_eq!(read.changed[0].bytes.as_deref(), Some(text.as_bytes()));
    }
    // A process that opens it later, as a command does, finds the same.
    let later = Source::open(SourceConfig::new(repo.address()), state.path()).unwrap();
    assert_eq!(later.kept().unwrap().len(), adopted.len());
}
