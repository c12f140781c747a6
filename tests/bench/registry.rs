//! What a check of an unchanged tag costs, against other clients at the same docker-registry in the same run.
//!
//! Prints figures and ratios, and asserts only that each check was what it claims: one request, no change. Programs that
//! are not installed (`hey`, `skopeo`, `crane`, `curl`) are left out and named. `TIDEGATE_BENCH_TAGS=N` takes N tags.

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

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use support::registry::{DockerRegistry, OCI_MANIFEST, Options};
use support::token::TokenServer;
use tidegate::action::{Check, ImportMode, Platform, ResolveRequest};
use tidegate::names::{ContentHash, Digest};
use tidegate::world::demo_registry::DemoRegistry;
use tidegate::world::registry::{Registries, RegistryConfig};

/// Repositories that the tags are in.
const REPOSITORIES: usize = 100;

/// Connections of each client that has several; `registries.checks_in_flight` allows so many.
const CONNECTIONS: usize = 16;

/// Tags that a client is given that starts a process for each.
const FEW: usize = 200;

/// What a client took for its checks.
#[derive(Clone, Copy)]
struct Took {
    checks: usize,
    wall: Duration,
    /// Processor time of the client alone.
    cpu: Duration,
}

impl Took {
    fn rate(self) -> f64 {
        self.checks as f64 / self.wall.as_secs_f64()
    }

    fn cpu_each(self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.checks as f64
    }

    fn print(self, name: &str) {
        let (rate, each) = (self.rate(), self.cpu_each());
        println!("{name:<44} {rate:>9.0} checks/s {each:>9.1} µs of processor each");
    }
}

/// Processor time of this process, and of its children that ended: fields 14 to 17 of proc(5), in hundredths.
fn processor() -> (Duration, Duration) {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<u64> =
        stat.rsplit(") ").next().unwrap().split(' ').map(|f| f.parse().unwrap_or(0)).collect();
    let sum = |a: usize, b: usize| {
        let ticks = fields.get(a).copied().unwrap_or(0) + fields.get(b).copied().unwrap_or(0);
        Duration::from_millis(ticks * 10)
    };
    (sum(11, 12), sum(13, 14))
}

/// Processor time of this thread: the first field of schedstat, in nanoseconds.
fn processor_of_thread() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
}

fn peak_memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default();
    line.split_whitespace().skip(1).collect::<Vec<_>>().join(" ")
}

/// A registry with many tags.
struct Tags {
    address: String,
    /// `REPOSITORY:TAG`.
    names: Vec<String>,
    digests: BTreeMap<String, Digest>,
    /// Whether certificates are not checked, and plain HTTP will do.
    insecure: bool,
}

async fn fill(registry: &DockerRegistry, count: usize) -> Tags {
    let (mut names, mut digests) = (Vec::new(), BTreeMap::new());
    for r in 0..REPOSITORIES {
        let repository = format!("bench/r{r:03}");
        registry.push_image(&repository, "t0", &repository).await;
        let manifest = registry.manifest(&repository, "t0").await;
        for t in 0..count / REPOSITORIES {
            let tag = format!("t{t}");
            registry.put_manifest(&repository, &tag, OCI_MANIFEST, &manifest).await;
            names.push(format!("{repository}:{tag}"));
        }
        digests.insert(repository, Digest::of(&manifest));
    }
    Tags { address: registry.address(), names, digests, insecure: true }
}

impl Tags {
    fn request(&self, name: &str) -> ResolveRequest {
        let (repository, _) = name.split_once(':').unwrap();
        let image = format!("{}/{name}", self.address).parse().map(Arc::new).unwrap();
        let (mode, platform) = (ImportMode::Legacy, Platform::default());
        ResolveRequest {
            check: Check {
                image,
                insecure: self.insecure,
                mode,
                platform,
                copy_to: None,
                namespace: None,
            },
            known: self.digests.get(repository).copied(),
            allowance: None,
        }
    }

    fn urls(&self, scheme: &str) -> Vec<String> {
        let url = |name: &String| {
            let (repository, tag) = name.split_once(':').unwrap();
            format!("{scheme}://{}/v2/{repository}/manifests/{tag}", self.address)
        };
        self.names.iter().map(url).collect()
    }

