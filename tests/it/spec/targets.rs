//! Rollouts elsewhere: a program, an address (rules R30, R31), by a daemon with a real receiver.

use std::collections::BTreeMap;

use ring::hmac;
use serde_json::Value;
use tidegate::fact::{Fact, Outcome};

use crate::adapter::target::receiver::{Received, Receiver};
use crate::support::daemon::{Host, eventually};
use crate::support::git::{Repo, program};

const A: &str =
    "r.io/team/web@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const B: &str =
    "r.io/team/web@sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

fn workload(image: &str, greeting: &str) -> String {
    format!(
        "apiVersion: apps.openshift.io/v1
kind: DeploymentConfig
metadata: {{name: web, namespace: shop}}
spec:
  replicas: 1
  template:
    metadata: {{labels: {{app: web}}}}
    spec:
      containers:
      - name: main
        image: {image}
        env:
        - {{name: GREETING, value: {greeting}}}
"
    )
}

/// A daemon with one target, and the manifest that it follows.
struct Shop {
    repo: Repo,
    host: Host,
}

impl Shop {
    fn open(target: &str) -> Self {
        let repo = Repo::new();
        let toml = format!("[targets.there]\n{target}\n[routes]\ndefault = \"there\"\n");
        let host = Host::new(repo.path(), &toml);
        Self { repo, host }
    }

    fn commits(&self, image: &str, greeting: &str) {
        self.repo.write("apps/web.yaml", workload(image, greeting)).commit(greeting);
    }

    /// Waits until so many rollouts ended, and returns how.
    fn ends(&self, count: usize) -> Vec<(Outcome, String, String)> {
        eventually(&format!("{count} ends of rollouts"), || {
            let ends: Vec<_> = self
                .host
                .records()
                .into_iter()
                .filter_map(|record| match record.fact {
                    Fact::RolloutFinished(end) => Some((end.outcome, end.reason, end.log)),
                    _ => None,
                })
                .collect();
            (ends.len() >= count).then_some(ends)
        })
    }
}

/// R31: exit 0 is complete, 75 the same run again later, anything else failed; a restore is the program run again with the
/// images and the manifest of the revision before, and says what it undoes.
#[test]
fn r031_a_restore_runs_the_program_again_with_what_ran_before() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let script = format!(
        "#!/bin/sh
cd {}
event=event-$(ls | grep -c '^event')
cat > $event
printf '%s|%s|%s|%s\\n' \"$ROLLOUT_KEY\" \"$ROLLOUT_CAUSE\" \"$ROLLOUT_REPLACES\" \"$ROLLOUT_IMAGES\" >> runs
if [ -e later ]; then rm later; echo not now; exit 75; fi
if grep -q '\"value\":\"bad\"' $event; then
    for i in 1 2 3 4 5 6; do echo line $i; done
    printf '%0200d\\n' 0
    exit 3
fi
",
        at.display()
    );
    program(&at.join("roll-out"), &script);
    let target = format!("kind = \"exec\"\ncommand = [\"{}\"]", at.join("roll-out").display());
    let mut shop = Shop::open(&target);
    shop.commits(A, "hello");
    shop.host.start();
    shop.ends(1);
    std::fs::write(at.join("later"), "").unwrap();
    shop.commits(A, "again");
    shop.ends(2);
    shop.commits(B, "bad");
    let ends = shop.ends(4);
    shop.host.stop();

    let runs = std::fs::read_to_string(at.join("runs")).unwrap();
    let runs: Vec<Vec<&str>> = runs.lines().map(|line| line.split('|').collect()).collect();
    assert_eq!(runs.len(), 5, "{runs:?}");
    assert_eq!(runs[1], runs[2], "75 is no end: the same key");
    let event = |index: usize| std::fs::read(at.join(format!("event-{index}"))).unwrap();
    assert_eq!(event(1), event(2), "and the same bytes");
    let keys: Vec<&str> = runs.iter().map(|run| run[0]).collect();
    assert!(keys[0] != keys[1] && keys[2] != keys[3] && keys[3] != keys[4], "{keys:?}");
    assert!(keys.iter().all(|key| key.starts_with("shop/web/1/")), "{keys:?}");
    let main = |image: &str| format!("main={image}");
    assert_eq!(runs[3][1..], ["config change", "", &main(B)]);
    assert_eq!(runs[4][1..], ["restore", keys[3], &main(A)]);
    let restore: Value = serde_json::from_slice(&event(4)).unwrap();
    assert!(restore["data"]["manifest"].to_string().contains("\"value\":\"again\""), "{restore}");
    let (outcome, reason, log) = &ends[2];
    assert_eq!((*outcome, reason.as_str()), (Outcome::Failed, "exit status 3"));
    let long = format!("{}...{}", "0".repeat(58), "0".repeat(59));
    assert_eq!(*log, format!("line 3\nline 4\nline 5\nline 6\n{long}"));
    assert_eq!(ends[3].0, Outcome::Complete);
}

