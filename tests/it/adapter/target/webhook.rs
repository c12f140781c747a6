//! Rule R30.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use axum::body::Body;
use hmac::{Hmac, KeyInit as _, Mac as _};
use tidegate::action::{NoticeKind, RolloutReport};
use tidegate::limits;
use tidegate::world::target::{
    SIGNATURE_HEADER, Secret, SecretSource, TargetConfig, WebhookTarget,
};
use tokio_util::sync::CancellationToken;

use super::receiver::{Received, Receiver};
use super::*;

struct Fixture {
    receiver: Receiver,
    targets: Targets,
    state: tempfile::TempDir,
}

impl Fixture {
    async fn start() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut WebhookTarget)) -> Self {
        let receiver = Receiver::start().await;
        let state = tempfile::tempdir().unwrap();
        let mut target = WebhookTarget {
            url: receiver.url.clone(),
            secret: None,
            headers: BTreeMap::new(),
            timeout: MINUTE,
        };
        change(&mut target);
        let targets = targets(TargetConfig::Webhook(target), state.path());
        Self { receiver, targets, state }
    }

    async fn roll_out(&self) -> RolloutReport {
        self.targets.roll_out(&request(), CancellationToken::new()).await
    }

    async fn answered(&self, status: u16, headers: &[(&str, &str)], body: &str) -> RolloutReport {
        self.receiver.answer(status, headers, body.to_owned());
        self.roll_out().await
    }
}

fn is_signed_with(received: &Received, key: &[u8]) -> bool {
    let hex =
        received.header(SIGNATURE_HEADER).unwrap().strip_prefix("sha256=").unwrap().to_owned();
    let mut hmac = Hmac::<sha2::Sha256>::new_from_slice(key).unwrap();
    hmac.update(&received.body);
    hmac.verify_slice(&hex::decode(hex).unwrap()).is_ok()
}

#[tokio::test]
async fn r030_a_rollout_is_a_cloud_event_in_structured_json() {
    let fixture = Fixture::start().await;
    assert_eq!(fixture.roll_out().await, complete());
    let received = fixture.receiver.received().remove(0);
    let event: serde_json::Value = serde_json::from_slice(&received.body).unwrap();
    assert_eq!(event, expected_event());
    assert_eq!(received.method, "POST");
    assert_eq!(received.header("content-type"), Some("application/cloudevents+json"));
    assert_eq!(received.header("idempotency-key"), Some("shop/web/1/42"));
    assert_eq!(received.header(SIGNATURE_HEADER), None);
}

#[tokio::test]
async fn r030_a_repetition_is_the_same_to_the_byte_and_done_once() {
    let fixture = Fixture::start().await;
    for _ in 0..3 {
        assert_eq!(fixture.roll_out().await, complete());
    }
    let received = fixture.receiver.received();
    assert!(received.iter().all(|one| one.body == received[0].body));
    assert_eq!(fixture.receiver.effects(), 1);
}

#[tokio::test]
async fn r030_the_body_is_signed_with_the_key_that_the_file_holds_at_the_time() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("hook.key");
    let fixture = Fixture::with(|target| target.secret = Some(SecretSource(file.clone()))).await;
    // Only the end of the last line is not part of the key.
    let keys = [
        ("first\n", "first"),
        ("second", "second"),
        ("crlf\r\n", "crlf"),
        ("tab\t \n", "tab\t "),
        ("two\n\n", "two\n"),
    ];
    for (content, key) in keys {
        std::fs::write(&file, content).unwrap();
        assert_eq!(fixture.roll_out().await, complete());
        let received = fixture.receiver.received().pop().unwrap();
        assert!(is_signed_with(&received, key.as_bytes()), "{content:?}");
    }
    for unusable in ["", "\n", "\r\n", " \n"] {
        std::fs::write(&file, unusable).unwrap();
        let report = fixture.roll_out().await;
        assert!(matches!(report, RolloutReport::Transient { .. }), "{report:?}");
    }
    std::fs::remove_file(&file).unwrap();
    let report = fixture.roll_out().await;
    assert!(matches!(report, RolloutReport::Transient { .. }), "{report:?}");
    assert_eq!(fixture.receiver.received().len(), keys.len(), "nothing goes out unsigned");
}

