//! Notices of the CNCF's distribution: an envelope of events, one for each blob and manifest that is pushed or pulled.

use serde::Deserialize;

use super::{First, Hint, Hook, Notice, Silence, Told, host_of, image, json, nothing};
use crate::reference::ImageReference;

#[derive(Deserialize)]
struct Envelope {
    events: First<Event>,
}

#[derive(Deserialize)]
struct Event {
    action: Option<String>,
    target: Option<Target>,
    request: Option<Request>,
}

#[derive(Deserialize)]
struct Target {
    repository: Option<String>,
    tag: Option<String>,
    digest: Option<String>,
    url: Option<String>,
}

#[derive(Deserialize)]
struct Request {
    host: Option<String>,
}

/// What else an envelope tells of, to be counted.
#[derive(Default)]
struct Others {
    pulls: usize,
    untagged: usize,
    deletions: usize,
    unknown: usize,
}

pub(super) fn read(hook: &Hook, notice: &Notice<'_>) -> Told {
    let Envelope { events: First(events) } = json(notice.body)?;
    let (mut hints, mut others) = (Vec::new(), Others::default());
    for event in &events {
        match event.action.as_deref() {
            Some("push") => match pushed(hook, event)? {
                Some(hint) => hints.push(hint),
                // A blob, an image of an index, or what was pushed by its digest: our own copies are.
                None => others.untagged += 1,
            },
            // Our own checks come back as these.
            Some("pull") => others.pulls += 1,
            Some("delete") => others.deletions += 1,
            Some(_) | None => others.unknown += 1,
        }
    }
    if hints.is_empty() { nothing(others.words()) } else { Ok(hints) }
}

fn pushed(hook: &Hook, event: &Event) -> Result<Option<Hint>, Silence> {
    let Some(target) = &event.target else { return Ok(None) };
    let (Some(repository), Some(tag)) = (&target.repository, &target.tag) else { return Ok(None) };
    if tag.is_empty() {
        return Ok(None);
    }
    let host = event.request.as_ref().and_then(|request| request.host.clone());
    let host = host.filter(|host| !host.is_empty());
    let host = hook.registry.clone().or(host).or_else(|| host_of(target.url.as_deref()?));
    let host = host.ok_or_else(|| {
        Silence::Nothing("it does not say which registry it is; set `registry` of this hook".into())
    })?;
    let image = image(&host, repository, Some(tag))?;
    let digest = target.digest.as_deref().and_then(|digest| digest.parse().ok());
    Ok(Some(Hint::Image(ImageReference { digest, ..image })))
}

impl Others {
    fn words(&self) -> String {
        let parts = [
            (self.pulls, "pulls"),
            (self.untagged, "pushes without a tag"),
            (self.deletions, "deletions"),
            (self.unknown, "other events"),
        ];
        let told = parts.iter().filter(|(count, _)| *count > 0);
        let words: Vec<_> = told.map(|(_, what)| *what).collect();
        match words.as_slice() {
            [] => "it has no events".to_owned(),
            words => format!("only {}", words.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{told, told_by};
    use super::super::{Hook, Kind};

    fn event(action: &str, target: &str) -> String {
        format!(
            r#"{{"id":"1","timestamp":"2026-11-21T02:10:32Z","action":"{action}","target":{target},
            "request":{{"addr":"10.0.0.7:35156","host":"registry.example.com:5000","method":"PUT"}},
            "actor":{{"name":"ci"}},"source":{{"addr":"host:5000","instanceID":"x"}}}}"#
        )
    }

    fn envelope(events: &[String]) -> String {
        format!("{{\"events\":[{}]}}", events.join(","))
    }

    const TAGGED: &str = r#"{"mediaType":"application/vnd.oci.image.manifest.v1+json","size":491,
        "digest":"sha256:93989cb09821ea2254814967d5d9ba000b2e024dc443677d305e80e4528649d8",
        "repository":"shop/web","tag":"1.2","url":"http://10.0.0.1:5000/v2/shop/web/manifests/sha256:93"}"#;
    const BLOB: &str = r#"{"mediaType":"application/octet-stream","repository":"shop/web",
        "digest":"sha256:93989cb09821ea2254814967d5d9ba000b2e024dc443677d305e80e4528649d8"}"#;

    const NAMED: &str =
        "shop/web:1.2@sha256:93989cb09821ea2254814967d5d9ba000b2e024dc443677d305e80e4528649d8";

    #[test]
    fn the_push_of_a_tag_is_told_and_the_blobs_around_it_are_not() {
        let body = envelope(&[event("push", BLOB), event("pull", TAGGED), event("push", TAGGED)]);
        assert_eq!(
            told(Kind::Distribution, &[], &body),
            [format!("registry.example.com:5000/{NAMED}")]
        );
    }

    #[test]
    fn pulls_and_deletions_say_nothing() {
        let body = envelope(&[event("pull", TAGGED), event("delete", TAGGED)]);
        assert_eq!(told(Kind::Distribution, &[], &body), ["nothing: only pulls, deletions"]);
        let body = envelope(&[event("push", BLOB), event("mount", BLOB)]);
        assert_eq!(
            told(Kind::Distribution, &[], &body),
            ["nothing: only pushes without a tag, other events"]
        );
        assert_eq!(told(Kind::Distribution, &[], "{\"events\":[]}"), ["nothing: it has no events"]);
    }

    #[test]
    fn the_registry_is_called_as_the_hook_says_else_as_the_pusher_did() {
        let hook = Hook {
            kind: Kind::Distribution,
            registry: Some("images.example.com".into()),
            header: String::new(),
        };
        let body = envelope(&[event("push", TAGGED)]);
        assert_eq!(told_by(&hook, &[], &body), [format!("images.example.com/{NAMED}")]);
        let nobody = body.replace("registry.example.com:5000", "");
        assert_eq!(told(Kind::Distribution, &[], &nobody), [format!("10.0.0.1:5000/{NAMED}")]);
        let unknown = nobody.replace("http://10.0.0.1:5000", "");
        let told = told(Kind::Distribution, &[], &unknown).join("");
        assert!(told.starts_with("nothing: it does not say which registry"), "{told}");
    }
}
