//! What an article about image streams does at its end: old images are pruned, by the real program on a real registry.

use tidegate::control::Question;
use tidegate::fact::{Fact, Outcome};
use tidegate::journal::ObjectStore;
use tidegate::names::{ContentHash, Digest};

use crate::support::daemon::{Host, eventually, wait};
use crate::support::git::Repo;
use crate::support::registry::DockerRegistry;

use super::web_and_app;

fn manifests(registry: &str) -> String {
    let empty = "---
apiVersion: image.openshift.io/v1
kind: ImageStream
metadata: {name: empty, namespace: shop}
";
    web_and_app(registry, "Source") + empty
}

struct Shop {
    host: Host,
    registry: DockerRegistry,
    _repo: Repo,
}

impl Shop {
    fn open() -> Option<Self> {
        let registry = DockerRegistry::start()?;
        let repo = Repo::new();
        repo.write("web.yaml", manifests(&registry.address())).commit("web");
        let host = Host::new(repo.path(), "[journal]\nkeep_bytes = 0\n");
        Some(Self { host, registry, _repo: repo })
    }

    /// The tag moves in the registry, and the application runs what it became.
    fn moves(&self, seed: &str) -> Digest {
        let digest = wait(self.registry.push_image("team/web", "latest", seed));
        let before = self.finished();
        self.look();
        eventually("a rollout", || (self.finished() > before).then_some(()));
        digest
    }

    fn finished(&self) -> usize {
        self.host.count(
            |fact| matches!(fact, Fact::RolloutFinished(f) if f.outcome == Outcome::Complete),
        )
    }

    /// The daemon looks at the tag now.
    fn look(&self) {
        let question = Question::CheckTag("shop/web:latest".parse().unwrap());
        eventually("the daemon", || self.host.ask(&question));
    }

    /// Waits until the daemon that was started answers: before, a command would take its place.
    fn is_up(&self) {
        eventually("the daemon", || self.host.ask(&Question::Status));
    }

    /// Exit code, standard output and standard error of a command.
    fn said(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        let output = self.host.run(arguments);
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    }

    fn describe(&self) -> String {
        let text = self.host.text(&["describe", "is/web", "-n", "shop"]);
        let age = r"(Less than a second|About a minute|\d+ (second|minute)s?) ago";
        regex::Regex::new(age).unwrap().replace_all(&text, "[age] ago").into_owned()
    }

    /// The metadata that an import kept of an image.
    fn metadata(&self, image: Digest) -> ContentHash {
        let imported = self.host.wait_for("its import", |fact| {
            matches!(fact, Fact::TagImported(imported) if imported.event.image == Some(image))
        });
        let Fact::TagImported(imported) = imported.fact else { unreachable!() };
        imported.metadata.unwrap()
    }
}

const PRUNE: [&str; 4] = ["prune", "images", "--keep-tag-revisions=1", "--keep-younger-than=0"];

/// S2, lines 329 to 337.
const ARTICLE: [&str; 8] = [
    "adm",
    "prune",
    "images",
    "--keep-tag-revisions=1",
    "--keep-younger-than=0",
    "--certificate-authority=ca.crt",
    "--registry-url=https://registry.example.com",
    "--confirm",
];

