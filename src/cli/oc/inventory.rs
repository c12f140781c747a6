//! The objects that are read: from files, or what the journal and the adopted commit make of them.

mod builds;
mod fired;
mod follow;
mod looked;
mod manifests;
mod parallel;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::path::Path;
use std::sync::OnceLock;

use anyhow::Context as _;
use serde_json::Value;

use super::resource::{Family, Resource, Wanted};
use super::{ApiError, Source};
use crate::api::view::{self, ImageError};
use crate::api::{Image, ImageStream, ImageStreamImage, ImageStreamTag, ImageTag};
use crate::cli::Context;
use crate::cli::offline::{self, Extent, Shown};
use crate::config::Config;
use crate::desired::DesiredState;
use crate::desired::exported::{Exported, read_exported};
use crate::effective::{self, FirstSeen};
use crate::journal::ObjectStore;
use crate::names::{Digest, Namespace, StreamName};
use crate::observed::ObservedState;
use crate::oc::table::Table;
use crate::policy::Policy;
use crate::time::Timestamp;

pub(super) use builds::base;
pub(super) use follow::Touched;
use parallel::in_parallel;

/// The objects, those of each kind in the order of namespace and name.
pub(super) struct Inventory {
    /// Those of files.
    streams: Vec<ImageStream>,
    /// By digest: those of files.
    images: BTreeMap<String, Image>,
    /// What the journal knows.
    journal: Option<Shown>,
    /// Views that a file holds themselves.
    tags: Vec<ImageStreamTag>,
    stream_images: Vec<ImageStreamImage>,
    image_tags: Vec<ImageTag>,
    pub(super) now: Timestamp,
    /// The namespace that is looked at; none where it is all of them.
    pub(super) namespace: Option<String>,
    selector: crate::oc::selector::Selector,
    /// The streams that are looked at, where it is not all of them.
    only: Option<BTreeSet<StreamName>>,
    /// What the daemon saw at hosts, once somebody needed it.
    looked: OnceLock<looked::Looked>,
}

/// What is shown of objects.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum As {
    /// Rows of a table.
    Rows,
    /// All of them.
    Objects,
}

/// How a stream of the journal is seen.
type View = fn(&DesiredState, &ObservedState, &Policy, &StreamName) -> Option<ImageStream>;

/// Objects of one kind.
#[derive(Debug)]
pub(super) enum Found {
    Streams(Vec<ImageStream>),
    StreamTags(Vec<ImageStreamTag>),
    StreamImages(Vec<ImageStreamImage>),
    ImageTags(Vec<ImageTag>),
    Images(Vec<Image>),
    /// Those of another kind, as JSON.
    Others(Resource, Vec<Value>),
}

impl Inventory {
    /// Reads what a command asks for.
    pub(super) fn read(
        source: &Source,
        wanted: &[Wanted],
        shown: As,
        context: &mut Context<'_>,
    ) -> anyhow::Result<Self> {
        let config = offline::settings(&source.settings, context)?;
        let namespace = source.namespace.as_ref().unwrap_or(&config.policy.default_namespace);
        let default = config.policy.default_namespace.to_string();
        let mut inventory = Self::empty((!source.all_namespaces).then(|| namespace.to_string()));
        inventory.selector = source.selector.clone();
        inventory.now = source.now.unwrap_or(inventory.now);
        for path in &source.filename {
            let shown = path.display();
            let text = text_of(path).with_context(|| format!("cannot read `{shown}`"))?;
            let objects = read_exported(&text).with_context(|| format!("cannot use `{shown}`"))?;
            inventory.take(objects, &default);
        }
        if source.filename.is_empty() {
            inventory.only = inventory.streams_named(wanted);
            let lists = |wanted: &Wanted| {
                wanted.name.is_none() && wanted.resource == Resource::ImageStreams
            };
            let extent = match &inventory.only {
                Some(only) => Extent::Streams(only.clone()),
                None if shown == As::Rows && wanted.iter().all(lists) => Extent::Outline,
                None => Extent::Whole,
            };
            inventory.take_journal(config, &extent, context)?;
        }
        inventory.sort();
        Ok(inventory)
    }

