//! What each fuzz target does with its bytes. One file, so that `tests/it/fuzzed.rs` replays kept inputs through the same
//! code without a fuzzer. A target panics where something does not hold; its doc comment says what has to hold.

#![allow(dead_code, reason = "each program uses one of them")]

mod builds;
mod hosts;

use std::fs;
use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use tidegate::action::{
    Action, Ask, ImageContents, Input, PruneRequest, Request, RolloutReport, SourceFile, SourceRead,
};
use tidegate::control::{Question, Reply};
use tidegate::desired::{Entry, ParsedFile, Tree, params_paths, parse_file};
use tidegate::edit::triggers::{FromTag, Hook as BuildHook, HookKind, One, Wish};
use tidegate::edit::{Document, Manifests, Place};
use tidegate::engine::{Answer, Effect, Engine};
use tidegate::fact::Record;
use tidegate::hook::build::Decision;
use tidegate::hook::{self, Hint, Hook, Kind, Notice, Secrets, Silence};
use tidegate::journal::{self, Journal, JournalError, Options, RealDisk, Replay};
use tidegate::names::{
    BlobId, ContentHash, Incarnation, Kind as ObjectKind, ObjectKey, RolloutKey, Seq, StreamName,
    StreamTag,
};
use tidegate::observed::ObservedState;
use tidegate::pods::Pods;
use tidegate::policy::Policy;
use tidegate::reference::ImageReference;
use tidegate::time::{Monotonic, Now, Schedule, Span, Timestamp};
use tidegate::world::target::{WebhookTarget, read_answer};

pub(crate) use builds::{containerfile, s2i};
pub(crate) use hosts::{podman, pods, units};

type Target = fn(&[u8]);

/// Every target, by name.
pub(crate) const ALL: &[(&str, Target)] = &[
    ("answer", answer),
    ("config", config),
    ("containerfile", containerfile),
    ("control", control),
    ("hook", hook),
    ("journal", journal),
    ("manifest", manifest),
    ("mirrors", mirrors),
    ("podman", podman),
    ("pods", pods),
    ("reference", reference),
    ("registry", registry),
    ("s2i", s2i),
    ("schedule", schedule),
    ("units", units),
];

/// A folder of this process on a file system in memory, where there is one.
static FOLDER: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    made.expect("a folder for temporary files")
});

fn now() -> Now {
    let wall = Timestamp::from_millis(1_790_000_000_000);
    Now { wall, mono: Monotonic::from_start(Duration::from_secs(100)) }
}

/// The journal's files, as `== NAME` lines cut them; what stands before the first is the first segment. With `!` as the
/// first byte the hashes are made to fit, so that what is behind them is reached.
///
/// A refusal changes nothing. What a start replays is what a reader gives, then and afterwards, and it verifies.
pub(crate) fn journal(data: &[u8]) {
    let root = tempfile::tempdir_in(FOLDER.path()).unwrap();
    let dir = root.path().join("journal");
    fs::create_dir(&dir).unwrap();
    let (mended, data) = match data.strip_prefix(b"!") {
        Some(rest) => (true, rest),
        None => (false, data),
    };
    let mut name = "00000000000000000001.jsonl".to_owned();
    let mut content = Vec::new();
    let mut files = Vec::new();
    for line in data.split_inclusive(|byte| *byte == b'\n') {
        match line.strip_prefix(b"== ") {
            Some(next) => {
                files.push((name, std::mem::take(&mut content)));
                name = String::from_utf8_lossy(next).trim().replace(['/', '\0'], "_");
            }
            None => content.extend_from_slice(line),
        }
    }
    files.push((name, content));
    let mut hash = "0".repeat(32);
    for (name, content) in files.iter().filter(|(name, _)| !name.is_empty() && name.len() < 200) {
        let content = if mended { mend(content, &mut hash) } else { content.clone() };
        let path = dir.join(name);
        if !path.exists() {
            fs::write(path, content).unwrap();
        }
    }
    check_journal(root.path());
}

