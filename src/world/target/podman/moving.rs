//! Whether a program goes on: one that takes long and one that hangs are not told apart by the clock (rule R6).

use std::collections::BTreeMap;
use std::time::Duration;

use rustix::process::Pid;
use tokio::time::Instant;

/// How often it is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// Bytes that one of its processes reads or writes: what wakes it up now and then to find nothing to do is less.
const MOVED_BYTES: u64 = 16 * 1024;

/// Ends when a group of processes has read and written nothing worth mentioning for so long, and never where nobody may
/// look.
pub(super) async fn stands_still(group: Option<Pid>, still: Duration) {
    let mut seen = Moved::default();
    let mut since = Instant::now();
    while let Some(moved) = group.and_then(|group| seen.look(&processes(group))) {
        if moved {
            since = Instant::now();
        } else if since.elapsed() >= still {
            return;
        }
        tokio::time::sleep_until(Instant::now() + LOOK.min(still)).await;
    }
    std::future::pending::<()>().await;
}

/// Bytes that each process had read and written when it last was seen to move.
#[derive(Default)]
struct Moved(BTreeMap<i32, u64>);

impl Moved {
    /// Whether one of them moved; none where nothing is known of any.
    fn look(&mut self, processes: &[(i32, Option<u64>)]) -> Option<bool> {
        let mut known = None;
        for (pid, bytes) in processes {
            let Some(bytes) = *bytes else { continue };
            let mark = self.0.entry(*pid).or_insert(0);
            let moved = bytes.saturating_sub(*mark) >= MOVED_BYTES;
            if moved {
                *mark = bytes;
            }
            known = Some(known.unwrap_or(false) || moved);
        }
        known
    }
}

/// The processes of a group with what each has read and written; none of it where we may not look.
fn processes(group: Pid) -> Vec<(i32, Option<u64>)> {
    let all = std::fs::read_dir("/proc").into_iter().flatten();
    let pids = all.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    let is_its = |pid: &i32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        group_of(&stat) == Some(group.as_raw_pid())
    };
    let bytes = |pid: i32| bytes_of(&std::fs::read_to_string(format!("/proc/{pid}/io")).ok()?);
    pids.filter(is_its).map(|pid| (pid, bytes(pid))).collect()
}

/// The group that `/proc/PID/stat` names: the third field after the name, which may have blanks and brackets itself.
fn group_of(stat: &str) -> Option<i32> {
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_whitespace().nth(2)?.parse().ok()
}

/// What `/proc/PID/io` says that was read and written, by files, pipes and connections.
fn bytes_of(io: &str) -> Option<u64> {
    let field = |name: &str| {
        let value = io.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        value?.trim().parse::<u64>().ok()
    };
    Some(field("rchar")?.saturating_add(field("wchar")?))
}

/// What each reader makes of a text; see `untrusted`.
pub(super) fn read_untrusted(text: &str) -> String {
    format!("{:?} {:?}", group_of(text), bytes_of(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_moves_when_it_reads_or_writes_more_than_a_little() {
        let mut seen = Moved::default();
        assert_eq!(seen.look(&[]), None, "nobody knows");
        assert_eq!(seen.look(&[(7, None)]), None, "nobody may look");
        assert_eq!(seen.look(&[(7, Some(20_000))]), Some(true));
        assert_eq!(seen.look(&[(7, Some(20_000 + 9_000))]), Some(false));
        assert_eq!(seen.look(&[(7, Some(20_000 + 18_000))]), Some(true), "little by little");
        assert_eq!(seen.look(&[(7, Some(38_000)), (8, Some(50_000))]), Some(true), "a child");
        assert_eq!(seen.look(&[(8, Some(50_000))]), Some(false), "it ended");
    }

    #[test]
    fn what_the_kernel_says_of_a_process_is_read() {
        assert_eq!(group_of("12 (a) b (c) S 1 11 11 0 -1 4194560"), Some(11));
        assert_eq!(group_of("12 (a"), None);
        assert_eq!(bytes_of("rchar: 12\nwchar: 30\nsyscr: 7\n"), Some(42));
        assert_eq!(bytes_of(""), None);
        let own = rustix::process::getpgrp();
        let own: Vec<_> = processes(own).into_iter().filter_map(|(_, bytes)| bytes).collect();
        assert!(own.iter().any(|bytes| *bytes > 0), "{own:?}");
    }
}
