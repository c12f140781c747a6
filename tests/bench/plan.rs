//! What planning costs: the whole plan, and one step for one tag that moved, at 1,000 to 100,000 tags.
//!
//! Figures are printed with their ratio and never asserted: `cargo bench --bench plan`.
#![expect(clippy::print_stdout, clippy::use_debug, reason = "figures are what a benchmark prints")]
#![expect(clippy::wildcard_enum_match_arm, reason = "a benchmark looks at what it measures only")]
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a benchmark may stop")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tidegate::action::{
    Action, ActionId, Input, Nudge, Resolution, ResolvedImage, RolloutReport, SourceFailure,
    SourceFile, SourceRead,
};
use tidegate::engine::{Effect, Engine};
use tidegate::names::{BlobId, ContentHash, Digest};
use tidegate::observed::ObservedState;
use tidegate::plan;
use tidegate::policy::Policy;
use tidegate::time::{Monotonic, Now, Timestamp};

/// Tags of one stream, as in real repositories.
const TAGS_PER_STREAM: usize = 10;

/// Steps that are measured at each size.
const ROUNDS: usize = 400;

fn main() {
    let mut medians = Vec::new();
    for tags in [1_000, 10_000, 100_000] {
        let mut bench = Bench::new(tags);
        let median = bench.one_tag_moves();
        println!(
            "step: one tag of {tags:>7} moves, 1 dependent: {median:>9.1?} (median of {ROUNDS})"
        );
        medians.push(median);
        if tags == 100_000 {
            bench.whole_plan();
            bench.idle();
        }
    }
    if let [first, .., last] = medians.as_slice() {
        let ratio = last.as_secs_f64() / first.as_secs_f64();
        println!(
            "step: ratio of 100,000 to 1,000 tags: {ratio:.2} (goal: at most 2, under 100 us)"
        );
    }
}

struct Bench {
    engine: Engine,
    now: Now,
    tags: usize,
    flights: BTreeMap<ActionId, Action>,
    moves: usize,
}

impl Bench {
    /// A converged world: every tag imported, one deployment for every ten tags, complete.
    fn new(tags: usize) -> Self {
        let wall: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let now = Now { wall, mono: Monotonic::from_start(Duration::from_secs(1)) };
        let policy = Policy {
            checks_in_flight_max: usize::MAX,
            rollouts_in_flight_max: usize::MAX,
            ..Policy::default()
        };
        let engine = Engine::new(policy, ObservedState::default(), now);
        let mut bench = Self { engine, now, tags, flights: BTreeMap::new(), moves: 0 };
        bench.step(vec![]);
        let read = Box::new(source(tags));
        let id = bench.take(|action| matches!(action, Action::ReadSource(_))).0;
        bench.step(vec![Input::SourceRead(id, Ok(read))]);
        bench.answer_all();
        bench.answer_all();
        assert_eq!(bench.flights.len(), 0, "it did not converge");
        bench
    }

    fn step(&mut self, inputs: Vec<Input>) -> Duration {
        let begin = Instant::now();
        let effects = self.engine.step(inputs, self.now);
        let took = begin.elapsed();
        for effect in effects {
            match effect {
                Effect::Start(_, Action::KeepCommit { .. } | Action::Notify(_)) => {}
                Effect::Start(id, action) => {
                    self.flights.insert(id, action);
                }
                _ => {}
            }
        }
        took
    }

    fn take(&mut self, is_it: impl Fn(&Action) -> bool) -> (ActionId, Action) {
        let id = *self.flights.iter().find(|(_, action)| is_it(action)).unwrap().0;
        (id, self.flights.remove(&id).unwrap())
    }

    fn answer_all(&mut self) {
        let flights = std::mem::take(&mut self.flights);
        let inputs = flights.into_iter().map(|(id, action)| match action {
            Action::Resolve(request) => {
                Input::Resolved(id, Ok(image(&request.check.image.to_string())))
            }
            Action::RollOut(_) => {
                Input::RolloutReported(id, RolloutReport::Complete { log: String::new() })
            }
            other => panic!("unexpected {other:?}"),
        });
        let inputs = inputs.collect();
        self.step(inputs);
    }

    /// The median time of the step that takes in a new digest and starts its rollout.
    fn one_tag_moves(&mut self) -> Duration {
        let mut times: Vec<_> = (0..ROUNDS).map(|_| self.move_one()).collect();
        times.sort();
        times.get(ROUNDS / 2).copied().unwrap_or_default()
    }

    fn move_one(&mut self) -> Duration {
        self.moves += 1;
        // Far apart, so that no cache is warm; the first tag of each stream has a dependent.
        let streams = self.tags / TAGS_PER_STREAM;
        let stream = self.moves * 7919 % streams;
        self.now.mono = self.now.mono.after(Duration::from_millis(1));
        let tag = format!("shop/s{stream}:t0").parse().unwrap();
        self.step(vec![Input::Nudged(Nudge::Tag(tag))]);
        let (id, _) = self.take(|action| matches!(action, Action::Resolve(_)));
        let new = image(&format!("moved {}", self.moves));
        let took = self.step(vec![Input::Resolved(id, Ok(new))]);
        let (id, _) = self.take(|action| matches!(action, Action::RollOut(_)));
        let report = RolloutReport::Complete { log: String::new() };
        self.step(vec![Input::RolloutReported(id, report)]);
        took
    }

