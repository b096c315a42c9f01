//! The wall's clock: whether it is set at all, and whether it jumped.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::function::Uptime;

/// 2026-11-01, a day before this program was made: a clock that shows an earlier one was not set yet. Raised with a release.
pub const NOT_BEFORE: Timestamp = Timestamp::constant(1_793_491_200, 0);

/// A clock that is corrected moves less than this beside the time that passed.
const JUMP: SignedDuration = SignedDuration::from_secs(2);

/// What was seen of the clock so far.
#[derive(Debug, Default)]
pub struct Clock {
    last: Option<(Timestamp, Uptime)>,
}

/// What a look at the clock showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// It is not set: this is before [`NOT_BEFORE`].
    Unset,
    /// It went on as time did since the last look.
    Steady(Timestamp),
    /// It shows more than has passed since the last look. Time in which the machine slept counts as such.
    Forward {
        /// The time.
        now: Timestamp,
        /// How much more.
        by: Duration,
    },
    /// It shows less than has passed since the last look.
    Back {
        /// The time.
        now: Timestamp,
        /// How much less.
        by: Duration,
    },
}

impl Seen {
    /// The time, if it can be one.
    #[must_use]
    pub fn now(self) -> Option<Timestamp> {
        match self {
            Self::Unset => None,
            Self::Steady(now) | Self::Forward { now, .. } | Self::Back { now, .. } => Some(now),
        }
    }
}

impl Clock {
    /// Compares what the wall shows with the time that passed since the last look.
    pub fn look(&mut self, wall: Timestamp, uptime: Uptime) -> Seen {
        let before = self.last.replace((wall, uptime));
        if wall < NOT_BEFORE {
            return Seen::Unset;
        }
        let Some((then, at)) = before else { return Seen::Steady(wall) };
        let passed = SignedDuration::try_from(uptime.since(at)).unwrap_or(SignedDuration::MAX);
        let more = wall.duration_since(then).saturating_sub(passed);
        if more > JUMP {
            Seen::Forward { now: wall, by: more.unsigned_abs() }
        } else if more < -JUMP {
            Seen::Back { now: wall, by: more.unsigned_abs() }
        } else {
            Seen::Steady(wall)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        NOT_BEFORE + SignedDuration::from_secs(seconds)
    }

    fn up(seconds: u64) -> Uptime {
        Uptime(Duration::from_secs(seconds))
    }

    #[test]
    fn a_clock_that_goes_on_as_time_does_is_steady_and_small_corrections_are_no_jumps() {
        let mut clock = Clock::default();
        assert_eq!(clock.look(at(100), up(7)), Seen::Steady(at(100)), "the first look has nothing to compare with");
        assert_eq!(clock.look(at(160), up(67)), Seen::Steady(at(160)));
        assert_eq!(clock.look(at(222), up(127)), Seen::Steady(at(222)));
        assert_eq!(clock.look(at(280), up(187)), Seen::Steady(at(280)));
    }

    #[test]
    fn a_jump_is_told_with_its_length_and_what_follows_is_steady_again() {
        let mut clock = Clock::default();
        clock.look(at(0), up(0));
        let hour = Duration::from_secs(3600);
        assert_eq!(clock.look(at(3610), up(10)), Seen::Forward { now: at(3610), by: hour });
        assert_eq!(clock.look(at(3620), up(20)), Seen::Steady(at(3620)));
        assert_eq!(clock.look(at(30), up(30)), Seen::Back { now: at(30), by: hour });
        assert_eq!(clock.look(at(40), up(40)), Seen::Steady(at(40)));
    }

    #[test]
    fn a_clock_before_the_programs_day_is_not_set_and_the_jump_to_the_right_time_is_told() {
        let mut clock = Clock::default();
        assert_eq!(clock.look(Timestamp::UNIX_EPOCH, up(0)), Seen::Unset);
        let by = (at(0).duration_since(Timestamp::UNIX_EPOCH)).unsigned_abs();
        assert_eq!(clock.look(at(5), up(5)), Seen::Forward { now: at(5), by });
        assert_eq!(clock.look(at(-1), up(6)), Seen::Unset);
    }

    #[test]
    fn the_programs_day_has_been() {
        assert_eq!(NOT_BEFORE.to_string(), "2026-11-01T00:00:00Z");
        assert!(Timestamp::now() > NOT_BEFORE, "the clock of this machine is not set");
    }
}
