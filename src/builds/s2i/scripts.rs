//! Where the scripts of a build come from (rule B46).

use super::{BuilderImage, LABEL_SCRIPTS, S2iError};

/// The folder of scripts in images that name none.
const FOLDER: &str = "/usr/libexec/s2i";

/// What begins the name of a folder in the builder image.
const IN_IMAGE: &str = "image://";

/// The label of older images.
const LABEL_OLD: &str = "io.s2i.scripts-url";

/// The variable of still older ones.
const VARIABLE: &str = "STI_SCRIPTS_URL=";

/// A script of a builder image.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Script {
    /// Makes the application of the sources.
    Assemble,
    /// Is what the image runs.
    Run,
    /// Prints what the next build goes on with, as an archive.
    SaveArtifacts,
}

impl Script {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Assemble, Self::Run, Self::SaveArtifacts];

    /// The name of its file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Assemble => "assemble",
            Self::Run => "run",
            Self::SaveArtifacts => "save-artifacts",
        }
    }

    /// Where sources have one of their own; the first that is there counts.
    #[must_use]
    pub fn paths_in_sources(self) -> [String; 2] {
        [".s2i", ".sti"].map(|folder| format!("{folder}/bin/{}", self.as_str()))
    }
}

/// A place where scripts can be that replace those of the builder image.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ScriptSource {
    /// `GET URL/NAME` for each script; one that is not there is none.
    Url(String),
    /// [`Script::paths_in_sources`]: moved from there, so that it is not among the sources.
    Sources,
}

/// Where to look for the scripts of a build.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ScriptPlan {
    /// The folder in the builder image of each script that is found nowhere else.
    pub folder: String,
    /// For each script the first of these that has it; it becomes a program in [`UPLOAD_SCRIPTS`](super::UPLOAD_SCRIPTS).
    /// None where the strategy names a folder of the image.
    pub sources: Vec<ScriptSource>,
}

/// Where the scripts are that a strategy names, or the sources, or the builder image.
///
/// # Errors
/// When the strategy names something else than a folder of the image or an address of the web.
pub fn script_plan(scripts: Option<&str>, builder: &BuilderImage) -> Result<ScriptPlan, S2iError> {
    let scripts = scripts.filter(|scripts| !scripts.is_empty());
    if let Some(folder) = scripts.and_then(|scripts| scripts.strip_prefix(IN_IMAGE)) {
        return Ok(ScriptPlan { folder: folder.to_owned(), sources: Vec::new() });
    }
    let mut sources = Vec::new();
    if let Some(url) = scripts {
        if !is_web(url) {
            return Err(S2iError::Scripts(url.to_owned()));
        }
        sources.push(ScriptSource::Url(url.to_owned()));
    }
    sources.push(ScriptSource::Sources);
    let variable = builder.env.iter().find_map(|line| line.strip_prefix(VARIABLE));
    let label = |name: &str| builder.labels.get(name).map(String::as_str);
    let named = [label(LABEL_SCRIPTS), label(LABEL_OLD), variable];
    let mut named = named.into_iter().flatten().filter(|text| !text.is_empty()).peekable();
    let url = named.peek().filter(|text| is_web(text));
    sources.extend(url.map(|url| ScriptSource::Url((*url).to_owned())));
    let folder = named.find_map(|text| text.strip_prefix(IN_IMAGE)).unwrap_or(FOLDER);
    Ok(ScriptPlan { folder: folder.to_owned(), sources })
}

fn is_web(url: &str) -> bool {
    let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    rest.is_some_and(|rest| !rest.is_empty())
}
