//! What somebody should look at, with what to do about it (rule C12): the markers of `oc status`, and some of our own.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Serialize, Serializer};

use crate::desired::{BuildConfig, Workload};
use crate::effective;
use crate::fact::Position;
use crate::names::{Kind, Namespace, ObjectKey, ObjectName, StreamTag};
use crate::plan::{BuildHeld, Held, HeldReason};

use super::super::words::{HEADING, count, one_line, styled};
use super::{Input, Scope, Status};

/// How bad it is, as `oc` has it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
enum Severity {
    /// Something cannot work.
    Error,
    /// Something does not work yet, or not as it is likely meant.
    Warning,
    /// Something could be better.
    Info,
}

/// One thing to look at.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Marker {
    severity: Severity,
    object: Option<ObjectKey>,
    /// A stable word for programs; that of `oc` where it has one.
    key: &'static str,
    message: String,
    #[serde(rename = "try", skip_serializing_if = "Option::is_none")]
    repair: Option<Try>,
}

/// What to do about it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Try {
    /// A command, without the name of the program.
    Command(String),
    /// Something else, in words.
    Words(String),
}

impl Try {
    /// As hints of a program of this name say it (rule N18).
    fn told(&self, program: &str) -> String {
        match self {
            Self::Command(words) => format!("{program} {words}"),
            Self::Words(words) => words.clone(),
        }
    }
}

impl Serialize for Try {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.told("tidegate"))
    }
}

/// Whether a page tells its hints or how many there are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Hints {
    /// How many there are (without `--suggest`).
    Counted,
    /// Each, with what to do (`--suggest`).
    Told,
}

/// An object as `oc status` names it: `bc/web`, and `bc/web[shop]` where it is not in the namespace that is looked at.
pub(super) fn named(object: &ObjectKey, here: &Namespace) -> String {
    named_as(object.kind.short(), &object.name, &object.namespace, here)
}

fn named_as(
    kind: &str,
    name: impl fmt::Display,
    namespace: &Namespace,
    here: &Namespace,
) -> String {
    match namespace == here {
        true => format!("{kind}/{name}"),
        false => format!("{kind}/{name}[{namespace}]"),
    }
}

/// All of them, the worst first; names are as they are in the namespace `here`.
pub(super) fn markers(input: &Input<'_>, held: &[&Held], here: &Namespace) -> Vec<Marker> {
    let looking = Looking { input, here };
    let mut markers = looking.triggers();
    markers.extend(looking.outputs());
    markers.extend(looking.probes());
    markers.extend(looking.warned());
    markers.extend(looking.held(held));
    markers.sort();
    markers.dedup();
    markers
}

fn marker(
    severity: Severity,
    key: &'static str,
    object: &ObjectKey,
    message: &str,
    repair: Option<Try>,
) -> Marker {
    Marker { severity, object: Some(object.clone()), key, message: one_line(message), repair }
}

/// Who looks, at what.
struct Looking<'a> {
    input: &'a Input<'a>,
    here: &'a Namespace,
}

