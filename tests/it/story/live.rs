//! A tag is put over git in an emergency, and git takes over again: the real program, daemon and registry.

use tidegate::fact::{CommitAdopted, Fact, Outcome, Overlaid};

use super::web_and_app;
use crate::support::checkout::Ran;
use crate::support::daemon::{Host, eventually, wait};
use crate::support::git::Repo;
use crate::support::registry::DockerRegistry;

fn ran(host: &Host, words: &[&str]) -> Ran {
    Ran::of(&host.run(words))
}

/// It ends with this code, and says all of this.
fn says(host: &Host, words: &[&str], code: i32, parts: &[&str]) {
    let Ran { code: ended, out, err } = ran(host, words);
    let text = out + &err;
    assert_eq!(ended, code, "{words:?}: {text}");
    for part in parts {
        assert!(text.contains(part), "no `{part}` in what {words:?} says: {text}");
    }
}

fn overlays(host: &Host) -> usize {
    host.count(|fact| matches!(fact, Fact::OverlaySet(_)))
}

fn rollouts(host: &Host, count: usize) {
    eventually("a rollout", || {
        let complete = |fact: &Fact| matches!(fact, Fact::RolloutFinished(f) if f.outcome == Outcome::Complete);
        (host.count(complete) == count).then_some(())
    });
}

fn ended(adopted: &CommitAdopted) -> bool {
    adopted.superseded.iter().any(|tag| tag.to_string() == "shop/web:latest")
}

#[test]
fn a_tag_is_put_over_git_and_the_next_commit_that_touches_it_takes_over() {
    let Some(registry) = DockerRegistry::start() else { return };
    let address = registry.address();
    wait(registry.push_image("team/web", "latest", "one"));
    wait(registry.push_image("team/web", "fix", "two"));
    let repo = Repo::new();
    let manifests = web_and_app(&address, "Source");
    repo.write("web.yaml", &manifests).commit("web");
    let mut host = Host::new(repo.path(), "");
    let (latest, fix) = (format!("{address}/team/web:latest"), format!("{address}/team/web:fix"));
    let live = |image| ["tag", "--live", "--insecure", image, "web:latest", "-n", "shop"];
    says(&host, &live(&fix), 1, &["no daemon listens", "only the daemon writes the journal"]);
    host.start();
    rollouts(&host, 1);
    // A dry run shows it, and records nothing.
    let dry = [&live(&fix)[..], &["--dry-run"]].concat();
    let set = format!("Tag web:latest set to {fix}.");
    let (old, new) = (format!("-  name: {latest}"), format!("+  name: {fix}"));
    says(&host, &dry, 0, &[&old, &new, &format!("{set} (dry run)\n")]);
    assert_eq!(overlays(&host), 0);
    let head = repo.head();
    says(&host, &live(&fix), 0, &[&old, &new, &set, "git is not changed"]);
    rollouts(&host, 2);
    assert_eq!(repo.head(), head);
    let drift = [
        "Drift: not as git says, until a commit changes the tag",
        &format!("shop/web:latest: {fix} (insecure), by uid "),
        &format!("git says {latest} (insecure)"),
        "(drift: not as git says)",
    ];
    says(&host, &["status"], 0, &drift);
    says(&host, &["status", "-o", "json"], 0, &["\"drift\": [", "\"overlaid\": true"]);
    says(&host, &["get", "is", "web", "-n", "shop", "-o", "yaml"], 0, &[&fix]);
    says(
        &host,
        &["history", "shop/web:latest"],
        0,
        &[&format!("set to {fix} (insecure), by uid ")],
    );
    // It outlives a restart, and commits of something else.
    assert!(host.stop().success(), "{}", host.story());
    says(&host, &["status"], 0, &drift);
    host.start();
    repo.write("other.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n").commit("x");
    eventually("the other commit", || {
        (host.count(|fact| matches!(fact, Fact::CommitAdopted(_))) == 2).then_some(())
    });
    says(&host, &["status"], 0, &drift);
    // What a commit would do is told before it does.
    repo.write(
        "web.yaml",
        manifests.replace("insecure: true}", "insecure: true, scheduled: true}"),
    );
    let diff = ["diff", "--worktree"];
    says(
        &host,
        &diff,
        2,
        &["Overlays that end", "shop/web:latest: the commit says something else"],
    );
    repo.commit("the tag is scheduled");
    host.wait_for(
        "the end of the overlay",
        |fact| matches!(fact, Fact::CommitAdopted(adopted) if ended(adopted)),
    );
    rollouts(&host, 3);
    assert!(!ran(&host, &["status"]).out.contains("rift"));
    says(&host, &["history", "shop/web:latest"], 0, &["overlays ended: shop/web:latest"]);
    assert!(host.stop().success(), "{}", host.story());
}

