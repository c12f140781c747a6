//! An image is built and pushed by somebody else, and `notify-push` says so: the real program, daemon and registry.

use tidegate::fact::{Fact, Outcome};

use crate::support::daemon::{Host, eventually, wait};
use crate::support::git::Repo;
use crate::support::registry::DockerRegistry;

#[test]
fn a_pushed_image_is_rolled_out_and_its_stream_is_not_in_git() {
    let Some(registry) = DockerRegistry::start() else { return };
    let repo = Repo::new();
    repo.write("app.yaml", super::app("web2:latest")).commit("app");
    let address = registry.address();
    let toml = format!("[registries.\"{address}\"]\ninsecure = true\n");
    let mut host = Host::new(repo.path(), &toml);
    let digest = wait(registry.push_image("shop/web2", "latest", "one"));
    let image = format!("{address}/shop/web2@{digest}");
    let said = |host: &Host, image: &str| {
        let output = host.run(&["notify-push", "shop/web2:latest", image]);
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(text).unwrap())
    };
    let (code, text) = said(&host, &image);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("no daemon listens"), "{text}");
    host.start();
    eventually("the adopted commit", || {
        (host.count(|fact| matches!(fact, Fact::CommitAdopted(_))) == 1).then_some(())
    });
    let (code, text) = eventually("the daemon", || {
        let (code, text) = said(&host, &image);
        (!text.contains("no daemon listens")).then_some((code, text))
    });
    assert_eq!(code, Some(0), "{text}");
    assert!(text.starts_with(&format!("shop/web2:latest is {image} (record ")), "{text}");
    host.wait_for(
        "the rollout",
        |fact| matches!(fact, Fact::RolloutFinished(f) if f.outcome == Outcome::Complete),
    );
    assert_eq!(
        said(&host, &image),
        (Some(0), format!("nothing to do: shop/web2:latest is {digest} already\n"))
    );
    let missing = format!("{address}/shop/web2@sha256:{}", "0".repeat(64));
    let (code, text) = said(&host, &missing);
    assert_eq!(code, Some(1));
    assert!(text.contains("not found"), "{text}");
    let text = host.text(&["describe", "is/web2", "-n", "shop"]);
    assert!(text.contains("no spec tag") && text.contains(&image), "{text}");
    assert!(host.text(&["get", "itag", "-n", "shop"]).contains("Push"));
    assert!(host.text(&["history", "shop/web2:latest"]).contains("from a push"));
    assert!(host.stop().success(), "{}", host.story());
    assert!(host.text(&["describe", "is/web2", "-n", "shop"]).contains("no spec tag"));
}
