//! `tidegate prune images`: takes what nobody uses out of the histories of tags (section 7 of the specification).

use std::time::Duration;

use clap::ArgAction;

use super::UsageError;
use crate::cli::{Context, ExitCode, ask, offline};
use crate::config::{self, Config};
use crate::control::{Question, Reply};
use crate::daemon;
use crate::fact::{Keep, PruneOptions};
use crate::journal::ObjectStore;
use crate::names::Namespace;
use crate::plan::prune::Pruned;
use crate::policy::RegistryMode;
use crate::report;
use crate::report::prune::Manifests;
use crate::time::{Span, go_duration};

/// What is kept where nothing is said (section 7.1).
const YOUNGER_THAN: Duration = Duration::from_secs(60 * 60);
const REVISIONS: u64 = 3;

/// Remove what is not needed any more, as `oc adm prune` does
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Command {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    Images(Box<Images>),
}

/// Remove old items of tags, and images that no item names any more
///
/// A dry run unless `--confirm` is given. What workloads run or may be put back to, what triggers, aliases, pins and builds
/// use, and the image of each tag in git always stay. The running daemon does it, in one record that lists everything.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "the flags of `oc`")]
struct Images {
    #[arg(value_name = "ARGUMENT", hide = true)]
    arguments: Vec<String>,
    /// Remove; without it, only say what would be removed
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, value_name = "BOOL")]
    #[arg(default_value = "false", default_missing_value = "true", hide_possible_values = true)]
    confirm: bool,
    /// Keep what came later than this ago, like 90m or 24h; 0 keeps nothing for its age [default: 60m]
    #[arg(long, value_name = "DURATION", value_parser = go_duration, allow_hyphen_values = true)]
    keep_younger_than: Option<i64>,
    /// Keep this many of the newest items of each tag [default: 3]
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    keep_tag_revisions: Option<i64>,
    /// Remove only images over the size limit of their namespace (`limits."NAMESPACE".image_size`), whatever their age
    #[arg(long, num_args = 0..=1, require_equals = true, value_name = "BOOL")]
    #[arg(default_missing_value = "true", hide_possible_values = true)]
    prune_over_size_limit: Option<bool>,
    /// With `--all=false`: of images, only those that were pushed to the managed registry
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, value_name = "BOOL")]
    #[arg(default_value = "true", default_missing_value = "true", hide_possible_values = true)]
    all: bool,
    /// With `--prune-registry=false`: leave the manifests in the managed registry
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, value_name = "BOOL")]
    #[arg(default_value = "true", default_missing_value = "true", hide_possible_values = true)]
    prune_registry: bool,
    /// Say nothing about references that cannot be read; they protect nothing either way
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, value_name = "BOOL")]
    #[arg(default_value = "false", default_missing_value = "true", hide_possible_values = true)]
    ignore_invalid_refs: bool,
    /// Only streams of this namespace, and no image [default: all of both]
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Option<Namespace>,
    /// Accepted as `oc` has it; the work is done at once
    #[arg(long, value_name = "NUMBER", default_value_t = 5)]
    num_workers: u32,
    /// Address of the managed registry, as `oc` wants it; refused if it is not that of the configuration
    #[arg(long, value_name = "URL")]
    registry_url: Option<String>,
    /// Accepted as `oc` has it; the setting `registries."HOST".ca_file` counts
    #[arg(long, value_name = "FILE")]
    certificate_authority: Option<String>,
    /// Accepted as `oc` has it; the setting `registries."HOST".insecure` counts
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, value_name = "BOOL")]
    #[arg(default_value = "false", default_missing_value = "true", hide_possible_values = true)]
    force_insecure: bool,
    #[command(flatten)]
    settings: config::SettingArguments,
}

impl Images {
    /// Reads what is asked for, with the errors of rule I152.
    fn options(&self) -> anyhow::Result<PruneOptions> {
        if !self.arguments.is_empty() {
            let message = "no arguments are allowed to this command".into();
            return Err(UsageError { command: "adm prune images", message }.into());
        }
        let by_age = self.keep_tag_revisions.is_some() || self.keep_younger_than.is_some();
        anyhow::ensure!(
            self.prune_over_size_limit.is_none() || !by_age,
            "--prune-over-size-limit cannot be specified with --keep-tag-revisions nor --keep-younger-than"
        );
        let at_least_0 = |name: &str, value: Option<i64>, default: u64| {
            let value = value.map_or(Ok(default), u64::try_from);
            value.map_err(|_| anyhow::anyhow!("--{name} must be greater than or equal to 0"))
        };
        let hour = u64::try_from(YOUNGER_THAN.as_millis())?;
        let younger = at_least_0("keep-younger-than", self.keep_younger_than, hour)?;
        let revisions = at_least_0("keep-tag-revisions", self.keep_tag_revisions, REVISIONS)?;
        anyhow::ensure!(
            self.certificate_authority.is_none() || !self.force_insecure,
            "--certificate-authority cannot be specified with --force-insecure"
        );
        let recent = Keep::Recent { revisions, younger_than: Span(Duration::from_millis(younger)) };
        let over_limit = self.prune_over_size_limit == Some(true);
        Ok(PruneOptions {
            keep: if over_limit { Keep::WithinLimit } else { recent },
            all: self.all,
            namespace: self.namespace.clone(),
            ignore_invalid: self.ignore_invalid_refs,
            registry: self.prune_registry,
        })
    }
}

