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

/// What is sent to a `BuildConfig` in the address of OpenShift; its triggers are a generic one and one of GitHub.
#[rustfmt::skip]
pub(super) fn build_rows() -> Vec<Row<Vec<u8>>> {
    let row = |name, bytes: &[u8], says: &[&'static str]| Row::new(name, bytes.to_vec(), says);
    let build = |rest: &str| format!("/apis/build.openshift.io/v1/namespaces/shop/buildconfigs/{rest}");
    let github = |body: &[u8]| {
        let headers = [("Content-Type", "application/json"), ("X-GitHub-Event", "push")];
        request("POST", &build("web/webhooks/hunter2/github"), &headers, body)
    };
    let generic = |kind: &str, body: &[u8]| {
        request("POST", &build("web/webhooks/hunter2/generic"), &[("Content-Type", kind)], body)
    };
    const NOBODY: &[&str] = &["HTTP/1.1 401 Unauthorized\n"];
    const BUILT: &[&str] = &["HTTP/1.1 200 OK\n", "\"kind\":\"Build\""];
    const NOBODYS: &[&str] = &["HTTP/1.1 404 Not Found\n", "content-length: 0\n"];
    const WRONG: &[&str] = &["HTTP/1.1 400 Bad Request\n"];
    vec![
        row("a build of a folder above", &request("POST", &build("..%2fweb/webhooks/hunter2/generic"), &[], b""), NOBODY),
        row("a build of folders above", &request("POST", &build("../../web/webhooks/hunter2/generic"), &[], b""), NOBODYS),
        row("a build with a NUL", &request("POST", &build("web%00/webhooks/hunter2/generic"), &[], b""), NOBODY),
        row("a build that is not UTF-8", &request("POST", &build("%ff%fe/webhooks/%ff/generic"), &[], b""), NOBODY),
        row("a build in Unicode", &request("POST", &build("w%c3%a9b/webhooks/%c3%a9/generic"), &[], b""), NOBODY),
        row("a build of an endless name", &request("POST", &build(&format!("{}/webhooks/x/generic", "a".repeat(20_000))), &[], b""), NOBODY),
        row("an endless secret", &request("POST", &build(&format!("web/webhooks/{}/generic", "a".repeat(20_000))), &[], b""), NOBODY),
        row("an address of slashes", &request("POST", &build(&format!("web/webhooks/{}", "/".repeat(20_000))), &[], b""), WRONG),
        row("a type with a terminal's escape", &request("POST", &build("web/webhooks/x/%1b%5b2J"), &[], b""), &["HTTP/1.1 404 "]),
        row("a push of no JSON", &github(b"hello"), WRONG),
        row("a push of deep JSON", &github("[".repeat(100_000).as_bytes()), WRONG),
        row("a push of deep JSON where anything is taken", &github(format!("{{\"x\":{}", "[".repeat(100_000)).as_bytes()), WRONG),
        row("a push of an option", &github(b"{\"ref\": \"refs/heads/main\", \"after\": \"--upload-pack=x\"}"), WRONG),
        row("a push of a branch with a terminal's escape", &github(b"{\"ref\": \"refs/heads/\\u001b[2J\", \"after\": \"0123456789012345678901234567890123456789\"}"), &["HTTP/1.1 200 OK\n", "content-length: 0\n"]),
        row("a script's deep JSON", &generic("application/json", "[".repeat(100_000).as_bytes()), BUILT),
        row("a script's deep YAML", &generic("application/yaml", "[".repeat(100_000).as_bytes()), BUILT),
        row("a script's laughter", &generic("application/yaml", LAUGHTER.as_bytes()), BUILT),
        row("a script that is not UTF-8", &generic("application/yaml", b"a: \xff"), BUILT),
        row("a script's option", &generic("application/json", b"{\"git\": {\"ref\": \"main\", \"commit\": \"-x\"}}"), WRONG),
        row("a script's million variables", &generic("application/json", format!("{{\"env\": [{}{{\"name\": \"A\"}}]}}", "{\"name\":\"A\"},".repeat(70_000)).as_bytes()), BUILT),
    ]
}

/// A document that has a billion words once its aliases are followed.
const LAUGHTER: &str = "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\n\
    d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e]\n\
    g: &g [*f,*f,*f,*f,*f,*f,*f,*f,*f]\nenv: *g\ngit: *g\n";

#[test]
fn hostile_notices_are_refused_and_a_good_one_is_taken_after_them() {
    let repo = Repo::new();
    repo.write("x.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n");
    repo.write(
        "web.yaml",
        "apiVersion: build.openshift.io/v1\nkind: BuildConfig\nmetadata: {name: web, namespace: shop}\nspec:\n  \
         source: {git: {uri: 'https://git.example.com/web.git', ref: main}}\n  strategy: {dockerStrategy: {}}\n  \
         output: {to: {kind: ImageStreamTag, name: 'nowhere:latest'}}\n  triggers:\n  \
         - {type: Generic, generic: {secret: hunter2}}\n  - {type: GitHub, github: {secret: hunter2}}\n",
    );
    repo.commit("start");
    let address = free_address();
    let mut host = Host::new(
        repo.path(),
        &format!(
            "[builds]\nenabled = true\n[listener]\naddress = \"{address}\"\n[listener.hooks.open]\nkind = \"generic\"\nsecret = \"none\"\n\
             [listener.hooks.forge]\nkind = \"bitbucket\"\nsecret = \"none\"\n\
             [listener.hooks.closed]\nkind = \"github\"\nsecret_file = \"secret\"\n"
        ),
    );
    std::fs::write(host.path("secret"), "hunter2").unwrap();
    host.start();
    let mut wrong = Vec::new();
    for row in rows().into_iter().chain(build_rows()) {
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