    /// Five minutes in which nothing moves, after the checks have drifted apart as they do by their share of each interval.
    ///
    /// Without the requests themselves: those are the figures of the bench `registry`.
    fn idle(&mut self) {
        for _ in 0..12 {
            self.pass(Duration::from_secs(15 * 60));
        }
        let idle = self.pass(Duration::from_secs(5 * 60));
        let share = idle.took.as_secs_f64() / 300.0 * 100.0;
        let each = idle.took.as_secs_f64() * 1e6 / idle.checks as f64;
        println!(
            "idle: {} tags every 15 min, five simulated minutes: {} checks in {} steps, {:.2?} of one processor ({share:.2} %), {each:.1} us each, {}",
            self.tags,
            idle.checks,
            idle.steps,
            idle.took,
            memory(),
        );
    }

    /// Time passes, and every check finds what is known.
    fn pass(&mut self, span: Duration) -> Idle {
        let end = self.now.mono.after(span);
        let mut idle = Idle::default();
        let mut wake = self.now.mono;
        while wake < end {
            let passed = wake.since(self.now.mono);
            self.now = Now { wall: self.now.wall.after(passed), mono: wake };
            let mut inputs = vec![Input::Wake];
            loop {
                let begin = Instant::now();
                let effects = self.engine.step(std::mem::take(&mut inputs), self.now);
                idle.took += begin.elapsed();
                idle.steps += 1;
                for effect in effects {
                    match effect {
                        Effect::WakeAt(at) => wake = at,
                        Effect::Start(id, Action::Resolve(request)) => {
                            idle.checks += 1;
                            let probed = request.known.unwrap();
                            let answer = Resolution { probed, image: None };
                            inputs.push(Input::Resolved(id, Ok(answer)));
                        }
                        Effect::Start(id, Action::ReadSource(_)) => {
                            let message = "nothing new".to_owned();
                            let failure = SourceFailure { commit: None, message };
                            inputs.push(Input::SourceRead(id, Err(failure)));
                        }
                        _ => {}
                    }
                }
                if inputs.is_empty() {
                    break;
                }
            }
        }
        self.now.mono = end;
        idle
    }

    fn whole_plan(&self) {
        let begin = Instant::now();
        let plans = plan::whole(&self.engine.view(self.now));
        let took = begin.elapsed();
        let steps: usize = plans.iter().map(|(_, plan)| plan.steps.len()).sum();
        let (keys, tags, workloads) =
            (plans.len(), self.tags, self.engine.desired().workloads.len());
        println!(
            "plan: everything, {tags} tags and {workloads} deployments ({keys} keys, {steps} steps): {took:.1?}"
        );
    }
}

/// What passed while nothing moved.
#[derive(Default)]
struct Idle {
    checks: usize,
    steps: usize,
    took: Duration,
}

/// What this process has in memory.
fn memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    format!("{} in memory, {} at most", field("VmRSS:"), field("VmHWM:"))
}

fn image(name: &str) -> Resolution {
    let digest = Digest::of(name.as_bytes());
    let metadata = ContentHash::of(name.as_bytes());
    Resolution { probed: digest, image: Some(ResolvedImage { digest, metadata }) }
}

fn source(tags: usize) -> SourceRead {
    let file = |stream: usize| {
        let text = manifest(stream);
        SourceFile {
            path: format!("s{stream}.yaml"),
            blob: BlobId::from_bytes([0; 20]),
            len: text.len() as u64,
            bytes: Some(Arc::from(text.as_bytes())),
        }
    };
    SourceRead {
        commit: "1".repeat(40).parse().unwrap(),
        base: None,
        branch: "main".into(),
        forced: false,
        changed: (0..tags / TAGS_PER_STREAM).map(file).collect(),
        removed: Vec::new(),
        skipped: Vec::new(),
    }
}

/// A stream of ten scheduled tags and a deployment that follows the first.
fn manifest(stream: usize) -> String {
    let head = "apiVersion: image.openshift.io/v1\nkind: ImageStream\n";
    let mut text =
        format!("{head}metadata: {{name: s{stream}, namespace: shop}}\nspec:\n  tags:\n");
    for tag in 0..TAGS_PER_STREAM {
        let image = format!("r{}.example.com/team/s{stream}:t{tag}", stream % 7);
        let _ = writeln!(
            text,
            "  - name: t{tag}\n    from: {{kind: DockerImage, name: {image}}}\n    importPolicy: {{scheduled: true}}"
        );
    }
    let _ = write!(
        text,
        "---\napiVersion: apps.openshift.io/v1\nkind: DeploymentConfig\nmetadata: {{name: d{stream}, namespace: shop}}\n\
         spec:\n  replicas: 1\n  selector: {{app: d}}\n  triggers:\n  - type: ConfigChange\n  - type: ImageChange\n    \
         imageChangeParams: {{automatic: true, containerNames: [main], from: {{kind: ImageStreamTag, name: 's{stream}:t0'}}}}\n  \
         template:\n    metadata: {{labels: {{app: d}}}}\n    spec: {{containers: [{{name: main, image: ' '}}]}}\n"
    );
    text
}
