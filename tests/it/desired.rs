//! From manifests to the desired state, one test per rule.

use std::fmt::Write as _;
use std::sync::Arc;

use proptest::prelude::*;
use tidegate::action::{SourceFile, SourceRead, SourceSkip};
use tidegate::desired::{
    DesiredState, Entry, ImageStream, Object, ParsedFile, Tree, Workload, parse_file,
};
use tidegate::names::{BlobId, CommitId};
use tidegate::policy::Policy;

pub(crate) fn read(text: &str) -> ParsedFile {
    parse_file("f.yaml", text.as_bytes(), None, &Policy::default())
}

/// What was found, one line each: position, rule, message.
pub(crate) fn found(file: &ParsedFile) -> String {
    let mut all: Vec<_> = file.diagnostics.clone();
    for entry in &file.entries {
        if let Entry::Rejected(rejected) = entry {
            all.push(rejected.diagnostic.clone());
        }
    }
    all.sort_by(|a, b| a.position.cmp(&b.position));
    let mut text = String::new();
    for d in all {
        writeln!(text, "{}:{} {} {}", d.position.line, d.position.column, d.rule, d.message)
            .unwrap();
    }
    text
}

pub(crate) fn object(text: &str) -> Object {
    let file = read(text);
    match &file.entries[..] {
        [Entry::Object(object)] => object.clone(),
        other => panic!("{other:?}\n{}", found(&file)),
    }
}

pub(crate) fn stream(text: &str) -> Arc<ImageStream> {
    let Object::Stream(stream) = object(text) else { panic!("no stream") };
    stream
}

pub(crate) fn workload(text: &str) -> Arc<Workload> {
    let Object::Workload(workload) = object(text) else { panic!("no workload") };
    workload
}

/// A stream `web` with these lines below `spec`.
pub(crate) fn with_spec(spec: &str) -> String {
    format!(
        "apiVersion: image.openshift.io/v1\nkind: ImageStream\nmetadata: {{name: web}}\nspec:\n{spec}"
    )
}

/// A stream with this tag.
pub(crate) fn with_tag(tag: &str) -> String {
    with_spec(&format!("  tags:\n  - {tag}\n"))
}

/// A `DeploymentConfig` with these lines of `spec` beside a template of one container `main`.
pub(crate) fn dc(spec: &str) -> String {
    format!(
        "apiVersion: apps.openshift.io/v1\nkind: DeploymentConfig\nmetadata: {{name: web}}\nspec:\n  replicas: 1\n\
         \x20 template: {{metadata: {{labels: {{app: web}}}}, spec: {{containers: [{{name: main, image: x}}]}}}}\n{spec}"
    )
}

/// A `Deployment` whose triggers annotation is this.
pub(crate) fn deployment(annotation: &str) -> String {
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web\n  annotations:\n    image.openshift.io/triggers: |-\n      {annotation}\n\
         spec:\n  template: {{spec: {{containers: [{{name: main, image: x}}, {{name: 'side car', image: y}}], initContainers: [{{name: init, image: z}}]}}}}\n"
    )
}

#[track_caller]
pub(crate) fn rejects(text: &str, expected: &str) {
    let file = read(text);
    assert!(
        file.entries.iter().any(|entry| matches!(entry, Entry::Rejected(_))),
        "nothing is rejected:\n{text}"
    );
    assert!(found(&file).contains(expected), "expected {expected}\nfound {}", found(&file));
}

#[track_caller]
pub(crate) fn warns(text: &str, expected: &str) {
    let file = read(text);
    assert!(
        !file.entries.iter().any(|entry| matches!(entry, Entry::Rejected(_))),
        "rejected: {}",
        found(&file)
    );
    assert!(found(&file).contains(expected), "expected {expected}\nfound {}", found(&file));
}

