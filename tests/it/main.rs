//! The single integration binary.

mod adapter;
mod support;
