//! `tidegate start-build`: a build now (rules B10, B11, B25, C15).

mod input;
mod webhook;

use anyhow::bail;
use clap::ArgAction;

use super::build_log::{Following, LogFile, Stand, find};
use super::resource::Resource;
use super::{ApiError, UsageError, inventory};
use crate::action::BuildOrder;
use crate::cli::offline::{self, Extent, Shown};
use crate::cli::{Context, ExitCode, ask};
use crate::config;
use crate::control::{Question, Reply};
use crate::engine::StartedBuild;
use crate::fact::{BinaryInput, BuildEnd, BuildOptions};
use crate::names::{Kind, Namespace, ObjectKey};
use crate::oc::build::{hook_of, webhook_url};
use input::Input;

/// Start a build, as `oc start-build` does
///
/// The running daemon builds it. What it is built from is what its BuildConfig says, or what --from-dir, --from-file,
/// --from-archive or --from-repo hand over.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Command {
    /// The BuildConfig: `web`, `bc/web`
    #[arg(value_name = "BUILDCONFIG")]
    words: Vec<String>,
    /// Build once more what this build was: with the same images and the same commit
    #[arg(long, value_name = "BUILD", default_value = "", hide_default_value = true)]
    from_build: String,
    #[command(flatten)]
    input: input::InputArguments,
    /// Print its log until it ends
    #[arg(short = 'F', long)]
    follow: bool,
    /// Wait for its end, and exit with 1 if it did not succeed
    #[arg(short = 'w', long)]
    wait: bool,
    /// A variable of the environment of the build, over those of its strategy
    #[arg(short, long, value_name = "NAME=VALUE")]
    env: Vec<String>,
    /// A build argument of a Dockerfile, over those of its strategy
    #[arg(long, value_name = "NAME=VALUE")]
    build_arg: Vec<String>,
    /// Whether artifacts of the build before are used (Source strategy)
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, value_name = "BOOL")]
    #[arg(default_missing_value = "true", hide_possible_values = true)]
    incremental: Option<bool>,
    /// Whether layers that are there are left unused (Docker strategy)
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, value_name = "BOOL")]
    #[arg(default_missing_value = "true", hide_possible_values = true)]
    no_cache: Option<bool>,
    /// How much the build prints: `BUILD_LOGLEVEL` in its environment
    #[arg(long, value_name = "0-5")]
    build_loglevel: Option<String>,
    /// Print where webhooks of the BuildConfig are sent, and start nothing
    #[arg(long, value_name = "all|generic|github")]
    list_webhooks: Option<String>,
    #[command(flatten)]
    webhook: webhook::WebhookArguments,
    /// `name` prints only the name of the build
    #[arg(short, long, value_name = "FORMAT", default_value = "", hide_default_value = true)]
    output: String,
    /// Namespace of the BuildConfig [default: `default_namespace`]
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Option<Namespace>,
    #[command(flatten)]
    settings: config::SettingArguments,
}

fn usage(message: &str) -> anyhow::Error {
    UsageError { command: "start-build", message: message.to_owned() }.into()
}

pub(super) fn run(command: &Command, context: &mut Context<'_>) -> anyhow::Result<ExitCode> {
    if !matches!(command.output.as_str(), "" | "name") {
        return Err(usage(&format!("Unsupported output format: {}", command.output)));
    }
    let input = command.input.read()?;
    if let Some(url) = &command.webhook.from_webhook {
        if !command.words.is_empty() || !command.from_build.is_empty() || input.is_some() {
            return Err(usage(
                "The '--from-webhook' flag is incompatible with arguments and all '--from-*' flags",
            ));
        }
        return webhook::send(&command.webhook, url, &command.output, context);
    }
    if command.words.len() != 1 && command.from_build.is_empty() {
        return Err(usage(
            "Must pass a name of a build config or specify build name with '--from-build' flag.\nUse \"oc get \
             buildconfig\" to list all available build configs.",
        ));
    }
    if !command.from_build.is_empty() && input.is_some() {
        bail!("cannot use '--from-build' flag with binary builds");
    }
    let config = offline::settings(&command.settings, context)?;
    let mut shown = offline::show(config, &Extent::Whole)?;
    let namespace = command.namespace.clone();
    let namespace = namespace.unwrap_or_else(|| shown.config.policy.default_namespace.clone());
    let order = order(command, &shown, &namespace, context)?;
    if let Some(which) = &command.list_webhooks {
        return list_webhooks(which, &order.object, &shown, context);
    }
    let started = start(order, input, &shown, context)?;
    let (singular, name) = (Resource::Builds.singular(), &started.name);
    let word = if command.output == "name" { "" } else { " started" };
    writeln!(context.out, "{singular}/{name}{word}")?;
    context.out.flush()?;
    let StartedBuild { seq, object, .. } = started.clone();
    if command.follow {
        let log = LogFile::of(&shown, &namespace, name);
        Following::of(&mut shown, object.clone(), seq).print_log(log, context)?;
    }
    if command.wait {
        return wait(&mut Following::of(&mut shown, object, seq), &namespace, name);
    }
    Ok(ExitCode::Done)
}

/// Waits for the end of a build.
fn wait(
    following: &mut Following<'_>,
    namespace: &Namespace,
    name: &str,
) -> anyhow::Result<ExitCode> {
    loop {
        match following.look()? {
            Stand::Ended(BuildEnd::Complete) => return Ok(ExitCode::Done),
            Stand::Ended(end) => bail!("the build {namespace}/{name} status is \"{end}\""),
            Stand::Forgotten => bail!("the build {namespace}/{name} is not remembered any more"),
            Stand::New | Stand::Running => following.wait(),
        }
    }
}

