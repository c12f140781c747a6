//! A `BuildConfig` as a build on one host: the files that buildah is given (sections 4.6 to 4.8 of the triggers
//! specification). Pure.
//!
//! A build of the Docker strategy has a Dockerfile, in which [`edit`](fn@edit) changes what the manifest asks for.
//! [`images_read`] says which images it needs, so that they can be had by digest. One of the Source strategy has a
//! Dockerfile that is made for it by [`S2i::dockerfile`]. What an image says of where it comes
//! from is a [`Provenance`], and [`log_snippet`] is what its status shows of its log.

mod containerfile;
mod env;
mod linked;
mod log;
mod path;
mod provenance;
mod quote;
mod reason;
mod s2i;
mod spec;

pub use containerfile::{EditError, Edits, ImageRead, dockerfile_path, edit, images_read};
pub use env::{Variable, put, resolve};
pub use linked::{SOURCE_SECRET_ANNOTATION, linked};
pub use log::{log_path, log_snippet};
pub use provenance::Provenance;
pub use quote::Unwritable;
pub use reason::Reason;
pub use s2i::{
    BuilderImage, ENVIRONMENT_FILE, Environment, IGNORE_FILE, Injection, S2i, S2iError, Script,
    ScriptPlan, ScriptSource, UPLOAD_SCRIPTS, UPLOAD_SOURCES, UidRanges, assemble_user,
    environment, ignored, kept_secrets, script_plan, upload_injection,
};
pub use spec::{
    BuildSpec, Docker as DockerSpec, EnvVar, Git as GitSource, ImagePath, Item, PostCommit,
    S2i as S2iSpec, Volume as VolumeSpec,
};
