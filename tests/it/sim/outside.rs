//! Registries and targets.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;
use std::time::Duration;

use tidegate::action::{
    ImportFailure, ListRequest, Resolution, ResolveRequest, ResolvedImage, RolloutReport,
    RolloutRequest, TagListing,
};
use tidegate::fact::{ImportReason, Outcome};
use tidegate::names::{ContentHash, Digest, ObjectKey, RolloutKey};

use super::host::Host;
use super::meter::Meter;
use super::repository::{IMAGES, LISTED, OTHERS};
use super::rng::Rng;
use crate::support::story::digest;

/// The digest of image number `n`. One in five does not become healthy anywhere.
pub(crate) fn image(n: u64) -> Digest {
    digest(&format!("img{n}"))
}

static BAD: LazyLock<BTreeSet<Digest>> =
    LazyLock::new(|| (0..1000).filter(|n| n % 5 == 4).map(image).collect());

/// How a registry behaves.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Mood {
    Up,
    Down,
    /// It answers 429, with a time to wait.
    Limiting,
    Lying,
    /// It answers after minutes, with what it knew at the beginning.
    Slow,
}

/// Puts metadata into the object store.
pub(crate) type Keep<'a> = &'a dyn Fn(&[u8]) -> Result<ContentHash, ImportFailure>;

/// Two registries.
#[derive(Debug)]
pub(crate) struct Registries {
    /// What each reference is: number of the image, number of the index in front of it; none if it is gone.
    pub(crate) tags: BTreeMap<&'static str, Option<(u64, u64)>>,
    pub(crate) moods: BTreeMap<&'static str, Mood>,
    pub(crate) meter: Meter,
    next: u64,
}

impl Registries {
    pub(crate) fn new() -> Self {
        let all = IMAGES.into_iter().chain(OTHERS).chain(LISTED);
        let tags: BTreeMap<_, _> = (0..).zip(all).map(|(n, image)| (image, Some((n, 0)))).collect();
        let moods = BTreeMap::from([("r0.io", Mood::Up), ("r1.io", Mood::Up)]);
        Self { next: tags.len() as u64, tags, moods, meter: Meter::default() }
    }

    /// Somebody pushes, removes, or goes back to an image.
    pub(crate) fn push(&mut self, rng: &mut Rng) -> String {
        let all: Vec<_> = self.tags.keys().copied().collect();
        let name = *rng.pick(&all);
        let what = rng.below(8);
        let new = match (what, self.tags[name]) {
            (7, _) => None,
            (1, Some((n, index))) => Some((n, index + 1)),
            (2, _) => Some((rng.below(self.next), 0)),
            _ => {
                self.next += 1;
                Some((self.next, 0))
            }
        };
        self.tags.insert(name, new);
        format!("{name} is {new:?}")
    }

    pub(crate) fn repair(&mut self) {
        self.moods.values_mut().for_each(|mood| *mood = Mood::Up);
        for (n, tag) in (0..).zip(self.tags.values_mut()) {
            tag.get_or_insert((n, 0));
        }
    }

    /// The image that a reference is now.
    pub(crate) fn truth(&self, name: &str) -> Option<Digest> {
        self.tags.get(name)?.map(|(n, _)| image(n))
    }

    /// The tags of a repository; one that lies has none, or only a part of them.
    pub(crate) fn list(
        &self,
        request: &ListRequest,
        rng: &mut Rng,
    ) -> Result<TagListing, ImportFailure> {
        let name = request.repository.to_string();
        let fail = |retry_after| {
            let message = format!("{name}: {}", ImportReason::InternalError);
            let reason = ImportReason::InternalError;
            Err(ImportFailure { reason, message, transient: true, retry_after })
        };
        let prefix = format!("{name}:");
        let there = self.tags.iter().filter(|(_, is)| is.is_some());
        let mut tags: Vec<String> =
            there.filter_map(|(of, _)| Some(of.strip_prefix(&prefix)?.to_owned())).collect();
        let host = request.repository.registry_host();
        let complete = match self.moods[host.as_str()] {
            Mood::Down => return fail(None),
            Mood::Limiting => return fail(Some(Duration::from_secs(rng.below(600)))),
            Mood::Up | Mood::Slow => true,
            Mood::Lying => {
                tags.truncate(rng.place(tags.len() + 1));
                tags.is_empty()
            }
        };
        Ok(TagListing { tags, complete })
    }

