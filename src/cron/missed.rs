//! What is to be fired now, what was missed, and what a clock that was set back means.
//!
//! ```text
//! last_due ....... missed ....... | now - GRACE ....... fired, each ....... | now
//! ```
//! All goes by the last due time that was dealt with, which is on the disk with the call: a due time at or before it fires no
//! more, however often the clock passes it.

use jiff::{SignedDuration, Timestamp};

use super::clock::Seen;
use super::schedule::Timetable;
use crate::function::Missed;

/// A due time that is no older fires all the same: a restart or an upgrade takes so long at most, and loses none.
pub(super) const GRACE: SignedDuration = SignedDuration::from_mins(2);
/// A clock that is set back by more was wrong before; by less, what has fired does not fire again.
const BACK: SignedDuration = SignedDuration::from_hours(3);
/// The number of missed due times from which on there may be more: they are not counted one by one.
pub const MOST_COUNTED: u64 = 1000;
/// The most that fires at one look; the rest does at the next.
const AT_ONCE: usize = 200;

/// How far a schedule has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FiredState {
    /// From when on it counts, if it is due every so often.
    pub anchor: Timestamp,
    /// The last due time that was dealt with.
    pub last_due: Timestamp,
}

/// What is to be done for a schedule.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Due {
    /// To be fired, each, in this order.
    pub fire: Vec<Timestamp>,
    /// How many due times passed that get no call: at least, where that is [`MOST_COUNTED`].
    pub missed: u64,
    /// Up to when they were missed; all of them lie before what is to be fired.
    pub through: Option<Timestamp>,
    /// The clock was set back so far that the schedule begins anew, now.
    pub anchor_anew: bool,
}

/// What is due by a schedule that has come so far.
#[must_use]
pub fn due(table: &Timetable, state: &FiredState, seen: &Seen, rule: Missed) -> Due {
    let Some(now) = seen.now() else { return Due::default() };
    let ahead = state.last_due.duration_since(now).max(state.anchor.duration_since(now));
    let set_back = matches!(seen, Seen::Back { by, .. } if SignedDuration::try_from(*by).unwrap_or(BACK) > BACK);
    if ahead > BACK || (set_back && ahead > SignedDuration::ZERO) {
        return Due { anchor_anew: true, ..Due::default() };
    }
    let old = now.checked_sub(GRACE).unwrap_or(Timestamp::MIN);
    let times = |after: Timestamp| {
        let next = |time: &Timestamp| table.next_after(*time, state.anchor);
        std::iter::successors(next(&after), move |time| next(time))
    };
    let mut found = Due::default();
    for time in times(state.last_due).take_while(|time| *time < old) {
        found.missed += 1;
        found.through = Some(time);
        if found.missed == MOST_COUNTED {
            break;
        }
    }
    if found.missed == MOST_COUNTED {
        found.through = newest_before(table, state, old).or(found.through);
    }
    if let (Missed::RunOnce, Some(newest)) = (rule, found.through) {
        // What is before it is dealt with first, and then it by itself: an end in between leaves it to be fired.
        found.fire.push(newest);
        found.missed -= 1;
        found.through = newest.checked_sub(SignedDuration::from_millis(1)).ok().filter(|_| found.missed > 0);
    }
    let from = old.checked_sub(SignedDuration::from_millis(1)).unwrap_or(old).max(state.last_due);
    found.fire.extend(times(from).skip_while(|time| *time < old).take_while(|time| *time <= now).take(AT_ONCE));
    found
}

