//! Webhooks of `BuildConfig`s (rules B18 to B25): who may, what a payload says, and the build that follows from it.
//!
//! Unlike at the other hooks the sender waits for what follows: OpenShift answers with the build. Whether there is a
//! `BuildConfig`, whether it has such a trigger and whether its secret is another one cannot be told apart from outside.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde_json::Value;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::action::{BuildOrder, Request};
use crate::config::BuildSecret;
use crate::control::Reply;
use crate::daemon::{Event, Events, HookAsked, HookKnown};
use crate::desired::{BuildConfig, BuildHook};
use crate::engine::StartedBuild;
use crate::fact::{SourceRevision, WebhookKind};
use crate::hook::build::answer::{Created, Told};
use crate::hook::build::{
    Asked, ByHand, Claim, Decision, Key, NO_ENV, Payload, Place, Wanted, prove, read, word,
};
use crate::hook::deliveries::{Delivery, Verdict};
use crate::hook::{self, Notice, Secrets, Silence, shown};
use crate::limits::{HOOK_BODY_BYTES_MAX, HOOK_BUILDS_KEPT, HOOK_DEFAULT_BRANCH_KEPT};
use crate::names::{Kind, ObjectKey};
use crate::pods::{ConfigName, Contents};
use crate::time::Monotonic;
use crate::world::git;

use super::{Hooks, More, judge};

/// The key of a `Secret` that holds what a sender has to know (rule B19).
const SECRET_KEY: &str = "WebHookSecretKey";

/// The default branches of repositories, by address, and when they were asked.
pub(super) type Branches = BTreeMap<String, (Monotonic, String)>;

/// What a delivery came to.
enum End {
    Built {
        started: Box<StartedBuild>,
        revision: Option<Box<SourceRevision>>,
        warnings: Vec<String>,
    },
    /// It is fine, and nothing is built; whether the answer says why.
    Skipped { why: String, is_told: bool },
    /// It is not taken; what is answered, and what the operator reads.
    Refused { told: Told, why: String },
}

impl End {
    fn refused(told: Told, why: impl Into<String>) -> Self {
        Self::Refused { told, why: why.into() }
    }

    fn busy() -> Self {
        let why = "the daemon is stopping";
        Self::refused(Told::later(why), why)
    }
}

/// Judges a delivery, has built what follows from it, and answers.
pub(super) async fn judge(
    hooks: &Hooks,
    events: &Events,
    head: &Parts,
    body: Option<&[u8]>,
    asked: Asked,
) -> Response {
    let header = |name: &str| head.headers.get(name)?.to_str().ok();
    let bytes = body.unwrap_or_default();
    let id = noticed(head, bytes, hook::delivery_id);
    let mut case = Case { hooks, name: None, id, hints: Vec::new() };
    let asked = match entered(head, body, asked, &header) {
        Ok(place) => place,
        Err(end) => return case.close(end, None),
    };
    let Place { namespace, name, kind, .. } = &asked;
    case.hints.push(word(*kind).to_owned());
    let stranger = |why: &str| End::refused(Told::nobody(*kind, &shown(name)), why);
    let names = namespace.parse().ok().zip(name.parse().ok());
    let object = names.map(|(namespace, name)| ObjectKey::new(Kind::BuildConfig, namespace, name));
    let signature = header("x-hub-signature-256");
    let claim = match (asked.secret.as_deref(), signature) {
        (Some(secret), _) if !secret.is_empty() => Claim::Secret(secret),
        (_, Some(signature)) => Claim::Signature(signature),
        (_, None) => Claim::Secret(b""),
    };
    let known = match object {
        Some(object) => ask(events, object).await,
        None => None,
    };
    let Some(HookKnown { build: Some(build), commit, configs, strict }) = known else {
        let _ = prove(claim, bytes, &[]); // as much work as for one that there is
        return case.close(stranger("no such BuildConfig"), None);
    };
    case.name = Some(shown_name(&build.object));
    let sources = Sources { hooks, build: &build, configs, commit };
    let (keys, faults) = sources.keys(*kind).await;
    let Some(allow_env) = prove(claim, bytes, &keys) else {
        let why = unproven(*kind, &keys, &faults, matches!(claim, Claim::Signature(_)));
        return case.close(stranger(&why), None);
    };
    let end = match noticed(head, bytes, |notice| read(*kind, notice)) {
        Ok(payload) => {
            case.hints.extend(payload.named());
            let carried = Carried { hooks, events, build: &build, kind: *kind, strict };
            carried.out(&payload, allow_env).await
        }
        Err(Silence::Nothing(why)) => End::Skipped { why, is_told: false },
        Err(Silence::Unreadable(why)) => End::refused(Told::bad(why.clone()), why),
    };
    case.close(end, Some((&build, *kind)))
}

