//! Manifests are changed: only what is meant, whatever the text around it looks like.

mod corpus;
mod generated;
mod stories;
mod tutorial;

use tidegate::desired::Step;
use tidegate::edit::tag::{SourceKind, TagFields, TagFrom};
use tidegate::edit::{Change, Manifests, Sort, Value, Words, change};
use tidegate::names::{Namespace, StreamName};
use tidegate::policy::Policy;

/// A path as people write it: `spec.tags.0.name`.
fn path(text: &str) -> Vec<Step> {
    let step = |word: &str| match word.parse() {
        Ok(index) => Step::Index(index),
        Err(_) => Step::Key(word.into()),
    };
    text.split('.').filter(|word| !word.is_empty()).map(step).collect()
}

fn set(text: &str, value: Value) -> Change {
    Change::Set { path: path(text), value }
}

fn add(text: &str, key: &str, value: Value) -> Change {
    Change::Add { path: path(text), key: key.into(), value }
}

fn remove(text: &str) -> Change {
    Change::Remove { path: path(text) }
}

fn manifests(files: &[(&str, &str)]) -> Manifests {
    let files = files.iter().map(|(path, text)| (*path, Some(text.as_bytes())));
    Manifests::new(files, &Policy::default())
}

fn stream(name: &str) -> StreamName {
    StreamName::new(Namespace::default(), name.parse().unwrap())
}

fn image(name: &str) -> TagFields {
    TagFields::of(TagFrom { kind: SourceKind::DockerImage, name: name.into(), namespace: None })
}

/// What became of a file; nothing if it went.
fn after(manifests: &Manifests, path: &str) -> String {
    let edits = manifests.edits();
    let edit = edits.into_iter().find(|edit| edit.path == path).unwrap();
    edit.after.map(|bytes| String::from_utf8(bytes).unwrap()).unwrap_or_default()
}

/// Text before, change, text after.
#[rustfmt::skip]
fn shapes() -> Vec<(&'static str, Change, &'static str)> {
    let tag = || Value::map([("name", Value::text("1.10")), ("from", Value::map([("kind", Value::text("DockerImage"))]))]);
    let append = |at: &str| Change::Append { path: path(at), value: tag() };
    vec![
        ("a:\n  b: \"x\" # c\n", set("a.b", Value::text("z")), "a:\n  b: z # c\n"),
        ("a:\n  b: x\n", set("a.b", Value::text("2024-05-01")), "a:\n  b: \"2024-05-01\"\n"),
        ("a: {b: x, c: y} # d\n", set("a.b", Value::text("z, w")), "a: {b: \"z, w\", c: y} # d\n"),
        ("a: {b: x}\n", add("a", "c", Value::text("on")), "a: {b: x, c: \"on\"}\n"),
        ("a: {b: x, c: y}\n", remove("a.b"), "a: {c: y}\n"),
        ("a:\n    b: x\n# end\n", add("a", "c.d/e", Value::Bool(true)), "a:\n    b: x\n    c.d/e: true\n# end\n"),
        ("a:\n  b: |\n    l\n    m\n  c: 1\n", set("a.b", Value::text("w")), "a:\n  b: w\n  c: 1\n"),
        ("l:\n- a\n- b\n", remove("l.0"), "l:\n- b\n"),
        ("l:\n-   name: a\n    x:   1\n", append("l"), "l:\n-   name: a\n    x:   1\n- name: \"1.10\"\n  from:\n    kind: DockerImage\n"),
        ("l:\n  - name: a # b", append("l"), "l:\n  - name: a # b\n  - name: \"1.10\"\n    from:\n      kind: DockerImage"),
        ("a:\r\n  b: x # c\r\n", add("a", "d", Value::Number(0)), "a:\r\n  b: x # c\r\n  d: 0\r\n"),
        ("--- # first\na: 1\n...\n", set("a", Value::Number(2)), "--- # first\na: 2\n...\n"),
        ("a:\n  b: 1 # c\n  d: 2\n", Change::Rename { path: path("a.b"), key: "e".into() }, "a:\n  e: 1 # c\n  d: 2\n"),
        ("m:\n  a: b\n\n# about x\nx: {}\n", add("m", "c", Value::text("d")), "m:\n  a: b\n  c: d\n\n# about x\nx: {}\n"),
        ("{\"l\": [\n  {\"a\": 1}\n]}\n", append("l"), "{\"l\": [\n  {\"a\": 1},\n  {\n    \"name\": \"1.10\",\n    \"from\": {\n      \"kind\": \"DockerImage\"\n    }\n  }\n]}\n"),
        ("{\n\t\"a\": {}\n}\n", add("a", "b", Value::text("c\"d")), "{\n\t\"a\": {\n\t\t\"b\": \"c\\\"d\"\n\t}\n}\n"),
        ("{\"a\": 1, \"b\": 2}", remove("b"), "{\"a\": 1}"),
    ]
}

