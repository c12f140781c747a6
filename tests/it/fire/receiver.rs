//! Two receivers that remember idempotency keys: a program, and a web server that outlives the daemon.
//!
//! Memory and effect are one line of a book, so that a receiver which is ended in the middle has done all of it or
//! nothing. A key that stands in the book has no second effect.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;

use crate::support::git::program;

/// What a receiver was told once.
#[derive(Clone, Debug)]
pub(super) struct Delivery {
    pub(super) key: String,
    /// Whether the receiver did something: it had not seen the key before.
    pub(super) effect: bool,
    /// All of what it was told.
    pub(super) content: String,
    pub(super) app: String,
    pub(super) digest: String,
    pub(super) greeting: String,
}

impl Delivery {
    fn parse(key: &str, effect: bool, content: &str) -> Self {
        let event: Value = serde_json::from_str(content).unwrap();
        assert_eq!(event["id"], key, "the event carries its key");
        let text = |pointer: &str| {
            let value = event.pointer(pointer).and_then(Value::as_str);
            value.unwrap_or_else(|| panic!("`{pointer}` is missing in {content}")).to_owned()
        };
        Self {
            key: key.to_owned(),
            effect,
            content: content.to_owned(),
            app: text("/data/object/name"),
            digest: text("/data/images/0/digest"),
            greeting: text("/data/manifest/spec/template/spec/containers/0/env/0/value"),
        }
    }
}

/// What the web server was told that a rollout came to; asks for nothing.
#[derive(Clone, Debug)]
pub(super) struct Notice {
    pub(super) rollout: String,
    /// `finished`, `cancelled` or `held`.
    pub(super) kind: String,
    pub(super) message: String,
}

/// Both receivers.
pub(super) struct Receivers {
    folder: tempfile::TempDir,
    web: Arc<Web>,
    url: String,
}

#[derive(Default)]
struct Web {
    book: Mutex<Vec<Delivery>>,
    notices: Mutex<Vec<Notice>>,
    /// Whether some answers get lost on the way back.
    loses: AtomicBool,
}

impl Receivers {
    pub(super) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().display();
        let text = format!(
            "#!/bin/sh
exec 9>{at}/lock
event=$(cat)
flock 9
effect=again
grep -q \"^$ROLLOUT_KEY \" {at}/book || effect=new
printf '%s %s %s\\n' \"$ROLLOUT_KEY\" $effect \"$event\" >> {at}/book
"
        );
        program(&folder.path().join("receiver.sh"), &text);
        std::fs::write(folder.path().join("book"), "").unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let web = Arc::new(Web { loses: AtomicBool::new(true), ..Web::default() });
        let shared = Arc::clone(&web);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let web = Arc::clone(&shared);
                // A daemon that is killed in the middle of a request is no error of the receiver.
                std::thread::spawn(move || serve(stream, &web).ok());
            }
        });
        Self { folder, web, url }
    }

    /// The settings that name them.
    pub(super) fn settings(&self) -> String {
        format!(
            "[targets.program]\nkind = \"exec\"\ncommand = [\"{}/receiver.sh\"]\n\
             [targets.web]\nkind = \"webhook\"\nurl = \"{}\"\ntimeout = \"20s\"\n\
             [routes]\ndefault = \"program\"\n",
            self.folder.path().display(),
            self.url
        )
    }

    /// No answer gets lost any more.
    pub(super) fn repair(&self) {
        self.web.loses.store(false, Ordering::SeqCst);
    }

    /// How much was delivered.
    pub(super) fn count(&self) -> usize {
        self.book().lines().count() + self.web.book.lock().unwrap().len()
    }

    fn book(&self) -> String {
        std::fs::read_to_string(self.path().join("book")).unwrap()
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// What was told of ends.
    pub(super) fn notices(&self) -> Vec<Notice> {
        self.web.notices.lock().unwrap().clone()
    }

    /// Everything that was delivered; in order for each receiver.
    pub(super) fn deliveries(&self) -> Vec<Delivery> {
        let text = self.book();
        let lines = text.lines().map(|line| {
            let mut words = line.splitn(3, ' ');
            let (key, effect) = (words.next().unwrap(), words.next().unwrap());
            Delivery::parse(key, effect == "new", words.next().unwrap())
        });
        let mut all: Vec<_> = lines.collect();
        all.extend(self.web.book.lock().unwrap().iter().cloned());
        all
    }
}

const DONE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

fn serve(mut stream: TcpStream, web: &Web) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
    let field = |name: &str| {
        let line = head.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_default().trim().to_owned()
    };
    // What did not arrive whole was not delivered.
    let mut body = vec![0; field("content-length:").parse().unwrap_or_default()];
    stream.read_exact(&mut body)?;
    let (key, content) = (field("idempotency-key:"), String::from_utf8(body).unwrap());
    let event: Value = serde_json::from_str(&content).unwrap();
    if event["data"]["kind"] == "RolloutNotice" {
        let (rollout, kind) = key.rsplit_once('/').unwrap();
        assert_eq!(event["data"]["rollout"], rollout);
        let (rollout, kind) = (rollout.to_owned(), kind.to_owned());
        let message = event["data"]["message"].as_str().unwrap().to_owned();
        web.notices.lock().unwrap().push(Notice { rollout, kind, message });
        return stream.write_all(DONE);
    }
    let new = {
        let mut book = web.book.lock().unwrap();
        let new = book.iter().all(|known| known.key != key);
        book.push(Delivery::parse(&key, new, &content));
        new
    };
    if new && web.loses.load(Ordering::SeqCst) && key.ends_with(['3', '6', '9']) {
        return Ok(()); // done, and the answer gets lost
    }
    stream.write_all(DONE)
}
