//! `tidegate journal log` and `show`.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Stdio};
use std::sync::mpsc::{self, Receiver};

use tidegate::fact::{Fact, Record, SourceFailed};

use super::{
    PLAIN, SMALL, directory, drop_before, edit, open_with, program, put, record, records, run,
    segments, with_snapshots,
};
use crate::support::daemon::eventually;

/// A journal that holds every kind of fact.
fn every_kind() -> tempfile::TempDir {
    let root = directory();
    fs::create_dir(root.path().join("journal")).unwrap();
    let v1 = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/journal/v1.jsonl");
    put(&root.path().join("journal/00000000000000000001.jsonl"), &fs::read(v1).unwrap());
    root
}

/// The numbers of the records that are shown.
fn shown(root: &Path, args: &[&str]) -> Vec<u64> {
    let (code, text) = run(root, &[&["journal", "log"], args].concat());
    assert_eq!(code, 0, "{text}");
    text.lines().map(|line| line.split(' ').next().unwrap().parse().unwrap()).collect()
}

#[test]
fn every_kind_of_record_is_a_line() {
    let root = every_kind();
    let (code, text) = run(root.path(), &["journal", "log"]);
    assert_eq!(code, 0, "{text}");
    insta::assert_snapshot!("log", text);
}

#[test]
fn json_is_the_lines_as_they_stand() {
    let root = every_kind();
    let (code, text) = run(root.path(), &["journal", "log", "-o", "json"]);
    assert_eq!(code, 0, "{text}");
    let file = fs::read_to_string(&segments(root.path())[0]).unwrap();
    let lines: Vec<_> = file.lines().filter(|line| line.starts_with("{\"seq\"")).collect();
    assert_eq!(text.lines().collect::<Vec<_>>(), lines);
}

#[test]
fn a_log_is_filtered_by_everything_that_a_record_has() {
    let root = with_snapshots(12, &[]);
    let root = root.path();
    assert_eq!(shown(root, &["--kind", "stopstarted"]), [4, 8, 12]);
    assert_eq!(shown(root, &["--from", "7", "--to", "9"]), [7, 8, 9]);
    assert_eq!(shown(root, &["-n", "2"]), [11, 12]);
    assert_eq!(shown(root, &["-n", "1", "--to", "9"]), [9]);
    assert_eq!(shown(root, &["shop/web", "--from", "5"]), [8, 12]);
    assert_eq!(shown(root, &["deploy/web", "-N", "shop", "-k", "StopStarted", "-n", "1"]), [12]);
    assert_eq!(shown(root, &["--since", "2h"]), [0; 0]);
    assert_eq!(shown(root, &["--until", "2023-11-14T22:13:19Z"]), [0; 0]);
    assert_eq!(shown(root, &["--since", "2023-11-14", "--until", "1h"]).len(), 12);
    assert_eq!(shown(every_kind().path(), &["istag/shop/web:3.10"]).first(), Some(&1));
    let (code, text) = run(root, &["journal", "log", "--kind", "RolloutStartet"]);
    assert!(text.contains("a similar value exists: 'RolloutStarted'"), "{text}");
    assert_eq!(code, 64);
    let (code, text) = run(root, &["journal", "log", "shop/wep"]);
    assert!(text.contains("did you mean `deployment/web`"), "{text}");
    assert_eq!(code, 1);
}

