//! The adapters against the real things.

mod registry;
