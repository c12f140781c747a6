//! What is remembered of one registry between requests: its scheme, its sessions, its connections.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use reqwest::{Client, Method, RequestBuilder, StatusCode, header};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::auth::{self, Challenge, Session, TokenError};
use super::certs;
use super::failure::{Failures, Refused};
use super::logins::{self, Login, Logins};
use super::secrets::OwnLogins;
use super::trial::LoginVerdict;
use super::wire::{self, Access, Answer, Ask, Fault, Trust};
use crate::action::ImportFailure;
use crate::fact::said;
use crate::limits;

/// One registry, as it is reached with one kind of trust.
pub(super) struct Host {
    pub(super) name: String,
    trust: Trust,
    pub(super) timeout: Duration,
    auth_files: Vec<PathBuf>,
    /// Logins of the namespace that is asked for, before those of the files.
    own: Option<OwnLogins>,
    /// Certificates of authorities beside the system's, PEM, one each.
    roots: Vec<Vec<u8>>,
    /// Where a folder with more may be, and with what it is shown of us.
    certs: Vec<PathBuf>,
    client: Arc<OnceLock<Client>>,
    /// One that follows no redirect: what it sends may be good elsewhere.
    staying: Arc<OnceLock<Client>>,
    memory: Mutex<Memory>,
    /// Room for requests of checks: several registries can have one mirror, so that what the core allows each of them
    /// is not what their mirror takes.
    pub(super) room: Arc<Semaphore>,
}

#[derive(Default)]
struct Memory {
    scheme: Option<Scheme>,
    challenge: Option<Challenge>,
    /// Whether it answered a HEAD of a manifest as it should: one that says that there is none is then believed.
    has_heads: bool,
    repositories: BTreeMap<(String, Access), Arc<tokio::sync::Mutex<Slot>>>,
    rest: Option<(Instant, Rest)>,
}

/// Why a mirror is left alone for a while.
#[derive(Clone)]
pub(super) enum Rest {
    /// It gives no answer.
    Gone(Fault),
    /// It limits requests, and said until when.
    Limited,
}

/// The session of one repository. Its lock is held while it is renewed, so that one renewal serves
/// all.
#[derive(Default)]
struct Slot {
    session: Option<Session>,
    generation: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Scheme {
    Https,
    Http,
}

impl Scheme {
    fn as_str(self) -> &'static str {
        match self {
            Self::Https => "https",
            Self::Http => "http",
        }
    }
}

/// What came of asking with one login.
enum Attempt {
    Accepted(Session, Answer),
    Refused(ImportFailure),
    /// It is of no use where the registry wants something else.
    Useless,
}

/// What came of the logins for a repository.
pub(super) struct Trial {
    /// Each that was tried; none for asking without one.
    pub(super) logins: Vec<(Option<Login>, LoginVerdict)>,
    pub(super) problems: Vec<String>,
    /// The answer that is not a refusal; none where all were refused.
    pub(super) answer: Option<Answer>,
}

/// How a registry is reached; fixed for the life of a [`Host`].
pub(super) struct Reach {
    pub(super) trust: Trust,
    pub(super) timeout: Duration,
    pub(super) auth_files: Vec<PathBuf>,
    pub(super) roots: Vec<Vec<u8>>,
    pub(super) certs: Vec<PathBuf>,
    /// Requests of checks at once.
    pub(super) requests_max: usize,
}

impl Host {
    pub(super) fn new(name: String, reach: Reach) -> Self {
        let Reach { trust, timeout, auth_files, roots, certs, requests_max } = reach;
        let (client, staying) = (Arc::default(), Arc::default());
        let memory = Mutex::default();
        let room = Arc::new(Semaphore::new(requests_max.min(Semaphore::MAX_PERMITS)));
        Self {
            name,
            trust,
            timeout,
            auth_files,
            own: None,
            roots,
            certs,
            client,
            staying,
            memory,
            room,
        }
    }

    /// The same registry with the logins of a namespace. It has the connections, and sessions of its own: what one
    /// namespace may read is not open to another.
    pub(super) fn with_own(&self, own: OwnLogins) -> Self {
        Self {
            name: self.name.clone(),
            trust: self.trust,
            timeout: self.timeout,
            auth_files: self.auth_files.clone(),
            own: Some(own),
            roots: self.roots.clone(),
            certs: self.certs.clone(),
            client: Arc::clone(&self.client),
            staying: Arc::clone(&self.staying),
            memory: Mutex::default(),
            room: Arc::clone(&self.room),
        }
    }

