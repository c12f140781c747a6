//! The adapters against the real things.

mod certs;
mod copying;
mod hostile;
mod logins;
mod mirror;
pub(crate) mod registry;
mod secrets;
mod source;
pub(crate) mod target;
mod tokens;
mod watch;