    /// Ours: every tag once, over so many connections.
    async fn ours(&self, registries: &Registries, connections: usize) -> Took {
        let requests: Vec<_> = self.names.iter().map(|name| self.request(name)).collect();
        let requests = Arc::new(requests);
        let (start, before) = (Instant::now(), processor().0);
        let workers = (0..connections).map(|worker| {
            let (registries, requests) = (registries.clone(), Arc::clone(&requests));
            tokio::spawn(async move {
                for request in requests.iter().skip(worker).step_by(connections) {
                    let answer = Box::pin(registries.resolve(request)).await.unwrap();
                    assert_eq!(answer.image, None);
                }
            })
        });
        for worker in workers.collect::<Vec<_>>() {
            worker.await.unwrap();
        }
        Took { checks: requests.len(), wall: start.elapsed(), cpu: processor().0 - before }
    }
}

fn registries(config: RegistryConfig) -> Registries {
    let keep = Arc::new(|bytes: &[u8]| Ok(ContentHash::of(bytes)));
    Registries::new(config, keep).unwrap()
}

/// Runs a program to its end; none where it is not installed.
fn run(mut command: Command, checks: usize) -> Option<(Took, String)> {
    let (start, before) = (Instant::now(), processor().1);
    let output = command.stdin(Stdio::null()).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if !output.status.success() {
        println!("{} failed: {said}", command.get_program().display());
        return None;
    }
    Some((Took { checks, wall: start.elapsed(), cpu: processor().1 - before }, text))
}

/// The registry's own ceiling: `hey` asks for some of the tags, as often as there are tags.
fn hey(urls: &[String], connections: usize) -> Option<Took> {
    let some: Vec<_> = urls.iter().step_by(urls.len() / 10).collect();
    let each = urls.len() / some.len();
    let mut sum = Took { checks: 0, wall: Duration::ZERO, cpu: Duration::ZERO };
    for url in some {
        let mut command = Command::new("hey");
        let (n, c) = (each.to_string(), connections.to_string());
        command.args(["-m", "HEAD", "-n", &n, "-c", &c, "-H", &format!("Accept: {OCI_MANIFEST}")]);
        let (took, text) = run(
            {
                command.arg(url);
                command
            },
            each / connections * connections,
        )?;
        assert!(text.contains("[200]"), "{text}");
        let total = text.lines().find_map(|line| line.trim().strip_prefix("Total:"));
        let total: f64 = total?.split_whitespace().next()?.parse().ok()?;
        sum.checks += took.checks;
        sum.wall += Duration::from_secs_f64(total);
        sum.cpu += took.cpu;
    }
    Some(sum)
}

/// `curl`: HEAD of each over one connection.
fn curl(urls: &[String]) -> Option<Took> {
    let mut list = tempfile::NamedTempFile::new().unwrap();
    for url in urls {
        writeln!(list, "url = \"{url}\"\noutput = \"/dev/null\"").unwrap();
    }
    let mut command = Command::new("curl");
    command.args([
        "--silent",
        "--fail",
        "--head",
        "--header",
        &format!("Accept: {OCI_MANIFEST}"),
        "--config",
    ]);
    command.arg(list.path());
    run(command, urls.len()).map(|(took, _)| took)
}

/// A program that is started for each tag, eight at once.
fn each_by_itself(program: &str, arguments: &[&str], tags: &Tags, prefix: &str) -> Option<Took> {
    let mut list = tempfile::NamedTempFile::new().unwrap();
    let few: Vec<_> =
        tags.names.iter().step_by((tags.names.len() / FEW).max(1)).take(FEW).collect();
    for name in &few {
        writeln!(list, "{prefix}{}/{name}", tags.address).unwrap();
    }
    let mut command = Command::new("xargs");
    command.args(["-P", "8", "-n", "1", "-a"]).arg(list.path()).arg(program).args(arguments);
    run(command, few.len()).map(|(took, _)| took)
}

fn ratio(name: &str, value: f64, goal: &str) {
    println!("  {name:<60} {value:>8.2}   goal: {goal}");
}

/// Three rounds of two clients by turns; the better round of each, as the machine has other things to do.
async fn by_turns(tags: &Tags, registries: &Registries, scheme: &str) -> (Took, Option<Took>) {
    let urls = tags.urls(scheme);
    let faster = |a: Option<Took>, b: Took| Some(a.filter(|a| a.rate() >= b.rate()).unwrap_or(b));
    let (mut ours, mut heys) = (None, None);
    for _ in 0..3 {
        heys = hey(&urls, CONNECTIONS).map_or(heys, |took| faster(heys, took));
        ours = faster(ours, tags.ours(registries, CONNECTIONS).await);
    }
    (ours.unwrap(), heys)
}

