//! `tidegate set triggers`: what sets workloads and builds in motion (rules T28 to T31).

use anyhow::{anyhow, bail};

use super::chosen::{self, Choice, Chosen};
use super::edit::{Desk, EditArguments, Outcome, edit, look};
use super::kinds::ManifestKind;
use crate::cli::{Context, ExitCode, ask, offline};
use crate::control::{Question, Reply};
use crate::edit::triggers::{FromTag, Hook, HookKind, One, TriggerError, Triggers, Wish};
use crate::edit::{Document, Place};
use crate::names::{Kind, ObjectKey};
use crate::oc::tabs;
use crate::reference::ImageReference;

/// How long a secret is, as `oc` makes them.
const SECRET_LEN: usize = 20;

/// Show or change what sets workloads and builds in motion
///
/// Workloads follow tags of image streams (`--from-image`) and changes of their own manifest (`--from-config`); builds
/// follow hooks as well. Without a flag it shows the triggers. A container has one trigger: a second one for it replaces
/// the first.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "the flags of `oc`")]
pub(super) struct Command {
    /// Kinds and names: `dc/web`, `bc web`, `deploy,sts`
    #[arg(value_name = "KIND/NAME")]
    words: Vec<String>,
    #[command(flatten)]
    choice: Choice,
    /// Changes of its own manifest
    #[arg(long)]
    from_config: bool,
    /// A tag of an image stream: `python:3.6`, `other/python:3.6`
    #[arg(long, value_name = "STREAM:TAG", default_value = "", hide_default_value = true)]
    from_image: String,
    /// Containers that get the image, with commas between them
    #[arg(short, long, value_name = "NAMES", value_delimiter = ',')]
    containers: Vec<String>,
    /// A webhook that anybody may call who knows its secret, which is made
    #[arg(long)]
    from_webhook: bool,
    /// The same, whose caller may set the environment of the build
    #[arg(long)]
    from_webhook_allow_env: bool,
    /// A webhook of GitHub
    #[arg(long)]
    from_github: bool,
    /// A webhook of GitLab
    #[arg(long)]
    from_gitlab: bool,
    /// A webhook of Bitbucket
    #[arg(long)]
    from_bitbucket: bool,
    /// Let all triggers act by themselves, or the one that is named
    #[arg(long)]
    auto: bool,
    /// Let none act by itself, or not the one that is named
    #[arg(long)]
    manual: bool,
    /// Take the one that is named away
    #[arg(long)]
    remove: bool,
    /// Take all away
    #[arg(long)]
    remove_all: bool,
    #[command(flatten)]
    edit: EditArguments,
}

pub(super) fn run(command: &Command, context: &mut Context<'_>) -> anyhow::Result<ExitCode> {
    let wish = command.wish()?;
    let chosen = chosen::read(&command.words, "set triggers", &command.choice)?;
    let Some(wish) = wish else {
        let look = look(&command.edit, context)?;
        let mut table = "NAME\tTYPE\tVALUE\tAUTO\n".to_owned();
        for (kind, place) in chosen.places(&look.manifests, &look.namespace)? {
            if let Some(document) = look.manifests.at(&place) {
                list(kind, document, &mut table);
            }
        }
        context.out.write_all(tabs::narrow_table(&table).as_bytes())?;
        return Ok(ExitCode::Done);
    };
    let code = edit(&command.edit, context, |desk| {
        let places = chosen.places(&desk.manifests, &desk.namespace)?;
        set(&wish, &places, chosen.is_single(), desk)
    })?;
    if command.auto && !command.edit.is_dry() {
        follow_again(command, &chosen, context)?;
    }
    Ok(code)
}

/// What `rollout undo` went back to stays no longer: its triggers act again (rule D48, c).
fn follow_again(
    command: &Command,
    chosen: &Chosen<'_>,
    context: &mut Context<'_>,
) -> anyhow::Result<()> {
    let config = offline::settings(&command.edit.settings, context)?;
    let socket = config.control_socket.clone();
    // Without a journal nothing was rolled out, or back.
    let Ok(offline) = offline::open(config) else { return Ok(()) };
    let look = look(&command.edit, context)?;
    for (kind, place) in chosen.places(&look.manifests, &look.namespace)? {
        let Some(document) = look.manifests.at(&place) else { continue };
        let is_it = |object: &&ObjectKey| {
            Kind::from_word(kind.sort.kind) == Some(object.kind)
                && object.namespace == document.namespace
                && object.name.as_str() == document.name
        };
        let workloads = offline.engine.observed().workloads.iter();
        let mut pinned = workloads.filter(|(_, state)| state.pinned.is_some());
        let Some((object, _)) = pinned.find(|(object, _)| is_it(object)) else { continue };
        let question = Question::Release(object.clone());
        match ask::ask(&socket, &question)?.ok_or_else(|| ask::no_daemon(&socket))? {
            Reply::Done(_) => {
                let name = format!("{}/{}", kind.singular(), document.name);
                writeln!(context.out, "{name} follows its tags again")?;
            }
            Reply::Refused(why) => bail!("{why}"),
            Reply::Nothing(_)
            | Reply::Looking(_)
            | Reply::Status(_)
            | Reply::Pruned(_)
            | Reply::Ordered(_)
            | Reply::Started(_)
            | Reply::Cancelled(_)
            | Reply::Uploaded(_)
            | Reply::Hooks(_) => {}
        }
    }
    Ok(())
}

