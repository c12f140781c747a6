//! Cuts, lost sectors and flipped bits, at every place of a small journal.

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use tidegate::fact::Record;

use super::{Opening, PLAIN, SMALL, journal_of, long_record, open, put, record, records, segments};

/// Asserts that what was opened is a beginning of what was written.
fn assert_prefix(opening: &Opening, written: &[Record], what: &str) {
    assert!(
        written.starts_with(&opening.records),
        "{what}: {:?} is no beginning of what was written",
        opening.seqs()
    );
}

/// How many records end before an offset of a file.
fn whole_before(text: &str, offset: usize) -> usize {
    let mut end = 0;
    let ends = text.split_inclusive('\n').map(|line| {
        end += line.len();
        (line.starts_with("{\"seq\""), end - 1)
    });
    ends.filter(|(is_record, end)| *is_record && *end <= offset).count()
}

#[test]
fn a_cut_at_any_byte_keeps_every_record_before_it() {
    let written = records(1..=6);
    let root = journal_of(SMALL, &[records(1..=2), records(3..=5), records(6..=6)]);
    let path = segments(root.path()).remove(0);
    let text = fs::read_to_string(&path).unwrap();
    for cut in 0..=text.len() {
        put(&path, &text.as_bytes()[..cut]);
        let opening = open(root.path()).unwrap_or_else(|error| panic!("cut at {cut}: {error}"));
        assert_prefix(&opening, &written, &format!("cut at {cut}"));
        assert_eq!(opening.records.len(), whole_before(&text, cut), "cut at {cut}");
    }
}

/// Opens the journal with one bit of it flipped; true if the flip was noticed or does not matter.
fn assert_flip(root: &Path, path: &Path, text: &[u8], written: &[Record], at: usize, bit: usize) {
    let mut bad = text.to_vec();
    bad[at] ^= 1 << bit;
    put(path, &bad);
    if let Ok(opening) = open(root) {
        let what = format!("bit {bit} of byte {at}");
        assert_prefix(&opening, written, &what);
        assert!(opening.records.len() + 1 >= written.len(), "{what}: {:?}", opening.seqs());
        let lost = opening.records.len() < written.len();
        assert!(!lost || !opening.warnings.is_empty(), "{what}: lost without a word");
    }
}

#[test]
fn a_flipped_bit_is_refused_or_costs_the_last_line() {
    let written = records(1..=5);
    let root = journal_of(SMALL, &[records(1..=2), records(3..=4), records(5..=5)]);
    let path = segments(root.path()).remove(0);
    let text = fs::read(&path).unwrap();
    for at in 0..text.len() {
        // Every bit where a line ends or a batch begins, one elsewhere.
        let bits = if text[at].is_ascii_whitespace() { 0..8 } else { at % 8..at % 8 + 1 };
        for bit in bits {
            assert_flip(root.path(), &path, &text, &written, at, bit);
        }
    }
}

#[test]
fn a_flipped_bit_before_the_last_line_is_never_cut() {
    let root = journal_of(PLAIN, &[records(1..=2), records(3..=5)]);
    let path = segments(root.path()).remove(0);
    let text = fs::read(&path).unwrap();
    let last = text.windows(8).position(|window| window == b"{\"seq\":5").unwrap();
    for at in 0..last - 1 {
        let mut bad = text.clone();
        bad[at] ^= 1 << (at % 8);
        put(&path, &bad);
        assert!(open(root.path()).is_err(), "byte {at}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// A crash leaves any of the sectors of the one write that was not synced, in any combination.
    #[test]
    fn whatever_sectors_of_the_last_batch_are_lost_the_journal_opens(
        before in prop::collection::vec(1_usize..900, 0..5),
        batch in prop::collection::vec(1_usize..2_500, 1..8),
        lost in prop::collection::vec(any::<bool>(), 64),
    ) {
        let lengths = before.iter().chain(&batch).zip(1..);
        let written: Vec<_> = lengths.map(|(bytes, seq)| long_record(seq, *bytes)).collect();
        let (first, last) = written.split_at(before.len());
        let options = tidegate::journal::Options { segment_bytes: 1 << 30, fill_bytes: 65_536, reserve_bytes: 0 };
        let root = super::directory();
        let (mut journal, _) = super::open_with(root.path(), options).unwrap();
        for record in first {
            journal.append(std::slice::from_ref(record)).unwrap();
        }
        let path = segments(root.path()).remove(0);
        let old = fs::read(&path).unwrap();
        journal.append(last).unwrap();
        drop(journal);
        let mut text = fs::read(&path).unwrap();
        for (index, sector) in text.chunks_mut(512).enumerate() {
            if lost[index % lost.len()] {
                for (offset, byte) in sector.iter_mut().enumerate() {
                    *byte = old.get(index * 512 + offset).copied().unwrap_or(b'\n');
                }
            }
        }
        put(&path, &text);
        let (mut journal, opening) = super::open_with(root.path(), options)
            .map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert!(written.starts_with(&opening.records));
        prop_assert!(opening.records.len() >= first.len(), "a promised record is lost");
        // And it goes on from there.
        let next = opening.records.len() as u64 + 1;
        journal.append(&[record(next)]).unwrap();
        drop(journal);
        let (_, again) = super::open_with(root.path(), options).unwrap();
        prop_assert_eq!(again.records.len() as u64, next);
        prop_assert_eq!(again.warnings.len(), 0);
    }
}
