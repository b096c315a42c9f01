//! When plugins may be run, and how many side by side.
//!
//! ```text
//! an attach that a start waits for       at once, if one of its places is free
//! a detach, which nothing waits for      when no start is under way, but soon all the same
//! a refill of the pool                   when no start is under way, and never before an attach
//! ```
//! The places of attaches are their own: none waits until a detach is done.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep};

/// How long a detach waits for a lull: a machine on which something always starts has to take its networks back, too.
const DETACHES_WITHIN: Duration = Duration::from_secs(2);
/// How long a refill waits for one, once no start waits for an attach.
const REFILLS_WITHIN: Duration = Duration::from_secs(5);
/// How often it is looked whether there is one.
const LOOKS: Duration = Duration::from_millis(25);

/// See the module.
#[derive(Debug)]
pub(super) struct Turns {
    attaches: Semaphore,
    later: Semaphore,
    places: usize,
    /// The places of starts, all of which are free in a lull.
    starts: Arc<Semaphore>,
    most_starts: usize,
}

impl Turns {
    /// With so many places, and as many for what has time. `starts` has all of its places now.
    pub(super) fn new(places: usize, starts: Arc<Semaphore>) -> Self {
        let (places, most_starts) = (places.max(1), starts.available_permits());
        Self { attaches: Semaphore::new(places), later: Semaphore::new(places), places, starts, most_starts }
    }

    /// A place for an attach that a start waits for.
    pub(super) async fn at_once(&self) -> Option<SemaphorePermit<'_>> {
        // It is never closed.
        self.attaches.acquire().await.ok()
    }

    /// A place for a detach.
    pub(super) async fn in_a_lull(&self) -> Option<SemaphorePermit<'_>> {
        let came = Instant::now();
        let place = self.later.acquire().await.ok();
        while (self.is_attaching() || self.is_starting()) && came.elapsed() < DETACHES_WITHIN {
            sleep(LOOKS).await;
        }
        place
    }

    /// A place for a refill.
    pub(super) async fn in_a_long_lull(&self) -> Option<SemaphorePermit<'_>> {
        let came = Instant::now();
        let place = self.later.acquire().await.ok();
        while self.is_attaching() || (self.is_starting() && came.elapsed() < REFILLS_WITHIN) {
            sleep(LOOKS).await;
        }
        place
    }

    fn is_attaching(&self) -> bool {
        self.attaches.available_permits() < self.places
    }

    fn is_starting(&self) -> bool {
        self.starts.available_permits() < self.most_starts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turns(starts: usize) -> (Turns, Arc<Semaphore>) {
        let starts = Arc::new(Semaphore::new(starts));
        (Turns::new(2, starts.clone()), starts)
    }

    #[tokio::test(start_paused = true)]
    async fn an_attach_never_waits_for_what_has_time() {
        let (turns, _starts) = turns(1);
        let begun = Instant::now();
        let _detaching = (turns.in_a_lull().await, turns.in_a_long_lull().await);
        let _attaching = (turns.at_once().await, turns.at_once().await);
        assert_eq!(begun.elapsed(), Duration::ZERO);
        assert!(tokio::time::timeout(Duration::from_secs(60), turns.at_once()).await.is_err(), "only so many");
    }

    #[tokio::test(start_paused = true)]
    async fn what_has_time_waits_for_a_lull_and_a_detach_not_for_long() {
        let (turns, starts) = turns(3);
        let begun = Instant::now();
        let starting = starts.acquire().await;
        drop(turns.in_a_lull().await);
        assert!(begun.elapsed() >= DETACHES_WITHIN && begun.elapsed() < 2 * DETACHES_WITHIN);
        let ends = async {
            sleep(Duration::from_millis(300)).await;
            drop(starting);
        };
        let begun = Instant::now();
        let (_, detach, refill) = tokio::join!(ends, turns.in_a_lull(), turns.in_a_long_lull());
        assert!(begun.elapsed() < Duration::from_millis(400));
        drop((detach, refill));

        let attaching = turns.at_once().await;
        let refill = tokio::time::timeout(10 * REFILLS_WITHIN, turns.in_a_long_lull()).await;
        assert!(refill.is_err(), "a refill never goes before an attach");
        drop(attaching);
        drop(turns.in_a_long_lull().await);
    }
}
