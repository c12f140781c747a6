//! `tidegate tag`: spec tags of image streams in git (rules I95 to I102).

mod live;

use anyhow::bail;

use super::edit::{Desk, EditArguments, Outcome, dependents, edit};
use super::{ApiError, UsageError};
use crate::action::ImportMode;
use crate::api::view;
use crate::cli::{Context, ExitCode, offline};
use crate::config::Config;
use crate::edit::EditError;
use crate::edit::tag::{Import, SourceKind, TagFields, TagFrom};
use crate::names::{Namespace, StreamName, StreamTag, TagName};
use crate::observed::ObservedState;
use crate::policy::Policy;
use crate::reference::ImageReference;

/// Tag images into image streams in git, as `oc tag` does
///
/// SOURCE is `python:3.6` (the image that the tag has now), `python@sha256:…`, or an image of a registry
/// (`docker.io/python:3.6.0`; a bare name like `python` too). DEST is `stream:tag`, with `namespace/` in front of it if
/// it is another one. The entry of the tag is replaced as a whole: a schedule, a policy, annotations that are not
/// repeated are gone.
///
/// With --live git is not changed: the running daemon puts the tag over what git says and records who asked for that. It
/// lasts until a commit changes what git says of the tag; until then `status` shows it as drift. To end it before, set
/// the tag to what git says, or delete it where git has none.
#[derive(Debug, clap::Args)]
#[command(mut_arg("live", |live| live.hide(false)))]
pub(in crate::cli) struct Command {
    /// Source and destinations, or with --delete the tags that go
    #[arg(value_name = "SOURCE DEST")]
    words: Vec<String>,
    /// Take tags out of git instead
    #[arg(short, long)]
    delete: bool,
    /// What SOURCE is: imagestreamtag (istag), imagestreamimage (isimage), docker
    #[arg(long, value_name = "KIND", default_value = "", hide_default_value = true)]
    source: String,
    #[command(flatten)]
    fields: Fields,
    #[command(flatten)]
    edit: EditArguments,
}

/// What the entry says beside its source.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "the flags of oc")]
struct Fields {
    /// Follow the source tag of the same stream, in place of the image that it has now
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    #[arg(default_value_t = false, action = clap::ArgAction::Set, hide_default_value = true)]
    #[arg(hide_possible_values = true, value_name = "BOOL")]
    alias: bool,
    /// Record the reference as it is written, and never import it
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    #[arg(default_value_t = false, action = clap::ArgAction::Set, hide_default_value = true)]
    #[arg(hide_possible_values = true, value_name = "BOOL")]
    reference: bool,
    /// Import again and again
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    #[arg(default_value_t = false, action = clap::ArgAction::Set, hide_default_value = true)]
    #[arg(hide_possible_values = true, value_name = "BOOL")]
    scheduled: bool,
    /// Allow plain HTTP and unverified TLS
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    #[arg(default_value_t = false, action = clap::ArgAction::Set, hide_default_value = true)]
    #[arg(hide_possible_values = true, value_name = "BOOL")]
    insecure: bool,
    /// Where images are pulled from: source or local
    #[arg(long, value_name = "POLICY", default_value = "source")]
    reference_policy: String,
    /// What is imported of an index: `Legacy` or `PreserveOriginal`
    #[arg(long, value_name = "MODE", default_value = "", hide_default_value = true)]
    import_mode: String,
}

/// A source that was found out.
struct Source {
    kind: SourceKind,
    reference: ImageReference,
}

impl Source {
    /// As messages name it.
    fn shown(&self) -> String {
        self.reference.exact()
    }
}

/// What is asked for: checked as far as the words of the command go.
struct Wanted {
    source: Source,
    mode: Option<ImportMode>,
    destinations: Vec<Destination>,
}

/// What words are read against.
struct Place<'a> {
    config: &'a Config,
    /// The namespace that is meant where none is named.
    namespace: &'a Namespace,
    /// Whether git has a stream.
    has_stream: &'a dyn Fn(&StreamName) -> anyhow::Result<bool>,
}

/// `[namespace/]stream:tag` as it was written.
struct Destination {
    namespace: Namespace,
    word: String,
}

