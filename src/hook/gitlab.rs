//! Notices of GitLab: pushes to git, of a project or of the whole instance; its registry speaks as the distribution does.

use serde::Deserialize;

use super::{
    First, Hint, Hook, Notice, Told, distribution, is_no_commit, json, moved, nothing, shown,
    unreadable,
};

#[derive(Deserialize)]
struct Body {
    object_kind: Option<String>,
    event_name: Option<String>,
    r#ref: Option<String>,
    after: Option<String>,
    /// What an update of a whole repository names.
    #[serde(default)]
    refs: First<String>,
}

pub(super) fn read(hook: &Hook, notice: &Notice<'_>) -> Told {
    if (notice.header)("x-gitlab-event").is_none() {
        return distribution::read(hook, notice);
    }
    let Body { object_kind, event_name, r#ref, after, refs: First(refs) } = json(notice.body)?;
    let event = object_kind.or(event_name).unwrap_or_default();
    match (event.as_str(), r#ref) {
        ("push", Some(reference)) => moved(&reference, is_no_commit(after.as_deref())),
        ("push", None) => unreadable("the body has no `ref`"),
        ("repository_update", _) => {
            let hints = refs.iter().filter_map(|reference| moved(reference, false).ok());
            let hints: Vec<Hint> = hints.flatten().collect();
            if hints.is_empty() { nothing("no branch was updated") } else { Ok(hints) }
        }
        (other, _) => nothing(format!("a `{}` event", shown(other))),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Kind;
    use super::super::tests::told;

    fn git(event: &str, body: &str) -> Vec<String> {
        told(Kind::GitLab, &[("x-gitlab-event", event)], body)
    }

    const PUSH: &str = r#"{"object_kind": "push", "event_name": "push", "before": "95790bf8",
        "after": "da1560886d4f094c3e6c9ef40349f7d38b5d27d7", "ref": "refs/heads/main", "user_name": "Jane",
        "checkout_sha": "da1560886d4f094c3e6c9ef40349f7d38b5d27d7",
        "project": {"id": 15, "path_with_namespace": "team/apps", "git_http_url": "https://git.example.com/team/apps.git"},
        "commits": [], "total_commits_count": 4}"#;

    #[test]
    fn a_push_tells_its_branch() {
        assert_eq!(git("Push Hook", PUSH), ["branch main"]);
        assert_eq!(git("System Hook", PUSH), ["branch main"]);
        let update =
            r#"{"event_name": "repository_update", "refs": ["refs/tags/1", "refs/heads/main"]}"#;
        assert_eq!(git("System Hook", update), ["branch main"]);
    }

    #[test]
    fn tags_deleted_branches_and_other_events_say_nothing() {
        let gone = PUSH.replace("da1560886d4f094c3e6c9ef40349f7d38b5d27d7", &"0".repeat(40));
        assert_eq!(git("Push Hook", &gone), ["nothing: branch main was deleted"]);
        let tag = PUSH.replace("\"push\"", "\"tag_push\"");
        assert_eq!(git("Tag Push Hook", &tag), ["nothing: a `tag_push` event"]);
        assert_eq!(git("Issue Hook", r#"{"object_kind": "issue"}"#), ["nothing: a `issue` event"]);
    }

    #[test]
    fn its_registry_speaks_as_the_distribution_does() {
        let body = r#"{"events": [{"action": "push", "request": {"host": "registry.example.com"},
            "target": {"repository": "team/apps/web", "tag": "1.2"}}]}"#;
        assert_eq!(told(Kind::GitLab, &[], body), ["registry.example.com/team/apps/web:1.2"]);
    }
}