impl Images {
    /// The daemon deletes the manifests, also after a restart: where and how is a matter of its settings, not of this run.
    fn check_registry(&self, address: &str, context: &mut Context<'_>) -> anyhow::Result<()> {
        if let Some(url) = &self.registry_url {
            let host = url.split_once("://").map_or(url.as_str(), |(_, rest)| rest);
            anyhow::ensure!(
                host.trim_end_matches('/') == address,
                "--registry-url is `{url}`, and the managed registry is `{address}` (integrated_registry.address): \
                 manifests are deleted there only; leave the flag out, or use --prune-registry=false"
            );
        }
        let given = [
            ("--certificate-authority", self.certificate_authority.is_some(), "ca_file"),
            ("--force-insecure", self.force_insecure, "insecure"),
        ];
        for (flag, _, key) in given.iter().filter(|(_, is_given, _)| *is_given) {
            let setting = format!("registries.\"{address}\".{key}");
            writeln!(context.err, "warning: {flag} has no effect: the daemon goes by `{setting}`")?;
        }
        Ok(())
    }
}

pub(super) fn run(command: &Command, context: &mut Context<'_>) -> anyhow::Result<ExitCode> {
    let What::Images(images) = &command.what;
    let options = images.options()?;
    let config = offline::settings(&images.settings, context)?;
    let manifests = match &config.policy.integrated_registry {
        Some(registry) if registry.mode == RegistryMode::Managed && options.registry => {
            images.check_registry(&registry.address, context)?;
            Manifests::Deleted
        }
        Some(_) | None => Manifests::Untouched,
    };
    let pruned = pruned(&options, images.confirm, config)?;
    if !images.confirm {
        writeln!(context.err, "{}", report::prune::DRY_RUN)?;
    }
    for warning in &pruned.pruning.warnings {
        writeln!(context.err, "warning: {warning}")?;
    }
    if manifests == Manifests::Untouched {
        writeln!(context.out, "{}", report::prune::ONLY_OBJECTS)?;
    }
    context.out.write_all(report::prune::to_text(&pruned.pruning, manifests).as_bytes())?;
    if let Some(empty) = report::prune::empty_streams(&pruned.pruning) {
        writeln!(context.err, "{empty}")?;
    }
    Ok(ExitCode::Done)
}

/// Asks the daemon; where none runs, the journal answers what would go.
fn pruned(options: &PruneOptions, confirm: bool, config: Config) -> anyhow::Result<Pruned> {
    let question = Question::Prune { options: options.clone(), confirm };
    match ask::ask_long(&config.control_socket, &question)? {
        Some(Reply::Pruned(pruned)) => return Ok(*pruned),
        Some(Reply::Refused(why)) => anyhow::bail!("{why}"),
        Some(
            Reply::Done(_)
            | Reply::Nothing(_)
            | Reply::Status(_)
            | Reply::Looking(_)
            | Reply::Ordered(_)
            | Reply::Started(_)
            | Reply::Cancelled(_)
            | Reply::Uploaded(_)
            | Reply::Hooks(_),
        ) => {
            anyhow::bail!(ask::SOMETHING_ELSE)
        }
        None if confirm => return Err(ask::no_daemon(&config.control_socket)),
        None => {}
    }
    let offline = offline::open(config)?;
    if let Some(why) = &offline.unread {
        anyhow::bail!(
            "the adopted commit cannot be read, so nobody knows which images its manifests use: {why}"
        );
    }
    let store = ObjectStore::at(&offline.config.state_dir);
    let contents = daemon::image_contents(offline.engine.observed(), &store);
    let pruning = offline.engine.pruning(options, &contents, offline.now);
    Ok(Pruned { record: None, pruning: pruning.map_err(anyhow::Error::msg)? })
}
