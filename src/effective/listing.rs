//! Importing a whole repository: what a listing means for a stream, and the spec tags that come of it (section 3.3).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

use crate::action::{ListRequest, TagListing};
use crate::desired::{ImageStream, Origin, TagReference, TagSource};
use crate::fact::Vanished;
use crate::names::TagName;
use crate::names::importance::Importance;
use crate::observed::StreamState;
use crate::policy::{Policy, TagLimit};
use crate::reference::ImageReference;

use super::Fnv;
use super::overlay::is_own;

/// What to ask about a stream's whole repository; none if it has none.
#[must_use]
pub fn listing_of(stream: &ImageStream, policy: &Policy) -> Option<ListRequest> {
    let repository = stream.repository.as_ref()?;
    let insecure = is_insecure(stream, repository, policy);
    let namespace = policy.asks_for(&stream.name.namespace);
    Some(ListRequest { repository: Arc::new(repository.clone()), insecure, namespace })
}

fn is_insecure(stream: &ImageStream, repository: &ImageReference, policy: &Policy) -> bool {
    let host = repository.registry.as_deref().unwrap_or("");
    stream.is_insecure() || policy.insecure_registries.contains(host)
}

/// How many tags of a stream's repository are imported (rules I56, I195).
#[must_use]
pub fn limit_of(stream: &ImageStream, policy: &Policy) -> TagLimit {
    stream.tag_limit.unwrap_or(policy.tag_limit)
}

/// A short number that tells what one listing asks from what another does; never 0.
#[must_use]
pub fn listing_fingerprint(stream: &ImageStream, policy: &Policy) -> u32 {
    let mut hash = Fnv(0x811c_9dc5);
    let limit = limit_of(stream, policy).tags();
    let insecure = stream.repository.as_ref().map(|of| is_insecure(stream, of, policy));
    let repository = stream.repository.as_ref().map(ToString::to_string).unwrap_or_default();
    let filter = stream.tag_filter.as_str();
    // Writing into a number cannot fail.
    let _ = write!(hash, "{repository} {} {limit} {filter}", insecure.unwrap_or_default());
    hash.0.max(1)
}

/// What a listing means for a stream.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Listed {
    /// Tags to import, sorted by name; those that git writes are not among them (rule I59).
    pub tags: BTreeSet<TagName>,
    /// Tags beyond the limit, in the order of importance.
    pub left_out: Vec<TagName>,
    /// Tags that the filter drops.
    pub filtered: BTreeSet<TagName>,
}

impl Listed {
    /// Filters, sorts and cuts what a registry listed (rules I55, I194, I195).
    #[must_use]
    pub fn of(stream: &ImageStream, policy: &Policy, listing: &TagListing) -> Self {
        // An empty name counts as `latest`; one that the grammar does not know could not be asked for.
        let named = |tag: &String| if tag.is_empty() { "latest".into() } else { tag.clone() };
        let all: BTreeSet<TagName> =
            listing.tags.iter().map(named).filter_map(|tag| tag.parse().ok()).collect();
        let (passing, filtered): (Vec<_>, BTreeSet<_>) = {
            let (passing, filtered): (Vec<TagName>, Vec<TagName>) =
                all.into_iter().partition(|tag| stream.tag_filter.passes(tag.as_str()));
            (passing, filtered.into_iter().collect())
        };
        let mut tags = passing;
        tags.sort_by_cached_key(|tag| Importance::of(tag.as_str()));
        let left_out = tags.split_off(tags.len().min(limit_of(stream, policy).tags()));
        let left_out = left_out.into_iter().filter(|tag| !is_own(stream, tag)).collect();
        let tags = tags.into_iter().filter(|tag| !is_own(stream, tag)).collect();
        Self { tags, left_out, filtered }
    }

    /// Why a tag that was derived before is not imported any more.
    #[must_use]
    pub fn why_not(&self, tag: &TagName) -> Vanished {
        if self.filtered.contains(tag) {
            Vanished::Filtered
        } else if self.left_out.contains(tag) {
            Vanished::BeyondLimit
        } else {
            Vanished::Gone
        }
    }
}

/// The stream with the spec tags that listings of its repository derive (rule I59); git wins where it writes a tag.
///
/// The same stream where nothing is derived, so that what did not change is recognised by its address.
#[must_use]
pub(super) fn with_derived(
    stream: &Arc<ImageStream>,
    state: Option<&StreamState>,
    policy: &Policy,
) -> Arc<ImageStream> {
    let mut tags: BTreeMap<TagName, TagReference> = BTreeMap::new();
    let listing = state.and_then(|state| state.listing.as_ref());
    if let (Some(repository), Some(listing)) = (&stream.repository, listing) {
        for (tag, missing) in &listing.derived {
            let origin = if missing.is_some() { Origin::Vanished } else { Origin::Listed };
            let written = stream.tags.get(tag).is_some_and(|spec| spec.origin == Origin::Written);
            if !written {
                tags.insert(tag.clone(), derived(stream, repository, tag, origin, policy));
            }
        }
    }
    let known = stream.tags.iter().filter(|(_, spec)| spec.origin != Origin::Written);
    if known.clone().count() == tags.len()
        && known.clone().all(|(tag, spec)| tags.get(tag) == Some(spec))
    {
        return Arc::clone(stream);
    }
    let written = stream.tags.iter().filter(|(_, spec)| spec.origin == Origin::Written);
    tags.extend(written.map(|(tag, spec)| (tag.clone(), spec.clone())));
    Arc::new(ImageStream { tags, ..(**stream).clone() })
}

fn derived(
    stream: &ImageStream,
    repository: &ImageReference,
    tag: &TagName,
    origin: Origin,
    policy: &Policy,
) -> TagReference {
    let image = ImageReference { tag: Some(tag.clone()), ..repository.clone() };
    TagReference {
        annotations: BTreeMap::new(),
        from: Some(TagSource::Registry(Arc::new(image))),
        spelled: None,
        reference: false,
        insecure: false, // the stream's annotation counts for all of its imports
        scheduled: stream.schedule.is_some(),
        mode: policy.import_mode,
        platform: policy.platform.clone(),
        local: false,
        schedule: None,
        minimum_age: None,
        reimport: false,
        origin,
    }
}

/// What the condition of a tag says that its repository does not bring any more (rules I76, I196).
#[must_use]
pub fn vanished_message(
    stream: &ImageStream,
    tag: &TagName,
    why: Vanished,
    limit: usize,
) -> String {
    match why {
        Vanished::Gone => {
            let repository = stream.repository.as_ref();
            let image =
                repository.map(|of| ImageReference { tag: Some(tag.clone()), ..of.clone() });
            let name = image.map(|image| image.normalized()).unwrap_or_default();
            format!("dockerimage.image.openshift.io \"{name}\" not found")
        }
        Vanished::Filtered => "it does not pass `tidegate.dev/tag-filter` any more".to_owned(),
        Vanished::BeyondLimit => format!("it is not among the first {limit} tags any more"),
    }
}
