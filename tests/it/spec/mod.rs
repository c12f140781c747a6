//! One test per rule of the specifications, named by rule; `rules.txt` lists them.

mod allowed;
mod editing;
mod fetching;
mod following;
mod hidden;
mod hints;
mod images;
mod importing;
mod laws;
mod listing;
mod local;
mod lookup;
mod mirrors;
mod objects;
mod outlined;
mod overlays;
mod printed;
mod pruning;
mod pushes;
mod quota;
mod references;
mod removals;
mod rollouts;
mod schedule;
mod traps;
mod triggers;
