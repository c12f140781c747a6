//! Copies an image into another repository, so that it is there as a whole before anybody is told of it (rule I181).
//!
//! What is there is not sent again, so an interrupted copy goes on where it was; what the same registry has elsewhere is
//! mounted; the rest goes from one registry to the other piece by piece. Manifests come last: one that is there means
//! that all of it is.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use reqwest::{Body, Method, StatusCode, header};
use serde::Deserialize;

use super::failure::Failures;
use super::manifest::{self, Descriptor};
use super::sources::Tried;
use super::wire::{self, Access, Answer, Ask};
use super::{Import, Registries};
use crate::action::{Check, ImportFailure};
use crate::fact::StoredManifest;
use crate::limits;
use crate::names::{Digest, Digesting};

/// Blobs of one image that are sent at once.
const BLOBS_IN_FLIGHT: usize = 3;

/// Bytes of a blob that are sent within one `registries.timeout`, at least: slower is broken.
const BYTES_PER_TIMEOUT: u64 = 8 * 1024 * 1024;

/// Blobs whose repository is remembered.
const MOUNTS_REMEMBERED: usize = 10_000;

/// Repositories that blobs were copied into, by registry: from there they can be mounted.
#[derive(Default)]
pub(super) struct Mounts(Mutex<BTreeMap<(String, Digest), String>>);

impl Mounts {
    fn find(&self, host: &str, blob: Digest) -> Option<String> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&(host.to_owned(), blob)).cloned()
    }

    fn note(&self, host: &str, blob: Digest, repository: &str) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOUNTS_REMEMBERED {
            known.pop_first();
        }
        known.insert((host.to_owned(), blob), repository.to_owned());
    }
}

/// What a manifest names.
#[derive(Deserialize)]
struct Parts {
    config: Option<Descriptor>,
    #[serde(default)]
    layers: Vec<Descriptor>,
    #[serde(default)]
    manifests: Vec<Descriptor>,
}

/// One manifest as it is sent.
struct Sent {
    media_type: String,
    bytes: Vec<u8>,
    parts: Parts,
}

/// From one repository to another.
struct Copy<'a> {
    from: &'a Import<'a>,
    to: Import<'a>,
    mounts: &'a Mounts,
}

impl Import<'_> {
    /// Copies an image where its check says so, from whichever of its places has it; it is there as a whole when this
    /// returns.
    pub(super) async fn copy(&self, check: &Check, image: Digest) -> Result<(), ImportFailure> {
        let Some(to) = &check.copy_to else { return Ok(()) };
        let registries = self.registries;
        let (host, repository) = registries.target(to)?;
        let failures = Failures { image: to, host: &host.name };
        let (host, repository) = (&*host, repository.as_str());
        let sources = self.by_digest()?;
        let mut tried = Tried::none(registries, &sources, self.tally);
        while let Some(from) = tried.another() {
            // The managed registry is the operator's own, and nobody counts there.
            let to = Import {
                registries,
                host,
                repository,
                failures,
                goes_on: false,
                insecure: false,
                namespace: None,
                tally: None,
            };
            let copy = Copy { from: &from, to, mounts: &registries.shared.mounts };
            // Boxed: few checks copy, and each would be as large as this.
            match Box::pin(copy.whole(image)).await {
                Ok(()) => return Ok(()),
                Err(failure) => tried.failed(failure),
            }
        }
        Err(tried.failure())
    }
}

impl Registries {
    /// Deletes a manifest of the managed registry; one that is not there is deleted.
    ///
    /// # Errors
    /// Why it may still be there.
    pub async fn delete_manifest(&self, manifest: &StoredManifest) -> Result<(), ImportFailure> {
        let StoredManifest { repository, digest } = manifest;
        let (host, to) = self.target(repository)?;
        let failures = Failures { image: repository, host: &host.name };
        let path = format!("{to}/manifests/{digest}");
        let (method, access) = (Method::DELETE, Access::Delete);
        let ask = Ask { method, path: &path, accept: "", access, content: None, tally: None };
        let answer = host.ask(&to, ask, failures).await?;
        match answer.status {
            StatusCode::OK
            | StatusCode::ACCEPTED
            | StatusCode::NO_CONTENT
            | StatusCode::NOT_FOUND => Ok(()),
            StatusCode::METHOD_NOT_ALLOWED => Err(failures.internal(
                "the registry does not allow deletions; turn them on there (REGISTRY_STORAGE_DELETE_ENABLED=true)",
            )),
            _ => Err(failures.of_answer(&answer)),
        }
    }
}

