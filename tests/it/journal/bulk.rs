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

/// Bytes that a start reads at once, at most.
const BLOCK: usize = 4 * 1024 * 1024;

/// More than two blocks in batches of 7: long records, so that they are soon full, between short ones.
fn blocks() -> Vec<u8> {
    let line = |seq| if seq % 5 == 0 { record(seq) } else { long_record(seq, 40_000) };
    let all: Vec<_> = (1..=266).map(line).collect();
    let batches: Vec<_> = all.chunks(7).map(<[Record]>::to_vec).collect();
    let text = fs::read(&segments(journal_of(PLAIN, &batches).path())[0]).unwrap();
    assert!(text.len() > 2 * BLOCK + 100_000, "{} bytes are soon read", text.len());
    text
}

#[test]
fn a_start_and_a_reader_come_to_the_same_where_one_block_ends_and_the_next_begins() {
    let good = blocks();
    let root = directory();
    fs::create_dir(root.path().join("journal")).unwrap();
    let path = root.path().join("journal/00000000000000000001.jsonl");
    let compare = |text: &[u8], what: &str| {
        fs::write(&path, text).unwrap();
        let expected = line_by_line(root.path());
        // Not printed where it differs: it is too long.
        assert!(with_all_processors(root.path()) == expected, "{what}");
        expected.is_ok()
    };
    assert!(compare(&good, "nothing is damaged"));
    // A block is whole lines, and begins behind the header or the block before.
    let mut start = good.iter().position(|c| *c == b'\n').unwrap() + 1;
    for block in 1..=2 {
        let full = start + BLOCK;
        start = good[..full].iter().rposition(|c| *c == b'\n').unwrap() + 1;
        let last = good[..start - 1].iter().rposition(|c| *c == b'\n').unwrap() + 1;
        let next = start + good[start..].iter().position(|c| *c == b'\n').unwrap() + 1;
        let (in_last, in_next) = (last + (start - last) / 2, start + (next - start) / 2);
        let damages = [
            ("a bit of its last line", in_last, 1, &b"!"[..], false),
            ("a bit of the next one's first line", in_next, 1, b"!", false),
            ("its last line is missing", last, start - last, b"", false),
            ("the next one's first line is there twice", next, 0, &good[start..next], false),
            ("it is all that there is", start, good.len() - start, b"", true),
            ("it was cut before its end", in_last, good.len() - in_last, b"", true),
        ];
        // Every one at the first, every other one at the second.
        for (what, at, removed, added, reads) in damages.into_iter().skip(block - 1).step_by(block)
        {
            let what = format!("block {block}: {what}");
            let text = [&good[..at], added, &good[at + removed..]].concat();
            assert_eq!(compare(&text, &what), reads, "{what}");
        }
    }
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
