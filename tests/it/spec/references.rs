//! Image references, and names relative to a stream (section 2).

use tidegate::desired::TagSource;
use tidegate::fact::ImportReason;
use tidegate::names::Digest;
use tidegate::reference::ImageReference;

use crate::adapter::registry::{Ours, check, quick};
use crate::desired::{rejects, stream, with_tag};
use crate::oc::tidegate;

const HEX: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn parse(text: &str) -> ImageReference {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn error(text: &str) -> &'static str {
    text.parse::<ImageReference>().expect_err(text).0
}

#[test]
fn i028_refuses_with_openshifts_words_in_its_order() {
    let long = "a".repeat(256);
    let host = format!("{}.io/{}", "h".repeat(100), "a".repeat(152));
    for (text, expected) in [
        ("", "repository name must have at least one component"),
        ("Python", "repository name must be lowercase"),
        ("quay.io/Team/app:1", "repository name must be lowercase"),
        (&format!("Foo@sha256:{HEX}"), "repository name must be lowercase"),
        ("a//b", "invalid reference format"),
        ("/a", "invalid reference format"),
        ("a/", "invalid reference format"),
        ("a:", "invalid reference format"),
        ("a:.b", "invalid reference format"),
        (&format!("a:{}", "t".repeat(129)), "invalid reference format"),
        ("a b", "invalid reference format"),
        ("-a", "invalid reference format"),
        ("a-", "invalid reference format"),
        ("a..b", "invalid reference format"),
        ("a___b", "invalid reference format"),
        ("a._b", "invalid reference format"),
        ("a@", "invalid reference format"),
        ("a@sha256:abc", "invalid reference format"),
        ("reg:5000x/app", "invalid reference format"),
        ("reg:/app", "invalid reference format"),
        ("[::1]:5000/app", "invalid reference format"),
        ("-reg.io/app", "invalid reference format"),
        ("häfen/app", "invalid reference format"),
        (&long, "repository name must not be more than 255 characters"),
        (&host, "repository name must not be more than 255 characters"),
    ] {
        assert_eq!(error(text), expected, "{text}");
    }
    parse(&"a".repeat(255));
}

#[test]
fn i028_checks_a_digest_after_the_shape() {
    let upper = HEX.to_uppercase();
    for (digest, expected) in [
        (format!("sha256:{upper}"), "invalid checksum digest format"),
        (format!("SHA256:{HEX}"), "invalid checksum digest format"),
        (format!("sha256:{HEX}00"), "invalid checksum digest length"),
        (format!("sha512:{HEX}"), "invalid checksum digest length"),
        (format!("sha512:{HEX}{HEX}"), "unsupported digest algorithm"),
        (format!("md5:{}", &HEX[..32]), "unsupported digest algorithm"),
    ] {
        assert_eq!(error(&format!("app@{digest}")), expected, "{digest}");
    }
    let both = format!("{}@sha256:zz", "a".repeat(256));
    assert_eq!(error(&both), "invalid reference format");
}

#[test]
fn i028_accepts_every_separator_of_the_grammar() {
    for text in ["a.b", "a_b", "a__b", "a-b", "a---b", "0/1.2_3__4--5", "UPPER/app", "a:A_.-9"] {
        assert_eq!(parse(text).to_string(), text);
    }
}

#[test]
fn i029_splits_as_the_vector_table_says() {
    let digest = format!("sha256:{HEX}");
    let with_digest = format!("foo@{digest}");
    let with_both = format!("foo:1@{digest}");
    for (text, registry, namespace, name, tag, id) in [
        ("python", "", "", "python", "", ""),
        ("python:3.6", "", "", "python", "3.6", ""),
        ("centos/python-35-centos7", "", "centos", "python-35-centos7", "", ""),
        ("docker.io/python:3.6.0", "docker.io", "", "python", "3.6.0", ""),
        ("quay.io/a/b/c:x", "quay.io", "a", "b/c", "x", ""),
        ("reg:5000/app", "reg:5000", "", "app", "", ""),
        ("localhost/app", "localhost", "", "app", "", ""),
        ("a/b/c", "", "a", "b/c", "", ""),
        (&with_digest, "", "", "foo", "", &digest),
        (&with_both, "", "", "foo", "1", &digest),
        ("my.image:1.0", "my.image:1.0", "", "", "", ""),
    ] {
        let got = parse(text);
        let text_of = |part: Option<String>| part.unwrap_or_default();
        assert_eq!(text_of(got.registry.clone()), registry, "{text}");
        assert_eq!(text_of(got.namespace.clone()), namespace, "{text}");
        assert_eq!(got.name, name, "{text}");
        assert_eq!(text_of(got.tag.as_ref().map(ToString::to_string)), tag, "{text}");
        assert_eq!(text_of(got.digest.as_ref().map(ToString::to_string)), id, "{text}");
    }
}

