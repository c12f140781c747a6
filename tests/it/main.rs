//! The single integration binary.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    clippy::disallowed_methods,
    reason = "tests and their helpers may panic, and their files need not be synced"
)]

mod cli;
mod corpus;
mod desired;
mod sim;
mod spec;
mod support;
mod tidy;