#[test]
fn our_annotations_are_known_by_name_and_place() {
    let with = |key: &str, value: &str| {
        format!(
            "apiVersion: v1\nkind: ImageStream\nmetadata: {{name: web, annotations: {{tidegate.dev/{key}: '{value}'}}}}\n"
        )
    };
    let file = read(&with("shedule", "1h"));
    assert_eq!(file.diagnostics[0].hint.as_deref(), Some("did you mean `tidegate.dev/schedule`?"));
    warns(
        &with("retry", "1"),
        "annotation-place annotation `tidegate.dev/retry` means nothing on an ImageStream",
    );
    let push = stream(&with("push", "quay.io/team/app")).push.clone();
    assert_eq!(push.map(|push| push.to_string()).as_deref(), Some("quay.io/team/app"));
    rejects(&with("push", "quay.io/team/app:1"), "it names a repository, without tag and digest");
    rejects(&with("push", "team/app"), "it needs a registry");
    rejects(&with("pause", "yes"), "annotation `tidegate.dev/pause` cannot be \"yes\"");
    rejects(&with("history-limit", "0"), "history-limit");
    rejects(&with("prune", "all"), "expected `removed-tags` or `vanished-tags`");
    assert!(stream(&with("prune", "removed-tags, vanished-tags")).prune_removed_tags);
}

fn build(rest: &str) -> String {
    format!(
        "apiVersion: build.openshift.io/v1\nkind: BuildConfig\nmetadata: {{name: b}}\nspec:\n{rest}"
    )
}

#[test]
fn b001_b002_builds_are_validated() {
    let good = "  source: {git: {uri: https://example.com/x}}\n  strategy: {sourceStrategy: {from: {kind: ImageStreamTag, name: 'base:1'}}}\n  output: {to: {kind: ImageStreamTag, name: 'web:latest'}}\n";
    let Object::Build(read_build) = object(&build(good)) else { panic!() };
    assert_eq!(read_build.output.as_ref().unwrap().to_string(), "default/web:latest");
    assert_eq!(read_build.inputs[0].to_string(), "default/base:1");
    rejects(
        &build("  source: {git: {uri: x}}\n"),
        "must provide a value for exactly one of sourceStrategy",
    );
    rejects(
        &build("  strategy: {dockerStrategy: {}}\n"),
        "must provide a value for at least one source input",
    );
    object(&build("  source: {type: Binary}\n  strategy: {type: Docker}\n"));
    rejects(
        &build(&format!("{good}  runPolicy: Fast\n")),
        "run policy must Parallel, Serial, or SerialLatestOnly",
    );
    rejects(
        &build(&format!("{good}  postCommit: {{script: a, command: [b]}}\n")),
        "cannot use command and script together",
    );
    rejects(
        &build(&format!("{good}  triggers: [{{type: GitHub, github: {{}}}}]\n")),
        "must provide a value for at least one of secret or secretReference",
    );
    warns(
        &build(&format!("{good}  triggers: [{{type: Cron}}]\n")),
        "B1 trigger dropped: its type `Cron` is not known",
    );
}

