//! Notices of Gitea and Forgejo: pushes to git, and packages of their container registry.

use serde::Deserialize;

use super::{
    Hint, Hook, Notice, Told, form_or_json, host_of, image, is_no_commit, json, moved, nothing,
    shown, unreadable,
};

#[derive(Deserialize)]
struct Push {
    r#ref: String,
    after: Option<String>,
}

#[derive(Deserialize)]
struct PackageEvent {
    action: Option<String>,
    package: Option<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: Option<String>,
    r#type: Option<String>,
    version: Option<String>,
    owner: Option<Owner>,
    html_url: Option<String>,
}

#[derive(Deserialize)]
struct Owner {
    login: Option<String>,
    username: Option<String>,
}

pub(super) fn read(hook: &Hook, notice: &Notice<'_>) -> Told {
    let body = form_or_json(notice);
    let event = ["x-forgejo-event", "x-gitea-event", "x-gogs-event"];
    match event.iter().find_map(|name| (notice.header)(name)) {
        Some("push") => {
            let Push { r#ref, after } = json(&body)?;
            moved(&r#ref, is_no_commit(after.as_deref()))
        }
        Some("package") => package(hook, json(&body)?),
        Some(other) => nothing(format!("a `{}` event", shown(other))),
        None => match json::<serde::de::IgnoredAny>(&body) {
            Ok(_) => unreadable("it has no `X-Gitea-Event`"),
            Err(silence) => Err(silence),
        },
    }
}

fn package(hook: &Hook, event: PackageEvent) -> Told {
    let Some(package) = event.package else { return unreadable("the body has no `package`") };
    let kind = package.r#type.unwrap_or_default();
    if kind != "container" {
        return nothing(format!("a package of type `{}`, not of images", shown(&kind)));
    }
    if event.action.as_deref() != Some("created") {
        return nothing(format!("a package was {}", shown(&event.action.unwrap_or_default())));
    }
    let owner = package.owner.and_then(|owner| owner.login.or(owner.username));
    let (Some(owner), Some(name)) = (owner, package.name) else {
        return unreadable("the body has no name and owner of the package");
    };
    let host = hook.registry.clone().or_else(|| host_of(package.html_url.as_deref()?));
    let Some(host) = host else {
        return nothing("it does not say which registry it is; set `registry` of this hook");
    };
    let version = package.version.filter(|version| !version.is_empty());
    if version.as_ref().is_some_and(|version| version.contains(':')) {
        return nothing("an image without a tag");
    }
    Ok(vec![Hint::Image(image(&host, &format!("{owner}/{name}"), version.as_deref())?)])
}

#[cfg(test)]
mod tests {
    use super::super::Kind;
    use super::super::tests::told;

    const PUSH: &str = r#"{"ref": "refs/heads/main", "before": "28e1879d", "after": "bffeb74224043ba2feb48d137756c8a9331c449a",
        "compare_url": "http://git.example.com:3000/team/apps/compare/a...b", "commits": [],
        "repository": {"id": 140, "full_name": "team/apps", "clone_url": "http://git.example.com:3000/team/apps.git"}}"#;

    #[test]
    fn a_push_tells_its_branch_under_both_names_of_the_header() {
        for header in ["x-gitea-event", "x-forgejo-event"] {
            assert_eq!(told(Kind::Gitea, &[(header, "push")], PUSH), ["branch main"]);
        }
        let gone = PUSH.replace("bffeb74224043ba2feb48d137756c8a9331c449a", &"0".repeat(40));
        assert_eq!(
            told(Kind::Gitea, &[("x-gitea-event", "push")], &gone),
            ["nothing: branch main was deleted"]
        );
        assert_eq!(told(Kind::Gitea, &[], PUSH), ["unreadable: it has no `X-Gitea-Event`"]);
    }

    #[test]
    fn a_pushed_image_is_told() {
        let body = r#"{"action": "created", "package": {"id": 1, "owner": {"login": "team"}, "name": "web",
            "type": "container", "version": "1.2", "html_url": "http://git.example.com:3000/team/-/packages/container/web/1.2"}}"#;
        let package = |body: &str| told(Kind::Gitea, &[("x-gitea-event", "package")], body);
        assert_eq!(package(body), ["git.example.com:3000/team/web:1.2"]);
        assert_eq!(
            package(&body.replace("\"1.2\"", "\"sha256:00ff\"")),
            ["nothing: an image without a tag"]
        );
        assert_eq!(
            package(&body.replace("created", "deleted")),
            ["nothing: a package was deleted"]
        );
        assert_eq!(
            package(&body.replace("\"container\"", "\"npm\"")),
            ["nothing: a package of type `npm`, not of images"]
        );
    }
}
