//! What the program says about itself: help of every command, effective settings, manual pages, completions.

use std::path::Path;
use std::process::{Command, Output};

use clap::CommandFactory as _;
use tidegate::cli::Arguments;

/// The program with nothing of this machine: no variable, an empty folder.
fn tidegate(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    command.env_clear().current_dir(folder).args(arguments);
    command
}

/// What a command printed; snapshots must not change with each version.
fn shown(output: Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
    String::from_utf8(output.stdout).unwrap().replace(env!("CARGO_PKG_VERSION"), "VERSION")
}

/// The words of every command and subcommand; of `help`, only `tidegate` itself has one.
fn commands() -> Vec<Vec<String>> {
    fn walk(command: &clap::Command, path: &[String], found: &mut Vec<Vec<String>>) {
        found.push(path.to_vec());
        for child in command.get_subcommands().filter(|child| child.get_name() != "help") {
            walk(child, &[path, &[child.get_name().to_owned()]].concat(), found);
        }
    }
    let mut found = Vec::new();
    walk(&Arguments::command(), &[], &mut found);
    found
}

#[test]
fn every_command_explains_itself() {
    let folder = tempfile::tempdir().unwrap();
    for words in commands() {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let name = [&["tidegate"][..], &words].concat().join("-");
        let help = shown(tidegate(folder.path(), &words).arg("--help").output().unwrap());
        // What clap leaves at the ends of lines is no statement.
        let help: Vec<&str> = help.lines().map(str::trim_end).collect();
        insta::assert_snapshot!(format!("help-{name}"), help.join("\n"));
        let short = shown(tidegate(folder.path(), &words).arg("-h").output().unwrap());
        assert!(short.lines().count() <= help.len(), "{name}: -h is the short one");
    }
}

#[test]
fn every_manual_page_is_made_of_the_same_words() {
    let folder = tempfile::tempdir().unwrap();
    let page = shown(tidegate(folder.path(), &["man"]).output().unwrap());
    insta::assert_snapshot!("man-tidegate", page);
    let page = shown(tidegate(folder.path(), &["man", "journal", "verify"]).output().unwrap());
    insta::assert_snapshot!("man-tidegate-journal-verify", page);
    let written = shown(tidegate(folder.path(), &["man", "--all", "man1"]).output().unwrap());
    for words in commands() {
        let name = [&["tidegate".to_owned()][..], &words].concat().join("-");
        let path = format!("man1/{name}.1");
        assert!(written.lines().any(|line| line == path), "{path} is missing in\n{written}");
        let page = std::fs::read_to_string(folder.path().join(path)).unwrap();
        assert!(page.contains(&format!(".TH {} 1", name.to_uppercase())), "{page}");
    }
    assert_eq!(written.lines().count(), commands().len());
}

/// One setting of each kind and origin.
const SETTINGS: &str = "state_dir = \"state\"
[source]
repository = \"apps\"
paths = [\"shop\", \"shared\"]
[source.namespaces]
shop = \"production\"
[imports]
interval = \"1m\"
[registries.\"localhost:5000\"]
insecure = true
[targets.deployer]
kind = \"exec\"
command = [\"./roll-out\", \"--now\"]
[targets.hook]
kind = \"webhook\"
url = \"https://deploy.example.com/hook?token=abc\"
headers = { Authorization = \"Bearer abc\" }
[routes]
default = \"hook\"
";

/// Settings of a file, a variable and flags, in a folder of its own.
fn config(arguments: &[&str]) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("tidegate.toml"), SETTINGS).unwrap();
    let mut command = tidegate(folder.path(), &["config", "--log-level", "debug"]);
    command.args(["--set", "source.branch=next"]).args(arguments);
    command.env("TIDEGATE_IMPORTS__INTERVAL", "2m").env("RUNTIME_DIRECTORY", "/run/elsewhere");
    let said = shown(command.output().unwrap());
    let said = said.replace(folder.path().to_str().unwrap(), "FOLDER");
    (folder, said)
}

#[test]
fn config_says_each_value_and_where_it_came_from() {
    let (_folder, said) = config(&[]);
    for (line, origin) in [
        ("imports.interval = \"2m\"", "# env TIDEGATE_IMPORTS__INTERVAL"),
        ("source.branch = \"next\"", "# flag --set"),
        ("log.level = \"debug\"", "# flag --log-level"),
        ("source.repository = \"FOLDER/apps\"", "# FOLDER/tidegate.toml:3"),
        ("source.poll = \"1m\"", "# default"),
    ] {
        let found = said.lines().find(|found| found.starts_with(line));
        let found = found.unwrap_or_else(|| panic!("`{line}` is missing in\n{said}"));
        assert!(found.ends_with(origin), "{found}");
    }
    assert!(!said.contains("abc"), "{said}");
    // The column of origins depends on the length of the folder's name.
    let lines: Vec<String> = said
        .lines()
        .map(|line| line.split("  ").map(str::trim).filter(|s| !s.is_empty()).collect::<Vec<_>>())
        .map(|parts| parts.join("  "))
        .collect();
    insta::assert_snapshot!("config", lines.join("\n"));
    let (_folder, json) = config(&["-o", "json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["formatVersion"], 1);
    assert_eq!(json["settings"].as_array().unwrap().len(), said.lines().count());
}

#[test]
fn what_config_prints_is_a_configuration() {
    let (folder, said) = config(&[]);
    let said = said.replace("FOLDER", folder.path().to_str().unwrap());
    // Secrets were hidden; everything else stands.
    std::fs::write(folder.path().join("again.toml"), &said).unwrap();
    let again = tidegate(folder.path(), &["config", "--config", "again.toml"]).output().unwrap();
    let values = |text: &str| {
        let line = |line: &str| line.rsplit_once("  # ").unwrap().0.trim().to_owned();
        text.lines().map(line).collect::<Vec<_>>()
    };
    assert_eq!(values(&shown(again)), values(&said));
}

#[test]
fn config_keys_explains_every_key() {
    let folder = tempfile::tempdir().unwrap();
    let keys = shown(tidegate(folder.path(), &["config", "--keys"]).output().unwrap());
    insta::assert_snapshot!("config-keys", keys);
}

#[test]
fn completions_are_scripts_that_their_shells_accept_and_know_every_command() {
    let folder = tempfile::tempdir().unwrap();
    for (shell, check) in [("bash", "-n"), ("zsh", "-n"), ("fish", "--no-execute")] {
        let script = shown(tidegate(folder.path(), &["completions", shell]).output().unwrap());
        for word in commands().into_iter().flatten() {
            assert!(script.contains(&word), "{shell} does not know `{word}`");
        }
        for option in ["worktree", "resolve", "state-dir", "exit-code"] {
            assert!(script.contains(option), "{shell} does not know `--{option}`");
        }
        let path = folder.path().join(shell);
        std::fs::write(&path, script).unwrap();
        // Debian has bash everywhere; the others are asked where they are.
        match Command::new(shell).arg(check).arg(&path).output() {
            Ok(output) => {
                let error = String::from_utf8_lossy(&output.stderr);
                assert!(output.status.success() && error.is_empty(), "{shell}: {error}");
            }
            Err(error) => {
                assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "{shell}: {error}");
                assert_ne!(shell, "bash", "bash is there");
            }
        }
    }
}
