//! Builds whose daemon is killed, wherever they are: each is built once, pushed as one image, and rolled out once.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};

use tidegate::fact::{Fact, Via};

use crate::support::daemon::{eventually, processes};
use crate::support::git::program;
use crate::support::podman::{Podman, alone};
use crate::support::shop::served;
use crate::support::yard::{DOCKERFILE, PORT, Yard, application};

/// Whoever comes to it waits there; where it is closed, nobody does.
struct Gate(TcpListener);

impl Gate {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        Self(listener)
    }

    fn port(&self) -> u16 {
        self.0.local_addr().unwrap().port()
    }

    /// Somebody waits there, until what this gives goes.
    fn reached(&self) -> TcpStream {
        eventually("somebody at the gate", || self.0.accept().ok()).0
    }

    /// What goes there and waits.
    fn command(&self) -> String {
        format!("busybox nc 127.0.0.1 {} </dev/null >/dev/null 2>&1 || true", self.port())
    }

    /// Puts a program before the true one: after a call that has these words it goes to the gate.
    fn stands_behind(&self, name: &str, words: &str, folder: &Path) {
        let real = crate::support::need(name).unwrap();
        let (real, command) = (real.display(), self.command());
        std::fs::create_dir_all(folder).unwrap();
        let text = format!(
            "#!/bin/sh\ncase \"$*\" in *'{words}'*) '{real}' \"$@\" || exit; {command}; exit 0;; esac\nexec '{real}' \"$@\"\n"
        );
        program(&folder.join(name), &text);
    }
}

/// The daemon is killed at what this waits for, and started again.
fn is_killed(yard: &mut Yard, at: impl FnOnce()) {
    yard.host.start();
    at();
    yard.host.kill();
    yard.host.start();
}

/// The same where somebody comes to a gate; whoever waits there waits until what this gives goes.
fn is_killed_at(yard: &mut Yard, gate: Gate) -> TcpStream {
    let mut waits = None;
    is_killed(yard, || {
        waits = Some(gate.reached());
        drop(gate);
    });
    waits.unwrap()
}

/// One build, one tag event, one rollout.
fn happened_once(yard: &Yard, leftover: &str) {
    let image = yard.completes("web-1");
    yard.rolls_out(1);
    assert_eq!(served(PORT).as_deref(), Some("base 1first"));
    let pushed = |fact: &Fact| matches!(fact, Fact::TagImported(import) if matches!(import.via, Via::Build { .. }) && import.event.image == Some(image));
    let is = |wanted: &'static str| move |fact: &Fact| fact.kind() == wanted;
    let counts = [
        yard.host.count(is("BuildCreated")),
        yard.host.count(is("BuildStarted")),
        yard.host.count(pushed),
        yard.host.count(is("BuildFinished")),
        yard.host.count(is("RolloutStarted")),
    ];
    assert_eq!(counts, [1; 5], "{}", yard.host.story());
    assert_eq!(processes(leftover), 0, "what ran before the kill still runs");
    assert_eq!(yard.podman.buildah_run(&["containers", "--quiet"]), "");
}

fn log(yard: &Yard) -> String {
    std::fs::read_to_string(yard.host.state().join("builds/logs/shop/web-1.log")).unwrap()
}

#[test]
fn b034_a_daemon_that_is_killed_while_the_sources_are_cloned_clones_them_again() {
    let Some(mut yard) = Yard::open(application) else { return };
    let gate = Gate::new();
    let folder = yard.podman.beside("first");
    gate.stands_behind(
        "git",
        &format!(" clone --quiet --depth=1 -- {}", yard.source.address()),
        &folder,
    );
    yard.host.looks_first_in(folder);
    let port = gate.port().to_string();
    let waits = is_killed_at(&mut yard, gate);
    happened_once(&yard, &port);
    drop(waits);
}

#[test]
fn b034_a_daemon_that_is_killed_while_a_step_runs_runs_it_again() {
    let Some(mut yard) = Yard::open(application) else { return };
    let gate = Gate::new();
    yard.source
        .write("Dockerfile", format!("{DOCKERFILE}RUN {}\n", gate.command()))
        .commit("a step");
    let port = gate.port().to_string();
    let waits = is_killed_at(&mut yard, gate);
    happened_once(&yard, &format!("127.0.0.1 {port} "));
    drop(waits);
}

/// A registry whose clients wait where they send these words for the first time.
fn held_at(upstream: String, words: &'static [u8]) -> (String, mpsc::Receiver<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (reached, receiver) = mpsc::channel();
    let is_open = Arc::new(AtomicBool::new(false));
    std::thread::spawn(move || {
        for mut client in listener.incoming().map_while(Result::ok) {
            let Ok(mut registry) = TcpStream::connect(&upstream) else { return };
            let (mut back, mut to) = (registry.try_clone().unwrap(), client.try_clone().unwrap());
            std::thread::spawn(move || std::io::copy(&mut back, &mut to));
            let (reached, is_open) = (reached.clone(), Arc::clone(&is_open));
            std::thread::spawn(move || {
                let mut buffer = vec![0; 64 * 1024];
                while let Ok(len @ 1..) = client.read(&mut buffer) {
                    let is_held = buffer[..len].windows(words.len()).any(|part| part == words);
                    if is_held && !is_open.swap(true, Ordering::SeqCst) {
                        reached.send(()).ok();
                        // Until the client goes.
                        std::io::copy(&mut client, &mut std::io::sink()).ok();
                        break;
                    }
                    if registry.write_all(&buffer[..len]).is_err() {
                        break;
                    }
                }
                registry.shutdown(std::net::Shutdown::Both).ok();
            });
        }
    });
    (address, receiver)
}

#[test]
fn b034_a_daemon_that_is_killed_while_it_pushes_pushes_what_is_built() {
    if !alone() {
        return;
    }
    let Some(podman) = Podman::start() else { return };
    let (door, reached) = held_at(podman.registry.address(), b"PUT /v2/shop/web/manifests/");
    let insecure = format!("[[registry]]\nlocation = \"{door}\"\ninsecure = true\n");
    let file = podman.beside("registries.conf");
    let known = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, known + &insecure).unwrap();
    let more = format!("[registries.\"{door}\"]\ninsecure = true\n");
    let mut yard = Yard::on(podman, &more, |registry, source| {
        let push = |to: &str| format!("tidegate.dev/push: '{to}/");
        application(registry, source).replace(&push(registry), &push(&door))
    });
    is_killed(&mut yard, || eventually("the push", || reached.try_recv().ok()));
    happened_once(&yard, &format!("docker://{door}"));
    let log = log(&yard);
    assert_eq!(log.matches("STEP 1/").count(), 1, "it was built again: {log}");
}

#[test]
fn b034_a_daemon_that_is_killed_between_the_push_and_the_tag_event_records_what_was_pushed() {
    let Some(mut yard) = Yard::open(application) else { return };
    let gate = Gate::new();
    let folder = yard.podman.beside("first");
    let to = format!("docker://{}/shop/web:latest", yard.podman.registry.address());
    gate.stands_behind("buildah", &to, &folder);
    yard.host.looks_first_in(folder);
    let port = gate.port().to_string();
    let waits = is_killed_at(&mut yard, gate);
    happened_once(&yard, &port);
    drop(waits);
    let log = log(&yard);
    assert_eq!(log.matches("STEP 1/").count(), 1, "it was built again: {log}");
}
