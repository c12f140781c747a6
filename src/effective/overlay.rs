//! What operators put over git, and what git says beneath it (rule I102, item 5).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::desired::{DesiredState, ImageStream, Origin, Spelled, TagReference, TagSource};
use crate::fact::{Overlaid, SpecSource, TagSpec};
use crate::names::{ContentHash, StreamTag, TagName};
use crate::observed::{ObservedState, Overlay, StreamState};
use crate::policy::Policy;

use super::with_derived;

/// The stream with everything that the journal puts over git: the spec tags of listings, then overlays of operators.
///
/// The same stream where that changes nothing, so that what did not change is recognised by its address.
#[must_use]
pub fn with_overlays(
    stream: &Arc<ImageStream>,
    state: Option<&StreamState>,
    policy: &Policy,
) -> Arc<ImageStream> {
    with_overlays_but(stream, state, policy, &BTreeSet::new())
}

/// The same without the overlays of some tags, which end.
#[must_use]
pub fn with_overlays_but(
    stream: &Arc<ImageStream>,
    state: Option<&StreamState>,
    policy: &Policy,
    ended: &BTreeSet<StreamTag>,
) -> Arc<ImageStream> {
    let overlays = state.into_iter().flat_map(|state| &state.overlays);
    let overlays: Vec<(&TagName, &Overlay)> =
        overlays.filter(|(tag, _)| !ended.contains(&stream.name.tag((*tag).clone()))).collect();
    if overlays.is_empty() && stream.overlaid.is_empty() {
        return with_derived(stream, state, policy);
    }
    let beneath = with_derived(&without_overlays(stream), state, policy);
    let mut after = Arc::unwrap_or_clone(beneath);
    for (tag, overlay) in overlays {
        let git = match &overlay.spec {
            Some(spec) => {
                let spec = reference_of(&stream.name.tag(tag.clone()), spec, policy);
                after.tags.insert(tag.clone(), spec)
            }
            None => after.tags.remove(tag),
        };
        after.overlaid.insert(tag.clone(), git);
    }
    if after == **stream { Arc::clone(stream) } else { Arc::new(after) }
}

/// The stream as git has it: beneath the overlays of operators, and without what a listing derives.
#[must_use]
pub fn in_git(stream: &Arc<ImageStream>) -> Arc<ImageStream> {
    let git = without_overlays(stream);
    if git.tags.values().all(|spec| spec.origin == Origin::Written) {
        return git;
    }
    let mut git = Arc::unwrap_or_clone(git);
    git.tags.retain(|_, spec| spec.origin == Origin::Written);
    Arc::new(git)
}

/// The stream as it is beneath the overlays of operators.
fn without_overlays(stream: &Arc<ImageStream>) -> Arc<ImageStream> {
    if stream.overlaid.is_empty() {
        return Arc::clone(stream);
    }
    let mut git = (**stream).clone();
    for (tag, beneath) in std::mem::take(&mut git.overlaid) {
        match beneath {
            Some(spec) => git.tags.insert(tag, spec),
            None => git.tags.remove(&tag),
        };
    }
    Arc::new(git)
}

/// What git writes of a tag, whatever is put over it.
#[must_use]
pub fn written<'a>(stream: &'a ImageStream, tag: &TagName) -> Option<&'a TagReference> {
    let beneath = match stream.overlaid.get(tag) {
        Some(beneath) => beneath.as_ref(),
        None => stream.tags.get(tag),
    };
    beneath.filter(|spec| spec.origin == Origin::Written)
}

/// Whether a tag is none that a listing may derive: git writes it, or an operator has a say.
#[must_use]
pub fn is_own(stream: &ImageStream, tag: &TagName) -> bool {
    let is_written = |spec: &TagReference| spec.origin == Origin::Written;
    stream.overlaid.contains_key(tag) || stream.tags.get(tag).is_some_and(is_written)
}

/// A hash of what git says of a tag: a commit that leaves it the same does not touch the tag.
///
/// How it is spelled does not count, nor which defaults the settings give it. Of a tag that git does not write, the
/// stream's repository says what it may be.
#[must_use]
pub fn basis(stream: &ImageStream, tag: &TagName, policy: &Policy) -> ContentHash {
    let written = written(stream, tag).map(|spec| {
        let mode = (spec.mode != policy.import_mode).then_some(spec.mode);
        let platform = (spec.platform != policy.platform).then_some(&spec.platform);
        let schedule = spec.schedule.as_ref().map(ToString::to_string);
        let flags = [spec.reference, spec.insecure, spec.scheduled, spec.local, spec.reimport];
        (&spec.annotations, &spec.from, flags, mode, platform, schedule)
    });
    let repository = stream.repository.as_ref().filter(|_| written.is_none());
    // Our own types always have a JSON form.
    ContentHash::of(&serde_json::to_vec(&(written, repository)).unwrap_or_default())
}