/// Looks at a delivery as a notice.
fn noticed<T>(head: &Parts, body: &[u8], look: impl FnOnce(&Notice<'_>) -> T) -> T {
    let header = |name: &str| head.headers.get(name)?.to_str().ok();
    look(&Notice { header: &header, token: None, body })
}

fn shown_name(object: &ObjectKey) -> String {
    format!("{}/{}", object.namespace, object.name)
}

/// What of a request is looked at before anything that this host knows is.
fn entered<'a>(
    head: &Parts,
    body: Option<&[u8]>,
    asked: Asked,
    header: &dyn Fn(&str) -> Option<&'a str>,
) -> Result<Place, End> {
    let place = match asked {
        Asked::Hook(place) => place,
        Asked::Subpath(subpath) => {
            return Err(End::refused(Told::subpath(&subpath), "the address has not all its parts"));
        }
        Asked::Type(kind) => {
            return Err(End::refused(Told::no_type(&kind), "there is no such type of webhook"));
        }
    };
    if head.method != Method::POST {
        return Err(End::refused(Told::no_post(&shown(head.method.as_str())), "it is no POST"));
    }
    if place.secret.is_none() && header("x-hub-signature-256").is_none() {
        let why = "the address has no secret, and the delivery is not signed";
        return Err(End::refused(Told::subpath(word(place.kind)), why));
    }
    if body.is_none() {
        let length = header("content-length").and_then(|length| length.parse::<u64>().ok());
        return Err(match length {
            Some(length) if length <= HOOK_BODY_BYTES_MAX as u64 => {
                let why = "the body did not come whole";
                End::refused(Told::bad(why), why)
            }
            Some(_) | None => End::refused(Told::too_large(), "the body is over 1 MiB"),
        });
    }
    Ok(place)
}

/// Asks the loop what there is.
async fn ask(events: &Events, object: ObjectKey) -> Option<HookKnown> {
    let (answer, receive) = oneshot::channel();
    events.send(Event::Hook(HookAsked { object, answer })).await.ok()?;
    receive.await.ok()
}

/// Why nobody was let in, for the operator.
fn unproven(kind: WebhookKind, keys: &[Key], faults: &[String], is_signed: bool) -> String {
    let what = match is_signed {
        _ if keys.is_empty() && faults.is_empty() => return format!("it has no {kind} trigger"),
        true => "wrong secret: the signature does not fit the body and any secret of the trigger",
        false => "wrong secret",
    };
    [&[what.to_owned()], faults].concat().join("; ")
}

/// Where the secrets of a `BuildConfig` are.
struct Sources<'a> {
    hooks: &'a Hooks,
    build: &'a BuildConfig,
    configs: crate::world::target::ReadConfigs,
    commit: Option<crate::names::CommitId>,
}

impl Sources<'_> {
    /// What lets in by triggers of a type (rule B19), and what keeps others from letting in.
    async fn keys(&self, kind: WebhookKind) -> (Vec<Key>, Vec<String>) {
        let (mut keys, mut faults) = (Vec::new(), Vec::new());
        for trigger in self.build.hooks().into_iter().filter(|trigger| trigger.kind == kind) {
            let BuildHook { secret, reference, allow_env, .. } = trigger;
            if let Some(secret) = secret {
                keys.push(Key { secrets: Secrets::one(secret.as_bytes()), allow_env });
            }
            let Some(reference) = reference else { continue };
            match self.referenced(&reference).await {
                Ok(secrets) if secrets.is_empty() => faults
                    .push(format!("the Secret `{reference}`, which the trigger names, is empty")),
                Ok(secrets) => keys.push(Key { secrets, allow_env }),
                Err(why) => faults.push(why),
            }
        }
        (keys, faults)
    }

    /// What a `Secret` that a trigger names holds: what the configuration puts in its place, else what git has.
    async fn referenced(&self, reference: &str) -> Result<Secrets, String> {
        let namespace = &self.build.object.namespace;
        let table = self.hooks.table();
        let name = format!("{namespace}/{reference}");
        match table.secrets.get(&name) {
            Some(BuildSecret::Variable(value)) => {
                return Ok(Secrets::parse(value.expose().as_bytes()));
            }
            Some(BuildSecret::File(source)) => return judge::secrets_in(source).await,
            None => {}
        }
        let missing = || {
            format!(
                "the Secret `{reference}`, which the trigger names, is neither in git nor in `listener.secrets`"
            )
        };
        let commit = self.commit.ok_or_else(missing)?;
        let configs = Arc::clone(&self.configs);
        let read = tokio::task::spawn_blocking(move || configs(&commit)).await;
        let read = read.unwrap_or_else(|error| Err(error.to_string()));
        let read = read.map_err(|why| format!("cannot read the Secret `{reference}`: {why}"))?;
        let named = ConfigName::of("v1", "Secret", reference).ok_or_else(missing)?;
        let contents: &Contents = read.get(&(namespace.clone(), named)).ok_or_else(missing)?;
        let value = contents.get(SECRET_KEY);
        let value =
            value.ok_or_else(|| format!("the Secret `{reference}` has no `{SECRET_KEY}`"))?;
        Ok(Secrets::parse(value))
    }
}

