//! The adapters against the real things.

mod registry;
mod source;
mod watch;
//! Adapters against the real thing.

mod target;
