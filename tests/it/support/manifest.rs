//! A repository in few words: one line is one object, written out as YAML.
//!
//! ```text
//! is web latest=r.io/web:1,scheduled stable=tag:web:latest        an ImageStream and its tags
//! dc app app<web:latest sidecar=r.io/log:1 env=2                   a DeploymentConfig: triggered, plain, other template
//! deploy job main<web:latest                                       a Deployment with the triggers annotation
//! cj night main<web:latest cron=@daily                             a CronJob with it
//! pod tool main<web:latest                                         a Pod with it
//! bc app from=tag:base:1 to=app:latest config watch                a BuildConfig
//! bad dc app                                                       an object that is invalid
//! ```
//!
//! Tags: `IMAGE`, `tag:STREAM:TAG`, `image:STREAM@ID` or `-`, then `,scheduled` `,reference` `,insecure` `,preserve`
//! `,local` `,every:S`.
//! Containers: `NAME<TAG` automatic trigger, `NAME~TAG` trigger that is not, `NAME=IMAGE` none; `init:` in front.
//! Flags: `env=X` `noconfig` `notriggers` `paused` `prune=false` `retry=N` `target=T` `schedule=S` (`_` is a blank)
//! `ns=N` `label=X` `history=N` (the limit of a stream) `age=S` `window=W` `interval=S` (when triggers may act).
//! `lookup` (a stream whose tags image strings may name) `resolve` (a workload all of whose image strings are looked up).
//! `replicas=N`, `test` (as in `spec`), `tags=C:STREAM:TAG` (a DeploymentConfig whose `post` hook tags the image of C).
//! `noverify` (nothing is tried beside what runs), `roll=S/U` (`maxSurge` and `maxUnavailable` of a Deployment).
//! `cron=LINE` `policy=P` `suspend` `late=S` `deadline=S` `backoff=N` `keeps=N` (a CronJob; `keeps` is of both ends).
//! `from=T` `files=T` (images of a build, `tag:STREAM:TAG` or as they are) `to=T` `config` `watch` `watches=A;B` `still=A`
//! (what starts a build, `still` is paused) `run=POLICY` `docker` `binary` `incremental` `refuses` `cycle` (a BuildConfig).
//! `push=R` (where builds of a stream are pushed).
//! `repository=R` `filter=A;B` `limit=N` `open` (a whole repository, its filter, its limit, plain HTTP allowed).

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// One object.
#[derive(Clone, Default, Debug)]
pub(crate) struct Manifest {
    kind: String,
    name: String,
    namespace: String,
    invalid: bool,
    /// Tags of a stream, containers of a workload: name, relation, value, options.
    parts: Vec<(String, char, String, Vec<String>)>,
    flags: BTreeMap<String, String>,
}

impl Manifest {
    /// Reads one line.
    pub(crate) fn parse(line: &str) -> Self {
        let mut words = line.split_whitespace().peekable();
        let mut manifest = Self { namespace: "shop".into(), ..Self::default() };
        manifest.invalid = words.next_if_eq(&"bad").is_some();
        manifest.kind = words.next().unwrap().into();
        manifest.name = words.next().unwrap().into();
        for word in words {
            manifest.word(word);
        }
        manifest
    }

    fn word(&mut self, word: &str) {
        const FLAGS: [&str; 47] = [
            "push",
            "cycle",
            "from",
            "files",
            "to",
            "config",
            "watch",
            "watches",
            "still",
            "run",
            "binary",
            "incremental",
            "refuses",
            "roll",
            "noverify",
            "tags",
            "replicas",
            "test",
            "cron",
            "policy",
            "suspend",
            "late",
            "deadline",
            "backoff",
            "keeps",
            "age",
            "window",
            "interval",
            "history",
            "env",
            "noconfig",
            "notriggers",
            "paused",
            "prune",
            "retry",
            "target",
            "schedule",
            "ns",
            "label",
            "repository",
            "filter",
            "limit",
            "open",
            "lookup",
            "resolve",
            "volume",
            "recreate",
        ];
        let at = word.find(['=', '<', '~']).unwrap_or(word.len());
        let (name, rest) = word.split_at(at);
        let value = rest.get(1..).unwrap_or("");
        if name == "ns" {
            self.namespace = value.into();
        } else if FLAGS.contains(&name) && !(name == "cron" && self.kind == "is") {
            self.flags.insert(name.into(), value.replace('_', " "));
        } else {
            let relation = rest.chars().next().unwrap_or('=');
            let mut options = value.split(',').map(str::to_owned);
            let value = options.next().unwrap_or_default();
            self.parts.push((name.into(), relation, value, options.collect()));
        }
    }

