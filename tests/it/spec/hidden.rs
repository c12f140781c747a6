//! What only seems to be gone is not stopped (D7, D51, laws 7 and 9).

use std::collections::BTreeMap;

use tidegate::policy::{OnInvalid, Policy};

use crate::support::engine::{LINK, World};
use crate::support::manifest;
use crate::support::start::{APP, WEB, committed, moves, running};

const DEPLOYMENT: &str = "is web latest=r.io/web:1,scheduled\ndeploy app app<web:latest";

/// A world in which the Deployment `app` runs, and its files.
fn deployed() -> (World, BTreeMap<String, String>) {
    let mut world = committed(DEPLOYMENT);
    world.resolve("r.io/web:1", "a");
    world.complete("app");
    world.records();
    (world, manifest::files(DEPLOYMENT))
}

/// The files of `APP` with one of them edited.
fn edited(path: &str, edit: impl FnOnce(&str) -> String) -> BTreeMap<String, String> {
    let mut files = manifest::files(APP);
    let text = edit(&files[path]);
    files.insert(path.into(), text);
    files
}

/// Commits, and expects that `app` is kept as it was and goes on.
fn kept(world: &mut World, files: BTreeMap<String, String>) -> String {
    world.commit_files(files);
    let records = world.records();
    assert!(records.contains("!app:kept"), "{records}");
    assert!(!records.contains("-app"), "{records}");
    assert_eq!(world.pending(), "");
    // Another commit, a restart and a lost mirror change nothing about it.
    world.restart();
    assert_eq!((world.records().as_str(), world.pending().as_str()), ("", ""));
    world.restart_without_mirror();
    assert_eq!((world.records().as_str(), world.pending().as_str()), ("", ""));
    let mut files = world.files().clone();
    files.insert("shop/other.yaml".into(), "kind: ConfigMap\napiVersion: v1\n".into());
    world.commit_files(files);
    let records = world.records();
    assert!(records.contains("!app:kept"), "{records}");
    assert_eq!(world.pending(), "");
    let rejected = &world.engine.observed().adopted.as_ref().unwrap().rejected;
    let mut told = rejected.iter().filter(|rejected| rejected.kept.is_some());
    let told = told.next().map(|r| format!("invalid at {}: {}", r.position, r.message)).unwrap();
    moves(world, "b");
    assert!(world.pending().contains("roll out app 2 app=#b"), "{}", world.pending());
    told.replace("shop/", "")
}

#[test]
fn d051_a_kind_that_is_misspelt_removes_nothing() {
    let files =
        edited("shop/dc-app.yaml", |text| text.replace("DeploymentConfig", "DeploymentConfg"));
    let held = kept(&mut running(), files);
    assert!(held.contains("`DeploymentConfg` is no kind of `apps.openshift.io/v1`"), "{held}");
}

#[test]
fn d051_an_unknown_version_of_our_group_removes_nothing() {
    for version in ["apps.openshift.io/v1beta1", "app.openshift.io/v1", "v2", "apps.openshift.io"] {
        let files =
            edited("shop/dc-app.yaml", |text| text.replace("apps.openshift.io/v1", version));
        let held = kept(&mut running(), files);
        assert!(held.contains(&format!("`{version}` is no API version of a")), "{held}");
    }
}

#[test]
fn d051_a_foreign_group_removes_nothing() {
    let files =
        edited("shop/dc-app.yaml", |text| text.replace("apps.openshift.io/v1", "example.com/v1"));
    let held = kept(&mut running(), files);
    assert!(held.contains("write `apps.openshift.io/v1`"), "{held}");
}

#[test]
fn d051_a_manifest_without_its_kind_removes_nothing() {
    let files = edited("shop/dc-app.yaml", |text| text.replace("kind: DeploymentConfig\n", ""));
    let held = kept(&mut running(), files);
    assert!(held.contains("kind: Required value"), "{held}");
}

