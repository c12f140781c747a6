//! Asks registries what a reference is: one request for an unchanged tag, four for a new one, and two more for each image
//! of an index that is kept whole.
//!
//! [`Registries::resolve`] turns a [`ResolveRequest`] into a resolution or a failure that is ready
//! to be a condition (rules I46 to I54, I73, I197). How many run at once at one registry, and when
//! a failure is tried again, is decided by the core.

mod auth;
mod certs;
mod conf;
mod copy;
mod failure;
mod helper;
mod host;
mod lately;
mod lent;
mod list;
mod logins;
mod manifest;
mod places;
mod secrets;
mod sources;
mod stamp;
mod tally;
mod trial;
mod untrusted;
mod wire;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::{Method, StatusCode};

pub use self::conf::{RegistriesConf, RegistriesConfError};
use self::failure::Failures;
use self::host::{Host, Reach};
use self::lately::{Lately, Read};
pub(in crate::world) use self::lent::file_of;
use self::manifest::{Descriptor, Image, Index, Manifest, ManifestError};
pub use self::places::ShortNames;
use self::places::{Blocked, By, Place, Places, Role};
use self::secrets::OwnLogins;
pub use self::secrets::{Owners, SecretFolder};
use self::sources::{Sources, Spot, Tried, Who};
pub use self::stamp::LoginStamp;
pub use self::tally::Tally;
pub use self::trial::{LoginTried, LoginVerdict, PlaceTried};
#[doc(hidden)]
pub use self::untrusted::{places_untrusted, read_untrusted};
use self::wire::{Access, Answer, Ask, Trust};
use crate::action::{
    Check, ImportFailure, ImportMode, ListRequest, Resolution, ResolveRequest, ResolvedImage,
    TagListing,
};
use crate::fact::said;
use crate::limits;
use crate::names::{ContentHash, Digest, Namespace};
use crate::reference::ImageReference;

/// Keeps an image's metadata and returns its hash, once it is safe on disk. Called where it may
/// block.
pub type KeepMetadata = Arc<dyn Fn(&[u8]) -> io::Result<ContentHash> + Send + Sync>;

/// How registries are reached.
#[derive(Clone, Debug)]
pub struct RegistryConfig {
    /// Hosts, `host` or `host:port`, for which plain HTTP and unverified TLS are allowed (rule
    /// I171).
    pub insecure: BTreeSet<String>,
    /// One request, from connect to the last byte.
    pub timeout: Duration,
    /// Logins: files in the format of containers-auth.json(5) or of Docker's `config.json`, the first that has one counts;
    /// they may be missing. Read anew whenever a login is needed.
    pub auth_files: Vec<PathBuf>,
    /// Secrets with logins for the streams of their namespaces, which come before those files. Read anew as well.
    pub secrets: Option<SecretFolder>,
    /// PEM files of certificate authorities, by host; trusted beside the system's (rule I178).
    pub ca_files: BTreeMap<String, PathBuf>,
    /// Folders that have, named for a registry, a folder of certificates, as containers-certs.d(5) says.
    pub certs_folders: Vec<PathBuf>,
    /// A file in the format of containers-registries.conf(5) that says where images are.
    pub conf: Option<PathBuf>,
    /// Folders whose `*.conf` come after that file, by name; they may be missing.
    pub conf_folders: Vec<PathBuf>,
    /// What a short name means.
    pub short_names: ShortNames,
    /// Requests of checks at one host at once, whichever registries it is a mirror of.
    pub requests_max: usize,
}

impl Default for RegistryConfig {
    fn default() -> Self {
        Self {
            insecure: BTreeSet::new(),
            timeout: limits::REGISTRY_TIMEOUT,
            auth_files: Vec::new(),
            secrets: None,
            ca_files: BTreeMap::new(),
            certs_folders: Vec::new(),
            conf: None,
            conf_folders: Vec::new(),
            short_names: ShortNames::default(),
            requests_max: usize::MAX,
        }
    }
}

