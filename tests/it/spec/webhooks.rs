//! Webhooks of `BuildConfig`s (section 4.4), by the real daemon over TCP. Their output is a stream that does not exist, so
//! that what is created stays new and nothing has to be built.

use serde_json::{Value, json};
use tidegate::control::{Question, Reply};
use tidegate::fact::{BuildCause, BuildCreated, Fact, WebhookKind};
use tidegate::hook::deliveries::{Delivery, Listening, Verdict};

use crate::support::daemon::{Host, eventually};
use crate::support::git::Repo;
use crate::support::hook::{free_address, request, send};

/// Secrets that nothing may show.
const ONE: &str = "canary-one";
const TWO: &str = "canary-two";

const ID: &str = "59b20b8d5c6ff8d09518454d4dd8b7b30f095ab5";

const JSON: (&str, &str) = ("Content-Type", "application/json");

/// A `BuildConfig` with these triggers.
fn build(name: &str, git: &str, triggers: &str) -> String {
    format!(
        "apiVersion: build.openshift.io/v1\nkind: BuildConfig\nmetadata: {{name: {name}, namespace: shop, labels: {{app: site}}}}\n\
         spec:\n  source: {{git: {git}}}\n  strategy: {{dockerStrategy: {{}}}}\n  \
         output: {{to: {{kind: ImageStreamTag, name: 'nowhere:latest'}}}}\n  triggers: [{triggers}]\n"
    )
}

/// A trigger of every type, GitHub with two secrets; only one of the generic ones takes variables.
fn triggers() -> String {
    format!(
        "{{type: GitHub, github: {{secret: {ONE}}}}}, {{type: GitHub, github: {{secret: {TWO}}}}}, \
         {{type: GitLab, gitlab: {{secret: {ONE}}}}}, {{type: Bitbucket, bitbucket: {{secret: {ONE}}}}}, \
         {{type: Generic, generic: {{secret: {ONE}}}}}, {{type: Generic, generic: {{secret: {TWO}, allowEnv: true}}}}"
    )
}

/// A daemon that listens, with what git has.
struct Site {
    host: Host,
    address: String,
    _repo: Repo,
}

impl Site {
    fn new(manifests: &[String], toml: &str) -> Self {
        let address = free_address();
        let repo = Repo::new();
        repo.write("all.yaml", manifests.join("---\n")).commit("all");
        let text = format!("[builds]\nenabled = true\n[listener]\naddress = \"{address}\"\n{toml}");
        let mut host = Host::new(repo.path(), &text);
        host.start();
        host.wait_for("the adopted commit", |fact| matches!(fact, Fact::CommitAdopted(_)));
        Self { host, address, _repo: repo }
    }

    /// `web`, which is built from `main`, with triggers of all types.
    fn web() -> Self {
        let git = "{uri: 'https://git.example.com/team/web.git', ref: main}";
        Self::new(&[build("web", git, &triggers())], "")
    }

    fn call(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Said {
        let text = send(&self.address, &request(method, path, headers, body.as_bytes()));
        Said::of(&text)
    }

    /// Posts to `NAME/SECRET/TYPE`.
    fn post(&self, hook: &str, headers: &[(&str, &str)], body: &str) -> Said {
        self.call("POST", &path(hook), headers, body)
    }

    fn created(&self) -> Vec<BuildCreated> {
        let builds = self.host.records().into_iter().filter_map(|record| match record.fact {
            Fact::BuildCreated(created) => Some(*created),
            _ => None,
        });
        builds.collect()
    }

    fn deliveries(&self) -> Vec<Delivery> {
        match self.host.ask(&Question::Hooks) {
            Some(Reply::Hooks(listening)) => {
                let Listening { deliveries, .. } = *listening;
                deliveries
            }
            other => panic!("{other:?}"),
        }
    }

    fn last(&self) -> Delivery {
        self.deliveries().pop().expect("a delivery")
    }

    /// Law 10, wherever somebody may look.
    fn end(mut self) {
        for command in [&["hooks"][..], &["hooks", "-o", "json"], &["journal", "log"]] {
            self.host.text(command);
        }
        assert!(self.host.stop().success(), "{}", self.host.story());
        self.host.has_no_secret();
    }
}

fn path(hook: &str) -> String {
    let (name, rest) = hook.split_once('/').unwrap();
    format!("/apis/build.openshift.io/v1/namespaces/shop/buildconfigs/{name}/webhooks/{rest}")
}

/// An answer.
struct Said {
    code: u16,
    head: String,
    body: Value,
}

impl Said {
    fn of(text: &str) -> Self {
        let code = text.split(' ').nth(1).and_then(|code| code.parse().ok());
        let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
        let body = match body.trim() {
            "" => Value::Null,
            text => serde_json::from_str(text).unwrap_or_else(|_| panic!("no JSON: {text}")),
        };
        let code = code.unwrap_or_else(|| panic!("no answer: {text:?}"));
        Self { code, head: head.to_owned(), body }
    }