async fn plain(count: usize) -> Option<()> {
    let registry = DockerRegistry::start()?;
    let tags = fill(&registry, count).await;
    let registries = registries(RegistryConfig::default());
    println!(
        "docker-registry, {} distinct unchanged tags, {CONNECTIONS} connections",
        tags.names.len()
    );
    let (ours, heys) = by_turns(&tags, &registries, "http").await;
    ours.print("tidegate");
    if let Some(heys) = heys {
        heys.print("hey -m HEAD (on ten of the tags)");
        ratio("checks per second, tidegate : hey", ours.rate() / heys.rate(), "0.8 or more");
    }
    let one = tags.ours(&registries, 1).await;
    one.print("tidegate, one connection");
    if let Some(curl) = curl(&tags.urls("http")) {
        curl.print("curl --head, one connection");
        ratio("processor, tidegate : curl", one.cpu_each() / curl.cpu_each(), "2 or less");
    }
    let skopeo = ["inspect", "--tls-verify=false", "--no-creds", "--no-tags"];
    let others = [
        ("skopeo", &skopeo[..], "docker://", "50 or more"),
        ("crane", &["digest", "--insecure"][..], "", "20 or more"),
    ];
    for (program, arguments, prefix, goal) in others {
        match each_by_itself(program, arguments, &tags, prefix) {
            Some(took) => {
                took.print(&format!("{program}, a process each, 8 at once, {FEW} tags"));
                ratio(
                    &format!("processor, {program} : tidegate"),
                    took.cpu_each() / ours.cpu_each(),
                    goal,
                );
            }
            None => println!("{program} is not installed"),
        }
    }
    println!("  peak memory of this process: {}", peak_memory());
    Some(())
}

async fn tls(count: usize) -> Option<()> {
    let registry = DockerRegistry::start_with(&Options { tls: true, ..Options::default() })?;
    let tags = Tags { insecure: false, ..fill(&registry, count).await };
    let ca_files = [(registry.address(), registry.ca_file())].into();
    let registries = registries(RegistryConfig { ca_files, ..RegistryConfig::default() });
    println!("the same by TLS, {} tags", tags.names.len());
    let (ours, heys) = by_turns(&tags, &registries, "https").await;
    ours.print("tidegate, TLS");
    if let Some(heys) = heys {
        heys.print("hey -m HEAD, TLS");
        ratio("checks per second, tidegate : hey", ours.rate() / heys.rate(), "0.8 or more");
    }
    Some(())
}

async fn tokens(count: usize) -> Option<()> {
    let mut registry = DockerRegistry::start()?;
    let tags = fill(&registry, count).await;
    let server = TokenServer::start(None)?;
    let tokens = Some((server.realm(), server.certificate()));
    registry.start_again_with(&Options { tokens, ..Options::default() });
    let registries = registries(RegistryConfig::default());
    let ours = tags.ours(&registries, CONNECTIONS).await;
    println!(
        "the same with a token server, {} tags in {REPOSITORIES} repositories",
        tags.names.len()
    );
    ours.print("tidegate, tokens");
    println!("  token requests: {}, one for each repository", server.scopes().len());
    Some(())
}

/// Our own cost, where the registry is not the limit: it has the other processors, and one thread asks.
fn in_memory(checks: usize) {
    let others =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let demo = others.block_on(DemoRegistry::start()).unwrap();
    let digest = demo.put_image("bench/web", "1", "a");
    let (address, before) = (demo.address(), demo.requests());
    let one = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let registries = registries(RegistryConfig::default());
    let image = format!("{address}/bench/web:1").parse().map(Arc::new).unwrap();
    let (mode, platform) = (ImportMode::Legacy, Platform::default());
    let check = Check { image, insecure: true, mode, platform, copy_to: None, namespace: None };
    let request = ResolveRequest { check, known: Some(digest), allowance: None };
    let took = one.block_on(async {
        let (start, cpu) = (Instant::now(), processor_of_thread());
        let workers = (0..CONNECTIONS).map(|_| async {
            for _ in 0..checks / CONNECTIONS {
                assert_eq!(registries.resolve(&request).await.unwrap().image, None);
            }
        });
        futures_util::future::join_all(workers).await;
        Took { checks, wall: start.elapsed(), cpu: processor_of_thread() - cpu }
    });
    let after = demo.requests();
    println!("a registry in memory, one thread of ours, {CONNECTIONS} connections");
    took.print("tidegate");
    println!("  checks per second and processor: {:.0}", 1e6 / took.cpu_each());
    assert_eq!(
        (after.head - before.head, after.get - before.get),
        (checks as u64, 0),
        "one request each"
    );
}

fn main() {
    let count = std::env::vars().find(|(key, _)| key == "TIDEGATE_BENCH_TAGS");
    let count = count.map_or(10_000, |(_, n)| n.parse().unwrap()).max(1_000);
    in_memory(2 * count);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        plain(count).await;
        tls(count / 5).await;
        tokens(count / 5).await;
    });
}
