//! Every key of `tidegate.toml`, with what it means: the one table that unknown keys, environment variables,
//! `tidegate config --keys` and the README are made from.

use std::fmt;

/// What a key is, for people.
#[derive(Debug)]
pub struct KeyDoc {
    /// Its path; `*` stands for a name of the user's.
    pub pattern: &'static str,
    /// What it takes.
    pub takes: &'static str,
    /// Its default, in words.
    pub default: &'static str,
    /// What it does.
    pub help: &'static str,
}

const fn key(
    pattern: &'static str,
    takes: &'static str,
    default: &'static str,
    help: &'static str,
) -> KeyDoc {
    KeyDoc { pattern, takes, default, help }
}

/// Every key, sections in the order of the documentation.
pub const KEYS: &[KeyDoc] = &[
    key(
        "state_dir",
        "path",
        "$STATE_DIRECTORY of systemd, else /var/lib/tidegate",
        "Where the journal, large values, the mirror of the source and lock files are kept",
    ),
    key("default_namespace", "namespace", "default", "Namespace of objects that name none"),
    key(
        "default_platform",
        "os/architecture",
        "linux/amd64",
        "Which image of an index is imported",
    ),
    key(
        "strict_openshift",
        "boolean",
        "false",
        "Follow OpenShift also where tidegate deviates from it in triggers and rollouts",
    ),
    key(
        "custom_strategies",
        "boolean",
        "false",
        "Read strategy Custom of DeploymentConfigs: an image of their own is run in place of a rollout",
    ),
    key(
        "source.repository",
        "path or URL",
        "none; `run` needs it",
        "The git repository: a local one is watched, a remote one (https, ssh, file) polled",
    ),
    key("source.branch", "branch", "main", "The branch that is desired state"),
    key(
        "source.paths",
        "list of paths",
        "the whole tree",
        "Folders below which manifests are read",
    ),
    key(
        "source.ignore_file",
        "file name",
        ".tidegateignore",
        "File in the repository with paths to leave alone, in gitignore syntax",
    ),
    key("source.poll", "span", "1m", "Time between two looks at the source"),
    key("source.timeout", "span", "5m", "Longest time that one fetch may take; then it is stopped"),
    key(
        "source.ssh_command",
        "text",
        "ssh",
        "What git runs in the place of ssh, with its options; as GIT_SSH_COMMAND",
    ),
    key(
        "source.on_invalid",
        "hold or refuse",
        "hold",
        "What an invalid object does: keep its last valid version, or refuse the whole commit",
    ),
    key(
        "source.namespaces.*",
        "namespace",
        "none",
        "Namespace of objects below a path that name none; the longest path wins",
    ),
    key(
        "edit.folder",
        "path",
        "the first of source.paths",
        "Folder of the repository below which commands put the manifests of new objects",
    ),
    key(
        "templates.*.*",
        "text",
        "the template's own default",
        "Value of a parameter of an OpenShift Template, which is named by its path or its name",
    ),
    key(
        "imports.interval",
        "span of at least 10s",
        "15m",
        "Time between two checks of a scheduled tag that has no schedule of its own",
    ),
    key(
        "imports.mode",
        "Legacy or PreserveOriginal",
        "Legacy",
        "What is imported of an index by tags that do not say: one platform, or the index",
    ),
    key(
        "imports.max_images_bulk_imported_per_repository",
        "number of tags, or -1 for all",
        "50",
        "How many tags of a whole repository are imported, the most important first",
    ),
    key(
        "imports.allowed_registries",
        "list of HOST or HOST:PORT, with * and ?",
        "every registry",
        "Registries that images may be imported from; without a port it is 443",
    ),
    key("imports.scheduled", "boolean", "true", "Whether scheduled tags are checked again by time"),
    key(
        "imports.scheduled_per_minute",
        "number",
        "0: no limit",
        "Images that are checked by time in a minute, over all registries; twice as many may come at once",
    ),
    key(
        "registries.timeout",
        "span",
        "1m",
        "One request to a registry, from connect to the last byte",
    ),
    key("registries.checks_in_flight", "number", "4", "Checks in flight at one registry"),
    key(
        "registries.auth_file",
        "path",
        "auth.json in systemd's credentials, then all that podman, skopeo and docker keep",
        "Logins, in the format of containers-auth.json(5) or docker's config.json, with credential helpers",
    ),
    key(
        "registries.secrets",
        "path",
        "none",
        "Folder of Secrets (YAML or JSON) with logins for the streams of their namespaces, before those of the files",
    ),
    key(
        "registries.certs_d",
        "list of paths",
        "where podman and docker look: ~/.config/containers/certs.d, /etc/containers/certs.d, /etc/docker/certs.d",
        "Folders with certificates for each HOST or HOST:PORT in a folder of that name: *.crt, NAME.cert with NAME.key",
    ),
    key(
        "registries.conf",
        "path",
        "where podman and skopeo look: $HOME/.config/containers, else /etc/containers",
        "Where images are, in the format of containers-registries.conf(5), mirrors included; with its folder `.d`",
    ),
    key(
        "registries.short_names",
        "docker-hub or registries.conf",
        "docker-hub",
        "What a name without a registry means: Docker Hub, or what aliases and search in that file make of it",
    ),
    key(
        "registries.*.insecure",
        "boolean",
        "false",
        "Allow plain HTTP and unverified TLS for this HOST or HOST:PORT",
    ),
    key(
        "registries.*.ca_file",
        "path",
        "none",
        "Certificates (PEM) of authorities trusted for this HOST or HOST:PORT, beside the system's",
    ),
    key(
        "registries.*.limit",
        "NUMBER/SPAN or none",
        "100/6h for docker.io, else none",
        "Requests that this HOST or HOST:PORT takes in any time of that length; checks stay inside it",
    ),
    key(
        "registries.*.counted",
        "manifests or all",
        "manifests",
        "What counts towards the limit: GET of manifests, as at Docker Hub, or every request",
    ),
    key(
        "registries.*.reserve",
        "number",
        "a fifth of the limit",
        "Requests of the limit that checks leave for the pulls of rollouts",
    ),
    key(
        "registries.*.per_minute",
        "number",
        "none",
        "Checks of this HOST or HOST:PORT in a minute, evenly spread",
    ),
    key(
        "integrated_registry.address",
        "HOST or HOST:PORT",
        "none",
        "Registry that tags of `referencePolicy: Local` are pulled from, laid out as NAMESPACE/STREAM",
    ),
    key(
        "integrated_registry.public_address",
        "HOST or HOST:PORT",
        "none",
        "What that registry is called from outside; it is only shown",
    ),
    key(
        "integrated_registry.mode",
        "managed or pull-through",
        "managed",
        "Whether images are copied into it, or it is a cache that fetches them itself",
    ),
    key(
        "triggers.settle_seconds",
        "number",
        "10",
        "How long a changed template waits for a tag that the same commit changed, so that both make one rollout",
    ),
    key(
        "triggers.cross_namespace",
        "allow, or a list of namespaces",
        "allow",
        "From which other namespaces workloads may follow tags",
    ),
    key("builds.enabled", "boolean", "false", "Whether this host builds (needs buildah)"),
    key("builds.in_flight", "number", "1", "Builds in flight at once, over all BuildConfigs"),
    key(
        "builds.timeout",
        "span",
        "2h",
        "How long a build without `completionDeadlineSeconds` may take",
    ),
    key("builds.buildah", "path", "buildah", "The buildah program (1.28 or newer)"),
    key(
        "builds.isolation",
        "chroot, oci or rootless",
        "chroot",
        "How commands of a build are kept apart: chroot needs no privileges that containers need",
    ),
    key(
        "builds.log_size",
        "size of at least 64KiB",
        "10MiB",
        "How much of the log of a build is kept: its beginning and its newest lines",
    ),
    key("rollouts.in_flight", "number", "2", "Rollouts in flight at once, over all targets"),
    key(
        "targets.*.kind",
        "none, exec, webhook, podman or quadlet",
        "none; it is needed",
        "What the target is",
    ),
    key("targets.*.command", "list of text", "none; exec needs it", "Program and arguments (exec)"),
    key("targets.*.program", "name or path", "podman", "The program (podman, quadlet)"),
    key(
        "targets.*.network",
        "name",
        "podman's own",
        "Network of podman that pods join (podman, quadlet)",
    ),
    key(
        "targets.*.user",
        "true or false",
        "false",
        "Units are those of the user that runs Tidegate, not of the system (quadlet)",
    ),
    key(
        "targets.*.units",
        "path",
        "/etc/containers/systemd; with `user`, containers/systemd in $XDG_CONFIG_HOME",
        "Folder of the units (quadlet)",
    ),
    key("targets.*.systemctl", "name or path", "systemctl", "The program (quadlet)"),
    key(
        "targets.*.generator",
        "path",
        "podman's among the generators of systemd",
        "The program that makes services of units (quadlet)",
    ),
    key("targets.*.url", "URL", "none; webhook needs it", "Where the events are posted (webhook)"),
    key(
        "targets.*.secret_file",
        "path",
        "NAME.secret in systemd's credentials, if there is one",
        "File with the key that signs each event; read again for each (webhook)",
    ),
    key(
        "targets.*.timeout",
        "span",
        "10m",
        "Longest time that one rollout may take; then it is ended and has failed",
    ),
    key(
        "targets.*.headers.*",
        "text, never shown",
        "none",
        "A header that is sent with each request (webhook)",
    ),
    key("routes.default", "target", "none", "The target of objects that no other route names"),
    key("routes.namespaces.*", "target", "none", "The target of the objects of a namespace"),
    key(
        "routes.objects.*",
        "target",
        "none",
        "The target of one object, named like `DeploymentConfig/shop/web`",
    ),
    key(
        "triggers.flap_guard",
        "span",
        "5m",
        "How long a digest that was replaced is not rolled out again by a trigger; `0s`: at once",
    ),
    key(
        "prune.grace",
        "span",
        "0s",
        "Time between the removal of a workload from the source and its stop",
    ),
    key(
        "prune.max_objects",
        "number",
        "5",
        "Objects that one commit may remove before the removals are held",
    ),
    key(
        "compat.imagePolicyConfig.*",
        "as in OpenShift",
        "none",
        "OpenShift's imagePolicyConfig, with its own keys; the same keys of tidegate win",
    ),
    key(
        "limits.*.image_size",
        "size or unlimited",
        "unlimited",
        "Size above which `prune images --prune-over-size-limit` takes an image of this namespace",
    ),
    key(
        "control.socket",
        "path",
        "control.sock in $RUNTIME_DIRECTORY of systemd, else in /run/tidegate; in state_dir where that is set",
        "Socket on which the daemon answers the other commands",
    ),
    key(
        "listener.address",
        "HOST:PORT or unix:PATH",
        "none; nothing listens",
        "Where webhooks come in: an IP address of this host with a port, or a socket; there is no TLS, so loopback",
    ),
    key(
        "listener.hooks.*.kind",
        "distribution, docker-hub, github, quay, harbor, gitlab, gitea, bitbucket, generic or notify-push",
        "none; it is needed",
        "Who sends to /hooks/NAME, and in which form",
    ),
    key(
        "listener.hooks.*.secret_file",
        "path",
        "NAME.secret in systemd's credentials; it is needed",
        "File with what the sender has to know, one secret a line, each valid; read again for each delivery",
    ),
    key(
        "listener.hooks.*.secret",
        "none",
        "what is in `secret_file`",
        "That everybody may send who reaches a listener on loopback or a socket",
    ),
    key(
        "listener.hooks.*.header",
        "name of a header",
        "authorization",
        "Header that holds the token, with or without `Bearer` (distribution, harbor, gitlab's registry, generic, notify-push)",
    ),
    key(
        "listener.hooks.*.registry",
        "HOST or HOST:PORT",
        "what the sender says",
        "What streams call the registry that sends",
    ),
    key(
        "listener.secrets.*",
        "file:PATH or env:VARIABLE",
        "the Secret of that name in git",
        "What is in the place of the Secret NAMESPACE/NAME that a webhook trigger names, which then needs not be in git",
    ),
    key(
        "journal.keep_for",
        "span or forever",
        "forever",
        "Time for which records stay; older ones are folded into a snapshot, by whole files",
    ),
    key(
        "journal.keep_bytes",
        "size or unlimited",
        "1GiB",
        "Size of the journal's files beyond which the oldest go; the state that they led to stays",
    ),
    key("log.format", "text or json", "text", "Format of log lines on standard error"),
    key(
        "log.level",
        "error, warn, info, debug, trace, or a filter",
        "info",
        "What is logged; a filter like `info,tidegate::world=debug` chooses by module",
    ),
];