pub(super) fn run(command: &Command, context: &mut Context<'_>) -> anyhow::Result<ExitCode> {
    if command.words.is_empty() {
        let message =
            "you must specify a source and at least one destination or one or more tags to delete";
        return Err(UsageError { command: "tag", message: message.into() }.into());
    }
    if command.edit.live {
        return live::run(command, context);
    }
    edit(&command.edit, context, |desk| {
        if command.delete { delete(command, desk) } else { set(command, desk) }
    })
}

fn set(command: &Command, desk: &mut Desk<'_>) -> anyhow::Result<Outcome> {
    let Some((word, rest)) = command.words.split_first() else { bail!("a source is required") };
    let journal = Journal::read(desk.config)?;
    let has_stream = |name: &StreamName| Ok(desk.manifests.stream(name)?.is_some());
    let place = Place { config: desk.config, namespace: &desk.namespace, has_stream: &has_stream };
    let Wanted { source, mode, destinations } = command.wanted(word, rest, &place, &journal)?;
    let mut outcome = Outcome::default();
    let mut done = Vec::new();
    for to in &destinations {
        if let Err(error) = command.set_one(&source, mode, to, desk, &mut outcome) {
            outcome.failed = Some(error);
            break; // rule I100
        }
        done.push(to.shown());
    }
    outcome.message = format!("tag {} from {}", done.join(", "), source.shown());
    // Where nothing was done, there is nothing to commit either.
    match outcome.failed.take() {
        Some(error) if outcome.lines.is_empty() => Err(error),
        failed => {
            outcome.failed = failed;
            Ok(outcome)
        }
    }
}

impl Command {
    fn set_one(
        &self,
        source: &Source,
        mode: Option<ImportMode>,
        to: &Destination,
        desk: &mut Desk<'_>,
        outcome: &mut Outcome,
    ) -> anyhow::Result<()> {
        let tag = to.stream_tag()?;
        let of_stream = source.kind != SourceKind::DockerImage;
        let other = to.namespace != desk.namespace;
        let namespace = source.reference.namespace.clone().filter(|_| of_stream);
        let namespace =
            namespace.or_else(|| (of_stream && other).then(|| desk.namespace.to_string()));
        let name =
            if of_stream { source.reference.name_string() } else { source.reference.exact() };
        let fields = TagFields {
            reference: self.fields.reference,
            scheduled: self.fields.scheduled,
            insecure: self.fields.insecure,
            mode,
            local: self.fields.reference_policy == "local",
            ..TagFields::of(TagFrom { kind: source.kind, name, namespace })
        };
        let folder = &desk.config.edit.folder;
        let put = desk.manifests.put_tag(&tag.stream, tag.tag.as_str(), &fields, folder)?;
        outcome.lines.push(desk.line(self.said(source, to, &desk.namespace)));
        let to = &to.word;
        match put.import {
            Import::ByChange => {}
            Import::ByGeneration => outcome.notes.push(format!(
                "{to} says this already; `generation: 0` asks the daemon to import it once more"
            )),
            Import::AskedBefore => outcome.notes.push(format!(
                "{to} says this already, with `generation: 0`, so nothing changes in git; change it or take that line \
                 out to have it imported again"
            )),
        }
        Ok(())
    }

    /// What is asked for.
    fn wanted(
        &self,
        word: &str,
        rest: &[String],
        place: &Place<'_>,
        journal: &Journal,
    ) -> anyhow::Result<Wanted> {
        let source = self.source(word, place, journal)?;
        let destinations: Vec<Destination> =
            rest.iter().map(|word| destination(word, place.namespace)).collect::<Result<_, _>>()?;
        self.check_reference_policy()?;
        let mode = self.mode()?;
        if destinations.is_empty() {
            bail!("at least a destination is required");
        }
        self.check_flags(&source, &destinations, place.namespace)?;
        Ok(Wanted { source, mode, destinations })
    }

    /// The line of `oc` (rule I98).
    fn said(&self, source: &Source, to: &Destination, here: &Namespace) -> String {
        let other = to.namespace != *here;
        let (to, from, namespace) = (&to.word, source.shown(), &to.namespace);
        match (self.fields.alias, self.fields.scheduled, other) {
            (true, _, false) => format!("Tag {to} set up to track {from}."),
            (true, _, true) => format!("Tag {namespace}/{to} set up to track {from}."),
            (false, true, false) => format!("Tag {to} set to import {from} periodically."),
            (false, true, true) => format!("Tag {namespace}/{to} set to {from} periodically."),
            (false, false, false) => format!("Tag {to} set to {from}."),
            (false, false, true) => format!("Tag {namespace}/{to} set to {from}."),
        }
    }

