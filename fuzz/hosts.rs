//! What fuzz targets do with what is about one host: pods, units, and what podman and systemd print.

use std::collections::BTreeMap;

use serde_json::Value;
use tidegate::fact::RolloutStep;
use tidegate::names::{Incarnation, ObjectKey, Revision, RolloutKey, Seq};
use tidegate::pods::{Instance, LABEL_OBJECT, Pods, Units, documents, owner_of_unit};
use tidegate::world::target::read_untrusted;

/// Files of units, as they lie in the object store.
///
/// What is read is printed as the same; what it plays is cut where it was put together.
pub(crate) fn units(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    drop(owner_of_unit(text));
    let Some(units) = Units::parse(text) else { return };
    let printed = units.render();
    let again = Units::parse(&printed).expect("what is printed can be read");
    assert_eq!(again, units);
    assert_eq!(again.render(), printed);
    assert_eq!(units.is_empty(), units.files().next().is_none());
    for (path, file) in units.files() {
        assert_eq!(units.file(path), Some(file));
    }
    assert!(units.documents().all(|document| !document.trim().is_empty()));
}

/// A kind in the first line, a manifest, and behind a line `%%services` what each of them selects.
///
/// What is put together is the same each time, a pod for each instance; as files of a unit it is what was put together,
/// of the object, and no line in it is anybody else's. A refusal is in plain words.
pub(crate) fn pods(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (kind, text) = text.split_once('\n').unwrap_or((text, ""));
    let (manifest, services) = text.split_once("\n%%services\n").unwrap_or((text, "{}"));
    let Ok(object) = format!("{kind}/shop/web").parse::<ObjectKey>() else { return };
    let read = || Pods::read(&object, manifest.as_bytes());
    let pods = match read() {
        Ok(pods) => pods,
        Err(why) => return plain(&why.to_string()),
    };
    assert_eq!(read().as_ref(), Ok(&pods), "reading twice");
    let (key, revision) = (RolloutKey::of(&object, Incarnation(1), Seq(7), None), Revision(3));
    let rendered = pods.render(&key, revision);
    assert_eq!(pods.render(&key, revision), rendered, "putting it together twice");
    let parts = documents(&rendered);
    assert_eq!(parts.len(), pods.replicas as usize);
    for (part, name) in parts.iter().zip(pods.names()) {
        is_pod(part, &name, &object);
    }
    is_pod(&pods.pod(Instance::Check, &key, revision), &pods.check_name(), &object);
    assert_eq!(pods.rescaled(&rendered, &rendered), rendered);
    if let Ok(more) = pods.clone().scaled(pods.replicas.saturating_add(1)) {
        let more = more.render(&key, revision);
        let grown = pods.rescaled(&rendered, &more);
        assert_eq!(documents(&grown).len(), parts.len() + 1);
        assert!(grown.starts_with(&rendered), "those that run stay");
    }
    for step in [RolloutStep::PreHook, RolloutStep::MidHook, RolloutStep::PostHook] {
        let hook = pods.hook_pod(step, &key, revision);
        assert_eq!(hook, pods.hook_pod(step, &key, revision));
        if let Some(hook) = hook {
            is_pod(&hook, &pods.hook_name(step, revision)[0], &object);
        }
    }
    if let Some(left_out) = pods.left_out() {
        plain(&left_out);
    }
    let selectors: BTreeMap<String, BTreeMap<String, String>> =
        serde_json::from_str(services).unwrap_or_default();
    let names = pods.names_by(&selectors);
    assert!(names.iter().all(|name| selectors.contains_key(name) && name.as_str() != "web"));
    unit(&pods, &rendered, &names);
}

/// A document is the pod of this name, and says whose it is.
fn is_pod(document: &str, name: &str, object: &ObjectKey) {
    let pod: Value = serde_json::from_str(document).expect("JSON");
    assert_eq!((&pod["kind"], &pod["metadata"]["name"]), (&"Pod".into(), &name.into()));
    assert_eq!(pod["metadata"]["labels"][LABEL_OBJECT], object.to_string());
    assert!(!document.contains('\n'), "on one line");
}

fn unit(pods: &Pods, rendered: &str, names: &[String]) {
    if let Err(why) = pods.check_unit() {
        plain(&why.to_string());
    }
    match pods.image_unit() {
        Ok(units) => {
            assert_eq!(units.is_image_only(), pods.replicas == 1);
            assert!(units.files().all(|(_, drop_in)| drop_in.lines().count() == 2), "{units:?}");
        }
        Err(why) => plain(&why.to_string()),
    }
    if pods.replicas == 0 {
        return; // then there is no unit
    }
    let units = pods.units(rendered, Some(("shop", names)), Revision(3));
    assert_eq!(Units::parse(&units.render()).as_ref(), Some(&units));
    assert!(!units.is_image_only());
    assert_eq!(units.documents().count(), pods.replicas as usize);
    for (document, name) in units.documents().zip(pods.names()) {
        is_pod(document.trim_end(), &name, &pods.object);
    }
    let played = units.file("web.yaml").expect("what is played");
    assert_eq!(owner_of_unit(played), Some(pods.object.to_string()));
    for line in units.file("web.kube").expect("a unit").lines() {
        let known = [
            "",
            "[Unit]",
            "[Kube]",
            "[Service]",
            "[Install]",
            "Description=web (managed; revision 3)",
            "After=network-online.target",
            "Wants=network-online.target",
            "Yaml=web.yaml",
            "ExitCodePropagation=any",
            "Restart=on-failure",
            "RestartSec=5",
            "TimeoutStartSec=900",
            "WantedBy=default.target",
        ];
        let port = |c: char| c.is_ascii_hexdigit() || "[].:/tcpuds".contains(c);
        let name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-,:=".contains(c);
        let is_ours = match line.split_once('=') {
            Some(("PublishPort", ports)) => {
                let ends = ports.split('/').next().unwrap_or_default().rsplit(':').take(2);
                let mut numbers = ends.map(str::parse::<u16>);
                ports.chars().all(port) && numbers.all(|number| number.is_ok())
            }
            Some(("Network", network)) => network.chars().all(name),
            Some(_) | None => known.contains(&line),
        };
        assert!(is_ours, "{line:?}");
    }
}

/// What podman, systemd or the kernel prints.
///
/// Reading twice gives the same; why something could not be read is short and in plain words; names that moved have
/// moved.
pub(crate) fn podman(data: &[u8]) {
    let said = String::from_utf8_lossy(data);
    let read = read_untrusted(&said);
    assert_eq!(read_untrusted(&said), read, "reading twice");
    for why in read.told.iter().filter_map(|told| told.as_ref().err()) {
        plain(why);
    }
    let [_, moved, again, _] = &read.table;
    assert_eq!(again, "", "names move once: {moved:?}");
    assert!(moved.is_empty() || moved.lines().count() == said.lines().count());
}

fn plain(why: &str) {
    assert!(!why.trim().is_empty() && why.len() <= 8_000, "{} bytes", why.len());
    assert!(!why.contains(char::is_control), "{why:?}");
}
