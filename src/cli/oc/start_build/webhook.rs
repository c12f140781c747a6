//! `start-build --from-webhook`: a generic webhook is sent, as a hook of a git repository would.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use serde_json::{Value, json};

use crate::cli::oc::resource::Resource;
use crate::cli::{Context, ExitCode};
use crate::fact::SourceRevision;
use crate::limits::{HOOK_BODY_BYTES_MAX, TARGET_ANSWER_BYTES_MAX, TARGET_CONNECT_TIMEOUT};
use crate::world::git;
use crate::world::tls;

/// Flags of `--from-webhook`.
#[derive(Debug, clap::Args)]
pub(super) struct WebhookArguments {
    /// Start the build by this address of a generic webhook
    #[arg(long, value_name = "URL")]
    pub(super) from_webhook: Option<String>,
    /// With --from-webhook: what git gives a post-receive hook, in a file; `-` is standard input
    #[arg(long, value_name = "FILE", requires = "from_webhook")]
    git_post_receive: Option<PathBuf>,
    /// With --git-post-receive: the repository [default: the current folder]
    #[arg(long, value_name = "FOLDER", requires = "git_post_receive")]
    git_repository: Option<PathBuf>,
}

/// Sends the webhook, and prints the build that it started.
pub(super) fn send(
    arguments: &WebhookArguments,
    url: &str,
    output: &str,
    context: &mut Context<'_>,
) -> anyhow::Result<ExitCode> {
    let parsed = url::Url::parse(url).context("the address of --from-webhook is none")?;
    if !parsed.path().ends_with("/generic") {
        writeln!(
            context.err,
            "warning: the '--from-webhook' flag should be called with a generic webhook URL."
        )?;
    }
    let repository = arguments.git_repository.as_deref().unwrap_or(Path::new("."));
    let event = match &arguments.git_post_receive {
        Some(path) => event(&text_of(path)?, repository),
        None => None,
    };
    let body = event.map(|event| event.to_string()).unwrap_or_default();
    let answer = post(parsed, body)?;
    if answer.is_empty() {
        return Ok(ExitCode::Done);
    }
    let build: Value =
        serde_json::from_str(&answer).context("the answer of the webhook is not understood")?;
    let name = build.pointer("/metadata/name").and_then(Value::as_str);
    match name.filter(|_| build.get("kind").is_some_and(|kind| kind == "Build")) {
        Some(name) => {
            let word = if output == "name" { "" } else { " started" };
            writeln!(context.out, "{}/{name}{word}", Resource::Builds.singular())?;
        }
        None => {
            let message = build.get("message").and_then(Value::as_str);
            let message = message.unwrap_or("the webhook started no build");
            writeln!(context.err, "{message}")?;
        }
    }
    Ok(ExitCode::Done)
}

fn post(url: url::Url, body: String) -> anyhow::Result<String> {
    tls::init();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("cannot start the runtime")?;
    runtime.block_on(async {
        let client = reqwest::Client::builder()
            .user_agent(concat!("tidegate/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(TARGET_CONNECT_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .context("cannot make an HTTP client")?;
        let request = client.post(url).header("Content-Type", "application/json").body(body);
        // An address may have a secret in it, which errors would show.
        let sent = request.send().await.map_err(reqwest::Error::without_url);
        let mut response = sent.context("cannot send the webhook")?;
        let status = response.status();
        let mut answer = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(reqwest::Error::without_url)? {
            let room = TARGET_ANSWER_BYTES_MAX.saturating_sub(answer.len());
            answer.extend(piece.iter().take(room));
        }
        let answer = String::from_utf8_lossy(&answer).into_owned();
        if status.is_redirection() {
            return Ok(String::new());
        }
        if !status.is_success() {
            let answer = crate::secret::masked(&answer);
            bail!("server rejected our request {}\nremote: {answer}", status.as_u16());
        }
        Ok(answer)
    })
}

/// What a generic webhook says of the references that were pushed; none where none was.
fn event(received: &str, repository: &Path) -> Option<Value> {
    let changed = received.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let (old, new, name) = (words.next()?, words.next()?, words.next()?);
        (old != new).then_some((new, name))
    });
    let refs: Vec<Value> = changed
        .map(|(new, name)| {
            // What the repository does not have is told without more words.
            let told = git::revision_of(repository, new).unwrap_or_default();
            let SourceRevision { author, committer, message, .. } = told;
            json!({
                "ref": name,
                "commit": new,
                "author": user(&author),
                "committer": user(&committer),
                "message": message,
            })
        })
        .collect();
    (!refs.is_empty()).then(|| json!({"git": {"refs": refs}}))
}

fn user(text: &str) -> Value {
    match text.rsplit_once(" <") {
        Some((name, address)) => json!({"name": name, "email": address.trim_end_matches('>')}),
        None => json!({}),
    }
}

fn text_of(path: &Path) -> anyhow::Result<String> {
    let mut text = String::new();
    let reading = || format!("cannot read `{}` (--git-post-receive)", path.display());
    let limit = HOOK_BODY_BYTES_MAX as u64;
    if path == Path::new("-") {
        std::io::stdin().lock().take(limit).read_to_string(&mut text).with_context(reading)?;
    } else {
        let file = std::fs::File::open(path).with_context(reading)?;
        file.take(limit).read_to_string(&mut text).with_context(reading)?;
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c015_what_was_pushed_is_told_as_a_generic_webhook_tells_it() {
        let (old, new) = ("0".repeat(40), "1".repeat(40));
        let text = format!("{old} {new} refs/heads/main\n{new} {new} refs/heads/same\nodd\n");
        let folder = tempfile::tempdir().unwrap();
        let event = event(&text, folder.path()).unwrap();
        let refs = event["git"]["refs"].as_array().unwrap();
        assert_eq!(refs.len(), 1);
        assert_eq!((&refs[0]["ref"], &refs[0]["commit"]), (&json!("refs/heads/main"), &json!(new)));
        assert_eq!(super::event("", folder.path()), None);
    }
}
