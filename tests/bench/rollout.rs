//! From a moved tag to the new container, and how long a published port is closed: beside what one does by hand, with
//! the same image, in the same run.
//!
//! `cargo bench --bench rollout` prints medians and ratios: replaced in place and tried beside the old one, beside
//! `podman pull` and `podman kube play --replace`; and in a machine with systemd, as a unit, beside `podman
//! auto-update` with its rollback on. Nothing is asserted. It needs what the stories with podman need, and root.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
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

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use support::daemon::{Host, eventually};
use support::git::Repo;
use support::machine::Machine;
use support::podman::{Podman, Program, alone};
use support::shop::{READY, Web, import, served_within};
use tidegate::fact::{Fact, Record};

const ROUNDS: usize = 5;

/// When somebody who asks a port asks anew: what was killed does not end its connections.
const PATIENCE: Duration = Duration::from_millis(100);

/// What a user may wait for longer than by hand.
const GOAL: Duration = Duration::from_millis(250);

fn main() {
    if !alone() {
        return;
    }
    let Some(podman) = Podman::start() else { return };
    println!("{ROUNDS} rounds each, medians; periodSeconds: 1");
    in_pods(&podman);
    in_units(&podman);
}

/// A stream of its own, and a workload that follows it, with a port of the host.
fn manifests(registry: &str, name: &str, port: u16, verify: bool) -> String {
    let annotations =
        format!("tidegate.dev/publish: '127.0.0.1:{port}:8080', tidegate.dev/verify: '{verify}'");
    let container = format!("ports: [{{containerPort: 8080}}]\n{READY}");
    Web { name, annotations: &annotations, container: &container, ..Web::default() }.yaml(registry)
}

/// The same pod, as one would write it by hand.
fn by_hand(image: &str, port: u16) -> String {
    format!(
        "apiVersion: v1
kind: Pod
metadata: {{name: hand}}
spec:
  terminationGracePeriodSeconds: 3
  containers:
  - name: main
    image: '{image}'
    imagePullPolicy: IfNotPresent
    ports: [{{containerPort: 8080, hostPort: {port}, hostIP: 127.0.0.1}}]
"
    )
}

/// A pod that somebody plays by hand.
struct Hand<'a> {
    podman: &'a Podman,
    image: String,
    file: String,
}

impl<'a> Hand<'a> {
    fn new(podman: &'a Podman, name: &str, port: u16) -> Self {
        let image = format!("{}/shop/{name}:latest", podman.registry.address());
        let file = podman.beside(&format!("{name}.yaml"));
        let yaml = by_hand(&image, port).replace("name: hand", &format!("name: {name}"));
        std::fs::write(&file, yaml).unwrap();
        Self { podman, image, file: file.to_str().unwrap().to_owned() }
    }

    fn pull(&self) {
        self.podman.run(&["pull", "--quiet", &self.image]);
    }

    fn play(&self, more: &[&str]) {
        let play = ["kube", "play", "--quiet"];
        self.podman.run(&[&play[..], more, &[&self.file]].concat());
    }

    /// With `play` it is what `--replace` does, but that podman 4.3 gives what runs no time to end.
    fn down(&self) {
        self.podman.run(&["kube", "down", &self.file]);
    }
}

fn in_pods(podman: &Podman) {
    let registry = podman.registry.address();
    let repo = Repo::new();
    for name in ["place", "swap", "hand", "down"] {
        podman.push(&format!("shop/{name}:latest"), "v0", Program::Healthy);
    }
    repo.write("place.yaml", manifests(&registry, "place", 18081, false));
    repo.write("swap.yaml", manifests(&registry, "swap", 18082, true)).commit("two");
    let toml = format!(
        "[targets.here]\nkind = \"podman\"\nprogram = \"{}\"\n[routes]\ndefault = \"here\"\n",
        podman.program().display()
    );
    let mut host = Host::new(repo.path(), &toml);
    let replace = Hand::new(podman, "hand", 18083);
    let down = Hand::new(podman, "down", 18086);
    for hand in [&replace, &down] {
        hand.pull();
        hand.play(&[]);
    }
    host.start();
    for port in [18081, 18082, 18083, 18086] {
        let watch = Watch::of(port);
        watch.until("v0");
    }
    complete(&|| host.records(), 2);
    let mut times = Times::default();
    for round in 1..=ROUNDS {
        let version = format!("v{round}");
        podman.push("shop/hand:latest", &version, Program::Healthy);
        let by_hand = || {
            replace.pull();
            replace.play(&["--replace"]);
        };
        times.measure("by hand", 18083, &version, &by_hand);
        podman.push("shop/down:latest", &version, Program::Healthy);
        let by_hand = || {
            down.pull();
            down.down();
            down.play(&[]);
        };
        times.measure("down", 18086, &version, &by_hand);
        for (at, (name, port)) in [("place", 18081), ("swap", 18082)].into_iter().enumerate() {
            podman.push(&format!("shop/{name}:latest"), &version, Program::Healthy);
            let moved = || import(&host, name);
            times.measure(name, port, &version, &moved);
            complete(&|| host.records(), 2 + (round - 1) * 2 + at + 1);
        }
    }
    print_pods(podman, &host, &times);
}

