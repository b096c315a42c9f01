//! The memory that bodies of calls take on their way to the disk: so much in all, and of one source a part of it.
//!
//! ```text
//! a piece of a body has come -> room in its source's share? -> room among all? -> Place, held until the call is on the disk
//!                                             none within WAIT -> refused
//! ```
//! A client that announces bodies and keeps back their last bytes holds what it has sent. Were there no shares, one of them
//! could hold all, and calls of everybody else would be refused.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::http::source::Source;

/// So many bytes of all bodies together, and more where bodies may be longer than a share of it.
const MEMORY: usize = 64 << 20;

/// One source may have the part of it that this many would have each.
const SHARES: usize = 4;

/// What is counted at a time, in bytes.
const UNIT: usize = 1 << 10;

/// How long a body waits for a place.
pub(super) const WAIT: Duration = Duration::from_secs(1);

/// The memory that bodies on their way in may take, of all listeners. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Bodies(Arc<Memory>);

#[derive(Debug)]
struct Memory {
    all: Arc<Semaphore>,
    /// What a source may have, in units.
    share: usize,
    /// The shares of those that have any body on its way.
    of_source: Mutex<HashMap<Source, Arc<Semaphore>>>,
}

impl Default for Bodies {
    fn default() -> Self {
        Self::of_at_most(0)
    }
}

impl Bodies {
    /// For bodies of so many bytes at most, of which each source may send one, whatever others send.
    #[must_use]
    pub fn of_at_most(longest: usize) -> Self {
        let share = units(longest.max(MEMORY / SHARES)) as usize;
        let all = Arc::new(Semaphore::new(share * SHARES));
        Self(Arc::new(Memory { all, share, of_source: Mutex::default() }))
    }

    /// A place for a body from there, of which nothing has come yet. No source: one that is held to no share.
    pub(super) fn place(&self, source: Option<Source>) -> Place {
        let share = source.map(|source| {
            let mut of_source = self.0.lock();
            let units = of_source.entry(source).or_insert_with(|| Arc::new(Semaphore::new(self.0.share))).clone();
            Share { source, units, memory: self.0.clone() }
        });
        Place { bytes: 0, taken: None, of_share: None, share, memory: self.0.clone() }
    }
}

impl Memory {
    fn lock(&self) -> MutexGuard<'_, HashMap<Source, Arc<Semaphore>>> {
        self.of_source.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place for as much of a body as has come; it is to be held until the call is on the disk.
#[derive(Debug)]
pub(super) struct Place {
    /// What has come, in bytes: many small pieces take no more than one large one.
    bytes: usize,
    taken: Option<OwnedSemaphorePermit>,
    of_share: Option<OwnedSemaphorePermit>,
    /// Behind what was taken of it, so that it is dropped after that.
    share: Option<Share>,
    memory: Arc<Memory>,
}

/// What one source may have.
#[derive(Debug)]
struct Share {
    source: Source,
    units: Arc<Semaphore>,
    memory: Arc<Memory>,
}

impl Place {
    /// Makes it larger by so many bytes; whether there was room in time.
    pub(super) async fn grow(&mut self, bytes: usize) -> bool {
        let total = self.bytes.saturating_add(bytes);
        let held = self.taken.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let wanted = units(total).saturating_sub(u32::try_from(held).unwrap_or(u32::MAX));
        if wanted == 0 {
            self.bytes = total;
            return true;
        }
        let taken = timeout(WAIT, async {
            // That of its source first: whoever waits there is before nobody of another.
            let of_share = match &self.share {
                Some(share) => Some(share.units.clone().acquire_many_owned(wanted).await.ok()?),
                None => None,
            };
            Some((self.memory.all.clone().acquire_many_owned(wanted).await.ok()?, of_share))
        });
        let Ok(Some((taken, of_share))) = taken.await else { return false };
        merge(&mut self.taken, Some(taken));
        merge(&mut self.of_share, of_share);
        self.bytes = total;
        true
    }
}

fn merge(held: &mut Option<OwnedSemaphorePermit>, more: Option<OwnedSemaphorePermit>) {
    match (held.as_mut(), more) {
        (Some(held), Some(more)) => held.merge(more),
        (None, more) => *held = more,
        (Some(_), None) => {}
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut of_source = self.memory.lock();
        // The table's and this one: nothing else is on its way from there.
        if Arc::strong_count(&self.units) <= 2 {
            of_source.remove(&self.source);
        }
    }
}

fn units(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use tokio::time::sleep;

    use super::*;

    const MIB: usize = 1 << 20;

    fn source(address: &str) -> Option<Source> {
        Some(address.parse::<IpAddr>().unwrap().into())
    }

    #[tokio::test(start_paused = true)]
    async fn one_source_has_a_quarter_at_most_and_the_others_theirs() {
        let bodies = Bodies::default();
        let mut hostile: Vec<Place> = (0..32).map(|_| bodies.place(source("2001:db8::1"))).collect();
        let mut held = 0;
        for place in &mut hostile {
            held += usize::from(place.grow(MIB).await);
        }
        assert_eq!(held, 16, "a quarter");
        assert!(!bodies.place(source("2001:db8::ffff")).grow(1).await, "of the same /64");
        for n in 0..3 {
            let mut good = bodies.place(source(&format!("192.0.2.{n}")));
            assert!(good.grow(16 * MIB).await, "{n}");
            hostile.push(good);
        }
        assert!(!bodies.place(source("192.0.2.99")).grow(1).await, "four of them have all");
        drop(hostile);
        assert!(bodies.place(source("2001:db8::ffff")).grow(16 * MIB).await);
        assert!(bodies.0.lock().is_empty(), "nothing is remembered of who left");
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_in_small_pieces_takes_no_more_than_in_one() {
        let bodies = Bodies::default();
        let mut places = [bodies.place(source("192.0.2.1")), bodies.place(source("192.0.2.1"))];
        for place in &mut places {
            for _ in 0..8 * MIB / 50 {
                assert!(place.grow(50).await);
            }
        }
        assert!(!places[0].grow(MIB).await, "now the share is taken");
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_its_own_share_stands_before_nobody_else() {
        let bodies = Bodies::default();
        let mut first = bodies.place(source("192.0.2.1"));
        assert!(first.grow(16 * MIB).await);
        let (mut second, mut other) = (bodies.place(source("192.0.2.1")), bodies.place(source("192.0.2.2")));
        let (waited, at_once) = tokio::join!(second.grow(16 * MIB), timeout(WAIT / 10, other.grow(16 * MIB)));
        assert!(!waited && at_once == Ok(true));
    }

    #[tokio::test(start_paused = true)]
    async fn bodies_wait_for_room_for_a_second_and_no_longer() {
        let bodies = Bodies::default();
        let (mut whole, mut second, mut third) = (bodies.place(None), bodies.place(None), bodies.place(None));
        assert!(whole.grow(64 * MIB).await, "who is held to no share");
        assert!(!second.grow(1).await);
        let (grown, ()) = tokio::join!(second.grow(32 * MIB), async {
            sleep(WAIT / 2).await;
            drop(whole);
        });
        assert!(grown && third.grow(32 * MIB).await);
        assert!(!bodies.place(None).grow(1).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_share_has_room_for_the_longest_body() {
        let bodies = Bodies::of_at_most(64 * MIB);
        let mut held: Vec<Place> = (0..4).map(|n| bodies.place(source(&format!("192.0.2.{n}")))).collect();
        for place in &mut held {
            assert!(place.grow(64 * MIB).await);
        }
        assert!(!bodies.place(None).grow(1).await);
    }
}