    /// Its file.
    pub(crate) fn path(&self) -> String {
        format!("{}/{}-{}.yaml", self.namespace, self.kind, self.name)
    }

    /// Its file's content.
    pub(crate) fn yaml(&self) -> String {
        let kind = match self.kind.as_str() {
            "is" => "ImageStream",
            "dc" => "DeploymentConfig",
            "deploy" => "Deployment",
            "cj" => "CronJob",
            "pod" => "Pod",
            "bc" => "BuildConfig",
            other => panic!("no such kind `{other}`"),
        };
        let version = match self.kind.as_str() {
            "is" => "image.openshift.io/v1",
            "dc" => "apps.openshift.io/v1",
            "cj" => "batch/v1",
            "pod" => "v1",
            "bc" => "build.openshift.io/v1",
            _ => "apps/v1",
        };
        let mut text = format!("apiVersion: {version}\nkind: {kind}\nmetadata:\n");
        let (name, namespace) = (&self.name, &self.namespace);
        let _ = writeln!(text, "  name: {name}\n  namespace: {namespace}");
        if let Some(label) = self.flags.get("label") {
            let _ = writeln!(text, "  labels: {{label: '{label}'}}");
        } else if self.kind == "pod" {
            let _ = writeln!(text, "  labels: {{app: {name}}}");
        }
        self.annotations(&mut text);
        match self.kind.as_str() {
            "is" => self.stream(&mut text),
            "cj" => self.cron_job(&mut text),
            "pod" => self.pod(&mut text),
            "bc" if self.invalid => text.push_str("spec: {strategy: {}}\n"),
            "bc" => {
                super::builds::manifest(&mut text, |key| self.flags.get(key).map(String::as_str));
            }
            _ => self.workload(&mut text),
        }
        text
    }

    fn annotations(&self, text: &mut String) {
        let mut lines = Vec::new();
        for (flag, key) in [
            ("prune", "prune"),
            ("retry", "retry"),
            ("target", "target"),
            ("schedule", "schedule"),
            ("age", "minimum-age"),
            ("window", "window"),
            ("interval", "min-interval"),
            ("history", "history-limit"),
            ("limit", "tag-limit"),
            ("push", "push"),
            ("cycle", "allow-cycle"),
        ] {
            if let Some(value) = self.flags.get(flag) {
                lines.push(format!("    tidegate.dev/{key}: '{value}'"));
            }
        }
        if self.flags.contains_key("noverify") {
            lines.push("    tidegate.dev/verify: 'false'".into());
        }
        if let Some(filter) = self.flags.get("filter") {
            let lines_of_it = filter.replace(';', "\\n");
            lines.push(format!("    tidegate.dev/tag-filter: \"{lines_of_it}\""));
        }
        if self.flags.contains_key("open") {
            lines.push("    openshift.io/image.insecureRepository: 'true'".into());
        }
        if self.flags.contains_key("refuses") {
            lines.push("    openshift.io/build-config.paused: 'true'".into());
        }
        if self.flags.contains_key("resolve") {
            lines.push("    alpha.image.policy.openshift.io/resolve-names: '*'".into());
        }
        if self.flags.contains_key("paused") && self.kind != "dc" {
            lines.push("    tidegate.dev/pause: 'true'".into());
        }
        let triggers = self.parts.iter().filter(|(_, relation, ..)| *relation != '=');
        let base = match self.kind.as_str() {
            "cj" => "spec.jobTemplate.spec.template.spec",
            "pod" => "spec",
            _ => "spec.template.spec",
        };
        let entries: Vec<_> = triggers.map(|part| annotation_entry(base, part)).collect();
        if ["deploy", "cj", "pod"].contains(&&*self.kind) && !entries.is_empty() {
            let list = entries.join(",");
            lines.push(format!("    image.openshift.io/triggers: '[{list}]'"));
        }
        if !lines.is_empty() {
            let _ = writeln!(text, "  annotations:\n{}", lines.join("\n"));
        }
    }

