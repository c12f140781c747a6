//! Builds: rows of `get builds`, `describe bc` and `describe build` (rules C3, C7, C8, B53).

use serde_json::Value;

use super::deployment::{created, number, write_events};
use super::pod_template::strings;
use super::table::Table;
use super::workload::{built_from, items, row, strategy, text};
use super::{Block, ago};
use crate::secret::{masked, sounds_secret};
use crate::time::Timestamp;

/// Builds that `describe bc` lists.
const BUILDS_MAX: usize = 10;

/// `Build`s, in the order in which they were created (rule C3).
#[must_use]
pub fn builds(objects: &[Value], now: Timestamp) -> Table {
    let mut all: Vec<&Value> = objects.iter().collect();
    all.sort_by_key(|object| created(object));
    let one = |object: &&Value| {
        let phase = text(object, "/status/phase");
        let status = match text(object, "/status/reason") {
            "" => phase.to_owned(),
            reason => format!("{phase} ({reason})"),
        };
        let started = at(object, "/status/startTimestamp");
        let started = started.map(|at| ago(now, at).to_lowercase()).unwrap_or_default();
        let took = number(object, "/status/duration").map(|nanos| go(nanos / 1_000_000_000));
        let cells = [strategy(object).to_owned(), built_from(object), status, started];
        row(object, cells.into_iter().chain([took.unwrap_or_default()]))
    };
    let columns = vec!["NAME", "TYPE", "FROM", "STATUS", "STARTED", "DURATION"];
    Table { columns, wide: vec![], rows: all.iter().map(one).collect() }
}

/// Seconds as Go writes a duration: `1h0m5s`, `1m32s`, `0s`.
fn go(seconds: u64) -> String {
    let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{rest}s"),
        (0, minutes) => format!("{minutes}m{rest}s"),
        (hours, minutes) => format!("{hours}h{minutes}m{rest}s"),
    }
}

fn at(object: &Value, path: &str) -> Option<crate::api::Time> {
    serde_json::from_value(object.pointer(path)?.clone()).ok()
}

/// How long a build took, or takes (rule C8).
fn duration(build: &Value, now: Timestamp) -> String {
    let between = |from: Option<crate::api::Time>, to: Timestamp| {
        let from = from.map_or(to, crate::api::Time::timestamp);
        go(to.since(from).as_secs())
    };
    let (was_created, start) = (created(build), at(build, "/status/startTimestamp"));
    let end = at(build, "/status/completionTimestamp").map(crate::api::Time::timestamp);
    let now = crate::api::Time::of(now).timestamp();
    let phase = text(build, "/status/phase");
    match (start, end) {
        (None, Some(end)) => format!("waited for {}", between(was_created, end)),
        (None, None) if phase == "Cancelled" => "<none>".to_owned(),
        (None, None) => format!("waiting for {}", between(was_created, now)),
        (Some(_), None) => format!("running for {}", between(start, now)),
        (Some(_), Some(end)) => between(start, end),
    }
}

/// A `BuildConfig` or a `Build`, with what belongs to it.
#[derive(Clone, Copy, Debug)]
pub struct Described<'a> {
    /// The effective object with its status.
    pub object: &'a Value,
    /// Its builds, oldest first.
    pub builds: &'a [Value],
    /// What happened to it, oldest first.
    pub events: &'a [Value],
    /// What waits, and what would end that.
    pub held: &'a [String],
    /// Where its image is pushed, or why that is not known (rule B53).
    pub push: Option<&'a str>,
    /// What webhooks are sent to, up to `/apis`.
    pub hooks: &'a str,
    /// The last webhook that was meant for it.
    pub delivery: Option<&'a str>,
    /// The time that ages are counted to.
    pub now: Timestamp,
}

