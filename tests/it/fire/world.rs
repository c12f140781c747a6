//! What the daemon depends on, and what is known of it: two apps in a repository, their images in a registry.
//!
//! `web` gets its images through a proxy that plays the network, and goes to the program; `api` asks the registry itself,
//! and goes to the web server.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tidegate::names::{CommitId, Digest};

use crate::support::daemon::wait;
use crate::support::git::Repo;
use crate::support::registry::{DockerRegistry, Fault, FaultProxy};

use super::chance::Chance;

/// The apps and the targets that they go to.
pub(super) const APPS: [(&str, &str); 2] = [("web", "program"), ("api", "web")];

/// What a commit says about an app.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Version {
    pub(super) greeting: String,
    /// The tag of the registry that its stream follows.
    pub(super) from: String,
    /// Whether it can be understood.
    pub(super) valid: bool,
}

/// What all apps are at a commit.
pub(super) type Versions = BTreeMap<&'static str, Version>;

/// How the repository can be away.
#[derive(Clone, Copy)]
enum Gone {
    /// All of it: the disk is not mounted.
    Whole,
    /// Its `.git`: somebody cleans up.
    Inside,
}

pub(super) struct Outside {
    registry: DockerRegistry,
    network: FaultProxy,
    pub(super) repo: Repo,
    now: Versions,
    /// The branch: commits and what they say, oldest first.
    branch: Vec<(CommitId, Versions)>,
    /// Every commit that the branch stood at, in order.
    pub(super) heads: Vec<(CommitId, Versions)>,
    /// Every image that a tag of the registry stood at, by app and tag, in order.
    pub(super) images: BTreeMap<(&'static str, String), Vec<Digest>>,
    seeds: BTreeMap<&'static str, Vec<String>>,
    stopped: bool,
    gone: Option<Gone>,
    numbered: u64,
    pub(super) commits: u64,
    pub(super) moves: u64,
    pub(super) faults: u64,
}

impl Outside {
    /// Starts them, with a first commit; none where the registry is to be skipped.
    pub(super) fn start() -> Option<Self> {
        let registry = DockerRegistry::start()?;
        let network = FaultProxy::start(&registry.address());
        let first = Version { greeting: "hello".to_owned(), from: "1".to_owned(), valid: true };
        let mut outside = Self {
            registry,
            network,
            repo: Repo::new(),
            now: APPS.iter().map(|(app, _)| (*app, first.clone())).collect(),
            branch: Vec::new(),
            heads: Vec::new(),
            images: BTreeMap::new(),
            seeds: BTreeMap::new(),
            stopped: false,
            gone: None,
            numbered: 0,
            commits: 0,
            moves: 0,
            faults: 0,
        };
        for (app, _) in APPS {
            outside.push(app, "1", "first");
        }
        outside.commit("start");
        Some(outside)
    }

    /// Something changes. Returns what, in words.
    pub(super) fn change(&mut self, chance: &mut Chance) -> String {
        let app = chance.pick(&APPS).0;
        let choice = chance.below(10);
        self.numbered += 1;
        let n = self.numbered;
        if choice < 4 && self.stopped || choice >= 4 && self.gone.is_some() {
            return "nothing can be changed".to_owned();
        }
        match choice {
            0..3 => self.push(app, &self.now[app].from.clone(), &format!("image {n}")),
            3 => {
                let old = chance.pick(&self.seeds[app]).clone();
                self.push(app, &self.now[app].from.clone(), &old);
            }
            4 | 5 => self.edit(app, |version| version.greeting = format!("hello {n}")),
            6 if !self.stopped => {
                let tag = format!("r{n}");
                self.push(app, &tag, &format!("image {n}"));
                self.edit(app, |version| version.from = tag);
            }
            6 | 7 => {
                // A template and a tag at once, perhaps of a tag that is not there yet.
                let tag = format!("r{n}");
                self.edit(app, |version| {
                    (version.from, version.greeting) = (tag.clone(), format!("hello {n}"));
                });
                if !self.stopped {
                    self.push(app, &tag, &format!("image {n}"));
                }
            }
            8 => self.edit(app, |version| version.valid = !version.valid),
            _ => return self.force_back(chance),
        }
        let now = &self.now[app];
        let image = self.images.get(&(app, now.from.clone())).and_then(|all| all.last());
        format!("{app} is {now:?} with {:?}", image.map(Digest::short))
    }

    /// Puts an image under a tag of the registry.
    fn push(&mut self, app: &'static str, tag: &str, seed: &str) {
        let digest = wait(self.registry.push_image(&format!("team/{app}"), tag, seed));
        self.images.entry((app, tag.to_owned())).or_default().push(digest);
        self.seeds.entry(app).or_default().push(seed.to_owned());
        self.moves += 1;
    }

    fn edit(&mut self, app: &'static str, change: impl FnOnce(&mut Version)) {
        change(self.now.get_mut(app).unwrap());
        let n = self.numbered;
        self.commit(&format!("change {n}"));
    }

