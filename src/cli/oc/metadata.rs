//! `tidegate annotate` and `tidegate label`: texts on objects in git.

use std::collections::BTreeMap;

use anyhow::bail;

use super::ApiError;
use super::edit::{Desk, EditArguments, Outcome, edit};
use super::kinds::{ManifestKind, Subject};
use super::resource;
use super::tag::stream_name;
use crate::cli::{Context, ExitCode};
use crate::desired::Step;
use crate::edit::{Document, Place, Words};
use crate::oc::selector::Selector;

/// Annotate objects in git, as `oc annotate` does
///
/// Image streams, their tags (`istag python:3.6`: the entry of the tag is annotated), and manifests of other kinds that
/// are found in git.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Annotate {
    /// Kind and names, then annotations: `is python team=web`, `istag/python:3.6 tags=hidden old-`
    #[arg(value_name = "KIND NAME KEY=VALUE|KEY-")]
    words: Vec<String>,
    #[command(flatten)]
    common: Common,
}

/// Label objects in git, as `oc label` does
///
/// Image streams and manifests of other kinds that are found in git.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Label {
    /// Kind and names, then labels: `is python app=web`, `dc/web tier=front old-`
    #[arg(value_name = "KIND NAME KEY=VALUE|KEY-")]
    words: Vec<String>,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, clap::Args)]
struct Common {
    /// Change values that are there
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    #[arg(default_value_t = false, action = clap::ArgAction::Set, hide_default_value = true)]
    #[arg(hide_possible_values = true, value_name = "BOOL")]
    overwrite: bool,
    /// All objects of the kind in the namespace
    #[arg(long)]
    all: bool,
    /// Objects that have these labels
    #[arg(short = 'l', long, value_name = "LABELS")]
    selector: Option<Selector>,
    #[command(flatten)]
    edit: EditArguments,
}

/// Which of the two it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    Annotation,
    Label,
}

impl What {
    fn noun(self) -> &'static str {
        match self {
            Self::Annotation => "annotation",
            Self::Label => "label",
        }
    }

    fn article(self) -> &'static str {
        match self {
            Self::Annotation => "an",
            Self::Label => "a",
        }
    }

    fn verb(self) -> &'static str {
        match self {
            Self::Annotation => "annotate",
            Self::Label => "label",
        }
    }

    fn path(self) -> [&'static str; 2] {
        match self {
            Self::Annotation => ["metadata", "annotations"],
            Self::Label => ["metadata", "labels"],
        }
    }
}

pub(super) fn annotate(command: &Annotate, context: &mut Context<'_>) -> anyhow::Result<ExitCode> {
    run(What::Annotation, &command.words, &command.common, context)
}

pub(super) fn label(command: &Label, context: &mut Context<'_>) -> anyhow::Result<ExitCode> {
    run(What::Label, &command.words, &command.common, context)
}

fn run(
    what: What,
    words: &[String],
    common: &Common,
    context: &mut Context<'_>,
) -> anyhow::Result<ExitCode> {
    let is_pair = |word: &&String| word.contains('=') || word.ends_with('-');
    let names: Vec<String> = words.iter().take_while(|word| !is_pair(word)).cloned().collect();
    let wish = pairs(what, words.get(names.len()..).unwrap_or_default())?;
    let wanted = resource::read(&names, what.verb(), Subject::from_word, Subject::all);
    let is_chosen = common.all || common.selector.is_some();
    let wanted = match wanted {
        Ok(wanted) if is_chosen || wanted.iter().all(|(_, name)| name.is_some()) => wanted,
        Ok(_) | Err(resource::WordsError::Nothing { .. }) => {
            bail!(
                "one or more resources must be specified as <resource> <name> or <resource>/<name>"
            );
        }
        Err(error) => return Err(error.into()),
    };
    if wish.set.is_empty() && wish.removed.is_empty() {
        bail!("at least one {} update is required", what.noun());
    }
    edit(&common.edit, context, |desk| change(what, &wish, &wanted, common, desk))
}

/// Reads `key=value` and `key-`.
fn pairs(what: What, words: &[String]) -> anyhow::Result<Words> {
    let mut wish = Words::default();
    for word in words {
        match (word.split_once('='), word.strip_suffix('-')) {
            (Some((key, value)), _) if !key.is_empty() => {
                wish.set.insert(key.to_owned(), value.to_owned());
            }
            (None, Some(key)) if !key.is_empty() => {
                wish.removed.insert(key.to_owned());
            }
            _ => bail!("unexpected {} format: {word}: it is KEY=VALUE or KEY-", what.noun()),
        }
    }
    if wish.set.keys().any(|key| wish.removed.contains(key)) {
        let (article, noun) = (what.article(), what.noun());
        bail!("can not both modify and remove {article} {noun} in the same command");
    }
    for (key, value) in &wish.set {
        check_key(what, key)?;
        if what == What::Label && !is_label_value(value) {
            bail!(
                "invalid label value: \"{key}={value}\": a valid label must be an empty string or consist of alphanumeric \
                 characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or \
                 'my_value',  or '12345', regex used for validation is \
                 '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
            );
        }
    }
    Ok(wish)
}