#[test]
fn a_tag_is_taken_away_and_put_back_without_a_commit() {
    let repo = Repo::new();
    repo.write("web.yaml", web_and_app("r.invalid", "Source")).commit("web");
    let mut host = Host::new(repo.path(), "");
    host.start();
    host.wait_for("the commit", |fact| matches!(fact, Fact::CommitAdopted(_)));
    let delete = ["tag", "--live", "-d", "web:latest", "-n", "shop"];
    says(
        &host,
        &delete,
        0,
        &["Deleted tag shop/web:latest.", "referred to, by DeploymentConfig/shop/app"],
    );
    says(&host, &delete, 0, &["an overlay takes shop/web:latest away already"]);
    says(
        &host,
        &["status"],
        0,
        &["shop/web:latest: taken away, by uid ", "git says r.invalid/team/web:latest"],
    );
    let back =
        ["tag", "--live", "--insecure", "r.invalid/team/web:latest", "web:latest", "-n", "shop"];
    says(&host, &back, 0, &["Tag web:latest set to r.invalid/team/web:latest."]);
    host.wait_for(
        "the withdrawal",
        |fact| matches!(fact, Fact::OverlaySet(set) if set.overlay == Overlaid::Withdrawn),
    );
    says(&host, &back, 0, &["git says this of shop/web:latest already"]);
    assert!(!ran(&host, &["status"]).out.contains("rift"));
    // An alias of a stream that git has, and its end.
    let alias = ["tag", "--live", "--alias", "web:latest", "web:stable", "-n", "shop"];
    says(&host, &alias, 0, &["Tag web:stable set up to track web:latest."]);
    says(
        &host,
        &["status"],
        0,
        &["shop/web:stable: istag/shop/web:latest, by uid ", "git has no such tag"],
    );
    says(
        &host,
        &["tag", "--live", "-d", "web:stable", "-n", "shop"],
        0,
        &["Deleted tag shop/web:stable."],
    );
    assert!(!ran(&host, &["status"]).out.contains("rift"));
    // What has no overlay is refused, and nothing is recorded.
    let records = overlays(&host);
    let tag = |words: &[&'static str]| [&["tag", "--live", "-n", "shop"], words].concat();
    for (words, why) in [
        (tag(&["r.io/x:1", "new:1"]), "there is no image stream shop/new in git"),
        (tag(&["-d", "web:9"]), "there is no tag shop/web:9 in git, and no overlay of it"),
        (tag(&["web:9", "web:8"]), "\"web:9\" is not currently pointing to an image"),
        (tag(&["gone:9", "web:8"]), "\"gone\" not found"),
        (tag(&["--alias", "--scheduled", "web:latest", "web:8"]), "only container images can have"),
        (tag(&["--dry-run", "r.io/x:1", "new:1"]), "there is no image stream shop/new in git"),
        (
            vec!["import-image", "web:8", "--from=r.io/x:1", "--confirm", "--live"],
            "--live is for `tag` alone",
        ),
        (vec!["set", "image-lookup", "web", "--live"], "--live is for `tag` alone"),
        (vec!["annotate", "is/web", "a=b", "--live"], "--live is for `tag` alone"),
    ] {
        says(&host, &words, 1, &[why]);
    }
    says(&host, &tag(&["r.io/x:1", "web:8", "--push"]), 1, &["cannot be used with"]);
    assert_eq!(overlays(&host), records);
    assert!(host.stop().success(), "{}", host.story());
}
