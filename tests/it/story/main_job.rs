//! The main job on a real registry and a real repository.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use tidegate::fact::{Fact, Outcome, RolloutCause, TriggerOutcome};
use tidegate::names::Digest;

use crate::support::daemon::{Host, wait};
use crate::support::git::Repo;
use crate::support::registry::DockerRegistry;
use crate::support::shop::import_tag;

/// A stream whose one tag is checked every 10 s, the shortest interval that there is.
pub(crate) fn stream(registry: &str) -> String {
    format!(
        "apiVersion: image.openshift.io/v1
kind: ImageStream
metadata:
  name: web
  namespace: shop
  annotations:
    tidegate.dev/schedule: 10s
spec:
  tags:
  - name: \"1\"
    from: {{kind: DockerImage, name: {registry}/team/web:1}}
    importPolicy: {{scheduled: true, insecure: true}}
"
    )
}

pub(crate) const DEPLOYMENT: &str = "apiVersion: apps.openshift.io/v1
kind: DeploymentConfig
metadata:
  name: web
  namespace: shop
spec:
  replicas: 1
  selector: {app: web}
  triggers:
  - type: ConfigChange
  - type: ImageChange
    imageChangeParams:
      automatic: true
      containerNames: [main]
      from: {kind: ImageStreamTag, name: web:1}
  template:
    metadata:
      labels: {app: web}
    spec:
      containers:
      - name: main
        image: \" \"
        env:
        - {name: GREETING, value: hello}
";

/// A target that writes one line a delivery, `<key> <cause> <digests>`, and fails for what `bad` names.
pub(crate) fn receiver(folder: &Path) -> String {
    let script = folder.join("receiver.sh");
    let text = format!(
        "#!/bin/sh
event=$(cat)
digests=$(printf '%s' \"$event\" | grep -o 'sha256:[0-9a-f]*' | sort -u | tr '\\n' ' ')
printf '%s %s %s\\n' \"$ROLLOUT_KEY\" \"$(echo $ROLLOUT_CAUSE | tr ' ' '-')\" \"$(printf '%s' \"$event\" | sed 's/.*\"digest\":\"\\(sha256:[0-9a-f]*\\)\".*/\\1/')\" >> {0}/deliveries
bad=$(cat {0}/bad 2>/dev/null || echo none)
case \"$(printf '%s' \"$event\" | sed 's/.*\"digest\":\"\\(sha256:[0-9a-f]*\\)\".*/\\1/')\" in
  $bad) echo 'the new version does not answer' ; exit 1 ;;
esac
exit 0
",
        folder.display()
    );
    std::fs::write(&script, text).unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    format!(
        "[targets.hook]\nkind = \"exec\"\ncommand = [\"{}\"]\n[routes]\ndefault = \"hook\"\n",
        script.display()
    )
}

/// What the receiver got: key, cause and digest of each delivery.
pub(crate) fn deliveries(folder: &Path) -> Vec<(String, String, String)> {
    let text = std::fs::read_to_string(folder.join("deliveries")).unwrap_or_default();
    let line = |line: &str| {
        let mut words = line.split(' ').map(str::to_owned);
        Some((words.next()?, words.next()?, words.next()?))
    };
    text.lines().filter_map(line).collect()
}

fn finished(outcome: Outcome, cause: RolloutCause, host: &Host) -> usize {
    let records = host.records();
    let started = |seq| {
        records
            .iter()
            .any(|r| r.seq == seq && matches!(&r.fact, Fact::RolloutStarted(s) if s.cause == cause))
    };
    let ends = records.iter().filter(|r| match &r.fact {
        Fact::RolloutFinished(end) => end.outcome == outcome && started(end.rollout),
        _ => false,
    });
    ends.count()
}

struct Shop {
    registry: DockerRegistry,
    repo: Repo,
    host: Host,
    folder: tempfile::TempDir,
    first: Digest,
}