impl Described<'_> {
    /// Describes a `BuildConfig` (rule C7).
    #[must_use]
    pub fn config(&self) -> String {
        let object = self.object;
        let mut block = Block::default();
        self.meta(&mut block);
        let latest = number(object, "/status/lastVersion").unwrap_or(0);
        let shown = if latest == 0 { "Never built".to_owned() } else { latest.to_string() };
        block.field("Latest Version", &shown);
        for held in self.held {
            block.field("Held", held);
        }
        self.spec(&mut block);
        let policy = match text(object, "/spec/runPolicy") {
            "" => "Serial",
            policy => policy,
        };
        block.field("\nBuild Run Policy", policy);
        self.triggers(&mut block);
        limits(&mut block, object);
        self.history(&mut block);
        block.finish()
    }

    fn meta(&self, block: &mut Block) {
        let object = self.object;
        block.field("Name", text(object, "/metadata/name"));
        block.field("Namespace", text(object, "/metadata/namespace"));
        if let Some(created) = created(object) {
            block.field("Created", &ago(self.now, created));
        }
        block.map("Labels", &strings(object.pointer("/metadata/labels")));
        block.annotations(&strings(object.pointer("/metadata/annotations")));
    }

    /// What triggers it, and where webhooks are sent; their secrets are not shown.
    fn triggers(&self, block: &mut Block) {
        let object = self.object;
        let mut labels = Vec::new();
        let mut hooks = std::collections::BTreeMap::new();
        for trigger in items(object, "/spec/triggers") {
            match text(trigger, "/type") {
                "ConfigChange" => labels.push("Config".to_owned()),
                "ImageChange" | "imageChange" => {
                    let from = text(trigger, "/imageChange/from/name");
                    let kind = match text(trigger, "/imageChange/from/kind") {
                        "" => "ImageStreamTag",
                        kind => kind,
                    };
                    labels.push(match from {
                        "" => "ImageChange".to_owned(),
                        from => format!("Image({kind} {from})"),
                    });
                }
                kind => match hook_of(kind) {
                    Some((title, word)) => {
                        let env = trigger.pointer("/generic/allowEnv").and_then(Value::as_bool);
                        let env = (word == "generic").then(|| env == Some(true));
                        hooks.entry(title).or_insert((word, env));
                    }
                    None if kind.is_empty() => labels.push("<unknown>".to_owned()),
                    None => labels.push(kind.to_owned()),
                },
            }
        }
        block.field("Triggered by", &labels.join(", "));
        for (title, (word, env)) in hooks {
            block.line(&format!("Webhook {title}:"));
            block.line(&format!("\tURL:\t{}", self.url(word)));
            if let Some(env) = env {
                block.line(&format!("\tAllowEnv:\t{env}"));
            }
        }
        if let Some(delivery) = self.delivery {
            block.field("Last Webhook", delivery);
        }
    }

    fn url(&self, kind: &str) -> String {
        let [namespace, name] =
            ["/metadata/namespace", "/metadata/name"].map(|path| text(self.object, path));
        webhook_url(self.hooks, namespace, name, kind)
    }

    fn history(&self, block: &mut Block) {
        if self.builds.is_empty() {
            return;
        }
        block.line("\nBuild\tStatus\tDuration\tCreation Time");
        let mut newest: Vec<&Value> = self.builds.iter().rev().collect();
        newest.sort_by_key(|build| std::cmp::Reverse(created(build)));
        for build in newest.into_iter().take(BUILDS_MAX) {
            let name = text(build, "/metadata/name");
            let phase = text(build, "/status/phase").to_lowercase();
            let time = created(build).map(|at| at.timestamp().to_jiff());
            let time = time.map(|at| at.strftime("%Y-%m-%d %H:%M:%S +0000 UTC").to_string());
            let (took, time) = (duration(build, self.now), time.unwrap_or_default());
            block.line(&format!("{name} \t{phase} \t{took} \t{time}"));
        }
    }

    /// Describes a `Build` (rule C8).
    #[must_use]
    pub fn build(&self) -> String {
        let object = self.object;
        let mut block = Block::default();
        self.meta(&mut block);
        block.line("");
        let phase = text(object, "/status/phase");
        let status = match text(object, "/status/message") {
            "" => phase.to_owned(),
            message => format!("{phase} ({})", masked(message).replace('\n', " ")),
        };
        block.field("Status", &status);
        if let Some(start) = at(object, "/status/startTimestamp") {
            let start = start.timestamp().to_jiff().strftime("%a, %d %b %Y %H:%M:%S UTC");
            block.field("Started", &start.to_string());
        }
        block.field("Duration", &duration(object, self.now));
        for stage in items(object, "/status/stages") {
            let millis = number(stage, "/durationMilliseconds").unwrap_or(0);
            let took = go((millis + 500) / 1000);
            block.field(&format!("  {}", text(stage, "/name")), &format!("  {took}"));
        }
        for held in self.held {
            block.field("Held", held);
        }
        block.line("");
        block.field("Build Config", text(object, "/status/config/name"));
        let pod = text(object, "/metadata/annotations/openshift.io~1build.pod-name");
        block.field("Build Pod", pod);
        let digest = text(object, "/status/output/to/imageDigest");
        if !digest.is_empty() {
            block.field("Image Digest", digest);
        }
        self.spec(&mut block);
        causes(&mut block, object);
        let tail = text(object, "/status/logSnippet");
        if !tail.is_empty() {
            block.field("Log Tail", &masked(tail));
        }
        write_events(&mut block, self.events, self.now);
        block.finish()
    }

    /// What both kinds have.
    fn spec(&self, block: &mut Block) {
        let object = self.object;
        let of = |path: &str| text(object, &format!("/spec{path}"));
        let field = |block: &mut Block, label: &str, value: &str| {
            if !value.is_empty() {
                block.field(label, value);
            }
        };
        let has = |path: &str| object.pointer(&format!("/spec{path}")).is_some();
        block.field("\nStrategy", strategy(object));
        if has("/source/git") {
            block.field("URL", &masked(of("/source/git/uri")));
            field(block, "Ref", of("/source/git/ref"));
            field(block, "ContextDir", of("/source/contextDir"));
            field(block, "Source Secret", of("/source/sourceSecret/name"));
            revision(block, object.pointer("/spec/revision/git"));
        }
        dockerfile(block, object);
        self.strategy(block);
        if has("/output/to") {
            let to = object.pointer("/spec/output/to").unwrap_or(&Value::Null);
            block.field("Output to", &reference(to, "ImageStreamTag"));
        }
        field(block, "Push to", self.push.unwrap_or_default());
        if has("/source/binary") {
            block.field(
                "Binary",
                &match of("/source/binary/asFile") {
                    "" => "provided on build".to_owned(),
                    name => format!("provided as file \"{name}\" on build"),
                },
            );
        }
        inputs(block, object);
        if !["git", "binary", "images"].iter().any(|part| has(&format!("/source/{part}"))) {
            block.field("Empty Source", "no input source provided");
        }
        field(block, "Post Commit Hook", &hook(object));
        field(block, "Push Secret", of("/output/pushSecret/name"));
        if let Some(seconds) = number(object, "/spec/completionDeadlineSeconds") {
            block.field("Fail Build After", &go(seconds));
        }
    }

    fn strategy(&self, block: &mut Block) {
        let names = ["dockerStrategy", "sourceStrategy", "customStrategy"];
        let part = |name| self.object.pointer(&format!("/spec/strategy/{name}"));
        let Some(used) = names.into_iter().find_map(part) else { return };
        let is_custom = part("customStrategy").is_some();
        let yes = |key: &str| used.get(key).and_then(Value::as_bool) == Some(true);
        if !text(used, "/from/name").is_empty() {
            let label = if is_custom { "Image Reference" } else { "From Image" };
            let from = used.get("from").unwrap_or(&Value::Null);
            block.field(label, &reference(from, "ImageStreamTag"));
        }
        let texts = [
            ("Scripts", "/scripts"),
            ("Dockerfile Path", "/dockerfilePath"),
            ("Pull Secret Name", "/pullSecret/name"),
        ];
        for (label, path) in texts {
            match text(used, path) {
                "" => {}
                value => block.field(label, &masked(value)),
            }
        }
        let is_docker = part("dockerStrategy").is_some();
        let word = if is_docker { "true" } else { "yes" };
        let flags = [
            ("Incremental Build", "incremental"),
            ("No Cache", "noCache"),
            ("Force Pull", "forcePull"),
        ];
        for (label, _) in flags.into_iter().filter(|(_, key)| yes(key)) {
            block.field(label, word);
        }
        if is_custom {
            return env(block, used);
        }
        volumes(block, used);
    }
}