/// Why registries cannot be asked at all.
#[derive(Debug, thiserror::Error)]
pub enum RegistryConfigError {
    /// A file of certificate authorities cannot be used.
    #[error("cannot read the certificate authorities of `{host}` in `{}`", path.display())]
    CaFile {
        /// The registry.
        host: String,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file that says where images are cannot be used.
    #[error("cannot use `{}` (`registries.conf`)", path.display())]
    Conf {
        /// The file.
        path: PathBuf,
        /// Why.
        source: RegistriesConfError,
    },
}

/// All registries; cheap to clone. Connections, schemes and tokens are remembered per registry.
#[derive(Clone)]
pub struct Registries {
    shared: Arc<Shared>,
}

struct Shared {
    config: RegistryConfig,
    roots: BTreeMap<String, Vec<Vec<u8>>>,
    keep: KeepMetadata,
    hosts: Mutex<Hosts>,
    secrets: Option<Arc<SecretFolder>>,
    lately: Lately,
    conf: RegistriesConf,
    /// Where blobs are that were copied: they are mounted into other repositories of the same registry.
    mounts: copy::Mounts,
}

/// By name, by trust, and by whose own logins are used.
type Hosts = BTreeMap<(String, Trust, Option<Namespace>), Arc<Host>>;

/// One manifest as it came, with the digest of its bytes.
struct Fetched {
    digest: Digest,
    manifest: Result<Manifest, ManifestError>,
}

/// What one import asks, and of whom.
struct Import<'a> {
    registries: &'a Registries,
    host: &'a Host,
    repository: &'a str,
    failures: Failures<'a>,
    /// Whether another place is asked where this one does not have it.
    goes_on: bool,
    /// Whether the image's own registry may be reached by plain HTTP or with an unverified certificate.
    insecure: bool,
    /// Whose own logins are used.
    namespace: Option<&'a Namespace>,
    /// Where requests are counted.
    tally: Option<&'a Tally>,
}

