//! `tidegate new-build`: builds out of images and sources (rule N21).

use std::io::Read as _;
use std::path::PathBuf;

use super::scaffolding::{self, Words};
use crate::cli::{Context, ExitCode};
use crate::scaffold::Verb;

/// Make a build of images and sources, in git, as `oc new-build` does
///
/// Arguments are those of `new-app`. A BuildConfig and the image streams that it needs are written into the manifests and
/// committed.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Command {
    #[command(flatten)]
    words: Words,
    /// The text of a Dockerfile; `-` is standard input
    #[arg(short = 'D', long, value_name = "TEXT")]
    dockerfile: Option<String>,
    /// The tag that is made, as STREAM[:TAG] [default: NAME:latest]
    #[arg(long, value_name = "TAG", default_value = "", hide_default_value = true)]
    to: String,
    /// What is made is an image of a registry, not a tag of a stream
    #[arg(long)]
    to_docker: bool,
    /// What is made is pushed nowhere
    #[arg(long, conflicts_with_all = ["to", "to_docker"])]
    no_output: bool,
    /// An image that files are taken from
    #[arg(long, value_name = "IMAGE", default_value = "", hide_default_value = true)]
    source_image: String,
    /// Which files of it, and where they go, as PATH[:FOLDER]
    #[arg(long, value_name = "PATH", default_value = "", hide_default_value = true)]
    source_image_path: String,
    /// A Secret that is put into the source, as NAME[:FOLDER]; may be repeated
    #[arg(long, value_name = "SECRET", value_delimiter = ',')]
    build_secret: Vec<String>,
    /// A `ConfigMap` that is put into the source, as NAME[:FOLDER]; may be repeated
    #[arg(long, value_name = "CONFIGMAP", value_delimiter = ',')]
    build_config_map: Vec<String>,
    /// The Secret that pushes what is made
    #[arg(long, value_name = "SECRET", default_value = "", hide_default_value = true)]
    push_secret: String,
    /// Environment of what is built, as NAME=VALUE; may be repeated
    #[arg(short, long, alias = "build-env", value_name = "NAME=VALUE")]
    env: Vec<String>,
    /// A file with environment
    #[arg(long, alias = "build-env-file", value_name = "FILE")]
    env_file: Vec<PathBuf>,
    /// An argument of the Dockerfile, as NAME=VALUE; may be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    build_arg: Vec<String>,
}

pub(super) fn run(command: &Command, context: &mut Context<'_>) -> anyhow::Result<ExitCode> {
    let mut read = command.words.read(Verb::Build, &[], context)?;
    read.environment(&command.env, &command.env_file)?;
    let wanted = &mut read.wanted;
    wanted.dockerfile = match command.dockerfile.as_deref() {
        Some("-") => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text)?;
            Some(text)
        }
        text => text.map(str::to_owned),
    };
    wanted.to.clone_from(&command.to);
    wanted.to_docker = command.to_docker;
    wanted.no_output = command.no_output;
    wanted.source_image.clone_from(&command.source_image);
    wanted.source_image_path.clone_from(&command.source_image_path);
    wanted.build_secrets.clone_from(&command.build_secret);
    wanted.build_config_maps.clone_from(&command.build_config_map);
    wanted.push_secret.clone_from(&command.push_secret);
    for word in &command.build_arg {
        let Some((name, value)) = word.split_once('=').filter(|(name, _)| !name.is_empty()) else {
            anyhow::bail!("build-args must be of the form key=value, but is \"{word}\"");
        };
        wanted.build_arguments.push((name.to_owned(), value.to_owned()));
    }
    scaffolding::run(&command.words, &read, context)
}