    /// The code and the message, for what is no build.
    fn told(&self) -> (u16, &str) {
        (self.code, self.body["message"].as_str().unwrap_or_default())
    }

    fn name(&self) -> &str {
        assert_eq!((self.code, &self.body["kind"]), (200, &json!("Build")), "{}", self.body);
        self.body["metadata"]["name"].as_str().unwrap()
    }
}

fn push(branch: &str, id: &str, default: &str) -> String {
    let head = json!({"id": id, "message": "Fix it\n\nAll of it",
        "author": {"name": "Jane", "email": "jane@example.com"},
        "committer": {"name": "Joe", "email": "joe@example.com"}});
    let repository = json!({"full_name": "team/web", "default_branch": default});
    json!({"ref": format!("refs/heads/{branch}"), "after": id, "deleted": false,
        "head_commit": head, "repository": repository})
    .to_string()
}

const PUSH: [(&str, &str); 2] = [JSON, ("X-GitHub-Event", "push")];

/// B18: addresses, methods and secrets; what is not there and what is not yours are the same from outside.
#[test]
fn b018_an_address_lets_in_who_knows_one_of_its_secrets_and_tells_nobody_else_anything() {
    let site = Site::web();
    let body = push("main", ID, "main");
    for (at, base) in ["/apis/build.openshift.io/v1", "/oapi/v1"].iter().enumerate() {
        let path = |secret: &str| {
            format!("{base}/namespaces/shop/buildconfigs/web/webhooks/{secret}/github")
        };
        let names = [ONE, TWO]
            .map(|secret| site.call("POST", &path(secret), &PUSH, &body).name().to_owned());
        assert_eq!(names, [1, 2].map(|number| format!("web-{}", 2 * at + number)));
    }
    let refused = "the webhook \"github\" for \"web\" did not accept your secret";
    for secret in ["canary", "canary-one%0a", "CANARY-ONE", "%20canary-one", "canary-one/"] {
        let hook = format!("web/{}/github", secret.trim_end_matches('/'));
        let said = site.post(&hook, &PUSH, &body);
        let wanted = if secret.ends_with('/') { 200 } else { 401 };
        assert_eq!(said.code, wanted, "{secret}");
    }
    let wrong = site.post("web/x/github", &PUSH, &body);
    assert_eq!(wrong.told(), (401, refused));
    assert_eq!(wrong.body["reason"], "Unauthorized");
    // A BuildConfig that there is not, a type that it has not, and the secret of another type: alike but for the names.
    let missing = site.post(&format!("wob/{ONE}/github"), &PUSH, &body);
    assert_eq!(missing.told(), (401, &*refused.replace("web\"", "wob\"")));
    assert_eq!(missing.head, wrong.head);
    let odd = site.post(&format!("..%2f..%2fweb/{ONE}/github"), &PUSH, &body);
    assert_eq!(odd.told(), (401, &*refused.replace("\"web\"", "\"../../web\"")));
    let of_another = site.post(&format!("web/{TWO}/gitlab"), &PUSH, &body);
    assert_eq!(of_another.told(), (401, &*refused.replace("github", "gitlab")));
    // What the address itself has wrong is told to everybody.
    for (hook, told) in [
        ("web/x", "unexpected hook subpath x"),
        ("web/x/y/github", "unexpected hook subpath x/y/github"),
        ("web/x/github/", "unexpected hook subpath x/github/"),
        ("nope/x", "unexpected hook subpath x"),
    ] {
        assert_eq!(site.post(hook, &PUSH, &body).told(), (400, told), "{hook}");
    }
    let unknown = site.post(&format!("web/{ONE}/svn"), &PUSH, &body);
    assert_eq!(unknown.told(), (404, "buildconfighook.build.openshift.io \"svn\" not found"));
    for method in ["GET", "PUT", "DELETE"] {
        let said = site.call(method, &path(&format!("web/{ONE}/github")), &PUSH, &body);
        assert_eq!(said.code, 405);
        assert!(said.head.contains("allow: POST"), "{}", said.head);
        assert_eq!(site.call(method, &path("nope/x/github"), &PUSH, &body).told(), said.told());
    }
    assert_eq!(
        site.call("POST", "/apis/build.openshift.io/v1/namespaces/shop/builds", &[], "").code,
        404
    );
    assert_eq!(site.created().len(), 5);
    let reasons: Vec<_> = site.deliveries().into_iter().map(|delivery| delivery.reason).collect();
    for reason in [
        "no such BuildConfig",
        "wrong secret",
        "the address has not all its parts",
        "it is no POST",
    ] {
        assert!(reasons.iter().any(|told| told == reason), "{reason}: {reasons:?}");
    }
    site.end();
}

/// B19: secrets from git, from a file and from the environment.
#[test]
fn b019_the_secret_of_a_trigger_may_be_in_git_in_a_file_or_in_the_environment() {
    let by = |name: &str, secret: &str| {
        let trigger =
            format!("{{type: Generic, generic: {{secretReference: {{name: {secret}}}}}}}");
        build(name, "{uri: 'https://git.example.com/web.git', ref: main}", &trigger)
    };
    let secret = |name: &str, key: &str| {
        format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{name: {name}, namespace: shop}}\nstringData: {{{key}: {ONE}}}\n"
        )
    };
    let manifests = [
        by("git", "in-git"),
        by("file", "in-file"),
        by("env", "in-env"),
        by("none", "nowhere"),
        by("odd", "odd"),
        secret("in-git", "WebHookSecretKey"),
        secret("in-file", "WebHookSecretKey"),
        secret("odd", "other"),
    ];
    let toml = "[listener.secrets]\n\"shop/in-file\" = \"file:hook.secret\"\n\"shop/in-env\" = \"env:HOME\"\n";
    let site = Site::new(&manifests, toml);
    assert_eq!(site.post(&format!("git/{ONE}/generic"), &[], "").name(), "git-1");
    // What the configuration names is in the place of what git has, and is read again for each delivery.
    assert_eq!(site.post(&format!("file/{ONE}/generic"), &[], "").code, 401);
    let reason = site.last().reason;
    assert!(reason.starts_with("wrong secret; cannot read the secret file"), "{reason}");
    std::fs::write(site.host.path("hook.secret"), format!("canary-old\n{TWO}\n")).unwrap();
    for secret in [TWO, "canary-old"] {
        assert_eq!(site.post(&format!("file/{secret}/generic"), &[], "").code, 200);
    }
    let home = site.host.path("").display().to_string().trim_end_matches('/').replace('/', "%2F");
    assert_eq!(site.post(&format!("env/{home}/generic"), &[], "").name(), "env-1");
    for (name, told) in [
        (
            "none",
            "wrong secret; the Secret `nowhere`, which the trigger names, is neither in git nor in `listener.secrets`",
        ),
        ("odd", "wrong secret; the Secret `odd` has no `WebHookSecretKey`"),
    ] {
        assert_eq!(site.post(&format!("{name}/{ONE}/generic"), &[], "").code, 401);
        assert_eq!(site.last().reason, told);
    }
    site.end();
}

