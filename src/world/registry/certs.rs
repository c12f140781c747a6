//! Certificates of one registry, as containers-certs.d(5) and docker keep them: in a folder named for it, `*.crt` are
//! authorities, and `NAME.cert` with `NAME.key` is what it is shown of us.
//!
//! They are read when a registry is asked first. What is wrong with them concerns that registry alone, and is told with
//! its file; nothing of a key is told, so no parser's own words (law 10).

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::reference::is_docker_hub;

/// What stands in the folder of a registry.
#[derive(Default)]
pub(super) struct Certificates {
    /// Authorities, PEM, one each.
    pub(super) roots: Vec<Vec<u8>>,
    /// Our certificate with its key, PEM.
    pub(super) identity: Option<Vec<u8>>,
    /// The folder.
    pub(super) from: Option<PathBuf>,
}

/// Reads the certificates of a registry: in the first of the folders that has one named for it.
pub(super) fn read(folders: &[PathBuf], host: &str) -> Result<Certificates, String> {
    let Some(folder) = folders.iter().find_map(|folder| folder_of(folder, host)) else {
        return Ok(Certificates::default());
    };
    let mut names = BTreeSet::new();
    let listed = std::fs::read_dir(&folder).and_then(|entries| {
        entries.map(|entry| Ok(PathBuf::from(entry?.file_name()))).collect::<io::Result<Vec<_>>>()
    });
    names.extend(listed.map_err(|error| cannot_read(&folder, &error))?);
    let of = |kind: &str| {
        let names = names.iter().filter(|name| name.extension().is_some_and(|own| own == kind));
        names.map(|name| folder.join(name)).collect::<Vec<_>>()
    };
    let mut found = Certificates { from: Some(folder.clone()), ..Certificates::default() };
    for file in of("crt") {
        found.roots.extend(authorities(&file)?);
    }
    let (ours, keys) = (of("cert"), of("key"));
    if let Some(key) = keys.iter().find(|key| !ours.contains(&key.with_extension("cert"))) {
        return Err(format!("`{}` has no certificate beside it (`.cert`)", key.display()));
    }
    for file in &ours {
        let own = identity(file)?;
        // TLS shows one certificate; which one is wanted can only be tried.
        found.identity.get_or_insert(own);
    }
    if let [first, _, ..] = &ours[..] {
        let first = first.display();
        tracing::warn!(host, %first, "of several certificates for a registry the first is used");
    }
    Ok(found)
}

/// The folder that is named for a registry, where there is one. Docker Hub is `docker.io`.
fn folder_of(folder: &Path, host: &str) -> Option<PathBuf> {
    let name = if is_docker_hub(host) { "docker.io" } else { host };
    if name.contains('/') || name.starts_with('.') {
        return None;
    }
    let path = folder.join(name);
    match std::fs::metadata(&path) {
        Ok(found) => found.is_dir().then_some(path),
        Err(error) => {
            // As podman does: what may not be looked at is not for us.
            if error.kind() == io::ErrorKind::PermissionDenied {
                let path = path.display();
                tracing::warn!(%path, %error, "cannot look for certificates");
            }
            None
        }
    }
}

fn cannot_read(path: &Path, error: &io::Error) -> String {
    format!("cannot read `{}`: {error}", path.display())
}

fn authorities(file: &Path) -> Result<Vec<Vec<u8>>, String> {
    let bytes = std::fs::read(file).map_err(|error| cannot_read(file, &error))?;
    let wrong = || format!("`{}` is not a PEM file of certificates", file.display());
    let roots = super::split_pem(&bytes).map_err(|_| wrong())?;
    for root in &roots {
        let root = CertificateDer::from_pem_slice(root).map_err(|_| wrong())?;
        RootCertStore::empty().add(root).map_err(|_| wrong())?;
    }
    Ok(roots)
}

/// A certificate of ours and its key.
fn identity(file: &Path) -> Result<Vec<u8>, String> {
    let read = |path: &Path| std::fs::read(path).map_err(|error| cannot_read(path, &error));
    let wrong =
        |path: &Path, what: &str| format!("`{}` is not a PEM file of {what}", path.display());
    let key = file.with_extension("key");
    if !key.exists() {
        return Err(format!("`{}` has no key beside it (`.key`)", file.display()));
    }
    let (certificate, secret) = (read(file)?, read(&key)?);
    let chain = CertificateDer::pem_slice_iter(&certificate).collect::<Result<Vec<_>, _>>();
    if chain.map_or(true, |chain| chain.is_empty()) {
        return Err(wrong(file, "a certificate"));
    }
    PrivateKeyDer::from_pem_slice(&secret)
        .map_err(|_| wrong(&key, "a key without a passphrase"))?;
    Ok([secret, b"\n".to_vec(), certificate].concat())
}
