//! What the words of `new-app` are held against: streams, registries, sources, files.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use anyhow::Context as _;

use super::{Registries, import_image};
use crate::action::{Check, ImportMode, ResolveRequest};
use crate::api::{Image, ImageStream};
use crate::cli::offline;
use crate::config::Config;
use crate::desired::DesiredState;
use crate::desired::processed::is_template;
use crate::effective::{self, FirstSeen};
use crate::fact::ImportReason;
use crate::journal::ObjectStore;
use crate::names::Digest;
use crate::observed::ObservedState;
use crate::reference::ImageReference;
use crate::scaffold::source::Remote;
use crate::scaffold::words::{self, Facts};
use crate::scaffold::{Asked, Known, Source, Wanted};
use crate::world::git::{Peek, SourceConfig, origin_of, peek_folder};

/// What is known, and who can be asked for more.
pub(in crate::cli::oc) struct Lookup {
    config: Config,
    streams: Vec<ImageStream>,
    unwritten: BTreeSet<(String, String)>,
    images: BTreeMap<String, Image>,
}

impl Lookup {
    /// With the streams of manifests and what the journal knows of them.
    pub(super) fn of(desired: &DesiredState, config: &Config) -> anyhow::Result<Self> {
        let observed = offline::state(&config.state_dir)?;
        Ok(Self::with(desired, &observed, config))
    }

    /// The same of what was read already.
    pub(in crate::cli::oc) fn with(
        desired: &DesiredState,
        observed: &ObservedState,
        config: &Config,
    ) -> Self {
        let names: Vec<_> = effective::stream_names(desired, observed).collect();
        let unwritten = names.iter().filter(|name| !desired.streams.contains_key(**name));
        let unwritten = unwritten.map(|name| (name.namespace.to_string(), name.name.to_string()));
        let unwritten = unwritten.collect();
        let stream = |name| effective::stream(desired, observed, &config.policy, name);
        let streams: Vec<ImageStream> = names.into_iter().filter_map(stream).collect();
        let seen = effective::images(observed);
        let store = ObjectStore::at(&config.state_dir);
        let tags = streams.iter().flat_map(|stream| &stream.status.tags);
        let digests = tags.filter_map(|tag| tag.current()?.image.parse::<Digest>().ok());
        let image = |digest: Digest| {
            let first = seen.get(&digest)?;
            Some((digest.to_string(), image(&digest, first, &store)))
        };
        let images = digests.filter_map(image).collect();
        Self { config: config.clone(), streams, unwritten, images }
    }

    pub(super) fn known(&self) -> Known {
        Known {
            streams: self.streams.clone(),
            unwritten: self.unwritten.clone(),
            images: self.images.clone(),
            ..Known::default()
        }
    }

    /// Asks the registry of an image.
    pub(super) fn image(&self, word: &str, wanted: &Wanted) -> anyhow::Result<Asked> {
        let reference: ImageReference = word.parse()?;
        let kept = Arc::new(Mutex::new(BTreeMap::new()));
        let registries: Registries = (import_image::registries(&self.config, &kept)?, kept);
        let check = Check {
            image: Arc::new(reference),
            insecure: wanted.insecure,
            mode: wanted.import_mode.unwrap_or(ImportMode::Legacy),
            platform: self.config.policy.platform.clone(),
            copy_to: None,
            namespace: self.config.policy.asks_for(&wanted.namespace),
        };
        let request = ResolveRequest { check, known: None, allowance: None };
        let (registries, kept) = registries;
        let answer = import_image::runtime()?.block_on(registries.resolve(&request));
        Ok(match answer {
            Ok(resolution) => match import_image::found(&request, &resolution, &kept) {
                Some(image) => Asked::Found(Box::new(image)),
                None => Asked::Missing,
            },
            Err(failure) if failure.reason == ImportReason::NotFound => Asked::Missing,
            Err(failure) => Asked::Failed(failure.message),
        })
    }

