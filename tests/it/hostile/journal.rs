//! A damaged journal of a real daemon: how it starts, and what `journal verify` says.

use std::path::{Path, PathBuf};

use super::{Row, faults};
use crate::support::daemon::{Host, eventually};
use crate::support::git::Repo;

/// Damages a state directory; a start goes on or is refused, and `journal verify` ends with this code.
#[derive(Clone, Copy)]
pub(super) struct Damage {
    act: fn(&Path),
    start: Start,
    verify: i32,
}

#[derive(Clone, Copy, PartialEq)]
enum Start {
    Goes,
    Refused,
}

use Start::{Goes, Refused};

fn segment(state: &Path) -> PathBuf {
    state.join("journal/00000000000000000001.jsonl")
}

/// The text of the records, without the space behind them.
fn text(state: &Path) -> String {
    std::fs::read_to_string(segment(state)).unwrap().trim_end().to_owned() + "\n"
}

fn put(state: &Path, text: impl AsRef<[u8]>) {
    std::fs::write(segment(state), text).unwrap();
}

/// Changes a line, counted from the record 1.
fn line(state: &Path, seq: usize, change: impl Fn(&str) -> String) {
    let mark = format!("{{\"seq\":{seq},");
    let lines = text(state);
    let lines = lines.lines().map(|line| match line.starts_with(&mark) {
        true => change(line) + "\n",
        false => format!("{line}\n"),
    });
    put(state, lines.collect::<String>());
}

/// Every row: what is said by the start and by `journal verify` together.
#[rustfmt::skip]
pub(super) fn rows() -> Vec<Row<Damage>> {
    let row = |name, act: fn(&Path), start, verify, says: &[&'static str]| {
        Row::new(name, Damage { act, start, verify }, says)
    };
    vec![
        row("a changed record", |s| line(s, 2, |l| l.replace("main", "mean")), Refused, 1, &["record 2", "hash does not fit", "journal verify", "backup"]),
        row("a record that is gone", |s| line(s, 2, |_| String::new()), Refused, 1, &["record 2 is due here"]),
        row("a record twice", |s| line(s, 1, |l| format!("{l}\n{l}")), Refused, 1, &["record 2 is due here"]),
        row("garbage between records", |s| line(s, 2, |l| format!("garbage\n{l}")), Refused, 1, &["line", "byte"]),
        row("a torn last line", |s| { let text = text(s); put(s, &text[..text.len() - 20]); }, Goes, 0, &["unfinished write", "cuts it off"]),
        row("garbage behind the last line", |s| put(s, text(s) + "\u{0}\u{1}garbage"), Goes, 0, &["unfinished write"]),
        row("a file without an end of lines", |s| put(s, text(s).trim_end()), Goes, 0, &["proven"]),
        row("an empty file", |s| put(s, ""), Goes, 0, &["begun"]),
        row("a file of zeros", |s| put(s, vec![0; 8192]), Refused, 1, &["does not begin with the header", "backup"]),
        row("a header of a newer version", |s| put(s, text(s).replacen("\"format\":1", "\"format\":99", 1)), Refused, 4, &["99", "newer"]),
        row("a header of something else", |s| put(s, text(s).replacen("{\"tidegate\"", "{\"diary\"", 1)), Refused, 1, &["header"]),
        row("a line without an end", |s| put(s, text(s) + &"x".repeat(1 << 20)), Goes, 0, &["unfinished write"]),
        row("bytes that are no text", |s| put(s, [text(s).as_bytes(), b"\xff\xfe\n", text(s).as_bytes()].concat()), Refused, 1, &["line"]),
        row("a folder in place of the file", |s| { std::fs::remove_file(segment(s)).unwrap(); std::fs::create_dir(segment(s)).unwrap(); }, Refused, 4, &["directory", "00000000000000000001.jsonl"]),
        row("a file in place of the folder", |s| { std::fs::remove_dir_all(s.join("journal")).unwrap(); std::fs::write(s.join("journal"), "x").unwrap(); }, Refused, 4, &["journal"]),
        row("a snapshot of garbage", |s| std::fs::write(s.join("journal/snapshot-00000000000000000002.json"), "{").unwrap(), Goes, 1, &["the snapshot cannot be used", "move it away"]),
        row("a snapshot ahead of all records", |s| std::fs::write(s.join("journal/snapshot-00000000000000009999.json"), "{").unwrap(), Refused, 1, &["9999", "backup"]),
        row("files of somebody else", |s| std::fs::write(s.join("journal/notes.txt"), "x").unwrap(), Goes, 0, &["proven"]),
        row("a cache of garbage", |s| { std::fs::create_dir_all(s.join("cache")).unwrap(); for name in ["tree", "outline"] { std::fs::write(s.join("cache").join(name), b"\xff\xff\xff\xff\xff").unwrap(); } }, Goes, 0, &["proven"]),
        row("a lock of garbage", |s| std::fs::write(s.join("lock"), b"\xff\x00nobody").unwrap(), Goes, 0, &["proven"]),
    ]
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        // The mirror knows the commits of records that were taken away, which is another story.
        if entry.file_name() == "mirror.git" {
            continue;
        }
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

#[test]
fn a_damaged_journal_is_refused_or_put_right_and_always_named() {
    let repo = Repo::new();
    repo.write(
        "x.yaml",
        "apiVersion: image.openshift.io/v1\nkind: ImageStream\nmetadata: {name: x}\n",
    );
    repo.commit("start");
    let mut host = Host::new(repo.path(), "");
    host.start();
    host.wait_for("the commit", |fact| fact.kind() == "CommitAdopted");
    // Something behind the record that rows change.
    repo.write("y.yaml", "# nothing\n");
    repo.commit("more");
    eventually("the second commit", || (host.records().len() == 3).then_some(()));
    assert!(host.stop().success());
    let rows = rows();
    let made: Vec<_> = rows.iter().map(|row| (row, Host::new(repo.path(), ""))).collect();
    let mut wrong = Vec::new();
    for (row, mut own) in made {
        copy(&host.state(), &own.state());
        (row.input.act)(&own.state());
        let verified = own.run(&["journal", "verify"]);
        let mut told = [verified.stdout, verified.stderr]
            .map(|b| String::from_utf8_lossy(&b).into_owned())
            .concat();
        if verified.status.code() != Some(row.input.verify) {
            wrong.push(format!("{}: verify ends with {}: {told}", row.name, verified.status));
        }
        own.start();
        let status = || String::from_utf8(own.run(&["status"]).stdout).unwrap();
        let runs = || status().contains("daemon running");
        let refused = || own.log().contains("error: ");
        eventually(row.name, || (refused() || runs()).then_some(()));
        let code = i32::from(row.input.start == Refused);
        let ended = own.stop();
        if ended.code() != Some(code) {
            wrong.push(format!("{}: {ended}, expected {code}", row.name));
        }
        told += &own.log();
        wrong.extend(row.check(&told));
    }
    assert!(wrong.is_empty(), "{}", faults(&wrong));
}
