//! An operator takes images out: a prune, and the deletion of one image.

use crate::action::{Action, ActionId, Check, ImageContents, ImportFailure, PruneRequest};
use crate::effective;
use crate::fact::{Fact, ImageDeleted, ManifestDeleted, PruneOptions, StoredManifest};
use crate::names::Digest;
use crate::plan::Key;
use crate::plan::prune::{self, Pruned, Pruning};
use crate::time::Now;

use super::{Answer, Batch, Engine, InFlight, registry_of_manifest};

impl Engine {
    /// What a prune would take now.
    ///
    /// # Errors
    /// While the adopted commit is not in force: then nobody knows what its manifests use.
    pub fn pruning(
        &self,
        options: &PruneOptions,
        contents: &ImageContents,
        now: Now,
    ) -> Result<Pruning, String> {
        if let Some(adopted) = self.observed.adopted.as_ref().filter(|_| self.tree_commit.is_none())
        {
            return Err(format!(
                "the adopted commit {} could not be read yet, so nobody knows which images its manifests use; try again \
                 when `tidegate status` says that the source was read",
                adopted.commit.short()
            ));
        }
        Ok(prune::plan(&self.view(now), options, contents))
    }

    pub(super) fn prune(
        &mut self,
        request: PruneRequest,
        by: String,
        now: Now,
        batch: &mut Batch,
    ) -> Answer {
        let PruneRequest { options, confirm, contents } = request;
        let pruning = match self.pruning(&options, &contents, now) {
            Ok(pruning) => pruning,
            Err(why) => return Answer::Refused(why),
        };
        let record = (confirm && !pruning.is_empty()).then(|| {
            let fact = Fact::ImagesPruned(Box::new(pruning.fact(options, by)));
            self.record(fact, now, batch)
        });
        Answer::Pruned(Box::new(Pruned { record, pruning }))
    }

    /// Makes the managed registry delete a manifest.
    pub(super) fn delete_manifest(&mut self, manifest: StoredManifest, batch: &mut Batch) {
        self.soft.deletions.entry(manifest.clone()).or_default().in_flight = true;
        let id = self.new_action(InFlight::Deletion(manifest.clone()));
        batch.starts.push((id, Action::DeleteManifest(manifest)));
    }

    /// Takes the answer of the managed registry.
    pub(super) fn manifest_deleted(
        &mut self,
        id: ActionId,
        result: Result<(), ImportFailure>,
        now: Now,
        batch: &mut Batch,
    ) {
        let Some(InFlight::Deletion(manifest)) = self.in_flight.remove(&id) else { return };
        self.admission.give_back(&registry_of_manifest(&manifest));
        self.mark_copies(&manifest);
        self.dirty.insert(Key::Manifest(manifest.clone()));
        match result {
            Ok(()) => {
                self.soft.deletions.remove(&manifest);
                let fact = Fact::ManifestDeleted(ManifestDeleted { manifest });
                self.record(fact, now, batch);
            }
            Err(failure) => {
                self.note_answer(&manifest.repository, Some(&failure), now);
                let soft = self.soft.deletions.entry(manifest).or_default();
                soft.in_flight = false;
                soft.attempts.answered(Some(&failure), now);
                soft.reason = failure.message;
            }
        }
    }

    /// Marks the manifests that waited for the copy of a check.
    pub(super) fn mark_leftover(&mut self, check: &Check) {
        let Some(repository) = check.copy_to.as_deref() else { return };
        let leftover = self.observed.images.leftover.iter();
        let there = leftover.filter(|manifest| manifest.repository == *repository);
        self.dirty.extend(there.cloned().map(Key::Manifest));
    }

    pub(super) fn delete_image(
        &mut self,
        image: Digest,
        by: String,
        now: Now,
        batch: &mut Batch,
    ) -> Answer {
        if !effective::images(&self.observed).contains_key(&image) {
            return Answer::Nothing(format!("there is no image `{image}`"));
        }
        Answer::Done(self.record(Fact::ImageDeleted(ImageDeleted { image, by }), now, batch))
    }
}
