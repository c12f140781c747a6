//! The single integration binary.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::wildcard_enum_match_arm,
    reason = "tests and their helpers may panic, and their files need not be synced"
)]

mod adapter;
mod builder;
mod cli;
mod corpus;
mod desired;
mod edit;
mod fire;
mod fuzzed;
mod hostile;
mod journal;
mod oc;
mod reports;
mod sim;
mod spec;
mod story;
mod support;
mod tidy;
mod transcripts;