impl Looking<'_> {
    fn shown(&self, object: &ObjectKey) -> bool {
        self.input.select.is_none_or(|select| select.has(object))
    }

    fn named(&self, object: &ObjectKey) -> String {
        named(object, self.here)
    }

    fn tag(&self, tag: &StreamTag) -> String {
        let StreamTag { stream, tag } = tag;
        named_as("istag", format!("{}:{tag}", stream.name), &stream.namespace, self.here)
    }

    /// A command about something in a namespace.
    fn command(&self, words: &str, namespace: &Namespace) -> Try {
        Try::Command(match *namespace == self.input.view.policy.default_namespace {
            true => words.to_owned(),
            false => format!("{words} -n {namespace}"),
        })
    }

    /// Image triggers that lead nowhere: to a stream that there is not, or to a tag without an image.
    fn triggers(&self) -> Vec<Marker> {
        let desired = self.input.view.desired;
        let of_workload = |workload: &Workload| {
            let tags = workload.triggers.iter().map(|trigger| trigger.from.clone());
            (workload.object.clone(), tags.collect::<BTreeSet<_>>())
        };
        // One that is paused has no effect on purpose.
        let of_build = |build: &BuildConfig| {
            let acting = build.triggers.iter().filter(|trigger| !trigger.paused);
            (build.object.clone(), acting.map(|trigger| trigger.from.clone()).collect())
        };
        let workloads = desired.workloads.values().map(|workload| of_workload(workload));
        let all = workloads.chain(desired.builds.values().map(|build| of_build(build)));
        let all = all.filter(|(object, _)| self.shown(object));
        all.flat_map(|(object, tags)| {
            let found = tags.iter().filter_map(|tag| self.trigger(&object, tag));
            found.collect::<Vec<_>>()
        })
        .collect()
    }

    fn trigger(&self, object: &ObjectKey, tag: &StreamTag) -> Option<Marker> {
        let view = &self.input.view;
        if effective::image_of(view.observed, tag).is_some() {
            return None;
        }
        let StreamTag { stream, tag: name } = tag;
        let object_name = self.named(object);
        if !effective::has_stream(view.desired, view.observed, stream) {
            let stream_name = named_as("is", &stream.name, &stream.namespace, self.here);
            let words = format!("create imagestream {}", stream.name);
            let repair = Some(self.command(&words, &stream.namespace));
            let words = format!(
                "The image trigger for {object_name} will have no effect because {stream_name} does not exist."
            );
            return Some(marker(Severity::Error, "MissingImageStream", object, &words, repair));
        }
        let makers = view.desired.builds.values().filter(|b| b.output.as_ref() == Some(tag));
        let makers: Vec<&ObjectKey> = makers.map(|build| &build.object).collect();
        let mut states = makers.iter().filter_map(|maker| view.observed.builds.get(*maker));
        if states.any(|state| state.active().next().is_some()) {
            return None; // it is on its way
        }
        let is_imported = effective::spec_tag(view.desired, tag)
            .is_some_and(|(stream, spec)| effective::check_of(stream, spec, view.policy).is_some());
        let repair = match makers.first() {
            Some(maker) => {
                Some(self.command(&format!("start-build {}", maker.name), &maker.namespace))
            }
            None if is_imported => {
                let words = format!("import-image {}:{name}", stream.name);
                Some(self.command(&words, &stream.namespace))
            }
            None => None,
        };
        let words = format!(
            "The image trigger for {object_name} will have no effect until {} is imported or created by a build.",
            self.tag(tag)
        );
        Some(marker(Severity::Warning, "MissingImageStreamTag", object, &words, repair))
    }

    /// Builds that push to a stream that git does not have.
    fn outputs(&self) -> Vec<Marker> {
        let desired = self.input.view.desired;
        let builds = desired.builds.values().filter(|build| self.shown(&build.object));
        let missing = builds.filter_map(|build| {
            let tag = build.output.as_ref()?;
            (!desired.streams.contains_key(&tag.stream)).then_some((&build.object, tag))
        });
        let markers = missing.map(|(object, tag)| {
            let words = format!(
                "{} is pushing to {}, but the image stream for that tag does not exist.",
                self.named(object),
                self.tag(tag)
            );
            let repair = format!("create imagestream {}", tag.stream.name);
            let repair = Some(self.command(&repair, &tag.stream.namespace));
            marker(Severity::Error, "MissingOutputImageStream", object, &words, repair)
        });
        markers.collect()
    }

    /// Workloads of which nobody can tell when they are ready.
    fn probes(&self) -> Vec<Marker> {
        let workloads = self.input.view.desired.workloads.values();
        let unproven = workloads.filter(|w| self.shown(&w.object) && serves(w) && !is_probed(w));
        let markers = unproven.map(|workload| {
            let Workload { object, position, .. } = &**workload;
            let words = format!(
                "{} has no readiness probe to verify pods are ready to accept traffic or ensure deployment is successful.",
                self.named(object)
            );
            let repair = "add a `readinessProbe` to a container of its pod template";
            let repair = Some(Try::Words(format!("{repair}, in {position}")));
            marker(Severity::Info, "MissingReadinessProbe", object, &words, repair)
        });
        markers.collect()
    }

    /// What was warned of when the manifests were loaded, and is still so (rules D9, B54).
    fn warned(&self) -> Vec<Marker> {
        let told = self.input.view.desired.warnings.iter().filter_map(|warning| {
            let key = match warning.rule.as_str() {
                crate::desired::MISNAMED => "TriggerContainerMismatch",
                crate::desired::PUSHED_OVER => "ImportedOutputTag",
                _ => return None,
            };
            let object = self.owner(&warning.position);
            if !object.as_ref().map_or(self.input.select.is_none(), |object| self.shown(object)) {
                return None;
            }
            let hint = warning.hint.as_deref().map(one_line);
            let named = format!("correct `containerNames` in {}", warning.position);
            let (more, repair) = match (key, hint) {
                // What comes of the trigger is said, and not what to do.
                ("TriggerContainerMismatch", hint) => (hint, Some(named)),
                (_, hint) => (None, hint),
            };
            let more = more.map(|more| format!("; {more}")).unwrap_or_default();
            Some(Marker {
                severity: Severity::Warning,
                object,
                key,
                message: format!("{}{more}", one_line(&warning.message)),
                repair: repair.map(Try::Words),
            })
        });
        told.collect()
    }

    /// The object in whose document a position is: the last that begins before it.
    fn owner(&self, at: &Position) -> Option<ObjectKey> {
        let desired = self.input.view.desired;
        let builds = desired.builds.values().map(|build| (&build.object, &build.position));
        let workloads = desired.workloads.values().map(|w| (&w.object, &w.position));
        let before = builds.chain(workloads);
        let before = before.filter(|(_, begins)| begins.path == at.path && begins.line <= at.line);
        before.max_by_key(|(_, begins)| begins.line).map(|(object, _)| object.clone())
    }

    /// What waits, where a word of somebody ends it.
    fn held(&self, held: &[&Held]) -> Vec<Marker> {
        let mut rings: BTreeSet<BTreeSet<ObjectName>> = BTreeSet::new();
        let told = held.iter().filter_map(|held| {
            let object = &held.object;
            if let HeldReason::Build(build) = &held.reason {
                let ring = if let BuildHeld::Cycle { ring } = &**build { Some(ring) } else { None };
                // Each BuildConfig on a ring says so.
                let is_new = ring.is_none_or(|ring| rings.insert(ring.iter().cloned().collect()));
                return self.build(object, build).filter(|_| is_new);
            }
            let name = self.named(object);
            let repair = format!("rollout latest {}/{}", object.kind.short(), object.name);
            let repair = Some(self.command(&repair, &object.namespace));
            if let HeldReason::WentBack { revision, by, since, failed: _ } = &held.reason {
                let since = since.to_rfc3339_seconds();
                let words = format!(
                    "{name} is held at revision {revision} by {by} since {since}: its triggers have no effect."
                );
                return Some(marker(Severity::Warning, "HeldRollback", object, &words, repair));
            }
            let HeldReason::Gated { gate } = &held.reason else { return None };
            let words = format!("The image trigger for {name} is suspended: {gate}.");
            Some(marker(Severity::Info, "TriggerSuspended", object, &words, repair))
        });
        told.collect()
    }

    fn build(&self, object: &ObjectKey, held: &BuildHeld) -> Option<Marker> {
        let command = |words: String| Some(self.command(&words, &object.namespace));
        Some(match held {
            BuildHeld::Gated { gate } => {
                let name = self.named(object);
                let words = format!("The image trigger for {name} is suspended: {gate}.");
                let repair = command(format!("start-build {}", object.name));
                marker(Severity::Info, "TriggerSuspended", object, &words, repair)
            }
            BuildHeld::Cycle { ring } => {
                let names: Vec<_> = ring.iter().map(ObjectName::as_str).collect();
                let ring = names.join(" -> ");
                let words = format!("Cycle detected in build configurations: {ring}");
                let repair = "take a trigger or an output of them out of git, or annotate one with \
                              `tidegate.dev/allow-cycle: \"true\"`";
                let repair = Some(Try::Words(repair.to_owned()));
                marker(Severity::Warning, "CyclicBuildConfig", object, &words, repair)
            }
            BuildHeld::Failed { name, .. } => {
                let build = named_as("build", name, &object.namespace, self.here);
                let repair = command(format!("logs build/{name}"));
                let words = format!("{build} has failed.");
                marker(Severity::Error, "LatestBuildFailed", object, &words, repair)
            }
            BuildHeld::Off
            | BuildHeld::Refused { .. }
            | BuildHeld::Input { .. }
            | BuildHeld::Output { .. }
            | BuildHeld::Paused
            | BuildHeld::Behind { .. }
            | BuildHeld::Slot { .. }
            | BuildHeld::Due
            | BuildHeld::Trouble { .. } => return None,
        })
    }
}

