//! What `get` and `describe` print (section 6, and what section 9 changes of it).

use insta::assert_snapshot;
use tidegate::api::{ImageStream, ImageStreamTag};
use tidegate::desired::exported::{Exported, read_exported};
use tidegate::oc::{get, image, order, size, stream, table, tabs};
use tidegate::time::Timestamp;

use crate::oc::exported::{STREAMS, show};
use crate::oc::tidegate;
use crate::support::start::{APP, committed};

/// The time at which everything here is printed.
fn now() -> Timestamp {
    "2026-11-21T10:00:00Z".parse().unwrap()
}

/// Reads the one object of a text.
fn exported(text: &str) -> Exported {
    read_exported(text).unwrap().pop().unwrap()
}

/// A stream `web` of the namespace `shop`; `rest` goes on in its metadata.
fn web(rest: &str) -> ImageStream {
    let text = format!(
        "apiVersion: image.openshift.io/v1\nkind: ImageStream\nmetadata:\n  name: web\n  namespace: shop\n{rest}"
    );
    let Exported::Stream(stream) = exported(&text) else { panic!("{text}") };
    *stream
}

/// A digest of one digit.
fn sha(digit: char) -> String {
    format!("sha256:{}", digit.to_string().repeat(64))
}

/// An item that is this many minutes old, with a digest of this digit.
fn item(minutes: u32, digit: char) -> String {
    let (time, image) = (60 - minutes, sha(digit));
    format!(
        "{{created: '2026-11-21T09:{time:02}:00Z', dockerImageReference: 'r.io/web@{image}', image: '{image}', generation: 1}}"
    )
}

/// A stream with these entries of `spec.tags` and of `status.tags`.
fn tags(spec: &str, status: &str) -> ImageStream {
    web(&format!("spec: {{tags: [{spec}]}}\nstatus: {{tags: [{status}]}}\n"))
}

/// The text with TABs expanded, as a terminal shows it.
fn expanded(text: &str) -> String {
    let mut out = String::new();
    for line in text.lines() {
        let mut column = 0;
        for c in line.chars() {
            let width = if c == '\t' { 8 - column % 8 } else { 1 };
            let shown = if c == '\t' { ' ' } else { c };
            out.extend(std::iter::repeat_n(shown, width));
            column += width;
        }
        out.push('\n');
    }
    out
}

fn described(stream: &ImageStream) -> String {
    expanded(&stream::describe(stream, now()))
}

/// The sections of a description.
fn sections(stream: &ImageStream) -> String {
    described(stream).split_once("\n\n").unwrap().1.to_owned()
}

/// Runs a command on a file with this text.
fn run(text: &str, arguments: &[&str]) -> (Option<i32>, String) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    let common =
        ["-n", "shop", "-f", file.path().to_str().unwrap(), "--now", "2026-11-21T10:00:00Z"];
    let output = tidegate(&[arguments, &common].concat());
    (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}

