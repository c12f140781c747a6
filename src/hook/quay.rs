//! Notices of Quay. They are not signed and carry no header of ours: the token stands in the path.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{First, Hint, Hook, Notice, Told, image, json, nothing, unreadable};

#[derive(serde::Deserialize)]
struct Body {
    repository: Option<String>,
    docker_url: Option<String>,
    #[serde(default)]
    updated_tags: Option<Tags>,
}

/// A list of tags; older versions send a map of tags to images.
struct Tags(Vec<String>);

impl<'de> Deserialize<'de> for Tags {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TagsVisitor)
    }
}

struct TagsVisitor;

impl<'de> Visitor<'de> for TagsVisitor {
    type Value = Tags;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of tags, or a map of tags to images")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Tags, A::Error> {
        let list = serde::de::value::SeqAccessDeserializer::new(list);
        First::deserialize(list).map(|First(tags)| Tags(tags))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tags, A::Error> {
        let mut tags = Vec::new();
        while let Some((tag, IgnoredAny)) = map.next_entry::<String, _>()? {
            if tags.len() < crate::limits::HOOK_ENTRIES_MAX {
                tags.push(tag);
            }
        }
        Ok(Tags(tags))
    }
}

pub(super) fn read(hook: &Hook, notice: &Notice<'_>) -> Told {
    let Body { repository, docker_url, updated_tags } = json(notice.body)?;
    let Some(Tags(tags)) = updated_tags else {
        return nothing("no tag was updated: only pushes to a repository say something");
    };
    let url = docker_url.unwrap_or_default();
    let (host, path) = url.split_once('/').unwrap_or(("quay.io", ""));
    let host = hook.registry.as_deref().unwrap_or(host);
    let Some(name) = repository.as_deref().or(Some(path).filter(|path| !path.is_empty())) else {
        return unreadable("the body has no `repository`");
    };
    let hint = |tag: &String| image(host, name, Some(tag)).map(Hint::Image);
    tags.iter().map(hint).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{told, told_by};
    use super::super::{Hook, Kind};

    const PUSH: &str = r#"{"name": "web", "repository": "team/web", "namespace": "team",
        "docker_url": "quay.example.com:8443/team/web", "homepage": "https://quay.example.com/repository/team/web",
        "updated_tags": ["latest", "1.2"]}"#;

    #[test]
    fn every_updated_tag_is_told() {
        let both = ["quay.example.com:8443/team/web:latest", "quay.example.com:8443/team/web:1.2"];
        assert_eq!(told(Kind::Quay, &[], PUSH), both);
        let older = PUSH.replace("[\"latest\", \"1.2\"]", "{\"latest\": \"b7\", \"1.2\": \"c8\"}");
        assert_eq!(told(Kind::Quay, &[], &older), both);
        let hook = Hook { kind: Kind::Quay, registry: Some("q.io".into()), header: String::new() };
        assert_eq!(told_by(&hook, &[], PUSH), ["q.io/team/web:latest", "q.io/team/web:1.2"]);
    }

    #[test]
    fn a_notice_of_a_build_or_a_scan_says_nothing() {
        let body = r#"{"build_id": "1", "repository": "team/web", "docker_tags": ["latest"]}"#;
        assert_eq!(
            told(Kind::Quay, &[], body),
            ["nothing: no tag was updated: only pushes to a repository say something"]
        );
    }
}
