//! What is odd about objects of one commit that name one another: no file shows it alone.

use std::collections::BTreeSet;

use crate::desired::diagnostic::{Diagnostic, Severity};
use crate::desired::{BuildConfig, DesiredState, TagReference, TagSource};
use crate::names::{ObjectKey, StreamName, StreamTag};
use crate::reference::ImageReference;

/// The rule that names tags which are imported and pushed to (rule B54).
pub(crate) const PUSHED_OVER: &str = "B54";

/// All of it, in no order.
pub(super) fn warnings(state: &DesiredState) -> Vec<Diagnostic> {
    let mut warnings = missing_streams(state);
    warnings.extend(state.builds.values().filter_map(|build| pushed_over(state, build)));
    warnings
}

/// Warns of triggers and tags that name a stream which this commit does not have (I16).
fn missing_streams(state: &DesiredState) -> Vec<Diagnostic> {
    let rejected: BTreeSet<&ObjectKey> =
        state.rejected.iter().filter_map(|rejected| rejected.object.as_ref()).collect();
    let is_missing = |stream: &StreamName| {
        !state.streams.contains_key(stream) && !rejected.contains(&ObjectKey::stream(stream))
    };
    let mut found = Vec::new();
    for stream in state.streams.values() {
        for (tag, reference) in &stream.tags {
            let of = match &reference.from {
                Some(TagSource::Tag(from)) => &from.stream,
                Some(TagSource::Image { stream, .. }) => stream,
                Some(TagSource::Registry(_)) | None => continue,
            };
            if is_missing(of) {
                found.push((&stream.position, format!("tag `{}:{tag}` follows", stream.name), of));
            }
        }
    }
    for workload in state.workloads.values() {
        for trigger in workload.triggers.iter().filter(|t| is_missing(&t.from.stream)) {
            let text =
                format!("a trigger of `{}` watches `{}` of", workload.object, trigger.from.tag);
            found.push((&workload.position, text, &trigger.from.stream));
        }
    }
    for build in state.builds.values() {
        let read: BTreeSet<&StreamTag> = build.reads().collect();
        for input in read.into_iter().filter(|input| is_missing(&input.stream)) {
            let text = format!("`{}` is built from `{}` of", build.object, input.tag);
            found.push((&build.position, text, &input.stream));
        }
    }
    let warnings = found.into_iter().map(|(position, what, stream)| {
        let namesake = state.streams.keys().find(|other| other.name == stream.name);
        let hint = namesake.map(|other| format!("there is `{other}`: name its namespace"));
        Diagnostic {
            severity: Severity::Warning,
            position: position.clone(),
            rule: "I16".into(),
            message: format!("{what} the image stream `{stream}`, which is not in the manifests"),
            hint,
        }
    });
    warnings.collect()
}

/// Warns of a build whose output tag is imported from elsewhere: both make the tag, and the later one wins (rule B54).
fn pushed_over(state: &DesiredState, build: &BuildConfig) -> Option<Diagnostic> {
    let output = build.output.as_ref()?;
    let stream = state.streams.get(&output.stream)?;
    let spec = stream.tags.get(&output.tag)?;
    let image = imported(spec)?;
    // What is pushed is what the next import finds.
    let push = stream.push.as_deref().cloned();
    let push = push.map(|push| ImageReference { tag: Some(output.tag.clone()), ..push });
    if push.is_some_and(|push| push.means_same_as(image)) {
        return None;
    }
    let import = if spec.scheduled { "scheduled import" } else { "import" };
    Some(Diagnostic {
        severity: Severity::Warning,
        position: build.position.clone(),
        rule: PUSHED_OVER.into(),
        message: format!(
            "`{}` pushes to `{output}`, which the spec tag at {} imports from `{image}`: an image that is built is \
             current until the next {import} that finds another image there than the one before, which takes its place",
            build.object, stream.position
        ),
        hint: Some(format!(
            "drop `from` of the spec tag `{}`, or push to another tag with `spec.output.to`",
            output.tag
        )),
    })
}

/// The image that a spec tag is imported from; none where none is.
fn imported(spec: &TagReference) -> Option<&ImageReference> {
    match &spec.from {
        Some(TagSource::Registry(image)) if !spec.reference => Some(image),
        Some(TagSource::Registry(_) | TagSource::Tag(_) | TagSource::Image { .. }) | None => None,
    }
}
