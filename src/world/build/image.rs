//! Images of a build: pulled, built, tried and pushed by buildah (rules B42, B43).

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use serde_json::{Value, json};

use super::heeded::is_heeded;
use super::program::{Call, Ended, Tools, Trouble};
use super::{Isolation, words};
use crate::builds::{PostCommit, Reason, Variable};
use crate::limits::{
    BUILD_IMAGE_TRIES, BUILD_IMAGE_TRY_PAUSE, PODMAN_ACT_TIMEOUT, PODMAN_LOOK_TIMEOUT,
};
use crate::names::Digest;

/// What an image says of how it runs.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct ImageConfig {
    /// The identity of its content here.
    pub(super) id: String,
    pub(super) user: String,
    pub(super) work_folder: String,
    pub(super) env: Vec<String>,
    pub(super) entry_point: Vec<String>,
    pub(super) labels: BTreeMap<String, String>,
}

impl ImageConfig {
    /// As `buildah inspect --type image` prints it.
    pub(super) fn read(said: &str) -> Option<Self> {
        let image: Value = serde_json::from_str(said).ok()?;
        let config = image.pointer("/OCIv1/config").unwrap_or(&Value::Null);
        let text = |key: &str| config.get(key).and_then(Value::as_str).unwrap_or_default();
        let list = |key: &str| -> Vec<String> {
            let items = config.get(key).and_then(Value::as_array).into_iter().flatten();
            items.filter_map(|item| item.as_str().map(str::to_owned)).collect()
        };
        let labels = config.get("Labels").and_then(Value::as_object).into_iter().flatten();
        let label =
            |(name, value): (&String, &Value)| Some((name.clone(), value.as_str()?.to_owned()));
        Some(Self {
            id: image.get("FromImageID")?.as_str().filter(|id| !id.is_empty())?.to_owned(),
            user: text("User").to_owned(),
            work_folder: text("WorkingDir").to_owned(),
            env: list("Env"),
            entry_point: list("Entrypoint"),
            labels: labels.filter_map(label).collect(),
        })
    }
}

/// An image that is pulled.
pub(super) struct Pull<'a> {
    pub(super) image: &'a str,
    /// Also where it is here.
    pub(super) always: bool,
    pub(super) insecure: bool,
    /// A file of logins.
    pub(super) logins: &'a [u8],
}

/// What the layers of an image are of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Layers {
    /// Each of an instruction: those that are here are used.
    Each,
    /// One of all that is new.
    One,
    /// The same, as `imageOptimizationPolicy` asks for it.
    Squashed,
}

/// One run of `buildah build`.
#[derive(Clone)]
pub(super) struct Bud<'a> {
    pub(super) dockerfile: &'a Path,
    pub(super) context: &'a Path,
    /// What the image is called here.
    pub(super) tag: &'a str,
    /// What its containers are found by where it is broken off.
    pub(super) mark: &'a str,
    pub(super) args: &'a [Variable],
    pub(super) no_cache: bool,
    pub(super) layers: Layers,
    /// Folders and files of the host, and where they are seen.
    pub(super) volumes: &'a [(std::path::PathBuf, String)],
    /// For images that are not here.
    pub(super) logins: &'a [u8],
    /// Bytes, and thousandths of a processor.
    pub(super) limits: (Option<u64>, Option<u64>),
    /// Where the files of the image are put in place of an image.
    pub(super) output: Option<&'a Path>,
}

impl<'a> Bud<'a> {
    pub(super) fn of(dockerfile: &'a Path, context: &'a Path, tag: &'a str) -> Self {
        Self {
            dockerfile,
            context,
            tag,
            mark: "",
            args: &[],
            no_cache: false,
            layers: Layers::Each,
            volumes: &[],
            logins: b"{}",
            limits: (None, None),
            output: None,
        }
    }
}

