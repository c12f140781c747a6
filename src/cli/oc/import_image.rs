//! `tidegate import-image`: imports now, and writes into git what the words of the command change (rules I141 to I147).

use std::sync::{Arc, Mutex};

use anyhow::{Context as _, bail};
use clap::ValueEnum;

use super::edit::{Desk, Done, EditArguments, Outcome, edit_then};
use super::get;
use super::inventory::{Found, Inventory};
use super::resource::Resource;
use crate::action::{Check, ImportMode, ImportOrder, ListRequest, Resolution, ResolveRequest};
use crate::api::{self, ImageStream};
use crate::cli::{Context, ExitCode, ask, offline};
use crate::config::Config;
use crate::control::{Question, Reply};
use crate::daemon;
use crate::desired::{self, Origin};
use crate::edit::Value;
use crate::edit::tag::{Annotations, SourceKind, TagFields, TagFrom};
use crate::effective;
use crate::fact::{self, ImportReason};
use crate::names::{StreamName, TagName};
use crate::oc;
use crate::oc::import::{self, Import, TagImport, Target, Words};
use crate::reference::ImageReference;
use crate::time::Timestamp;
use crate::world::registry::Registries;

/// Import images into an image stream now, as `oc import-image` does
///
/// NAME is `python` or `python:3.6`. The registry is asked at once, by the running daemon, or without one by this
/// command. A stream or a tag that git does not have yet, a new source, a schedule or another policy are written into git
/// and committed first.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Command {
    /// The stream, or a tag of it
    #[arg(value_name = "NAME[:TAG]", default_value = "", hide_default_value = true)]
    argument: String,
    /// Where the image is, if the tag is new: `docker.io/python:3.6.0`
    #[arg(long, value_name = "IMAGE")]
    from: Option<String>,
    /// Make what is missing, and change the repository of a stream
    #[arg(long)]
    confirm: bool,
    /// All tags of the stream, or all of its repository
    #[arg(long)]
    all: bool,
    /// Import again and again
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    #[arg(default_value_t = false, hide_default_value = true, hide_possible_values = true)]
    #[arg(action = clap::ArgAction::Set)]
    scheduled: bool,
    /// Allow plain HTTP and unverified TLS
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    #[arg(hide_possible_values = true)]
    insecure: Option<bool>,
    /// Where images are pulled from: source or local
    #[arg(long, value_name = "POLICY")]
    reference_policy: Option<String>,
    #[arg(long, value_name = "MODE")]
    #[arg(
        help = "What is imported of an index: Legacy or PreserveOriginal [default: as the tag says]"
    )]
    import_mode: Option<String>,
    /// How to print the stream, in place of the text
    #[arg(short, long, value_name = "FORMAT")]
    output: Option<Output>,
    #[command(flatten)]
    edit: EditArguments,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    Json,
    Yaml,
    Name,
}

/// How often a state directory that is in use is looked at again.
const STARTING: u32 = 4;

/// The time between two of these looks.
const STARTING_PAUSE: std::time::Duration = std::time::Duration::from_millis(500);

/// What was decided.
struct Plan {
    stream: StreamName,
    import: Import,
}

pub(super) fn run(command: &Command, context: &mut Context<'_>) -> anyhow::Result<ExitCode> {
    let words = command.words();
    let target = import::target(words)?;
    let (local, mode) = (command.local()?, command.mode()?);
    let mut plan = None;
    let done = edit_then(&command.edit, context, |desk| {
        let made = command.plan(words, &target, desk)?;
        let outcome = command.write(&made, (local, mode), desk)?;
        plan = Some(made);
        Ok(outcome)
    })?;
    let Some(plan) = plan else { bail!("nothing was decided") };
    let config = offline::settings(&command.edit.settings, context)?;
    if done.is_dry {
        return dry_run(command, &plan, (local, mode), &config, context);
    }
    if done.is_uncommitted {
        writeln!(
            context.err,
            "nothing is imported before the change is committed and the daemon reads it"
        )?;
        return Ok(ExitCode::Done);
    }
    order(&plan, &done, &config, context)?;
    tell(command, &plan, config, context)
}