/// B20: the build, an empty answer, a warning, and what is wrong.
#[test]
fn b020_an_answer_is_the_build_or_says_what_is_wrong() {
    let git = "{uri: 'https://git.example.com/web.git', ref: main}";
    let paused = build("paused", git, &triggers())
        .replace("labels: {app: site}", "annotations: {openshift.io/build-config.paused: 'true'}");
    let site = Site::new(&[build("web", git, &triggers()), paused], "");
    let hook = format!("web/{ONE}/github");
    let said = site.post(&hook, &PUSH, &push("main", ID, "main"));
    assert!(said.head.contains("content-type: application/json"), "{}", said.head);
    assert_eq!(said.name(), "web-1");
    let told = &said.body;
    assert_eq!(told["metadata"]["namespace"], "shop");
    assert_eq!(told["metadata"]["labels"]["app"], "site");
    assert_eq!(told["metadata"]["labels"]["openshift.io/build.start-policy"], "Serial");
    assert_eq!(told["metadata"]["annotations"]["openshift.io/build.number"], "1");
    assert_eq!(told["status"]["phase"], "New");
    assert_eq!(told["spec"]["revision"]["git"]["commit"], ID);
    // Nothing is built, and nothing is wrong.
    let ping = site.post(&hook, &[JSON, ("X-GitHub-Event", "ping")], "{}");
    assert_eq!((ping.code, &ping.body), (200, &Value::Null));
    let other = site.post(&hook, &PUSH, &push("next", ID, "main"));
    assert_eq!((other.code, &other.body), (200, &Value::Null));
    assert!(
        other.head.contains("warning: 299 - \"branch next is not main, which is built\""),
        "{}",
        other.head
    );
    let skipped =
        site.post(&format!("web/{ONE}/generic"), &[JSON], "{\"git\": {\"ref\": \"next\"}}");
    let why = "skipping build. Branch reference from \"next\" does not match configuration";
    assert_eq!(skipped.told(), (200, why));
    assert_eq!(skipped.body["status"], "Success");
    // The engine does not want to.
    let refused = site.post(&format!("paused/{ONE}/generic"), &[], "");
    assert_eq!(
        refused.told(),
        (
            500,
            "Internal error occurred: could not generate a build: can't instantiate from BuildConfig \
               shop/paused: BuildConfig is paused"
        )
    );
    // The payload is none.
    for (headers, body, told) in [
        (&PUSH[..], "{", "the body ends too early (line 1, column 1)"),
        (&[("X-GitHub-Event", "push")], "{}", "unsupported Content-Type "),
        (
            &[JSON, ("X-GitHub-Event", "issues")],
            "{}",
            "Unknown X-GitHub-Event or X-Gogs-Event issues",
        ),
        (&[JSON], "{}", "missing X-GitHub-Event or X-Gogs-Event"),
    ] {
        assert_eq!(site.post(&hook, headers, body).told(), (400, told));
    }
    assert_eq!(site.created().len(), 1);
    site.end();
}