    fn stream(&self, text: &mut String) {
        if self.invalid {
            text.push_str("spec: {tags: [{name: 'not a tag', from: {kind: Nonsense, name: x}}]}\n");
            return;
        }
        let repository = self.flags.get("repository");
        let looked_up = self.flags.contains_key("lookup");
        text.push_str(if self.parts.is_empty() && repository.is_none() && !looked_up {
            "spec: {}\n"
        } else {
            "spec:\n"
        });
        if let Some(repository) = repository {
            let _ = writeln!(text, "  dockerImageRepository: '{repository}'");
        }
        if looked_up {
            text.push_str("  lookupPolicy: {local: true}\n");
        }
        if !self.parts.is_empty() {
            text.push_str("  tags:\n");
        }
        for (name, _, value, options) in &self.parts {
            let _ = writeln!(text, "  - name: '{name}'");
            let (kind, from) = match value.split_once(':') {
                Some(("tag", from)) => ("ImageStreamTag", from),
                Some(("image", from)) => ("ImageStreamImage", from),
                Some(_) | None => ("DockerImage", value.as_str()),
            };
            if value != "-" {
                let _ = writeln!(text, "    from: {{kind: {kind}, name: '{from}'}}");
            }
            let every = options.iter().find_map(|option| option.strip_prefix("every:"));
            if let Some(every) = every {
                let every = every.replace('_', " ");
                let _ = writeln!(text, "    annotations: {{tidegate.dev/schedule: '{every}'}}");
            }
            let has = |option: &str| options.iter().any(|o| o == option);
            let _ = writeln!(text, "    reference: {}", has("reference"));
            let (scheduled, insecure) = (has("scheduled"), has("insecure"));
            if has("local") {
                text.push_str("    referencePolicy: {type: Local}\n");
            }
            let mode = if has("preserve") { "PreserveOriginal" } else { "Legacy" };
            let _ = writeln!(
                text,
                "    importPolicy: {{scheduled: {scheduled}, insecure: {insecure}, importMode: {mode}}}"
            );
        }
    }

    fn workload(&self, text: &mut String) {
        let dc = self.kind == "dc";
        let replicas = self.flags.get("replicas").map_or("1", String::as_str);
        let replicas = if self.invalid { "-1" } else { replicas };
        let _ = writeln!(text, "spec:\n  replicas: {replicas}");
        if self.flags.contains_key("test") {
            text.push_str("  test: true\n");
        }
        if dc && self.flags.contains_key("paused") {
            text.push_str("  paused: true\n");
        }
        if self.flags.contains_key("recreate") {
            text.push_str("  strategy:\n    type: Recreate\n    recreateParams:\n");
            for place in ["pre", "mid", "post"] {
                let hook = format!("{{command: [{place}], containerName: app}}");
                let _ =
                    writeln!(text, "      {place}: {{failurePolicy: Abort, execNewPod: {hook}}}");
            }
        }
        if let Some((surge, unavailable)) =
            self.flags.get("roll").and_then(|roll| roll.split_once('/'))
        {
            let _ = writeln!(
                text,
                "  strategy: {{rollingUpdate: {{maxSurge: {surge}, maxUnavailable: {unavailable}}}}}"
            );
        }
        if let Some((container, tag)) = self.flags.get("tags").and_then(|tags| tags.split_once(':'))
        {
            let _ = writeln!(
                text,
                "  strategy:\n    rollingParams:\n      post:\n        failurePolicy: Ignore\n        tagImages:\n        \
                 - {{containerName: {container}, to: {{kind: ImageStreamTag, name: '{tag}'}}}}"
            );
        }
        if dc {
            self.triggers(text);
            let _ = writeln!(text, "  selector: {{app: {}}}", self.name);
        } else {
            let _ = writeln!(text, "  selector: {{matchLabels: {{app: {}}}}}", self.name);
        }
        self.template(text);
    }

