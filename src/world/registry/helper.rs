//! Asks a credential helper for a login: `docker-credential-NAME get`, the protocol of Docker's credential helpers.

use std::io;
use std::process::Stdio;

use serde::Deserialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};

use super::wire::clean;
use crate::limits;
use crate::secret;

/// What a helper says where it has no login: the words are part of the protocol.
const NOT_FOUND: &str = "credentials not found in native keychain";

#[derive(Deserialize)]
struct Answer {
    #[serde(rename = "Username", default)]
    user: String,
    #[serde(rename = "Secret", default)]
    secret: String,
}

/// Asks for the login of a server: its user and its password; none where the helper has none.
///
/// # Errors
/// Why there is no answer, without anything that the helper may have said of a login.
pub(super) async fn get(name: &str, server: &str) -> Result<Option<(String, String)>, String> {
    if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)) {
        return Err(format!("`{}` is not the name of one", clean(name)));
    }
    let program = format!("docker-credential-{name}");
    let mut command = Command::new(&program);
    command.arg("get").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.kill_on_drop(true).spawn().map_err(|error| {
        if error.kind() == io::ErrorKind::NotFound {
            return "there is no such program on the PATH".to_owned();
        }
        format!("it cannot be started: {error}")
    })?;
    let limit = limits::CREDENTIAL_HELPER_TIMEOUT;
    let answered = tokio::time::timeout(limit, talk(&mut child, server)).await;
    let (bytes, success) = answered
        .map_err(|_| format!("it did not answer within {} s", limit.as_secs()))?
        .map_err(|error| format!("it cannot be talked to: {error}"))?;
    if !success {
        let said = clean(&secret::masked(&String::from_utf8_lossy(&bytes)));
        return match said.contains(NOT_FOUND) {
            true => Ok(None),
            false => Err(if said.is_empty() { "it failed".into() } else { said }),
        };
    }
    // The parser's own message could quote a password.
    let answer: Answer = serde_json::from_slice(&bytes)
        .map_err(|_| "its answer is not that of a credential helper".to_owned())?;
    Ok((!answer.secret.is_empty()).then_some((answer.user, answer.secret)))
}

async fn talk(child: &mut Child, server: &str) -> io::Result<(Vec<u8>, bool)> {
    if let Some(mut input) = child.stdin.take() {
        // One that does not listen may still answer.
        let written = input.write_all(format!("{server}\n").as_bytes()).await;
        if let Err(error) = written.and(input.shutdown().await)
            && error.kind() != io::ErrorKind::BrokenPipe
        {
            return Err(error);
        }
    }
    let mut bytes = Vec::new();
    if let Some(output) = child.stdout.take() {
        output.take(limits::CREDENTIAL_HELPER_BYTES_MAX).read_to_end(&mut bytes).await?;
    }
    Ok((bytes, child.wait().await?.success()))
}
