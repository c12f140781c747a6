use super::super::containerfile::reading::{instructions, values};
use super::*;
use crate::fact::SourceRevision;
use proptest::prelude::*;

const BUILDER: &str = "quay.io/team/builder@sha256:00";

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    list(pairs).into_iter().collect()
}

fn list(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
}

fn image(labels: &[(&str, &str)], env: &[&str]) -> BuilderImage {
    let env = env.iter().map(|line| (*line).to_owned()).collect();
    BuilderImage { reference: BUILDER.into(), labels: map(labels), env, ..BuilderImage::default() }
}

fn plain() -> S2i {
    let provenance =
        Provenance { name: "web-1".into(), namespace: "shop".into(), ..Provenance::default() };
    S2i { builder: image(&[], &[]), provenance, ..S2i::default() }
}

fn secret(destination: &str, files: &[&str]) -> Injection {
    let files = files.iter().map(|file| (*file).to_owned()).collect();
    Injection { is_secret: true, destination: destination.into(), files }
}

fn fails(build: &S2i) -> String {
    build.dockerfile().unwrap_err().to_string()
}

#[test]
fn b045_a_builder_image_runs_its_own_scripts() {
    assert_eq!(
        plain().dockerfile().unwrap(),
        r#"FROM quay.io/team/builder@sha256:00
LABEL "io.openshift.build.image"="quay.io/team/builder@sha256:00"
ENV OPENSHIFT_BUILD_NAME="web-1" \
    OPENSHIFT_BUILD_NAMESPACE="shop"
# Copying in source code
COPY --chown=1001:0 upload/src /tmp/src
USER 1001
# Assemble script sourced from builder image based on user input or image metadata.
# If this file does not exist in the image, the build will fail.
RUN /usr/libexec/s2i/assemble
# Run script sourced from builder image based on user input or image metadata.
# If this file does not exist in the image, the build will fail.
CMD /usr/libexec/s2i/run
"#
    );
}

/// Every part there is, with hostile values in it.
fn whole() -> S2i {
    let revision = SourceRevision {
        commit: "0123abc".into(),
        author: "Jane <jane@example.com>".into(),
        message: "Say \"hi\" for $5\n\nRUN evil".into(),
        ..SourceRevision::default()
    };
    let mut builder = image(
        &[
            ("io.openshift.s2i.destination", "/opt/s2i//"),
            ("io.openshift.s2i.scripts-url", "image:///usr/local/s2i"),
            ("io.openshift.s2i.assemble-user", "builder:0"),
        ],
        &[],
    );
    (builder.user, builder.work_folder) = ("1001".into(), "/srv/app".into());
    S2i {
        builder,
        scripts: Some("https://example.com/scripts".into()),
        uploaded: [Script::Assemble, Script::SaveArtifacts].into(),
        previous: Some("registry.example.com/shop/web@sha256:11".into()),
        environment: list(&[("MODE", "a b"), ("OPENSHIFT_BUILD_NAME", "other")]),
        env: list(&[("MODE", "$HOME\nUSER root"), ("EMPTY", "")]),
        provenance: Provenance {
            source: Some("https://u:p@git.example.com/web.git".into()),
            reference: Some("v1".into()),
            revision: Some(revision),
            context_dir: Some("app".into()),
            ..plain().provenance
        },
        image_labels: map(&[("team", "shop"), ("io.openshift.build.commit.id", "mine")]),
        injections: vec![
            secret("", &["user", "pass word"]),
            Injection { destination: "etc/it's $x".into(), ..Injection::default() },
            secret("/etc/keys", &["a/b"]),
        ],
        allowed_uids: UidRanges::default(),
    }
}

