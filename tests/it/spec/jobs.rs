//! CronJobs on one host (rule R17a).

use std::time::Duration;

use tidegate::action::{Request, RolloutReport, RunOrder};
use tidegate::fact::Fact;

use crate::support::engine::World;
use crate::support::start::moves;

const NIGHT: &str = "is web latest=r.io/web:1\ncj night main<web:latest target=host";

/// A world with a host, in which `night` is in force with these flags. It is midnight.
fn scheduled(flags: &str) -> World {
    let mut policy = World::policy();
    let host: tidegate::names::TargetName = "host".parse().unwrap();
    policy.hosts.insert(host.clone());
    policy.targets.insert(host, Duration::from_secs(600));
    let mut world = World::with(policy);
    world.commit(&format!("{NIGHT} {flags}"));
    world.resolve("r.io/web:1", "a");
    world
}

/// The host makes the pod that is asked for.
fn created(world: &mut World) {
    world.report("create job", RolloutReport::Complete { log: String::new() });
}

/// The run that goes on succeeds.
fn succeeds(world: &mut World) {
    world.report("run job", RolloutReport::Complete { log: "done".into() });
}

/// The run that goes on fails.
fn fails(world: &mut World) {
    let reason = "container main: exit status 1".into();
    world.report("run job", RolloutReport::Failed { reason, log: "boom".into() });
}

fn minutes(world: &mut World, minutes: u64) {
    world.advance(minutes * 60);
}

/// Time passes while nothing runs.
fn sleeps(world: &mut World, seconds: u64) {
    let span = Duration::from_secs(seconds);
    world.now.mono = world.now.mono.after(span);
    world.now.wall = world.now.wall.after(span);
}

/// Somebody sets the clock.
fn sets_clock(world: &mut World, to: &str) {
    world.now.wall = to.parse().unwrap();
    world.step(vec![]);
}

/// R17a: it is in force with its record, nothing is started, and nothing waits for it.
#[test]
fn r017a_a_cron_job_is_in_force_at_once() {
    let mut world = scheduled("cron=@hourly");
    let records = world.records();
    assert!(records.ends_with("RolloutStarted night 1 (config change) main=#a"), "{records}");
    assert_eq!((world.pending().as_str(), world.held().as_str()), ("", ""));
    let state = &world.engine.observed().workloads[&"CronJob/shop/night".parse().unwrap()];
    assert_eq!(state.active().map(|active| active.started.revision.0), Some(1));
}

/// R17a: a run begins when its time comes: a record, its pod, another record, its start, its end.
#[test]
fn r017a_a_run_begins_at_its_time() {
    let mut world = scheduled("cron=@hourly");
    minutes(&mut world, 59);
    assert_eq!(world.pending(), "");
    world.records();
    minutes(&mut world, 1);
    assert_eq!(world.records(), "JobStarted night-29453820 main=#a");
    assert_eq!(world.pending(), "create job night-29453820");
    created(&mut world);
    assert_eq!(world.records(), "JobCreated night-29453820");
    assert_eq!(world.pending(), "run job night-29453820");
    succeeds(&mut world);
    assert_eq!(world.records(), "JobFinished night-29453820 Complete");
    assert_eq!((world.pending().as_str(), world.held().as_str()), ("", ""));
    assert_eq!(world.told(), "tidy job night-29453820");
    minutes(&mut world, 59);
    assert_eq!(world.records(), "");
    minutes(&mut world, 1);
    assert_eq!(world.records(), "JobStarted night-29453880 main=#a");
}

/// R17a: another image is a line of history; what runs goes on, and the next run takes it.
#[test]
fn r017a_another_image_is_for_the_next_run() {
    let mut world = scheduled("cron=@hourly");
    minutes(&mut world, 60);
    created(&mut world);
    world.records();
    moves(&mut world, "b");
    let records = world.records();
    assert!(records.ends_with("RolloutStarted night 2 (image change) main=#b"), "{records}");
    assert_eq!(world.pending(), "run job night-29453820");
    succeeds(&mut world);
    world.records();
    minutes(&mut world, 60);
    assert_eq!(world.records(), "JobStarted night-29453880 main=#b");
}