impl Tools<'_> {
    /// Asks buildah something.
    pub(super) async fn ask(&mut self, arguments: &[&str]) -> Result<Ended, Trouble> {
        let program = self.config.buildah.clone();
        let patience = Some(PODMAN_LOOK_TIMEOUT);
        self.run(Call { answers: true, patience, ..Call::of(&program, arguments) }).await
    }

    /// What an image says of itself; none where it is not here.
    pub(super) async fn image(&mut self, image: &str) -> Result<Option<ImageConfig>, Trouble> {
        let ended = self.ask(&["inspect", "--type", "image", image]).await?;
        Ok(ended.is_success().then(|| ImageConfig::read(&ended.out)).flatten())
    }

    /// Pulls an image, a few times.
    pub(super) async fn pull(&mut self, pull: &Pull<'_>) -> Result<(), Trouble> {
        let Pull { image, always, insecure, logins } = *pull;
        if !always && self.image(image).await?.is_some() {
            return Ok(());
        }
        self.log.say(&format!("Pulling image {image} ..."));
        let verify = format!("--tls-verify={}", !insecure);
        let policy = if always { "always" } else { "missing" };
        let arguments = [
            "pull",
            "--quiet",
            "--retry",
            "0",
            "--policy",
            policy,
            &verify,
            "--authfile",
            "/dev/stdin",
            image,
        ];
        let program = self.config.buildah.clone();
        let call = Call { input: logins, answers: true, ..Call::of(&program, &arguments) };
        let ended = self.tried(&call, "pull", image).await?;
        match ended.is_success() {
            true => Ok(()),
            false => Err(Trouble::Failed(Reason::PullBuilderImageFailed)),
        }
    }

    /// Runs buildah a few times, until it can (rule B43).
    async fn tried(&mut self, call: &Call<'_>, doing: &str, image: &str) -> Result<Ended, Trouble> {
        let mut tries = 0;
        loop {
            tries += 1;
            let ended = self.run(call.clone()).await?;
            if ended.is_success() {
                return Ok(ended);
            }
            let why = words(&ended.words());
            if tries == BUILD_IMAGE_TRIES || is_final(&ended.words()) {
                self.log.say(&format!("error: cannot {doing} {image}: {why}"));
                return Ok(ended);
            }
            self.log.say(&format!("warning: cannot {doing} {image}, it is tried again: {why}"));
            self.pause(BUILD_IMAGE_TRY_PAUSE).await?;
        }
    }

    /// Waits, as long as the build goes on.
    pub(super) async fn pause(&self, time: std::time::Duration) -> Result<(), Trouble> {
        let end = async {
            match self.end {
                Some(end) => tokio::time::sleep_until(end).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = tokio::time::sleep_until(tokio::time::Instant::now() + time) => Ok(()),
            () = end => Err(Trouble::Deadline),
            () = self.cancel.cancelled() => Err(Trouble::Cancelled),
        }
    }

    /// Builds an image; what it prints shows in the log.
    pub(super) async fn bud(&mut self, bud: &Bud<'_>) -> Result<Ended, Trouble> {
        let program = self.config.buildah.clone();
        let (arguments, environment) = self.bud_arguments(bud);
        self.run(Call {
            program: program.as_os_str(),
            arguments,
            environment,
            input: bud.logins,
            confined: true,
            ..Call::default()
        })
        .await
    }

    fn bud_arguments(&self, bud: &Bud<'_>) -> (Vec<OsString>, Vec<(OsString, OsString)>) {
        let isolation = self.config.isolation;
        let mut arguments: Vec<OsString> = Vec::new();
        let mut add = |words: &[&str]| arguments.extend(words.iter().map(OsString::from));
        add(&["build", "--isolation", isolation.as_str(), "--format", "docker"]);
        add(&["--authfile", "/dev/stdin", "--tag", bud.tag]);
        let layers = match bud.layers {
            Layers::Each => "--layers",
            Layers::One => "--layers=false",
            Layers::Squashed => "--squash",
        };
        // How a registry is reached whose images are not known before, the host's registries.conf says.
        add(&[layers]);
        if !bud.mark.is_empty() {
            // Kept in the description of each container, and seen by no instruction that does not ask for it.
            add(&["--secret", &format!("id={},src=/dev/null", bud.mark)]);
        }
        if bud.no_cache {
            add(&["--no-cache"]);
        }
        match isolation {
            Isolation::Chroot => {}
            Isolation::Oci | Isolation::Rootless => {
                if let Some(bytes) = bud.limits.0 {
                    add(&["--memory", &format!("{bytes}b")]);
                }
                if let Some(milli) = bud.limits.1 {
                    let quota = (milli * 100).to_string();
                    add(&["--cpu-period", "100000", "--cpu-quota", &quota]);
                }
            }
        }
        let mut environment = Vec::new();
        for Variable { name, value, .. } in bud.args {
            if is_heeded(name) {
                add(&["--build-arg", &format!("{name}={value}")]);
            } else {
                // By its name alone: what stands on a command line everybody reads.
                add(&["--build-arg", name]);
                environment.push((name.into(), value.into()));
            }
        }
        for (from, to) in bud.volumes {
            add(&["--volume", &format!("{}:{to}:ro", from.display())]);
        }
        if let Some(output) = bud.output {
            add(&["--output", &format!("type=local,dest={}", output.display())]);
        }
        add(&["--file", &bud.dockerfile.display().to_string()]);
        add(&[&bud.context.display().to_string()]);
        (arguments, environment)
    }

    /// Runs the hook in a container of the image; nothing that it writes is kept (rule B42).
    pub(super) async fn post_commit(
        &mut self,
        hook: &PostCommit,
        image: &str,
        container: &str,
    ) -> Result<(), Trouble> {
        let failed = Trouble::Failed(Reason::PostCommitHookFailed);
        let Some(config) = self.image(image).await? else { return Err(failed) };
        let Some(run) = hook.words(&config.entry_point) else { return Ok(()) };
        if run.is_empty() {
            self.log
                .say("error: postCommit has arguments, and the image has no entry point for them");
            return Err(failed);
        }
        self.log.say("Running post commit hook ...");
        // One that was broken off may be there.
        self.ask(&["rm", container]).await?;
        let from = self.ask(&["from", "--pull-never", "--name", container, image]).await?;
        if !from.is_success() {
            self.log.say(&format!("error: cannot run the hook: {}", words(&from.words())));
            return Err(failed);
        }
        let program = self.config.buildah.clone();
        let isolation = self.config.isolation.as_str();
        let arguments = ["run", "--isolation", isolation, container, "--"].map(str::to_owned);
        let arguments: Vec<String> = arguments.into_iter().chain(run).collect();
        let ran = self.run(Call { confined: true, ..Call::of(&program, &arguments) }).await;
        self.remove_container(container).await;
        let ran = ran?;
        match ran.is_success() {
            true => Ok(()),
            false => {
                self.log.say(&format!("error: the post commit hook failed: {}", ran.how()));
                Err(failed)
            }
        }
    }

    /// Removes a container, also at the end of a build that is broken off.
    pub(super) async fn remove_container(&mut self, container: &str) {
        let mut command = tokio::process::Command::new(&self.config.buildah);
        command.args(["rm", container]).env_clear().env("PATH", super::program::PATH);
        command.envs(&self.config.environment);
        command.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::null());
        command.stderr(std::process::Stdio::null()).kill_on_drop(true);
        // What stays is found and removed with the build.
        drop(tokio::time::timeout(PODMAN_ACT_TIMEOUT, command.status()).await);
    }

    /// Pushes an image, a few times; its digest there.
    pub(super) async fn push(
        &mut self,
        image: &str,
        to: &str,
        (insecure, logins): (bool, &[u8]),
        digest_file: &Path,
    ) -> Result<Digest, Trouble> {
        self.log.say(&format!("Pushing image {to} ..."));
        let verify = format!("--tls-verify={}", !insecure);
        let file = digest_file.display().to_string();
        let to_registry = format!("docker://{to}");
        let arguments = [
            "push",
            "--quiet",
            "--retry",
            "0",
            &verify,
            "--authfile",
            "/dev/stdin",
            "--digestfile",
            &file,
            image,
            &to_registry,
        ];
        let program = self.config.buildah.clone();
        let call = Call { input: logins, answers: true, ..Call::of(&program, &arguments) };
        let failed = Trouble::Failed(Reason::PushImageToRegistryFailed);
        if !self.tried(&call, "push", to).await?.is_success() {
            return Err(failed);
        }
        let digest = std::fs::read_to_string(digest_file).ok();
        let Some(digest) = digest.and_then(|text| text.trim().parse().ok()) else {
            self.log.say("error: buildah does not tell the digest of what it pushed");
            return Err(failed);
        };
        self.log.say(&format!("Successfully pushed {to}@{digest}"));
        self.log.say("Push successful");
        Ok(digest)
    }
}

