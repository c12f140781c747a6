//! Commands that change the spec: they edit and commit manifests, and speak as `oc` does.

use crate::support::checkout::Checkout;
use crate::support::engine::World;

const A: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const B: &str = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

const PYTHON: &str = "apiVersion: image.openshift.io/v1
kind: ImageStream
metadata:
  name: python # the language
spec:
  tags:
  # from the tutorial
  - name: \"3.5\"
    annotations: {description: old}
    from:
      kind: DockerImage
      name: centos/python-35-centos7
    importPolicy:
      scheduled: true
      importMode: PreserveOriginal
    referencePolicy: {type: Local}
  - name: \"3.6\"
    from: {kind: DockerImage, name: docker.io/python:3.6.0}
";

const WEB: &str = "apiVersion: apps.openshift.io/v1
kind: DeploymentConfig
metadata:
  name: web
  labels: {app: web}
spec:
  replicas: 1
  triggers:
  - type: ImageChange
    imageChangeParams:
      automatic: true
      containerNames: [web]
      from: {kind: ImageStreamTag, name: \"python:3.5\"}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: web
        image: \" \"
";

/// The streams of the tutorial, with what its imports found.
fn python() -> Checkout {
    let shop = Checkout::of("apps/python.yaml", PYTHON);
    shop.imported(&[("test/python:3.5", A), ("test/python:3.6", B)]);
    shop
}

/// A word that clap reads as one: the tests spell commands as people do.
fn words(line: &str) -> Vec<&str> {
    line.split(' ').collect()
}

/// I92: deleting a tag takes its spec entry out of git; one that is not there is not found.
#[test]
fn i092_deleting_a_tag_takes_it_out_of_git() {
    let shop = python();
    assert_eq!(shop.says(&["tag", "-d", "python:3.5"]), "Deleted tag test/python:3.5.\n");
    assert!(!shop.file("apps/python.yaml").contains("3.5"));
    let said = shop.says(&["delete", "istag", "python:3.6"]);
    assert_eq!(said, "imagestreamtag.image.openshift.io \"python:3.6\" deleted\n");
    assert!(shop.file("apps/python.yaml").ends_with("  # from the tutorial\n    []\n"));
    let shop = python();
    for (line, name) in [
        ("tag -d python:nosuch", "python:nosuch"),
        ("tag -d nosuch:1", "nosuch"),
        ("delete istag python:nosuch", "python:nosuch"),
    ] {
        let said = shop.refuses(&words(line));
        let wanted = format!(
            "Error from server (NotFound): imagestreamtags.image.openshift.io \"{name}\" not found\n"
        );
        assert_eq!(said, wanted, "{line}");
    }
}

/// I93: what refers to a tag keeps its history, and the command says so.
#[test]
fn i093_a_deleted_tag_that_is_used_is_said_to_be_kept() {
    let shop = python();
    shop.repo.write("apps/web.yaml", WEB).commit("web");
    let ran = shop.run(&["tag", "-d", "python:3.5"]);
    assert_eq!((ran.code, ran.out.as_str()), (0, "Deleted tag test/python:3.5.\n"));
    let kept = "python:3.5 keeps its history and its image as long as it is referred to, by DeploymentConfig/test/web\n";
    assert!(ran.err.contains(kept), "{}", ran.err);
    let said = shop.refuses(&["tag", "-d", "python:3.5"]);
    assert!(said.contains("tag python:3.5 is not in git any more"), "{said}");
    let ran = shop.run(&["tag", "-d", "python:3.6"]);
    assert!(!ran.err.contains("keeps"), "{}", ran.err);
}

/// I94: deleting a stream takes its document, and its file if that was all.
#[test]
fn i094_deleting_a_stream_takes_its_document() {
    let shop = python();
    shop.repo.write(
        "apps/two.yaml",
        format!("{WEB}---\n{}", PYTHON.replace("name: python", "name: two")),
    );
    shop.repo.commit("two");
    assert_eq!(
        shop.says(&["delete", "is", "python", "two"]),
        "imagestream.image.openshift.io \"python\" deleted\nimagestream.image.openshift.io \"two\" deleted\n"
    );
    assert!(!shop.repo.path().join("apps/python.yaml").exists());
    assert_eq!(shop.file("apps/two.yaml"), WEB);
    assert_eq!(shop.repo.git(&["status", "--porcelain"]), "");
}

/// I95: a registry, a digest, a tag, and else an image of Docker Hub.
#[test]
fn i095_the_kind_of_the_source_follows_from_its_form() {
    let shop = python();
    for (source, kind, name) in [
        ("docker.io/python:3.6.0", "DockerImage", "docker.io/python:3.6.0"),
        (&format!("python@{B}"), "ImageStreamImage", &format!("python@{B}")),
        ("python:3.6", "ImageStreamImage", &format!("python@{B}")),
        ("python", "DockerImage", "python"),
        ("centos/python-35-centos7", "DockerImage", "centos/python-35-centos7"),
    ] {
        shop.says(&["tag", source, "other:x"]);
        let text = shop.file("test/imagestream-other.yaml");
        assert!(text.contains(&format!("kind: {kind}\n      name: {name}\n")), "{source}: {text}");
    }
    shop.says(&["tag", "--source=docker", "python:3.6", "other:x"]);
    assert!(
        shop.file("test/imagestream-other.yaml")
            .contains("kind: DockerImage\n      name: python:3.6\n")
    );
}

/// Y13: a bare name is an image of Docker Hub, also where a stream is called so.
#[test]
fn y013_a_bare_name_is_an_external_image() {
    let shop = python();
    assert_eq!(
        shop.says(&["tag", "python", "python:latest"]),
        "Tag python:latest set to python.\n"
    );
    assert_eq!(
        shop.last_change(),
        "+  - name: latest\n+    from:\n+      kind: DockerImage\n+      name: python\n"
    );
}

/// I96: the image that the source tag has now is what is written.
#[test]
fn i096_a_tag_as_source_becomes_its_current_image() {
    let shop = python();
    let said = shop.says(&["tag", "python:3.5", "python:latest"]);
    assert_eq!(said, format!("Tag python:latest set to python@{A}.\n"));
    let lines = format!(
        "+  - name: latest\n+    from:\n+      kind: ImageStreamImage\n+      name: python@{A}\n"
    );
    assert_eq!(shop.last_change(), lines);
    shop.imported(&[("test/python:ref", "quay.io/org/app:1")]);
    shop.says(&["tag", "python:ref", "python:copy"]);
    assert!(shop.last_change().contains("kind: DockerImage\n+      name: quay.io/org/app:1\n"));
    let said = shop.refuses(&["tag", "python:nosuch", "python:x"]);
    assert_eq!(
        said,
        "error: \"python:nosuch\" is not currently pointing to an image, cannot use it as the source of a tag\n"
    );
    let said = shop.refuses(&["tag", "openshift/python:3.6", "other:x"]);
    assert_eq!(
        said,
        "Error from server (NotFound): imagestreams.image.openshift.io \"python\" not found\n"
    );
}

/// Y12: `latest` as a copy of today's image, and as an alias that follows, are two things.
#[test]
fn y012_a_copy_names_the_image_and_an_alias_the_tag() {
    let shop = python();
    shop.says(&["tag", "python:3.6", "python:copy"]);
    let said = shop.says(&["tag", "python:3.6", "python:follows", "--alias"]);
    assert_eq!(said, "Tag python:follows set up to track python:3.6.\n");
    let text = shop.file("apps/python.yaml");
    assert!(text.contains(&format!(
        "  - name: copy\n    from:\n      kind: ImageStreamImage\n      name: python@{B}\n"
    )));
    assert!(text.contains(
        "  - name: follows\n    from:\n      kind: ImageStreamTag\n      name: python:3.6\n"
    ));
}

/// I97: the entry is replaced as a whole; its source comes from a stream of another namespace if it says so.
#[test]
fn i097_the_destination_is_replaced_completely() {
    let shop = python();
    shop.says(&["tag", "docker.io/python:3.5.1", "python:3.5"]);
    assert_eq!(
        shop.last_change(),
        "-    annotations: {description: old}\n-      name: centos/python-35-centos7\n-    importPolicy:\n\
         -      scheduled: true\n-      importMode: PreserveOriginal\n-    referencePolicy: {type: Local}\n\
         +      name: docker.io/python:3.5.1\n"
    );
    let said = shop.says(&["tag", &format!("openshift/python@{A}"), "prod/web:1", "web:2"]);
    assert_eq!(
        said,
        format!(
            "Tag prod/web:1 set to openshift/python@{A}.\nTag web:2 set to openshift/python@{A}.\n"
        )
    );
    for namespace in ["prod", "test"] {
        let text = shop.file(&format!("{namespace}/imagestream-web.yaml"));
        assert!(text.contains(&format!("namespace: {namespace}\n")), "{text}");
        assert!(
            text.contains(&format!("name: python@{A}\n      namespace: openshift\n")),
            "{text}"
        );
    }
    shop.says(&["tag", "python:3.6", "prod/web:3"]);
    assert!(shop.last_change().contains("namespace: test\n"), "{}", shop.last_change());
}

/// I97: an image that is tagged again without any difference is imported once more; git says so.
#[test]
fn i097_the_same_image_again_asks_for_an_import() {
    let shop = python();
    let line = ["tag", "docker.io/python:3.6.0", "python:3.6"];
    let ran = shop.run(&line);
    assert_eq!(ran.out, "Tag python:3.6 set to docker.io/python:3.6.0.\n");
    assert!(ran.err.contains("asks the daemon to import it once more"), "{}", ran.err);
    assert_eq!(shop.last_change(), "+    generation: 0\n");
    let head = shop.repo.head();
    let ran = shop.run(&line);
    assert_eq!((ran.code, shop.repo.head()), (0, head));
    assert!(ran.err.contains("nothing changes in git"), "{}", ran.err);
    shop.says(&["tag", "docker.io/python:3.6.1", "python:3.6"]);
    assert!(shop.last_change().contains("-    generation: 0\n"), "{}", shop.last_change());
}

/// Y11: a `generation: 0` acts once, by the commit that brings it.
#[test]
fn y011_a_generation_of_0_acts_once() {
    let commit = |world: &mut World, generation: &str, label: &str| {
        let text = format!(
            "apiVersion: image.openshift.io/v1\nkind: ImageStream\nmetadata: {{name: web, namespace: shop, labels: {{a: '{label}'}}}}\n\
             spec:\n  tags:\n  - name: a\n    from: {{kind: DockerImage, name: r.io/web:a}}\n{generation}"
        );
        world.commit_files([("web.yaml".to_owned(), text)].into());
        world.records().lines().next().unwrap_or_default().to_owned()
    };
    let mut world = World::new();
    assert_eq!(commit(&mut world, "", "1"), "CommitAdopted +web#1 ~web@1(a)");
    assert_eq!(commit(&mut world, "    generation: 7\n", "1"), "CommitAdopted");
    assert_eq!(commit(&mut world, "    generation: 0\n", "1"), "CommitAdopted ~web@2(a)");
    assert_eq!(commit(&mut world, "    generation: 0\n", "2"), "CommitAdopted");
    assert_eq!(commit(&mut world, "", "2"), "CommitAdopted");
    assert_eq!(commit(&mut world, "    generation: 0\n", "2"), "CommitAdopted ~web@3(a)");
}

/// Y14: what is not repeated on the command line is gone.
#[test]
fn y014_annotations_policy_mode_and_schedule_are_wiped() {
    let shop = python();
    shop.says(&["tag", "centos/python-35-centos7", "python:3.5"]);
    let change = shop.last_change();
    for gone in ["annotations", "scheduled", "importMode", "Local"] {
        assert!(change.contains(gone), "{gone}: {change}");
    }
    assert!(!change.contains('+'), "{change}");
}

/// I98: the texts of success.
#[test]
fn i098_each_way_to_tag_has_its_text() {
    let shop = python();
    let copy = format!("python@{B}");
    for (line, said) in [
        (
            "tag docker.io/python:3.6.0 python:a",
            "Tag python:a set to docker.io/python:3.6.0.".to_owned(),
        ),
        ("tag docker.io/x:1 o/python:a", "Tag o/python:a set to docker.io/x:1.".to_owned()),
        (
            "tag docker.io/x:1 python:b --scheduled",
            "Tag python:b set to import docker.io/x:1 periodically.".to_owned(),
        ),
        (
            "tag docker.io/x:1 o/python:b --scheduled",
            "Tag o/python:b set to docker.io/x:1 periodically.".to_owned(),
        ),
        (
            "tag python:3.6 python:al --alias=true",
            "Tag python:al set up to track python:3.6.".to_owned(),
        ),
        ("tag python:3.6 other:p --reference", format!("Tag other:p set to {copy}.")),
        ("tag python:3.6 other:l --reference-policy=local", format!("Tag other:l set to {copy}.")),
        ("tag --source=istag python:3.6 other:st", format!("Tag other:st set to {copy}.")),
        (
            "tag --source=docker quay.io/org/app:latest other:ext --reference",
            "Tag other:ext set to quay.io/org/app:latest.".to_owned(),
        ),
        ("tag -d o/python:b", "Deleted tag o/python:b.".to_owned()),
        (
            "tag python:3.6 --import-mode=PreserveOriginal a:1 b:2",
            format!("Tag a:1 set to {copy}.\nTag b:2 set to {copy}."),
        ),
    ] {
        assert_eq!(shop.says(&words(line)), format!("{said}\n"), "{line}");
    }
    let other = shop.file("test/imagestream-other.yaml");
    assert!(other.contains("reference: true\n"), "{other}");
    assert!(other.contains("referencePolicy:\n      type: Local\n"), "{other}");
}

/// I98: the texts of failure, in the order in which `oc` looks.
#[test]
fn i098_each_wrong_use_has_its_text() {
    let shop = python();
    for row in [
        "tag -d python:3.5 --alias|--alias and --delete may not be both specified",
        "tag python:3.6 a:1 --reference-policy=Local|reference policy must be set to 'source' or 'local'",
        "tag -d python:3.5 --source=istag|cannot specify a source kind when deleting",
        "tag -d python:3.5 --scheduled|cannot set flags for importing images when deleting a tag",
        "tag -d python:3.5 --import-mode=Legacy|cannot specify an import mode when deleting",
        "tag python:3.6 python:3.6 --scheduled|only container images can have importing flags set",
        "tag docker.io/x:1 a:1 --alias --insecure|cannot set a container image tag as an alias and also set import flags",
        "tag python:3.6 other:prod --alias|cannot set alias across different Image Streams",
        "tag docker.io/x:1 python|\"python\" must be of the form <stream_name>:<tag>",
        "tag --source=istag python a:1|--source=ImageStreamTag requires a valid <name>:<tag> in SOURCE",
        "tag --source=imagestreamimage python:3.6 a:1|--source=ImageStreamImage requires a valid <name>@<id> in SOURCE",
        "tag --source=istag docker.io/python:1 a:1|server in SOURCE is only allowed when providing a container image",
        "tag docker.io/Python:1 a:1|invalid SOURCE: repository name must be lowercase",
        "tag docker.io/x:1 a/b/c:1|invalid image stream \"a/b/c:1\"",
        "tag docker.io/x:1 a:1 --import-mode=Other|valid ImportMode values are Legacy or PreserveOriginal",
        "tag docker.io/x:1 a:.b|invalid tag \".b\" format, tags must start with an alphanumeric character followed by alphanumeric, '.' or '-' characters, and have a maximum of 128 characters",
        "tag docker.io/x:1|at least a destination is required",
    ] {
        let (line, said) = row.split_once('|').unwrap();
        assert_eq!(shop.refuses(&words(line)), format!("error: {said}\n"), "{line}");
    }
    assert_eq!(
        shop.refuses(&["tag"]),
        "error: you must specify a source and at least one destination or one or more tags to delete\n\
         See 'tidegate tag -h' for help and examples\n"
    );
    let zeros = "0".repeat(64);
    let said = shop.refuses(&["tag", &format!("python@sha256:{zeros}"), "other:im3"]);
    assert_eq!(
        said,
        format!(
            "The ImageStream \"other\" is invalid: []: Internal error: imagestreams \"other\" is invalid: \
             spec.tags[im3].from.name: Invalid value: \"python@sha256:{zeros}\": error generating tag event: \
             imagestreamimage.image.openshift.io \"sha256:{zeros}\" not found\n"
        )
    );
}

/// I99: nothing is imported by the command itself; no registry answers here.
#[test]
fn i099_the_command_does_not_wait_for_the_import() {
    let shop = python();
    let said = shop.says(&["tag", "127.0.0.1:1/nobody/there:1", "python:x"]);
    assert_eq!(said, "Tag python:x set to 127.0.0.1:1/nobody/there:1.\n");
}

/// I100: the first error ends it; what was done before stands, in one commit.
#[test]
fn i100_the_first_error_stops_the_rest() {
    let shop = python();
    let ran = shop.run(&["tag", "docker.io/x:1", "a:1", "b:2", "c:.", "d:4"]);
    assert_eq!(ran.code, 1);
    assert_eq!(ran.out, "Tag a:1 set to docker.io/x:1.\nTag b:2 set to docker.io/x:1.\n");
    assert!(ran.err.ends_with("and have a maximum of 128 characters\n"), "{}", ran.err);
    let message = shop.repo.git(&["log", "-1", "--format=%s", "--name-only"]);
    assert_eq!(
        message,
        "tag test/a:1, test/b:2 from docker.io/x:1\n\ntest/imagestream-a.yaml\ntest/imagestream-b.yaml"
    );
}

/// I101: without `--scheduled` the schedule is off.
#[test]
fn i101_tagging_again_without_scheduled_ends_the_schedule() {
    let shop = python();
    shop.says(&["tag", "docker.io/python:3.6.0", "python:3.6", "--scheduled"]);
    assert_eq!(shop.last_change(), "+    importPolicy:\n+      scheduled: true\n");
    shop.says(&["tag", "docker.io/python:3.6.0", "python:3.6"]);
    assert_eq!(shop.last_change(), "-    importPolicy:\n-      scheduled: true\n");
}

/// I102, 1 and 4: the document is edited in place; a new object gets a file of its own in the folder for them.
#[test]
fn i102_1_the_document_is_edited_in_place() {
    let shop = python();
    shop.says(&["label", "is/python", "team=web"]);
    let wanted = PYTHON.replace("# the language\n", "# the language\n  labels:\n    team: web\n");
    assert_eq!(shop.file("apps/python.yaml"), wanted);
}

/// I102, 2: the diff is shown, OpenShift's text printed, a commit made; `-m`, `--dry-run` and `--no-commit` as they say.
#[test]
fn i102_2_the_change_is_shown_and_committed() {
    let shop = python();
    let dry = shop.run(&["tag", "docker.io/x:1", "python:x", "--dry-run"]);
    assert_eq!((dry.code, dry.out.as_str()), (0, "Tag python:x set to docker.io/x:1. (dry run)\n"));
    assert!(dry.err.contains("+  - name: x\n+    from:\n"), "{}", dry.err);
    assert_eq!(shop.file("apps/python.yaml"), PYTHON);
    let left = shop.run(&["tag", "docker.io/x:1", "python:x", "--no-commit"]);
    assert_eq!((left.code, left.out.as_str()), (0, "Tag python:x set to docker.io/x:1.\n"));
    assert_eq!(shop.repo.git(&["status", "--porcelain"]), " M apps/python.yaml");
    shop.repo.git(&["checkout", "--quiet", "apps/python.yaml"]);
    let made = shop.run(&["tag", "docker.io/x:1", "python:x", "-m", "because"]);
    assert_eq!(made.out, "Tag python:x set to docker.io/x:1.\n");
    assert!(
        made.err.starts_with("--- a/apps/python.yaml\n+++ b/apps/python.yaml\n@@ "),
        "{}",
        made.err
    );
    assert!(made.err.contains("\ncommitted "), "{}", made.err);
    let log = shop.repo.git(&["log", "-1", "--format=%an <%ae> %s"]);
    assert_eq!(log, "Ada <ada@example.com> because");
}

/// I102, 3: a bare repository gets the commit on its branch.
#[test]
fn i102_3_a_bare_repository_gets_the_commit_on_its_branch() {
    let shop = python();
    let folder = tempfile::tempdir().unwrap();
    let bare = shop.repo.bare(&folder.path().join("bare.git"));
    let path = bare.address();
    shop.says(&["tag", "docker.io/x:1", "python:x", "new:1", "--repo", &path]);
    let log = bare.git(&["log", "--format=%an %s", "--name-status", "-1", "main"]);
    assert_eq!(
        log,
        "Ada tag test/python:x, test/new:1 from docker.io/x:1\n\nM\tapps/python.yaml\nA\ttest/imagestream-new.yaml"
    );
    shop.says(&["delete", "is", "new", "--repo", &path]);
    assert_eq!(bare.git(&["ls-tree", "-r", "--name-only", "main"]), "apps/python.yaml");
    bare.git(&["fsck", "--strict"]);
}

/// I102, 4: a new object goes below `edit.folder`, else below the first path that is read.
#[test]
fn i102_4_a_new_object_goes_to_the_folder_for_them() {
    let shop = python();
    shop.host.configure(|text| text.replace("[source]", "[source]\npaths = [\"apps\", \"more\"]"));
    shop.says(&["create", "is", "one"]);
    shop.says(&["create", "is", "two", "-n", "prod", "--set", "edit.folder=more/streams"]);
    let tracked = shop.repo.git(&["ls-files"]);
    assert_eq!(
        tracked,
        "apps/python.yaml\napps/test/imagestream-one.yaml\nmore/streams/prod/imagestream-two.yaml"
    );
    let said = shop.refuses(&["create", "is", "three", "--set", "edit.folder=elsewhere"]);
    assert!(
        said.contains("`elsewhere/test/imagestream-three.yaml` would not be read by the daemon"),
        "{said}"
    );
}

/// I148: the short form of what was deleted.
#[test]
fn i148_deleting_is_told_in_the_short_form() {
    let shop = python();
    shop.repo.write("apps/web.yaml", WEB).commit("web");
    assert_eq!(
        shop.says(&["delete", "is", "python"]),
        "imagestream.image.openshift.io \"python\" deleted\n"
    );
    assert_eq!(
        shop.says(&["delete", "all", "-l", "app=web"]),
        "deploymentconfig.apps.openshift.io \"web\" deleted\n"
    );
    let said = shop.refuses(&["delete", "is/python"]);
    assert_eq!(
        said,
        "Error from server (NotFound): imagestreams.image.openshift.io \"python\" not found\n"
    );
    assert_eq!(shop.says(&["delete", "is", "python", "--ignore-not-found"]), "");
    let none = shop.run(&["delete", "all", "-l", "app=web"]);
    assert_eq!((none.code, none.out.as_str(), none.err.as_str()), (0, "", "No resources found\n"));
}

/// I149: new streams and tags, and what is wrong with them.
#[test]
fn i149_streams_and_tags_are_created() {
    let shop = python();
    for (line, said) in [
        ("create imagestream blank --lookup-local", "imagestream.image.openshift.io/blank created"),
        (
            "create imagestreamtag blank:1 --from=python:latest",
            "imagestreamtag.image.openshift.io/blank:1 created",
        ),
        (
            "create istag blank:2 --from-image=quay.io/org/app:2 --scheduled --insecure --annotation a=b",
            "imagestreamtag.image.openshift.io/blank:2 created",
        ),
        (
            "create istag fresh:1 --from=prod/python --reference",
            "imagestreamtag.image.openshift.io/fresh:1 created",
        ),
    ] {
        assert_eq!(shop.says(&words(line)), format!("{said}\n"), "{line}");
    }
    assert_eq!(
        shop.file("test/imagestream-blank.yaml"),
        "apiVersion: image.openshift.io/v1\nkind: ImageStream\nmetadata:\n  name: blank\n  namespace: test\nspec:\n  \
         lookupPolicy:\n    local: true\n  tags:\n    - name: \"1\"\n      from:\n        kind: ImageStreamTag\n        \
         name: python:latest\n    - name: \"2\"\n      annotations:\n        a: b\n      from:\n        kind: DockerImage\n        \
         name: quay.io/org/app:2\n      importPolicy:\n        insecure: true\n        scheduled: true\n"
    );
    let fresh = shop.file("test/imagestream-fresh.yaml");
    assert!(
        fresh.contains("name: python:latest\n      namespace: prod\n    reference: true\n"),
        "{fresh}"
    );
    for (line, said) in [
        (
            "create is blank",
            "Error from server (AlreadyExists): imagestreams.image.openshift.io \"blank\" already exists",
        ),
        (
            "create istag blank:2 --from-image=x",
            "Error from server (AlreadyExists): imagestreamtag.image.openshift.io \"blank:2\" already exists",
        ),
        (
            "create istag a:1 --from=b:1 --from-image=c",
            "error: --from and --from-image may not be used together",
        ),
        (
            "create istag a:1 --from=quay.io/b:1",
            "error: Invalid --from, registry may not be specified",
        ),
        ("create istag a:1 --annotation a", "error: annotations must be of the form name=value"),
        (
            "create is Bad",
            "The ImageStream \"Bad\" is invalid: metadata.name: Invalid value: \"Bad\": must match \"[a-z0-9]+(?:[._-][a-z0-9]+)*\"",
        ),
        (
            "create is a--b",
            "The ImageStream \"a--b\" is invalid: metadata.name: Invalid value: \"a--b\": must match \"[a-z0-9]+(?:[._-][a-z0-9]+)*\"",
        ),
    ] {
        assert_eq!(shop.refuses(&words(line)), format!("{said}\n"), "{line}");
    }
    let said = shop.refuses(&["create", "is"]);
    assert!(
        said.starts_with(
            "error: exactly one NAME is required, got 0\nSee 'tidegate create imagestream -h'"
        ),
        "{said}"
    );
}

/// I150: image lookup is shown and set; what is so already is not spoken of.
#[test]
fn i150_l010_image_lookup_is_shown_and_set() {
    let shop = python();
    shop.repo.write("apps/web.yaml", WEB).commit("web");
    shop.says(&["create", "is", "b", "--lookup-local"]);
    assert_eq!(shop.says(&["set", "image-lookup"]), "NAME    LOCAL\nb       true\npython  false\n");
    let set = |line: &str| shop.says(&words(line));
    let updated = "imagestream.image.openshift.io/python image lookup updated\n";
    assert_eq!(set("set image-lookup python"), updated);
    assert_eq!(shop.last_change(), "+  lookupPolicy:\n+    local: true\n");
    assert_eq!(set("set image-lookup python"), "");
    assert_eq!(set("set image-lookup python --list"), "NAME    LOCAL\npython  true\n");
    assert_eq!(set("set image-lookup python --enabled=false"), updated);
    assert_eq!(shop.last_change(), "-    local: true\n+    local: false\n");
    assert_eq!(set("set image-lookup --all"), updated);
    assert_eq!(
        set("set image-lookup dc/web"),
        "deploymentconfig.apps.openshift.io/web image lookup updated\n"
    );
    let annotation = "alpha.image.policy.openshift.io/resolve-names: '*'";
    assert!(shop.last_change().contains(annotation), "{}", shop.last_change());
    assert_eq!(
        set("set image-lookup dc/web --list"),
        "NAME                   LOCAL\ndeploymentconfigs/web  true\n"
    );
    set("set image-lookup dc/web --enabled=false");
    assert_eq!(shop.file("apps/web.yaml"), WEB);
    let said = shop.refuses(&["set", "image-lookup", "nosuch"]);
    assert_eq!(
        said,
        "Error from server (NotFound): imagestreams.image.openshift.io \"nosuch\" not found\n"
    );
}
