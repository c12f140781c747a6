//! Hostile files: `tidegate check` says what is wrong with each, and a daemon that reads all of them in one commit goes on.

use std::collections::BTreeMap;

use tidegate::fact::Fact;

use super::{Row, faults};
use crate::support::daemon::Host;
use crate::support::git::Repo;

/// What the other files must not harm.
const GOOD: &str = "apiVersion: apps.openshift.io/v1
kind: DeploymentConfig
metadata: {name: good}
spec:
  replicas: 1
  selector: {app: x}
  template:
    metadata: {labels: {app: x}}
    spec: {containers: [{name: web, image: 'registry.example.com/web:1'}]}
";

/// An ImageStream with this `spec`.
fn stream(spec: &str) -> String {
    format!(
        "apiVersion: image.openshift.io/v1\nkind: ImageStream\nmetadata: {{name: s}}\nspec: {spec}\n"
    )
}

/// A DeploymentConfig with these fields in its `spec`.
fn deployment(fields: &str) -> String {
    format!("{}\n  {fields}\n", GOOD.replace("good", "d").trim_end()).replace(
        "  replicas: 1\n",
        match fields.starts_with("replicas") {
            true => "",
            false => "  replicas: 1\n",
        },
    )
}

/// An object of this name.
fn named(name: &str) -> String {
    format!("apiVersion: image.openshift.io/v1\nkind: ImageStream\nmetadata: {{name: {name}}}\n")
}

const TAGS: &str = "{tags: [{name: \"1\", from: {kind: DockerImage, name: r.io/x:1}}";

