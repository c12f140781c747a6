//! The objects that are read: from files, or what the journal and the adopted commit make of them.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;

use anyhow::Context as _;

use super::resource::{Resource, Wanted};
use super::{ApiError, Source};
use crate::api::view::{self, ImageError};
use crate::api::{Image, ImageStream, ImageStreamImage, ImageStreamTag, ImageTag};
use crate::cli::Context;
use crate::cli::offline::{self, Offline};
use crate::config::Config;
use crate::desired::exported::{Exported, read_exported};
use crate::effective::{self, FirstSeen};
use crate::journal::ObjectStore;
use crate::names::{Digest, StreamName};
use crate::time::Timestamp;

/// The objects, those of each kind in the order of namespace and name.
pub(super) struct Inventory {
    streams: Vec<ImageStream>,
    /// By digest: those of files.
    images: BTreeMap<String, Image>,
    /// What the journal knows.
    journal: Option<Offline>,
    /// Views that a file holds themselves.
    tags: Vec<ImageStreamTag>,
    stream_images: Vec<ImageStreamImage>,
    image_tags: Vec<ImageTag>,
    pub(super) now: Timestamp,
    /// The namespace that is looked at; none where it is all of them.
    pub(super) namespace: Option<String>,
    selector: crate::oc::selector::Selector,
}

/// Objects of one kind.
#[derive(Debug)]
pub(super) enum Found {
    Streams(Vec<ImageStream>),
    StreamTags(Vec<ImageStreamTag>),
    StreamImages(Vec<ImageStreamImage>),
    ImageTags(Vec<ImageTag>),
    Images(Vec<Image>),
}

impl Inventory {
    /// Reads what a command asks for.
    pub(super) fn read(source: &Source, context: &mut Context<'_>) -> anyhow::Result<Self> {
        let config = offline::settings(&source.settings, context)?;
        let namespace = source.namespace.as_ref().unwrap_or(&config.policy.default_namespace);
        let default = config.policy.default_namespace.to_string();
        let mut inventory = Self {
            now: source.now.unwrap_or_else(|| Timestamp::from_jiff(jiff::Timestamp::now())),
            namespace: (!source.all_namespaces).then(|| namespace.to_string()),
            selector: source.selector.clone(),
            streams: Vec::new(),
            images: BTreeMap::new(),
            journal: None,
            tags: Vec::new(),
            stream_images: Vec::new(),
            image_tags: Vec::new(),
        };
        for path in &source.filename {
            let shown = path.display();
            let text = text_of(path).with_context(|| format!("cannot read `{shown}`"))?;
            let objects = read_exported(&text).with_context(|| format!("cannot use `{shown}`"))?;
            inventory.take(objects, &default);
        }
        if source.filename.is_empty() {
            inventory.take_journal(config, context)?;
        }
        inventory.sort();
        Ok(inventory)
    }

    /// Reads one stream from the journal.
    pub(super) fn of_stream(
        config: Config,
        stream: &StreamName,
        context: &mut Context<'_>,
    ) -> anyhow::Result<Self> {
        let mut inventory = Self {
            now: Timestamp::from_jiff(jiff::Timestamp::now()),
            namespace: Some(stream.namespace.to_string()),
            selector: crate::oc::selector::Selector::default(),
            streams: Vec::new(),
            images: BTreeMap::new(),
            journal: None,
            tags: Vec::new(),
            stream_images: Vec::new(),
            image_tags: Vec::new(),
        };
        inventory.take_journal(config, context)?;
        inventory.streams.retain(|found| found.metadata.name == stream.name.as_str());
        Ok(inventory)
    }

    /// The first of the streams.
    pub(super) fn first(&self) -> Option<&ImageStream> {
        self.streams.first()
    }

    /// Takes what the journal and the adopted commit make of the streams that are looked at.
    fn take_journal(&mut self, config: Config, context: &mut Context<'_>) -> anyhow::Result<()> {
        let offline = offline::open(config)?;
        if let Some(why) = &offline.unread {
            writeln!(
                context.err,
                "warning: the adopted commit cannot be read, so no spec is shown: {why}"
            )?;
        }
        let (desired, observed) = (offline.engine.desired(), offline.engine.observed());
        let names = effective::stream_names(desired, observed).filter(|name| {
            self.namespace.as_ref().is_none_or(|own| *own == name.namespace.as_str())
        });
        let policy = offline.engine.policy();
        self.streams
            .extend(names.filter_map(|name| effective::stream(desired, observed, policy, name)));
        self.journal = Some(offline);
        Ok(())
    }

    /// Where each image of the journal was seen first.
    fn seen(&self) -> BTreeMap<Digest, FirstSeen<'_>> {
        let journal = self.journal.as_ref();
        journal.map(|offline| effective::images(offline.engine.observed())).unwrap_or_default()
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
        let metadata = kept(self.journal.as_ref()?, first);
        Some(effective::image(&digest, first, metadata.as_deref()))
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

    fn streams(&self) -> impl Iterator<Item = &ImageStream> {
        self.streams.iter().filter(|stream| self.is_here(&stream.metadata))
    }

