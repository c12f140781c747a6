//! The one source of chance: the same seed gives the same story, and a story can be played again in parts.
//!
//! A story is cut into parts: how the world is set up, each tick, and the end. Every part has choices of its own, so one
//! that is left out changes nothing in the others but what follows from it. A choice that is missing is 0, which is
//! always the dullest one: nothing happens, no fault, at once.

/// Choices in the order in which they are made.
pub(crate) type Tape = Vec<u64>;

/// Every choice that was made.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct Story {
    pub(crate) setup: Tape,
    pub(crate) ticks: Vec<Tape>,
    pub(crate) end: Tape,
}

/// Where choices come from.
#[derive(Clone, Copy)]
pub(crate) enum Plot<'a> {
    /// A seed, and how many ticks its story has.
    Seed(u64, usize),
    Story(&'a Story),
}

impl Plot<'_> {
    pub(crate) fn ticks(&self) -> usize {
        match self {
            Plot::Seed(_, ticks) => *ticks,
            Plot::Story(story) => story.ticks.len(),
        }
    }

    pub(crate) fn setup(&self) -> Rng {
        self.part(0, |story| &story.setup)
    }

    pub(crate) fn tick(&self, at: usize) -> Rng {
        self.part(1 + at as u64, |story| &story.ticks[at])
    }

    pub(crate) fn end(&self) -> Rng {
        self.part(u64::MAX, |story| &story.end)
    }

    fn part<'s>(&'s self, number: u64, of: impl Fn(&'s Story) -> &'s Tape) -> Rng {
        match self {
            Plot::Seed(seed, _) => {
                // Two seeds never share a part: both numbers are mixed before they meet.
                let mut rng = Rng { source: Source::Seed(*seed), drawn: Vec::new() };
                let mixed = rng.next() ^ number.wrapping_mul(0xD134_2543_DE82_EF95);
                Rng { source: Source::Seed(mixed), drawn: Vec::new() }
            }
            Plot::Story(story) => {
                let tape = of(story).to_vec().into_iter();
                Rng { source: Source::Tape(tape), drawn: Vec::new() }
            }
        }
    }
}

#[derive(Clone, Debug)]
enum Source {
    /// `SplitMix64` (Steele, Lea, Flood 2014).
    Seed(u64),
    Tape(std::vec::IntoIter<u64>),
}

/// The choices of one part.
#[derive(Clone, Debug)]
pub(crate) struct Rng {
    source: Source,
    drawn: Tape,
}

impl Rng {
    /// What was drawn: the part's tape. Choices of 0 at its end go without saying.
    pub(crate) fn tape(&self) -> Tape {
        let end = self.drawn.iter().rposition(|drawn| *drawn != 0).map_or(0, |at| at + 1);
        self.drawn[..end].to_vec()
    }

    fn next(&mut self) -> u64 {
        match &mut self.source {
            Source::Seed(state) => {
                *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
                let mut z = *state;
                z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
                z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
                z ^ (z >> 31)
            }
            Source::Tape(tape) => tape.next().unwrap_or(0),
        }
    }

    /// A number below `n`; 0 is the dullest.
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        let drawn = self.next() % n;
        self.drawn.push(drawn);
        drawn
    }

    /// A place in a list of `len`.
    pub(crate) fn place(&mut self, len: usize) -> usize {
        usize::try_from(self.below(len as u64)).unwrap()
    }

    /// Whether something happens that does once in `n` times.
    pub(crate) fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == n - 1
    }

    /// One of a list, with the dullest first.
    pub(crate) fn pick<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.place(list.len())]
    }
}
