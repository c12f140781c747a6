//! The adapters against the real things.

mod mirror;
mod registry;
mod source;
mod target;
mod watch;
