//! Why a build failed, in one word and in a sentence (rule B29).

use std::fmt;

/// Why a build failed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Reason {
    /// Somebody ended it.
    CancelledBuild,
    /// `output.pushSecret` is not there.
    MissingPushSecret,
    /// The repository, the archive, or a `Secret` of the source.
    FetchSourceFailed,
    /// Files out of an image.
    FetchImageContentFailed,
    /// What it is built on.
    PullBuilderImageFailed,
    /// The image is not in the registry.
    PushImageToRegistryFailed,
    /// There is no Dockerfile, or it cannot be changed.
    ManageDockerfileFailed,
    /// `contextDir` is not there, or outside.
    InvalidContextDirectory,
    /// A step of the Dockerfile failed.
    DockerBuildFailed,
    /// The assemble script failed.
    AssembleFailed,
    /// The builder image wants a user that it may not have.
    AssembleUserForbidden,
    /// `postCommit` failed.
    PostCommitHookFailed,
    /// Something else.
    GenericBuildFailed,
    /// The kernel ended it, because memory was short.
    OutOfMemoryKilled,
    /// A variable has no value.
    UnresolvableEnvironmentVariable,
    /// It took longer than it may.
    DeadlineExceeded,
}

impl Reason {
    /// The sentence, as OpenShift has it; where it has none, ours.
    #[must_use]
    pub fn message(self) -> &'static str {
        match self {
            Self::CancelledBuild => "The build was cancelled by the user.",
            Self::MissingPushSecret => "Missing push secret.",
            Self::FetchSourceFailed => "Failed to fetch the input source.",
            Self::FetchImageContentFailed => "Failed to extract image content.",
            Self::PullBuilderImageFailed => "Failed pulling builder image.",
            Self::PushImageToRegistryFailed => "Failed to push the image to the registry.",
            Self::ManageDockerfileFailed => "Failed to prepare the dockerfile for the build.",
            Self::InvalidContextDirectory => "The supplied context directory does not exist.",
            Self::DockerBuildFailed => "Dockerfile build strategy has failed.",
            Self::AssembleFailed => "Assemble script failed.",
            Self::AssembleUserForbidden => "Assemble user for S2I build is forbidden.",
            Self::PostCommitHookFailed => "Build failed because of post commit hook.",
            Self::GenericBuildFailed => "Generic Build failure - check logs for details.",
            Self::OutOfMemoryKilled => {
                "The build pod was killed due to an out of memory condition."
            }
            Self::UnresolvableEnvironmentVariable => "Unable to resolve environment variable.",
            Self::DeadlineExceeded => "The build took longer than it may.",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::CancelledBuild => "CancelledBuild",
            Self::MissingPushSecret => "MissingPushSecret",
            Self::FetchSourceFailed => "FetchSourceFailed",
            Self::FetchImageContentFailed => "FetchImageContentFailed",
            Self::PullBuilderImageFailed => "PullBuilderImageFailed",
            Self::PushImageToRegistryFailed => "PushImageToRegistryFailed",
            Self::ManageDockerfileFailed => "ManageDockerfileFailed",
            Self::InvalidContextDirectory => "InvalidContextDirectory",
            Self::DockerBuildFailed => "DockerBuildFailed",
            Self::AssembleFailed => "AssembleFailed",
            Self::AssembleUserForbidden => "AssembleUserForbidden",
            Self::PostCommitHookFailed => "PostCommitHookFailed",
            Self::GenericBuildFailed => "GenericBuildFailed",
            Self::OutOfMemoryKilled => "OutOfMemoryKilled",
            Self::UnresolvableEnvironmentVariable => "UnresolvableEnvironmentVariable",
            Self::DeadlineExceeded => "DeadlineExceeded",
        })
    }
}
