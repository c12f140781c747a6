//! Notices of Bitbucket: pushes to git, in the forms of the cloud and of the data center.

use serde::Deserialize;

use super::{First, Hint, Notice, Silence, Told, json, moved, nothing, shown, unreadable};

/// `repo:push` of the cloud.
#[derive(Deserialize)]
struct Cloud {
    push: Push,
}

#[derive(Deserialize)]
struct Push {
    changes: First<Change>,
}

#[derive(Deserialize)]
struct Change {
    /// What it is now; nothing where it is gone.
    new: Option<Place>,
}

#[derive(Deserialize)]
struct Place {
    r#type: Option<String>,
    name: Option<String>,
}

/// `repo:refs_changed` of the data center.
#[derive(Deserialize)]
struct DataCenter {
    changes: First<RefChange>,
}

#[derive(Deserialize)]
struct RefChange {
    r#ref: Option<Ref>,
    r#type: Option<String>,
}

#[derive(Deserialize)]
struct Ref {
    id: Option<String>,
}

pub(super) fn read(notice: &Notice<'_>) -> Told {
    match (notice.header)("x-event-key") {
        Some("repo:push") => {
            let Cloud { push: Push { changes: First(changes) } } = json(notice.body)?;
            let new = changes.into_iter().filter_map(|change| change.new);
            let branches = new.filter(|new| new.r#type.as_deref() == Some("branch"));
            let branches = branches.filter_map(|branch| Some(Hint::Branch(branch.name?)));
            some(branches.collect())
        }
        Some("repo:refs_changed") => {
            let DataCenter { changes: First(changes) } = json(notice.body)?;
            let stays = |change: &RefChange| change.r#type.as_deref() != Some("DELETE");
            let ids = changes.into_iter().filter(stays).filter_map(|change| change.r#ref?.id);
            some(ids.filter_map(|id| moved(&id, false).ok()).flatten().collect())
        }
        Some("diagnostics:ping") => nothing("a ping: the hook is set up"),
        Some(other) => nothing(format!("a `{}` event", shown(other))),
        None => match json::<serde::de::IgnoredAny>(notice.body) {
            Ok(_) => unreadable("it has no `X-Event-Key`"),
            Err(silence) => Err(silence),
        },
    }
}

fn some(hints: Vec<Hint>) -> Told {
    if hints.is_empty() {
        return Err(Silence::Nothing("no branch was updated".into()));
    }
    Ok(hints)
}

#[cfg(test)]
mod tests {
    use super::super::Kind;
    use super::super::tests::told;

    fn git(event: &str, body: &str) -> Vec<String> {
        told(Kind::Bitbucket, &[("x-event-key", event)], body)
    }

    #[test]
    fn a_push_tells_its_branches_in_both_forms() {
        let cloud = r#"{"actor": {"display_name": "Jane"}, "repository": {"full_name": "team/apps"}, "push": {"changes": [
            {"new": {"type": "branch", "name": "main", "target": {"hash": "709d658d"}}, "old": null, "created": true},
            {"new": {"type": "tag", "name": "1.2"}}, {"new": null, "old": {"type": "branch", "name": "old"}}]}}"#;
        assert_eq!(git("repo:push", cloud), ["branch main"]);
        let center = r#"{"eventKey": "repo:refs_changed", "date": "2026-11-21T11:00:00+0100", "changes": [
            {"ref": {"id": "refs/heads/main", "displayId": "main", "type": "BRANCH"}, "toHash": "178864a7", "type": "UPDATE"},
            {"ref": {"id": "refs/heads/old", "displayId": "old", "type": "BRANCH"}, "type": "DELETE"}]}"#;
        assert_eq!(git("repo:refs_changed", center), ["branch main"]);
    }

    #[test]
    fn a_ping_a_tag_and_a_deleted_branch_say_nothing() {
        assert_eq!(git("diagnostics:ping", "{}"), ["nothing: a ping: the hook is set up"]);
        let gone =
            r#"{"push": {"changes": [{"new": null}, {"new": {"type": "tag", "name": "1"}}]}}"#;
        assert_eq!(git("repo:push", gone), ["nothing: no branch was updated"]);
        assert_eq!(git("repo:fork", "{}"), ["nothing: a `repo:fork` event"]);
    }
}
