//! A status report as one page: what is wrong comes first.

use std::fmt::Write as _;

use crate::oc::table::{Row, Shape, Table};
use crate::pods::How;
use crate::time::Timestamp;

use super::super::live::{LiveLimit, LiveQuota};
use super::super::words::{
    BAD, FAINT, GOOD, HEADING, WAITS, advised, count, short_or, styled, when, when_exactly,
};
use super::{ImageReport, RolloutReport, Scope, Status, TagReport, Verdict, WorkloadReport};

impl Status {
    /// Writes the report for people.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut out = String::new();
        self.head(&mut out);
        for skipped in &self.source.not_read {
            line(&mut out, skipped);
        }
        for warning in self.source.misnamed.iter().chain(&self.source.pushed_over) {
            line(&mut out, &format!("{}: {warning}", styled(WAITS, "warning")));
        }
        for unserved in &self.source.unserved {
            line(&mut out, &format!("note: {unserved}"));
        }
        self.wrong(&mut out);
        self.drift(&mut out);
        if !self.workloads.is_empty() {
            heading(&mut out, "Workloads");
            for workload in &self.workloads {
                workload.write(&mut out, self.at);
            }
            for note in &self.notes {
                line(&mut out, &format!("  note: {note}"));
            }
        }
        self.builds(&mut out);
        if !self.tags.is_empty() {
            heading(&mut out, "Streams");
            for row in table(&self.tags, self.at).to_text(Shape::default()).lines() {
                line(&mut out, &format!("  {row}"));
            }
        }
        if self.scope == Scope::Everything {
            self.tail(&mut out);
        }
        out
    }

    fn builds(&self, out: &mut String) {
        if self.builds.is_empty() {
            return;
        }
        heading(out, "Builds");
        for build in &self.builds {
            for told in build.lines(&self.here, self.at) {
                line(out, &format!("  {told}"));
            }
        }
    }

    /// Where it is, as `oc status` begins (rule C10), and how far it is known.
    fn head(&self, out: &mut String) {
        let source = &self.source;
        let repository = source.repository.as_deref().unwrap_or("source");
        let place = match &self.project {
            Some(project) => format!("In project {} from {repository}", styled(HEADING, project)),
            None => format!("Showing all projects from {repository}"),
        };
        match (source.commit, &source.branch, source.adopted_at) {
            (Some(commit), Some(branch), Some(at)) => {
                line(out, &format!("{place}@{}", styled(HEADING, commit.short())));
                line(out, &format!("branch {branch}, adopted {}", when_exactly(at, self.at)));
            }
            _ => line(out, &format!("{place}: no commit adopted yet")),
        }
        let record = self.as_of.record;
        let at = self.as_of.at.map(Timestamp::to_rfc3339_seconds);
        let at = at.unwrap_or_else(|| "before the first".into());
        if self.past {
            line(out, &format!("{} record {record}, {at}", styled(WAITS, "as it was at")));
            return;
        }
        if self.daemon.running {
            let read = self.source.read_at.map(|at| format!(", source read {}", when(at, self.at)));
            let read = read.unwrap_or_default();
            line(out, &format!("{}{read}, record {record}", styled(GOOD, "daemon running")));
            return;
        }
        let why = self.daemon.message.as_ref().map(|why| format!(" ({why})")).unwrap_or_default();
        line(
            out,
            &format!("{}{why}: as of record {record}, {at}", styled(WAITS, "daemon not running")),
        );
    }

    fn wrong(&self, out: &mut String) {
        if self.problems.is_empty() && self.held.is_empty() && self.rejected.is_empty() {
            return;
        }
        heading(out, "Wrong or held");
        for problem in &self.problems {
            let since = problem.since.map(|at| format!(" (since {})", at.to_rfc3339_seconds()));
            let since = since.unwrap_or_default();
            let subject = styled(BAD, &problem.subject);
            line(out, &format!("  {subject}: {}{since}", problem.message));
            if let Some(advice) = &problem.advice {
                line(out, &format!("    {}", advised(advice)));
            }
        }
        for rejected in &self.rejected {
            line(out, &format!("  {}", rejected.line()));
        }
        for held in self.held.iter().filter(|held| !held.is_rejected()) {
            line(out, &format!("  {}", held.line(self.at)));
            out.push_str(&held.below(4));
        }
    }

    /// What is not as git says, on purpose: not wrong, and nothing that should be forgotten.
    fn drift(&self, out: &mut String) {
        if self.drift.is_empty() {
            return;
        }
        heading(out, "Drift: not as git says, until a commit changes the tag");
        for drift in &self.drift {
            line(out, &format!("  {}", drift.line(self.at)));
        }
    }

    /// How much of the limits of registries is left.
    fn quota(&self, out: &mut String) {
        let limited = self.quota.iter().filter_map(|quota| Some((quota, quota.limit.as_ref()?)));
        for (LiveQuota { account, asked, .. }, limit) in limited {
            let told = limit.told(self.at);
            let LiveLimit { limit, used, reserved, .. } = limit;
            let asked = format!(
                "{} HEAD, {} of manifests, {} others since the daemon started",
                asked.head, asked.manifests, asked.others
            );
            let text = format!(
                "{used} of {limit} used by tidegate{told}, {reserved} kept for pulls; {asked}"
            );
            line(out, &format!("quota {}: {text}", styled(HEADING, account)));
        }
    }

    fn tail(&self, out: &mut String) {
        let counts = &self.counts;
        out.push('\n');
        self.quota(out);
        let words = [
            count(counts.streams, "stream", "streams"),
            count(counts.tags, "tag", "tags"),
            format!("{} failing", counts.tags_failing),
            count(counts.workloads, "workload", "workloads"),
            format!("{} rolling out", counts.rollouts_running),
            format!("{} held", counts.held),
            format!("{} rejected", counts.rejected),
            count(counts.builds, "build configuration", "build configurations"),
            count(counts.companions, "other document", "other documents"),
        ];
        line(out, &words.join(", "));
    }
}

