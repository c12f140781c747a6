//! Hostile requests at the control socket of one real daemon, which answers a good one after all of them.

use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;

use super::{Row, faults};
use crate::support::daemon::{Host, eventually};
use crate::support::git::Repo;

/// What is sent; the answer, where one can be given.
#[rustfmt::skip]
pub(super) fn rows() -> Vec<Row<Vec<u8>>> {
    let row = |name, bytes: &[u8], says: &[&'static str]| Row::new(name, bytes.to_vec(), says);
    const REFUSED: &str = "{\"refused\":\"the request is not understood: ";
    vec![
        row("nothing", b"", &[REFUSED, "EOF"]),
        row("an empty line", b"\n", &[REFUSED]),
        row("not JSON", b"hello\n", &[REFUSED, "line 1 column 1"]),
        row("half a line", b"\"sta", &[REFUSED, "EOF"]),
        row("a whole request without an end", b"\"status\"", &["{\"status\":"]),
        row("an unknown request", b"\"reboot\"\n", &[REFUSED, "unknown variant `reboot`", "`read_source`"]),
        row("a known request with too much", b"{\"status\":1}\n", &[REFUSED]),
        row("two requests in one", b"{\"release\":\"DeploymentConfig/a/b\",\"status\":null}\n", &[REFUSED]),
        row("a request behind another", b"\"read_source\"\n\"status\"\n", &["noted; the daemon looks now"]),
        row("a number", b"7\n", &[REFUSED]),
        row("null", b"null\n", &[REFUSED]),
        row("NUL bytes", b"\0\0\0\n", &[REFUSED]),
        row("not UTF-8", b"\"\xff\xfe\"\n", &[REFUSED, "not UTF-8"]),
        row("a request of another protocol", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", &[REFUSED]),
        row("deep JSON", "[".repeat(60_000).as_bytes(), &[REFUSED]),
        row("deep JSON that fits", &[b"{\"release\":".repeat(500), b"1".to_vec()].concat(), &[REFUSED]),
        row("a line of a megabyte", &vec![b'x'; 1 << 20], &[REFUSED, "65536 bytes"]),
        row("a line of spaces", &vec![b' '; 1 << 20], &[REFUSED, "65536 bytes"]),
        row("a release of no object", b"{\"release\":\"x\"}\n", &[REFUSED, "`x` is not an object"]),
        row("a release of an unknown object", b"{\"release\":\"DeploymentConfig/a/b\"}\n", &["{\"refused\":", "DeploymentConfig/a/b"]),
        row("a name that is a path", b"{\"release\":\"DeploymentConfig/../../etc\"}\n", &[REFUSED]),
        row("a name with a terminal's escape", b"{\"release\":\"DeploymentConfig/a/\\u001b[31m\"}\n", &[REFUSED]),
        row("a check of a tag that is not there", b"{\"check_tag\":\"a/b:c\"}\n", &["\"nothing\""]),
        row("a check of no tag", b"{\"check_tag\":\"::\"}\n", &[REFUSED]),
        row("a push of nothing", b"{\"push\":{}}\n", &[REFUSED, "missing field"]),
        row("a push without a digest", b"{\"push\":{\"tag\":\"a/b:c\",\"image\":\"r.io/x:1\"}}\n", &["{\"refused\":", "digest"]),
        row("a push to a path", b"{\"push\":{\"tag\":\"../x:c\",\"image\":\"r.io/x:1\"}}\n", &[REFUSED]),
        row("an overlay of nothing", b"{\"overlay\":{}}\n", &[REFUSED, "missing field"]),
        row("an overlay that does not say what", b"{\"overlay\":{\"tag\":\"a/b:c\"}}\n", &[REFUSED, "missing field `spec`"]),
        row("an overlay with a slip", b"{\"overlay\":{\"tag\":\"a/b:c\",\"spec\":null,\"spce\":{}}}\n", &[REFUSED, "unknown field `spce`"]),
        row("an overlay without a source", b"{\"overlay\":{\"tag\":\"a/b:c\",\"spec\":{\"scheduled\":true}}}\n", &[REFUSED, "missing field `from`"]),
        row("an overlay of a path", b"{\"overlay\":{\"tag\":\"../b:c\",\"spec\":null}}\n", &[REFUSED]),
        row("an overlay to no image", b"{\"overlay\":{\"tag\":\"a/b:c\",\"spec\":{\"from\":{\"Registry\":\"A B\"}}}}\n", &[REFUSED]),
        row("an overlay to a half digest", b"{\"overlay\":{\"tag\":\"a/b:c\",\"spec\":{\"from\":{\"Image\":{\"stream\":\"a/b\",\"image\":\"sha256:12\"}}}}}\n", &[REFUSED]),
        row("an overlay of a stream that is not there", b"{\"overlay\":{\"tag\":\"a/b:c\",\"spec\":{\"from\":{\"Tag\":\"a/b:c\"}}}}\n", &["{\"refused\":", "no image stream a/b in git"]),
        row("an upload of too much", b"{\"upload\":{\"bytes\":18446744073709551615}}\n", &["{\"refused\":", "too many"]),
        row("an upload of less than nothing", b"{\"upload\":{\"bytes\":-1}}\n", &[REFUSED]),
        row("an upload that does not say how much", b"{\"upload\":{}}\n", &[REFUSED, "missing field `bytes`"]),
        row("half of an upload", b"{\"upload\":{\"bytes\":9}}\nhalf", &[]),
        row("an upload and nothing else", b"{\"upload\":{\"bytes\":4}}\nfour", &["{\"uploaded\":\"04efaf080f5a3e74e1c29d1ca6a48569382cbbcd324e8d59d2b83ef21c039f00\"}\n"]),
        row("an upload behind an upload", b"{\"upload\":{\"bytes\":0}}\n{\"upload\":{\"bytes\":0}}\n", &["{\"uploaded\":", "one upload is enough"]),
        row("an upload and then nonsense", b"{\"upload\":{\"bytes\":0}}\nhello\n", &["{\"uploaded\":", REFUSED]),
        row("a build of what was never uploaded", b"{\"start_build\":{\"object\":\"BuildConfig/a/b\",\"options\":{\"binary\":{\"content\":\"04efaf080f5a3e74e1c29d1ca6a48569382cbbcd324e8d59d2b83ef21c039f01\"}}}}\n", &["{\"refused\":", "was not uploaded"]),
        row("a build of a path", b"{\"start_build\":{\"object\":\"BuildConfig/a/b\",\"options\":{\"binary\":{\"content\":\"../../x\"}}}}\n", &[REFUSED]),
        row("an answer for a request", b"{\"done\":18446744073709551616}\n", &[REFUSED]),
    ]
}

#[test]
fn hostile_requests_are_refused_and_the_daemon_answers_on() {
    let repo = Repo::new();
    repo.write("x.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n");
    repo.commit("start");
    let mut host = Host::new(repo.path(), "");
    host.start();
    let path = host.path("control.sock");
    let connect = || eventually("the socket", || UnixStream::connect(&path).ok());
    let mut wrong = Vec::new();
    for row in rows() {
        let mut stream = connect();
        // The daemon may have answered and gone before all of it was sent.
        drop(stream.write_all(&row.input));
        drop(stream.shutdown(Shutdown::Write));
        let mut answer = Vec::new();
        drop(stream.read_to_end(&mut answer));
        wrong.extend(row.check(&String::from_utf8_lossy(&answer)));
    }
    // Who goes without reading, and who stays without a word.
    drop(connect().write_all(b"\"status\"\n"));
    let silent: Vec<_> = (0..20).map(|_| connect()).collect();
    assert!(wrong.is_empty(), "{}", faults(&wrong));
    let status = host.text(&["status"]);
    assert!(status.contains("daemon running"), "{status}");
    drop(silent);
    assert!(host.stop().success(), "{}", host.story());
}
