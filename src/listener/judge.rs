//! What becomes of one delivery: refused, ignored or carried out.

use std::path::Path;

use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use futures_util::future::join_all;
use tokio::io::AsyncReadExt as _;
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::time::{Instant, sleep_until};

use crate::action::{Input, Nudge, Request};
use crate::config::HookSettings;
use crate::control::Reply;
use crate::daemon::{Event, Events};
use crate::hook::deliveries::Verdict;
use crate::hook::{self, Hint, Hook, Kind, Notice, Secrets, Silence};
use crate::limits::{HOOK_LOOKS_AGAIN, HOOK_SECRETS_BYTES_MAX, HOOK_SETTLES, HOOK_TIMEOUT};
use crate::reference::ImageReference;
use crate::world::target::SecretSource;

use super::{Hooks, More};

/// What everybody gets who does not know a secret.
const NOBODYS: StatusCode = StatusCode::NOT_FOUND;

/// Answers that a reason repeats before it only counts.
const ANSWERS_SHOWN_MAX: usize = 5;

/// Judges a delivery and starts what follows from it.
pub(super) async fn judge(
    hooks: &Hooks,
    events: &Events,
    head: &Parts,
    body: Option<&[u8]>,
) -> StatusCode {
    let table = hooks.table();
    let (name, token) = place(head.uri.path());
    let known = name.and_then(|name| table.hooks.get_key_value(name));
    let secrets = match known {
        Some((_, settings)) => secrets_of(settings).await,
        None => Ok(Some(Secrets::default())),
    };
    let refused = |reason: &str| {
        let name = known.map(|(name, _)| name.as_str());
        hooks.note(name, Verdict::Refused, reason, More::default());
        NOBODYS
    };
    let Some(body) = body else {
        let seconds = HOOK_TIMEOUT.as_secs();
        return refused(&format!("the body is over 1 MiB, or did not come whole in {seconds} s"));
    };
    let header = |name: &str| head.headers.get(name)?.to_str().ok();
    let notice = Notice { header: &header, token, body };
    let Some((name, settings)) = known.filter(|_| head.method == Method::POST) else {
        // As much work as for a hook that there is.
        let hook = Hook { kind: Kind::GitHub, registry: None, header: String::new() };
        drop(hook::prove(&hook, &notice, &Secrets::default()));
        return refused(if known.is_some() { "it is no POST" } else { "no hook is there" });
    };
    match secrets {
        Ok(None) => {}
        Ok(Some(secrets)) => {
            if let Err(why) = hook::prove(&settings.hook, &notice, &secrets) {
                return refused(&why.to_string());
            }
        }
        Err(why) => return refused(&why),
    }
    let mut more = More { id: hook::delivery_id(&notice), hints: Vec::new() };
    let (verdict, reason, status) = match hook::read(&settings.hook, &notice) {
        Ok(hints) => {
            let named = |hint: &Hint| hook::shown(&hint.to_string());
            more.hints = hints.iter().map(named).collect();
            let settles = matches!(settings.hook.kind, Kind::Distribution | Kind::GitLab);
            let delivery = Accepted { name, more, branch: &table.branch, settles };
            return delivery.carry_out(hooks, events, hints);
        }
        Err(Silence::Nothing(why)) => (Verdict::Ignored, why, StatusCode::NO_CONTENT),
        Err(Silence::Unreadable(why)) => (Verdict::Refused, why, StatusCode::BAD_REQUEST),
    };
    hooks.note(Some(name), verdict, &reason, more);
    status
}

/// The hook's name and the token out of `/hooks/NAME` and `/hooks/NAME/TOKEN`.
fn place(path: &str) -> (Option<&str>, Option<&str>) {
    let Some(rest) = path.strip_prefix("/hooks/") else { return (None, None) };
    match rest.split_once('/') {
        Some((name, token)) => (Some(name), Some(token)),
        None => (Some(rest), None),
    }
}

/// The secrets of a hook as they are now; none where it needs none.
///
/// # Errors
/// Why nobody can prove anything to it.
async fn secrets_of(settings: &HookSettings) -> Result<Option<Secrets>, String> {
    match &settings.secret {
        Some(source) => secrets_in(source).await.map(Some),
        None => Ok(None),
    }
}

/// The secrets in a file.
///
/// # Errors
/// Why there are none.
pub(super) async fn secrets_in(source: &SecretSource) -> Result<Secrets, String> {
    let path = source.0.display();
    match read(&source.0).await.map(|bytes| Secrets::parse(&bytes)) {
        Ok(secrets) if secrets.is_empty() => Err(format!("the secret file `{path}` is empty")),
        Ok(secrets) => Ok(secrets),
        Err(error) => Err(format!("cannot read the secret file `{path}`: {error}")),
    }
}

/// Reads a file of secrets, which may be without an end.
async fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = tokio::fs::File::open(path).await?;
    file.take(HOOK_SECRETS_BYTES_MAX).read_to_end(&mut bytes).await?;
    Ok(bytes)
}

/// A delivery of somebody who is who they say.
struct Accepted<'a> {
    name: &'a str,
    more: More,
    /// The branch that is desired state.
    branch: &'a str,
    /// Whether the sender tells of what it is still writing.
    settles: bool,
}

