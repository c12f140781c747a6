//! One test per rule of the specifications, named by rule; `rules.txt` lists them.

mod images;
mod rollouts;
