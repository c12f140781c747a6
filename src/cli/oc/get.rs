//! `tidegate get`: objects as rows, or as they are.

use serde_json::{Value, json};

use super::inventory::{As, Found, Inventory};
use super::resource::{self, Family, Resource, Wanted, WordsError};
use super::{ApiError, Source, UsageError, watch};
use crate::api;
use crate::cli::{Context, ExitCode};
use crate::oc::columns::Columns;
use crate::oc::json_path::Template;
use crate::oc::table::{Shape, Table};
use crate::oc::{self, yaml};

/// Show image streams, their tags and images, and what is rolled out, as `oc get` does
///
/// KIND is `is` (imagestreams), `istag` (imagestreamtags), `isimage` (imagestreamimages), `itag` (imagetags), `images`,
/// `dc` (deploymentconfigs), `deploy`, `sts`, `ds`, `cj`, `rc`, `pods`, `svc`, `bc` (buildconfigs), `builds`, `routes`,
/// several with commas, or `all`. Reads the journal, whether or not a daemon runs: replication controllers, pods and builds
/// are those that its records stand for.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Command {
    /// Kinds and names: `is`, `is python`, `istag/python:3.6`, `is,istag`
    #[arg(value_name = "KIND[/NAME]")]
    words: Vec<String>,
    /// How to print: wide, yaml, json, name, jsonpath=TEMPLATE, custom-columns=NAME:PATH,…
    #[arg(short, long, value_name = "FORMAT", value_parser = format)]
    pub(super) output: Option<Format>,
    /// Without the names of columns
    #[arg(long)]
    pub(super) no_headers: bool,
    /// After what is there, go on with a line for each change, until it is interrupted
    #[arg(short, long, conflicts_with = "filename")]
    watch: bool,
    /// Only a line for each change from now on
    #[arg(long, conflicts_with = "filename")]
    pub(super) watch_only: bool,
    #[command(flatten)]
    pub(super) source: Source,
}

/// How objects are printed.
#[derive(Clone, Debug)]
pub(super) enum Format {
    Wide,
    Yaml,
    Json,
    Name,
    JsonPath(Template),
    Columns(Columns),
}

impl Format {
    pub(super) fn is_wide(&self) -> bool {
        matches!(self, Self::Wide)
    }
}

fn format(text: &str) -> Result<Format, String> {
    let (name, argument) = text.split_once('=').map_or((text, None), |(n, rest)| (n, Some(rest)));
    match (name, argument) {
        ("wide", None) => Ok(Format::Wide),
        ("yaml", None) => Ok(Format::Yaml),
        ("json", None) => Ok(Format::Json),
        ("name", None) => Ok(Format::Name),
        ("jsonpath", Some(template)) => {
            Template::parse(template).map(Format::JsonPath).map_err(|error| error.to_string())
        }
        ("jsonpath", None) => Err("template format specified but no template given".into()),
        ("custom-columns", columns) => Columns::parse(columns.unwrap_or_default())
            .map(Format::Columns)
            .map_err(|error| error.to_string()),
        _ => Err(format!(
            "unable to match a printer suitable for the output format \"{text}\", allowed formats are: \
             custom-columns,json,jsonpath,name,wide,yaml"
        )),
    }
}

impl Found {
    /// No object of a kind.
    pub(super) fn none(resource: Resource) -> Self {
        match resource.family() {
            Family::Streams => Self::Streams(Vec::new()),
            Family::StreamTags => Self::StreamTags(Vec::new()),
            Family::StreamImages => Self::StreamImages(Vec::new()),
            Family::ImageTags => Self::ImageTags(Vec::new()),
            Family::Images => Self::Images(Vec::new()),
            Family::Other => Self::Others(resource, Vec::new()),
        }
    }

    pub(super) fn table(&self, now: crate::time::Timestamp) -> Table {
        match self {
            Self::Streams(streams) => oc::get::streams(streams, now),
            Self::StreamTags(tags) => oc::get::stream_tags(tags, now),
            Self::StreamImages(images) => oc::get::stream_images(images, now),
            Self::ImageTags(tags) => oc::get::image_tags(tags, now),
            Self::Images(images) => oc::get::images(images),
            Self::Others(resource, objects) => other_table(*resource, objects, now),
        }
    }