#[test]
fn b045_every_part_has_its_place() {
    assert_eq!(
        whole().dockerfile().unwrap(),
        r#"FROM registry.example.com/shop/web@sha256:11 as cached
# Copying in override save-artifacts script
COPY --chown=builder:0 upload/scripts/save-artifacts /opt/s2i/scripts/save-artifacts
USER builder
RUN if [ -s /opt/s2i/scripts/save-artifacts ]; then /opt/s2i/scripts/save-artifacts > /tmp/artifacts.tar; else touch /tmp/artifacts.tar; fi
FROM quay.io/team/builder@sha256:00
LABEL "io.openshift.build.commit.author"="Jane <jane@example.com>" \
      "io.openshift.build.commit.id"="mine" \
      "io.openshift.build.commit.message"="Say \"hi\" for \$5" \
      "io.openshift.build.commit.ref"="v1" \
      "io.openshift.build.image"="quay.io/team/builder@sha256:00" \
      "io.openshift.build.source-context-dir"="app" \
      "io.openshift.build.source-location"="https://git.example.com/web.git" \
      "io.openshift.s2i.destination"="/opt/s2i//" \
      "io.openshift.s2i.scripts-url"="https://example.com/scripts" \
      "team"="shop"
ENV MODE="a b" \
    OPENSHIFT_BUILD_NAME="other" \
    OPENSHIFT_BUILD_COMMIT="0123abc" \
    OPENSHIFT_BUILD_NAME="web-1" \
    OPENSHIFT_BUILD_NAMESPACE="shop" \
    OPENSHIFT_BUILD_REFERENCE="v1" \
    OPENSHIFT_BUILD_SOURCE="https://git.example.com/web.git" \
    MODE="\$HOME\nUSER root" \
    EMPTY=""
COPY --chown=builder:0 --from=cached /tmp/artifacts.tar /tmp/artifacts.tar
# Copying in override assemble/run scripts
COPY --chown=builder:0 upload/scripts /opt/s2i/scripts
# Copying in source code
COPY --chown=builder:0 upload/src /opt/s2i/src
# Copying in injected content
COPY --chown=builder:0 upload/injections/0 /srv/app
COPY --chown=builder:0 ["upload/injections/1","/srv/app/etc/it\\'s \\$x"]
COPY --chown=builder:0 upload/injections/2 /etc/keys
USER builder
# Extract artifact content
RUN if [ -s /tmp/artifacts.tar ]; then mkdir -p /opt/s2i/artifacts; tar -xf /tmp/artifacts.tar -C /opt/s2i/artifacts; fi && \
    rm /tmp/artifacts.tar
RUN /opt/s2i/scripts/assemble
# Cleaning up injected secret content
RUN { rm -f /srv/app/user 2>/dev/null || : > /srv/app/user; } && \
    { rm -f '/srv/app/pass word' 2>/dev/null || : > '/srv/app/pass word'; } && \
    { rm -f /etc/keys/a/b 2>/dev/null || : > /etc/keys/a/b; }
# Run script sourced from builder image based on user input or image metadata.
# If this file does not exist in the image, the build will fail.
CMD /usr/local/s2i/run
"#
    );
}

#[test]
fn b045_root_needs_no_user_and_an_odd_folder_is_quoted() {
    let mut build = plain();
    build.builder.user = "root:root".into();
    build.scripts = Some("image:///opt/it's here".into());
    build.uploaded = Script::ALL.into();
    let text = build.dockerfile().unwrap();
    let lines: Vec<_> =
        text.lines().filter(|line| !line.starts_with(['#', 'E', ' ', 'F'])).collect();
    assert_eq!(
        lines,
        [
            "LABEL \"io.openshift.build.image\"=\"quay.io/team/builder@sha256:00\" \\",
            "COPY --chown=root:0 upload/src /tmp/src",
            "RUN '/opt/it'\\''s here/assemble'",
            "CMD '/opt/it'\\''s here/run'",
        ]
    );
}