/// What is to be carried out of a payload.
struct Carried<'a> {
    hooks: &'a Hooks,
    events: &'a Events,
    build: &'a BuildConfig,
    kind: WebhookKind,
    strict: bool,
}

impl Carried<'_> {
    async fn out(&self, payload: &Payload, allow_env: bool) -> End {
        let git = self.build.git.as_ref();
        let reference = git.map(|git| git.reference.as_str());
        let default = match git {
            _ if self.strict => Some("master".to_owned()),
            Some(git) if payload.needs_default(reference) => {
                match self.hooks.default_branch(&git.uri).await {
                    Ok(branch) => Some(branch),
                    Err(why) => return untold(&why),
                }
            }
            Some(_) | None => payload.default_branch.clone(),
        };
        let wanted = Wanted { reference, default_branch: default.as_deref(), allow_env };
        let (revision, options, warnings) = match payload.decide(wanted) {
            Decision::Build { revision, options, warnings } => (revision, options, warnings),
            Decision::Nothing { why, is_told } => return End::Skipped { why, is_told },
        };
        let (answer, receive) = oneshot::channel();
        let order = BuildOrder {
            object: self.build.object.clone(),
            webhook: Some((self.kind, revision.as_deref().cloned())),
            options: *options,
            again: None,
        };
        let by = format!("{} webhook", word(self.kind));
        let asked = Event::Asked((by, Request::StartBuild(Box::new(order)), answer));
        if self.events.send(asked).await.is_err() {
            return End::busy();
        }
        match receive.await {
            Ok(Reply::Started(started)) => End::Built { started, revision, warnings },
            Ok(Reply::Refused(why)) => End::refused(Told::not_built(&why), why),
            // Nothing else answers an order to build.
            Ok(_) | Err(_) => End::busy(),
        }
    }
}

/// Which branch is meant cannot be told: to build another one would be worse than to build none (law 8).
fn untold(why: &str) -> End {
    let why = format!(
        "cannot tell which branch is built, as the BuildConfig has no `source.git.ref` and the payload does not name \
         the default branch: {why}; set `spec.source.git.ref`"
    );
    End::refused(Told::later(why.clone()), why)
}

/// A delivery on its way to its answer.
struct Case<'a> {
    hooks: &'a Hooks,
    /// The `BuildConfig`, once it is known that there is one.
    name: Option<String>,
    id: Option<String>,
    hints: Vec<String>,
}

impl Case<'_> {
    /// Notes what became of it, and answers.
    fn close(self, end: End, of: Option<(&BuildConfig, WebhookKind)>) -> Response {
        let at = self.hooks.0.clock.now().wall;
        let (response, verdict, reason, build) = match end {
            End::Built { started, revision, warnings } => {
                let StartedBuild { name, number, object, .. } = &*started;
                let body = of.map(|(build, kind)| {
                    let (labels, revision) = (build.labels(), revision.as_deref());
                    let policy = build.run_policy;
                    let (labels, number) = (&labels, *number);
                    Created { object, labels, policy, number, name, at, kind, revision }.build()
                });
                let reason = starts(name, &warnings);
                let warned = Some(warnings.join("; ")).filter(|text| !text.is_empty());
                let response = respond(StatusCode::OK, body.as_ref(), warned.as_deref());
                (response, Verdict::Accepted, reason, Some(name.clone()))
            }
            End::Skipped { why, is_told } => {
                let body = is_told.then(|| Told::warning(why.clone()).status());
                let response = respond(StatusCode::OK, body.as_ref(), Some(&why));
                (response, Verdict::Ignored, why, None)
            }
            End::Refused { told, why } => {
                let code = StatusCode::from_u16(told.code);
                let code = code.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                let mut response = respond(code, Some(&told.status()), None);
                if code == StatusCode::METHOD_NOT_ALLOWED {
                    let allowed = HeaderValue::from_static("POST");
                    response.headers_mut().insert(header::ALLOW, allowed);
                }
                (response, Verdict::Refused, why, None)
            }
        };
        self.note(verdict, reason, build);
        response
    }

    fn note(self, verdict: Verdict, reason: String, build: Option<String>) {
        let Self { hooks, name, id, hints } = self;
        let Some(name) = name else {
            hooks.note(None, verdict, &reason, More { id, hints: Vec::new() });
            return;
        };
        let at = hooks.0.clock.now().wall;
        let hook = Some(name.clone());
        let told = reason.clone();
        let delivery = Delivery { at, hook, id, verdict, reason, hints, build, times: 1 };
        if !hooks.held().deliveries.note_build(delivery) {
            return;
        }
        match verdict {
            Verdict::Refused => tracing::warn!(bc = name, reason = told, "a webhook was refused"),
            Verdict::Ignored => {
                tracing::info!(bc = name, reason = told, "a webhook builds nothing");
            }
            Verdict::Accepted => tracing::info!(bc = name, reason = told, "a webhook came in"),
        }
    }
}