impl Registries {
    /// Reads the certificate files and makes ready; nothing is asked yet.
    ///
    /// # Errors
    ///
    /// A file of `ca_files` that cannot be read or holds no certificate.
    pub fn new(config: RegistryConfig, keep: KeepMetadata) -> Result<Self, RegistryConfigError> {
        super::tls::init();
        let mut roots = BTreeMap::new();
        for (host, path) in &config.ca_files {
            let pem = std::fs::read(path).and_then(|bytes| split_pem(&bytes));
            let pem = pem.map_err(|source| {
                let (host, path) = (host.clone(), path.clone());
                RegistryConfigError::CaFile { host, path, source }
            })?;
            roots.insert(host.clone(), pem);
        }
        let conf = RegistriesConf::read(config.conf.as_deref(), &config.conf_folders)
            .map_err(|(path, source)| RegistryConfigError::Conf { path, source })?;
        if !conf.ignored.is_empty() {
            let ignored = conf.ignored.join(", ");
            tracing::warn!(ignored, "registries.conf says more than this version acts on");
        }
        let hosts = Mutex::default();
        let lately = Lately::default();
        let mounts = copy::Mounts::default();
        let secrets = config.secrets.clone().map(Arc::new);
        let shared = Shared { config, roots, keep, hosts, secrets, lately, conf, mounts };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Resolves a reference; the metadata of a new image is kept before its hash is returned.
    ///
    /// # Errors
    ///
    /// The condition that the tag gets.
    pub async fn resolve(&self, request: &ResolveRequest) -> Result<Resolution, ImportFailure> {
        self.resolve_counting(request, &Tally::new(request.allowance)).await
    }

    /// As [`Self::resolve`], and counts what is asked. Where that is as much as is allowed, the tally says so, and the
    /// answer has at most the digest that the registry told.
    ///
    /// # Errors
    ///
    /// The condition that the tag gets.
    pub async fn resolve_counting(
        &self,
        request: &ResolveRequest,
        tally: &Tally,
    ) -> Result<Resolution, ImportFailure> {
        let image = &request.check.image;
        if image.is_registry_only() {
            return Err(Failures { image, host: &image.registry_host() }.registry_only());
        }
        let who =
            Who { insecure: request.check.insecure, namespace: request.check.namespace.clone() };
        let sources = self.sources(image, who, By::of(image))?;
        let mut tried = Tried::none(self, &sources, Some(tally));
        while let Some(import) = tried.another() {
            let (probed, read) = match import.resolve(request).await {
                Ok(found) => found,
                Err(failure) => {
                    tried.failed(failure);
                    continue;
                }
            };
            let Some((digest, metadata)) = read else {
                return Ok(Resolution { probed, image: None });
            };
            if let Err(failure) = import.copy(&request.check, digest).await {
                // Nobody is told of an image that is not there as a whole.
                return match tally.is_short() {
                    true => Ok(Resolution { probed, image: None }),
                    false => Err(failure),
                };
            }
            let metadata = self.keep(&metadata, import.failures).await?;
            return Ok(Resolution { probed, image: Some(ResolvedImage { digest, metadata }) });
        }
        Err(tried.failure())
    }

    /// Lists the tags of a repository: from a mirror as well (rule I176).
    ///
    /// # Errors
    ///
    /// The condition that the stream gets.
    pub async fn list(&self, request: &ListRequest) -> Result<TagListing, ImportFailure> {
        self.list_counting(request, &Tally::default()).await
    }

    /// As [`Self::list`], and counts what is asked.
    ///
    /// # Errors
    ///
    /// The condition that the stream gets.
    pub async fn list_counting(
        &self,
        request: &ListRequest,
        tally: &Tally,
    ) -> Result<TagListing, ImportFailure> {
        let who = Who { insecure: request.insecure, namespace: request.namespace.clone() };
        let sources = self.sources(&request.repository, who, By::Tag)?;
        let mut tried = Tried::none(self, &sources, Some(tally));
        while let Some(import) = tried.another() {
            match import.list().await {
                // A cache that was asked for nothing yet has no tags; that says nothing of the repository (law 7).
                Ok(listing) if listing.tags.is_empty() && tried.goes_on() => {}
                Ok(listing) => return Ok(listing),
                Err(failure) => tried.failed(failure),
            }
        }
        Err(tried.failure())
    }

    /// Where an image is asked for, in order.
    fn sources(&self, image: &ImageReference, who: Who, by: By) -> Result<Sources, ImportFailure> {
        let mut sources = Sources { who, ..Sources::default() };
        for image in self.shared.conf.names(image, self.shared.config.short_names) {
            let image = Arc::new(image);
            let Places { places, blocked } = self.shared.conf.places(&image, by);
            if let Some(blocked) = blocked {
                let failures = Failures { image: &image, host: "" };
                let failure = match blocked {
                    Blocked::BehindMirrors if places.is_empty() => failures.behind_mirrors(by),
                    Blocked::BehindMirrors | Blocked::Alone => failures.blocked(),
                };
                sources.blocked.push((image.repository_as_spelled(), failure));
            }
            for place in places {
                let host = self.host(&place, &image, &sources.who);
                let Place { repository, role, .. } = place;
                sources.spots.push(Spot { image: Arc::clone(&image), host, repository, role });
            }
        }
        match sources.blocked.first() {
            Some((_, failure)) if sources.spots.is_empty() => Err(failure.clone()),
            Some(_) | None => Ok(sources),
        }
    }

    /// Where an image is pushed: never to a mirror.
    fn target(&self, image: &ImageReference) -> Result<(Arc<Host>, String), ImportFailure> {
        let Places { places, .. } = self.shared.conf.places(image, By::Tag);
        let source = places.into_iter().find(|place| place.role == Role::Source);
        let source = source.ok_or_else(|| Failures { image, host: "" }.blocked())?;
        // The settings alone say whether it may be reached by plain HTTP, and with which login.
        Ok((self.host(&source, image, &Who::default()), source.repository))
    }

    /// The host of a place. What a tag says of its registry is not said of mirrors.
    fn host(&self, place: &Place, image: &ImageReference, who: &Who) -> Arc<Host> {
        let config = &self.shared.config;
        let spelled = image.registry.as_ref();
        let by_image = who.insecure || spelled.is_some_and(|host| config.insecure.contains(host));
        let listed = place.insecure || config.insecure.contains(&place.host);
        let trust = match listed || (by_image && place.role == Role::Source) {
            true => Trust::Insecure,
            false => Trust::Verified,
        };
        let name = place.host.clone();
        let mut hosts = self.shared.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        let host = hosts.entry((name.clone(), trust, None)).or_insert_with(|| {
            let roots = self.shared.roots.get(&name).cloned().unwrap_or_default();
            let (auth_files, certs) = (config.auth_files.clone(), config.certs_folders.clone());
            let (timeout, requests_max) = (config.timeout, config.requests_max);
            let reach = Reach { trust, timeout, auth_files, roots, certs, requests_max };
            Arc::new(Host::new(name.clone(), reach))
        });
        let host = Arc::clone(host);
        let Some((folder, namespace)) = self.shared.secrets.clone().zip(who.namespace.clone())
        else {
            return host;
        };
        let own = hosts.entry((name, trust, Some(namespace.clone())));
        let own = own.or_insert_with(|| Arc::new(host.with_own(OwnLogins { folder, namespace })));
        Arc::clone(own)
    }

    async fn keep(
        &self,
        metadata: &serde_json::Value,
        failures: Failures<'_>,
    ) -> Result<ContentHash, ImportFailure> {
        let (keep, bytes) = (Arc::clone(&self.shared.keep), metadata.to_string().into_bytes());
        let kept = tokio::task::spawn_blocking(move || keep(&bytes)).await;
        let kept = kept.unwrap_or_else(|error| Err(io::Error::other(error)));
        kept.map_err(|error| failures.passing(&format!("{}: {error}", said::NOT_KEPT), None))
    }
}

impl Fetched {
    fn read(self, failures: Failures<'_>) -> Result<Manifest, ImportFailure> {
        self.manifest.map_err(|error| match error {
            ManifestError::Unsupported(message) => failures.unsupported(message),
            ManifestError::Malformed(why) => failures.internal(&why),
        })
    }
}

impl Import<'_> {
    /// What the reference is here, and the image, where it is another one than is known.
    async fn resolve(
        &self,
        request: &ResolveRequest,
    ) -> Result<(Digest, Option<Read>), ImportFailure> {
        let check = &request.check;
        let wanted = check.image.tag_or_digest();
        let stated = self.probe(&wanted, check.image.digest).await?;
        if let Some(probed) = stated
            && request.known == Some(probed)
        {
            return Ok((probed, None));
        }
        let slot = stated.map(|probed| self.registries.shared.lately.slot(check, probed));
        let mut held = match &slot {
            Some(slot) => Some(slot.lock().await),
            None => None,
        };
        if let (Some(probed), Some(read)) = (stated, held.as_deref().cloned().flatten()) {
            return Ok((probed, Some(read)));
        }
        let top = match self.manifest(&wanted, check.image.digest).await {
            Ok(top) => top,
            Err(failure) => return self.short(stated).ok_or(failure),
        };
        let probed = top.digest;
        if request.known == Some(probed) {
            return Ok((probed, None));
        }
        let read = match self.read(top, check).await {
            Ok(read) => read,
            Err(failure) => return self.short(stated).ok_or(failure),
        };
        // Where the tag moved in between, this is another image than the one that was asked about.
        if let Some(held) = held.as_deref_mut().filter(|_| stated == Some(probed)) {
            *held = Some(read.clone());
        }
        Ok((probed, Some(read)))
    }