/// R31: it is killed at its deadline, and that is a verdict.
#[test]
fn r031_a_program_is_killed_at_its_deadline() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let script =
        "#!/bin/sh\nsleep 600 &\necho $! > \"$(dirname \"$0\")/child\"\necho waiting\nwait\n";
    program(&at.join("roll-out"), script);
    let command = at.join("roll-out");
    let target =
        format!("kind = \"exec\"\ntimeout = \"1s\"\ncommand = [\"{}\"]", command.display());
    let mut shop = Shop::open(&target);
    shop.commits(A, "hello");
    shop.host.start();
    let (outcome, reason, log) = shop.ends(1).remove(0);
    assert_eq!((outcome, log.as_str()), (Outcome::Failed, "waiting"));
    assert_eq!(reason, "it did not end within 1s and was killed");
    let child = std::fs::read_to_string(at.join("child")).unwrap();
    let is_gone = || !std::path::Path::new(&format!("/proc/{}", child.trim())).exists();
    eventually("the end of what it started", || is_gone().then_some(()));
}

/// The events that a receiver got, by type and key.
fn events(receiver: &Receiver) -> Vec<(String, String, Value)> {
    let posts = receiver.received().into_iter().filter(|one| one.method == "POST");
    posts
        .map(|one| {
            let event: Value = serde_json::from_slice(&one.body).unwrap();
            check(&one, &event);
            let kind = event["type"].as_str().unwrap().replace("dev.tidegate.rollout.", "");
            (kind, event["id"].as_str().unwrap().to_owned(), event)
        })
        .collect()
}

/// Every event is signed, of the right type, and under its key.
fn check(request: &Received, event: &Value) {
    assert_eq!(request.header("content-type"), Some("application/cloudevents+json"));
    assert_eq!(request.header("idempotency-key"), event["id"].as_str());
    assert_eq!(event["specversion"], "1.0");
    assert_eq!(event["subject"], "DeploymentConfig/shop/web");
    let key = hmac::Key::new(hmac::HMAC_SHA256, b"a key of the test");
    let signature = request.header("x-tidegate-signature-256").unwrap();
    let bytes = hex::decode(signature.strip_prefix("sha256=").unwrap()).unwrap();
    hmac::verify(&key, &request.body, &bytes).unwrap();
}

/// A shop whose target is a receiver.
async fn received() -> (Receiver, Shop) {
    let receiver = Receiver::start().await;
    let target = format!("kind = \"webhook\"\nurl = \"{}\"\nsecret_file = \"KEY\"", receiver.url);
    let shop = Shop::open(&target);
    let key = shop.host.path("key");
    std::fs::write(&key, "a key of the test\n").unwrap();
    shop.host
        .configure(|text| text.replace("\"KEY\"", &format!("{:?}", key.display().to_string())));
    (receiver, shop)
}

