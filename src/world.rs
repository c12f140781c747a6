//! Everything that touches the outside; the core never does.

pub mod registry;
pub mod tls;