    fn cron_job(&self, text: &mut String) {
        let flag = |name: &str| self.flags.get(name).map(String::as_str);
        let _ = writeln!(text, "spec:\n  schedule: '{}'", flag("cron").unwrap_or("* * * * *"));
        let suspend = if self.invalid { "maybe" } else { "true" };
        if self.invalid || flag("suspend").is_some() {
            let _ = writeln!(text, "  suspend: {suspend}");
        }
        for (name, field) in [("policy", "concurrencyPolicy"), ("late", "startingDeadlineSeconds")]
        {
            if let Some(value) = flag(name) {
                let _ = writeln!(text, "  {field}: {value}");
            }
        }
        if let Some(keeps) = flag("keeps") {
            let _ = writeln!(
                text,
                "  successfulJobsHistoryLimit: {keeps}\n  failedJobsHistoryLimit: {keeps}"
            );
        }
        text.push_str("  jobTemplate:\n    spec:\n");
        for (name, field) in [("deadline", "activeDeadlineSeconds"), ("backoff", "backoffLimit")] {
            if let Some(value) = flag(name) {
                let _ = writeln!(text, "      {field}: {value}");
            }
        }
        let mut template = String::new();
        self.template(&mut template);
        for line in template.lines() {
            let _ = writeln!(text, "    {line}");
        }
        text.push_str("          restartPolicy: Never\n");
    }

    fn pod(&self, text: &mut String) {
        text.push_str("spec:\n");
        if self.invalid {
            text.push_str("  containers: none\n");
            return;
        }
        let mut spec = String::new();
        self.pod_spec(&mut spec);
        for line in spec.lines() {
            let _ = writeln!(text, "{}", line.strip_prefix("    ").unwrap_or(line));
        }
    }

    fn template(&self, text: &mut String) {
        let _ = writeln!(text, "  template:\n    metadata: {{labels: {{app: {}}}}}", self.name);
        text.push_str("    spec:\n");
        self.pod_spec(text);
    }

    fn pod_spec(&self, text: &mut String) {
        if let Some(kind) = self.flags.get("volume") {
            let _ = writeln!(text, "      volumes: [{{name: v, {kind}: {{name: v}}}}]");
        }
        for (list, init) in [("initContainers", true), ("containers", false)] {
            let mine = self.parts.iter().filter(|part| part.0.starts_with("init:") == init);
            let mut mine: Vec<_> = mine.collect();
            mine.dedup_by(|a, b| a.0 == b.0);
            if !mine.is_empty() {
                let _ = writeln!(text, "      {list}:");
            }
            for (name, relation, value, _) in mine {
                let name = name.trim_start_matches("init:");
                let image = if *relation == '=' { value.as_str() } else { " " };
                let _ = writeln!(text, "      - name: {name}\n        image: '{image}'");
                let env = self.flags.get("env").map_or("1", String::as_str);
                let _ = writeln!(text, "        env: [{{name: ENV, value: '{env}'}}]");
            }
        }
    }

    fn triggers(&self, text: &mut String) {
        if self.flags.contains_key("notriggers") {
            text.push_str("  triggers: []\n");
            return;
        }
        text.push_str("  triggers:\n");
        let config = !self.flags.contains_key("noconfig");
        if config {
            text.push_str("  - type: ConfigChange\n");
        }
        for (name, relation, value, _) in &self.parts {
            if *relation == '=' {
                continue;
            }
            let name = name.trim_start_matches("init:");
            let _ = writeln!(
                text,
                "  - type: ImageChange\n    imageChangeParams:\n      automatic: {}\n      \
                 containerNames: [{name}]\n      from: {{kind: ImageStreamTag, name: '{value}'}}",
                *relation == '<'
            );
        }
    }
}

fn annotation_entry(
    base: &str,
    (name, relation, value, _): &(String, char, String, Vec<String>),
) -> String {
    let (list, name) = match name.strip_prefix("init:") {
        Some(name) => ("initContainers", name),
        None => ("containers", name.as_str()),
    };
    let path = format!("{base}.{list}[?(@.name==\\\"{name}\\\")].image");
    let paused = *relation == '~';
    format!(
        "{{\"from\":{{\"kind\":\"ImageStreamTag\",\"name\":\"{value}\"}},\"fieldPath\":\"{path}\",\"paused\":{paused}}}"
    )
}

/// The files of a repository that holds these objects.
pub(crate) fn files(objects: &str) -> BTreeMap<String, String> {
    let lines = objects.lines().map(str::trim).filter(|line| !line.is_empty());
    let manifests = lines.map(Manifest::parse);
    manifests.map(|manifest| (manifest.path(), manifest.yaml())).collect()
}