#[test]
fn i112_errors_are_those_of_oc_and_exit_with_1() {
    let failed = |arguments: &[&str]| {
        let (code, text) = run(STREAMS, arguments);
        assert_eq!(code, Some(1), "{arguments:?}");
        text
    };
    let texts: Vec<String> = [
        &["get", "is", "nosuch"] as &[&str],
        &["get", "istag", "python:nosuch"],
        &["get", "istag", "python"],
        &["get", "isimage", "python@2"],
        &["get", "nothing"],
        &["get"],
        &["get", "--oc-compatible"],
        &["describe", "istag/python:next"],
    ]
    .iter()
    .map(|arguments| failed(arguments))
    .collect();
    assert_snapshot!(texts.concat(), @r#"
    Error from server (NotFound): imagestreams.image.openshift.io "nosuch" not found
    Error from server (NotFound): imagestreamtags.image.openshift.io "python:nosuch" not found
    Error from server (BadRequest): ImageStreamTags must be retrieved with <name>:<tag>
    Error from server (NotFound): imagestreamimages.image.openshift.io "python@2" not found
    error: the server doesn't have a resource type "nothing"
    error: Required resource not specified.
    See 'tidegate get -h' for help and examples
    error: Required resource not specified.
    See 'oc get -h' for help and examples
    Error from server (NotFound): imagestreamtags.image.openshift.io "python:next" not found
    "#);
}

/// I112: wrong usage of a verb of `oc` ends with 1, of one of ours with 64.
#[test]
fn i112_wrong_usage_ends_as_the_verb_says() {
    for (words, code) in [
        (["get", "--nonsense"], 1),
        (["describe", "--nonsense"], 1),
        (["status", "--nonsense"], 64),
    ] {
        assert_eq!(tidegate(&words).status.code(), Some(code), "{words:?}");
    }
}

#[test]
fn i113_columns_have_three_blanks_between_them_and_the_last_is_not_filled() {
    let text = "NAME\tTAGS\tUPDATED\nx\tlatest,1.0\t\n";
    assert_eq!(tabs::table(text), "NAME   TAGS         UPDATED\nx      latest,1.0   \n");
    let row = table::Row { cells: vec!["a".into(), "one\ntwo".into()], ..Default::default() };
    let table = table::Table { columns: vec!["A", "B"], wide: vec![], rows: vec![row] };
    assert_eq!(table.to_text(table::Shape::default()), "A     B\na     one...\n");
}

#[test]
fn i113_nothing_found_is_told_on_standard_error() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let output = tidegate(&["get", "is", "-n", "empty", "-f", file.path().to_str().unwrap()]);
    assert!(output.status.success() && output.stdout.is_empty());
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(errors, "No resources found in empty namespace.\n");
}

#[test]
fn i114_values_stand_at_the_next_tab_stop_behind_the_longest_label() {
    let text = "Name:\tpython\nImage Repository:\t<none>\nTags:\t1\n\nName:\tx\n";
    let wanted = "Name:\t\t\tpython\nImage Repository:\t<none>\nTags:\t\t\t1\n\nName:\tx\n";
    assert_eq!(tabs::describe(text), wanted);
}

#[test]
fn i114_a_line_without_a_tab_ends_the_block() {
    let text = "A:\t1\nplain\nA long label:\t2\n";
    assert_eq!(tabs::describe(text), text);
}

#[test]
fn i115_what_is_empty_is_none() {
    let text = described(&web(""));
    for label in ["Labels:", "Annotations:", "Image Repository:", "Tags:"] {
        let line = text.lines().find(|line| line.starts_with(label)).unwrap();
        assert!(line.ends_with(" <none>"), "{line}");
    }
}

/// I116: only the value of the first entry is laid out over several lines.
#[test]
fn i116_a_value_of_several_lines_goes_on_in_its_column() {
    let text = described(&web("  annotations: {a: \"1\\n2\\n\", b: \"3\\n4\"}\n"));
    // What is raw has no TAB, so that the block ends there.
    let blank = " ".repeat(16);
    let wanted =
        format!("Annotations:    a=1\n{blank}2\n{blank}\n{blank}b=3\n4\nImage Repository:");
    assert!(text.contains(&wanted), "{text}");
}

#[test]
fn i117_maps_are_sorted_and_a_description_has_its_own_line() {
    let text = described(&web(
        "  labels: {b: '2', a: '1'}\n  annotations: {z: '26', description: It is, c: '3'}\n",
    ));
    let blank = " ".repeat(24);
    let wanted = format!(
        "Labels:                 a=1\n{blank}b=2\nDescription:            It is\nAnnotations:            c=3\n{blank}z=26\n"
    );
    assert!(text.contains(&wanted), "{text}");
}

