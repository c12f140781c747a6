use anstream::adapter::strip_str;

use crate::desired::diagnostic::{Diagnostic, Severity};
use crate::effective;
use crate::names::StreamTag;
use crate::plan::Index;
use crate::policy::Policy;
use crate::report::live::{Live, LiveCheck};
use crate::report::select::Known;
use crate::report::{story, to_json};

use super::*;
use story::at;

struct Setting {
    desired: DesiredState,
    observed: crate::observed::ObservedState,
    soft: crate::observed::soft::Soft,
    policy: Policy,
    index: Index,
}

impl Setting {
    fn story() -> Self {
        Self {
            desired: story::desired(),
            observed: story::observed(),
            soft: crate::observed::soft::Soft::default(),
            policy: Policy::default(),
            index: Index::default(),
        }
    }

    fn view(&self) -> View<'_> {
        let Self { desired, observed, soft, policy, index } = self;
        View { desired, observed, soft, policy, now: story::now(), index }
    }

    fn input(&self) -> Input<'_> {
        Input {
            repository: Some("https://git.example.com/shop.git"),
            view: self.view(),
            unread: None,
            live: None,
            silent: None,
            select: None,
            project: None,
            past: false,
        }
    }

    /// A daemon that proved the tag five minutes ago.
    fn live(&self, tag: &str) -> Live {
        let tag: StreamTag = tag.parse().unwrap();
        let (stream, spec) = effective::spec_tag(&self.desired, &tag).unwrap();
        let check = effective::check_of(stream, spec, &self.policy).unwrap();
        Live {
            answered_at: story::at(180),
            source_read_at: Some(story::at(179)),
            source_failures: 3,
            checks: vec![LiveCheck {
                image: check.image.to_string(),
                asked: effective::fingerprint(&check),
                namespace: None,
                attempted: Some(story::at(175)),
                proven: Some(story::at(175)),
                failures: 0,
                next: Some(story::at(190)),
                waits: None,
                unread: None,
            }],
            registries: Vec::new(),
            quota: Vec::new(),
            deliveries: Vec::new(),
            astray: Vec::new(),
            looks: std::collections::BTreeMap::new(),
            webhooks: Vec::new(),
            notes: Vec::new(),
        }
    }
}

fn text(input: &Input<'_>) -> String {
    strip_str(&Status::of(input).to_text()).to_string()
}

#[test]
fn without_a_daemon_the_report_says_up_to_which_record_it_knows() {
    let setting = Setting::story();
    insta::assert_snapshot!("offline", text(&setting.input()));
    insta::assert_snapshot!("offline_json", to_json(&Status::of(&setting.input())));
}

#[test]
fn with_a_daemon_a_tag_is_proven_current() {
    let setting = Setting::story();
    let live = setting.live("shop/python:3.6");
    let input = Input { live: Some(&live), ..setting.input() };
    insta::assert_snapshot!("live", text(&input));
}

#[test]
fn an_object_is_shown_alone_with_what_is_wrong_with_it() {
    let setting = Setting::story();
    let known = Known::of(&setting.desired, &setting.observed);
    let select = known.select("dc/web", &"shop".parse().unwrap()).unwrap();
    insta::assert_snapshot!(
        "one_object",
        text(&Input { select: Some(&select), ..setting.input() })
    );
    let select = known.select("istag/base:1", &"shop".parse().unwrap()).unwrap();
    let shown = text(&Input { select: Some(&select), ..setting.input() });
    assert!(shown.contains("could not check since 2 hours ago: Unauthorized"), "{shown}");
    assert!(!shown.contains("DeploymentConfig"), "{shown}");
}

/// D9: a trigger that names a container that there is not is told for as long as git says so.
#[test]
fn a_trigger_that_names_no_container_is_told() {
    let mut setting = Setting::story();
    setting.desired.warnings.push(Diagnostic {
        severity: Severity::Warning,
        position: story::position(9),
        rule: crate::desired::MISNAMED.into(),
        message: "image trigger names container \"marsview\"".into(),
        hint: None,
    });
    let shown = text(&setting.input());
    assert!(shown.contains("warning: shop/web.yaml:9") && shown.contains("marsview"), "{shown}");
}