/// Gives each line the hash that is due.
fn mend(content: &[u8], hash: &mut String) -> Vec<u8> {
    const KEY: &[u8] = b",\"hash\":\"";
    let mut out = Vec::new();
    for line in content.split_inclusive(|byte| *byte == b'\n') {
        let at = line.windows(KEY.len()).rposition(|window| window == KEY);
        let Some(at) = at.filter(|at| line.len() > at + KEY.len() + 32) else {
            out.extend_from_slice(line);
            continue;
        };
        let body = &line[..at];
        let next = ContentHash::of(&[hash.as_bytes(), body].concat()).to_string();
        *hash = next[..32].to_owned();
        out.extend_from_slice(body);
        out.extend_from_slice(KEY);
        out.extend_from_slice(hash.as_bytes());
        out.extend_from_slice(&line[at + KEY.len() + 32..]);
    }
    out
}

fn check_journal(root: &Path) {
    let read = || -> (Vec<Record>, Option<String>) {
        let mut records = Vec::new();
        let reader = match journal::read(root) {
            Ok(reader) => reader,
            Err(error) => return (records, Some(error.to_string())),
        };
        for record in reader {
            match record {
                Ok(record) => records.push(record),
                Err(error) => return (records, Some(error.to_string())),
            }
        }
        (records, None)
    };
    let before = files(&root.join("journal"));
    let (records, failed) = read();
    assert_eq!((&records, &failed), (&read().0, &read().1), "reading twice gives the same");
    drop(journal::read_state(root));
    let proof = journal::verify(root, ObservedState::default);
    if let (None, Ok(proof)) = (&failed, &proof) {
        assert_eq!(proof.records, records.len() as u64, "what is read is what is proven");
    }
    assert_eq!(files(&root.join("journal")), before, "readers change nothing");
    let mut replayed = Vec::new();
    let mut state = ObservedState::default();
    let opened = Journal::open_with(RealDisk, root, Options::default(), &mut |replay| {
        match replay {
            Replay::Snapshot(snapshot) => {
                replayed.clear();
                state = snapshot.state().map_err(|error| error.to_string())?;
            }
            Replay::Record(record) => replayed.push(record),
        }
        Ok(())
    });
    let Ok((journal, warnings)) = opened else {
        let left = files(&root.join("journal"));
        let leftover = |name: &str| name.starts_with(['s', '0']) && name.ends_with("-new");
        assert!(before.iter().all(|file| left.contains(file) || leftover(&file.0)), "refused");
        drop(opened.map(drop).map_err(|error: JournalError| error.to_string()));
        return;
    };
    drop(warnings.iter().map(ToString::to_string).collect::<String>());
    let head = journal.head();
    drop(journal);
    let (after, failed) = read();
    if failed.is_none() {
        let tail = &after[after.len().saturating_sub(replayed.len())..];
        assert_eq!(tail, replayed, "a start replays what a reader gives");
        if let Some(last) = after.last() {
            assert_eq!(last.seq, head.seq);
        }
    }
}

/// Name, length and content of each file.
fn files(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            (name, fs::read(entry.path()).unwrap_or_default())
        })
        .collect();
    files.sort();
    files
}