    /// The objects as JSON, each with what it is.
    pub(super) fn values(&self, resource: Resource) -> Vec<Value> {
        fn all<T: serde::Serialize>(objects: &[T]) -> Vec<Value> {
            // Our own types always have a JSON form: keys are strings and no value refuses.
            objects.iter().map(|object| serde_json::to_value(object).unwrap_or_default()).collect()
        }
        let mut values = match self {
            Self::Streams(streams) => all(streams),
            Self::StreamTags(tags) => all(tags),
            Self::StreamImages(images) => all(images),
            Self::ImageTags(tags) => all(tags),
            Self::Images(images) => all(images),
            Self::Others(_, objects) => return objects.clone(), // they say themselves what they are
        };
        for value in &mut values {
            if let Some(fields) = value.as_object_mut() {
                fields.insert("apiVersion".into(), json!(api::VERSION));
                fields.insert("kind".into(), json!(resource.kind()));
            }
        }
        values
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Streams(streams) => streams.len(),
            Self::StreamTags(tags) => tags.len(),
            Self::StreamImages(images) => images.len(),
            Self::ImageTags(tags) => tags.len(),
            Self::Images(images) => images.len(),
            Self::Others(_, objects) => objects.len(),
        }
    }
}

/// The rows of objects that are no part of the image API.
fn other_table(resource: Resource, objects: &[Value], now: crate::time::Timestamp) -> Table {
    match resource {
        Resource::Pods => oc::kube::pods(objects, now),
        Resource::ReplicationControllers => oc::kube::controllers(objects, now),
        Resource::Services => oc::kube::services(objects, now),
        Resource::DaemonSets => oc::kube::daemon_sets(objects, now),
        Resource::Deployments => oc::kube::deployments(objects, now),
        Resource::StatefulSets => oc::kube::stateful_sets(objects, now),
        Resource::CronJobs => oc::kube::cron_jobs(objects, now),
        Resource::DeploymentConfigs => oc::workload::deployment_configs(objects),
        Resource::Builds => oc::build::builds(objects, now),
        Resource::BuildConfigs => oc::workload::build_configs(objects),
        Resource::Routes => oc::workload::routes(objects),
        Resource::ImageStreams
        | Resource::ImageStreamTags
        | Resource::ImageStreamImages
        | Resource::ImageTags
        | Resource::Images => Table::default(),
    }
}

pub(super) fn run(command: &Command, context: &mut Context<'_>) -> anyhow::Result<ExitCode> {
    let wanted = resource::wanted(&command.words, "get").map_err(|error| match error {
        WordsError::Nothing { .. } => {
            let message = "Required resource not specified.".into();
            anyhow::Error::from(UsageError { command: "get", message })
        }
        error @ (WordsError::Unknown(_)
        | WordsError::Mixed
        | WordsError::Slashes
        | WordsError::Empty) => error.into(),
    })?;
    if command.watch || command.watch_only {
        return watch::run(command, &wanted, context);
    }
    let shown = match &command.output {
        None | Some(Format::Wide) => As::Rows,
        Some(_) => As::Objects,
    };
    let inventory = Inventory::read(&command.source, &wanted, shown, context)?;
    let mut failed: Vec<ApiError> = Vec::new();
    match &command.output {
        None | Some(Format::Wide) => {
            let tables = found(&wanted, |wanted| inventory.table(wanted), &mut failed);
            tables_to(command, &inventory, tables, !failed.is_empty(), context)?;
        }
        Some(format) => {
            let found = found(&wanted, |wanted| inventory.find(wanted), &mut failed);
            objects(command, format, &found, context)?;
        }
    }
    super::print_unseen(&inventory, context)?;
    for error in &failed {
        super::print_error(context, &anyhow::Error::from(error.clone()))?;
    }
    // The process ends: what it holds need not be taken apart first.
    std::mem::forget(inventory);
    Ok(if failed.is_empty() { ExitCode::Done } else { ExitCode::Error })
}

/// What is found of what is wanted.
fn found<T>(
    wanted: &[Wanted],
    find: impl Fn(&Wanted) -> Result<T, ApiError>,
    failed: &mut Vec<ApiError>,
) -> Vec<(Wanted, T)> {
    let found = wanted.iter().map(|wanted| Ok((wanted.clone(), find(wanted)?)));
    found.filter_map(|found| found.map_err(|error| failed.push(error)).ok()).collect()
}

