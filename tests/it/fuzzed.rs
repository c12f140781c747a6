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
    assert!(replayed >= 80, "{replayed} seeds");
}

#[test]
fn every_target_is_built_run_and_linked_with_the_sanitizer() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let read = |name: &str| std::fs::read_to_string(fuzz.join(name)).unwrap();
    let (built, run, linked) = (read("Cargo.toml"), read("run"), read("instrument"));
    let names: Vec<_> = targets::ALL.iter().map(|(name, _)| *name).collect();
    for name in &names {
        assert!(built.contains(&format!("path = \"bin/{name}.rs\"")), "fuzz/Cargo.toml: {name}");
    }
    assert!(run.contains(&format!("all=({})", names.join(" "))), "fuzz/run: {names:?}");
    assert!(linked.contains(&format!("| {})", names.join(" | "))), "fuzz/instrument: {names:?}");
}
