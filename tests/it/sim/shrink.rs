//! A story that breaks a law becomes a short one that breaks the same law.
//!
//! Ticks are left out, in large pieces first; then the choices of what is left become 0, which is the dullest, from
//! their ends. Whatever still breaks the law at the same place is kept. The work is bounded by a number of stories, so
//! the result is short and not the shortest.

use super::rng::{Plot, Story, Tape};
use super::verdict::Broken;
use super::{Played, play};

/// Stories that one shrinking plays at most.
const STORIES_MAX: usize = 400;

/// Lines of a story that are printed of its end; what happened outside is printed in any case.
const LINES: usize = 30;

/// A story on its way to a short one.
struct Shrinking<'a> {
    story: Story,
    broken: &'a Broken,
    left: usize,
}

impl Shrinking<'_> {
    /// Takes a story if it breaks the same law.
    fn try_story(&mut self, story: &Story) -> bool {
        if self.left == 0 || *story == self.story {
            return false;
        }
        self.left -= 1;
        let played = play(Plot::Story(story), None);
        let same = played.broken.is_some_and(|broken| broken.place == self.broken.place);
        if same {
            // As far as it came: what is behind the end and choices that nobody made are gone.
            self.story = played.story;
        }
        same
    }

    /// Leaves ticks out, in pieces of half of them, then a quarter, then one.
    fn ticks(&mut self) {
        let mut size = self.story.ticks.len().div_ceil(2);
        while size > 0 {
            let mut end = self.story.ticks.len();
            while end > 0 {
                let start = end.saturating_sub(size);
                let mut story = self.story.clone();
                story.ticks.drain(start..end);
                self.try_story(&story);
                end = start.min(self.story.ticks.len());
            }
            size /= 2;
        }
    }

    /// Makes the choices of one part dull, from the end.
    fn tape(&mut self, of: impl Fn(&mut Story) -> Option<&mut Tape>) {
        let mut shorter = |keep: &dyn Fn(usize) -> usize| {
            let mut story = self.story.clone();
            let Some(tape) = of(&mut story) else { return false };
            tape.truncate(keep(tape.len()));
            self.try_story(&story)
        };
        if shorter(&|_| 0) {
            return;
        }
        for _ in 0..3 {
            if !shorter(&|len| len / 2) {
                break;
            }
        }
        for _ in 0..8 {
            if !shorter(&|len| len.saturating_sub(1)) {
                break;
            }
        }
        let len = of(&mut self.story).map_or(0, |tape| tape.len()).min(12);
        for at in 0..len {
            let mut story = self.story.clone();
            if let Some(choice) = of(&mut story).and_then(|tape| tape.get_mut(at)) {
                *choice = 0;
                self.try_story(&story);
            }
        }
    }

    fn run(&mut self) {
        self.ticks();
        loop {
            let before = self.story.clone();
            self.tape(|story| Some(&mut story.end));
            self.tape(|story| Some(&mut story.setup));
            for tick in (0..self.story.ticks.len()).rev() {
                self.tape(|story| story.ticks.get_mut(tick));
            }
            self.ticks();
            if self.story == before || self.left == 0 {
                return;
            }
        }
    }
}

/// Shrinks a story that breaks a law.
pub(crate) fn shrink(story: Story, broken: &Broken) -> Story {
    let mut shrinking = Shrinking { story, broken, left: STORIES_MAX };
    shrinking.run();
    shrinking.story
}

/// What is printed of a seed that breaks a law.
pub(crate) fn told(seed: u64, story: Story, broken: &Broken) -> String {
    let long = story.ticks.len();
    let story = shrink(story, broken);
    let Played { told, events, .. } = play(Plot::Story(&story), Some(Vec::new()));
    let lines = told.len();
    let outside = |line: &String| !line[10..].starts_with("  ");
    let early = told.iter().take(lines.saturating_sub(LINES)).filter(|line| outside(line));
    let late = told.iter().skip(lines.saturating_sub(LINES));
    let story: Vec<_> = early.chain(late).cloned().collect();
    format!(
        "seed {seed} breaks a law at {}\n  {}\nits story in {events} events, shrunk from {long} ticks:\n{}\n\
         replay it with\n  SIM_SEED={seed} cargo nextest run --all-features --no-capture every_seed_keeps_the_laws",
        broken.place,
        broken.why,
        story.join("\n"),
    )
}
