//! What is shed while the memory of the machine is short, and in which order. Pure: no clock, no I/O.
//!
//! ```text
//! readings (how long processes waited for memory, or how much is left)
//!   strained for 5 s -> one step more     1 what is made ahead of any demand: warm attachments
//!                       (again and again) 2 asynchronous calls: none is sent any more, they wait
//!                                         3 sleeping functions: what is frozen, and may go to zero, goes there
//!                                         4 spares
//!   at ease for 60 s -> nothing is shed any more
//!   between the two  -> it stays as it is
//! ```
//! The order is that of what callers lose: nothing, then time where nobody waits for the answer, then the time of a start at
//! the next call, then the fast way out of a crash. Images that are fetched ahead of their deploy will be the first to be left:
//! there are none yet. What serves is never shed: whether a process has to die is for the kernel to say, by the limits that
//! functions have.
//!
//! Three things keep it from going to and fro: what it takes to shed (strained) is far from what it takes to stop that (at
//! ease), both have to last, and one reading never moves it by more than one step: after a stop of the whole process the time
//! says nothing, but readings do.

use std::time::Duration;

use super::Uptime;

/// How long it has to be strained before the next step.
const STRAINED_FOR: Duration = Duration::from_secs(5);
/// How long it has to be at ease before nothing is shed any more.
const AT_EASE_FOR: Duration = Duration::from_secs(60);
/// Of what counts as strained, the part below which it is at ease: a quarter of the time waited.
const EASE: u32 = 4;
/// The percentages of memory left below which it is strained, and from which on it is at ease.
const LEFT: (u8, u8) = (5, 15);

/// What is seen of the machine's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Memory {
    /// In so many hundredths of a percent of the last ten seconds some process waited for memory.
    Waited(u32),
    /// So many percent of it can be had. Where the kernel does not tell how long processes wait.
    Left(u8),
}

/// What is shed: all up to this.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shedding {
    /// Nothing.
    #[default]
    Nothing,
    /// What is made ahead of any demand.
    Ahead,
    /// Asynchronous calls: they wait.
    Calls,
    /// Sleeping functions.
    Sleepers,
    /// Spares.
    Spares,
}

impl Shedding {
    fn more(self) -> Self {
        match self {
            Self::Nothing => Self::Ahead,
            Self::Ahead => Self::Calls,
            Self::Calls => Self::Sleepers,
            Self::Sleepers | Self::Spares => Self::Spares,
        }
    }

    /// For people.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Nothing => "nothing is shed",
            Self::Ahead => "no attachment is made ahead of its start",
            Self::Calls => "no attachment is made ahead of its start, and asynchronous calls wait",
            Self::Sleepers => {
                "no attachment is made ahead of its start, asynchronous calls wait, and functions that sleep are stopped"
            }
            Self::Spares => {
                "no attachment is made ahead of its start, asynchronous calls wait, functions that sleep are stopped, and \
                 none keeps a spare"
            }
        }
    }
}

/// How a reading is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Judged {
    Strained,
    Between,
    AtEase,
}

/// The decider: readings in, what to shed out.
#[derive(Debug, Clone)]
pub struct Pressure {
    /// From so many hundredths of a percent on processes wait too long.
    most: u32,
    shedding: Shedding,
    /// How the last reading was judged, and since when all were, or since the step that followed from it.
    last: (Judged, Uptime),
}

impl Pressure {
    /// Sheds nothing yet. It is strained when processes wait for memory for `percent` of the time.
    #[must_use]
    pub fn new(percent: u8) -> Self {
        let most = u32::from(percent.max(1)) * 100;
        Self { most, shedding: Shedding::Nothing, last: (Judged::Between, Uptime::default()) }
    }

    /// What is shed.
    #[must_use]
    pub fn shedding(&self) -> Shedding {
        self.shedding
    }

    /// Notes a reading, and says what is to be shed now.
    pub fn on(&mut self, memory: Memory, now: Uptime) -> Shedding {
        let judged = self.judge(memory);
        if self.last.0 != judged {
            self.last = (judged, now);
            return self.shedding;
        }
        let lasted = now.since(self.last.1);
        match judged {
            Judged::Strained if lasted >= STRAINED_FOR => {
                self.shedding = self.shedding.more();
                self.last.1 = now;
            }
            Judged::AtEase if lasted >= AT_EASE_FOR => self.shedding = Shedding::Nothing,
            _ => {}
        }
        self.shedding
    }

    fn judge(&self, memory: Memory) -> Judged {
        let (low, high) = LEFT;
        match memory {
            Memory::Waited(time) if time >= self.most => Judged::Strained,
            Memory::Waited(time) if time < self.most / EASE => Judged::AtEase,
            Memory::Left(percent) if percent < low => Judged::Strained,
            Memory::Left(percent) if percent >= high => Judged::AtEase,
            _ => Judged::Between,
        }
    }
}

/// How many sleeping functions are stopped in one round: each costs the machine something, too.
const MOST: usize = 8;

