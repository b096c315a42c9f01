//! What follows from a try: the call is done, tried again, or a dead letter. Pure: no clock, and chance comes in as a number.
//!
//! ```text
//! answered  < 400            done
//!           in codes         again, after a wait      (400, 404 and 413 never)
//!           the others       dead at once
//! internal  no instance could be asked: again, whatever the codes say
//! not tried held, and not counted
//! ```

use std::time::Duration;

use crate::function::{Jitter, RetryRule};

/// However short the waits of a function are, chance makes none shorter than this.
const SHORTEST: Duration = Duration::from_secs(1);
/// The longest wait that a function can ask for.
const LONGEST: Duration = Duration::from_secs(24 * 3600);
/// What is never worth another try: the same bytes get the same answer.
const NEVER: [u16; 3] = [400, 404, 413];

/// What came of a try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Came {
    /// The function's own answer.
    Answered {
        /// Its status.
        status: u16,
        /// How long the function asks to wait.
        retry_after: Option<Duration>,
    },
    /// Ours: no instance could be asked, or none answered.
    Internal {
        /// As a caller would have been told.
        status: u16,
        /// How long until it is worth another try, where that is known.
        retry_after: Option<Duration>,
        /// For people.
        reason: String,
    },
    /// It was not tried, or given up for no fault of the call's or the function's: it does not count.
    NotTried(Hold),
}

/// Why a call was not tried. It goes back to the front, and no try is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Hold {
    /// This process ends.
    Drained,
    /// An operator keeps the function down.
    KeptDown,
    /// There is no such function just now.
    Gone,
    /// Memory is short, or nothing can be sent just now.
    Paused,
    /// It was cancelled.
    Cancelled,
    /// Its answer waits for a callback, and has no room on the disk.
    Full,
}

/// What follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// It was answered.
    Done,
    /// It is tried again after this wait.
    Again {
        /// How long.
        wait: Duration,
    },
    /// No try is left, or none is worth it.
    Dead {
        /// For people.
        reason: String,
    },
    /// It goes back as it was.
    Held(Hold),
}

/// What follows from a try. `tried`: tries that count, this one included. `left`: how long until the call's deadline.
/// `random`: from 0 to below 1.
#[must_use]
pub fn next(rule: &RetryRule, tried: u32, came: &Came, left: Option<Duration>, random: f64) -> Next {
    let (status, retry_after, again) = match came {
        Came::NotTried(hold) => return Next::Held(*hold),
        Came::Internal { status: 404, .. } => return Next::Held(Hold::Gone),
        Came::Answered { status: ..400, .. } => return Next::Done,
        Came::Answered { status, retry_after } => (*status, retry_after, rule.codes.contains(*status)),
        Came::Internal { status, retry_after, .. } => (*status, retry_after, true),
    };
    if !again || NEVER.contains(&status) {
        return Next::Dead { reason: format!("answered {status}, which is not retried") };
    }
    if tried >= rule.attempts {
        return Next::Dead { reason: last_of(rule.attempts, came, status) };
    }
    let asked = retry_after.filter(|_| matches!(status, 429 | 503));
    let wait = asked.map_or_else(|| wait(rule, tried, random), |asked| asked.clamp(rule.min_wait, LONGEST));
    if left.is_some_and(|left| left <= wait) {
        return Next::Dead { reason: "its deadline would pass before the next try".to_owned() };
    }
    Next::Again { wait }
}

fn last_of(tries: u32, came: &Came, status: u16) -> String {
    let which = if tries == 1 { "the only try".to_owned() } else { format!("the last of {tries} tries") };
    match came {
        Came::Internal { reason, .. } => format!("no answer at {which}: {reason}"),
        _ => format!("answered {status} at {which}"),
    }
}

