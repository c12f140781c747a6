//! The Source strategy (rules B45 to B50).

use std::collections::BTreeSet;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::docker::Prepared;
use super::image::Layers;
use super::inputs;
use super::program::Trouble;
use super::run::Run;
use crate::builds::{
    BuilderImage, ENVIRONMENT_FILE, IGNORE_FILE, Injection, Reason, S2i, S2iError, S2iSpec, Script,
    ScriptSource, UPLOAD_SCRIPTS, UPLOAD_SOURCES, UidRanges, Variable, environment, ignored,
    kept_secrets, script_plan, upload_injection,
};
use crate::fact::BuildUse;
use crate::limits::{BUILD_SCRIPT_BYTES_MAX, BUILD_SCRIPT_TIMEOUT};
use crate::pods::SourceKind;

impl Run<'_> {
    /// Makes the Dockerfile of a build and pulls what it needs.
    pub(super) async fn source(
        &mut self,
        s2i: &S2iSpec,
        context: &Path,
        env: &[Variable],
    ) -> Result<Prepared, Trouble> {
        let builder = self.builder_image(s2i).await?;
        let previous = self.previous(s2i).await?;
        let folder = self.place.work.join("s2i");
        let sources = folder.join(UPLOAD_SOURCES);
        let disk = |error: io::Error| {
            Trouble::Passing(format!("cannot put the sources in their place: {error}"))
        };
        std::fs::create_dir_all(folder.join("upload")).map_err(disk)?;
        std::fs::rename(context, &sources).map_err(disk)?;
        remove_ignored(&sources).map_err(|error| self.fetch_failed(&error))?;
        let uploaded = self.scripts(s2i, &builder, &folder).await?;
        let environment = self.environment(&sources)?;
        let injections = self.injections(&folder)?;
        let has_secrets = injections.iter().any(|injection| injection.is_secret);
        let env: Vec<(String, String)> =
            env.iter().map(|one| (one.name.clone(), one.value.clone())).collect();
        for name in kept_secrets(env.iter().chain(&environment).map(|(name, _)| name.as_str())) {
            self.tools.log.say(&format!(
                "warning: variable `{name}` sounds like a secret, and it stays in the image"
            ));
        }
        let build = S2i {
            builder,
            scripts: Some(s2i.scripts.clone()).filter(|scripts| !scripts.is_empty()),
            uploaded,
            previous,
            environment,
            env,
            provenance: self.provenance.clone(),
            image_labels: self.image_labels(),
            injections,
            allowed_uids: UidRanges::default(),
        };
        let text = build.dockerfile().map_err(|why| self.refused(&why))?;
        inputs::put_file(&folder, "Dockerfile", text.as_bytes(), 0o600).map_err(disk)?;
        Ok(Prepared {
            dockerfile: folder.join("Dockerfile"),
            context: folder,
            args: Vec::new(),
            no_cache: false,
            // What a command takes away again is in no layer only if there is one for all of them.
            layers: if has_secrets { Layers::One } else { Layers::Each },
            volumes: self.volumes(&s2i.volumes)?,
            reason: Reason::AssembleFailed,
        })
    }

    fn refused(&self, why: &S2iError) -> Trouble {
        self.tools.log.say(&format!("error: {why}"));
        Trouble::Failed(match why {
            S2iError::UserForbidden { .. } => Reason::AssembleUserForbidden,
            S2iError::Scripts(_) | S2iError::Unwritable(_) => Reason::ManageDockerfileFailed,
        })
    }

    /// The image that builds, on this host.
    async fn builder_image(&mut self, s2i: &S2iSpec) -> Result<BuilderImage, Trouble> {
        let Some(reference) = self.image_for(&BuildUse::Strategy) else {
            let why = "the builder image was not resolved".to_owned();
            return Err(Trouble::Error(Reason::PullBuilderImageFailed, why));
        };
        self.pull_all(std::slice::from_ref(&reference), s2i.force_pull).await?;
        let image = self.tools.image(&reference).await?;
        let image = image.ok_or(Trouble::Failed(Reason::PullBuilderImageFailed))?;
        let (user, labels, env) = (image.user, image.labels, image.env);
        Ok(BuilderImage { reference, user, labels, env, work_folder: image.work_folder })
    }

    /// The image of the build before, for an incremental one; without it all is built anew (rule B48).
    async fn previous(&mut self, s2i: &S2iSpec) -> Result<Option<String>, Trouble> {
        let incremental = self.request.options.incremental.or(s2i.incremental).unwrap_or(false);
        let Some(image) = self.image_for(&BuildUse::Previous).filter(|_| incremental) else {
            return Ok(None);
        };
        match self.pull_all(std::slice::from_ref(&image), false).await {
            Ok(()) => Ok(Some(image)),
            Err(Trouble::Failed(_)) => {
                self.tools.log.say("warning: there is nothing to go on from; all is built anew");
                Ok(None)
            }
            Err(trouble) => Err(trouble),
        }
    }

    /// Puts scripts in their place that replace those of the builder image (rule B46).
    async fn scripts(
        &mut self,
        s2i: &S2iSpec,
        builder: &BuilderImage,
        folder: &Path,
    ) -> Result<BTreeSet<Script>, Trouble> {
        let plan = script_plan(Some(&s2i.scripts), builder).map_err(|why| self.refused(&why))?;
        let scripts = folder.join(UPLOAD_SCRIPTS);
        std::fs::create_dir_all(&scripts).map_err(|error| self.fetch_failed(&error))?;
        let mut found = BTreeSet::new();
        for script in Script::ALL {
            for source in &plan.sources {
                let is_there = match source {
                    ScriptSource::Sources => {
                        let taken = take_script(&folder.join(UPLOAD_SOURCES), script, &scripts);
                        taken.map_err(|error| self.fetch_failed(&error))?
                    }
                    ScriptSource::Url(url) => self.download(url, script, &scripts).await?,
                };
                if is_there {
                    found.insert(script);
                    break;
                }
            }
        }
        Ok(found)
    }

    /// Gets a script by HTTP; false where there is none.
    async fn download(&self, url: &str, script: Script, to: &Path) -> Result<bool, Trouble> {
        let url = format!("{}/{}", url.trim_end_matches('/'), script.as_str());
        let get = async {
            super::super::tls::init();
            let client = reqwest::Client::builder().timeout(BUILD_SCRIPT_TIMEOUT).build();
            let answer = client.map_err(|error| error.to_string())?.get(&url).send().await;
            let mut answer = answer.map_err(|error| error.to_string())?;
            if answer.status() == reqwest::StatusCode::NOT_FOUND {
                return Ok(None);
            }
            if !answer.status().is_success() {
                return Err(answer.status().to_string());
            }
            let mut bytes = Vec::new();
            while let Some(chunk) = answer.chunk().await.map_err(|error| error.to_string())? {
                bytes.extend_from_slice(&chunk);
                if bytes.len() > BUILD_SCRIPT_BYTES_MAX {
                    return Err("it is too large".to_owned());
                }
            }
            Ok(Some(bytes))
        };
        let got = tokio::select! {
            got = get => got,
            () = self.tools.cancel.cancelled() => return Err(Trouble::Cancelled),
        };
        let failed = |why: &dyn std::fmt::Display| {
            self.fetch_failed(&format!("cannot get the script {url}: {why}"))
        };
        let Some(bytes) = got.map_err(|why| failed(&why))? else { return Ok(false) };
        let put = inputs::put_file(to, script.as_str(), &bytes, 0o755);
        put.map(|()| true).map_err(|error| failed(&error))
    }

    fn environment(&self, sources: &Path) -> Result<Vec<(String, String)>, Trouble> {
        let Some(file) = inputs::inside(sources, ENVIRONMENT_FILE).filter(|path| path.is_file())
        else {
            return Ok(Vec::new());
        };
        let text = std::fs::read_to_string(file).map_err(|error| {
            self.fetch_failed(&format!("cannot read `{ENVIRONMENT_FILE}`: {error}"))
        })?;
        let read = environment(&text);
        for line in &read.unread {
            self.tools.log.say(&format!(
                "warning: {ENVIRONMENT_FILE}:{line} is left out: it is no NAME=VALUE"
            ));
        }
        Ok(read.values)
    }

    /// Puts the files of `Secret`s and `ConfigMap`s in their place.
    fn injections(&self, folder: &Path) -> Result<Vec<Injection>, Trouble> {
        let source = &self.spec.source;
        let secrets = source.secrets.iter();
        let secrets =
            secrets.map(|files| (SourceKind::Secret, &files.secret.name, &files.destination_dir));
        let maps = source.config_maps.iter();
        let maps = maps
            .map(|files| (SourceKind::ConfigMap, &files.config_map.name, &files.destination_dir));
        let mut injections = Vec::new();
        for (at, (kind, name, destination)) in secrets.chain(maps).enumerate() {
            let contents = self.needed(kind, name)?;
            let to = folder.join(upload_injection(at));
            let put =
                std::fs::create_dir_all(&to).and_then(|()| inputs::put_keys(&to, contents, 0o644));
            put.map_err(|error| self.fetch_failed(&error))?;
            injections.push(Injection {
                is_secret: kind == SourceKind::Secret,
                destination: destination.clone(),
                files: contents.iter().map(|(key, _)| key.clone()).collect(),
            });
        }
        Ok(injections)
    }
}

