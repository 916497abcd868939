//! What happens in one round, all of it decided by the round's seed.

use crate::dice::{Dice, mix};
use std::fmt;

/// A kind of writer process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// One `Writer`.
    Plain,
    /// One `Log` and so many threads.
    Threads(u64),
    /// Forks children that go on with the same handle.
    Forking,
    /// Attaches and detaches for every few records.
    Attaching,
    /// Appends in its alarm handler too.
    Signalled,
}

const READER: u64 = 100;

impl Kind {
    /// How a cell names it; [`Kind::of`] reverses it.
    pub(crate) fn number(self) -> u64 {
        match self {
            Self::Plain => 1,
            Self::Forking => 2,
            Self::Attaching => 3,
            Self::Signalled => 4,
            Self::Threads(n) => 10 + n,
        }
    }

    pub(crate) fn of(number: u64) -> Option<Self> {
        match number {
            1 => Some(Self::Plain),
            2 => Some(Self::Forking),
            3 => Some(Self::Attaching),
            4 => Some(Self::Signalled),
            READER => None,
            n => Some(Self::Threads(n - 10)),
        }
    }

    /// The number of what is no writer.
    pub(crate) const fn reader() -> u64 {
        READER
    }

    /// The most pages that such a process and its children hold at once. Children of one that was killed die after it, so
    /// they count twice.
    fn pages(self) -> u64 {
        match self {
            Self::Plain | Self::Attaching => 1,
            Self::Threads(n) => n,
            Self::Forking => 1 + 2 * CHILDREN as u64,
            Self::Signalled => 2,
        }
    }
}

/// Children of a forking writer at once.
pub(crate) const CHILDREN: usize = 2;

/// What a round is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Style {
    /// All kinds of writers.
    Mixed,
    /// Writers that come and go as fast as they can.
    Storm,
    /// Two writers that turn pages: what one does while the other naps inside an advance is not put right by a third.
    Duel,
}

impl Style {
    pub(crate) fn named(name: &str) -> Option<Self> {
        [("mixed", Self::Mixed), ("storm", Self::Storm), ("duel", Self::Duel)]
            .into_iter()
            .find_map(|(known, style)| (known == name).then_some(style))
    }
}

/// One round.
#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    pub(crate) style: Style,
    pub(crate) seed: u64,
    pub(crate) size: u64,
    pub(crate) page_size: Option<u64>,
    pub(crate) writers: Vec<Kind>,
    pub(crate) readers: usize,
    /// Appends of one thread in a second, at most.
    pub(crate) rate: u64,
    /// All writers write big records at the same times, two to a page: so many quarters of the time.
    pub(crate) big: u64,
    /// Nanoseconds between the alarms of a thread, on average.
    pub(crate) alarms: u64,
    /// The director kills, stops and starts readers once in so many milliseconds.
    pub(crate) kill_every: u64,
    pub(crate) stop_every: u64,
    pub(crate) reader_every: u64,
    /// The ring is removed and made again once in so many milliseconds.
    pub(crate) new_ring_every: Option<u64>,
}

impl Scenario {
    /// The seed of one round of a run.
    pub(crate) fn seed(run: u64, round: u64) -> u64 {
        mix(run ^ mix(round))
    }

    /// The round of this seed.
    pub(crate) fn of(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        // Small rings most of the time: that is where laps are.
        let (size, page_size) = dice.of(&[
            (64 << 10, None),
            (64 << 10, None),
            (64 << 10, None),
            (64 << 10, Some(16 << 10)),
            (128 << 10, Some(4 << 10)),
            (256 << 10, None),
            (1 << 20, None),
            (1 << 20, Some(4 << 10)),
            (4 << 20, None),
        ]);
        let mut writers = vec![Kind::Plain, Kind::Plain];
        let more = [Kind::Plain, Kind::Threads(2), Kind::Threads(3), Kind::Forking, Kind::Attaching, Kind::Signalled];
        for _ in 0..3 + dice.below(3) {
            writers.push(dice.of(&more));
        }
        let style = dice.of(&[Style::Mixed, Style::Mixed, Style::Mixed, Style::Mixed, Style::Storm, Style::Duel]);
        let mut scenario = Self {
            style,
            seed,
            size,
            page_size,
            writers,
            readers: 3 + dice.below(3) as usize,
            rate: dice.of(&[10_000, 60_000, 300_000]),
            big: dice.of(&[1, 1, 4]),
            alarms: dice.of(&[30_000, 200_000, 1_500_000]),
            kill_every: dice.of(&[10, 30, 100]),
            stop_every: dice.of(&[3, 10, 30]),
            reader_every: dice.of(&[100, 300]),
            new_ring_every: dice.of(&[None, Some(700), Some(2000)]),
        };
        match scenario.style {
            Style::Mixed => {}
            Style::Storm => (scenario.writers, scenario.rate) = (vec![Kind::Attaching; 6], 500_000),
            Style::Duel => {
                (scenario.writers, scenario.rate) = (vec![Kind::Plain; 2], 500_000);
                (scenario.size, scenario.page_size) = (64 << 10, None);
                (scenario.big, scenario.alarms) = (4, 30_000);
            }
        }
        // Where sixteen pages would do for fewer writers, most rounds stay below that: nobody may be refused then.
        while dice.below(8) != 0 && scenario.pages() >= 16 && !scenario.never_refuses() && scenario.writers.len() > 3 {
            scenario.writers.pop();
        }
        scenario
    }

    fn pages(&self) -> u64 {
        let page_size = self.page_size.unwrap_or_else(|| (self.size / 16).clamp(4 << 10, 64 << 10));
        self.size / page_size
    }

    /// At most B - 2 writers can be inside an append at once, so none may be refused for want of a page.
    pub(crate) fn never_refuses(&self) -> bool {
        self.most_inside() <= self.pages() - 2
    }

    /// The most writers that can be inside an append at once.
    pub(crate) fn most_inside(&self) -> u64 {
        self.writers.iter().map(|kind| kind.pages()).sum()
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?}, {} KiB in {} pages, {} readers, writers",
            self.style,
            self.size >> 10,
            self.pages(),
            self.readers
        )?;
        for kind in &self.writers {
            write!(f, " {kind:?}")?;
        }
        if self.new_ring_every.is_some() {
            write!(f, ", new rings")?;
        }
        if !self.never_refuses() {
            write!(f, ", crowded")?;
        }
        Ok(())
    }
}