/// The environment of a custom strategy, without what is secret.
fn env(block: &mut Block, used: &Value) {
    for (at, one) in items(used, "/env").enumerate() {
        let name = text(one, "/name");
        let value = if sounds_secret(name) { "<hidden>" } else { text(one, "/value") };
        let label = if at == 0 { "Environment:" } else { ":" };
        block.line(&format!("{label}\t{name}={}", masked(value)));
    }
}

fn volumes(block: &mut Block, used: &Value) {
    let mut all = items(used, "/volumes").peekable();
    if all.peek().is_none() {
        return block.field("Volumes", "");
    }
    block.field("Volumes", " ");
    block.line("\tName\tSource Type\tSource\tMounts");
    for volume in all {
        let [name, kind] = ["/name", "/source/type"].map(|path| text(volume, path));
        let of = ["/source/secret/secretName", "/source/configMap/name"];
        let source = of.map(|path| text(volume, path)).into_iter().find(|name| !name.is_empty());
        let mounts = items(volume, "/mounts").map(|one| text(one, "/destinationPath"));
        let mounts = mounts.collect::<Vec<_>>().join("\n\t\t\t\t");
        block.line(&format!("\t{name}\t{kind}\t{}\t{mounts}", source.unwrap_or(name)));
    }
}

fn dockerfile(block: &mut Block, object: &Value) {
    let Some(file) = object.pointer("/spec/source/dockerfile").and_then(Value::as_str) else {
        return;
    };
    if file.trim().is_empty() {
        return block.field("Dockerfile", "");
    }
    block.line("Dockerfile:");
    for line in masked(file).split('\n') {
        block.line(&format!("  {line}"));
    }
}

