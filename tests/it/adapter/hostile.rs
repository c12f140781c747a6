//! What an import makes of a registry that does what real ones do not do on demand. What such registries send as bytes and
//! as contents, a whole daemon is given in `crate::hostile::registry`; here is what has to be counted or looked at.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tidegate::action::{Check, ImportFailure, ResolveRequest};
use tidegate::fact::ImportReason;
use tidegate::names::Digest;
use tidegate::world::registry::{RegistryConfig, Tally};

use super::registry::{Ours, auth_file, check, quick};
use crate::support::hostile::{
    Asked, CHUNKED, Hostile, IMAGE, Reply, answer, chunk, good, image, wants_token,
};
use crate::support::need;
use crate::support::registry::make_certificates;

/// As `curl -u anna:right` sends it.
const ANNA: &str = "Basic YW5uYTpyaWdodA==";

fn image_at(server: &Hostile) -> Check {
    check(&format!("{}/team/web:1", server.address()))
}

/// Why an image of a server cannot be imported, with its address replaced; each request has this long.
async fn failure(server: &Hostile, timeout: Duration) -> ImportFailure {
    let ours = Ours::new(RegistryConfig { timeout, ..quick() });
    let mut failure = ours.ask(image_at(server), None).await.unwrap_err();
    failure.message = failure.message.replace(&server.address(), "HOST");
    assert!(ours.kept.lock().unwrap().is_empty(), "nothing of it is kept");
    failure
}

/// Our side with a login for a server.
fn with_login(dir: &TempDir, server: &Hostile) -> RegistryConfig {
    RegistryConfig { auth_files: vec![auth_file(dir, &server.address(), "anna:right")], ..quick() }
}

/// What the servers were told of who asks.
fn logins(asked: &[Asked]) -> Vec<&str> {
    asked.iter().map(|asked| asked.authorization.as_deref().unwrap_or("-")).collect()
}

fn redirect(to: &str) -> Reply {
    answer("307 Temporary Redirect", &format!("location: {to}\r\n"), "")
}

/// A page that never ends behind a status.
fn endless(status: &str, headers: &str) -> Reply {
    let head = format!("HTTP/1.1 {status}\r\n{headers}\r\n");
    Reply::Endless(head.into_bytes(), vec![b' '; 0x8000])
}

/// What stands behind a firewall that drops everything is no slow registry. A queue of connections that is full drops
/// them too.
#[tokio::test]
async fn what_cannot_be_connected_to_is_told_as_that() {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut full = Vec::new();
    while let Ok(Ok(stream)) =
        tokio::time::timeout(Duration::from_millis(300), tokio::net::TcpStream::connect(address))
            .await
    {
        full.push(stream);
    }
    let ours = Ours::new(RegistryConfig { timeout: Duration::from_secs(4), ..quick() });
    let failure = ours.ask(check(&format!("{address}/team/web:1")), None).await.unwrap_err();
    let message = failure.message.replace(&address.to_string(), "HOST");
    insta::assert_snapshot!(message, @"Internal error occurred: HOST/team/web:1: cannot connect to `HOST`: no connection within 2 s");
    assert!(failure.transient);
}

#[tokio::test]
async fn what_comes_slower_than_the_time_for_a_request_ends_with_it() {
    let head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
    let parts = [
        ("its head", [head.as_slice(), b"a: "].concat()),
        ("its body", [head.as_slice(), b"content-length: 100000\r\n\r\n{"].concat()),
        ("a body without a length", [head.as_slice(), b"\r\n{"].concat()),
    ];
    for (part, first) in parts {
        // A HEAD is answered at once, so that it is the GET that takes long.
        let server = Hostile::start(move |asked| match asked.method.as_str() {
            "HEAD" => answer("405 No", "", ""),
            _ => Reply::Trickle(first.clone()),
        });
        let failure = failure(&server, Duration::from_secs(2)).await;
        let words = "Internal error occurred: HOST/team/web:1: `HOST` did not answer within 2 s";
        assert_eq!((failure.message.as_str(), failure.transient), (words, true), "{part}");
        assert_eq!(server.methods(), "HEAD GET", "{part}");
    }
}

