//! `tidegate auth`: which logins there are for registries, and what these make of them (rules I166 to I170).

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::Arc;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use serde::Serialize;

use super::offline::{self, Output};
use super::{Context, ExitCode};
use crate::action::ImportFailure;
use crate::config::{self, Config};
use crate::desired::ImageStream;
use crate::effective;
use crate::fact;
use crate::names::Namespace;
use crate::reference::ImageReference;
use crate::report;
use crate::world::registry::{LoginTried, LoginVerdict, PlaceTried, Registries};

/// Look at the logins for registries
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Check(Check),
}

/// Say which login is used for an image, where it is from, and whether the registry accepts it
///
/// Without a reference, one image of each repository that the manifests import from is looked at. Each login that fits is
/// tried as an import does, closest first, and asking without one at last: one HEAD each, which registries do not count as
/// a pull. The Secrets of the namespace (`registries.secrets`) come first, as for its streams. No password and no token is
/// printed, and nothing is changed. Exit code 0: all can be read; 1: a registry
/// refused, or a file or a helper cannot be used; 4: a registry gave no answer that says anything about logins.
#[derive(Debug, Args)]
struct Check {
    /// Images as manifests name them
    #[arg(value_name = "REFERENCE")]
    images: Vec<ImageReference>,
    /// Namespace whose Secrets are used; without a REFERENCE, only its streams are looked at
    ///
    /// [default: of the stream; for a REFERENCE, `default_namespace`]
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Option<Namespace>,
    /// Allow plain HTTP and unverified TLS for them, as `importPolicy.insecure` does
    #[arg(long)]
    insecure: bool,
    /// How to print
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: Output,
    #[command(flatten)]
    settings: config::SettingArguments,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    format_version: u32,
    images: Vec<Found>,
}