#[test]
fn i118_ages_are_the_words_of_oc() {
    const HOUR: u64 = 3600;
    for (seconds, words) in [
        (0, "Less than a second"),
        (1, "1 second"),
        (59, "59 seconds"),
        (60, "About a minute"),
        (119, "About a minute"),
        (120, "2 minutes"),
        (HOUR - 1, "59 minutes"),
        (HOUR, "About an hour"),
        (HOUR + HOUR / 2 - 1, "About an hour"),
        (HOUR + HOUR / 2, "2 hours"),
        (22 * HOUR, "22 hours"),
        (48 * HOUR - HOUR / 2 - 1, "47 hours"),
        (48 * HOUR - HOUR / 2, "2 days"),
        (335 * HOUR, "13 days"),
        (336 * HOUR, "2 weeks"),
        (6 * 168 * HOUR, "6 weeks"),
        (1440 * HOUR, "2 months"),
        (19 * 720 * HOUR, "19 months"),
        (17520 * HOUR, "2 years"),
    ] {
        let span = std::time::Duration::from_secs(seconds);
        assert_eq!(tidegate::time::ago(span), words, "{seconds} s");
    }
}

#[test]
fn i119_sizes_have_four_significant_digits_without_trailing_zeros() {
    for (bytes, text) in [
        (0, "0B"),
        (103, "103B"),
        (1_006, "1.006kB"),
        (4_832, "4.832kB"),
        (180_900, "180.9kB"),
        (9_674_000, "9.674MB"),
        (75_400_000, "75.4MB"),
        (227_400_000, "227.4MB"),
        (1_000_000_000, "1GB"),
    ] {
        assert_eq!(size::human(bytes), text);
    }
}