#[test]
fn b046_scripts_come_from_the_strategy_then_the_sources_then_the_image() {
    let (label, old, variable) =
        ("io.openshift.s2i.scripts-url", "io.s2i.scripts-url", "STI_SCRIPTS_URL=image:///env");
    let sources = |urls: &[&str]| -> Vec<ScriptSource> {
        let url = |url: &str| match url {
            "" => ScriptSource::Sources,
            url => ScriptSource::Url(url.into()),
        };
        urls.iter().map(|text| url(text)).collect()
    };
    let all = [(label, "image:///new"), (old, "image:///old")];
    for (scripts, labels, env, folder, expected) in [
        ("", &all[..0], "", "/usr/libexec/s2i", &[""][..]),
        ("", &all[..0], variable, "/env", &[""]),
        ("", &all[1..], variable, "/old", &[""]),
        ("", &all, variable, "/new", &[""]),
        ("image:///mine", &all, variable, "/mine", &[]),
        ("http://x/s", &all, variable, "/new", &["http://x/s", ""]),
        ("", &[(label, "https://y"), all[1]], "", "/old", &["", "https://y"]),
        (
            "https://x",
            &[(label, "https://y")],
            "",
            "/usr/libexec/s2i",
            &["https://x", "", "https://y"],
        ),
        ("", &[(label, "")], "STI_SCRIPTS_URL=", "/usr/libexec/s2i", &[""]),
        ("", &[(label, "/no/scheme")], "", "/usr/libexec/s2i", &[""]),
    ] {
        let plan = script_plan(Some(scripts), &image(labels, &["A=b", env])).unwrap();
        let expected = ScriptPlan { folder: folder.into(), sources: sources(expected) };
        assert_eq!(plan, expected, "{scripts} {labels:?} {env}");
    }
    assert_eq!(Script::SaveArtifacts.paths_in_sources()[0], ".s2i/bin/save-artifacts");
    assert_eq!(
        script_plan(Some("file:///x\n"), &image(&[], &[])).unwrap_err().to_string(),
        "scripts are at \"file:///x\\n\", which is neither `image://`, `http://` nor `https://`"
    );
}

#[test]
fn b047_the_user_is_that_of_the_label_or_the_image_and_must_be_allowed() {
    for (label, user, expected) in [
        (None, "", "1001"),
        (None, "1002", "1002"),
        (None, " default:root ", "default"),
        (Some("1003:0"), "1002", "1003"),
        (Some(""), "1002", "1001"),
    ] {
        let labels: Vec<_> = label.map(|label| (user::LABEL, label)).into_iter().collect();
        let builder = BuilderImage { user: user.into(), ..image(&labels, &[]) };
        assert_eq!(assemble_user(&builder), expected);
    }
    let ranges = |text: &str| UidRanges::parse(text).unwrap();
    for (text, allowed, not) in [
        ("1-", &["1", "1001", "4294967295"][..], &["0", "00", "root", "", "-1"][..]),
        ("5, 7-9", &["5", "7", "9"], &["4", "6", "10"]),
        ("-9", &["0", "9"], &["10"]),
        ("", &["0", "root"], &[]),
    ] {
        let ranges = ranges(text);
        assert!(allowed.iter().all(|user| ranges.allow(user)), "{text}");
        assert!(not.iter().all(|user| !ranges.allow(user)), "{text}");
        assert_eq!(UidRanges::parse(&ranges.to_string()), Some(ranges));
    }
    for text in ["x", "-", "1-2-3", "9-1", "1,x"] {
        assert_eq!(UidRanges::parse(text), None);
    }
    let mut build = plain();
    (build.builder.user, build.allowed_uids) = ("root".into(), ranges("1-,0"));
    assert_eq!(
        fails(&build),
        "assemble would run as \"root\", and only users 1-,0 may; set `io.openshift.s2i.assemble-user` on the builder image"
    );
    (build.builder.user, build.allowed_uids) = ("0\nRUN x".into(), UidRanges::default());
    assert_eq!(fails(&build), "\"0\\nRUN x\" is no user");
}