    /// Nothing of a namespace, or of all of them, as of now.
    fn empty(namespace: Option<String>) -> Self {
        Self {
            now: Timestamp::from_jiff(jiff::Timestamp::now()),
            namespace,
            selector: crate::oc::selector::Selector::default(),
            streams: Vec::new(),
            images: BTreeMap::new(),
            journal: None,
            tags: Vec::new(),
            stream_images: Vec::new(),
            image_tags: Vec::new(),
            only: None,
            looked: OnceLock::new(),
        }
    }

    /// Reads one stream from the journal.
    pub(super) fn of_stream(
        config: Config,
        stream: &StreamName,
        context: &mut Context<'_>,
    ) -> anyhow::Result<Self> {
        let mut inventory = Self::empty(Some(stream.namespace.to_string()));
        let extent = Extent::Streams([stream.clone()].into());
        inventory.take_journal(config, &extent, context)?;
        Ok(inventory)
    }

    /// The streams that are wanted, if it is nothing but streams by their names: then no other is read.
    fn streams_named(&self, wanted: &[Wanted]) -> Option<BTreeSet<StreamName>> {
        if wanted.is_empty() {
            return None;
        }
        let namespace = self.namespace.as_ref()?.parse::<Namespace>().ok()?;
        let name = |wanted: &Wanted| {
            let name =
                wanted.name.as_ref().filter(|_| wanted.resource == Resource::ImageStreams)?;
            Some(StreamName { namespace: namespace.clone(), name: name.parse().ok()? })
        };
        wanted.iter().map(name).collect()
    }

