//! The single integration binary.

mod support;