/// B21, X37: without `ref` the default branch is built, as the payload or the repository tells it.
#[test]
fn b021_x037_a_push_to_main_is_built_where_the_default_branch_is_main_and_no_ref_is_given() {
    let source = Repo::with(&["--initial-branch=trunk"]);
    source.write("Dockerfile", "FROM scratch\n").commit("one");
    let by = |name: &str, uri: &str| build(name, &format!("{{uri: '{uri}'}}"), &triggers());
    let local = format!("file://{}", source.address());
    let manifests = [by("web", "https://127.0.0.1:1/web.git"), by("local", &local)];
    let site = Site::new(&manifests, "");
    let github =
        |branch: &str| site.post(&format!("web/{ONE}/github"), &PUSH, &push(branch, ID, "main"));
    assert_eq!(github("main").name(), "web-1");
    assert_eq!(github("master").body, Value::Null);
    assert_eq!(site.last().reason, "branch master is not main, which is built");
    // A payload that does not tell: the repository is asked.
    let generic = |name: &str, branch: &str| {
        let body = json!({"git": {"ref": branch, "commit": ID}}).to_string();
        site.post(&format!("{name}/{ONE}/generic"), &[JSON], &body)
    };
    assert_eq!(generic("local", "trunk").name(), "local-1");
    assert_eq!(generic("local", "main").told().0, 200);
    // It is not asked again: it is gone by now.
    std::fs::remove_dir_all(source.path()).unwrap();
    assert_eq!(generic("local", "refs/heads/trunk").name(), "local-2");
    // What cannot be told is not guessed.
    let untold = generic("web", "main");
    assert_eq!(untold.code, 503);
    assert!(untold.head.contains("retry-after: 5"), "{}", untold.head);
    let reason = site.last().reason;
    assert!(
        reason.starts_with("cannot tell which branch is built")
            && reason.ends_with("; set `spec.source.git.ref`"),
        "{reason}"
    );
    // A payload without a branch has nothing to compare.
    assert_eq!(site.post(&format!("web/{ONE}/generic"), &[], "").name(), "web-2");
    site.end();
}