    /// A stream of the namespace that is looked at.
    pub(super) fn stream_named(&self, name: &str) -> Option<Cow<'_, ImageStream>> {
        let of_file = self.streams.iter().find(|stream| stream.metadata.name == name);
        let found = of_file.map(Cow::Borrowed).or_else(|| {
            let journal = self.journal.as_ref()?;
            let name = self.names().find(|found| found.name.as_str() == name)?;
            let policy = &journal.config.policy;
            effective::stream(&journal.desired, &journal.observed, policy, name).map(Cow::Owned)
        });
        found.filter(|stream| self.is_here(&stream.metadata))
    }

    /// Takes what the journal and the adopted commit make of the streams that are looked at.
    fn take_journal(
        &mut self,
        config: Config,
        extent: &Extent,
        context: &mut Context<'_>,
    ) -> anyhow::Result<()> {
        let shown = offline::show(config, extent)?;
        if let Some(why) = &shown.unread {
            writeln!(
                context.err,
                "warning: the adopted commit cannot be read, so no spec is shown: {why}"
            )?;
        }
        self.journal = Some(shown);
        Ok(())
    }

    /// The streams of the journal that are looked at, in order.
    fn names(&self) -> impl Iterator<Item = &StreamName> {
        let all = self
            .journal
            .iter()
            .flat_map(|shown| effective::stream_names(&shown.desired, &shown.observed));
        all.filter(|name| self.namespace.as_ref().is_none_or(|own| *own == name.namespace.as_str()))
    }

    /// What `make` makes of each stream, in order.
    fn of_each<T: Send>(
        &self,
        view: View,
        make: impl Fn(Cow<'_, ImageStream>) -> Vec<T> + Sync,
    ) -> Vec<T> {
        let of_files = self.streams.iter().filter(|stream| self.is_here(&stream.metadata));
        let mut all: Vec<T> = of_files.flat_map(|stream| make(Cow::Borrowed(stream))).collect();
        if let Some(Shown { desired, observed, config, .. }) = &self.journal {
            let names: Vec<&StreamName> = self.names().collect();
            all.extend(in_parallel(&names, |name| {
                let stream = view(desired, observed, &config.policy, name);
                let stream = stream.filter(|stream| self.is_here(&stream.metadata));
                stream.map(|stream| make(Cow::Owned(stream))).unwrap_or_default()
            }));
        }
        all
    }

    /// Where each image of the journal was seen first.
    fn seen(&self) -> BTreeMap<Digest, FirstSeen<'_>> {
        let journal = self.journal.as_ref();
        journal.map(|shown| effective::images(&shown.observed)).unwrap_or_default()
    }

    /// An image by its digest.
    pub(super) fn image(&self, digest: &str) -> Option<Image> {
        self.image_among(&self.seen(), digest).or_else(|| {
            images_of_journal(self.journal.as_ref()?).remove(digest) // one of an index?
        })
    }

    /// The same, but for those of an index.
    fn image_among(&self, seen: &BTreeMap<Digest, FirstSeen<'_>>, digest: &str) -> Option<Image> {
        if let Some(image) = self.images.get(digest) {
            return Some(image.clone());
        }
        let digest: Digest = digest.parse().ok()?;
        let first = seen.get(&digest)?;
        let journal = self.journal.as_ref()?;
        let metadata = kept(journal, first);
        let image = effective::image(&digest, first, metadata.as_deref());
        Some(effective::with_push(image, &journal.config.policy))
    }

    /// All images, in the order of their digests.
    fn all_images(&self) -> Vec<Image> {
        let mut images = self.journal.as_ref().map(images_of_journal).unwrap_or_default();
        images.extend(self.images.clone());
        images.into_values().collect()
    }

    fn take(&mut self, objects: Vec<Exported>, default: &str) {
        let fill = |namespace: &mut String| {
            if namespace.is_empty() {
                default.clone_into(namespace);
            }
        };
        for object in objects {
            match object {
                Exported::Stream(mut stream) => {
                    fill(&mut stream.metadata.namespace);
                    self.streams.push(*stream);
                }
                Exported::StreamTag(mut tag) => {
                    fill(&mut tag.metadata.namespace);
                    self.tags.push(*tag);
                }
                Exported::StreamImage(mut image) => {
                    fill(&mut image.metadata.namespace);
                    self.stream_images.push(*image);
                }
                Exported::ImageTag(mut tag) => {
                    fill(&mut tag.metadata.namespace);
                    self.image_tags.push(*tag);
                }
                Exported::Image(image) => {
                    self.images.insert(image.metadata.name.clone(), *image);
                }
            }
        }
    }

    fn sort(&mut self) {
        let key = |meta: &crate::api::ObjectMeta| (meta.namespace.clone(), meta.name.clone());
        self.streams.sort_by_key(|stream| key(&stream.metadata));
        self.tags.sort_by_key(|tag| key(&tag.metadata));
        self.stream_images.sort_by_key(|image| key(&image.metadata));
        self.image_tags.sort_by_key(|tag| key(&tag.metadata));
    }

    fn is_here(&self, meta: &crate::api::ObjectMeta) -> bool {
        let here = self.namespace.as_ref().is_none_or(|namespace| *namespace == meta.namespace);
        here && self.selector.matches(&meta.labels)
    }

    /// The objects of a kind, or the one that is named.
    pub(super) fn find(&self, wanted: &Wanted) -> Result<Found, ApiError> {
        match &wanted.name {
            Some(name) => self.one(wanted.resource, name),
            None => Ok(self.all(wanted.resource)),
        }
    }

    /// The rows of what is asked for.
    pub(super) fn table(&self, wanted: &Wanted) -> Result<Table, ApiError> {
        let (view, of_stream): (View, fn(Cow<'_, ImageStream>) -> Found) =
            match (&wanted.name, wanted.resource) {
                (None, Resource::ImageStreams) => {
                    (effective::outline, |stream| Found::Streams(vec![stream.into_owned()]))
                }
                (None, Resource::ImageStreamTags) => {
                    (effective::stream, |stream| Found::StreamTags(stream_tags(&stream)))
                }
                (None, Resource::ImageTags) => {
                    (effective::stream, |stream| Found::ImageTags(image_tags(&stream)))
                }
                _ => return Ok(self.find(wanted)?.table(self.now)),
            };
        // Row by row, so that there is never more than one stream beside its rows.
        let rows = self.of_each(view, |stream| of_stream(stream).table(self.now).rows);
        let mut table = self.own(wanted.resource).table(self.now);
        table.rows.splice(0..0, rows);
        Ok(table)
    }

    /// The views that files hold themselves.
    fn own(&self, resource: Resource) -> Found {
        fn here<'a, T: Clone + 'a>(all: &'a [T], is_here: impl Fn(&T) -> bool) -> Vec<T> {
            all.iter().filter(|object| is_here(object)).cloned().collect()
        }
        match resource.family() {
            Family::Streams | Family::Images => Found::none(resource),
            Family::StreamTags => {
                Found::StreamTags(here(&self.tags, |tag| self.is_here(&tag.metadata)))
            }
            Family::StreamImages => {
                Found::StreamImages(here(&self.stream_images, |i| self.is_here(&i.metadata)))
            }
            Family::ImageTags => {
                Found::ImageTags(here(&self.image_tags, |tag| self.is_here(&tag.metadata)))
            }
            Family::Other => Found::Others(resource, self.others(resource)),
        }
    }

    fn all(&self, resource: Resource) -> Found {
        match (resource, self.own(resource)) {
            (Resource::Images, _) => {
                let mut images = self.all_images();
                images.retain(|image| self.selector.matches(&image.metadata.labels));
                Found::Images(images)
            }
            (_, Found::Streams(_)) => {
                Found::Streams(self.of_each(effective::stream, |s| vec![s.into_owned()]))
            }
            (_, Found::StreamTags(own)) => {
                let mut tags = self.of_each(effective::stream, |stream| stream_tags(&stream));
                tags.extend(own);
                Found::StreamTags(tags)
            }
            (_, Found::ImageTags(own)) => {
                let mut tags = self.of_each(effective::stream, |stream| image_tags(&stream));
                tags.extend(own);
                Found::ImageTags(tags)
            }
            (_, own @ (Found::StreamImages(_) | Found::Images(_) | Found::Others(..))) => own,
        }
    }

    /// The stream of a name; `resource` and `whole` are what was asked for.
    fn stream(
        &self,
        name: &str,
        resource: Resource,
        whole: &str,
    ) -> Result<Cow<'_, ImageStream>, ApiError> {
        self.stream_named(name).ok_or_else(|| ApiError::not_found(&resource.plural(), whole))
    }

    fn one(&self, resource: Resource, name: &str) -> Result<Found, ApiError> {
        match resource.family() {
            Family::Streams => {
                Ok(Found::Streams(vec![self.stream(name, resource, name)?.into_owned()]))
            }
            Family::Images => {
                let image = self.image(name);
                let image = image.ok_or_else(|| ApiError::not_found(&resource.plural(), name))?;
                Ok(Found::Images(vec![image]))
            }
            Family::StreamTags => self.stream_tag(name).map(|tag| Found::StreamTags(vec![tag])),
            Family::ImageTags => {
                let (of, tag) = self.tag_of(resource, name)?;
                let found = match &of {
                    Some(of) => view::image_tag(of, tag, self.image_of_tag(of, tag).as_ref()),
                    None => self.image_tags.iter().find(|t| t.metadata.name == name).cloned(),
                };
                let found = found.ok_or_else(|| ApiError::not_found(&resource.plural(), name))?;
                Ok(Found::ImageTags(vec![found]))
            }
            Family::StreamImages => {
                self.stream_image(name).map(|image| Found::StreamImages(vec![image]))
            }
            Family::Other => {
                Ok(Found::Others(resource, named(self.others(resource), resource, name)?))
            }
        }
    }

    /// The stream that a name `<stream>:<tag>` begins with, if it is there, and the tag (rule I34).
    fn tag_of<'n>(
        &self,
        resource: Resource,
        name: &'n str,
    ) -> Result<(Option<Cow<'_, ImageStream>>, &'n str), ApiError> {
        let parts: Vec<&str> = name.split(':').collect();
        let [stream, tag] = parts.as_slice() else { return Err(form(resource)) };
        if stream.is_empty() || tag.is_empty() {
            return Err(form(resource));
        }
        Ok((self.stream_named(stream), tag))
    }

    fn image_of_tag(&self, stream: &ImageStream, tag: &str) -> Option<Image> {
        self.image(&stream.status_tag(tag)?.current()?.image)
    }

    fn stream_tag(&self, name: &str) -> Result<ImageStreamTag, ApiError> {
        let resource = Resource::ImageStreamTags;
        let (of, tag) = self.tag_of(resource, name)?;
        let own = self.tags.iter().find(|found| found.metadata.name == name).cloned();
        let image = |of: &ImageStream| self.image_of_tag(of, tag);
        let view = of.and_then(|of| view::stream_tag(&of, tag, image(&of).as_ref()));
        own.or(view).ok_or_else(|| ApiError::not_found(&resource.plural(), name))
    }

    fn stream_image(&self, name: &str) -> Result<ImageStreamImage, ApiError> {
        let resource = Resource::ImageStreamImages;
        let (stream, id) = match name.split_once('@') {
            Some((stream, id)) if !stream.is_empty() && !id.is_empty() && !id.contains('@') => {
                (stream, id)
            }
            Some(_) | None => return Err(form(resource)),
        };
        if let Some(own) = self.stream_images.iter().find(|found| found.metadata.name == name) {
            return Ok(own.clone());
        }
        let stream = self.stream(stream, Resource::ImageStreams, stream)?;
        let seen = self.seen(); // once for all items of the stream
        let inside = |image: &str| {
            let index = self.image_among(&seen, image).map(|image| image.docker_image_manifests);
            index.unwrap_or_default().into_iter().map(|manifest| manifest.digest).collect()
        };
        match view::find_image(&stream, id, inside) {
            Ok(found) => Ok(view::stream_image(&stream, &found, self.image(&found.image).as_ref())),
            Err(ImageError::NotFound(name)) => Err(ApiError::not_found(&resource.plural(), &name)),
            Err(error @ ImageError::Ambiguous { .. }) => Err(ApiError::conflict(error.to_string())),
        }
    }
}