    async fn logins(&self, repository: &str) -> Logins {
        logins::find(self.own.as_ref(), &self.auth_files, &self.name, repository).await
    }

    /// Why the registry is to be left alone for now.
    pub(super) fn rest(&self) -> Option<(Duration, Rest)> {
        let (until, rest) = self.remember(|memory| memory.rest.clone())?;
        let left = until.checked_duration_since(Instant::now())?;
        Some((left, rest))
    }

    /// Whether what it answers to HEAD can be believed: some registries have no HEAD, and answer 404.
    pub(super) fn has_heads(&self) -> bool {
        self.remember(|memory| memory.has_heads)
    }

    /// Notes that it has HEAD.
    pub(super) fn note_heads(&self) {
        self.remember(|memory| memory.has_heads = true);
    }

    /// Asks for something of a repository, with the login that it takes.
    ///
    /// An answer 401 makes a new session and one more request for each login that fits.
    pub(super) async fn ask(
        &self,
        repository: &str,
        ask: Ask<'_>,
        failures: Failures<'_>,
    ) -> Result<Answer, ImportFailure> {
        let slot = self.slot(repository, ask.access);
        let (session, generation) = {
            let held = slot.lock().await;
            (held.session.clone(), held.generation)
        };
        let known = self.remember(|memory| memory.challenge);
        let session = session.or_else(|| known.is_none().then_some(Session::Open));
        let fault = |fault: Fault| failures.of_fault(&fault);
        if let Some(session) = session.filter(Session::is_fresh) {
            let answer = self.send(&ask, &session).await.map_err(fault)?;
            if answer.status != StatusCode::UNAUTHORIZED {
                return Ok(answer);
            }
            let Some(challenge) = Challenge::of(answer.challenges()) else { return Ok(answer) };
            self.remember(|memory| memory.challenge = Some(challenge));
        }
        let mut held = slot.lock().await;
        if held.generation != generation
            && let Some(session) = held.session.clone().filter(Session::is_fresh)
        {
            let answer = self.send(&ask, &session).await.map_err(fault)?;
            if answer.status != StatusCode::UNAUTHORIZED {
                return Ok(answer);
            }
        }
        let (session, answer) = self.log_in(repository, &ask, failures).await?;
        held.session = Some(session);
        held.generation += 1;
        Ok(answer)
    }

    fn slot(&self, repository: &str, access: Access) -> Arc<tokio::sync::Mutex<Slot>> {
        let key = (repository.to_owned(), access);
        self.remember(|memory| Arc::clone(memory.repositories.entry(key).or_default()))
    }

    /// Begins a request whose body or whose answer is too large for memory, with the login that it takes.
    ///
    /// Where no login is remembered, or none that is fresh, `ask` is asked first, to have one.
    pub(super) async fn begin(
        &self,
        repository: &str,
        (method, path): (Method, &str),
        ask: Ask<'_>,
        failures: Failures<'_>,
    ) -> Result<RequestBuilder, ImportFailure> {
        let slot = self.slot(repository, ask.access);
        let is_open = |session: &Option<Session>| match session {
            Some(session) => session.is_fresh(),
            None => self.remember(|memory| memory.challenge.is_none() && memory.scheme.is_some()),
        };
        let mut session = slot.lock().await.session.clone();
        if !is_open(&session) {
            self.ask(repository, ask, failures).await?;
            session = slot.lock().await.session.clone();
        }
        let scheme = match self.trust {
            Trust::Verified => Scheme::Https,
            Trust::Insecure => self.remember(|memory| memory.scheme).unwrap_or(Scheme::Https),
        };
        let url = format!("{}://{}/v2/{path}", scheme.as_str(), self.name);
        let client = self.client().map_err(|fault| failures.of_fault(&fault))?;
        let request = client.request(method, url);
        Ok(match session.as_ref().and_then(Session::header) {
            Some(login) => request.header(header::AUTHORIZATION, login),
            None => request,
        })
    }