/// The path of a key, as its segments.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub(super) struct KeyPath(pub(super) Vec<String>);

impl KeyPath {
    /// Reads a path whose segments have no dots.
    pub(super) fn of(dotted: &str) -> Self {
        Self(dotted.split('.').map(str::to_owned).collect())
    }

    /// The path with one segment more.
    pub(super) fn child(&self, segment: &str) -> Self {
        let mut segments = self.0.clone();
        segments.push(segment.to_owned());
        Self(segments)
    }

    /// The table entry that it matches.
    pub(super) fn doc(&self) -> Option<&'static KeyDoc> {
        KEYS.iter().find(|doc| doc.segments().len() == self.0.len() && doc.agrees(&self.0))
    }

    /// Whether keys may stand below it.
    pub(super) fn is_section(&self) -> bool {
        KEYS.iter().any(|doc| doc.segments().len() > self.0.len() && doc.agrees(&self.0))
    }

    /// The key that was most likely meant.
    pub(super) fn nearest(&self) -> Option<String> {
        let written = self.0.join(".");
        let last = self.0.last()?;
        let candidates = KEYS.iter().flat_map(|doc| {
            let segments = doc.segments();
            let upto = self.0.len().min(segments.len());
            let filled = |len: usize| {
                let pairs = segments.iter().take(len).zip(self.0.iter().map(Some).chain([None; 4]));
                let fill = |(segment, own): (&&str, Option<&String>)| match (*segment, own) {
                    ("*", Some(own)) => own.clone(),
                    (segment, _) => segment.to_owned(),
                };
                Self(pairs.map(fill).collect())
            };
            // The section as well, for a misspelt one, and the key in another place.
            let elsewhere = segments.last() == Some(&last.as_str()) && !doc.pattern.contains('*');
            [Some(filled(upto)), elsewhere.then(|| filled(segments.len()))]
        });
        let limit = 1 + written.chars().count() / 4;
        let score = |candidate: &Self| {
            let same_name = candidate.0.len() != self.0.len() && candidate.0.last() == Some(last);
            if same_name { 1 } else { strsim::osa_distance(&written, &candidate.0.join(".")) }
        };
        let scored = candidates.flatten().map(|candidate| (score(&candidate), candidate));
        let best = scored.filter(|(score, _)| (1..=limit).contains(score)).min()?;
        Some(best.1.to_string())
    }
}