#[test]
fn b002_what_a_build_is_of_and_what_starts_it_is_validated() {
    let good = "  source: {git: {uri: x}}\n  strategy: {sourceStrategy: {from: {kind: ImageStreamTag, name: 'base:1'}}}\n";
    let docker = "  strategy: {dockerStrategy: {}}\n";
    for (spec, said) in [
        ("  source: {binary: {}, git: {uri: x}}\n", "may not be set when binary is also set"),
        ("  source: {binary: {}, dockerfile: FROM x}\n", "may not be set when binary is also set"),
        (
            "  source: {contextDir: ../up, git: {uri: x}}\n",
            "context dir must not be a relative path",
        ),
        (
            "  source: {git: {uri: x}, secrets: [{secret: {name: s}, destinationDir: ../up}]}\n",
            "destination dir cannot start with '..'",
        ),
        (
            "  source: {git: {uri: x}, secrets: [{secret: {name: s}, destinationDir: /up}]}\n",
            "has to be relative path",
        ),
        (
            "  source: {images: [{from: {kind: DockerImage, name: x}, paths: [{sourcePath: up, destinationDir: d}]}]}\n",
            "must be an absolute path",
        ),
        (
            "  source: {images: [{from: {kind: DockerImage, name: x}}]}\n",
            "must specify 'paths' or 'as'",
        ),
        (
            "  source: {git: {uri: x}}\n  output: {imageLabels: [{name: a}, {name: a}]}\n",
            "duplicate name",
        ),
        (
            "  source: {git: {uri: x}}\n  output: {to: {kind: Pod, name: x}}\n",
            "the target of build output must be an 'ImageStreamTag' or 'DockerImage'",
        ),
    ] {
        rejects(&build(&format!("{spec}{docker}")), said);
    }
    let large = "x".repeat(60_001);
    rejects(
        &build(&format!("  source: {{dockerfile: {large}}}\n{docker}")),
        "must be smaller than 60000 bytes",
    );
    let twice = "multiple ImageChange triggers refer to the same image stream tag";
    let change = |from: &str| format!("{{type: ImageChange, imageChange: {{{from}}}}}");
    let (own, base) = (change(""), change("from: {kind: ImageStreamTag, name: 'base:1'}"));
    for (triggers, said) in [
        (
            "{type: GitHub, github: {secret: a, allowEnv: true}}".to_owned(),
            "git webhooks cannot allow env vars",
        ),
        (
            change("from: {kind: DockerImage, name: x}"),
            "only an ImageStreamTag type of reference is allowed in an ImageChange trigger.",
        ),
        (format!("{base}, {base}"), twice),
        (format!("{own}, {base}"), twice),
        (format!("{base}, {own}"), twice),
    ] {
        rejects(&build(&format!("{good}  triggers: [{triggers}]\n")), said);
    }
}

// --- documents, Lists, Templates ---

