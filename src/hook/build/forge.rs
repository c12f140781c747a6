//! Pushes as git hosts tell them (rule B22).

use serde::Deserialize;

use super::super::{First, Notice, Silence, is_no_commit, json, shown};
use super::{Moved, Payload, Refs, branch, person, whole};
use crate::fact::SourceRevision;
use crate::limits::HOOK_ENTRIES_MAX;

/// A commit of GitHub, Gitea, Gogs or GitLab.
#[derive(Deserialize)]
struct Commit {
    id: Option<String>,
    message: Option<String>,
    author: Option<Person>,
    committer: Option<Person>,
}

#[derive(Deserialize)]
struct Person {
    name: Option<String>,
    email: Option<String>,
}

#[derive(Deserialize)]
struct Repository {
    default_branch: Option<String>,
}

impl Person {
    fn text(person: Option<&Self>) -> String {
        person
            .map(|who| super::person(who.name.as_deref(), who.email.as_deref()))
            .unwrap_or_default()
    }
}

impl Commit {
    fn revision(&self) -> Result<SourceRevision, Silence> {
        Ok(SourceRevision {
            commit: whole(self.id.as_deref().unwrap_or_default())?,
            author: Person::text(self.author.as_ref()),
            committer: Person::text(self.committer.as_ref()),
            date: String::new(),
            message: SourceRevision::line(self.message.as_deref().unwrap_or_default()),
        })
    }
}

fn nothing<T>(why: impl Into<String>) -> Result<T, Silence> {
    Err(Silence::Nothing(why.into()))
}

fn unreadable<T>(why: impl Into<String>) -> Result<T, Silence> {
    Err(Silence::Unreadable(why.into()))
}

/// Only JSON: what a git host packs into a form is refused as OpenShift refuses it.
fn must_be_json(notice: &Notice<'_>) -> Result<(), Silence> {
    let given = (notice.header)("content-type").unwrap_or_default();
    let kind = given.split(';').next().unwrap_or_default().trim();
    match kind.eq_ignore_ascii_case("application/json") {
        true => Ok(()),
        false => unreadable(format!("unsupported Content-Type {}", shown(given))),
    }
}

/// The commit without what surrounds it.
fn bare(id: &str) -> Result<SourceRevision, Silence> {
    Ok(SourceRevision { commit: whole(id)?, ..SourceRevision::default() })
}

fn pushed(reference: String, revision: SourceRevision, default_branch: Option<String>) -> Payload {
    let default_branch = default_branch.filter(|branch| !branch.is_empty());
    let refs = Refs::Pushed(vec![Moved { reference, revision }]);
    Payload { refs, default_branch, ..Payload::default() }
}

fn gone<T>(reference: &str) -> Result<T, Silence> {
    nothing(format!("branch {} was deleted", shown(branch(reference))))
}

/// A push of GitHub, and of what sends the same.
#[derive(Deserialize)]
struct GitHubPush {
    r#ref: String,
    #[serde(default)]
    deleted: bool,
    after: Option<String>,
    head_commit: Option<Commit>,
    repository: Option<Repository>,
}

/// Whose header names the event.
const EVENTS: [&str; 4] = ["x-github-event", "x-gogs-event", "x-gitea-event", "x-forgejo-event"];