/// Whether it runs for as long as nobody stops it.
fn serves(workload: &Workload) -> bool {
    match workload.object.kind {
        Kind::DeploymentConfig | Kind::Deployment | Kind::StatefulSet | Kind::DaemonSet => {
            !workload.containers.is_empty()
        }
        Kind::ImageStream | Kind::BuildConfig | Kind::CronJob | Kind::Pod => false,
    }
}

/// Whether a container of its pod template has a readiness probe.
fn is_probed(workload: &Workload) -> bool {
    const PROBE: &str = "readinessProbe";
    // Where the word is nowhere, nothing needs to be read.
    if !workload.manifest.contains(PROBE) {
        return false;
    }
    let manifest: Option<serde_json::Value> = serde_json::from_str(&workload.manifest).ok();
    let containers = manifest.as_ref().and_then(|manifest| {
        manifest.pointer("/spec/template/spec/containers").and_then(serde_json::Value::as_array)
    });
    let mut containers = containers.into_iter().flatten();
    containers.any(|container| container.get(PROBE).is_some_and(|probe| !probe.is_null()))
}

impl Status {
    /// What comes below the page: what somebody should look at or how much of that there is, and where to look next.
    ///
    /// `program` is the name that it is called by (rule N18).
    #[must_use]
    pub fn ending(&self, program: &str, hints: Hints) -> String {
        let mut out = String::new();
        if hints == Hints::Told {
            for (severity, heading) in [
                (Severity::Error, "Errors:"),
                (Severity::Warning, "Warnings:"),
                (Severity::Info, "Info:"),
            ] {
                let markers: Vec<_> =
                    self.markers.iter().filter(|marker| marker.severity == severity).collect();
                if !markers.is_empty() {
                    out.push_str(&format!("\n{}\n", styled(HEADING, heading)));
                }
                for marker in markers {
                    out.push_str(&format!("  * {}\n", marker.message));
                    let repair = marker.repair.iter();
                    let lines = repair.map(|repair| format!("    try: {}\n", repair.told(program)));
                    out.extend(lines);
                }
            }
        }
        let last = match () {
            () if hints == Hints::Counted && !self.markers.is_empty() => {
                format!(
                    "{} identified, use '{program} status --suggest' to see details.",
                    self.counted()
                )
            }
            () if self.is_empty => format!(
                "You have no services, deployment configs, or build configs.\nRun '{program} new-app' to create an \
                 application."
            ),
            // About one object, nobody asked for others; before the first commit there is nothing.
            () if hints == Hints::Counted && self.scope == Scope::Objects => return out,
            () if self.source.commit.is_none() => return out,
            () => format!(
                "View details with '{program} describe <resource>/<name>' or list resources with '{program} get all'."
            ),
        };
        out.push_str(&format!("\n{last}\n"));
        out
    }

    /// `1 error, 2 warnings`.
    fn counted(&self) -> String {
        let of = |severity| self.markers.iter().filter(|m| m.severity == severity).count();
        let words = [
            (Severity::Error, "error", "errors"),
            (Severity::Warning, "warning", "warnings"),
            (Severity::Info, "info", "infos"),
        ];
        let words = words.map(|(severity, one, many)| (of(severity), one, many));
        let words = words.into_iter().filter(|(found, ..)| *found > 0);
        words.map(|(found, one, many)| count(found, one, many)).collect::<Vec<_>>().join(", ")
    }
}