#[test]
fn i120_streams_are_a_table() {
    assert_snapshot!(show(&["get", "is", "-A", "-l", "app=py"]), @r"
    NAMESPACE   NAME     IMAGE REPOSITORY   TAGS         UPDATED
    shop        python                      3.6,latest   About a minute ago
    ");
}

/// I120: the newest tag stands first, a tag that only failed last; the public repository is shown, else that of the spec.
#[test]
fn i120_tags_stand_by_their_time() {
    let status = format!(
        "{{tag: a, items: [{}]}}, {{tag: b, items: [{}]}}, {{tag: c, conditions: []}}",
        item(30, '1'),
        item(5, '2')
    );
    let mut stream = tags("", &status);
    let cells = |stream: &ImageStream| {
        get::streams(std::slice::from_ref(stream), now()).rows.remove(0).cells
    };
    assert_eq!(cells(&stream), ["web", "", "b,a,c", "5 minutes ago"]);
    stream.status.docker_image_repository = "inside".into();
    assert_eq!(cells(&stream)[1], "inside");
    stream.spec.docker_image_repository = "spec".into();
    assert_eq!(cells(&stream)[1], "spec");
    stream.status.public_docker_image_repository = "public".into();
    assert_eq!(cells(&stream)[1], "public");
}

#[test]
fn i121_tags_are_cut_near_forty_columns() {
    let cut = |tags: &[&str]| order::up_to_width(tags);
    let x = |len| "x".repeat(len);
    let (x60, x40, x39, x30, x25, x22, x20, x10) =
        (x(60), x(40), x(39), x(30), x(25), x(22), x(20), x(10));
    let many = ["2.4", "2.4-el7", "2.4-el8", "2.4-ubi8", "2.4-ubi9", "latest"];
    assert_eq!(cut(&many), "2.4,2.4-el7,2.4-el8,2.4-ubi8,2.4-ubi9 + 1 more...");
    assert_eq!(cut(&[x10.as_str(); 4]), format!("{x10},{x10},{x10} + 1 more..."));
    assert_eq!(cut(&[&x60, "b"]), format!("{x60} + 1 more..."));
    assert_eq!(cut(&[&x25, &x22, "a"]), format!("{x25},{x22} + 1 more..."));
    assert_eq!(cut(&[&x20, &x25, "a"]), format!("{x20},{x25} + 1 more..."));
    assert_eq!(cut(&[&x30, &x30]), format!("{x30} + 1 more..."));
    assert_eq!(cut(&[&x39]), x39);
    assert_eq!(cut(&[&x40]), x40);
    assert_eq!(cut(&[]), "");
}

#[test]
fn i122_tags_of_streams_are_a_table_of_those_that_have_an_image() {
    let one = sha('1');
    let wanted = format!(
        "NAME            IMAGE REFERENCE{0}UPDATED\n\
         python:3.6      docker.io/python@{one}   About a minute ago\n\
         python:latest   docker.io/python@{one}   About a minute ago\n",
        " ".repeat("docker.io/python@".len() + one.len() + 3 - "IMAGE REFERENCE".len())
    );
    assert_eq!(show(&["get", "istag", "-n", "shop"]), wanted);
    let wide = show(&["get", "istag", "python:3.6", "-n", "shop", "-o", "wide", "--no-headers"]);
    let reference = format!("docker.io/python@{one}");
    assert_eq!(wide, format!("python:3.6   {reference}   About a minute ago   {one}\n"));
}

/// I123: what is asked for, what became of it, how often it changed, and when.
#[test]
fn i123_all_tags_are_a_table_of_what_is_asked_and_what_is() {
    let docker = |more: &str| format!("from: {{kind: DockerImage, name: 'r.io/web:1'}}{more}");
    let failed = "conditions: [{type: ImportSuccess, status: 'False', reason: NotFound, generation: 1, lastTransitionTime: '2026-11-21T09:59:58Z'}]";
    let spec = [
        format!("{{name: a, generation: 1, {}}}", docker("")),
        format!("{{name: b, generation: 2, {}}}", docker(", importPolicy: {scheduled: true}")),
        format!("{{name: c, generation: 1, {}}}", docker(", reference: true")),
        "{name: d, generation: 1, from: {kind: ImageStreamTag, name: a}}".into(),
        "{name: e, generation: 1, from: {kind: ImageStreamTag, name: 'x:1', namespace: other}}"
            .into(),
        "{name: f, generation: 1}".into(),
        format!("{{name: g, generation: 1, {}}}", docker("")),
        "{name: i, generation: 1, from: {kind: ImageStreamImage, name: x}}".into(),
        "{name: j, generation: 1, from: {kind: Pod, name: x}}".into(),
    ];
    let status = [
        format!("{{tag: a, items: [{}, {}]}}", item(5, '1'), item(9, '2')),
        format!("{{tag: b, items: [{}]}}", item(5, '1')),
        format!("{{tag: g, items: [{}], {failed}}}", item(5, '1')),
        format!("{{tag: h, items: [{}]}}", item(5, '1')),
    ];
    let stream = tags(&spec.join(", "), &status.join(", "));
    let views = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];
    let views = views.map(|tag| tidegate::api::view::image_tag(&stream, tag, None).unwrap());
    let text = get::image_tags(&views, now()).to_text(table::Shape::default());
    let text = text.replace(&sha('1'), "#1");
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let rows: Vec<String> = text.lines().map(words).collect();
    assert_eq!(
        rows,
        [
            "NAME SPEC STATUS HISTORY UPDATED",
            "web:a Tag image/#1 2 5 minutes ago",
            "web:b Scheduled Importing 1 5 minutes ago",
            "web:c Ref r.io/web:1",
            "web:d Track istag/a",
            "web:e Tag istag other/x:1",
            "web:f",
            "web:g Tag ImportFailed (NotFound) 1 2 seconds ago",
            "web:h Push image/#1 1 5 minutes ago",
            "web:i Tag InvalidRefName",
            "web:j Tag InvalidRefKind",
        ]
    );
}

