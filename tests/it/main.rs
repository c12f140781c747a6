//! The single integration binary.

mod spec;
mod support;
