//! Told, not asked: notices of registries and git hosts, by the real program, with no schedule and a far poll.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;

use tidegate::control::{Question, Reply};
use tidegate::fact::{Fact, Outcome, Via};
use tidegate::hook::deliveries::{Delivery, Listening, Verdict};

use super::{app, web_and_app};
use crate::support::daemon::{Host, eventually, wait};
use crate::support::git::Repo;
use crate::support::hook::{free_address, post, request, send};
use crate::support::registry::{DockerRegistry, Options};

/// The secret that must be seen nowhere.
const CANARY: &str = "canary-4711-nobody-may-see";

/// A host that listens at an address, with hooks; each has the secret.
fn host(repo: &Repo, address: &str, toml: &str) -> Host {
    let listener = format!("[listener]\naddress = \"{address}\"\n");
    let host = Host::new(repo.path(), &(listener + toml));
    host.configure(|text| text.replace("branch = \"main\"", "branch = \"main\"\npoll = \"1h\""));
    std::fs::write(host.path("hook.secret"), CANARY).unwrap();
    host
}

fn hook(name: &str, kind: &str) -> String {
    format!("[listener.hooks.{name}]\nkind = \"{kind}\"\nsecret_file = \"hook.secret\"\n")
}

fn bearer() -> String {
    format!("Bearer {CANARY}")
}

fn listening(host: &Host) -> Listening {
    match host.ask(&Question::Hooks) {
        Some(Reply::Hooks(listening)) => *listening,
        other => panic!("{other:?}"),
    }
}

/// The last delivery of a hook that is not under way any more.
fn last(host: &Host, hook: &str) -> Delivery {
    eventually("the delivery", || {
        let all = listening(host).deliveries;
        let last = all.into_iter().rfind(|delivery| delivery.hook.as_deref() == Some(hook))?;
        (last.reason != "it is being carried out").then_some(last)
    })
}

fn adopted(host: &Host) {
    host.wait_for("the adopted commit", |fact| matches!(fact, Fact::CommitAdopted(_)));
}

fn complete(fact: &Fact) -> bool {
    matches!(fact, Fact::RolloutFinished(finished) if finished.outcome == Outcome::Complete)
}

/// A registry that posts what happens to a hook of a daemon that is started later.
fn registry(address: &str) -> Option<DockerRegistry> {
    let url = format!("http://{address}/hooks/registry");
    DockerRegistry::start_with(&Options { notifies: Some((url, CANARY)), ..Options::default() })
}

#[test]
fn an_image_that_is_pushed_to_the_managed_registry_is_rolled_out_by_its_notice_alone() {
    let address = free_address();
    let Some(registry) = registry(&address) else { return };
    let repo = Repo::new();
    repo.write("app.yaml", app("web2:latest")).commit("app");
    let place = registry.address();
    let toml = format!(
        "{}[registries.\"{place}\"]\ninsecure = true\n[integrated_registry]\naddress = \"{place}\"\n",
        hook("registry", "distribution")
    );
    let mut host = host(&repo, &address, &toml);
    host.start();
    adopted(&host);
    eventually("the listener", || host.ask(&Question::Hooks));
    let digest = wait(registry.push_image("shop/web2", "latest", "one"));
    host.wait_for("the rollout", complete);
    let imported = host.wait_for(
        "the push",
        |fact| matches!(fact, Fact::TagImported(imported) if imported.via == Via::Push),
    );
    let Fact::TagImported(imported) = imported.fact else { unreachable!() };
    assert_eq!(imported.event.reference, format!("{place}/shop/web2@{digest}"));
    assert!(host.text(&["describe", "is/web2", "-n", "shop"]).contains("no spec tag"));
    // Blobs and what we read ourselves come as notices, too, and say nothing.
    eventually("the notices of what we read", || {
        let all = listening(&host).deliveries;
        all.iter().any(|delivery| delivery.reason == "only pulls").then_some(())
    });
    assert_eq!(host.count(complete), 1);
    let text = host.text(&["hooks"]);
    let image = format!("{place}/shop/web2:latest");
    assert!(text.contains("registry accepted: ") && text.contains(&image), "{text}");
    assert!(host.stop().success(), "{}", host.story());
}