/// R30: `Running` is asked about at its address until it ends; what may pass is repeated under its key and to the byte; 409
/// is done already; each end is told.
#[tokio::test(flavor = "multi_thread")]
async fn r030_a_delivery_is_repeated_under_its_key_and_asked_about() {
    let (receiver, mut shop) = received().await;
    receiver.answer(200, &[], r#"{"state": "Running", "statusUrl": "/status/1"}"#);
    receiver.answer(200, &[], r#"{"state": "Running"}"#);
    receiver.answer(200, &[], r#"{"state": "Complete"}"#);
    shop.commits(A, "hello");
    shop.host.start();
    assert_eq!(shop.ends(1)[0].0, Outcome::Complete);
    let asked: Vec<String> = receiver
        .received()
        .iter()
        .filter(|one| one.method == "GET")
        .map(|one| one.path.clone())
        .collect();
    assert_eq!(asked, ["/status/1", "/status/1"]);
    eventually("the notice", || (events(&receiver).len() == 2).then_some(()));

    receiver.answer(503, &[("retry-after", "1")], "later");
    receiver.answer(409, &[], "");
    shop.commits(A, "again");
    assert_eq!(shop.ends(2)[1].0, Outcome::Complete);
    eventually("the notice", || (events(&receiver).len() == 5).then_some(()));
    shop.host.stop();
    let all = events(&receiver);
    let kinds: Vec<&str> = all.iter().map(|(kind, ..)| kind.as_str()).collect();
    assert_eq!(kinds, ["requested", "finished", "requested", "requested", "finished"]);
    let posts: Vec<Received> =
        receiver.received().into_iter().filter(|one| one.method == "POST").collect();
    assert_eq!(posts[2].body, posts[3].body);
    let (_, key, first) = &all[0];
    assert_eq!(all[1].1, format!("{key}/finished"));
    assert_eq!(first["data"]["kind"], "RolloutRequest");
    assert_eq!(first["data"]["cause"], "config change");
    assert_eq!(first["data"]["replaces"], Value::Null);
    assert_eq!(first["data"]["images"][0]["container"], "main");
    assert_eq!(first["data"]["images"][0]["reference"], A);
}

/// R30: a refusal is a verdict: it is held and told, and a restore under a key of its own says what it undoes; what is
/// overtaken is cancelled and told, and what follows says what it replaces.
#[tokio::test(flavor = "multi_thread")]
async fn r030_restores_and_what_is_overtaken_are_told_apart() {
    let (receiver, mut shop) = received().await;
    shop.commits(A, "hello");
    shop.host.start();
    shop.ends(1);
    eventually("the notice", || (events(&receiver).len() == 2).then_some(()));
    receiver.answer(422, &[], "no such thing");
    shop.commits(B, "bad");
    let ends = shop.ends(3);
    assert_eq!((ends[1].0, ends[2].0), (Outcome::Failed, Outcome::Complete));
    eventually("the notices", || (events(&receiver).len() == 6).then_some(()));
    receiver.answer(200, &[], r#"{"state": "Running", "statusUrl": "/status/2"}"#);
    shop.commits(A, "slow");
    let is_asked = |one: &Received| one.path == "/status/2";
    eventually("a question", || receiver.received().iter().any(is_asked).then_some(()));
    shop.commits(A, "quick");
    shop.ends(5);
    eventually("all notices", || (events(&receiver).len() == 10).then_some(()));
    shop.host.stop();

    let mut by_kind: BTreeMap<String, Vec<(String, Value)>> = BTreeMap::new();
    for (kind, id, event) in events(&receiver) {
        by_kind.entry(kind).or_default().push((id, event));
    }
    let requested = &by_kind["requested"];
    let keys: Vec<&str> = requested.iter().map(|(id, _)| id.as_str()).collect();
    let told = |kind: &str| -> Vec<&str> {
        let ids = by_kind[kind].iter().map(|(id, _)| id.as_str());
        ids.map(|id| id.rsplit_once('/').unwrap().0).collect()
    };
    assert_eq!(told("held"), [keys[1]]);
    assert_eq!(told("cancelled"), [keys[3]]);
    assert_eq!(told("finished"), [keys[0], keys[2], keys[4]]);
    let data = |index: usize, name: &str| requested[index].1["data"][name].clone();
    assert_eq!((data(2, "cause"), data(2, "replaces")), ("restore".into(), keys[1].into()));
    assert_eq!(data(2, "images")[0]["reference"], A);
    assert!(data(2, "manifest").to_string().contains("\"value\":\"hello\""));
    assert_eq!(data(4, "replaces"), keys[3]);
    assert_eq!(by_kind["held"][0].1["data"]["rollout"], keys[1]);
}