fn print_pods(podman: &Podman, host: &Host, times: &Times) {
    println!("\n{}", podman.run(&["--version"]));
    let hand = times.took("by hand");
    println!(
        "pull, kube play --replace, by hand   {hand:>6} ms until the port serves the new image"
    );
    println!(
        "pull, kube down, kube play, by hand  {:>6} ms, without time to end",
        times.took("down")
    );
    let place = times.took("place");
    println!(
        "Tidegate, replaced in place          {place:>6} ms: {:+} ms (goal: at most {:+} ms)",
        i128::from(place) - i128::from(hand),
        GOAL.as_millis()
    );
    println!("Tidegate, tried beside the old one   {:>6} ms, of which", times.took("swap"));
    for (step, took) in parts(&host.records()) {
        println!("    {step:<12} {took:>6} ms");
    }
    times.print_closed(&[
        ("by hand", "by hand"),
        ("down", "down, play"),
        ("place", "in place"),
        ("swap", "tried beside"),
    ]);
}

fn in_units(podman: &Podman) {
    let registry = podman.registry.address();
    let repo = Repo::new();
    for name in ["unit", "auto"] {
        podman.push(&format!("shop/{name}:latest"), "v0", Program::Healthy);
    }
    repo.write("unit.yaml", manifests(&registry, "unit", 18084, true)).commit("one");
    let settings = "[targets.units]\nkind = \"quadlet\"\n[routes]\ndefault = \"units\"\n";
    let Some(machine) = Machine::new(repo.path(), &registry, settings) else { return };
    let image = format!("{registry}/shop/auto:latest");
    std::fs::write(machine.unit_path("hand.yaml"), by_hand(&image, 18085)).unwrap();
    let unit = "[Kube]\nYaml=hand.yaml\nAutoUpdate=registry\n[Install]\nWantedBy=default.target\n";
    std::fs::write(machine.unit_path("hand.kube"), unit).unwrap();
    machine.boot();
    machine.run(&["podman", "pull", "--quiet", &image]);
    machine.run(&["systemctl", "restart", "hand.service"]);
    machine.start_daemon();
    for port in [18084, 18085] {
        Watch::of(port).until("v0");
    }
    complete(&|| machine.records(), 1);
    let mut times = Times::default();
    for round in 1..=ROUNDS {
        let version = format!("v{round}");
        podman.push("shop/auto:latest", &version, Program::Healthy);
        let update = || drop(machine.run(&["podman", "auto-update", "--rollback=true"]));
        times.measure("auto", 18085, &version, &update);
        podman.push("shop/unit:latest", &version, Program::Healthy);
        let import = "cd /srv/manifests && tidegate import-image unit -n shop";
        let moved = || drop(machine.run(&["sh", "-c", import]));
        times.measure("unit", 18084, &version, &moved);
        complete(&|| machine.records(), 1 + round);
    }
    println!("\nwith systemd, {}", machine.run(&["podman", "--version"]));
    println!("podman auto-update                   {:>6} ms", times.took("auto"));
    println!("Tidegate, tried beside, as a unit    {:>6} ms, of which", times.took("unit"));
    for (step, took) in parts(&machine.records()) {
        println!("    {step:<12} {took:>6} ms");
    }
    times.print_closed(&[("auto", "auto-update"), ("unit", "Tidegate")]);
}

