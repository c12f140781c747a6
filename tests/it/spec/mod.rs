//! One test per rule of the specifications, named by rule; `rules.txt` lists them.

mod editing;
mod hidden;
mod images;
mod laws;
mod removals;
mod rollouts;
mod triggers;
