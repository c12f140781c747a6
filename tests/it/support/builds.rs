//! Builds in one line each.

use std::fmt::Write as _;

use tidegate::action::{BuildEnded, BuildReport, BuildRequest, ResolvedImage};
use tidegate::fact::{BuildCause, BuildEnd, Fact};
use tidegate::names::ContentHash;

/// One record about a build.
pub(crate) fn record(kind: &str, fact: &Fact) -> String {
    match fact {
        Fact::BuildCreated(created) => {
            let causes: Vec<_> = created.causes.iter().map(cause).collect();
            let images: Vec<_> = created
                .images
                .iter()
                .map(|image| {
                    let digest =
                        image.digest.map_or_else(|| image.reference.clone(), |d| d.to_string());
                    format!(" {digest}")
                })
                .collect();
            format!("{kind} {} ({}){}", created.name, causes.join("; "), images.concat())
        }
        Fact::BuildStarted(started) => {
            let push = started.push.as_ref().map(|push| format!(" to {push}"));
            format!("{kind} {}{}", started.name, push.unwrap_or_default())
        }
        Fact::BuildEnding(ending) => {
            format!("{kind} {} {} {}: {}", ending.name, ending.end, ending.reason, ending.message)
        }
        Fact::BuildFinished(finished) => {
            let image = finished.image.map(|image| format!(" {image}")).unwrap_or_default();
            let why = match finished.reason.as_str() {
                "" => String::new(),
                reason => format!(" {reason}: {}", finished.message),
            };
            format!("{kind} {} {}{image}{why}", finished.name, finished.end)
        }
        _ => kind.into(),
    }
}

fn cause(cause: &BuildCause) -> String {
    match cause {
        BuildCause::Image { from, image, .. } => {
            format!("{}:{} {image}", from.stream.name, from.tag)
        }
        BuildCause::Config | BuildCause::Manual { .. } | BuildCause::Webhook { .. } => {
            cause.message()
        }
    }
}

/// What the builder is asked.
pub(crate) fn request(request: &BuildRequest) -> String {
    let word = if request.ends { "end" } else { "make" };
    format!("{word} build {}", request.name)
}

/// The spec of a BuildConfig in short form, by its flags.
pub(crate) fn manifest<'a>(text: &mut String, flag: impl Fn(&str) -> Option<&'a str>) {
    let source = match flag("binary") {
        Some(_) => "binary: {}",
        None => "git: {uri: 'https://git.example.com/app.git'}",
    };
    let files = flag("files").map(|from| {
        format!(
            ", images: [{{from: {}, paths: [{{sourcePath: /x, destinationDir: x}}]}}]",
            image(from)
        )
    });
    let _ = writeln!(text, "spec:\n  source: {{{source}{}}}", files.unwrap_or_default());
    let env = flag("env").map(|env| format!("env: [{{name: E, value: '{env}'}}], "));
    let from = flag("from").map(|from| format!("from: {}", image(from))).unwrap_or_default();
    let _ = match flag("incremental") {
        Some(_) => writeln!(text, "  strategy: {{sourceStrategy: {{incremental: true, {from}}}}}"),
        None => {
            writeln!(text, "  strategy: {{dockerStrategy: {{{}{from}}}}}", env.unwrap_or_default())
        }
    };
    if let Some(to) = flag("to") {
        let to = if to.contains('/') { image(to) } else { image(&format!("tag:{to}")) };
        let _ = writeln!(text, "  output: {{to: {to}}}");
    }
    if let Some(policy) = flag("run") {
        let _ = writeln!(text, "  runPolicy: {policy}");
    }
    if let Some(keeps) = flag("keeps") {
        let keys = ["successfulBuildsHistoryLimit", "failedBuildsHistoryLimit"];
        for key in keys {
            let _ = writeln!(text, "  {key}: {keeps}");
        }
    }
    if let Some(seconds) = flag("deadline") {
        let _ = writeln!(text, "  completionDeadlineSeconds: {seconds}");
    }
    text.push_str("  triggers:\n  - {type: Generic, generic: {secret: abc}}\n");
    if flag("config").is_some() {
        text.push_str("  - {type: ConfigChange}\n");
    }
    if flag("watch").is_some() {
        text.push_str("  - {type: ImageChange, imageChange: {}}\n");
    }
    for (key, paused) in [("watches", false), ("still", true)] {
        for from in flag(key).into_iter().flat_map(|list| list.split(';')) {
            let from = image(&format!("tag:{from}"));
            let _ = writeln!(
                text,
                "  - {{type: ImageChange, imageChange: {{from: {from}, paused: {paused}}}}}"
            );
        }
    }
}

fn image(name: &str) -> String {
    match name.strip_prefix("tag:") {
        Some(tag) => format!("{{kind: ImageStreamTag, name: '{tag}'}}"),
        None => format!("{{kind: DockerImage, name: '{name}'}}"),
    }
}

/// A build that succeeded and pushed the image of this name.
pub(crate) fn pushed(name: &str) -> BuildReport {
    let digest = super::story::digest(name);
    let metadata = ContentHash::of(name.as_bytes());
    let image = Some(ResolvedImage { digest, metadata });
    BuildReport::Ended(Box::new(BuildEnded {
        image,
        ..BuildEnded::new(BuildEnd::Complete, "", "")
    }))
}

/// A build that ended otherwise.
pub(crate) fn ended(end: BuildEnd, reason: &str) -> BuildReport {
    BuildReport::Ended(Box::new(BuildEnded::new(end, reason, "it did")))
}