#[tokio::test]
async fn r030_the_documented_command_verifies_a_signature() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("hook.key");
    // Blanks at the end are part of the key, for the shell as for us.
    std::fs::write(&file, "top secret\t \n").unwrap();
    let fixture = Fixture::with(|target| target.secret = Some(SecretSource(file.clone()))).await;
    fixture.roll_out().await;
    let received = fixture.receiver.received().remove(0);
    std::fs::write(folder.path().join("body"), &received.body).unwrap();
    let script = r#"printf 'sha256=%s\n' "$(openssl dgst -sha256 -hmac "$(cat hook.key)" -r < body | cut -d' ' -f1)""#;
    let output =
        std::process::Command::new("sh").arg("-c").arg(script).current_dir(&folder).output();
    let shown = String::from_utf8(output.unwrap().stdout).unwrap();
    assert_eq!(received.header(SIGNATURE_HEADER), Some(shown.trim()));
}

#[tokio::test]
async fn r030_an_answer_of_2xx_says_its_state() {
    let fixture = Fixture::start().await;
    let done = fixture.answered(200, &[], r#"{"state":"Complete","message":"3 pods"}"#).await;
    assert_eq!(done, RolloutReport::Complete { log: "3 pods".into() });
    assert_eq!(fixture.answered(204, &[], "").await, complete());
    let failed = fixture.answered(200, &[], r#"{"state":"Failed","message":"crash"}"#).await;
    assert_eq!(failed, RolloutReport::Failed { reason: "crash".into(), log: String::new() });
    let running = r#"{"state":"Running","statusUrl":"/status/7","more":1}"#;
    let running = fixture.answered(202, &[], running).await;
    let status_url = fixture.receiver.url.join("/status/7").unwrap().to_string();
    assert_eq!(running, RolloutReport::Running { status_url });
}

#[tokio::test]
async fn r030_a_page_or_a_state_that_nobody_knows_is_no_success() {
    let fixture = Fixture::start().await;
    for body in [
        "<html>please log in</html>",
        "{}",
        r#"{"state":"Done"}"#,
        r#"{"state":"Running"}"#,
        r#"{"state":"Running","statusUrl":"file:///etc/passwd"}"#,
    ] {
        let report = fixture.answered(200, &[], body).await;
        assert!(matches!(report, RolloutReport::Failed { .. }), "{body}: {report:?}");
    }
}

#[tokio::test]
async fn t25_what_may_pass_is_transient_and_the_rest_a_verdict() {
    let fixture = Fixture::start().await;
    assert_eq!(fixture.answered(409, &[], "").await, complete());
    for status in [408, 425, 429, 500, 502, 503, 504] {
        let report = fixture.answered(status, &[], "later").await;
        assert!(matches!(report, RolloutReport::Transient { retry_after: None, .. }), "{report:?}");
    }
    for status in [400, 401, 403, 404, 410, 422] {
        let report = fixture.answered(status, &[], "no such app").await;
        let RolloutReport::Failed { reason, log } = report else { panic!("{status}: {report:?}") };
        assert!(reason.contains(&status.to_string()), "{reason}");
        assert_eq!(log, "no such app");
    }
}

#[tokio::test]
async fn t25_retry_after_is_honoured_in_seconds_and_as_a_date() {
    let fixture = Fixture::start().await;
    let mut waits = Vec::new();
    for value in
        ["7", "999999999", "Wed, 21 Oct 2015 07:28:00 GMT", "Fri, 31 Dec 2100 00:00:00 GMT", "soon"]
    {
        let report = fixture.answered(503, &[("retry-after", value)], "").await;
        let RolloutReport::Transient { retry_after, .. } = report else { panic!("{report:?}") };
        waits.push(retry_after);
    }
    let most = Some(limits::TARGET_RETRY_AFTER_MAX);
    assert_eq!(waits, [Some(Duration::from_secs(7)), most, Some(Duration::ZERO), most, None]);
}

#[tokio::test]
async fn t25_a_target_that_is_not_there_is_transient_and_its_address_stays_unsaid() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hook?token=hunter2", listener.local_addr().unwrap());
    drop(listener);
    let fixture = Fixture::with(|target| target.url = url.parse().unwrap()).await;
    let report = fixture.roll_out().await;
    let RolloutReport::Transient { reason, .. } = &report else { panic!("{report:?}") };
    assert!(!reason.contains("hunter2") && reason.contains("refused"), "{reason}");
}

#[tokio::test]
async fn t25_a_target_that_never_answers_is_given_up_after_its_timeout() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url: url::Url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
    let fixture = Fixture::with(|target| {
        target.url = url;
        target.timeout = Duration::from_millis(50);
    });
    let fixture = fixture.await;
    let report = fixture.roll_out().await;
    assert!(matches!(report, RolloutReport::Transient { .. }), "{report:?}");
}

