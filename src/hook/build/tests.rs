use super::*;

const ID: &str = "59b20b8d5c6ff8d09518454d4dd8b7b30f095ab5";
const OTHER: &str = "6113728f27ae82c7b1a177c8d03f9e96e0adf246";
const NONE: &str = "0000000000000000000000000000000000000000";
const JSON: (&str, &str) = ("content-type", "application/json");

fn read_as(kind: WebhookKind, headers: &[(&str, &str)], body: &str) -> Result<Payload, Silence> {
    let header = |name: &str| headers.iter().find(|(own, _)| *own == name).map(|(_, value)| *value);
    read(kind, &Notice { header: &header, token: None, body: body.as_bytes() })
}

/// What a payload does with a `BuildConfig` of this `ref`, whose repository has `main`: in one line.
fn done(kind: WebhookKind, headers: &[(&str, &str)], body: &str, reference: &str) -> String {
    let payload = match read_as(kind, headers, body) {
        Ok(payload) => payload,
        Err(Silence::Nothing(why)) => return format!("nothing: {why}"),
        Err(Silence::Unreadable(why)) => return format!("unreadable: {why}"),
    };
    let default = payload.default_branch.clone().or_else(|| Some("main".to_owned()));
    let wanted =
        Wanted { reference: Some(reference), default_branch: default.as_deref(), allow_env: true };
    match payload.decide(wanted) {
        Decision::Build { revision, options, warnings } => {
            let commit = options.commit.unwrap_or_else(|| "the newest".to_owned());
            let by =
                revision.map(|of| format!(" {} / {} / {}", of.author, of.committer, of.message));
            let warnings: Vec<_> = warnings.iter().map(|warning| format!(" ({warning})")).collect();
            format!("build {commit}{}{}", by.unwrap_or_default(), warnings.concat())
        }
        Decision::Nothing { why, is_told } => {
            format!("{} {why}", if is_told { "told:" } else { "no:" })
        }
    }
}

fn github(event: &str, body: &str, reference: &str) -> String {
    done(WebhookKind::GitHub, &[JSON, ("x-github-event", event)], body, reference)
}

fn push(branch: &str) -> String {
    format!(
        r#"{{"ref": "refs/heads/{branch}", "before": "{OTHER}", "after": "{ID}", "deleted": false,
        "repository": {{"full_name": "team/web", "default_branch": "trunk"}},
        "commits": [], "head_commit": {{"id": "{ID}", "message": "Fix it\n\nlonger", "tree_id": "x",
        "author": {{"name": "Jane", "email": "jane@example.com", "username": "jane"}},
        "committer": {{"name": "GitHub", "email": "noreply@github.com"}}}}}}"#
    )
}