/// R17a: a failed run is told until one succeeds.
#[test]
fn r017a_a_failed_run_is_told_until_one_succeeds() {
    let mut world = scheduled("cron=@hourly");
    minutes(&mut world, 60);
    created(&mut world);
    fails(&mut world);
    let held = world.held();
    assert!(
        held.contains(
            "its last run, job night-29453820, failed at 2026-01-01T01:00:00Z: container main"
        ),
        "{held}"
    );
    minutes(&mut world, 60);
    created(&mut world);
    assert!(world.held().contains("night-29453820"), "{}", world.held());
    succeeds(&mut world);
    assert_eq!(world.held(), "");
}

/// R17a: of what was missed while nothing ran the last one is made up for, once.
#[test]
fn r017a_of_missed_runs_only_the_last_one_is_made_up_for() {
    let mut world = scheduled("cron=@hourly");
    world.records();
    sleeps(&mut world, 5 * 3_600 + 600);
    world.restart();
    assert_eq!(world.records(), "JobStarted night-29454060 main=#a after others");
    created(&mut world);
    succeeds(&mut world);
    minutes(&mut world, 49);
    world.records();
    world.restart();
    minutes(&mut world, 1);
    assert_eq!(world.records(), "JobStarted night-29454120 main=#a");
}

/// R17a: what is later than `startingDeadlineSeconds` is missed for good, and that is told once.
#[test]
fn r017a_what_comes_too_late_does_not_begin() {
    let mut world = scheduled("cron=@hourly late=60");
    world.records();
    sleeps(&mut world, 2 * 3_600 + 61);
    world.restart();
    assert_eq!(world.records(), "JobMissed 2026-01-01T01:00:00Z to 2026-01-01T02:00:00Z");
    world.restart();
    assert_eq!((world.records().as_str(), world.pending().as_str()), ("", ""));
    sleeps(&mut world, 3_600 - 61 + 60);
    world.restart();
    assert_eq!(world.records(), "JobStarted night-29453940 main=#a");
}

/// R17a, law 6: after a crash at any point there is one run for one time, found again where it was made.
#[test]
fn r017a_a_crash_does_not_run_twice() {
    let mut world = scheduled("cron=@hourly");
    minutes(&mut world, 60);
    world.records();
    world.restart();
    assert_eq!(world.pending(), "create job night-29453820");
    created(&mut world);
    world.restart();
    assert_eq!(world.pending(), "run job night-29453820");
    succeeds(&mut world);
    world.restart();
    assert_eq!(world.pending(), "");
    assert_eq!(world.records(), "JobCreated night-29453820\nJobFinished night-29453820 Complete");
}

/// R17a: with `Forbid` a run waits for the end of the earlier one, and only the last of those that wait begins.
#[test]
fn r017a_forbid_waits() {
    let mut world = scheduled("cron=*/10_*_*_*_* policy=Forbid");
    minutes(&mut world, 10);
    created(&mut world);
    world.records();
    minutes(&mut world, 25);
    assert_eq!(world.records(), "");
    let held = world.held();
    assert!(
        held.contains("the run of 2026-01-01T00:30:00Z waits for the end of job night-29453770"),
        "{held}"
    );
    succeeds(&mut world);
    assert_eq!(
        world.records(),
        "JobFinished night-29453770 Complete\nJobStarted night-29453790 main=#a after others"
    );
}

/// R17a: with `Replace` the earlier run is ended first, and that is recorded first.
#[test]
fn r017a_replace_ends_the_earlier_run() {
    let mut world = scheduled("cron=*/10_*_*_*_* policy=Replace");
    minutes(&mut world, 10);
    created(&mut world);
    world.records();
    minutes(&mut world, 10);
    assert_eq!(
        world.records(),
        "JobEnding night-29453770 Cancelled: replaced by the run of 2026-01-01T00:20:00Z"
    );
    assert_eq!(world.told(), "cancel run job night-29453770");
    world.report("run job", RolloutReport::Cancelled);
    assert_eq!(world.pending(), "end job night-29453770");
    // a crash does not forget it
    world.restart();
    assert_eq!(world.pending(), "end job night-29453770");
    world.report("end job", RolloutReport::Complete { log: String::new() });
    let records = world.records();
    assert!(records.starts_with("JobFinished night-29453770 Cancelled"), "{records}");
    assert!(records.ends_with("JobStarted night-29453780 main=#a"), "{records}");
}

