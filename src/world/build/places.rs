//! Where a build leaves what: its working directory, its log, and what is known of what it made.
//!
//! ```text
//! builds/logs/NAMESPACE/BUILD.log        its log
//! builds/work/KEY/                       its working directory, until it ends
//! builds/made/KEY.json                   what it made, until it is not remembered any more
//! builds/known_hosts                     keys of hosts that were seen first
//! ```

use std::io::{self, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::fact::{BuildStage, SourceRevision};
use crate::names::{ContentHash, Digest, ObjectKey, RolloutKey, Seq};

/// The places of all builds.
#[derive(Clone, Debug)]
pub(super) struct Places {
    root: PathBuf,
}

/// Those of one build.
#[derive(Clone, Debug)]
pub(super) struct Place {
    name: String,
    /// Its working directory.
    pub(super) work: PathBuf,
    pub(super) log: PathBuf,
    made: PathBuf,
    /// What its image is called on this host (rule B43).
    pub(super) tag: String,
    /// What its containers are found by.
    pub(super) mark: String,
}

/// What a build made, for one that goes on after a crash, and for whoever tidies up.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(super) struct Made {
    /// The name of the build.
    pub(super) name: String,
    /// What its image is called on this host.
    pub(super) tag: String,
    /// Whether that was built to its end.
    #[serde(default)]
    pub(super) built: bool,
    /// What was pushed.
    #[serde(default)]
    pub(super) pushed: Option<Digest>,
    /// What it is of.
    #[serde(default)]
    pub(super) revision: Option<SourceRevision>,
    /// What was done.
    #[serde(default)]
    pub(super) stages: Vec<BuildStage>,
}

impl Places {
    pub(super) fn new(state_dir: &Path) -> io::Result<Self> {
        let root = std::path::absolute(state_dir)?.join("builds");
        for folder in ["work", "made", "logs"] {
            std::fs::create_dir_all(root.join(folder))?;
        }
        Ok(Self { root })
    }

    pub(super) fn of(&self, key: &RolloutKey, name: &str) -> Place {
        let slug = slug(key);
        let hash = ContentHash::of(key.to_string().as_bytes()).to_string();
        let hash: String = hash.rsplit(':').next().unwrap_or_default().chars().take(8).collect();
        let logs = self.root.join("logs").join(key.namespace.as_str());
        Place {
            name: name.to_owned(),
            work: self.root.join("work").join(&slug),
            log: logs.join(format!("{name}.log")),
            made: self.root.join("made").join(format!("{slug}.json")),
            tag: format!("temp.builder.openshift.io/{}/{name}:{hash}", key.namespace),
            mark: format!("tidegate-{hash}"),
        }
    }

    pub(super) fn known_hosts(&self) -> PathBuf {
        self.root.join("known_hosts")
    }

    /// The builds of an object that left something, by the records that created them.
    pub(super) fn left(&self, object: &ObjectKey) -> io::Result<Vec<(Seq, Made, PathBuf)>> {
        let start = format!("{}_{}_", object.namespace, object.name);
        let mut found = Vec::new();
        for entry in std::fs::read_dir(self.root.join("made"))? {
            let path = entry?.path();
            let slug = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
            let Some(rest) = slug.strip_prefix(&start) else { continue };
            let seq = rest.split('_').nth(1).and_then(|seq| seq.split('+').next());
            let Some(seq) = seq.and_then(|seq| seq.parse().ok()) else { continue };
            let made = std::fs::read(&path).map(|bytes| serde_json::from_slice(&bytes));
            if let Ok(Ok(made)) = made {
                found.push((Seq(seq), made, path.clone()));
            }
        }
        Ok(found)
    }

    /// The working directory of what made this.
    pub(super) fn work_of(&self, made: &Path) -> PathBuf {
        self.root.join("work").join(made.file_stem().unwrap_or_default())
    }

    pub(super) fn log_of(&self, object: &ObjectKey, name: &str) -> PathBuf {
        self.root.join("logs").join(object.namespace.as_str()).join(format!("{name}.log"))
    }
}

/// That a build is not begun, or does not go on, whose traces nobody could find.
pub(super) fn cannot_note(error: &io::Error) -> String {
    format!(
        "cannot note what the build makes: {error}; look whether the file system of the state directory has space left"
    )
}

/// A key as the name of a file: no part of it has a `_`.
fn slug(key: &RolloutKey) -> String {
    let epoch = key.epoch.map(|epoch| format!("+{}", epoch.as_millis())).unwrap_or_default();
    format!("{}_{}_{}_{}{epoch}", key.namespace, key.name, key.incarnation, key.seq)
}

impl Place {
    /// An empty working directory that only this user reads.
    pub(super) fn make_work(&self) -> io::Result<()> {
        self.remove_work()?;
        let folder =
            |path: &Path| std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
        folder(&self.work)?;
        folder(&self.private())
    }

    pub(super) fn remove_work(&self) -> io::Result<()> {
        match std::fs::remove_dir_all(&self.work) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// The sources.
    pub(super) fn sources(&self) -> PathBuf {
        self.work.join("source")
    }

    /// What is secret.
    pub(super) fn private(&self) -> PathBuf {
        self.work.join("private")
    }

    pub(super) fn made(&self) -> Option<Made> {
        serde_json::from_slice(&std::fs::read(&self.made).ok()?).ok()
    }

    /// Notes that there is a build, before anything else of it is on disk: whoever tidies up finds the rest by this.
    pub(super) fn begin(&self) -> io::Result<Made> {
        let (name, tag) = (self.name.clone(), self.tag.clone());
        let made = Made { name, tag, ..Made::default() };
        self.note(&made).map(|()| made)
    }

    pub(super) fn note(&self, made: &Made) -> io::Result<()> {
        let folder = self.made.parent().unwrap_or(Path::new("/"));
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(&serde_json::to_vec(made)?)?;
        file.as_file().sync_all()?;
        file.persist(&self.made)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_build_left_is_found_by_its_object_and_its_record() {
        let dir = tempfile::tempdir().unwrap();
        let places = Places::new(dir.path()).unwrap();
        let key = |text: &str, seq: u64| {
            let object: ObjectKey = text.parse().unwrap();
            (RolloutKey::of(&object, crate::names::Incarnation(2), Seq(seq), None), object)
        };
        let (web, object) = key("BuildConfig/shop/web", 7);
        let (other, _) = key("BuildConfig/shop/web-2", 8);
        for (key, name) in [(&web, "web-1"), (&other, "web-2-1")] {
            let place = places.of(key, name);
            place
                .note(&Made { name: name.into(), tag: place.tag.clone(), ..Made::default() })
                .unwrap();
        }
        let left = places.left(&object).unwrap();
        let [(Seq(7), made, path)] = &left[..] else { panic!("{left:?}") };
        assert_eq!(made.name, "web-1");
        assert!(made.tag.starts_with("temp.builder.openshift.io/shop/web-1:"));
        assert!(places.work_of(path).ends_with("work/shop_web_2_7"));
    }
}
