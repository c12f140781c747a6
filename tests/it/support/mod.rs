//! What several suites need.
