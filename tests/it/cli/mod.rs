//! The commands, through the real binary.

mod check;
mod diff;
mod offline;
mod output;
