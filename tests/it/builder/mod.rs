//! The builder alone, with real buildah, registry and git (sections 4.6 to 4.9 of the triggers specification).

mod docker;
mod faults;
mod git;
mod guarded;
mod s2i;
