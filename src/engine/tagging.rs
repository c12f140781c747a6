//! Hooks that write the images of a rollout into tags (rule D40.2): nobody outside is asked, so that the record is the
//! deed.

use crate::effective::{self, Wish};
use crate::fact::{Ending, Fact, FailurePolicy, Outcome, SpecSource, TagImage, TagImages, TagSpec};
use crate::names::{ObjectKey, rollout_name};
use crate::observed::rollout::{Rollout, Stepped};
use crate::observed::soft::DeliverySoft;
use crate::plan::Key;
use crate::pods::{HookEnd, hook_said};
use crate::sabotage::{self, Bug};
use crate::time::Now;

use super::{Batch, Engine};
use crate::names::Seq;

impl Engine {
    /// Takes the step of such a hook, and goes on as its policy says (rule D40.3).
    pub(super) fn tag_images(&mut self, key: &Key, seq: Seq, now: Now, batch: &mut Batch) {
        let Key::Workload(object) = key else { return };
        let Some(running) = self.running(object, seq).cloned() else { return };
        let Some(Stepped { step, .. }) = running.step else { return };
        let Some(hook) = running.started.tags_at(step).cloned() else { return };
        let TagImages { policy, tags, .. } = hook;
        let revision = running.started.revision;
        let said = |end: HookEnd<'_>| hook_said(object, step, revision, end);
        let mut notes = Vec::new();
        let tagged: Result<(), String> = tags.iter().try_for_each(|tag| {
            notes.push(self.tag_image(&running, tag, now, batch)?);
            Ok(())
        });
        match (tagged, policy) {
            (Ok(()), _) => notes.push(said(HookEnd::Succeeded)),
            (Err(why), FailurePolicy::Ignore) => notes.push(said(HookEnd::Ignored(why.as_str()))),
            (Err(why), FailurePolicy::Abort) => {
                let (outcome, reason) = (Outcome::Failed, said(HookEnd::Failed(why.as_str())));
                let ending = Ending { step, outcome, reason, log: notes.join("\n") };
                self.roll_back(object, seq, ending, now, batch);
                return;
            }
            (Err(why), FailurePolicy::Retry) => {
                let begun = || DeliverySoft::begin(now.mono);
                self.soft.deliveries.entry(seq).or_insert_with(begun);
                self.try_again(seq, why, None, now);
                self.dirty.insert(key.clone());
                return;
            }
        }
        self.go_on(object, &running, step, (None, notes.join("; "), None), now, batch);
    }

    /// Writes one tag, unless it says so already, and says what came of it.
    fn tag_image(
        &mut self,
        running: &Rollout,
        tag: &TagImage,
        now: Now,
        batch: &mut Batch,
    ) -> Result<String, String> {
        let TagImage { container, to } = tag;
        let started = &running.started;
        let image = started.image_of(container);
        let image = image.ok_or_else(|| format!("container `{container}` has no image"))?;
        let reference = &image.reference;
        let from = reference.parse().map_err(|error| format!("`{reference}`: {error}"))?;
        if let Some(ring) = effective::ring(&self.desired, &self.policy, &started.object, to) {
            return Ok(format!(
                "not tagged into {to}, which would roll it out again for ever: {ring}"
            ));
        }
        let spec = TagSpec {
            from: SpecSource::Registry(from),
            reference: false,
            scheduled: false,
            insecure: false,
            mode: None,
            local: false,
        };
        let there = self.observed.overlay(to).and_then(|overlay| overlay.spec.as_ref());
        if there == Some(&spec) && !sabotage::is(Bug::TagAgain) {
            return Ok(format!("{to} has {reference:?} already"));
        }
        let overlay =
            match effective::wish(&self.desired, &self.observed, &self.policy, to, Some(&spec)) {
                Wish::Set(overlay) => overlay,
                Wish::Nothing(_) => return Ok(format!("{to} has {reference:?} already")),
                Wish::Refused(why) => return Err(why),
            };
        let commit = self.observed.adopted.as_ref().map(|adopted| adopted.commit);
        let commit = commit.ok_or("no commit is adopted yet")?;
        let by = format!("the hook of rollout {}", rollout_of(started));
        let set = self.overlay_set(to.clone(), overlay, (commit, by, Some(running.seq)));
        let set = set.ok_or_else(|| format!("{} is not in git any more", to.stream))?;
        self.record(Fact::OverlaySet(Box::new(set)), now, batch);
        let stream = &to.stream;
        Ok(format!("Tagged {reference:?} into {}/{}:{}", stream.namespace, stream.name, to.tag))
    }
}

/// A rollout as people name it: `shop/web-3`.
fn rollout_of(started: &crate::fact::RolloutStarted) -> String {
    let ObjectKey { namespace, name, .. } = &started.object;
    format!("{namespace}/{}", rollout_name(name, started.revision))
}