#[test]
fn i124_an_image_of_a_stream_is_a_row() {
    let one = sha('1');
    let found =
        show(&["get", "isimage", "python@1111", "-n", "shop", "--no-headers", "-o", "wide"]);
    let wanted = format!("python@{one}   About a minute ago   docker.io/python@{one}   {one}\n");
    assert_eq!(found, wanted);
}

/// An image of two layers, with what a config says.
fn image_object(more: &str) -> String {
    format!(
        "apiVersion: image.openshift.io/v1\nkind: Image\nmetadata: {{name: '{}', creationTimestamp: '2026-11-21T09:00:00Z'}}\n\
         dockerImageReference: 'r.io/first@{0}'\n\
         dockerImageLayers: [{{name: 'sha256:l1', size: 1000}}, {{name: 'sha256:l2', size: 2000}}]\n\
         dockerImageMetadata:\n  Id: 'sha256:c'\n  Size: 75400000\n  Created: '2026-11-14T10:00:00Z'\n  Architecture: amd64\n\
         \x20 Config: {{Entrypoint: [/bin/sh, -c], Cmd: [run it], User: '1001', ExposedPorts: {{9090/tcp: {{}}, 8080/tcp: {{}}}}, \
         Labels: {{b: '2', a: '1'}}, Env: [Z=1, A=2], Volumes: {{/v2: {{}}, /v1: {{}}}}}}\n{more}",
        sha('1')
    )
}

#[test]
fn i125_images_are_a_table_with_their_first_reference() {
    let (_, text) = run(&image_object(""), &["get", "images", "--no-headers"]);
    assert_eq!(text, format!("{0}   r.io/first@{0}\n", sha('1')));
}

#[test]
fn i126_names_have_their_group() {
    let found = show(&["get", "is", "-n", "shop", "-o", "name"]);
    assert_eq!(
        found,
        "imagestream.image.openshift.io/bare\nimagestream.image.openshift.io/python\n"
    );
}

#[test]
fn i127_a_stream_is_described_with_all_that_is_known_of_it() {
    assert_snapshot!(show(&["describe", "is/python", "-n", "shop"]));
}

