//! Inputs that a fuzz target found, or begins with, through the same code without a fuzzer.

use std::path::Path;

#[path = "../../fuzz/targets.rs"]
mod targets;

/// Runs every file of `folder/TARGET/` through its target.
fn replay(folder: &Path) -> usize {
    let mut count = 0;
    for (name, target) in targets::ALL {
        let Ok(entries) = std::fs::read_dir(folder.join(name)) else { continue };
        for entry in entries {
            let path = entry.unwrap().path();
            let bytes = std::fs::read(&path).unwrap();
            let caught = std::panic::catch_unwind(|| target(&bytes));
            assert!(caught.is_ok(), "target `{name}` does not hold with `{}`", path.display());
            count += 1;
        }
    }
    count
}

#[test]
fn what_fuzzing_found_stays_fixed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let replayed = replay(&root.join("tests/it/fuzzed"));
    assert!(replayed >= 5, "{replayed} inputs that were kept");
}

#[test]
fn what_fuzzing_begins_with_holds() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let replayed = replay(&root.join("fuzz/seeds"));
    assert!(replayed >= 50, "{replayed} seeds");
}
