//! A whole repository, imported by a daemon from a real registry: what it costs, and what is shown of it.

use std::collections::BTreeSet;

use tidegate::fact::Fact;

use crate::support::daemon::{Host, eventually, wait};
use crate::support::git::Repo;
use crate::support::registry::{DockerRegistry, FaultProxy, OCI_MANIFEST};

fn stream(repository: &str, annotations: &str) -> String {
    format!(
        "apiVersion: image.openshift.io/v1\nkind: ImageStream\nmetadata:\n  name: all\n  namespace: shop\n  \
         annotations: {{openshift.io/image.insecureRepository: 'true', {annotations}}}\nspec: \
         {{dockerImageRepository: '{repository}'}}\n"
    )
}

/// Makes `tags` tags of `images` images.
async fn fill(registry: &DockerRegistry, tags: usize, images: usize) {
    let mut manifests = Vec::new();
    for image in 0..images {
        let (tag, seed) = (format!("1.{image}"), image.to_string());
        manifests.push(registry.push_image("team/app", &tag, &seed).await);
    }
    for tag in images..tags {
        let body = registry.manifest("team/app", &manifests[tag % images].to_string()).await;
        registry.put_manifest("team/app", &format!("1.{tag}"), OCI_MANIFEST, &body).await;
    }
}

/// Section "Speed" of the issue: one HEAD for each tag, three GETs at most for each new digest, and the pages.
#[test]
fn a_whole_repository_costs_one_head_a_tag_and_three_gets_an_image() {
    const TAGS: usize = 500;
    const IMAGES: usize = 20;
    let Some(registry) = DockerRegistry::start() else { return };
    wait(fill(&registry, TAGS, IMAGES));
    let proxy = FaultProxy::start(&registry.address());
    let repo = Repo::new();
    let address = format!("{}/team/app", proxy.address());
    let manifest = stream(&address, "tidegate.dev/tag-limit: '-1'");
    repo.write("all.yaml", manifest).commit("all");
    let mut host = Host::new(repo.path(), "");
    host.start();
    let is_import = |fact: &Fact| matches!(fact, Fact::TagImported(_));
    eventually("all tags", || (host.count(is_import) == TAGS).then_some(()));
    let requests = proxy.requests();
    let count = |method: &str| requests.iter().filter(|line| line.starts_with(method)).count();
    let lists = requests.iter().filter(|line| line.contains("/tags/list")).count();
    assert_eq!((count("HEAD"), lists), (TAGS, 1));
    let gets = count("GET") - lists;
    assert!(gets <= 3 * IMAGES, "{gets} GETs for {IMAGES} images");
    let images: BTreeSet<String> =
        host.text(&["get", "images", "-o", "name"]).lines().map(str::to_owned).collect();
    assert_eq!(images.len(), IMAGES);
    // After a restart nothing is asked again.
    assert!(host.stop().success());
    host.start();
    host.wait_for("the second start", |_| true);
    eventually("the daemon", || host.ask(&tidegate::control::Question::Status));
    assert_eq!(proxy.requests(), Vec::<String>::new());
}

/// I59, I60: what was left out and what failed is told by `describe`; a filter and a push change what is imported.
#[test]
fn describe_tells_what_was_left_out_and_why_a_listing_failed() {
    let Some(registry) = DockerRegistry::start() else { return };
    wait(fill(&registry, 4, 4));
    let repo = Repo::new();
    let address = format!("{}/team/app", registry.address());
    let manifest = stream(&address, "tidegate.dev/tag-limit: '2', tidegate.dev/schedule: 10s");
    repo.write("all.yaml", manifest).commit("all");
    let mut host = Host::new(repo.path(), "");
    host.start();
    let imports = |tag: &'static str| move |fact: &Fact| matches!(fact, Fact::TagImported(i) if i.tag.tag.as_str() == tag);
    host.wait_for("1.3", imports("1.3"));
    host.wait_for("1.2", imports("1.2"));
    let described = || {
        let text = host.text(&["describe", "is/all", "-n", "shop"]);
        text.replace(&registry.address(), "HOST")
    };
    let text = described();
    let head = "HOST/team/app\n  imports the tags of the whole repository\n\n  \
                ~ 2 additional tags which were not imported: 1.1, 1.0\n";
    assert!(text.contains(head), "{text}");
    assert!(
        text.contains("1.3\n  updates automatically from registry HOST/team/app:1.3\n"),
        "{text}"
    );
    // A filter takes effect at the next commit; what it drops says so.
    let filtered = "tidegate.dev/tag-filter: 'glob:1.[01]'";
    repo.write("all.yaml", stream(&address, filtered)).commit("filter");
    host.wait_for("1.0", imports("1.0"));
    host.wait_for(
        "the end of 1.3",
        |fact| matches!(fact, Fact::ImportFailed(failed) if failed.tag.tag.as_str() == "1.3"),
    );
    let text = described();
    let gone =
        "! error: Import failed (NotFound): it does not pass `tidegate.dev/tag-filter` any more";
    assert!(text.contains(gone), "{text}");
    let nowhere = stream(&format!("{}/nobody/knows", registry.address()), "");
    repo.write("all.yaml", nowhere).commit("nowhere");
    host.wait_for("a failed listing", |fact| matches!(fact, Fact::ListingFailed(_)));
    let text = described();
    let failed = "! error: Import failed (NotFound): dockerimage.image.openshift.io \"HOST/nobody/knows:latest\" not found";
    assert!(text.contains(failed), "{text}");
}
