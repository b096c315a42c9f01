//! The attempts at one part of a pull: when there is a point in another, and how long to wait for it. Pure.
//!
//! Only bytes that a blob did not have before are progress. What a registry that knows no ranges sends again from the
//! first byte on is none, however much it is.

use std::time::Duration;

/// The pauses between attempts: doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(8);

/// An attempt that brought a blob this much farther is no failure: a big image over a bad line comes to its end.
const PROGRESS: u64 = 1 << 20;

/// See the module.
#[derive(Debug)]
pub(crate) struct Attempts {
    /// How many may fail in a row.
    most: u32,
    /// How many did.
    failed: u32,
    /// How many waits in a row the server asked for.
    waits: u32,
    /// How far the blob was when an attempt was last taken for progress, and how far it is.
    best: u64,
    at: u64,
}

impl Attempts {
    /// Attempts of which `most` may fail in a row, at least one.
    pub(crate) fn new(most: u32) -> Self {
        Self { most: most.max(1), failed: 0, waits: 0, best: 0, at: 0 }
    }

    /// So many bytes of the blob are here.
    pub(crate) fn reached(&mut self, offset: u64) {
        self.at = self.at.max(offset);
    }

    /// How many failed in a row.
    pub(crate) fn failed(&self) -> u32 {
        self.failed
    }

    /// Counts one that failed. How long to wait for the next; None: there is no point in one.
    pub(crate) fn fail(&mut self) -> Option<Duration> {
        self.waits = 0;
        if self.at >= self.best + PROGRESS {
            (self.failed, self.best) = (0, self.at);
        }
        self.failed += 1;
        (self.failed < self.most).then(|| pause(self.failed))
    }

    /// How long to wait where the server asks for `asked`. That is no failure: it is there and says when it will answer. One
    /// that always asks for a moment is asked more and more rarely.
    pub(crate) fn wait(&mut self, asked: Duration) -> Duration {
        self.waits += 1;
        asked.max(pause(self.waits))
    }
}

fn pause(failed: u32) -> Duration {
    FIRST_PAUSE.saturating_mul(1 << failed.min(8)).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    /// How many attempts there are at a blob where each ends at the next of these offsets, the last one for ever.
    fn made(offsets: &[u64]) -> usize {
        let mut attempts = Attempts::new(3);
        (1..100)
            .find(|n| {
                attempts.reached(offsets[(n - 1).min(offsets.len() - 1)]);
                attempts.fail().is_none()
            })
            .unwrap()
    }

    #[test]
    fn only_bytes_that_are_new_to_the_blob_give_more_attempts() {
        for (offsets, expected) in [
            (&[0][..], 3),
            (&[6 * MIB], 3),
            (&[6 * MIB, 0, 6 * MIB], 3),
            (&[6 * MIB, 6 * MIB + 100], 3),
            (&[MIB / 2, MIB, MIB], 4),
            (&[2 * MIB, 4 * MIB, 6 * MIB, 6 * MIB], 5),
            (&[6 * MIB, 2 * MIB, 7 * MIB, 7 * MIB], 5),
        ] {
            assert_eq!(made(offsets), expected, "{offsets:?}");
        }
    }

    #[test]
    fn a_wait_that_is_asked_for_is_no_failure_and_never_shorter_than_our_own() {
        let mut attempts = Attempts::new(2);
        let waits: Vec<_> = (0..8).map(|_| attempts.wait(Duration::from_secs(1)).as_millis()).collect();
        assert_eq!(waits, [1000, 1000, 2000, 4000, 8000, 8000, 8000, 8000]);
        assert_eq!(attempts.wait(Duration::from_secs(90)).as_secs(), 90);
        assert!(attempts.fail().is_some() && attempts.fail().is_none());
    }
}
