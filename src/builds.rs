//! A `BuildConfig` as a build on one host: the files that buildah is given (sections 4.6 to 4.8 of the triggers
//! specification). Pure.
//!
//! A build of the Docker strategy has a Dockerfile, in which [`edit`](fn@edit) changes what the manifest asks for.
//! [`images_read`] says which images it needs, so that they can be had by digest. What an image says of where it comes
//! from is a [`Provenance`], and [`log_snippet`] is what its status shows of its log.

mod containerfile;
mod log;
mod path;
mod provenance;
mod quote;

pub use containerfile::{EditError, Edits, ImageRead, dockerfile_path, edit, images_read};
pub use log::log_snippet;
pub use provenance::{Commit, Provenance};
