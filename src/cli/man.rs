//! `tidegate man`: manual pages, made from the same words as `--help`.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::CommandFactory as _;

use super::{Arguments, Context, ExitCode};

/// Print a manual page, or write all of them into a folder
///
/// To read one: `tidegate man journal verify | man -l -`. To install all: `tidegate man --all /usr/local/share/man/man1`.
#[derive(Debug, clap::Args)]
pub(super) struct Command {
    /// The command whose page is printed [default: the page of `tidegate` itself]
    #[arg(value_name = "COMMAND")]
    page: Vec<String>,
    /// Write every page into this folder instead, like tidegate-run.1
    #[arg(long, value_name = "DIR", conflicts_with = "page")]
    all: Option<PathBuf>,
}

/// Runs the command.
pub(super) fn run(command: &Command, context: &mut Context<'_>) -> anyhow::Result<ExitCode> {
    let mut root = Arguments::command();
    root.build();
    if let Some(folder) = &command.all {
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot make folder `{}`", folder.display()))?;
        write_all(&root, "tidegate", folder, context)?;
        return Ok(ExitCode::Done);
    }
    let mut page = &root;
    let mut title = "tidegate".to_owned();
    for word in &command.page {
        let Some(next) = page.find_subcommand(word) else {
            writeln!(
                context.err,
                "error: there is no command `{title} {word}`",
                title = title.replace('-', " ")
            )?;
            return Ok(ExitCode::Usage);
        };
        title = format!("{title}-{}", next.get_name());
        page = next;
    }
    context.out.write_all(&render(page, &title)?)?;
    Ok(ExitCode::Done)
}

fn write_all(
    command: &clap::Command,
    title: &str,
    folder: &Path,
    context: &mut Context<'_>,
) -> anyhow::Result<()> {
    let path = folder.join(format!("{title}.1"));
    let wrote =
        fs::File::create(&path).and_then(|mut file| file.write_all(&render(command, title)?));
    wrote.with_context(|| format!("cannot write `{}`", path.display()))?;
    writeln!(context.out, "{}", path.display())?;
    for child in command.get_subcommands().filter(|child| child.get_name() != "help") {
        write_all(child, &format!("{title}-{}", child.get_name()), folder, context)?;
    }
    Ok(())
}

fn render(command: &clap::Command, title: &str) -> std::io::Result<Vec<u8>> {
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone()).title(title.to_uppercase()).render(&mut page)?;
    Ok(page)
}