/// What is copied into the source beside it.
fn inputs(block: &mut Block, object: &Value) {
    let parts = [
        ("Build Secrets", "/spec/source/secrets", "/secret/name"),
        ("Build ConfigMaps", "/spec/source/configMaps", "/configMap/name"),
    ];
    for (label, path, name) in parts {
        let all = items(object, path).map(|one| {
            let to = match text(one, "/destinationDir").trim_end_matches('/') {
                "" => ".",
                to => to,
            };
            format!("{}->{to}", text(one, name))
        });
        let all = all.collect::<Vec<_>>().join(",");
        if !all.is_empty() {
            block.field(label, &all);
        }
    }
    let images: Vec<&Value> = items(object, "/spec/source/images").collect();
    let name = |image: &Value| {
        let from = image.get("from").unwrap_or(&Value::Null);
        named(from)
    };
    let paths = |image: &Value| -> Vec<[String; 2]> {
        let both = ["/sourcePath", "/destinationDir"];
        let all = items(image, "/paths").map(|one| both.map(|path| text(one, path).to_owned()));
        all.collect()
    };
    if let [image] = images.as_slice()
        && let [[from, to]] = paths(image).as_slice()
    {
        return block.field("Image Source", &format!("copies {from} from {} to {to}", name(image)));
    }
    for image in images {
        block.field("Image Source", &name(image));
        for [from, to] in paths(image) {
            block.line(&format!("\t- {from} -> {to}"));
        }
        for stage in items(image, "/as").filter_map(Value::as_str) {
            block.line(&format!("\t- as {stage}"));
        }
    }
}

/// `namespace/name` of a reference.
fn named(from: &Value) -> String {
    match (text(from, "/namespace"), text(from, "/name")) {
        ("", name) => name.to_owned(),
        (namespace, name) => format!("{namespace}/{name}"),
    }
}

