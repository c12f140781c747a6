//! Adapters against the real thing.

mod target;