impl Command {
    fn words(&self) -> Words<'_> {
        let Self { argument, all, confirm, .. } = self;
        Words { argument, from: self.from.as_deref(), all: *all, confirm: *confirm }
    }

    fn local(&self) -> anyhow::Result<Option<bool>> {
        Ok(match self.reference_policy.as_deref() {
            None => None,
            Some("source") => Some(false),
            Some("local") => Some(true),
            Some(_) => bail!("valid reference policy values are source or local"),
        })
    }

    fn mode(&self) -> anyhow::Result<Option<ImportMode>> {
        Ok(match self.import_mode.as_deref() {
            None | Some("") => None,
            Some("Legacy") => Some(ImportMode::Legacy),
            Some("PreserveOriginal") => Some(ImportMode::PreserveOriginal),
            Some(_) => bail!("valid ImportMode values are Legacy or PreserveOriginal"),
        })
    }

    fn plan(&self, words: Words<'_>, target: &Target, desk: &Desk<'_>) -> anyhow::Result<Plan> {
        let stream = super::tag::stream_name(&desk.namespace, &target.stream)?;
        let desired = desk.desired();
        let observed = offline::state(&desk.config.state_dir)?;
        let known = desired.streams.contains_key(&stream);
        let shown = effective::stream(&desired, &observed, &desk.config.policy, &stream);
        let shown = shown.filter(|_| known);
        let import = import::decide(words, target, shown.as_ref())?;
        Ok(Plan { stream, import })
    }

    /// Writes into the manifests what the words of the command change.
    fn write(
        &self,
        plan: &Plan,
        policies: (Option<bool>, Option<ImportMode>),
        desk: &mut Desk<'_>,
    ) -> anyhow::Result<Outcome> {
        let mut outcome = Outcome::default();
        let desired = desk.desired();
        let known = desired.streams.get(&plan.stream).map(|stream| &**stream);
        match &plan.import {
            Import::Repository { from } => {
                self.write_repository(plan, from, known, desk)?;
                outcome.message = format!("import all of {from} into {}", plan.stream.name);
            }
            Import::Tags(tags) => {
                for tag in tags {
                    self.write_tag(plan, tag, policies, known, desk)?;
                }
                let names: Vec<&str> = tags.iter().map(|tag| tag.tag.as_str()).collect();
                outcome.message = format!("import {}:{}", plan.stream.name, names.join(","));
            }
        }
        Ok(outcome)
    }

    fn write_tag(
        &self,
        plan: &Plan,
        tag: &TagImport,
        (local, mode): (Option<bool>, Option<ImportMode>),
        known: Option<&desired::ImageStream>,
        desk: &mut Desk<'_>,
    ) -> anyhow::Result<()> {
        let name: TagName = tag.tag.parse()?;
        let known = known.and_then(|stream| stream.tags.get(&name));
        let from =
            TagFrom { kind: SourceKind::DockerImage, name: tag.from.clone(), namespace: None };
        // Rule I144: what is stored stays, but for what the command says.
        let fields = TagFields {
            from: Some(from),
            reference: known.is_some_and(|spec| spec.reference),
            scheduled: self.scheduled || known.is_some_and(|spec| spec.scheduled),
            insecure: self.insecure.unwrap_or(false) || known.is_some_and(|spec| spec.insecure),
            mode: mode.or_else(|| known.map(|spec| spec.mode)),
            local: local.unwrap_or_else(|| known.is_some_and(|spec| spec.local)),
            annotations: Annotations::Keep,
        };
        let same = known.is_some_and(|spec| {
            spec.origin == Origin::Written
                && spec.scheduled == fields.scheduled
                && spec.insecure == fields.insecure
                && Some(spec.mode) == fields.mode
                && spec.local == fields.local
        });
        // An entry that says what it said is not touched: the order to import is not a wish for ever.
        if !same {
            let folder = &desk.config.edit.folder;
            desk.manifests.put_tag(&plan.stream, &tag.tag, &fields, folder)?;
        }
        Ok(())
    }

    fn write_repository(
        &self,
        plan: &Plan,
        from: &str,
        known: Option<&desired::ImageStream>,
        desk: &mut Desk<'_>,
    ) -> anyhow::Result<()> {
        const INSECURE: [&str; 3] =
            ["metadata", "annotations", "openshift.io/image.insecureRepository"];
        let repository = ("dockerImageRepository".to_owned(), Value::text(from));
        let folder = desk.config.edit.folder.clone();
        let place = match desk.manifests.stream(&plan.stream)? {
            Some(place) => {
                let path = crate::edit::keys(&["spec", "dockerImageRepository"]);
                let current = known.and_then(|stream| stream.repository.as_ref());
                if current.is_none_or(|current| current.to_string() != from) {
                    desk.manifests.put(&place, &path, Value::text(from))?;
                }
                Some(place)
            }
            None => {
                desk.manifests.create_stream(&plan.stream, &folder, vec![repository])?;
                desk.manifests.stream(&plan.stream)?
            }
        };
        if self.insecure == Some(true)
            && let Some(place) = place
        {
            desk.manifests.put(&place, &crate::edit::keys(&INSECURE), Value::text("true"))?;
        }
        Ok(())
    }
}