pub(super) fn github(notice: &Notice<'_>) -> Result<Payload, Silence> {
    must_be_json(notice)?;
    match EVENTS.iter().find_map(|name| (notice.header)(name)) {
        Some("push") => {}
        Some("ping") => return nothing("a ping: the hook is set up"),
        Some(other) => {
            return unreadable(format!("Unknown X-GitHub-Event or X-Gogs-Event {}", shown(other)));
        }
        None => return unreadable("missing X-GitHub-Event or X-Gogs-Event"),
    }
    let GitHubPush { r#ref, deleted, after, head_commit, repository } = json(notice.body)?;
    if deleted || is_no_commit(after.as_deref()) {
        return gone(&r#ref);
    }
    let revision = match (head_commit, after) {
        (Some(commit), _) => commit.revision()?,
        (None, Some(after)) => bare(&after)?,
        (None, None) => return unreadable("it tells no commit"),
    };
    Ok(pushed(r#ref, revision, repository.and_then(|repository| repository.default_branch)))
}

/// A push of GitLab.
#[derive(Deserialize)]
struct GitLabPush {
    r#ref: String,
    after: Option<String>,
    checkout_sha: Option<String>,
    #[serde(default)]
    commits: First<Commit>,
    project: Option<Repository>,
}

pub(super) fn gitlab(notice: &Notice<'_>) -> Result<Payload, Silence> {
    must_be_json(notice)?;
    match (notice.header)("x-gitlab-event") {
        Some("Push Hook") => {}
        Some(other) => return unreadable(format!("Unknown X-Gitlab-Event {}", shown(other))),
        None => return unreadable("missing X-Gitlab-Event"),
    }
    let GitLabPush { r#ref, after, checkout_sha, commits: First(commits), project } =
        json(notice.body)?;
    if is_no_commit(after.as_deref()) {
        return gone(&r#ref);
    }
    // The list is told from the oldest to the newest; of one that was cut short the end is missing.
    let newest = commits.last().filter(|_| commits.len() < HOOK_ENTRIES_MAX);
    let told = checkout_sha.filter(|id| !id.is_empty() && !is_no_commit(Some(id)));
    let revision = match (newest, told) {
        (Some(commit), _) => commit.revision()?,
        (None, Some(id)) => bare(&id)?,
        (None, None) => {
            return nothing(format!(
                "the push to {} has no commits and no `checkout_sha`",
                shown(branch(&r#ref))
            ));
        }
    };
    Ok(pushed(r#ref, revision, project.and_then(|project| project.default_branch)))
}

/// Both Bitbuckets: `push` of the cloud, `changes` of the server.
#[derive(Deserialize)]
struct Bitbucket {
    push: Option<CloudPush>,
    changes: Option<First<ServerChange>>,
    actor: Option<Actor>,
    #[serde(default)]
    repository: Option<CloudRepository>,
}

#[derive(Deserialize)]
struct CloudRepository {
    mainbranch: Option<Named>,
}

#[derive(Deserialize)]
struct Named {
    name: Option<String>,
}

#[derive(Deserialize)]
struct CloudPush {
    #[serde(default)]
    changes: First<CloudChange>,
}

#[derive(Deserialize)]
struct CloudChange {
    new: Option<CloudRef>,
    old: Option<CloudRef>,
    #[serde(default)]
    commits: First<CloudCommit>,
}

#[derive(Deserialize)]
struct CloudRef {
    r#type: Option<String>,
    name: Option<String>,
    target: Option<CloudCommit>,
}

#[derive(Deserialize)]
struct CloudCommit {
    hash: Option<String>,
    message: Option<String>,
    author: Option<Raw>,
}

#[derive(Deserialize)]
struct Raw {
    raw: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Actor {
    name: Option<String>,
    display_name: Option<String>,
    email_address: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ServerChange {
    r#ref: ServerRef,
    to_hash: Option<String>,
    r#type: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ServerRef {
    id: Option<String>,
    display_id: Option<String>,
    r#type: Option<String>,
}

impl CloudChange {
    /// The branch that it moved or made; none where it took one away, or is about a tag.
    fn moved(&self) -> Result<Option<Moved>, Silence> {
        let Some(new) = &self.new else { return Ok(None) };
        if new.r#type.as_deref().is_some_and(|kind| kind != "branch" && kind != "named_branch") {
            return Ok(None);
        }
        let old = self.old.as_ref().and_then(|old| old.name.clone());
        let Some(reference) = new.name.clone().or(old) else { return Ok(None) };
        // Told from the newest to the oldest; without any where a branch was made of what was there.
        let First(commits) = &self.commits;
        let Some(newest) = commits.first().or(new.target.as_ref()) else {
            return unreadable("it tells no commit");
        };
        let author = newest.author.as_ref().and_then(|author| author.raw.as_deref());
        let revision = SourceRevision {
            commit: whole(newest.hash.as_deref().unwrap_or_default())?,
            author: SourceRevision::line(author.unwrap_or_default()),
            message: SourceRevision::line(newest.message.as_deref().unwrap_or_default()),
            ..SourceRevision::default()
        };
        Ok(Some(Moved { reference, revision }))
    }
}

impl ServerChange {
    fn moved(&self, actor: Option<&Actor>) -> Result<Option<Moved>, Silence> {
        let is_branch = self.r#ref.r#type.as_deref().is_none_or(|kind| kind == "BRANCH");
        let is_gone = self.r#type.as_deref() == Some("DELETE");
        if !is_branch || is_gone || is_no_commit(self.to_hash.as_deref()) {
            return Ok(None);
        }
        let id = self.r#ref.id.clone().filter(|id| id.starts_with("refs/heads/"));
        let Some(reference) = id.or_else(|| self.r#ref.display_id.clone()) else { return Ok(None) };
        let mut revision = bare(self.to_hash.as_deref().unwrap_or_default())?;
        if let Some(actor) = actor {
            let name = actor.display_name.as_deref().or(actor.name.as_deref());
            revision.committer = person(name, actor.email_address.as_deref());
        }
        Ok(Some(Moved { reference, revision }))
    }
}

pub(super) fn bitbucket(notice: &Notice<'_>) -> Result<Payload, Silence> {
    must_be_json(notice)?;
    match (notice.header)("x-event-key") {
        Some("repo:push" | "repo:refs_changed") => {}
        Some("diagnostics:ping") => return nothing("a ping: the hook is set up"),
        Some(other) => return unreadable(format!("Unknown X-Event-Key {}", shown(other))),
        None => return unreadable("missing X-Event-Key"),
    }
    let Bitbucket { push, changes, actor, repository } = json(notice.body)?;
    let moved: Result<Vec<_>, _> = match (push, changes) {
        (Some(CloudPush { changes: First(changes) }), _) => {
            changes.iter().map(CloudChange::moved).collect()
        }
        (None, Some(First(changes))) => {
            changes.iter().map(|change| change.moved(actor.as_ref())).collect()
        }
        (None, None) => return unreadable("it has neither `push` nor `changes`"),
    };
    let moved: Vec<_> = moved?.into_iter().flatten().collect();
    if moved.is_empty() {
        return nothing("it moved no branch");
    }
    let main = repository.and_then(|repository| repository.mainbranch?.name);
    let default_branch = main.filter(|branch| !branch.is_empty());
    Ok(Payload { refs: Refs::Pushed(moved), default_branch, ..Payload::default() })
}
