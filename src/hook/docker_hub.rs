//! Notices of Docker Hub. They are not signed and carry no header of ours: the token stands in the path.

use serde::Deserialize;

use super::{Hint, Notice, Told, image, json, unreadable};

#[derive(Deserialize)]
struct Body {
    push_data: Option<PushData>,
    repository: Option<Repository>,
}

#[derive(Deserialize)]
struct PushData {
    tag: Option<String>,
}

#[derive(Deserialize)]
struct Repository {
    repo_name: Option<String>,
}

pub(super) fn read(notice: &Notice<'_>) -> Told {
    let Body { push_data, repository } = json(notice.body)?;
    let Some(name) = repository.and_then(|repository| repository.repo_name) else {
        return unreadable("the body has no `repository.repo_name`");
    };
    let tag = push_data.and_then(|push| push.tag).filter(|tag| !tag.is_empty());
    Ok(vec![Hint::Image(image("docker.io", &name, tag.as_deref())?)])
}

#[cfg(test)]
mod tests {
    use super::super::Kind;
    use super::super::tests::told;

    #[test]
    fn a_pushed_tag_is_told() {
        let body = r#"{"callback_url": "https://registry.hub.docker.com/u/team/web/hook/1/",
            "push_data": {"pushed_at": 1790000000, "pusher": "ci", "tag": "1.2", "images": []},
            "repository": {"repo_name": "team/web", "name": "web", "namespace": "team", "status": "Active"}}"#;
        assert_eq!(told(Kind::DockerHub, &[], body), ["docker.io/team/web:1.2"]);
    }

    #[test]
    fn a_notice_without_a_tag_is_about_the_whole_repository() {
        let body = r#"{"repository": {"repo_name": "team/web"}}"#;
        assert_eq!(told(Kind::DockerHub, &[], body), ["docker.io/team/web"]);
        assert_eq!(
            told(Kind::DockerHub, &[], "{}"),
            ["unreadable: the body has no `repository.repo_name`"]
        );
    }
}