    pub(crate) fn answer(
        &self,
        request: &ResolveRequest,
        rng: &mut Rng,
        keep: Keep<'_>,
    ) -> Result<Resolution, ImportFailure> {
        let name = request.check.image.to_string();
        let fail = |reason, transient, retry_after| {
            let message = format!("{name} insecure={}: {reason}", request.check.insecure);
            Err(ImportFailure { reason, message, transient, retry_after })
        };
        let host = request.check.image.registry_host();
        // What is asked for by its digest is what it was, whatever became of its tag.
        let pinned = request.check.image.digest;
        let pinned = pinned.map(|of| (0..=self.next).find(|n| image(*n) == of));
        let tag = match pinned {
            Some(n) => n.map(|n| (n, 0)),
            None => self.tags[name.as_str()],
        };
        let (n, index) = match (self.moods[host.as_str()], tag) {
            (Mood::Down, _) => return fail(ImportReason::InternalError, true, None),
            (Mood::Limiting, _) => {
                let pause = Some(Duration::from_secs(rng.below(600)));
                return fail(ImportReason::InternalError, true, pause);
            }
            (Mood::Up | Mood::Lying | Mood::Slow, None) => {
                return fail(ImportReason::NotFound, false, None);
            }
            (Mood::Up | Mood::Slow, Some(tag)) => tag,
            // What has another digest than was asked for is no answer: the adapter compares (rule I181).
            (Mood::Lying, Some(_)) if pinned.is_some() => {
                return fail(ImportReason::InternalError, true, None);
            }
            (Mood::Lying, Some(_)) => (rng.below(self.next), rng.below(3)),
        };
        let probed = digest(&format!("idx{n}-{index}"));
        if request.known == Some(probed) {
            return Ok(Resolution { probed, image: None });
        }
        let kept = keep(format!("metadata of image {n}").as_bytes());
        let metadata = match kept {
            Ok(metadata) => metadata,
            Err(failure) => return fail(failure.reason, true, None),
        };
        Ok(Resolution { probed, image: Some(ResolvedImage { digest: image(n), metadata }) })
    }
}

/// What one target did with one key.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Seen {
    pub(crate) request: Option<RolloutRequest>,
    /// How often it had an effect.
    pub(crate) effects: u32,
    pub(crate) outcome: Option<Outcome>,
}

/// The targets: they remember keys and what runs.
#[derive(Debug, Default)]
pub(crate) struct Targets {
    pub(crate) seen: BTreeMap<RolloutKey, Seen>,
    pub(crate) runs: BTreeMap<ObjectKey, BTreeSet<Digest>>,
    /// Stops that they work on.
    pub(crate) stops: BTreeMap<RolloutKey, ObjectKey>,
    /// The one that is told each step.
    pub(crate) host: Host,
}

impl Targets {
    /// The images of one in five never become healthy.
    pub(crate) fn is_healthy(request: &RolloutRequest) -> bool {
        !request.images.iter().filter_map(|image| image.digest).any(|digest| BAD.contains(&digest))
    }

    /// Does what is asked, once per key, and says how it ended.
    pub(crate) fn roll_out(&mut self, request: &RolloutRequest) -> Outcome {
        let healthy = Self::is_healthy(request);
        let seen = self.note(request);
        if let Some(outcome) = seen.outcome {
            return outcome;
        }
        seen.effects += 1;
        let outcome = if healthy { Outcome::Complete } else { Outcome::Failed };
        seen.outcome = Some(outcome);
        // What does not become healthy runs as well, until it is replaced.
        let digests = request.images.iter().filter_map(|image| image.digest).collect();
        self.runs.insert(request.object.clone(), digests);
        outcome
    }

    /// What the host runs of an object by now.
    pub(crate) fn works(&mut self, object: &ObjectKey) {
        match self.host.digests(object) {
            Some(digests) => drop(self.runs.insert(object.clone(), digests)),
            None => drop(self.runs.remove(object)),
        }
    }

    /// Remembers a request; the same key always comes with the same request.
    pub(crate) fn note(&mut self, request: &RolloutRequest) -> &mut Seen {
        let new = || Seen { request: Some(request.clone()), effects: 0, outcome: None };
        let seen = self.seen.entry(request.key.clone()).or_insert_with(new);
        assert_eq!(seen.request.as_ref(), Some(request), "law 6: one key, one request");
        seen
    }

    pub(crate) fn report(outcome: Outcome) -> RolloutReport {
        match outcome {
            Outcome::Complete => RolloutReport::Complete { log: "ok".into() },
            Outcome::Failed | Outcome::Cancelled => {
                RolloutReport::Failed { reason: "unhealthy".into(), log: String::new() }
            }
        }
    }
}