/// A shop whose first rollout is complete.
fn open_shop() -> Option<Shop> {
    let registry = DockerRegistry::start()?;
    let first = wait(registry.push_image("team/web", "1", "first"));
    let repo = Repo::new();
    repo.write("streams/web.yaml", stream(&registry.address()));
    repo.write("apps/web.yaml", DEPLOYMENT);
    repo.commit("the shop");
    let folder = tempfile::tempdir().unwrap();
    let mut host = Host::new(repo.path(), &receiver(folder.path()));
    host.start();
    host.wait_for("the first rollout", |fact| matches!(fact, Fact::RolloutFinished(_)));
    Some(Shop { registry, repo, host, folder, first })
}

#[test]
fn moving_a_scheduled_tag_causes_exactly_one_rollout_and_history_tells_the_chain() {
    let Some(shop) = open_shop() else { return };
    let second = wait(shop.registry.push_image("team/web", "1", "second"));
    shop.host.wait_for("the rollout of the moved tag", |fact| {
        matches!(fact, Fact::RolloutStarted(started) if started.cause == RolloutCause::ImageChange)
    });
    shop.host.wait_for(
        "the second end",
        |fact| matches!(fact, Fact::RolloutFinished(end) if end.rollout.0 > 6),
    );
    let got: Vec<_> = deliveries(shop.folder.path());
    let digests: Vec<_> = got.iter().map(|(_, _, digest)| digest.clone()).collect();
    assert_eq!(digests, [shop.first.to_string(), second.to_string()]);
    assert_eq!(shop.host.count(|fact| matches!(fact, Fact::CommitAdopted(_))), 1);
    assert_eq!(shop.host.count(|fact| matches!(fact, Fact::TagImported(_))), 2);
    assert_eq!(shop.host.count(|fact| matches!(fact, Fact::RolloutStarted(_))), 2);
    assert_eq!(shop.host.count(|fact| matches!(fact, Fact::TriggerFired(_))), 2);
    let history = shop.host.text(&["history", "dc/web", "-n", "shop"]);
    let short = second.short();
    let chain = [
        "commit",
        "config change",
        "complete",
        "import",
        &short,
        "trigger",
        "image change",
        "complete",
    ];
    let mut rest = history.as_str();
    for word in chain {
        let at = rest.find(word).unwrap_or_else(|| panic!("`{word}` is missing in\n{history}"));
        rest = &rest[at + word.len()..];
    }
}

#[test]
fn a_digest_that_fails_is_rolled_back_and_held_until_it_is_released() {
    let Some(mut shop) = open_shop() else { return };
    // The tag moves only after the receiver knows which digest is bad.
    let bad = wait(shop.registry.push_image("team/web", "next", "bad"));
    std::fs::write(shop.folder.path().join("bad"), bad.to_string()).unwrap();
    wait(shop.registry.push_image("team/web", "1", "bad"));
    shop.host.wait_for("the hold", |fact| matches!(fact, Fact::DigestHeld(_)));
    shop.host.wait_for("the restore", |fact| {
        matches!(fact, Fact::RolloutStarted(started) if started.cause == RolloutCause::Restore)
    });
    crate::support::daemon::eventually("the end of the restore", || {
        (finished(Outcome::Complete, RolloutCause::Restore, &shop.host) == 1).then_some(())
    });
    let got = deliveries(shop.folder.path());
    assert_eq!(got.last().unwrap().1, "restore");
    assert_eq!(got.last().unwrap().2, shop.first.to_string());
    assert_eq!(got.len(), 3, "{got:?}");
    let status = shop.host.text(&["status", "-n", "shop"]);
    assert!(status.contains("failed with these digests"), "{status}");
    // A restart does not try it again.
    assert!(shop.host.stop().success());
    shop.host.start();
    std::fs::write(shop.folder.path().join("bad"), "none").unwrap();
    let release = crate::support::daemon::eventually("the control socket", || {
        let output = shop.host.run(&["release", "dc/web", "-n", "shop"]);
        output.status.success().then_some(output)
    });
    assert!(release.status.success());
    crate::support::daemon::eventually("the released rollout", || {
        (deliveries(shop.folder.path()).len() == 4).then_some(())
    });
    assert_eq!(deliveries(shop.folder.path())[3].2, bad.to_string());
}