#[test]
fn a_tag_that_is_imported_is_looked_at_when_its_registry_says_so_and_once() {
    let address = free_address();
    let Some(registry) = registry(&address) else { return };
    wait(registry.push_image("team/web", "latest", "one"));
    let repo = Repo::new();
    repo.write("web.yaml", web_and_app(&registry.address(), "Source")).commit("web");
    let toml = hook("registry", "distribution") + &hook("script", "generic");
    let mut host = host(&repo, &address, &toml);
    host.start();
    host.wait_for("the first rollout", complete);
    let digest = wait(registry.push_image("team/web", "latest", "two"));
    host.wait_for(
        "the trigger",
        |fact| matches!(fact, Fact::TriggerFired(fired) if fired.new == digest),
    );
    eventually("the second rollout", || (host.count(complete) == 2).then_some(()));
    // The same notice again, and one of a tag that nobody imports.
    let image = format!("{}/team/web", registry.address());
    for tag in ["latest", "latest", "other"] {
        let body = format!("{{\"image\": \"{image}:{tag}\"}}");
        let authorization = bearer();
        assert_eq!(
            post(&address, "/hooks/script", &[("Authorization", &authorization)], &body),
            202
        );
    }
    let ignored = last(&host, "script");
    assert_eq!(ignored.verdict, Verdict::Ignored);
    assert_eq!(ignored.reason, format!("no tag is imported from {image}:other"));
    assert_eq!(host.count(|fact| matches!(fact, Fact::TriggerFired(_))), 2, "{}", host.story());
    let shown = host.text(&["hooks", "-o", "json"]) + &host.text(&["hooks"]) + &host.log();
    assert!(shown.contains("looks at shop/web:latest"), "{shown}");
    assert!(!shown.contains(CANARY), "{shown}");
    assert!(host.stop().success(), "{}", host.story());
}

#[test]
fn a_git_push_hook_makes_the_daemon_read_the_source_at_once() {
    let address = free_address();
    let repo = Repo::new();
    repo.write("app.yaml", app("web:latest")).commit("app");
    let mut host = host(&repo, &address, &hook("forge", "gitlab"));
    // A remote repository is polled only.
    host.configure(|text| text.replace("repository = \"", "repository = \"file://"));
    host.start();
    adopted(&host);
    let next = repo.write("more.yaml", app("web:latest").replace("name: app", "name: more"));
    let next = next.commit("more");
    let push = |branch: &str| {
        let headers = [("X-Gitlab-Event", "Push Hook"), ("X-Gitlab-Token", CANARY)];
        let body = format!(
            "{{\"object_kind\": \"push\", \"ref\": \"refs/heads/{branch}\", \"after\": \"1\"}}"
        );
        post(&address, "/hooks/forge", &headers, &body)
    };
    assert_eq!(push("other"), 204);
    assert_eq!(last(&host, "forge").reason, "branch other is not main");
    assert_eq!(push("main"), 202);
    host.wait_for(
        "the second commit",
        |fact| matches!(fact, Fact::CommitAdopted(adopted) if adopted.commit == next),
    );
    assert_eq!(last(&host, "forge").reason, "looks at the source");
    assert!(host.stop().success(), "{}", host.story());
}

#[test]
fn unknown_senders_learn_nothing_and_the_operator_learns_why() {
    let address = free_address();
    let repo = Repo::new();
    repo.write("app.yaml", app("web:latest")).commit("app");
    let mut host = host(&repo, &address, &(hook("script", "generic") + &hook("hub", "docker-hub")));
    host.start();
    adopted(&host);
    let (right, large) = (bearer(), vec![b'x'; 2 << 20]);
    let strangers = [
        ("another path", request("POST", "/", &[], b"{}")),
        ("no hook", request("POST", "/hooks/nope", &[("Authorization", &right)], b"{}")),
        ("no secret", request("POST", "/hooks/script", &[], b"{}")),
        (
            "a wrong secret",
            request("POST", "/hooks/script", &[("Authorization", "Bearer x")], b"{}"),
        ),
        ("a wrong token", request("POST", "/hooks/hub/x", &[], b"{}")),
        ("a wrong method", request("GET", "/hooks/script", &[("Authorization", &right)], b"")),
        ("another wrong method", request("OPTIONS", "/hooks/script", &[], b"")),
    ];
    let answers: Vec<_> =
        strangers.iter().map(|(name, bytes)| (*name, send(&address, bytes))).collect();
    assert!(answers[0].1.starts_with("HTTP/1.1 404 Not Found\n"), "{answers:?}");
    assert!(answers.iter().all(|(_, answer)| *answer == answers[0].1), "{answers:?}");
    // Where the end of a long body is not read, the answer may be lost with the connection.
    send(&address, &request("POST", "/hooks/script", &[("Authorization", &right)], &large));
    let reasons: Vec<_> = listening(&host).deliveries.into_iter().map(|d| d.reason).collect();
    assert_eq!(
        reasons,
        [
            "no hook is there",
            "no secret: expected the header `authorization`",
            "wrong secret: the token is none of this hook",
            "wrong secret: the token is none of this hook",
            "it is no POST",
            "the body is over 1 MiB, or did not come whole in 10 s",
        ]
    );
    let script = |secret: &str, body: &str| {
        let authorization = format!("Bearer {secret}");
        post(&address, "/hooks/script", &[("Authorization", &authorization)], body)
    };
    assert_eq!(script(CANARY, "not JSON"), 400);
    assert_eq!(last(&host, "script").reason, "the body is not JSON (line 1, column 2)");
    assert_eq!(script(CANARY, "{\"branch\": \"other\"}"), 204);
    let hub = format!("/hooks/hub/{CANARY}");
    assert_eq!(post(&address, &hub, &[], "{\"repository\": {\"repo_name\": \"a/b\"}}"), 202);
    assert_eq!(last(&host, "hub").reason, "no tag is imported from docker.io/a/b");
    // A secret is replaced without a gap and without a restart.
    std::fs::write(host.path("hook.secret"), format!("{CANARY}\nnext-{CANARY}\n")).unwrap();
    assert_eq!((script(CANARY, ""), script(&format!("next-{CANARY}"), "")), (202, 202));
    std::fs::write(host.path("hook.secret"), format!("next-{CANARY}\n")).unwrap();
    assert_eq!((script(CANARY, ""), script(&format!("next-{CANARY}"), "")), (404, 202));
    std::fs::remove_file(host.path("hook.secret")).unwrap();
    assert_eq!(script(&format!("next-{CANARY}"), ""), 404);
    assert!(last(&host, "script").reason.starts_with("cannot read the secret file"));
    let shown = host.text(&["hooks"]) + &host.text(&["hooks", "-o", "json"]) + &host.log();
    assert!(!shown.contains(CANARY), "{shown}");
    assert!(host.stop().success(), "{}", host.story());
}