/// B21: OpenShift takes it to be `master`.
#[test]
fn b021_strictly_an_empty_ref_is_master() {
    let git = "{uri: 'https://127.0.0.1:1/web.git'}";
    let address = free_address();
    let repo = Repo::new();
    repo.write("all.yaml", build("web", git, &triggers())).commit("all");
    let text = format!("[builds]\nenabled = true\n[listener]\naddress = \"{address}\"\n");
    let mut host = Host::new(repo.path(), &text);
    host.configure(|text| format!("strict_openshift = true\n{text}"));
    host.start();
    host.wait_for("the adopted commit", |fact| matches!(fact, Fact::CommitAdopted(_)));
    let site = Site { host, address, _repo: repo };
    let github =
        |branch: &str| site.post(&format!("web/{ONE}/github"), &PUSH, &push(branch, ID, "main"));
    assert_eq!(github("main").body, Value::Null);
    assert_eq!(github("master").name(), "web-1");
    site.end();
}

/// B22, X38: every type with its header, and what crashes OpenShift.
#[test]
fn b022_x038_each_type_builds_the_commit_that_its_sender_tells() {
    let site = Site::web();
    let id = |digit: char| digit.to_string().repeat(40);
    let none = id('0');
    let gitlab = |rest: Value| {
        let mut body = json!({"object_kind": "push", "ref": "refs/heads/main"});
        body.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        let headers = [JSON, ("X-Gitlab-Event", "Push Hook")];
        site.post(&format!("web/{ONE}/gitlab"), &headers, &body.to_string())
    };
    let bitbucket = |key: &str, body: Value| {
        let headers = [JSON, ("X-Event-Key", key)];
        site.post(&format!("web/{ONE}/bitbucket"), &headers, &body.to_string())
    };
    let side = |commit: &str| json!({"type": "branch", "name": "main", "target": {"hash": commit}});
    assert_eq!(
        gitlab(json!({"after": id('2'), "commits": [{"id": id('1')}, {"id": id('2')}]})).name(),
        "web-1"
    );
    assert_eq!(
        gitlab(json!({"after": id('3'), "checkout_sha": id('3'), "commits": []})).name(),
        "web-2"
    );
    let gone = gitlab(json!({"after": none, "checkout_sha": null, "commits": []}));
    assert_eq!((gone.code, gone.body), (200, Value::Null));
    assert_eq!(site.last().reason, "branch main was deleted");
    let change = json!({"new": side(&id('4')), "old": side(&none), "commits": [{"hash": id('4')}]});
    let pushed = json!({"push": {"changes": [change]}});
    assert_eq!(bitbucket("repo:push", pushed).name(), "web-3");
    let made = json!({"push": {"changes": [{"new": side(&id('5')), "old": null, "commits": []}]}});
    assert_eq!(bitbucket("repo:push", made).name(), "web-4");
    let branch = json!({"id": "refs/heads/main", "displayId": "main", "type": "BRANCH"});
    let changes = json!({"changes": [{"ref": branch, "toHash": id('6'), "type": "UPDATE"}]});
    assert_eq!(bitbucket("repo:refs_changed", changes).name(), "web-5");
    let gogs = [JSON, ("X-Gogs-Event", "push")];
    let said = site.post(&format!("web/{TWO}/github"), &gogs, &push("main", &id('7'), "main"));
    assert_eq!(said.name(), "web-6");
    let commits: Vec<_> = site.created().into_iter().map(|build| build.options.commit).collect();
    assert_eq!(commits, ['2', '3', '4', '5', '6', '7'].map(|digit| Some(id(digit))));
    site.end();
}

