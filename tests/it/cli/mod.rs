//! The commands, through the real binary.

mod check;
mod cost;
mod diff;
mod failing;
mod help;
mod offline;
mod output;
