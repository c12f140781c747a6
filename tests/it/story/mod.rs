//! The main job, told on real components.

pub(crate) mod main_job;
