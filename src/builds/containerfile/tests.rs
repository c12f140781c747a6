use super::reading::{instructions, values};
use super::*;
use proptest::prelude::*;

const DIGEST: &str = "quay.io/team/base@sha256:00";

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn from(image: &str) -> Edits {
    Edits { from: Some(image.into()), ..Edits::default() }
}

fn images(pairs: &[(&str, &str)]) -> Edits {
    Edits { images: map(pairs), ..Edits::default() }
}

fn env(pairs: &[(&str, &str)]) -> Edits {
    let env = pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    Edits { env, ..Edits::default() }
}

/// What every build adds, hostile.
fn end() -> Edits {
    Edits {
        end_env: map(&[("B", "1"), ("A", "two\nRUN evil")]),
        end_labels: map(&[("io.x", "$HOME \"q\" \\"), ("a \"b\"", "")]),
        ..Edits::default()
    }
}

fn check(text: &str, edits: &Edits, expected: &str) {
    assert_eq!(edit(text, edits).as_deref(), Ok(expected), "{text}");
}

#[test]
fn b036_the_inline_dockerfile_goes_where_the_build_looks_for_one() {
    for (context, path, expected) in [
        (None, None, Some("Dockerfile")),
        (Some(""), Some(""), Some("Dockerfile")),
        (Some("app/"), None, Some("app/Dockerfile")),
        (Some("/app"), Some("docker/Containerfile"), Some("app/docker/Containerfile")),
        (Some("."), Some("./x/../Dockerfile.prod"), Some("Dockerfile.prod")),
        (Some("a/b"), Some("../Dockerfile"), Some("a/Dockerfile")),
        (Some("../app"), None, None),
        (Some("a/../.."), None, None),
        (None, Some("../../etc/passwd"), None),
        (Some("a"), Some("/etc/passwd"), Some("a/etc/passwd")),
        (Some("a"), Some(".."), None),
    ] {
        assert_eq!(dockerfile_path(context, path).as_deref(), expected, "{context:?} {path:?}");
    }
}

#[test]
fn b039_x041_the_image_of_the_strategy_is_that_of_the_last_stage() {
    check(
        "FROM golang:1.22 AS build\nRUN make\n\nFROM --platform=linux/amd64  httpd:2.4   as web # x\nCOPY --from=build /a /b\n",
        &from(DIGEST),
        "FROM golang:1.22 AS build\nRUN make\n\nFROM --platform=linux/amd64  quay.io/team/base@sha256:00   as web # x\nCOPY --from=build /a /b\n",
    );
    // Over several lines, without an end, in any case.
    check("from \\\n# why\n\n  ht\\\ntpd", &from("x"), "from \\\n# why\n\n  x");
    check("FROM $BASE", &from("x"), "FROM x");
}

#[test]
fn b039_variables_of_the_strategy_are_there_in_every_stage() {
    check(
        "ARG V=1\nFROM a:$V AS one\nRUN x\nFROM b",
        &env(&[("GREETING", "say \"$HOME\" \\n"), ("E", "")]),
        "ARG V=1\nFROM a:$V AS one\n\
         ENV GREETING=\"say \\\"\\$HOME\\\" \\\\n\" \\\n    E=\"\"\n\
         RUN x\nFROM b\n\
         ENV GREETING=\"say \\\"\\$HOME\\\" \\\\n\" \\\n    E=\"\"\n",
    );
    // Where another character continues lines, `\` escapes nothing that ends a word.
    check(
        "# escape=`\nFROM a\n",
        &env(&[("A", "it's $x \\"), ("B", "2")]),
        "# escape=`\nFROM a\nENV A='it'\"'\"'s $x \\' `\n    B='2'\n",
    );
}

