//! The main job, told in six parts.

use std::io::Write;

use super::stage::Stage;
use crate::fact::{Fact, Outcome, RolloutCause};

/// Tells it.
pub(super) fn tell(stage: &mut Stage, out: &mut dyn Write) -> anyhow::Result<()> {
    let folder = stage.folder().display().to_string();
    writeln!(
        out,
        "A repository, a registry in memory at {} and a daemon, in {folder}\n",
        stage.registry()
    )?;
    commit_is_adopted(stage, out)?;
    tag_moves(stage, out)?;
    edit_is_shown_first(stage, out)?;
    failure_is_taken_back(stage, out)?;
    hold_is_released(stage, out)?;
    all_of_it(stage, out)
}

fn commit_is_adopted(stage: &mut Stage, out: &mut dyn Write) -> anyhow::Result<()> {
    title(out, 1, "A commit is what should be. Its tags are resolved, then it is rolled out.")?;
    let _digest = stage.put("1"); // shown by the commands
    stage.put_mainline();
    stage.show("tidegate check apps", out)?;
    stage.show("git -C apps log --oneline", out)?;
    writeln!(out, "$ tidegate run &\n")?;
    stage.start_daemon()?;
    rolled_out(stage, RolloutCause::ConfigChange, Outcome::Complete)?;
    stage.show("cat running.txt", out)
}

fn tag_moves(stage: &mut Stage, out: &mut dyn Write) -> anyhow::Result<()> {
    title(
        out,
        2,
        "Somebody pushes nginx:stable. The daemon looks (the demo does not wait 15 minutes).",
    )?;
    stage.push("2")?;
    rolled_out(stage, RolloutCause::ImageChange, Outcome::Complete)?;
    stage.show("tidegate history dc/web --limit 4", out)?;
    stage.show("cat running.txt", out)
}

fn edit_is_shown_first(stage: &mut Stage, out: &mut dyn Write) -> anyhow::Result<()> {
    title(out, 3, "You edit a manifest, see what it would do, and commit it.")?;
    stage.edit("apps/deployment-config.yaml", "value: hello", "value: hello again")?;
    stage.show("tidegate diff --worktree", out)?;
    stage.show(r#"git -C apps commit -q -a -m "web: greet again""#, out)?;
    rolled_out(stage, RolloutCause::ConfigChange, Outcome::Complete)
}

fn failure_is_taken_back(stage: &mut Stage, out: &mut dyn Write) -> anyhow::Result<()> {
    title(
        out,
        4,
        "A pushed image does not work: the previous one is put back, the digest is held.",
    )?;
    let broken = stage.put("3");
    stage.write("broken.txt", &format!("{broken}\n"))?;
    stage.push("3")?;
    rolled_out(stage, RolloutCause::Restore, Outcome::Complete)?;
    stage.show("tidegate status dc/web", out)?;
    stage.show("cat broken.txt running.txt", out)
}

fn hold_is_released(stage: &mut Stage, out: &mut dyn Write) -> anyhow::Result<()> {
    title(out, 5, "Its cause is found and mended: you let it be tried again.")?;
    stage.remove("broken.txt")?;
    stage.show("tidegate release dc/web", out)?;
    rolled_out(stage, RolloutCause::ImageChange, Outcome::Complete)
}

fn all_of_it(stage: &Stage, out: &mut dyn Write) -> anyhow::Result<()> {
    title(out, 6, "What is now, and how it came to be.")?;
    stage.show("tidegate status", out)?;
    stage.show("tidegate history dc/web --limit 9", out)?;
    writeln!(
        out,
        "Next: copy `manifests/` into a repository of your own, and go on with \"Ten minutes\" in README.md."
    )?;
    Ok(())
}

fn title(out: &mut dyn Write, number: u8, text: &str) -> std::io::Result<()> {
    let bold = anstyle::Style::new().bold();
    writeln!(out, "{bold}{number}. {text}{bold:#}")
}

/// Waits until a rollout with this cause began and ended like this.
fn rolled_out(stage: &mut Stage, cause: RolloutCause, outcome: Outcome) -> anyhow::Result<()> {
    let mut began = false;
    stage.wait(&format!("a rollout by {cause} to end as {outcome}"), |fact| {
        if let Fact::RolloutStarted(started) = fact {
            began = started.cause == cause;
        }
        matches!(fact, Fact::RolloutFinished(finished) if began && finished.outcome == outcome)
    })
}
