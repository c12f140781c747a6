//! `tidegate check`: what it prints and how it ends.

use std::path::Path;
use std::process::{Command, Output};

const STREAM: &str = "apiVersion: image.openshift.io/v1
kind: ImageStream
metadata:
  name: web
spec:
  tags:
  - name: '3.10'
    importPolcy: {scheduled: true}
    from: {kind: DockerImage, name: docker.io/library/python:3.10}
";

const BROKEN: &str = "kind: ImageStream
apiVersion: v1
metadata: {name: Broken}
---
kind: ConfigMap
apiVersion: v1
metadata: {name: fine}
";

fn check(directory: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    command.env_clear().current_dir(directory).arg("check").args(arguments);
    command.output().unwrap()
}

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    folder
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn a_warning_shows_the_line_and_ends_with_0() {
    let folder = folder(&[("web.yaml", STREAM)]);
    let output = check(folder.path(), &[]);
    assert_eq!(output.status.code(), Some(0));
    insta::assert_snapshot!(text(&output.stdout));
    let summary = "1 files, 1 objects and 0 companions read, 0 rejected; 0 errors, 1 warnings\n";
    assert_eq!(text(&output.stderr), summary);
}

#[test]
fn a_rejected_object_ends_with_1_and_the_others_are_read() {
    let folder = folder(&[("a/broken.yaml", BROKEN)]);
    let output = check(folder.path(), &["a"]);
    assert_eq!(output.status.code(), Some(1));
    insta::assert_snapshot!(text(&output.stdout));
    assert!(text(&output.stderr).contains("0 objects and 1 companions read, 1 rejected"));
}

#[test]
fn json_has_a_format_version_and_says_what_was_rejected() {
    let folder = folder(&[("broken.yaml", BROKEN), ("web.yaml", STREAM)]);
    let output = check(folder.path(), &["--format", "json"]);
    assert_eq!(output.status.code(), Some(1));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["formatVersion"], 1);
    insta::assert_json_snapshot!(report);
}

#[test]
fn sarif_names_rules_and_places() {
    let folder = folder(&[("my folder/web.yaml", STREAM)]);
    let output = check(folder.path(), &["--format", "sarif"]);
    let log: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(log["version"], "2.1.0");
    let result = &log["runs"][0]["results"][0];
    assert_eq!(result["ruleId"], "unknown-field");
    assert_eq!(log["runs"][0]["tool"]["driver"]["rules"][0]["id"], "unknown-field");
    let place = &result["locations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"]["uri"], "my%20folder/web.yaml");
    assert_eq!(place["region"], serde_json::json!({ "startLine": 8, "startColumn": 5 }));
}

#[test]
fn ignored_files_and_the_git_folder_are_not_read() {
    let folder = folder(&[
        (".tidegateignore", "charts/\n"),
        ("charts/x.yaml", "a: [\n"),
        (".git/x.yaml", "a: [\n"),
        ("web.yaml", STREAM),
        ("notes.txt", "a: [\n"),
    ]);
    let output = check(folder.path(), &[]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stdout));
}

