//! The single integration binary.

mod sim;
mod spec;
mod support;
mod tidy;
