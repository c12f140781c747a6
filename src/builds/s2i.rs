//! The Dockerfile of the Source strategy: a builder image with its own scripts, run over sources (rules B45 to B50; after
//! source-to-image `pkg/build/strategies/dockerfile/dockerfile.go`).
//!
//! It is built in a folder that has the sources in [`UPLOAD_SOURCES`], scripts that replace those of the builder image in
//! [`UPLOAD_SCRIPTS`], and the files of the n-th `Secret` or `ConfigMap` in [`upload_injection`]. Secrets go with a `RUN`
//! of their own, so that layers must not be kept where there are any: buildah has to be told `--layers=false`.

mod environment;
mod ignore;
mod scripts;
mod user;

use std::collections::{BTreeMap, BTreeSet};

use super::Provenance;
use super::path::{clean, join};
use super::quote::{
    Unwritable, check_env_names, check_label_names, checked_image, checked_path, checked_user,
    is_plain, pairs, quoted, shell_word, shown,
};
use crate::secret::names_a_secret;

pub use environment::{ENVIRONMENT_FILE, Environment, environment};
pub use ignore::{IGNORE_FILE, ignored};
pub use scripts::{Script, ScriptPlan, ScriptSource, script_plan};
pub use user::{UidRanges, assemble_user};

/// Where the sources are for the build.
pub const UPLOAD_SOURCES: &str = "upload/src";

/// Where scripts are for the build that replace those of the builder image.
pub const UPLOAD_SCRIPTS: &str = "upload/scripts";

/// Where things are put in the image, unless it says otherwise by `io.openshift.s2i.destination`.
const DESTINATION: &str = "/tmp";

/// What incremental builds carry over, in the image.
const ARTIFACTS: &str = "/tmp/artifacts.tar";

/// The folder that images of OpenShift work in.
const WORK_FOLDER: &str = "/opt/app-root/src";

const LABEL_DESTINATION: &str = "io.openshift.s2i.destination";
const LABEL_SCRIPTS: &str = "io.openshift.s2i.scripts-url";

/// Where the files of the n-th `Secret` or `ConfigMap` are for the build, from 0.
#[must_use]
pub fn upload_injection(n: usize) -> String {
    format!("upload/injections/{n}")
}

/// A builder image, as its configuration says.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct BuilderImage {
    /// By digest.
    pub reference: String,
    /// `User`, with or without a group.
    pub user: String,
    /// `Labels`.
    pub labels: BTreeMap<String, String>,
    /// `Env`: `NAME=VALUE`.
    pub env: Vec<String>,
    /// `WorkingDir`.
    pub work_folder: String,
}

/// A `Secret` or a `ConfigMap` that is there for the build.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Injection {
    /// Whether its files go when the build is done.
    pub is_secret: bool,
    /// `destinationDir`; none is the folder that the image works in, and a relative one is below that.
    pub destination: String,
    /// Its files, by their path within it.
    pub files: Vec<String>,
}

/// A build of the Source strategy.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct S2i {
    /// The image that builds.
    pub builder: BuilderImage,
    /// `scripts` of the strategy.
    pub scripts: Option<String>,
    /// The scripts that are in [`UPLOAD_SCRIPTS`]; see [`script_plan`].
    pub uploaded: BTreeSet<Script>,
    /// The image whose artifacts are carried over: an incremental build, and there is one (rule B48).
    pub previous: Option<String>,
    /// What the sources say by `.s2i/environment`; see [`environment`](fn@environment).
    pub environment: Vec<(String, String)>,
    /// What the strategy says.
    pub env: Vec<(String, String)>,
    /// What the image says of its sources.
    pub provenance: Provenance,
    /// `imageLabels` of the output.
    pub image_labels: BTreeMap<String, String>,
    /// Secrets and configuration.
    pub injections: Vec<Injection>,
    /// Who may run `assemble`.
    pub allowed_uids: UidRanges,
}

/// Why there is no Dockerfile.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum S2iError {
    /// `AssembleUserForbidden`.
    #[error("assemble would run as {}, and only users {allowed} may; set `{}` on the builder image", shown(.user), user::LABEL)]
    UserForbidden {
        /// Who it would run as.
        user: String,
        /// Who may.
        allowed: UidRanges,
    },
    /// Scripts that are neither in an image nor to be had by HTTP.
    #[error("scripts are at {}, which is neither `image://`, `http://` nor `https://`", shown(.0))]
    Scripts(String),
    /// Something that cannot stand in a Dockerfile.
    #[error(transparent)]
    Unwritable(#[from] Unwritable),
}

