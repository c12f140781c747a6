//! Files that somebody hands over, and files out of images (rule B37).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::archive;
use super::image::{Bud, Layers};
use super::inputs;
use super::program::Trouble;
use super::run::Run;
use crate::builds::{ImagePath, Reason};
use crate::fact::{BinaryInput, BuildUse};

impl Run<'_> {
    /// Puts what was handed over in its place.
    pub(super) async fn unpack(
        &mut self,
        input: &BinaryInput,
        sources: &Path,
    ) -> Result<(), Trouble> {
        self.tools.log.say(match &input.as_file {
            Some(_) => "Receiving source from STDIN as file",
            None => "Receiving source from STDIN as archive ...",
        });
        let (objects, hash) = (Arc::clone(&self.builder.manifests), input.content);
        let (as_file, sources) = (input.as_file.clone(), sources.to_owned());
        let done = tokio::task::spawn_blocking(move || {
            let bytes = objects(&hash)
                .map_err(|error| Err(format!("cannot read what was handed over: {error}")))?;
            let put = || {
                std::fs::create_dir_all(&sources)?;
                match as_file {
                    Some(name) => inputs::put_file(&sources, &name, &bytes, 0o644),
                    None => archive::unpack(&bytes, &sources),
                }
            };
            put().map_err(|error| Ok(error.to_string()))
        });
        match done.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(Ok(why))) => Err(self.fetch_failed(&why)),
            Ok(Err(Err(why))) => Err(Trouble::Passing(why)),
            Err(error) => Err(Trouble::Passing(error.to_string())),
        }
    }

    /// Copies files out of images: buildah does it, so that no link in an image leads out of it.
    pub(super) async fn image_sources(&mut self, sources: &Path) -> Result<(), Trouble> {
        let images = self.spec.source.images.clone();
        for (index, source) in (0_u32..).zip(&images).filter(|(_, source)| !source.paths.is_empty())
        {
            let Some(image) = self.image_for(&BuildUse::Source(index)) else {
                return Err(self.content_failed(&"an image of `source.images` was not resolved"));
            };
            match self.pull_all(std::slice::from_ref(&image), false).await {
                Ok(()) => {}
                Err(Trouble::Failed(_)) => {
                    return Err(self.content_failed(&format!("{image} cannot be pulled")));
                }
                Err(trouble) => return Err(trouble),
            }
            let mut dockerfile = "FROM scratch\n".to_owned();
            for path in &source.paths {
                let copy = copy_of(&image, path).map_err(|why| self.content_failed(&why))?;
                dockerfile.push_str(&copy);
            }
            let folder = self.place.work.join(format!("image-{index}"));
            let copied = self.copy_out(&dockerfile, &folder).await;
            copied?;
            let merged = inputs::merge(&folder.join("out/out"), sources);
            merged.map_err(|error| self.content_failed(&error))?;
        }
        Ok(())
    }

    /// Builds a Dockerfile into a folder, and forgets the image.
    async fn copy_out(&mut self, dockerfile: &str, folder: &Path) -> Result<(), Trouble> {
        let (file, empty, out) =
            (folder.join("Dockerfile"), folder.join("empty"), folder.join("out"));
        let put = std::fs::create_dir_all(&empty)
            .and_then(|()| inputs::put_file(folder, "Dockerfile", dockerfile.as_bytes(), 0o600));
        put.map_err(|error| Trouble::Passing(format!("cannot copy out of an image: {error}")))?;
        let tag = format!("{}-source", self.place.tag);
        let mark = self.place.mark.clone();
        let bud = Bud {
            mark: &mark,
            layers: Layers::One,
            output: Some(&out),
            ..Bud::of(&file, &empty, &tag)
        };
        let ended = self.tools.bud(&bud).await?;
        self.tools.ask(&["rmi", &tag]).await?;
        match ended.is_success() {
            true => Ok(()),
            false => Err(self.content_failed(&super::words(&ended.words()))),
        }
    }

    fn content_failed(&self, why: &dyn std::fmt::Display) -> Trouble {
        self.tools.log.say(&format!("error: cannot copy files out of an image: {why}"));
        Trouble::Failed(Reason::FetchImageContentFailed)
    }
}

/// The instruction that copies a file or folder to `/out`: what is behind `/.` by its content, all else under its name.
fn copy_of(image: &str, path: &ImagePath) -> Result<String, String> {
    let ImagePath { source_path, destination_dir } = path;
    if !source_path.starts_with('/') || source_path.chars().any(char::is_control) {
        return Err(format!("{source_path:?} is no absolute path"));
    }
    let is_content = source_path.ends_with("/.") || source_path == "/";
    let mut to = PathBuf::from("/out");
    for part in destination_dir.split('/').filter(|part| !["", "."].contains(part)) {
        if part == ".." || part.chars().any(char::is_control) {
            return Err(format!("{destination_dir:?} leads outside of the sources"));
        }
        to.push(part);
    }
    let to = match (is_content, Path::new(source_path).file_name()) {
        (false, Some(name)) => to.join(name).display().to_string(),
        (_, _) => format!("{}/", to.display()),
    };
    // Nothing stands for anything else in them.
    let plain = |text: &str| text.replace('\\', "\\\\").replace('$', "\\$");
    let words = serde_json::json!([plain(source_path), plain(&to)]);
    Ok(format!("COPY --from={image} {words}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b037_a_folder_is_copied_under_its_name_and_behind_a_dot_by_its_content() {
        let copy = |from: &str, to: &str| {
            let path = ImagePath { source_path: from.into(), destination_dir: to.into() };
            copy_of("r/i@d", &path)
        };
        assert_eq!(
            copy("/usr/lib/a.jar", "lib").unwrap(),
            "COPY --from=r/i@d [\"/usr/lib/a.jar\",\"/out/lib/a.jar\"]\n"
        );
        assert_eq!(
            copy("/usr/lib/", ".").unwrap(),
            "COPY --from=r/i@d [\"/usr/lib/\",\"/out/lib\"]\n"
        );
        assert_eq!(
            copy("/usr/lib/.", "./x/").unwrap(),
            "COPY --from=r/i@d [\"/usr/lib/.\",\"/out/x/\"]\n"
        );
        for (from, to) in [("lib", "x"), ("/a", "../x"), ("/a\nRUN x", "x"), ("/a", "x\ny")] {
            assert!(copy(from, to).is_err(), "{from} {to}");
        }
    }
}
