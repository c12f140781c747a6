//! What people do with it, from end to end: the real program, a real registry, real repositories.

mod demo;
mod examples;
mod kept;
pub(crate) mod main_job;
mod play;
mod readme;
