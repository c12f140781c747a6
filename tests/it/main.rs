//! The single integration binary.

mod journal;
mod support;
