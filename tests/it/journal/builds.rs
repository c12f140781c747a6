//! A fact of each kind about builds.

use std::time::Duration;

use tidegate::fact::{
    BinaryInput, BuildCause, BuildCreated, BuildEnd, BuildEnding, BuildFinished, BuildImage,
    BuildOptions, BuildStage, BuildStarted, BuildTriggered, BuildUse, Fact, Reason, RunPolicy,
    SourceRevision, TagEvent, TagImported, Via, WebhookKind,
};
use tidegate::names::{BuildNumber, ContentHash, Digest, Generation, Incarnation, Seq, StreamTag};
use tidegate::time::{Span, Timestamp};

/// Facts about builds, with every field that they may have.
pub(crate) fn facts() -> Vec<Fact> {
    let created = created();
    let (image, name, build) = (Digest::of(b"image"), created.name.clone(), Seq(30));
    let (output, revision) = (created.output.clone().unwrap(), revision());
    let at = Timestamp::from_millis(1_700_000_000_000);
    let object = created.object.clone();
    let imported = TagImported {
        tag: output,
        event: TagEvent {
            created: at,
            reference: format!("r.io/web@{image}"),
            image: Some(image),
            generation: Generation(1),
        },
        probed: None,
        asked: 0,
        metadata: Some(ContentHash::of(b"metadata")),
        via: Via::Build { object: object.clone(), name: name.clone(), build },
        reason: Reason::Nudged,
    };
    vec![
        Fact::BuildCreated(Box::new(created)),
        Fact::BuildStarted(BuildStarted {
            build,
            object: object.clone(),
            name: name.clone(),
            push: Some("r.io/web:latest".into()),
        }),
        Fact::BuildEnding(BuildEnding {
            build,
            object: object.clone(),
            name: name.clone(),
            end: BuildEnd::Cancelled,
            reason: "CancelledBuild".into(),
            message: "The build was cancelled by the user.".into(),
        }),
        Fact::TagImported(Box::new(imported)),
        Fact::BuildFinished(Box::new(BuildFinished {
            build,
            object,
            name,
            end: BuildEnd::Failed,
            reason: "DockerBuildFailed".into(),
            message: "Dockerfile build strategy has failed.".into(),
            image: Some(image),
            revision: Some(revision),
            stages: vec![BuildStage { name: "FetchInputs".into(), at, took: 1_234 }],
            log: "Zeile 1\nZeile 2".into(),
        })),
    ]
}

fn revision() -> SourceRevision {
    SourceRevision {
        commit: "89abcdef0123456789abcdef0123456789abcdef".into(),
        author: "Ada <ada@example.com>".into(),
        committer: "Bob <bob@example.com>".into(),
        date: "Sat Nov 21 01:02:03 2026 +0000".into(),
        message: "größer".into(),
    }
}

fn images(from: &StreamTag, output: &StreamTag) -> Vec<BuildImage> {
    let (image, base) = (Digest::of(b"image"), Digest::of(b"base"));
    vec![
        BuildImage {
            used: BuildUse::Strategy,
            reference: format!("r.io/base@{base}"),
            from: Some(from.clone()),
            digest: Some(base),
        },
        BuildImage {
            used: BuildUse::Source(0),
            reference: "r.io/tools:1".into(),
            from: None,
            digest: None,
        },
        BuildImage {
            used: BuildUse::Previous,
            reference: format!("r.io/web@{image}"),
            from: Some(output.clone()),
            digest: Some(image),
        },
    ]
}

fn created() -> BuildCreated {
    let (image, base) = (Digest::of(b"image"), Digest::of(b"base"));
    let from: StreamTag = "shop/base:latest".parse().unwrap();
    let output: StreamTag = "shop/web:latest".parse().unwrap();
    let seen = |event, old| BuildCause::Image { from: from.clone(), event, old, image: base };
    let hook = |revision| BuildCause::Webhook { kind: WebhookKind::GitHub, revision };
    let revision = revision();
    BuildCreated {
        object: "BuildConfig/shop/web".parse().unwrap(),
        incarnation: Incarnation(2),
        number: BuildNumber(7),
        name: "web-7".into(),
        policy: RunPolicy::SerialLatestOnly,
        causes: vec![
            BuildCause::Config,
            seen(Seq(12), None),
            seen(Seq(13), Some(image)),
            BuildCause::Manual { by: "uid 0".into() },
            hook(None),
            hook(Some(revision.clone())),
        ],
        triggered: vec![BuildTriggered { from: from.clone(), image: base }],
        images: images(&from, &output),
        options: BuildOptions {
            commit: Some(revision.commit.clone()),
            env: vec![("A".into(), "1".into())],
            build_args: vec![("B".into(), "".into())],
            no_cache: Some(true),
            incremental: Some(false),
            binary: Some(BinaryInput {
                content: ContentHash::of(b"archive"),
                as_file: Some("app.war".into()),
            }),
            clone_of: Some("web-6".into()),
        },
        output: Some(output.clone()),
        push: Some("r.io/other:1".into()),
        commit: "0123456789abcdef0123456789abcdef01234567".parse().unwrap(),
        manifest: ContentHash::of(b"manifest"),
        deadline: Some(Span(Duration::from_secs(600))),
        keeps: (Some(5), None),
        epoch: Some(Timestamp::from_millis(1_700_000_000_000)),
    }
}