fn reference(from: &Value, default: &str) -> String {
    let kind = match text(from, "/kind") {
        "" => default,
        kind => kind,
    };
    format!("{kind} {}", named(from))
}

/// The hook behind a build as it would be typed.
fn hook(object: &Value) -> String {
    let hook = object.pointer("/spec/postCommit").unwrap_or(&Value::Null);
    let words = |path| items(hook, path).filter_map(Value::as_str).map(str::to_owned);
    let (mut command, mut args): (Vec<_>, Vec<_>) =
        (words("/command").collect(), words("/args").collect());
    let script = text(hook, "/script");
    if command.is_empty() && args.is_empty() && script.is_empty() {
        return String::new();
    }
    if !script.is_empty() {
        command = vec!["/bin/sh".to_owned(), "-ic".to_owned()];
        let own = std::iter::once(script.to_owned());
        let shell = (!args.is_empty()).then(|| "/bin/sh".to_owned());
        args = own.chain(shell).chain(args).collect();
    }
    if command.is_empty() {
        command.push("<image-entrypoint>".to_owned());
    }
    let all = command.iter().chain(&args).map(|word| format!("{:?}", masked(word)));
    format!("[{}]", all.collect::<Vec<_>>().join(", "))
}

/// A commit, as far as it is known.
fn revision(block: &mut Block, git: Option<&Value>) {
    let Some(git) = git else { return };
    let commit: String = text(git, "/commit").chars().take(7).collect();
    block.field("Commit", &format!("{commit} ({})", masked(text(git, "/message"))));
    let [author, committer] = ["/author/name", "/committer/name"].map(|path| text(git, path));
    match (author, committer) {
        ("", "") => {}
        (author, "") => block.field("Author", author),
        ("", committer) => block.field("Committer", committer),
        (author, committer) if author == committer => block.field("Author/Committer", author),
        (author, committer) => block.field("Author/Committer", &format!("{author} / {committer}")),
    }
}

fn causes(block: &mut Block, object: &Value) {
    let mut all = items(object, "/spec/triggeredBy").peekable();
    if all.peek().is_none() {
        block.field("\nBuild trigger cause", "<unknown>");
    }
    for cause in all {
        block.field("\nBuild trigger cause", text(cause, "/message"));
        for kind in ["github", "gitlab", "bitbucket", "generic"] {
            let Some(hook) = cause.get(format!("{kind}WebHook")) else { continue };
            revision(block, hook.pointer("/revision/git"));
            block.field("Secret", text(hook, "/secret"));
        }
        if let Some(change) = cause.get("imageChangeBuild") {
            block.field("Image ID", text(change, "/imageID"));
            let [name, kind] = ["/fromRef/name", "/fromRef/kind"].map(|path| text(change, path));
            block.field("Image Name/Kind", &format!("{name} / {kind}"));
        }
    }
    block.line("");
}

fn limits(block: &mut Block, object: &Value) {
    let is_legacy = text(object, "/apiVersion") == "v1";
    let limit = |key: &str| {
        let said = number(object, &format!("/spec/{key}"));
        said.or_else(|| (!is_legacy).then_some(5)) // as the API fills it in (section 4.1)
    };
    let both = [
        ("Successful", limit("successfulBuildsHistoryLimit")),
        ("Failed", limit("failedBuildsHistoryLimit")),
    ];
    if both.iter().all(|(_, limit)| limit.is_none()) {
        return;
    }
    block.line("Builds History Limit:");
    for (label, limit) in both.into_iter().filter_map(|(label, limit)| Some((label, limit?))) {
        block.line(&format!("\t{label}:\t{limit}"));
    }
}

