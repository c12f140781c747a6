//! Start and memory: a journal with 100,000 tags over 20,000 distinct images with metadata of real size and 10,000
//! deployments; how long until the daemon says that it is ready, and how much memory it holds then.
//!
//! Run with `cargo bench --bench start`. The state is made through the engine and the journal themselves; the measured
//! process is the real program with a real repository. `TIDEGATE_BENCH_SCALE=0.1` makes everything ten times smaller.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    clippy::use_debug,
    reason = "a bench reads the clock, prints, and ends when something is missing"
)]

mod state;

use std::path::Path;
use std::time::{Duration, Instant};

const STREAMS: usize = 1_000;
const TAGS_PER_STREAM: usize = 100;
const IMAGES: usize = 20_000;
const DEPLOYMENTS: usize = 10_000;

fn main() {
    let scale: f64 =
        std::env::var("TIDEGATE_BENCH_SCALE").ok().and_then(|s| s.parse().ok()).unwrap_or(1.0);
    let sized = |n: usize| ((n as f64 * scale) as usize).max(1);
    let (streams, images, deployments) = (sized(STREAMS), sized(IMAGES), sized(DEPLOYMENTS));
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (repo, state_dir) = (dir.path().join("repo"), dir.path().join("state"));
    let began = Instant::now();
    write_repository(&repo, streams, deployments);
    let records = state::fill(&repo, &state_dir, images);
    println!(
        "made {} tags, {images} images, {deployments} deployments, {records} records in {:.1} s",
        streams * TAGS_PER_STREAM,
        began.elapsed().as_secs_f64()
    );
    let config = state::write_config(dir.path(), &repo, &state_dir);
    let mut starts: Vec<(Duration, u64)> =
        (0..5).map(|_| state::start(dir.path(), &config)).collect();
    // The first start is the one after a change of version: nothing is cached yet.
    println!("first start: ready after {:?}, {} MB resident", starts[0].0, starts[0].1 / 1024);
    starts.remove(0);
    starts.sort();
    let (ready, rss) = starts[starts.len() / 2];
    println!(
        "median of {} further starts: ready after {ready:?}, {} MB resident",
        starts.len(),
        rss / 1024
    );
    println!(
        "goals: ready in under 1 s (ratio {:.2}), under 250 MB (ratio {:.2})",
        ready.as_secs_f64(),
        rss as f64 / 1024.0 / 250.0
    );
}

fn write_repository(repo: &Path, streams: usize, deployments: usize) {
    state::init(repo);
    state::write_streams(repo, streams, TAGS_PER_STREAM);
    std::fs::create_dir_all(repo.join("apps")).expect("a folder");
    for d in 0..deployments {
        let (s, t) = (d % streams, d % TAGS_PER_STREAM);
        let text = format!(
            "apiVersion: apps.openshift.io/v1\nkind: DeploymentConfig\nmetadata:\n  name: d{d}\n  namespace: shop\n\
             spec:\n  replicas: 1\n  selector: {{app: d{d}}}\n  triggers:\n  - type: ConfigChange\n  - type: ImageChange\n    \
             imageChangeParams:\n      automatic: true\n      containerNames: [main]\n      from: {{kind: ImageStreamTag, name: \"s{s}:1.{t}\"}}\n  \
             template:\n    metadata:\n      labels: {{app: d{d}}}\n    spec:\n      containers:\n      - name: main\n        image: \" \"\n        \
             ports: [{{containerPort: 8080}}]\n        env:\n        - {{name: LOG_LEVEL, value: info}}\n        - {{name: BACKEND, value: \"http://backend:8080\"}}\n        \
             readinessProbe: {{httpGet: {{path: /healthz, port: 8080}}, periodSeconds: 5}}\n        \
             resources: {{requests: {{cpu: 50m, memory: 64Mi}}, limits: {{memory: 128Mi}}}}\n        \
             volumeMounts: [{{name: data, mountPath: /data}}]\n      volumes: [{{name: data, emptyDir: {{}}}}]\n"
        );
        std::fs::write(repo.join(format!("apps/d{d}.yaml")), text).expect("a manifest");
    }
    state::commit(repo);
}
