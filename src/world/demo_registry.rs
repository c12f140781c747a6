//! A small registry in memory, on loopback: what `tidegate demo` and the benches ask.
//!
//! It serves the pull side of the OCI distribution protocol: `/v2/`, manifests by tag and digest,
//! blobs and the list of tags. Images are put in by calls, not over HTTP. Its state dies with it.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderName, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde_json::json;
use tokio::task::JoinHandle;

use crate::names::Digest;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// A running registry; ends when it is dropped.
#[derive(Debug)]
pub struct DemoRegistry {
    address: SocketAddr,
    state: Shared,
    server: JoinHandle<()>,
}

/// How often it was asked for what.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct RequestCounts {
    /// HEAD requests.
    pub head: u64,
    /// GET requests.
    pub get: u64,
}

#[derive(Clone, Debug, Default)]
struct Shared(Arc<Mutex<Content>>);

#[derive(Debug, Default)]
struct Content {
    repositories: BTreeMap<String, Repository>,
    counts: RequestCounts,
}

#[derive(Debug, Default)]
struct Repository {
    tags: BTreeMap<String, Digest>,
    manifests: BTreeMap<Digest, Arc<[u8]>>,
    blobs: BTreeMap<Digest, Arc<[u8]>>,
}

impl DemoRegistry {
    /// Starts on a free port of 127.0.0.1; needs a running tokio runtime.
    ///
    /// # Errors
    ///
    /// No socket.
    pub async fn start() -> io::Result<Self> {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let state = Shared::default();
        let app = Router::new()
            .route("/v2/", axum::routing::get(|| async { StatusCode::OK }))
            .route("/v2/{*path}", axum::routing::get(serve))
            .with_state(state.clone());
        let server = tokio::spawn(async move {
            // Without an error to return: accepting goes on until the task is ended.
            axum::serve(listener, app).await.unwrap_or(());
        });
        Ok(Self { address, state, server })
    }

    /// Its address, as an image reference begins: `127.0.0.1:41234`. It speaks plain HTTP.
    #[must_use]
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Puts an image that differs with `seed` under a tag, which moves if it is there; returns its
    /// digest.
    #[must_use = "the digest is what a check will find"]
    pub fn put_image(&self, repository: &str, tag: &str, seed: &str) -> Digest {
        let layer = format!("layer of {repository} {seed}\n").into_bytes();
        let config = json!({
            "architecture": "amd64", "os": "linux", "created": "2026-01-01T00:00:00Z",
            "config": {"Labels": {"seed": seed}, "Cmd": ["/bin/true"]},
            "rootfs": {"type": "layers", "diff_ids": [Digest::of(&layer)]},
        });
        let config = config.to_string().into_bytes();
        let part = |kind, blob: &[u8]| {
            let (digest, size) = (Digest::of(blob), blob.len());
            json!({"mediaType": kind, "digest": digest, "size": size})
        };
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST,
            "config": part(CONFIG, &config), "layers": [part(LAYER, &layer)],
        });
        let manifest = manifest.to_string().into_bytes();
        let digest = Digest::of(&manifest);
        let mut content = self.state.lock();
        let repository = content.repositories.entry(repository.to_owned()).or_default();
        for blob in [layer, config] {
            repository.blobs.insert(Digest::of(&blob), blob.into());
        }
        repository.manifests.insert(digest, manifest.into());
        repository.tags.insert(tag.to_owned(), digest);
        digest
    }

    /// Points a tag at an image that the repository has; returns whether it has it.
    #[must_use = "false means that nothing moved"]
    pub fn move_tag(&self, repository: &str, tag: &str, to: &Digest) -> bool {
        let mut content = self.state.lock();
        let Some(repository) = content.repositories.get_mut(repository) else { return false };
        if !repository.manifests.contains_key(to) {
            return false;
        }
        repository.tags.insert(tag.to_owned(), *to);
        true
    }

    /// What it was asked since it started.
    #[must_use]
    pub fn requests(&self) -> RequestCounts {
        self.state.lock().counts
    }
}

impl Drop for DemoRegistry {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Content> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Answers GET, and HEAD through the same handler: axum leaves the body out.
async fn serve(State(state): State<Shared>, method: Method, Path(path): Path<String>) -> Response {
    let mut content = state.lock();
    match method == Method::HEAD {
        true => content.counts.head += 1,
        false => content.counts.get += 1,
    }
    answer(&content, &path).unwrap_or_else(|code| {
        let body = json!({"errors": [{"code": code, "message": "not known to this registry"}]});
        let kind = [(header::CONTENT_TYPE, "application/json")];
        (StatusCode::NOT_FOUND, kind, body.to_string()).into_response()
    })
}

fn answer(content: &Content, path: &str) -> Result<Response, &'static str> {
    let unknown = "NAME_UNKNOWN";
    let find = |name: &str| content.repositories.get(name).ok_or(unknown);
    if let Some(name) = path.strip_suffix("/tags/list") {
        let tags: Vec<&String> = find(name)?.tags.keys().collect();
        let body = json!({"name": name, "tags": tags}).to_string();
        return Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response());
    }
    if let Some((name, wanted)) = path.rsplit_once("/manifests/") {
        let (repository, unknown) = (find(name)?, "MANIFEST_UNKNOWN");
        let digest = wanted.parse().ok().or_else(|| repository.tags.get(wanted).copied());
        let digest = digest.ok_or(unknown)?;
        return Ok(send(repository.manifests.get(&digest).ok_or(unknown)?, &digest, MANIFEST));
    }
    if let Some((name, wanted)) = path.rsplit_once("/blobs/") {
        let (repository, unknown) = (find(name)?, "BLOB_UNKNOWN");
        let digest: Digest = wanted.parse().map_err(|_| unknown)?;
        let blob = repository.blobs.get(&digest).ok_or(unknown)?;
        return Ok(send(blob, &digest, "application/octet-stream"));
    }
    Err(unknown)
}

fn send(bytes: &Arc<[u8]>, digest: &Digest, kind: &'static str) -> Response {
    let stated = HeaderName::from_static("docker-content-digest");
    let headers = [(header::CONTENT_TYPE, kind.to_owned()), (stated, digest.to_string())];
    (headers, bytes.to_vec()).into_response()
}
