//! A registry with a limit, as nginx keeps it: the daemon stays inside it, tells so, and no restart forgets.

use tidegate::action::ImportOrder;
use tidegate::control::{Question, Reply};
use tidegate::fact::Fact;

use crate::support::daemon::{Host, eventually, wait};
use crate::support::git::Repo;
use crate::support::limited::Limited;
use crate::support::registry::DockerRegistry;

const IMAGES: usize = 8;

fn stream(registry: &str) -> String {
    let tag = |n| {
        format!(
            "  - name: t{n}\n    from: {{kind: DockerImage, name: '{registry}/team/app{n}:1'}}\n    importPolicy: {{insecure: true}}\n"
        )
    };
    let tags: String = (0..IMAGES).map(tag).collect();
    format!(
        "apiVersion: image.openshift.io/v1\nkind: ImageStream\nmetadata: {{name: web, namespace: shop}}\nspec:\n  tags:\n{tags}"
    )
}

fn imported(host: &Host) -> usize {
    host.count(|fact| matches!(fact, Fact::TagImported(_)))
}

/// The limit is ten, of which four are for pulls: three images are read (one may be an index, so each is given two
/// requests), and the rest waits, visibly and without a failure. Nginx would have answered 429 behind the tenth.
#[test]
fn i111_a_daemon_stays_inside_the_limit_of_a_real_registry_over_kills() {
    let Some(registry) = DockerRegistry::start() else { return };
    for n in 0..IMAGES {
        wait(registry.push_image(&format!("team/app{n}"), "1", &n.to_string()));
    }
    let Some(limited) = Limited::start(&registry.address(), 10) else { return };
    let repo = Repo::new();
    repo.write("web.yaml", stream(&limited.address())).commit("web");
    let toml = format!("[registries.\"{}\"]\nlimit = \"10/6h\"\nreserve = 4\n", limited.address());
    let mut host = Host::new(repo.path(), &toml);
    host.start();
    eventually("what fits", || (imported(&host) >= 5).then_some(()));
    let status = eventually("a tag that waits", || {
        let status = host.text(&["status"]);
        status.contains("no request is left for checks").then_some(status)
    });
    let quota =
        status.lines().find(|line| line.starts_with("quota ")).expect("a line of the quota");
    assert!(quota.contains("of 10/6h used by tidegate"), "{quota}");
    assert!(quota.contains("4 kept for pulls"), "{quota}");
    assert!(quota.contains("left as it told"), "{quota}");
    let order = ImportOrder {
        stream: "shop/web".parse().unwrap(),
        tags: vec![format!("t{}", IMAGES - 1).parse().unwrap()],
        repository: false,
        commit: None,
    };
    match host.ask(&Question::Import(order)) {
        Some(Reply::Refused(why)) => assert!(why.contains("no request is left"), "{why}"),
        other => panic!("{other:?}"),
    }
    for _ in 0..4 {
        host.kill();
        host.start();
        // It answers once it has planned.
        eventually("a daemon", || host.text(&["status"]).contains("daemon running").then_some(()));
    }
    assert!(host.stop().success());
    assert!(limited.counted() <= 6, "{:?}", limited.requests());
    let answers = limited.requests();
    assert!(answers.iter().all(|line| !line.ends_with(" 429")), "{answers:?}");
    assert_eq!(
        host.count(|fact| matches!(fact, Fact::ImportFailed(_))),
        0,
        "waiting is no failure"
    );
    let marks = host.count(|fact| matches!(fact, Fact::Checkpoint(mark) if !mark.quota.is_empty()));
    assert!(marks > 0, "what is asked is set aside before");
}
