//! A dry run as text: what changes, what follows from it, what does not happen and why.

use std::collections::BTreeSet;

use crate::names::Digest;
use crate::time::Timestamp;

use super::super::manifest::Change;
use super::super::status::RejectedReport;
use super::super::words::{
    BAD, FAINT, GOOD, HEADING, WAITS, advised, count, short, short_or, styled, when, when_exactly,
};
use super::builds::BuildReport;
use super::report::{DryHeld, DryRun, ImportReport, RolloutReport, TagFact, Verdict};

impl DryRun {
    /// Writes the report for people.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut out = String::new();
        self.head(&mut out);
        self.manifests(&mut out);
        self.removals(&mut out);
        section(&mut out, "Rejected", &self.rejected, RejectedReport::line);
        section(&mut out, "Overlays that end", &self.superseded, |tag| {
            format!("{tag}: the commit says something else than git did; git is in force again")
        });
        section(&mut out, "Tags", &self.imports, ImportReport::line);
        section(&mut out, "Triggers", &self.triggers, |trigger| {
            let change = change(trigger.old.as_ref(), Some(&trigger.new), "none");
            format!("{} sees {} {change}: {}", trigger.object, trigger.from, trigger.outcome)
        });
        section(&mut out, "Builds, in order", &self.builds, BuildReport::line);
        section(&mut out, "Rollouts, in order", &self.rollouts, RolloutReport::lines);
        section(&mut out, "Scaling", &self.scales, |scale| {
            let words = if scale.to == 1 { "instance" } else { "instances" };
            let (object, from, to) = (&scale.object, scale.from, scale.to);
            match from == to {
                true => format!("{object} back to {to} {words}"),
                false => format!("{object} from {from} to {to} {words}"),
            }
        });
        section(&mut out, "Held", &self.shown_held(), |held| {
            let note = match (held.already, held.ends_by_itself) {
                (true, _) => " [already so]",
                (false, true) => " [ends by itself]",
                (false, false) => "",
            };
            format!("{}{}", held.held.line(self.at), styled(FAINT, note))
        });
        section(&mut out, "Registry facts used", &self.facts, |fact| fact.line(self.at));
        self.tail(&mut out);
        out
    }

    fn head(&self, out: &mut String) {
        let subject = &self.subject;
        let name = match subject.commit {
            Some(commit) => format!("{} {}", subject.what, commit.short()),
            None => subject.what.to_owned(),
        };
        let branch = match subject.branch.as_str() {
            "" => String::new(),
            branch => format!(" ({branch})"),
        };
        let base = match subject.base {
            Some(base) => format!("commit {}", base.short()),
            None => "no commit".into(),
        };
        let record = self.as_of.record;
        let asked = if self.resolved { "registries are asked" } else { "no registry is asked" };
        line(
            out,
            &format!(
                "Dry run of {}{branch} against {base} as of record {record}; nothing is changed, {asked}.",
                styled(HEADING, name)
            ),
        );
        if subject.forced {
            let text = "the adopted commit is not among its ancestors (force push)";
            line(out, &styled(WAITS, text));
        }
        if let Some(reason) = &subject.refused {
            line(out, &format!("{}: {reason}", styled(BAD, "the commit would be refused")));
        }
        for skipped in &subject.skipped {
            line(out, &format!("not read: {skipped}"));
        }
        for warning in &subject.warnings {
            line(out, &format!("{}: {warning}", styled(WAITS, "warning")));
        }
    }

    fn manifests(&self, out: &mut String) {
        if self.manifests.is_empty() {
            return;
        }
        line(out, &format!("\n{}", styled(HEADING, "Manifests")));
        for manifest in &self.manifests {
            let (old, new) = match manifest.change {
                Change::Added => ("/dev/null", manifest.object.as_str()),
                Change::Changed => (manifest.object.as_str(), manifest.object.as_str()),
                Change::Removed => (manifest.object.as_str(), "/dev/null"),
            };
            line(out, &styled(HEADING, format!("--- {old}")));
            let place = format!("+++ {new}\t{}", manifest.position);
            line(out, &styled(HEADING, place));
            for hunk in &manifest.hunks {
                hunk.write(out);
            }
        }
    }

    fn removals(&self, out: &mut String) {
        section(out, "No longer in git", &self.removals, |removal| {
            let words = match (removal.fate, removal.stopped) {
                ("held", _) => {
                    "held: the commit removes too much at once; `tidegate release --removals` lets it go"
                }
                ("kept", _) => "keeps running (`tidegate.dev/prune: \"false\"`)",
                (_, true) => "would be stopped",
                (_, false) => "would go",
            };
            format!("{}: {words}", styled(BAD, &removal.object))
        });
    }

    /// What waits and stands in no other section.
    fn shown_held(&self) -> Vec<&DryHeld> {
        let removed: BTreeSet<_> = self.removals.iter().map(|removal| &removal.object).collect();
        let elsewhere = |held: &&DryHeld| {
            let guarded = held.held.is_guarded() && removed.contains(held.held.object());
            held.held.is_rejected() || guarded
        };
        self.held.iter().filter(|held| !elsewhere(held)).collect()
    }

    fn tail(&self, out: &mut String) {
        out.push('\n');
        if self.cut {
            let text = "the run was ended before everything came to rest; more would follow";
            line(out, &styled(BAD, text));
        }
        let counts = [
            count(self.manifests.len(), "manifest change", "manifest changes"),
            count(self.imports.len(), "import", "imports"),
            count(self.rollouts.len(), "rollout", "rollouts"),
            match self.builds.len() {
                0 => format!("{} held", self.shown_held().len()),
                n => {
                    format!("{}, {} held", count(n, "build", "builds"), self.shown_held().len())
                }
            },
            count(self.removals.len(), "removal", "removals"),
            format!("{} rejected", self.rejected.len()),
        ];
        let verdict = match self.verdict {
            Verdict::NothingToDo => styled(GOOD, "Nothing to do"),
            Verdict::Changes => styled(HEADING, "Changes pending"),
            Verdict::ChangesHeld => styled(WAITS, "Changes pending, something held or refused"),
            Verdict::Unverified => styled(BAD, "Could not verify: a registry gave no answer"),
        };
        line(out, &format!("{verdict}: {}.", counts.join(", ")));
    }
}

