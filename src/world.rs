//! Everything that touches the outside.

pub mod git;
pub mod registry;
pub mod tls;
pub mod watch;