#[tokio::test]
async fn nothing_is_read_beyond_its_limit_whatever_length_is_promised() {
    type Script = fn(&Asked) -> Reply;
    let rows: [(&str, Script, &str, bool); 4] = [
        (
            "no length",
            |_| Reply::Endless(CHUNKED.into(), chunk()),
            "`HOST` answered with more than 4 MiB",
            false,
        ),
        (
            "a length of eight exabytes",
            |_| endless("200 OK", "content-length: 9223372036854775807\r\n"),
            "`HOST` answered with more than 4 MiB",
            false,
        ),
        (
            "a page of a server in trouble",
            |_| endless("500 Oh", "content-length: 9223372036854775807\r\n"),
            "the registry answered `500 Internal Server Error`",
            true,
        ),
        (
            "a page of who refuses",
            |_| endless("403 No", ""),
            "you may not have access to the container image \"HOST/team/web:1\": 403 Forbidden",
            false,
        ),
    ];
    for (what, script, words, transient) in rows {
        let server = Hostile::start(move |asked| match asked.method.as_str() {
            "HEAD" => answer("405 No", "", ""),
            _ => script(asked),
        });
        let failure = failure(&server, Duration::from_secs(20)).await;
        assert!(failure.message.ends_with(words), "{what}: {}", failure.message);
        assert_eq!(failure.transient, transient, "{what}");
        // What the kernel holds on both sides comes to what is read.
        let sent = server.sent();
        assert!(sent < 24 * 1024 * 1024, "{what}: {sent} bytes");
    }
}

#[tokio::test]
async fn a_body_that_promises_more_than_any_number_is_no_answer() {
    let length = "9".repeat(40);
    let server = Hostile::start(move |_| {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{{}}");
        Reply::Bytes(head.into_bytes())
    });
    let failure = failure(&server, Duration::from_secs(20)).await;
    assert!(failure.transient && failure.message.contains("broke: "), "{failure:?}");
}

#[tokio::test]
async fn a_header_of_a_megabyte_is_no_answer() {
    let server = Hostile::start(|asked| {
        let long = "x".repeat(1024 * 1024);
        good(asked, &format!("a: {long}\r\n"))
    });
    let failure = failure(&server, Duration::from_secs(20)).await;
    assert!(failure.transient && failure.message.contains("broke: "), "{failure:?}");
}

/// What a registry says of its digest; the manifest tells where that is nothing that can be used.
#[tokio::test]
async fn without_a_digest_that_can_be_used_an_unchanged_tag_is_a_head_and_a_get() {
    let sha512 = format!("docker-content-digest: sha512:{}\r\n", "0".repeat(128));
    let rows = [
        ("none", String::new()),
        ("another algorithm", sha512),
        ("an empty one", "docker-content-digest:\r\n".into()),
        ("a short one", "docker-content-digest: sha256:00\r\n".into()),
        ("no text", "docker-content-digest: \u{e9}\r\n".into()),
    ];
    let digest = Digest::of(image("{}").as_bytes());
    for (what, header) in rows {
        let server = Hostile::start(move |asked| good(asked, &header));
        let ours = Ours::new(quick());
        let found = ours.ask(image_at(&server), None).await.unwrap();
        assert_eq!((found.probed, found.image.unwrap().digest), (digest, digest), "{what}");
        assert_eq!(server.methods(), "HEAD GET GET", "{what}: the manifest and the config");
        let again = ours.ask(image_at(&server), Some(digest)).await.unwrap();
        assert_eq!((again.probed, again.image), (digest, None), "{what}");
        assert_eq!(server.methods(), "HEAD GET", "{what}: unchanged");
    }
}

#[tokio::test]
async fn a_registry_without_head_is_asked_by_get() {
    let digest = Digest::of(image("{}").as_bytes());
    for status in ["400 Bad Request", "403 No", "404 Not Found", "405 No", "501 Not Implemented"] {
        let server = Hostile::start(move |asked| match asked.method.as_str() {
            "HEAD" => answer(status, "", ""),
            _ => good(asked, ""),
        });
        let ours = Ours::new(quick());
        ours.ask(image_at(&server), None).await.unwrap();
        assert_eq!(server.methods(), "HEAD GET GET", "{status}");
        let again = ours.ask(image_at(&server), Some(digest)).await.unwrap();
        assert_eq!((again.image, server.methods().as_str()), (None, "HEAD GET"), "{status}");
    }
}