#[test]
fn only_what_is_meant_changes_in_texts_of_every_shape() {
    for (before, wish, wanted) in shapes() {
        let text = change(before, &wish).unwrap_or_else(|error| panic!("{before}: {error}"));
        assert_eq!(text, wanted, "{wish:?}");
    }
}

#[test]
fn what_is_not_there_or_is_something_else_is_refused() {
    for (text, wish) in [
        ("a: 1\n", set("b", Value::Bool(true))),
        ("a: 1\n", remove("a.b")),
        ("a: 1\n", add("a", "b", Value::Bool(true))),
        ("a: {b: 1}\n", add("a", "b", Value::Bool(true))),
        ("a: {b: 1}\n", Change::Append { path: path("a"), value: Value::Bool(true) }),
        ("l: [1]\n", remove("l.1")),
    ] {
        let error = change(text, &wish).unwrap_err().to_string();
        assert!(error.contains("is not there, or is not of the kind"), "{error}");
    }
    let error = change("a: [\n", &remove("a")).unwrap_err().to_string();
    assert!(error.starts_with("line "), "{error}");
}

#[test]
fn a_value_behind_an_alias_is_not_changed_through_it() {
    let text = "x: &x {a: b}\ny: *x\n";
    let error = change(text, &set("y.a", Value::text("c"))).unwrap_err().to_string();
    assert!(error.contains("change it by hand"), "{error}");
}

const TWO: &str = "# both\nkind: List\napiVersion: v1\nitems:\n- kind: ImageStream # one\n  apiVersion: image.openshift.io/v1\n  \
                   metadata: {name: one}\n- kind: ImageStream\n  apiVersion: image.openshift.io/v1\n  metadata:\n    name: two\n";

#[test]
fn an_item_of_a_list_is_found_changed_and_removed() {
    let mut all = manifests(&[("l.yaml", TWO)]);
    all.put_tag(&stream("two"), "1", &image("a:1"), "").unwrap();
    let added = "  spec:\n    tags:\n    - name: \"1\"\n      from:\n        kind: DockerImage\n        name: a:1\n";
    assert_eq!(after(&all, "l.yaml"), format!("{TWO}{added}"));
    let place = all.stream(&stream("two")).unwrap().unwrap();
    all.remove(&place).unwrap();
    let one = &TWO[..TWO.find("- kind: ImageStream\n").unwrap()];
    assert_eq!(after(&all, "l.yaml"), one);
    let place = all.stream(&stream("one")).unwrap().unwrap();
    all.remove(&place).unwrap();
    assert_eq!(after(&all, "l.yaml"), "");
}

#[test]
fn a_document_goes_and_its_neighbours_stay_byte_for_byte() {
    let document = |name: &str| {
        format!(
            "# about {name}\napiVersion: image.openshift.io/v1\r\nkind:   ImageStream\nmetadata: {{name:   {name}}}\n"
        )
    };
    let text = format!(
        "\u{feff}{}---\n{}--- # last\n{}",
        document("a"),
        document("b"),
        document("c").trim_end()
    );
    for (name, rest) in [
        ("a", format!("\u{feff}---\n{}--- # last\n{}", document("b"), document("c").trim_end())),
        ("b", format!("\u{feff}{}--- # last\n{}", document("a"), document("c").trim_end())),
        ("c", format!("\u{feff}{}---\n{}", document("a"), document("b"))),
    ] {
        let mut all = manifests(&[("x.yaml", &text)]);
        let place = all.stream(&stream(name)).unwrap().unwrap();
        all.remove(&place).unwrap();
        assert_eq!(after(&all, "x.yaml"), rest, "{name}");
    }
}

#[test]
fn an_object_of_a_template_is_not_edited() {
    let text = "apiVersion: template.openshift.io/v1\nkind: Template\nmetadata: {name: t}\nobjects:\n- apiVersion: image.openshift.io/v1\n  \
                kind: ImageStream\n  metadata: {name: web}\n";
    let error = manifests(&[("t.yaml", text)]).stream(&stream("web")).unwrap_err().to_string();
    assert!(error.contains("made by the Template at t.yaml:5"), "{error}");
    assert!(error.contains("change it there by hand"), "{error}");
}

#[test]
fn an_object_in_two_places_or_behind_a_broken_document_is_not_guessed() {
    let one = "apiVersion: image.openshift.io/v1\nkind: ImageStream\nmetadata: {name: web}\n";
    let error = manifests(&[("a.yaml", one), ("b.yaml", one)]).stream(&stream("web"));
    let error = error.unwrap_err().to_string();
    assert!(error.contains("more than once: at a.yaml:1:1 and at b.yaml:1:1"), "{error}");
    let broken = format!("{one}spec: [\n");
    let error = manifests(&[("a.yaml", &broken)]).stream(&stream("web")).unwrap_err().to_string();
    assert!(error.contains("may stand at a.yaml:"), "{error}");
    assert!(error.contains("correct it first"), "{error}");
}