#[test]
fn wrong_words_end_with_64_and_a_missing_path_with_1() {
    let folder = folder(&[]);
    assert_eq!(check(folder.path(), &["--format", "xml"]).status.code(), Some(64));
    assert_eq!(check(folder.path(), &["--param", "x"]).status.code(), Some(64));
    let output = check(folder.path(), &["nowhere"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("cannot read `nowhere`"));
}

const TEMPLATE: &str = "apiVersion: v1
kind: Template
metadata: {name: t}
parameters:
- {name: NAME, required: true}
objects:
- {kind: ImageStream, apiVersion: v1, metadata: {name: \"${NAME}\"}}
";

#[test]
fn a_template_gets_its_values_from_the_file_beside_it_or_from_an_option() {
    let folder = folder(&[("t.yaml", TEMPLATE)]);
    let output = check(folder.path(), &[]);
    assert_eq!(output.status.code(), Some(1));
    insta::assert_snapshot!(text(&output.stdout));
    assert_eq!(check(folder.path(), &["--param", "NAME=a"]).status.code(), Some(0));
    std::fs::write(folder.path().join("t.params"), "NAME=b\n").unwrap();
    assert_eq!(check(folder.path(), &[]).status.code(), Some(0));
}

/// A repository of these files, with a commit.
fn repository(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = folder(files);
    let git = |arguments: &[&str]| {
        let mut command = Command::new("git");
        command.current_dir(folder.path()).args(["-c", "user.name=a", "-c", "user.email=a@b"]);
        assert!(command.args(arguments).output().unwrap().status.success(), "git {arguments:?}");
    };
    git(&["init", "-q", "-b", "main"]);
    git(&["add", "-A"]);
    git(&["commit", "-q", "-m", "c"]);
    folder
}

#[test]
fn only_the_ignore_file_at_the_root_counts_as_for_run() {
    let files = [
        ("sub/.tidegateignore", "skip/\n"),
        ("sub/skip/bad.yaml", BROKEN),
        (".tidegateignore", "charts/\n"),
        ("charts/x.yaml", "a: [\n"),
        ("web.yaml", STREAM),
    ];
    let folder = repository(&files);
    let output = check(folder.path(), &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).contains("sub/skip/bad.yaml"), "{}", text(&output.stdout));
    // Also below the root, and for a file that is named.
    let output = check(&folder.path().join("charts"), &["x.yaml"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let note = "note: `x.yaml` is not read, here or by `run`: `.tidegateignore` names it\n";
    assert!(text(&output.stderr).starts_with(note), "{}", text(&output.stderr));
}

#[test]
fn an_ignore_pattern_that_is_none_is_an_error() {
    let folder = folder(&[(".tidegateignore", "a{b\n"), ("web.yaml", STREAM)]);
    let output = check(folder.path(), &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stderr).contains("`.tidegateignore` line 1: "),
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn a_named_file_that_is_no_manifest_is_wrong_usage() {
    let folder = folder(&[("readme.txt", "x")]);
    let output = check(folder.path(), &["readme.txt"]);
    assert_eq!(output.status.code(), Some(64));
    assert!(text(&output.stderr).starts_with("error: `readme.txt` is no manifest"));
}

#[test]
fn a_symbolic_link_is_not_read_and_named() {
    let folder = folder(&[("a/broken.yaml", BROKEN)]);
    std::os::unix::fs::symlink("a/broken.yaml", folder.path().join("link.yaml")).unwrap();
    let output = check(folder.path(), &["link.yaml"]);
    assert_eq!(output.status.code(), Some(0));
    let told = text(&output.stdout);
    assert!(told.contains("warning[skipped]") && told.contains("--> link.yaml"), "{told}");
    assert!(text(&output.stderr).starts_with("0 files"), "{}", text(&output.stderr));
}

#[test]
fn namespaces_go_by_the_path_from_the_root() {
    let config = "[source.namespaces]\n\"apps/prod\" = \"prod\"\n";
    let folder = repository(&[("apps/prod/web.yaml", STREAM), ("t.toml", config)]);
    let inside = folder.path().join("apps/prod");
    for (from, config, arguments) in
        [(folder.path(), "t.toml", vec![]), (&inside, "../../t.toml", vec!["web.yaml"])]
    {
        let output = check(from, &[&["--config", config, "-o", "json"], &arguments[..]].concat());
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(report["objects"][0], "ImageStream/prod/web", "{}", text(&output.stderr));
    }
    // Without a repository the folder that is given is the root.
    std::fs::remove_dir_all(folder.path().join(".git")).unwrap();
    let output = check(&inside, &["--config", "../../t.toml", "-o", "json", "../.."]);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["objects"][0], "ImageStream/prod/web");
    assert_eq!(report["diagnostics"][0]["path"], "../../apps/prod/web.yaml");
}

#[test]
fn a_duplicate_names_both_places() {
    let folder = folder(&[("a/one.yaml", STREAM), ("a/two.yaml", STREAM)]);
    let output = check(folder.path(), &["a"]);
    let told = text(&output.stdout);
    assert!(
        told.contains("stands at a/one.yaml:1:1 already; one object has one document"),
        "{told}"
    );
    assert!(told.contains("a/two.yaml:1:1"), "{told}");
}

#[test]
fn values_of_secrets_are_not_shown() {
    let secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData:\n  password: hunter2-old\n  password: hunter2-new\n";
    let broken =
        "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {password: \"hunter2, }\n";
    let map = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: s}\ndata:\n  token: hunter2\n  token: hunter2\n";
    for manifest in [secret, broken, map] {
        let folder = folder(&[("s.yaml", manifest)]);
        for format in ["text", "json", "sarif"] {
            let output = check(folder.path(), &["-o", format]);
            assert_eq!(output.status.code(), Some(1));
            let told = text(&output.stdout);
            assert!(told.contains("s.yaml") && !told.contains("hunter2"), "{told}");
        }
    }
}
