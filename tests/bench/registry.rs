//! Checks of unchanged tags per second, against docker-registry and the demo registry.
//!
//! Prints figures and asserts only that each check was what it claims: one request, no change.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a bench reads the clock and prints"
)]

#[path = "../it/support/mod.rs"]
#[expect(
    dead_code,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "helpers of the suites, which use the rest"
)]
mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use support::registry::DockerRegistry;
use tidegate::action::{Check, ImportMode, Platform, ResolveRequest};
use tidegate::limits::REGISTRY_CHECKS_IN_FLIGHT_MAX;
use tidegate::names::{ContentHash, Digest};
use tidegate::world::demo_registry::DemoRegistry;
use tidegate::world::registry::{Registries, RegistryConfig};

const CHECKS: usize = 8_000;

fn request(address: &str, known: Option<Digest>) -> ResolveRequest {
    let image = format!("{address}/bench/web:1").parse().map(Arc::new).unwrap();
    let (mode, platform) = (ImportMode::Legacy, Platform::default());
    ResolveRequest {
        check: Check { image, insecure: true, mode, platform, copy_to: None, namespace: None },
        known,
        allowance: None,
    }
}

/// Checks with as many in flight as the daemon allows; each must find nothing new.
async fn unchanged(name: &str, address: &str, digest: Digest) -> Duration {
    let keep = Arc::new(|bytes: &[u8]| Ok(ContentHash::of(bytes)));
    let registries = Registries::new(RegistryConfig::default(), keep).unwrap();
    registries.resolve(&request(address, None)).await.unwrap();
    let start = Instant::now();
    let workers = (0..REGISTRY_CHECKS_IN_FLIGHT_MAX).map(|_| {
        let (registries, request) = (registries.clone(), request(address, Some(digest)));
        tokio::spawn(async move {
            for _ in 0..CHECKS / REGISTRY_CHECKS_IN_FLIGHT_MAX {
                assert_eq!(registries.resolve(&request).await.unwrap().image, None);
            }
        })
    });
    for worker in workers.collect::<Vec<_>>() {
        worker.await.unwrap();
    }
    let took = start.elapsed();
    let rate = CHECKS as f64 / took.as_secs_f64();
    let each = took.as_micros() as f64 * REGISTRY_CHECKS_IN_FLIGHT_MAX as f64 / CHECKS as f64;
    println!("{name}: {rate:.0} checks/s, {each:.0} µs each, {CHECKS} checks");
    took
}

fn main() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        println!("unchanged tags, {REGISTRY_CHECKS_IN_FLIGHT_MAX} checks in flight");
        let demo = DemoRegistry::start().await.unwrap();
        let digest = demo.put_image("bench/web", "1", "a");
        let ours = unchanged("demo registry", &demo.address(), digest).await;
        let counts = demo.requests();
        println!("  requests: {} HEAD, {} GET", counts.head, counts.get);
        assert_eq!((counts.head, counts.get), (CHECKS as u64 + 1, 2));
        let Some(real) = DockerRegistry::start() else { return };
        let digest = real.push_image("bench/web", "1", "a").await;
        let real = unchanged("docker-registry", &real.address(), digest).await;
        println!(
            "  ratio demo : docker-registry = 1 : {:.1}",
            real.as_secs_f64() / ours.as_secs_f64()
        );
    });
}
