//! Asks the running daemon through its control socket: one JSON line each way.

use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;

use crate::control::{Question, Reply};

/// How long the daemon may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes of an answer: the checks of 100,000 tags have some 20 MB.
const ANSWER_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// How long it may take where it has to read and write everything first.
const LONG_ANSWER_TIMEOUT: Duration = Duration::from_secs(600);

/// An answer to another question: the daemon is of another version.
pub(super) const SOMETHING_ELSE: &str = "the daemon answered something else";

/// What an order says that only a daemon can carry out.
pub(super) fn no_daemon(socket: &Path) -> anyhow::Error {
    anyhow::anyhow!(
        "no daemon listens at `{}`, and only the daemon writes the journal; start it \
         (`tidegate run` or `systemctl start tidegate`), then run this again",
        socket.display()
    )
}

/// Asks; none if no daemon runs.
///
/// # Errors
/// When one runs and cannot be asked, or its answer is not understood.
pub(super) fn ask(socket: &Path, question: &Question) -> anyhow::Result<Option<Reply>> {
    ask_within(socket, question, ANSWER_TIMEOUT)
}

/// The same for what takes its time.
///
/// # Errors
/// As [`ask`].
pub(super) fn ask_long(socket: &Path, question: &Question) -> anyhow::Result<Option<Reply>> {
    ask_within(socket, question, LONG_ANSWER_TIMEOUT)
}

fn ask_within(
    socket: &Path,
    question: &Question,
    timeout: Duration,
) -> anyhow::Result<Option<Reply>> {
    let shown = socket.display();
    let mut stream = match UnixStream::connect(socket) {
        Ok(stream) => stream,
        Err(error)
            if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) =>
        {
            return Ok(None);
        }
        Err(error) => {
            return Err(error)
                .with_context(|| format!("cannot ask the daemon at `{shown}` (control.socket)"));
        }
    };
    let talk = || -> anyhow::Result<Reply> {
        stream.set_read_timeout(Some(timeout))?;
        stream.set_write_timeout(Some(ANSWER_TIMEOUT))?;
        let mut line = serde_json::to_vec(question)?;
        line.push(b'\n');
        stream.write_all(&line)?;
        let mut answer = String::new();
        BufReader::new(stream.take(ANSWER_BYTES_MAX)).read_line(&mut answer)?;
        serde_json::from_str(&answer).context("the answer is not understood")
    };
    talk().map(Some).with_context(|| format!("cannot talk to the daemon at `{shown}`"))
}