    /// Reads what a source holds.
    pub(super) fn source(&self, place: &str, wanted: &Wanted) -> Result<Source, String> {
        let folder = &wanted.context_dir;
        if words::is_url(place) {
            let remote = Remote::read(place).without_login()?;
            let peek = Peek::new(&self.config.source.source());
            let peeked = peek.read(&remote.url, &remote.reference, folder)?;
            return Ok(Source {
                files: peeked.names,
                dockerfile: peeked.dockerfile,
                remote: Some(remote),
            });
        }
        let path = Path::new(place);
        if !path.is_dir() {
            return Err(format!("`{place}` is neither a folder nor the URL of a repository"));
        }
        let inner = path.join(folder);
        if !inner.is_dir() {
            return Err(format!(
                "supplied context directory '{folder}' does not exist in '{place}'"
            ));
        }
        let peeked = peek_folder(&inner)?;
        let remote =
            origin_of(path).map(|origin| Remote { url: origin.url, reference: origin.branch });
        let remote = remote.map(Remote::without_login).transpose()?;
        Ok(Source { files: peeked.names, dockerfile: peeked.dockerfile, remote })
    }
}

/// An image as it was read, an index as the first of its images.
fn image(digest: &Digest, first: &FirstSeen<'_>, store: &ObjectStore) -> Image {
    let kept = first.metadata().and_then(|hash| store.get(&hash).ok());
    let mut image = effective::image(digest, first, kept.as_deref());
    if image.docker_image_metadata.as_ref().is_none_or(|metadata| metadata.config.is_none())
        && let Some(kept) = kept
    {
        let inner = effective::images_of_index(first, &kept).into_iter().next();
        image.docker_image_metadata = inner.and_then(|inner| inner.docker_image_metadata);
    }
    image
}

/// What the world says of an argument (rule N1).
pub(super) fn facts(word: &str, source: &SourceConfig) -> Facts {
    let mut facts = Facts::default();
    if words::is_environment(word) {
        return facts;
    }
    if words::is_url(word) {
        match Peek::new(source).answers(&Remote::read(word).url) {
            Ok(()) => facts.is_repository = true,
            Err(why) => facts.not_a_source = format!("git ls-remote failed with: {why}; "),
        }
        return facts;
    }
    match std::fs::metadata(word) {
        Ok(found) if found.is_dir() => facts.is_folder = true,
        Ok(_) => facts.is_template = template(word).is_ok(),
        Err(_) => {
            facts.not_a_source =
                format!(" local file access failed with: stat {word}: no such file or directory");
        }
    }
    facts
}

/// The text of a file with a Template.
pub(super) fn template(word: &str) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(word).with_context(|| format!("cannot read `{word}`"))?;
    anyhow::ensure!(is_template(&text), "`{word}` holds no Template");
    Ok(text)
}

/// Environment of words, and of files what words do not say.
pub(super) fn environment(
    words: &[String],
    files: &[PathBuf],
    what: &str,
    warnings: &mut Vec<String>,
) -> anyhow::Result<BTreeMap<String, String>> {
    let (mut found, twice) = words::environment(words).map_err(anyhow::Error::msg)?;
    warnings.extend(twice.iter().map(|name| format!("warning: {what} \"{name}\" was overwritten")));
    for file in files {
        let shown = file.display();
        let text = crate::cli::oc::inventory::text_of(file);
        let text = text.with_context(|| format!("Cannot read variables from file \"{shown}\""))?;
        let of_file = words::environment_file(&text).map_err(anyhow::Error::msg)?;
        for (name, value) in of_file {
            match found.entry(name) {
                Entry::Occupied(known) => warnings.push(format!(
                    "warning: {what} \"{}\" already defined, ignoring value from file \"{shown}\"",
                    known.key()
                )),
                Entry::Vacant(place) => {
                    place.insert(value);
                }
            }
        }
    }
    Ok(found)
}