#[test]
fn b048_artifacts_are_carried_over_only_from_an_image_that_is_there() {
    let mut build = plain();
    assert!(!build.dockerfile().unwrap().contains("artifacts"));
    build.previous = Some("web:latest".into());
    let text = build.dockerfile().unwrap();
    let script = "/usr/libexec/s2i/save-artifacts";
    let save = format!(
        "RUN if [ -s {script} ]; then {script} > /tmp/artifacts.tar; else touch /tmp/artifacts.tar; fi"
    );
    assert!(text.starts_with("FROM web:latest as cached\n"));
    assert!(text.contains(&save), "{text}");
}

#[test]
fn b049_files_are_ignored_as_source_to_image_does_it() {
    let paths = [
        ".git",
        ".git/config",
        ".s2iignore",
        "README.md",
        "a",
        "a/b.md",
        "a/c",
        "a/c/d.md",
        "docs",
        "docs/a.md",
        "docs/keep.md",
        "x[1]",
        "ü.md",
    ];
    let paths: BTreeSet<String> = paths.map(str::to_owned).into();
    let check = |ignore: &str, expected: &[&str]| {
        let found: Vec<_> = ignored(ignore, &paths).into_iter().collect();
        assert_eq!(found, expected, "{ignore:?}");
    };
    check("# a\n\n  \n", &[]);
    check(" .git \r\n", &[".git"]);
    // What is hidden is matched, and no folder but that which is named.
    check("*", &[".git", ".s2iignore", "README.md", "a", "docs", "x[1]", "ü.md"]);
    check("*.md", &["README.md", "ü.md"]);
    check("*/*.md", &["a/b.md", "docs/a.md", "docs/keep.md"]);
    check("?.md\n[^a]", &["ü.md"]);
    check("./a//c/../b.md", &["a/b.md"]);
    check("/docs/", &["docs"]);
    check("x\\[1\\]", &["x[1]"]);
    check("x[[]1]", &["x[1]"]);
    check("[A-R]*\n[x-ü].md\na/[b-c]", &["README.md", "a/c", "ü.md"]);
    // Lines behind it count again.
    check("docs/*\n!docs/keep.md", &["docs/a.md"]);
    check("docs/*\n!docs/k*\ndocs/keep.md", &["docs/a.md", "docs/keep.md"]);
    check("docs\n!docs/keep.md", &["docs"]);
    check("!*\na", &["a"]);
    // No pattern, and nothing outside of the sources.
    check("[\n[]a]\n\\\na[\n[a-\n[-a]\n[^]\n..\n../*\n.\n/\n!", &[]);
    // Where Go goes back to the last star only, and no star goes over a slash.
    check("a*d.md\n*c*d.md", &[]);
}

#[test]
fn b049_a_long_pattern_takes_little_time() {
    let name = "a".repeat(20_000);
    let pattern = format!("{}b", "a*".repeat(200));
    assert_eq!(ignored(&pattern, &[name].into()).len(), 0);
}

#[test]
fn b045_the_environment_of_the_sources_is_read() {
    let read =
        environment("# c\n\nA=1\r\n B = two = 2 \nexport C=1\n=x\nno\n D=\n#E=1\n1F=x\nG=\"q\" #");
    let expected = [("A", "1"), ("B", "two = 2"), ("D", ""), ("G", "\"q\" #")];
    assert_eq!(read.values, list(&expected));
    assert_eq!(read.unread, [5, 6, 7, 10]);
}

#[test]
fn b050_sources_lie_in_one_layer_and_labels_and_scripts_of_the_manifest_count() {
    let text = whole().dockerfile().unwrap();
    // source-to-image#1119: a later chown has every file twice.
    assert!(!text.contains("chown ") && text.contains("COPY --chown=builder:0 upload/src"));
    // source-to-image#973, source-to-image#1124.
    assert!(text.contains("\"team\"=\"shop\"") && text.contains("RUN /opt/s2i/scripts/assemble\n"));
}

#[test]
fn x042_variables_that_stay_in_the_image_and_sound_secret_are_named() {
    let names = ["DB_PASSWORD", "ApiToken", "AUTHOR", "KEYBOARD", "SECRET_KEY", "PATH"];
    assert_eq!(kept_secrets(names.into_iter()), ["DB_PASSWORD", "ApiToken", "SECRET_KEY"]);
}

