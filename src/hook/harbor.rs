//! Notices of Harbor, in its own form and as events of the CNCF.

use serde::Deserialize;

use super::{First, Hint, Hook, Notice, Silence, Told, image, json, nothing, shown, unreadable};
use crate::reference::ImageReference;

#[derive(Deserialize)]
struct Body {
    r#type: Option<String>,
    event_data: Option<Data>,
    /// Where an event of the CNCF has it.
    data: Option<Data>,
}

#[derive(Deserialize)]
struct Data {
    #[serde(default)]
    resources: First<Resource>,
    repository: Option<Repository>,
}

#[derive(Deserialize)]
struct Resource {
    tag: Option<String>,
    digest: Option<String>,
    resource_url: Option<String>,
}

#[derive(Deserialize)]
struct Repository {
    repo_full_name: Option<String>,
}

pub(super) fn read(hook: &Hook, notice: &Notice<'_>) -> Told {
    let Body { r#type, event_data, data } = json(notice.body)?;
    let kind = r#type.unwrap_or_default();
    if !["PUSH_ARTIFACT", "harbor.artifact.pushed"].contains(&kind.as_str()) {
        return nothing(format!("a `{}` event", shown(&kind)));
    }
    let Some(Data { resources: First(resources), repository }) = event_data.or(data) else {
        return unreadable("the body has no `event_data`");
    };
    let name = repository.and_then(|repository| repository.repo_full_name);
    let Some(name) = name else {
        return unreadable("the body has no `repository.repo_full_name`");
    };
    let mut hints = Vec::new();
    for Resource { tag, digest, resource_url } in resources {
        let Some(tag) = tag.filter(|tag| !tag.is_empty() && !tag.contains(':')) else { continue };
        let url = resource_url.unwrap_or_default();
        let host = url.split_once('/').map(|(host, _)| host);
        let host = hook.registry.as_deref().or(host).ok_or_else(|| {
            Silence::Unreadable("the body has no `resource_url`, nor the hook a `registry`".into())
        })?;
        let image = image(host, &name, Some(&tag))?;
        let digest = digest.and_then(|digest| digest.parse().ok());
        hints.push(Hint::Image(ImageReference { digest, ..image }));
    }
    if hints.is_empty() { nothing("only pushes without a tag") } else { Ok(hints) }
}

#[cfg(test)]
mod tests {
    use super::super::Kind;
    use super::super::tests::told;

    const DATA: &str = r#"{"resources": [{"digest": "sha256:00ff", "tag": "1.2",
        "resource_url": "harbor.example.com/shop/web:1.2"}],
        "repository": {"date_created": 1790000000, "name": "web", "namespace": "shop",
        "repo_full_name": "shop/web", "repo_type": "private"}}"#;

    #[test]
    fn a_pushed_artifact_is_told_in_both_forms() {
        let own = format!(
            r#"{{"type": "PUSH_ARTIFACT", "occur_at": 1790000000, "operator": "ci", "event_data": {DATA}}}"#
        );
        assert_eq!(told(Kind::Harbor, &[], &own), ["harbor.example.com/shop/web:1.2"]);
        let event = format!(
            r#"{{"specversion": "1.0", "id": "1", "type": "harbor.artifact.pushed",
            "source": "/projects/2/webhook/policies/1", "datacontenttype": "application/json", "data": {DATA}}}"#
        );
        assert_eq!(told(Kind::Harbor, &[], &event), ["harbor.example.com/shop/web:1.2"]);
        let scanned = own.replace("PUSH_ARTIFACT", "SCANNING_COMPLETED");
        assert_eq!(told(Kind::Harbor, &[], &scanned), ["nothing: a `SCANNING_COMPLETED` event"]);
    }

    #[test]
    fn an_artifact_without_a_tag_says_nothing() {
        for tag in ["", "sha256:00ff"] {
            let data = DATA.replace("\"tag\": \"1.2\"", &format!("\"tag\": \"{tag}\""));
            let body = format!(r#"{{"type": "PUSH_ARTIFACT", "event_data": {data}}}"#);
            assert_eq!(told(Kind::Harbor, &[], &body), ["nothing: only pushes without a tag"]);
        }
    }
}
