//! Questions in the network of a pod, where Tidegate is not root (rule R5).
//!
//! That network belongs to a user namespace of podman, and a process with threads enters none. So podman runs this
//! program once more in there (`podman unshare`), and that one asks.

use std::ffi::OsStr;
use std::fs::File;

use rustix::process::{Signal, set_parent_process_death_signal};
use serde::{Deserialize, Serialize};

use super::probe::Question;
use super::program::{Call, Podman, Trouble};
use super::read;
use crate::limits::PODMAN_LOOK_TIMEOUT;

/// The word that asks this program for the answer.
pub const PROBE: &str = "probe-in-pod";

/// The variable with the question: headers may be secrets, and everybody may read arguments.
const QUESTION: &str = "TIDEGATE_PROBE";

/// What that process prints.
#[derive(Serialize, Deserialize)]
struct Answer {
    /// Why it is not ready; none where it is.
    why: Option<String>,
}

/// Has podman ask; why it is not ready.
pub(super) async fn ask(
    podman: &Podman<'_>,
    question: &Question,
) -> Result<Result<(), String>, Trouble> {
    match ask_podman(podman, question).await {
        Ok(answer) => Ok(answer.why.map_or(Ok(()), Err)),
        Err(Trouble::Refused(why) | Trouble::Passing(why)) => Ok(Err(why)),
        Err(Trouble::Cancelled) => Err(Trouble::Cancelled),
    }
}

async fn ask_podman(podman: &Podman<'_>, question: &Question) -> Result<Answer, Trouble> {
    let passing = |why: &dyn std::fmt::Display| Trouble::Passing(format!("podman unshare: {why}"));
    // Not its path: there may be another version by now, or nothing.
    let own = File::open("/proc/self/exe").map_err(|error| passing(&error))?;
    let question_text = serde_json::to_string(question).map_err(|error| passing(&error))?;
    let arguments = ["unshare", "/proc/self/fd/0", PROBE];
    let environment = [(QUESTION, OsStr::new(&question_text))];
    let call = Call {
        file: Some(&own),
        environment: &environment,
        ..Call::of(&podman.target.program, &arguments)
    };
    // What podman needs until it asks is no time of the answer.
    let timeout = question.timeout.saturating_add(PODMAN_LOOK_TIMEOUT);
    let said =
        podman.look_by(call, timeout).await?.said(&call).map_err(|trouble| match trouble {
            Trouble::Refused(why) => passing(&why),
            Trouble::Passing(_) | Trouble::Cancelled => trouble,
        })?;
    read::json("podman unshare", &said)
}

/// Asks what the environment has, and says what came of it: the whole life of a process that podman runs.
///
/// # Errors
///
/// Where nothing that can be understood was asked.
pub fn answer() -> Result<String, String> {
    // Whoever asked and ended wants to know no more.
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(|error| error.to_string())?;
    answer_to(&asked()?).map_err(|why| format!("`{QUESTION}`: {why}"))
}

#[expect(clippy::disallowed_methods, reason = "this process has no configuration")]
fn asked() -> Result<String, String> {
    std::env::var(QUESTION).map_err(|error| format!("`{QUESTION}`: {error}"))
}

fn answer_to(question: &str) -> Result<String, String> {
    let question: Question = serde_json::from_str(question).map_err(|error| error.to_string())?;
    crate::world::tls::init();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let why = runtime.block_on(question.ask()).err();
    // A thread that still waits for an answer is not waited for.
    runtime.shutdown_background();
    serde_json::to_string(&Answer { why }).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_is_told_and_what_can_is_asked() {
        for wrong in ["", "{}", "[1]", r#"{"pid":-1}"#, "\u{0}"] {
            assert!(answer_to(wrong).is_err(), "{wrong:?}");
        }
        // Our own network, where nobody listens; then a process that there cannot be.
        let of = |pid: u32, handler: &str| {
            let timeout = r#"{"secs":5,"nanos":0}"#;
            answer_to(&format!(
                r#"{{"pid":{pid},"address":"127.0.0.1","timeout":{timeout},"handler":{handler}}}"#
            ))
        };
        let tcp = r#"{"Tcp":{"port":1}}"#;
        let own = std::process::id();
        insta::assert_snapshot!(of(own, tcp).unwrap(), @r#"{"why":"Connection refused (os error 111)"}"#);
        insta::assert_snapshot!(of(0, tcp).unwrap(), @r#"{"why":"cannot open `/proc/0/ns/net`: No such file or directory (os error 2)"}"#);
        let http = r#"{"Http":{"path":"/\r\n","port":1,"headers":[["a\n","\u0000"]],"tls":true}}"#;
        insta::assert_snapshot!(of(own, http).unwrap(), @r#"{"why":"invalid HTTP header name"}"#);
        let exec = r#"{"Exec":{"command":[]}}"#;
        insta::assert_snapshot!(of(own, exec).unwrap(), @r#"{"why":"podman asks that"}"#);
    }
}