/// B23: a script builds with or without a payload, and sets variables where its trigger allows it.
#[test]
fn b023_a_script_builds_always_and_sets_variables_where_it_may() {
    let site = Site::web();
    let body = json!({"git": {"ref": "main", "commit": "v1.2"},
        "env": [{"name": "LEVEL", "value": "high"}],
        "dockerStrategyOptions": {"buildArgs": [{"name": "A", "value": "b"}], "noCache": true}})
    .to_string();
    let post = |secret: &str, headers: &[(&str, &str)], body: &str| {
        site.post(&format!("web/{secret}/generic"), headers, body)
    };
    assert_eq!(post(TWO, &[JSON], &body).name(), "web-1");
    let without = post(ONE, &[JSON], &body);
    assert_eq!(without.name(), "web-2");
    assert!(
        without.head.contains("ignoring 'env'") || without.head.contains("ignoring `env`"),
        "{}",
        without.head
    );
    let odd = post(ONE, &[("Content-Type", "text/plain")], "hello");
    assert_eq!(odd.name(), "web-3");
    assert!(
        odd.head.contains(
            "invalid Content-Type on payload, ignoring payload and continuing with build"
        ),
        "{}",
        odd.head
    );
    assert_eq!(post(ONE, &[JSON], "{").name(), "web-4");
    let yaml =
        "git:\n  refs:\n  - {ref: next, commit: a1}\n  - {ref: refs/heads/main, commit: b2}\n";
    assert_eq!(post(ONE, &[("Content-Type", "application/yaml")], yaml).name(), "web-5");
    let unmatched = post(ONE, &[JSON], "{\"git\": {\"refs\": [{\"ref\": \"next\"}]}}");
    assert_eq!(
        unmatched.told(),
        (200, "skipping build. None of the supplied refs matched \"main\"")
    );
    let created = site.created();
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let [first, second, third, _, fifth] = created.as_slice() else { panic!("{created:?}") };
    assert_eq!(first.options.commit.as_deref(), Some("v1.2"));
    assert_eq!(first.options.env, [pair("LEVEL", "high")]);
    assert_eq!(first.options.build_args, [pair("A", "b")]);
    assert_eq!(first.options.no_cache, Some(true));
    assert!(second.options.env.is_empty());
    assert_eq!(third.options, tidegate::fact::BuildOptions::default());
    assert_eq!(fifth.options.commit.as_deref(), Some("b2"));
    site.end();
}

