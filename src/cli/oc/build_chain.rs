//! `tidegate build-chain ISTAG`: which builds an image reaches, and what they make (rules C13, C14).

use anyhow::bail;
use clap::ArgAction;

use super::{ApiError, UsageError};
use crate::cli::{Context, ExitCode, offline};
use crate::config;
use crate::effective::chain::Chain;
use crate::effective::spec_tag;
use crate::names::{Namespace, StreamName, StreamTag};
use crate::report::chain;

/// Show which builds a tag of an image stream starts and what they make, as `oc adm build-chain` does
///
/// The tag is `latest` where none is named. A tag that builds feed back to itself is named with its whole way.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "the flags of `oc`")]
pub(in crate::cli) struct Command {
    /// The tag: `httpd:2.4`, or `istag/httpd:2.4`
    #[arg(value_name = "IMAGESTREAMTAG")]
    tag: Vec<String>,
    /// Look at the builds of all namespaces
    #[arg(long)]
    all: bool,
    /// Only what starts a build leads to it; with `false`, also what it is made of
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, value_name = "BOOL")]
    #[arg(default_value = "true", default_missing_value = "true", hide_possible_values = true)]
    trigger_only: bool,
    /// Show what the tag is made of instead
    #[arg(long)]
    reverse: bool,
    /// Show the workloads that are rolled out, too
    #[arg(long)]
    deployments: bool,
    /// `dot` for graphviz, `mermaid` for Markdown [default: a tree]
    #[arg(short, long, value_name = "FORMAT", default_value = "", hide_default_value = true)]
    output: String,
    /// Namespace of the tag and of the builds [default: `default_namespace`]
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Option<Namespace>,
    #[command(flatten)]
    settings: config::SettingArguments,
}

pub(super) fn run(command: &Command, context: &mut Context<'_>) -> anyhow::Result<ExitCode> {
    let [tag] = &command.tag[..] else {
        let message = "Must pass an image stream tag. If only an image stream name is specified, 'latest' will be used \
                       for the tag."
            .into();
        return Err(UsageError { command: "build-chain", message }.into());
    };
    let write = match command.output.as_str() {
        "" => chain::tree,
        "dot" => chain::dot,
        "mermaid" => chain::mermaid,
        _ => bail!("output must be either empty, 'dot' or 'mermaid'"),
    };
    let config = offline::settings(&command.settings, context)?;
    let offline = offline::open(config)?;
    if let Some(why) = &offline.unread {
        bail!("the adopted commit cannot be read: {why}");
    }
    let namespace = command.namespace.as_ref();
    let namespace = namespace.unwrap_or(&offline.config.policy.default_namespace);
    let tag = read(tag, namespace)?;
    let desired = offline.engine.desired();
    let chain = Chain {
        desired,
        namespace: (!command.all).then_some(namespace),
        trigger_only: command.trigger_only,
        reverse: command.reverse,
        workloads: command.deployments,
    };
    if !chain.knows(&tag) {
        let name = format!("{}:{}", tag.stream.name, tag.tag);
        let is_there =
            spec_tag(desired, &tag).is_some() || offline.engine.observed().tag(&tag).is_some();
        if !is_there {
            return Err(ApiError::not_found("imagestreamtags.image.openshift.io", &name).into());
        }
        writeln!(
            context.out,
            "Image stream tag \"{name}\" in \"{namespace}\" doesn't have any dependencies."
        )?;
        return Ok(ExitCode::Done);
    }
    // A build that is made of what it makes goes round, whatever starts it.
    let whole = Chain { trigger_only: false, reverse: false, ..chain };
    match whole.cycle(&tag) {
        Some(way) => writeln!(context.out, "{}", chain::cycle(&way))?,
        None => context.out.write_all(write(chain, &tag).as_bytes())?,
    }
    Ok(ExitCode::Done)
}

fn read(word: &str, namespace: &Namespace) -> anyhow::Result<StreamTag> {
    let name = match word.split_once('/') {
        None => word,
        Some(("istag" | "imagestreamtag" | "imagestreamtags", name)) => name,
        Some((kind, _)) => bail!("invalid resource provided: {kind}"),
    };
    let (stream, tag) = name.split_once(':').unwrap_or((name, "latest"));
    Ok(StreamName::new(namespace.clone(), stream.parse()?).tag(tag.parse()?))
}