    fn commit(&mut self, message: &str) {
        for (app, target) in APPS {
            let version = &self.now[app];
            let registry =
                if app == "web" { self.network.address() } else { self.registry.address() };
            self.repo.write(&format!("{app}.yaml"), manifest(app, target, version, &registry));
        }
        let commit = self.repo.commit(message);
        self.branch.push((commit, self.now.clone()));
        self.heads.push((commit, self.now.clone()));
        self.commits += 1;
    }

    /// The branch is pushed back to an earlier commit.
    fn force_back(&mut self, chance: &mut Chance) -> String {
        let back = chance.below(3) + 1;
        for _ in 0..back {
            if self.branch.len() > 1 {
                self.branch.pop();
            }
        }
        let (commit, versions) = self.branch.last().unwrap().clone();
        self.repo.reset(&commit.to_string());
        self.now.clone_from(&versions);
        self.heads.push((commit, versions));
        format!("the branch is forced back to {}", commit.short())
    }

    /// Something goes away, unless it is away already. Returns what, in words.
    pub(super) fn break_something(&mut self, chance: &mut Chance) -> &'static str {
        self.faults += 1;
        match chance.below(6) {
            0 if !self.stopped => {
                self.stopped = true;
                self.registry.stop();
                "the registry is away"
            }
            1 => {
                self.network.break_with(|_| Some(Fault::Drop));
                "the network is cut"
            }
            2 => {
                let busy = || Fault::Answer(429, vec![("Retry-After", "1".into())], "busy".into());
                self.network.break_with(move |_| Some(busy()));
                "the network lets nobody through"
            }
            3 => {
                // Only the beginning of an import gets through.
                self.network.break_with(|seen| (seen.method != "HEAD").then_some(Fault::Drop));
                "the network breaks off"
            }
            _ if self.gone.is_none() => {
                let gone = if chance.one_in(2) { Gone::Whole } else { Gone::Inside };
                let (here, away) = self.places(gone);
                std::fs::rename(here, away).unwrap();
                self.gone = Some(gone);
                "the repository is away"
            }
            _ => "nothing more is broken",
        }
    }

    fn places(&self, gone: Gone) -> (PathBuf, PathBuf) {
        let path: &Path = self.repo.path();
        match gone {
            Gone::Whole => (path.to_owned(), path.with_extension("away")),
            Gone::Inside => (path.join(".git"), path.join(".git.away")),
        }
    }

    /// Everything is there again.
    pub(super) fn repair(&mut self) {
        if std::mem::take(&mut self.stopped) {
            self.registry.start_again();
        }
        if let Some(gone) = self.gone.take() {
            let (here, away) = self.places(gone);
            std::fs::rename(away, here).unwrap();
        }
        self.network.break_with(|_| None);
    }

    /// The end of the story: everything is valid and there, and each app is something that it never was.
    pub(super) fn settle(&mut self) {
        self.repair();
        for (app, _) in APPS {
            self.numbered += 1;
            let n = self.numbered;
            let from = self.now[app].from.clone();
            self.push(app, &from, &format!("image {n}"));
            let version = self.now.get_mut(app).unwrap();
            (version.greeting, version.valid) = (format!("goodbye {n}"), true);
        }
        self.commit("the end");
    }

    /// What an app is to be in the end: its greeting and its image.
    pub(super) fn wanted(&self, app: &'static str) -> (String, String) {
        let version = &self.now[app];
        let images = &self.images[&(app, version.from.clone())];
        (version.greeting.clone(), images.last().unwrap().to_string())
    }
}

fn manifest(app: &str, target: &str, version: &Version, registry: &str) -> String {
    let Version { greeting, from, valid } = version;
    let replicas = if *valid { 1 } else { -1 };
    format!(
        "apiVersion: image.openshift.io/v1
kind: ImageStream
metadata:
  name: {app}
  namespace: shop
  annotations: {{tidegate.dev/schedule: 10s}}
spec:
  tags:
  - name: \"1\"
    from: {{kind: DockerImage, name: \"{registry}/team/{app}:{from}\"}}
    importPolicy: {{scheduled: true, insecure: true}}
---
apiVersion: apps.openshift.io/v1
kind: DeploymentConfig
metadata:
  name: {app}
  namespace: shop
  annotations: {{tidegate.dev/target: {target}}}
spec:
  replicas: {replicas}
  selector: {{app: {app}}}
  triggers:
  - type: ConfigChange
  - type: ImageChange
    imageChangeParams:
      automatic: true
      containerNames: [main]
      from: {{kind: ImageStreamTag, name: \"{app}:1\"}}
  template:
    metadata:
      labels: {{app: {app}}}
    spec:
      containers:
      - name: main
        image: \" \"
        env:
        - {{name: GREETING, value: {greeting}}}
"
    )
}
