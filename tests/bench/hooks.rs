//! From a notice that an image was pushed to the trigger that it fires, on disk: the real program, a registry in memory.
//!
//! `cargo bench --bench hooks` prints the median of what passes from the first byte of the POST until the journal's file
//! holds `TriggerFired`. Nothing is asserted.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::use_debug,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    reason = "a bench reads the clock and prints"
)]

#[path = "../it/support/mod.rs"]
#[expect(
    dead_code,
    clippy::expect_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "helpers of the suites, which use the rest"
)]
mod support;

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use support::daemon::Host;
use support::git::Repo;
use support::hook::{connect, free_address, post};
use tidegate::fact::Fact;
use tidegate::world::demo_registry::DemoRegistry;

const ROUNDS: usize = 51;

/// What is promised for loopback.
const GOAL: Duration = Duration::from_millis(100);

fn main() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let registry = runtime.block_on(DemoRegistry::start()).unwrap();
    let place = registry.address();
    let _first = registry.put_image("team/web", "latest", "0");
    let repo = Repo::new();
    repo.write("web.yaml", manifests(&place)).commit("web");
    let address = free_address();
    let mut host = Host::new(
        repo.path(),
        &format!(
            "[listener]\naddress = \"{address}\"\n[listener.hooks.script]\nkind = \"generic\"\nsecret_file = \"secret\"\n"
        ),
    );
    std::fs::write(host.path("secret"), "secret").unwrap();
    host.start();
    host.wait_for("the first rollout", |fact| matches!(fact, Fact::RolloutFinished(_)));
    drop(connect(&address));
    let body = format!("{{\"image\": \"{place}/team/web:latest\"}}");
    let mut tail = Tail::of(&host.state().join("journal"));
    let mut took: Vec<Duration> = (1..=ROUNDS)
        .map(|round| {
            let digest = registry.put_image("team/web", "latest", &round.to_string());
            let start = Instant::now();
            let status = post(&address, "/hooks/script", &[("Authorization", "secret")], &body);
            assert_eq!(status, 202);
            tail.until_fired(&digest.to_string());
            start.elapsed()
        })
        .collect();
    took.sort();
    let median = took[took.len() / 2];
    println!("from POST to TriggerFired on disk, {ROUNDS} images on loopback");
    println!("median {median:.1?}, least {:.1?}, most {:.1?}", took[0], took[ROUNDS - 1]);
    println!("goal {GOAL:?}: ratio {:.3}", median.as_secs_f64() / GOAL.as_secs_f64());
}

/// The end of the journal's one file: what comes is read once, so that the watcher leaves the processor to the daemon.
struct Tail {
    file: File,
    at: u64,
    text: Vec<u8>,
}

impl Tail {
    fn of(journal: &Path) -> Self {
        let first = journal.join("00000000000000000001.jsonl");
        Self { file: File::open(first).unwrap(), at: 0, text: Vec::new() }
    }

    /// Waits until a record says that an image fired a trigger.
    fn until_fired(&mut self, digest: &str) {
        loop {
            let mut bytes = vec![0; 64 * 1024];
            let read = self.file.read_at(&mut bytes, self.at).unwrap();
            // Behind the last record the file is filled ahead with empty lines.
            let bytes = &bytes[..read];
            let end = match bytes.windows(2).position(|pair| pair == b"\n\n") {
                _ if bytes.first() == Some(&b'\n') => 0,
                Some(end) => end + 1,
                None => bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1),
            };
            self.text.extend_from_slice(&bytes[..end]);
            self.at += end as u64;
            let text = String::from_utf8_lossy(&self.text).into_owned();
            let whole = text.rfind('\n').map_or(0, |at| at + 1);
            self.text.drain(..whole);
            let fired = |line: &str| line.contains("TriggerFired") && line.contains(digest);
            if text[..whole].lines().any(fired) {
                return;
            }
            std::thread::park_timeout(Duration::from_micros(500));
        }
    }
}

fn manifests(registry: &str) -> String {
    format!(
        "apiVersion: image.openshift.io/v1
kind: ImageStream
metadata: {{name: web, namespace: shop}}
spec:
  tags:
  - name: latest
    from: {{kind: DockerImage, name: '{registry}/team/web:latest'}}
    importPolicy: {{insecure: true}}
---
apiVersion: apps.openshift.io/v1
kind: DeploymentConfig
metadata: {{name: app, namespace: shop}}
spec:
  triggers:
  - type: ImageChange
    imageChangeParams:
      automatic: true
      containerNames: [main]
      from: {{kind: ImageStreamTag, name: 'web:latest'}}
  template:
    metadata: {{labels: {{app: app}}}}
    spec: {{containers: [{{name: main, image: ' '}}]}}
"
    )
}