#[test]
fn a_changed_template_rolls_out_once_and_an_unchanged_commit_does_nothing() {
    let Some(shop) = open_shop() else { return };
    shop.repo.write("README.md", "nothing of ours");
    shop.repo.commit("a note");
    shop.host.wait_for(
        "the note",
        |fact| matches!(fact, Fact::CommitAdopted(adopted) if adopted.streams.is_empty()),
    );
    shop.repo.write("apps/web.yaml", DEPLOYMENT.replace("hello", "good evening"));
    shop.repo.commit("another greeting");
    crate::support::daemon::eventually("the second delivery", || {
        (deliveries(shop.folder.path()).len() == 2).then_some(())
    });
    let got = deliveries(shop.folder.path());
    assert_eq!(got[1].1, "config-change");
    assert_eq!(got[1].2, shop.first.to_string());
    assert_ne!(got[0].0, got[1].0, "another rollout has another key");
}

#[test]
fn a_workload_removed_from_git_is_stopped() {
    let Some(shop) = open_shop() else { return };
    shop.repo.remove("apps/web.yaml");
    shop.repo.commit("close the shop");
    let end = shop.host.wait_for("the stop", |fact| matches!(fact, Fact::StopFinished(_)));
    assert!(matches!(end.fact, Fact::StopFinished(stop) if stop.outcome == Outcome::Complete));
}

#[test]
fn an_invalid_edit_keeps_the_last_valid_version_and_is_shown_as_held() {
    let Some(shop) = open_shop() else { return };
    shop.repo.write("apps/web.yaml", DEPLOYMENT.replace("replicas: 1", "replicas: -1"));
    shop.repo.commit("less than nothing");
    shop.host.wait_for("the rejection", |fact| {
        matches!(fact, Fact::CommitAdopted(adopted) if adopted.rejected.iter().any(|r| r.kept.is_some()))
    });
    let status = shop.host.text(&["status", "-n", "shop"]);
    assert!(status.contains("replicas cannot be negative"), "{status}");
    assert_eq!(shop.host.count(|fact| matches!(fact, Fact::StopStarted(_))), 0);
    assert_eq!(deliveries(shop.folder.path()).len(), 1);
}

#[test]
fn a_retag_to_the_running_digest_is_a_recorded_no_op() {
    let Some(shop) = open_shop() else { return };
    wait(shop.registry.push_image("team/web", "2", "first"));
    shop.repo.write(
        "streams/web.yaml",
        stream(&shop.registry.address()).replace("team/web:1", "team/web:2"),
    );
    shop.repo.commit("another tag of the same image");
    shop.host.wait_for(
        "the import",
        |fact| matches!(fact, Fact::TagImported(imported) if imported.event.generation.0 > 2),
    );
    assert!(
        shop.host.count(|fact| matches!(
            fact,
            Fact::TriggerFired(fired) if !matches!(fired.outcome, TriggerOutcome::Rollout(_))
        )) <= 1
    );
    assert_eq!(shop.host.count(|fact| matches!(fact, Fact::RolloutStarted(_))), 1);
}

/// T23: what triggers saw, and what came of it, is described: the last five, the newest first.
#[test]
fn t023_describe_shows_what_triggers_saw_last() {
    let Some(shop) = open_shop() else { return };
    let mut last = shop.first;
    let mut saw = vec![format!("nothing -> sha256:{}: rollout 1", last.short())];
    for revision in 2..=6 {
        let next = wait(shop.registry.push_image("team/web", "1", &format!("v{revision}")));
        import_tag(&shop.host, "web", "1");
        shop.host.wait_for(
            &format!("revision {revision}"),
            |fact| matches!(fact, Fact::RolloutStarted(started) if started.revision.0 == revision),
        );
        let change = format!("sha256:{} -> sha256:{}", last.short(), next.short());
        saw.push(format!("{change}: rollout {revision}"));
        last = next;
    }
    let text = shop.host.text(&["describe", "dc/web", "-n", "shop"]);
    let fired = text.lines().skip_while(|line| !line.starts_with("Fired:"));
    let fired = fired.map_while(|line| line.split_once("): shop/web:1 "));
    let fired: Vec<&str> = fired.map(|(_, saw)| saw).collect();
    saw.remove(0);
    saw.reverse();
    assert_eq!(fired, saw, "{text}");
}
