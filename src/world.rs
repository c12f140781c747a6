//! Everything that touches the outside; the core never does.

pub mod demo_registry;
pub mod registry;
pub mod tls;
