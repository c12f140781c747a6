//! A driver for rule tests: commits, answers and time go in, short lines of what happened come out.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tidegate::action::{
    Action, ActionId, Ask, BuildReport, ImportFailure, Input, JobOrder, Nudge, Pushed, Request,
    Resolution, ResolvedImage, RolloutOrder, RolloutReport, RolloutVerb, SourceFailure, SourceFile,
    SourceRead, SourceSkip, TagListing,
};
use tidegate::desired::Object;
use tidegate::engine::{Answer, Effect, Engine};
use tidegate::fact::{Fact, ImportReason, Record};
use tidegate::names::{BlobId, CommitId, ContentHash};
use tidegate::observed::ObservedState;
use tidegate::plan::prune::Pruned;
use tidegate::policy::Policy;
use tidegate::reference::ImageReference;
use tidegate::report::live::Live;
use tidegate::report::prune::{Manifests, to_text};
use tidegate::time::{Monotonic, Now, Timestamp};

use super::manifest;
use super::story::{self, digest, short};

/// Whether the adopted commit can be read at a start.
#[derive(Clone, Copy, PartialEq)]
enum Mirror {
    There,
    Lost,
}

/// One daemon, its journal and what is outside of it.
pub(crate) struct World {
    pub(crate) engine: Engine,
    pub(crate) now: Now,
    pub(crate) journal: Vec<Record>,
    policy: Policy,
    /// The object store.
    pub(crate) store: BTreeMap<ContentHash, Arc<[u8]>>,
    pub(crate) actions: BTreeMap<ActionId, Action>,
    files: BTreeMap<String, String>,
    commits: BTreeMap<CommitId, BTreeMap<String, String>>,
    pub(crate) head: CommitId,
    shown: usize,
    answers: Vec<Answer>,
    asks: u64,
    notices: Vec<String>,
    /// The last answer to an order to prune.
    pub(crate) pruned: Option<Pruned>,
    names: BTreeMap<String, String>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(Self::policy())
    }

    /// The settings that tests change; the source is read only when it is told to.
    pub(crate) fn policy() -> Policy {
        Policy { source_poll: Duration::from_secs(1_000_000), ..Policy::default() }
    }

    pub(crate) fn with(policy: Policy) -> Self {
        let wall: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let now = Now { wall, mono: Monotonic::from_start(Duration::from_secs(100)) };
        let engine = Engine::new(policy.clone(), ObservedState::default(), now);
        let names = ["a", "b", "c", "d", "x", "y"];
        let names = names.iter().map(|n| (digest(n).to_string(), (*n).to_owned())).collect();
        Self {
            engine,
            now,
            journal: Vec::new(),
            policy,
            store: BTreeMap::new(),
            actions: BTreeMap::new(),
            files: BTreeMap::new(),
            commits: BTreeMap::new(),
            head: "0".repeat(40).parse().unwrap(),
            shown: 0,
            answers: Vec::new(),
            asks: 0,
            notices: Vec::new(),
            pruned: None,
            names,
        }
    }

    /// One step; checks the laws that hold after every step.
    pub(crate) fn step(&mut self, inputs: Vec<Input>) {
        let effects = self.engine.step(inputs, self.now);
        let mut acted = false;
        for effect in effects {
            match effect {
                Effect::Store(values) => {
                    assert!(!acted, "stored after an action");
                    for value in values {
                        self.store.insert(ContentHash::of(&value), value);
                    }
                }
                Effect::Append(records) => {
                    assert!(!acted, "appended after an action");
                    self.journal.extend(records);
                }
                Effect::Start(id, action) => {
                    acted = true;
                    match &action {
                        Action::KeepCommit { .. } => {}
                        Action::Job(request) if matches!(request.order, JobOrder::Tidy { .. }) => {
                            self.notices.push(story::action(&action));
                        }
                        Action::Notify(_) | Action::TidyBuilds(_) => {
                            self.notices.push(story::action(&action));
                        }
                        Action::ReadSource(_)
                        | Action::Resolve(_)
                        | Action::List(_)
                        | Action::DeleteManifest(_)
                        | Action::RollOut(_)
                        | Action::AskRollout(_)
                        | Action::Stop(_)
                        | Action::Scale(_)
                        | Action::Build(_)
                        | Action::Job(_) => {
                            self.actions.insert(id, action);
                        }
                    }
                }
                Effect::Cancel(id) => {
                    acted = true;
                    assert!(self.actions.contains_key(&id), "cancelled what is not in flight");
                    self.notices.push(format!("cancel {}", story::action(&self.actions[&id])));
                }
                Effect::Answer(_, answer) => self.answers.push(answer),
                Effect::WakeAt(at) => assert!(at > self.now.mono, "wakes at once, for ever"),
                Effect::Exit => {}
            }
        }
        self.check_laws();
    }

    fn check_laws(&self) {
        let replayed = ObservedState::default().replay(&self.journal);
        assert_eq!(&replayed, self.engine.observed(), "law 3: same journal, same state");
        let overlooked = self.engine.overlooked(self.now);
        assert!(overlooked.is_empty(), "law 4: {overlooked:?}");
    }

    /// Makes a commit of these objects, in short form, and lets the engine read it.
    pub(crate) fn commit(&mut self, objects: &str) {
        let files = manifest::files(objects);
        self.commit_files(files);
    }

    /// Makes a commit of these files and lets the engine read it.
    pub(crate) fn commit_files(&mut self, files: BTreeMap<String, String>) {
        self.now_is(files);
        self.read();
    }

    /// The files of the head.
    pub(crate) fn files(&self) -> &BTreeMap<String, String> {
        &self.files
    }

    /// Makes a commit of these files, which nobody has read yet.
    pub(crate) fn now_is(&mut self, files: BTreeMap<String, String>) {
        self.files = files;
        let id = format!("{:040x}", self.commits.len() + 1);
        self.head = id.parse().unwrap();
        self.commits.insert(self.head, self.files.clone());
    }

    /// Lets the engine read the source as it is.
    pub(crate) fn read(&mut self) {
        self.step(vec![Input::Nudged(Nudge::Source)]);
        self.read_answer();
    }

    /// The read of the source that is in flight gets its answer.
    pub(crate) fn read_answer(&mut self) {
        let found = self.actions.iter().find(|(_, a)| matches!(a, Action::ReadSource(_)));
        let Some((id, Action::ReadSource(read))) = found else { panic!("no read is in flight") };
        let (id, base) = (*id, read.base);
        self.actions.remove(&id);
        let read = source_read(&self.commits, self.head, base);
        self.step(vec![Input::SourceRead(id, Ok(Box::new(read)))]);
    }

    /// Lets the engine look at a source that cannot be read.
    pub(crate) fn source_fails(&mut self, message: &str, commit: Option<CommitId>) {
        self.step(vec![Input::Nudged(Nudge::Source)]);
        let id = self.find("read source");
        let failure = SourceFailure { commit, message: message.into() };
        self.step(vec![Input::SourceRead(id, Err(failure))]);
    }

    /// Takes the action in flight whose line begins with `line`.
    fn find(&mut self, line: &str) -> ActionId {
        let text = |action: &Action| short(&story::action(action), &self.names);
        let found = self.actions.iter().find(|(_, action)| text(action).starts_with(line));
        let id = *found.unwrap_or_else(|| panic!("no `{line}` in flight: {}", self.pending())).0;
        self.actions.remove(&id);
        id
    }

    /// The registry answers `image` with the digest of that name; `index/image` where the two differ.
    pub(crate) fn resolve(&mut self, image: &str, answer: &str) {
        let (probed, name) = answer.split_once('/').unwrap_or((answer, answer));
        let id = self.find_resolve(image);
        let Some(Action::Resolve(request)) = self.actions.remove(&id) else { panic!() };
        let probed = digest(probed);
        let read =
            ResolvedImage { digest: digest(name), metadata: ContentHash::of(name.as_bytes()) };
        let image = (request.known != Some(probed)).then_some(read);
        self.step(vec![Input::Resolved(id, Ok(Resolution { probed, image }))]);
    }

    /// The registry lists the tags of `repository`: these, with blanks between them; `...` says that it was cut short.
    pub(crate) fn list(&mut self, repository: &str, tags: &str) {
        let id = self.find(&format!("list {repository}"));
        let complete = !tags.contains("...");
        let tags = tags.split_whitespace().filter(|tag| *tag != "...").map(str::to_owned).collect();
        self.step(vec![Input::Listed(id, Ok(TagListing { tags, complete }))]);
    }

    /// The managed registry answers about the deletion whose line begins with `line`.
    pub(crate) fn deleted(&mut self, line: &str, result: Result<(), ImportFailure>) {
        let id = self.find(line);
        self.step(vec![Input::ManifestDeleted(id, result)]);
    }

    /// The registry cannot list the tags of `repository`.
    pub(crate) fn list_fails(&mut self, repository: &str, reason: ImportReason, transient: bool) {
        let id = self.find(&format!("list {repository}"));
        let message = format!("{repository} failed");
        let failure = ImportFailure { reason, message, transient, retry_after: None };
        self.step(vec![Input::Listed(id, Err(failure))]);
    }

    /// The registry answers everything that is asked with the digest of this name.
    pub(crate) fn resolve_all(&mut self, answer: &str) {
        let is_check = |action: &&Action| matches!(action, Action::Resolve(_));
        while let Some(Action::Resolve(request)) = self.actions.values().find(is_check) {
            let image = request.check.image.to_string();
            self.resolve(&image, answer);
        }
    }

    /// The check of an image, however it is spelled.
    fn find_resolve(&self, image: &str) -> ActionId {
        let spelled: ImageReference = image.parse().unwrap();
        let one = spelled.one_spelling(true).unwrap_or(spelled);
        let is_it = |action: &Action| match action {
            Action::Resolve(request) => *request.check.image == one,
            _ => false,
        };
        let found = self.actions.iter().find(|(_, action)| is_it(action));
        *found.unwrap_or_else(|| panic!("no `{image}` is asked: {}", self.pending())).0
    }

    /// What registries are asked now.
    pub(crate) fn checks(&self) -> Vec<tidegate::action::Check> {
        let check = |action: &Action| match action {
            Action::Resolve(request) => Some(request.check.clone()),
            _ => None,
        };
        self.actions.values().filter_map(check).collect()
    }

    /// The registry cannot answer `image`.
    pub(crate) fn resolve_fails(&mut self, image: &str, reason: ImportReason, transient: bool) {
        self.resolve_failure(image, reason, transient, None);
    }

    /// The registry asks to be left alone.
    pub(crate) fn too_many_requests(&mut self, image: &str, pause: u64) {
        let pause = Some(Duration::from_secs(pause));
        self.resolve_failure(image, ImportReason::InternalError, true, pause);
    }

    fn resolve_failure(
        &mut self,
        image: &str,
        reason: ImportReason,
        transient: bool,
        retry_after: Option<Duration>,
    ) {
        let id = self.find_resolve(image);
        self.actions.remove(&id);
        let message = format!("{image} failed");
        let failure = ImportFailure { reason, message, transient, retry_after };
        self.step(vec![Input::Resolved(id, Err(failure))]);
    }

    /// The target reports about the delivery whose line begins with `line`.
    pub(crate) fn report(&mut self, line: &str, report: RolloutReport) {
        let id = self.find(line);
        self.step(vec![Input::RolloutReported(id, report)]);
    }

    /// The builder reports about the build of this name.
    pub(crate) fn built(&mut self, name: &str, report: BuildReport) {
        let words = ["make", "end"].map(|word| format!("{word} build {name}"));
        let pending = self.pending();
        let line = words.iter().find(|line| pending.contains(line.as_str()));
        let id = self.find(line.unwrap_or(&words[0]));
        self.step(vec![Input::BuildReported(id, report)]);
    }

    /// The target completes a rollout of `name`, or a stop of it.
    pub(crate) fn complete(&mut self, name: &str) {
        let line = self.delivery(name);
        self.report(&line, RolloutReport::Complete { log: String::new() });
    }

    /// The target refuses a rollout of `name`.
    pub(crate) fn refuse(&mut self, name: &str) {
        let line = self.delivery(name);
        let report = RolloutReport::Failed { reason: "unhealthy".into(), log: String::new() };
        self.report(&line, report);
    }

    /// The rollout of `name` does not get through.
    pub(crate) fn transient(&mut self, name: &str) {
        let line = self.delivery(name);
        let report = RolloutReport::Transient { reason: "busy".into(), retry_after: None };
        self.report(&line, report);
    }

    fn delivery(&self, name: &str) -> String {
        let kinds = ["roll out", "stop", "ask", "scale", "create job", "run job", "end job"];
        let lines: Vec<_> =
            self.actions.values().map(|a| short(&story::action(a), &self.names)).collect();
        let is_it = |line: &&String| {
            kinds.iter().any(|kind| {
                let rest = line.strip_prefix(kind).unwrap_or("").trim();
                rest == name || rest.starts_with(&format!("{name} "))
            })
        };
        let found = lines.iter().find(is_it);
        found.unwrap_or_else(|| panic!("nothing of `{name}` in flight: {}", self.pending())).clone()
    }

    /// Both clocks go on; the engine wakes whenever it asked to.
    pub(crate) fn advance(&mut self, seconds: u64) {
        let end = self.now.mono.after(Duration::from_secs(seconds));
        while self.now.mono < end {
            let wake = self.engine.step(vec![], self.now);
            let mut at = end;
            for effect in &wake {
                if let Effect::WakeAt(wake) = effect {
                    at = at.min(*wake);
                }
            }
            assert!(matches!(wake.as_slice(), [Effect::WakeAt(_)]), "did not settle: {wake:?}");
            let passed = at.since(self.now.mono);
            self.now.mono = at;
            self.now.wall = self.now.wall.after(passed);
            self.step(vec![Input::Wake]);
        }
    }

    /// The process ends without a word and starts again.
    pub(crate) fn restart(&mut self) {
        self.start_again(Mirror::There);
    }

    /// The same, and the mirror with the adopted commit is gone.
    pub(crate) fn restart_without_mirror(&mut self) {
        self.start_again(Mirror::Lost);
    }

    fn start_again(&mut self, mirror: Mirror) {
        let observed = ObservedState::default().replay(&self.journal);
        self.actions.clear();
        let adopted = observed.adopted.as_ref().map(|adopted| adopted.commit);
        let kept: Vec<_> = observed.kept_versions().map(|hash| (hash, self.object(hash))).collect();
        self.engine = Engine::new(self.policy.clone(), observed, self.now);
        if mirror == Mirror::Lost {
            self.engine.keep(kept);
        } else if let Some(commit) = adopted {
            let read = source_read(&self.commits, commit, None);
            self.engine.load(&read, kept);
        }
        self.step(vec![]);
        self.read_answer();
    }

    /// A value of the object store, which is text.
    pub(crate) fn stored(&self, hash: ContentHash) -> String {
        let bytes = self.store.get(&hash).unwrap_or_else(|| panic!("{hash} was never stored"));
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    /// The object store.
    pub(crate) fn all_stored(&self) -> &BTreeMap<ContentHash, Arc<[u8]>> {
        &self.store
    }

    fn object(&self, hash: ContentHash) -> Object {
        let bytes = self.store.get(&hash).unwrap_or_else(|| panic!("{hash} was never stored"));
        serde_json::from_slice(bytes).unwrap()
    }

    /// An operator asks.
    pub(crate) fn ask(&mut self, request: Request) -> String {
        self.order(request);
        self.answer()
    }

    /// An operator asks, and waits for the answer.
    pub(crate) fn order(&mut self, request: Request) {
        self.asks += 1;
        self.step(vec![Input::Asked(Ask { id: self.asks, by: "ann".into(), request })]);
    }

    /// The image of this name is said to have been pushed to `repository` for `tag`; nobody has read it yet.
    pub(crate) fn pushed(&mut self, tag: &str, repository: &str, name: &str) {
        let image = format!("{repository}@{}", digest(name)).parse().unwrap();
        self.order(Request::Push(Pushed { tag: tag.parse().unwrap(), image }));
    }

    /// The image of this name is pushed to `repository` for `tag`, and the registry has it.
    pub(crate) fn push(&mut self, tag: &str, repository: &str, name: &str) -> String {
        self.pushed(tag, repository, name);
        self.resolve(&format!("{repository}@{}", digest(name)), name);
        self.answer()
    }

    /// What a running daemon says that nobody else knows.
    pub(crate) fn live(&mut self) -> Live {
        self.order(Request::Status);
        match self.answers.pop() {
            Some(Answer::Status(known)) => Live::of(&known, self.now),
            other => panic!("{other:?}"),
        }
    }

    /// The oldest answer that nobody took yet.
    pub(crate) fn answer(&mut self) -> String {
        match self.answers.remove(0) {
            Answer::Done(_) => "done".into(),
            Answer::Nothing(why) => format!("nothing: {}", short(&why, &self.names)),
            Answer::Refused(why) => format!("refused: {}", short(&why, &self.names)),
            Answer::Looking(at) => short(&at, &self.names),
            Answer::Status(_) => "status".into(),
            Answer::Started(started) => format!("started {}", started.name),
            Answer::Cancelled(cancelled) => format!("cancelled {}", cancelled.names.join(" ")),
            Answer::Ordered(ordered) => {
                let back = ordered.back_to.map(|to| format!(" back to {to}")).unwrap_or_default();
                let disabled = ordered.disabled.iter().map(|tag| format!(" without {tag}"));
                let disabled = disabled.collect::<String>();
                short(&format!("ordered {}{back}{disabled}", ordered.revision), &self.names)
            }
            Answer::Pruned(pruned) => {
                let text = to_text(&pruned.pruning, Manifests::Untouched);
                self.pruned = Some(*pruned);
                short(text.trim_end(), &self.names)
            }
        }
    }

    /// An operator says something about the rollouts of `KIND/NAMESPACE/NAME`.
    pub(crate) fn rollout(&mut self, object: &str, verb: RolloutVerb) -> String {
        let object = Some(object.parse().unwrap());
        self.ask(Request::Rollout(RolloutOrder { object, verb, force: false }))
    }

    /// Releases the hold of `KIND/NAMESPACE/NAME`.
    pub(crate) fn release(&mut self, object: &str) -> String {
        self.ask(Request::Release(object.parse().unwrap()))
    }

    /// A registry says that something moved; it is answered at once or when the registry was asked.
    pub(crate) fn hint(&mut self, image: &str) {
        self.order(Request::Hinted(image.parse().unwrap()));
    }

    /// Something says that a tag moved.
    pub(crate) fn nudge(&mut self, tag: &str) {
        self.step(vec![Input::Nudged(Nudge::Tag(tag.parse().unwrap()))]);
    }

    /// What was recorded since the last time that anybody asked; checkpoints are left out.
    pub(crate) fn records(&mut self) -> String {
        let lines = self.journal[self.shown..].iter();
        let lines = lines.filter(|record| !matches!(record.fact, Fact::Checkpoint(_)));
        let lines: Vec<_> = lines.map(|r| short(&story::record(r), &self.names)).collect();
        self.shown = self.journal.len();
        lines.join("\n")
    }

    /// What is in flight.
    pub(crate) fn pending(&self) -> String {
        let lines = self.actions.values().map(|a| short(&story::action(a), &self.names));
        lines.collect::<Vec<_>>().join("\n")
    }

    /// What was cancelled and told since the last time that anybody asked.
    pub(crate) fn told(&mut self) -> String {
        let lines = std::mem::take(&mut self.notices);
        short(&lines.join("; "), &self.names)
    }

    /// What waits, and why.
    pub(crate) fn held(&self) -> String {
        let held = tidegate::plan::held(&self.engine.view(self.now));
        held.iter().map(|h| short(&story::held(h), &self.names)).collect::<Vec<_>>().join("\n")
    }

    /// The history of a tag, newest first, and its condition.
    pub(crate) fn tag(&self, tag: &str) -> String {
        let Some(state) = self.engine.observed().tag(&tag.parse().unwrap()) else {
            return "unknown".into();
        };
        let item = |item: &tidegate::observed::tag_history::TagItem| {
            let event = &item.event;
            let image = event.image.map_or_else(|| "-".into(), |image| image.to_string());
            format!("{image} {} @{}", event.reference, event.generation.0)
        };
        let mut lines: Vec<_> = state.items.iter().map(item).collect();
        if let Some(condition) = &state.condition {
            lines.push(format!("{} @{}", condition.reason, condition.generation.0));
        }
        lines.push(format!("spec @{}", state.generation.0));
        short(&lines.join("; "), &self.names)
    }
}