/// A type of a trigger that is a webhook: as it is shown, and in an address.
#[must_use]
pub fn hook_of(kind: &str) -> Option<(&'static str, &'static str)> {
    Some(match kind {
        "GitHub" | "github" => ("GitHub", "github"),
        "GitLab" | "gitlab" => ("GitLab", "gitlab"),
        "Bitbucket" | "bitbucket" => ("Bitbucket", "bitbucket"),
        "Generic" | "generic" => ("Generic", "generic"),
        _ => return None,
    })
}

/// Where a webhook of a `BuildConfig` is sent (rule B18); its secret is not shown.
#[must_use]
pub fn webhook_url(base: &str, namespace: &str, name: &str, kind: &str) -> String {
    format!(
        "{base}/apis/build.openshift.io/v1/namespaces/{namespace}/buildconfigs/{name}/webhooks/<secret>/{kind}"
    )
}

/// The commit of a build in one line: `abc1234: message (author)`, as far as it is known (rule C11).
#[must_use]
pub fn revision_line(commit: &str, message: &str, author: &str) -> String {
    if commit.is_empty() {
        return String::new();
    }
    // Before it is checked out, it may be the name of a branch.
    let is_hash = commit.bytes().all(|byte| byte.is_ascii_hexdigit());
    let short = commit.get(..7).filter(|_| is_hash).unwrap_or(commit);
    let message = if message.is_empty() { String::new() } else { format!(": {}", masked(message)) };
    let author = if author.is_empty() { String::new() } else { format!(" ({author})") };
    format!("{short}{message}{author}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn now() -> Timestamp {
        "2026-01-01T01:00:00Z".parse().unwrap()
    }

    #[test]
    fn c003_a_duration_is_written_as_go_writes_it() {
        let all = [0, 59, 60, 92, 3600, 3605, 90_061].map(go);
        assert_eq!(all, ["0s", "59s", "1m0s", "1m32s", "1h0m0s", "1h0m5s", "25h1m1s"]);
    }

    #[test]
    fn c011_a_commit_is_told_as_far_as_it_is_known() {
        let hash = "1234567890abcdef1234567890abcdef12345678";
        assert_eq!(revision_line(hash, "icons", "Ann"), "1234567: icons (Ann)");
        assert_eq!(revision_line(hash, "", ""), "1234567");
        assert_eq!(revision_line("feature/icons", "", ""), "feature/icons");
        assert_eq!(revision_line("", "icons", "Ann"), "");
    }

    #[test]
    fn c008_how_long_a_build_took_or_takes() {
        let build = |phase: &str, start: Option<&str>, end: Option<&str>| {
            let at = |time: &str| format!("2026-01-01T00:{time}Z");
            let mut status = json!({"phase": phase});
            for (key, time) in [("startTimestamp", start), ("completionTimestamp", end)] {
                if let Some(time) = time {
                    status[key] = json!(at(time));
                }
            }
            let created = at("00:00");
            let build = json!({"metadata": {"creationTimestamp": created}, "status": status});
            duration(&build, now())
        };
        assert_eq!(build("New", None, None), "waiting for 1h0m0s");
        assert_eq!(build("Running", Some("59:30"), None), "running for 30s");
        assert_eq!(build("Complete", Some("01:00"), Some("02:02")), "1m2s");
        assert_eq!(build("Cancelled", None, Some("00:03")), "waited for 3s");
        assert_eq!(build("Cancelled", None, None), "<none>");
    }

    #[test]
    fn c007_a_hook_is_shown_as_it_would_be_typed() {
        let shown = |hook: Value| hook_text(&hook);
        fn hook_text(hook: &Value) -> String {
            super::hook(&json!({"spec": {"postCommit": hook}}))
        }
        assert_eq!(shown(json!({})), "");
        assert_eq!(shown(json!({"script": "rake test"})), r#"["/bin/sh", "-ic", "rake test"]"#);
        let with_args = json!({"script": "rake $1", "args": ["test"]});
        assert_eq!(shown(with_args), r#"["/bin/sh", "-ic", "rake $1", "/bin/sh", "test"]"#);
        assert_eq!(shown(json!({"args": ["-v"]})), r#"["<image-entrypoint>", "-v"]"#);
    }
}
