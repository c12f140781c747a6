//! Hostile bytes at the listener of one real daemon, which takes a good notice after all of them.

use std::io::Write as _;

use super::{Row, faults};
use crate::support::daemon::{Host, eventually};
use crate::support::git::Repo;
use crate::support::hook::{connect, free_address, post, request, send};

/// What is sent; how the answer begins, where one can be given. The hook `open` has no secret, `closed` has one.
#[rustfmt::skip]
pub(super) fn rows() -> Vec<Row<Vec<u8>>> {
    let row = |name, bytes: &[u8], says: &[&'static str]| Row::new(name, bytes.to_vec(), says);
    let open = |body: &[u8]| request("POST", "/hooks/open", &[], body);
    let event = |key: &str, body: &[u8]| request("POST", "/hooks/forge", &[("X-Event-Key", key)], body);
    const NOBODYS: &[&str] = &["HTTP/1.1 404 Not Found\n", "content-length: 0\n"];
    const WRONG: &[&str] = &["HTTP/1.1 400 Bad Request\n"];
    let signed = |value: &str| request("POST", "/hooks/closed", &[("X-Hub-Signature-256", value), ("X-GitHub-Event", "push")], b"{}");
    vec![
        row("nothing of HTTP", b"hello\r\n\r\n", WRONG),
        row("NUL bytes", b"\0\0\0\0\r\n\r\n", WRONG),
        row("a greeting of TLS", b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03", &[]),
        row("another version of HTTP", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &[]),
        row("another version of HTTP in full", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0", &[]),
        row("two lengths", b"POST /hooks/open HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}", WRONG),
        row("a length and pieces", b"POST /hooks/open HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", &[]),
        row("a negative length", b"POST /hooks/open HTTP/1.1\r\nContent-Length: -1\r\n\r\n", WRONG),
        row("pieces that are none", b"POST /hooks/open HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", NOBODYS),
        row("two hundred headers", &request("POST", "/hooks/open", &[("a", "b"); 200], b""), &["HTTP/1.1 431 "]),
        row("an endless header", &request("POST", "/hooks/open", &[("a", &"x".repeat(1 << 20))], b""), &[]),
        row("the root", &request("POST", "/", &[], b""), NOBODYS),
        row("an asterisk", &request("OPTIONS", "*", &[], b""), NOBODYS),
        row("no name", &request("POST", "/hooks/", &[], b""), NOBODYS),
        row("a name with more behind it", &request("POST", "/hooks/closed/x/y", &[], b""), NOBODYS),
        row("a way out of the folder", &request("POST", "/hooks/../../etc/passwd", &[], b""), NOBODYS),
        row("a name in percents", &request("POST", "/hooks/%6fpen", &[], b""), NOBODYS),
        row("another method", &request("BREW", "/hooks/open", &[], b""), NOBODYS),
        row("no signature", &request("POST", "/hooks/closed", &[("X-GitHub-Event", "push")], b"{}"), NOBODYS),
        row("an empty signature", &signed(""), NOBODYS),
        row("a signature that is no number", &signed("sha256=zz"), NOBODYS),
        row("a signature that is not ASCII", &signed("sha256=\u{e9}"), NOBODYS),
        row("a signature of another kind", &signed("sha1=da39a3ee5e6b4b0d3255bfef95601890afd80709"), NOBODYS),
        row("an endless signature", &signed(&"0".repeat(10_000)), NOBODYS),
        row("the signature of nothing by no key", &signed("sha256=b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad"), NOBODYS),
        row("no JSON", &open(b"hello"), WRONG),
        row("not UTF-8", &open(b"{\"image\": \"\xff\"}"), WRONG),
        row("a number", &open(b"7"), WRONG),
        row("deep JSON", &open("[".repeat(100_000).as_bytes()), WRONG),
        row("deep JSON where anything is taken", &event("x:y", format!("{{\"a\":{}", "[".repeat(100_000)).as_bytes()), &["HTTP/1.1 204 "]),
        row("a key twice", &open(b"{\"image\": \"a\", \"image\": \"b\"}"), WRONG),
        row("an image with a terminal's escape", &open(b"{\"image\": \"a/\\u001b[31m\"}"), WRONG),
        row("an image that is only a registry", &open(b"{\"image\": \"quay.io\"}"), WRONG),
        row("an endless image", &open(format!("{{\"image\": \"{}\"}}", "a".repeat(100_000)).as_bytes()), WRONG),
        row("half a million images", &open(format!("{{\"images\": [{}\"b\"]}}", "\"\",".repeat(300_000)).as_bytes()), WRONG),
        row("a branch with a terminal's escape", &open(b"{\"branch\": \"\\u001b[2J\"}"), &["HTTP/1.1 204 "]),
        row("an endless branch", &open(format!("{{\"branch\": \"{}\"}}", "x".repeat(1_000_000)).as_bytes()), &["HTTP/1.1 204 "]),
        row("a change of nothing", &event("repo:push", b"{\"push\": {\"changes\": null}}"), &["HTTP/1.1 204 "]),
        row("changes that are none", &event("repo:push", b"{\"push\": {\"changes\": {}}}"), WRONG),
        row("a body of two megabytes", &open(&vec![b'x'; 2 << 20]), &[]),
    ]
}

#[test]
fn hostile_notices_are_refused_and_a_good_one_is_taken_after_them() {
    let repo = Repo::new();
    repo.write("x.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n");
    repo.commit("start");
    let address = free_address();
    let mut host = Host::new(
        repo.path(),
        &format!(
            "[listener]\naddress = \"{address}\"\n[listener.hooks.open]\nkind = \"generic\"\nsecret = \"none\"\n\
             [listener.hooks.forge]\nkind = \"bitbucket\"\nsecret = \"none\"\n\
             [listener.hooks.closed]\nkind = \"github\"\nsecret_file = \"secret\"\n"
        ),
    );
    std::fs::write(host.path("secret"), "hunter2").unwrap();
    host.start();
    let mut wrong = Vec::new();
    for row in rows() {
        let mut stream = connect(&address);
        drop(stream.write_all(&row.input));
        drop(stream.shutdown(std::net::Shutdown::Write));
        drop(stream);
        wrong.extend(row.check(&send(&address, &row.input)));
    }
    assert!(wrong.is_empty(), "{}", faults(&wrong));
    // More than there are places, without a word: each is let go, and then there is a place.
    let silent: Vec<_> = (0..40).map(|_| connect(&address)).collect();
    assert_eq!(post(&address, "/hooks/open", &[], "{\"branch\": \"other\"}"), 204);
    drop(silent);
    let text = host.text(&["hooks"]);
    assert!(!text.contains("hunter2") && !text.contains("passwd"), "{text}");
    let clean = |c: char| c == '\n' || !c.is_control();
    assert!(text.chars().all(clean), "{text:?}");
    eventually("the end of what was accepted", || {
        (!host.text(&["hooks"]).contains("being carried out")).then_some(())
    });
    assert!(host.stop().success(), "{}", host.story());
}
