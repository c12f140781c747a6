//! The adapters against the real things.

mod copying;
mod hostile;
mod logins;
mod mirror;
pub(crate) mod registry;
mod source;
mod target;
mod tokens;
mod watch;
