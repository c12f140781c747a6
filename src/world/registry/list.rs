//! The tags of a repository, page by page (distribution specification, "Listing Tags"; rules I55, I60).

use reqwest::{Method, StatusCode};
use serde::Deserialize;

use super::Import;
use super::wire::Answer;
use crate::action::{ImportFailure, TagListing};
use crate::fact::{ImportReason, said};
use crate::limits;

/// Pages of one listing; a registry that goes on for longer sends us in circles.
const PAGES_MAX: usize = 1_000;

#[derive(Deserialize)]
struct Page {
    /// None where the repository has none: some registries answer `null`.
    tags: Option<Vec<String>>,
}

impl Import<'_> {
    /// Lists the tags of the repository; cut short at [`limits::LISTED_TAGS_MAX`].
    pub(super) async fn list(&self) -> Result<TagListing, ImportFailure> {
        let first = format!("{}/tags/list", self.repository);
        let mut query = format!("n={}", limits::LISTED_TAGS_PER_PAGE);
        let mut tags = Vec::new();
        for _ in 0..PAGES_MAX {
            let answer = self.ask(Method::GET, &format!("{first}?{query}"), "").await?;
            if answer.status != StatusCode::OK {
                return Err(self.not_listed(&answer).await);
            }
            let page: Page = serde_json::from_slice(&answer.body)
                .map_err(|error| self.failures.internal(&format!("{}: {error}", said::NO_LIST)))?;
            let page = page.tags.unwrap_or_default();
            let room = limits::LISTED_TAGS_MAX.saturating_sub(tags.len());
            let fits = page.len() <= room;
            tags.extend(page.into_iter().take(room));
            // Only the query of the next page is taken: where the tags are is not for the answer to say.
            match answer.next_page() {
                None if fits => return Ok(TagListing { tags, complete: true }),
                Some(next) if fits && next != query => query = next,
                Some(_) | None => break,
            }
        }
        Ok(TagListing { tags, complete: false })
    }

    /// Tells a repository that is not there from a host that is no registry.
    async fn not_listed(&self, answer: &Answer) -> ImportFailure {
        if answer.status == StatusCode::NOT_FOUND && answer.registry_error().is_none() {
            let base = self.ask(Method::GET, "", "").await;
            let speaks = |status| matches!(status, StatusCode::OK | StatusCode::UNAUTHORIZED);
            if base.is_ok_and(|base| !speaks(base.status)) {
                let host = self.failures.image.registry.as_deref().unwrap_or("docker.io");
                let message =
                    format!("forbidden: registry \"{host}\" does not support the v2 Registry API");
                let reason = ImportReason::NotV2Registry;
                return ImportFailure { reason, message, transient: false, retry_after: None };
            }
        }
        self.failures.of_answer(answer)
    }
}