#[test]
fn i127_a_stream_without_tags_says_so() {
    assert_snapshot!(show(&["describe", "is", "bare", "-n", "shop"]), @r"
    Name:			bare
    Namespace:		shop
    Labels:			<none>
    Annotations:		<none>
    Image Repository:	<none>
    Image Lookup:		local=false
    Tags:			<none>
    ");
}

#[test]
fn i128_tags_of_spec_and_status_are_counted_and_images_of_the_whole_history() {
    let raw = "{created: null, dockerImageReference: x, image: '', generation: 1}";
    let status = format!(
        "{{tag: a, items: [{}, {}]}}, {{tag: b, items: [{}, {raw}, {raw}]}}",
        item(1, '1'),
        item(2, '2'),
        item(3, '1')
    );
    let text =
        described(&tags("{name: b}, {name: c, from: {kind: ImageStreamTag, name: b}}", &status));
    assert!(text.contains("Unique Images:          3\nTags:                   3\n"), "{text}");
}

/// The headings of the sections.
fn headings(stream: &ImageStream) -> Vec<String> {
    let text = sections(stream);
    text.lines()
        .filter(|line| !line.starts_with(' ') && !line.is_empty())
        .map(str::to_owned)
        .collect()
}

#[test]
fn i129_sections_stand_by_importance() {
    let names = ["alpine", "1.0.1", "5", "2.0", "latest", "v5.1", "5.1", "1.0.2"];
    let spec = names.map(|name| format!("{{name: '{name}'}}")).join(", ");
    let wanted = ["latest", "5.1", "v5.1", "2.0", "1.0.2", "1.0.1", "5", "alpine"];
    assert_eq!(headings(&tags(&spec, "")), wanted);
}

#[test]
fn i130_aliases_stand_behind_the_tag_that_they_end_at() {
    let alias = |name: &str, of: &str| {
        format!("{{name: '{name}', from: {{kind: ImageStreamTag, name: '{of}'}}}}")
    };
    let spec = [
        "{name: '3.2', from: {kind: DockerImage, name: x}}".into(),
        alias("stable", "3.2"),
        alias("latest", "web:stable"),
        alias("lost", "nowhere"),
        alias("ring", "ring"),
        alias("far", "other:3.2"),
    ];
    let wanted = ["3.2 (latest, stable)", "far", "lost", "ring"];
    assert_eq!(headings(&tags(&spec.join(", "), "")), wanted);
}

#[test]
fn i131_a_section_has_everything_in_its_place() {
    let spec = "{name: a, generation: 3, from: {kind: DockerImage, name: 'r.io/web:1'}, \
                importPolicy: {insecure: true}, referencePolicy: {type: Local}, \
                annotations: {description: Text, tags: 'x,y', supports: 's:1,t', sampleRepo: 'https://r'}}";
    let status = format!("{{tag: a, items: [{}, {}]}}", item(5, '1'), item(9, '2'));
    let wanted = format!(
        "a\n  tagged from r.io/web:1\n    will use insecure HTTPS or HTTP connections\n    \
         prefer registry pullthrough when referencing this tag\n\n  Text\n  Tags: x, y\n  Supports: s:1, t\n  \
         Example Repo: https://r\n\n  ~ importing latest image ...\n  * r.io/web@{}\n      5 minutes ago\n    \
         r.io/web@{}\n      9 minutes ago\n",
        sha('1'),
        sha('2')
    );
    assert_eq!(sections(&tags(spec, &status)), wanted);
}

#[test]
fn i132_each_kind_of_source_has_its_words() {
    let origin = |spec: &str| {
        let text = sections(&tags(&format!("{{name: a{spec}}}"), ""));
        text.lines().nth(1).unwrap().trim().to_owned()
    };
    let from = |kind: &str, more: &str| origin(&format!(", from: {{kind: {kind}, name: n}}{more}"));
    let (reference, scheduled) = (", reference: true", ", importPolicy: {scheduled: true}");
    assert_eq!(origin(""), "tag without source image");
    assert_eq!(from("ImageStreamTag", reference), "reference to n");
    assert_eq!(from("ImageStreamTag", scheduled), "updates automatically from n");
    assert_eq!(from("ImageStreamTag", ""), "tagged from n");
    assert_eq!(from("DockerImage", reference), "reference to registry n");
    assert_eq!(from("DockerImage", scheduled), "updates automatically from registry n");
    assert_eq!(from("DockerImage", &format!("{reference}{scheduled}")), "reference to registry n");
    assert_eq!(from("DockerImage", ""), "tagged from n");
    assert_eq!(from("ImageStreamImage", reference), "reference to image n");
    assert_eq!(from("ImageStreamImage", ""), "tagged from n");
    assert_eq!(from("Pod", reference), "reference to Pod n");
    assert_eq!(from("Pod", ""), "updates from Pod n");
    let namespace = |of: &str| {
        origin(&format!(", from: {{kind: ImageStreamTag, name: 'x:1', namespace: {of}}}"))
    };
    assert_eq!(
        (namespace("other").as_str(), namespace("shop").as_str()),
        ("tagged from other/x:1", "tagged from x:1")
    );
    assert!(
        sections(&tags("", &format!("{{tag: a, items: [{}]}}", item(1, '1'))))
            .contains("  no spec tag\n")
    );
}

#[test]
fn i133_what_is_asked_for_and_not_there_yet_is_told() {
    let line = |spec: &str, status: &str| {
        let text = sections(&tags(&format!("{{name: a, generation: 2, {spec}}}"), status));
        text.lines().find(|line| line.starts_with("  ~")).map(str::to_owned)
    };
    let docker = "from: {kind: DockerImage, name: n}";
    let (old, failed) = (
        format!("{{tag: a, items: [{}]}}", item(1, '1')),
        "{tag: a, conditions: [{type: ImportSuccess, status: 'False', generation: 2}]}",
    );
    let importing = Some("  ~ importing latest image ...".to_owned());
    assert_eq!((line(docker, ""), line(docker, &old)), (importing.clone(), importing));
    assert_eq!(line(docker, failed), None);
    assert_eq!(line(&format!("{docker}, reference: true"), ""), None);
    let waits = line("from: {kind: ImageStreamTag, name: 'other:1'}", "");
    assert_eq!(waits.as_deref(), Some("  ~ waiting for tag other:1 ..."));
}

#[test]
fn i134_a_failure_stands_before_the_items_with_its_own_time() {
    let condition = "{type: ImportSuccess, status: 'False', reason: NotFound, message: it is gone, lastTransitionTime: '2026-11-21T08:00:00Z', generation: 1}";
    let status = format!("{{tag: a, conditions: [{condition}], items: [{}]}}", item(5, '1'));
    let wanted = format!(
        "  ! error: Import failed (NotFound): it is gone\n      2 hours ago\n  * r.io/web@{}\n      5 minutes ago\n",
        sha('1')
    );
    assert!(sections(&tags("", &status)).ends_with(&wanted));
}

#[test]
fn i135_only_the_newest_item_is_marked() {
    let items = [item(5, '1'), item(6, '2'), item(7, '3')].join(", ");
    let text = sections(&tags("", &format!("{{tag: a, items: [{items}]}}")));
    let marks: Vec<_> =
        text.lines().filter(|line| line.contains("r.io")).map(|l| &l[..4]).collect();
    assert_eq!(marks, ["  * ", "    ", "    "]);
    assert!(!sections(&tags("{name: a}", "")).contains('*'));
}

#[test]
fn i136_a_digest_that_the_reference_does_not_name_stands_behind_the_time() {
    let item = format!(
        "{{created: '2026-11-17T10:00:00Z', dockerImageReference: 'r.io/web:1', image: '{}', generation: 1}}",
        sha('1')
    );
    let text = stream::describe(&tags("", &format!("{{tag: a, items: [{item}]}}")), now());
    assert!(text.contains(&format!("  * r.io/web:1\n      4 days ago\t{}\n", sha('1'))), "{text}");
}

/// A description of the image, its labels joined to one line each.
fn described_image(text: &str, name: &str) -> String {
    let Exported::Image(found) = exported(text) else { panic!("{text}") };
    expanded(&image::describe(&found, name, now()).unwrap())
}

#[test]
fn i138_an_image_is_described_with_its_layers_and_how_it_runs() {
    let text = described_image(&image_object(""), "");
    let one = sha('1');
    let wanted = format!(
        "Docker Image:   r.io/first@{one}
Name:           {one}
Created:        About an hour ago
Image Size:     75.4MB in 2 layers
Layers:         1kB     sha256:l1
                2kB     sha256:l2
Image Created:  7 days ago
Author:         <none>
Arch:           amd64
Entrypoint:     /bin/sh -c
Command:        run it
Working Dir:    <none>
User:           1001
Exposes Ports:  8080/tcp, 9090/tcp
Docker Labels:  a=1
                b=2
Environment:    Z=1
                A=2
Volumes:        /v1
                /v2
"
    );
    assert_eq!(text, wanted);
    let named = described_image(&image_object(""), &one);
    assert!(named.starts_with(&format!("Image Name:     {one}\nDocker Image:")), "{named}");
}

#[test]
fn i138_an_index_is_described_with_its_images() {
    let text = described_image(
        "apiVersion: image.openshift.io/v1\nkind: Image\nmetadata: {name: i}\ndockerImageManifests: [{os: linux, architecture: amd64, digest: 'sha256:m'}]\ndockerImageMetadata: {Created: '2026-11-21T09:00:00Z'}\n",
        "",
    );
    for line in [
        "Layer Size:     0B\n",
        "Image Created:  About an hour ago\n",
        "Arch:           <none>\n",
        "Manifests:      linux/amd64     sha256:m\n",
        "Command:        <none>\n",
    ] {
        assert!(text.contains(line), "{line}{text}");
    }
}

#[test]
fn i139_a_signature_has_a_name_a_type_and_a_status() {
    let signature = "signatures: [{metadata: {name: 'x@y'}, type: AtomicImageV1}]\n";
    let text = described_image(&image_object(signature), "");
    let lines: Vec<_> =
        text.lines().skip_while(|line| !line.starts_with("Image Sig")).take(3).collect();
    let words: Vec<_> =
        lines.iter().map(|line| line.split_whitespace().collect::<Vec<_>>()).collect();
    assert_eq!(
        words,
        [
            vec!["Image", "Signatures:", "Name:", "x@y"],
            vec!["Type:", "AtomicImageV1"],
            vec!["Status:", "Unverified"]
        ]
    );
}

#[test]
fn i140_a_tag_is_described_by_its_whole_name() {
    for name in ["python", "python:", ":3.6", "python:3.6:1", "python@1"] {
        let (code, text) = run(STREAMS, &["describe", "istag", name]);
        assert_eq!(code, Some(1), "{name}");
        assert!(text.contains("ImageStreamTags must be retrieved with <name>:<tag>"), "{text}");
    }
}

/// A stream with an image whose tag has this policy, and a repository of its own or none.
fn with_policy(policy: &str, repository: &str) -> ImageStream {
    let spec = format!(
        "{{name: a, from: {{kind: DockerImage, name: 'r.io/web:1'}}, referencePolicy: {{type: {policy}}}}}"
    );
    let mut stream = tags(&spec, &format!("{{tag: a, items: [{}]}}", item(5, '1')));
    stream.status.docker_image_repository = repository.into();
    stream
}

fn view(stream: &ImageStream) -> ImageStreamTag {
    tidegate::api::view::stream_tag(stream, "a", None).unwrap()
}

#[test]
fn i180_the_policy_local_gives_the_repository_of_the_stream_if_it_has_one() {
    let reference = |policy, repository| {
        view(&with_policy(policy, repository)).image.docker_image_reference.replace(&sha('1'), "#1")
    };
    assert_eq!(reference("Local", "in.io/shop/web"), "in.io/shop/web@#1");
    assert_eq!(reference("Local", ""), "r.io/web@#1");
    assert_eq!(reference("Source", "in.io/shop/web"), "r.io/web@#1");
    let mut pushed = with_policy("Local", "in.io/shop/web");
    pushed.spec.tags.clear();
    assert_eq!(view(&pushed).image.docker_image_reference, format!("r.io/web@{}", sha('1')));
}

#[test]
fn i182_the_description_of_a_stream_shows_what_was_recorded() {
    let stream = with_policy("Local", "in.io/shop/web");
    let text = sections(&stream);
    assert!(text.contains(&format!("  * r.io/web@{}\n", sha('1'))), "{text}");
    assert!(!text.contains("in.io"), "{text}");
}

/// I183: dependents compare digests, so another policy rolls nothing out.
#[test]
fn i183_another_policy_changes_no_history_and_triggers_nothing() {
    let mut world = committed(APP);
    world.resolve("r.io/web:1", "a");
    world.complete("app");
    world.records();
    let local = |text: &String| {
        text.replace("    reference:", "    referencePolicy: {type: Local}\n    reference:")
    };
    let files = world.files().iter().map(|(path, text)| (path.clone(), local(text))).collect();
    world.commit_files(files);
    assert_eq!(world.records(), "CommitAdopted ~web@3()");
    assert_eq!(world.pending(), "");
    assert_eq!(world.tag("shop/web:latest"), "#a r.io/web@#a @2; spec @2");
}
