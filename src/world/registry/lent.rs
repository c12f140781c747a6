//! The login for an image, lent to another program that pulls it (rule R7).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use std::sync::Arc;

use super::logins::{self, Login};
use super::secrets::OwnLogins;
use super::{Registries, RegistryConfig, RegistryConfigError, SecretFolder};
use crate::names::Namespace;
use crate::pods::Contents;
use crate::reference::{ImageReference, is_docker_hub};

/// What stands for the user where a login is a token alone.
const NO_USER: &str = "00000000-0000-0000-0000-000000000000";

impl Registries {
    /// A file of logins with the one that an image of a namespace is pulled with; none where there is none. A secret.
    pub(in crate::world) async fn lend(
        &self,
        image: &str,
        namespace: &Namespace,
    ) -> Option<Vec<u8>> {
        let image: ImageReference = image.parse().ok()?;
        let folder = self.shared.secrets.clone();
        let own = folder.map(|folder| OwnLogins { folder, namespace: namespace.clone() });
        let (host, repository) = (image.registry_host(), image.repository_path());
        let files = &self.shared.config.auth_files;
        let found = logins::find(own.as_ref(), files, &host, &repository).await;
        let login = found.found.into_iter().next()?;
        let host = if is_docker_hub(&host) { "docker.io" } else { &host };
        Some(login.file(host))
    }
}

impl Registries {
    /// Files with all logins that a namespace has and that stand in files, for a program that pulls images which nobody
    /// knows before; of two for one registry the later counts. A secret.
    pub(in crate::world) async fn lend_all(&self, namespace: &Namespace) -> Vec<Vec<u8>> {
        let mut all = Vec::new();
        for file in self.shared.config.auth_files.iter().rev() {
            all.extend(logins::bytes(file).await.ok().flatten());
        }
        let (own, namespace) = (self.clone(), namespace.clone());
        let own = tokio::task::spawn_blocking(move || own.own_secrets(&namespace)).await;
        for (_, secret) in own.unwrap_or_default() {
            all.extend(file_of(&secret));
        }
        all
    }

    /// The same registries with the logins of one folder in place of their own Secrets.
    pub(in crate::world) fn with_secrets(
        &self,
        folder: SecretFolder,
    ) -> Result<Self, RegistryConfigError> {
        let config = RegistryConfig { secrets: Some(folder), ..self.shared.config.clone() };
        Self::new(config, Arc::clone(&self.shared.keep))
    }

    /// Whether the settings let an image's registry be reached by plain HTTP or with an unverified certificate.
    pub(in crate::world) fn is_insecure(&self, image: &ImageReference) -> bool {
        let insecure = &self.shared.config.insecure;
        insecure.contains(&image.registry_host())
            || image.registry.as_ref().is_some_and(|host| insecure.contains(host))
    }

    /// The Secrets of a namespace that stand outside of git. It blocks.
    pub(in crate::world) fn own_secrets(&self, namespace: &Namespace) -> Vec<(String, Contents)> {
        let folder = self.shared.secrets.as_ref();
        folder.map(|folder| folder.contents(namespace)).unwrap_or_default()
    }
}

/// The file of logins that a Secret holds; none where it holds none.
pub(in crate::world) fn file_of(secret: &Contents) -> Option<Vec<u8>> {
    let entries = secret.get(".dockercfg");
    let entries = entries.map(|entries| [&b"{\"auths\":"[..], entries, b"}"].concat());
    secret.get(".dockerconfigjson").map(<[u8]>::to_vec).or(entries)
}

impl Login {
    /// The login as a file of logins that has it alone.
    fn file(&self, host: &str) -> Vec<u8> {
        let entry = match (self.words(), self.refresh_token()) {
            (Some(words), _) => json!({"auth": STANDARD.encode(words)}),
            (None, token) => {
                json!({"auth": STANDARD.encode(format!("{NO_USER}:")), "identitytoken": token})
            }
        };
        json!({"auths": {host: entry}}).to_string().into_bytes()
    }
}
