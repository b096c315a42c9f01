//! The clock that due times and deadlines go by, in milliseconds.
//!
//! ```text
//! ticks = base + time of this process       base = max(the wall's clock at the start, the last ticks on the disk + 1)
//! ```
//! It begins where the wall stands, so time counts that actord was down; from then on the wall may jump as it likes: nothing is
//! due by that, and nothing expires. It never goes back, over restarts neither.

use tokio::time::Instant;

/// The clock of one file of calls.
#[derive(Debug, Clone, Copy)]
pub struct Ticks {
    base: i64,
    began: Instant,
}

impl Ticks {
    /// One that goes on after `last`, and begins at `wall` (milliseconds) if that is later.
    #[must_use]
    pub fn beginning(wall: i64, last: i64) -> Self {
        Self { base: wall.max(last.saturating_add(1)), began: Instant::now() }
    }

    /// What it shows.
    #[must_use]
    pub fn now(&self) -> i64 {
        self.at(Instant::now())
    }

    /// What it shows at a time of this process.
    #[must_use]
    pub fn at(&self, time: Instant) -> i64 {
        let since = i64::try_from(time.saturating_duration_since(self.began).as_millis()).unwrap_or(i64::MAX);
        self.base.saturating_add(since)
    }

    /// When it shows `ticks`; what is over is now.
    #[must_use]
    pub fn when(&self, ticks: i64) -> Instant {
        let now = Instant::now();
        let left = u64::try_from(ticks.saturating_sub(self.at(now))).unwrap_or(0);
        now.checked_add(std::time::Duration::from_millis(left)).unwrap_or(now)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_begins_at_the_wall_or_after_what_was_shown_before_and_goes_by_the_process() {
        let (behind, ahead) = (Ticks::beginning(1_000, 5_000), Ticks::beginning(9_000, 5_000));
        assert_eq!((behind.now(), ahead.now()), (5_001, 9_000));
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!((behind.now(), ahead.now()), (7_001, 11_000));
        assert_eq!(ahead.when(12_000) - Instant::now(), Duration::from_secs(1));
        assert_eq!(ahead.when(3), Instant::now());
        assert!(ahead.when(i64::MAX) >= Instant::now());
    }
}