#[test]
fn lists_are_opened_and_their_items_stand_where_they_are() {
    let text = "apiVersion: v1\nkind: List\nitems:\n- kind: ImageStream\n  apiVersion: v1\n  metadata: {name: a}\n- kind: List\n  apiVersion: v1\n  items:\n  - {kind: ImageStream, apiVersion: v1, metadata: {name: b}}\n";
    let file = read(text);
    let at: Vec<_> = file
        .entries
        .iter()
        .map(|entry| match entry {
            Entry::Object(object) => format!("{} {}", object.key(), object.position()),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(at, ["ImageStream/default/a f.yaml:4:3", "ImageStream/default/b f.yaml:10:5"]);
    let typed =
        "apiVersion: image.openshift.io/v1\nkind: ImageStreamList\nitems:\n- metadata: {name: a}\n";
    assert!(matches!(object(typed), Object::Stream(_)));
}

const TEMPLATE: &str = "apiVersion: template.openshift.io/v1
kind: Template
metadata: {name: t}
labels: {from: template}
parameters:
- {name: N, value: '2'}
- {name: TAG, value: '3.10'}
- {name: SECRET, generate: expression, from: '[a-z]{8}'}
objects:
- kind: DeploymentConfig
  apiVersion: v1
  metadata: {name: web, namespace: hard-coded}
  spec:
    replicas: ${{N}}
    template: {metadata: {labels: {a: b}}, spec: {containers: [{name: main, image: 'x:${TAG}'}]}}
- kind: ImageStream
  apiVersion: v1
  metadata: {name: web}
  spec: {tags: [{name: '${{TAG}}', from: {kind: DockerImage, name: 'x:${TAG}'}}]}
- kind: Secret
  apiVersion: v1
  metadata: {name: s}
  stringData: {p: '${SECRET}', q: '${NOBODY}'}
";

#[test]
fn a_template_is_processed_as_oc_does() {
    let file = read(TEMPLATE);
    let [
        Entry::Object(Object::Workload(web)),
        Entry::Object(Object::Stream(stream)),
        Entry::Rejected(secret),
    ] = &file.entries[..]
    else {
        panic!("{}", found(&file));
    };
    assert_eq!(web.object.to_string(), "DeploymentConfig/default/web");
    assert!(web.manifest.contains("\"replicas\":2"), "{}", web.manifest);
    assert!(web.manifest.contains("\"labels\":{\"from\":\"template\"}"), "{}", web.manifest);
    assert_eq!(web.containers[0].image, "x:3.10");
    assert_eq!(stream.tags.keys().next().unwrap().as_str(), "3.10");
    assert_eq!(secret.diagnostic.rule, "template-parameter");
    assert_eq!(secret.diagnostic.position.to_string(), "f.yaml:23:19");
    assert!(secret.diagnostic.hint.as_ref().unwrap().contains("`SECRET=...` to `f.params`"));
    assert!(found(&file).contains("12:36 template-namespace"));
    assert!(found(&file).contains("23:35 unknown-parameter `${NOBODY}` is no parameter"));
}

#[test]
fn configuration_is_stronger_than_the_params_file() {
    let mut policy = Policy::default();
    policy.parameters.insert("t".into(), [("N".to_owned(), "5".to_owned())].into());
    let file = parse_file("f.yaml", TEMPLATE.as_bytes(), Some(b"N=4\nSECRET=x\nNN=1\n"), &policy);
    let Entry::Object(Object::Workload(web)) = &file.entries[0] else { panic!() };
    assert!(web.manifest.contains("\"replicas\":5"));
    assert!(matches!(file.entries[2], Entry::Companion(_)));
    assert!(found(&file).contains("unknown-parameter the params file gives a value to `NN`"));
}

#[test]
fn a_broken_document_leaves_the_others_and_its_key_is_guessed() {
    let text = "kind: ImageStream\napiVersion: v1\nmetadata:\n  name: a\nspec: {tags: [}\n---\nkind: ImageStream\napiVersion: v1\nmetadata: {name: b}\n";
    let file = read(text);
    let [Entry::Rejected(broken), Entry::Object(_)] = &file.entries[..] else { panic!() };
    assert_eq!(broken.object.as_ref().unwrap().to_string(), "ImageStream/default/a");
    assert_eq!(broken.diagnostic.position.line, 5);
}

#[test]
fn duplicate_keys_merge_keys_and_tags_reject_the_object_that_holds_them() {
    rejects(
        "kind: ImageStream\napiVersion: v1\nmetadata:\n  name: a\n  name: b\n",
        "5:3 duplicate-key duplicate key `metadata.name`; it stands in line 4 already",
    );
    rejects(
        "kind: ImageStream\napiVersion: v1\nmetadata: &m {name: a}\nspec: {<<: *m}\n",
        "4:8 merge-key",
    );
    rejects("kind: ImageStream\napiVersion: v1\nmetadata: {name: !vault a}\n", "yaml-tag");
    let file = read("services: {a: &a {x: 1}, b: {<<: *a}}\n");
    assert_eq!((file.others, file.entries.len(), found(&file)), (1, 0, String::new()));
}

#[test]
fn unknown_fields_are_warned_of_but_not_inside_the_template() {
    let text = dc("  paussed: true\n").replace("image: x}", "image: x, imagge: y}");
    let file = read(&text);
    assert_eq!(found(&file), "7:3 unknown-field unknown field `spec.paussed`\n");
    assert_eq!(file.diagnostics[0].hint.as_deref(), Some("did you mean `paused`?"));
}

#[test]
fn words_that_older_readers_take_as_booleans_are_warned_of() {
    let text = with_tag("{name: 'on', annotations: {a: yes, b: \"no\"}}");
    assert_eq!(
        found(&read(&text)),
        "6:35 yaml-1.1-boolean `spec.tags[0].annotations.a` is the text `yes` here, but readers of YAML 1.1 such as `oc` take it as a boolean\n"
    );
    rejects(
        &with_tag("{name: a, reference: yes}"),
        "expected `true` or `false`, found the text `yes`",
    );
}

#[test]
fn numbers_and_booleans_where_a_text_is_meant_are_read_as_written_and_warned_of() {
    let text = with_tag("{name: 2.10, annotations: {a: true, b: '2'}}");
    let file = read(&text);
    assert_eq!(
        found(&file),
        "6:12 type `spec.tags[0].name` is the text `2.10` here, but a cluster takes it as a number and refuses it\n\
         6:35 type `spec.tags[0].annotations.a` is the text `true` here, but a cluster takes it as a boolean and refuses it\n"
    );
    assert_eq!(file.diagnostics[0].hint.as_deref(), Some("write \"2.10\" in quotes"));
}

#[test]
fn files_that_are_no_text_say_why() {
    let file = |bytes: &[u8]| found(&parse_file("f.yaml", bytes, None, &Policy::default()));
    assert_eq!(file(b"a: 1\nb: \0"), "2:4 encoding the file holds a NUL byte, so it is no text\n");
    assert_eq!(file(b"a: 1\n\xff"), "2:1 encoding the file is not UTF-8\n");
    assert!(file(b"kind: x\n\tapiVersion: y\n").starts_with("2:1 yaml-syntax"));
    assert_eq!(
        file("\u{feff}a: 1\n".as_bytes()),
        "1:0 byte-order-mark the file starts with a byte-order mark\n"
    );
    assert_eq!(file(b"a: 1\r\nb: 2\r\n"), "1:0 line-ends lines end with CR LF\n");
    assert_eq!(
        file(&vec![b'#'; 5 << 20]),
        "0:0 file-size the file has 5242880 bytes; at most 4194304 are read\n"
    );
    assert_eq!(file(b""), "");
}

#[test]
fn the_namespace_comes_from_the_object_the_path_or_the_default() {
    let mut policy = Policy::default();
    for (prefix, namespace) in [("a", "one"), ("a/b/", "two")] {
        policy.namespaces.insert(prefix.into(), namespace.parse().unwrap());
    }
    let text = "kind: ImageStream\napiVersion: v1\nmetadata: {name: x}\n";
    let of = |path: &str| {
        let file = parse_file(path, text.as_bytes(), None, &policy);
        let Entry::Object(object) = &file.entries[0] else { panic!() };
        object.key().namespace.to_string()
    };
    assert_eq!(of("a/f.yaml"), "one");
    assert_eq!(of("a/b/f.yaml"), "two");
    assert_eq!(of("ab/f.yaml"), "default");
}

#[test]
fn a_manifest_is_canonical_json_without_what_servers_write() {
    let text = dc(
        "  triggers: [{type: ImageChange, imageChangeParams: {containerNames: [main], from: {name: 'a:b'}, lastTriggeredImage: x}}]\nstatus: {latestVersion: 3}\n",
    );
    let manifest = workload(&text).manifest.clone();
    assert!(!manifest.contains("lastTriggered") && !manifest.contains("status"), "{manifest}");
    warns(
        &text,
        "0.4.3 ignoring status field spec.triggers[0].imageChangeParams.lastTriggeredImage",
    );
}

// --- a tree of files ---

fn source(path: &str, text: &str) -> SourceFile {
    let blob = BlobId::from_bytes([0; 20]);
    let bytes: Arc<[u8]> = text.as_bytes().into();
    SourceFile { path: path.into(), blob, len: bytes.len() as u64, bytes: Some(bytes) }
}

fn source_read(base: bool, changed: Vec<SourceFile>, removed: &[&str]) -> SourceRead {
    let commit = CommitId::from_bytes([1; 20]);
    SourceRead {
        commit,
        base: base.then_some(commit),
        branch: "main".into(),
        forced: false,
        changed,
        removed: removed.iter().map(|path| (*path).to_owned()).collect(),
        skipped: Vec::new(),
    }
}

pub(crate) fn assemble(files: &[(&str, &str)]) -> DesiredState {
    let mut tree = Tree::default();
    let files = files.iter().map(|(path, text)| source(path, text)).collect();
    tree.apply(&source_read(false, files, &[]), &Policy::default());
    tree.assemble()
}

#[test]
fn of_two_objects_with_one_key_the_first_by_path_is_in_force() {
    let text = "kind: ImageStream\napiVersion: v1\nmetadata: {name: x}\n";
    let state = assemble(&[("a.yaml", text), ("b.yaml", text)]);
    assert_eq!(state.streams.values().next().unwrap().position.path, "a.yaml");
    let rejected = &state.rejected[0];
    assert_eq!(rejected.diagnostic.position.to_string(), "b.yaml:1:1");
    assert!(rejected.diagnostic.message.contains("stands at a.yaml:1:1 already"));
}

#[test]
fn only_what_changed_is_read_again_and_the_rest_is_shared() {
    let text =
        |name: &str| format!("kind: ImageStream\napiVersion: v1\nmetadata: {{name: {name}}}\n");
    let policy = Policy::default();
    let mut tree = Tree::default();
    let files = vec![source("a.yaml", &text("a")), source("b.yaml", &text("b"))];
    tree.apply(&source_read(false, files, &[]), &policy);
    let before = tree.assemble();
    tree.apply(&source_read(true, vec![source("b.yaml", &text("c"))], &[]), &policy);
    let after = tree.assemble();
    let a = "default/a".parse().unwrap();
    assert!(Arc::ptr_eq(&before.streams[&a], &after.streams[&a]));
    assert_eq!(after.streams.len(), 2);
    assert!(after.streams.contains_key(&"default/c".parse().unwrap()));
    tree.apply(&source_read(true, Vec::new(), &["a.yaml"]), &policy);
    assert_eq!(tree.assemble().streams.len(), 1);
    tree.apply(&source_read(false, Vec::new(), &[]), &policy);
    assert_eq!(tree.assemble(), DesiredState::default());
}

#[test]
fn a_changed_params_file_reads_its_template_again() {
    let policy = Policy::default();
    let mut tree = Tree::default();
    let files = vec![source("t.yaml", TEMPLATE), source("t.params", "N=7\n")];
    tree.apply(&source_read(false, files, &[]), &policy);
    let replicas = |tree: &Tree| {
        let state = tree.assemble();
        let manifest = state.workloads.values().next().unwrap().manifest.to_string();
        manifest.split("\"replicas\":").nth(1).unwrap().split(',').next().unwrap().to_owned()
    };
    assert_eq!(replicas(&tree), "7");
    tree.apply(&source_read(true, vec![source("t.params", "N=8\n")], &[]), &policy);
    assert_eq!(replicas(&tree), "8");
    tree.apply(&source_read(true, Vec::new(), &["t.params"]), &policy);
    assert_eq!(replicas(&tree), "2");
}

#[test]
fn a_file_that_is_too_large_is_a_rejected_entry() {
    let mut tree = Tree::default();
    let file = SourceFile { bytes: None, len: 5 << 20, ..source("big.yaml", "") };
    tree.apply(&source_read(false, vec![file], &[]), &Policy::default());
    assert_eq!(tree.assemble().rejected[0].diagnostic.rule, "file-size");
}

#[test]
fn a_parsed_file_survives_the_cache() {
    let file = read(TEMPLATE);
    let text = serde_json::to_string(&file).unwrap();
    assert_eq!(serde_json::from_str::<ParsedFile>(&text).unwrap(), file);
}

/// A slip in `kind` or `apiVersion` is an error of the object, and names what was meant.
#[test]
fn a_near_miss_of_a_kind_or_a_version_is_rejected() {
    let dc = dc("");
    let cases = [
        (dc.replace("DeploymentConfig", "DeploymentConfg"), "DeploymentConfig", "did you mean"),
        (dc.replace("DeploymentConfig", "deploymentconfig"), "DeploymentConfig", "did you mean"),
        (dc.replace("apps.openshift.io/v1", "apps.openshift.io/v2"), "DeploymentConfig", "write"),
        (dc.replace("apps.openshift.io/v1", "app.openshift.io/v1"), "DeploymentConfig", "write"),
        (deployment("[]").replace("apps/v1", "v1"), "Deployment", "write `apiVersion: apps/v1`"),
        (deployment("[]").replace("kind: Deployment", "kind: Deploymnet"), "Deployment", "did you"),
    ];
    for (text, kind, hint) in cases {
        let file = read(&text);
        let [Entry::Rejected(rejected)] = &file.entries[..] else { panic!("{text}: {file:?}") };
        assert_eq!(rejected.object.as_ref().unwrap().kind.as_str(), kind);
        assert!(rejected.diagnostic.hint.as_ref().unwrap().contains(hint), "{rejected:?}");
        assert!(rejected.diagnostic.position.line <= 2);
    }
}

/// What is far from our kinds, or in another group, is none of our business.
#[test]
fn other_kinds_stay_companions() {
    for (version, kind) in [
        ("image.openshift.io/v1", "ImageStreamTag"),
        ("apps.openshift.io/v1", "DeploymentConfigRollback"),
        ("build.openshift.io/v1", "Build"),
        ("stable.example.com/v1", "CronTab"),
        ("batch/v1", "Job"),
        ("apps/v1", "ReplicaSet"),
        ("apps/v1", "Deployment"),
        ("example.com/v1", "DeploymentConfig"),
        ("templates.gatekeeper.sh/v1", "ConstraintTemplate"),
        ("example.com/v1", "Template"),
    ] {
        let file = read(&format!("apiVersion: {version}\nkind: {kind}\nmetadata: {{name: x}}\n"));
        assert!(matches!(file.entries[..], [Entry::Companion(_)]), "{kind}: {file:?}");
    }
}

/// What should hold objects and cannot be opened is an error: its objects are not gone.
#[test]
fn a_list_or_a_template_that_cannot_be_opened_is_rejected() {
    for text in [
        "apiVersion: v1\nkind: List\nitem: []\n",
        "apiVersion: v1\nkind: Lst\nitems: []\n",
        "apiVersion: v1\nkind: List\nitems: {a: b}\n",
        "kind: List\nitems: []\n",
        &TEMPLATE.replace("kind: Template", "kind: Templat"),
        &TEMPLATE.replace("template.openshift.io/v1", "template.openshift.io/v2"),
        &TEMPLATE.replace("objects:", "objcts:"),
        "apiVersion: apps.openshift.io/v1\nmetadata: {name: x}\n",
        "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 9\n",
    ] {
        let file = read(text);
        assert!(
            matches!(&file.entries[..], [Entry::Rejected(rejected)] if rejected.object.is_none()),
            "{text}: {file:?}"
        );
    }
    for text in ["apiVersion: v1\nkind: List\nitems: []\n", "apiVersion: v1\nkind: List\nitems:\n"]
    {
        assert_eq!(read(text).entries, []);
    }
}

/// A params file that cannot be read does not put the defaults in place of what was meant.
#[test]
fn a_template_whose_params_file_cannot_be_read_is_rejected() {
    let policy = Policy::default();
    for params in ["N\n", "\u{0}"] {
        let file = parse_file("t.yaml", TEMPLATE.as_bytes(), Some(params.as_bytes()), &policy);
        let [Entry::Rejected(rejected)] = &file.entries[..] else { panic!("{file:?}") };
        assert_eq!(rejected.diagnostic.position.path, "t.yaml");
        assert!(rejected.diagnostic.message.ends_with(" at t.params:1"), "{rejected:?}");
    }
    let mut tree = Tree::default();
    let files = vec![source("t.yaml", TEMPLATE), source("t.params", "SECRET=x\n")];
    tree.apply(&source_read(false, files, &[]), &policy);
    assert_eq!(tree.assemble().rejected, []);
    let link = SourceSkip { path: "t.params".into(), why: "it is a symbolic link" };
    let linked = SourceRead { skipped: vec![link], ..source_read(true, vec![], &["t.params"]) };
    tree.apply(&linked, &policy);
    assert_eq!(tree.assemble().rejected.len(), 1);
    tree.apply(&source_read(true, vec![source("t.params", "SECRET=x\n")], &[]), &policy);
    assert_eq!(tree.assemble().rejected, []);
}

#[test]
fn secrets_are_not_printed() {
    let file =
        read("kind: Secret\napiVersion: v1\nmetadata: {name: s}\nstringData: {p: hunter2}\n");
    assert!(!format!("{file:?}").contains("hunter2"));
    assert!(!serde_json::to_string(&file).unwrap().contains("hunter2"));
}

/// Plain scalars that are a null, or that end a flow mapping, are another thing than a tag.
fn is_plain_null(tag: &str) -> bool {
    matches!(tag, "null" | "Null" | "NULL" | "~")
}

proptest! {
    #[test]
    fn every_tag_that_the_grammar_allows_survives(tag in r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,12}|[0-9]{1,3}\.[0-9]{1,3}|0x[0-9a-f]{1,3}|[0-9]e[0-9]|true|False|null|on|no") {
        for style in ["'", "\"", ""] {
            if style.is_empty() && is_plain_null(&tag) {
                continue;
            }
            let text = with_spec(&format!("  tags:\n  - name: {style}{tag}{style}\n"));
            let stream = stream(&text);
            prop_assert_eq!(stream.tags.keys().next().unwrap().as_str(), tag.as_str());
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        drop(parse_file("f.yaml", &bytes, Some(&bytes), &Policy::default())); // that it answers is the test
    }

    #[test]
    fn no_mutation_of_a_manifest_makes_it_panic(at in 0usize..1000, cut in 0usize..40, insert in r"[-:{}\[\]$&*!|>'%#\n\t a0~<]{0,6}") {
        let whole = format!("{TEMPLATE}---\n{}---\n{}", dc("  triggers: []\n"), deployment("[]"));
        let at = (0..=at.min(whole.len())).rev().find(|at| whole.is_char_boundary(*at)).unwrap();
        let end = (at + cut).min(whole.len());
        let text = format!("{}{insert}{}", &whole[..at], &whole[end..]);
        let file = read(&text);
        for entry in &file.entries {
            if let Entry::Rejected(rejected) = entry {
                prop_assert_ne!(rejected.diagnostic.rule.as_str(), "internal");
                let last = text.lines().count() + 1;
                prop_assert!(rejected.diagnostic.position.line as usize <= last);
            }
        }
    }
}

/// X42: what the Source strategy is given as a variable stays in the image.
#[test]
fn x042_a_variable_that_sounds_like_a_secret_is_told_to_stay_in_the_image() {
    let with = |env: &str| {
        format!(
            "apiVersion: build.openshift.io/v1\nkind: BuildConfig\nmetadata: {{name: b}}\nspec:\n  source: {{git: {{uri: \
             'https://git.example.com/a.git'}}}}\n  strategy: {{sourceStrategy: {{from: {{kind: DockerImage, name: r.io/x:1}}, \
             env: [{{name: {env}, value: x}}]}}}}\n"
        )
    };
    warns(&with("DB_PASSWORD"), "X42 the variable DB_PASSWORD stays in the image that is built");
    assert!(read(&with("COLOUR")).diagnostics.is_empty());
}
