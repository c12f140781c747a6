//! The payload of anybody's script (rule B23). What cannot be read keeps nobody from building, as at OpenShift.

use serde::Deserialize;

use super::super::{First, Notice, Silence, json, shown};
use super::{Moved, Payload, Refs, bounded, person};
use crate::fact::SourceRevision;

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct Body {
    git: Option<Git>,
    #[serde(default)]
    env: First<Variable>,
    docker_strategy_options: Option<Docker>,
}

/// `git`, and each of its `refs`.
#[derive(Deserialize)]
struct Git {
    r#ref: Option<String>,
    commit: Option<String>,
    author: Option<Person>,
    committer: Option<Person>,
    message: Option<String>,
    refs: Option<First<Git>>,
}

#[derive(Deserialize)]
struct Person {
    name: Option<String>,
    email: Option<String>,
}

#[derive(Deserialize)]
struct Variable {
    name: String,
    value: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct Docker {
    #[serde(default)]
    build_args: First<Variable>,
    no_cache: Option<bool>,
}

pub(super) fn read(notice: &Notice<'_>) -> Result<Payload, Silence> {
    if notice.body.trim_ascii().is_empty() {
        return Ok(Payload::default());
    }
    let given = (notice.header)("content-type").unwrap_or_default();
    let kind = given.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let body: Result<Body, String> = match kind.as_str() {
        "application/json" => json(notice.body).map_err(|silence| match silence {
            Silence::Nothing(why) | Silence::Unreadable(why) => {
                format!(
                    "error unmarshalling payload: {why}, ignoring payload and continuing with build"
                )
            }
        }),
        "application/yaml" => yaml(notice.body),
        _ => {
            Err("invalid Content-Type on payload, ignoring payload and continuing with build"
                .into())
        }
    };
    match body {
        Ok(body) => payload(body),
        Err(warning) => Ok(Payload { warnings: vec![warning], ..Payload::default() }),
    }
}

/// What is told of a wrong one names the place and never the content.
fn yaml(body: &[u8]) -> Result<Body, String> {
    let read = match std::str::from_utf8(body) {
        Ok(text) => {
            serde_yaml::from_str::<Option<Body>>(text).map_err(|error| match error.location() {
                Some(at) => format!("line {}, column {}", at.line(), at.column()),
                None => "it is not of the shape that is expected".to_owned(),
            })
        }
        Err(_) => Err("it is not UTF-8".to_owned()),
    };
    let told = |why| {
        format!(
            "error converting payload to json: {why}, ignoring payload and continuing with build"
        )
    };
    read.map(Option::unwrap_or_default).map_err(told)
}

fn payload(body: Body) -> Result<Payload, Silence> {
    let Body { git, env: First(env), docker_strategy_options } = body;
    let Docker { build_args: First(build_args), no_cache } =
        docker_strategy_options.unwrap_or_default();
    let refs = match git {
        None => Refs::Without,
        Some(Git { refs: Some(First(refs)), .. }) => {
            Refs::Any(refs.into_iter().map(moved).collect::<Result<_, _>>()?)
        }
        Some(git) => Refs::One(moved(git)?),
    };
    let pairs = |all: Vec<Variable>| -> Vec<(String, String)> {
        all.into_iter().map(|Variable { name, value }| (name, value.unwrap_or_default())).collect()
    };
    let env = bounded(pairs(env), "env")?;
    let build_args = bounded(pairs(build_args), "dockerStrategyOptions.buildArgs")?;
    Ok(Payload { refs, env, build_args, no_cache, ..Payload::default() })
}

fn moved(git: Git) -> Result<Moved, Silence> {
    let Git { r#ref: reference, commit, author, committer, message, .. } = git;
    let text = |who: Option<Person>| {
        who.map(|who| person(who.name.as_deref(), who.email.as_deref())).unwrap_or_default()
    };
    let revision = SourceRevision {
        commit: committish(commit.unwrap_or_default())?,
        author: text(author),
        committer: text(committer),
        date: String::new(),
        message: SourceRevision::line(message.as_deref().unwrap_or_default()),
    };
    Ok(Moved { reference: reference.unwrap_or_default(), revision })
}

/// What a script calls a commit: an id or the beginning of one, a tag, a branch; never what git would take for an option
/// or for a walk through its history.
fn committish(text: String) -> Result<String, Silence> {
    let good = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.' | b'/' | b'+');
    let is_good = text.len() <= 250
        && text.bytes().all(good)
        && !text.starts_with(['-', '.', '/'])
        && !text.contains("..");
    match is_good {
        true => Ok(text),
        false => Err(Silence::Unreadable(format!("`{}` is not a commit", shown(&text)))),
    }
}
