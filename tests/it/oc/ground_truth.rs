//! Against what the real `oc` printed for the same objects. Runs where the shared folder is next to the clone.
//!
//! What differs on purpose is in [`DIFFERENT`], with its rule; everything else must be the same to the byte.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::printed;

/// Files that are not compared as they are, and why.
const DIFFERENT: &[(&str, &str)] = &[];

#[expect(clippy::print_stdout, reason = "a suite that is skipped says so")]
pub(super) fn ground_truth() -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/oc-ground-truth");
    if path.join("README.md").is_file() {
        return Some(path);
    }
    println!("skipped: there is no ground truth at {}", path.display());
    None
}

pub(super) fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The second at which each description was printed.
fn times(dir: &Path) -> BTreeMap<String, String> {
    let index: serde_json::Value =
        serde_json::from_str(&read(&dir.join("index-describe.json"))).unwrap();
    let times = index.as_object().unwrap().iter();
    times.map(|(name, entry)| (name.clone(), entry["now"].as_str().unwrap().to_owned())).collect()
}

#[test]
fn streams_are_described_as_the_real_oc_describes_them() {
    let Some(dir) = ground_truth() else { return };
    let mut compared = 0;
    for (name, now) in times(&dir) {
        let (manifest, wanted) =
            (dir.join(format!("{name}.yaml")), dir.join(format!("{name}.describe.txt")));
        if !manifest.is_file() || DIFFERENT.iter().any(|(file, _)| *file == name) {
            continue;
        }
        let file = manifest.to_str().unwrap();
        let found = printed(&["describe", "is", &name, "-n", "test", "-f", file, "--now", &now]);
        assert_eq!(found, read(&wanted), "{name}");
        compared += 1;
    }
    assert_eq!(compared, 19, "streams that were compared");
}

#[test]
fn a_tag_is_described_as_the_real_oc_describes_it() {
    let Some(dir) = ground_truth() else { return };
    let stream = dir.join("a01-one-tag.yaml");
    let image = dir.join("istag-a01-one-tag_3.5.image.yaml");
    let now = times(&dir)["a01-one-tag"].clone();
    let files = [stream.to_str().unwrap(), image.to_str().unwrap()];
    let name = "a01-one-tag:3.5";
    let [stream, image] = files;
    let arguments =
        ["describe", "istag", name, "-n", "test", "-f", stream, "-f", image, "--now", &now];
    let wanted = read(&dir.join("istag-a01-one-tag_3.5.describe.txt"));
    assert_eq!(printed(&arguments), wanted);
}

/// Runs `get` on the streams that the real server had, at the second at which the real one ran.
fn get(dir: &Path, now: &str, arguments: &[&str]) -> String {
    let input = dir.join("get-is.input.yaml");
    let now = read(&dir.join(now));
    let common = ["-f", input.to_str().unwrap(), "--now", now.trim()];
    printed(&[&["get"], arguments, &common].concat())
}

#[test]
fn streams_are_listed_as_the_real_oc_lists_them() {
    let Some(dir) = ground_truth() else { return };
    let wanted = |file: &str| read(&dir.join(file));
    assert_eq!(get(&dir, "get-is.now", &["is", "-n", "test"]), wanted("get-is.txt"));
    let wide = get(&dir, "get-is-wide.now", &["is", "-n", "test", "-o", "wide"]);
    assert_eq!(wide, wanted("get-is-wide.txt"));
    assert_eq!(get(&dir, "get-is-all.now", &["is", "-A"]), wanted("get-is-A.txt"));
    let names = get(&dir, "get-is.now", &["is", "-n", "test", "-o", "name"]);
    assert_eq!(names, wanted("get-is-name.txt"));
}

/// The order inside a stream is that of a map of the server (rule I122).
fn sorted(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = text.lines().collect();
    lines[1..].sort_unstable();
    lines
}

#[test]
fn tags_are_listed_as_the_real_oc_lists_them() {
    let Some(dir) = ground_truth() else { return };
    let wanted = |file: &str| read(&dir.join(file));
    let found = get(&dir, "get-istag.now", &["istag", "-n", "test"]);
    assert_eq!(sorted(&found), sorted(&wanted("get-istag.txt")));
    let found = get(&dir, "get-istag-wide.now", &["istag", "-n", "test", "-o", "wide"]);
    assert_eq!(sorted(&found), sorted(&wanted("get-istag-wide.txt")));
    let found = get(&dir, "get-imagetags.now", &["imagetags", "-n", "test"]);
    assert_eq!(found, wanted("get-imagetags.txt"));
}

#[test]
fn an_object_is_written_as_yaml_as_the_real_oc_writes_it() {
    let Some(dir) = ground_truth() else { return };
    // A list that the real `oc get is -o yaml` printed, read and written again.
    let found = get(&dir, "get-is.now", &["is", "-n", "test", "-o", "yaml"]);
    assert_eq!(found, read(&dir.join("get-is.input.yaml")));
}