#[test]
fn b039_images_stand_for_names_that_are_no_stages() {
    check(
        "FROM base AS build\nFROM build\nCOPY --chown=1:1 --from=tools /a /b\nCOPY --from=build /c /d\n\
         COPY --from=0 /e /f\nRUN --mount=type=bind,from=tools,target=/t true\nFROM \"base\"\nONBUILD COPY --from=tools a b\n",
        &images(&[("base", "x"), ("build", "no"), ("tools", "y:1"), ("0", "no")]),
        "FROM x AS build\nFROM build\nCOPY --chown=1:1 --from=y:1 /a /b\nCOPY --from=build /c /d\n\
         COPY --from=0 /e /f\nRUN --mount=type=bind,from=y:1,target=/t true\nFROM \"base\"\nONBUILD COPY --from=tools a b\n",
    );
    // The strategy comes before the sources; one asks for what is written.
    let both = Edits { from: Some("z".into()), ..images(&[("base", "x"), ("$B", "w")]) };
    check("FROM $B\nFROM base\n", &both, "FROM w\nFROM z\n");
    check(
        "FROM a\nRUN --mount=type=bind,\"from=t\",target=\"/a b\" true",
        &images(&[("t", "y")]),
        "FROM a\nRUN --\"mount=type=bind,from=y,target=/a b\" true",
    );
}

#[test]
fn b040_b041_variables_and_labels_come_last_and_sorted() {
    check(
        "FROM a\nCMD [\"x\"]",
        &end(),
        "FROM a\nCMD [\"x\"]\n\
         ENV A=\"two\\nRUN evil\" \\\n    B=\"1\"\n\
         LABEL \"a \\\"b\\\"\"=\"\" \\\n      \"io.x\"=\"\\$HOME \\\"q\\\" \\\\\"\n",
    );
    check("FROM a\n# end \\\n", &env(&[]), "FROM a\n# end \\\n");
}

#[test]
fn b039_what_is_added_does_not_become_part_of_what_stands_there() {
    let one = Edits { end_env: map(&[("A", "1")]), ..Edits::default() };
    let lines = "ENV A=\"1\"\n";
    // A comment ends with its line, a line that goes on does not.
    check("FROM a\n# end \\", &one, &format!("FROM a\n# end \\\n{lines}"));
    check("FROM a \\", &one, &format!("FROM a\n{lines}"));
    check("FROM a\nRUN b \\\n\n# c\n \\ \n", &one, &format!("FROM a\nRUN b\n{lines}"));
    check("FROM a\n\\\n  \\\n", &one, &format!("FROM a\n{lines}"));
    check("FROM a\nRUN echo \\\\\n", &one, &format!("FROM a\nRUN echo \\\u{c}\n{lines}"));
    check("FROM a \\\n\\", &from("b"), "FROM b \\\n\\");
    check("FROM a\r\nRUN b\r\n", &one, &format!("FROM a\r\nRUN b\r\n{lines}"));
    check("\u{feff}FROM a", &from("b"), "\u{feff}FROM b");
    // A line of a here-document is no instruction; one that nothing ends is none.
    let document = "FROM a\nRUN <<-EOF cat 3<<'B B' && true\nFROM x\n\tEOF\nFROM y\nB B\nCOPY <<E /f\nFROM z\nE\n";
    check(document, &from("b"), &document.replacen("FROM a", "FROM b", 1));
    check(
        "FROM a\nRUN echo $((1 <<2)) <<\nFROM x",
        &from("b"),
        "FROM a\nRUN echo $((1 <<2)) <<\nFROM b",
    );
    check("FROM a\nRUN [\"<<E\"]\nFROM x\nE", &from("b"), "FROM a\nRUN [\"<<E\"]\nFROM b\nE");
    check("FROM a\nONBUILD RUN <<E\nFROM x\nE", &from("b"), "FROM b\nONBUILD RUN <<E\nFROM x\nE");
}