#[test]
fn d051_a_deployment_that_lost_its_annotation_is_not_stopped() {
    let (mut world, mut files) = deployed();
    let without = files["shop/deploy-app.yaml"].replace("image.openshift.io/triggers", "note");
    files.insert("shop/deploy-app.yaml".into(), without.clone());
    let held = kept(&mut world, files.clone());
    assert!(held.contains("without the annotation `image.openshift.io/triggers`"), "{held}");
    // What its message says to do: to take the document away, or to let it run without Tidegate.
    world.complete("app");
    let free =
        without.replace("  annotations:\n", "  annotations:\n    tidegate.dev/prune: 'false'\n");
    files.insert("shop/deploy-app.yaml".into(), free);
    world.records();
    world.commit_files(files.clone());
    assert_eq!(world.records(), "CommitAdopted -app:kept");
    assert_eq!(world.pending(), "");
}

#[test]
fn d051_a_deployment_that_lost_its_annotation_and_then_its_manifest_is_stopped() {
    let (mut world, mut files) = deployed();
    let without = files["shop/deploy-app.yaml"].replace("image.openshift.io/triggers", "note");
    files.insert("shop/deploy-app.yaml".into(), without);
    world.commit_files(files.clone());
    world.records();
    files.remove("shop/deploy-app.yaml");
    world.commit_files(files);
    assert_eq!(world.records(), "CommitAdopted -app:pruned\nStopStarted app");
}

#[test]
fn d051_a_file_that_became_a_link_removes_nothing() {
    let held = kept(&mut running(), edited("shop/dc-app.yaml", |_| LINK.into()));
    assert!(held.contains("invalid at dc-app.yaml: it is a symbolic link"), "{held}");
}

#[test]
fn d051_a_folder_that_became_a_link_or_a_submodule_removes_nothing() {
    let mut world = committed(&format!("{APP}\nis other ns=x\ndc third x=r.io/x:1 ns=x"));
    world.resolve("r.io/web:1", "a");
    let mut files = manifest::files(&format!("{APP}\nis other ns=x"));
    files.insert("x".into(), LINK.into());
    files.retain(|path, _| !path.starts_with("x/"));
    world.records();
    world.commit_files(files);
    assert_eq!(world.records(), "CommitAdopted !x/other:kept !x/third:kept");
}

#[test]
fn d051_a_pointer_of_git_lfs_removes_nothing() {
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 9\n";
    let held = kept(&mut running(), edited("shop/dc-app.yaml", |_| pointer.into()));
    assert!(held.contains("pointer of Git LFS"), "{held}");
}

/// A rename and a syntax error in one commit: the object is nowhere, and may stand where nothing can be read.
#[test]
fn d051_a_file_that_is_moved_and_broken_removes_nothing() {
    for text in ["kind: [unclosed", LINK] {
        let mut files = manifest::files(APP);
        files.remove("shop/dc-app.yaml");
        files.insert("shop/renamed.yaml".into(), text.into());
        let held = kept(&mut running(), files);
        assert!(held.contains("invalid at renamed.yaml"), "{held}");
        assert!(held.contains("may stand here"), "{held}");
    }
}

#[test]
fn d051_what_was_unreadable_before_hides_nothing() {
    let mut world = running();
    let mut files = manifest::files(APP);
    files.insert("shop/broken.yaml".into(), "kind: [unclosed".into());
    world.commit_files(files.clone());
    world.records();
    files.remove("shop/dc-app.yaml");
    world.commit_files(files);
    assert_eq!(
        world.records().replace("shop/", ""),
        "CommitAdopted -app:pruned !broken.yaml:absent\nStopStarted app"
    );
}

#[test]
fn d051_a_moved_and_broken_file_that_is_repaired_lets_go() {
    let mut world = running();
    let mut files = manifest::files(APP);
    let text = files.remove("shop/dc-app.yaml").unwrap();
    files.insert("shop/renamed.yaml".into(), "kind: [unclosed".into());
    world.commit_files(files.clone());
    files.insert("shop/renamed.yaml".into(), text);
    world.records();
    world.commit_files(files.clone());
    assert_eq!(world.records(), "CommitAdopted");
    assert_eq!((world.pending(), world.held()), (String::new(), String::new()));
    files.remove("shop/renamed.yaml");
    world.commit_files(files);
    assert_eq!(world.records(), "CommitAdopted -app:pruned\nStopStarted app");
}