    fn all(&self, resource: Resource) -> Found {
        match resource {
            Resource::ImageStreams => Found::Streams(self.streams().cloned().collect()),
            Resource::ImageStreamTags => {
                let own = self.tags.iter().filter(|tag| self.is_here(&tag.metadata)).cloned();
                let views = self.streams().flat_map(|stream| {
                    let names = stream.status.tags.iter().map(|tag| tag.tag.as_str());
                    names.filter_map(|tag| view::stream_tag(stream, tag, None))
                });
                Found::StreamTags(views.chain(own).collect())
            }
            Resource::ImageStreamImages => {
                let own = self.stream_images.iter();
                Found::StreamImages(own.filter(|i| self.is_here(&i.metadata)).cloned().collect())
            }
            Resource::ImageTags => {
                let own = self.image_tags.iter().filter(|t| self.is_here(&t.metadata)).cloned();
                let views = self.streams().flat_map(|stream| {
                    let names = view::tag_names(stream).into_iter();
                    names.filter_map(|tag| view::image_tag(stream, tag, None))
                });
                Found::ImageTags(views.chain(own).collect())
            }
            Resource::Images => {
                let mut images = self.all_images();
                images.retain(|image| self.selector.matches(&image.metadata.labels));
                Found::Images(images)
            }
        }
    }

    /// The stream of a name; `resource` and `whole` are what was asked for.
    fn stream(
        &self,
        name: &str,
        resource: Resource,
        whole: &str,
    ) -> Result<&ImageStream, ApiError> {
        self.streams()
            .find(|stream| stream.metadata.name == name)
            .ok_or_else(|| ApiError::not_found(&resource.plural(), whole))
    }

    fn one(&self, resource: Resource, name: &str) -> Result<Found, ApiError> {
        match resource {
            Resource::ImageStreams => {
                Ok(Found::Streams(vec![self.stream(name, resource, name)?.clone()]))
            }
            Resource::Images => {
                let image = self.image(name);
                let image = image.ok_or_else(|| ApiError::not_found(&resource.plural(), name))?;
                Ok(Found::Images(vec![image]))
            }
            Resource::ImageStreamTags => {
                self.stream_tag(name).map(|tag| Found::StreamTags(vec![tag]))
            }
            Resource::ImageTags => {
                let (of, tag) = self.tag_of(resource, name)?;
                let found = match of {
                    Some(stream) => {
                        view::image_tag(stream, tag, self.image_of_tag(stream, tag).as_ref())
                    }
                    None => self.image_tags.iter().find(|t| t.metadata.name == name).cloned(),
                };
                let found = found.ok_or_else(|| ApiError::not_found(&resource.plural(), name))?;
                Ok(Found::ImageTags(vec![found]))
            }
            Resource::ImageStreamImages => {
                self.stream_image(name).map(|image| Found::StreamImages(vec![image]))
            }
        }
    }

    /// The stream that a name `<stream>:<tag>` begins with, if it is there, and the tag (rule I34).
    fn tag_of<'n>(
        &self,
        resource: Resource,
        name: &'n str,
    ) -> Result<(Option<&ImageStream>, &'n str), ApiError> {
        let parts: Vec<&str> = name.split(':').collect();
        let [stream, tag] = parts.as_slice() else { return Err(form(resource)) };
        if stream.is_empty() || tag.is_empty() {
            return Err(form(resource));
        }
        Ok((self.streams().find(|found| found.metadata.name == *stream), tag))
    }

    fn image_of_tag(&self, stream: &ImageStream, tag: &str) -> Option<Image> {
        self.image(&stream.status_tag(tag)?.current()?.image)
    }

    fn stream_tag(&self, name: &str) -> Result<ImageStreamTag, ApiError> {
        let resource = Resource::ImageStreamTags;
        let (of, tag) = self.tag_of(resource, name)?;
        let own = self.tags.iter().find(|found| found.metadata.name == name).cloned();
        let view = of.and_then(|of| view::stream_tag(of, tag, self.image_of_tag(of, tag).as_ref()));
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
        match view::find_image(stream, id, inside) {
            Ok(found) => Ok(view::stream_image(stream, &found, self.image(&found.image).as_ref())),
            Err(ImageError::NotFound(name)) => Err(ApiError::not_found(&resource.plural(), &name)),
            Err(error @ ImageError::Ambiguous { .. }) => Err(ApiError::conflict(error.to_string())),
        }
    }
}

/// What the object store has of an image; what cannot be read there is left out, and says so when it is described.
fn kept(offline: &Offline, first: &FirstSeen<'_>) -> Option<Vec<u8>> {
    let store = ObjectStore::at(&offline.config.state_dir);
    first.metadata().and_then(|hash| store.get(&hash).ok())
}

/// Every image of the journal, those of an index, too; of two imports that brought one, the first names it (rule I11).
fn images_of_journal(offline: &Offline) -> BTreeMap<String, Image> {
    let mut found: BTreeMap<String, Image> = BTreeMap::new();
    let mut inside = Vec::new();
    for (digest, first) in effective::images(offline.engine.observed()) {
        let metadata = kept(offline, &first);
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
    found
}

/// A name that is not of the form that names of a kind have.
fn form(resource: Resource) -> ApiError {
    let form = if resource == Resource::ImageStreamImages { "<name>@<id>" } else { "<name>:<tag>" };
    ApiError::bad_request(format!("{}s must be retrieved with {form}", resource.kind()))
}

fn text_of(path: &Path) -> std::io::Result<String> {
    if path != Path::new("-") {
        return std::fs::read_to_string(path);
    }
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    Ok(text)
}