fn heading(out: &mut String, text: &str) {
    out.push('\n');
    line(out, &styled(HEADING, text));
}

fn line(out: &mut String, text: &str) {
    out.push_str(text);
    out.push('\n');
}

impl LiveLimit {
    /// What the registry itself says, with when.
    fn told(&self, now: Timestamp) -> String {
        let Some((left, at)) = self.left.zip(self.told_at) else { return String::new() };
        let more = self.resets_at.filter(|at| *at > now);
        let more = more.map(|at| format!(", more {}", when(at, now))).unwrap_or_default();
        format!(", {left} left as it told {}{more}", when(at, now))
    }
}

impl WorkloadReport {
    fn write(&self, out: &mut String, now: Timestamp) {
        let style = match self.phase {
            "Complete" => GOOD,
            "Failed" | "RolledBack" | "RollingBack" | "NotRunning" | "Unhealthy" | "Restarting"
            | "Drifted" => BAD,
            _ => WAITS,
        };
        let next = self.next_target.as_ref().map(|target| format!(" (next: {target})"));
        let next = next.unwrap_or_default();
        let target = self.target.as_ref().map(|target| format!(" at target {target}{next}"));
        let paused = if self.paused { ", paused" } else { "" };
        line(
            out,
            &format!(
                "  {}{}: {}{paused}",
                self.object,
                target.unwrap_or_default(),
                styled(style, self.phase)
            ),
        );
        let active = self.active.as_ref();
        if let Some(latest) = self.latest.as_ref().filter(|latest| Some(*latest) != active) {
            latest.write(out, "last", now);
        }
        if let Some(active) = active {
            active.write(out, "runs", now);
        }
        if let Some(why) = &self.astray {
            let what = match self.how {
                How::Drifted => {
                    "it is not overwritten; put it back, or `tidegate rollout restart --force` takes it over"
                }
                How::Unhealthy | How::Restarting => "its log may say why: `tidegate logs`",
                How::NotRunning => {
                    "it is left so; start it again, or let the next rollout replace it"
                }
            };
            line(out, &format!("    now: {}: {why}; {what}", styled(BAD, "not as rolled out")));
        }
        if let Some(why) = &self.unknown {
            line(out, &format!("    runs: {}: {why}", styled(BAD, "not known")));
        }
        if !self.triggers.is_empty() {
            let tags: Vec<_> = self.triggers.iter().map(ToString::to_string).collect();
            line(out, &format!("    triggers: {}", tags.join(", ")));
        }
        if !self.hooks_left.is_empty() {
            let hooks = self.hooks_left.join(", ");
            line(
                out,
                &format!(
                    "    hooks: {hooks}: not run by Tidegate, its target is to read them in the manifest"
                ),
            );
        }
    }
}

