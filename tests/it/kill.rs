//! SIGKILL at any moment: no rollout is lost, and a receiver that remembers keys sees each once.
//!
//! `KILL_RUNS` says how often the daemon is killed; the ordinary run does it a few times.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tidegate::fact::{Fact, Outcome};

use crate::story::main_job::{DEPLOYMENT, deliveries, receiver, stream};
use crate::support::daemon::{Host, eventually, wait};
use crate::support::git::Repo;
use crate::support::registry::DockerRegistry;

/// Kills of an ordinary run.
const KILLS: u64 = 12;

#[test]
fn a_daemon_that_is_killed_at_any_moment_loses_no_rollout_and_doubles_none() {
    let kills = std::env::var("KILL_RUNS").ok().and_then(|n| n.parse().ok()).unwrap_or(KILLS);
    let Some(registry) = DockerRegistry::start() else { return };
    wait(registry.push_image("team/web", "1", "start"));
    let repo = Repo::new();
    repo.write("streams/web.yaml", stream(&registry.address()));
    repo.write("apps/web.yaml", DEPLOYMENT);
    repo.commit("start");
    let folder = tempfile::tempdir().unwrap();
    let mut host = Host::new(repo.path(), &receiver(folder.path()));
    let mut last = None;
    for run in 0..kills {
        // Each round asks for exactly one more rollout: by a tag on even rounds, by a template on odd ones.
        if run % 2 == 0 {
            let tag = format!("r{run}");
            last = Some(wait(registry.push_image("team/web", &tag, &tag)));
            let text =
                stream(&registry.address()).replace("team/web:1", &format!("team/web:{tag}"));
            repo.write("streams/web.yaml", &text);
        } else {
            repo.write("apps/web.yaml", DEPLOYMENT.replace("hello", &format!("hello {run}")));
        }
        repo.commit(&format!("round {run}"));
        host.start();
        // Moments spread over start, adoption, import, rollout and its end; what exactly is hit does not matter.
        std::thread::park_timeout(Duration::from_millis(20 + (run * 7919) % 400));
        host.kill();
    }
    host.start();
    let last = last.unwrap().to_string();
    eventually("the last rollout", || {
        let records = host.records();
        let end = records.iter().rev().find_map(|record| match &record.fact {
            Fact::RolloutFinished(end) if end.outcome == Outcome::Complete => Some(end.rollout),
            _ => None,
        })?;
        let started = records.iter().find_map(|record| match &record.fact {
            Fact::RolloutStarted(started) if record.seq == end => Some(started),
            _ => None,
        })?;
        let current = started
            .images
            .iter()
            .any(|image| image.digest.map(|d| d.to_string()) == Some(last.clone()));
        (current
            && records.iter().all(|r| r.seq <= end || !matches!(r.fact, Fact::RolloutStarted(_))))
        .then_some(())
    });
    // Once: every key that was delivered belongs to one record, always with the same content.
    let mut contents: BTreeMap<String, BTreeSet<(String, String)>> = BTreeMap::new();
    for (key, cause, digest) in deliveries(folder.path()) {
        contents.entry(key).or_default().insert((cause, digest));
    }
    for (key, content) in &contents {
        assert_eq!(content.len(), 1, "key {key} stands for one rollout: {content:?}");
    }
    assert_nothing_is_asked_twice(&host);
    // Truthful: the journal knows every key that was delivered, and its chain holds.
    let known: BTreeSet<String> = host
        .records()
        .iter()
        .filter_map(|record| match &record.fact {
            Fact::RolloutStarted(started) => Some(started.key(record.seq).to_string()),
            _ => None,
        })
        .collect();
    for key in contents.keys() {
        assert!(known.contains(key), "{key} was delivered before it was recorded");
    }
    assert!(host.stop().success());
    let verify = host.run(&["journal", "verify"]);
    assert!(verify.status.success(), "{verify:?}");
}

/// Once: what was wanted was started once; no round asks for anything that an earlier one asked for.
fn assert_nothing_is_asked_twice(host: &Host) {
    let mut wanted = BTreeSet::new();
    for record in host.records() {
        if let Fact::RolloutStarted(started) = record.fact {
            let digests: Vec<_> = started.images.iter().map(|image| image.digest).collect();
            let again = !wanted.insert((digests, started.template));
            assert!(!again, "revision {} asks for what an earlier one asked for", started.revision);
        }
    }
}
