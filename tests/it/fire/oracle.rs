//! What must have been told, by what happened outside and by the journal, against what the receivers were told.

use std::collections::{BTreeMap, BTreeSet};

use tidegate::fact::{
    CommitAdopted, Fact, Outcome, Record, RolloutCause, RolloutFinished, RolloutStarted,
    TagImported,
};
use tidegate::names::{CommitId, ContentHash, Digest, Seq};

use super::receiver::{Delivery, Notice, Receivers};
use super::world::{APPS, Outside, Version};

/// A rollout as the journal has it.
struct Asked {
    app: String,
    key: String,
    digest: String,
    /// What its template says, by the commit that was adopted then.
    greeting: String,
    template: ContentHash,
    superseded: bool,
    outcome: Option<Outcome>,
}

/// One pass over the journal.
struct Pass<'a> {
    outside: &'a Outside,
    /// How far into the branch's history adoptions have come.
    head: usize,
    adopted: Option<CommitId>,
    /// What is in force of each app.
    greetings: BTreeMap<&'static str, String>,
    /// What the tag of an app's stream follows.
    follows: BTreeMap<&'static str, String>,
    /// How far into a tag's history imports have come.
    seen: BTreeMap<(&'static str, String), usize>,
    current: BTreeMap<String, Digest>,
    asked: BTreeMap<Seq, Asked>,
    /// The last rollout of each app.
    last: BTreeMap<String, Seq>,
}

/// Checks everything. Returns how many rollouts there were.
pub(super) fn check(outside: &Outside, records: &[Record], receivers: &Receivers) -> usize {
    let mut pass = Pass {
        outside,
        head: 0,
        adopted: None,
        greetings: BTreeMap::new(),
        follows: BTreeMap::new(),
        seen: BTreeMap::new(),
        current: BTreeMap::new(),
        asked: BTreeMap::new(),
        last: BTreeMap::new(),
    };
    assert_eq!(records.first().map(|record| record.seq), Some(Seq(1)), "all history is there");
    for pair in records.windows(2) {
        assert_eq!(pair[1].seq, pair[0].seq.next(), "no number is missing or given twice");
    }
    for record in records {
        pass.take(record);
    }
    pass.compare(&receivers.deliveries());
    pass.ends(&receivers.notices());
    pass.asked.len()
}

