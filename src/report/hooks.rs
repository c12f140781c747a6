//! What came in by webhooks, as `tidegate hooks` shows it.

use serde::Serialize;

use crate::hook::deliveries::{Delivery, Listening, Verdict};

use super::FORMAT_VERSION;
use super::words::{BAD, FAINT, GOOD, WAITS, one_line, styled};

/// The listener and its deliveries.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Hooks {
    format_version: u32,
    #[serde(flatten)]
    listening: Listening,
}

impl Hooks {
    /// Of all hooks, or of one.
    #[must_use]
    pub fn of(listening: Listening, hook: Option<&str>) -> Self {
        let Listening { address, mut hooks, mut deliveries } = listening;
        if let Some(hook) = hook {
            hooks.retain(|name, _| name == hook);
            deliveries.retain(|delivery| delivery.hook.as_deref() == Some(hook));
        }
        let listening = Listening { address, hooks, deliveries };
        Self { format_version: FORMAT_VERSION, listening }
    }

    /// For people: the listener, its hooks, and a line for each delivery, newest last.
    #[must_use]
    pub fn to_text(&self) -> String {
        let Listening { address, hooks, deliveries } = &self.listening;
        let mut text = match address {
            Some(address) => format!("listening at {address}\n"),
            None => "nothing listens for webhooks: `listener.address` is not set\n".to_owned(),
        };
        for (name, kind) in hooks {
            text += &format!("hook {name} ({kind}): /hooks/{name}\n");
        }
        if deliveries.is_empty() {
            return text + "nothing came in since the daemon was started\n";
        }
        text.push('\n');
        text + &deliveries.iter().map(line).collect::<String>()
    }
}

fn line(delivery: &Delivery) -> String {
    let Delivery { at, hook, id, verdict, reason, hints, times, .. } = delivery;
    let style = match verdict {
        Verdict::Accepted => GOOD,
        Verdict::Ignored => WAITS,
        Verdict::Refused => BAD,
    };
    let name = hook.as_deref().unwrap_or("-");
    let times = if *times > 1 { format!(" ({times} times)") } else { String::new() };
    let verdict = styled(style, verdict.as_str());
    let at = at.to_rfc3339_seconds();
    let mut text = format!("{at} {name} {verdict}: {}{times}\n", one_line(reason));
    let named: Vec<_> = hints.iter().map(|hint| one_line(hint)).collect();
    let id = id.as_ref().map(|id| format!("delivery {id}"));
    let below: Vec<_> = named.into_iter().chain(id).collect();
    if !below.is_empty() {
        text += &format!("  {}\n", styled(FAINT, below.join(", ")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hook::Kind;
    use crate::time::Timestamp;

    fn delivery(hook: Option<&str>, verdict: Verdict, reason: &str, times: u32) -> Delivery {
        Delivery {
            at: Timestamp::from_millis(1_790_000_000_123),
            hook: hook.map(str::to_owned),
            id: None,
            verdict,
            reason: reason.into(),
            hints: Vec::new(),
            build: None,
            times,
        }
    }

    #[test]
    fn every_delivery_says_what_became_of_it() {
        let accepted = Delivery {
            id: Some("72d3162e-cc78".into()),
            hints: vec!["ghcr.io/team/web:1".into()],
            ..delivery(Some("gh"), Verdict::Accepted, "looks at shop/web:latest", 1)
        };
        let listening = Listening {
            address: Some("127.0.0.1:8077".into()),
            hooks: [("gh".to_owned(), Kind::GitHub)].into(),
            deliveries: vec![
                delivery(None, Verdict::Refused, "no hook is there", 3),
                delivery(Some("gh"), Verdict::Ignored, "a ping: the hook is set up", 1),
                accepted,
            ],
        };
        let shown = |hook| {
            let text = Hooks::of(listening.clone(), hook).to_text();
            anstream::adapter::strip_str(&text).to_string()
        };
        assert_eq!(
            shown(None),
            "listening at 127.0.0.1:8077\nhook gh (github): /hooks/gh\n\n\
             2026-09-21T14:13:20Z - refused: no hook is there (3 times)\n\
             2026-09-21T14:13:20Z gh ignored: a ping: the hook is set up\n\
             2026-09-21T14:13:20Z gh accepted: looks at shop/web:latest\n  \
             ghcr.io/team/web:1, delivery 72d3162e-cc78\n"
        );
        assert!(!shown(Some("gh")).contains("no hook is there"));
        assert!(Hooks::of(Listening::default(), None).to_text().starts_with("nothing listens"));
    }
}