/// Has it imported: by the daemon, or without one by ourselves.
fn order(
    plan: &Plan,
    done: &Done,
    config: &Config,
    context: &mut Context<'_>,
) -> anyhow::Result<()> {
    let (tags, repository) = match &plan.import {
        Import::Tags(tags) => {
            let tags = tags.iter().map(|tag| tag.tag.parse()).collect::<Result<_, _>>()?;
            (tags, false)
        }
        Import::Repository { .. } => (Vec::new(), true),
    };
    let order = ImportOrder { stream: plan.stream.clone(), tags, repository, commit: done.commit };
    if std::io::IsTerminal::is_terminal(&std::io::stderr()) {
        writeln!(context.err, "importing into {} ...", plan.stream)?;
    }
    let question = Question::Import(order.clone());
    let mut reply = ask::ask_long(&config.control_socket, &question)?;
    for attempt in 1..=STARTING {
        if reply.is_some() {
            break;
        }
        reply = match alone(config, order.clone()) {
            Ok(reply) => Some(reply),
            Err(error) if attempt == STARTING => return Err(error),
            // A daemon that is starting holds the state directory before it listens.
            Err(_) => {
                std::thread::sleep(STARTING_PAUSE);
                ask::ask_long(&config.control_socket, &question)?
            }
        };
    }
    let Some(reply) = reply else { bail!("the daemon does not answer") };
    match reply {
        Reply::Done(_) | Reply::Nothing(_) => Ok(()),
        Reply::Refused(why) => bail!("{why}"),
        Reply::Status(_)
        | Reply::Pruned(_)
        | Reply::Ordered(_)
        | Reply::Started(_)
        | Reply::Cancelled(_)
        | Reply::Uploaded(_)
        | Reply::Looking(_)
        | Reply::Hooks(_) => {
            bail!(ask::SOMETHING_ELSE)
        }
    }
}

/// Imports where no daemon runs.
fn alone(config: &Config, order: ImportOrder) -> anyhow::Result<Reply> {
    let runtime = runtime()?;
    runtime.block_on(daemon::import_once(config.clone(), order)).with_context(|| {
        let socket = config.control_socket.display();
        format!("no daemon listens at `{socket}`, and the import cannot be made without one")
    })
}

pub(super) fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.enable_all().build().context("cannot start the runtime")
}