impl KeyDoc {
    fn segments(&self) -> Vec<&'static str> {
        self.pattern.split('.').collect()
    }

    /// Whether the segments agree as far as both go.
    fn agrees(&self, path: &[String]) -> bool {
        self.segments().iter().zip(path).all(|(segment, own)| *segment == "*" || segment == own)
    }

    /// The environment variable that sets it; keys with a name of the user's have none.
    #[must_use]
    pub fn variable(&self) -> Option<String> {
        if self.pattern.contains('*') {
            return None;
        }
        Some(format!("TIDEGATE_{}", self.pattern.replace('.', "__").to_uppercase()))
    }
}

impl fmt::Display for KeyPath {
    /// As TOML would write it: segments that are no bare keys are quoted.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-' || c == '*';
        for (index, segment) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(".")?;
            }
            if !segment.is_empty() && segment.chars().all(bare) {
                f.write_str(segment)?;
            } else {
                write!(f, "\"{}\"", segment.escape_default())?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_key_has_a_nearest_one() {
        let nearest = |path: &[&str]| {
            KeyPath(path.iter().map(|segment| (*segment).to_owned()).collect()).nearest()
        };
        assert_eq!(nearest(&["imports", "intervall"]).as_deref(), Some("imports.interval"));
        assert_eq!(nearest(&["import"]).as_deref(), Some("imports"));
        assert_eq!(nearest(&["import", "interval"]).as_deref(), Some("imports.interval"));
        assert_eq!(nearest(&["statedir"]).as_deref(), Some("state_dir"));
        assert_eq!(nearest(&["repository"]).as_deref(), Some("source.repository"));
        assert_eq!(nearest(&["targets", "hook", "Kind"]).as_deref(), Some("targets.hook.kind"));
        let host = "localhost:5000";
        assert_eq!(
            nearest(&["registries", host, "insecur"]).as_deref(),
            Some("registries.\"localhost:5000\".insecure")
        );
        assert_eq!(nearest(&["quux"]), None);
    }

    #[test]
    fn every_key_is_documented_once() {
        let mut patterns: Vec<_> = KEYS.iter().map(|doc| doc.pattern).collect();
        patterns.sort_unstable();
        patterns.dedup();
        assert_eq!(patterns.len(), KEYS.len());
        assert!(KEYS.iter().all(|doc| !doc.help.is_empty() && !doc.takes.is_empty()));
    }
}
