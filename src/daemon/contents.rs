//! What the object store says about images, read for a prune beside the loop: there may be very many.

use tokio::sync::oneshot;

use crate::action::{ImageContents, PruneRequest, Request};
use crate::control::Reply;
use crate::effective;
use crate::fact::PruneOptions;
use crate::journal::ObjectStore;
use crate::names::{ContentHash, Digest};
use crate::observed::ObservedState;

use super::{Daemon, Event};

/// An order to prune, before anything is known of the images.
#[derive(Debug)]
pub struct PruneOrder {
    /// Who asks.
    pub by: String,
    /// What for.
    pub options: PruneOptions,
    /// Whether it is to happen.
    pub confirm: bool,
    /// Where the answer goes.
    pub answer: oneshot::Sender<Reply>,
}

/// Sizes and parts of all images; what cannot be read has neither.
#[must_use]
pub fn image_contents(observed: &ObservedState, store: &ObjectStore) -> ImageContents {
    read(&listed(observed), store)
}

fn listed(observed: &ObservedState) -> Vec<(Digest, ContentHash)> {
    let images = effective::images(observed).into_iter();
    images.filter_map(|(digest, first)| Some((digest, first.metadata()?))).collect()
}

fn read(images: &[(Digest, ContentHash)], store: &ObjectStore) -> ImageContents {
    let mut contents = ImageContents::default();
    for (digest, hash) in images {
        if let Ok(metadata) = store.get(hash) {
            effective::contents(&mut contents, *digest, &metadata);
        }
    }
    contents
}

impl Daemon {
    /// Reads what there is, then asks the engine.
    pub(super) fn ask_prune(&self, order: PruneOrder) {
        let PruneOrder { by, options, confirm, answer } = order;
        let images = listed(self.engine.observed());
        let (store, events) = (self.store.clone(), self.events.clone());
        tokio::task::spawn_blocking(move || {
            let contents = read(&images, &store);
            let request = Request::Prune(Box::new(PruneRequest { options, confirm, contents }));
            // A daemon that ended meanwhile answers by letting the sender go.
            drop(events.blocking_send(Event::Asked((by, request, answer))));
        });
    }
}