/// B24: the cause, the commit, and a secret that stands nowhere.
#[test]
fn b024_a_build_says_which_webhook_caused_it_and_checks_out_its_commit() {
    let site = Site::web();
    let said = site.post(&format!("web/{ONE}/github"), &PUSH, &push("main", ID, "main"));
    let cause = &said.body["spec"]["triggeredBy"][0];
    assert_eq!(cause["message"], "GitHub WebHook");
    assert_eq!(cause["githubWebHook"]["secret"], "<secret>");
    assert_eq!(cause["githubWebHook"]["revision"]["git"]["author"]["email"], "jane@example.com");
    assert!(!said.body.to_string().contains("canary"));
    let created = site.created();
    assert_eq!(created[0].options.commit.as_deref(), Some(ID));
    let [BuildCause::Webhook { kind: WebhookKind::GitHub, revision: Some(revision) }] =
        created[0].causes.as_slice()
    else {
        panic!("{:?}", created[0].causes)
    };
    assert_eq!(
        (revision.commit.as_str(), revision.author.as_str(), revision.message.as_str()),
        (ID, "Jane <jane@example.com>", "Fix it")
    );
    site.end();
}

/// B25: bodies are bounded, and a sender that signs needs no secret in the address.
#[test]
fn b025_a_sender_may_sign_in_the_place_of_a_secret_in_the_address_and_bodies_are_bounded() {
    let site = Site::web();
    let body = push("main", ID, "main");
    let sign = |secret: &str, body: &str| {
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret.as_bytes());
        format!("sha256={}", hex::encode(ring::hmac::sign(&key, body.as_bytes())))
    };
    let post = |hook: &str, signature: &str| {
        let headers = [JSON, ("X-GitHub-Event", "push"), ("X-Hub-Signature-256", signature)];
        site.post(hook, &headers, &body)
    };
    assert_eq!(post("web/github", &sign(ONE, &body)).name(), "web-1");
    assert_eq!(post("web//github", &sign(TWO, &body)).name(), "web-2");
    for signature in [sign("x", &body), sign(ONE, "{}"), sign("", &body), String::new(), "é".into()]
    {
        assert!(matches!(post("web/github", &signature).code, 400 | 401), "{signature}");
    }
    let wrong = post("web/github", &sign("x", &body));
    assert_eq!(wrong.code, 401);
    assert!(site.last().reason.contains("the signature does not fit"), "{}", site.last().reason);
    // A signature is no secret: what stands in the address is.
    assert_eq!(post("web/x/github", &sign(ONE, &body)).code, 401);
    // Without both, the address lacks a part.
    assert_eq!(
        site.post("web/github", &PUSH, &body).told(),
        (400, "unexpected hook subpath github")
    );
    let hook = path(&format!("web/{ONE}/generic"));
    let most = "{}".to_owned() + &" ".repeat((1 << 20) - 2);
    assert_eq!(site.call("POST", &hook, &[JSON], &most).name(), "web-3");
    // Only the head of a larger one: what is not read may take the answer with it.
    let head =
        format!("POST {hook} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", (1 << 20) + 1);
    let said = Said::of(&send(&site.address, head.as_bytes()));
    assert_eq!(said.told(), (413, "Request entity too large: limit is 1048576"));
    site.end();
}