    /// Tries each login that fits, then none; the first refusal is the one that is told (rule
    /// I168).
    async fn log_in(
        &self,
        repository: &str,
        ask: &Ask<'_>,
        failures: Failures<'_>,
    ) -> Result<(Session, Answer), ImportFailure> {
        let Logins { found, problems } = Box::pin(self.logins(repository)).await;
        let mut refusal = None;
        for login in found.iter().map(Some).chain([None]) {
            match self.attempt(repository, ask, login, failures).await? {
                Attempt::Accepted(session, answer) => {
                    if login.is_none() && !problems.is_empty() {
                        let (host, problems) = (&self.name, problems.join("; "));
                        tracing::warn!(host, problems, "asked without a login");
                    }
                    return Ok((session, answer));
                }
                Attempt::Refused(why) => drop(refusal.get_or_insert(why)),
                Attempt::Useless => {}
            }
        }
        if !problems.is_empty() {
            return Err(failures.refused_because(&problems.join("; ")));
        }
        Err(refusal.unwrap_or_else(|| failures.refused(Refused::Access)))
    }

    /// Asks with one login, or with none.
    async fn attempt(
        &self,
        repository: &str,
        ask: &Ask<'_>,
        login: Option<&Login>,
        failures: Failures<'_>,
    ) -> Result<Attempt, ImportFailure> {
        let challenge = self.remember(|memory| memory.challenge).unwrap_or(Challenge::Bearer);
        let session = match self.session(challenge, (repository, ask.access), login).await {
            Ok(Some(session)) => session,
            Ok(None) => return Ok(Attempt::Useless),
            Err(TokenError::Refused(words)) => {
                return Ok(Attempt::Refused(failures.refused_because(&words)));
            }
            Err(TokenError::Busy(words, after)) => {
                let what = format!("{} `{}`: {words}", said::NO_TOKEN, self.name);
                return Err(failures.passing(&what, after));
            }
            Err(TokenError::Fault(fault)) => return Err(failures.of_fault(&fault)),
        };
        let answer = self.send(ask, &session).await.map_err(|f| failures.of_fault(&f))?;
        if answer.status != StatusCode::UNAUTHORIZED {
            return Ok(Attempt::Accepted(session, answer));
        }
        let words = answer.registry_error().map(|(_, words)| words.to_lowercase());
        let words = words.filter(|words| words.contains("username or password"));
        Ok(Attempt::Refused(match words {
            Some(words) => failures.refused_because(&words),
            None if session.header().is_none() => failures.refused(Refused::NoLogin),
            None => failures.refused(Refused::Access),
        }))
    }

    /// Tries the logins that fit as [`Self::ask`] does, and tells of each; the last one was accepted, if any was.
    pub(super) async fn try_logins(
        &self,
        repository: &str,
        ask: &Ask<'_>,
        failures: Failures<'_>,
    ) -> Result<Trial, ImportFailure> {
        let fault = |fault: Fault| failures.of_fault(&fault);
        let open = self.send(ask, &Session::Open).await.map_err(fault)?;
        let challenge = match open.status {
            StatusCode::UNAUTHORIZED => Challenge::of(open.challenges()),
            _ => None,
        };
        self.remember(|memory| memory.challenge = challenge.or(memory.challenge));
        let Logins { found, problems } = Box::pin(self.logins(repository)).await;
        let mut trial = Trial { logins: Vec::new(), problems, answer: None };
        if challenge.is_none() {
            trial.logins =
                found.into_iter().map(|login| (Some(login), LoginVerdict::NotWanted)).collect();
            trial.answer = Some(open);
            return Ok(trial);
        }
        for login in found.into_iter().map(Some).chain([None]) {
            let outcome = match self.attempt(repository, ask, login.as_ref(), failures).await? {
                Attempt::Accepted(_, answer) => {
                    trial.answer = Some(answer);
                    LoginVerdict::Accepted
                }
                Attempt::Refused(why) => LoginVerdict::Refused(why.message),
                Attempt::Useless => LoginVerdict::Useless,
            };
            trial.logins.push((login, outcome));
            if trial.answer.is_some() {
                break;
            }
        }
        Ok(trial)
    }

