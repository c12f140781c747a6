//! What the running daemon sees at the hosts that workloads were rolled out to.

use std::collections::BTreeSet;

use super::Inventory;
use crate::cli::ask;
use crate::cli::offline::Shown;
use crate::control::{Question, Reply};
use crate::names::TargetName;
use crate::pods::{Look, Looks};

/// What was seen, and what could not be.
#[derive(Debug, Default)]
pub(super) struct Looked {
    pub(super) looks: Looks,
    /// What nobody could look at, and why, in words.
    unseen: Vec<String>,
}

impl Inventory {
    /// What the daemon sees now. It is asked once, by the first who needs it.
    pub(super) fn looks(&self, shown: &Shown) -> &Looks {
        &self.looked.get_or_init(|| look(shown)).looks
    }

    /// What is shown as not known because nobody could look.
    pub(in crate::cli::oc) fn unseen(&self) -> &[String] {
        self.looked.get().map_or(&[], |looked| &looked.unseen)
    }
}

fn look(shown: &Shown) -> Looked {
    let rollouts = shown.observed.workloads.values();
    let rollouts = rollouts.flat_map(|state| state.active().into_iter().chain(state.last()));
    let targets = rollouts.map(|rollout| &rollout.started.target);
    let hosts = &shown.config.policy.hosts;
    let targets: BTreeSet<&TargetName> = targets.filter(|target| hosts.contains(*target)).collect();
    if targets.is_empty() {
        return Looked::default();
    }
    let (looks, why) = match ask::ask(&shown.config.control_socket, &Question::Status) {
        Ok(Some(Reply::Status(live))) => (live.looks, ask::SOMETHING_ELSE.to_owned()),
        Ok(Some(Reply::Refused(why) | Reply::Nothing(why))) => (Looks::new(), why),
        Ok(Some(_)) => (Looks::new(), ask::SOMETHING_ELSE.to_owned()),
        Ok(None) => (Looks::new(), "no daemon runs that could look".to_owned()),
        Err(error) => (Looks::new(), format!("{error:#}")),
    };
    let unseen = targets.into_iter().filter_map(|target| {
        let why = match looks.get(target) {
            Some(Look::Seen { .. }) => return None,
            Some(Look::Silent(why)) => why,
            None => &why,
        };
        Some(format!("what runs at target `{target}` is not known: {why}"))
    });
    let unseen = unseen.collect();
    Looked { looks, unseen }
}
