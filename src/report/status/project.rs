//! Which namespace a page is about (rule C10).

use std::collections::BTreeSet;

use crate::desired::Companion;
use crate::names::Namespace;
use crate::observed::Presence;

use super::Input;

/// What a page shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Scope {
    /// All there is.
    Everything,
    /// What is in one namespace.
    Project,
    /// The objects that were asked about.
    Objects,
}

impl Scope {
    pub(super) fn of(input: &Input<'_>) -> Self {
        match (input.project, input.select) {
            (Some(_), _) => Self::Project,
            (None, Some(_)) => Self::Objects,
            (None, None) => Self::Everything,
        }
    }
}

/// The namespace that everything shown is in, the default one where nothing is shown; none where that is several.
pub(super) fn project(input: &Input<'_>) -> Option<Namespace> {
    if let Some(project) = input.project {
        return Some(project.clone());
    }
    let view = &input.view;
    let mut all: BTreeSet<Namespace> = match input.select {
        Some(select) => select.objects.iter().map(|object| object.namespace.clone()).collect(),
        None => {
            let known = view.observed.objects.iter();
            let known = known.filter(|(_, known)| known.presence == Presence::Present);
            let known = known.map(|(object, _)| object.namespace.clone());
            let services = services(input).map(|service| service.namespace.clone());
            let desired = view.desired.keys().map(|object| object.namespace);
            desired.chain(known).chain(services).collect()
        }
    };
    let first = all.pop_first();
    match all.is_empty() {
        true => Some(first.unwrap_or_else(|| view.policy.default_namespace.clone())),
        false => None,
    }
}

/// Whether there is nothing in it that runs, is built or leads to what runs, as far as git could be read.
pub(super) fn is_empty(input: &Input<'_>) -> bool {
    let desired = input.view.desired;
    if input.unread.is_some() || Scope::of(input) == Scope::Objects {
        return false;
    }
    let is_in = |namespace: &Namespace| input.project.is_none_or(|project| project == namespace);
    let runs = desired.workloads.keys().any(|object| is_in(&object.namespace));
    let builds = desired.builds.keys().any(|object| is_in(&object.namespace));
    let leads = services(input).any(|service| is_in(&service.namespace));
    !runs && !builds && !leads && input.view.observed.adopted.is_some()
}

fn services<'a>(input: &Input<'a>) -> impl Iterator<Item = &'a Companion> {
    let companions = input.view.desired.companions.iter().map(|companion| &**companion);
    companions.filter(|companion| companion.kind == "Service")
}