/// Prints what came of it.
fn tell(
    command: &Command,
    plan: &Plan,
    config: Config,
    context: &mut Context<'_>,
) -> anyhow::Result<ExitCode> {
    let journal = Inventory::of_stream(config, &plan.stream, context)?;
    let now = journal.now;
    let Some(stream) = journal.stream_named(plan.stream.name.as_str()) else {
        bail!("there is no image stream {} in the journal", plan.stream);
    };
    let stream = stream.as_ref();
    let imported = imported(plan, stream);
    let failed = failures(&plan.import, &imported, stream, context)?;
    if let Some(output) = command.output {
        print_stream(output, stream, context)?;
    } else {
        let mut blocks = Vec::new();
        for tag in &imported {
            let digest = stream.status_tag(&tag.tag).filter(|status| status.failure().is_none());
            let digest = digest.and_then(|status| Some(status.current()?.image.clone()));
            if let Some(image) = digest.and_then(|digest| journal.image(&digest)) {
                let name = format!("{}:{}", plan.stream.name, tag.source_tag());
                blocks.push(oc::image::describe(&image, &name, now)?);
            }
        }
        let left_out = stream.status.repository.as_ref().map(|all| all.additional_tags.as_slice());
        let left_out = match plan.import {
            Import::Repository { .. } => left_out.unwrap_or_default(),
            Import::Tags(_) => &[],
        };
        let described = oc::stream::describe(stream, now);
        let name = plan.stream.name.as_str();
        let text = import::answer(name, failed, Some(&described), &blocks, left_out);
        context.out.write_all(text.as_bytes())?;
    }
    if failed {
        bail!("imported completed with errors");
    }
    Ok(ExitCode::Done)
}

/// The tags that were asked for, and those that the listing of the repository found.
fn imported(plan: &Plan, stream: &ImageStream) -> Vec<TagImport> {
    match &plan.import {
        Import::Tags(tags) => tags.clone(),
        Import::Repository { from } => {
            let prefix = format!("{from}:");
            let derived = stream.spec.tags.iter().filter_map(|tag| {
                let source = tag.from.as_ref().filter(|from| from.name.starts_with(&prefix))?;
                Some((tag.name.as_str(), source.name.clone()))
            });
            let sources: std::collections::BTreeMap<&str, String> = derived.collect();
            let mut names: Vec<&str> = sources.keys().copied().collect();
            oc::order::by_importance(&mut names);
            let import = |tag: &str| {
                let from = sources.get(tag).cloned().unwrap_or_default();
                TagImport { tag: tag.to_owned(), from, is_new: false }
            };
            names.into_iter().map(import).collect()
        }
    }
}

/// Says which tags failed (rule I145), and whether any did.
fn failures(
    import: &Import,
    imported: &[TagImport],
    stream: &ImageStream,
    context: &mut Context<'_>,
) -> anyhow::Result<bool> {
    let mut failed = false;
    let repository = stream.status.repository.iter().flat_map(|all| &all.conditions);
    if let Import::Repository { from } = import {
        for failure in repository {
            failed = true;
            writeln!(context.err, "error: repository failed: {}", failure.message)?;
            hint(&failure.reason, &failure.message, from, context)?;
        }
    }
    for tag in imported {
        let status = stream.status_tag(&tag.tag);
        if let Some(failure) = status.and_then(api::NamedTagEventList::failure) {
            failed = true;
            let (of, message) = (tag.source_tag(), &failure.message);
            match import {
                Import::Tags(_) => writeln!(context.err, "error: tag {of} failed: {message}")?,
                Import::Repository { .. } => {
                    writeln!(context.err, "error: repository tag {of} failed: {message}")?;
                }
            }
            hint(&failure.reason, message, &tag.from, context)?;
        }
    }
    Ok(failed)
}

/// Says what to do about a failed import of `from`, where that is known.
fn hint(reason: &str, message: &str, from: &str, context: &mut Context<'_>) -> anyhow::Result<()> {
    let image: Option<ImageReference> = from.parse().ok();
    let reason: Option<ImportReason> = serde_json::from_value(reason.into()).ok();
    let advice = reason.and_then(|reason| fact::advice(reason, message, image.as_ref()));
    if let Some(advice) = advice {
        writeln!(context.err, "hint: {advice}")?;
    }
    Ok(())
}

fn print_stream(
    output: Output,
    stream: &ImageStream,
    context: &mut Context<'_>,
) -> anyhow::Result<()> {
    if output == Output::Name {
        writeln!(context.out, "imagestream.{}/{}", api::GROUP, stream.metadata.name)?;
        return Ok(());
    }
    for value in Found::Streams(vec![stream.clone()]).values(Resource::ImageStreams) {
        match output {
            Output::Json => context.out.write_all(&get::json(&value)?)?,
            Output::Yaml | Output::Name => {
                context.out.write_all(oc::yaml::document(&value).as_bytes())?;
            }
        }
    }
    Ok(())
}

