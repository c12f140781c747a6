//! `tidegate cost`: the forecast, and that it is what the planner does.

use tidegate::policy::{Counted, Policy, RateLimit};
use tidegate::report::{cost, to_json};

use crate::support::daemon::Host;
use crate::support::engine::World;
use crate::support::git::Repo;
use crate::support::manifest::Manifest;

/// Docker Hub, of which two tags name one image, and another registry.
const STREAMS: &str = "is web latest=python:3,scheduled stable=docker.io/library/python:3,scheduled old=python:2
is api a=r.io/api:1,scheduled,every:1h b=r.io/api:1,scheduled,every:5m c=r.io/api:2,scheduled,every:7h
is night n=r.io/night:1,scheduled schedule=0_3_*_*_*
is pin p=r.io/pin@sha256:0000000000000000000000000000000000000000000000000000000000000000,scheduled";

fn report(world: &World, policy: &Policy) -> serde_json::Value {
    let engine = &world.engine;
    let now = world.now.wall;
    let cost = cost::forecast(engine.desired(), engine.observed(), policy, now);
    serde_json::from_str(&to_json(&cost)).unwrap()
}

#[test]
fn the_forecast_is_what_is_asked_while_nothing_moves() {
    let policy = Policy { checks_in_flight_max: 100, ..World::policy() };
    let mut world = World::with(policy.clone());
    world.commit(STREAMS);
    let before = report(&world, &policy);
    let of = |report: &serde_json::Value, host: &str| {
        let all = report["registries"].as_array().unwrap();
        all.iter().find(|cost| cost["registry"] == host).unwrap().clone()
    };
    let hub = of(&before, "registry-1.docker.io");
    assert_eq!((&hub["tags"], &hub["checks"]), (&3.into(), &2.into()), "{hub}");
    assert_eq!(hub["first"], serde_json::json!({"head": 2, "manifests": 4, "others": 2}), "{hub}");
    world.resolve_all("a");
    let after = report(&world, &policy);
    let mut asked = std::collections::BTreeMap::<&str, u64>::new();
    for _ in 0..6 * 360 {
        world.advance(10);
        for line in world.pending().lines() {
            let host = if line.contains("python") { "registry-1.docker.io" } else { "r.io" };
            *asked.entry(host).or_default() += 1;
        }
        world.resolve_all("a");
    }
    for (host, asked) in asked {
        let cost = of(&after, host);
        assert_eq!(cost["first"], serde_json::json!({"head": 0, "manifests": 0, "others": 0}));
        let forecast = cost["perSixHours"]["head"].as_u64().unwrap();
        // Every interval has up to a tenth more, so that many do not come at once; and an answer takes up to 10 s here.
        let range = forecast * 8 / 10..=forecast;
        assert!(range.contains(&asked), "{host}: {asked} of {forecast}");
    }
}

#[test]
fn what_counts_is_what_the_settings_say() {
    let limited = |counted, requests| {
        let window = std::time::Duration::from_secs(3 * 3600);
        let limit = RateLimit { requests, window, counted, reserve: Some(4), assumed: false };
        let limits = [("r.io".to_owned(), limit)].into();
        Policy { registry_limits: limits, ..World::policy() }
    };
    let mut world = World::new();
    world.commit("is api a=r.io/api:1,scheduled,every:5m");
    let of = |policy: &Policy| {
        let report = report(&world, policy);
        let limit = &report["registries"][0]["limit"];
        (limit["used"].as_u64().unwrap(), limit["fits"].as_bool().unwrap())
    };
    assert_eq!(of(&limited(Counted::Manifests, 1)), (0, true), "a HEAD is free");
    assert_eq!(of(&limited(Counted::All, 40)), (36, true));
    assert_eq!(of(&limited(Counted::All, 39)), (36, false), "four are kept for pulls");
}

#[test]
fn cost_is_told_before_anything_runs() {
    let repo = Repo::new();
    // What is due once a day is due within the next hours, or is not: this is asked at any time of the day.
    let streams = STREAMS.replace("schedule=0_3_*_*_*", "schedule=0_*_*_*_*");
    for (name, line) in streams.lines().enumerate() {
        repo.write(&format!("{name}.yaml"), Manifest::parse(line).yaml());
    }
    repo.commit("streams");
    let host = Host::new(repo.path(), "");
    let text = host.text(&["cost"]);
    insta::assert_snapshot!("cost", text);
    let strict = "[registries.\"docker.io\"]\nlimit = \"3/6h\"\n[registries.\"r.io\"]\nlimit = \"10/1h\"\ncounted = \"all\"\n";
    let host = Host::new(repo.path(), strict);
    let output = host.run(&["cost"]);
    assert_eq!(output.status.code(), Some(3));
    insta::assert_snapshot!("cost-too-much", String::from_utf8(output.stdout).unwrap());
    let checked = host.run(&["check", repo.path().to_str().unwrap()]);
    assert_eq!(checked.status.code(), Some(0), "it is a warning");
    let said = String::from_utf8(checked.stderr).unwrap();
    let warned = "warning: registry r.io: ";
    assert!(said.lines().any(|line| line.starts_with(warned)), "{said}");
    let host = Host::new(repo.path(), "[registries.\"r.io\"]\ncounted = \"all\"\n");
    let output = host.run(&["cost"]);
    assert_eq!(output.status.code(), Some(64));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("there is no `limit` beside it"), "{said}");
}