    /// What is known of an image that there were too few requests to read.
    fn short(&self, stated: Option<Digest>) -> Option<(Digest, Option<Read>)> {
        stated.filter(|_| self.tally.is_some_and(Tally::is_short)).map(|probed| (probed, None))
    }

    async fn ask(&self, method: Method, path: &str, accept: &str) -> Result<Answer, ImportFailure> {
        if self.tally.is_some_and(|tally| !tally.allows(&self.host.name, &method, path)) {
            let what = format!("no request of those that `{}` counts is left", self.host.name);
            return Err(self.failures.passing(&what, None));
        }
        // Nobody closes the room, so there is always a place in it.
        let _place = self.host.room.acquire().await.ok();
        let (access, tally) = (Access::Pull, self.tally);
        let ask = Ask { method, path, accept, access, content: None, tally };
        self.host.ask(self.repository, ask, self.failures).await
    }

    /// Where the image is asked for by a digest (rule I177).
    fn by_digest(&self) -> Result<Sources, ImportFailure> {
        let who = Who { insecure: self.insecure, namespace: self.namespace.cloned() };
        self.registries.sources(self.failures.image, who, By::Digest)
    }

    /// Asks for the digest alone; none where only the manifest can tell.
    async fn probe(
        &self,
        wanted: &str,
        pinned: Option<Digest>,
    ) -> Result<Option<Digest>, ImportFailure> {
        let path = format!("{}/manifests/{wanted}", self.repository);
        let answer = self.ask(Method::HEAD, &path, manifest::ACCEPT).await?;
        match answer.status {
            StatusCode::OK => {
                self.host.note_heads();
                let stated = answer.stated_digest();
                Ok(stated.filter(|stated| pinned.is_none_or(|pinned| pinned == *stated)))
            }
            // Such an answer to HEAD has no words; a GET tells why, or works after all.
            StatusCode::FORBIDDEN
            | StatusCode::METHOD_NOT_ALLOWED
            | StatusCode::NOT_IMPLEMENTED
            | StatusCode::BAD_REQUEST => Ok(None),
            StatusCode::NOT_FOUND if !self.goes_on && !self.host.has_heads() => Ok(None),
            _ => Err(self.failures.of_answer(&answer)),
        }
    }

