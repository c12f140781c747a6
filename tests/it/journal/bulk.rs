//! A start reads with all processors, a reader line by line: whatever is in the files, both come to the same.

use std::fs;
use std::path::Path;

use tidegate::fact::Record;
use tidegate::journal::read;

use super::{PLAIN, directory, journal_of, long_record, open, record, segments};

/// What a reader makes of it: the records, and why it stopped.
fn line_by_line(root: &Path) -> Result<Vec<Record>, String> {
    let reader = read(root).map_err(|error| error.to_string())?;
    reader.collect::<Result<_, _>>().map_err(|error| error.to_string())
}

fn with_all_processors(root: &Path) -> Result<Vec<Record>, String> {
    match open(root) {
        Ok(opening) => Ok(opening.records),
        Err(error) => Err(error.to_string()),
    }
}

/// Half a MiB in batches of 7, with a long line in the middle and padding behind.
fn text() -> Vec<u8> {
    let line = |seq| if seq == 1_500 { long_record(seq, 200_000) } else { record(seq) };
    let all: Vec<_> = (1..=3_000).map(line).collect();
    let batches: Vec<_> = all.chunks(7).map(<[Record]>::to_vec).collect();
    let root = journal_of(PLAIN, &batches);
    let mut text = fs::read(&segments(root.path())[0]).unwrap();
    text.resize(text.len() + 100_000, b'\n');
    text
}

#[test]
fn a_start_and_a_reader_come_to_the_same_whatever_is_damaged() {
    let good = text();
    let root = directory();
    fs::create_dir(root.path().join("journal")).unwrap();
    let path = root.path().join("journal/00000000000000000001.jsonl");
    let lines: Vec<usize> =
        good.iter().enumerate().filter(|(_, c)| **c == b'\n').map(|(at, _)| at + 1).collect();
    let last_line = lines[3_000];
    let mut outcomes = [0, 0];
    for turn in 0..60_usize {
        let mut text = good.clone();
        let at = (turn * 104_729) % (good.len() - 99_000);
        let line = lines.iter().rposition(|start| *start <= at).unwrap_or(0);
        let (start, end) = (lines[line.min(3_400)], lines[line.min(3_400) + 1]);
        match turn % 6 {
            0 => text[at] ^= 1 << (turn % 8),
            1 => text[at - at % 512..].iter_mut().take(512).for_each(|c| *c = b'\n'),
            2 => text.truncate(at),
            3 => drop(text.drain(start..end)),
            4 => text.splice(end..end, good[start..end].to_vec()).for_each(drop),
            _ => text[last_line..].iter_mut().for_each(|c| *c = b'\n'),
        }
        fs::write(&path, &text).unwrap();
        let expected = line_by_line(root.path());
        outcomes[usize::from(expected.is_ok())] += 1;
        assert_eq!(with_all_processors(root.path()), expected, "turn {turn}, byte {at}");
    }
    assert!(outcomes.iter().all(|count| *count > 5), "of both kinds: {outcomes:?}");
}

#[test]
fn a_start_behind_a_snapshot_reads_what_is_behind_it_only() {
    let root = journal_of(PLAIN, &[(1..=900).map(record).collect()]);
    let (mut journal, _) = super::open_with(root.path(), PLAIN).unwrap();
    journal.write_snapshot(tidegate::names::Seq(900), "state").unwrap();
    let more: Vec<_> = (901..=2_000).map(record).collect();
    journal.append(&more).unwrap();
    drop(journal);
    let opening = open(root.path()).unwrap();
    assert_eq!(opening.state.as_deref(), Some("state"));
    assert!(opening.records == more);
}
