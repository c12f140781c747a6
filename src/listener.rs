//! The listener for webhooks: a notice comes in, is proven and read, and becomes a hint for the loop.
//!
//! Off unless it is configured. What comes in is bounded in size, time and number before anything of it is looked at.
//! Who does not know the secret of a hook gets the same empty answer for everything, so that nobody learns which hooks
//! there are. Who does is answered before anything follows from the notice, which is why registries may be impatient;
//! what became of it is in the log of deliveries (`tidegate hooks`). Webhooks of `BuildConfig`s have addresses and answers
//! of their own, those of OpenShift.

mod builds;
mod connection;
mod judge;

use std::io;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Context as _;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Semaphore;

use crate::config::{BuildSecret, Config, HookSettings, ListenAddress};
use crate::daemon::{Clock, Events};
use crate::hook::build;
use crate::hook::deliveries::{Deliveries, Delivery, Listening, Verdict};
use crate::limits::{HOOK_BODY_BYTES_MAX, HOOK_DELIVERIES_WAITING_MAX};
use connection::Door;

/// The hooks that are in force, and what came in by them. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Hooks(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    clock: Clock,
    state: Mutex<Held>,
    /// Places for deliveries whose end is awaited.
    places: Arc<Semaphore>,
}

#[derive(Debug)]
struct Held {
    table: Arc<Table>,
    address: Option<String>,
    deliveries: Deliveries,
    branches: builds::Branches,
}

/// What a reload may change.
#[derive(Debug)]
struct Table {
    hooks: std::collections::BTreeMap<String, HookSettings>,
    /// The branch that is desired state.
    branch: String,
    /// What stands in the place of `Secret`s that triggers of `BuildConfig`s name.
    secrets: std::collections::BTreeMap<String, BuildSecret>,
}

impl Table {
    fn of(config: &Config) -> Arc<Self> {
        let of = config.listener.as_ref().map(|of| (of.hooks.clone(), of.secrets.clone()));
        let (hooks, secrets) = of.unwrap_or_default();
        Arc::new(Self { hooks, branch: config.source.branch.clone(), secrets })
    }
}

impl Hooks {
    /// Those of a configuration.
    #[must_use]
    pub fn new(config: &Config, clock: Clock) -> Self {
        let held = Held {
            table: Table::of(config),
            address: None,
            deliveries: Deliveries::default(),
            branches: builds::Branches::new(),
        };
        let places = Arc::new(Semaphore::new(HOOK_DELIVERIES_WAITING_MAX));
        Self(Arc::new(Shared { clock, state: Mutex::new(held), places }))
    }

    /// Takes those of another configuration into use.
    pub fn take(&self, config: &Config) {
        self.held().table = Table::of(config);
    }

    /// What the listener is and had.
    #[must_use]
    pub fn listening(&self) -> Listening {
        let held = self.held();
        let hooks = held.table.hooks.iter().map(|(name, of)| (name.clone(), of.hook.kind));
        Listening {
            address: held.address.clone(),
            hooks: hooks.collect(),
            deliveries: held.deliveries.all(),
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn table(&self) -> Arc<Table> {
        self.held().table.clone()
    }

    /// Notes a delivery, and logs it the first time that it has this end.
    fn note(&self, hook: Option<&str>, verdict: Verdict, reason: &str, more: More) -> u64 {
        let More { id, hints } = more;
        let delivery = Delivery {
            at: self.0.clock.now().wall,
            hook: hook.map(str::to_owned),
            id,
            verdict,
            reason: reason.to_owned(),
            hints,
            build: None,
            times: 1,
        };
        let (number, is_first) = self.held().deliveries.note(delivery);
        let hook = hook.unwrap_or("-");
        match verdict {
            Verdict::Refused if is_first => tracing::warn!(hook, reason, "a webhook was refused"),
            Verdict::Ignored if is_first => tracing::info!(hook, reason, "a webhook says nothing"),
            Verdict::Refused | Verdict::Ignored | Verdict::Accepted => {
                tracing::debug!(hook, verdict = verdict.as_str(), reason, "a webhook came in");
            }
        }
        number
    }

    /// Notes how a delivery ended.
    fn ended(&self, number: u64, hook: &str, verdict: Verdict, reason: String) {
        tracing::info!(hook, verdict = verdict.as_str(), reason, "a webhook was carried out");
        self.held().deliveries.ended(number, verdict, reason);
    }
}

/// What else is kept of a delivery.
#[derive(Default)]
struct More {
    id: Option<String>,
    hints: Vec<String>,
}

/// A listener that runs; it and its socket go when this does.
#[derive(Debug)]
pub struct Listener {
    socket: Option<PathBuf>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
        if let Some(path) = &self.socket {
            drop(std::fs::remove_file(path)); // a leftover is replaced at the next start
        }
    }
}

/// Listens.
///
/// # Errors
/// When the address cannot be had.
pub async fn serve(
    address: &ListenAddress,
    hooks: Hooks,
    events: Events,
) -> anyhow::Result<Listener> {
    let wrong = || format!("cannot listen for webhooks at `{address}` (listener.address)");
    let router = Router::new().fallback(receive).with_state((hooks.clone(), events));
    let (shown, socket, task) = match address {
        ListenAddress::Tcp(at) => {
            let listener = TcpListener::bind(at).await.with_context(wrong)?;
            let shown = listener.local_addr().with_context(wrong)?.to_string();
            (shown, None, tokio::spawn(run(Door::new(listener), router)))
        }
        ListenAddress::Unix(path) => {
            let listener = bind(path).with_context(wrong)?;
            (
                address.to_string(),
                Some(path.clone()),
                tokio::spawn(run(Door::new(listener), router)),
            )
        }
    };
    tracing::info!(address = shown, "listening for webhooks");
    hooks.held().address = Some(shown);
    Ok(Listener { socket, task })
}

async fn run<L>(door: Door<L>, router: Router)
where
    L: axum::serve::Listener,
    L::Addr: std::fmt::Debug,
{
    // Without an error to return: accepting goes on until the task is ended.
    axum::serve(door, router).await.unwrap_or(());
}

/// Makes a socket that the group may write to, as a reverse proxy's user would be in. A leftover of an earlier run is
/// replaced; what is no socket is somebody's.
fn bind(path: &Path) -> io::Result<UnixListener> {
    match std::fs::symlink_metadata(path) {
        Ok(known) if known.file_type().is_socket() => std::fs::remove_file(path)?,
        Ok(_) => {
            let why = "something that is not a socket is there; remove it, or name another path";
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, why));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
    Ok(listener)
}

/// Whether a body says of itself that it is more than is read.
fn is_too_large(head: &Parts) -> bool {
    let length = head.headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    let length = length.and_then(|length| length.parse::<u64>().ok());
    length.is_some_and(|length| length > HOOK_BODY_BYTES_MAX as u64)
}

/// Takes one request. The body is read whatever the path is: nobody learns from it which paths there are.
async fn receive(State((hooks, events)): State<(Hooks, Events)>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = match is_too_large(&head) {
        true => None,
        false => axum::body::to_bytes(body, HOOK_BODY_BYTES_MAX).await.ok(),
    };
    let mut response = match build::place(head.uri.path()) {
        Some(asked) => builds::judge(&hooks, &events, &head, body.as_deref(), asked).await,
        None => judge::judge(&hooks, &events, &head, body.as_deref()).await.into_response(),
    };
    let status = response.status();
    let headers = response.headers_mut();
    // One request a connection: what a connection may cost is bounded by its time.
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
    }
    response
}
