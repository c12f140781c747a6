//! Notices of GitHub: pushes to git, and packages of its container registry.

use serde::Deserialize;

use super::{
    Hint, Hook, Notice, Told, form_or_json, image, json, moved, nothing, shown, unreadable,
};

#[derive(Deserialize)]
struct Push {
    r#ref: String,
    #[serde(default)]
    deleted: bool,
}

#[derive(Deserialize)]
struct PackageEvent {
    action: Option<String>,
    package: Option<Package>,
    /// What the older event of the same meaning calls it.
    registry_package: Option<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: Option<String>,
    namespace: Option<String>,
    package_type: Option<String>,
    owner: Option<Owner>,
    package_version: Option<Version>,
}

#[derive(Deserialize)]
struct Owner {
    login: Option<String>,
}

#[derive(Deserialize)]
struct Version {
    package_url: Option<String>,
    container_metadata: Option<Container>,
}

#[derive(Deserialize)]
struct Container {
    tag: Option<Tag>,
}

#[derive(Deserialize)]
struct Tag {
    name: Option<String>,
}

pub(super) fn read(hook: &Hook, notice: &Notice<'_>) -> Told {
    let body = form_or_json(notice);
    match (notice.header)("x-github-event") {
        Some("push") => {
            let Push { r#ref, deleted } = json(&body)?;
            moved(&r#ref, deleted)
        }
        Some("package" | "registry_package") => package(hook, json(&body)?),
        Some("ping") => nothing("a ping: the hook is set up"),
        Some(other) => nothing(format!("a `{}` event", shown(other))),
        None => match json::<serde::de::IgnoredAny>(&body) {
            Ok(_) => unreadable("it has no `X-GitHub-Event`"),
            Err(silence) => Err(silence),
        },
    }
}

fn package(hook: &Hook, event: PackageEvent) -> Told {
    let action = event.action.unwrap_or_default();
    let Some(package) = event.package.or(event.registry_package) else {
        return unreadable("the body has no `package`");
    };
    let kind = package.package_type.unwrap_or_default();
    if !kind.eq_ignore_ascii_case("container") {
        return nothing(format!("a package of type `{}`, not of images", shown(&kind)));
    }
    if !["published", "updated", "created"].contains(&action.as_str()) {
        return nothing(format!("a package was {}", shown(&action)));
    }
    let owner = package.owner.and_then(|owner| owner.login);
    let owner = package.namespace.filter(|name| !name.is_empty()).or(owner);
    let (Some(owner), Some(name)) = (owner, package.name) else {
        return unreadable("the body has no name and owner of the package");
    };
    let version = package.package_version;
    let url = version.as_ref().and_then(|version| version.package_url.clone()).unwrap_or_default();
    let host = url.split_once('/').map(|(host, _)| host).filter(|host| host.contains('.'));
    let host = hook.registry.as_deref().or(host).unwrap_or("ghcr.io");
    // A namespace may be spelled with the owner in front, and be the owner alone.
    let repository = if name.contains('/') && name.starts_with(&format!("{owner}/")) {
        name
    } else {
        format!("{owner}/{name}")
    };
    let container = version.and_then(|version| version.container_metadata);
    let tag = container.as_ref().and_then(|container| container.tag.as_ref()?.name.as_deref());
    match tag {
        // One image of an index, or an attestation: the tag comes with a notice of its own.
        Some("") => nothing("an image without a tag"),
        tag => Ok(vec![Hint::Image(image(host, &repository, tag)?)]),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Kind;
    use super::super::tests::told;

    const PUSH: &str = r#"{"ref": "refs/heads/main", "before": "6113728f27ae82c7b1a177c8d03f9e96e0adf246",
        "after": "59b20b8d5c6ff8d09518454d4dd8b7b30f095ab5", "created": false, "deleted": false, "forced": false,
        "repository": {"id": 1, "full_name": "Team/apps", "clone_url": "https://github.com/Team/apps.git"},
        "pusher": {"name": "jane"}, "commits": [{"id": "59b20b8d", "message": "web", "added": ["a.yaml"]}]}"#;

    fn git(event: &str, body: &str) -> Vec<String> {
        told(Kind::GitHub, &[("x-github-event", event)], body)
    }

    #[test]
    fn a_push_tells_its_branch_also_out_of_a_form() {
        assert_eq!(git("push", PUSH), ["branch main"]);
        let form: String = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("payload", PUSH)
            .finish();
        let headers =
            [("x-github-event", "push"), ("content-type", "application/x-www-form-urlencoded")];
        assert_eq!(told(Kind::GitHub, &headers, &form), ["branch main"]);
    }

    #[test]
    fn a_ping_a_tag_and_a_deleted_branch_say_nothing() {
        assert_eq!(git("ping", r#"{"zen": "x"}"#), ["nothing: a ping: the hook is set up"]);
        let tag = PUSH.replace("refs/heads/main", "refs/tags/v1");
        assert_eq!(git("push", &tag), ["nothing: `refs/tags/v1` is not a branch"]);
        let gone = PUSH.replace("\"deleted\": false", "\"deleted\": true");
        assert_eq!(git("push", &gone), ["nothing: branch main was deleted"]);
        assert_eq!(git("issues", "{}"), ["nothing: a `issues` event"]);
    }

    const PACKAGE: &str = r#"{"action": "published", "package": {"id": 1, "name": "web", "namespace": "Team",
        "ecosystem": "CONTAINER", "package_type": "CONTAINER", "owner": {"login": "Team"},
        "package_version": {"id": 2, "version": "sha256:00ff", "package_url": "ghcr.io/Team/web:1.2",
        "container_metadata": {"tag": {"name": "1.2", "digest": "sha256:00ff"}, "labels": {}}}}}"#;

    #[test]
    fn a_published_image_is_told_by_both_events() {
        assert_eq!(git("package", PACKAGE), ["ghcr.io/team/web:1.2"]);
        let older = PACKAGE.replace("\"package\":", "\"registry_package\":");
        assert_eq!(git("registry_package", &older), ["ghcr.io/team/web:1.2"]);
        let bare = r#"{"action": "updated", "package": {"name": "a/b", "namespace": "", "owner": {"login": "Team"},
            "package_type": "container", "package_version": null}}"#;
        assert_eq!(git("package", bare), ["ghcr.io/team/a/b"]);
    }

    #[test]
    fn other_packages_and_images_without_a_tag_say_nothing() {
        let npm = PACKAGE.replace("\"package_type\": \"CONTAINER\"", "\"package_type\": \"npm\"");
        assert_eq!(git("package", &npm), ["nothing: a package of type `npm`, not of images"]);
        let untagged = PACKAGE.replace("\"name\": \"1.2\"", "\"name\": \"\"");
        assert_eq!(git("package", &untagged), ["nothing: an image without a tag"]);
        let gone = PACKAGE.replace("published", "deleted");
        assert_eq!(git("package", &gone), ["nothing: a package was deleted"]);
    }
}
