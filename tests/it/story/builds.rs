//! The circle that people love image streams for, on one host: a base image moves, the application on it is built again,
//! and what follows its tag is rolled out. Real git, real buildah, a real registry, real pods.

use tidegate::fact::{BuildCause, Fact};

use crate::support::daemon::eventually;
use crate::support::hook::{free_address, request, send};
use crate::support::podman::{Podman, Program, alone};
use crate::support::shop::{import, served};
use crate::support::yard::{DOCKERFILE, PORT, Yard, application};

/// The whole circle, unattended, and `history` tells it.
#[test]
fn b014_b051_t023_a_base_that_moves_is_built_and_rolled_out_and_history_tells_the_chain() {
    let Some(mut yard) = Yard::open(application) else { return };
    yard.host.start();
    let first = yard.completes("web-1");
    yard.rolls_out(1);
    assert_eq!(served(PORT).as_deref(), Some("base 1first"));

    yard.podman.push("shop/base:latest", "base 2", Program::Healthy);
    import(&yard.host, "base");
    let second = yard.completes("web-2");
    yard.rolls_out(2);
    assert_ne!(first, second);
    assert_eq!(served(PORT).as_deref(), Some("base 2first"));

    // One build for each, with its cause.
    let causes = yard.host.records().into_iter().filter_map(|record| match record.fact {
        Fact::BuildCreated(created) => Some(created.causes),
        _ => None,
    });
    let causes: Vec<_> = causes.flatten().collect();
    assert!(
        matches!(causes.as_slice(), [BuildCause::Config, BuildCause::Image { .. }]),
        "{causes:?}"
    );

    let told = yard.host.text(&["history", "dc/web", "-n", "shop"]);
    let chain = ["rollout 2", "from build web-2", "build web-2: shop/base:latest", "import"];
    for word in chain {
        assert!(told.contains(word), "no {word:?} in\n{told}");
    }
    let stream = yard.host.text(&["describe", "is/web", "-n", "shop"]);
    assert!(stream.contains("no spec tag"), "B51: {stream}");
    yard.host.has_no_secret();
}

/// Nothing is built or rolled out again by a restart, whatever it interrupts.
#[test]
fn b034_a_daemon_that_is_killed_while_it_builds_builds_it_once() {
    let Some(mut yard) = Yard::open(application) else { return };
    yard.host.start();
    let began = |fact: &Fact| matches!(fact, Fact::BuildStarted(_));
    yard.host.wait_for("the first build", began);
    yard.host.kill();
    yard.host.start();
    yard.completes("web-1");
    yard.rolls_out(1);
    yard.host.kill();
    yard.host.start();
    yard.repo.write("note.txt", "nothing of ours").commit("a note");
    let adopted = |fact: &Fact| matches!(fact, Fact::CommitAdopted(_));
    eventually("the second commit", || (yard.host.count(adopted) == 2).then_some(()));
    let created = |fact: &Fact| matches!(fact, Fact::BuildCreated(_));
    assert_eq!((yard.host.count(created), yard.host.count(began)), (1, 1));
    assert_eq!(served(PORT).as_deref(), Some("base 1first"));
}

