//! The last deliveries and what became of each: why a hook did nothing. No bodies, no headers, no secrets.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::Kind;
use crate::limits::{HOOK_BUILD_DELIVERIES_KEPT, HOOK_BUILDS_KEPT, HOOK_DELIVERIES_KEPT};
use crate::time::Timestamp;

/// What became of a delivery.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Something is looked at because of it.
    Accepted,
    /// It is from who it says, and nothing follows from it.
    Ignored,
    /// It is not from who it says, or cannot be read.
    Refused,
}

impl Verdict {
    /// As it is shown.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Ignored => "ignored",
            Self::Refused => "refused",
        }
    }
}

/// One delivery, or several in a row that had the same end.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Delivery {
    /// When the last of them came.
    pub at: Timestamp,
    /// The hook, or `NAMESPACE/NAME` of a `BuildConfig`; none where the path names none that there is.
    pub hook: Option<String>,
    /// What the sender calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// What became of it.
    pub verdict: Verdict,
    /// Why, or what is done.
    pub reason: String,
    /// What it named: images, branches.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hints: Vec<String>,
    /// The build that it started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<String>,
    /// How many had this end in a row.
    pub times: u32,
}

/// What the listener is and had.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Listening {
    /// Where it listens; none where it is off.
    pub address: Option<String>,
    /// The hooks that there are.
    pub hooks: BTreeMap<String, Kind>,
    /// The last deliveries, oldest first.
    pub deliveries: Vec<Delivery>,
}

/// The last deliveries.
#[derive(Debug, Default)]
pub struct Deliveries {
    kept: Kept,
    /// Those of `BuildConfig`s, so that neither a busy registry nor another of them pushes them out (complaint U16).
    builds: BTreeMap<String, Kept>,
    next: u64,
}

type Kept = VecDeque<(u64, Delivery)>;

impl Deliveries {
    /// Notes a delivery; returns its number, and whether it is told for the first time.
    ///
    /// One that ends as the last one of its hook did only counts there: neither a registry that tells of each pull nor
    /// somebody who guesses can push out what an operator looks for.
    pub fn note(&mut self, delivery: Delivery) -> (u64, bool) {
        let number = self.next;
        self.next += 1;
        (number, keep(&mut self.kept, number, delivery, HOOK_DELIVERIES_KEPT))
    }

    /// Notes a delivery for the `BuildConfig` that it says, which there is; whether it is told for the first time.
    pub fn note_build(&mut self, delivery: Delivery) -> bool {
        let number = self.next;
        self.next += 1;
        let name = delivery.hook.clone().unwrap_or_default();
        if !self.builds.contains_key(&name) && self.builds.len() >= HOOK_BUILDS_KEPT {
            let last = |kept: &Kept| kept.back().map(|(number, _)| *number);
            let oldest = self.builds.iter().min_by_key(|(_, kept)| last(kept));
            let oldest = oldest.map(|(name, _)| name.clone());
            oldest.map(|name| self.builds.remove(&name));
        }
        let kept = self.builds.entry(name).or_default();
        keep(kept, number, delivery, HOOK_BUILD_DELIVERIES_KEPT)
    }

    /// The last delivery for each `BuildConfig` that had any.
    #[must_use]
    pub fn last_of_builds(&self) -> Vec<Delivery> {
        let last = self.builds.values().filter_map(VecDeque::back);
        last.map(|(_, delivery)| delivery.clone()).collect()
    }

    /// Says how a delivery ended that was under way; nothing if it is not kept any more.
    pub fn ended(&mut self, number: u64, verdict: Verdict, reason: String) {
        let kept = self.kept.iter_mut().rev().find(|(known, _)| *known == number);
        if let Some((_, delivery)) = kept {
            delivery.verdict = verdict;
            delivery.reason = reason;
        }
    }

    /// All that are kept, oldest first.
    #[must_use]
    pub fn all(&self) -> Vec<Delivery> {
        let mut all: Vec<_> = self.builds.values().flatten().chain(&self.kept).collect();
        all.sort_by_key(|(number, _)| *number);
        all.into_iter().map(|(_, delivery)| delivery.clone()).collect()
    }
}

