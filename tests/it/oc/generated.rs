//! Streams of any content: nothing that shows them panics, and what is shown can be read.

use std::collections::BTreeMap;

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde_json::Value;
use tidegate::api::view;
use tidegate::api::{
    ImageStream, ImageStreamSpec, ImageStreamStatus, ImportPolicy, LookupPolicy, NamedTagEventList,
    ObjectMeta, ObjectReference, ReferencePolicy, RepositoryStatus, TagEvent, TagEventCondition,
    TagReference, Time,
};
use tidegate::oc;
use tidegate::oc::table::{Shape, Table};
use tidegate::time::Timestamp;

/// Text as people write it, and text as nobody should.
fn text() -> impl Strategy<Value = String> {
    let spelled = prop_oneof![
        Just("3.6"),
        Just("latest"),
        Just("v1.0.0-rc1"),
        Just("true"),
        Just("null"),
        Just("~"),
        Just("0x1f"),
        Just("1e3"),
        Just("2026-11-21"),
        Just("a: b"),
        Just("- a"),
        Just("#"),
        Just("line one\nline two\n"),
        Just("tab\there"),
        Just(" blank "),
        Just("\u{85}\u{2028}\u{feff}"),
        Just("\r\u{c}\u{1b}[1m\0"),
        Just("quay.io/org/app:1"),
        Just(
            "quay.io/org/app@sha256:1111111111111111111111111111111111111111111111111111111111111111"
        ),
        Just("sha256:1111111111111111111111111111111111111111111111111111111111111111"),
    ];
    prop_oneof![
        1 => Just(String::new()),
        3 => spelled.prop_map(str::to_owned),
        2 => any::<String>(),
        1 => "[ a-z]{100,140}",
    ]
}

fn map() -> impl Strategy<Value = BTreeMap<String, String>> {
    btree_map(text(), text(), 0..3)
}

fn time() -> impl Strategy<Value = Option<Time>> {
    let millis = -2_000_000_000_000..4_000_000_000_000_i64;
    proptest::option::of(millis.prop_map(|millis| Time::of(Timestamp::from_millis(millis))))
}

fn kind() -> impl Strategy<Value = String> {
    let known = ["DockerImage", "ImageStreamTag", "ImageStreamImage"].map(str::to_owned);
    prop_oneof![3 => proptest::sample::select(known.to_vec()), 1 => text()]
}

