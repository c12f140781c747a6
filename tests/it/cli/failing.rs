//! Every way in which an import fails, as the log, `status`, `diff --resolve` and `import-image` tell it: the registry, the
//! reference, the cause, and what to do. Real registries where they do such a thing, the hostile one where they do not.

use std::collections::BTreeMap;
use std::net::TcpListener;

use base64::Engine as _;
use serde_json::json;
use tempfile::TempDir;
use tidegate::fact::Fact;

use crate::support::daemon::{Host, wait};
use crate::support::git::Repo;
use crate::support::hostile::{
    Asked, CHUNKED, Hostile, IMAGE, Reply, answer, chunk, image, manifest, token,
};
use crate::support::limited::Limited;
use crate::support::registry::{DockerRegistry, Options, make_certificates, write};

/// A way to fail: its name, an image, and whether plain HTTP is allowed for it.
type Class = (&'static str, String, bool);

/// What a hostile registry answers, by repository.
fn hostile(asked: &Asked) -> Reply {
    let broken =
        format!("content-type: {IMAGE}\r\ndocker-content-digest: sha256:{}\r\n", "0".repeat(64));
    let denied = r#"{"errors":[{"code":"DENIED","message":"only for the team"}]}"#;
    match asked.path.trim_start_matches("/v2/").split('/').next().unwrap_or_default() {
        "denied" => answer("403 Forbidden", "", denied),
        "page" => answer("200 OK", "content-type: text/html\r\n", "<html>Log in</html>"),
        "digest" => answer("200 OK", &broken, image("{}")),
        "large" => Reply::Endless(CHUNKED.into(), chunk()),
        "circle" => answer("307 Temporary Redirect", &format!("location: {}\r\n", asked.path), ""),
        "slow" => Reply::Silence(Vec::new()),
        "closed" => Reply::Bytes(Vec::new()),
        "old" => manifest("application/vnd.docker.distribution.manifest.v1+prettyjws", "{}"),
        _ => answer("418 I'm a teapot", "", ""),
    }
}

/// What a registry answers whose token server takes no login.
fn refusing(asked: &Asked) -> Reply {
    token(asked, answer("401 No", "", r#"{"details":"incorrect username or password"}"#))
}

/// All that imports fail at.
struct Ways {
    open: DockerRegistry,
    closed: DockerRegistry,
    private: DockerRegistry,
    limited: Limited,
    down: Limited,
    hostile: Hostile,
    /// The same, for what gives no answer: then others of a registry wait.
    silent: Hostile,
    refusing: Hostile,
    other_name: Hostile,
    expired: Hostile,
    /// Where nothing listens.
    free: String,
    dir: TempDir,
}

impl Ways {
    fn open() -> Option<Self> {
        let (basic, tls) = (Some(("anna", "right")), true);
        let open = DockerRegistry::start()?;
        let closed = DockerRegistry::start_with(&Options { basic, ..Options::default() })?;
        let private = DockerRegistry::start_with(&Options { tls, ..Options::default() })?;
        wait(open.push_image("web", "1", "a"));
        wait(open.push_index("signatures", "1", "a", &["unknown"]));
        wait(closed.push_image("web", "1", "a"));
        wait(closed.push_image("team/web", "1", "a"));
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let dir = tempfile::tempdir().unwrap();
        let certified = |name: &str, names: &str, days| {
            let folder = dir.path().join(name);
            std::fs::create_dir(&folder).unwrap();
            make_certificates(&folder, names, days);
            Hostile::start_tls(&folder, hostile)
        };
        Some(Self {
            limited: Limited::start(&open.address(), 0)?,
            down: Limited::start(&free, 0)?,
            hostile: Hostile::start(hostile),
            silent: Hostile::start(hostile),
            refusing: Hostile::start(refusing),
            other_name: certified("other", "DNS:registry.example.com", 2),
            expired: certified("expired", "IP:127.0.0.1", -1),
            open,
            closed,
            private,
            free,
            dir,
        })
    }

    fn classes(&self) -> Vec<Class> {
        let hostile = |what: &str| format!("{}/{what}/web:1", self.hostile.address());
        let at = |host: String, image: &str| format!("{host}/{image}");
        vec![
            ("no-such-name", "registry.invalid/team/web:1".into(), false),
            ("refused", at(self.free.clone(), "web:1"), true),
            ("unknown-authority", at(self.private.address(), "web:1"), false),
            ("other-name", at(self.other_name.address(), "web:1"), false),
            ("expired", at(self.expired.address(), "web:1"), false),
            ("plain-http", at(self.open.address(), "web:1"), false),
            ("no-login", at(self.closed.address(), "web:1"), true),
            ("wrong-login", at(self.closed.address(), "team/web:1"), true),
            ("wrong-password", at(self.refusing.address(), "team/web:1"), true),
            ("denied", hostile("denied"), true),
            ("no-repository", at(self.open.address(), "never/pushed:1"), true),
            ("no-tag", at(self.open.address(), "web:9"), true),
            ("limited", at(self.limited.address(), "web:1"), true),
            ("in-trouble", at(self.down.address(), "web:1"), true),
            ("page", hostile("page"), true),
            ("wrong-digest", hostile("digest"), true),
            ("no-platform", at(self.open.address(), "signatures:1"), true),
            ("schema-1", hostile("old"), true),
            ("too-large", hostile("large"), true),
            ("circle", hostile("circle"), true),
            ("slow", at(self.silent.address(), "slow/web:1"), true),
            ("broken", at(self.silent.address(), "closed/web:1"), true),
            ("teapot", hostile("other"), true),
            ("blocked", "blocked.example.com/team/web:1".into(), false),
        ]
    }

    /// Settings: logins, authorities, and what `registries.conf` says.
    fn settings(&self) -> String {
        let path = |name: &str| self.dir.path().join(name);
        let auth =
            |login: &str| json!({"auth": base64::engine::general_purpose::STANDARD.encode(login)});
        let team = format!("{}/team", self.closed.address());
        let wrong = auth("anna:wrong");
        let auths = json!({"auths": {team: wrong, self.refusing.address(): wrong}});
        write(&path("auth.json"), &auths.to_string());
        let conf = "[[registry]]\nprefix = \"blocked.example.com\"\nblocked = true\n";
        write(&path("registries.conf"), conf);
        let mut text = format!(
            "[registries]\ntimeout = \"6s\"\nauth_file = \"{}\"\nconf = \"{}\"\n",
            path("auth.json").display(),
            path("registries.conf").display()
        );
        for (server, folder) in [(&self.other_name, "other"), (&self.expired, "expired")] {
            let authority = path(folder).join("ca.crt");
            let (host, authority) = (server.address(), authority.display());
            text += &format!("[registries.\"{host}\"]\nca_file = \"{authority}\"\n");
        }
        text
    }

    /// A text with the names of the ways in the place of addresses, and without what differs between machines.
    fn plain(&self, text: &str) -> String {
        let mut names = BTreeMap::from([
            (self.open.address(), "open.test:5000"),
            (self.closed.address(), "closed.test:5000"),
            (self.private.address(), "private.test:5000"),
            (self.limited.address(), "limited.test:5000"),
            (self.down.address(), "down.test:5000"),
            (self.hostile.address(), "hostile.test:5000"),
            (self.silent.address(), "silent.test:5000"),
            (self.refusing.address(), "refusing.test:5000"),
            (self.other_name.address(), "other.test:5000"),
            (self.expired.address(), "expired.test:5000"),
            (self.free.clone(), "free.test:5000"),
        ]);
        let mut text = text.to_owned();
        while let Some((address, name)) = names.pop_last() {
            text = text.replace(&address, name);
        }
        let digest = regex::Regex::new("content [0-9a-z:]{71}").unwrap();
        let text = digest.replace_all(&text, "content sha256:...");
        let since = regex::Regex::new("since [a-z0-9 ]+ ago").unwrap();
        let text = since.replace_all(&text, "since now");
        // What a name service says depends on how the machine is connected.
        let lookup = regex::Regex::new("(address information): [A-Za-z ]+").unwrap();
        lookup.replace_all(&text, "$1: ...").into_owned()
    }
}

fn stream(name: &str, classes: &[Class]) -> String {
    let mut yaml = format!(
        "apiVersion: image.openshift.io/v1\nkind: ImageStream\nmetadata: {{name: {name}, namespace: shop}}\nspec:\n  tags:\n"
    );
    for (tag, image, insecure) in classes {
        let from = format!("{{kind: DockerImage, name: '{image}'}}");
        yaml +=
            &format!("  - {{name: {tag}, importPolicy: {{insecure: {insecure}}}, from: {from}}}\n");
    }
    yaml
}

/// What `status` says of tags that fail: the condition, and what to do below it.
fn told(status: &str, classes: &[Class]) -> String {
    let lines: Vec<&str> = status.lines().collect();
    let mut told = String::new();
    for (tag, ..) in classes {
        let subject = format!("  shop/web:{tag}: ");
        let at = lines.iter().position(|line| line.starts_with(&subject)).expect(tag);
        let condition = lines[at].trim_start_matches(&subject);
        let condition = condition.trim_start_matches("could not check since now: ");
        told += &format!("{tag}\n    {}\n", condition.trim_end_matches("; it has no image yet"));
        told += &format!(
            "{}\n",
            lines.get(at + 1).filter(|line| line.starts_with("    ")).unwrap_or(&"    -")
        );
    }
    told
}

#[test]
fn every_failed_import_says_the_registry_the_reference_the_cause_and_what_to_do() {
    let Some(ways) = Ways::open() else { return };
    let classes = ways.classes();
    let repo = Repo::new();
    repo.write("web.yaml", stream("web", &classes)).commit("all of them");
    let mut host = Host::new(repo.path(), &ways.settings());
    host.start();
    for (class, ..) in &classes {
        let tag = format!("shop/web:{class}");
        host.wait_for(class, |fact| match fact {
            Fact::ImportFailed(failed) => failed.tag.to_string() == tag,
            _ => false,
        });
    }
    let status = ways.plain(&host.text(&["status"]));
    insta::assert_snapshot!("failures", told(&status, &classes));
    let log = host.log();
    for (class, image, _) in &classes {
        let tag = format!("tag=shop/web:{class} ");
        let line = log.lines().find(|line| line.contains(&tag)).expect(class);
        let registry = image.split('/').next().unwrap();
        assert!(line.contains(" advice=\"") && line.contains(registry), "{line}");
    }
    assert!(host.stop().success(), "{}", host.story());
}

/// A failure is told with what to do wherever a command meets it first.
#[test]
fn import_image_and_diff_say_what_to_do_about_a_failure() {
    let Some(registry) = DockerRegistry::start() else { return };
    let image = format!("{}/shop/web:1", registry.address());
    let repo = Repo::new();
    let class = ("one", image.clone(), false);
    repo.write("web.yaml", stream("web", &[class])).commit("plain HTTP");
    let host = Host::new(repo.path(), "");
    write(&host.path("gitconfig"), "[user]\nname = Ada\nemail = ada@example.com\n");
    let advice = format!(
        "give `{0}` a certificate, or allow plain HTTP for {image}: `importPolicy: {{insecure: true}}` at the tag, or \
         `registries.\"{0}\".insecure = true`",
        registry.address()
    );
    let output = host.run(&["diff", "--resolve"]);
    let diff = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(4), "{diff}");
    assert!(diff.contains(&format!("\n    to do: {advice}\n")), "{diff}");
    assert_eq!(diff.matches("to do: ").count(), 1, "once: {diff}");
    for flags in [&["--dry-run"][..], &[]] {
        let from = format!("--from={image}");
        let words = ["import-image", "fresh:one", &from, "--confirm", "-n", "shop"];
        let words = [&words[..], flags].concat();
        let mut command = host.tidegate(&words);
        command.env("GIT_CONFIG_GLOBAL", host.path("gitconfig")).current_dir(repo.path());
        let output = command.output().unwrap();
        let err = String::from_utf8_lossy(&output.stderr);
        let cause = "error: tag 1 failed: the repository shop/web is HTTP only and requires the insecure flag to import";
        assert!(err.contains(&format!("{cause}\nhint: {advice}\n")), "{flags:?}: {err}");
    }
}

/// I60: a repository that cannot be listed is wrong, also where none of its tags fails.
#[test]
fn status_says_that_a_whole_repository_cannot_be_listed() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let repo = Repo::new();
    let stream = format!(
        "apiVersion: image.openshift.io/v1\nkind: ImageStream\nmetadata: {{name: all, namespace: shop}}\nspec: {{dockerImageRepository: '{free}/team/web'}}\n"
    );
    repo.write("all.yaml", stream).commit("a whole repository");
    let mut host = Host::new(repo.path(), "");
    host.start();
    host.wait_for("the failure", |fact| matches!(fact, Fact::ListingFailed(_)));
    let status = host.run(&["status", "--exit-code"]);
    let text = String::from_utf8_lossy(&status.stdout);
    let text = text.replace(&free, "HOST");
    let wrong = "  is/shop/all: its repository cannot be listed: InternalError: Internal error occurred: HOST/team/web:latest: cannot connect to `HOST`: Connection refused";
    assert!(text.contains(wrong), "{text}");
    assert!(
        text.contains("    to do: nothing listens there: look whether the registry runs"),
        "{text}"
    );
    assert_eq!(status.status.code(), Some(3), "{text}");
    assert!(host.stop().success(), "{}", host.story());
}