/// The last due time before `end`, where there are many: looked for in spans that grow backwards.
fn newest_before(table: &Timetable, state: &FiredState, end: Timestamp) -> Option<Timestamp> {
    let next = |time: Timestamp| table.next_after(time, state.anchor).filter(|time| *time < end);
    let mut span = SignedDuration::from_secs(1);
    let mut newest = loop {
        let from = end.checked_sub(span).ok().filter(|from| *from > state.last_due)?;
        if let Some(found) = next(from) {
            break found;
        }
        span = span.checked_mul(2)?;
    };
    while let Some(later) = next(newest) {
        newest = later;
    }
    Some(newest)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::tz::TimeZone;
    use proptest::prelude::*;

    use super::*;
    use crate::cron::NOT_BEFORE;
    use crate::function::Schedule;

    fn table(text: &str) -> Timetable {
        Timetable::of(&Schedule::read(text, "UTC").expect(text), TimeZone::UTC)
    }

    /// Minutes after the beginning of a day.
    fn at(minutes: i64) -> Timestamp {
        NOT_BEFORE + SignedDuration::from_mins(minutes)
    }

    fn state(last_due: i64) -> FiredState {
        FiredState { anchor: at(0), last_due: at(last_due) }
    }

    fn steady(text: &str, last_due: i64, now: i64, rule: Missed) -> Due {
        due(&table(text), &state(last_due), &Seen::Steady(at(now)), rule)
    }

    #[test]
    fn what_came_due_since_the_last_fires_each_and_nothing_twice() {
        assert_eq!(steady("* * * * *", 10, 10, Missed::None), Due::default());
        assert_eq!(steady("* * * * *", 10, 11, Missed::None).fire, [at(11)]);
        assert_eq!(steady("* * * * *", 10, 12, Missed::None).fire, [at(11), at(12)]);
        assert_eq!(steady("@every 2m", 10, 13, Missed::None).fire, [at(12)]);
        assert_eq!(steady("@every 2m", 12, 13, Missed::None), Due::default());
    }

    #[test]
    fn what_is_older_than_a_restart_takes_was_missed_and_the_rest_fires() {
        let found = steady("* * * * *", 10, 20, Missed::None);
        assert_eq!(found.fire, [at(18), at(19), at(20)]);
        assert_eq!((found.missed, found.through), (7, Some(at(17))));
    }

    #[test]
    fn what_was_missed_runs_once_where_that_is_asked_for() {
        let nightly = steady("0 3 * * *", 60, 1440 + 600, Missed::None);
        assert_eq!((nightly.fire.len(), nightly.missed, nightly.through), (0, 2, Some(at(1440 + 180))));
        let found = steady("0 3 * * *", 60, 1440 + 600, Missed::RunOnce);
        assert_eq!(found.fire, [at(1440 + 180)]);
        assert_eq!(found.missed, 1);
        let through = found.through.expect("the one before it");
        assert!(at(180) <= through && through < at(1440 + 180), "{through}");
        let alone = steady("0 3 * * *", 60, 600, Missed::RunOnce);
        assert_eq!((alone.fire, alone.missed, alone.through), (vec![at(180)], 0, None));
    }

    #[test]
    fn a_clock_that_is_set_back_by_up_to_three_hours_fires_nothing_twice() {
        for back in [1, 60, 180] {
            let by = Duration::from_secs(back * 60);
            let now = at(600 - i64::try_from(back).expect("small"));
            let found = due(&table("* * * * *"), &state(600), &Seen::Back { now, by }, Missed::RunOnce);
            assert_eq!(found, Due::default(), "{back} minutes");
        }
        assert_eq!(steady("* * * * *", 600, 601, Missed::None).fire, [at(601)], "it goes on where it was");
    }

    #[test]
    fn a_clock_that_is_set_back_by_more_begins_anew_and_so_does_one_that_was_before_this_start() {
        let anew = Due { anchor_anew: true, ..Due::default() };
        let by = Duration::from_secs(4 * 3600);
        assert_eq!(due(&table("* * * * *"), &state(600), &Seen::Back { now: at(360), by }, Missed::None), anew);
        assert_eq!(due(&table("* * * * *"), &state(600), &Seen::Back { now: at(599), by }, Missed::None), anew);
        assert_eq!(steady("* * * * *", 600, 419, Missed::None), anew, "the jump came while actord was down");
        assert_eq!(steady("* * * * *", 600, 420, Missed::None), Due::default());
        let ahead = FiredState { anchor: at(1000), last_due: at(0) };
        assert_eq!(due(&table("@every 5m"), &ahead, &Seen::Steady(at(10)), Missed::None), anew);
    }

    #[test]
    fn a_clock_that_is_set_forward_is_as_time_that_actord_was_down() {
        let seen = Seen::Forward { now: at(600), by: Duration::from_secs(3600) };
        for rule in [Missed::None, Missed::RunOnce] {
            assert_eq!(due(&table("0 * * * *"), &state(120), &seen, rule), steady("0 * * * *", 120, 600, rule));
        }
    }

    #[test]
    fn before_the_clock_is_set_nothing_is_due() {
        assert_eq!(due(&table("* * * * *"), &state(-100_000), &Seen::Unset, Missed::RunOnce), Due::default());
    }

    #[test]
    fn ten_years_of_minutes_are_not_counted_one_by_one() {
        let now = 10 * 366 * 1440;
        let found = steady("* * * * *", 0, now, Missed::None);
        assert_eq!((found.missed, found.through), (MOST_COUNTED, Some(at(now - 3))));
        assert_eq!(found.fire, [at(now - 2), at(now - 1), at(now)]);
        let found = steady("0 3 * * *", 0, now, Missed::RunOnce);
        assert_eq!((found.missed, found.fire), (MOST_COUNTED - 1, vec![at(now - 1440 + 180)]));
    }

    proptest! {
        /// Looked at whenever, each due time is fired or counted once, and the end of a look is where the next one begins.
        #[test]
        fn however_often_the_clock_is_looked_at_each_due_time_is_dealt_with_once(
            looks in prop::collection::vec(1i64..40, 1..30),
            run_once in any::<bool>(),
            text in prop::sample::select(vec!["* * * * *", "*/7 * * * *", "@every 3m", "5,6 1 * * *"]),
        ) {
            let table = table(text);
            let rule = if run_once { Missed::RunOnce } else { Missed::None };
            let (mut so_far, mut now) = (state(0), 0);
            let (mut fired, mut missed) = (Vec::new(), 0);
            for look in looks {
                now += look;
                let found = due(&table, &so_far, &Seen::Steady(at(now)), rule);
                prop_assert!(!found.anchor_anew);
                missed += found.missed;
                so_far.last_due = found.through.unwrap_or(so_far.last_due);
                for time in found.fire {
                    prop_assert!(time > so_far.last_due && time <= at(now));
                    so_far.last_due = time;
                    fired.push(time);
                }
            }
            let all = std::iter::successors(table.next_after(at(0), at(0)), |time| table.next_after(*time, at(0)));
            let all = all.take_while(|time| *time <= at(now)).count();
            prop_assert_eq!(fired.len() as u64 + missed, all as u64);
        }
    }
}
