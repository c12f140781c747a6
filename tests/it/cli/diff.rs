//! `tidegate diff --resolve` against a real registry: what is asked now, what comes from the journal, what could not be
//! asked.

use serde_json::Value;
use tidegate::fact::Fact;
use tidegate::names::Digest;

use crate::story::main_job::{DEPLOYMENT, stream};
use crate::support::daemon::{Host, wait};
use crate::support::git::Repo;
use crate::support::registry::DockerRegistry;

struct Shop {
    registry: DockerRegistry,
    repo: Repo,
    host: Host,
    first: Digest,
}

/// A shop that runs its first image; the daemon has ended, so that only `diff` asks.
fn shop() -> Option<Shop> {
    let registry = DockerRegistry::start()?;
    let first = wait(registry.push_image("team/web", "1", "first"));
    let repo = Repo::new();
    repo.write("streams/web.yaml", stream(&registry.address()));
    repo.write("apps/web.yaml", DEPLOYMENT).commit("the shop");
    let mut host = Host::new(repo.path(), "");
    host.start();
    host.wait_for("the first rollout", |fact| matches!(fact, Fact::RolloutFinished(_)));
    assert!(host.stop().success());
    Some(Shop { registry, repo, host, first })
}

impl Shop {
    /// What `diff` prints, as text and as JSON, and how it ends.
    fn diff(&self, arguments: &[&str]) -> (i32, String, Value) {
        let journal = self.host.records().len();
        let text = self.host.run(&[&["diff"], arguments].concat());
        let json = self.host.run(&[&["diff", "-o", "json"], arguments].concat());
        assert_eq!(text.status, json.status);
        assert_eq!(self.host.records().len(), journal, "a dry run writes nothing");
        let error = String::from_utf8_lossy(&text.stderr).into_owned();
        let text = String::from_utf8(text.stdout).unwrap() + &error;
        let code = json.status.code().unwrap();
        (code, text, serde_json::from_slice(&json.stdout).unwrap())
    }
}

fn has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "`{part}` is missing in\n{text}");
    }
}

#[test]
fn a_moved_tag_is_shown_with_both_digests_once_its_registry_is_asked() {
    let Some(shop) = shop() else { return };
    let (code, text, report) = shop.diff(&["--resolve"]);
    assert_eq!(code, 0, "{text}");
    assert_eq!(report["verdict"], "nothingToDo");

    let second = wait(shop.registry.push_image("team/web", "1", "second"));
    let (code, text, report) = shop.diff(&[]);
    assert_eq!(code, 0, "{text}");
    assert_eq!(report["resolved"], false);
    has(&text, &["no registry is asked"]);

    let (code, text, report) = shop.diff(&["--resolve"]);
    assert_eq!(code, 2, "{text}");
    let change = format!("sha256:{} -> sha256:{}", shop.first.short(), second.short());
    let fact = format!("shop/web:1  sha256:{}  asked now", second.short());
    let from = format!("{change} <- {}/team/web:1", shop.registry.address());
    has(&text, &[&format!("shop/web:1  {from}"), &fact, "revision 2 at target none: image change"]);
    let import = &report["imports"][0];
    assert_eq!(import["tag"], "shop/web:1");
    assert_eq!(import["old"], shop.first.to_string());
    assert_eq!(import["new"], second.to_string());
    assert_eq!(report["facts"][0]["source"], "askedNow");
    assert_eq!(report["rollouts"][0]["images"][0]["digest"], second.to_string());
}

#[test]
fn what_a_rollout_rests_on_says_how_fresh_it_is() {
    let Some(shop) = shop() else { return };
    shop.repo.write("apps/web.yaml", DEPLOYMENT.replace("hello", "good evening"));
    shop.repo.commit("another greeting");
    let (code, text, report) = shop.diff(&[]);
    assert_eq!(code, 2, "{text}");
    has(&text, &["from the journal, imported", "stream checked", "not asked now"]);
    assert_eq!(report["facts"][0]["source"], "journal");
    let (code, text, report) = shop.diff(&["--resolve"]);
    assert_eq!(code, 2, "{text}");
    has(&text, &["asked now", "config change"]);
    assert_eq!(report["facts"][0]["source"], "askedNow");
    assert_eq!(report["facts"][0]["digest"], shop.first.to_string());
}

#[test]
fn a_new_tag_is_resolved_before_its_commit_is_adopted() {
    let Some(shop) = shop() else { return };
    let next = wait(shop.registry.push_image("team/web", "2", "next"));
    let to_next = stream(&shop.registry.address()).replace("team/web:1", "team/web:2");
    shop.repo.write("streams/web.yaml", to_next).commit("version 2");
    let (code, text, _) = shop.diff(&[]);
    assert_eq!(code, 2, "{text}");
    has(&text, &["-> ? <-", "not asked (offline; --resolve asks)"]);
    let (code, text, _) = shop.diff(&["--resolve"]);
    assert_eq!(code, 2, "{text}");
    has(&text, &[&format!("sha256:{} -> sha256:{}", shop.first.short(), next.short())]);
}

#[test]
fn a_tag_that_is_gone_is_an_answer_and_refused() {
    let Some(shop) = shop() else { return };
    wait(shop.registry.delete("team/web", &shop.first));
    let (code, text, report) = shop.diff(&["--resolve"]);
    assert_eq!(code, 3, "{text}");
    has(&text, &["-> failed", "NotFound"]);
    assert_eq!(report["imports"][0]["outcome"], "failed");
    assert_eq!(report["rollouts"].as_array().unwrap().len(), 0, "{text}");
}

#[test]
fn a_registry_that_is_down_is_told_and_nothing_counts_as_verified() {
    let Some(shop) = shop() else { return };
    let Shop { registry, repo, mut host, first } = shop;
    let address = registry.address();
    drop(registry);
    // The daemon has noticed too: the second failure is as loud as the first.
    for noticed in [false, true] {
        if noticed {
            host.start();
            host.wait_for("the failure", |fact| matches!(fact, Fact::ImportFailed(_)));
            assert!(host.stop().success());
        }
        let output = host.run(&["diff", "--resolve"]);
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(4), "{text}");
        has(&text, &["Could not verify: a registry gave no answer", "shop/web:1", &address]);
        has(&text, &["could not ask", &format!("sha256:{}", first.short())]);
        assert!(!text.contains("asked now"), "{text}");
        // Offline nothing was to be asked.
        assert_eq!(host.run(&["diff"]).status.code(), Some(0));
    }
    drop(repo);
}