#[tokio::test]
async fn a_registry_that_has_head_is_believed_that_there_is_no_image() {
    let server = Hostile::start(|asked| match asked.path.contains("/gone/") {
        true => answer("404 Not Found", "", ""),
        false => good(asked, ""),
    });
    let ours = Ours::new(quick());
    let gone = || check(&format!("{}/gone/web:1", server.address()));
    assert_eq!(ours.ask(gone(), None).await.unwrap_err().reason, ImportReason::NotFound);
    assert_eq!(server.methods(), "HEAD GET", "it may be that it has no HEAD");
    ours.ask(image_at(&server), None).await.unwrap();
    server.seen();
    assert_eq!(ours.ask(gone(), None).await.unwrap_err().reason, ImportReason::NotFound);
    assert_eq!(server.methods(), "HEAD");
}

/// A login is for the host that it is of, however far that sends us.
#[tokio::test]
async fn law10_a_login_does_not_follow_a_redirect_to_another_host() {
    let dir = tempfile::tempdir().unwrap();
    let other = Arc::new(Hostile::start(|asked| good(asked, "")));
    for to in [other.address(), other.address().replace("127.0.0.1", "localhost")] {
        let server = Hostile::start(move |asked| match asked.authorization {
            None => answer("401 No", "www-authenticate: Basic realm=\"x\"\r\n", ""),
            Some(_) => redirect(&format!("http://{to}{}", asked.path)),
        });
        let ours = Ours::new(with_login(&dir, &server));
        ours.ask(image_at(&server), None).await.unwrap();
        assert_eq!(logins(&other.seen()), ["-", "-", "-"]);
        assert_eq!(logins(&server.seen()), ["-", ANNA, ANNA, ANNA]);
    }
}