#[test]
fn d007_what_only_seems_to_be_gone_refuses_the_commit_if_wanted() {
    let policy = Policy { on_invalid: OnInvalid::Refuse, ..World::policy() };
    let mut world = World::with(policy);
    world.commit(APP);
    world.records();
    world.commit_files(edited("shop/dc-app.yaml", |_| LINK.into()));
    let records = world.records();
    assert!(
        records.starts_with("CommitRefused: 1 invalid objects, the first at dc-app.yaml: it is"),
        "{records}"
    );
}

/// Of several unreadable documents of one file each is named, and each object at its own.
#[test]
fn d007_each_unreadable_document_of_a_file_is_named() {
    let doc = |name: &str| {
        format!(
            "apiVersion: image.openshift.io/v1\nkind: ImageStream\nmetadata: {{name: {name}}}\n"
        )
    };
    let both =
        BTreeMap::from([("shop/f.yaml".to_owned(), format!("{}---\n{}", doc("a"), doc("b")))]);
    let mut world = World::new();
    world.commit_files(both.clone());
    world
        .commit_files(both.into_iter().map(|(path, text)| (path, text.replace('}', ""))).collect());
    let adopted = world.engine.observed().adopted.as_ref().unwrap();
    let told: Vec<_> = adopted
        .rejected
        .iter()
        .map(|r| (r.object.as_ref().unwrap().name.to_string(), r.position.line, r.kept.is_some()))
        .collect();
    assert_eq!(told, [("a".into(), 4, true), ("b".into(), 8, true)]);
}

/// What stands for an image stream in the journal is a stream, not a workload.
#[test]
fn i091_a_stream_that_comes_back_is_no_workload() {
    let mut world = committed(&format!("{APP}\nis other"));
    world.commit(APP);
    world.commit(&format!("{APP}\nis other"));
    assert!(world.records().contains("+other#2"));
    let workloads = world.engine.observed().workloads.keys();
    assert!(
        workloads.clone().all(|key| key.kind.is_workload()),
        "{:?}",
        workloads.collect::<Vec<_>>()
    );
}

/// A copy of an object does not take over from the one in force, wherever it stands and whatever restarts.
#[test]
fn d007_a_copy_does_not_take_over() {
    let mut world = running();
    let mut files = manifest::files(APP);
    let copy = files["shop/dc-app.yaml"].replace("value: '1'", "value: '9'");
    files.insert("shop/a-copy.yaml".into(), copy);
    world.commit_files(files.clone());
    assert_eq!(world.records(), "CommitAdopted !app:absent");
    assert_eq!(world.pending(), "");
    let rejected = &world.engine.observed().adopted.as_ref().unwrap().rejected[0];
    assert_eq!(rejected.position.path, "shop/a-copy.yaml");
    assert!(
        rejected.message.contains("stands at shop/dc-app.yaml:1:1 already"),
        "{}",
        rejected.message
    );
    for lost in [false, true] {
        if lost {
            world.restart_without_mirror();
        } else {
            world.restart();
        }
        assert_eq!((world.records().as_str(), world.pending().as_str()), ("", ""));
        let app = world.engine.desired().workloads.values().next().unwrap().position.path.clone();
        assert_eq!(app, "shop/dc-app.yaml");
    }
    // Also while the one in force is invalid.
    let bad = manifest::files(&format!("{WEB}\nbad dc app"));
    files.extend(bad);
    world.commit_files(files.clone());
    assert_eq!(world.records(), "CommitAdopted !app:absent !app:kept");
    world.restart();
    assert_eq!((world.records().as_str(), world.pending().as_str()), ("", ""));
    // Once it is taken away, the copy is the object.
    files.remove("shop/dc-app.yaml");
    world.commit_files(files);
    assert_eq!(world.records().lines().next(), Some("CommitAdopted"));
}
