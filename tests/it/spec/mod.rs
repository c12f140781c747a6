//! One test per rule of the specifications, named by rule; `rules.txt` lists them.

mod hidden;
mod images;
mod laws;
mod pruning;
mod removals;
mod rollouts;
mod triggers;