    /// What the source is (rules I95, I96).
    fn source(&self, word: &str, place: &Place<'_>, journal: &Journal) -> anyhow::Result<Source> {
        let reference: ImageReference =
            word.parse().map_err(|error| anyhow::anyhow!("invalid SOURCE: {error}"))?;
        let named = match self.source.to_ascii_lowercase().as_str() {
            "" => None,
            "imagestreamtag" | "istag" => Some(SourceKind::ImageStreamTag),
            "imagestreamimage" | "isimage" => Some(SourceKind::ImageStreamImage),
            "docker" | "dockerimage" => Some(SourceKind::DockerImage),
            other => bail!(
                "invalid --source `{other}`: it is imagestreamtag, imagestreamimage or docker"
            ),
        };
        let is_of_registry = reference.registry.is_some();
        let kind = match named {
            Some(SourceKind::ImageStreamTag | SourceKind::ImageStreamImage) if is_of_registry => {
                bail!("server in SOURCE is only allowed when providing a container image");
            }
            Some(SourceKind::ImageStreamTag) if reference.tag.is_none() => {
                bail!("--source=ImageStreamTag requires a valid <name>:<tag> in SOURCE");
            }
            Some(SourceKind::ImageStreamImage) if reference.digest.is_none() => {
                bail!("--source=ImageStreamImage requires a valid <name>@<id> in SOURCE");
            }
            Some(kind) => kind,
            None if is_of_registry => SourceKind::DockerImage,
            None if reference.digest.is_some() => SourceKind::ImageStreamImage,
            None if reference.tag.is_some() => SourceKind::ImageStreamTag,
            None => SourceKind::DockerImage,
        };
        if kind == SourceKind::DockerImage && reference.is_registry_only() {
            bail!("invalid SOURCE: `{word}` must name a repository, not only a registry"); // rule I30
        }
        let source = Source { kind, reference };
        match kind {
            SourceKind::ImageStreamTag if !self.fields.alias => {
                resolve(word, source, place, journal)
            }
            SourceKind::ImageStreamImage => {
                journal.check_image(&source, place.namespace, &self.words).map(|()| source)
            }
            SourceKind::ImageStreamTag | SourceKind::DockerImage => Ok(source),
        }
    }

    fn check_reference_policy(&self) -> anyhow::Result<()> {
        if !matches!(self.fields.reference_policy.as_str(), "source" | "local") {
            bail!("reference policy must be set to 'source' or 'local'");
        }
        Ok(())
    }

    fn mode(&self) -> anyhow::Result<Option<ImportMode>> {
        Ok(match self.fields.import_mode.as_str() {
            "" => None,
            "Legacy" => Some(ImportMode::Legacy),
            "PreserveOriginal" => Some(ImportMode::PreserveOriginal),
            _ => bail!("valid ImportMode values are Legacy or PreserveOriginal"),
        })
    }

    fn check_flags(
        &self,
        source: &Source,
        destinations: &[Destination],
        namespace: &Namespace,
    ) -> anyhow::Result<()> {
        let imports = self.fields.scheduled || self.fields.insecure;
        if source.kind != SourceKind::DockerImage && imports {
            bail!("only container images can have importing flags set");
        }
        if !self.fields.alias {
            return Ok(());
        }
        if imports {
            bail!("cannot set a container image tag as an alias and also set import flags");
        }
        let from = source.reference.namespace.as_deref().unwrap_or(namespace.as_str());
        let is_same = |to: &Destination| {
            let stream = to.word.split_once(':').map_or(to.word.as_str(), |(stream, _)| stream);
            stream == source.reference.name && to.namespace.as_str() == from
        };
        if !destinations.iter().all(is_same) {
            bail!("cannot set alias across different Image Streams");
        }
        Ok(())
    }
}