/// The spec tag that an overlay means.
#[must_use]
pub fn reference_of(tag: &StreamTag, spec: &TagSpec, policy: &Policy) -> TagReference {
    let TagSpec { from, reference, scheduled, insecure, mode, local } = spec;
    let (source, name, namespace) = match from {
        SpecSource::Registry(image) => (TagSource::Registry(Arc::new(image.clone())), None, None),
        SpecSource::Tag(of) => {
            let name = format!("{}:{}", of.stream.name, of.tag);
            (TagSource::Tag(of.clone()), Some(name), Some(&of.stream.namespace))
        }
        SpecSource::Image { stream, image } => {
            let (name, id) = (format!("{}@{image}", stream.name), image.to_string());
            let source = TagSource::Image { stream: stream.clone(), id };
            (source, Some(name), Some(&stream.namespace))
        }
    };
    let other = namespace.filter(|namespace| **namespace != tag.stream.namespace);
    let namespace = other.map(ToString::to_string).unwrap_or_default();
    TagReference {
        annotations: BTreeMap::new(),
        from: Some(source),
        spelled: name.map(|name| Box::new(Spelled { name, namespace })),
        reference: *reference,
        insecure: *insecure,
        scheduled: *scheduled,
        mode: mode.unwrap_or(policy.import_mode),
        platform: policy.platform.clone(),
        local: *local,
        schedule: None,
        minimum_age: None,
        reimport: false,
        origin: Origin::Written,
    }
}

/// What an operator's wish comes to.
#[derive(Clone, PartialEq, Debug)]
pub enum Wish {
    /// This is recorded.
    Set(Overlaid),
    /// It is so already, and why.
    Nothing(String),
    /// It cannot be, and why.
    Refused(String),
}

/// Decides what a wish for a spec tag comes to, or for none (rule I102, item 5).
#[must_use]
pub fn wish(
    desired: &DesiredState,
    observed: &ObservedState,
    policy: &Policy,
    tag: &StreamTag,
    wanted: Option<&TagSpec>,
) -> Wish {
    let Some(stream) = desired.streams.get(&tag.stream) else {
        return Wish::Refused(format!(
            "there is no image stream {} in git as far as it is adopted, and an overlay changes tags of streams that \
             git has; commit the stream first, or leave --live out",
            tag.stream
        ));
    };
    let origin = stream.tags.get(&tag.tag).map(|spec| spec.origin);
    if matches!(origin, Some(Origin::Listed | Origin::Vanished)) {
        return Wish::Refused(format!(
            "{tag} comes from the listing of its stream's repository, which no overlay changes; write it into git, \
             which goes before the listing (`tag` without --live), or leave it out there (`tidegate.dev/tag-filter`)"
        ));
    }
    let (git, overlay) = (written(stream, &tag.tag), observed.overlay(tag));
    match wanted {
        Some(spec) => wish_for(tag, spec, (git, overlay), policy),
        None => wish_for_none(tag, git, overlay),
    }
}

fn wish_for(
    tag: &StreamTag,
    spec: &TagSpec,
    (git, overlay): (Option<&TagReference>, Option<&Overlay>),
    policy: &Policy,
) -> Wish {
    match &spec.from {
        SpecSource::Registry(image) if image.name.is_empty() => {
            return Wish::Refused(format!("`{image}` must name a repository, not only a registry"));
        }
        SpecSource::Tag(_) | SpecSource::Image { .. } if spec.scheduled || spec.insecure => {
            return Wish::Refused("only container images can have importing flags set".to_owned());
        }
        SpecSource::Registry(_) | SpecSource::Tag(_) | SpecSource::Image { .. } => {}
    }
    let meant = reference_of(tag, spec, policy);
    let is_same = |git: &TagReference| {
        let TagReference { spelled, reimport, .. } = git.clone();
        *git == TagReference { spelled, reimport, ..meant.clone() }
    };
    match (git.is_some_and(is_same), overlay) {
        (true, Some(_)) => Wish::Set(Overlaid::Withdrawn),
        (true, None) => Wish::Nothing(format!(
            "git says this of {tag} already, so there is nothing to put over it; `import-image` imports it now"
        )),
        (false, _) => Wish::Set(Overlaid::Spec(spec.clone())),
    }
}

fn wish_for_none(tag: &StreamTag, git: Option<&TagReference>, overlay: Option<&Overlay>) -> Wish {
    match (git, overlay) {
        (None, Some(_)) => Wish::Set(Overlaid::Withdrawn),
        (None, None) => {
            Wish::Refused(format!("there is no tag {tag} in git, and no overlay of it"))
        }
        (Some(_), Some(Overlay { spec: None, .. })) => {
            Wish::Nothing(format!("an overlay takes {tag} away already"))
        }
        (Some(_), _) => Wish::Set(Overlaid::Removed),
    }
}
