//! What an image says of where it comes from (rules B40, B41).

use std::collections::BTreeMap;

use crate::fact::SourceRevision;
use crate::secret::masked;

/// Before the names of labels about a build.
const NAMESPACE: &str = "io.openshift.build.";

/// Characters of a commit's message: its first line, as `git` cuts it for OpenShift (`%<(80,trunc)%s`).
const MESSAGE_CHARS_MAX: usize = 80;

/// A build and the sources that it is of.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Provenance {
    /// The name of the build.
    pub name: String,
    /// The namespace of the build.
    pub namespace: String,
    /// The repository; logins in it are left out wherever it is shown.
    pub source: Option<String>,
    /// What the manifest says is built of it.
    pub reference: Option<String>,
    /// The branch that the commit was found at; what the manifest says comes first.
    pub branch: Option<String>,
    /// What was checked out.
    pub revision: Option<SourceRevision>,
    /// The folder in it.
    pub context_dir: Option<String>,
}

impl Provenance {
    /// The variables of an image (rule B40).
    #[must_use]
    pub fn env(&self) -> BTreeMap<String, String> {
        let source = self.source.as_deref().map(without_login);
        let commit = self.revision.as_ref().map(|revision| revision.commit.clone());
        let of_git = source.is_some();
        let all = [
            ("OPENSHIFT_BUILD_NAME", Some(self.name.clone())),
            ("OPENSHIFT_BUILD_NAMESPACE", Some(self.namespace.clone())),
            ("OPENSHIFT_BUILD_SOURCE", source),
            ("OPENSHIFT_BUILD_REFERENCE", self.reference.clone().filter(|_| of_git)),
            ("OPENSHIFT_BUILD_COMMIT", commit.filter(|_| of_git)),
        ];
        set(all)
    }

    /// The labels of an image (rule B41); those that a manifest gives come before them.
    #[must_use]
    pub fn labels(&self, image_labels: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        let of_build = [
            (format!("{NAMESPACE}name"), Some(self.name.clone())),
            (format!("{NAMESPACE}namespace"), Some(self.namespace.clone())),
        ];
        let mut labels = self.source_labels();
        labels.extend(set(of_build));
        labels.extend(image_labels.clone());
        labels
    }

    /// The labels about the sources: all that an image of the Source strategy has (rule B45.3).
    #[must_use]
    pub fn source_labels(&self) -> BTreeMap<String, String> {
        let of = |part: fn(&SourceRevision) -> &str| {
            self.revision.as_ref().map(|revision| part(revision).to_owned())
        };
        let given = self.reference.clone().filter(|reference| !reference.is_empty());
        let all = [
            ("commit.author", of(|revision| &revision.author)),
            ("commit.date", of(|revision| &revision.date)),
            ("commit.id", of(|revision| &revision.commit)),
            ("commit.ref", given.or_else(|| self.branch.clone())),
            ("commit.message", of(|revision| &revision.message).map(|text| subject(&text))),
            ("source-location", self.source.as_deref().map(without_login)),
            ("source-context-dir", self.context_dir.clone()),
        ];
        set(all.map(|(name, value)| (format!("{NAMESPACE}{name}"), value)))
    }
}

/// Those that have a value.
fn set<const N: usize>(all: [(impl Into<String>, Option<String>); N]) -> BTreeMap<String, String> {
    let given = all.into_iter().filter_map(|(name, value)| Some((name.into(), value?)));
    given.filter(|(_, value)| !value.is_empty()).collect()
}

/// The first line of a message, cut as `git` does it.
fn subject(message: &str) -> String {
    let line = message.trim_start().lines().next().unwrap_or_default().trim_end();
    if line.chars().count() <= MESSAGE_CHARS_MAX {
        return line.to_owned();
    }
    line.chars().take(MESSAGE_CHARS_MAX - 2).chain("..".chars()).collect()
}

