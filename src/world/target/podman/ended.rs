//! What podman knows of the end of a container that is to end by itself: of a hook, or of a run of a `CronJob`.

use super::program::{Podman, Trouble};
use crate::limits::PODMAN_LOOK_TIMEOUT;

/// Why what was cut short has failed.
pub(super) const CUT_SHORT: &str = "the host went down while it ran";

/// Whether nothing of a container runs in a state that podman names so.
pub(super) fn rests(state: &str) -> bool {
    matches!(state, "created" | "configured" | "initialized" | "exited" | "stopped")
}

/// What podman knows of the end of a container.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum End {
    /// There is no such container.
    Gone,
    NotStarted,
    With(i64),
    CutShort,
    /// It runs, or podman does not know.
    Unknown,
}

impl End {
    /// From its state, its exit status, and the seconds at which it was started and ended. What is not known is the first
    /// of January of the year 1; one is never compared with the other, as somebody may have set the clock in between.
    pub(super) fn read(text: &str) -> Self {
        let words: Vec<&str> = text.split_whitespace().collect();
        let number = |at: usize| words.get(at).and_then(|word| word.parse::<i64>().ok());
        let (Some(state), Some(started)) = (words.first().copied(), number(2)) else {
            return Self::Unknown;
        };
        let has_started = started > 0;
        match (state, number(1), number(3)) {
            (state, ..) if rests(state) && !has_started => Self::NotStarted,
            // Podman puts what ran when the host went down among what ended or what was made, and knows no end of it.
            ("created" | "configured" | "initialized", ..) => Self::CutShort,
            ("exited" | "stopped", _, Some(finished)) if finished <= 0 => Self::CutShort,
            ("exited" | "stopped", Some(status), Some(_)) => Self::With(status),
            _ => Self::Unknown,
        }
    }
}

/// Podman was asked and said something else.
pub(super) fn not_told(container: &str) -> Trouble {
    Trouble::Passing(format!("podman does not say how container {container} ended"))
}

impl Podman<'_> {
    /// How a container ended.
    pub(super) async fn ended(&self, container: &str) -> Result<End, Trouble> {
        let format = "{{.State.Status}} {{.State.ExitCode}} {{.State.StartedAt.Unix}} {{.State.FinishedAt.Unix}}";
        let arguments = ["container", "inspect", "--format", format, container];
        let text = match self.look(&arguments, PODMAN_LOOK_TIMEOUT).await {
            Err(Trouble::Refused(why)) if why.contains("no such container") => {
                return Ok(End::Gone);
            }
            text => text?,
        };
        Ok(End::read(&text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_a_run_ended_is_not_told_by_the_clock() {
        const NEVER: i64 = -62_135_596_800;
        for (state, status, started, finished, end) in [
            ("exited", 0, 100, 200, End::With(0)),
            ("exited", 3, 100, 100, End::With(3)),
            // Somebody set the clock back.
            ("exited", 0, 100, 40, End::With(0)),
            ("stopped", 143, 100, 40, End::With(143)),
            // The host went down.
            ("exited", 0, 100, NEVER, End::CutShort),
            ("created", 0, 100, NEVER, End::CutShort),
            ("created", 0, NEVER, NEVER, End::NotStarted),
            ("exited", 0, NEVER, NEVER, End::NotStarted),
            ("running", 0, 100, NEVER, End::Unknown),
            ("unknown", 0, 100, 200, End::Unknown),
            ("removing", 0, 100, 200, End::Unknown),
        ] {
            let text = format!("{state} {status} {started} {finished}\n");
            assert_eq!(End::read(&text), end, "{text}");
        }
        for text in ["", "exited", "exited ? 100 200", "exited 0 100", "exited 0 ? 200"] {
            assert_eq!(End::read(text), End::Unknown, "{text}");
        }
    }
}
