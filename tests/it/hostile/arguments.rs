//! Hostile arguments and environments: the documented exit code, and what would have been right.

use super::{Row, Runs, faults};

type Words = &'static [&'static str];

/// The words behind the program's name, and the exit code.
#[rustfmt::skip]
pub(super) fn rows() -> Vec<Row<(Words, i32)>> {
    let row = |name, words: Words, code, says: &[&'static str]| Row::new(name, (words, code), says);
    vec![
        row("nothing", &[], 64, &["Usage: tidegate [OPTIONS] <COMMAND>", "Begin with"]),
        row("an unknown command", &["frob"], 64, &["'frob'", "--help"]),
        row("an unknown flag", &["status", "--frob"], 64, &["--frob", "Usage: tidegate status"]),
        row("a flag twice", &["--color", "never", "--color", "always", "status"], 64, &["--color", "multiple times"]),
        row("a colour that is none", &["--color", "red", "status"], 64, &["red", "never"]),
        row("a format that is none", &["status", "-o", "xml"], 64, &["xml", "text, json"]),
        row("one thing and the other", &["release", "web", "--removals"], 64, &["--removals", "cannot be used with"]),
        row("neither of two", &["release"], 64, &["OBJECT|--removals"]),
        row("a setting without a value", &["config", "--set", "x"], 64, &["flag --set", "`x`", "config --keys"]),
        row("a setting without a key", &["config", "--set", "="], 64, &["flag --set", "is not known"]),
        row("a setting out of range", &["config", "--set", "imports.interval=1ms"], 64, &["flag --set", "at least \"10s\""]),
        row("a level that is none", &["config", "--log-level", "verbose"], 64, &["flag --log-level", "`verbose` is not a level"]),
        row("an empty state directory", &["config", "--state-dir", ""], 64, &["flag --state-dir", "the path is empty"]),
        row("an object that is a path", &["status", "../../etc/passwd"], 1, &["`../../etc/passwd` names no object", "KIND/NAME"]),
        row("an object of nothing", &["status", ""], 1, &["names no object"]),
        row("an object with control characters", &["status", "a\u{1b}[31mb\n"], 1, &["there is no object"]),
        row("a namespace that is a path", &["status", "-n", "a/b", "web"], 64, &["a/b", "lower-case letters"]),
        row("a limit below zero", &["history", "--limit=-1"], 64, &["-1", "--limit"]),
        row("a limit beyond all numbers", &["history", "--limit=99999999999999999999"], 64, &["too large"]),
        row("a time that is none", &["history", "--since", "yesterday"], 64, &["yesterday", "2026-11-21T08:00:00Z", "2h"]),
        row("a time out of all times", &["history", "--since", "99999-01-01T00:00:00Z"], 64, &["expected a time like"]),
        row("a revision that is a flag", &["diff", "--", "--upload-pack=x"], 1, &["source.repository"]),
        row("a parameter without a value", &["check", "--param", "x"], 64, &["NAME=VALUE"]),
        row("a folder that is not there", &["check", "/nowhere"], 1, &["cannot read `/nowhere`"]),
        row("a daemon without a repository", &["run"], 64, &["`source.repository`", "is not set", "git repository"]),
        row("a change without a repository", &["tag", "r.io/web:1", "web:1"], 1, &["is in no git repository", "--repo"]),
        row("a repository that is not there", &["create", "is", "web", "--repo", "/nowhere"], 1, &["`/nowhere` is in no git repository"]),
        row("a repository without a name", &["create", "is", "web", "--repo", ""], 1, &["a value is required for '--repo <PATH>'"]),
        row("a push of nothing", &["tag", "a", "b:1", "--push", "--no-commit"], 1, &["--no-commit", "cannot be used with"]),
        row("an overlay without a daemon", &["tag", "--live", "r.io/web:1", "web:1"], 1, &["no daemon listens", "start it"]),
        row("an overlay that nobody could show", &["tag", "--live", "--dry-run", "r.io/web:1", "web:1"], 1, &["what git says cannot be read", "source.repository"]),
        row("an overlay that is pushed", &["tag", "--live", "r.io/web:1", "web:1", "--push"], 1, &["--push", "cannot be used with"]),
        row("an overlay of no tag", &["tag", "--live", "-d", "web"], 1, &["must be of the form <stream_name>:<tag>"]),
        row("an overlay of what has none", &["annotate", "is/web", "a=b", "--live"], 1, &["--live is for `tag` alone"]),
        row("a dry run of another kind", &["delete", "is", "web", "--dry-run=maybe"], 1, &["maybe", "client, server"]),
        row("a change of a kind that is none", &["label", "frob/web", "a=b"], 1, &["resource type \"frob\""]),
        row("triggers of nothing", &["set", "triggers"], 1, &["You must provide one or more resources"]),
        row("a trigger on an image of a registry", &["set", "triggers", "dc/web", "--from-image=r.io/x/y:1", "-c", "web"], 1, &["must point to an image stream tag"]),
        row("a trigger with control characters", &["set", "triggers", "dc/web", "--from-image=\u{1b}[31m", "-c", "w"], 1, &["does not appear to be a valid reference"]),
        row("an image with control characters", &["set", "image", "dc/web", "web=\u{1b}[31m"], 1, &["invalid image update", "\\u{1b}[31m"]),
        row("an image for no container", &["set", "image", "dc/web", "=a:1"], 1, &["invalid image update `=a:1`"]),
        row("a hook without a command", &["set", "deployment-hook", "dc/web", "--pre"], 1, &["you must specify a command"]),
        row("a variable that is none", &["set", "deployment-hook", "dc/web", "--pre", "-e", "a b=c", "--", "x"], 1, &["invalid parameter a b=c"]),
        row("fewer than no instances", &["scale", "dc/web", "--replicas=-5"], 1, &["greater than or equal to 0"]),
        row("instances beyond all numbers", &["scale", "dc/web", "--replicas=99999999999"], 1, &["--replicas", "99999999999"]),
        row("a route for every host", &["expose", "svc/web", "--wildcard-policy=All"], 1, &["only \"Subdomain\" or \"None\""]),
        row("an application of nothing", &["new-app"], 1, &["You must specify one or more images", "new-app -h"]),
        row("an application with control characters", &["new-app", "--repo", "/nowhere", "\u{1b}[31m"], 1, &["`/nowhere` is in no git repository"]),
        row("a build of nothing", &["new-build"], 1, &["You must specify one or more images", "new-build -h"]),
        row("a search with control characters", &["new-app", "-S", "\u{1b}[31m"], 1, &["no matches found"]),
        row("a search for nothing", &["new-app", "-S"], 1, &["You must specify one or more images"]),
        row("a search and a list", &["new-app", "-S", "-L"], 1, &["can't be used together"]),
        row("a variable without a name", &["new-app", "a b=c"], 1, &["invalid parameter assignment in \"a b=c\""]),
        row("a template that is none", &["new-app", "-f", "tidegate.toml"], 1, &["`tidegate.toml` holds no Template"]),
        row("a template that is not there", &["new-app", "-f", "nowhere"], 1, &["cannot read `nowhere`"]),
        row("a push of no tag", &["notify-push", "web", "r.io/web@sha256:00"], 64, &["`web`"]),
        row("a push without a digest", &["notify-push", "shop/web:1", "r.io/web:1"], 64, &["no digest", "@sha256:"]),
        row("a push of a short digest", &["notify-push", "shop/web:1", "r.io/web@sha256:00"], 64, &["invalid reference"]),
        row("a push with control characters", &["notify-push", "shop/web:1", "r.io/\u{1b}[31m"], 64, &["invalid reference"]),
        row("a shell that is none", &["completions", "tcsh"], 64, &["tcsh", "bash"]),
    ]
}

#[test]
fn hostile_arguments_end_with_their_code() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("tidegate.toml"), "state_dir = \"state\"\n").unwrap();
    let mut wrong = Vec::new();
    for row in rows() {
        let (words, code) = row.input;
        wrong.extend(row.ends(&Runs::in_folder(folder.path()).run(words), code));
    }
    assert!(wrong.is_empty(), "{}", faults(&wrong));
}