/// What was found out of one image.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Found {
    image: String,
    /// Whose Secrets were looked at, where there is a folder of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<Namespace>,
    /// Why no place may be asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
    /// What to do about that.
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<String>,
    places: Vec<Place>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Place {
    repository: String,
    verdict: &'static str,
    logins: Vec<Login>,
    problems: Vec<String>,
    /// What the registry says that has nothing to do with logins.
    #[serde(skip_serializing_if = "Option::is_none")]
    trouble: Option<String>,
    /// What to do about that.
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Login {
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    /// None: asking without a login.
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    verdict: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
}

pub(super) fn run(arguments: &Arguments, context: &mut Context<'_>) -> anyhow::Result<ExitCode> {
    let Command::Check(command) = &arguments.command;
    let config = offline::settings(&command.settings, context)?;
    let keep = |_: &[u8]| Err(io::Error::other("nothing is kept here"));
    let registries = Registries::new(config.registries.client(), Arc::new(keep))?;
    let images = images(command, &config, context)?;
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().build().context("cannot start the runtime")?;
    let mut found = Vec::new();
    for Asked { image, insecure, namespace } in images {
        let tried = registries.try_logins(&image, insecure, namespace.as_ref());
        let tried = runtime.block_on(tried);
        let (places, refused) = match tried {
            Ok(places) => (places, None),
            Err(failure) => (Vec::new(), Some(failure)),
        };
        let places = places.into_iter().map(|place| Place::of(place, &image)).collect();
        let (refused, advice) = told(refused, &image);
        let one = Found { image: image.to_string(), namespace, refused, advice, places };
        if command.output == Output::Text {
            one.print(&mut *context.out)?;
        }
        found.push(one);
    }
    let code = found.iter().map(Found::code).max_by_key(|code| weight(*code));
    if command.output == Output::Json {
        let report = Report { format_version: report::FORMAT_VERSION, images: found };
        context.out.write_all(report::to_json(&report).as_bytes())?;
    }
    Ok(code.unwrap_or(ExitCode::Done))
}

/// A refusal says more than no answer.
fn weight(code: ExitCode) -> u8 {
    match code {
        ExitCode::Done => 0,
        ExitCode::Unverified => 1,
        ExitCode::Error | ExitCode::ChangesPending | ExitCode::ChangesHeld | ExitCode::Usage => 2,
    }
}

/// One image that is looked at.
struct Asked {
    image: Arc<ImageReference>,
    insecure: bool,
    /// Whose Secrets are looked at, where there is a folder of them.
    namespace: Option<Namespace>,
}

/// What is looked at: the images that are named, else one of each repository of the manifests.
fn images(
    command: &Check,
    config: &Config,
    context: &mut Context<'_>,
) -> anyhow::Result<Vec<Asked>> {
    // Also of a namespace that seems to have none: what cannot be read of the folder is told.
    let of = |namespace: &Namespace| config.registries.secrets.is_some().then(|| namespace.clone());
    if !command.images.is_empty() {
        let namespace = command.namespace.as_ref().unwrap_or(&config.policy.default_namespace);
        let ask = |image: &ImageReference| Asked {
            image: Arc::new(image.clone()),
            insecure: command.insecure,
            namespace: of(namespace),
        };
        return Ok(command.images.iter().map(ask).collect());
    }
    let desired = offline::head(config).context(
        "cannot tell which images the manifests name; name images yourself: tidegate auth check REFERENCE",
    )?;
    let mut found = BTreeMap::new();
    let is_meant = |stream: &&Arc<ImageStream>| {
        command.namespace.as_ref().is_none_or(|only| *only == stream.name.namespace)
    };
    for stream in desired.streams.values().filter(is_meant) {
        let checks = stream.tags.values().filter_map(|spec| {
            let check = effective::check_of(stream, spec, &config.policy)?;
            Some((check.image, check.insecure))
        });
        let listed = stream.repository.clone();
        let listed = listed.map(|image| (Arc::new(image), stream.is_insecure()));
        for (image, insecure) in checks.chain(listed) {
            let namespace = of(&stream.name.namespace);
            let of = (image.registry_host(), image.repository_path(), namespace.clone());
            let known = found.entry(of).or_insert(Asked { image, insecure: false, namespace });
            known.insecure |= insecure || command.insecure;
        }
    }
    if found.is_empty() {
        writeln!(context.err, "the manifests name no image that is imported")?;
    }
    Ok(found.into_values().collect())
}

/// What went wrong that is not about logins, and what to do about it.
fn told(
    failure: Option<ImportFailure>,
    image: &ImageReference,
) -> (Option<String>, Option<String>) {
    let Some(failure) = failure else { return (None, None) };
    let advice = fact::advice(failure.reason, &failure.message, Some(image));
    (Some(failure.message), advice)
}

impl Place {
    fn of(tried: PlaceTried, image: &ImageReference) -> Self {
        let PlaceTried { place, logins, problems, trouble, accepted } = tried;
        let verdict = match (accepted, logins.is_empty(), &trouble) {
            (true, ..) => "accepted",
            (false, true, Some(_)) => "no answer",
            (false, ..) => "refused",
        };
        let logins = logins.into_iter().map(Login::from).collect();
        let (trouble, advice) = told(trouble, image);
        Self { repository: place, verdict, logins, problems, trouble, advice }
    }
}

impl From<LoginTried> for Login {
    fn from(LoginTried { user, from, verdict }: LoginTried) -> Self {
        let (verdict, why) = match verdict {
            LoginVerdict::Accepted => ("accepted", None),
            LoginVerdict::Refused(why) => ("refused", Some(why)),
            LoginVerdict::Useless => ("of no use: it is a token, and a password is wanted", None),
            LoginVerdict::NotWanted => ("not wanted", None),
        };
        Self { user, from, verdict, why }
    }
}

impl Found {
    fn code(&self) -> ExitCode {
        let is_refused = |place: &Place| place.verdict == "refused" || !place.problems.is_empty();
        if self.refused.is_some() || self.places.iter().any(is_refused) {
            ExitCode::Error
        } else if self.places.iter().any(|place| place.verdict == "no answer") {
            ExitCode::Unverified
        } else {
            ExitCode::Done
        }
    }

    fn print(&self, out: &mut dyn Write) -> io::Result<()> {
        match &self.namespace {
            Some(namespace) => writeln!(out, "{} (namespace {namespace})", self.image)?,
            None => writeln!(out, "{}", self.image)?,
        }
        if let Some(why) = &self.refused {
            writeln!(out, "  not asked: {why}")?;
        }
        if let Some(advice) = &self.advice {
            writeln!(out, "    to do: {advice}")?;
        }
        for place in &self.places {
            writeln!(out, "  {}: {}", place.repository, place.verdict)?;
            for login in &place.logins {
                let who = match (&login.user, &login.from) {
                    (Some(user), Some(from)) => format!("login `{user}` from {from}"),
                    (None, Some(from)) => format!("token from {from}"),
                    (_, None) => "without a login".to_owned(),
                };
                match &login.why {
                    Some(why) => writeln!(out, "    {who}: {}: {why}", login.verdict)?,
                    None => writeln!(out, "    {who}: {}", login.verdict)?,
                }
            }
            for problem in &place.problems {
                writeln!(out, "    not looked at: {problem}")?;
            }
            if let Some(trouble) = &place.trouble {
                writeln!(out, "    {trouble}")?;
            }
            if let Some(advice) = &place.advice {
                writeln!(out, "    to do: {advice}")?;
            }
        }
        Ok(())
    }
}