/// The names among these that sound like those of secrets: what the Source strategy is given as a variable stays in the
/// image (rule X42).
#[must_use]
pub fn kept_secrets<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    names.filter(|name| names_a_secret(name)).collect()
}

/// Where things are in the image.
struct Layout {
    user: String,
    /// Scripts of the builder image.
    image_scripts: String,
    /// Scripts of our own.
    scripts: String,
    sources: String,
    artifacts: String,
    uploaded: BTreeSet<Script>,
}

impl Layout {
    fn of(build: &S2i) -> Result<Self, S2iError> {
        let plan = script_plan(build.scripts.as_deref(), &build.builder)?;
        let user = assemble_user(&build.builder);
        if !build.allowed_uids.allow(&user) {
            let allowed = build.allowed_uids.clone();
            return Err(S2iError::UserForbidden { user, allowed });
        }
        let destination = build.builder.labels.get(LABEL_DESTINATION);
        let destination = destination.map(String::as_str).filter(|path| !path.is_empty());
        let destination = checked_path(destination.unwrap_or(DESTINATION))?;
        // Where the manifest names a folder of the image, that has all of them.
        let are_used = !plan.sources.is_empty();
        Ok(Self {
            user: checked_user(user)?,
            image_scripts: checked_path(&plan.folder)?,
            scripts: join(&destination, "scripts"),
            sources: join(&destination, "src"),
            artifacts: join(&destination, "artifacts"),
            uploaded: if are_used { build.uploaded.clone() } else { BTreeSet::new() },
        })
    }

    /// Where a script is.
    fn script(&self, script: Script) -> String {
        let folder =
            if self.uploaded.contains(&script) { &self.scripts } else { &self.image_scripts };
        join(folder, script.as_str())
    }

    /// Puts something into the image, as the one who assembles.
    fn copy(&self, flags: &str, from: &str, to: &str) -> String {
        let owner = &self.user;
        if is_plain(to) {
            return format!("COPY --chown={owner}:0 {flags}{from} {to}\n");
        }
        // Variables and quotes are looked for in a list, too.
        let mut escaped = String::new();
        for c in to.chars() {
            if matches!(c, '$' | '"' | '\'' | '\\') {
                escaped.push('\\');
            }
            escaped.push(c);
        }
        let paths = serde_json::json!([from, escaped]);
        format!("COPY --chown={owner}:0 {flags}{paths}\n")
    }

    fn become_user(&self) -> String {
        if self.user == "root" { String::new() } else { format!("USER {}\n", self.user) }
    }
}

impl S2i {
    /// The Dockerfile (rule B45).
    ///
    /// # Errors
    /// When something that it is made of cannot be, or must not be, in one.
    pub fn dockerfile(&self) -> Result<String, S2iError> {
        let layout = Layout::of(self)?;
        let mut text = String::new();
        if let Some(previous) = &self.previous {
            text.push_str(&save_artifacts(&layout, checked_image(previous)?));
        }
        text.push_str(&format!("FROM {}\n", checked_image(&self.builder.reference)?));
        text.push_str(&self.labels()?);
        text.push_str(&self.variables()?);
        if self.previous.is_some() {
            text.push_str(&layout.copy("--from=cached ", ARTIFACTS, ARTIFACTS));
        }
        if !layout.uploaded.is_empty() {
            text.push_str("# Copying in override assemble/run scripts\n");
            text.push_str(&layout.copy("", UPLOAD_SCRIPTS, &layout.scripts));
        }
        text.push_str("# Copying in source code\n");
        text.push_str(&layout.copy("", UPLOAD_SOURCES, &layout.sources));
        let injections = self.destinations()?;
        if !injections.is_empty() {
            text.push_str("# Copying in injected content\n");
        }
        for (at, destination) in injections.iter().enumerate() {
            text.push_str(&layout.copy("", &upload_injection(at), destination));
        }
        text.push_str(&layout.become_user());
        if self.previous.is_some() {
            text.push_str(&extract_artifacts(&layout));
        }
        text.push_str(&run(&layout, Script::Assemble, "RUN"));
        text.push_str(&self.remove_secrets(&injections)?);
        text.push_str(&run(&layout, Script::Run, "CMD"));
        Ok(text)
    }

