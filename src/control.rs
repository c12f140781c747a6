//! The control socket: a request in becomes [`crate::action::Input::Asked`], the answer goes back.
//!
//! A Unix socket with one JSON line each way, so that any language and `nc -U` can use it. Who asks is taken from the
//! kernel (peer credentials), never from the request. Whoever can open the socket may ask; its mode is 0660.
//!
//! An `upload` is followed by as many bytes as it says, and answered with their hash; then one more line is taken, which
//! may name it. Until the connection ends, no collection takes what was uploaded.

mod upload;

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, oneshot};
use tokio::time::Instant;

use crate::action::{
    BuildOrder, CancelBuildOrder, ImportOrder, Input, Nudge, OverlayOrder, Pushed, Request,
    RolloutOrder, RunOrder,
};
use crate::daemon::{Event, Events, PruneOrder};
use crate::engine::{Answer, CancelledBuilds, OrderedRollout, StartedBuild};
use crate::fact::PruneOptions;
use crate::hook::build::ByHand;
use crate::hook::deliveries::Listening;
use crate::listener::Hooks;
use crate::names::{ContentHash, Digest, ObjectKey, Seq, StreamTag};
use crate::plan::prune::Pruned;
use crate::report::Live;
use crate::time::Now;

pub use upload::Uploads;

/// Bytes of one request.
const REQUEST_BYTES_MAX: u64 = 64 * 1024;

/// A client that says nothing is let go after this.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// Clients at once; each is a file, and takes a moment.
const CLIENTS_MAX: usize = 32;

/// How long no client is taken after one could not be.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// What a client asks: one line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Question {
    /// What only the running daemon knows.
    Status,
    /// End the hold of an object.
    Release(ObjectKey),
    /// Let the held removals happen.
    ReleaseRemovals,
    /// Do something about the rollouts of a workload.
    Rollout(RolloutOrder),
    /// Take what nobody uses out of histories, or say what would go.
    Prune {
        /// What for.
        options: PruneOptions,
        /// Whether it is to happen.
        confirm: bool,
    },
    /// Delete an image.
    DeleteImage(Digest),
    /// Look at the source now.
    ReadSource,
    /// Look at a tag now.
    CheckTag(StreamTag),
    /// Run a `CronJob` now.
    RunJob(RunOrder),
    /// Start a build.
    StartBuild(Box<BuildOrder>),
    /// Keep what follows this line; the next line may be a `start_build` that names it.
    Upload {
        /// How much follows.
        bytes: u64,
    },
    /// End builds.
    CancelBuild(CancelBuildOrder),
    /// Import tags now, and answer when that is done.
    Import(ImportOrder),
    /// Put something over what git says of a tag.
    Overlay(Box<OverlayOrder>),
    /// An image was pushed; answer when it is recorded.
    Push(Pushed),
    /// Write a snapshot, drop old history and collect what nothing names, now.
    Compact,
    /// What the listener for webhooks is and had.
    Hooks,
    /// Take this as if it had come in by a webhook of a `BuildConfig`.
    Webhook(Box<ByHand>),
}

/// What the daemon answers: one line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// It is done; the record says so.
    Done(Seq),
    /// There was nothing to do, or it was noted.
    Nothing(String),
    /// Something is looked at again, and what.
    Looking(String),
    /// It is refused.
    Refused(String),
    /// What only the running daemon knows.
    Status(Box<Live>),
    /// What a prune took, or would take.
    Pruned(Box<Pruned>),
    /// An order about a rollout is taken.
    Ordered(Box<OrderedRollout>),
    /// A build is created.
    Started(Box<StartedBuild>),
    /// Builds are being ended.
    Cancelled(Box<CancelledBuilds>),
    /// What was uploaded is kept while the connection lasts.
    Uploaded(ContentHash),
    /// What the listener for webhooks is and had.
    Hooks(Box<Listening>),
}

/// A listening control socket; its file goes when this does.
#[derive(Debug)]
pub struct Control {
    path: PathBuf,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Control {
    fn drop(&mut self) {
        self.task.abort();
        drop(std::fs::remove_file(&self.path)); // a leftover is replaced at the next start
    }
}

/// Listens at `path`. The journal's lock makes sure that no other daemon of this state directory does.
///
/// # Errors
/// When the socket cannot be made.
pub fn serve(
    path: &Path,
    events: Events,
    hooks: Hooks,
    uploads: Uploads,
) -> anyhow::Result<Control> {
    use anyhow::Context as _;
    let wrong = || format!("cannot listen at control socket `{}` (control.socket)", path.display());
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).with_context(wrong)?;
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(error).with_context(wrong);
        }
        Ok(()) | Err(_) => {}
    }
    let listener = UnixListener::bind(path).with_context(wrong)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660)).with_context(wrong)?;
    let task = tokio::spawn(async move {
        let places = Arc::new(Semaphore::new(CLIENTS_MAX));
        loop {
            // Nobody closes it; and who finds no place waits in the socket's own queue.
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            let stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "cannot take a client of the control socket; going on");
                    // Out of files or memory, most likely: that takes a moment to pass.
                    tokio::time::interval_at(Instant::now() + ACCEPT_PAUSE, ACCEPT_PAUSE)
                        .tick()
                        .await;
                    continue;
                }
            };
            let (events, hooks, uploads) = (events.clone(), hooks.clone(), uploads.clone());
            tokio::spawn(async move {
                let _place = place;
                if let Err(error) = converse(stream, events, hooks, uploads).await {
                    tracing::debug!(%error, "a control client went away");
                }
            });
        }
    });
    Ok(Control { path: path.to_owned(), task })
}

