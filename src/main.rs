//! The `tidegate` program: parses arguments, calls [`tidegate::cli::run`], exits.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(tidegate::cli::run(std::env::args_os()) as u8)
}