impl Accepted<'_> {
    /// Hands the hints to the loop. What they lead to is noted when it is known; the sender does not wait for it.
    fn carry_out(self, hooks: &Hooks, events: &Events, hints: Vec<Hint>) -> StatusCode {
        let Self { name, more, branch, settles } = self;
        let by = format!("hook {name}");
        let (mut awaited, mut known) = (Vec::new(), Vec::new());
        let mut images = Vec::new();
        let busy = || {
            let reason = "the daemon is busy; the sender was asked to come again";
            hooks.note(Some(name), Verdict::Refused, reason, More::default());
            StatusCode::SERVICE_UNAVAILABLE
        };
        let Ok(place) = hooks.0.places.clone().try_acquire_owned() else { return busy() };
        for hint in hints {
            match hint {
                Hint::Image(image) => images.push(image),
                Hint::Push(pushed) => {
                    let (send, receive) = oneshot::channel();
                    let asked = (by.clone(), Request::Push(pushed), send);
                    if events.try_send(Event::Asked(asked)).is_err() {
                        return busy();
                    }
                    awaited.push(receive);
                }
                Hint::Branch(pushed) if pushed != branch => {
                    let pushed = hook::shown(&pushed);
                    known.push(Reply::Nothing(format!("branch {pushed} is not {branch}")));
                }
                Hint::Branch(_) | Hint::Source => {
                    if events.try_send(Event::Input(Input::Nudged(Nudge::Source))).is_err() {
                        return busy();
                    }
                    known.push(Reply::Looking("looks at the source".into()));
                }
            }
        }
        let follows = known.iter().any(is_followed) || !awaited.is_empty() || !images.is_empty();
        if !follows {
            hooks.note(Some(name), Verdict::Ignored, &sum(&known).1, more);
            return StatusCode::NO_CONTENT;
        }
        let number = hooks.note(Some(name), Verdict::Accepted, UNDER_WAY, more);
        let waiting =
            Waiting { hooks: hooks.clone(), name: name.to_owned(), number, _place: place };
        let looks = Looks { events: events.clone(), by, settles };
        tokio::spawn(waiting.end(known, awaited, looks, images));
        StatusCode::ACCEPTED
    }
}

/// What is said of a delivery whose end is still to come.
const UNDER_WAY: &str = "it is being carried out";

/// A delivery whose end is still to come.
struct Waiting {
    hooks: Hooks,
    name: String,
    number: u64,
    _place: OwnedSemaphorePermit,
}

impl Waiting {
    async fn end(
        self,
        mut known: Vec<Reply>,
        awaited: Vec<oneshot::Receiver<Reply>>,
        looks: Looks,
        images: Vec<ImageReference>,
    ) {
        known.extend(join_all(images.iter().map(|image| looks.at(image))).await);
        for reply in awaited {
            known.push(reply.await.unwrap_or_else(|_| stopping()));
        }
        let (verdict, reason) = sum(&known);
        self.hooks.ended(self.number, &self.name, verdict, reason);
    }
}

/// How images are looked at.
struct Looks {
    events: Events,
    by: String,
    /// Whether the sender tells of what it is still writing.
    settles: bool,
}

impl Looks {
    /// Gives a hint, and again until there is what it tells: a registry may tell before it has it.
    async fn at(&self, image: &ImageReference) -> Reply {
        if self.settles {
            sleep_until(Instant::now() + HOOK_SETTLES).await;
        }
        let mut best = self.hint(image).await;
        if image.digest.is_none() || matches!(best, Reply::Nothing(_)) {
            return best;
        }
        for pause in HOOK_LOOKS_AGAIN {
            sleep_until(Instant::now() + pause).await;
            let next = self.hint(image).await;
            if let Reply::Nothing(there) = next {
                if let Reply::Looking(looks) = best {
                    return Reply::Looking(format!("{looks}; {there}"));
                }
                return if is_followed(&best) { best } else { Reply::Looking(there) };
            }
            if is_followed(&next) || !is_followed(&best) {
                best = next;
            }
        }
        if let Reply::Looking(looks) = best {
            let late = "the registry did not get to what it told; something newer may be there";
            return Reply::Looking(format!("{looks}; {late}"));
        }
        best
    }

    async fn hint(&self, image: &ImageReference) -> Reply {
        let (send, receive) = oneshot::channel();
        let asked = (self.by.clone(), Request::Hinted(image.clone()), send);
        if self.events.send(Event::Asked(asked)).await.is_err() {
            return stopping();
        }
        receive.await.unwrap_or_else(|_| stopping())
    }
}

fn stopping() -> Reply {
    Reply::Refused("the daemon is stopping".into())
}

fn is_followed(reply: &Reply) -> bool {
    matches!(reply, Reply::Done(_) | Reply::Looking(_))
}

/// One verdict and one reason out of what each hint led to.
fn sum(replies: &[Reply]) -> (Verdict, String) {
    let verdict =
        if replies.iter().any(is_followed) { Verdict::Accepted } else { Verdict::Ignored };
    let words = |reply: &Reply| match reply {
        Reply::Done(seq) => format!("recorded (record {seq})"),
        Reply::Looking(text) | Reply::Nothing(text) | Reply::Refused(text) => text.clone(),
        Reply::Status(_)
        | Reply::Pruned(_)
        | Reply::Ordered(_)
        | Reply::Started(_)
        | Reply::Cancelled(_)
        | Reply::Uploaded(_)
        | Reply::Hooks(_) => String::new(),
    };
    let shown: Vec<_> = replies.iter().take(ANSWERS_SHOWN_MAX).map(words).collect();
    let more = replies.len().saturating_sub(ANSWERS_SHOWN_MAX);
    let more = if more == 0 { String::new() } else { format!("; and {more} more") };
    (verdict, shown.join("; ") + &more)
}