/// A manifest, and its params file behind a line `%%params`; with `!` as the first byte read as OpenShift would.
///
/// Reading twice gives the same, also by way of the cache; what is wrong stands in the file; the desired state can be
/// planned.
pub(crate) fn manifest(data: &[u8]) {
    let (strict_openshift, data) = match data.strip_prefix(b"!") {
        Some(rest) => (true, rest),
        None => (false, data),
    };
    const CUT: &[u8] = b"\n%%params\n";
    let cut = data.windows(CUT.len()).position(|window| window == CUT);
    let (bytes, params) = match cut {
        Some(at) => (&data[..at], Some(&data[at + CUT.len()..])),
        None => (data, None),
    };
    let policy = Policy { strict_openshift, ..Policy::default() };
    let file = parse_file("a/x.yaml", bytes, params, &policy);
    assert_eq!(file, parse_file("a/x.yaml", bytes, params, &policy), "reading twice");
    let cached = postcard::to_stdvec(&file).unwrap();
    let back: ParsedFile = postcard::from_bytes(&cached).unwrap();
    assert_eq!(back, without_manifests(file.clone()), "the cache gives what was read");
    // YAML breaks lines at more than newlines.
    let breaks = ['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}'];
    let lines = String::from_utf8_lossy(bytes).matches(breaks).count() + 1;
    let rejected = file.entries.iter().filter_map(|entry| match entry {
        Entry::Rejected(rejected) => Some(&rejected.diagnostic),
        Entry::Object(_) | Entry::Companion(_) => None,
    });
    for diagnostic in file.diagnostics.iter().chain(rejected) {
        let at = &diagnostic.position;
        assert!(
            at.path != "a/x.yaml" || at.line as usize <= lines,
            "{diagnostic:?} of {lines} lines"
        );
        assert!(!diagnostic.message.is_empty());
        assert!(!diagnostic.message.contains(char::is_control), "{diagnostic:?}");
    }
    let mut sources = vec![source("a/x.yaml", bytes)];
    if let Some(params) = params {
        sources.insert(0, source(&params_paths("a/x.yaml")[0], params));
    }
    let read = SourceRead {
        commit: "0123456789abcdef0123456789abcdef01234567".parse().unwrap(),
        base: None,
        branch: "main".into(),
        forced: false,
        changed: sources,
        removed: Vec::new(),
        skipped: Vec::new(),
    };
    let mut tree = Tree::default();
    tree.apply(&read, &policy);
    let state = tree.assemble();
    assert_eq!(state.objects(), state.keys().count());
    for workload in state.workloads.values() {
        workload_on_a_host(&workload.object, workload.manifest.as_bytes());
    }
    edits(bytes, &policy);
    plan(read, policy);
}

/// What a host makes of a workload: the same each time, or a refusal in plain words.
fn workload_on_a_host(object: &ObjectKey, manifest: &[u8]) {
    if object.kind == ObjectKind::CronJob {
        runs(object, manifest);
    }
    let read = || match Pods::read(object, manifest) {
        Ok(pods) => {
            Ok((pods.course(true), pods.course(false), pods.names().take(9).collect::<Vec<_>>()))
        }
        Err(why) => Err(why.to_string()),
    };
    let once = read();
    assert_eq!(once, read(), "reading twice");
    if let Err(why) = once {
        assert!(!why.is_empty());
    }
}

/// When a `CronJob` runs and what runs then: the same each time, or a refusal in plain words; the next time lies ahead, and
/// the pod of an attempt never begins again by itself.
fn runs(object: &ObjectKey, manifest: &[u8]) {
    let cron = match tidegate::pods::cron(manifest) {
        Ok(cron) => cron,
        Err(why) => return assert!(!why.to_string().is_empty()),
    };
    assert_eq!(Ok(&cron), tidegate::pods::cron(manifest).as_ref().map_err(|_| ()), "reading twice");
    let schedule = cron.timetable().expect("what was read has a timetable");
    let now = now().wall;
    assert!(schedule.next_slot(now).is_none_or(|slot| slot > now));
    let Ok(pods) = Pods::read(object, manifest) else { return };
    let key = RolloutKey::of(object, Incarnation(1), Seq(7), None);
    let pod: serde_json::Value = serde_json::from_str(&pods.job_pod("run", 1, &key)).unwrap();
    assert_eq!(pod["metadata"]["name"], "run-1");
    assert_eq!(pod["spec"]["restartPolicy"], "Never");
}

