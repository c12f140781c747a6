//! Images of tags that follow other streams come into the repository of their own (rules I80, I181).

use std::sync::Arc;

use crate::action::{Action, Check, ImportFailure, Resolution, ResolveRequest};
use crate::effective;
use crate::fact::{Fact, Reason, StoredManifest, TagEvent, TagImported};
use crate::names::{StreamName, StreamTag};
use crate::observed::soft::CopySoft;
use crate::plan::{self, Key};
use crate::sabotage::{self, Bug};
use crate::time::Now;

use super::quota::Short;
use super::{Batch, Engine, InFlight, registry_of};

impl Engine {
    /// Reads an image and copies it.
    pub(super) fn copy(
        &mut self,
        tag: &StreamTag,
        check: Arc<Check>,
        fingerprint: u32,
        now: Now,
        batch: &mut Batch,
    ) {
        let soft = self.soft.copies.entry(tag.clone()).or_default();
        if soft.fingerprint != fingerprint {
            *soft = CopySoft { fingerprint, ..CopySoft::default() };
        }
        let mut request = ResolveRequest { check: (*check).clone(), known: None, allowance: None };
        soft.in_flight = Some(check);
        let id = self.new_action(InFlight::Copy(tag.clone()));
        self.allow_copy(id, &mut request, tag, now);
        batch.starts.push((id, Action::Resolve(Box::new(request))));
    }

    /// Takes the answer.
    pub(super) fn copied(
        &mut self,
        tag: &StreamTag,
        result: &Result<Resolution, ImportFailure>,
        short: Option<Short>,
        now: Now,
        batch: &mut Batch,
    ) {
        let Some(soft) = self.soft.copies.get_mut(tag) else { return };
        let Some(check) = soft.in_flight.take() else { return };
        if let Some(short) = short {
            soft.wants = short.next(short.allowed);
            self.admission.give_back(&registry_of(&check));
            self.dirty.insert(Key::Tag(tag.clone()));
            self.mark_leftover(&check);
            return;
        }
        soft.attempts.answered(result.as_ref().err(), now);
        let asked = soft.fingerprint;
        self.admission.give_back(&registry_of(&check));
        self.dirty.insert(Key::Tag(tag.clone()));
        self.mark_leftover(&check);
        self.note_answer(&check.image, result.as_ref().err(), now);
        // What the tag is not any more is copied for nobody, and a failure of it is nobody's.
        let wanted = self.copy_wanted(tag, asked, now);
        let fact = match (result, wanted) {
            (Err(failure), Some(_)) if !sabotage::is(Bug::CallItCopied) => {
                self.import_failed(tag, failure, batch)
            }
            (Ok(_) | Err(_), Some(imported)) => {
                self.soft.copies.remove(tag);
                Some(Fact::TagImported(Box::new(imported)))
            }
            (Ok(_) | Err(_), None) => {
                self.soft.copies.remove(tag);
                None
            }
        };
        if let Some(fact) = fact {
            self.record(fact, now, batch);
        }
    }

    /// What a tag becomes with the copy that was asked for; none if it follows something else by now.
    fn copy_wanted(&self, tag: &StreamTag, asked: u32, now: Now) -> Option<TagImported> {
        let view = self.view(now);
        let (from, via) = plan::import::followed(&view, tag)?;
        let (desired, policy) = (&self.desired, &self.policy);
        effective::copy_of(desired, policy, tag, &from.event).filter(|(_, is)| *is == asked)?;
        let state = self.observed.tag(tag)?;
        let item = state.current().filter(|item| item.event.image == from.event.image)?;
        let reference = effective::reference_here(desired, policy, tag, &from.event, asked);
        Some(TagImported {
            tag: tag.clone(),
            event: TagEvent { reference, generation: state.generation, ..item.event.clone() },
            probed: item.event.image,
            asked,
            metadata: item.metadata,
            via,
            reason: Reason::SourceTagChanged,
        })
    }

    /// Marks what waited until a manifest was deleted: copies into its repository.
    pub(super) fn mark_copies(&mut self, deleted: &StoredManifest) {
        let copies = self.index.checks.keys();
        let copies = copies.filter(|check| check.copy_to.as_deref() == Some(&deleted.repository));
        self.dirty.extend(copies.cloned().map(Key::Check));
        let Ok(stream) = deleted.repository.repository_name().parse::<StreamName>() else { return };
        let tags = self.desired.streams.get(&stream).map(|stream| stream.tags.keys().cloned());
        let tags: Vec<_> = tags.into_iter().flatten().map(|tag| stream.tag(tag)).collect();
        let keys: Vec<_> = tags.iter().filter_map(|tag| self.key_of_tag(tag)).collect();
        self.dirty.extend(keys);
    }
}
