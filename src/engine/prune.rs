//! An operator takes images out: a prune, and the deletion of one image.

use crate::action::{ImageContents, PruneRequest};
use crate::effective;
use crate::fact::{Fact, ImageDeleted, PruneOptions};
use crate::names::Digest;
use crate::plan::prune::{self, Pruned, Pruning};
use crate::time::Now;

use super::{Answer, Batch, Engine};

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
