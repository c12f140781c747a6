//! States, records and plans become text and JSON. Pure: the same input gives the same bytes.
//!
//! Each report is plain data first ([`status::Status`], [`history::History`], [`dry_run::DryRun`]); the text and the
//! JSON are two ways to write the same data, so that neither knows more than the other. Text carries ANSI styles; the
//! command line strips them where they are not wanted. What could not be checked is never shown as fine (law 8), and
//! what looks like a secret is never shown (law 10).

pub mod between;
pub mod chain;
pub mod cost;
pub mod dry_run;
pub mod history;
pub mod hooks;
pub mod live;
pub mod log;
pub mod prune;
pub mod rollout;
pub mod select;
pub mod status;

mod drift;
mod held;
mod manifest;
mod secret;
#[cfg(test)]
mod story;
pub(crate) mod unified;
mod words;

pub use live::Live;
pub(crate) use words::is_unsafe;

/// The version of the JSON that reports write: it changes only when a field goes or changes its meaning.
pub const FORMAT_VERSION: u32 = 1;

/// Writes a report as JSON with a final line feed.
#[must_use]
pub fn to_json(report: &impl serde::Serialize) -> String {
    // Our own types always have a JSON form: keys are strings and no value refuses.
    let mut text = serde_json::to_string_pretty(report).unwrap_or_default();
    text.push('\n');
    text
}
