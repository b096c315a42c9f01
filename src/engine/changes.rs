//! What becomes of functions, as a bounded and numbered stream.
//!
//! ```text
//! an engine: record(function, what) -> ring of the last changes -> Changes of each watcher, at its own pace
//! ```
//! Nothing waits for a slow watcher. One that falls behind the ring is told so and looks at everything again, and one
//! that comes back names the last number that it saw.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::function::{FunctionId, Status};

/// How many changes a watcher may be behind.
const BEHIND: usize = 1024;

/// One change. Numbers go up by one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Its number.
    pub number: u64,
    /// Which function.
    pub id: FunctionId,
    /// What it has become.
    pub what: Changed,
}

/// What has become of a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changed {
    /// It is there, and stands like this.
    Status(Box<Status>),
    /// Its deletion was accepted.
    Deleted,
}

/// A watcher missed changes: it lists what there is, and goes on from this number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("changes up to number {resume_after} were missed: list the functions again")]
pub struct Missed {
    /// The last change that is no longer kept.
    pub resume_after: u64,
}

/// The last changes, and those who watch. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct ChangeLog(Arc<Ring>);

#[derive(Debug, Default)]
struct Ring {
    kept: Mutex<VecDeque<Change>>,
    last: watch::Sender<u64>,
}

impl ChangeLog {
    /// A log whose first change gets the number after this. Where the number is one by chance, a watcher of an earlier
    /// process is told that it missed something instead of being given other changes under the numbers that it knows.
    #[must_use]
    pub fn starting_after(number: u64) -> Self {
        let log = Self::default();
        log.0.last.send_replace(number);
        log
    }

    /// Tells every watcher.
    pub fn record(&self, id: &FunctionId, what: Changed) {
        let mut kept = self.0.kept();
        let number = *self.0.last.borrow() + 1;
        if kept.len() == BEHIND {
            kept.pop_front();
        }
        kept.push_back(Change { number, id: id.clone(), what });
        // Told while the ring is held, so that numbers and places in it agree.
        self.0.last.send_replace(number);
    }

    /// The number of the last change; 0 if there was none.
    #[must_use]
    pub fn last(&self) -> u64 {
        *self.0.last.borrow()
    }

    /// The changes from now on, or after the one with this number. A number of an earlier process may lie ahead of all
    /// that happened in this one: such a watcher missed something, too.
    #[must_use]
    pub fn watch(&self, after: Option<u64>) -> Changes {
        let told = self.0.last.subscribe();
        let last = *told.borrow();
        Changes { ring: self.0.clone(), told, seen: after.unwrap_or(last) }
    }
}

impl Ring {
    fn kept(&self) -> MutexGuard<'_, VecDeque<Change>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One watcher's place in the changes.
#[derive(Debug)]
pub struct Changes {
    ring: Arc<Ring>,
    told: watch::Receiver<u64>,
    seen: u64,
}

impl Changes {
    /// The next change; waits for it.
    ///
    /// # Errors
    /// [`Missed`] when it is not kept any more; the next call goes on after what was missed.
    pub async fn next(&mut self) -> Result<Change, Missed> {
        loop {
            if let Some(found) = self.try_next() {
                return found;
            }
            if self.told.changed().await.is_err() {
                // The ring is ours as well, so its sender can't be gone.
                std::future::pending::<()>().await;
            }
        }
    }

    /// The next change, if there is one by now.
    ///
    /// # Errors
    /// As for [`Changes::next`].
    pub fn try_next(&mut self) -> Option<Result<Change, Missed>> {
        let kept = self.ring.kept();
        let last = *self.told.borrow_and_update();
        let oldest = kept.front().map_or(last + 1, |change| change.number);
        if self.seen > last || self.seen + 1 < oldest {
            let resume_after = if self.seen > last { last } else { oldest - 1 };
            self.seen = resume_after;
            return Some(Err(Missed { resume_after }));
        }
        let at = usize::try_from(self.seen + 1 - oldest).ok()?;
        let change = kept.get(at)?.clone();
        self.seen = change.number;
        Some(Ok(change))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    fn record(log: &ChangeLog, times: usize) {
        for _ in 0..times {
            log.record(&"f".parse().unwrap(), Changed::Deleted);
        }
    }

    fn numbers(changes: &mut Changes) -> Vec<u64> {
        std::iter::from_fn(|| changes.try_next()).map(|change| change.unwrap().number).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_watcher_hears_of_what_comes_in_order_and_without_a_gap() {
        let log = ChangeLog::default();
        record(&log, 2);
        let mut changes = log.watch(None);
        assert_eq!(changes.try_next(), None);
        let waiting = tokio::spawn(async move { (changes.next().await.unwrap().number, changes) });
        tokio::task::yield_now().await;
        record(&log, 3);
        let (first, mut changes) = timeout(Duration::from_secs(1), waiting).await.unwrap().unwrap();
        assert_eq!((first, numbers(&mut changes)), (3, vec![4, 5]));
    }

    #[test]
    fn a_watcher_that_comes_back_goes_on_after_the_last_that_it_saw() {
        let log = ChangeLog::default();
        record(&log, 5);
        assert_eq!(numbers(&mut log.watch(Some(2))), [3, 4, 5]);
        assert_eq!(numbers(&mut log.watch(Some(5))), [0; 0]);
        assert_eq!(log.last(), 5);
    }

    #[test]
    fn a_watcher_that_is_too_far_behind_is_told_and_goes_on_with_what_is_kept() {
        let log = ChangeLog::default();
        let mut changes = log.watch(None);
        record(&log, BEHIND + 10);
        assert_eq!(changes.try_next(), Some(Err(Missed { resume_after: 10 })));
        assert_eq!(numbers(&mut changes).len(), BEHIND);
    }

    #[test]
    fn a_number_of_an_earlier_process_is_one_that_missed_something() {
        let log = ChangeLog::default();
        record(&log, 3);
        let mut changes = log.watch(Some(700));
        assert_eq!(changes.try_next(), Some(Err(Missed { resume_after: 3 })));
        record(&log, 1);
        assert_eq!(numbers(&mut changes), [4]);
        let later = ChangeLog::starting_after(1_000);
        let mut changes = later.watch(Some(700));
        assert_eq!(changes.try_next(), Some(Err(Missed { resume_after: 1_000 })));
        record(&later, 1);
        assert_eq!(numbers(&mut changes), [1_001]);
    }
}
