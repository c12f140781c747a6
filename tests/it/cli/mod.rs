//! The commands, through the real binary.

mod check;
mod diff;
mod help;
mod offline;
mod output;
