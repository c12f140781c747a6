//! What triggers of a workload saw last (rule T23).

use std::collections::VecDeque;
use std::path::Path;

use crate::api::Time;
use crate::cli::offline;
use crate::fact::Fact;
use crate::journal;
use crate::names::ObjectKey;
use crate::oc;
use crate::report::history::fired_words;
use crate::time::Timestamp;

/// How many are shown.
const FIRED_MAX: usize = 5;

/// The last of them, the newest first, with their records: what they saw and what came of it. Behind a damage of the
/// journal, of which other commands tell, none are known.
pub(super) fn fired(
    state_dir: &Path,
    object: &ObjectKey,
    now: Timestamp,
) -> anyhow::Result<Vec<String>> {
    if !offline::has_journal(state_dir)? {
        return Ok(Vec::new());
    }
    let (_, reader) = journal::read_from_base(state_dir)?;
    let mut last = VecDeque::new();
    for record in reader.map_while(Result::ok) {
        let Fact::TriggerFired(fired) = &record.fact else { continue };
        if fired.object != *object {
            continue;
        }
        let ago = oc::ago(now, Time::of(record.at)).to_lowercase();
        last.push_front(format!("{ago} (record {}): {}", record.seq, fired_words(fired)));
        last.truncate(FIRED_MAX);
    }
    Ok(last.into())
}