/// B22: GitHub, Gogs and Gitea.
#[test]
fn a_push_of_github_builds_its_head_commit_and_a_ping_nothing() {
    let built =
        format!("build {ID} Jane <jane@example.com> / GitHub <noreply@github.com> / Fix it");
    assert_eq!(github("push", &push("main"), "main"), built);
    assert_eq!(github("push", &push("main"), "refs/heads/main"), built);
    for header in ["x-gogs-event", "x-gitea-event", "x-forgejo-event"] {
        let done = done(WebhookKind::GitHub, &[JSON, (header, "push")], &push("main"), "main");
        assert_eq!(done, built, "{header}");
    }
    assert_eq!(github("ping", "{}", "main"), "nothing: a ping: the hook is set up");
    assert_eq!(github("push", &push("a/b"), "main"), "no: branch a/b is not main, which is built");
    let gone = push("main").replace("\"deleted\": false", "\"deleted\": true");
    assert_eq!(github("push", &gone, "main"), "nothing: branch main was deleted");
    let bare = format!(r#"{{"ref": "refs/heads/main", "after": "{ID}", "head_commit": null}}"#);
    assert_eq!(github("push", &bare, "main"), format!("build {ID}  /  / "));
    let tag = push("main").replace("refs/heads/main", "refs/tags/v1");
    assert_eq!(github("push", &tag, "main"), "no: branch refs/tags/v1 is not main, which is built");
}

/// B22: what OpenShift refuses with 400.
#[test]
fn what_a_git_host_does_not_send_is_told_by_what_is_wrong_with_it() {
    let form = [("content-type", "application/x-www-form-urlencoded"), ("x-github-event", "push")];
    assert_eq!(
        done(WebhookKind::GitHub, &form, "payload=%7B%7D", "main"),
        "unreadable: unsupported Content-Type application/x-www-form-urlencoded"
    );
    assert_eq!(
        github("issues", "{}", "main"),
        "unreadable: Unknown X-GitHub-Event or X-Gogs-Event issues"
    );
    let missing = |kind| done(kind, &[JSON], "{}", "main");
    assert_eq!(missing(WebhookKind::GitHub), "unreadable: missing X-GitHub-Event or X-Gogs-Event");
    assert_eq!(missing(WebhookKind::GitLab), "unreadable: missing X-Gitlab-Event");
    assert_eq!(missing(WebhookKind::Bitbucket), "unreadable: missing X-Event-Key");
    for id in ["", "main", "59b20b8", "--upload-pack=x", "$(id)", &format!("{ID}0")] {
        let body = push("main").replace(&format!("\"id\": \"{ID}\""), &format!("\"id\": \"{id}\""));
        assert_eq!(
            github("push", &body, "main"),
            format!("unreadable: `{id}` is not the id of a commit")
        );
    }
    for body in ["", "hunter2", "[\"hunter2\"]", "{\"ref\": {\"hunter2\": 1}}", &"[".repeat(9999)] {
        let told = github("push", body, "main");
        assert!(told.starts_with("unreadable: the body "), "{told}");
        assert!(!told.contains("hunter2"), "{told}");
    }
}

/// B21 and trap X37: without `ref` the default branch is built, which OpenShift takes to be `master`.
#[test]
fn without_a_ref_the_default_branch_of_the_repository_is_built() {
    assert!(github("push", &push("trunk"), "").starts_with(&format!("build {ID}")));
    assert_eq!(
        github("push", &push("master"), ""),
        "no: branch master is not trunk, which is built"
    );
    let payload =
        read_as(WebhookKind::GitHub, &[JSON, ("x-github-event", "push")], &push("trunk")).unwrap();
    assert!(!payload.needs_default(Some("")), "the payload tells it");
    let silent = Payload { default_branch: None, ..payload };
    assert!(silent.needs_default(Some("")) && !silent.needs_default(Some("main")));
    assert!(!silent.needs_default(None), "there is no repository to ask");
    assert!(!Payload::default().needs_default(Some("")), "nothing is compared");
    let strict = Wanted { reference: Some(""), default_branch: Some("master"), allow_env: false };
    let why = "branch trunk is not master, which is built".to_owned();
    assert_eq!(silent.decide(strict), Decision::Nothing { why, is_told: false });
}

fn gitlab(rest: &str) -> String {
    let body = format!(r#"{{"object_kind": "push", "ref": "refs/heads/main", {rest}}}"#);
    done(WebhookKind::GitLab, &[JSON, ("x-gitlab-event", "Push Hook")], &body, "main")
}

/// B22 and trap X38: the last of the commits; without any the commit that is checked out.
#[test]
fn a_push_of_gitlab_builds_its_last_commit_and_a_deleted_branch_nothing() {
    let commit = |id: &str| {
        format!(r#"{{"id": "{id}", "message": "m", "author": {{"name": "J", "email": "j@x"}}}}"#)
    };
    let both = format!(r#""after": "{ID}", "commits": [{}, {}]"#, commit(OTHER), commit(ID));
    assert_eq!(gitlab(&both), format!("build {ID} J <j@x> /  / m"));
    let made = format!(r#""after": "{ID}", "checkout_sha": "{ID}", "commits": []"#);
    assert_eq!(gitlab(&made), format!("build {ID}  /  / "));
    let gone = format!(r#""after": "{NONE}", "checkout_sha": null, "commits": []"#);
    assert_eq!(gitlab(&gone), "nothing: branch main was deleted");
    let without = format!(r#""after": "{ID}", "checkout_sha": null, "commits": []"#);
    assert_eq!(gitlab(&without), "nothing: the push to main has no commits and no `checkout_sha`");
    let zero = format!(r#""after": "{ID}", "checkout_sha": "{NONE}""#);
    assert_eq!(gitlab(&zero), "nothing: the push to main has no commits and no `checkout_sha`");
    let tag = [JSON, ("x-gitlab-event", "Tag Push Hook")];
    assert_eq!(
        done(WebhookKind::GitLab, &tag, "{}", "main"),
        "unreadable: Unknown X-Gitlab-Event Tag Push Hook"
    );
}

fn bitbucket(key: &str, body: &str) -> String {
    done(WebhookKind::Bitbucket, &[JSON, ("x-event-key", key)], body, "main")
}

/// B22 and trap X38: the cloud, with a branch that is new.
#[test]
fn a_push_of_bitbucket_builds_its_newest_commit_also_of_a_branch_that_is_new() {
    let side = |name: &str, id: &str| {
        format!(
            r#"{{"type": "branch", "name": "{name}", "target": {{"type": "commit", "hash": "{id}"}}}}"#
        )
    };
    let change = |new: &str, old: &str, commits: &str| {
        format!(r#"{{"new": {new}, "old": {old}, "commits": [{commits}]}}"#)
    };
    let commit = |id: &str| {
        format!(
            r#"{{"hash": "{id}", "message": "m\n", "author": {{"raw": "J <j@x>", "type": "author"}}}}"#
        )
    };
    let push = |changes: &str| {
        bitbucket("repo:push", &format!(r#"{{"actor": {{}}, "push": {{"changes": [{changes}]}}}}"#))
    };
    let (new, old) = (side("main", ID), side("main", OTHER));
    let both = format!("{}, {}", commit(ID), commit(OTHER));
    assert_eq!(push(&change(&new, &old, &both)), format!("build {ID} J <j@x> /  / m"));
    assert_eq!(push(&change(&new, "null", "")), format!("build {ID}  /  / "));
    assert_eq!(push(&change("null", &old, "")), "nothing: it moved no branch");
    let tag = new.replace("\"branch\"", "\"tag\"");
    assert_eq!(push(&change(&tag, "null", "")), "nothing: it moved no branch");
    // Two branches in one push: the second is the one.
    let other = change(&side("next", OTHER), "null", "");
    let two = format!("{other}, {}", change(&new, &old, &commit(ID)));
    assert_eq!(push(&two), format!("build {ID} J <j@x> /  / m"));
    assert_eq!(push(&other), "no: branch next is not main, which is built");
    assert_eq!(
        bitbucket("diagnostics:ping", "{\"test\": true}"),
        "nothing: a ping: the hook is set up"
    );
    assert_eq!(bitbucket("pr:opened", "{}"), "unreadable: Unknown X-Event-Key pr:opened");
    assert_eq!(bitbucket("repo:push", "{}"), "unreadable: it has neither `push` nor `changes`");
}

/// B22: the server.
#[test]
fn a_push_of_a_bitbucket_server_builds_where_its_branch_points_at() {
    let change = |kind: &str, id: &str, what: &str, to: &str| {
        format!(
            r#"{{"eventKey": "repo:refs_changed", "actor": {{"name": "j", "emailAddress": "j@x", "displayName": "J"}},
            "changes": [{{"ref": {{"id": "{id}", "displayId": "main", "type": "{kind}"}}, "fromHash": "{OTHER}",
            "toHash": "{to}", "type": "{what}"}}]}}"#
        )
    };
    let key = "repo:refs_changed";
    let pushed = change("BRANCH", "refs/heads/main", "UPDATE", ID);
    assert_eq!(bitbucket(key, &pushed), format!("build {ID}  / J <j@x> / "));
    assert_eq!(
        bitbucket(key, &pushed.replace("\"id\": \"refs/heads/main\", ", "")),
        format!("build {ID}  / J <j@x> / ")
    );
    let tag = change("TAG", "refs/tags/main", "ADD", ID);
    assert_eq!(bitbucket(key, &tag), "nothing: it moved no branch");
    let gone = change("BRANCH", "refs/heads/main", "DELETE", NONE);
    assert_eq!(bitbucket(key, &gone), "nothing: it moved no branch");
}

fn generic(kind: &str, body: &str, reference: &str) -> String {
    done(WebhookKind::Generic, &[("content-type", kind)], body, reference)
}

/// B23: the body is optional, and one that cannot be read keeps nobody from building.
#[test]
fn a_script_builds_the_newest_commit_with_a_warning_where_its_payload_cannot_be_read() {
    assert_eq!(generic("", "", "main"), "build the newest");
    assert_eq!(generic("text/plain", " \n", ""), "build the newest");
    let ignored = "ignoring payload and continuing with build";
    assert_eq!(
        generic("text/plain", "{}", "main"),
        format!("build the newest (invalid Content-Type on payload, {ignored})")
    );
    for (kind, body, told) in [
        (
            "application/json",
            "hunter2",
            "error unmarshalling payload: the body is not JSON (line 1, column 1)",
        ),
        (
            "application/json; charset=utf-8",
            "{\"env\": 7}",
            "error unmarshalling payload: the body is not of the shape that this kind sends (line 1, column 9)",
        ),
        ("application/yaml", "a: [hunter2", "error converting payload to json: line 2, column 1"),
        ("application/yaml", "env: hunter2", "error converting payload to json: line 1, column 6"),
    ] {
        assert_eq!(generic(kind, body, ""), format!("build the newest ({told}, {ignored})"));
    }
    let without = "(no git information found in payload, ignoring and continuing with build)";
    assert_eq!(generic("application/json", "{}", ""), format!("build the newest {without}"));
    assert_eq!(generic("application/yaml", "# nothing", ""), format!("build the newest {without}"));
}

/// B23: `git.ref`, `git.refs` and the commit.
#[test]
fn a_script_names_a_commit_and_its_branch_has_to_match() {
    let body = r#"{"git": {"uri": "x", "ref": "refs/heads/main", "commit": "v1.2", "message": "m", "author": {"name": "J"}}}"#;
    assert_eq!(generic("application/json", body, "main"), "build v1.2 J /  / m");
    assert_eq!(generic("application/json", body, ""), "build v1.2 J /  / m");
    assert_eq!(
        generic("application/json", body, "next"),
        "told: skipping build. Branch reference from \"refs/heads/main\" does not match configuration"
    );
    assert_eq!(
        generic("application/json", "{\"git\": {\"commit\": \"v1\"}}", "main"),
        "told: skipping build. Branch reference from \"\" does not match configuration"
    );
    let yaml = format!(
        "git:\n  refs:\n  - {{ref: next, commit: {OTHER}}}\n  - {{ref: main, commit: {ID}}}\n"
    );
    assert_eq!(generic("application/yaml", &yaml, "main"), format!("build {ID}  /  / "));
    assert_eq!(
        generic("application/yaml", &yaml, "v2"),
        "told: skipping build. None of the supplied refs matched \"v2\""
    );
    for commit in ["--upload-pack=x", "main..next", "HEAD~1", "a b", "@{u}", "-x", "a:b"] {
        let body = format!("{{\"git\": {{\"ref\": \"main\", \"commit\": \"{commit}\"}}}}");
        assert_eq!(
            generic("application/json", &body, "main"),
            format!("unreadable: `{commit}` is not a commit")
        );
    }
}

/// B23: variables, only where the trigger allows them; arguments and the cache.
#[test]
fn variables_are_taken_where_the_trigger_allows_them() {
    let body = r#"{"env": [{"name": "A", "value": "1"}, {"name": "B"}],
        "dockerStrategyOptions": {"buildArgs": [{"name": "X", "value": "y"}], "noCache": true}}"#;
    let payload = read_as(WebhookKind::Generic, &[JSON], body).unwrap();
    let decide =
        |allow_env| payload.decide(Wanted { reference: Some(""), default_branch: None, allow_env });
    let Decision::Build { options, warnings, .. } = decide(true) else { panic!("no build") };
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(options.env, [pair("A", "1"), pair("B", "")]);
    assert_eq!((options.build_args, options.no_cache), (vec![pair("X", "y")], Some(true)));
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    let Decision::Build { options, warnings, .. } = decide(false) else { panic!("no build") };
    assert_eq!((options.env, warnings.last().map(String::as_str)), (Vec::new(), Some(NO_ENV)));
    for (name, told) in [("", "``"), ("a b", "`a b`"), ("A=B", "`A=B`")] {
        let body = format!("{{\"env\": [{{\"name\": \"{name}\"}}]}}");
        assert_eq!(
            generic("application/json", &body, ""),
            format!("unreadable: `env` has a variable {told}, which is not a name")
        );
    }
    let large =
        format!("{{\"env\": [{{\"name\": \"A\", \"value\": \"{}\"}}]}}", "x".repeat(40_000));
    assert_eq!(
        generic("application/json", &large, ""),
        "unreadable: `env` has more than 32768 bytes"
    );
}

#[test]
fn what_is_not_built_from_git_is_built_without_a_commit() {
    let payload =
        read_as(WebhookKind::GitHub, &[JSON, ("x-github-event", "push")], &push("x")).unwrap();
    let wanted = Wanted { reference: None, default_branch: None, allow_env: false };
    let why = "branch x is not trunk, which is built".to_owned();
    assert_eq!(payload.decide(wanted), Decision::Nothing { why, is_told: false });
    let silent = Payload { default_branch: None, ..payload };
    let Decision::Build { revision: None, options, .. } = silent.decide(wanted) else {
        panic!("no build")
    };
    assert_eq!(*options, BuildOptions::default());
}

#[test]
fn a_person_is_a_name_an_address_or_both() {
    assert_eq!(person(Some("J"), None), "J");
    assert_eq!(person(None, Some("j@x")), "<j@x>");
    assert_eq!(person(Some("J"), Some("j@x")), "J <j@x>");
}

fn shown_place(path: &str) -> String {
    match place(path) {
        None => "none".to_owned(),
        Some(Asked::Subpath(subpath)) => format!("subpath {subpath}"),
        Some(Asked::Type(kind)) => format!("type {kind}"),
        Some(Asked::Hook(Place { namespace, name, secret, kind })) => {
            let secret = secret.map(|secret| String::from_utf8_lossy(&secret).into_owned());
            format!("{namespace}/{name} {kind} {}", secret.as_deref().unwrap_or("-"))
        }
    }
}

/// B18: both forms of the address, and what is none.
#[test]
fn the_address_of_a_webhook_is_read_in_both_forms() {
    let base = "/apis/build.openshift.io/v1/namespaces/shop/buildconfigs/web/webhooks";
    let old = "/oapi/v1/namespaces/shop/buildconfigs/web/webhooks";
    for base in [base, old] {
        for kind in ["github", "gitlab", "bitbucket", "generic"] {
            let path = format!("{base}/s3cret/{kind}");
            let kind = kind_of(kind).unwrap();
            assert_eq!(shown_place(&path), format!("shop/web {kind} s3cret"));
            assert_eq!(
                shown_place(&format!("{base}/{}", word(kind))),
                format!("shop/web {kind} -")
            );
        }
    }
    for (rest, says) in [
        ("", "subpath "),
        ("/", "subpath "),
        ("/s3cret", "subpath s3cret"),
        ("/s3cret/github/", "subpath s3cret/github/"),
        ("/a/b/github", "subpath a/b/github"),
        ("/s3cret/svn", "type svn"),
        ("/s3cret/GitHub", "type GitHub"),
        ("//github", "shop/web GitHub "),
        ("/a%2fb/github", "shop/web GitHub a/b"),
        ("/%73%33/git%68ub", "shop/web GitHub s3"),
        ("/a%/github", "shop/web GitHub a%"),
        ("/a%4/github", "shop/web GitHub a%4"),
        ("/a%+1/github", "shop/web GitHub a%+1"),
        ("/%c3%a9/github", "shop/web GitHub é"),
        ("/s/gi%2fthub", "type gi/thub"),
        ("/s/%1b[2J", "type  [2J"),
    ] {
        assert_eq!(shown_place(&format!("{base}{rest}")), says, "{rest}");
    }
    for path in [
        "/",
        "/hooks/x",
        "/apis/build.openshift.io/v1/namespaces/shop/builds/web",
        "/oapi/v1/namespaces/",
    ] {
        assert_eq!(shown_place(path), "none", "{path}");
    }
    assert_eq!(
        shown_place(&base.replace("shop", "..%2f..")),
        "subpath ",
        "what it names is looked at later"
    );
}

/// B18, B25: each secret of a type is valid, and what it allows is its own.
#[test]
fn each_secret_of_a_trigger_lets_in_and_allows_what_its_own_trigger_allows() {
    let key = |secret: &[u8], allow_env| Key { secrets: Secrets::one(secret), allow_env };
    let keys = [key(b"one", false), key(b"two", true), key(b"", true)];
    let prove = |secret: &[u8]| prove(Claim::Secret(secret), b"body", &keys);
    assert_eq!((prove(b"one"), prove(b"two")), (Some(false), Some(true)));
    for wrong in [&b""[..], b"on", b"onee", b"ONE", b"one\n"] {
        assert_eq!(prove(wrong), None, "{wrong:?}");
    }
    assert_eq!(super::prove(Claim::Secret(b""), b"", &[]), None);
    let sign = |secret: &[u8], body: &[u8]| {
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret);
        format!("sha256={}", hex::encode(ring::hmac::sign(&key, body)))
    };
    let signed = |hex: &str| super::prove(Claim::Signature(hex), b"body", &keys);
    assert_eq!(signed(&sign(b"one", b"body")), Some(false));
    assert_eq!(signed(&sign(b"two", b"body")), Some(true));
    assert_eq!(signed(&sign(b"one", b"other")), None);
    assert_eq!((signed(&sign(b"", b"body")), signed("")), (None, None));
}

/// B4, B20, B24: the build that a sender is told of.
#[test]
fn a_sender_is_told_the_build_with_its_secret_masked() {
    let object = ObjectKey {
        kind: crate::names::Kind::BuildConfig,
        namespace: "shop".parse().unwrap(),
        name: "web".parse().unwrap(),
    };
    let labels = [("app".to_owned(), "web".to_owned()), ("buildconfig".to_owned(), "x".to_owned())];
    let revision = SourceRevision {
        commit: ID.to_owned(),
        author: "Jane <jane@example.com>".to_owned(),
        committer: "<bot@example.com>".to_owned(),
        message: "Fix".to_owned(),
        ..SourceRevision::default()
    };
    let created = answer::Created {
        object: &object,
        labels: &labels.into(),
        policy: crate::fact::RunPolicy::SerialLatestOnly,
        number: crate::names::BuildNumber(3),
        name: "web-3",
        at: crate::time::Timestamp::from_millis(1_790_000_000_123),
        kind: WebhookKind::GitLab,
        revision: Some(&revision),
    };
    let git = serde_json::json!({"type": "Git", "git": {"commit": ID, "message": "Fix",
        "author": {"name": "Jane", "email": "jane@example.com"}, "committer": {"email": "bot@example.com"}}});
    assert_eq!(
        created.build(),
        serde_json::json!({
            "kind": "Build", "apiVersion": "build.openshift.io/v1",
            "metadata": {"name": "web-3", "namespace": "shop", "creationTimestamp": "2026-09-21T14:13:20Z",
                "labels": {"app": "web", "buildconfig": "web", "openshift.io/build-config.name": "web",
                    "openshift.io/build.start-policy": "SerialLatestOnly"},
                "annotations": {"openshift.io/build-config.name": "web", "openshift.io/build.number": "3"}},
            "spec": {"revision": git.clone(), "triggeredBy": [{"message": "GitLab WebHook",
                "gitlabWebHook": {"secret": "<secret>", "revision": git}}]},
            "status": {"phase": "New", "output": {},
                "config": {"kind": "BuildConfig", "namespace": "shop", "name": "web"}}
        })
    );
}