impl Copy<'_> {
    /// An image, or an index with all of its images.
    async fn whole(&self, digest: Digest) -> Result<(), ImportFailure> {
        if self.has(&format!("manifests/{digest}"), manifest::ACCEPT).await? {
            return Ok(());
        }
        let top = self.read(digest).await?;
        if top.parts.manifests.len() > limits::REGISTRY_INDEX_IMAGES_MAX {
            let (count, most) = (top.parts.manifests.len(), limits::REGISTRY_INDEX_IMAGES_MAX);
            let what = format!("the index has {count} images, and at most {most} are copied");
            return Err(self.to.failures.internal(&what));
        }
        for entry in &top.parts.manifests {
            let digest = self.from.digest_of(entry)?;
            if self.has(&format!("manifests/{digest}"), manifest::ACCEPT).await? {
                continue;
            }
            let image = self.read(digest).await?;
            if !image.parts.manifests.is_empty() {
                return Err(self.to.failures.internal("an index inside an index is not copied"));
            }
            self.send(digest, &image).await?;
        }
        self.send(digest, &top).await
    }

    async fn read(&self, digest: Digest) -> Result<Sent, ImportFailure> {
        let path = format!("{}/manifests/{digest}", self.from.repository);
        let answer = self.from.ask(Method::GET, &path, manifest::ACCEPT).await?;
        if answer.status != StatusCode::OK {
            return Err(self.from.failures.of_answer(&answer));
        }
        let media_type = wire::clean(answer.media_type().unwrap_or_default());
        let computed = Digest::of(&answer.body);
        if computed != digest {
            return Err(self.from.failures.integrity(&media_type, digest, computed));
        }
        let parts: Parts = serde_json::from_slice(&answer.body).map_err(|error| {
            self.from.failures.internal(&format!("the manifest {digest} cannot be read: {error}"))
        })?;
        Ok(Sent { media_type, bytes: answer.body, parts })
    }

    /// A manifest, behind everything that it names.
    async fn send(&self, digest: Digest, image: &Sent) -> Result<(), ImportFailure> {
        let Parts { config, layers, .. } = &image.parts;
        let mut blobs = BTreeMap::new();
        for blob in config.iter().chain(layers).filter(|blob| !is_elsewhere(blob)) {
            blobs.insert(self.from.digest_of(blob)?, blob.size);
        }
        let blobs = blobs.into_iter().map(|(blob, size)| self.blob(blob, size));
        stream::iter(blobs).buffer_unordered(BLOBS_IN_FLIGHT).try_collect::<()>().await?;
        let path = format!("{}/manifests/{digest}", self.to.repository);
        let content = Some((image.media_type.as_str(), image.bytes.as_slice()));
        let answer = self.ask(Method::PUT, &path, content).await?;
        match answer.status {
            StatusCode::CREATED | StatusCode::OK | StatusCode::ACCEPTED => Ok(()),
            _ => Err(self.refused(&format!("it does not take the manifest {digest}"), &answer)),
        }
    }

    /// A blob: found, mounted, or sent.
    async fn blob(&self, blob: Digest, size: u64) -> Result<(), ImportFailure> {
        let (host, repository) = (self.to.host, self.to.repository);
        if self.has(&format!("blobs/{blob}"), "").await? {
            self.mounts.note(&host.name, blob, repository);
            return Ok(());
        }
        let beside = host.name == self.from.host.name;
        let from = match beside {
            true => Some(self.from.repository.to_owned()),
            false => self.mounts.find(&host.name, blob),
        };
        let begin = match from.filter(|from| from != repository) {
            Some(from) => format!("{repository}/blobs/uploads/?mount={blob}&from={from}"),
            None => format!("{repository}/blobs/uploads/"),
        };
        let answer =
            self.ask(Method::POST, &begin, Some(("application/octet-stream", b""))).await?;
        match answer.status {
            StatusCode::CREATED => {} // mounted
            StatusCode::ACCEPTED => {
                let place = place(&answer, blob).ok_or_else(|| {
                    let host = &host.name;
                    self.to
                        .failures
                        .internal(&format!("`{host}` does not say where to send a blob"))
                })?;
                self.stream(blob, size, &place).await?;
            }
            _ => return Err(self.refused(&format!("it does not take the blob {blob}"), &answer)),
        }
        self.mounts.note(&host.name, blob, repository);
        Ok(())
    }

    /// Sends a blob as it comes; its end is held back until the digest is right.
    async fn stream(&self, blob: Digest, size: u64, place: &str) -> Result<(), ImportFailure> {
        let (from, to) = (self.from, &self.to);
        let path = format!("{}/blobs/{blob}", from.repository);
        let look = |tally, path, access| {
            let (method, accept, content) = (Method::HEAD, "", None);
            Ask { method, path, accept, access, content, tally }
        };
        let ask = look(from.tally, path.as_str(), Access::Pull);
        let request =
            from.host.begin(from.repository, (Method::GET, &path), ask, from.failures).await?;
        let timeout = from.host.timeout;
        let answer = request.timeout(within(timeout, size)).send().await;
        let answer =
            answer.map_err(|error| from.failures.of_fault(&wire::fault_of(&error, timeout)))?;
        if answer.status() != StatusCode::OK {
            let status = answer.status();
            let what = format!("the blob {blob} cannot be read: the registry answered `{status}`");
            return Err(match status.is_server_error() || status == StatusCode::UNAUTHORIZED {
                true => from.failures.passing(&what, None),
                false => from.failures.internal(&what),
            });
        }
        let wrong = Arc::<OnceLock<String>>::default();
        let body = Body::wrap_stream(checked(answer, (blob, size), Arc::clone(&wrong)));
        let head = format!("{}/blobs/{blob}", to.repository);
        let ask = look(to.tally, head.as_str(), Access::Push);
        let request = to.host.begin(to.repository, (Method::PUT, place), ask, to.failures).await?;
        let request = request
            .header(header::CONTENT_TYPE, "application/octet-stream")
            .header(header::CONTENT_LENGTH, size)
            .body(body);
        let answer = wire::fetch(request, within(to.host.timeout, size)).await;
        if let Some(wrong) = wrong.get() {
            return Err(from.failures.passing(wrong, None));
        }
        let answer = answer.map_err(|fault| to.failures.of_fault(&fault))?;
        match answer.status {
            StatusCode::CREATED | StatusCode::NO_CONTENT => Ok(()),
            _ => Err(self.refused(&format!("it does not take the blob {blob}"), &answer)),
        }
    }

    /// Whether the target has something.
    async fn has(&self, what: &str, accept: &str) -> Result<bool, ImportFailure> {
        let path = format!("{}/{what}", self.to.repository);
        let (method, access, tally) = (Method::HEAD, Access::Push, self.to.tally);
        let ask = Ask { method, path: &path, accept, access, content: None, tally };
        let answer = self.to.host.ask(self.to.repository, ask, self.to.failures).await?;
        match answer.status {
            StatusCode::OK => Ok(true),
            StatusCode::NOT_FOUND => Ok(false),
            _ => Err(self.refused("it does not say what it has", &answer)),
        }
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        content: Option<(&str, &[u8])>,
    ) -> Result<Answer, ImportFailure> {
        let (access, tally) = (Access::Push, self.to.tally);
        let ask = Ask { method, path, accept: "", access, content, tally };
        self.to.host.ask(self.to.repository, ask, self.to.failures).await
    }

    /// What the target does not do. That something is not found there says nothing of the image.
    fn refused(&self, what: &str, answer: &Answer) -> ImportFailure {
        let failures = self.to.failures;
        if matches!(answer.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
            || answer.status == StatusCode::TOO_MANY_REQUESTS
            || answer.status.is_server_error()
        {
            return failures.of_answer(answer);
        }
        let words = answer.registry_error().map(|(_, words)| format!(": {words}"));
        let (host, status) = (&self.to.host.name, answer.status);
        failures.internal(&format!(
            "cannot copy into `{host}`: {what} (`{status}`{})",
            words.unwrap_or_default()
        ))
    }
}