fn wait(rule: &RetryRule, tried: u32, random: f64) -> Duration {
    let doublings = tried.saturating_sub(1);
    let grown = 2_u32.checked_pow(doublings).and_then(|factor| rule.min_wait.checked_mul(factor));
    let whole = grown.unwrap_or(rule.max_wait).min(rule.max_wait);
    let chance = whole.mul_f64(random.clamp(0.0, 1.0));
    let wait = match rule.jitter {
        Jitter::None => return whole,
        Jitter::Full => chance,
        Jitter::Equal => whole / 2 + chance / 2,
    };
    wait.max(SHORTEST.min(rule.min_wait))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::function::RetryCodes;

    const SECOND: Duration = Duration::from_secs(1);

    fn answered(status: u16) -> Came {
        Came::Answered { status, retry_after: None }
    }

    fn internal(status: u16) -> Came {
        Came::Internal { status, retry_after: None, reason: "no instance was ready".into() }
    }

    fn again(seconds: u32) -> Next {
        Next::Again { wait: SECOND * seconds }
    }

    fn usual(tried: u32, came: &Came) -> Next {
        next(&RetryRule::default(), tried, came, None, 0.5)
    }

    fn reason(next: Next) -> String {
        match next {
            Next::Dead { reason } => reason,
            other => panic!("not dead: {other:?}"),
        }
    }

    #[test]
    fn a_call_is_tried_ten_times_in_all_and_waits_from_ten_seconds_to_two_minutes() {
        let waits = [10, 20, 40, 80, 120, 120, 120, 120, 120];
        for (tried, wait) in (1..).zip(waits) {
            assert_eq!(usual(tried, &answered(500)), again(wait), "{tried}");
        }
        assert_eq!(reason(usual(10, &answered(500))), "answered 500 at the last of 10 tries");
        assert_eq!(reason(usual(10, &internal(503))), "no answer at the last of 10 tries: no instance was ready");
        let once = RetryRule { attempts: 1, ..RetryRule::default() };
        assert_eq!(reason(next(&once, 1, &answered(500), None, 0.5)), "answered 500 at the only try");
    }

    #[test]
    fn what_is_below_400_is_done() {
        for status in [200, 202, 204, 301, 302, 304, 399] {
            assert_eq!(usual(1, &answered(status)), Next::Done, "{status}");
            assert_eq!(usual(10, &answered(status)), Next::Done, "{status}");
        }
    }

    #[test]
    fn what_is_not_in_the_list_is_a_dead_letter_at_once() {
        for status in [400, 401, 403, 404, 409, 410, 413, 418, 422, 501, 505, 599, 600, 999] {
            assert_eq!(reason(usual(1, &answered(status))), format!("answered {status}, which is not retried"));
        }
        let only = RetryRule { codes: RetryCodes::Only([418].into()), ..RetryRule::default() };
        assert_eq!(next(&only, 1, &answered(418), None, 0.5), again(10));
        for status in [408, 429, 500, 502, 503, 504] {
            assert_eq!(usual(1, &answered(status)), again(10), "{status}");
            assert!(matches!(next(&only, 1, &answered(status), None, 0.5), Next::Dead { .. }), "{status}");
        }
    }

    #[test]
    fn what_the_same_bytes_get_again_is_never_retried_also_where_it_is_listed() {
        let listed = RetryRule { codes: RetryCodes::Only([400, 404, 413, 429].into()), ..RetryRule::default() };
        for status in [400, 404, 413] {
            assert!(matches!(next(&listed, 1, &answered(status), None, 0.5), Next::Dead { .. }), "{status}");
        }
        assert_eq!(next(&listed, 1, &answered(429), None, 0.5), again(10));
    }

    #[test]
    fn our_own_502_503_and_504_are_retried_whatever_the_list_says() {
        let none = RetryRule { codes: RetryCodes::Only(BTreeSet::new()), ..RetryRule::default() };
        for status in [502, 503, 504] {
            assert_eq!(next(&none, 1, &internal(status), None, 0.5), again(10), "{status}");
            assert!(matches!(next(&none, 1, &answered(status), None, 0.5), Next::Dead { .. }), "{status}");
        }
        assert_eq!(usual(1, &internal(404)), Next::Held(Hold::Gone), "the name may come back");
    }

    #[test]
    fn a_wait_that_the_function_asks_for_is_never_shorter_than_the_least() {
        let asks = |status, seconds| Came::Answered { status, retry_after: Some(SECOND * seconds) };
        for status in [429, 503] {
            assert_eq!(usual(1, &asks(status, 1)), again(10), "{status}");
            assert_eq!(usual(1, &asks(status, 0)), again(10), "{status}");
            assert_eq!(usual(5, &asks(status, 30)), again(30), "it may be shorter than its turn: {status}");
            assert_eq!(usual(1, &asks(status, 7200)), again(7200), "and longer than the longest: {status}");
            assert_eq!(usual(1, &asks(status, 90_000_000)), again(24 * 3600), "{status}");
        }
        assert_eq!(usual(1, &asks(500, 30)), again(10), "of another status it means nothing");
        let ours = Came::Internal { status: 503, retry_after: Some(SECOND * 44), reason: "it backs off".into() };
        assert_eq!(usual(1, &ours), again(44));
    }

    #[test]
    fn a_try_that_a_drain_ended_does_not_count() {
        for hold in [Hold::Drained, Hold::KeptDown, Hold::Gone, Hold::Paused, Hold::Cancelled, Hold::Full] {
            assert_eq!(usual(1, &Came::NotTried(hold)), Next::Held(hold));
            assert_eq!(usual(10, &Came::NotTried(hold)), Next::Held(hold), "also at the last one");
        }
    }

    #[test]
    fn a_call_whose_deadline_comes_before_its_next_try_is_dead_now() {
        let left = |left| next(&RetryRule::default(), 1, &answered(500), Some(left), 0.5);
        assert_eq!(left(SECOND * 11), again(10));
        assert_eq!(reason(left(SECOND * 10)), "its deadline would pass before the next try");
        assert_eq!(reason(left(Duration::ZERO)), "its deadline would pass before the next try");
        assert_eq!(next(&RetryRule::default(), 1, &answered(200), Some(Duration::ZERO), 0.5), Next::Done);
    }

    #[test]
    fn chance_takes_all_of_a_wait_or_half_of_it_and_never_the_last_second() {
        let waits = |jitter, random| {
            let rule = RetryRule { jitter, ..RetryRule::default() };
            [1, 3].map(|tried| match next(&rule, tried, &answered(500), None, random) {
                Next::Again { wait } => wait.as_secs_f64(),
                other => panic!("{other:?}"),
            })
        };
        assert_eq!(waits(Jitter::None, 0.25), [10.0, 40.0]);
        assert_eq!(waits(Jitter::Full, 0.25), [2.5, 10.0]);
        assert_eq!(waits(Jitter::Full, 0.0), [1.0, 1.0]);
        assert_eq!(waits(Jitter::Equal, 0.25), [6.25, 25.0]);
        assert_eq!(waits(Jitter::Equal, 0.0), [5.0, 20.0]);
    }

    fn rules() -> impl Strategy<Value = RetryRule> {
        let codes = prop_oneof![
            Just(RetryCodes::Usual),
            prop::collection::btree_set(400..600_u16, 0..8).prop_map(RetryCodes::Only)
        ];
        let jitter = prop_oneof![Just(Jitter::None), Just(Jitter::Full), Just(Jitter::Equal)];
        (1..=100_u32, codes, 100..86_400_000_u64, 0..86_400_000_u64, jitter).prop_map(
            |(attempts, codes, min, more, jitter)| {
                let min_wait = Duration::from_millis(min);
                let max_wait = (min_wait + Duration::from_millis(more)).min(LONGEST);
                RetryRule { attempts, codes, min_wait, max_wait, jitter }
            },
        )
    }

    fn comes() -> impl Strategy<Value = Came> {
        let wait = || prop::option::of((0..200_000_u64).prop_map(Duration::from_secs));
        prop_oneof![
            (100..1000_u16, wait()).prop_map(|(status, retry_after)| Came::Answered { status, retry_after }),
            (500..505_u16, wait()).prop_map(|(status, retry_after)| Came::Internal {
                status,
                retry_after,
                reason: String::new()
            }),
        ]
    }

    proptest! {
        /// Whatever comes, and whatever the function says.
        #[test]
        fn tries_end_and_every_wait_is_within_its_bounds(
            rule in rules(), tried in 1..200_u32, came in comes(), left in prop::option::of(0..200_000_u64), random in 0.0..1.0,
        ) {
            let left = left.map(Duration::from_secs);
            match next(&rule, tried, &came, left, random) {
                Next::Again { wait } => {
                    prop_assert!(tried < rule.attempts);
                    prop_assert!(wait >= SHORTEST.min(rule.min_wait) && wait <= LONGEST);
                    prop_assert!(left.is_none_or(|left| wait < left));
                    let asks = match &came {
                        Came::Answered { retry_after, .. } | Came::Internal { retry_after, .. } => retry_after.is_some(),
                        Came::NotTried(_) => false,
                    };
                    prop_assert!(asks || wait <= rule.max_wait);
                }
                Next::Done => {
                    let is_answer = matches!(came, Came::Answered { status: ..400, .. });
                    prop_assert!(is_answer);
                }
                Next::Dead { reason } => prop_assert!(!reason.is_empty()),
                Next::Held(_) => prop_assert!(false, "it was tried"),
            }
        }

        /// Without chance, and without a wish of the function's.
        #[test]
        fn waits_grow_up_to_the_longest(rule in rules(), random in 0.0..1.0) {
            let rule = RetryRule { jitter: Jitter::None, ..rule };
            let mut before = Duration::ZERO;
            for tried in 1..rule.attempts {
                let Next::Again { wait } = next(&rule, tried, &internal(502), None, random) else {
                    return Err(TestCaseError::fail("a try was left"));
                };
                prop_assert!(wait >= before && wait >= rule.min_wait && wait <= rule.max_wait);
                prop_assert!(wait == rule.max_wait || before.is_zero() || wait == before * 2);
                before = wait;
            }
            let is_dead = matches!(next(&rule, rule.attempts, &internal(502), None, random), Next::Dead { .. });
            prop_assert!(is_dead);
        }
    }
}
