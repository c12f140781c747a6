//! Everything that touches the outside; the core never does.

pub mod target;
pub mod tls;
