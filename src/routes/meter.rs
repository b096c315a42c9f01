//! What a function's calls came to since that was last taken: counted on the way of each call, without a lock.
//!
//! ```text
//! the end of a call -> one of 80 counters, by how long it took (and one more, if it failed) ... taken each 10 s: all are 0
//! ```
//! The counters are the entry's, so they go with the function, and one of the same name that comes later begins at zero.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// How many counters there are: four for each power of two microseconds.
pub const BUCKETS: usize = 80;

/// The first counter has what took up to 2^7 µs and a quarter more; the last one what took from 2^26.75 µs on, two minutes.
const FIRST: u32 = 7;
/// The fourth roots of two, of its square and of its cube, in parts of 2^16.
const QUARTERS: [u64; 3] = [77_936, 92_682, 110_218];

/// The counters of one function.
#[derive(Debug)]
pub(super) struct Meter {
    errors: AtomicU32,
    took: [AtomicU32; BUCKETS],
}

/// What was counted until it was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counts {
    /// Calls that were answered by no better than a 500.
    pub errors: u32,
    /// All calls, by how long they took ([`bucket`]).
    pub took: [u32; BUCKETS],
}

impl Counts {
    /// Nothing.
    pub const NONE: Self = Self { errors: 0, took: [0; BUCKETS] };

    /// All calls.
    #[must_use]
    pub fn calls(&self) -> u32 {
        self.took.iter().fold(0, |sum, count| sum.saturating_add(*count))
    }
}

impl Meter {
    pub(super) fn new() -> Self {
        Self { errors: AtomicU32::new(0), took: std::array::from_fn(|_| AtomicU32::new(0)) }
    }

    pub(super) fn count(&self, took: Duration, is_error: bool) {
        self.took[bucket(took)].fetch_add(1, Ordering::Relaxed);
        if is_error {
            self.errors.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn take(&self) -> Counts {
        // Looked at first: a write would take the cache line from the workers.
        let taken = |count: &AtomicU32| match count.load(Ordering::Relaxed) {
            0 => 0,
            _ => count.swap(0, Ordering::Relaxed),
        };
        Counts { errors: taken(&self.errors), took: std::array::from_fn(|at| taken(&self.took[at])) }
    }
}

/// The counter of calls that took so long.
#[must_use]
pub fn bucket(took: Duration) -> usize {
    let longest = 1 << 27;
    let micros = u64::try_from(took.as_micros()).unwrap_or(longest).clamp(1 << FIRST, longest - 1);
    let power = micros.ilog2();
    // Between one and two, in parts of 2^16.
    let rest = (micros << 16) >> power;
    let quarter = QUARTERS.iter().filter(|quarter| rest >= **quarter).count();
    4 * (power - FIRST) as usize + quarter
}

/// The shortest time of a counter, in milliseconds; that of the one after it is where it ends.
#[must_use]
pub fn lower_bound(bucket: usize) -> f32 {
    let quarters = u16::try_from(bucket).unwrap_or(u16::MAX);
    0.128 * (f32::from(quarters) / 4.0).exp2()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_time_is_counted_between_the_bounds_of_its_counter() {
        for micros in (0..27).flat_map(|power| [1_u64 << power, (1 << power) + (1 << power) / 3, (2 << power) - 1]) {
            let at = bucket(Duration::from_micros(micros));
            let millis = (Duration::from_micros(micros).as_secs_f32() * 1_000.0).max(0.128);
            // The bounds are rounded to whole parts of 2^16.
            let (from, to) = (lower_bound(at) * 0.9999, lower_bound(at + 1) * 1.0001);
            assert!((from..to).contains(&millis), "{micros} µs: {at}, {from} to {to}");
        }
        assert_eq!([Duration::ZERO, Duration::MAX].map(bucket), [0, BUCKETS - 1]);
    }

    #[test]
    fn what_was_taken_is_not_taken_again() {
        let meter = Meter::new();
        assert_eq!(meter.take(), Counts::NONE);
        meter.count(Duration::from_millis(3), false);
        meter.count(Duration::from_millis(3), true);
        meter.count(Duration::from_secs(500), true);
        let counts = meter.take();
        assert_eq!((counts.calls(), counts.errors, counts.took[BUCKETS - 1]), (3, 2, 1));
        assert_eq!(meter.take(), Counts::NONE);
    }
}