#[tokio::test]
async fn law10_a_token_does_not_follow_a_redirect_to_another_host() {
    let other = Hostile::start(|asked| good(asked, ""));
    let to = other.address();
    let server = Hostile::start(move |asked| match &asked.authorization {
        _ if asked.path.starts_with("/token") => answer("200 OK", "", r#"{"token":"secret"}"#),
        None => wants_token(&format!("http://{}/token", asked.host)),
        Some(_) => redirect(&format!("http://{to}{}", asked.path)),
    });
    Ours::new(quick()).ask(image_at(&server), None).await.unwrap();
    assert_eq!(logins(&other.seen()), ["-", "-", "-"]);
}

#[tokio::test]
async fn law10_a_login_goes_to_the_token_server_and_the_token_to_the_registry_alone() {
    let dir = tempfile::tempdir().unwrap();
    let tokens = Hostile::start(|_| answer("200 OK", "", r#"{"token":"secret"}"#));
    let realm = format!("http://{}/token", tokens.address());
    let server = Hostile::start(move |asked| match &asked.authorization {
        Some(login) if login == "Bearer secret" => good(asked, ""),
        _ => wants_token(&realm),
    });
    Ours::new(with_login(&dir, &server)).ask(image_at(&server), None).await.unwrap();
    assert_eq!(logins(&tokens.seen()), [ANNA]);
    let bearer = "Bearer secret";
    assert_eq!(logins(&server.seen()), ["-", "-", bearer, bearer, bearer]);
}

#[tokio::test]
async fn law10_a_login_does_not_follow_a_redirect_of_the_token_server() {
    let dir = tempfile::tempdir().unwrap();
    let other = Hostile::start(|_| answer("200 OK", "", r#"{"token":"secret"}"#));
    let to = format!("http://{}/token", other.address());
    let server = Hostile::start(move |asked| match &asked.authorization {
        _ if asked.path.starts_with("/token") => redirect(&to),
        Some(login) if login == "Bearer secret" => good(asked, ""),
        _ => wants_token(&format!("http://{}/token", asked.host)),
    });
    Ours::new(with_login(&dir, &server)).ask(image_at(&server), None).await.unwrap();
    assert_eq!(logins(&other.seen()), ["-"]);
}

/// Our side, which trusts a server of HTTPS, and has a login for it.
fn trusting(certificates: &Path, dir: &TempDir, server: &Hostile) -> Ours {
    let ca_files = [(server.address(), certificates.join("ca.crt"))].into();
    Ours::new(RegistryConfig { ca_files, ..with_login(dir, server) })
}

fn certificates(names: &str, days: i32) -> Option<TempDir> {
    need("openssl")?;
    let dir = tempfile::tempdir().unwrap();
    make_certificates(dir.path(), names, days);
    Some(dir)
}

#[tokio::test]
async fn law10_nothing_goes_from_https_to_plain_http() {
    let Some(certificates) = certificates("IP:127.0.0.1", 2) else { return };
    let dir = tempfile::tempdir().unwrap();
    let plain = Hostile::start(|asked| good(asked, ""));
    let to = plain.address();
    let server = Hostile::start_tls(certificates.path(), move |asked| {
        redirect(&format!("http://{to}{}", asked.path))
    });
    let ours = trusting(certificates.path(), &dir, &server);
    let secure = Check { insecure: false, ..image_at(&server) };
    let failure = ours.ask(secure, None).await.unwrap_err();
    let words = "redirects badly: a redirect from HTTPS to plain HTTP";
    assert!(failure.message.ends_with(words) && !failure.transient, "{failure:?}");
    assert_eq!(plain.methods(), "");
}

#[tokio::test]
async fn law10_no_login_is_sent_in_plain_text_to_the_token_server_of_a_registry_with_tls() {
    let Some(certificates) = certificates("IP:127.0.0.1", 2) else { return };
    let dir = tempfile::tempdir().unwrap();
    let plain = Hostile::start(|_| answer("200 OK", "", r#"{"token":"secret"}"#));
    let realm = format!("http://{}/token", plain.address());
    let server = Hostile::start_tls(certificates.path(), move |asked| match asked.authorization {
        None => wants_token(&realm),
        Some(_) => good(asked, ""),
    });
    let secure = || Check { insecure: false, ..image_at(&server) };
    let ours = trusting(certificates.path(), &dir, &server);
    let failure = ours.ask(secure(), None).await.unwrap_err();
    let words = "has no TLS, so no login is sent there";
    assert!(failure.message.ends_with(words), "{failure:?}");
    assert_eq!(plain.methods(), "");
    let ca_files = [(server.address(), certificates.path().join("ca.crt"))].into();
    let nobody = Ours::new(RegistryConfig { ca_files, auth_files: vec![], ..quick() });
    nobody.ask(secure(), None).await.expect("who has no login has nothing to lose");
    assert_eq!(logins(&plain.seen()), ["-"]);
}

#[tokio::test]
async fn a_realm_that_is_the_registry_itself_is_asked_once_for_each_login() {
    let dir = tempfile::tempdir().unwrap();
    let server =
        Hostile::start(|asked| wants_token(&format!("http://{}{}", asked.host, asked.path)));
    let failure =
        Ours::new(with_login(&dir, &server)).ask(image_at(&server), None).await.unwrap_err();
    assert_eq!((failure.reason, failure.transient), (ImportReason::Unauthorized, false));
    assert_eq!(server.methods(), "HEAD GET GET GET GET", "a ping and a token, with it and without");
}

#[tokio::test]
async fn trouble_on_the_way_to_a_token_passes_and_is_no_refusal() {
    let wait = "retry-after: 30\r\n";
    for status in ["429 Too Many Requests", "503 Service Unavailable"] {
        for at in ["/v2/", "/token"] {
            let server = Hostile::start(move |asked| {
                let ends = asked.path.split('?').next() == Some(at);
                if ends {
                    return answer(status, wait, "");
                }
                wants_token(&format!("http://{}/token", asked.host))
            });
            let failure = failure(&server, Duration::from_secs(20)).await;
            assert!(failure.transient, "{status} at {at}: {failure:?}");
            assert_eq!(failure.reason, ImportReason::InternalError, "{status} at {at}");
            assert_eq!(failure.retry_after, Some(Duration::from_secs(30)), "{status} at {at}");
            let said = format!("answered `{status}`");
            assert!(failure.message.contains(&said), "{at}: {}", failure.message);
        }
    }
}

#[tokio::test]
async fn whatever_retry_after_says_the_longest_wait_is_a_day() {
    let rows = [
        ("0", Some(0)),
        ("7", Some(7)),
        ("99999999999999999999999", Some(86_400)),
        ("Fri, 31 Dec 9999 23:59:59 GMT", Some(86_400)),
        ("Sat, 21 Nov 2026 10:01:30 GMT", Some(90)),
        ("Saturday, 21-Nov-26 10:01:30 GMT", Some(90)),
        ("Thu, 01 Jan 1970 00:00:00 GMT", Some(0)),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
    ];
    for (said, seconds) in rows {
        let headers = format!("date: Sat, 21 Nov 2026 10:00:00 GMT\r\nretry-after: {said}\r\n");
        let server = Hostile::start(move |_| answer("429 Too Many Requests", &headers, ""));
        let failure = failure(&server, Duration::from_secs(20)).await;
        assert_eq!(failure.retry_after, seconds.map(Duration::from_secs), "{said}");
        let words = "`HOST` limits requests (`429 Too Many Requests`)";
        assert!(failure.transient && failure.message.ends_with(words), "{failure:?}");
        assert_eq!(server.methods(), "HEAD", "{said}");
    }
}

/// What is left of a limit, as an answer tells it: what cannot be is not believed, and nothing fails of it.
#[tokio::test]
async fn headers_of_a_limit_that_cannot_be_are_passed_over() {
    let rows = [
        ("ratelimit-remaining: plenty\r\n", None),
        ("ratelimit-remaining: -5;w=60\r\n", None),
        ("ratelimit-remaining: 99999999999999999999999\r\n", None),
        ("ratelimit: ;;;r=;t=-1\r\n", None),
        ("x-ratelimit-remaining: 1e9\r\n", None),
        ("ratelimit-remaining: 18446744073709551615;w=18446744073709551615\r\n", Some(u64::MAX)),
        ("ratelimit-limit: 0;w=0\r\nratelimit-remaining: 0;w=0\r\n", Some(0)),
    ];
    for (headers, remaining) in rows {
        let server = Hostile::start(move |asked| good(asked, headers));
        let (ours, tally) = (Ours::new(quick()), Tally::default());
        let request = ResolveRequest { check: image_at(&server), known: None, allowance: None };
        ours.registries.resolve_counting(&request, &tally).await.unwrap();
        let told = tally.spent().by.into_iter().find_map(|by| by.told);
        assert_eq!(told.map(|told| told.remaining), remaining, "{headers}");
    }
}

#[tokio::test]
async fn http_1_0_is_enough() {
    let server = Hostile::start(|asked| {
        let body = if asked.path.contains("/blobs/") { "{}".to_owned() } else { image("{}") };
        // Without a length: the end of the connection is the end of it.
        let head = format!("HTTP/1.0 200 OK\r\ncontent-type: {IMAGE}\r\n\r\n");
        Reply::Bytes((head + &body).into_bytes())
    });
    let found = Ours::new(quick()).ask(image_at(&server), None).await.unwrap();
    assert_eq!(found.probed, Digest::of(image("{}").as_bytes()));
}

/// I70: what differs between two looks at one certificate is not in the message.
#[tokio::test]
async fn a_certificate_that_expired_is_told_without_the_time() {
    let Some(certificates) = certificates("IP:127.0.0.1", -1) else { return };
    let dir = tempfile::tempdir().unwrap();
    let server = Hostile::start_tls(certificates.path(), |asked| good(asked, ""));
    let ours = trusting(certificates.path(), &dir, &server);
    let secure = Check { insecure: false, ..image_at(&server) };
    let failure = ours.ask(secure, None).await.unwrap_err();
    let message = failure.message.replace(&server.address(), "HOST");
    insta::assert_snapshot!(message, @"Internal error occurred: HOST/team/web:1: no secure connection to `HOST`: invalid peer certificate: certificate expired");
    assert!(failure.transient);
}
