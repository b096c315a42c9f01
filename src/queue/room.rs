//! How much of the disk answers take that wait for their callback. `queue-max-bytes` is for all that is kept; an eighth of it is
//! left to answers, for an answer that has come can't be refused as a call can:
//!
//! ```text
//! [ calls, dead letters, answers ..................... | answers ]
//! 0                                new calls: 507 ----^          ^---- queue-max-bytes
//! ```
//! A call whose answer goes to a callback needs a place before its function is called: room for the longest answer. Without one it
//! is set aside, which counts no try; calls without a callback and callbacks go on. A place is free
//! - where what is kept, what others under way may bring, and this answer are within the bound; or
//! - where nothing can make room but this call itself: no other call of its kind is under way, no callback waits, and no
//!   follow-up call that was made of an answer beyond the bound is left. Then one goes at a time, whatever the bound. So a backlog
//!   ends that fills the bound by itself, one that was made for a larger bound, and one beside dead letters that fill it.
//!
//! A callback into the queue of this actord is a follow-up call, which the bound does not refuse: it takes the room of the answer
//! that it is made of. Beyond the bound there is one at a time, and the next one may be made of its own answer alone; other
//! callbacks into the queue wait, which counts no try, but for no longer than a minute for one that its function holds up (it was
//! stopped, or fails). It needs no place, and goes before what waits for its function, or it could
//! stand behind calls that wait for it.
//!
//! What is kept therefore goes beyond the bound by an answer or two and the copy of one at most, and by what ends: dead letters have
//! a bound of their own for each function, and of calls that are done the last 4 to 256 stay. After a restart it is not known of a
//! follow-up call that it was made beyond the bound: one more may be made.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::{Duration, Instant};

use crate::store::calls::{Calls, Notice, Seq};

/// What is left to answers of all that may be kept: one part in so many.
const SHARE: u64 = 8;
/// A follow-up call that has not ended for so long is held up by its function, and holds up no others.
const HELD_UP: Duration = Duration::from_secs(60);

/// See the module.
#[derive(Debug)]
pub(super) struct Room {
    /// The most that may be kept; none: any number of bytes.
    most: Option<u64>,
    /// The longest answer.
    answer: u64,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    /// Calls under way whose answers go to callbacks.
    places: u64,
    /// Bytes that are being accepted.
    coming: u64,
    /// Follow-up calls that were made beyond the bound and have not ended.
    follow_ups: HashMap<Seq, (Notice, Instant)>,
    /// Whether one more is being made.
    following: bool,
    /// Those of them that are to go before others.
    fresh: Vec<Notice>,
}

/// What is kept, and what may come.
#[derive(Debug, Clone, Copy, Default)]
struct Kept {
    bytes: u64,
    callbacks: u64,
    places: u64,
    follow_ups: usize,
}

/// Room for one answer, as long as this is held.
#[derive(Debug)]
pub(super) struct Place(Arc<Room>);

/// Room for a call that is being accepted, as long as this is held.
#[derive(Debug)]
pub(super) struct Coming(Arc<Room>, u64);

/// The making of a follow-up call.
#[derive(Debug)]
pub(super) struct Following {
    room: Arc<Room>,
    bytes: u64,
    is_beyond: bool,
}

impl Room {
    /// With room for so many bytes in all, and answers of at most so many.
    pub(super) fn new(most: Option<u64>, answer: u64) -> Self {
        Self { most, answer, taken: Mutex::default() }
    }

    /// How much may be kept before calls are refused.
    pub(super) fn for_calls(most: u64) -> u64 {
        most - most / SHARE
    }

    /// Whether there is room for a call, and if not what the bound is.
    pub(super) fn may_come(&self, calls: &Calls) -> Result<(), u64> {
        let coming = self.taken().coming;
        self.comes_beside(calls, coming)
    }

    fn comes_beside(&self, calls: &Calls, coming: u64) -> Result<(), u64> {
        match self.most {
            Some(most) if calls.bytes().saturating_add(coming) >= Self::for_calls(most) => Err(most),
            _ => Ok(()),
        }
    }

