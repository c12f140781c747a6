//! What several suites need.

pub(crate) mod git;
pub(crate) mod git_server;
pub(crate) mod wait;