/// A table for each kind; with several, each name says its kind.
fn tables_to(
    command: &Command,
    inventory: &Inventory,
    found: Vec<(Wanted, Table)>,
    failed: bool,
    context: &mut Context<'_>,
) -> anyhow::Result<()> {
    let mut merged: Vec<(Resource, Table)> = Vec::new();
    let namespaced = found.iter().any(|(wanted, _)| wanted.resource.has_namespace());
    for (wanted, table) in found {
        match merged.iter_mut().find(|(resource, _)| *resource == wanted.resource) {
            Some((_, known)) => known.rows.extend(table.rows),
            None => merged.push((wanted.resource, table)),
        }
    }
    let kinds =
        command.words.iter().any(|word| word == "all" || word.contains(',')) || merged.len() > 1;
    merged.retain(|(_, table)| !table.rows.is_empty());
    if merged.is_empty() && !failed {
        return nothing_found(inventory.namespace.as_ref().filter(|_| namespaced), context);
    }
    for (at, (resource, table)) in merged.iter().enumerate() {
        if at > 0 {
            writeln!(context.out)?;
        }
        let kind = resource.singular();
        let shape = Shape {
            wide: matches!(command.output, Some(Format::Wide)),
            namespaces: inventory.namespace.is_none() && resource.has_namespace(),
            no_headers: command.no_headers,
            kind: kinds.then_some(kind.as_str()),
        };
        context.out.write_all(table.to_text(shape).as_bytes())?;
    }
    Ok(())
}

/// Says that there is nothing, which is no error.
pub(super) fn nothing_found(
    namespace: Option<&String>,
    context: &mut Context<'_>,
) -> anyhow::Result<()> {
    match namespace {
        Some(namespace) => {
            writeln!(context.err, "No resources found in {namespace} namespace.")?;
        }
        None => writeln!(context.err, "No resources found")?,
    }
    Ok(())
}

/// The objects themselves: one as it is, several as a list.
fn objects(
    command: &Command,
    format: &Format,
    found: &[(Wanted, Found)],
    context: &mut Context<'_>,
) -> anyhow::Result<()> {
    if matches!(format, Format::Name) {
        for (wanted, objects) in found {
            for value in objects.values(wanted.resource) {
                print_object(format, true, command, wanted.resource, value, context)?;
            }
        }
        return Ok(());
    }
    let values: Vec<Value> =
        found.iter().flat_map(|(wanted, objects)| objects.values(wanted.resource)).collect();
    if let Format::Columns(columns) = format {
        let text = columns.to_text(&values, command.no_headers);
        return Ok(context.out.write_all(text.as_bytes())?);
    }
    let is_one = matches!(found, [(Wanted { name: Some(_), .. }, objects)] if objects.len() == 1);
    let mut values = values.into_iter();
    let value = match values.next() {
        Some(value) if is_one => value,
        None if found.is_empty() => return Ok(()),
        first => {
            let items: Vec<_> = first.into_iter().chain(values).collect();
            json!({"apiVersion": "v1", "items": items, "kind": "List", "metadata": {"resourceVersion": ""}})
        }
    };
    write_value(format, &value, context)
}

fn write_value(format: &Format, value: &Value, context: &mut Context<'_>) -> anyhow::Result<()> {
    match format {
        Format::Json => context.out.write_all(&json(value)?)?,
        Format::JsonPath(template) => write!(context.out, "{}", template.fill(value))?,
        Format::Yaml | Format::Wide | Format::Name | Format::Columns(_) => {
            context.out.write_all(yaml::document(value).as_bytes())?;
        }
    }
    Ok(())
}

/// One object of several that come one after the other; `begun` says whether one came before.
pub(super) fn print_object(
    format: &Format,
    begun: bool,
    command: &Command,
    resource: Resource,
    object: Value,
    context: &mut Context<'_>,
) -> anyhow::Result<()> {
    match format {
        Format::Name => {
            let name = object.pointer("/metadata/name").and_then(Value::as_str);
            writeln!(context.out, "{}/{}", resource.singular(), name.unwrap_or_default())?;
        }
        Format::Columns(columns) => {
            let text = columns.to_text(&[object], command.no_headers || begun);
            context.out.write_all(text.as_bytes())?;
        }
        Format::Yaml if begun => {
            writeln!(context.out, "---")?;
            write_value(format, &object, context)?;
        }
        Format::Yaml | Format::Json | Format::JsonPath(_) | Format::Wide => {
            write_value(format, &object, context)?;
        }
    }
    Ok(())
}

/// JSON as `oc` indents it.
pub(super) fn json(value: &Value) -> serde_json::Result<Vec<u8>> {
    let mut out = Vec::new();
    let style = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    let mut writer = serde_json::Serializer::with_formatter(&mut out, style);
    serde::Serialize::serialize(value, &mut writer)?;
    out.push(b'\n');
    Ok(out)
}
