//! The commands, through the real binary.

mod check;
mod offline;
mod output;
