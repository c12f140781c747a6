//! `tidegate delete image`: journal state only, so it is the running daemon that does it (rule I165).

use super::resource::Resource;
use super::{ApiError, print_error};
use crate::cli::{Context, ExitCode, ask};
use crate::config::Config;
use crate::control::{Question, Reply};
use crate::names::Digest;

/// Deletes images one by one; what is not there is an error, and the others go all the same.
pub(super) fn run(
    digests: &[String],
    config: &Config,
    context: &mut Context<'_>,
) -> anyhow::Result<ExitCode> {
    let (mut missing, socket) = (Vec::new(), &config.control_socket);
    for name in digests {
        let Ok(digest) = name.parse::<Digest>() else {
            missing.push(name);
            continue;
        };
        let reply = ask::ask(socket, &Question::DeleteImage(digest))?;
        match reply.ok_or_else(|| ask::no_daemon(socket))? {
            Reply::Done(_) => {
                writeln!(context.out, "{} \"{digest}\" deleted", Resource::Images.singular())?;
            }
            Reply::Nothing(_) => missing.push(name),
            Reply::Refused(why) => anyhow::bail!("{why}"),
            Reply::Status(_)
            | Reply::Pruned(_)
            | Reply::Ordered(_)
            | Reply::Started(_)
            | Reply::Cancelled(_)
            | Reply::Uploaded(_)
            | Reply::Looking(_)
            | Reply::Hooks(_) => {
                anyhow::bail!(ask::SOMETHING_ELSE)
            }
        }
    }
    for name in &missing {
        let error = ApiError::not_found(&Resource::Images.plural(), name);
        print_error(context, &error.into())?;
    }
    Ok(if missing.is_empty() { ExitCode::Done } else { ExitCode::Error })
}