#[test]
fn old_images_are_pruned_once_and_for_all() {
    let Some(mut shop) = Shop::open() else { return };
    let first = wait(shop.registry.push_image("team/web", "latest", "one"));
    shop.host.start();
    eventually("the first rollout", || (shop.finished() == 1).then_some(()));
    let second = shop.moves("two");
    let (third, fourth) = (shop.moves("three"), shop.moves("four"));
    let metadata = shop.metadata(first);
    // What runs and what it would go back to stay, however few revisions are kept.
    let mut gone = [first, second];
    gone.sort_unstable();
    let expected = format!(
        "Only API objects will be removed.  No modifications to the image registry will be made.\n\
         Deleting 2 items from image stream shop/web\n\
         Deleting image {}\nDeleting image {}\n\
         Summary: deleted 2 image object(s), deleted 2 image stream tag item(s), updated 1 image stream(s)\n",
        gone[0], gone[1]
    );
    let empty = "Image streams without an image, which stay until git removes them: shop/empty\n";
    let dry_run =
        "Dry run enabled - no modifications will be made. Add --confirm to remove images\n";
    let told = (Some(0), expected.clone(), format!("{dry_run}{empty}"));
    assert_eq!(shop.said(&PRUNE), told);
    assert!(shop.host.stop().success());
    assert_eq!(shop.said(&PRUNE), told, "the journal says the same without a daemon");
    let (code, out, said) = shop.said(&ARTICLE);
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert!(said.contains("only the daemon writes the journal; start it"), "{said}");
    shop.host.start();
    shop.is_up();
    assert_eq!(shop.said(&ARTICLE), (Some(0), expected, empty.to_owned()));
    let is_prune = |fact: &Fact| matches!(fact, Fact::ImagesPruned(_));
    assert_eq!(shop.host.count(is_prune), 1, "one record");
    let described = shop.describe();
    for (image, items) in [(first, 0), (second, 0), (third, 1), (fourth, 1)] {
        assert_eq!(described.matches(&image.to_string()).count(), items, "{described}");
    }
    let history = shop.host.text(&["history", "is/web", "-n", "shop"]);
    assert!(history.contains("2 items of shop/web:latest and 2 images gone, by uid "), "{history}");
    let again = shop.said(&ARTICLE);
    assert!(again.1.ends_with("\nSummary: deleted 0 objects\n"), "{}", again.1);
    assert_eq!(shop.host.count(is_prune), 1, "nothing is no record");
    // Neither a restart nor a compaction brings anything back.
    assert!(shop.host.stop().success());
    shop.host.start();
    shop.is_up();
    shop.host.text(&["journal", "compact"]);
    let five = shop.moves("five");
    shop.host.text(&["journal", "compact"]);
    assert_eq!(shop.host.count(is_prune), 0, "its record is folded into a snapshot");
    let store = ObjectStore::at(&shop.host.state());
    assert!(!store.contains(&metadata).unwrap(), "what only pruned items named is collected");
    assert!(shop.host.stop().success());
    shop.host.start();
    shop.host.text(&["journal", "verify"]);
    let described = shop.describe();
    for (image, items) in [(first, 0), (second, 0), (third, 1), (fourth, 1), (five, 1)] {
        assert_eq!(described.matches(&image.to_string()).count(), items, "{described}");
    }
}

#[test]
fn an_image_that_is_deleted_comes_back_with_an_import() {
    let Some(mut shop) = Shop::open() else { return };
    let image = wait(shop.registry.push_image("team/web", "latest", "one")).to_string();
    shop.host.start();
    eventually("the first rollout", || (shop.finished() == 1).then_some(()));
    let before = shop.describe();
    let other = format!("sha256:{}", "0".repeat(64));
    let not_found = |name: &str| {
        format!("Error from server (NotFound): images.image.openshift.io \"{name}\" not found\n")
    };
    let deleted = format!("image.image.openshift.io \"{image}\" deleted\n");
    let found = shop.said(&["delete", "image", &other, &image]);
    assert_eq!(found, (Some(1), deleted, not_found(&other)));
    assert_eq!(shop.describe(), before, "I137: `describe is` does not notice");
    let tag = ["describe", "istag", "web:latest", "-n", "shop"];
    assert_eq!(shop.said(&tag), (Some(1), String::new(), not_found(&image)));
    assert!(!shop.host.text(&["get", "images"]).contains(&image));
    shop.host.text(&["journal", "verify"]);
    let imports = || shop.host.count(|fact| matches!(fact, Fact::TagImported(_)));
    assert_eq!(imports(), 1);
    shop.look();
    eventually("the import", || (imports() == 2).then_some(()));
    assert!(shop.host.text(&tag).contains(&image));
    assert_eq!(shop.finished(), 1, "nothing is rolled out for it");
    assert!(shop.host.stop().success());
    let (code, _, said) = shop.said(&["delete", "images", &image]);
    assert_eq!(code, Some(1));
    assert!(said.contains("only the daemon writes the journal; start it"), "{said}");
}