#[tokio::test]
async fn a_cancelled_delivery_ends_at_once() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url: url::Url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
    let fixture = Fixture::with(|target| target.url = url).await;
    let cancel = CancellationToken::new();
    let request = request();
    let delivery = fixture.targets.roll_out(&request, cancel.clone());
    let (report, ()) = tokio::join!(delivery, async {
        let _connection = listener.accept().await.unwrap();
        cancel.cancel();
    });
    assert_eq!(report, RolloutReport::Cancelled);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let fixture = Fixture::start().await;
    let report = fixture.answered(307, &[("location", "/elsewhere")], "").await;
    assert!(matches!(report, RolloutReport::Failed { .. }), "{report:?}");
    assert_eq!(fixture.receiver.received().len(), 1);
}

#[tokio::test]
async fn an_endless_answer_is_cut() {
    let fixture = Fixture::start().await;
    let line = || Ok::<_, std::io::Error>(axum::body::Bytes::from(vec![b'x'; 8192]));
    let endless = futures_util::stream::repeat_with(line);
    fixture.receiver.answer(422, &[], Body::from_stream(endless));
    let report = fixture.roll_out().await;
    let RolloutReport::Failed { log, .. } = report else { panic!("{report:?}") };
    assert!(log.len() <= limits::ROLLOUT_LOG_BYTES_MAX);
}