#[test]
fn b039_a_dockerfile_that_makes_no_image_is_refused() {
    let fails = |text: &str, edits: &Edits| edit(text, edits).unwrap_err().to_string();
    assert_eq!(fails("", &end()), "the Dockerfile has no `FROM`");
    assert_eq!(fails("# FROM a\nRUN FROM b\nFROMX c", &end()), "the Dockerfile has no `FROM`");
    assert_eq!(fails("ARG a\n\nFROM --platform=x", &end()), "the `FROM` in line 3 names no image");
    for text in ["#escape=x\nFROM a", "# Escape = \nFROM a", "#escape=`\n#escape=`\nFROM a"] {
        assert_eq!(edit(text, &end()), Err(EditError::Escape), "{text:?}");
    }
    // Behind anything else it is a comment, and one without a value is another.
    for text in ["\n#escape=x\nFROM a", "# syntax=x\n#escape=x\nFROM a", "#escape=\nFROM a"] {
        assert!(edit(text, &end()).is_ok(), "{text:?}");
    }
    let long = format!("FROM a\nRUN {}", "x".repeat(65_532));
    assert_eq!(
        fails(&long, &end()),
        "line 2 of the Dockerfile has more than 65,535 bytes; break it, as buildah may drop what is behind it"
    );
    assert!(edit(&long[..long.len() - 1], &end()).is_ok());
    assert_eq!(fails("FROM a", &from("b c")), "\"b c\" is no image");
    assert_eq!(fails("FROM a", &images(&[("c", "b\nRUN x")])), "\"b\\nRUN x\" is no image");
    assert_eq!(fails("FROM a", &env(&[("A=B", "")])), "\"A=B\" is no name of a variable");
    let label = Edits { end_labels: map(&[("a\nRUN x", "")]), ..Edits::default() };
    assert_eq!(fails("FROM a", &label), "\"a\\nRUN x\" is no name of a label");
}

#[test]
fn b039_a_value_of_any_length_is_written_in_lines_that_buildah_reads() {
    let value = "#\\$ x\n".repeat(20_000);
    for text in ["FROM a\n", "#escape=`\nFROM a\n"] {
        let edited = edit(text, &env(&[("A", &value)])).unwrap();
        assert!(edited.lines().all(|line| line.len() < 60_000));
        assert_eq!(values(&edited, "env"), [("A".to_owned(), value.replace('\n', "\\n"))]);
    }
}

#[test]
fn b009_the_images_that_a_dockerfile_reads_are_known() {
    let text = "ARG TAG=2.4\nARG BASE=httpd:${TAG}\nARG NONE\n\
                FROM scratch AS empty\nFROM golang:1.22 AS build\nFROM ${BASE} AS web\nFROM $BASE-$TAG\nFROM build\n\
                ARG T=tools\nARG TAG\nCOPY --from=build /a /a\nCOPY --from=1 /a /a\nCOPY --from=${T}:$TAG /b /b\n\
                RUN --mount=type=bind,from=quay.io/x/y,target=/t x\nRUN --mount=type=cache,target=/c --mount=from=empty y\n\
                ONBUILD COPY --from=z a b\nFROM $T\nFROM $NONE\nFROM golang:1.22\nFROM 9\n";
    let found = |args: &[(&str, &str)]| -> Vec<String> {
        let found = images_read(text, &map(args)).unwrap().into_iter();
        found.map(|one| format!("{}={}", one.written, one.image.unwrap_or_default())).collect()
    };
    assert_eq!(
        found(&[]),
        [
            "golang:1.22=golang:1.22",
            "${BASE}=httpd:2.4",
            "$BASE-$TAG=httpd:2.4-2.4",
            "${T}:$TAG=tools:2.4",
            "quay.io/x/y=quay.io/x/y",
            "$T=",
            "$NONE=",
            "9=9"
        ]
    );
    let given = found(&[("TAG", "3"), ("NONE", "n")]);
    assert_eq!(given[1..4], ["${BASE}=httpd:3", "$BASE-$TAG=httpd:3-3", "${T}:$TAG=tools:3"]);
    assert_eq!(given[6], "$NONE=n");
    // What buildah knows of its platform, where it is asked for.
    let of_platform =
        |args: &[(&str, &str)], text: &str| images_read(text, &map(args)).unwrap().remove(0).image;
    let text = "ARG TARGETARCH\nFROM a:$TARGETARCH\n";
    assert_eq!(of_platform(&[], text), None);
    assert_eq!(of_platform(&[("TARGETARCH", "x")], text).as_deref(), Some("a:x"));
    assert_eq!(of_platform(&[], "FROM a:1$TARGETARCH\n").as_deref(), Some("a:1"));
    // Values that double each other are given up.
    let doubled: String = (0..60).map(|n| format!("ARG A{}=$A{n}${{A{n}}}xx\n", n + 1)).collect();
    let read = images_read(&format!("{doubled}FROM $A60\nFROM $A2"), &map(&[])).unwrap();
    assert_eq!(read[0].image, None);
    assert_eq!(read[1].image.as_deref(), Some("xxxxxx"));
    assert_eq!(images_read("RUN x", &map(&[])), Err(EditError::NoFrom));
}