/// The text of a file that stands for a symbolic link.
pub(crate) const LINK: &str = "-> elsewhere";

/// What reading a commit gives.
pub(crate) fn source_read(
    commits: &BTreeMap<CommitId, BTreeMap<String, String>>,
    commit: CommitId,
    base: Option<CommitId>,
) -> SourceRead {
    let empty = BTreeMap::new();
    let files = &commits[&commit];
    let base = base.filter(|base| commits.contains_key(base));
    let old = base.map_or(&empty, |base| &commits[&base]);
    let is_file = |files: &BTreeMap<String, String>, path: &String| {
        files.get(path).is_some_and(|text| text != LINK)
    };
    let changed = files.iter().filter(|(path, text)| old.get(*path) != Some(text));
    let changed = changed.filter(|(path, _)| is_file(files, path));
    let links = files.keys().filter(|path| !is_file(files, path));
    let why = "it is a symbolic link";
    let skipped = links.map(|path| SourceSkip { path: path.clone(), why }).collect();
    let gone = |path: &&String| is_file(old, path) && !is_file(files, path);
    let changed = changed.map(|(path, text)| {
        let hash = ContentHash::of(text.as_bytes()).to_string();
        let mut blob = [0; 20];
        blob.copy_from_slice(&hash.as_bytes()[..20]);
        SourceFile {
            path: path.clone(),
            blob: BlobId::from_bytes(blob),
            bytes: Some(Arc::from(text.as_bytes())),
            len: text.len() as u64,
        }
    });
    SourceRead {
        commit,
        base,
        branch: "main".into(),
        forced: false,
        changed: changed.collect(),
        removed: old.keys().filter(gone).cloned().collect(),
        skipped,
    }
}