    /// Labels (rule B45.3): none with the name or the namespace of the build (rule X43).
    fn labels(&self) -> Result<String, S2iError> {
        let mut labels = self.provenance.source_labels();
        labels.insert("io.openshift.build.image".into(), self.builder.reference.clone());
        labels.extend(self.image_labels.clone());
        let scripts = self.scripts.as_ref().filter(|scripts| !scripts.is_empty());
        let destination = self.builder.labels.get(LABEL_DESTINATION);
        let of_scripts = [(LABEL_SCRIPTS, scripts), (LABEL_DESTINATION, destination)];
        let of_scripts = of_scripts.into_iter().filter_map(|(name, value)| {
            Some((name.to_owned(), value.filter(|value| !value.is_empty())?.clone()))
        });
        labels.extend(of_scripts);
        check_label_names(labels.keys())?;
        let labels = labels.iter().map(|(name, value)| (quoted(name, '\\'), value.as_str()));
        Ok(pairs("LABEL", '\\', labels))
    }

    /// Variables (rule B45.4): of two with one name, the later one counts.
    fn variables(&self) -> Result<String, S2iError> {
        let of_build = self.provenance.env();
        let pair = |(name, value): &(String, String)| (name.clone(), value.clone());
        let mut all: Vec<(String, String)> = self.environment.iter().map(pair).collect();
        all.extend(of_build);
        all.extend(self.env.iter().map(pair));
        check_env_names(all.iter().map(|(name, _)| name))?;
        let all = all.iter().map(|(name, value)| (name.clone(), value.as_str()));
        Ok(pairs("ENV", '\\', all))
    }

    /// Where the files of each injection are in the image.
    fn destinations(&self) -> Result<Vec<String>, S2iError> {
        let work = Some(self.builder.work_folder.as_str()).filter(|path| !path.is_empty());
        let work = join("/", work.unwrap_or(WORK_FOLDER));
        let mut found = Vec::new();
        for injection in &self.injections {
            let path = clean(&injection.destination);
            let path = if path.starts_with('/') { path } else { join(&work, &path) };
            found.push(checked_path(&path)?);
        }
        Ok(found)
    }

    /// Takes the files of secrets out of the image again; one in a folder that is not ours is emptied.
    fn remove_secrets(&self, destinations: &[String]) -> Result<String, S2iError> {
        let secrets = self.injections.iter().zip(destinations);
        let secrets = secrets.filter(|(injection, _)| injection.is_secret);
        let mut lines = Vec::new();
        for (injection, destination) in secrets {
            for file in &injection.files {
                let path = shell_word(&checked_path(&join(destination, file))?);
                lines.push(format!("{{ rm -f {path} 2>/dev/null || : > {path}; }}"));
            }
        }
        if lines.is_empty() {
            return Ok(String::new());
        }
        Ok(format!("# Cleaning up injected secret content\nRUN {}\n", lines.join(" && \\\n    ")))
    }
}

/// The stage in which the previous image says what it carries over (rule B45.1).
fn save_artifacts(layout: &Layout, previous: &str) -> String {
    let script = layout.script(Script::SaveArtifacts);
    let copy = if layout.uploaded.contains(&Script::SaveArtifacts) {
        let from = join(UPLOAD_SCRIPTS, Script::SaveArtifacts.as_str());
        let copy = layout.copy("", &from, &script);
        format!("# Copying in override save-artifacts script\n{copy}")
    } else {
        "# Save-artifacts script sourced from builder image based on user input or image metadata.\n"
            .to_owned()
    };
    let (user, script) = (layout.become_user(), shell_word(&script));
    format!(
        "FROM {previous} as cached\n{copy}{user}\
         RUN if [ -s {script} ]; then {script} > {ARTIFACTS}; else touch {ARTIFACTS}; fi\n"
    )
}

fn extract_artifacts(layout: &Layout) -> String {
    let to = shell_word(&layout.artifacts);
    format!(
        "# Extract artifact content\n\
         RUN if [ -s {ARTIFACTS} ]; then mkdir -p {to}; tar -xf {ARTIFACTS} -C {to}; fi && \\\n    rm {ARTIFACTS}\n"
    )
}

/// Runs a script now or whenever the image is.
fn run(layout: &Layout, script: Script, how: &str) -> String {
    let note = if layout.uploaded.contains(&script) {
        String::new()
    } else {
        let name = script.as_str();
        let name =
            name.get(..1).unwrap_or_default().to_uppercase() + name.get(1..).unwrap_or_default();
        format!(
            "# {name} script sourced from builder image based on user input or image metadata.\n\
             # If this file does not exist in the image, the build will fail.\n"
        )
    };
    format!("{note}{how} {}\n", shell_word(&layout.script(script)))
}

#[cfg(test)]
mod tests;