/// The rows of one object (rule T28).
fn list(kind: ManifestKind, document: &Document, table: &mut String) {
    let name = format!("{}/{}", kind.plural(), document.name);
    let mut row = |what: &str, value: &str, auto: &str| {
        table.push_str(&format!("{name}\t{what}\t{value}\t{auto}\n"));
    };
    let Triggers { config, images, hooks } = match document.triggers() {
        None => return,
        Some(Err(_)) => return row("<error>", "", "false"),
        Some(Ok(triggers)) => triggers,
    };
    row("config", "", &config.to_string());
    for image in images {
        let value = match image.containers.as_slice() {
            [] => image.from.to_string(),
            names => format!("{} ({})", image.from, names.join(", ")),
        };
        row("image", &value, &image.automatic.to_string());
    }
    for hook in hooks {
        let value = if hook.allow_env { "<secret>, allowenv" } else { "<secret>" };
        row(hook.kind.listed(), value, "");
    }
}

fn set(
    wish: &Wish,
    places: &[(ManifestKind, Place)],
    is_single: bool,
    desk: &mut Desk<'_>,
) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::default();
    let mut names = Vec::new();
    for (kind, place) in places {
        let Some(document) = desk.manifests.at(place) else { continue };
        let name = document.name.clone();
        let before = document.triggers();
        let shown = format!("{}/{name}", kind.plural());
        match desk.manifests.set_triggers(place, wish) {
            Err(TriggerError::Unsupported) if !is_single => continue,
            Err(TriggerError::Edit(error)) => return Err(error.into()),
            Err(TriggerError::Unsupported) => bail!("{shown} does not support triggers"),
            Err(error) => bail!("{shown} {error}"),
            Ok(notes) => {
                outcome.notes.extend(notes.into_iter().map(|note| format!("{shown}: {note}")));
            }
        }
        if desk.manifests.at(place).and_then(Document::triggers) == before {
            continue; // nothing is said of what does not change
        }
        let line = desk.line(format!("{}/{name} triggers updated", kind.singular()));
        outcome.lines.push(line);
        names.push(format!("{}/{name}", kind.sort.kind));
    }
    if matches!(wish, Wish::Put { one: One::Hook { .. }, .. }) && !names.is_empty() {
        outcome.notes.push(
            "the secret of a webhook that was made stands in the manifest now; to keep it out of git, replace `secret` by \
             `secretReference`"
                .into(),
        );
    }
    outcome.message = format!("set the triggers of {}", names.join(", "));
    Ok(outcome)
}

impl Command {
    /// What is to be changed; none where it is only shown. The order of the errors is that of `oc` (rule T29).
    fn wish(&self) -> anyhow::Result<Option<Wish>> {
        let from = self.image()?;
        let hooks = [
            (self.from_webhook, HookKind::Generic, false),
            (self.from_webhook_allow_env, HookKind::Generic, true),
            (self.from_github, HookKind::GitHub, false),
            (self.from_gitlab, HookKind::GitLab, false),
            (self.from_bitbucket, HookKind::Bitbucket, false),
        ];
        let mut named: Vec<One> = Vec::new();
        named.extend(self.from_config.then_some(One::Config));
        let containers = self.containers.clone();
        named.extend(from.map(|from| One::Image { from, containers }));
        for (_, kind, allow_env) in hooks.into_iter().filter(|(is_set, _, _)| *is_set) {
            named.push(One::Hook { hook: Hook { kind, allow_env }, secret: secret()? });
        }
        if self.auto && self.manual {
            bail!("you must specify at most one of --auto or --manual");
        }
        if self.remove && self.remove_all {
            bail!("you must specify either --remove or --remove-all");
        }
        if self.remove_all && (!named.is_empty() || self.auto || self.manual) {
            bail!("--remove-all may not be used with any other flag");
        }
        if self.remove && named.is_empty() {
            bail!("--remove requires a flag defining a trigger type to be specified");
        }
        if named.len() > 1 {
            bail!("you may only set one trigger type at a time");
        }
        let automatic = !self.manual;
        Ok(match named.pop() {
            _ if self.remove_all => Some(Wish::RemoveAll),
            Some(one) if self.remove => Some(Wish::Remove(one)),
            Some(one) => Some(Wish::Put { one, automatic }),
            None if self.auto || self.manual => Some(Wish::All { automatic }),
            None if !self.containers.is_empty() => bail!(
                "specify one of the --from-* flags to add a trigger, --remove to remove, or --auto|--manual to control \
                 existing triggers"
            ),
            None => None,
        })
    }

    fn image(&self) -> anyhow::Result<Option<FromTag>> {
        if self.from_image.is_empty() {
            return Ok(None);
        }
        let reference: ImageReference = self.from_image.parse().map_err(|error| {
            anyhow!(
                "the value of --from-image does not appear to be a valid reference to an image: {error}"
            )
        })?;
        if reference.registry.is_some() || reference.digest.is_some() {
            bail!("the value of --from-image must point to an image stream tag on this server");
        }
        if reference.tag.is_none() {
            bail!("the value of --from-image must include the tag you wish to pull from");
        }
        let name = reference.name_string();
        Ok(Some(FromTag { name, namespace: reference.namespace }))
    }
}

/// A secret that nobody guesses.
fn secret() -> anyhow::Result<String> {
    const SIGNS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut bytes = [0; SECRET_LEN];
    let random = ring::rand::SystemRandom::new();
    ring::rand::SecureRandom::fill(&random, &mut bytes)
        .map_err(|_| anyhow!("this machine gives no random numbers"))?;
    let sign = |byte: &u8| SIGNS.get(usize::from(byte % 64)).copied().map(char::from);
    Ok(bytes.iter().filter_map(sign).collect())
}