/// Takes away what `.s2iignore` names (rule B49).
fn remove_ignored(sources: &Path) -> io::Result<()> {
    let Some(file) = inputs::inside(sources, IGNORE_FILE).filter(|path| path.is_file()) else {
        return Ok(());
    };
    let text = std::fs::read_to_string(file)?;
    let mut paths = BTreeSet::new();
    list(sources, Path::new(""), &mut paths)?;
    for path in ignored(&text, &paths) {
        let path = sources.join(path);
        let removed = match std::fs::symlink_metadata(&path) {
            Ok(meta) if meta.is_dir() => std::fs::remove_dir_all(&path),
            Ok(_) => std::fs::remove_file(&path),
            Err(_) => Ok(()), // it went with a folder
        };
        removed?;
    }
    Ok(())
}

/// All files and folders below a folder; links are not followed.
fn list(root: &Path, below: &Path, paths: &mut BTreeSet<String>) -> io::Result<()> {
    for entry in std::fs::read_dir(root.join(below))? {
        let entry = entry?;
        let path: PathBuf = below.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            list(root, &path, paths)?;
        }
        paths.extend(path.to_str().map(str::to_owned));
    }
    Ok(())
}

/// Moves a script out of the sources; false where they have none. Of a link the script is copied, and the link goes: what
/// it leads to may be a part of the sources for something else as well.
fn take_script(sources: &Path, script: Script, to: &Path) -> io::Result<bool> {
    for path in script.paths_in_sources() {
        let Some(found) = inputs::inside(sources, &path).filter(|path| path.is_file()) else {
            continue;
        };
        let to = to.join(script.as_str());
        let link = sources.join(&path);
        match std::fs::symlink_metadata(&link)?.is_symlink() {
            true => std::fs::copy(found, &to).and_then(|_| std::fs::remove_file(link))?,
            false => std::fs::rename(found, &to)?,
        }
        std::fs::set_permissions(&to, std::fs::Permissions::from_mode(0o755))?;
        return Ok(true);
    }
    Ok(false)
}