#[test]
fn a_listener_on_a_socket_takes_new_hooks_with_a_reload_and_another_address_with_a_restart() {
    let repo = Repo::new();
    repo.write("app.yaml", app("web:latest")).commit("app");
    let mut host = host(&repo, "unix:hooks.sock", "");
    host.start();
    adopted(&host);
    let post = |host: &Host| {
        let mut stream =
            eventually("the socket", || UnixStream::connect(host.path("hooks.sock")).ok());
        let authorization = bearer();
        let headers = [("Authorization", authorization.as_str())];
        stream.write_all(&request("POST", "/hooks/script", &headers, b"")).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split(' ').nth(1).unwrap().to_owned()
    };
    assert_eq!(post(&host), "404");
    host.configure(|text| format!("{text}{}", hook("script", "generic")));
    host.reload();
    eventually("the new hook", || (post(&host) == "202").then_some(()));
    assert!(host.text(&["hooks"]).contains("hook script (generic): /hooks/script"));
    host.configure(|text| text.replace("unix:hooks.sock", "unix:other.sock"));
    host.reload();
    eventually("the refusal", || host.log().contains("`listener.address` changed").then_some(()));
    assert!(host.stop().success(), "{}", host.story());
    assert!(!host.path("hooks.sock").exists(), "the socket goes with the daemon");
    // What is no socket is not taken away.
    std::fs::write(host.path("other.sock"), "mine").unwrap();
    host.start();
    let ended = eventually("the end", || host.ended());
    assert_eq!(ended.code(), Some(1));
    assert!(host.log().contains("not a socket is there"), "{}", host.log());
}

#[test]
fn a_script_says_by_http_what_notify_push_says() {
    let address = free_address();
    let Some(registry) = DockerRegistry::start() else { return };
    let repo = Repo::new();
    repo.write("app.yaml", app("web2:latest")).commit("app");
    let place = registry.address();
    let toml =
        format!("{}[registries.\"{place}\"]\ninsecure = true\n", hook("push", "notify-push"));
    let mut host = host(&repo, &address, &toml);
    let digest = wait(registry.push_image("shop/web2", "latest", "one"));
    host.start();
    adopted(&host);
    let say = |digest: &str| {
        let authorization = bearer();
        let body =
            format!("{{\"tag\": \"shop/web2:latest\", \"image\": \"{place}/shop/web2@{digest}\"}}");
        post(&address, "/hooks/push", &[("Authorization", &authorization)], &body)
    };
    assert_eq!(say(&format!("sha256:{}", "0".repeat(64))), 202);
    let missing = last(&host, "push");
    assert!(
        missing.verdict == Verdict::Ignored && missing.reason.contains("not found"),
        "{missing:?}"
    );
    assert_eq!(say(&digest.to_string()), 202);
    host.wait_for("the rollout", complete);
    assert!(host.stop().success(), "{}", host.story());
}