/// The image that a tag has now, in the place of the tag (rule I96).
fn resolve(
    word: &str,
    source: Source,
    place: &Place<'_>,
    journal: &Journal,
) -> anyhow::Result<Source> {
    let missing = || {
        let resource = super::resource::Resource::ImageStreams.plural();
        ApiError::not_found(&resource, &source.reference.name)
    };
    let namespace = namespace_of(&source.reference, place.namespace)?;
    let Ok(name) = source.reference.name.parse() else { return Err(missing().into()) };
    let stream = StreamName::new(namespace, name);
    let Some(tag) = source.reference.tag.clone() else { return Err(missing().into()) };
    let item = journal.observed.tag(&stream.tag(tag)).and_then(|state| state.current());
    let Some(item) = item else {
        if !(place.has_stream)(&stream)? && !journal.observed.streams.contains_key(&stream) {
            return Err(missing().into());
        }
        if !journal.is_there {
            bail!(
                "\"{word}\" is not currently pointing to an image, cannot use it as the source of a tag: there is no \
                 journal in `{}` (state_dir) that would know; run this where the daemon runs, name the image by its \
                 digest, or follow the tag with --alias",
                place.config.state_dir.display()
            );
        }
        bail!(
            "\"{word}\" is not currently pointing to an image, cannot use it as the source of a tag"
        );
    };
    match &item.event.image {
        Some(digest) => {
            let reference = ImageReference { tag: None, digest: Some(*digest), ..source.reference };
            Ok(Source { kind: SourceKind::ImageStreamImage, reference })
        }
        None => {
            let recorded = &item.event.reference;
            let reference = recorded.parse().map_err(|error| {
                anyhow::anyhow!("the image stream tag \"{word}\" has an invalid pull spec and cannot be used to tag: {error}")
            })?;
            Ok(Source { kind: SourceKind::DockerImage, reference })
        }
    }
}

fn namespace_of(reference: &ImageReference, default: &Namespace) -> anyhow::Result<Namespace> {
    match &reference.namespace {
        Some(text) => Ok(text.parse()?),
        None => Ok(default.clone()),
    }
}

/// What the journal knows of images; nothing where no daemon ever ran.
struct Journal {
    observed: ObservedState,
    is_there: bool,
}

impl Journal {
    fn read(config: &Config) -> anyhow::Result<Self> {
        let is_there = offline::has_journal(&config.state_dir)?;
        Ok(Self { observed: offline::state(&config.state_dir)?, is_there })
    }

    /// Refuses an image that its stream does not have, where that can be told (rule I14).
    fn check_image(
        &self,
        source: &Source,
        default: &Namespace,
        words: &[String],
    ) -> anyhow::Result<()> {
        let namespace = namespace_of(&source.reference, default)?;
        let Ok(name) = source.reference.name.parse() else { return Ok(()) };
        let stream = StreamName::new(namespace, name);
        let desired = crate::desired::DesiredState::default();
        let shown = crate::effective::stream(&desired, &self.observed, &Policy::default(), &stream);
        let (Some(shown), Some(digest)) = (shown, &source.reference.digest) else { return Ok(()) };
        let id = digest.to_string();
        if view::find_image(&shown, &id, |_| Vec::new()).is_ok() {
            return Ok(());
        }
        let to = words.get(1).and_then(|to| to.rsplit('/').next()?.split_once(':'));
        let (to, tag) = to.unwrap_or_default();
        let name = source.reference.name_string();
        let why = format!(
            "[]: Internal error: imagestreams \"{to}\" is invalid: spec.tags[{tag}].from.name: Invalid value: \"{name}\": \
             error generating tag event: imagestreamimage.image.openshift.io \"{id}\" not found"
        );
        Err(EditError::Invalid { kind: "ImageStream".into(), name: to.to_owned(), why }.into())
    }
}

/// The tags that are to go.
fn deleted(command: &Command, namespace: &Namespace) -> anyhow::Result<Vec<Destination>> {
    let fields = &command.fields;
    if fields.alias {
        bail!("--alias and --delete may not be both specified");
    }
    command.check_reference_policy()?;
    if !command.source.is_empty() {
        bail!("cannot specify a source kind when deleting");
    }
    if fields.scheduled || fields.insecure {
        bail!("cannot set flags for importing images when deleting a tag");
    }
    if !fields.import_mode.is_empty() {
        bail!("cannot specify an import mode when deleting");
    }
    command.words.iter().map(|word| destination(word, namespace)).collect()
}