/// What is ordered, but for what is handed over.
fn order(
    command: &Command,
    shown: &Shown,
    namespace: &Namespace,
    context: &mut Context<'_>,
) -> anyhow::Result<BuildOrder> {
    let pairs = |flag: &str, words: &[String]| -> anyhow::Result<Vec<(String, String)>> {
        let pair = |word: &String| match word.split_once('=') {
            Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
            Some(_) | None => bail!("invalid {flag} `{}`: it is NAME=VALUE", word.escape_debug()),
        };
        words.iter().map(pair).collect()
    };
    let mut env = pairs("--env", &command.env)?;
    let build_args = pairs("--build-arg", &command.build_arg)?;
    for (name, _) in env.iter().chain(&build_args) {
        if crate::secret::sounds_secret(name) {
            writeln!(
                context.err,
                "warning: the value of {name} is recorded with the build; a Secret that the BuildConfig names is not"
            )?;
        }
    }
    if let Some(level) = &command.build_loglevel {
        env.push(("BUILD_LOGLEVEL".to_owned(), level.clone()));
    }
    let commit = command.input.commit.clone();
    let options = BuildOptions {
        commit,
        env,
        build_args,
        no_cache: command.no_cache,
        incremental: command.incremental,
        ..BuildOptions::default()
    };
    let not_found = |resource: Resource, name: &str| ApiError::not_found(&resource.plural(), name);
    let word = command.words.first().map_or(command.from_build.as_str(), String::as_str);
    let default = match command.words.is_empty() {
        true => Resource::Builds,
        false => Resource::BuildConfigs,
    };
    let (kind, name) = match word.split_once('/') {
        None => (default, word),
        Some((kind, name)) => match Resource::from_word(kind) {
            Some(known @ (Resource::Builds | Resource::BuildConfigs)) => (known, name),
            Some(_) | None => bail!("invalid resource provided: {kind}"),
        },
    };
    if kind == Resource::Builds {
        if !command.words.is_empty() && command.list_webhooks.is_none() {
            bail!("use --from-build to rerun your builds");
        }
        let build = find(&shown.observed, namespace, name);
        let build = build.ok_or_else(|| not_found(Resource::Builds, name))?;
        let object = build.created.object.clone();
        return Ok(BuildOrder {
            object,
            webhook: None,
            options,
            again: Some(build.created.number),
        });
    }
    let object =
        ObjectKey { kind: Kind::BuildConfig, namespace: namespace.clone(), name: name.parse()? };
    if !shown.desired.builds.contains_key(&object) {
        if let Some(why) = &shown.unread {
            bail!("the adopted commit cannot be read: {why}");
        }
        return Err(not_found(Resource::BuildConfigs, name).into());
    }
    Ok(BuildOrder { object, webhook: None, options, again: None })
}

/// Orders it, after what it is to be built from was handed over.
fn start(
    mut order: BuildOrder,
    input: Option<Input>,
    shown: &Shown,
    context: &mut Context<'_>,
) -> anyhow::Result<StartedBuild> {
    let socket = &shown.config.control_socket;
    let reply = match input {
        None => ask::ask(socket, &Question::StartBuild(Box::new(order)))?,
        Some(input) => {
            let mut packed = input.pack(context)?;
            order.options.commit = packed.commit.take();
            let mut as_file = packed.as_file.take();
            let question = |content| {
                let as_file = as_file.take();
                order.options.binary = Some(BinaryInput { content, as_file });
                Question::StartBuild(Box::new(order))
            };
            let reply = ask::upload_and_ask(socket, (&mut packed.file, packed.bytes), question)?;
            writeln!(context.err, "\nUploading finished")?;
            reply
        }
    };
    match reply.ok_or_else(|| ask::no_daemon(socket))? {
        Reply::Started(started) => Ok(*started),
        Reply::Nothing(why) | Reply::Refused(why) => bail!("{why}"),
        Reply::Done(_)
        | Reply::Ordered(_)
        | Reply::Cancelled(_)
        | Reply::Uploaded(_)
        | Reply::Looking(_)
        | Reply::Status(_)
        | Reply::Pruned(_)
        | Reply::Hooks(_) => bail!(ask::SOMETHING_ELSE),
    }
}

/// Prints where webhooks are sent; of one kind only their addresses.
fn list_webhooks(
    which: &str,
    object: &ObjectKey,
    shown: &Shown,
    context: &mut Context<'_>,
) -> anyhow::Result<ExitCode> {
    if !matches!(which, "all" | "generic" | "github") {
        bail!("--list-webhooks must be 'all', 'generic', or 'github'");
    }
    let Some(build) = shown.desired.builds.get(object) else {
        let plural = Resource::BuildConfigs.plural();
        return Err(ApiError::not_found(&plural, object.name.as_str()).into());
    };
    let manifest: serde_json::Value = serde_json::from_str(&build.manifest)?;
    let triggers = manifest.pointer("/spec/triggers").and_then(serde_json::Value::as_array);
    let base = inventory::base(&shown.config);
    for trigger in triggers.into_iter().flatten() {
        let kind = trigger.get("type").and_then(serde_json::Value::as_str).unwrap_or_default();
        let Some((title, word)) = hook_of(kind) else { continue };
        if which != "all" && which != word {
            continue;
        }
        let title = if which == "all" { format!("{title} ") } else { String::new() };
        let url = webhook_url(&base, object.namespace.as_str(), object.name.as_str(), word);
        writeln!(context.out, "{title}{url}")?;
    }
    Ok(ExitCode::Done)
}