/// R17a: with `Allow` both run.
#[test]
fn r017a_allow_runs_both() {
    let mut world = scheduled("cron=*/10_*_*_*_*");
    minutes(&mut world, 10);
    created(&mut world);
    minutes(&mut world, 10);
    assert_eq!(world.pending(), "run job night-29453770\ncreate job night-29453780");
}

/// R17a: a run that takes longer than `activeDeadlineSeconds` is ended, and failed.
#[test]
fn r017a_a_run_has_a_deadline() {
    let mut world = scheduled("cron=@hourly deadline=300");
    minutes(&mut world, 60);
    created(&mut world);
    minutes(&mut world, 4);
    world.records();
    minutes(&mut world, 1);
    assert_eq!(
        world.records(),
        "JobEnding night-29453820 Failed: it was not done within 5m (`activeDeadlineSeconds`)"
    );
    world.report("run job", RolloutReport::Cancelled);
    world.report("end job", RolloutReport::Complete { log: String::new() });
    assert!(world.held().contains("was not done within 5m"), "{}", world.held());
}

/// R17a: what cannot be pulled is tried again, and given up; the next run is another try.
#[test]
fn r017a_a_pod_that_cannot_be_made_is_tried_again() {
    let mut world = scheduled("cron=@hourly retry=1");
    minutes(&mut world, 60);
    world.transient("night-29453820");
    assert!(world.held().contains("job night-29453820 does not go on: busy"), "{}", world.held());
    world.advance(5);
    assert_eq!(world.pending(), "create job night-29453820");
    world.records();
    world.transient("night-29453820");
    assert_eq!(world.records(), "JobEnding night-29453820 Failed: not started in 2 attempts: busy");
    world.report("end job", RolloutReport::Complete { log: String::new() });
    minutes(&mut world, 60);
    assert_eq!(world.pending(), "create job night-29453880");
}

/// R17a: while it is suspended nothing begins; when it goes on, the last time that was missed is made up for.
#[test]
fn r017a_what_is_suspended_does_not_run() {
    let mut world = scheduled("cron=@hourly suspend");
    minutes(&mut world, 150);
    assert_eq!(world.pending(), "");
    assert!(world.held().contains("suspended; remove `spec.suspend`"), "{}", world.held());
    world.records();
    world.commit(&format!("{NIGHT} cron=@hourly"));
    let records = world.records();
    assert!(
        records.ends_with(
            "RolloutStarted night 2 (config change) main=#a\nJobStarted night-29453880 main=#a after others"
        ),
        "{records}"
    );
}

/// R17a: another schedule does not make up for what lies before it.
#[test]
fn r017a_another_schedule_has_missed_nothing() {
    let mut world = scheduled("cron=@yearly");
    minutes(&mut world, 150);
    world.commit(&format!("{NIGHT} cron=@hourly"));
    assert_eq!(world.pending(), "");
    minutes(&mut world, 30);
    assert_eq!(world.pending(), "create job night-29453940");
}

/// R17a: on another host the next run begins; what runs goes on where it is.
#[test]
fn r017a_another_host_is_for_the_next_run() {
    let mut policy = World::policy();
    for host in ["host", "other"] {
        let host: tidegate::names::TargetName = host.parse().unwrap();
        policy.hosts.insert(host.clone());
        policy.targets.insert(host, Duration::from_secs(600));
    }
    let mut world = World::with(policy);
    world.commit(&format!("{NIGHT} cron=@hourly"));
    world.resolve("r.io/web:1", "a");
    minutes(&mut world, 60);
    created(&mut world);
    world.records();
    world.commit(&format!("{} cron=@hourly", NIGHT.replace("target=host", "target=other")));
    assert!(world.records().ends_with("RolloutStarted night 2 (config change) main=#a"));
    assert_eq!(world.pending(), "run job night-29453820");
    succeeds(&mut world);
    minutes(&mut world, 60);
    let last = world.journal.iter().rev().find_map(|record| match &record.fact {
        Fact::JobStarted(job) => Some(job.target.as_str()),
        _ => None,
    });
    assert_eq!(last, Some("other"));
}