fn delete(command: &Command, desk: &mut Desk<'_>) -> anyhow::Result<Outcome> {
    let destinations = deleted(command, &desk.namespace)?;
    let mut outcome = Outcome::default();
    let mut done = Vec::new();
    for to in &destinations {
        match delete_tag(desk, &to.namespace, &to.word, &mut outcome.notes) {
            Ok(()) => {
                outcome.lines.push(desk.line(format!("Deleted tag {}.", to.shown())));
                done.push(to.shown());
            }
            Err(error) if done.is_empty() => return Err(error),
            Err(error) => {
                outcome.failed = Some(error);
                break;
            }
        }
    }
    outcome.message = format!("delete tag {}", done.join(", "));
    Ok(outcome)
}

/// Takes a spec tag out of git, and notes what of it stays elsewhere (rules I92, I93).
pub(super) fn delete_tag(
    desk: &mut Desk<'_>,
    namespace: &Namespace,
    word: &str,
    notes: &mut Vec<String>,
) -> anyhow::Result<()> {
    let resource = super::resource::Resource::ImageStreamTags.plural();
    let Some((stream, tag)) = word.split_once(':') else {
        bail!("\"{word}\" must be of the form <stream_name>:<tag>");
    };
    let missing = |name: &str| Err(ApiError::not_found(&resource, name).into());
    let Ok(name) = stream.parse() else { return missing(stream) };
    let stream_name = StreamName::new(namespace.clone(), name);
    let known: Option<TagName> = tag.parse().ok();
    let history = match &known {
        Some(tag) => {
            let observed = offline::state(&desk.config.state_dir)?;
            observed
                .tag(&stream_name.tag(tag.clone()))
                .is_some_and(|state| state.current().is_some())
        }
        None => false,
    };
    if desk.manifests.stream(&stream_name)?.is_none() {
        return missing(if history { word } else { stream });
    }
    let desired = desk.desired();
    let users = known.map(|tag| dependents(&desired, &stream_name.tag(tag))).unwrap_or_default();
    if !desk.manifests.remove_tag(&stream_name, tag)? {
        if history {
            bail!(
                "tag {word} is not in git any more; its history goes by itself when nothing refers to it{}",
                in_use(&users)
            );
        }
        return missing(word);
    }
    if !users.is_empty() {
        notes.push(format!(
            "{word} keeps its history and its image as long as it is referred to{}",
            in_use(&users)
        ));
    }
    Ok(())
}

fn in_use(users: &[String]) -> String {
    if users.is_empty() { String::new() } else { format!(", by {}", users.join(", ")) }
}

/// Reads `[namespace/]stream:tag`.
fn destination(word: &str, default: &Namespace) -> anyhow::Result<Destination> {
    match word.split('/').collect::<Vec<_>>().as_slice() {
        [name] => Ok(Destination { namespace: default.clone(), word: (*name).to_owned() }),
        [namespace, name] if !namespace.is_empty() && !name.is_empty() => {
            Ok(Destination { namespace: namespace.parse()?, word: (*name).to_owned() })
        }
        _ => bail!("invalid image stream \"{word}\""),
    }
}

impl Destination {
    fn shown(&self) -> String {
        format!("{}/{}", self.namespace, self.word)
    }

    fn stream_tag(&self) -> anyhow::Result<StreamTag> {
        let word = &self.word;
        let Some((stream, tag)) = word.split_once(':') else {
            bail!("\"{word}\" must be of the form <stream_name>:<tag>");
        };
        let Ok(tag) = tag.parse::<TagName>() else {
            bail!(
                "invalid tag \"{tag}\" format, tags must start with an alphanumeric character followed by alphanumeric, \
                 '.' or '-' characters, and have a maximum of 128 characters"
            );
        };
        Ok(stream_name(&self.namespace, stream)?.tag(tag))
    }
}

/// The name of a stream; one that OpenShift would not take is refused in its words (rule I12).
pub(super) fn stream_name(namespace: &Namespace, name: &str) -> Result<StreamName, EditError> {
    let why = format!(
        "metadata.name: Invalid value: \"{name}\": must match \"[a-z0-9]+(?:[._-][a-z0-9]+)*\""
    );
    let wrong = |_| EditError::Invalid { kind: "ImageStream".into(), name: name.to_owned(), why };
    Ok(StreamName::new(namespace.clone(), name.parse().map_err(wrong)?))
}