/// A qualified name: `app`, `example.com/app`.
fn check_key(what: What, key: &str) -> anyhow::Result<()> {
    let (prefix, name) =
        key.split_once('/').map_or((None, key), |(prefix, name)| (Some(prefix), name));
    let is_prefix = |text: &str| {
        text.to_ascii_lowercase() == text && text.parse::<crate::names::ObjectName>().is_ok()
    };
    if !name.is_empty() && is_label_value(name) && prefix.is_none_or(is_prefix) {
        return Ok(());
    }
    bail!(
        "invalid {} key: \"{key}\": a name consists of alphanumeric characters, '-', '_' or '.', begins and ends with an \
         alphanumeric character and has at most 63, with a DNS subdomain and a slash in front of it if it has a prefix",
        what.noun()
    )
}

fn is_label_value(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let edge = |c: Option<char>| c.is_none_or(|c| c.is_ascii_alphanumeric());
    text.len() <= 63
        && text.chars().all(inner)
        && edge(text.chars().next())
        && edge(text.chars().last())
}

fn change(
    what: What,
    wish: &Words,
    wanted: &[(Subject, Option<String>)],
    common: &Common,
    desk: &mut Desk<'_>,
) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::default();
    let mut names = Vec::new();
    for (subject, name) in wanted {
        let found = match name {
            Some(name) => vec![name.clone()],
            None => chosen(common, *subject, desk),
        };
        for name in found {
            match change_one(what, wish, (*subject, &name), common.overwrite, desk) {
                Ok(lines) => {
                    outcome.lines.extend(lines.into_iter().map(|line| desk.line(line)));
                    names.push(name);
                }
                Err(error) if outcome.lines.is_empty() => return Err(error),
                Err(error) => {
                    outcome.failed = Some(error);
                    break;
                }
            }
        }
        if outcome.failed.is_some() {
            break;
        }
    }
    if names.is_empty() {
        outcome.notes.push("No resources found".into());
    }
    outcome.message = format!("{} {}", what.verb(), names.join(", "));
    Ok(outcome)
}

fn chosen(common: &Common, subject: Subject, desk: &Desk<'_>) -> Vec<String> {
    let kind = match subject {
        Subject::Manifest(kind) => kind,
        Subject::StreamTag => return Vec::new(), // a tag has no labels of its own
    };
    let matches = |document: &&Document| {
        let selector = common.selector.as_ref();
        document.is(kind.sort)
            && document.namespace == desk.namespace
            && !document.in_template
            && selector.is_none_or(|selector| selector.matches(&document.labels()))
    };
    let mut names: Vec<String> =
        desk.manifests.documents().filter(matches).map(|document| document.name.clone()).collect();
    names.sort();
    names
}

/// Where the texts of an object stand.
fn place_of(
    what: What,
    (subject, name): (Subject, &str),
    desk: &Desk<'_>,
) -> anyhow::Result<(Place, Vec<Step>)> {
    let missing = || ApiError::not_found(&subject.resource(), name);
    let path = || what.path().into_iter().map(|key| Step::Key(key.into())).collect();
    match subject {
        Subject::Manifest(kind) => {
            let found = desk.manifests.find(kind.sort, &desk.namespace, name)?;
            Ok((found.ok_or_else(missing)?.place(), path()))
        }
        Subject::StreamTag => {
            if what == What::Label {
                bail!(
                    "a tag has the labels of its image stream: label `{}/{name}`",
                    ManifestKind::STREAM.singular()
                );
            }
            let Some((stream, tag)) = name.split_once(':') else {
                let message = "ImageStreamTags must be retrieved with <name>:<tag>".to_owned();
                return Err(ApiError::bad_request(message).into());
            };
            let stream = stream_name(&desk.namespace, stream).map_err(|_| missing())?;
            let place = desk.manifests.stream(&stream)?.ok_or_else(missing)?;
            let path = desk.manifests.tag_annotations(&place, tag).ok_or_else(missing)?;
            Ok((place, path))
        }
    }
}

fn change_one(
    what: What,
    wish: &Words,
    object: (Subject, &str),
    overwrite: bool,
    desk: &mut Desk<'_>,
) -> anyhow::Result<Vec<String>> {
    let (place, path) = place_of(what, object, desk)?;
    let before = desk.manifests.words(&place, &path);
    if !overwrite {
        refuse_overwriting(what, wish, &before)?;
    }
    desk.manifests.put_words(&place, &path, wish)?;
    let after = wish.applied(&before);
    let mut lines = Vec::new();
    let done = match what {
        What::Annotation => "annotated",
        What::Label => {
            let unknown = wish.removed.iter().filter(|key| !before.contains_key(*key));
            lines.extend(unknown.map(|key| format!("label \"{key}\" not found.")));
            if after == before {
                "not labeled"
            } else if wish.set.is_empty() {
                "unlabeled"
            } else {
                "labeled"
            }
        }
    };
    let (subject, name) = object;
    lines.push(format!("{}/{name} {done}", subject.singular()));
    Ok(lines)
}

fn refuse_overwriting(
    what: What,
    wish: &Words,
    before: &BTreeMap<String, String>,
) -> anyhow::Result<()> {
    let known = wish.set.iter().filter_map(|(key, value)| {
        let old = before.get(key).filter(|old| *old != value)?;
        Some(format!("'{key}' already has a value ({old})"))
    });
    let known: Vec<String> = known.collect();
    match (what, known.as_slice()) {
        (_, []) => Ok(()),
        (What::Annotation, known) => {
            let known = known.join("; ");
            bail!("--overwrite is false but found the following declared annotation(s): {known}")
        }
        (What::Label, [one]) => bail!("{one}, and --overwrite is false"),
        (What::Label, several) => {
            let texts: Vec<String> =
                several.iter().map(|text| format!("{text}, and --overwrite is false")).collect();
            bail!("[{}]", texts.join(", "))
        }
    }
}