/// A build by hand: its log is shown as it comes, what nobody committed can be built, and the exit code says how it went.
#[test]
fn c015_c016_a_build_by_hand_is_followed_to_its_end_or_cancelled() {
    let Some(mut yard) = Yard::open(application) else { return };
    let first = yard.source.head().to_string();
    yard.host.start();
    yard.completes("web-1");
    yard.rolls_out(1);
    let build = |flags: &[&str]| {
        let ran = yard.host.run(&[&["start-build", "web", "-n", "shop"], flags].concat());
        let [out, err] = [ran.stdout, ran.stderr].map(|text| String::from_utf8(text).unwrap());
        (ran.status.code(), out, err)
    };
    let (code, out, err) = build(&["--follow", "--wait", "--env", "MODE=fast"]);
    assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
    for line in ["build.build.openshift.io/web-2 started\n", "\nSTEP ", "\nPush successful\n"] {
        assert!(out.contains(line), "no {line:?} in\n{out}");
    }
    yard.rolls_out(2);

    let folder = yard.source.path();
    yard.source.write("app.txt", "uncommitted");
    let (code, out, err) = build(&["--from-dir", folder.to_str().unwrap(), "--wait"]);
    assert_eq!(code, Some(0), "{out}{err}");
    yard.rolls_out(3);
    assert_eq!(served(PORT).as_deref(), Some("base 1uncommitted"));

    yard.source
        .write("Dockerfile", "FROM scratch\nRUN echo it is broken; sleep 1; exit 3\n")
        .commit("broken");
    let (code, _, err) = build(&["--wait"]);
    let said = "error: the build shop/web-4 status is \"Failed\"\n";
    assert_eq!((code, err.as_str()), (Some(1), said));
    let told = yard.host.text(&["logs", "build/web-4", "-n", "shop"]);
    assert!(told.contains("\nit is broken\n"), "{told}");

    yard.source
        .write("Dockerfile", format!("{DOCKERFILE}RUN echo begun; sleep 4719\n"))
        .commit("long");
    build(&[]);
    let log = yard.host.state().join("builds/logs/shop/web-5.log");
    let begun = || std::fs::read_to_string(&log).ok().filter(|log| log.contains("\nbegun"));
    eventually("the long step", begun);
    let (_, out, _) = {
        let ran = yard.host.run(&["cancel-build", "web-5", "-n", "shop"]);
        (ran.status, String::from_utf8(ran.stdout).unwrap(), ran.stderr)
    };
    assert!(out.ends_with("build.build.openshift.io/web-5 cancelled\n"), "{out}");

    let (code, out, err) = build(&["--commit", &first, "--wait"]);
    assert_eq!(code, Some(0), "{out}{err}");
    let phases = "custom-columns=N:.metadata.name,P:.status.phase";
    let rows = yard.host.text(&["get", "builds", "-n", "shop", "--no-headers", "-o", phases]);
    let words: Vec<&str> = rows.split_whitespace().collect();
    let ends = ["Complete", "Complete", "Complete", "Failed", "Cancelled", "Complete"];
    let wanted = (1..).zip(ends).flat_map(|(n, end)| [format!("web-{n}"), end.to_owned()]);
    assert_eq!(words, wanted.collect::<Vec<_>>());
}

/// A forge says that something was pushed: that commit is built and rolled out, once, whatever came after it.
#[test]
fn b018_b022_what_is_pushed_to_a_repository_is_built_and_rolled_out() {
    if !alone() {
        return;
    }
    let Some(podman) = Podman::start() else { return };
    let address = free_address();
    let more = format!("[listener]\naddress = \"{address}\"\n");
    let mut yard = Yard::on(podman, &more, |registry, source| {
        let hook = "{type: GitHub, github: {secret: canary-hook}}";
        application(registry, source).replace("{type: ConfigChange}", hook)
    });
    yard.host.start();
    yard.completes("web-1");
    yard.rolls_out(1);
    let second = yard.source.write("app.txt", "second").commit("second");
    yard.source.write("app.txt", "third").commit("third");
    let payload = serde_json::json!({
        "ref": "refs/heads/main",
        "after": second.to_string(),
        "head_commit": {"id": second.to_string(), "message": "second", "author": {"name": "Ann", "email": "a@b"},
            "committer": {"name": "Ann", "email": "a@b"}},
        "repository": {"default_branch": "main"},
    });
    let path =
        "/apis/build.openshift.io/v1/namespaces/shop/buildconfigs/web/webhooks/canary-hook/github";
    let headers = [("Content-Type", "application/json"), ("X-GitHub-Event", "push")];
    let answer = send(&address, &request("POST", path, &headers, payload.to_string().as_bytes()));
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    yard.completes("web-2");
    yard.rolls_out(2);
    assert_eq!(served(PORT).as_deref(), Some("base 1second"));
    let told = yard.host.text(&["history", "dc/web", "-n", "shop"]);
    assert!(told.contains("GitHub"), "{told}");
    yard.host.has_no_secret();
}
