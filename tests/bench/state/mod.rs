//! A state directory as a long-lived daemon leaves it, made through the engine and the journal themselves.

use std::io::Write as _;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tidegate::action::{Action, Input, Resolution, ResolvedImage, RolloutReport};
use tidegate::engine::{Effect, Engine};
use tidegate::journal::Journal;
use tidegate::names::{ContentHash, Digest};
use tidegate::observed::ObservedState;
use tidegate::policy::Policy;
use tidegate::time::{Monotonic, Now, Timestamp};
use tidegate::world::git::{Source, SourceConfig};

/// Runs the engine over the repository with registries and targets that answer at once; returns how many records.
pub(crate) fn fill(repo: &Path, state: &Path, images: usize) -> u64 {
    let (mut journal, _) = Journal::open(state).expect("a journal");
    let store = journal.objects();
    let config = SourceConfig::new(repo.display().to_string());
    let source = Source::open(config, state).expect("a source");
    let metadata: Vec<Arc<[u8]>> = (0..images).map(metadata).collect();
    for chunk in metadata.chunks(1_000) {
        store.put_many(chunk).expect("objects");
    }
    let hashes: Vec<ContentHash> = metadata.iter().map(|bytes| ContentHash::of(bytes)).collect();
    drop(metadata);
    let policy = Policy {
        scheduled_imports: false,
        checks_in_flight_max: usize::MAX,
        rollouts_in_flight_max: usize::MAX,
        ..Policy::default()
    };
    let mut now = Now { wall: Timestamp::from_millis(1_795_000_000_000), mono: Monotonic::START };
    let mut engine = Engine::new(policy, ObservedState::default(), now);
    let (mut inputs, mut count, mut next) = (vec![Input::Wake], 0_u64, 0_usize);
    while !inputs.is_empty() {
        now = Now {
            wall: now.wall.after(Duration::from_millis(10)),
            mono: now.mono.after(Duration::from_millis(10)),
        };
        let effects = engine.step(std::mem::take(&mut inputs), now);
        for effect in effects {
            match effect {
                Effect::Store(values) => drop(store.put_many(&values).expect("objects")),
                Effect::Append(records) => {
                    count += records.len() as u64;
                    journal.append(&records).expect("append");
                }
                Effect::Start(id, Action::ReadSource(request)) => {
                    let read = source.read(&request, &Default::default()).expect("a read");
                    inputs.push(Input::SourceRead(id, Ok(Box::new(read))));
                }
                Effect::Start(id, Action::Resolve(_)) => {
                    let image = next % images;
                    next += 1;
                    let digest = Digest::of(&image.to_le_bytes());
                    let image = Some(ResolvedImage { digest, metadata: hashes[image] });
                    inputs.push(Input::Resolved(id, Ok(Resolution { probed: digest, image })));
                }
                Effect::Start(id, Action::RollOut(_)) => inputs.push(Input::RolloutReported(
                    id,
                    RolloutReport::Complete { log: String::new() },
                )),
                Effect::Start(_, Action::KeepCommit { seq, commit }) => {
                    source.keep(seq, &commit).expect("a kept commit");
                }
                Effect::Start(..)
                | Effect::Cancel(_)
                | Effect::Answer(..)
                | Effect::WakeAt(_)
                | Effect::Exit => {}
            }
        }
    }
    journal.write_snapshot(engine.observed().last_seq, engine.observed()).expect("a snapshot");
    count
}

/// Metadata as a registry's config of a real image gives it: about 6 kB.
fn metadata(image: usize) -> Arc<[u8]> {
    let mut bytes = Vec::new();
    write!(bytes, "{{\"image\":{image},\"layers\":[").expect("memory");
    for layer in 0..40 {
        let digest = Digest::of(format!("{image} {layer}").as_bytes());
        write!(bytes, "{{\"digest\":\"{digest}\",\"size\":{layer},\"mediaType\":\"application/vnd.oci.image.layer.v1.tar+gzip\"}},")
            .expect("memory");
    }
    bytes.extend_from_slice(b"null]}");
    Arc::from(bytes)
}

/// Starts the program and returns how long it took to say that it is ready, and its resident kilobytes then.
pub(crate) fn start(dir: &Path, config: &Path) -> (Duration, u64) {
    let address = dir.join("notify.sock");
    drop(std::fs::remove_file(&address));
    let socket = UnixDatagram::bind(&address).expect("a socket");
    let began = Instant::now();
    let mut child = Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .args(["run", "--config"])
        .arg(config)
        .env("NOTIFY_SOCKET", &address)
        .stderr(Stdio::null())
        .spawn()
        .expect("the daemon");
    let mut buffer = [0; 4096];
    let ready = loop {
        let len = socket.recv(&mut buffer).expect("a message");
        if String::from_utf8_lossy(&buffer[..len]).contains("READY=1") {
            break began.elapsed();
        }
    };
    let resident = resident_kb(&child);
    // The first start keeps what it read for the next one, beside its work; any real daemon runs longer than that takes.
    let cache = dir.join("state/cache/tree");
    while !cache.exists() {
        std::thread::park_timeout(Duration::from_millis(20));
    }
    Command::new("kill").arg(child.id().to_string()).status().expect("kill");
    child.wait().expect("an end");
    (ready, resident)
}

fn resident_kb(child: &Child) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).expect("status");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("VmRSS");
    line.split_whitespace().nth(1).and_then(|kb| kb.parse().ok()).expect("a number")
}

/// Makes an empty repository.
pub(crate) fn init(repo: &Path) {
    git(Path::new("/"), &["init", "-q", "-b", "main", &repo.display().to_string()]);
}

/// Commits everything.
pub(crate) fn commit(repo: &Path) {
    git(repo, &["add", "-A"]);
    git(repo, &["-c", "user.name=b", "-c", "user.email=b@example.com", "commit", "-qm", "all"]);
}

fn git(dir: &Path, args: &[&str]) {
    let status = Command::new("git").current_dir(dir).args(args).status().expect("git");
    assert!(status.success(), "git {args:?}");
}

/// Writes streams `s0`, `s1`… with tags `1.0`, `1.1`…
pub(crate) fn write_streams(repo: &Path, streams: usize, tags: usize) {
    std::fs::create_dir_all(repo.join("streams")).expect("a folder");
    for s in 0..streams {
        let mut text = format!(
            "apiVersion: image.openshift.io/v1\nkind: ImageStream\nmetadata:\n  name: s{s}\n  namespace: shop\nspec:\n  tags:\n"
        );
        for t in 0..tags {
            text.push_str(&format!(
                "  - name: \"1.{t}\"\n    from: {{kind: DockerImage, name: \"registry.example.com/team/s{s}:1.{t}\"}}\n    importPolicy: {{scheduled: true}}\n"
            ));
        }
        std::fs::write(repo.join(format!("streams/s{s}.yaml")), text).expect("a manifest");
    }
}

/// Writes the configuration of a daemon that imports nothing by itself.
pub(crate) fn write_config(dir: &Path, repo: &Path, state: &Path) -> std::path::PathBuf {
    let config = dir.join("tidegate.toml");
    let text = format!(
        "state_dir = {state:?}\n[source]\nrepository = {repo:?}\nbranch = \"main\"\n[control]\nsocket = {:?}\n\
         [imports]\nscheduled = false\n",
        dir.join("control.sock"),
    );
    std::fs::write(&config, text).expect("a configuration");
    config
}