/// Whether a blob is never in a registry, but at an address of its own (OCI image specification, "Non-Distributable").
fn is_elsewhere(blob: &Descriptor) -> bool {
    blob.media_type.contains("nondistributable") || blob.media_type.contains(".foreign.")
}

/// How long a blob may take.
fn within(timeout: Duration, size: u64) -> Duration {
    let times = u32::try_from(size / BYTES_PER_TIMEOUT).unwrap_or(u32::MAX).saturating_add(1);
    timeout.saturating_mul(times)
}

/// Where a blob is to be sent, below `/v2/`. Only the path is taken: which host it is, is not for the answer to say.
fn place(answer: &Answer, blob: Digest) -> Option<String> {
    let base = url::Url::parse("http://registry/v2/").ok()?;
    let mut url = base.join(answer.header(header::LOCATION)?).ok()?;
    url.query_pairs_mut().append_pair("digest", &blob.to_string());
    let path = url.path().strip_prefix("/v2/")?;
    Some(format!("{path}?{}", url.query().unwrap_or_default()))
}

/// The pieces of a blob. Where they are not the blob that was asked for, the last one never comes, and `wrong` says why.
fn checked(
    answer: reqwest::Response,
    (blob, size): (Digest, u64),
    wrong: Arc<OnceLock<String>>,
) -> impl futures_util::Stream<Item = io::Result<Vec<u8>>> + Send + 'static {
    let begun = (answer, Digesting::default(), 0_u64, Some(Vec::new()), wrong);
    stream::try_unfold(begun, move |(mut answer, mut digest, mut sent, held, wrong)| async move {
        let Some(held) = held else { return Ok(None) };
        let say = |why: String| {
            let error = io::Error::other(why.clone());
            drop(wrong.set(why)); // the first word counts
            error
        };
        let next = answer.chunk().await;
        let next = next.map_err(|error| say(format!("the blob {blob} broke off: {error}")))?;
        match next {
            Some(piece) => {
                digest.take(&piece);
                sent = sent.saturating_add(piece.len() as u64);
                if sent > size {
                    return Err(say(format!("the blob {blob} has more than its {size} bytes")));
                }
                Ok(Some((held, (answer, digest, sent, Some(piece.to_vec()), wrong))))
            }
            None if sent != size => {
                Err(say(format!("the blob {blob} has {sent} bytes and not {size}")))
            }
            None => match digest.clone().end() {
                computed if computed != blob => Err(say(format!(
                    "content integrity error: the blob {blob} does not match the digest calculated from the content \
                     {computed}"
                ))),
                _ => Ok(Some((held, (answer, digest, sent, None, wrong)))),
            },
        }
    })
}