    /// Reads a manifest; its bytes must have the digest that was asked for and the one that is
    /// stated.
    async fn manifest(
        &self,
        wanted: &str,
        pinned: Option<Digest>,
    ) -> Result<Fetched, ImportFailure> {
        let path = format!("{}/manifests/{wanted}", self.repository);
        let answer = self.ask(Method::GET, &path, manifest::ACCEPT).await?;
        if answer.status != StatusCode::OK {
            return Err(self.failures.of_answer(&answer));
        }
        let manifest = manifest::read(&answer.body, answer.media_type());
        // A page of a proxy or a portal has no digest to speak of.
        if let Err(ManifestError::Malformed(why)) = &manifest {
            return Err(self.failures.internal(why));
        }
        let digest = Digest::of(&answer.body);
        for expected in [pinned, answer.stated_digest()].into_iter().flatten() {
            if expected != digest {
                let media_type = wire::clean(answer.media_type().unwrap_or("unknown"));
                return Err(self.failures.integrity(&media_type, expected, digest));
            }
        }
        Ok(Fetched { digest, manifest })
    }

    /// What is kept of a manifest, with what it names.
    async fn read(&self, top: Fetched, check: &Check) -> Result<Read, ImportFailure> {
        let probed = top.digest;
        Ok(match (top.read(self.failures)?, check.mode) {
            (Manifest::Image(image), _) => (probed, self.image(&probed, &image).await?),
            (Manifest::Index(index), ImportMode::PreserveOriginal) => {
                (probed, self.whole(&probed, &index).await?)
            }
            (Manifest::Index(index), ImportMode::Legacy) => self.chosen(&index, check).await?,
        })
    }

    /// The image of an index for the platform that is asked for (rules I49, I50).
    async fn chosen(&self, index: &Index, check: &Check) -> Result<Read, ImportFailure> {
        let entry = index
            .choose(&check.platform)
            .ok_or_else(|| self.failures.internal(said::NO_PLATFORM))?;
        self.entry(entry).await
    }

