//! How long to wait before the next start.

use std::time::Duration;

use super::status::{Exit, Uptime};

/// An instance that served this long is stable: what failed before it is forgotten.
const STABLE: Duration = Duration::from_secs(30);
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(64);

/// Consecutive failures and the wait that follows from them: 1, 2, 4 ... 64 s, less up to a tenth of jitter, so that
/// functions that failed together don't all come back together.
///
/// The first crash after a stable run waits for nothing: one crash is no loop, and its callers are waiting.
#[derive(Debug, Clone, Default)]
pub struct Backoff {
    failures: u32,
    until: Option<Uptime>,
    /// Whether the last start failed in a way that time alone does not mend: those who wait for the next are told.
    pub(super) is_permanent: bool,
    /// How many of the last starts in a row found a disk full, and what the last one said of it.
    pub(super) no_room: u32,
    pub(super) no_room_why: String,
    /// How the process of the last start ended, if it was that, and whether the one before it ended in the same way.
    last_exit: Option<Exit>,
    pub(super) ends_alike: bool,
}

impl Backoff {
    /// Counts a start that failed; `exit` is how its process ended, if it was seen to. `jitter` is any random number.
    pub fn start_failed(&mut self, now: Uptime, jitter: u64, exit: Option<&Exit>) {
        self.is_permanent = false;
        self.no_room = 0;
        // Several instances of one generation fail together: that is one failure.
        if self.until.is_some_and(|until| until > now) {
            return;
        }
        self.failures = self.failures.saturating_add(1);
        self.ends_alike = exit.is_some() && exit == self.last_exit.as_ref();
        self.last_exit = exit.cloned();
        let doubled = FIRST.saturating_mul(1 << (self.failures - 1).min(6)).min(LONGEST);
        let less = doubled.mul_f64(0.1 * (jitter % 1000) as f64 / 1000.0);
        self.until = Some(now.after(doubled - less));
    }

    /// Counts a start that found a disk full.
    pub fn found_no_room(&mut self, now: Uptime, jitter: u64, why: &str) {
        let times = self.no_room.saturating_add(1);
        self.start_failed(now, jitter, None);
        (self.no_room, self.no_room_why) = (times, why.to_owned());
    }

    /// Counts the end of an instance that had served for `ran`.
    pub fn crashed(&mut self, now: Uptime, ran: Duration, jitter: u64) {
        if ran >= STABLE {
            self.reset();
        } else {
            self.start_failed(now, jitter, None);
        }
    }

    /// Forgets all failures.
    pub fn reset(&mut self) {
        *self = Self::default();
    }

    /// When the next start may happen, if it has to wait at all.
    #[must_use]
    pub fn until(&self, now: Uptime) -> Option<Uptime> {
        self.until.filter(|until| *until > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Uptime {
        Uptime(Duration::from_secs(secs))
    }

    #[test]
    fn the_wait_doubles_from_one_second_to_sixty_four_and_stays_there() {
        let mut backoff = Backoff::default();
        let mut now = at(0);
        let mut waits = Vec::new();
        for _ in 0..9 {
            backoff.start_failed(now, 0, None);
            let until = backoff.until(now).unwrap();
            waits.push(until.since(now).as_secs());
            now = until;
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 64, 64]);
    }

    #[test]
    fn jitter_only_shortens_and_by_a_tenth_at_most() {
        for jitter in [0, 1, 499, 999, u64::MAX] {
            let mut backoff = Backoff::default();
            backoff.start_failed(at(0), jitter, None);
            let wait = backoff.until(at(0)).unwrap().since(at(0));
            assert!(wait <= Duration::from_secs(1) && wait >= Duration::from_millis(900), "{wait:?}");
        }
    }

    #[test]
    fn a_crash_after_a_stable_run_is_forgiven_and_one_soon_after_the_start_is_not() {
        let mut backoff = Backoff::default();
        backoff.crashed(at(100), Duration::from_secs(29), 0);
        assert!(backoff.until(at(100)).is_some());
        backoff.crashed(at(200), Duration::from_secs(30), 0);
        assert_eq!(backoff.until(at(200)), None);
    }

    #[test]
    fn failures_at_the_same_time_count_once() {
        let mut backoff = Backoff::default();
        for _ in 0..5 {
            backoff.start_failed(at(0), 0, None);
        }
        assert_eq!(backoff.until(at(0)).unwrap(), at(1));
    }

    #[test]
    fn two_ends_in_a_row_are_alike_if_they_are_of_two_starts_and_the_same() {
        let (code, other) = (Exit::Code(1), Exit::Code(2));
        let alike = |exits: &[(u64, Option<&Exit>)]| {
            let mut backoff = Backoff::default();
            exits.iter().for_each(|(then, exit)| backoff.start_failed(at(*then), 0, *exit));
            backoff.ends_alike
        };
        for (exits, expected) in [
            (&[(0, Some(&code))][..], false),
            (&[(0, Some(&code)), (1, Some(&code))], true),
            // Two instances of one start.
            (&[(0, Some(&code)), (0, Some(&code))], false),
            (&[(0, Some(&code)), (1, Some(&other))], false),
            (&[(0, Some(&code)), (1, None), (3, Some(&code))], false),
            (&[(0, None), (1, None)], false),
            (&[(0, Some(&other)), (1, Some(&code)), (3, Some(&code))], true),
        ] {
            assert_eq!(alike(exits), expected, "{exits:?}");
        }
    }
}