/// Asks the registry and keeps nothing (`--dry-run`).
fn dry_run(
    command: &Command,
    plan: &Plan,
    (_, mode): (Option<bool>, Option<ImportMode>),
    config: &Config,
    context: &mut Context<'_>,
) -> anyhow::Result<ExitCode> {
    let insecure = command.insecure.unwrap_or(false);
    let kept = Arc::new(Mutex::new(std::collections::BTreeMap::new()));
    let registries = registries(config, &kept)?;
    let runtime = runtime()?;
    let namespace = config.policy.asks_for(&plan.stream.namespace);
    let (tags, left_out) = match &plan.import {
        Import::Tags(tags) => (tags.clone(), Vec::new()),
        Import::Repository { from } => {
            let repository: ImageReference = from.parse()?;
            let (repository, namespace) = (Arc::new(repository), namespace.clone());
            let request = ListRequest { repository, insecure, namespace };
            let listed = runtime.block_on(registries.list(&request));
            let listing = listed.map_err(|failure| anyhow::anyhow!("{}", failure.message))?;
            let mut names = listing.tags;
            oc::order::by_importance(&mut names);
            let left_out = names.split_off(names.len().min(config.policy.tag_limit.tags()));
            let tag = |tag: String| TagImport { from: format!("{from}:{tag}"), tag, is_new: true };
            (names.into_iter().map(tag).collect(), left_out)
        }
    };
    let now = Timestamp::from_jiff(jiff::Timestamp::now());
    let (mut blocks, mut failed) = (Vec::new(), false);
    for tag in &tags {
        let image: ImageReference = tag.from.parse()?;
        let check = Check {
            image: Arc::new(image),
            insecure,
            mode: mode.unwrap_or(config.policy.import_mode),
            platform: config.policy.platform.clone(),
            copy_to: None,
            namespace: namespace.clone(),
        };
        let request = ResolveRequest { check, known: None, allowance: None };
        match runtime.block_on(registries.resolve(&request)) {
            Ok(resolution) => {
                let name = format!("{}:{}", plan.stream.name, tag.source_tag());
                if let Some(image) = found(&request, &resolution, &kept) {
                    blocks.push(oc::image::describe(&image, &name, now)?);
                }
            }
            Err(failure) => {
                failed = true;
                let of = tag.source_tag();
                writeln!(context.err, "error: tag {of} failed: {}", failure.message)?;
                let reason = failure.reason.to_string();
                hint(&reason, &failure.message, &tag.from, context)?;
            }
        }
    }
    let text = import::answer(plan.stream.name.as_str(), failed, None, &blocks, &left_out);
    context.out.write_all(text.as_bytes())?;
    if failed {
        bail!("imported completed with errors");
    }
    Ok(ExitCode::Done)
}

/// What an import would keep of images.
pub(super) type Kept = Arc<Mutex<std::collections::BTreeMap<crate::names::ContentHash, Vec<u8>>>>;

pub(super) fn registries(config: &Config, kept: &Kept) -> anyhow::Result<Registries> {
    let store = Arc::clone(kept);
    let keep = move |bytes: &[u8]| {
        let hash = crate::names::ContentHash::of(bytes);
        let mut store = store.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        store.insert(hash, bytes.to_vec());
        Ok(hash)
    };
    Ok(Registries::new(config.registries.client(), Arc::new(keep))?)
}

pub(super) fn found(
    request: &ResolveRequest,
    resolution: &Resolution,
    kept: &Kept,
) -> Option<api::Image> {
    let image = resolution.image.as_ref()?;
    let kept = kept.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let reference = request.check.image.with_digest(&image.digest);
    let metadata = kept.get(&image.metadata).map(Vec::as_slice);
    Some(effective::image_as_read(&image.digest, &reference, metadata))
}
