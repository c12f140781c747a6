//! The orders in which tags are listed.

use crate::api::NamedTagEventList;

pub use crate::names::importance::by_importance;

/// The tags of a status by the time of their newest item, newest first, then by name (rule I120).
#[must_use]
pub fn by_time(tags: &[NamedTagEventList]) -> Vec<&str> {
    let mut tags: Vec<_> = tags
        .iter()
        .map(|tag| (tag.current().and_then(|item| item.created), tag.tag.as_str()))
        .collect();
    tags.sort_by(|(a, a_name), (b, b_name)| b.cmp(a).then(a_name.cmp(b_name)));
    tags.into_iter().map(|(_, name)| name).collect()
}

/// Tags in a row, as many as fit into 40 columns or nearly so (rule I121).
#[must_use]
pub fn up_to_width(tags: &[&str]) -> String {
    const WIDTH: i64 = 40;
    let mut left = WIDTH;
    let mut shown = tags.len();
    for (at, tag) in tags.iter().enumerate() {
        let len = i64::try_from(tag.len()).unwrap_or(i64::MAX - 1);
        left = left.saturating_sub(len + 1);
        let over = left.saturating_neg();
        if left >= 0 {
            continue;
        }
        let unused = left.saturating_add(len);
        if at > 0 && WIDTH / 4 < unused && over <= WIDTH / 4 {
            continue;
        }
        shown = at.max(1);
        break;
    }
    let text = tags.get(..shown).unwrap_or_default().join(",");
    match tags.len() - shown {
        0 => text,
        hidden => format!("{text} + {hidden} more..."),
    }
}