/// Texts that look like a Dockerfile.
fn texts() -> impl Strategy<Value = String> {
    const PARTS: &[&str] = &[
        "FROM ",
        "from a",
        "FROM --platform=x b AS c",
        "COPY --from=",
        "--from=\"b",
        "RUN ",
        "--mount=from=b,x ",
        "<<E",
        "<<-'E'",
        "E",
        "ONBUILD ",
        "ARG A=b",
        "ENV ",
        "$A",
        "${A:-",
        "}",
        "\n",
        "\n",
        "\n",
        "\r\n",
        "\\",
        "`",
        "#",
        "# escape=`",
        "\"",
        "'",
        " ",
        "\t",
        "[\"",
        "]",
        "=",
        "0",
        "ä",
        "\u{feff}",
        "\u{a0}",
        "\\\n",
    ];
    let part = prop_oneof![4 => prop::sample::select(PARTS), 1 => Just("x")];
    prop::collection::vec(part, 0..40).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn an_edited_text_says_the_same_and_what_was_added(text in texts(), value in "[ -~\n\r\t\"'$#\\\\`ä]{0,20}") {
        let edits = Edits {
            env: vec![("E".into(), value.clone()), ("F".into(), String::new())],
            end_env: map(&[("G", &value)]),
            end_labels: map(&[("l", &value)]),
            ..Edits::default()
        };
        let Ok(edited) = edit(&text, &edits) else { return Ok(()) };
        let shown = value.replace('\n', "\\n").replace('\r', "\\r");
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let before = parse(&text).unwrap();
        let mut rest = parse(&edited).unwrap().instructions.into_iter();
        let mut added = Vec::new();
        for instruction in &before.instructions {
            prop_assert_eq!(rest.next().map(|one| one.line), Some(instruction.line.clone()));
            if instruction.keyword == "from" {
                added.extend(rest.next());
            }
        }
        let end: Vec<_> = rest.map(|one| one.keyword).collect();
        prop_assert_eq!(end, ["env", "label"]);
        let is_first = |one: &parse::Instruction| one.keyword == "env";
        prop_assert!(added.iter().all(is_first));
        // Only what was added: with nothing else in it, all variables are ours.
        let alone = edit(if before.escape == '`' { "#escape=`\nFROM a" } else { "FROM a" }, &edits).unwrap();
        let expected = [pair("E", &shown), pair("F", ""), pair("G", &shown)];
        prop_assert_eq!(values(&alone, "env"), expected);
        prop_assert_eq!(values(&alone, "label"), [pair("l", &shown)]);
        let line = instructions(&alone).swap_remove(1);
        prop_assert!(added.iter().all(|one| one.line == line));
    }

    #[test]
    fn whatever_stands_there_is_read_and_stays(text in texts(), any in ".{0,200}") {
        for text in [&text, &any] {
            drop(images_read(text, &map(&[("A", "b")])));
            if let Ok(same) = edit(text, &Edits::default()) {
                prop_assert_eq!(&same, text);
            }
            if let Ok(read) = images_read(text, &map(&[])) {
                let names: Vec<_> = read.iter().map(|one| (one.written.as_str(), "pinned:1")).collect();
                let edited = edit(text, &images(&names)).unwrap();
                let left = images_read(&edited, &map(&[])).unwrap();
                prop_assert!(left.iter().all(|one| one.written == "pinned:1"), "{:?} {}", left, edited);
            }
        }
    }
}