/// The one of a name.
fn named(all: Vec<Value>, resource: Resource, name: &str) -> Result<Vec<Value>, ApiError> {
    let mut all = all.into_iter();
    let found = all.find(|object| object.pointer("/metadata/name").is_some_and(|n| n == name));
    found.map(|found| vec![found]).ok_or_else(|| ApiError::not_found(&resource.plural(), name))
}

/// The tags of a stream that have an image.
fn stream_tags(stream: &ImageStream) -> Vec<ImageStreamTag> {
    let names = stream.status.tags.iter().map(|tag| tag.tag.as_str());
    names.filter_map(|tag| view::stream_tag(stream, tag, None)).collect()
}

/// All tags of a stream.
fn image_tags(stream: &ImageStream) -> Vec<ImageTag> {
    let names = view::tag_names(stream).into_iter();
    names.filter_map(|tag| view::image_tag(stream, tag, None)).collect()
}

/// What the object store has of an image; what cannot be read there is left out, and says so when it is described.
fn kept(shown: &Shown, first: &FirstSeen<'_>) -> Option<Vec<u8>> {
    let store = ObjectStore::at(&shown.config.state_dir);
    first.metadata().and_then(|hash| store.get(&hash).ok())
}

/// Every image of the journal, those of an index, too; of two imports that brought one, the first names it (rule I11).
fn images_of_journal(shown: &Shown) -> BTreeMap<String, Image> {
    let mut found: BTreeMap<String, Image> = BTreeMap::new();
    let mut inside = Vec::new();
    for (digest, first) in effective::images(&shown.observed) {
        let metadata = kept(shown, &first);
        let image = effective::image(&digest, &first, metadata.as_deref());
        inside.extend(metadata.iter().flat_map(|kept| effective::images_of_index(&first, kept)));
        found.insert(image.metadata.name.clone(), image);
    }
    for image in inside {
        let known = found.entry(image.metadata.name.clone()).or_insert_with(|| image.clone());
        if image.metadata.creation_timestamp < known.metadata.creation_timestamp {
            *known = image;
        }
    }
    let policy = &shown.config.policy;
    found.into_iter().map(|(name, image)| (name, effective::with_push(image, policy))).collect()
}

/// A name that is not of the form that names of a kind have.
fn form(resource: Resource) -> ApiError {
    let form = if resource == Resource::ImageStreamImages { "<name>@<id>" } else { "<name>:<tag>" };
    ApiError::bad_request(format!("{}s must be retrieved with {form}", resource.kind()))
}

pub(super) fn text_of(path: &Path) -> std::io::Result<String> {
    if path != Path::new("-") {
        return std::fs::read_to_string(path);
    }
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    Ok(text)
}
