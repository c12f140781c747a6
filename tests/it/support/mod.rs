//! What several suites need.

pub(crate) mod engine;
pub(crate) mod manifest;
pub(crate) mod start;
pub(crate) mod story;
