//! Hostile files in the folder of units: what is not ours is not overwritten, whatever it is, nobody waits for it, and
//! nothing endless is read.

use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::path::Path;

use tidegate::fact::RolloutStep;
use tidegate::pods::How;

use super::host::Fake;
use super::{Row, faults};

use RolloutStep::{Pulling, StartingNew};

/// What stands at a path.
#[derive(Clone)]
pub(super) enum Thing {
    Bytes(Vec<u8>),
    Folder,
    Pipe,
    Socket,
    /// A link to this path.
    Link(&'static str),
    /// A link to a file that was there before.
    LinkToItself,
    Files(usize),
}

impl Thing {
    fn stands_at(&self, path: &Path) {
        let moved = path.with_extension("moved");
        if path.exists() {
            std::fs::rename(path, &moved).unwrap();
        }
        match self {
            Self::Bytes(bytes) => std::fs::write(path, bytes).unwrap(),
            Self::Folder => std::fs::create_dir(path).unwrap(),
            Self::Pipe => {
                use rustix::fs::{CWD, FileType, Mode, mknodat};
                mknodat(CWD, path, FileType::Fifo, Mode::RWXU, 0).unwrap();
            }
            Self::Socket => drop(std::os::unix::net::UnixListener::bind(path).unwrap()),
            Self::Link(to) => symlink(to, path).unwrap(),
            Self::LinkToItself => symlink(moved, path).unwrap(),
            Self::Files(count) => {
                std::fs::create_dir(path).unwrap();
                for file in 0..*count {
                    std::fs::write(path.join(file.to_string()), "").unwrap();
                }
            }
        }
    }
}

/// A name in the folder, what stands there, a step, and what comes of it.
type Stands = (&'static str, Thing, RolloutStep, &'static str);

#[rustfmt::skip]
pub(super) fn rows() -> Vec<Row<Stands>> {
    let row = |name, path, thing: Thing, step, end, says: &[&'static str]| {
        Row::new(name, (path, thing, step, end), says)
    };
    let large = || Thing::Bytes(vec![b'#'; 2 << 20]);
    let mut rows = Vec::new();
    // In the place of what is ours.
    for step in [Pulling, StartingNew] {
        for path in ["web.kube", "web.yaml"] {
            let says: &[&'static str] = &["drifted: `", path, "` is not as Tidegate wrote it"];
            let drifted = |name, thing| row(name, path, thing, step, "failed", says);
            rows.extend([
                drifted("no text", Thing::Bytes(vec![0xff, 0xfe, 0, 27])),
                drifted("nothing in it", Thing::Bytes(Vec::new())),
                drifted("2 MB", large()),
                drifted("a folder", Thing::Folder),
                drifted("a pipe that nobody writes into", Thing::Pipe),
                drifted("a socket", Thing::Socket),
                drifted("a link to what has no end", Thing::Link("/dev/zero")),
                drifted("a link to a terminal", Thing::Link("/dev/tty")),
                row("a link to itself", path, Thing::Link("web.kube"), step, if path == "web.kube" { "transient" } else { "failed" }, &[]),
                row("a link to what we wrote", path, Thing::LinkToItself, step, "stepped", &[]),
            ]);
        }
    }
    // Beside it: no matter of ours.
    for (name, thing) in [
        ("a pipe", Thing::Pipe),
        ("a folder", Thing::Folder),
        ("a socket", Thing::Socket),
        ("2 MB", large()),
        ("a link to nothing", Thing::Link("/nowhere")),
        ("a link to its folder", Thing::Link(".")),
        ("a link to what has no end", Thing::Link("/dev/zero")),
        ("a link to what the kernel makes up", Thing::Link("/proc/self/fdinfo")),
    ] {
        rows.push(row(name, "other.kube", thing, Pulling, "stepped", &[]));
    }
    // In the place of what is written before it takes its own.
    for (name, thing) in [("a pipe before it", Thing::Pipe), ("a link before it", Thing::Link("/dev/null"))] {
        rows.push(row(name, ".web.kube.tidegate", thing, StartingNew, "stepped", &[]));
    }
    rows.push(row("a link to everything", "other", Thing::Link("/"), Pulling, "transient", &["cannot copy `", "more than 10000 files"]));
    rows.push(row("more files than units", "more", Thing::Files(10_001), Pulling, "transient", &["cannot copy `", "more than 10000 files"]));
    rows
}

#[test]
fn hostile_files_are_left_alone_and_nobody_waits_for_them() {
    let mut wrong = Vec::new();
    for row in rows() {
        let (path, thing, step, end) = &row.input;
        let host = Fake::new(true);
        let stands = host.unit(path);
        thing.stands_at(&stands);
        if path.starts_with('.') {
            // So that it is written once more.
            std::fs::remove_file(host.unit("web.kube")).unwrap();
        }
        let before = std::fs::symlink_metadata(&stands).unwrap();
        let (came, told) = host.step(*step);
        if came != *end {
            wrong.push(format!("{path}: {} at {step}: {came} in place of {end}: {told}", row.name));
        }
        wrong.extend(row.check(told.trim_end()));
        let after = std::fs::symlink_metadata(&stands).ok();
        if *end != "stepped" && after.map(|now| now.file_type()) != Some(before.file_type()) {
            wrong.push(format!("{path}: {} is overwritten", row.name));
        }
        let astray = host.look().astray.into_values().next();
        let is_drifted = astray.is_some_and(|astray| {
            astray.how == How::Drifted && astray.why.contains("somebody edited or removed `")
        });
        if is_drifted != (*end != "stepped" && path.starts_with("web.")) {
            wrong.push(format!("{path}: {}: whoever asks is told otherwise", row.name));
        }
    }
    assert!(wrong.is_empty(), "{}", faults(&wrong));
}

/// A name that is no text is no matter of ours either.
#[test]
fn a_unit_whose_name_is_no_text_is_left_alone() {
    let host = Fake::new(true);
    let name = std::ffi::OsStr::from_bytes(b"\xff\x1b.kube");
    std::fs::write(host.unit("web.kube").with_file_name(name), [0xff]).unwrap();
    assert_eq!(host.step(Pulling).0, "stepped");
}
