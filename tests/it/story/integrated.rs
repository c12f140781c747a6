//! `referencePolicy: Local` with a managed registry, by the real program: the image is copied, and pulled from there.

use tidegate::fact::{Fact, Outcome};

use crate::support::daemon::{Host, eventually, wait};
use crate::support::git::Repo;
use crate::support::registry::DockerRegistry;

use super::web_and_app;

fn finished(host: &Host) -> usize {
    host.count(|fact| matches!(fact, Fact::RolloutFinished(f) if f.outcome == Outcome::Complete))
}

#[test]
fn an_image_is_copied_into_the_managed_registry_and_pulled_from_there() {
    let (Some(source), Some(mut target)) = (DockerRegistry::start(), DockerRegistry::start())
    else {
        return;
    };
    let digest = wait(source.push_image("team/web", "latest", "one"));
    let repo = Repo::new();
    repo.write("web.yaml", web_and_app(&source.address(), "Local")).commit("web");
    let address = target.address();
    let toml = format!(
        "[registries.\"{address}\"]\ninsecure = true\n[integrated_registry]\naddress = \"{address}\"\n"
    );
    target.stop();
    let mut host = Host::new(repo.path(), &toml);
    host.start();
    let failed = host.wait_for("a failed import", |fact| matches!(fact, Fact::ImportFailed(_)));
    let Fact::ImportFailed(failed) = failed.fact else { unreachable!() };
    assert!(failed.message.contains(&address), "{}", failed.message);
    target.start_again();
    let question = tidegate::control::Question::CheckTag("shop/web:latest".parse().unwrap());
    eventually("the daemon", || host.ask(&question));
    host.wait_for(
        "the rollout",
        |fact| matches!(fact, Fact::RolloutFinished(f) if f.outcome == Outcome::Complete),
    );
    wait(target.manifest("shop/web", &digest.to_string()));
    let started = host.wait_for("the rollout", |fact| matches!(fact, Fact::RolloutStarted(_)));
    let Fact::RolloutStarted(started) = started.fact else { unreachable!() };
    let local = format!("{address}/shop/web@{digest}");
    assert_eq!(started.images[0].reference, local);
    // P34, P35: the tag is shown by its policy, and the image by its source.
    assert!(host.text(&["get", "istag", "web:latest", "-n", "shop"]).contains(&local));
    let images = host.text(&["get", "images"]);
    assert!(images.contains(&format!("{}/team/web@{digest}", source.address())), "{images}");
    let text = host.text(&["describe", "is/web", "-n", "shop"]);
    assert!(text.contains(&format!("{address}/shop/web\n")) && !text.contains(&local), "{text}");
    // Two more images, and the first one goes: here, and in the managed registry.
    for seed in ["two", "three"] {
        wait(source.push_image("team/web", "latest", seed));
        let before = finished(&host);
        eventually("the daemon", || host.ask(&question));
        eventually("a rollout", || (finished(&host) > before).then_some(()));
    }
    let prune = ["prune", "images", "--keep-tag-revisions=1", "--keep-younger-than=0", "--confirm"];
    // The daemon deletes in its own registry only.
    let elsewhere = [&prune[..], &["--registry-url=https://elsewhere.example.com/"]].concat();
    let refused = host.run(&elsewhere);
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(!refused.status.success() && said.contains("integrated_registry.address"), "{said}");
    let text = host.text(&prune);
    assert!(
        text.contains(&format!("Deleting manifest link {digest} in repository shop/web\n")),
        "{text}"
    );
    assert!(text.contains("deleted 1 manifest link(s)") && !text.contains("Only API"), "{text}");
    host.wait_for("the deletion", |fact| matches!(fact, Fact::ManifestDeleted(_)));
    assert_eq!(wait(target.status("shop/web", &digest.to_string())), 404);
    wait(source.manifest("team/web", &digest.to_string()));
    // Without the setting it comes from its source, and status says so.
    host.stop();
    host.configure(|text| text.split("[integrated_registry]").next().unwrap().to_owned());
    let status = host.text(&["status"]);
    let warning =
        "shop/web:latest asks for referencePolicy Local, but no integrated registry is configured";
    assert!(status.contains(warning), "{status}");
    host.start();
    eventually("the warning", || host.log().contains(warning).then_some(()));
}

#[test]
fn an_image_that_was_pushed_comes_into_the_repository_of_a_stream_that_follows_it() {
    let Some(registry) = DockerRegistry::start() else { return };
    let digest = wait(registry.push_image("shop/web", "latest", "one"));
    let repo = Repo::new();
    let far = "apiVersion: image.openshift.io/v1\nkind: ImageStream\nmetadata: {name: far, namespace: shop}\n\
               spec: {tags: [{name: at, from: {kind: ImageStreamTag, name: 'web:latest'}}]}\n";
    repo.write("far.yaml", far).commit("far");
    let address = registry.address();
    let toml = format!(
        "[registries.\"{address}\"]\ninsecure = true\n[integrated_registry]\naddress = \"{address}\"\n"
    );
    let mut host = Host::new(repo.path(), &toml);
    host.start();
    let pushed = format!("{address}/shop/web@{digest}");
    host.wait_for("the adopted commit", |fact| matches!(fact, Fact::CommitAdopted(_)));
    eventually("the daemon", || {
        let output = host.run(&["notify-push", "shop/web:latest", &pushed]);
        output.status.success().then_some(())
    });
    let own = format!("{address}/shop/far@{digest}");
    host.wait_for(
        "the copy",
        |fact| matches!(fact, Fact::TagImported(imported) if imported.event.reference == own),
    );
    wait(registry.manifest("shop/far", &digest.to_string()));
    let text = host.text(&["describe", "is/far", "-n", "shop"]);
    assert!(text.contains(&own) && !text.contains(&pushed), "{text}");
    // I188, I189: the image is one of the managed registry, and says so.
    let text = host.text(&["get", "image", &digest.to_string(), "-o", "yaml"]);
    assert!(text.contains("openshift.io/image.managed: \"true\""), "{text}");
    assert!(text.contains("image.openshift.io/manifestBlobStored: \"true\""), "{text}");
}