/// B25: nothing listens by itself, and the command needs no listener.
#[test]
fn b025_nothing_listens_unless_it_is_told_to_and_the_command_delivers_all_the_same() {
    let repo = Repo::new();
    let git = "{uri: 'https://git.example.com/web.git', ref: main}";
    repo.write("all.yaml", build("web", git, &triggers())).commit("all");
    let mut host = Host::new(repo.path(), "[builds]\nenabled = true\n");
    std::fs::write(host.path("push.json"), push("main", ID, "main")).unwrap();
    std::fs::write(host.path("next.json"), push("next", ID, "main")).unwrap();
    std::fs::write(host.path("env.yaml"), "env: [{name: LEVEL, value: high}]\n").unwrap();
    let file = |host: &Host, name: &str| host.path(name).display().to_string();
    host.start();
    host.wait_for("the adopted commit", |fact| matches!(fact, Fact::CommitAdopted(_)));
    eventually("the control socket", || host.ask(&Question::Hooks));
    assert!(host.text(&["hooks"]).starts_with("nothing listens for webhooks"));
    let webhook = |words: &[&str]| {
        let all = [&["webhook", "bc/web", "-n", "shop"], words].concat();
        let output = host.run(&all);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout) + &text(&output.stderr))
    };
    let started =
        |number: u32| (Some(0), format!("build.build.openshift.io/web-{number} started\n"));
    assert_eq!(webhook(&[]), started(1));
    assert_eq!(webhook(&["--type", "github", "--payload", &file(&host, "push.json")]), started(2));
    let (code, said) = webhook(&["--type", "github", "--payload", &file(&host, "next.json")]);
    assert_eq!(
        (code, said.as_str()),
        (Some(0), "nothing is built: branch next is not main, which is built\n")
    );
    let ping = ["--type", "github", "--event", "ping", "--payload", &file(&host, "push.json")];
    assert_eq!(webhook(&ping).1, "nothing is built: a ping: the hook is set up\n");
    let (code, said) = webhook(&["--payload", &file(&host, "env.yaml")]);
    assert!(code == Some(0) && said.contains("web-3 started"), "{said}");
    assert!(host.text(&["hooks"]).contains("starts build web-3; no git information"));
    let (code, said) = webhook(&["--type", "github", "--payload", &file(&host, "env.yaml")]);
    assert!(code == Some(1) && said.contains("unsupported Content-Type"), "{said}");
    let missing = host.run(&["webhook", "nope", "-n", "shop"]);
    let missing = String::from_utf8_lossy(&missing.stderr).into_owned();
    assert_eq!(
        missing,
        "error: buildconfigs.build.openshift.io \"nope\" not found in namespace shop\n"
    );
    let text = host.text(&["hooks", "shop/web"]);
    assert!(text.contains("shop/web accepted: starts build web-2"), "{text}");
    assert!(text.contains(&format!("github, by hand, branch main at {ID}")), "{text}");
    assert!(host.stop().success(), "{}", host.story());
}

/// X39: each of several pushes is built, in order, at its own commit.
#[test]
fn x039_each_of_several_pushes_is_built_in_order_at_its_own_commit() {
    let site = Site::web();
    let id = |number: usize| format!("{number:040x}");
    for number in 1..=5 {
        let said =
            site.post(&format!("web/{ONE}/github"), &PUSH, &push("main", &id(number), "main"));
        assert_eq!(said.name(), format!("web-{number}"));
    }
    let built: Vec<_> =
        site.created().into_iter().map(|b| (b.number.0, b.options.commit)).collect();
    let wanted: Vec<_> = (1..=5).map(|number| (number as u64, Some(id(number)))).collect();
    assert_eq!(built, wanted);
    site.end();
}

/// U16: why nothing was built is kept for each BuildConfig, and `status` hands the last out.
#[test]
fn what_builds_nothing_says_why_where_an_operator_looks() {
    let site = Site::web();
    let github = format!("web/{ONE}/github");
    site.post(&github, &PUSH, &push("next", ID, "main"));
    for _ in 0..30 {
        site.post("web/x/github", &PUSH, "{}");
        site.post("nope/x/github", &PUSH, "{}");
    }
    let text = site.host.text(&["hooks"]);
    for line in [
        "shop/web ignored: branch next is not main, which is built",
        "shop/web refused: wrong secret (30 times)",
        " - refused: no such BuildConfig (30 times)",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    site.post(
        &github,
        &[JSON, ("X-GitHub-Event", "ping"), ("X-GitHub-Delivery", "72d3-cc78")],
        "{}",
    );
    let Some(Reply::Status(live)) = site.host.ask(&Question::Status) else { panic!("no status") };
    let last = live.last_webhook(&"BuildConfig/shop/web".parse().unwrap()).unwrap();
    assert_eq!(
        (last.verdict, last.reason.as_str()),
        (Verdict::Ignored, "a ping: the hook is set up")
    );
    assert_eq!(last.id.as_deref(), Some("72d3-cc78"));
    assert!(live.last_webhook(&"BuildConfig/shop/nope".parse().unwrap()).is_none());
    assert!(site.created().is_empty());
    site.end();
}