/// Whether another try would say the same.
fn is_final(said: &str) -> bool {
    const SIGNS: [&str; 6] = [
        "unauthorized",
        "denied",
        "manifest unknown",
        "no image found in manifest list",
        "no image found in image index",
        "invalid reference format",
    ];
    let said = said.to_lowercase();
    SIGNS.iter().any(|sign| said.contains(sign))
}

/// A file of logins out of several; of two for one registry the later counts.
pub(super) fn merged(files: &[Vec<u8>]) -> Vec<u8> {
    let mut auths = serde_json::Map::new();
    for file in files {
        let file: Value = serde_json::from_slice(file).unwrap_or_default();
        let own = file.get("auths").and_then(Value::as_object).cloned().unwrap_or_default();
        auths.extend(own);
    }
    json!({ "auths": auths }).to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_logins_of_a_build_are_one_file() {
        let files = [
            br#"{"auths": {"a": {"auth": "MQ=="}, "b": {"auth": "Mg=="}}}"#.to_vec(),
            b"no json".to_vec(),
            br#"{"auths": {"a": {"auth": "Mw=="}}, "credsStore": "x"}"#.to_vec(),
        ];
        let merged: Value = serde_json::from_slice(&merged(&files)).unwrap();
        assert_eq!(merged, json!({"auths": {"a": {"auth": "Mw=="}, "b": {"auth": "Mg=="}}}));
    }

    #[test]
    fn what_an_image_says_of_itself_is_read() {
        let said = r#"{"FromImageID": "abc", "OCIv1": {"config": {"User": "1001", "Env": ["A=b"],
            "Entrypoint": ["/e"], "Labels": {"x": "y"}}}}"#;
        let config = ImageConfig::read(said).unwrap();
        assert_eq!((config.id.as_str(), config.user.as_str()), ("abc", "1001"));
        assert_eq!(config.labels["x"], "y");
        assert!(ImageConfig::read("{}").is_none());
    }
}
