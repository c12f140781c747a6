//! The adapters against the real things.

mod mirror;
pub(crate) mod registry;
mod source;
mod target;
mod watch;
