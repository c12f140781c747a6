//! Hostile input at every door: each row of each table names what comes in, and what has to be said about it. Whatever
//! it is, the daemon goes on, or the command ends with its documented code; nobody panics.

mod answers;
mod archives;
mod arguments;
mod config;
mod folder;
mod hooks;
mod host;
mod journal;
mod manifests;
mod pods;
mod printed;
mod registry;
mod repository;
mod socket;

use std::path::Path;
use std::process::{Command, Output, Stdio};

/// One hostile input.
#[derive(Clone)]
struct Row<T> {
    name: &'static str,
    input: T,
    /// Parts of what is said: what, where, why, what to do. Nothing for what is left alone.
    says: Vec<&'static str>,
}

impl<T> Row<T> {
    fn new(name: &'static str, input: T, says: &[&'static str]) -> Self {
        Self { name, input, says: says.to_vec() }
    }

    /// Its name as a part of a path.
    fn slug(&self) -> String {
        let word = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
        self.name.chars().map(word).collect()
    }

    /// What is missing in a text, or must never be in it.
    fn check(&self, told: &str) -> Option<String> {
        let missing: Vec<_> = self.says.iter().filter(|part| !told.contains(**part)).collect();
        if told.contains("panicked") || told.contains("RUST_BACKTRACE") {
            return Some(format!("{}: it panicked: {told}", self.name));
        }
        if told.chars().any(|c| c.is_control() && c != '\n') {
            return Some(format!("{}: control characters: {told:?}", self.name));
        }
        (!missing.is_empty()).then(|| format!("{}: no {missing:?} in: {told}", self.name))
    }
}

impl<T> Row<T> {
    /// What is wrong with how a command ended.
    fn ends(&self, output: &Output, code: i32) -> Option<String> {
        let [out, err] = [&output.stdout, &output.stderr].map(|b| String::from_utf8_lossy(b));
        if output.status.code() != Some(code) {
            let status = output.status;
            return Some(format!("{}: {status}, expected {code}: {out}{err}", self.name));
        }
        self.check(&format!("{out}{err}"))
    }
}

/// The program in a folder, with nothing else from outside.
struct Runs {
    command: Command,
}

impl Runs {
    fn in_folder(folder: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
        let path = std::env::var_os("PATH").unwrap_or_default();
        command.env_clear().env("PATH", path).env("HOME", folder).current_dir(folder);
        command.stdin(Stdio::null());
        Self { command }
    }

    fn run(mut self, words: &[&str]) -> Output {
        self.command.args(words).output().unwrap()
    }
}

fn faults(wrong: &[String]) -> String {
    format!("{} rows:\n{}", wrong.len(), wrong.join("\n"))
}

#[test]
fn there_are_a_hundred_rows_and_more() {
    let doors = [
        ("manifests", manifests::rows().len()),
        ("configuration", config::count()),
        ("arguments", arguments::rows().len()),
        ("environment", arguments::environment().len()),
        ("registry", registry::rows().len()),
        ("repository", repository::rows().len() + repository::trees().len()),
        ("socket", socket::rows().len()),
        ("webhooks", hooks::rows().len()),
        ("webhooks of builds", hooks::build_rows().len()),
        ("answers of webhooks", answers::rows().len()),
        ("pods", pods::rows().len() + pods::cron_rows().len()),
        ("what podman prints", printed::rows().len()),
        ("files of units", folder::rows().len()),
        ("archives", archives::rows().len()),
        ("journal", journal::rows().len()),
    ];
    let all: usize = doors.iter().map(|(_, rows)| rows).sum();
    assert!(all >= 100, "{all} rows: {doors:?}");
}