#[test]
fn i030_a_registry_alone_is_told_apart() {
    for text in ["my.image:1.0", "my.image", "localhost", "localhostess"] {
        assert!(parse(text).is_registry_only(), "{text}");
        assert_eq!(parse(text).to_string(), text);
        assert_eq!(parse(text).exact(), "");
    }
    assert!(!parse("localhost/app").is_registry_only());
}

#[test]
fn i031_defaults_name_what_is_contacted() {
    for (text, host, path, last) in [
        ("python:3.6", "registry-1.docker.io", "library/python", "3.6"),
        ("docker.io/python", "registry-1.docker.io", "library/python", "latest"),
        ("index.docker.io/a/b", "registry-1.docker.io", "a/b", "latest"),
        ("centos/x", "registry-1.docker.io", "centos/x", "latest"),
        ("quay.io/app", "quay.io", "app", "latest"),
        ("reg:5000/a/b/c:x", "reg:5000", "a/b/c", "x"),
    ] {
        let got = parse(text);
        let seen = (got.registry_host(), got.repository_path(), got.tag_or_digest());
        assert_eq!(seen, (host.into(), path.into(), last.into()), "{text}");
    }
    assert_eq!(parse("quay.io/app").registry_host_port(true), ("quay.io".into(), 80));
    assert_eq!(parse("app").registry_host_port(false), ("registry-1.docker.io".into(), 443));
    assert_eq!(parse("reg:5000/app").registry_host_port(false), ("reg".into(), 5000));
}

#[test]
fn i031_helpers_default_only_what_they_say() {
    let both = parse(&format!("docker.io/python:latest@sha256:{HEX}"));
    assert_eq!(both.name_string(), format!("python@sha256:{HEX}"));
    assert_eq!(both.exact(), format!("docker.io/python@sha256:{HEX}"));
    assert_eq!(both.qualified(), format!("docker.io/library/python@sha256:{HEX}"));
    assert_eq!(both.clone().most_specific().tag, None);
    assert_eq!(both.with_defaults().tag.unwrap().as_str(), "latest");
    assert_eq!(parse("python").qualified(), "python");
    assert_eq!(parse("quay.io/a/b/c:x").repository_name(), "a/b/c");
    assert_eq!(parse("a/b:latest").minimal().to_string(), "a/b");
    let full = "index.docker.io/library/python:latest";
    assert_eq!(parse(full).daemon_minimal().to_string(), "docker.io/python");
    assert!(parse("python").means_same_as(&parse("docker.io/library/python:latest")));
    assert!(!parse("python").means_same_as(&parse("quay.io/library/python")));
}

#[test]
fn i033_status_keeps_the_spelling_and_messages_do_not() {
    let digest: Digest = format!("sha256:{HEX}").parse().unwrap();
    let got = parse("docker.io/python:3.6.0");
    assert_eq!(got.with_digest(&digest), format!("docker.io/python@{digest}"));
    assert_eq!(got.normalized(), "docker.io/library/python:3.6.0");
    assert_eq!(parse("centos/x").with_digest(&digest), format!("centos/x@{digest}"));
    let pinned = parse(&format!("index.docker.io/x:1@{digest}"));
    assert_eq!(pinned.normalized(), format!("docker.io/library/x@{digest}"));
}

#[test]
fn i028_a_tag_says_what_is_wrong_with_its_source() {
    rejects(
        &with_tag("{name: a, from: {kind: DockerImage, name: Foo}}"),
        "6:47 I28 spec.tags[a].from.name: Invalid value: \"Foo\": repository name must be lowercase",
    );
    rejects(
        &with_tag("{name: a, from: {kind: DockerImage, name: 'a b'}}"),
        "invalid reference format",
    );
}

