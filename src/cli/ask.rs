//! Asks the running daemon through its control socket: one JSON line each way, and what is handed over for a build behind
//! one.

use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;

use crate::control::{Question, Reply};
use crate::names::ContentHash;

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
    let Some(mut stream) = connect(socket)? else { return Ok(None) };
    let mut talk = || -> anyhow::Result<Reply> {
        stream.set_read_timeout(Some(timeout))?;
        say(&mut stream, question)?;
        hear(&mut stream)
    };
    talk().map(Some).with_context(|| format!("cannot talk to the daemon at `{shown}`"))
}

/// Hands over a file of `bytes` bytes, and asks what `question` makes of its hash; none if no daemon runs.
///
/// # Errors
/// As [`ask`].
pub(super) fn upload_and_ask(
    socket: &Path,
    (file, bytes): (&mut std::fs::File, u64),
    question: impl FnOnce(ContentHash) -> Question,
) -> anyhow::Result<Option<Reply>> {
    let shown = socket.display();
    let Some(mut stream) = connect(socket)? else { return Ok(None) };
    let talk = || -> anyhow::Result<Reply> {
        stream.set_read_timeout(Some(LONG_ANSWER_TIMEOUT))?;
        say(&mut stream, &Question::Upload { bytes })?;
        let sent = std::io::copy(&mut file.take(bytes), &mut stream);
        // Who does not take it says why, and reads no further.
        let answer = hear(&mut stream);
        let hash = match (answer, sent) {
            (Ok(Reply::Uploaded(hash)), _) => hash,
            (Ok(other), _) => return Ok(other),
            (Err(_), Err(error)) => return Err(error.into()),
            (Err(error), Ok(_)) => return Err(error),
        };
        say(&mut stream, &question(hash))?;
        hear(&mut stream)
    };
    talk().map(Some).with_context(|| format!("cannot talk to the daemon at `{shown}`"))
}

fn connect(socket: &Path) -> anyhow::Result<Option<UnixStream>> {
    match UnixStream::connect(socket) {
        Ok(stream) => {
            stream.set_write_timeout(Some(ANSWER_TIMEOUT))?;
            Ok(Some(stream))
        }
        Err(error)
            if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) =>
        {
            Ok(None)
        }
        Err(error) => {
            let shown = socket.display();
            Err(error)
                .with_context(|| format!("cannot ask the daemon at `{shown}` (control.socket)"))
        }
    }
}

fn say(stream: &mut UnixStream, question: &Question) -> anyhow::Result<()> {
    let mut line = serde_json::to_vec(question)?;
    line.push(b'\n');
    Ok(stream.write_all(&line)?)
}

/// Reads one answer; the daemon says no more than it is asked for.
fn hear(stream: &mut UnixStream) -> anyhow::Result<Reply> {
    let mut answer = String::new();
    BufReader::new(stream.take(ANSWER_BYTES_MAX)).read_line(&mut answer)?;
    serde_json::from_str(&answer).context("the answer is not understood")
}
