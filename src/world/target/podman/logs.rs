//! What containers print: podman prints it itself for whoever asks, and its last lines are kept of what ended.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::super::log::Tail;
use super::found::why;
use super::program::{Call, Podman, Trouble};
use super::{PodmanTarget, read};
use crate::limits::{PODMAN_LOOK_TIMEOUT, ROLLOUT_LOG_LINES_MAX};
use crate::pods::{LABEL_ATTEMPT, LABEL_ROLLOUT};

/// Which part of which logs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Logs {
    /// The containers, by what podman calls them.
    pub containers: Vec<String>,
    /// Whether to go on with what is printed next.
    pub follow: bool,
    /// Whether each line has its time.
    pub timestamps: bool,
    /// At most this many lines of each.
    pub tail: Option<u64>,
    /// Only what is younger than so many milliseconds.
    pub since: Option<i64>,
    /// Whether each line has the name of its container.
    pub names: bool,
}

impl PodmanTarget {
    /// Whether there is such a container, running or not.
    ///
    /// # Errors
    /// When podman cannot be asked.
    pub fn has_container(&self, name: &str) -> io::Result<bool> {
        let mut command = self.command();
        let output = command.args(["container", "exists", name]).stdin(Stdio::null()).output()?;
        match output.status.code() {
            Some(0) => Ok(true),
            Some(1) => Ok(false),
            Some(_) | None => {
                let words = String::from_utf8_lossy(&output.stderr);
                Err(io::Error::other(super::program::words(&words, "")))
            }
        }
    }

    /// The attempts at a run of a `CronJob` whose pods are there.
    ///
    /// # Errors
    /// When podman cannot be asked.
    pub fn attempts(&self, key: &str) -> io::Result<Vec<u32>> {
        let filter = format!("label={LABEL_ROLLOUT}={key}");
        let mut command = self.command();
        command.args(["ps", "--all", "--filter", &filter, "--format", "json"]);
        let output = command.stdin(Stdio::null()).output()?;
        if !output.status.success() {
            let words = String::from_utf8_lossy(&output.stderr);
            return Err(io::Error::other(super::program::words(&words, "")));
        }
        attempts_of(&output.stdout).map_err(|trouble| io::Error::other(why(trouble)))
    }

    /// Becomes podman, which prints the logs; returns only why it cannot.
    #[must_use]
    pub fn show_logs(&self, logs: &Logs) -> io::Error {
        let mut command = self.command();
        command.arg("logs");
        for (flag, is_set) in
            [("--follow", logs.follow), ("--timestamps", logs.timestamps), ("--names", logs.names)]
        {
            if is_set {
                command.arg(flag);
            }
        }
        if let Some(tail) = logs.tail {
            command.arg("--tail").arg(tail.to_string());
        }
        if let Some(since) = logs.since {
            command.arg("--since").arg(format!("{since}ms"));
        }
        command.args(&logs.containers).exec()
    }

    /// The program, with the part of our environment that it gets.
    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command
            .env_clear()
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .envs(&self.environment);
        command
    }
}

/// The attempts that containers which are listed are of.
pub(super) fn attempts_of(said: &[u8]) -> Result<Vec<u32>, Trouble> {
    let all: Option<Vec<Value>> = read::json("podman ps", &String::from_utf8_lossy(said))?;
    let label = format!("/Labels/{}", LABEL_ATTEMPT.replace('/', "~1"));
    let attempt = |one: &Value| one.pointer(&label)?.as_str()?.parse().ok();
    Ok(all.iter().flatten().filter_map(attempt).collect())
}

impl Podman<'_> {
    /// The last lines that containers printed, one after the other; nothing of what cannot be asked for.
    pub(super) async fn last_lines(&self, containers: &[String]) -> String {
        let mut tail = Tail::default();
        let lines = ROLLOUT_LOG_LINES_MAX.to_string();
        for container in containers {
            let arguments = ["logs", "--tail", &lines, container];
            let call = Call { as_one: true, ..Call::of(&self.target.program, &arguments) };
            let Ok(logs) = self.look_by(call, PODMAN_LOOK_TIMEOUT).await else { continue };
            if logs.is_success() {
                tail.push(logs.out.as_bytes());
                tail.push(b"\n");
            }
        }
        tail.lines([])
    }
}