/// A changed manifest can be read, says what was wished, and is not changed by the same wish again.
fn edits(bytes: &[u8], policy: &Policy) {
    if bytes.len() > 4_000 {
        return; // each wish reads the file several times
    }
    let image = |containers: &[&str]| One::Image {
        from: FromTag { name: "fuzz:1".into(), namespace: Some("fuzz".into()) },
        containers: containers.iter().map(|name| (*name).to_owned()).collect(),
    };
    let hook = BuildHook { kind: HookKind::GitHub, allow_env: false };
    let wishes = [
        Wish::RemoveAll,
        Wish::Remove(One::Config),
        Wish::Remove(One::Hook { hook, secret: String::new() }),
        Wish::All { automatic: false },
        Wish::All { automatic: true },
        Wish::Put { one: One::Config, automatic: true },
        Wish::Put { one: image(&[]), automatic: true },
        Wish::Put { one: image(&["web"]), automatic: true },
        Wish::Put { one: image(&["main", "web"]), automatic: false },
    ];
    let all = Manifests::new([("a/x.yaml", Some(bytes))], policy);
    let places: Vec<Place> = all.documents().map(Document::place).take(2).collect();
    for place in &places {
        for wish in &wishes {
            let mut changed = all.clone();
            if changed.set_triggers(place, wish).is_err() {
                assert!(changed.edits().is_empty(), "{wish:?} is refused and changes something");
                continue;
            }
            let edits = changed.edits();
            changed.set_triggers(place, wish).expect("what was done can be done again");
            assert_eq!(changed.edits(), edits, "{wish:?} twice");
            if let Some(edit) = edits.first() {
                let again = Manifests::new([("a/x.yaml", edit.after.as_deref())], policy);
                assert_eq!(again.documents().count(), all.documents().count(), "{wish:?}");
            }
        }
    }
}

/// A webhook's answer: its status on the first line, with `?` in front where it is asked how a rollout goes on; its body
/// behind.
///
/// Reading twice gives the same; only 2xx and 409 are a success; where to ask is an address; what is kept is short.
pub(crate) fn answer(data: &[u8]) {
    let cut = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    let (head, body) = (&data[..cut], data.get(cut + 1..).unwrap_or_default());
    let head = String::from_utf8_lossy(head);
    let (asked, status) = match head.strip_prefix('?') {
        Some(status) => (Some("https://example.com/status/1"), status),
        None => (None, &*head),
    };
    let Ok(status) = status.trim().parse::<u16>() else { return };
    let target = WebhookTarget {
        url: "https://example.com/hook".parse().unwrap(),
        secret: None,
        headers: Default::default(),
        timeout: Duration::from_secs(1),
    };
    let read = || read_answer(&target, asked, status, body);
    let Ok(report) = read() else { return };
    assert_eq!(read(), Ok(report.clone()), "reading twice");
    let is_2xx = (200..300).contains(&status);
    let kept = match &report {
        RolloutReport::Complete { log } => {
            assert!(is_2xx || status == 409 && asked.is_none(), "{status} is no success");
            log.clone()
        }
        RolloutReport::Running { status_url } => {
            assert!(
                is_2xx && (status_url.starts_with("https:") || status_url.starts_with("http:"))
            );
            String::new()
        }
        RolloutReport::Failed { reason, log } => {
            assert!(!reason.is_empty());
            format!("{reason}{log}")
        }
        RolloutReport::Transient { reason, .. } => reason.clone(),
        RolloutReport::Stepped { .. } | RolloutReport::Cancelled => panic!("{report:?}"),
    };
    let max = 2 * tidegate::limits::ROLLOUT_LOG_BYTES_MAX + 200;
    assert!(kept.len() <= max, "{} bytes are kept", kept.len());
    assert!(!kept.contains(|sign: char| sign.is_control() && !"\n\t".contains(sign)), "{kept:?}");
}

/// The cache leaves out the documents of other kinds: they may hold secrets.
fn without_manifests(mut file: ParsedFile) -> ParsedFile {
    for entry in &mut file.entries {
        if let Entry::Companion(companion) = entry {
            Arc::make_mut(companion).manifest = None;
        }
    }
    file
}

fn source(path: &str, bytes: &[u8]) -> SourceFile {
    let mut id = [0; 20];
    for (at, byte) in bytes.iter().enumerate() {
        id[at % 20] ^= *byte;
    }
    let (path, len) = (path.to_owned(), bytes.len() as u64);
    SourceFile { path, blob: BlobId::from_bytes(id), bytes: Some(Arc::from(bytes)), len }
}