impl RolloutReport {
    fn write(&self, out: &mut String, word: &str, now: Timestamp) {
        let mut text = format!("    {word}: revision {}", self.revision);
        text.push_str(&match (&self.outcome, self.ended_at) {
            (Some(outcome), Some(at)) => format!(", {outcome} {}", when_exactly(at, now)),
            _ => format!(", started {}", when_exactly(self.started_at, now)),
        });
        if let Some(step) = &self.step {
            text.push_str(&format!(", {step}"));
        }
        let (cause, commit, record) = (&self.cause, self.commit.short(), self.record);
        text.push_str(&format!(", {cause}, commit {commit}, record {record}"));
        if !self.reason.is_empty() {
            text.push_str(&format!(": {}", self.reason));
        }
        line(out, &text);
        for image in &self.images {
            line(out, &format!("      {}", image.line()));
        }
    }
}

impl ImageReport {
    /// One line: container, digest, what is pulled.
    pub(crate) fn line(&self) -> String {
        let digest = short_or(self.digest.as_ref(), "no digest");
        let meant = self.meant();
        format!("{}  {digest}  {}{meant}", self.container, styled(FAINT, &self.reference))
    }

    /// Where the manifest's image string named a tag (rule I186).
    fn meant(&self) -> String {
        let tag = self.lookup.as_ref();
        tag.map(|tag| format!("  (the manifest names {tag})")).unwrap_or_default()
    }

    /// One line: container, digest before and after, what is pulled.
    pub(crate) fn change(&self) -> String {
        let digest = short_or(self.digest.as_ref(), "no digest");
        let change = match &self.previous {
            Some(previous) if self.digest == Some(*previous) => format!("{digest} (unchanged)"),
            Some(previous) => format!("{} -> {digest}", super::super::words::short(previous)),
            None => format!("nothing -> {digest}"),
        };
        let meant = self.meant();
        format!("{}  {change}  {}{meant}", self.container, styled(FAINT, &self.reference))
    }
}

/// The tags as `get itag` shows them, with how sure each is (rule C18): the last column alone has a colour, for only it
/// is not filled up.
fn table(tags: &[TagReport], now: Timestamp) -> Table {
    let columns = vec!["TAG", "SPEC", "STATUS", "HISTORY", "UPDATED", "CURRENT"];
    Table { columns, wide: vec![], rows: tags.iter().map(|tag| tag.row(now)).collect() }
}

impl TagReport {
    fn row(&self, now: Timestamp) -> Row {
        let style = match self.verdict {
            Verdict::Proven => GOOD,
            Verdict::CouldNotCheck => BAD,
            Verdict::NotVerified | Verdict::Due => WAITS,
            Verdict::Derived | Verdict::NotInSpec => FAINT,
        };
        let every = self.scheduled.as_ref().map(|span| format!("scheduled: {span}"));
        // A time that has just gone is one at which something waits for its turn.
        let next = self.next_check_at.map(|at| format!("next {}", when(at.max(now), now)));
        let timing: Vec<_> = every.into_iter().chain(next).collect();
        let mut current = styled(style, &self.message);
        if !timing.is_empty() {
            let _ = write!(current, " ({})", timing.join(", "));
        }
        if self.overlaid {
            current.push_str(" (drift: not as git says)");
        }
        let row = self.row.clone();
        let cells =
            vec![self.tag.to_string(), row.spec, row.status, row.history, row.updated, current];
        Row { namespace: String::new(), cells, wide: vec![] }
    }
}
