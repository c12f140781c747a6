//! Hostile registries: each row is a server of its own on loopback, each one a tag of a real daemon. Every tag gets its
//! condition, and the tag beside them is imported.

use tidegate::fact::Fact;
use tidegate::names::Digest;

use super::{Row, faults};
use crate::support::daemon::Host;
use crate::support::git::Repo;
use crate::support::hostile::Reply::{Bytes, Endless, Silence};
use crate::support::hostile::{
    Asked, CHUNKED, Hostile, IMAGE, INDEX, Reply, answer, chunk, image, image_with, index_of,
    manifest, token,
};

pub(super) type Server = fn(&Asked) -> Reply;

/// What is no HTTP, or no end of it.
#[rustfmt::skip]
fn transport() -> Vec<Row<Server>> {
    let row = |name, server: Server, says| Row::new(name, server, says);
    vec![
        row("closes at once", |_| Bytes(Vec::new()), &["the connection to", "broke"]),
        row("speaks another protocol", |_| Bytes(b"SSH-2.0-OpenSSH_9.2\r\n".to_vec()), &["broke"]),
        row("a status that is no number", |_| Bytes(b"HTTP/1.1 abc\r\n\r\n".to_vec()), &["broke"]),
        row("NULs in the head", |_| Bytes(b"HTTP/1.1 200 OK\r\na\0b: c\r\n\r\n".to_vec()), &["broke"]),
        row("a body cut short", |_| Bytes(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{".to_vec()), &["broke"]),
        row("a length that is no number", |_| Bytes(b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n{}".to_vec()), &["broke"]),
        row("two lengths", |_| { Bytes( b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n{}".to_vec(), ) }, &["broke"]),
        row("a chunk of a bad size", |_| Bytes(format!("{CHUNKED}zz\r\n").into_bytes()), &["broke"]),
        row("an endless body", |_| Endless(CHUNKED.into(), chunk()), &["answered with more than 4 MiB"]),
        row("an endless head", |_| Endless(b"HTTP/1.1 200 OK\r\na: ".to_vec(), vec![b'x'; 4096]), &["broke"]),
        row("ten thousand headers", |_| answer("200 OK", &"a: b\r\n".repeat(10_000), ""), &["broke"]),
        row("endless interim answers", |_| Endless(Vec::new(), b"HTTP/1.1 100 Continue\r\n\r\n".to_vec()), &["did not answer within 4 s"]),
        row("a head that never ends", |_| Silence(b"HTTP/1.1 200 O".to_vec()), &["did not answer within 4 s"]),
        row("a body that never ends", |_| Silence(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{".to_vec()), &["did not answer within 4 s"]),
        row("no word at all", |_| Silence(Vec::new()), &["did not answer within 4 s"]),
        row("redirects in a circle", |asked| answer("307 Temporary Redirect", &format!("location: {}\r\n", asked.path), ""), &["redirects badly", "too many redirects"]),
        row("redirects to nowhere", |_| answer("307 Temporary Redirect", "location: http://127.0.0.1:1/\r\n", ""), &["cannot connect"]),
        row("redirects to a file", |_| answer("307 Temporary Redirect", "location: file:///etc/passwd\r\n", ""), &["307"]),
    ]
}

/// What refuses.
#[rustfmt::skip]
fn refusals() -> Vec<Row<Server>> {
    let row = |name, server: Server, says| Row::new(name, server, says);
    vec![
        row("a 401 without a challenge", |_| answer("401 Unauthorized", "", ""), &["you may not have access"]),
        row("a challenge that is none", |_| answer("401 Unauthorized", "www-authenticate: \"=,,=\\\r\n", ""), &["you may not have access"]),
        row("a challenge without a realm", |_| answer("401 Unauthorized", "www-authenticate: Bearer\r\n", ""), &["you may not have access"]),
        row("a realm that is no address", |_| answer("401 Unauthorized", "www-authenticate: Bearer realm=\"::::\"\r\n", ""), &["127.0.0.1"]),
        row("a realm that is a file", |_| { answer( "401 Unauthorized", "www-authenticate: Bearer realm=\"file:///etc/passwd\"\r\n", "", ) }, &["127.0.0.1"]),
        row("a token server that is not there", |_| { answer( "401 Unauthorized", "www-authenticate: Bearer realm=\"http://127.0.0.1:1/t\"\r\n", "", ) }, &["cannot connect"]),
        row("a token that is a page", |asked| token(asked, answer("200 OK", "", "<html>")), &["no token from the token server", "without a token"]),
        row("a token with line breaks", |asked| token(asked, answer("200 OK", "", r#"{"token":"a\r\nb: c"}"#)), &["no token from the token server", "cannot be sent"]),
        row("a token that is a number", |asked| token(asked, answer("200 OK", "", r#"{"token":7}"#)), &["without a token"]),
        row("a token that is endless", |asked| token(asked, Endless(CHUNKED.into(), chunk())), &["answered with more than 4 MiB"]),
        row("a token that never opens anything", |asked| token(asked, answer("200 OK", "", r#"{"token":"x"}"#)), &["you may not have access"]),
        row("a refusal with a terminal's escapes", |_| { answer( "403 Forbidden", "", "{\"errors\":[{\"code\":\"DENIED\",\"message\":\"\\u001b[31mno\\nway\"}]}", ) }, &["[31mno way"]),
        row("a limit for ever", |_| answer("429 Too Many Requests", "retry-after: 99999999999999999999999\r\n", ""), &["limits requests"]),
        row("a limit before now", |_| answer("429 Too Many Requests", "retry-after: -5\r\ndate: x\r\n", ""), &["limits requests"]),
        row("a failure with a page", |_| { answer( "500 Internal Server Error", "content-type: text/html\r\n", "<html>\u{1b}[2J", ) }, &["the registry answered `500"]),
        row("a status of its own", |_| answer("799 Odd", "", ""), &["the registry answered `799"]),
    ]
}

/// What answers with something else.
#[rustfmt::skip]
fn contents() -> Vec<Row<Server>> {
    let row = |name, server: Server, says| Row::new(name, server, says);
    vec![
        row("JSON that is none", |_| manifest(IMAGE, "{\"schemaVersion\":"), &["is not a manifest", "EOF"]),
        row("a page", |_| answer("200 OK", "content-type: text/html\r\n", "<html>Log in</html>"), &["(`text/html`) is not a manifest"]),
        row("nothing", |_| answer("200 OK", "", ""), &["is not a manifest"]),
        row("nothing, and says so", |_| Bytes(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n".to_vec()), &["204"]),
        row("what was not asked for", |_| Bytes(b"HTTP/1.1 304 Not Modified\r\nconnection: close\r\n\r\n".to_vec()), &["304"]),
        row("a pack that is none", |_| { answer( "200 OK", &format!("content-encoding: gzip\r\ncontent-type: {IMAGE}\r\n"), [0x1f, 0x8b, 0, 0], ) }, &["is not a manifest"]),
        row("deep JSON", |_| manifest(IMAGE, "[".repeat(100_000)), &["is not a manifest"]),
        row("bytes that are no text", |_| manifest(IMAGE, b"\xff\xfe\x00"), &["is not a manifest"]),
        row("another digest than it says", |_| { answer( "200 OK", &format!( "content-type: {IMAGE}\r\ndocker-content-digest: {}\r\n", Digest::of(b"other") ), image("{}"), ) }, &["content integrity error"]),
        row("a manifest of an older time", |_| manifest("application/vnd.docker.distribution.manifest.v1+prettyjws", "{}"), &["schema 1 manifests are not supported"]),
        row("a kind that is none", |_| manifest("text/x", "{\"mediaType\":\"a\\u001b[31m\"}"), &["unsupported image manifest type", "a[31m"]),
        row("an image and an index", |_| manifest(IMAGE, image("{}").replace("\"layers\"", "\"manifests\"")), &["an image and an index"]),
        row("a config that is missing", |asked| image_with(asked, "{}", answer("404 Not Found", "", "")), &["the config", "is missing in the registry"]),
        row("a config that is another", |asked| image_with(asked, "{}", answer("200 OK", "", "other")), &["content integrity error"]),
        row("a config that is no JSON", |asked| image_with(asked, "x", answer("200 OK", "", "x")), &["the image's config cannot be read"]),
        row("a config of wrong types", |asked| image_with(asked, "{\"os\":7}", answer("200 OK", "", "{\"os\":7}")), &["the image's config cannot be read"]),
        row("a config that is endless", |asked| image_with(asked, "{}", Endless(CHUNKED.into(), chunk())), &["more than 4 MiB"]),
        row("a digest that is a path", |_| manifest(IMAGE, image("{}").replace("sha256:", "sha256:../../")), &["unsupported digest `sha256:../../"]),
        row("an index of nothing", |_| manifest(INDEX, r#"{"schemaVersion":2,"manifests":[]}"#), &["no manifests in manifest list"]),
        row("an index that names itself", |_| manifest(INDEX, index_of(&Digest::of(b"self").to_string())), &["content integrity error"]),
        row("an index of an index", |asked| { let inner = r#"{"schemaVersion":2,"manifests":[]}"#; let outer = index_of(&Digest::of(inner.as_bytes()).to_string()); manifest( INDEX, if asked.path.contains("sha256:") { inner.to_owned() } else { outer }, ) }, &["unsupported image manifest type"]),
    ]
}

/// Every row.
pub(super) fn rows() -> Vec<Row<Server>> {
    [transport(), refusals(), contents()].concat()
}

/// What a well-behaved registry answers.
const GOOD: Server = |asked| image_with(asked, "{}", answer("200 OK", "", "{}"));

/// A stream with a tag for each row, and the servers behind them.
fn stream(name: &str, rows: &[Row<Server>]) -> (String, Vec<Hostile>) {
    let servers: Vec<_> = rows.iter().map(|row| Hostile::start(row.input)).collect();
    let mut yaml = format!(
        "apiVersion: image.openshift.io/v1\nkind: ImageStream\nmetadata: {{name: {name}}}\nspec:\n  tags:\n"
    );
    for (row, server) in rows.iter().zip(&servers) {
        let from = format!("{{kind: DockerImage, name: '{}/x/y:1'}}", server.address());
        let tag = row.slug();
        yaml += &format!("  - {{name: {tag}, importPolicy: {{insecure: true}}, from: {from}}}\n");
    }
    (yaml, servers)
}

#[test]
fn hostile_registries_make_conditions_and_stop_nothing() {
    let repo = Repo::new();
    let mut host = Host::new(repo.path(), "[registries]\ntimeout = \"4s\"\n");
    let mut wrong = Vec::new();
    // One after the other: what takes all of its time must not take that of the others on a small machine.
    let parts = [("transport", transport()), ("refusals", refusals()), ("contents", contents())];
    for (at, (name, rows)) in parts.into_iter().enumerate() {
        let (yaml, _servers) = stream(name, &rows);
        repo.write(&format!("{name}.yaml"), yaml);
        repo.commit(name);
        if at == 0 {
            host.start();
        }
        for row in &rows {
            let tag = format!("default/{name}:{}", row.slug());
            let record = host.wait_for(row.name, |fact| match fact {
                Fact::ImportFailed(failed) => failed.tag.to_string() == tag,
                _ => false,
            });
            let Fact::ImportFailed(failed) = record.fact else { unreachable!() };
            wrong.extend(row.check(&failed.message));
        }
    }
    assert!(wrong.is_empty(), "{}", faults(&wrong));
    let (yaml, _server) = stream("good", &[Row::new("good", GOOD, &[])]);
    repo.write("good.yaml", yaml);
    repo.commit("good");
    host.wait_for("the good tag", |fact| match fact {
        Fact::TagImported(imported) => imported.tag.to_string() == "default/good:good",
        _ => false,
    });
    let status = host.text(&["status"]);
    assert!(status.contains("daemon running"), "{status}");
    assert!(host.stop().success(), "{}", host.story());
}