impl Pass<'_> {
    fn take(&mut self, record: &Record) {
        let seq = record.seq;
        match &record.fact {
            Fact::CommitAdopted(adopted) => self.adopted(seq, adopted),
            Fact::TagImported(imported) => self.imported(seq, imported),
            Fact::RolloutStarted(started) => self.started(seq, started),
            Fact::RolloutSuperseded(superseded) => {
                self.asked.get_mut(&superseded.rollout).unwrap().superseded = true;
            }
            Fact::RolloutFinished(end) => self.finished(seq, end),
            Fact::DigestHeld(_) | Fact::StopStarted(_) | Fact::RecordsLost(_) => {
                panic!("nothing failed, was removed or lost, but: {record:?}")
            }
            _ => {}
        }
    }

    /// The branch is followed forwards: what was forced back is a later entry of its history.
    fn adopted(&mut self, seq: Seq, adopted: &CommitAdopted) {
        let mut later = self.outside.heads.iter().enumerate().skip(self.head);
        let found = later.find(|(_, (commit, _))| *commit == adopted.commit);
        let Some((at, (commit, versions))) = found else {
            panic!("record {seq} adopts {}, which the branch had left", adopted.commit);
        };
        (self.head, self.adopted) = (at, Some(*commit));
        for (app, Version { greeting, from, valid }) in versions {
            self.follows.insert(app, from.clone());
            if *valid {
                self.greetings.insert(app, greeting.clone());
            }
        }
    }

    /// A tag is followed forwards, too.
    fn imported(&mut self, seq: Seq, imported: &TagImported) {
        let app = imported.tag.stream.name.to_string();
        let (known, from) = self.follows.get_key_value(app.as_str()).unwrap();
        let key = (*known, from.clone());
        let digest = imported.event.image.unwrap();
        let seen = self.seen.entry(key.clone()).or_default();
        let mut later = self.outside.images[&key].iter().enumerate().skip(*seen);
        let Some((at, _)) = later.find(|(_, image)| **image == digest) else {
            panic!("record {seq} imports {digest} for {app}:{from}, which the tag had left");
        };
        *seen = at;
        self.current.insert(app, digest);
    }

    /// Each rollout is what git and the registry wanted by the records before it, and not what the one before was.
    fn started(&mut self, seq: Seq, started: &RolloutStarted) {
        let app = started.object.name.to_string();
        assert_ne!(started.cause, RolloutCause::Restore, "record {seq}: nothing failed");
        assert_eq!(Some(started.commit), self.adopted, "record {seq}: the commit in force");
        let digest = started.images[0].digest;
        assert_eq!(digest, self.current.get(&app).copied(), "record {seq}: the tag's image");
        let digest = digest.unwrap().to_string();
        if let Some(last) = self.last.insert(app.clone(), seq).map(|last| &self.asked[&last]) {
            let same = last.digest == digest && last.template == started.template;
            assert!(last.outcome.is_some(), "record {seq}: the rollout before it has not ended");
            assert!(
                !same || last.outcome == Some(Outcome::Cancelled),
                "record {seq} asks {app} for what {} asked for",
                last.key
            );
        }
        let asked = Asked {
            greeting: self.greetings[app.as_str()].clone(),
            app,
            key: started.key(seq).to_string(),
            digest,
            template: started.template,
            superseded: false,
            outcome: None,
        };
        self.asked.insert(seq, asked);
    }

    fn finished(&mut self, seq: Seq, end: &RolloutFinished) {
        let asked = self.asked.get_mut(&end.rollout).unwrap();
        assert_eq!(asked.outcome, None, "record {seq}: {} ends twice", asked.key);
        assert_ne!(end.outcome, Outcome::Failed, "record {seq}: {}", end.reason);
        assert!(end.outcome == Outcome::Complete || asked.superseded, "record {seq}: {end:?}");
        asked.outcome = Some(end.outcome);
    }

    /// What was told of an end is what the journal says.
    fn ends(&self, notices: &[Notice]) {
        for Notice { rollout, kind, message } in notices {
            let known = self.asked.values().find(|asked| asked.key == *rollout);
            let outcome = known.and_then(|asked| asked.outcome);
            match (kind.as_str(), outcome) {
                ("finished", Some(Outcome::Complete)) => assert_eq!(message, "Complete"),
                ("cancelled", Some(Outcome::Cancelled)) => {}
                _ => panic!("{rollout} is told to be {kind} ({message}), and is {outcome:?}"),
            }
        }
    }

    fn compare(&self, deliveries: &[Delivery]) {
        let known: BTreeMap<_, _> =
            self.asked.iter().map(|(seq, asked)| (asked.key.as_str(), (*seq, asked))).collect();
        let mut contents: BTreeMap<&str, &str> = BTreeMap::new();
        let mut effects = BTreeSet::new();
        let mut order: BTreeMap<&str, Seq> = BTreeMap::new();
        for told in deliveries {
            let Delivery { key, .. } = told;
            let Some((seq, asked)) = known.get(key.as_str()) else {
                panic!("{key} was delivered, and the journal does not know it");
            };
            let content = contents.entry(key).or_insert(&told.content);
            assert_eq!(*content, told.content, "{key} stands for one content");
            assert_eq!(told.app, asked.app, "{key}");
            assert_eq!(told.digest, asked.digest, "{key}");
            assert_eq!(told.greeting, asked.greeting, "{key}");
            if told.effect {
                assert!(effects.insert(key.as_str()), "{key} had its effect twice");
                let before = order.insert(&told.app, *seq);
                assert!(before < Some(*seq), "{key} comes after record {before:?}");
            }
        }
        for asked in self.asked.values() {
            let told = effects.contains(asked.key.as_str());
            assert!(told || asked.superseded, "{} was lost", asked.key);
            assert!(told || asked.outcome != Some(Outcome::Complete), "{} is a lie", asked.key);
        }
        for (app, _) in APPS {
            let (greeting, digest) = self.outside.wanted(app);
            let told = deliveries.iter().rev().find(|told| told.app == app && told.effect);
            let told = told.unwrap();
            assert_eq!((&told.greeting, &told.digest), (&greeting, &digest), "the last of {app}");
        }
    }
}