    /// An index with each of its images that can run; what cannot be read fails it as a whole (rules I18, I49, I52).
    async fn whole(
        &self,
        digest: &Digest,
        index: &Index,
    ) -> Result<serde_json::Value, ImportFailure> {
        let faults = index.faults();
        if !faults.is_empty() {
            return Err(self.failures.invalid_image(*digest, &faults));
        }
        let count = index.runnable().count();
        if count > limits::REGISTRY_INDEX_IMAGES_MAX {
            let most = limits::REGISTRY_INDEX_IMAGES_MAX;
            let what = format!(
                "the index has {count} images, and at most {most} are read: use `importMode: Legacy`"
            );
            return Err(self.failures.internal(&what));
        }
        let mut images = Vec::new();
        for entry in index.runnable() {
            let (_, image) = self.entry(entry).await?;
            images.push(image);
        }
        Ok(index.metadata(digest, &images))
    }

    /// One image of an index: asked for by its digest, wherever the index was found (rule I177).
    async fn entry(&self, entry: &Descriptor) -> Result<Read, ImportFailure> {
        let digest = self.digest_of(entry)?;
        let sources = self.by_digest()?;
        let mut tried = Tried::none(self.registries, &sources, self.tally);
        while let Some(import) = tried.another() {
            // Boxed: most checks read no image of an index, and each would be as large as this.
            match Box::pin(import.image_at(digest)).await {
                Ok(read) => return Ok(read),
                Err(failure) => tried.failed(failure),
            }
        }
        Err(tried.failure())
    }

    async fn image_at(&self, digest: Digest) -> Result<Read, ImportFailure> {
        let fetched = self.manifest(&digest.to_string(), Some(digest)).await?;
        match fetched.read(self.failures)? {
            Manifest::Image(image) => Ok((digest, self.image(&digest, &image).await?)),
            Manifest::Index(inner) => {
                let message = format!("unsupported image manifest type: {}", inner.media_type);
                Err(self.failures.unsupported(message))
            }
        }
    }

    /// Reads an image's config and makes what is kept of both.
    async fn image(
        &self,
        digest: &Digest,
        image: &Image,
    ) -> Result<serde_json::Value, ImportFailure> {
        let expected = self.digest_of(&image.config)?;
        let path = format!("{}/blobs/{expected}", self.repository);
        let answer = self.ask(Method::GET, &path, "").await?;
        if answer.status != StatusCode::OK {
            let failure = self.failures.of_answer(&answer);
            // The tag is there; a manifest whose config is not is a broken image, not a missing
            // one.
            return Err(match answer.status {
                StatusCode::NOT_FOUND => self.failures.internal(&format!(
                    "{}{expected}` is missing in the registry",
                    said::NO_CONFIG
                )),
                _ => failure,
            });
        }
        let computed = Digest::of(&answer.body);
        if computed != expected {
            let media_type = wire::clean(&image.config.media_type);
            return Err(self.failures.integrity(&media_type, expected, computed));
        }
        image.metadata(digest, &answer.body).map_err(|why| self.failures.internal(&why))
    }

    fn digest_of(&self, descriptor: &Descriptor) -> Result<Digest, ImportFailure> {
        descriptor.digest.parse().map_err(|_| {
            let digest = wire::clean(&descriptor.digest);
            self.failures.internal(&format!("unsupported digest `{digest}` in the manifest"))
        })
    }
}

/// Cuts a PEM file into its certificates.
fn split_pem(bytes: &[u8]) -> io::Result<Vec<Vec<u8>>> {
    const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
    const END: &str = "-----END CERTIFICATE-----";
    let text = std::str::from_utf8(bytes).map_err(io::Error::other)?;
    let parts = text.split(BEGIN).skip(1).filter_map(|rest| rest.split_once(END));
    let found: Vec<Vec<u8>> =
        parts.map(|(body, _)| format!("{BEGIN}{body}{END}\n").into_bytes()).collect();
    match found.is_empty() {
        true => Err(io::Error::other("there is no certificate in it")),
        false => Ok(found),
    }
}