#[test]
fn the_namespace_of_a_folder_counts_as_the_daemon_counts_it() {
    let one = "apiVersion: image.openshift.io/v1\nkind: ImageStream\nmetadata: {name: web}\n";
    let mut policy = Policy::default();
    policy.namespaces.insert("shop".into(), "production".parse().unwrap());
    let all = Manifests::new([("shop/a.yaml", Some(one.as_bytes()))], &policy);
    let found = |namespace: &str| {
        all.find(Sort::STREAM, &namespace.parse().unwrap(), "web").unwrap().is_some()
    };
    assert!(found("production") && !found("default"));
}

#[test]
fn a_change_that_the_daemon_would_reject_is_not_made() {
    let text = "apiVersion: image.openshift.io/v1\nkind: ImageStream\nmetadata: {name: web}\n";
    let mut all = manifests(&[("a.yaml", text)]);
    let fields = TagFields {
        scheduled: true,
        ..TagFields::of(TagFrom {
            kind: SourceKind::ImageStreamTag,
            name: "b:1".into(),
            namespace: None,
        })
    };
    let error = all.put_tag(&stream("web"), "1", &fields, "").unwrap_err().to_string();
    let wanted = "The ImageStream \"web\" is invalid: spec.tags[1].importPolicy.scheduled: Invalid value: true: only tags \
                  pointing to Docker repositories may be scheduled for background import";
    assert_eq!(error, wanted);
    assert_eq!(all.edits(), []);
}

#[test]
fn defaults_that_are_written_out_stay() {
    let text = "apiVersion: image.openshift.io/v1\nkind: ImageStream\nmetadata:\n  name: web\nspec:\n  tags:\n  - annotations: null\n    \
                from:\n      kind: DockerImage\n      name: a:1\n    generation: 3\n    importPolicy:\n      importMode: Legacy\n    \
                name: 1.10\n    reference: false\n    referencePolicy:\n      type: Source\n";
    let mut all = manifests(&[("a.yaml", text)]);
    all.put_tag(&stream("web"), "1.10", &image("a:2"), "").unwrap();
    assert_eq!(after(&all, "a.yaml"), text.replace("a:1", "a:2"));
}

#[test]
fn the_last_text_of_a_mapping_takes_the_mapping_along() {
    let text = "kind: Service\napiVersion: v1\nmetadata:\n  name: web\n  labels: {a: b}\n";
    let sort = Sort { kind: "Service", group: "" };
    let mut all = manifests(&[("a.yaml", text)]);
    let place = all.find(sort, &Namespace::default(), "web").unwrap().unwrap().place();
    let words = Words { removed: ["a".to_owned()].into(), ..Words::default() };
    all.put_words(&place, &path("metadata.labels"), &words).unwrap();
    assert_eq!(after(&all, "a.yaml"), "kind: Service\napiVersion: v1\nmetadata:\n  name: web\n");
}

#[test]
fn a_diff_of_a_file_with_windows_line_ends_shows_lines() {
    let text = "kind: Service\r\napiVersion: v1\r\nmetadata:\r\n  name: web\r\n";
    let mut all = manifests(&[("a.yaml", text)]);
    let sort = Sort { kind: "Service", group: "" };
    let place = all.find(sort, &Namespace::default(), "web").unwrap().unwrap().place();
    all.put(&place, &path("metadata.labels.a"), Value::text("b")).unwrap();
    assert_eq!(after(&all, "a.yaml"), format!("{text}  labels:\r\n    a: b\r\n"));
    assert!(all.diff().contains("+  labels:"), "{}", all.diff());
    assert!(!all.diff().contains('\u{fffd}'), "{}", all.diff());
}

#[test]
fn a_diff_shows_no_secret() {
    let secret =
        "kind: Secret\napiVersion: v1\nmetadata:\n  name: s\nstringData:\n  password: hunter2\n";
    let workload = "kind: Deployment\napiVersion: apps/v1\nmetadata:\n  name: w\nspec:\n  template:\n    spec:\n      containers:\n      - env:\n        \
                    - name: DB_PASSWORD\n          value: hunter2\n        - {name: API_TOKEN, value: \"hunter2\"}\n";
    for (text, kind, group) in [(secret, "Secret", ""), (workload, "Deployment", "apps")] {
        let mut all = manifests(&[("a.yaml", text)]);
        let name = if kind == "Secret" { "s" } else { "w" };
        let found = all.find(Sort { kind, group }, &Namespace::default(), name);
        let place = found.unwrap().unwrap().place();
        all.remove(&place).unwrap();
        let diff = all.diff();
        assert!(diff.starts_with("--- a/a.yaml\n+++ /dev/null\n"), "{diff}");
        assert!(!diff.contains("hunter2"), "{diff}");
    }
}
