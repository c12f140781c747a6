//! Commands of `oc` that have nothing to act on here: each says what to do instead (transcripts P22, P25, P41).

use std::ffi::OsString;

use anyhow::bail;

use crate::cli::{Context, ExitCode};

/// Whatever follows such a command.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Words {
    /// The rest of the command
    #[arg(value_name = "WORDS", trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<OsString>,
}

/// A command that is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    Apply,
    CreateSecret,
    Login,
    Project,
    Secrets,
}

impl Refused {
    /// What to do instead.
    pub(super) fn advice(self) -> &'static str {
        match self {
            Self::Apply => {
                "manifests are not applied by hand: commit the file to the repository that the daemon reads; `tidegate \
                 diff` shows what it will do"
            }
            Self::CreateSecret => {
                "a login is no object here: put it into the file of `registries.auth_file`, for example with `podman \
                 login --authfile FILE REGISTRY`; it is used by its host, and read again when it changes; or keep \
                 the Secret outside git, in the folder of `registries.secrets`"
            }
            Self::Login => {
                "there is no server to log in to: whoever may read the state directory sees everything; logins of \
                 registries are in the file of `registries.auth_file`, or where podman and docker keep them"
            }
            Self::Project => {
                "there is no project to change to: name the namespace with `-n`, or set `default_namespace`"
            }
            Self::Secrets => {
                "there is nothing to link: imports use every login of `registries.auth_file` that fits the image"
            }
        }
    }
}

pub(super) fn refuse(refused: Refused, _: &Words, _: &mut Context<'_>) -> anyhow::Result<ExitCode> {
    bail!("{}", refused.advice())
}