fn line(out: &mut String, text: &str) {
    out.push_str(text);
    out.push('\n');
}

fn section<T>(out: &mut String, heading: &str, items: &[T], words: impl Fn(&T) -> String) {
    if items.is_empty() {
        return;
    }
    line(out, &format!("\n{}", styled(HEADING, heading)));
    for item in items {
        line(out, &format!("  {}", words(item)));
    }
}

fn change(old: Option<&Digest>, new: Option<&Digest>, otherwise: &str) -> String {
    match (old, new) {
        (Some(old), Some(new)) if old == new => format!("{} (unchanged)", short(old)),
        (old, new) => format!("{} -> {}", short_or(old, "nothing"), short_or(new, otherwise)),
    }
}

/// What to do, on a line of its own.
fn below(advice: Option<&str>) -> String {
    advice.map(|advice| format!("\n    {}", advised(advice))).unwrap_or_default()
}

impl ImportReport {
    fn line(&self) -> String {
        let (old, new) = (self.old.as_ref(), self.new.as_ref());
        let change = match self.outcome {
            "imported" if new.is_none() => "recorded as written".to_owned(),
            "imported" => change(old, new, "no digest"),
            "failed" => format!("{} -> {}", short_or(old, "nothing"), styled(BAD, "failed")),
            _ => format!("{} -> {}", short_or(old, "nothing"), styled(WAITS, "?")),
        };
        let message = match self.message.as_str() {
            "" => String::new(),
            message => format!(": {message}"),
        };
        let from = match self.from.as_str() {
            "" => String::new(),
            from => format!(" <- {}", styled(FAINT, from)),
        };
        format!("{}  {change}{from}{message}{}", self.tag, below(self.advice.as_deref()))
    }
}

impl RolloutReport {
    fn lines(&self) -> String {
        let due = if self.already_due { ", due already without this commit" } else { "" };
        let mut text = format!(
            "{}. {} revision {} at target {}: {}{due}",
            self.order,
            styled(GOOD, &self.object),
            self.revision,
            self.target,
            self.cause
        );
        for image in &self.images {
            text.push_str(&format!("\n       {}", image.change()));
        }
        text
    }
}

impl TagFact {
    fn line(&self, now: Timestamp) -> String {
        let digest = short_or(self.digest.as_ref(), "no image");
        let words = match (self.source, self.imported_at) {
            ("askedNow", _) => styled(GOOD, "asked now"),
            ("couldNotAsk", _) => format!("{}: {}", styled(BAD, "could not ask"), self.message),
            (_, Some(at)) => {
                let checked =
                    self.checked_at.map(|at| format!(", stream checked {}", when(at, now)));
                let checked = checked.unwrap_or_default();
                let failing = self.failing_since.map(|at| {
                    format!("; could not be checked since {}: {}", when(at, now), self.message)
                });
                let failing = failing.map(|text| styled(BAD, text)).unwrap_or_default();
                format!(
                    "from the journal, imported {}{checked}{failing}; not asked now",
                    when_exactly(at, now)
                )
            }
            (_, None) if self.message.is_empty() => "never imported; not asked now".into(),
            (_, None) => format!("never imported: {}; not asked now", self.message),
        };
        format!("{}  {digest}  {words}{}", self.tag, below(self.advice.as_deref()))
    }
}