/// Law 8: a workload that wants a rollout and has none says why not yet.
#[test]
fn a_rollout_that_waits_for_a_slot_says_so() {
    let records = story::records();
    let mut setting = Setting {
        observed: crate::observed::ObservedState::default().replay(&records[..8]),
        policy: Policy { rollouts_in_flight_max: 1, ..Policy::default() },
        ..Setting::story()
    };
    let object: ObjectKey = "DeploymentConfig/shop/worker".parse().unwrap();
    let worker = crate::desired::Workload { object: object.clone(), ..story::workload("{}") };
    setting.desired.workloads.insert(object, worker.into());
    let known = Known::of(&setting.desired, &setting.observed);
    let select = known.select("dc/worker", &"shop".parse().unwrap()).unwrap();
    let live = setting.live("shop/python:3.6");
    let live = Some(&live);
    insta::assert_snapshot!(
        "waiting",
        text(&Input { select: Some(&select), live, ..setting.input() })
    );
    let input = Input { select: Some(&select), live, ..setting.input() };
    insta::assert_snapshot!("waiting_json", to_json(&Status::of(&input)));
    assert_eq!(Status::of(&input).health(), Health::Fine, "a queue is nothing wrong");
    let free = Policy { rollouts_in_flight_max: 2, ..Policy::default() };
    let setting = Setting { policy: free, ..setting };
    let shown = text(&Input { select: Some(&select), ..setting.input() });
    assert!(shown.contains("worker: a rollout is due; a running daemon starts it"), "{shown}");
}

#[test]
fn a_first_start_has_an_empty_page() {
    let setting = Setting {
        desired: DesiredState::default(),
        observed: crate::observed::ObservedState::default(),
        ..Setting::story()
    };
    insta::assert_snapshot!("empty", text(&setting.input()));
}

/// Law 8: what could not be checked is never shown as fine.
#[test]
fn what_could_not_be_checked_is_never_fine() {
    let setting = Setting::story();
    let mut live = setting.live("shop/python:3.6");
    live.checks[0].failures = 1;
    let status = Status::of(&Input { live: Some(&live), ..setting.input() });
    let verdicts = |status: &Status| status.tags.iter().map(|tag| tag.verdict).collect::<Vec<_>>();
    assert_eq!(verdicts(&status), [Verdict::CouldNotCheck; 2]);
    assert_eq!(status.health(), Health::Held);
    let unasked = Live { checks: Vec::new(), ..live };
    let status = Status::of(&Input { live: Some(&unasked), ..setting.input() });
    assert_eq!(verdicts(&status), [Verdict::CouldNotCheck, Verdict::NotVerified]);
    assert!(!text(&setting.input()).contains("proven current"));
}

/// A daemon that cannot deliver what the record with this number started.
fn undelivered(setting: &Setting, record: u64, accepted: bool) -> Live {
    let mut live = setting.live("shop/python:3.6");
    live.deliveries.push(crate::report::live::LiveDelivery {
        record: Seq(record),
        failures: 3,
        reason: Some("cannot start `/usr/local/bin/roll-out`".into()),
        accepted,
        next: Some(at(181)),
    });
    live
}

/// The story up to a record, without the stream that fails.
fn until(records: usize) -> Setting {
    let observed = crate::observed::ObservedState::default().replay(&story::records()[..records]);
    let mut desired = story::desired();
    desired.streams.retain(|name, _| name.name.as_str() == "python");
    Setting { desired, observed, ..Setting::story() }
}

/// Law 8: a target that cannot be reached is shown, in text, as data and as an exit code.
#[test]
fn what_is_not_delivered_is_shown() {
    let setting = until(8);
    let live = undelivered(&setting, 8, false);
    let input = Input { live: Some(&live), ..setting.input() };
    let shown = text(&input);
    let line = "DeploymentConfig/shop/web: revision 2 not delivered yet to target none: cannot start \
                `/usr/local/bin/roll-out`; attempt 3, next at 2026-11-21T11:01:00Z";
    assert!(shown.contains(line), "{shown}");
    assert_eq!(Status::of(&input).health(), Health::Held);
    assert!(to_json(&Status::of(&input)).contains("not delivered yet"));
    let live = undelivered(&setting, 8, true);
    let shown = text(&Input { live: Some(&live), ..setting.input() });
    assert!(
        shown.contains("revision 2 was accepted by target none, which does not say"),
        "{shown}"
    );
    let gone = undelivered(&setting, 4, false);
    let input = Input { live: Some(&gone), ..setting.input() };
    assert_eq!(Status::of(&input).health(), Health::Fine, "it has ended: {}", text(&input));
}

/// Law 8: after a restore that failed nobody knows what runs, and nobody says so.
#[test]
fn after_a_failed_restore_nothing_is_said_to_run() {
    let mut setting = until(11);
    let failed = crate::fact::RolloutFinished {
        rollout: Seq(11),
        object: story::object(),
        outcome: crate::fact::Outcome::Failed,
        reason: "exit status 1".into(),
        log: String::new(),
        rolled_back: None,
    };
    let fact = crate::fact::Fact::RolloutFinished(failed);
    setting.observed.apply(&crate::fact::Record { seq: Seq(12), at: at(62), fact });
    let live = setting.live("shop/python:3.6");
    let input = Input { live: Some(&live), ..setting.input() };
    let shown = text(&input);
    assert!(!shown.contains("runs: revision"), "{shown}");
    assert!(shown.contains("runs: not known: putting revision 1 back failed"), "{shown}");
    assert!(shown.contains("putting the previous revision back failed: exit status 1"), "{shown}");
    assert_eq!(Status::of(&input).health(), Health::Held);
}