fn spec_tag() -> impl Strategy<Value = TagReference> {
    let from = (kind(), text(), text());
    let from = from.prop_map(|(kind, name, namespace)| ObjectReference { kind, name, namespace });
    let policy = (text(), any::<bool>(), any::<bool>());
    let policy = policy.prop_map(|(import_mode, insecure, scheduled)| ImportPolicy {
        import_mode,
        insecure,
        scheduled,
    });
    let (from, generation) = (proptest::option::of(from), proptest::option::of(any::<i64>()));
    let rest = (proptest::option::of(map()), text(), any::<bool>(), text());
    (from, generation, policy, rest).prop_map(
        |(from, generation, import_policy, (annotations, name, reference, r#type))| TagReference {
            annotations,
            from,
            generation,
            import_policy,
            name,
            reference,
            reference_policy: ReferencePolicy { r#type },
        },
    )
}

fn condition() -> impl Strategy<Value = TagEventCondition> {
    let failure = Just("ImportSuccess".to_owned());
    let strategy = (any::<i64>(), time(), text(), text(), text(), prop_oneof![failure, text()]);
    strategy.prop_map(|(generation, last_transition_time, message, reason, status, r#type)| {
        TagEventCondition { generation, last_transition_time, message, reason, status, r#type }
    })
}

fn status_tag() -> impl Strategy<Value = NamedTagEventList> {
    let item = (time(), text(), any::<i64>(), text());
    let item = item.prop_map(|(created, docker_image_reference, generation, image)| TagEvent {
        created,
        docker_image_reference,
        generation,
        image,
    });
    (vec(condition(), 0..3), vec(item, 0..4), text())
        .prop_map(|(conditions, items, tag)| NamedTagEventList { conditions, items, tag })
}

fn stream() -> impl Strategy<Value = ImageStream> {
    let meta = (map(), time(), any::<i64>(), map(), text(), text());
    let meta =
        meta.prop_map(|(annotations, creation_timestamp, generation, labels, name, namespace)| {
            ObjectMeta {
                annotations,
                creation_timestamp,
                generation,
                labels,
                name,
                namespace,
                ..ObjectMeta::default()
            }
        });
    let spec = (text(), any::<bool>(), vec(spec_tag(), 0..5));
    let spec = spec.prop_map(|(docker_image_repository, local, tags)| ImageStreamSpec {
        docker_image_repository,
        lookup_policy: LookupPolicy { local },
        tags,
    });
    let listing = (vec(text(), 0..3), vec(condition(), 0..2));
    let listing = listing
        .prop_map(|(additional_tags, conditions)| RepositoryStatus { additional_tags, conditions });
    let status = (text(), text(), vec(status_tag(), 0..5), proptest::option::of(listing));
    let status = status.prop_map(
        |(docker_image_repository, public_docker_image_repository, tags, repository)| {
            ImageStreamStatus {
                docker_image_repository,
                public_docker_image_repository,
                tags,
                repository,
            }
        },
    );
    (meta, spec, status).prop_map(|(metadata, spec, status)| ImageStream { metadata, spec, status })
}

/// Each line has its columns where the header has them.
fn stands_in_columns(table: &Table, shape: Shape<'_>) -> Result<(), TestCaseError> {
    let text = table.to_text(shape);
    if table.rows.is_empty() {
        prop_assert_eq!(text, "");
        return Ok(());
    }
    let mut lines = text.split('\n');
    let header: Vec<char> = lines.next().unwrap_or_default().chars().collect();
    let starts = (0..header.len()).filter(|at| {
        header[*at] != ' ' && (*at == 0 || *at > 1 && header[at - 2..*at] == [' ', ' '])
    });
    let starts: Vec<usize> = starts.collect();
    let wide = if shape.wide { table.wide.len() } else { 0 };
    prop_assert_eq!(starts.len(), table.columns.len() + wide + usize::from(shape.namespaces));
    for (row, line) in table.rows.iter().zip(lines.by_ref()) {
        let line: Vec<char> = line.chars().collect();
        let namespace = shape.namespaces.then_some(&row.namespace);
        let cells = row.cells.iter().chain(row.wide.iter().filter(|_| shape.wide));
        for (cell, start) in namespace.into_iter().chain(cells).zip(&starts) {
            let shown = cell.split(['\n', '\r', '\u{c}']).next().unwrap_or_default();
            let shown: Vec<char> = shown.replace('\t', " ").chars().collect();
            let found = line.get(*start..*start + shown.len());
            prop_assert_eq!(found, Some(shown.as_slice()), "{:?}", text);
            prop_assert!(*start == 0 || line[start - 3..*start] == [' '; 3], "{:?}", text);
        }
    }
    prop_assert_eq!(lines.collect::<Vec<_>>(), [""], "a line for each row");
    Ok(())
}

proptest! {
    #[test]
    fn any_stream_is_shown_and_can_be_read_back(
        streams in vec(stream(), 1..3),
        now in 0..4_000_000_000_000_i64,
    ) {
        let now = Timestamp::from_millis(now);
        for stream in &streams {
            let _text = oc::stream::describe(stream, now);
            let value = serde_json::to_value(stream).unwrap();
            let yaml = oc::yaml::document(&value);
            let read: Value = serde_yaml::from_str(&yaml)
                .map_err(|error| TestCaseError::fail(format!("{error}: {yaml:?}")))?;
            prop_assert_eq!(&read, &value, "{}", yaml);
            let json = serde_json::to_string_pretty(&value).unwrap();
            prop_assert_eq!(&serde_json::from_str::<ImageStream>(&json).unwrap(), stream);
        }
        let stream_tags: Vec<_> = streams.iter().flat_map(|stream| {
            let tags = stream.status.tags.iter();
            tags.filter_map(|tag| view::stream_tag(stream, &tag.tag, None)).collect::<Vec<_>>()
        }).collect();
        let image_tags: Vec<_> = streams.iter().flat_map(|stream| {
            let tags = view::tag_names(stream).into_iter();
            tags.filter_map(|tag| view::image_tag(stream, tag, None)).collect::<Vec<_>>()
        }).collect();
        let tables = [
            oc::get::streams(&streams, now),
            oc::get::stream_tags(&stream_tags, now),
            oc::get::image_tags(&image_tags, now),
        ];
        for table in &tables {
            for (wide, namespaces) in [(false, false), (true, true)] {
                stands_in_columns(table, Shape { wide, namespaces, ..Shape::default() })?;
            }
        }
    }
}
