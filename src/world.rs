//! Everything that touches the outside; the core never does.

pub mod demo_registry;
pub mod git;
pub mod registry;
pub mod target;
pub mod tls;
pub mod watch;