/// R17a: what git says wrong is held with a reason, and what is in force goes on.
#[test]
fn r017a_a_schedule_that_is_none_is_told() {
    let mut world = scheduled("cron=61_*_*_*_*");
    let held = world.held();
    assert!(held.contains("target `host` cannot run it: `spec.schedule`: `61 * * * *`"), "{held}");
    world.commit(&format!("{NIGHT} cron=@hourly"));
    world.commit(&format!("{NIGHT} cron=61_*_*_*_*"));
    assert!(world.held().contains("`61 * * * *`"), "{}", world.held());
    minutes(&mut world, 60);
    assert_eq!(world.pending(), "create job night-29453820");
}

/// R17a: an operator runs it now; the schedule goes on as it is.
#[test]
fn r017a_an_operator_runs_it_now() {
    let mut world = scheduled("cron=@hourly");
    minutes(&mut world, 30);
    world.records();
    let order = |name: &str| {
        Request::RunJob(RunOrder {
            object: "CronJob/shop/night".parse().unwrap(),
            name: name.parse().unwrap(),
        })
    };
    assert_eq!(world.ask(order("now")), "done");
    assert_eq!(world.records(), "JobStarted now main=#a by ann");
    assert_eq!(world.ask(order("now")), "refused: jobs.batch \"now\" already exists");
    created(&mut world);
    succeeds(&mut world);
    world.records();
    minutes(&mut world, 30);
    assert_eq!(world.records(), "JobStarted night-29453820 main=#a");
    let order =
        RunOrder { object: "CronJob/shop/other".parse().unwrap(), name: "x".parse().unwrap() };
    assert_eq!(world.ask(Request::RunJob(order)), "refused: there is no cronjob other in force");
}

/// R17a, D51: when it goes from git its runs are ended before what is left is taken away.
#[test]
fn r017a_what_leaves_git_is_ended() {
    let mut world = scheduled("cron=@hourly");
    minutes(&mut world, 60);
    created(&mut world);
    world.records();
    world.commit("is web latest=r.io/web:1");
    let grace = World::policy().prune_grace.as_secs();
    world.advance(grace);
    let records = world.records();
    assert!(records.contains("JobEnding night-29453820 Cancelled: removed from git"), "{records}");
    assert!(!records.contains("StopStarted"), "{records}");
    world.report("run job", RolloutReport::Cancelled);
    world.report("end job", RolloutReport::Complete { log: String::new() });
    let records = world.records();
    assert!(records.ends_with("StopStarted night"), "{records}");
    world.complete("night");
    minutes(&mut world, 120);
    assert_eq!(world.pending(), "");
}

/// R17a: where the clock was ahead, its times do not come twice; somebody may release that.
#[test]
fn r017a_a_clock_that_was_ahead_does_not_run_twice() {
    let mut world = scheduled("cron=@hourly");
    sets_clock(&mut world, "2026-01-02T00:30:00Z");
    let started = world.journal.iter().filter(|r| matches!(r.fact, Fact::JobStarted(_))).count();
    assert_eq!(started, 1);
    created(&mut world);
    succeeds(&mut world);
    sets_clock(&mut world, "2026-01-01T00:30:00Z");
    world.records();
    assert!(world.held().contains("for times up to 2026-01-02T00:00:00Z"), "{}", world.held());
    minutes(&mut world, 60);
    assert_eq!(world.records(), "");
    assert_eq!(world.release("CronJob/shop/night"), "done");
    minutes(&mut world, 60);
    assert!(world.records().ends_with("JobStarted night-29453880 main=#a"), "{}", world.held());
}
