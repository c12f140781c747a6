//! Everything that touches the outside; the core never does.

pub mod git;
pub mod watch;
