//! Adapters against the real thing.

mod source;
mod watch;