/// Of functions that sleep, and may go to zero, those that go now, by for how long nothing called them: the longest first.
#[must_use]
pub fn sleepers_to_stop<F>(mut asleep: Vec<(Duration, F)>) -> Vec<F> {
    asleep.sort_by_key(|(idle, _)| std::cmp::Reverse(*idle));
    asleep.into_iter().take(MOST).map(|(_, function)| function).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    /// Of 20 %: strained, between, at ease.
    const STRAINED: Memory = Memory::Waited(2000);
    const BETWEEN: Memory = Memory::Waited(1999);
    const AT_EASE: Memory = Memory::Waited(499);

    struct World(Pressure, Uptime);

    impl World {
        fn new() -> Self {
            Self(Pressure::new(20), Uptime::default())
        }

        /// So many seconds of the same reading, one a second; what is shed in the end.
        fn seconds(&mut self, count: u32, memory: Memory) -> Shedding {
            for _ in 0..count {
                self.1 = self.1.after(SECOND);
                self.0.on(memory, self.1);
            }
            self.0.shedding()
        }
    }

    #[test]
    fn the_longer_it_is_strained_the_more_is_shed_one_after_the_other() {
        let mut world = World::new();
        use Shedding::{Ahead, Calls, Nothing, Sleepers, Spares};
        for expected in [Nothing, Ahead, Calls, Sleepers, Spares, Spares] {
            assert_eq!(world.seconds(5, STRAINED), expected);
        }
    }

    #[test]
    fn it_goes_on_until_it_was_at_ease_for_a_minute() {
        let mut world = World::new();
        world.seconds(11, STRAINED);
        assert_eq!(world.seconds(600, BETWEEN), Shedding::Calls);
        assert_eq!(world.seconds(60, AT_EASE), Shedding::Calls);
        assert_eq!(world.seconds(1, BETWEEN), Shedding::Calls);
        assert_eq!(world.seconds(60, AT_EASE), Shedding::Calls, "it counts anew");
        assert_eq!(world.seconds(1, AT_EASE), Shedding::Nothing);
    }

    #[test]
    fn a_short_strain_sheds_nothing() {
        let mut world = World::new();
        for _ in 0..100 {
            assert_eq!(world.seconds(5, STRAINED), Shedding::Nothing);
            assert_eq!(world.seconds(1, AT_EASE), Shedding::Nothing);
        }
    }

    #[test]
    fn where_the_kernel_does_not_tell_of_waits_what_is_left_counts() {
        let mut world = World::new();
        assert_eq!(world.seconds(100, Memory::Left(5)), Shedding::Nothing);
        assert_eq!(world.seconds(6, Memory::Left(4)), Shedding::Ahead);
        assert_eq!(world.seconds(100, Memory::Left(14)), Shedding::Ahead);
        assert_eq!(world.seconds(61, Memory::Left(15)), Shedding::Nothing);
    }

    #[test]
    fn those_that_slept_longest_go_first_and_only_some_in_a_round() {
        let asleep = (0..20).map(|n| (SECOND * (n * 7 % 20), n)).collect();
        let stopped = sleepers_to_stop(asleep);
        assert_eq!(stopped.len(), MOST);
        assert!(stopped.iter().map(|n| n * 7 % 20).eq((12..20).rev()), "{stopped:?}");
    }

    fn memory() -> impl Strategy<Value = Memory> {
        prop_oneof![
            (0..3000_u32).prop_map(Memory::Waited),
            (0..30_u8).prop_map(Memory::Left),
            Just(STRAINED),
            Just(AT_EASE)
        ]
    }

    proptest! {
        /// Whatever is read, and however long the readings are apart.
        #[test]
        fn it_never_jumps_and_every_move_was_earned(
            readings in prop::collection::vec((memory(), 0..40_u64), 0..200),
        ) {
            let (mut pressure, mut now) = (Pressure::new(20), Uptime::default());
            // For how long each of the two judgements has lasted without a break, by its first reading.
            let (mut strained, mut ease): (Option<Uptime>, Option<Uptime>) = (None, None);
            let mut raised = Uptime::default();
            for (memory, seconds) in readings {
                now = now.after(Duration::from_secs(seconds));
                let judged = pressure.judge(memory);
                strained = (judged == Judged::Strained).then(|| strained.unwrap_or(now));
                ease = (judged == Judged::AtEase).then(|| ease.unwrap_or(now));
                let before = pressure.shedding();
                let after = pressure.on(memory, now);
                if after > before {
                    prop_assert_eq!(after, before.more());
                    prop_assert!(strained.is_some_and(|since| now.since(since) >= STRAINED_FOR));
                    prop_assert!(before == Shedding::Nothing || now.since(raised) >= STRAINED_FOR);
                    raised = now;
                } else if after < before {
                    prop_assert_eq!(after, Shedding::Nothing);
                    prop_assert!(ease.is_some_and(|since| now.since(since) >= AT_EASE_FOR));
                }
                // And what is earned comes.
                let at_ease = ease.is_some_and(|since| now.since(since) >= AT_EASE_FOR);
                prop_assert!(!at_ease || after == Shedding::Nothing);
                let long = strained.is_some_and(|since| now.since(since) >= STRAINED_FOR);
                prop_assert!(!long || after > Shedding::Nothing || before > Shedding::Nothing || now.since(raised) < STRAINED_FOR);
            }
        }

        /// What is worse is never judged better.
        #[test]
        fn more_waiting_and_less_memory_is_never_better(one in 0..10_000_u32, more in 0..10_000_u32, percent in 1..=100_u8) {
            let pressure = Pressure::new(percent);
            let badness = |memory| match pressure.judge(memory) {
                Judged::AtEase => 0,
                Judged::Between => 1,
                Judged::Strained => 2,
            };
            prop_assert!(badness(Memory::Waited(one)) <= badness(Memory::Waited(one + more)));
            let (less, left) = ((one % 101) as u8, (more % 101) as u8);
            prop_assert!(badness(Memory::Left(less.max(left))) <= badness(Memory::Left(less.min(left))));
        }
    }
}
