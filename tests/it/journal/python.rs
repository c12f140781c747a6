//! `examples/read-journal.py`: the reader that a stranger writes takes nothing for proven that is not.

use std::fs;
use std::path::Path;
use std::process::Command;

use tidegate::journal::{LineHash, encode};

use super::{
    PLAIN, SMALL, directory, edit, journal_of, open_with, put, record, records, segments,
    with_snapshots,
};

/// What the script prints on `root`: its exit code, standard output and error. None where python3 cannot be run.
#[expect(clippy::print_stdout, reason = "a test that is skipped says so")]
fn python(root: &Path) -> Option<(i32, String, String)> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/read-journal.py");
    let output = match Command::new("python3").arg(script).arg(root).output() {
        Ok(output) => output,
        Err(error) => {
            println!("skipped: python3 cannot be run: {error}");
            return None;
        }
    };
    let text =
        |bytes| String::from_utf8(bytes).unwrap().replace(&root.display().to_string(), "<state>");
    let error = text(output.stderr);
    assert!(!error.contains("Traceback"), "{error}");
    Some((output.status.code().unwrap(), text(output.stdout), error))
}

/// The records that it prints, and the rest of what it says.
pub(super) fn read(root: &Path) -> Option<(i32, usize, String)> {
    let (code, out, error) = python(root)?;
    let lines = out.lines().filter(|line| !line.contains("last hash")).count();
    assert!(code != 0 || out.contains(&format!("{lines} records, last hash ")), "{out}");
    Some((code, lines, error))
}

/// Puts text behind the hash of record `seq`, as somebody would who wants another fact to be read.
fn forge(path: &Path, seq: u64) {
    let text = fs::read_to_string(path).unwrap();
    let line = text.lines().find(|line| line.starts_with(&format!("{{\"seq\":{seq},"))).unwrap();
    let more = r#","at":"1999-01-01T00:00:00.000Z","fact":"SourceRecovered"}"#;
    edit(path, line, &(line.strip_suffix('}').unwrap().to_owned() + more));
}

#[test]
fn text_behind_a_hash_is_not_read() {
    let batches: Vec<_> = (1..=30).map(|seq| vec![record(seq)]).collect();
    let root = journal_of(SMALL, &batches);
    let Some((code, lines, error)) = read(root.path()) else { return };
    assert_eq!((code, lines, error.as_str()), (0, 30, ""));
    forge(&segments(root.path())[0], 5);
    let (code, lines, error) = read(root.path()).unwrap();
    assert_eq!((code, lines), (1, 4));
    insta::assert_snapshot!(error, @"<state>/journal/00000000000000000001.jsonl, line 11: this is not what follows record 4");
    // In the last batch it may be a write that is under way: not read, and no more than that.
    let root = journal_of(PLAIN, &[records(1..=3), vec![record(4)]]);
    forge(&segments(root.path())[0], 4);
    let (code, lines, error) = read(root.path()).unwrap();
    assert_eq!((code, lines), (0, 3));
    assert!(error.contains("line 7: a write that is under way, or was cut"), "{error}");
    // Unless another batch was begun behind it.
    let root = journal_of(PLAIN, &[records(1..=3), vec![record(4)], vec![record(5)]]);
    forge(&segments(root.path())[0], 4);
    assert_eq!(read(root.path()).unwrap().0, 1);
}

#[test]
fn nothing_is_before_record_1() {
    let root = directory();
    fs::create_dir(root.path().join("journal")).unwrap();
    let path = root.path().join("journal/00000000000000000001.jsonl");
    for (digits, expected) in ["0", "1"].into_iter().zip([0, 1]) {
        let mut hash = LineHash::parse(digits.repeat(32).as_bytes()).unwrap();
        let header = format!(
            "{{\"tidegate\":\"journal\",\"format\":1,\"continues\":\"{hash}\",\"from\":1}}\n"
        );
        let mut text = header.into_bytes();
        for record in records(1..=2) {
            hash = encode(&mut text, &record, &hash).unwrap();
        }
        put(&path, &text);
        let Some((code, lines, error)) = read(root.path()) else { return };
        assert_eq!(code, expected, "{error}");
        assert_eq!(lines, if expected == 0 { 2 } else { 0 });
        assert_eq!(
            error.contains("00000000000000000001.jsonl, line 1: "),
            expected == 1,
            "{error}"
        );
    }
}

#[test]
fn a_tail_that_a_crash_may_leave_ends_it_quietly() {
    let root = with_snapshots(4, &[4]);
    let path = segments(root.path()).pop().unwrap();
    let header = fs::read(&path).unwrap();
    // A new last file that is empty, or holds a part of its header, or space only.
    for begun in [&b""[..], b"{\"tide", b"{\"tide\n\n\n", b"\n\n", b"\0\0\0\0", &header] {
        put(&path, begun);
        let Some((code, lines, _)) = read(root.path()) else { return };
        assert_eq!((code, lines), (0, 4), "{}", String::from_utf8_lossy(begun));
    }
    // A write that was cut anywhere, with the space around it.
    let (mut journal, _) = open_with(root.path(), PLAIN).unwrap();
    journal.append(&records(5..=6)).unwrap();
    let whole = fs::read(&path).unwrap();
    let (first, end) = (header.len() + 2, whole.trim_ascii_end().len());
    let said: Vec<_> = (header.len()..end)
        .step_by(23)
        .map(|cut| {
            put(&path, &[&whole[..cut], b"\n\n\n\0\0\0\n"].concat());
            let (code, lines, error) = read(root.path()).unwrap();
            assert_eq!(code, 0, "{cut}: {error}");
            assert!((4..=5).contains(&lines), "{cut}: {lines}");
            assert!(cut <= first || lines == 5 || !error.is_empty(), "{cut}");
            error
        })
        .collect();
    let cut = said.iter().filter(|error| error.contains("a write that is under way, or was cut"));
    assert!(cut.count() > 10, "{said:?}");
    put(&path, &whole[..end]); // a last line without its newline is whole
    assert_eq!(read(root.path()).unwrap(), (0, 6, String::new()));
}

#[test]
fn a_bad_file_is_named_unless_it_is_the_last_ones_beginning() {
    let batches: Vec<_> = (1..=30).map(|seq| vec![record(seq)]).collect();
    let whole = || journal_of(SMALL, &batches);
    let damaged = |index: usize, text: &[u8]| {
        let root = whole();
        put(&segments(root.path())[index], text);
        read(root.path())
    };
    let last = segments(whole().path()).len() - 1;
    let Some((code, _, error)) = damaged(1, b"") else { return };
    assert_eq!(code, 1, "{error}");
    assert!(error.contains(".jsonl, line 1: "), "{error}");
    // A header that a record follows was whole once, and one of another file or format is no beginning.
    let records = fs::read(&segments(whole().path())[last]).unwrap();
    assert_eq!(damaged(last, &records[10..]).unwrap().0, 1);
    let header = String::from_utf8(records).unwrap().lines().next().unwrap().to_owned();
    for (from, to) in [("\"from\":", "\"from\":1"), ("\"format\":1", "\"format\":2")] {
        assert_eq!(damaged(last, header.replace(from, to).as_bytes()).unwrap().0, 1, "{to}");
    }
    // One that is missing in the middle.
    let root = whole();
    fs::remove_file(&segments(root.path())[1]).unwrap();
    let (code, _, error) = read(root.path()).unwrap();
    assert_eq!(code, 1, "{error}");
    assert!(error.contains(".jsonl, line 1: "), "{error}");
}