/// Keeps a delivery; whether it is told for the first time.
fn keep(all: &mut Kept, number: u64, delivery: Delivery, max: usize) -> bool {
    let mut of_hook = all.iter().enumerate().rev();
    let last = of_hook.find(|(_, (_, known))| known.hook == delivery.hook);
    let same = last.filter(|(_, (_, known))| {
        known.verdict == delivery.verdict
            && known.verdict != Verdict::Accepted
            && known.reason == delivery.reason
            && known.hints == delivery.hints
    });
    let before = same.map(|(at, _)| at).and_then(|at| all.remove(at));
    let times = before.as_ref().map_or(0, |(_, known)| known.times).saturating_add(1);
    all.push_back((number, Delivery { times, ..delivery }));
    if all.len() > max {
        all.pop_front();
    }
    before.is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivery(hook: &str, verdict: Verdict, reason: &str) -> Delivery {
        Delivery {
            at: Timestamp::EPOCH,
            hook: Some(hook.into()),
            id: None,
            verdict,
            reason: reason.into(),
            hints: Vec::new(),
            build: None,
            times: 1,
        }
    }

    fn shown(log: &Deliveries) -> Vec<String> {
        let line = |d: &Delivery| {
            format!(
                "{} {} {} x{}",
                d.hook.as_deref().unwrap_or("-"),
                d.verdict.as_str(),
                d.reason,
                d.times
            )
        };
        log.all().iter().map(line).collect()
    }

    #[test]
    fn deliveries_with_the_same_end_are_counted_and_the_last_stands_last() {
        let mut log = Deliveries::default();
        assert!(log.note(delivery("a", Verdict::Ignored, "only pulls")).1);
        assert!(log.note(delivery("b", Verdict::Refused, "no secret")).1);
        assert!(!log.note(delivery("a", Verdict::Ignored, "only pulls")).1);
        assert_eq!(shown(&log), ["b refused no secret x1", "a ignored only pulls x2"]);
        assert!(log.note(delivery("a", Verdict::Ignored, "a ping")).1);
        assert!(log.note(delivery("a", Verdict::Ignored, "only pulls")).1);
        assert_eq!(log.all().len(), 4);
    }

    #[test]
    fn the_last_twenty_deliveries_of_each_build_config_are_kept_whatever_else_comes_in() {
        let mut log = Deliveries::default();
        for at in 0..2 * HOOK_BUILD_DELIVERIES_KEPT {
            log.note_build(delivery("shop/web", Verdict::Accepted, &format!("build {at}")));
        }
        log.note_build(delivery("shop/api", Verdict::Ignored, "branch next is not main"));
        for _ in 0..3 {
            log.note_build(delivery("shop/web", Verdict::Refused, "wrong secret"));
        }
        for _ in 0..2 * HOOK_DELIVERIES_KEPT {
            log.note(delivery("a", Verdict::Accepted, "looking"));
        }
        let shown = shown(&log);
        assert_eq!(shown.len(), HOOK_DELIVERIES_KEPT + HOOK_BUILD_DELIVERIES_KEPT + 1);
        assert_eq!(shown[0], "shop/web accepted build 21 x1");
        assert_eq!(shown[20], "shop/web refused wrong secret x3");
        let last: Vec<_> = log.last_of_builds().into_iter().map(|last| last.reason).collect();
        assert_eq!(last, ["branch next is not main", "wrong secret"]);
        for at in 0..HOOK_BUILDS_KEPT {
            log.note_build(delivery(&format!("other/x{at}"), Verdict::Ignored, "no"));
        }
        let left = log.last_of_builds();
        assert_eq!(left.len(), HOOK_BUILDS_KEPT);
        assert!(
            left.iter().all(|last| last.hook.as_deref() != Some("shop/web")),
            "the oldest went"
        );
    }

    #[test]
    fn what_is_accepted_stands_for_itself_and_is_told_its_end() {
        let mut log = Deliveries::default();
        let (first, _) = log.note(delivery("a", Verdict::Accepted, "looking"));
        let (second, _) = log.note(delivery("a", Verdict::Accepted, "looking"));
        log.ended(first, Verdict::Ignored, "no tag is imported from there".into());
        assert_eq!(
            shown(&log),
            ["a ignored no tag is imported from there x1", "a accepted looking x1"]
        );
        for _ in 0..2 * HOOK_DELIVERIES_KEPT {
            log.note(delivery("a", Verdict::Accepted, "looking"));
        }
        assert_eq!(log.all().len(), HOOK_DELIVERIES_KEPT);
        log.ended(second, Verdict::Refused, "it is long gone".into());
        assert!(!shown(&log).join(" ").contains("long gone"));
    }
}
