//! The adapters against the real things.

mod registry;
mod source;
mod target;
mod watch;