    /// Room for a call of so many bytes, if there is some beside those that are being accepted; if not what the bound is.
    pub(super) fn for_call(self: &Arc<Self>, calls: &Calls, bytes: usize) -> Result<Coming, u64> {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX / 2);
        let mut taken = self.taken();
        self.comes_beside(calls, taken.coming)?;
        taken.coming = taken.coming.saturating_add(bytes);
        drop(taken);
        Ok(Coming(self.clone(), bytes))
    }

    /// A place for an answer, if there is one.
    pub(super) fn for_answer(self: &Arc<Self>, calls: &Calls) -> Option<Place> {
        let mut taken = self.taken();
        // What was given back before this is counted as kept by now, so it is asked for under the lock.
        let kept = Kept {
            bytes: calls.bytes(),
            callbacks: calls.callbacks(),
            places: taken.places,
            follow_ups: taken.follow_ups.len() + usize::from(taken.following),
        };
        if !self.may(kept) {
            return None;
        }
        taken.places += 1;
        drop(taken);
        Some(Place(self.clone()))
    }

    fn may(&self, kept: Kept) -> bool {
        let Some(most) = self.most else { return true };
        let all = (kept.places + 1).saturating_mul(self.answer).saturating_add(kept.bytes);
        all <= most || (kept.places, kept.callbacks, kept.follow_ups) == (0, 0, 0)
    }

    /// Whether a follow-up call of so many bytes may be made of the answer of this one; none: it waits.
    pub(super) fn follow(self: &Arc<Self>, calls: &Calls, from: Seq, bytes: usize) -> Option<Following> {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX / 2);
        let mut taken = self.taken();
        let all = calls.bytes().saturating_add(taken.coming).saturating_add(bytes);
        let is_beyond = self.most.is_some_and(|most| all > most);
        if is_beyond {
            let holds_up = |(call, (_, since)): (&Seq, &(Notice, Instant))| *call != from && since.elapsed() < HELD_UP;
            if taken.following || taken.follow_ups.iter().any(holds_up) {
                return None;
            }
            taken.following = true;
        }
        taken.coming = taken.coming.saturating_add(bytes);
        drop(taken);
        Some(Following { room: self.clone(), bytes, is_beyond })
    }

    /// Whether a call is a follow-up call that was made beyond the bound.
    pub(super) fn is_follow_up(&self, call: Seq) -> bool {
        self.most.is_some() && self.taken().follow_ups.contains_key(&call)
    }

    /// A call has ended.
    pub(super) fn ended(&self, call: Seq) {
        if self.most.is_some() {
            self.taken().follow_ups.remove(&call);
        }
    }

    /// Follow-up calls that go before others of their lanes, each once.
    pub(super) fn fresh(&self) -> Vec<Notice> {
        if self.most.is_some() { std::mem::take(&mut self.taken().fresh) } else { Vec::new() }
    }

    /// A dispatcher begins, which knows of none.
    pub(super) fn begin_dispatch(&self) {
        let mut taken = self.taken();
        taken.fresh = taken.follow_ups.values().map(|(call, _)| *call).collect();
    }

    /// Calls are those of another file.
    pub(super) fn begin_anew(&self) {
        let mut taken = self.taken();
        taken.follow_ups.clear();
        taken.fresh.clear();
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Following {
    /// It was made; whether that is noted until it has [`ended`](Room::ended).
    pub(super) fn made(self, call: Notice) -> bool {
        if self.is_beyond {
            let mut taken = self.room.taken();
            taken.follow_ups.insert(call.head.seq, (call, Instant::now()));
            taken.fresh.push(call);
        }
        self.is_beyond
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let mut taken = self.room.taken();
        taken.coming -= self.bytes;
        if self.is_beyond {
            taken.following = false;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.taken().places -= 1;
    }
}

impl Drop for Coming {
    fn drop(&mut self) {
        self.0.taken().coming -= self.1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_a_place_within_the_bound_or_where_nothing_else_can_make_room() {
        let room = Room::new(Some(1000), 100);
        let kept = |bytes, callbacks, places, follow_ups| Kept { bytes, callbacks, places, follow_ups };
        for (kept, may) in [
            (kept(0, 50, 9, 0), true),
            (kept(0, 0, 10, 0), false),
            (kept(900, 50, 0, 0), true),
            (kept(901, 50, 0, 0), false),
            (kept(700, 50, 2, 0), true),
            (kept(700, 50, 3, 0), false),
            (kept(5000, 0, 0, 0), true),
            (kept(5000, 0, 1, 0), false),
            (kept(5000, 1, 0, 0), false),
            (kept(5000, 0, 0, 1), false),
            (kept(500, 7, 1, 1), true),
            (kept(u64::MAX, 1, 0, 0), false),
        ] {
            assert_eq!(room.may(kept), may, "{kept:?}");
        }
        assert!(Room::new(None, 100).may(kept(u64::MAX, 9, 9, 9)));
        assert_eq!((Room::for_calls(1000), Room::for_calls(7)), (875, 7));
    }

    #[tokio::test]
    async fn what_is_being_accepted_counts() {
        let (calls, room) = (Calls::in_memory().unwrap(), Arc::new(Room::new(Some(1000), 100)));
        let coming = room.for_call(&calls, 500).unwrap();
        let more = room.for_call(&calls, 500).unwrap();
        assert_eq!((room.may_come(&calls), room.for_call(&calls, 1).err()), (Err(1000), Some(1000)));
        drop((coming, more));
        assert_eq!(room.may_come(&calls), Ok(()));
    }
}
