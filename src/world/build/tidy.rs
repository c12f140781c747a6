//! What is taken away: of a build that ended, and of those that are not remembered any more.

use std::path::Path;

use super::Builder;
use super::run::Run;
use crate::action::{BuildReport, TidyBuilds};
use crate::fact::BuildEnd;
use crate::limits::PODMAN_ACT_TIMEOUT;

impl Builder {
    /// Takes away what is left of builds that are not remembered any more: logs, images, working directories.
    pub async fn tidy(&self, tidy: &TidyBuilds) {
        let left = match self.0.places.left(&tidy.object) {
            Ok(left) => left,
            Err(error) => {
                tracing::warn!(%error, "cannot look what builds left behind");
                return;
            }
        };
        let is_gone = |seq| seq <= tidy.until && !tidy.keep.contains(&seq);
        for (_, made, path) in left.into_iter().filter(|(seq, _, _)| is_gone(*seq)) {
            // It may never have been built, or somebody removed it.
            buildah(&self.0.config, &["rmi", &made.tag]).await;
            remove_all(&self.0.config, &self.0.places.work_of(&path)).await;
            let log = self.0.places.log_of(&tidy.object, &made.name);
            for file in [&log, &path] {
                match std::fs::remove_file(file) {
                    Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                        tracing::warn!(path = %file.display(), %error, "cannot remove what a build left behind");
                    }
                    Ok(()) | Err(_) => {}
                }
            }
        }
    }
}

impl Run<'_> {
    /// Takes away what a build needs no more when it ended.
    pub(super) async fn clear(&mut self, report: &BuildReport) {
        let is_whole = match report {
            BuildReport::Ended(ended) => ended.end == BuildEnd::Complete,
            BuildReport::Transient { .. } => false,
        };
        if !is_whole {
            self.clear_containers().await;
        }
        remove_all(self.tools.config, &self.place.work).await;
    }

    /// Removes containers of this build that were left where it was broken off: buildah removes them at its own end alone.
    pub(super) async fn clear_containers(&mut self) {
        let config = self.tools.config;
        let Some(root) = graph_root(config).await else { return };
        let mark = self.place.mark.clone();
        let found = tokio::task::spawn_blocking(move || containers(Path::new(&root), &mark)).await;
        for container in found.unwrap_or_default() {
            buildah(config, &["rm", &container]).await;
        }
    }
}

/// Where buildah keeps images and containers.
async fn graph_root(config: &super::BuilderConfig) -> Option<String> {
    let said = buildah(config, &["info"]).await?;
    let info: serde_json::Value = serde_json::from_str(&said).ok()?;
    Some(info.pointer("/store/GraphRoot")?.as_str()?.to_owned())
}

/// The containers whose description has a mark.
fn containers(root: &Path, mark: &str) -> Vec<String> {
    let folders = |path: &Path| {
        let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect::<Vec<_>>()
    };
    let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
    let stores = folders(root).into_iter();
    let stores = stores.filter(|path| name(path).is_some_and(|name| name.ends_with("-containers")));
    let all = stores.flat_map(|store| folders(&store));
    let is_ours = |path: &std::path::PathBuf| {
        let state = std::fs::read_to_string(path.join("userdata/buildah.json"));
        state.is_ok_and(|state| state.contains(mark))
    };
    all.filter(is_ours).filter_map(|path| name(&path)).collect()
}

/// Runs buildah beside a build; what it prints, where it can do what it is asked for.
async fn buildah(config: &super::BuilderConfig, arguments: &[&str]) -> Option<String> {
    let mut command = tokio::process::Command::new(&config.buildah);
    command
        .args(arguments)
        .env_clear()
        .env("PATH", super::program::PATH)
        .envs(&config.environment)
        .stdin(std::process::Stdio::null())
        .kill_on_drop(true);
    let answer = tokio::time::timeout(PODMAN_ACT_TIMEOUT, command.output()).await.ok()?.ok()?;
    answer.status.success().then(|| String::from_utf8_lossy(&answer.stdout).into_owned())
}

/// Removes a folder, also one with files of other users of the namespace that buildah makes.
async fn remove_all(config: &super::BuilderConfig, folder: &Path) {
    let path = folder.to_owned();
    let removed = tokio::task::spawn_blocking(move || std::fs::remove_dir_all(path)).await;
    match removed {
        Ok(Err(error)) if error.kind() != std::io::ErrorKind::NotFound => {
            let path = folder.display().to_string();
            buildah(config, &["unshare", "--", "rm", "-rf", "--", &path]).await;
            if folder.exists() {
                tracing::warn!(path, %error, "cannot remove the working directory of a build");
            }
        }
        Ok(_) | Err(_) => {}
    }
}