/// Waits until so many rollouts are complete.
fn complete(records: &dyn Fn() -> Vec<Record>, count: usize) {
    eventually("the end of a rollout", || {
        let is_end = |record: &&Record| matches!(record.fact, Fact::RolloutFinished(_));
        (records().iter().filter(is_end).count() >= count).then_some(())
    });
}

/// The median milliseconds of each step of rollouts that tried the new revision beside the old one.
fn parts(records: &[Record]) -> Vec<(String, u64)> {
    let mut parts: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    let mut order = Vec::new();
    let mut runs: BTreeMap<tidegate::names::Seq, Vec<(String, i64)>> = BTreeMap::new();
    for record in records {
        let at = record.at.as_millis();
        if let Fact::RolloutStepped(stepped) = &record.fact {
            runs.entry(stepped.rollout).or_default().push((stepped.step.to_string(), at));
        } else if let Fact::RolloutFinished(end) = &record.fact {
            let steps = runs.remove(&end.rollout).unwrap_or_default();
            if !steps.iter().any(|(step, _)| step == "Verifying") {
                continue;
            }
            order = steps.iter().map(|(step, _)| step.clone()).collect();
            let ends = steps.iter().skip(1).map(|(_, at)| *at).chain([at]);
            for ((step, from), to) in steps.iter().zip(ends) {
                parts.entry(step.clone()).or_default().push(u64::try_from(to - from).unwrap_or(0));
            }
        }
    }
    order.into_iter().map(|step| (step.clone(), median(&parts[&step]))).collect()
}

fn median(all: &[u64]) -> u64 {
    let mut all = all.to_vec();
    all.sort_unstable();
    all[all.len() / 2]
}

/// Milliseconds until a port served the new version, and how long it served nothing.
#[derive(Default)]
struct Times {
    took: BTreeMap<&'static str, Vec<u64>>,
    closed: BTreeMap<&'static str, Vec<u64>>,
}

impl Times {
    fn measure(&mut self, name: &'static str, port: u16, version: &str, deed: &dyn Fn()) {
        let watch = Watch::of(port);
        watch.until_any();
        let began = Instant::now();
        deed();
        let (served, closed) = watch.until(version);
        let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        self.took.entry(name).or_default().push(ms(served.duration_since(began)));
        self.closed.entry(name).or_default().push(ms(closed));
    }

    fn took(&self, name: &str) -> u64 {
        median(&self.took[name])
    }

    fn print_closed(&self, names: &[(&str, &str)]) {
        let first = median(&self.closed[names[0].0]);
        for (name, shown) in names {
            let closed = median(&self.closed[*name]);
            let hundredths = closed.saturating_mul(100) / first.max(1);
            let (whole, part) = (hundredths / 100, hundredths % 100);
            println!(
                "port closed, {shown:<23} {closed:>6} ms, {whole}.{part:02} of {}",
                names[0].1
            );
        }
    }
}

/// Somebody who asks a port all the time.
struct Watch {
    answers: Arc<Mutex<Vec<(Instant, String)>>>,
    is_over: Arc<AtomicBool>,
}

impl Watch {
    fn of(port: u16) -> Self {
        let answers = Arc::new(Mutex::new(Vec::new()));
        let is_over = Arc::new(AtomicBool::new(false));
        let (told, over) = (Arc::clone(&answers), Arc::clone(&is_over));
        std::thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                if let Some(version) =
                    served_within(port, PATIENCE).filter(|version| !version.is_empty())
                {
                    told.lock().unwrap().push((Instant::now(), version));
                }
                std::thread::park_timeout(Duration::from_millis(5));
            }
        });
        Self { answers, is_over }
    }

    fn until_any(&self) {
        eventually("an answer", || (!self.answers.lock().unwrap().is_empty()).then_some(()));
    }

    /// When this version was served first, and since when nothing was before that.
    fn until(&self, version: &str) -> (Instant, Duration) {
        eventually(version, || {
            let answers = self.answers.lock().unwrap();
            let at = answers.iter().position(|(_, answer)| answer == version)?;
            let served = answers[at].0;
            let before = answers[..at].last().map_or(served, |(at, _)| *at);
            Some((served, served.duration_since(before)))
        })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}