/// What is noted of a build that was created.
fn starts(name: &str, warnings: &[String]) -> String {
    [&[format!("starts build {name}")], warnings].concat().join("; ")
}

/// An answer; what the sender is to know beside it stands in a header, so that the body stays what it is at OpenShift.
fn respond(code: StatusCode, body: Option<&Value>, warning: Option<&str>) -> Response {
    let mut response = match body {
        Some(body) => {
            let json = [(header::CONTENT_TYPE, "application/json")];
            (code, json, body.to_string() + "\n").into_response()
        }
        None => code.into_response(),
    };
    if let Some(warning) = warning {
        let clean = |c: char| match c {
            '"' | '\\' => '\'',
            c if c.is_ascii_graphic() || c == ' ' => c,
            _ => '?',
        };
        let text: String = warning.chars().map(clean).collect();
        if let Ok(value) = HeaderValue::from_str(&format!("299 - \"{text}\"")) {
            response.headers_mut().insert(header::WARNING, value);
        }
    }
    response
}

impl Hooks {
    /// Takes what somebody delivers by hand, who may because the control socket is theirs.
    pub(crate) async fn deliver(&self, events: &Events, by_hand: ByHand) -> Reply {
        let ByHand { object, kind, payload } = by_hand;
        let ObjectKey { namespace, name, .. } = &object;
        let Some(known) = ask(events, object.clone()).await else {
            return Reply::Refused("the daemon is stopping".into());
        };
        let Some(build) = known.build else {
            return Reply::Refused(format!(
                "buildconfigs.build.openshift.io \"{name}\" not found in namespace {namespace}"
            ));
        };
        let triggers: Vec<_> = build.hooks().into_iter().filter(|hook| hook.kind == kind).collect();
        if triggers.is_empty() {
            let name = shown_name(&object);
            return Reply::Refused(format!("BuildConfig {name} has no {kind} trigger"));
        }
        let allow_env = triggers.iter().any(|trigger| trigger.allow_env);
        if !allow_env && !payload.env.is_empty() {
            return Reply::Refused(
                NO_ENV.replace(", ignoring `env` and continuing with build", ""),
            );
        }
        let hints =
            [&[word(kind).to_owned(), "by hand".to_owned()], payload.named().as_slice()].concat();
        let case = Case { hooks: self, name: Some(shown_name(&object)), id: None, hints };
        let carried = Carried { hooks: self, events, build: &build, kind, strict: known.strict };
        match carried.out(&payload, allow_env).await {
            End::Built { started, warnings, .. } => {
                let name = started.name.clone();
                case.note(Verdict::Accepted, starts(&name, &warnings), Some(name));
                Reply::Started(started)
            }
            End::Skipped { why, .. } => {
                case.note(Verdict::Ignored, why.clone(), None);
                Reply::Nothing(why)
            }
            End::Refused { why, .. } => {
                case.note(Verdict::Refused, why.clone(), None);
                Reply::Refused(why)
            }
        }
    }

    /// The last delivery for each `BuildConfig` that had any since the daemon was started.
    pub(crate) fn last_of_builds(&self) -> Vec<Delivery> {
        self.held().deliveries.last_of_builds()
    }

    /// The default branch of a repository, as it was told not long ago or is told now.
    async fn default_branch(&self, address: &str) -> Result<String, String> {
        let now = self.0.clock.now().mono;
        let is_fresh = |at: &Monotonic| now.since(*at) < HOOK_DEFAULT_BRANCH_KEPT;
        let known = self.held().branches.get(address).filter(|(at, _)| is_fresh(at)).cloned();
        if let Some((_, branch)) = known {
            return Ok(branch);
        }
        let asked = address.to_owned();
        let cancel = CancellationToken::new();
        let _guard = cancel.clone().drop_guard();
        let told = tokio::task::spawn_blocking(move || git::default_branch(&asked, &cancel)).await;
        let branch = told.unwrap_or_else(|error| Err(error.to_string()))?;
        let mut held = self.held();
        held.branches.retain(|_, (at, _)| is_fresh(at));
        if held.branches.len() < HOOK_BUILDS_KEPT {
            held.branches.insert(address.to_owned(), (now, branch.clone()));
        }
        Ok(branch)
    }
}
