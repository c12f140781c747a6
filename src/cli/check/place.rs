//! Where the files of a check lie: how `run` would name them, and how whoever asked does.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::desired::diagnostic::Diagnostic;
use crate::desired::{is_manifest, params_paths};
use crate::world::git;

/// The root of the files, and what of them is asked about.
pub(super) struct Place {
    /// The root of the repository; outside of one the folder that is given, or that all arguments are in.
    pub(super) root: PathBuf,
    starts: Vec<Start>,
}

/// One argument.
struct Start {
    /// From the root, with `/`; empty for the root itself.
    path: String,
    /// As it was written.
    written: String,
    is_folder: bool,
}

impl Place {
    pub(super) fn of(arguments: &[PathBuf]) -> anyhow::Result<Self> {
        let here = [PathBuf::from(".")];
        let arguments = if arguments.is_empty() { &here[..] } else { arguments };
        let mut found = Vec::new();
        for argument in arguments {
            let cannot = || format!("cannot read `{}`", argument.display());
            let is_folder = argument.is_dir();
            let full = if is_folder {
                argument.canonicalize().with_context(cannot)?
            } else {
                // A link is looked at itself: `run` does not follow it either.
                argument.symlink_metadata().with_context(cannot)?;
                let parent = argument.parent().filter(|parent| *parent != Path::new(""));
                let parent =
                    parent.unwrap_or(Path::new(".")).canonicalize().with_context(cannot)?;
                parent.join(argument.file_name().unwrap_or_default())
            };
            found.push((argument, full, is_folder));
        }
        let folders = found.iter().map(|(_, full, is_folder)| {
            let parent = full.parent().unwrap_or(full);
            if *is_folder { full.as_path() } else { parent }
        });
        let root = root_of(&folders.collect::<Vec<_>>());
        let starts = found.iter().map(|(argument, full, is_folder)| Start {
            path: full.strip_prefix(&root).unwrap_or(full).to_string_lossy().into_owned(),
            written: argument.to_string_lossy().into_owned(),
            is_folder: *is_folder,
        });
        let starts = starts.collect();
        Ok(Self { root, starts })
    }

    /// What is asked about, from the root.
    pub(super) fn starts(&self) -> Vec<String> {
        self.starts.iter().map(|start| start.path.clone()).collect()
    }

    /// An argument that is a file and no manifest, as it was written.
    pub(super) fn no_manifest(&self) -> Option<&str> {
        let odd = |start: &&Start| !start.is_folder && !is_manifest(&start.path);
        self.starts.iter().find(odd).map(|start| start.written.as_str())
    }

    /// A path from the root as whoever asked would write it.
    pub(super) fn shown(&self, path: &str) -> String {
        let below = |start: &Start| {
            let rest = match start.path.as_str() {
                "" => Some(path),
                start => {
                    path.strip_prefix(start).filter(|rest| rest.is_empty() || rest.starts_with('/'))
                }
            };
            let rest = rest?.trim_start_matches('/');
            let written = start.written.trim_end_matches('/');
            let shown = match (written, rest) {
                ("", rest) => format!("/{rest}"),
                (written, "") => written.to_owned(),
                (written, rest) => format!("{written}/{rest}"),
            };
            Some(shown.trim_start_matches("./").to_owned())
        };
        self.starts.iter().find_map(below).unwrap_or_else(|| path.to_owned())
    }

    /// Shows the paths of a diagnostic.
    pub(super) fn show(&self, diagnostic: &mut Diagnostic) {
        let path = std::mem::take(&mut diagnostic.position.path);
        diagnostic.position.path = self.shown(&path);
        for (params, shown) in
            params_paths(&path).into_iter().zip(params_paths(&diagnostic.position.path))
        {
            if let Some(hint) = &mut diagnostic.hint {
                *hint = hint.replace(&format!("`{params}`"), &format!("`{shown}`"));
            }
        }
        // A duplicate names the other place: `… stands at PATH:LINE:COLUMN already`.
        if let Some((before, rest)) = diagnostic.message.split_once(" stands at ")
            && let Some((position, after)) = rest.split_once(" already")
            && let Some(at) = position.match_indices(':').map(|(at, _)| at).rev().nth(1)
            && let (Some(path), Some(line)) = (position.get(..at), position.get(at..))
        {
            let shown = self.shown(path);
            diagnostic.message = format!("{before} stands at {shown}{line} already{after}");
        }
    }
}

/// The root of the one repository that all folders are in, else the folder above them all.
fn root_of(folders: &[&Path]) -> PathBuf {
    let mut roots = folders.iter().map(|folder| git::work_tree_of(folder));
    if let Some(Some(first)) = roots.next()
        && roots.all(|root| root.as_ref() == Some(&first))
    {
        return first;
    }
    let mut common = folders.first().map(|folder| folder.to_path_buf()).unwrap_or_default();
    while !folders.iter().all(|folder| folder.starts_with(&common)) && common.pop() {}
    common
}
