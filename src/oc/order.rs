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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i121_tags_are_cut_near_forty_columns() {
        let cut = |tags: &[&str]| up_to_width(tags);
        let x = |len| "x".repeat(len);
        let (x60, x40, x39, x30, x25, x22, x20, x10) =
            (x(60), x(40), x(39), x(30), x(25), x(22), x(20), x(10));
        let many = ["2.4", "2.4-el7", "2.4-el8", "2.4-ubi8", "2.4-ubi9", "latest"];
        assert_eq!(cut(&many), "2.4,2.4-el7,2.4-el8,2.4-ubi8,2.4-ubi9 + 1 more...");
        assert_eq!(cut(&[x10.as_str(); 4]), format!("{x10},{x10},{x10} + 1 more..."));
        assert_eq!(cut(&[&x60, "b"]), format!("{x60} + 1 more..."));
        assert_eq!(cut(&[&x25, &x22, "a"]), format!("{x25},{x22} + 1 more..."));
        assert_eq!(cut(&[&x20, &x25, "a"]), format!("{x20},{x25} + 1 more..."));
        assert_eq!(cut(&[&x30, &x30]), format!("{x30} + 1 more..."));
        assert_eq!(cut(&[&x39]), x39);
        assert_eq!(cut(&[&x40]), x40);
        assert_eq!(cut(&[]), "");
    }
}
