//! What the commands below `rollout` and `rollback` say (rules D41 to D48).

use super::shown::{Shop, WEB};

/// A shop in which `web` ran two revisions.
fn two() -> Shop {
    let web = WEB.replace("  replicas", "  triggers: [{type: ConfigChange}]\n  replicas");
    let shop = Shop::open(&web);
    shop.started(1);
    shop.ends("ok", 1);
    shop.repo.write("web.yaml", web.replace("web:1", "web:2")).commit("two");
    shop.started(2);
    shop.ends("ok", 2);
    shop
}

const NAME: &str = "deploymentconfig.apps.openshift.io/web";

/// D41: the line of `oc`, and the one error about its arguments.
#[test]
fn d041_rollout_latest_says_what_it_did() {
    let shop = two();
    let done = shop.says(&["rollout", "latest", "dc/web"]);
    assert_eq!(done, format!("{NAME} rolled out\nexit 0"));
    shop.started(3);
    let running = shop.says(&["rollout", "latest", "dc/web"]);
    assert_eq!(running, "error: #3 is already in progress (Running).\nexit 1");
    shop.ends("ok", 3);
    let history = shop.says(&["rollout", "history", "dc/web"]);
    assert!(history.contains("3\t\tComplete\tmanual change"), "{history}");
    let two = shop.says(&["rollout", "latest", "dc/web", "dc/web"]);
    assert!(two.contains("one deployment config name is needed as argument."), "{two}");
    let restarted = shop.says(&["rollout", "restart", "dc/web"]);
    assert_eq!(restarted, format!("{NAME} restarted\nexit 0"));
    shop.started(4);
}

/// D42, D43: a rollout is cancelled, counts as failed, and is retried under its number.
#[test]
fn d042_rollout_cancel_and_retry_say_what_they_did() {
    let shop = two();
    let none = shop.says(&["rollout", "cancel", "dc/web"]);
    assert!(
        none.starts_with("error: No rollout is in progress (latest rollout #2 complete"),
        "{none}"
    );
    shop.repo.write("web.yaml", WEB.replace("web:1", "web:3")).commit("three");
    shop.started(3);
    let done = shop.says(&["rollout", "cancel", "dc/web"]);
    assert_eq!(done, format!("{NAME} cancelling\nexit 0"));
    shop.started(4); // the restore of what ran before
    shop.ends("ok", 4);
    let status = shop.says(&["rollout", "status", "dc/web", "--watch=false"]);
    let cancelled = "error: rollout of replication controller \"web-3\" was cancelled\nexit 1";
    assert!(status.ends_with(cancelled), "{status}");
    let done = shop.says(&["rollout", "retry", "dc/web"]);
    assert_eq!(done, format!("{NAME} retried rollout #3\nexit 0"));
    shop.started(5);
    shop.ends("ok", 5);
    let history = shop.says(&["rollout", "history", "dc/web"]);
    assert!(history.contains("3\t\tComplete"), "{history}");
}

/// D46: what is paused is said to be, and is not rolled out.
#[test]
fn d046_rollout_pause_and_resume_say_what_they_did() {
    let shop = two();
    assert_eq!(shop.says(&["rollout", "pause", "dc/web"]), format!("{NAME} paused\nexit 0"));
    let again = shop.says(&["rollout", "pause", "dc/web"]);
    assert_eq!(again, "error: dc/web is already paused\nexit 1");
    let latest = shop.says(&["rollout", "latest", "dc/web"]);
    assert_eq!(latest, "error: cannot deploy a paused deployment config\nexit 1");
    let cancel = shop.says(&["rollout", "cancel", "dc/web"]);
    assert!(cancel.contains("unable to cancel paused deployment shop/web"), "{cancel}");
    let retry = shop.says(&["rollout", "retry", "dc/web"]);
    assert!(retry.contains("unable to retry paused deployment config \"web\""), "{retry}");
    let status = shop.says(&["status"]);
    assert!(status.contains("paused"), "{status}");
    assert_eq!(shop.says(&["rollout", "resume", "dc/web"]), format!("{NAME} resumed\nexit 0"));
    assert_eq!(shop.says(&["rollout", "pause", "--all"]), "all rollouts paused\nexit 0");
    assert_eq!(shop.says(&["rollout", "resume", "--all"]), "all rollouts resumed\nexit 0");
}

/// D47, D48: `undo` and `rollback` go back to the last revision before, or to one that is named, and stay there.
#[test]
fn d047_rollout_undo_and_rollback_say_what_they_did() {
    let shop = two();
    assert_eq!(
        shop.says(&["rollback", "web", "--dry-run"]),
        "web would be rolled back to web-1 (dry run)\n  container main: r.io/web:1\nexit 0"
    );
    let done = shop.says(&["rollout", "undo", "dc/web"]);
    assert_eq!(done, format!("{NAME} rolled back\nexit 0"));
    shop.started(3);
    shop.ends("ok", 3);
    let status = shop.says(&["status"]);
    assert!(status.contains("held at revision 1 by uid"), "{status}");
    let repo = shop.repo.path().display().to_string();
    let done = shop.says(&["set", "triggers", "dc/web", "--auto", "--repo", &repo]);
    assert!(done.contains(&format!("{NAME} follows its tags again\n")), "{done}");
    shop.started(4);
    shop.ends("ok", 4);
    let done = shop.says(&["rollback", "web-1", "--change-strategy"]);
    assert_eq!(done, "deployment #5 rolled back to web-1\nexit 0");
    shop.started(5);
    shop.ends("ok", 5);
    let template = shop.says(&["rollout", "history", "dc/web", "--revision=5"]);
    assert!(template.contains("r.io/web:1"), "{template}");
    insta::assert_snapshot!(shop.says(&["rollback", "web-1", "--change-triggers"]), @"
    error: --change-triggers: triggers are what git says, and none acts while an earlier revision is held; change them there, or with `tidegate set triggers`
    exit 1
    ");
    insta::assert_snapshot!(shop.says(&["rollback", "web-1", "--change-scaling-settings"]), @"
    error: --change-scaling-settings: the number of instances is what git says, also while an earlier revision is held; change it there, or with `tidegate scale`
    exit 1
    ");
    let wrong = shop.says(&["rollback", "other"]);
    assert_eq!(wrong, "error: other is not a valid deployment or deployment config\nexit 1");
    let wrong = shop.says(&["rollback", "web", "--to-version=-1"]);
    assert_eq!(wrong, "error: the to version must be >= 0\nexit 1");
    let story = shop.says(&["history", "dc/web"]);
    assert!(story.contains("undo") && story.contains("back to revision 1 by uid"), "{story}");
}
