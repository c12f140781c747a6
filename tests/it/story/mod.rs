//! What people do with it, from end to end: the real program, a real registry, real repositories.

mod daemon;
mod demo;
mod examples;
mod failure;
mod integrated;
mod kept;
mod lost_records;
pub(crate) mod main_job;
mod past;
pub(crate) mod play;
mod pruning;
mod pushes;
mod readme;
mod source;
mod upkeep;