#[test]
fn a_log_shows_what_can_be_read_and_says_that_it_is_not_all() {
    let root = with_snapshots(12, &[]);
    edit(&segments(root.path())[0], "for the 6. time", "for the 7. time");
    let (code, text) = run(root.path(), &["journal", "log"]);
    assert_eq!(text.lines().filter(|line| line.contains("2023-11-14T")).count(), 5, "{text}");
    assert!(text.contains("error: the log is not complete"), "{text}");
    assert_eq!(code, 1);
    let (code, text) = run(directory().path(), &["journal", "log", "-f"]);
    assert!(text.contains("there is no journal in"), "{text}");
    assert_eq!(code, 1);
    // The same for one object, which only the records that can be read name.
    let (code, text) = run(root.path(), &["journal", "log", "shop/web"]);
    assert!(text.starts_with("4 ") && text.contains("error: the log is not complete"), "{text}");
    assert_eq!(text.lines().filter(|line| line.contains("2023-11-14T")).count(), 1, "{text}");
    assert_eq!(code, 1);
    let (code, text) = run(root.path(), &["journal", "log", "shop/api"]);
    assert!(text.contains("no record that could be read names such an object"), "{text}");
    assert!(text.contains("there is no object `api` in namespace `shop`"), "{text}");
    assert!(text.contains("the journal is damaged"), "{text}");
    assert_eq!(code, 1);
}

#[test]
fn a_record_is_shown_with_every_field() {
    let root = with_snapshots(4, &[]);
    let (code, text) = run(root.path(), &["journal", "show", "4"]);
    insta::assert_snapshot!("show", text);
    assert_eq!(code, 0);
    let (_, text) = run(root.path(), &["journal", "show", "4", "-o", "json"]);
    insta::assert_snapshot!("show_json", text);
    let every = every_kind();
    let last = shown(every.path(), &["-n", "1"])[0];
    let all = (1..=last).map(|seq| {
        let (code, text) = run(every.path(), &["journal", "show", &seq.to_string()]);
        assert_eq!(code, 0, "{text}");
        text
    });
    insta::assert_snapshot!("show_every_kind", all.collect::<Vec<_>>().join("\n"));
}

#[test]
fn a_record_that_is_shown_cannot_move_a_cursor_or_turn_letters_around() {
    let root = directory();
    let (mut journal, _) = open_with(root.path(), PLAIN).unwrap();
    let message =
        "left \u{202e}thgir\u{2066} \u{9b}2J \u{7f} \u{1b}[1m \"quoted\"\nand more".to_owned();
    let fact = Fact::SourceFailed(SourceFailed { message });
    journal.append(&[Record { fact, ..record(1) }]).unwrap();
    let (code, text) = run(root.path(), &["journal", "show", "1"]);
    assert_eq!(code, 0, "{text}");
    let odd = |c: &char| *c != '\n' && (c.is_control() || "\u{202e}\u{2066}".contains(*c));
    assert_eq!(text.chars().find(odd), None, "{text:?}");
    // As JSON, so that it can be read back.
    let field = text.lines().find_map(|line| line.strip_prefix("message: ")).unwrap();
    let shown = r#""left \u202ethgir\u2066 \u009b2J \u007f \u001b[1m \"quoted\"\nand more""#;
    assert_eq!(field, shown);
    let (_, text) = run(root.path(), &["journal", "log"]);
    assert_eq!(text.chars().find(odd), None, "{text:?}");
}

#[test]
fn a_record_that_is_not_there_is_answered_with_those_that_are() {
    let root = with_snapshots(12, &[4, 8]);
    drop_before(root.path(), 5);
    let show = |seq: &str| run(root.path(), &["journal", "show", seq]).1;
    insta::assert_snapshot!(show("3"), @"error: there is no record 3: the journal begins at record 5");
    insta::assert_snapshot!(show("13"), @"error: there is no record 13: the journal ends at record 12");
    assert!(show("5").contains("for the 5. time"), "{}", show("5"));
    assert!(run(root.path(), &["journal", "show", "x"]).1.contains("the number of a record"));
}

/// A log that goes on.
struct Follower {
    child: Child,
    lines: Receiver<String>,
}

impl Follower {
    fn start(root: &Path, args: &[&str]) -> Self {
        let args = [&["journal", "log", "-f"], args].concat();
        let mut command = program(root, &args);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let out: ChildStdout = child.stdout.take().unwrap();
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self { child, lines }
    }