#[tokio::test]
async fn r030_a_running_rollout_is_asked_at_its_address_until_it_ends() {
    let fixture = Fixture::start().await;
    let url = fixture.receiver.url.join("/status/7").unwrap().to_string();
    let asked = async |status: u16, body: &str| {
        fixture.receiver.answer(status, &[], body.to_owned());
        fixture.targets.ask(&ask(&url), CancellationToken::new()).await
    };
    let running = RolloutReport::Running { status_url: url.clone() };
    assert_eq!(asked(200, r#"{"state":"Running"}"#).await, running);
    let report = asked(503, "").await;
    assert!(matches!(report, RolloutReport::Transient { .. }), "{report:?}");
    assert_eq!(asked(200, r#"{"state":"Complete"}"#).await, complete());
    for (status, body) in [(200, r#"{"state":"Failed"}"#), (404, ""), (409, ""), (200, "")] {
        let report = asked(status, body).await;
        assert!(matches!(report, RolloutReport::Failed { .. }), "{status} {body}: {report:?}");
    }
    let received = fixture.receiver.received().remove(0);
    assert_eq!((received.method.as_str(), received.path.as_str()), ("GET", "/status/7"));
}

#[tokio::test]
async fn headers_go_to_the_target_and_not_to_another_host() {
    let login = || BTreeMap::from([("authorization".to_owned(), Secret::new("Bearer hunter2"))]);
    let fixture = Fixture::with(|target| target.headers = login()).await;
    fixture.roll_out().await;
    let own = fixture.receiver.url.join("/status").unwrap();
    fixture.targets.ask(&ask(own.as_str()), CancellationToken::new()).await;
    let other = Receiver::start().await;
    fixture.targets.ask(&ask(other.url.as_str()), CancellationToken::new()).await;
    let sent = |received: Vec<Received>| -> Vec<bool> {
        received.iter().map(|one| one.header("authorization") == Some("Bearer hunter2")).collect()
    };
    assert_eq!(sent(fixture.receiver.received()), [true, true]);
    assert_eq!(sent(other.received()), [false]);
}

#[tokio::test]
async fn a_secret_that_the_target_repeats_is_masked() {
    let login = BTreeMap::from([("x-api-key".to_owned(), Secret::new("letmein"))]);
    let fixture = Fixture::with(|target| target.headers = login).await;
    let report = fixture.answered(422, &[], "bad key letmein, password hunter2").await;
    let RolloutReport::Failed { log, .. } = report else { panic!("{report:?}") };
    assert_eq!(log, "bad key ***, password ***");
}

#[tokio::test]
async fn a_stop_is_an_event_of_its_own_type_without_images() {
    let fixture = Fixture::start().await;
    assert_eq!(fixture.targets.stop(&stop_request(), CancellationToken::new()).await, complete());
    let received = fixture.receiver.received().remove(0);
    let event: serde_json::Value = serde_json::from_slice(&received.body).unwrap();
    assert_eq!(event["type"], "dev.tidegate.stop.requested");
    assert_eq!(event["data"]["kind"], "StopRequest");
    assert_eq!(event["data"]["images"], serde_json::json!([]));
    assert_eq!(received.header("idempotency-key"), Some("shop/web/1/50"));
}

#[tokio::test]
async fn r030_a_notice_is_told_once_under_an_id_of_its_own() {
    let fixture = Fixture::start().await;
    let kinds = [NoticeKind::Finished, NoticeKind::Cancelled, NoticeKind::Held];
    for kind in kinds {
        fixture.receiver.answer(503, &[], Body::empty());
        fixture.targets.notify(&notice(kind)).await;
    }
    let received = fixture.receiver.received();
    let events: Vec<serde_json::Value> =
        received.iter().map(|one| serde_json::from_slice(&one.body).unwrap()).collect();
    let types: Vec<_> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    let expected =
        ["finished", "cancelled", "held"].map(|word| format!("dev.tidegate.rollout.{word}"));
    assert_eq!(types, expected);
    assert_eq!(events[0]["id"], "shop/web/1/42/finished");
    assert_eq!(events[0]["data"]["rollout"], "shop/web/1/42");
    assert_eq!(events[0]["data"]["message"], "it runs");
}

#[tokio::test]
async fn a_manifest_that_cannot_be_read_starts_nothing() {
    let receiver = Receiver::start().await;
    let state = tempfile::tempdir().unwrap();
    let target = WebhookTarget {
        url: receiver.url.clone(),
        secret: None,
        headers: BTreeMap::new(),
        timeout: MINUTE,
    };
    let configs = BTreeMap::from([("t".parse().unwrap(), TargetConfig::Webhook(target))]);
    let read = |_: &ContentHash| Err(std::io::Error::other("disk on fire"));
    let targets = Targets::new(
        configs,
        "/x".into(),
        state.path(),
        (Arc::new(read), Arc::new(|bytes: &[u8]| Ok(ContentHash::of(bytes)))),
        (Arc::new(|_| Err("no commit".to_owned())), None),
    )
    .unwrap();
    let report = targets.roll_out(&request(), CancellationToken::new()).await;
    let RolloutReport::Transient { reason, .. } = report else { panic!("{report:?}") };
    assert!(reason.contains("disk on fire"), "{reason}");
    assert!(receiver.received().is_empty());
}

#[tokio::test]
async fn debug_output_has_no_secret() {
    let fixture = Fixture::with(|target| {
        target.headers = BTreeMap::from([("a".to_owned(), Secret::new("hunter2"))]);
        target.url.set_query(Some("token=hunter2"));
        target.secret = Some(SecretSource(PathBuf::from("/run/key")));
    });
    let fixture = fixture.await;
    assert!(!format!("{:?}", fixture.targets).contains("hunter2"));
    assert!(fixture.state.path().join("locks").is_dir());
}