    async fn session(
        &self,
        challenge: Challenge,
        (repository, access): (&str, Access),
        login: Option<&Login>,
    ) -> Result<Option<Session>, TokenError> {
        match challenge {
            // Without a login: one repository of a registry may be open where another is not.
            Challenge::Basic => Ok(match login {
                Some(login) => {
                    let user = Some(Arc::from(login.account()));
                    login.basic().map(|header| Session::Basic(header, user))
                }
                None => Some(Session::Open),
            }),
            Challenge::Bearer => {
                let is_token = login.is_some_and(|login| login.refresh_token().is_some());
                let client = if is_token { self.staying() } else { self.client() };
                let client = client.map_err(TokenError::Fault)?;
                let scheme = match self.trust {
                    Trust::Verified => Scheme::Https,
                    Trust::Insecure => {
                        self.remember(|memory| memory.scheme).unwrap_or(Scheme::Https)
                    }
                };
                let base = format!("{}://{}", scheme.as_str(), self.name);
                let what = (base.as_str(), repository, access);
                let how = (self.trust, self.timeout);
                auth::fetch_token(client, what, login, how).await.map(Some)
            }
        }
    }

    async fn send(&self, ask: &Ask<'_>, session: &Session) -> Result<Answer, Fault> {
        let answer = self.send_as_allowed(ask, session).await;
        if let (Some(tally), Ok(answer)) = (ask.tally, &answer) {
            tally.note((&self.name, session.user()), (&ask.method, ask.path), answer);
        }
        let rest = match &answer {
            Ok(answer) if answer.status == StatusCode::TOO_MANY_REQUESTS => {
                answer.retry_after().map(|after| (after, Rest::Limited))
            }
            Err(fault @ (Fault::Connect(_) | Fault::Timeout(_))) => {
                Some((limits::MIRROR_REST, Rest::Gone(fault.clone())))
            }
            Ok(_) | Err(_) => None,
        };
        if let Some((after, rest)) = rest {
            self.remember(|memory| memory.rest = Some((Instant::now() + after, rest)));
        }
        answer
    }

    /// Sends by the scheme that worked last; where plain HTTP is allowed, HTTPS is tried first
    /// (rule I171).
    async fn send_as_allowed(&self, ask: &Ask<'_>, session: &Session) -> Result<Answer, Fault> {
        let known = match self.trust {
            Trust::Verified => Some(Scheme::Https),
            Trust::Insecure => self.remember(|memory| memory.scheme),
        };
        if let Some(scheme) = known {
            let answer = self.send_by(scheme, ask, session).await;
            // Go's servers answer plain HTTP on a TLS port with 400: the registry changed sides.
            let gone = |answer: &Answer| {
                scheme == Scheme::Http && answer.status == StatusCode::BAD_REQUEST
            };
            if answer.as_ref().map_or(true, gone) {
                self.remember(|memory| memory.scheme = None);
            }
            return answer;
        }
        let scheme = match self.send_by(Scheme::Https, ask, session).await {
            Err(Fault::Connect(_) | Fault::PlainHttp | Fault::Tls(_) | Fault::Broken(_)) => {
                Scheme::Http
            }
            Ok(answer) => {
                self.remember(|memory| memory.scheme = Some(Scheme::Https));
                return Ok(answer);
            }
            Err(fault) => return Err(fault),
        };
        let answer = self.send_by(scheme, ask, session).await?;
        if answer.status != StatusCode::BAD_REQUEST {
            self.remember(|memory| memory.scheme = Some(scheme));
        }
        Ok(answer)
    }

    async fn send_by(
        &self,
        scheme: Scheme,
        ask: &Ask<'_>,
        session: &Session,
    ) -> Result<Answer, Fault> {
        let base = format!("{}://{}", scheme.as_str(), self.name);
        wire::send(self.client()?, &base, ask, session.header(), self.timeout).await
    }

    fn client(&self) -> Result<&Client, Fault> {
        self.made(&self.client, limits::REGISTRY_REDIRECTS_MAX)
    }

    fn staying(&self) -> Result<&Client, Fault> {
        self.made(&self.staying, 0)
    }

    fn made<'a>(&self, made: &'a OnceLock<Client>, redirects: usize) -> Result<&'a Client, Fault> {
        match made.get() {
            Some(client) => Ok(client),
            None => {
                let found = certs::read(&self.certs, &self.name).map_err(Fault::Client)?;
                let client = wire::client(
                    self.trust,
                    (&self.roots, &found),
                    redirects,
                    wire::connect_timeout(self.timeout),
                )?;
                Ok(made.get_or_init(|| client))
            }
        }
    }

    fn remember<T>(&self, act: impl FnOnce(&mut Memory) -> T) -> T {
        act(&mut self.memory.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