/// A variable and its value, a command, and the exit code.
type Setting = (&'static [(&'static str, &'static str)], Words, i32);

/// What stands in the environment.
#[rustfmt::skip]
pub(super) fn environment() -> Vec<Row<Setting>> {
    const STATUS: Words = &["status"];
    let row = |name, variables: &'static [_], words, code, says: &[_]| {
        Row::new(name, (variables, words, code), says)
    };
    vec![
        row("a RUST_LOG that is none", &[("RUST_LOG", "=,=,::")], STATUS, 0, &["daemon not running"]),
        row("a NO_COLOR that is odd", &[("NO_COLOR", "\u{1b}[31m"), ("CLICOLOR_FORCE", "x")], STATUS, 0, &["daemon not running"]),
        row("a terminal that is none", &[("TERM", "no-such"), ("COLUMNS", "-7"), ("LINES", "x")], &["--help"], 0, &["Usage: tidegate"]),
        row("a language that is none", &[("LANG", "xx_YY.KOI7"), ("LC_ALL", "\u{1}")], STATUS, 0, &["daemon not running"]),
        row("a time zone that is none", &[("TZ", "Mars/Olympus")], STATUS, 0, &["daemon not running"]),
        row("a home that is not there", &[("HOME", "/nowhere")], STATUS, 0, &["daemon not running"]),
        row("a folder for temporary files that is not there", &[("TMPDIR", "/nowhere")], STATUS, 0, &["daemon not running"]),
        row("a configuration that is not there", &[("TIDEGATE_CONFIG", "/nowhere.toml")], STATUS, 64, &["/nowhere.toml", "No such file"]),
        row("a level that is none", &[("TIDEGATE_LOG", "loud")], STATUS, 64, &["env TIDEGATE_LOG", "`loud` is not a level"]),
        row("a variable of no key", &[("TIDEGATE_SOURCE__POL", "1m")], STATUS, 64, &["TIDEGATE_SOURCE__POL", "did you mean `TIDEGATE_SOURCE__POLL`?"]),
        row("a variable out of range", &[("TIDEGATE_IMPORTS__INTERVAL", "1s")], STATUS, 64, &["env TIDEGATE_IMPORTS__INTERVAL", "at least \"10s\""]),
        row("a variable that is empty", &[("TIDEGATE_STATE_DIR", "")], STATUS, 64, &["env TIDEGATE_STATE_DIR", "the path is empty"]),
        row("a service's variables in a pod", &[("TIDEGATE_PORT", "tcp://10.0.0.1:80"), ("TIDEGATE_SERVICE_HOST", "10.0.0.1")], STATUS, 0, &["daemon not running"]),
        row("a folder of credentials that is not there", &[("CREDENTIALS_DIRECTORY", "/nowhere"), ("STATE_DIRECTORY", "::")], STATUS, 0, &["daemon not running"]),
    ]
}

#[test]
fn hostile_environments_end_with_their_code() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("tidegate.toml"), "state_dir = \"state\"\n").unwrap();
    let mut wrong = Vec::new();
    for row in environment() {
        let (variables, words, code) = row.input;
        let mut runs = Runs::in_folder(folder.path());
        runs.command.envs(variables.iter().copied());
        wrong.extend(row.ends(&runs.run(words), code));
    }
    // Without any variable at all, and with one that is no text.
    let bare = Row::new("an empty environment", (), &["daemon not running"]);
    let mut runs = Runs::in_folder(folder.path());
    runs.command.env_clear();
    wrong.extend(bare.ends(&runs.run(&["status"]), 0));
    use std::os::unix::ffi::OsStrExt as _;
    let bytes = Row::new("a variable that is no text", (), &["daemon not running"]);
    let mut runs = Runs::in_folder(folder.path());
    runs.command.env("TIDEGATE_X", std::ffi::OsStr::from_bytes(b"\xff\xfe"));
    wrong.extend(bytes.ends(&runs.run(&["status"]), 0));
    assert!(wrong.is_empty(), "{}", faults(&wrong));
}
