//! Reading manifests: megabytes per second, and a commit that changes one of 10,000 files.
//!
//! `cargo bench --bench desired` prints figures; nothing is asserted.

#![expect(clippy::disallowed_methods, reason = "a bench reads the clock")]
#![expect(clippy::print_stdout, clippy::use_debug, reason = "a bench prints its figures")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use tidegate::action::{SourceFile, SourceRead};
use tidegate::desired::{Tree, is_manifest, parse_file};
use tidegate::names::{BlobId, CommitId};
use tidegate::policy::Policy;

const ROUNDS: usize = 9;

fn main() {
    let small = one_changed(1_000);
    let large = one_changed(10_000);
    for (what, small, large) in [("first", small.0, large.0), ("one changed", small.1, large.1)] {
        let ratio = large.as_secs_f64() / small.as_secs_f64();
        println!("{what:<14} 1,000: {small:>9.2?}   10,000: {large:>9.2?}   ratio {ratio:.1}");
    }
    corpus();
}

fn manifest(number: usize, tag: &str) -> String {
    format!(
        "apiVersion: apps.openshift.io/v1\nkind: DeploymentConfig\nmetadata:\n  name: app-{number}\n  labels:\n    app: app-{number}\nspec:\n  replicas: 2\n  selector:\n    app: app-{number}\n  strategy:\n    type: Rolling\n    rollingParams:\n      maxSurge: 25%\n      maxUnavailable: 0\n  triggers:\n  - type: ConfigChange\n  - type: ImageChange\n    imageChangeParams:\n      automatic: true\n      containerNames: [web]\n      from:\n        kind: ImageStreamTag\n        name: app:{tag}\n  template:\n    metadata:\n      labels:\n        app: app-{number}\n    spec:\n      containers:\n      - name: web\n        image: ' '\n        ports:\n        - containerPort: 8080\n        env:\n        - name: COLOUR\n          value: blue\n"
    )
}

fn file(path: &str, text: &str) -> SourceFile {
    let bytes: Arc<[u8]> = text.as_bytes().into();
    let blob = BlobId::from_bytes([0; 20]);
    SourceFile { path: path.into(), blob, len: bytes.len() as u64, bytes: Some(bytes) }
}

fn read(has_base: bool, changed: Vec<SourceFile>) -> SourceRead {
    let commit = CommitId::from_bytes([1; 20]);
    SourceRead {
        commit,
        base: has_base.then_some(commit),
        branch: "main".into(),
        forced: false,
        changed,
        removed: Vec::new(),
        skipped: Vec::new(),
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// Medians of: reading all files and assembling them, and the same after one of them changed.
fn one_changed(count: usize) -> (Duration, Duration) {
    let policy = Policy::default();
    let stream = "apiVersion: v1\nkind: ImageStream\nmetadata: {name: app}\n";
    let files = || {
        let apps = (0..count).map(|n| file(&format!("app-{n}.yaml"), &manifest(n, "1")));
        apps.chain([file("app.yaml", stream)]).collect::<Vec<_>>()
    };
    let (mut first, mut changed) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let mut tree = Tree::default();
        let all = read(false, files());
        let start = Instant::now();
        tree.apply(&all, &policy);
        let state = tree.assemble();
        first.push(start.elapsed());
        let one = read(true, vec![file("app-7.yaml", &manifest(7, "2"))]);
        let start = Instant::now();
        tree.apply(&one, &policy);
        let next = tree.assemble();
        changed.push(start.elapsed());
        drop((state, next));
    }
    (median(first), median(changed))
}

/// Reads the corpus, where it is there.
fn corpus() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus");
    let mut files = Vec::new();
    for entry in ignore::Walk::new(&root).flatten() {
        let name = entry.path().to_string_lossy().into_owned();
        if entry.path().is_file() && is_manifest(&name) {
            files.push((name, std::fs::read(entry.path()).unwrap_or_default()));
        }
    }
    let policy = Policy::default();
    let bytes: usize = files.iter().map(|(_, bytes)| bytes.len()).sum();
    let start = Instant::now();
    for (name, bytes) in &files {
        drop(parse_file(name, bytes, None, &policy));
    }
    let seconds = start.elapsed().as_secs_f64();
    let megabytes = bytes as f64 / 1e6;
    println!(
        "corpus         {} files, {megabytes:.1} MB: {:.1} MB/s",
        files.len(),
        megabytes / seconds
    );
}