/// Lets an engine read a commit; the laws that hold after every step hold.
fn plan(read: SourceRead, policy: Policy) {
    let mut engine = Engine::new(policy, ObservedState::default(), now());
    let mut journal: Vec<Record> = Vec::new();
    let mut read = Some(read);
    let mut inputs = vec![Input::Wake];
    for _ in 0..3 {
        for effect in engine.step(std::mem::take(&mut inputs), now()) {
            match effect {
                Effect::Append(records) => journal.extend(records),
                Effect::Start(id, Action::ReadSource(_)) => {
                    let answer = read.take().map(|read| Input::SourceRead(id, Ok(Box::new(read))));
                    inputs.extend(answer);
                }
                _ => {}
            }
        }
        let replayed = ObservedState::default().replay(&journal);
        assert_eq!(&replayed, engine.observed(), "law 3: same journal, same state");
        let overlooked = engine.overlooked(now());
        assert!(overlooked.is_empty(), "law 4: {overlooked:?}");
    }
    assert!(read.is_none(), "the source was read");
    for record in journal {
        let text = serde_json::to_string(&record).unwrap();
        let back: Record = serde_json::from_str(&text).unwrap();
        assert_eq!(back, record, "a record reads what it wrote");
    }
}

/// Image references and the names of objects, one text.
///
/// What is printed is read as the same again.
pub(crate) fn reference(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(key) = text.parse::<ObjectKey>() {
        assert_eq!(key.to_string().parse::<ObjectKey>(), Ok(key));
    }
    if let Ok(tag) = text.parse::<StreamTag>() {
        assert_eq!(tag.to_string().parse::<StreamTag>(), Ok(tag));
    }
    if let Ok(stream) = text.parse::<StreamName>() {
        assert_eq!(stream.to_string().parse::<StreamName>(), Ok(stream));
    }
    let reference = match text.parse::<ImageReference>() {
        Ok(reference) => reference,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    assert_eq!(reference.to_string().parse(), Ok(reference.clone()), "as it was spelled");
    assert!(reference.means_same_as(&reference));
    let host = reference.registry_host();
    assert!(!host.contains('/') || reference.is_registry_only(), "{host}");
    drop(reference.registry_host_port(true));
    if reference.is_registry_only() {
        return;
    }
    let exact: ImageReference = reference.exact().parse().expect("exact");
    assert_eq!(exact, reference.clone().most_specific(), "exact");
    // A host in capitals without a dot or a port is taken for a namespace (rule I28, as OpenShift has it), and such a one
    // does not stand behind a registry.
    let lower = |text: &String| !text.contains(|c: char| c.is_ascii_uppercase());
    // And what is filled in may make it longer than a name may be.
    let fits = reference.normalized().len() <= 255;
    if fits && reference.namespace.as_ref().is_none_or(lower) {
        let normal: ImageReference = reference.normalized().parse().expect("normalized");
        assert_eq!(normal.normalized(), reference.normalized(), "a normal form is its own");
    }
    assert!(!reference.repository_path().is_empty());
    for short in [reference.clone().minimal(), reference.clone().daemon_minimal()] {
        assert_eq!(short.exact().parse(), Ok(short.most_specific()));
    }
}

/// What a registry answered: the path of what was asked in the first line, the head up to an empty line, the body.
///
/// Reading twice gives the same.
pub(crate) fn registry(data: &[u8]) {
    let first = tidegate::world::registry::read_untrusted(data);
    assert_eq!(first, tidegate::world::registry::read_untrusted(data), "reading twice");
}

/// An image in the first line, and a text of containers-registries.conf(5).
///
/// Every place has a host that is one, and the image keeps its tag and its digest by every name.
pub(crate) fn mirrors(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (image, conf) = text.split_once('\n').unwrap_or((text, ""));
    let Ok(image) = image.parse::<ImageReference>() else { return };
    if image.is_registry_only() {
        return;
    }
    let places = tidegate::world::registry::places_untrusted(conf, &image);
    assert_eq!(places, tidegate::world::registry::places_untrusted(conf, &image), "reading twice");
    for [name, host, _] in places.into_iter().flatten() {
        let name: ImageReference = name.parse().expect("a name");
        assert_eq!((&name.tag, name.digest), (&image.tag, image.digest));
        let odd = |c: char| c.is_control() || c.is_whitespace() || matches!(c, '/' | '*' | '@');
        assert!(!host.is_empty() && !host.contains(odd), "{host:?}");
    }
}

/// A schedule, its zone behind `\n`, and a time behind another one.
///
/// Slots increase, none is skipped by asking later, and what is printed is read as the same.
pub(crate) fn schedule(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut lines = text.split('\n');
    let line = lines.next().unwrap_or_default();
    let zone = lines.next().filter(|zone| !zone.is_empty()).unwrap_or("Europe/Berlin");
    let from = lines.next().and_then(|text| text.parse::<i64>().ok()).unwrap_or(1_790_000_000_000);
    if let Ok(span) = line.parse::<Span>() {
        assert_eq!(span.to_string().parse(), Ok(span), "a span reads what it prints");
    }
    if let Ok(at) = line.parse::<Timestamp>() {
        assert_eq!(
            at.to_string().parse::<Timestamp>().ok(),
            Some(at),
            "a time reads what it prints"
        );
    }
    let schedule = match Schedule::parse(line, zone) {
        Ok(schedule) => schedule,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    let text = serde_json::to_string(&schedule).unwrap();
    assert_eq!(serde_json::from_str::<Schedule>(&text).unwrap(), schedule);
    let cron = match &schedule {
        Schedule::Every(span) => return assert!(span.0 >= Duration::from_secs(10)),
        Schedule::Cron(cron) => cron,
    };
    let from = Timestamp::from_millis(from);
    let mut at = from;
    for _ in 0..3 {
        let Some(next) = cron.next_slot(at) else { return };
        assert!(next > at, "{next} is not after {at}");
        assert_eq!(next.as_millis() % 1_000, 0);
        assert!(next.as_millis() < 4_133_980_800_000, "{next} is after the year 2100");
        let middle = at.as_millis() + (next.as_millis() - at.as_millis()) / 2;
        let middle = cron.next_slot(Timestamp::from_millis(middle));
        assert_eq!(middle, Some(next), "asked between {at} and {next}");
        let right_before = Timestamp::from_millis(next.as_millis() - 1_000);
        if right_before >= at {
            assert_eq!(cron.next_slot(right_before), Some(next), "asked a second before {next}");
        }
        at = next;
    }
}

/// A line of the control socket, answered by an engine that has objects.
///
/// What is understood reads what it prints, and is answered once.
pub(crate) fn control(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    drop(serde_json::from_str::<Reply>(text).map(|reply| serde_json::to_string(&reply)));
    let question = match serde_json::from_str::<Question>(text) {
        Ok(question) => question,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    let printed = serde_json::to_string(&question).unwrap();
    assert_eq!(serde_json::from_str::<Question>(&printed).unwrap(), question);
    let request = match question {
        Question::Status => Request::Status,
        Question::Release(object) => Request::Release(object),
        Question::ReleaseRemovals => Request::ReleaseRemovals,
        Question::Rollout(order) => Request::Rollout(order),
        Question::RunJob(order) => Request::RunJob(order),
        Question::StartBuild(order) => Request::StartBuild(order),
        Question::CancelBuild(order) => Request::CancelBuild(order),
        Question::Import(order) => Request::Import(order),
        Question::Overlay(order) => Request::Overlay(order),
        Question::Push(pushed) => Request::Push(pushed),
        Question::Prune { options, confirm } => {
            let contents = ImageContents::default();
            Request::Prune(Box::new(PruneRequest { options, confirm, contents }))
        }
        Question::DeleteImage(image) => Request::DeleteImage(image),
        Question::ReadSource
        | Question::CheckTag(_)
        | Question::Compact
        | Question::Hooks
        | Question::Upload { .. }
        | Question::Webhook(_) => return, // not for the engine's answer
    };
    let mut engine = ENGINE.clone();
    let may_wait = matches!(request, Request::Import(_) | Request::Push(_));
    let ask = Ask { id: 7, by: "uid 0".into(), request };
    let mut answers = 0;
    for effect in engine.step(vec![Input::Asked(ask)], now()) {
        if let Effect::Answer(id, answer) = effect {
            assert_eq!(id, 7);
            answers += 1;
            if let Answer::Refused(text) | Answer::Nothing(text) | Answer::Looking(text) = &answer {
                assert!(!text.is_empty());
            }
            let reply = serde_json::to_string(&Reply::of(answer, now())).unwrap();
            serde_json::from_str::<Reply>(&reply).unwrap();
        }
    }
    assert!(answers == 1 || answers == 0 && may_wait, "{answers} answers");
}

/// A webhook: its kind in the first line, headers up to an empty line, the body.
///
/// Reading twice gives the same; what it names is printed as it is read, bounded, and taken by an engine with one answer;
/// what it does not tell is told on one line. Nobody proves anything without a secret.
pub(crate) fn hook(data: &[u8]) {
    let cut = data.windows(2).position(|window| window == b"\n\n");
    let (head, body) = cut.map_or((data, &[][..]), |at| (&data[..at], &data[at + 2..]));
    let Ok(head) = std::str::from_utf8(head) else { return };
    let mut lines = head.lines();
    let word = lines.next().unwrap_or_default();
    let kind = Kind::ALL.into_iter().find(|kind| kind.as_str() == word).unwrap_or(Kind::Generic);
    let headers: Vec<_> = lines.filter_map(|line| line.split_once(": ")).collect();
    let header = |name: &str| headers.iter().find(|(own, _)| *own == name).map(|(_, value)| *value);
    let notice = Notice { header: &header, token: header("token"), body };
    let registry = header("registry").map(str::to_owned);
    let hook = Hook { kind, registry, header: "authorization".into() };
    assert!(hook::prove(&hook, &notice, &Secrets::default()).is_err());
    drop(hook::prove(&hook, &notice, &Secrets::parse(b"secret\nother")));
    assert!(hook::delivery_id(&notice).is_none_or(|id| id.len() <= 64));
    payload(word, &notice);
    let told = hook::read(&hook, &notice);
    assert_eq!(told, hook::read(&hook, &notice), "reading twice");
    let hints = match told {
        Ok(hints) => hints,
        Err(Silence::Nothing(why) | Silence::Unreadable(why)) => {
            assert!(!why.is_empty() && why.len() < 1_000 && !why.contains(char::is_control));
            return;
        }
    };
    assert!((1..=tidegate::limits::HOOK_HINTS_MAX).contains(&hints.len()));
    let mut engine = ENGINE.clone();
    for hint in hints {
        let text = hint.to_string();
        let Hint::Image(image) = hint else { continue };
        assert_eq!(text.parse(), Ok(image.clone()), "a hint reads what it prints");
        let ask = Ask { id: 7, by: "hook x".into(), request: Request::Hinted(image) };
        let effects = engine.step(vec![Input::Asked(ask)], now());
        let answers = effects.iter().filter(|effect| matches!(effect, Effect::Answer(7, _)));
        assert_eq!(answers.count(), 1);
    }
}

/// A payload of a webhook of a `BuildConfig`, of any type: reading twice gives the same; what it tells of a commit is
/// nothing that git takes for an option, short and on one line; it goes over the control socket as it is.
fn payload(address: &str, notice: &Notice<'_>) {
    drop(hook::build::place(address));
    for word in ["github", "gitlab", "bitbucket", "generic"] {
        let kind = hook::build::kind_of(word).unwrap();
        let read = hook::build::read(kind, notice);
        assert_eq!(read, hook::build::read(kind, notice), "reading twice");
        let payload = match read {
            Ok(payload) => payload,
            Err(Silence::Nothing(why) | Silence::Unreadable(why)) => {
                assert!(!why.is_empty() && why.len() < 1_000 && !why.contains(char::is_control));
                continue;
            }
        };
        let printed = serde_json::to_string(&payload).unwrap();
        assert_eq!(serde_json::from_str::<hook::build::Payload>(&printed).unwrap(), payload);
        for reference in [None, Some(""), Some("main")] {
            assert!(reference == Some("") || !payload.needs_default(reference));
            let wanted =
                hook::build::Wanted { reference, default_branch: Some("main"), allow_env: true };
            let Decision::Build { revision, options, .. } = payload.decide(wanted) else {
                continue;
            };
            let commit = options.commit.unwrap_or_default();
            assert!(!commit.starts_with('-') && commit.len() <= 250, "{commit}");
            let told = revision.unwrap_or_default();
            for text in [told.commit, told.author, told.committer, told.message] {
                assert!(text.chars().count() <= 250 && !text.contains(char::is_control), "{text}");
            }
        }
    }
}

/// An engine that read the manifests newcomers begin with.
static ENGINE: LazyLock<Engine> = LazyLock::new(|| {
    let mut engine = Engine::new(Policy::default(), ObservedState::default(), now());
    let effects = engine.step(vec![Input::Wake], now());
    let asked = effects.iter().find_map(|effect| match effect {
        Effect::Start(id, Action::ReadSource(_)) => Some(*id),
        _ => None,
    });
    let texts = [
        include_str!("../manifests/deployment-config.yaml"),
        include_str!("../manifests/image-stream.yaml"),
    ];
    let named = ["d.yaml", "i.yaml"].iter().zip(texts);
    let read = SourceRead {
        commit: "0123456789abcdef0123456789abcdef01234567".parse().unwrap(),
        base: None,
        branch: "main".into(),
        forced: false,
        changed: named.map(|(path, text)| source(path, text.as_bytes())).collect(),
        removed: Vec::new(),
        skipped: Vec::new(),
    };
    let input = Input::SourceRead(asked.expect("it reads its source"), Ok(Box::new(read)));
    drop(engine.step(vec![input], now()));
    engine
});

/// The configuration file; `%%env` and `%%set` lines give variables and flags, `NAME=VALUE`.
///
/// Loading twice gives the same, and a refusal says what and where.
pub(crate) fn config(data: &[u8]) {
    use tidegate::config::{ConfigError, Environment, Flags, load_with};
    let mut file = Vec::new();
    let mut environment = Environment { work_folder: FOLDER.path().into(), ..Default::default() };
    let mut flags = Flags { config: Some("fuzz.toml".into()), values: Vec::new() };
    for line in data.split_inclusive(|byte| *byte == b'\n') {
        let pair = |line: &[u8]| {
            let text = String::from_utf8_lossy(line).into_owned();
            let (name, value) = text.split_once('=').unwrap_or((&text, ""));
            (name.trim().to_owned(), value.trim().to_owned())
        };
        if let Some(rest) = line.strip_prefix(b"%%env ") {
            let (name, value) = pair(rest);
            if name.starts_with("TIDEGATE_") {
                environment.variables.insert(name, value);
            }
        } else if let Some(rest) = line.strip_prefix(b"%%set ") {
            let (name, value) = pair(rest);
            flags.values.push(("--set".into(), name, value));
        } else {
            file.extend_from_slice(line);
        }
    }
    fs::write(FOLDER.path().join("fuzz.toml"), file).unwrap();
    let load = || match load_with(&flags, &environment) {
        Ok(config) => Ok(config.settings),
        Err(ConfigError::Read { source, .. }) => Err(source.to_string()),
        Err(error) => Err(error.to_string()),
    };
    let loaded = load();
    assert_eq!(loaded, load(), "loading twice gives the same");
    if let Err(message) = loaded {
        assert!(!message.is_empty());
    }
}