/// R3: where a rollout is, and why it goes back, is shown while it does.
#[test]
fn a_rollout_shows_the_step_that_it_takes() {
    use crate::fact::{Ending, Fact, Outcome, Record, RolloutStep, RolloutStepped};
    let shown = |step, ending| {
        let mut setting = until(8);
        let (rollout, object) = (Seq(8), story::object());
        let (rendered, note) = (None, String::new());
        let stepped = RolloutStepped { rollout, object, step, rendered, note, ending, down: None };
        let fact = Fact::RolloutStepped(Box::new(stepped));
        setting.observed.apply(&Record { seq: Seq(9), at: at(62), fact });
        text(&setting.input())
    };
    let verifying = shown(RolloutStep::Verifying, None);
    assert!(verifying.contains("DeploymentConfig/shop/web at target none: Running"), "{verifying}");
    assert!(verifying.contains(", Verifying, image change"), "{verifying}");
    let ending = Ending {
        step: RolloutStep::Checking,
        outcome: Outcome::Failed,
        reason: "not healthy within 10m".into(),
        log: String::new(),
    };
    let back = shown(RolloutStep::RollingBack, Some(ending));
    assert!(back.contains("at target none: RollingBack"), "{back}");
    assert!(
        back.contains(", RollingBack, image change") && back.contains(": not healthy within"),
        "{back}"
    );
}

/// Where it runs is where it was rolled out, whatever the next route says.
#[test]
fn a_changed_route_is_shown_as_the_next_target() {
    let mut setting = until(5);
    let object = story::object();
    let workload = setting.desired.workloads.get_mut(&object).unwrap();
    std::sync::Arc::make_mut(workload).target = Some("host".parse().unwrap());
    let shown = text(&setting.input());
    assert!(shown.contains("DeploymentConfig/shop/web at target none (next: host): "), "{shown}");
    setting.observed = crate::observed::ObservedState::default();
    let shown = text(&setting.input());
    assert!(shown.contains("DeploymentConfig/shop/web at target host: NotStarted"), "{shown}");
}

/// Rules C18 and K17: what fails comes first, whatever its name.
#[test]
fn failing_tags_come_first_and_each_has_the_line_of_get_itag() {
    let setting = Setting::story();
    let mut live = setting.live("shop/python:3.6");
    let shown = text(&Input { live: Some(&live), ..setting.input() });
    let rows = |shown: &str| -> Vec<String> {
        let rows = shown.lines().skip_while(|line| *line != "Streams").skip(2);
        rows.take_while(|line| !line.is_empty()).map(str::to_owned).collect()
    };
    let found = rows(&shown);
    assert!(found[0].contains("shop/base:1") && found[0].contains("ImportFailed (Unauthorized)"));
    assert!(
        found[1].contains("image/sha256:") && found[1].contains("proven current 5 minutes ago")
    );
    // `python` fails, and its name comes last.
    let mut observed = setting.observed.clone();
    observed.streams.retain(|name, _| name.name.as_str() == "python");
    live.checks[0].failures = 1;
    let setting = Setting { observed, ..setting };
    let found = rows(&text(&Input { live: Some(&live), ..setting.input() }));
    assert!(found[0].contains("shop/python:3.6") && found[0].contains("could not check"));
    assert!(found[1].contains("shop/base:1") && found[1].contains("not imported yet"));
}

/// Rule I112: a scheduled tag that nobody checked yet is nothing wrong, and not verified.
#[test]
fn a_scheduled_tag_that_was_not_checked_is_not_verified() {
    let records = story::records();
    let observed = crate::observed::ObservedState::default().replay(&records[..5]);
    let mut desired = story::desired();
    desired.streams.retain(|name, _| name.name.as_str() == "python");
    let setting = Setting { desired, observed, ..Setting::story() };
    let mut live = setting.live("shop/python:3.6");
    live.checks.clear();
    let status = Status::of(&Input { live: Some(&live), ..setting.input() });
    assert_eq!(status.health(), Health::Unverified);
}

#[test]
fn nothing_wrong_is_fine_only_while_a_daemon_runs() {
    let records = story::records();
    let observed = crate::observed::ObservedState::default().replay(&records[..5]);
    let mut desired = story::desired();
    desired.streams.retain(|name, _| name.name.as_str() == "python");
    let setting = Setting { desired, observed, ..Setting::story() };
    let live = setting.live("shop/python:3.6");
    assert_eq!(Status::of(&setting.input()).health(), Health::Unverified);
    let input = Input { live: Some(&live), ..setting.input() };
    let status = Status::of(&input);
    assert_eq!(status.health(), Health::Fine, "{}", text(&input));
}
