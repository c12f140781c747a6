//! `tidegate new-app`: applications out of images, streams, sources and templates (section 6 of the triggers
//! specification).

use std::path::PathBuf;

use anyhow::bail;

use super::scaffolding::{self, Lookup, Words};
use crate::cli::offline::{self, Extent};
use crate::cli::{Context, ExitCode};
use crate::scaffold::Verb;
use crate::scaffold::search::{self, search};

/// Make an application of images, streams, sources and templates, in git, as `oc new-app` does
///
/// Each argument is the first of what it can be: environment (KEY=VALUE), a source (a folder, or a URL that `git` can
/// ask), a file with a Template, an image stream, an image of a registry. `IMAGE~SOURCE` builds a source with an image,
/// `A+B` runs two images in one pod. What is made is written into the manifests and committed; with -S and -L streams
/// and images are looked for instead.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "the flags of `oc`")]
pub(in crate::cli) struct Command {
    #[command(flatten)]
    words: Words,
    /// Look for streams and images of these names
    #[arg(short = 'S', long)]
    search: bool,
    /// List all streams
    #[arg(short = 'L', long)]
    list: bool,
    /// The name of a Template, which is refused: a Template of git makes its objects by itself
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    template: Vec<String>,
    /// A file with a Template; may be repeated
    #[arg(short, long, value_name = "FILE", value_delimiter = ',')]
    file: Vec<String>,
    /// A parameter of a Template, as NAME=VALUE; may be repeated
    #[arg(short, long, value_name = "NAME=VALUE")]
    param: Vec<String>,
    /// A file with parameters
    #[arg(long, value_name = "FILE")]
    param_file: Vec<PathBuf>,
    /// Pass over parameters that a Template has not
    #[arg(long)]
    ignore_unknown_parameters: bool,
    /// Components that run in one pod, as A+B
    #[arg(long, value_name = "A+B", value_delimiter = ',')]
    group: Vec<String>,
    /// Environment of what runs, as NAME=VALUE; may be repeated
    #[arg(short, long, value_name = "NAME=VALUE")]
    env: Vec<String>,
    /// A file with environment
    #[arg(long, value_name = "FILE")]
    env_file: Vec<PathBuf>,
    /// Environment of what is built, as NAME=VALUE; may be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    build_env: Vec<String>,
    /// A file with environment of what is built
    #[arg(long, value_name = "FILE")]
    build_env_file: Vec<PathBuf>,
    /// Make a DeploymentConfig in place of a Deployment
    #[arg(long)]
    as_deployment_config: bool,
    /// Run instances while it is rolled out only
    #[arg(long)]
    as_test: bool,
    /// Give the application a tag of its own that follows the one of the stream, as clients of 2019 did
    #[arg(long)]
    copy_tag: bool,
    /// Accepted and without effect: nothing is installed
    #[arg(long, hide = true)]
    no_install: bool,
    /// Accepted and without effect: no image gets a token
    #[arg(long, hide = true)]
    grant_install_rights: bool,
}

pub(super) fn run(command: &Command, context: &mut Context<'_>) -> anyhow::Result<ExitCode> {
    let mut read = command.words.read(Verb::App, &command.file, context)?;
    command.template.iter().for_each(|word| read.stored_template(word));
    read.environment(&command.env, &command.env_file)?;
    read.build_environment(&command.build_env, &command.build_env_file)?;
    read.parameters(&command.param, &command.param_file)?;
    let wanted = &mut read.wanted;
    wanted.groups.clone_from(&command.group);
    wanted.ignore_unknown_parameters = command.ignore_unknown_parameters;
    wanted.as_deployment_config = command.as_deployment_config;
    wanted.as_test = command.as_test;
    wanted.copy_tag = command.copy_tag;
    if command.search || command.list {
        return look(command, &read, context);
    }
    scaffolding::run(&command.words, &read, context)
}

/// Looks for what there is (rule N20).
fn look(
    command: &Command,
    read: &scaffolding::Read,
    context: &mut Context<'_>,
) -> anyhow::Result<ExitCode> {
    let wanted = &read.wanted;
    let extent = match (command.list, command.search) {
        (true, true) => bail!("--list and --search can't be used together"),
        (true, false) if !wanted.components.is_empty() || !wanted.sources.is_empty() => {
            bail!("--list can't be used with arguments")
        }
        (true, false) => search::Extent::All,
        (false, _) => search::Extent::Named,
    };
    for (is_given, what) in [
        (!wanted.sources.is_empty(), "source code"),
        (!wanted.environment.is_empty(), "--env"),
        (!wanted.build_environment.is_empty(), "--build-env"),
        (!wanted.parameters.is_empty(), "--param"),
    ] {
        if is_given {
            bail!("--search can't be used with {what}");
        }
    }
    let program = context.global.program();
    if wanted.components.is_empty() && extent == search::Extent::Named {
        return Err(read.error(&crate::scaffold::Failure::NoInput, program));
    }
    let config = offline::settings(&command.words.edit.settings, context)?;
    let shown = offline::show(config, &Extent::Whole)?;
    let lookup = Lookup::with(&shown.desired, &shown.observed, &shown.config);
    let (answer, _) =
        read.answered(&lookup, program, |wanted, known| search(wanted, known, extent, program))?;
    for error in &answer.errors {
        writeln!(context.err, "warning: {error}")?;
    }
    context.out.write_all(answer.text.as_bytes())?;
    Ok(ExitCode::Done)
}