/// An address without what one logs in with: all before `@` but the user of SSH, and what sounds secret behind `?`.
fn without_login(address: &str) -> String {
    let Some((scheme, rest)) = address.split_once("://") else { return masked(address) };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let (login, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    let user = login.split(':').next().filter(|user| !user.is_empty());
    let user = user.filter(|_| scheme.to_ascii_lowercase().contains("ssh"));
    let user = user.map_or_else(String::new, |user| format!("{user}@"));
    format!("{scheme}://{user}{host}{}", masked(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build() -> Provenance {
        Provenance {
            name: "web2-1".into(),
            namespace: "shop".into(),
            source: Some("https://user:pw@git.example.com/web2.git".into()),
            reference: Some("v1".into()),
            branch: Some("main".into()),
            revision: Some(SourceRevision {
                commit: "0123abc".into(),
                author: "Jane \"J\" Doe <jane@example.com>".into(),
                date: "Mon Nov 23 10:00:00 2026 +0000".into(),
                message: "Say $HOME\n\nand more".into(),
                ..SourceRevision::default()
            }),
            context_dir: Some("app".into()),
        }
    }

    fn text(map: &BTreeMap<String, String>) -> String {
        map.iter().map(|(name, value)| format!("{name}={value}\n")).collect()
    }

    #[test]
    fn b040_an_image_has_variables_of_its_build() {
        assert_eq!(
            text(&build().env()),
            "OPENSHIFT_BUILD_COMMIT=0123abc\n\
             OPENSHIFT_BUILD_NAME=web2-1\n\
             OPENSHIFT_BUILD_NAMESPACE=shop\n\
             OPENSHIFT_BUILD_REFERENCE=v1\n\
             OPENSHIFT_BUILD_SOURCE=https://git.example.com/web2.git\n"
        );
        let mut plain = build();
        (plain.reference, plain.revision) = (None, None);
        let names: Vec<_> = plain.env().into_keys().collect();
        assert_eq!(
            names,
            ["OPENSHIFT_BUILD_NAME", "OPENSHIFT_BUILD_NAMESPACE", "OPENSHIFT_BUILD_SOURCE"]
        );
        // A binary build has no repository.
        plain.source = None;
        assert_eq!(plain.env().len(), 2);
    }

    #[test]
    fn b041_an_image_has_labels_of_its_build_and_manifests_come_first() {
        let own = [("io.openshift.build.commit.id", "mine"), ("team", "shop")];
        let own = own.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        assert_eq!(
            text(&build().labels(&own)),
            "io.openshift.build.commit.author=Jane \"J\" Doe <jane@example.com>\n\
             io.openshift.build.commit.date=Mon Nov 23 10:00:00 2026 +0000\n\
             io.openshift.build.commit.id=mine\n\
             io.openshift.build.commit.message=Say $HOME\n\
             io.openshift.build.commit.ref=v1\n\
             io.openshift.build.name=web2-1\n\
             io.openshift.build.namespace=shop\n\
             io.openshift.build.source-context-dir=app\n\
             io.openshift.build.source-location=https://git.example.com/web2.git\n\
             team=shop\n"
        );
        let mut found = build();
        found.reference = Some(String::new());
        assert_eq!(found.source_labels()["io.openshift.build.commit.ref"], "main");
    }

    #[test]
    fn b041_a_message_is_as_long_as_git_cuts_it() {
        assert_eq!(subject(&"ä".repeat(80)), "ä".repeat(80));
        assert_eq!(subject(&"ä".repeat(81)), "ä".repeat(78) + "..");
        assert_eq!(subject("\r\n  \na\r\nb"), "a");
        assert_eq!(subject(""), "");
    }

    #[test]
    fn b041_no_label_says_how_to_log_in() {
        for (address, expected) in [
            ("https://user:pw@host:8443/a.git", "https://host:8443/a.git"),
            ("https://ghp_0123@github.com/a", "https://github.com/a"),
            ("http://a@b:c@host", "http://host"),
            ("https://host/a@b", "https://host/a@b"),
            ("https://host/a?private_token=x&b=c", "https://host/a?private_token=***&b=c"),
            ("https://host?user=a@b", "https://host?user=a@b"),
            ("ssh://git:pw@host/a.git", "ssh://git@host/a.git"),
            ("git+ssh://git@host/a.git", "git+ssh://git@host/a.git"),
            ("git@github.com:a/b.git", "git@github.com:a/b.git"),
            ("/srv/git/a.git", "/srv/git/a.git"),
        ] {
            assert_eq!(without_login(address), expected);
        }
    }
}