#[test]
fn i030_a_registry_alone_rejects_the_object() {
    rejects(
        &with_tag("{name: a, from: {kind: DockerImage, name: 'my.image:1.0'}}"),
        "I30 spec.tags[a].from.name: Invalid value: \"my.image:1.0\": must name a repository, not only a registry",
    );
}

#[tokio::test]
async fn i030_a_registry_alone_is_refused_without_a_request() {
    let failure = Ours::new(quick()).ask(check("my.image:1.0"), None).await.unwrap_err();
    assert_eq!(failure.reason, ImportReason::Invalid);
    insta::assert_snapshot!(failure.message, @r#" "" is invalid: from.name: Invalid value: "my.image:1.0": must name a repository, not only a registry"#);
}

/// I32: a name without a registry is one of Docker Hub.
#[test]
fn i032_a_short_name_means_docker_hub() {
    for (name, path) in [("python", "library/python"), ("centos/python", "centos/python")] {
        let image = parse(name);
        assert_eq!(image.registry_host(), "registry-1.docker.io");
        assert_eq!(image.repository_path(), path);
    }
}

/// I34: the name of a tag of a stream has one colon, that of an image one `@`.
#[test]
fn i034_names_of_tags_and_images_are_strict() {
    for (kind, name, form) in [
        ("istag", "python", "ImageStreamTags must be retrieved with <name>:<tag>"),
        ("istag", "python:", "ImageStreamTags must be retrieved with <name>:<tag>"),
        ("istag", "a:b:c", "ImageStreamTags must be retrieved with <name>:<tag>"),
        ("isimage", "python", "ImageStreamImages must be retrieved with <name>@<id>"),
        ("isimage", "a@b@c", "ImageStreamImages must be retrieved with <name>@<id>"),
    ] {
        let output = tidegate(&["get", kind, name, "-f", "/dev/null"]);
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(errors, format!("Error from server (BadRequest): {form}\n"), "{kind} {name}");
    }
}

#[test]
fn i035_names_relative_to_the_stream() {
    let source = |from: &str| {
        stream(&with_tag(&format!("{{name: a, from: {{{from}}}}}")))
            .tags
            .values()
            .next()
            .unwrap()
            .from
            .clone()
    };
    let tag = |text: &str| Some(TagSource::Tag(text.parse().unwrap()));
    assert_eq!(source("kind: ImageStreamTag, name: b"), tag("default/web:b"));
    assert_eq!(source("kind: ImageStreamTag, name: 'c:b'"), tag("default/c:b"));
    assert_eq!(source("kind: ImageStreamTag, name: 'c:b', namespace: n"), tag("n/c:b"));
    let image =
        |stream: &str| Some(TagSource::Image { stream: stream.parse().unwrap(), id: "abc".into() });
    assert_eq!(source("kind: ImageStreamImage, name: abc"), image("default/web"));
    assert_eq!(source("kind: ImageStreamImage, name: c@abc"), image("default/c"));
    for name in ["a:b:c", "a@b:c", "a:"] {
        rejects(
            &with_tag(&format!("{{name: a, from: {{kind: ImageStreamTag, name: '{name}'}}}}")),
            "I35 spec.tags[a].from.name: Invalid value",
        );
    }
    rejects(
        &with_tag("{name: a, from: {kind: ImageStreamImage, name: 'a@b@c'}}"),
        "must be of the form <tag>, <repo>:<tag>, <id>, or <repo>@<id>",
    );
}

/// I57: `latest`, then versions of two parts, then those of three, newest first, then names.
#[test]
fn i057_tags_are_ordered_by_importance() {
    for wanted in [
        "latest,2.4,2.4-ubi9,2.4-ubi8,2.4-el8,2.4-el7",
        "latest,5.1,v5.1,v5.1-rc1,3.10,3.9,2.0,5.1.3-other,v5.1.3-other,1.0.1,1.0.0,10,2.0-ubi8-minimal,2020.01.02,5,9,alpine,v5",
        "1.2.3,1.2.3+a,1.2.3+b",
    ] {
        let mut tags: Vec<&str> = wanted.split(',').rev().collect();
        tidegate::oc::order::by_importance(&mut tags);
        assert_eq!(tags.join(","), wanted);
    }
}
