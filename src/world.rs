//! Everything that touches the outside; the core never does.

pub mod build;
pub mod demo_registry;
pub mod git;
mod perform;
pub mod registry;
pub mod tar;
pub mod target;
pub mod tls;
pub mod watch;

pub use perform::World;