#[test]
fn x043_an_image_of_the_source_strategy_does_not_name_its_build() {
    let names: Vec<_> = values(&whole().dockerfile().unwrap(), "label");
    assert!(
        names.iter().all(|(name, _)| !name.ends_with("build.name") && !name.ends_with("namespace"))
    );
}

#[test]
fn b045_what_cannot_stand_in_a_dockerfile_is_refused() {
    let with = |change: fn(&mut S2i)| {
        let mut build = plain();
        change(&mut build);
        fails(&build)
    };
    assert_eq!(
        with(|build| build.builder.reference = "a\nRUN x".into()),
        "\"a\\nRUN x\" is no image"
    );
    assert_eq!(with(|build| build.previous = Some("a b".into())), "\"a b\" is no image");
    assert_eq!(with(|build| build.env = list(&[("A B", "")])), "\"A B\" is no name of a variable");
    assert_eq!(
        with(|build| build.image_labels = map(&[("a=b", "")])),
        "\"a=b\" is no name of a label"
    );
    assert_eq!(
        with(|build| build.injections = vec![secret("/a\nb", &[])]),
        "\"/a\\nb\" is no path"
    );
    assert_eq!(
        with(|build| build.injections = vec![secret("/a", &["b\r"])]),
        "\"/a/b\\r\" is no path"
    );
    assert_eq!(with(|build| build.scripts = Some("image://".into())), "\"\" is no path");
    assert_eq!(
        with(|build| drop(build.builder.labels.insert(LABEL_DESTINATION.into(), "/a\0".into()))),
        "\"/a\\0\" is no path"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn b045_no_value_becomes_an_instruction(
        values_of in prop::collection::vec("[ -~\n\r\t\"'$#\\\\`ä]{0,20}", 8),
        incremental: bool,
        uploaded: bool,
    ) {
        let [a, b, c, d, e, f, g, h] = values_of.as_slice() else { unreachable!() };
        let mut build = whole();
        build.environment = list(&[("A", a)]);
        build.env = list(&[("B", b)]);
        build.image_labels = map(&[("l", c)]);
        build.provenance.source = Some(format!("https://{d}"));
        build.provenance.revision.as_mut().unwrap().message.clone_from(e);
        build.injections = vec![secret(f, &[g])];
        build.builder.labels.insert(LABEL_DESTINATION.into(), h.clone());
        if !incremental {
            build.previous = None;
        }
        if !uploaded {
            build.uploaded.clear();
        }
        let Ok(text) = build.dockerfile() else {
            let is_odd = |text: &String| text.contains(['\n', '\r', '\t']) ;
            prop_assert!([f, g, h].into_iter().any(is_odd));
            return Ok(());
        };
        let found: Vec<_> = instructions(&text).into_iter().map(|line| line.split(' ').next().unwrap().to_owned()).collect();
        let cached = ["FROM", "COPY", "USER", "RUN"];
        let cached = if uploaded { &cached[..] } else { &["FROM", "USER", "RUN"] };
        let mut expected = if incremental { cached.to_vec() } else { Vec::new() };
        expected.extend(["FROM", "LABEL", "ENV"]);
        expected.extend(["COPY"].repeat(2 + usize::from(incremental) + usize::from(uploaded)));
        expected.push("USER");
        expected.extend(["RUN"].repeat(2 + usize::from(incremental)));
        expected.push("CMD");
        prop_assert_eq!(found, expected, "{}", text);
        let shown = |text: &str| text.replace('\n', "\\n").replace('\r', "\\r");
        let env: BTreeMap<_, _> = values(&text, "env").into_iter().collect();
        prop_assert_eq!(&env["A"], &shown(a));
        prop_assert_eq!(&env["B"], &shown(b));
        let labels: BTreeMap<_, _> = values(&text, "label").into_iter().collect();
        prop_assert_eq!(&labels["l"], &shown(c));
    }
}
