//! Hostile answers of a webhook: what is no clear success is none, and nothing of it reaches a terminal.

use std::collections::BTreeMap;

use tidegate::action::RolloutReport;
use tidegate::limits;
use tidegate::world::target::{TargetConfig, WebhookTarget};
use tokio_util::sync::CancellationToken;

use super::{Row, faults};
use crate::adapter::target::receiver::Receiver;
use crate::adapter::target::{ask, request, targets};

/// Status, headers, body, and what it comes to.
type Answer = (u16, &'static [(&'static str, &'static str)], Vec<u8>, &'static str);

#[rustfmt::skip]
pub(super) fn rows() -> Vec<Row<Answer>> {
    let row = |name, status, body: &[u8], end, says: &[&'static str]| {
        Row::new(name, (status, &[][..], body.to_vec(), end), says)
    };
    let waits = |name, headers: &'static [(&'static str, &'static str)]| {
        Row::new(name, (503, headers, Vec::new(), "transient"), &["the target answered 503"])
    };
    let deep = [b"{\"state\": ".to_vec(), b"[".repeat(100_000)].concat();
    vec![
        row("nothing", 204, b"", "complete", &[]),
        row("blanks", 200, b" \r\n\t", "complete", &[]),
        row("a page", 200, b"<html>OK</html>", "failed", &["without a `state` of `Complete`"]),
        row("a state in small letters", 200, b"{\"state\": \"complete\"}", "failed", &["without a `state`"]),
        row("a state of another kind", 200, b"{\"state\": true}", "failed", &["without a `state`"]),
        row("two states", 200, b"{\"state\": \"Complete\", \"state\": \"Failed\"}", "failed", &["without a `state`"]),
        row("a list", 200, b"[{\"state\": \"Complete\"}]", "failed", &["without a `state`"]),
        row("something behind it", 200, b"{\"state\": \"Complete\"} {", "failed", &["without a `state`"]),
        row("deep nesting", 200, &deep, "failed", &["without a `state`"]),
        row("no text", 200, b"\xff\xfe\x00", "failed", &["without a `state`"]),
        row("an endless answer", 200, &b"{\"state\": \"Complete\", \"message\": \"".iter().copied().chain(vec![b'x'; 3 << 20]).collect::<Vec<_>>(), "failed", &["without a `state`"]),
        row("a terminal's escapes", 200, b"{\"state\": \"Failed\", \"message\": \"\\u001b[31mno\\u0007\"}", "failed", &["[31mno"]),
        row("a failure without a word", 200, b"{\"state\": \"Failed\"}", "failed", &["the target says that it failed"]),
        row("running nowhere", 202, b"{\"state\": \"Running\"}", "failed", &["without a `statusUrl`"]),
        row("running in a file", 202, b"{\"state\": \"Running\", \"statusUrl\": \"file:///etc/passwd\"}", "failed", &["file:///etc/passwd", "no address"]),
        row("running in a script", 202, b"{\"state\": \"Running\", \"statusUrl\": \"javascript:1\"}", "failed", &["no address"]),
        row("running at half an address", 202, b"{\"state\": \"Running\", \"statusUrl\": \"http://[::1\"}", "failed", &["no address"]),
        row("done already, with a page", 409, b"<html>\x1b", "complete", &[]),
        row("a redirect", 307, b"", "failed", &["redirects are not followed"]),
        row("a refusal with escapes", 400, b"\x1b]0;owned\x07", "failed", &["the target answered 400"]),
        row("a status that nobody knows", 999, b"", "failed", &["999"]),
        row("an error with escapes", 500, b"\x1b[2Jgone", "transient", &["the target answered 500", "[2Jgone"]),
        waits("an endless wait", &[("retry-after", "18446744073709551615")]),
        waits("a wait into the past", &[("retry-after", "-5")]),
        waits("a wait that is no time", &[("retry-after", "soon")]),
        waits("a wait until long ago", &[("retry-after", "Thu, 01 Jan 1970 00:00:00 GMT")]),
    ]
}

#[tokio::test]
async fn hostile_answers_are_no_success() {
    let receiver = Receiver::start().await;
    let state = tempfile::tempdir().unwrap();
    let config = WebhookTarget {
        url: receiver.url.clone(),
        secret: None,
        headers: BTreeMap::new(),
        timeout: std::time::Duration::from_secs(30),
    };
    let targets = targets(TargetConfig::Webhook(config), state.path());
    let mut wrong = Vec::new();
    for row in rows() {
        let (status, headers, body, end) = row.input.clone();
        receiver.answer(status, headers, body);
        let report = targets.roll_out(&request(), CancellationToken::new()).await;
        let (came, told) = match report {
            RolloutReport::Complete { .. } => ("complete", String::new()),
            RolloutReport::Failed { reason, log } => ("failed", format!("{reason}\n{log}")),
            RolloutReport::Transient { reason, retry_after } => {
                if retry_after.is_some_and(|wait| wait > limits::TARGET_RETRY_AFTER_MAX) {
                    wrong.push(format!("{}: it waits for {retry_after:?}", row.name));
                }
                ("transient", reason)
            }
            other => ("other", format!("{other:?}")),
        };
        if came != end {
            wrong.push(format!("{}: {came} in place of {end}: {told}", row.name));
        }
        wrong.extend(row.check(&told.replace('\t', " ")));
    }
    // Asked how it goes on, neither silence nor 409 is a success.
    for (status, body) in [(200, ""), (409, ""), (204, ""), (200, "<html>")] {
        receiver.answer(status, &[], body);
        let asked = ask(receiver.url.as_str());
        let report = targets.ask(&asked, CancellationToken::new()).await;
        if !matches!(report, RolloutReport::Failed { .. }) {
            wrong.push(format!("asked how it goes on, {status} {body:?} is {report:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", faults(&wrong));
}
