//! Which builds an image reaches, and what they make (rules C13, C14).

use std::collections::BTreeMap;

use tidegate::effective::chain::{Chain, Link};
use tidegate::names::{Namespace, StreamTag};
use tidegate::report::chain::{cycle, dot, mermaid, tree};

use crate::support::engine::World;
use crate::support::manifest;

/// A BuildConfig: what it is made of, what starts it, what it makes.
fn build(name: &str, from: &str, triggers: &[&str], to: &str) -> (String, String) {
    let namespaced = |tag: &str| match tag.split_once('/') {
        Some((namespace, name)) => {
            format!("{{kind: ImageStreamTag, namespace: {namespace}, name: '{name}'}}")
        }
        None => format!("{{kind: ImageStreamTag, name: '{tag}'}}"),
    };
    let trigger = |tag: &&str| match *tag {
        "" => "{type: ImageChange, imageChange: {}}".to_owned(),
        tag => format!("{{type: ImageChange, imageChange: {{from: {}}}}}", namespaced(tag)),
    };
    let triggers: Vec<String> = triggers.iter().map(trigger).collect();
    let text = format!(
        "apiVersion: build.openshift.io/v1\nkind: BuildConfig\nmetadata: {{name: {name}, namespace: shop}}\nspec:\n  \
         source: {{git: {{uri: 'https://example.com/x'}}}}\n  strategy: {{sourceStrategy: {{from: {}}}}}\n  \
         triggers: [{}]\n  output: {{to: {}}}\n",
        namespaced(from),
        triggers.join(", "),
        namespaced(to)
    );
    (format!("shop/bc-{name}.yaml"), text)
}

/// The base is pushed, makes `web2` and, where `all` counts, `tools`; `web2` is rolled out and makes `docs`.
fn shop() -> World {
    let mut files: BTreeMap<String, String> =
        manifest::files("is httpd 2.4=r.io/httpd:2.4\ndc front app<web2:latest");
    files.extend([
        build("web2", "httpd:2.4", &[""], "web2:latest"),
        build("docs", "web2:latest", &["", "httpd:2.4"], "docs:latest"),
        build("tools", "httpd:2.4", &[], "tools:1"),
    ]);
    let mut world = World::new();
    world.commit_files(files);
    world
}

fn tag(text: &str) -> StreamTag {
    text.parse().unwrap()
}

fn chain<'a>(world: &'a World, namespace: Option<&'a Namespace>) -> Chain<'a> {
    let desired = world.engine.desired();
    Chain { desired, namespace, trigger_only: true, reverse: false, workloads: false }
}

#[test]
fn c013_what_a_tag_starts_is_a_tree() {
    let (world, namespace) = (shop(), "shop".parse().unwrap());
    let chain = chain(&world, Some(&namespace));
    insta::assert_snapshot!("build-chain-tree", tree(chain, &tag("shop/httpd:2.4")));
    let all = Chain { trigger_only: false, workloads: true, ..chain };
    insta::assert_snapshot!("build-chain-tree-all", tree(all, &tag("shop/httpd:2.4")));
    let made_of = Chain { reverse: true, ..all };
    insta::assert_snapshot!("build-chain-tree-reverse", tree(made_of, &tag("shop/docs:latest")));
    let everywhere = Chain { namespace: None, ..chain };
    insta::assert_snapshot!(
        "build-chain-tree-everywhere",
        tree(everywhere, &tag("shop/web2:latest"))
    );
    assert!(chain.knows(&tag("shop/tools:1")) && !chain.knows(&tag("shop/other:1")));
    let other = "other".parse().unwrap();
    assert!(!Chain { namespace: Some(&other), ..chain }.knows(&tag("shop/httpd:2.4")));
}

#[test]
fn c013_builds_that_feed_themselves_are_named_with_their_way() {
    let mut world = World::new();
    let files = [
        build("a", "base:1", &[""], "b:1"),
        build("b", "b:1", &[], "base:1"),
        build("c", "b:1", &[""], "c:1"),
    ];
    world.commit_files(files.into());
    let chain = chain(&world, None);
    let whole = Chain { trigger_only: false, ..chain };
    let way = whole.cycle(&tag("shop/base:1")).unwrap();
    insta::assert_snapshot!(cycle(&way), @"Cycle detected in build configurations: istag/base:1 -> bc/a -> istag/b:1 -> bc/b -> istag/base:1");
    assert_eq!(way.first(), way.last());
    // What nothing starts does not go round by itself.
    assert_eq!(chain.cycle(&tag("shop/base:1")), None);
    assert_eq!(whole.cycle(&tag("shop/c:1")), None);
    assert!(matches!(way[1], Link::Build(_)));
    // A tree ends where it would begin again.
    assert_eq!(tree(whole, &tag("shop/base:1")).lines().count(), 6);
}

#[test]
fn c014_the_same_as_a_graph() {
    let world = shop();
    let all = Chain { trigger_only: false, workloads: true, ..chain(&world, None) };
    insta::assert_snapshot!("build-chain-dot", dot(all, &tag("shop/httpd:2.4")));
    insta::assert_snapshot!("build-chain-mermaid", mermaid(all, &tag("shop/httpd:2.4")));
    let made_of = Chain { reverse: true, ..all };
    insta::assert_snapshot!("build-chain-dot-reverse", dot(made_of, &tag("shop/tools:1")));
}