    /// Waits for the line of a record.
    fn wait_for(&self, seq: u64) {
        let patience = std::time::Duration::from_secs(60);
        loop {
            let line = self.lines.recv_timeout(patience).expect("a line");
            if line.starts_with(&format!("{seq} ")) {
                return;
            }
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[test]
fn a_log_follows_over_new_files_and_dropped_ones() {
    let root = directory();
    let (mut journal, _) = open_with(root.path(), SMALL).unwrap();
    journal.append(&records(1..=30)).unwrap();
    let follower = Follower::start(root.path(), &[]);
    assert!(follower.lines.recv().unwrap().starts_with("21 "), "the last ten come first");
    follower.wait_for(30);
    for seq in 31..=80 {
        journal.append(&[record(seq)]).unwrap();
    }
    follower.wait_for(80);
    assert!(segments(root.path()).len() > 2);
    let last = segments(root.path()).pop().unwrap();
    let last = last.file_stem().unwrap().to_str().unwrap().parse().unwrap();
    drop_before(root.path(), last);
    for seq in 81..=120 {
        journal.append(&[record(seq)]).unwrap();
    }
    follower.wait_for(120);
    let until = Follower::start(root.path(), &["--to", "121", "--from", "119"]);
    journal.append(&records(121..=123)).unwrap();
    until.wait_for(121);
    let mut until = until;
    assert!(until.child.wait().unwrap().success(), "it ends behind the last one that is wanted");
}

#[test]
fn a_log_that_follows_ends_where_nothing_more_is_wanted() {
    let root = with_snapshots(12, &[]);
    let ends = |args: &[&str], expected: &[&str]| {
        let mut follower = Follower::start(root.path(), args);
        let status = eventually("its end", || follower.child.try_wait().unwrap());
        assert!(status.success(), "{args:?}");
        let lines: Vec<String> = follower.lines.iter().collect();
        let seqs: Vec<_> = lines.iter().map(|line| line.split(' ').next().unwrap()).collect();
        assert_eq!(seqs, expected, "{args:?}");
    };
    ends(&["--from", "11", "--to", "12"], &["11", "12"]); // nothing was written behind it
    ends(&["--from", "3", "--to", "4"], &["3", "4"]);
    ends(&["--from", "9", "--to", "8"], &[]);
    ends(&["--from", "13", "--to", "12"], &[]);
    ends(&["-k", "StopStarted", "--to", "11"], &["4", "8"]);
    ends(&["--until", "1h", "-n", "2"], &["11", "12"]);
    ends(&["--until", "2023-11-14T22:13:19Z"], &[]);
    // The one that is waited for.
    let mut until = Follower::start(root.path(), &["--to", "13"]);
    until.wait_for(12);
    let (mut journal, _) = open_with(root.path(), PLAIN).unwrap();
    journal.append(&[record(13)]).unwrap();
    until.wait_for(13);
    assert!(eventually("its end", || until.child.try_wait().unwrap()).success());
}

#[test]
fn a_log_that_nobody_reads_ends_quietly() {
    let root = with_snapshots(3, &[]);
    let mut command = program(root.path(), &["journal", "log", "-f"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    assert!(line.starts_with("1 "), "{line}");
    drop(out);
    // Nothing is written any more, so only looking at the pipe tells.
    let status = eventually("its end", || child.try_wait().unwrap());
    assert!(status.success(), "{status}");
    let mut said = String::new();
    std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut said).unwrap();
    assert_eq!(said, "");
}

#[test]
fn a_torn_line_is_waited_for() {
    let root = with_snapshots(3, &[]);
    let path = segments(root.path()).pop().unwrap();
    let whole = fs::read(&path).unwrap();
    let (mut journal, _) = open_with(root.path(), PLAIN).unwrap();
    journal.append(&[record(4)]).unwrap();
    let more = fs::read(&path).unwrap();
    put(&path, &more[..whole.len() + 20]);
    let follower = Follower::start(root.path(), &[]);
    follower.wait_for(3);
    put(&path, &more);
    follower.wait_for(4);
}