async fn converse(
    stream: UnixStream,
    events: Events,
    hooks: Hooks,
    uploads: Uploads,
) -> io::Result<()> {
    let uid = stream.peer_cred()?.uid();
    let (read, mut write) = stream.into_split();
    let mut reader = BufReader::new(read);
    // Held until the connection ends, so that it is there when a record names it.
    let mut held = None;
    loop {
        let mut line = Vec::new();
        let mut request = (&mut reader).take(REQUEST_BYTES_MAX);
        tokio::time::timeout(REQUEST_TIMEOUT, request.read_until(b'\n', &mut line)).await??;
        if held.is_some() && line.is_empty() {
            return Ok(()); // it was all that it wanted
        }
        let reply = match understand(&line) {
            Ok(Question::Hooks) => Reply::Hooks(Box::new(hooks.listening())),
            Ok(Question::Webhook(by_hand)) => hooks.deliver(&events, *by_hand).await,
            Ok(Question::Upload { bytes }) if held.is_none() => {
                match uploads.take(&mut reader, bytes).await? {
                    Ok(holding) => Reply::Uploaded(held.insert(holding).hash()),
                    Err(why) => Reply::Refused(why),
                }
            }
            Ok(Question::Upload { .. }) => Reply::Refused("one upload is enough".into()),
            Ok(Question::StartBuild(order)) => match uploads.hold_input(&order) {
                Ok(_holding) => answer(Question::StartBuild(order), uid, &events).await,
                Err(why) => Reply::Refused(why),
            },
            Ok(question) => {
                let mut reply = answer(question, uid, &events).await;
                if let Reply::Status(live) = &mut reply {
                    live.webhooks = hooks.last_of_builds();
                }
                reply
            }
            Err(why) => Reply::Refused(format!("the request is not understood: {why}")),
        };
        let mut text = serde_json::to_vec(&reply)?;
        text.push(b'\n');
        tokio::time::timeout(REQUEST_TIMEOUT, write.write_all(&text)).await??;
        if !matches!(reply, Reply::Uploaded(_)) {
            return Ok(());
        }
    }
}

/// Reads a request, or says why it is none.
fn understand(line: &[u8]) -> Result<Question, String> {
    if line.len() as u64 >= REQUEST_BYTES_MAX && !line.ends_with(b"\n") {
        return Err(format!(
            "it has more than {REQUEST_BYTES_MAX} bytes; one line of JSON is expected"
        ));
    }
    let text = std::str::from_utf8(line).map_err(|_| "it is not UTF-8".to_owned())?;
    serde_json::from_str(text).map_err(|error| error.to_string())
}

async fn answer(question: Question, uid: u32, events: &Events) -> Reply {
    let request = match question {
        Question::Status => Request::Status,
        Question::Release(object) => Request::Release(object),
        Question::ReleaseRemovals => Request::ReleaseRemovals,
        Question::Rollout(order) => Request::Rollout(order),
        Question::RunJob(order) => Request::RunJob(order),
        Question::StartBuild(order) => Request::StartBuild(order),
        Question::CancelBuild(order) => Request::CancelBuild(order),
        Question::Import(order) => Request::Import(order),
        Question::Overlay(order) => Request::Overlay(order),
        Question::Push(pushed) => Request::Push(pushed),
        Question::Prune { options, confirm } => {
            let (answer, receive) = oneshot::channel();
            let order = PruneOrder { by: asker(uid), options, confirm, answer };
            if events.send(Event::Prune(order)).await.is_err() {
                return gone();
            }
            return receive.await.unwrap_or_else(|_| gone());
        }
        Question::DeleteImage(image) => Request::DeleteImage(image),
        // Answered without the loop.
        Question::Hooks | Question::Webhook(_) => {
            return Reply::Refused("the listener is asked elsewhere".into());
        }
        Question::Upload { .. } => {
            return Reply::Refused("what is uploaded is taken elsewhere".into());
        }
        Question::ReadSource => return nudge(Nudge::Source, events).await,
        Question::CheckTag(tag) => return nudge(Nudge::Tag(tag), events).await,
        Question::Compact => {
            let (send, receive) = oneshot::channel();
            if events.send(Event::Compact(send)).await.is_err() {
                return gone();
            }
            return receive.await.unwrap_or_else(|_| gone());
        }
    };
    let (send, receive) = oneshot::channel();
    let asked = (asker(uid), request, send);
    if events.send(Event::Asked(asked)).await.is_err() {
        return gone();
    }
    receive.await.unwrap_or_else(|_| gone())
}

impl Reply {
    /// The engine's answer as it goes over the socket.
    #[must_use]
    pub fn of(answer: Answer, now: Now) -> Self {
        match answer {
            Answer::Done(seq) => Self::Done(seq),
            Answer::Nothing(text) => Self::Nothing(text),
            Answer::Looking(text) => Self::Looking(text),
            Answer::Refused(text) => Self::Refused(text),
            Answer::Status(known) => Self::Status(Box::new(Live::of(&known, now))),
            Answer::Pruned(pruned) => Self::Pruned(pruned),
            Answer::Ordered(ordered) => Self::Ordered(ordered),
            Answer::Started(started) => Self::Started(started),
            Answer::Cancelled(cancelled) => Self::Cancelled(cancelled),
        }
    }
}

/// Who asks, as records say it.
fn asker(uid: u32) -> String {
    format!("uid {uid}")
}

fn gone() -> Reply {
    Reply::Refused("the daemon is stopping".into())
}

async fn nudge(nudge: Nudge, events: &Events) -> Reply {
    match events.send(Event::Input(Input::Nudged(nudge))).await {
        Ok(()) => Reply::Nothing("noted; the daemon looks now".into()),
        Err(_) => Reply::Refused("the daemon is stopping".into()),
    }
}
