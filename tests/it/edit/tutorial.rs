//! The second half of the python tutorial (P10 to P18, P30): commands in git, a daemon that follows, a real registry.

use tidegate::fact::Fact;

use crate::support::checkout::Checkout;
use crate::support::daemon::wait;
use crate::support::registry::DockerRegistry;

const FIRST: &str = "apiVersion: image.openshift.io/v1
kind: ImageStream
metadata:
  name: python
spec:
  tags:
  - name: \"3.5\"
    from:
      kind: DockerImage
      name: REGISTRY/centos/python-35-centos7:latest
    importPolicy:
      insecure: true
";

/// Waits until a tag was imported since the record that stood at `after`.
fn imported(shop: &Checkout, tag: &str, after: usize) -> String {
    let found = shop.host.wait_for(tag, |fact| match fact {
        Fact::TagImported(imported) => imported.tag.tag.as_str() == tag,
        _ => false,
    });
    let last = shop.host.records().into_iter().skip(after).filter_map(|record| match record.fact {
        Fact::TagImported(imported) if imported.tag.tag.as_str() == tag => imported.event.image,
        _ => None,
    });
    let first = match found.fact {
        Fact::TagImported(imported) => imported.event.image,
        _ => None,
    };
    last.last().or(first).unwrap().to_string()
}

#[test]
fn the_tutorial_is_played_in_git() {
    let Some(registry) = DockerRegistry::start() else { return };
    let address = registry.address();
    wait(registry.push_image("centos/python-35-centos7", "latest", "3.5"));
    wait(registry.push_image("library/python", "3.6.0", "3.6"));
    let mut shop = Checkout::of("python.yaml", &FIRST.replace("REGISTRY", &address));
    shop.host.start();
    let digest = imported(&shop, "3.5", 0);
    let said = shop.says(&["tag", "python:3.5", "python:latest"]);
    assert_eq!(said, format!("Tag python:latest set to python@{digest}.\n"), "P10");
    imported(&shop, "latest", 0);
    let describe = |shop: &Checkout| shop.says(&["describe", "is/python"]);
    assert!(describe(&shop).contains(&format!("latest\n  tagged from python@{digest}\n")), "P11");
    let image = format!("{address}/library/python:3.6.0");
    let said = shop.says(&["tag", &image, "python:3.6", "--insecure"]);
    assert_eq!(said, format!("Tag python:3.6 set to {image}.\n"), "P12");
    let newer = imported(&shop, "3.6", 0);
    let shown = describe(&shop);
    assert!(shown.contains(&format!("3.6\n  tagged from {image}\n")), "P13: {shown}");
    assert!(shown.contains("Unique Images:\t\t2\nTags:\t\t\t3\n"), "P13: {shown}");
    let before = shop.host.records().len();
    let said = shop.says(&["tag", "python:3.6", "python:latest"]);
    assert_eq!(said, format!("Tag python:latest set to python@{newer}.\n"), "P14");
    shop.host.wait_for("the new image of latest", |fact| match fact {
        Fact::TagImported(imported) => {
            let image = imported.event.image.map(|image| image.to_string());
            imported.tag.tag.as_str() == "latest" && image.as_deref() == Some(newer.as_str())
        }
        _ => false,
    });
    assert_eq!(imported(&shop, "latest", before), newer);
    let said = shop.says(&["tag", &image, "python:3.6", "--scheduled", "--insecure"]);
    assert_eq!(
        said,
        format!("Tag python:3.6 set to import {image} periodically.\n"),
        "P15 and P30"
    );
    assert_eq!(shop.says(&["tag", "-d", "python:3.5"]), "Deleted tag test/python:3.5.\n", "P16");
    let head = shop.repo.head();
    shop.host.wait_for(
        "the last commit",
        |fact| matches!(fact, Fact::CommitAdopted(adopted) if adopted.commit == head),
    );
    let shown = describe(&shop);
    assert!(
        shown.contains(&format!("updates automatically from registry {image}\n")),
        "P17: {shown}"
    );
    let latest = shown.split("latest\n").nth(1).unwrap().split("\n\n").nth(1).unwrap();
    let items = [newer.as_str(), digest.as_str()];
    assert!(latest.trim_start().starts_with('*'), "P17: {shown}");
    assert!(items.iter().all(|item| latest.contains(item)), "P17: {shown}");
    let said = shop.says(&["delete", "is", "python"]);
    assert_eq!(said, "imagestream.image.openshift.io \"python\" deleted\n", "P18");
}
