//! `tidegate set image-lookup`: which streams pods and builds may name as their images (rule I150).

use anyhow::bail;

use super::ApiError;
use super::edit::{Desk, EditArguments, Outcome, edit, look};
use super::kinds::{ManifestKind, Subject};
use crate::cli::{Context, ExitCode};
use crate::desired::Step;
use crate::edit::{Document, Manifests, Place, Value, Words};
use crate::names::Namespace;
use crate::oc::selector::Selector;
use crate::oc::tabs;

/// The annotation by which a workload looks names up whatever the stream says.
const RESOLVE: &str = "alpha.image.policy.openshift.io/resolve-names";

/// Let pods and builds name an image stream as their image, or show which may
///
/// Without a name it shows all streams. A workload (`deploy/web`) gets an annotation on its pod template by which its
/// images are looked up whatever the streams say.
#[derive(Debug, clap::Args)]
pub(super) struct Command {
    /// Streams, or other objects as KIND/NAME
    #[arg(value_name = "STREAM|KIND/NAME")]
    words: Vec<String>,
    /// Whether they may be looked up; --enabled=false ends it
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    #[arg(default_value_t = true, hide_possible_values = true, value_name = "BOOL")]
    #[arg(action = clap::ArgAction::Set)]
    enabled: bool,
    /// All image streams of the namespace
    #[arg(long)]
    all: bool,
    /// Only show how it is
    #[arg(long)]
    list: bool,
    /// Streams that have these labels
    #[arg(short = 'l', long, value_name = "LABELS")]
    selector: Option<Selector>,
    #[command(flatten)]
    edit: EditArguments,
}

pub(super) fn run(command: &Command, context: &mut Context<'_>) -> anyhow::Result<ExitCode> {
    let is_about_some = command.all || command.selector.is_some() || !command.words.is_empty();
    if command.list || !is_about_some {
        let look = look(&command.edit, context)?;
        let mut table = "NAME\tLOCAL\n".to_owned();
        for (kind, place) in subjects(command, &look.manifests, &look.namespace)? {
            if let Some(document) = look.manifests.at(&place) {
                let name = &document.name;
                let shown = match kind == ManifestKind::STREAM {
                    true => name.clone(),
                    false => format!("{}/{name}", kind.plural()),
                };
                table.push_str(&format!("{shown}\t{}\n", is_enabled(kind, document)));
            }
        }
        context.out.write_all(tabs::narrow_table(&table).as_bytes())?;
        return Ok(ExitCode::Done);
    }
    edit(&command.edit, context, |desk| set(command, desk))
}

fn set(command: &Command, desk: &mut Desk<'_>) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::default();
    let mut names = Vec::new();
    for (kind, place) in subjects(command, &desk.manifests, &desk.namespace)? {
        let Some(document) = desk.manifests.at(&place) else { continue };
        if is_enabled(kind, document) == command.enabled {
            continue; // nothing is said of what does not change
        }
        let name = document.name.clone();
        if kind == ManifestKind::STREAM {
            let path = ["spec", "lookupPolicy", "local"].map(|key| Step::Key(key.into()));
            desk.manifests.put(&place, &path, Value::Bool(command.enabled))?;
        } else {
            let path: Vec<Step> =
                annotations(kind).iter().map(|key| Step::Key((*key).into())).collect();
            let mut words = Words::default();
            if command.enabled {
                words.set.insert(RESOLVE.into(), "*".into());
            } else {
                words.removed.insert(RESOLVE.into());
            }
            desk.manifests.put_words(&place, &path, &words)?;
        }
        outcome.lines.push(desk.line(format!("{}/{name} image lookup updated", kind.singular())));
        names.push(name);
    }
    let word = if command.enabled { "allow" } else { "end" };
    outcome.message = format!("{word} image lookup of {}", names.join(", "));
    Ok(outcome)
}

/// Where the annotations of the pods stand, or those of the object where it makes none.
fn annotations(kind: ManifestKind) -> Vec<&'static str> {
    let template = kind.pod_template().unwrap_or_default();
    template.iter().copied().chain(["metadata", "annotations"]).collect()
}

fn is_enabled(kind: ManifestKind, document: &Document) -> bool {
    if kind == ManifestKind::STREAM {
        return document.text(&["spec", "lookupPolicy", "local"]) == Some("true");
    }
    let mut path = annotations(kind);
    path.push(RESOLVE);
    document.text(&path) == Some("*")
}

/// What the words name; streams where no kind is said.
fn subjects(
    command: &Command,
    manifests: &Manifests,
    namespace: &Namespace,
) -> anyhow::Result<Vec<(ManifestKind, Place)>> {
    if command.words.is_empty() {
        let is_it = |document: &&Document| {
            let selector = command.selector.as_ref();
            document.is(ManifestKind::STREAM.sort)
                && document.namespace == *namespace
                && !document.in_template
                && selector.is_none_or(|selector| selector.matches(&document.labels()))
        };
        let mut found: Vec<&Document> = manifests.documents().filter(is_it).collect();
        found.sort_by(|a, b| a.name.cmp(&b.name));
        return Ok(found.into_iter().map(|found| (ManifestKind::STREAM, found.place())).collect());
    }
    let mut subjects = Vec::new();
    for word in &command.words {
        let (kind, name) = match word.split_once('/') {
            None => (ManifestKind::STREAM, word.as_str()),
            Some((kind, name)) => match Subject::from_word(kind) {
                Some(Subject::Manifest(kind)) => (kind, name),
                Some(Subject::StreamTag) => {
                    bail!("image lookup is set for a whole image stream, not for a tag")
                }
                None => bail!("the server doesn't have a resource type \"{kind}\""),
            },
        };
        let found = manifests.find(kind.sort, namespace, name)?.map(Document::place);
        let place = found.ok_or_else(|| ApiError::not_found(&kind.resource(), name))?;
        subjects.push((kind, place));
    }
    Ok(subjects)
}
