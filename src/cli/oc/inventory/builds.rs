//! Builds with what belongs to them, to be described.

use serde_json::Value;

use super::Inventory;
use crate::cli::ask;
use crate::cli::offline::Shown;
use crate::config::{Config, ListenAddress};
use crate::control::{Question, Reply};
use crate::effective::building::Building;
use crate::effective::{self, Known};
use crate::journal::ObjectStore;
use crate::names::{ContentHash, Kind, ObjectKey};
use crate::oc::build::Described;

impl Inventory {
    /// Describes a `BuildConfig` or a `Build`; none where it is neither.
    pub(super) fn described_build(&self, object: &Value) -> anyhow::Result<Option<String>> {
        let text = |path: &str| object.pointer(path).and_then(Value::as_str).unwrap_or_default();
        let of = match text("/kind") {
            "BuildConfig" => text("/metadata/name"),
            "Build" => text("/status/config/name"),
            _ => return Ok(None),
        };
        let Some(shown) = &self.journal else { return Ok(None) };
        let (namespace, name) = (text("/metadata/namespace").parse()?, of.parse()?);
        let key = ObjectKey { kind: Kind::BuildConfig, namespace, name };
        let store = ObjectStore::at(&shown.config.state_dir);
        let kept = |hash: &ContentHash| store.get(hash).ok();
        let Shown { config, desired, observed, .. } = shown;
        let known = Known { desired, observed, policy: &config.policy };
        let building = Building { known, kept: &kept };
        let mut held = self.held_of(config, &key)?;
        let mut described = Described {
            object,
            builds: &[],
            events: &[],
            held: &[],
            push: None,
            hooks: &base(config),
            delivery: None,
            now: self.now,
        };
        if text("/kind") == "BuildConfig" {
            let builds = building.builds(&key);
            let push = desired.builds.get(&key).and_then(|build| {
                let push = build.push.as_ref().map(ToString::to_string);
                let to = effective::push_of(known, build.output.as_ref(), push.as_deref());
                to.map_or_else(|why| Some(why.to_string()), |to| to.map(|to| to.to_string()))
            });
            let delivery = last_delivery(config, &key);
            (described.builds, described.held) = (&builds, &held);
            (described.push, described.delivery) = (push.as_deref(), delivery.as_deref());
            return Ok(Some(described.config()));
        }
        let own = text("/metadata/name");
        // What it says is of one build, or of the next one.
        held.retain(|held| held.contains(&format!("build {own} ")));
        let builds = observed.builds.get(&key).map(|state| state.builds.as_slice());
        let build = builds.unwrap_or_default().iter().find(|build| build.created.name == own);
        let events = build.map(|build| building.events(build)).unwrap_or_default();
        let push = build.map(|build| building.push_of(build));
        let push = push.and_then(|push| push.unwrap_or_else(|why| Some(why.to_string())));
        (described.events, described.held) = (&events, &held);
        described.push = push.as_deref();
        Ok(Some(described.build()))
    }
}

/// Where webhooks are sent, up to their path.
pub(in crate::cli::oc) fn base(config: &Config) -> String {
    match config.listener.as_ref().map(|listener| &listener.address) {
        Some(address @ ListenAddress::Tcp(_)) => format!("http://{address}"),
        // Nobody outside has an address of it but a proxy.
        Some(address @ ListenAddress::Unix(_)) => format!("http://<proxy to {address}>"),
        None => "http://<listener.address>".to_owned(),
    }
}

/// The last webhook that was meant for a `BuildConfig`, where a daemon runs that knows.
fn last_delivery(config: &Config, key: &ObjectKey) -> Option<String> {
    config.listener.as_ref()?;
    let asked = ask::ask(&config.control_socket, &Question::Hooks).ok()??;
    let Reply::Hooks(listening) = asked else { return None };
    let own = format!("{}/{}", key.namespace, key.name);
    let is_its = |hook: &str| hook == own || hook.ends_with(&format!("/{own}"));
    let mut last = listening.deliveries.into_iter().rev();
    let last = last.find(|delivery| delivery.hook.as_deref().is_some_and(is_its))?;
    let (at, verdict) = (last.at.to_rfc3339_seconds(), last.verdict.as_str());
    Some(format!("{verdict} at {at}: {}", last.reason))
}
