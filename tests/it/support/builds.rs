//! Builds in one line each.

use tidegate::action::BuildRequest;
use tidegate::fact::{BuildCause, Fact};

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
