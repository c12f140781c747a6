//! `tidegate create`: new image streams and tags in git (rule I149), and runs of `CronJob`s.

use anyhow::bail;
use clap::Subcommand;

use super::advice::{self, Refused};
use super::create_job;
use super::edit::{Desk, EditArguments, Outcome, edit};
use super::resource::Resource;
use super::{ApiError, UsageError, tag};
use crate::cli::{Context, ExitCode};
use crate::edit::Value;
use crate::edit::tag::{Annotations, SourceKind, TagFields, TagFrom};
use crate::reference::ImageReference;

/// Create image streams and their tags in git, and jobs from CronJobs, as `oc create` does
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Command {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    #[command(visible_alias = "is")]
    Imagestream(Stream),
    #[command(visible_alias = "istag")]
    Imagestreamtag(Tag),
    Job(create_job::Job),
    /// Says where logins are put instead
    #[command(hide = true)]
    Secret(advice::Words),
}

/// Create an image stream without tags
#[derive(Debug, clap::Args)]
struct Stream {
    /// Name of the stream
    #[arg(value_name = "NAME")]
    words: Vec<String>,
    /// Let pods and builds of its namespace name its tags as their images
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    #[arg(default_value_t = false, action = clap::ArgAction::Set, hide_default_value = true)]
    #[arg(hide_possible_values = true, value_name = "BOOL")]
    lookup_local: bool,
    #[command(flatten)]
    edit: EditArguments,
}

/// Create a tag of an image stream, and the stream if it is missing
#[derive(Debug, clap::Args)]
struct Tag {
    /// Name of the tag: `python:3.6`
    #[arg(value_name = "STREAM:TAG")]
    words: Vec<String>,
    /// A tag or an image of a stream that it comes from: `python:3.6`, `other/python@sha256:…`
    #[arg(long, value_name = "TAG|IMAGE", default_value = "", hide_default_value = true)]
    from: String,
    /// An image of a registry that it comes from
    #[arg(long, value_name = "IMAGE", default_value = "", hide_default_value = true)]
    from_image: String,
    /// An annotation of the tag, as KEY=VALUE; may be repeated
    #[arg(short = 'A', long, value_name = "KEY=VALUE")]
    annotation: Vec<String>,
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
    /// Record the reference as it is written, and never import it
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    #[arg(default_value_t = false, action = clap::ArgAction::Set, hide_default_value = true)]
    #[arg(hide_possible_values = true, value_name = "BOOL")]
    reference: bool,
    /// Where images are pulled from: source or local
    #[arg(long, value_name = "POLICY", default_value = "source")]
    reference_policy: String,
    #[command(flatten)]
    edit: EditArguments,
}

pub(super) fn run(command: &Command, context: &mut Context<'_>) -> anyhow::Result<ExitCode> {
    match &command.what {
        What::Imagestream(stream) => {
            let name = one(&stream.words, "create imagestream")?;
            edit(&stream.edit, context, |desk| create_stream(stream, name, desk))
        }
        What::Job(job) => create_job::run(job, context),
        What::Secret(words) => advice::refuse(Refused::CreateSecret, words, context),
        What::Imagestreamtag(tag) => {
            let name = one(&tag.words, "create imagestreamtag")?;
            let fields = tag.fields()?;
            edit(&tag.edit, context, |desk| create_tag(name, &fields, desk))
        }
    }
}

fn one<'w>(words: &'w [String], command: &'static str) -> Result<&'w str, UsageError> {
    match words {
        [name] => Ok(name),
        words => {
            let message = format!("exactly one NAME is required, got {}", words.len());
            Err(UsageError { command, message })
        }
    }
}

fn create_stream(command: &Stream, name: &str, desk: &mut Desk<'_>) -> anyhow::Result<Outcome> {
    let stream = tag::stream_name(&desk.namespace, name)?;
    if desk.manifests.stream(&stream)?.is_some() {
        return Err(ApiError::already_exists(&Resource::ImageStreams.plural(), name).into());
    }
    let policy = Value::map([("local", Value::Bool(true))]);
    let spec = command.lookup_local.then(|| ("lookupPolicy".to_owned(), policy));
    let folder = &desk.config.edit.folder;
    desk.manifests.create_stream(&stream, folder, spec.into_iter().collect())?;
    let line = format!("{}/{name} created", Resource::ImageStreams.singular());
    Ok(Outcome {
        message: format!("create image stream {stream}"),
        lines: vec![desk.line(line)],
        ..Outcome::default()
    })
}

fn create_tag(name: &str, fields: &TagFields, desk: &mut Desk<'_>) -> anyhow::Result<Outcome> {
    let Some((stream, tag)) = name.split_once(':') else {
        bail!("\"{name}\" must be of the form <stream_name>:<tag>");
    };
    let stream = tag::stream_name(&desk.namespace, stream)?;
    let known = desk.manifests.stream(&stream)?;
    if known.and_then(|place| desk.manifests.at(&place)).is_some_and(|found| found.has_tag(tag)) {
        let singular = Resource::ImageStreamTags.singular();
        return Err(ApiError::already_exists(&singular, name).into());
    }
    let folder = &desk.config.edit.folder;
    desk.manifests.put_tag(&stream, tag, fields, folder)?;
    let line = format!("{}/{name} created", Resource::ImageStreamTags.singular());
    Ok(Outcome {
        message: format!("create tag {tag} of image stream {stream}"),
        lines: vec![desk.line(line)],
        ..Outcome::default()
    })
}

impl Tag {
    fn fields(&self) -> anyhow::Result<TagFields> {
        if !self.from.is_empty() && !self.from_image.is_empty() {
            bail!("--from and --from-image may not be used together");
        }
        if !matches!(self.reference_policy.as_str(), "source" | "local") {
            bail!("reference policy must be set to 'source' or 'local'");
        }
        let mut annotations = Vec::new();
        for text in &self.annotation {
            match text.split_once('=') {
                Some((key, value)) if !key.is_empty() => {
                    annotations.push((key.to_owned(), value.to_owned()));
                }
                Some(_) | None => bail!("annotations must be of the form name=value"),
            }
        }
        let from = if self.from_image.is_empty() {
            self.stream_source()?
        } else {
            let name = self.from_image.clone();
            Some(TagFrom { kind: SourceKind::DockerImage, name, namespace: None })
        };
        Ok(TagFields {
            from,
            reference: self.reference,
            scheduled: self.scheduled,
            insecure: self.insecure,
            mode: None,
            local: self.reference_policy == "local",
            annotations: Annotations::Replace(annotations),
        })
    }

    /// What `--from` names; unlike `tag`, a tag stays a tag.
    fn stream_source(&self) -> anyhow::Result<Option<TagFrom>> {
        if self.from.is_empty() {
            return Ok(None);
        }
        let reference: ImageReference =
            self.from.parse().map_err(|error| anyhow::anyhow!("Invalid --from, {error}"))?;
        if reference.registry.is_some() {
            bail!("Invalid --from, registry may not be specified");
        }
        let namespace = reference.namespace.clone();
        let kind = match &reference.digest {
            Some(_) => SourceKind::ImageStreamImage,
            None => SourceKind::ImageStreamTag,
        };
        let name = match (&reference.digest, &reference.tag) {
            (None, None) => format!("{}:latest", reference.name),
            (Some(_), _) | (None, Some(_)) => reference.name_string(),
        };
        Ok(Some(TagFrom { kind, name, namespace }))
    }
}
