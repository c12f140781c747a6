//! Everything that touches the outside.

pub mod git;
pub mod watch;
