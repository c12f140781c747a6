//! Who runs `assemble` (rule B47).

use std::fmt;

use super::BuilderImage;

/// The label by which a builder image says it.
pub(super) const LABEL: &str = "io.openshift.s2i.assemble-user";

/// Who it is if nobody says.
const USER: &str = "1001";

/// Who runs `assemble`: the label, else the user of the image, without a group; else 1001.
#[must_use]
pub fn assemble_user(builder: &BuilderImage) -> String {
    let user = builder.labels.get(LABEL).unwrap_or(&builder.user);
    let user = user.split(':').next().unwrap_or_default().trim();
    if user.is_empty() { USER.to_owned() } else { user.to_owned() }
}

/// The users that may run `assemble`, by number; without any, all may.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct UidRanges(Vec<(u32, u32)>);

impl UidRanges {
    /// Reads `1-`, `5`, `-9` and `1000-1999`, several with a comma; none if it is something else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let range = |text: &str| -> Option<(u32, u32)> {
            let (from, to) = match text.split_once('-') {
                None => (text, text),
                Some(("", "")) => return None,
                Some((from, to)) => (from, to),
            };
            let from = if from.is_empty() { 0 } else { from.parse().ok()? };
            let to = if to.is_empty() { u32::MAX } else { to.parse().ok()? };
            (from <= to).then_some((from, to))
        };
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        parts.map(range).collect::<Option<Vec<_>>>().map(Self)
    }

    /// Whether a user may. One by name may be anybody.
    #[must_use]
    pub fn allow(&self, user: &str) -> bool {
        let within = |user: u32| self.0.iter().any(|(from, to)| (*from..=*to).contains(&user));
        self.0.is_empty() || user.parse().is_ok_and(within)
    }
}

impl fmt::Display for UidRanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (from, to)) in self.0.iter().enumerate() {
            let comma = if at > 0 { "," } else { "" };
            match (*from, *to) {
                (from, to) if from == to => write!(f, "{comma}{from}")?,
                (from, u32::MAX) => write!(f, "{comma}{from}-")?,
                (from, to) => write!(f, "{comma}{from}-{to}")?,
            }
        }
        Ok(())
    }
}