/// Text that is damaged before it means anything.
#[rustfmt::skip]
fn texts() -> Vec<Row<Vec<u8>>> {
    let row = |name, bytes: &[u8], says| Row::new(name, bytes.to_vec(), says);
    let utf16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>();
    vec![
        row("not UTF-8", b"kind: \xff\xfe\n", &["not UTF-8", "save it as UTF-8"]),
        row("half a character", b"kind: \xe2\x82", &["not UTF-8", ":1:7"]),
        row("NUL bytes", b"kind: a\0b\n", &["NUL byte", ":1:8", "no text"]),
        row("UTF-16", &[&[0xff, 0xfe], &utf16(GOOD)[..]].concat(), &["NUL byte", "UTF-16"]),
        row("random bytes", &[0x80, 0x00, 0xc3, 0x28, 0x1b, 0x5b], &["NUL byte"]),
        row("a tab for indentation", b"kind: X\nspec:\n\ta: 1\n", &["tab", ":3:1"]),
        row("an open bracket", b"kind: [a\n", &["YAML", ":2:1"]),
        row("an open quote", b"kind: \"a\nb: c\n", &["quote"]),
        row("a mapping inside a text", b"a: b: c\n", &["mapping values", ":1:"]),
        row("an unknown alias", b"kind: *nowhere\n", &["unknown anchor", ":1:7"]),
        row("an anchor that holds itself", b"kind: ImageStream\nspec: &a {x: *a}\n", &["an anchor stands inside of itself", ":2:7"]),
        row("a LFS pointer", b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", &["LFS", "untrack"]),
        row("deep nesting", "[".repeat(100_000).as_bytes(), &["deep"]),
        row("deep nesting by lines", deep().as_bytes(), &["deep"]),
        row("a bomb of aliases", bomb().as_bytes(), &["alias"]),
        row("a line of five megabytes", &vec![b'x'; 5 << 20], &["5242880 bytes", "at most 4194304", "split it"]),
        row("too many documents", "---\na: 1\n".repeat(10_001).as_bytes(), &["more than 10000 documents", "split it"]),
        row("a key twice", stream("{}\nspec: {}").as_bytes(), &["`spec`", "line 4 already", ":5:", "leave one of them out"]),
        row("a key that is a list", b"kind: ImageStream\napiVersion: v1\n? [a, b]\n: c\n", &["key"]),
        row("binary in YAML", b"kind: ImageStream\napiVersion: v1\nmetadata: {name: !!binary aGk=}\n", &["aGk=", ":3:18"]),
        row("a broken document between", [ GOOD.replace("good", "beside").as_bytes(), b"---\na: [\n---\n", GOOD.replace("good", "behind").as_bytes(), ] .concat() .as_slice(), &["YAML"]),
    ]
}

fn deep() -> String {
    let mut text = String::new();
    for depth in 0..600 {
        text.push_str(&" ".repeat(depth));
        text.push_str("a:\n");
    }
    text
}

/// Each line repeats the one before it ten times.
fn bomb() -> String {
    let mut text =
        "kind: ImageStream\napiVersion: v1\nmetadata: {name: s}\na0: &a0 [x]\n".to_owned();
    for level in 1..12 {
        let before = vec![format!("*a{}", level - 1); 10].join(", ");
        text.push_str(&format!("a{level}: &a{level} [{before}]\n"));
    }
    text
}

/// Objects that are none.
#[rustfmt::skip]
fn objects() -> Vec<Row<Vec<u8>>> {
    let row = |name, text: &str, says| Row::new(name, text.as_bytes().to_vec(), says);
    let tag = |rest: &str| stream(&format!("{TAGS}, {rest}]}}"));
    vec![
        row("no name", "apiVersion: v1\nkind: ImageStream\nmetadata: {}\n", &["metadata.name"]),
        row("a name that is a path", &named("../../etc/passwd"), &["../../etc/passwd", "must match", ":3:18"]),
        row("a name that is a dot", &named("'..'"), &["metadata.name", "must match"]),
        row("a name with a line break", &named("\"a\\nb\""), &["\"a\\nb\"", "must match"]),
        row("an endless name", &named(&"x".repeat(300)), &["longer than 255 characters"]),
        row("a list as metadata", "apiVersion: v1\nkind: ImageStream\nmetadata: [a]\n", &["metadata", ":3:"]),
        row("text as metadata", "apiVersion: v1\nkind: ImageStream\nmetadata: a\n", &["metadata", ":3:"]),
        row("a namespace that is a path", &named("s, namespace: a/b"), &["a/b", "namespace"]),
        row("text as spec", &stream("x"), &["spec", ":4:"]),
        row("a list as spec", &stream("[]"), &["spec", ":4:"]),
        row("a mapping as tags", &stream("{tags: {a: b}}"), &["tags", ":4:"]),
        row("a tag that is text", &stream("{tags: [a]}"), &["tags", ":4:"]),
        row("a tag with a bad name", &tag("{name: '-x', from: {kind: DockerImage, name: r.io/x}}"), &["-x", "tag"]),
        row("a tag twice", &tag("{name: '1', from: {kind: DockerImage, name: r.io/y}}"), &["spec.tags[1].name", "Duplicate value"]),
        row("a tag of an unknown kind", &tag("{name: '2', from: {kind: Floppy, name: r.io/x}}"), &["spec.tags[2].from.kind", "DockerImage"]),
        row("an image that is none", &tag("{name: '2', from: {kind: DockerImage, name: 'A b:c:d'}}"), &["A b:c:d"]),
        row("an image of a registry alone", &tag("{name: '2', from: {kind: DockerImage, name: 'r.io'}}"), &["r.io"]),
        row("yes for a truth", &tag( "{name: '2', importPolicy: {scheduled: 'maybe'}, from: {kind: DockerImage, name: r.io/x}}", ), &["scheduled", "`true` or `false`", "maybe"]),
        row("a schedule that never fires", &named("s, annotations: {tidegate.dev/schedule: '0 0 30 2 *'}"), &["never fires"]),
        row("a schedule that is too quick", &named("s, annotations: {tidegate.dev/schedule: 1ms}"), &["10s"]),
        row("replicas beyond all numbers", &deployment("replicas: 99999999999999999999"), &["replicas"]),
        row("fewer than no replicas", &deployment("replicas: -1"), &["replicas", "-1"]),
        row("replicas that are infinite", &deployment("replicas: .inf"), &["replicas"]),
        row("replicas that are half", &deployment("replicas: 1.5"), &["replicas"]),
        row("no containers", GOOD.replace("[{name: web, image: 'registry.example.com/web:1'}]", "[]").as_str(), &["containers"]),
        row("containers that are text", GOOD.replace("[{name: web, image: 'registry.example.com/web:1'}]", "web").as_str(), &["containers"]),
        row("triggers that are a mapping", &deployment("triggers: {a: b}"), &["triggers"]),
        row("a trigger of an unknown type", &deployment("triggers: [{type: Moon}]"), &["Moon"]),
        row("a trigger of no container", &deployment( "triggers: [{type: ImageChange, imageChangeParams: {automatic: true, containerNames: [no], from: {kind: ImageStreamTag, name: 's:1'}}}]", ), &["`no`"]),
        row("a triggers annotation that is no JSON", "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x, annotations: {image.openshift.io/triggers: '[{'}}\nspec: {template: {spec: {containers: [{name: a, image: b}]}}}\n", &["image.openshift.io/triggers", "JSON"]),
        row("a template without its parameter", "apiVersion: v1\nkind: Template\nmetadata: {name: t}\nparameters: [{name: P, required: true}]\nobjects: [{apiVersion: v1, kind: ImageStream, metadata: {name: '${P}'}}]\n", &["`P`"]),
        row("lists in lists", &format!("{}{}", "{kind: List, apiVersion: v1, items: [".repeat(20), "]}".repeat(20)), &["deep"]),
    ]
}

/// What our annotations, strategies and hooks cannot mean.
#[rustfmt::skip]
fn wishes() -> Vec<Row<Vec<u8>>> {
    let row = |name, text: &str, says| Row::new(name, text.as_bytes().to_vec(), says);
    let annotated = |key: &str, value: &str| {
        let metadata = format!("{{name: d, annotations: {{tidegate.dev/{key}: \"{value}\"}}}}");
        GOOD.replace("{name: good}", &metadata)
    };
    let rolling = |params: &str| deployment(&format!("strategy: {{rollingParams: {{{params}}}}}"));
    let hook = |hook: &str| rolling(&format!("pre: {{{hook}}}"));
    vec![
        row("a published port beyond all ports", &annotated("publish", "99999:80"), &["tidegate.dev/publish", "`99999:80`", "`8080:80`"]),
        row("a published port for a shell", &annotated("publish", "80:80;rm -rf /"), &["tidegate.dev/publish", "`80:80;rm -rf /`"]),
        row("half a published port", &annotated("publish", "8080:80,:"), &["tidegate.dev/publish", "`:`"]),
        row("perhaps a check pod", &annotated("verify", "perhaps"), &["tidegate.dev/verify", "perhaps"]),
        row("a window without an end", &annotated("window", "0 2 * * *"), &["tidegate.dev/window"]),
        row("a window that is no line", &annotated("window", "always 2h"), &["tidegate.dev/window"]),
        row("an age below nothing", &annotated("minimum-age", "-5m"), &["tidegate.dev/minimum-age", "-5m"]),
        row("an age beyond all numbers", &annotated("minimum-age", "99999999999999999999h"), &["tidegate.dev/minimum-age"]),
        row("a target that is a path", &annotated("target", "../x"), &["tidegate.dev/target", "../x"]),
        row("fewer than no attempts", &annotated("retry", "-1"), &["tidegate.dev/retry", "-1"]),
        row("an unknown strategy", &deployment("strategy: {type: Canary}"), &["Canary", "unsupported strategy type"]),
        row("a budget of a half", &rolling("maxSurge: half"), &["maxSurge", "value should be int(5) or percentage(5%)"]),
        row("a budget of more than all", &rolling("maxUnavailable: 101%"), &["should not be more than 100%"]),
        row("no budget at all", &rolling("maxUnavailable: 0, maxSurge: 0"), &["cannot be 0 when maxSurge is 0 as well"]),
        row("a time-out before it begins", &rolling("timeoutSeconds: -1"), &["timeoutSeconds", "must be >0"]),
        row("a hook that does two things", &hook("failurePolicy: Abort, execNewPod: {command: [x], containerName: web}, tagImages: [{containerName: web, to: {kind: ImageStreamTag, name: 'a:1'}}]"), &["only one of 'execNewPod' or 'tagImages' may be specified"]),
        row("a hook that does nothing", &hook("failurePolicy: Abort"), &["One of execNewPod or tagImages must be specified"]),
        row("a hook in no container", &hook("failurePolicy: Abort, execNewPod: {command: [x], containerName: no}"), &["no container \"no\" found"]),
        row("a hook without a policy", &hook("execNewPod: {command: [x], containerName: web}"), &["failurePolicy"]),
        row("a hook whose command is text", &hook("failurePolicy: Abort, execNewPod: {command: rm -rf /, containerName: web}"), &["command"]),
    ]
}

/// What is left alone, with or without a word: another kind, another shape, another ending of lines.
#[rustfmt::skip]
fn fine() -> Vec<Row<Vec<u8>>> {
    let row = |name, text: &str, says| Row::new(name, text.as_bytes().to_vec(), says);
    vec![
        row("a directive of another YAML", "%YAML 9.9\n---\n# nothing\n", &[]),
        row("a number as name", &named("12"), &["`metadata.name` is the text `12`", "in quotes"]),
        row("an empty file", "", &[]),
        row("spaces only", " \n\n  \n", &[]),
        row("a comment only", "# nothing\n", &[]),
        row("a number", "42\n", &[]),
        row("an unknown kind", "apiVersion: example.com/v9\nkind: Spaceship\nmetadata: {name: x}\n", &[]),
        row("Windows line ends", &GOOD.replace("good", "windows").replace('\n', "\r\n"), &["CR LF", "renormalize"]),
        row("a byte order mark", &format!("\u{feff}{}", GOOD.replace("good", "mark")), &["byte-order mark", "without one"]),
        row("an unknown field", &stream("{tegs: []}").replace("name: s", "name: odd"), &["tegs", "tags"]),
        row("a terminal's escapes in an unknown field", &stream("{\"\\e[31mred\": 1}").replace("name: s", "name: esc"), &["spec.\\u{1b}[31mred"]),
    ]
}

const CIRCULAR: &str = "reference tag is circular";

/// What is known only when it is imported.
fn later() -> Vec<Row<Vec<u8>>> {
    let row = |name, text: &str, says| Row::new(name, text.as_bytes().to_vec(), says);
    let from = |tag: &str| format!("{{kind: ImageStreamTag, name: '{tag}'}}");
    let circle = format!(
        "{{tags: [{{name: a, from: {}}}, {{name: b, from: {}}}]}}",
        from("s:b"),
        from("s:a")
    );
    let own = format!("{{tags: [{{name: a, from: {}}}]}}", from("s:a"));
    vec![
        row("tags in a circle", &stream(&circle), &[CIRCULAR]),
        row("a tag of itself", &stream(&own), &[CIRCULAR]),
    ]
}

/// Every row.
pub(super) fn rows() -> Vec<Row<Vec<u8>>> {
    [texts(), objects(), wishes(), fine(), later()].concat()
}

/// The rows' file names: `r07.yaml` and so on.
fn files(rows: &[Row<Vec<u8>>]) -> impl Iterator<Item = (String, &Row<Vec<u8>>)> {
    rows.iter().enumerate().map(|(at, row)| (format!("f{at:02}/{}.yaml", row.slug()), row))
}

fn repository(rows: &[Row<Vec<u8>>]) -> Repo {
    let repo = Repo::new();
    repo.write("good.yaml", GOOD);
    for (path, row) in files(rows) {
        repo.write(&path, &row.input);
    }
    repo.commit("hostile");
    repo
}

/// Every file in a namespace of its own, so that no two are one object.
fn namespaces(rows: &[Row<Vec<u8>>]) -> String {
    let lines = files(rows).map(|(path, _)| {
        let folder = path.split('/').next().unwrap().to_owned();
        format!("{folder} = \"{folder}\"\n")
    });
    format!("[source.namespaces]\n{}", lines.collect::<String>())
}

#[test]
fn hostile_manifests_are_named_and_stop_nothing() {
    let rows = rows();
    let repo = repository(&rows);
    let mut host = Host::new(repo.path(), &namespaces(&rows));
    let mut command = host.tidegate(&["check", "-o", "json", "."]);
    let output = command.current_dir(repo.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut told: BTreeMap<String, String> = BTreeMap::new();
    for diagnostic in report["diagnostics"].as_array().unwrap() {
        let text = |field: &str| diagnostic[field].as_str().unwrap_or_default();
        let path = text("path").trim_start_matches("./").to_owned();
        let line = format!(
            "{}:{}:{}: {}: {}; {}\n",
            text("severity"),
            diagnostic["line"],
            diagnostic["column"],
            text("rule"),
            text("message"),
            text("hint")
        );
        *told.entry(path).or_default() += &line;
    }
    let mut wrong = Vec::new();
    for (path, row) in files(&rows) {
        let told = told.get(&path).map_or("", String::as_str);
        if row.says == [CIRCULAR] {
            continue;
        }
        wrong.extend(row.check(told));
        if row.says.is_empty() && !told.is_empty() {
            wrong.push(format!("{}: nothing is wrong with it, and it said {told}", row.name));
        }
    }
    assert!(wrong.is_empty(), "{}", faults(&wrong));

    host.start();
    let record = host.wait_for("the commit", |fact| matches!(fact, Fact::CommitAdopted(_)));
    let Fact::CommitAdopted(adopted) = record.fact else { unreachable!() };
    let rejected: Vec<_> = adopted.rejected.iter().map(|r| r.position.path.as_str()).collect();
    for (path, row) in files(&rows) {
        let errors = told.get(&path).is_some_and(|told| told.contains("error:"));
        if errors != rejected.contains(&path.as_str()) {
            wrong.push(format!("{}: `check` and `run` do not agree", row.name));
        }
    }
    assert!(wrong.is_empty(), "{}", faults(&wrong));
    host.wait_for("the good object", |fact| match fact {
        Fact::RolloutFinished(finished) => finished.object.to_string().ends_with("/good"),
        _ => false,
    });
    for (path, row) in files(&rows).filter(|(_, row)| row.says == [CIRCULAR]) {
        let folder = path.split('/').next().unwrap();
        host.wait_for(row.name, |fact| match fact {
            Fact::ImportFailed(failed) => {
                failed.tag.to_string().starts_with(folder) && failed.message == CIRCULAR
            }
            _ => false,
        });
    }
    assert!(host.text(&["status"]).contains("daemon running"));
    assert!(host.stop().success(), "{}", host.story());
}
