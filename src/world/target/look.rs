//! What runs now of what was rolled out to hosts. Somebody may have stopped it by hand, and it may break long after its
//! rollout was complete: that is told, and left so.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::podman;
use super::{TargetConfig, Targets};
use crate::names::{ContentHash, ObjectKey, TargetName};
use crate::pods::{self, Astray, How, Look, Looks, SeenPod, Units, ailing};
use crate::time::Timestamp;

/// How long somebody who asks how things are waits for podman.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is going to be looked at.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Wanted {
    /// What may be at each target, but for what changes just now, and for runs of `CronJob`s.
    pub targets: BTreeMap<TargetName, BTreeSet<ObjectKey>>,
    /// What should run.
    pub expected: Vec<Expected>,
}

/// What should run of a workload.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Expected {
    /// The workload.
    pub object: ObjectKey,
    /// Where.
    pub target: TargetName,
    /// What was played there, in the object store.
    pub rendered: ContentHash,
}

/// What was found.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Looked {
    /// What hosts run.
    pub looks: Looks,
    /// What of that is not as it was rolled out.
    pub astray: BTreeMap<ObjectKey, Astray>,
    /// What hosts lack that does no harm now.
    pub notes: Vec<String>,
}

impl Targets {
    /// Looks at hosts.
    pub async fn look(&self, wanted: Wanted) -> Looked {
        let Wanted { targets, expected } = wanted;
        let all = targets.into_iter().map(|(target, objects)| async move {
            let look = self.look_at(&target, objects).await?;
            Some((target, look))
        });
        let looks: Looks =
            futures_util::future::join_all(all).await.into_iter().flatten().collect();
        let mut astray = BTreeMap::new();
        for Expected { object, target, rendered } in expected {
            let host = self.0.targets.get(&target).and_then(TargetConfig::host);
            let Some(host) = host else { continue };
            let found = match looks.get(&target) {
                Some(Look::Seen { at, pods, .. }) => {
                    let rendered = self.read_text(rendered).await;
                    let found = |rendered: String| astray_of(&rendered, pods, *at, host, &object);
                    rendered.ok().and_then(found)
                }
                Some(Look::Silent(why)) => {
                    let why = format!("cannot look at what runs: {why}");
                    Some(Astray { why, how: How::NotRunning })
                }
                None => None,
            };
            astray.extend(found.map(|found| (object, found)));
        }
        let is_started_by_podman = |target: &&TargetName| {
            matches!(self.0.targets.get(*target), Some(TargetConfig::Podman(_)))
        };
        let unstarted = looks.keys().filter(is_started_by_podman).map(ToString::to_string);
        let notes = after_a_boot(Path::new("/"), &unstarted.collect::<Vec<_>>());
        Looked { looks, astray, notes: notes.into_iter().collect() }
    }

    /// Looks at a target; none if it is no host.
    async fn look_at(&self, target: &TargetName, objects: BTreeSet<ObjectKey>) -> Option<Look> {
        let host = self.0.targets.get(target).and_then(TargetConfig::host)?;
        let cancel = CancellationToken::new();
        let looked = podman::look(host.podman, &self.0.locks, &objects, &cancel);
        let looked = tokio::time::timeout(PATIENCE, looked).await;
        let at = Timestamp::from_jiff(jiff::Timestamp::now());
        Some(match looked {
            Ok(Ok(pods)) => Look::Seen { at, objects, pods },
            Ok(Err(why)) => Look::Silent(why),
            Err(_) => Look::Silent("podman does not answer".to_owned()),
        })
    }
}

/// How a workload is not as it was rolled out: what does not run is worse than what runs badly, and that is worse than
/// what would run another way.
fn astray_of(
    rendered: &str,
    seen: &[SeenPod],
    at: Timestamp,
    host: podman::Target<'_>,
    object: &ObjectKey,
) -> Option<Astray> {
    let Some(units) = Units::parse(rendered) else {
        return ailing(pods::documents(rendered), seen, at);
    };
    ailing(units.documents().collect(), seen, at).or_else(|| {
        let why = host.units?.drifted(object, units)?;
        Some(Astray { why, how: How::Drifted })
    })
}

/// What does not start with this machine, where that can be told: systemd runs it, and podman's service for that is not
/// enabled (trap X52).
fn after_a_boot(root: &Path, targets: &[String]) -> Option<String> {
    const SERVICE: &str = "podman-restart.service";
    if targets.is_empty() || !root.join("run/systemd/system").exists() {
        return None;
    }
    let folders = ["etc/systemd/system", "usr/lib/systemd/system", "lib/systemd/system"];
    let wants = folders.iter().filter_map(|folder| std::fs::read_dir(root.join(folder)).ok());
    let mut wants = wants.flatten().flatten().map(|entry| entry.path());
    let is_enabled = wants.any(|path| {
        let is_wants = path.extension().is_some_and(|end| end == "wants" || end == "requires");
        is_wants && path.join(SERVICE).symlink_metadata().is_ok()
    });
    let targets = targets.join("`, `");
    (!is_enabled).then(|| {
        format!(
            "nothing starts the pods of target `{targets}` after a reboot: `systemctl enable {SERVICE}` changes that"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// X52: whether pods come back after a reboot is told where there is a systemd to ask.
    #[test]
    fn what_does_not_start_with_the_machine_is_told() {
        let root = tempfile::tempdir().unwrap();
        let folder = |path: &str| std::fs::create_dir_all(root.path().join(path)).unwrap();
        let told = |targets: &[&str]| {
            let targets: Vec<String> = targets.iter().map(ToString::to_string).collect();
            after_a_boot(root.path(), &targets)
        };
        assert_eq!(told(&["here"]), None, "nobody knows what starts here");
        folder("run/systemd/system");
        insta::assert_snapshot!(told(&["here"]).unwrap(), @"nothing starts the pods of target `here` after a reboot: `systemctl enable podman-restart.service` changes that");
        assert_eq!(told(&[]), None);
        folder("etc/systemd/system/default.target.wants");
        let unit =
            root.path().join("etc/systemd/system/default.target.wants/podman-restart.service");
        std::os::unix::fs::symlink("/lib/systemd/system/podman-restart.service", unit).unwrap();
        assert_eq!(told(&["here"]), None);
    }
}
