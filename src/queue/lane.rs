//! The calls of one function, or the callbacks to one host, in the order in which they are sent. Pure.
//!
//! ```text
//! on the disk, beyond the cursor:  next: when the first of them is due
//! in memory:  heads      read or told of, in order, up to the cursor
//!             late       told of after the cursor had passed their place
//!             returned   taken, and given back
//!             urgent     to be sent before all others
//!             aside      taken, and found to have a callback whose answer has no room on the disk (see `room`)
//! ```
//! A call's place is (due, seq): a call that just came is due as it comes, one that is tried again when it may be. So those that
//! wait for another try hold up none that came later, and calls go in the order in which they came.
//!
//! Claimed calls look on the disk as if they waited. Only what lies beyond the cursor is read, so none is read twice; what was
//! told of and read is taken once, because `live` holds all that is in memory or under way. What waits anew while its end has not
//! been noted here (a dead letter is sent again as soon as it is one) is kept in `anew` until then.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};

use url::Url;

use super::callback::{self, FUNCTION, Rules, Target};
use super::fairness::Kind;
use super::gate::Gate;
use crate::store::calls::{Head, LaneId, LaneKey, Seq};

/// So many are held in memory of a lane, whatever waits.
pub(super) const HEADS: usize = 64;
/// With fewer, more are read.
const FEW: usize = 16;
/// So many are set aside at most; then those without a callback wait, too.
const ASIDE: usize = 1024;
/// Before all that there are.
pub(super) const START: Head = Head { due: i64::MIN, seq: Seq(i64::MIN) };

/// See the module.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) id: LaneId,
    pub(super) key: LaneKey,
    pub(super) gate: Gate,
    /// The most that may be under way.
    pub(super) limit: u32,
    pub(super) in_flight: u32,
    /// How many changes of its function were noted.
    pub(super) changes: u64,
    /// When something is to be done about it, as the dispatcher has it in its list.
    pub(super) timer: Option<i64>,
    /// Since when there is nothing in it.
    pub(super) empty_since: Option<i64>,
    heads: VecDeque<Head>,
    late: BTreeSet<Head>,
    returned: BTreeSet<Head>,
    urgent: BTreeSet<Head>,
    aside: BTreeSet<Head>,
    /// With when it is due, by what is known here.
    live: HashMap<Seq, i64>,
    anew: HashMap<Seq, Head>,
    cursor: Head,
    next: Option<i64>,
    reading: Option<Reading>,
}

/// More is being read.
#[derive(Debug, Default)]
struct Reading {
    /// What was told of meanwhile.
    told: Vec<Head>,
    /// What was under way when it began and has ended, or waits elsewhere: what is read of it may be old.
    ended: HashSet<Seq>,
    /// Whether it began before all was begun anew: it is read again.
    stale: bool,
}

impl Lane {
    pub(super) fn new(id: LaneId, key: LaneKey, gate: Gate, limit: u32) -> Self {
        Self {
            id,
            key,
            gate,
            limit,
            in_flight: 0,
            changes: 0,
            timer: None,
            empty_since: None,
            heads: VecDeque::new(),
            late: BTreeSet::new(),
            returned: BTreeSet::new(),
            urgent: BTreeSet::new(),
            aside: BTreeSet::new(),
            live: HashMap::new(),
            anew: HashMap::new(),
            cursor: START,
            next: Some(START.due),
            reading: None,
        }
    }

    /// Whether calls of a function are in it, not callbacks.
    pub(super) fn is_function(&self) -> bool {
        matches!(self.key, LaneKey::Function(_))
    }

    pub(super) fn kind(&self) -> Kind {
        if self.is_function() { Kind::Function } else { Kind::Callback }
    }

    /// Whether one can be taken.
    pub(super) fn has_head(&self) -> bool {
        let usual = !(self.heads.is_empty() && self.late.is_empty() && self.returned.is_empty());
        !self.urgent.is_empty() || usual && !self.is_crowded()
    }

    /// Whether some were set aside until there is room for their answers.
    pub(super) fn has_aside(&self) -> bool {
        !self.aside.is_empty()
    }

    fn is_crowded(&self) -> bool {
        self.aside.len() >= ASIDE
    }

    /// Nothing is in it, here or on the disk.
    pub(super) fn is_empty(&self) -> bool {
        self.live.is_empty() && self.next.is_none() && self.reading.is_none()
    }

    /// Takes the first. It stays live until [`Lane::forget`].
    pub(super) fn take(&mut self) -> Option<Head> {
        if let Some(urgent) = self.urgent.pop_first() {
            return Some(urgent);
        }
        let fronts = [self.returned.first(), self.late.first(), self.heads.front()];
        let first = *fronts.into_iter().flatten().min()?;
        if !self.returned.remove(&first) && !self.late.remove(&first) {
            self.heads.pop_front();
        }
        Some(first)
    }

    /// Gives one back that was taken.
    pub(super) fn give_back(&mut self, head: Head) {
        self.returned.insert(head);
    }

    /// Sets one aside that was taken: those behind it go on.
    pub(super) fn set_aside(&mut self, head: Head) {
        self.aside.insert(head);
    }

    /// Lets one go before all others, unless it is under way.
    pub(super) fn hurry(&mut self, head: Head) {
        let sets = [&mut self.late, &mut self.returned, &mut self.aside];
        let mut was_here = sets.into_iter().any(|set| set.remove(&head));
        if let Ok(at) = self.heads.binary_search(&head) {
            was_here = self.heads.remove(at).is_some();
        }
        if was_here || enters(&mut self.live, head) {
            self.urgent.insert(head);
            // It must not be told of once more when it has ended.
            self.reading.iter_mut().for_each(|reading| reading.told.retain(|told| told.seq != head.seq));
        }
    }

    /// Takes the first of those that were set aside.
    pub(super) fn take_aside(&mut self) -> Option<Head> {
        self.aside.pop_first()
    }

    /// One that was taken has ended, or waits anew. Returns what was told of it meanwhile.
    #[must_use]
    pub(super) fn forget(&mut self, seq: Seq) -> Option<Head> {
        self.live.remove(&seq);
        if let Some(reading) = &mut self.reading {
            reading.ended.insert(seq);
        }
        self.anew.remove(&seq)
    }

    /// Notes that a call waits.
    pub(super) fn told(&mut self, head: Head, now: i64) {
        if let Some(due) = self.live.get(&head.seq) {
            if head.due > *due {
                self.anew.insert(head.seq, head);
            }
            return;
        }
        if let Some(reading) = &mut self.reading {
            reading.told.push(head);
        } else if head <= self.cursor {
            self.live.insert(head.seq, head.due);
            self.late.insert(head);
        } else if head.due <= now && self.heads.len() < HEADS && self.next.is_none_or(|next| head.due < next) {
            self.live.insert(head.seq, head.due);
            self.heads.push_back(head);
            self.cursor = head;
        } else {
            self.next = Some(self.next.map_or(head.due, |next| next.min(head.due)));
        }
    }

    /// Begins to read, if more is due than is here: returns what is to be read after.
    pub(super) fn begin_reading(&mut self, now: i64) -> Option<Head> {
        let is_due = self.next.is_some_and(|next| next <= now);
        if !is_due || self.reading.is_some() || self.is_crowded() || self.heads.len() >= FEW {
            return None;
        }
        self.reading = Some(Reading::default());
        Some(self.cursor)
    }

    /// What was read after the cursor, in order, and when the first beyond that is due.
    pub(super) fn read(&mut self, heads: Vec<Head>, next: Option<i64>, now: i64) {
        let Reading { told, ended, stale } = self.reading.take().unwrap_or_default();
        if stale {
            return;
        }
        self.next = next;
        if let Some(last) = heads.last() {
            self.cursor = self.cursor.max(*last);
        }
        let new = heads.into_iter().filter(|head| !ended.contains(&head.seq) && enters(&mut self.live, *head));
        self.heads.extend(new);
        for head in told {
            self.told(head, now);
        }
    }

    /// Reading failed: it is tried again.
    pub(super) fn not_read(&mut self, now: i64) {
        let next = self.next;
        self.read(Vec::new(), next, now);
    }

    /// Begins anew with what is on the disk. Those that are under way stay so.
    pub(super) fn begin_anew(&mut self) {
        let sets = [&mut self.late, &mut self.returned, &mut self.aside, &mut self.urgent].map(std::mem::take);
        for head in self.heads.drain(..).chain(sets.into_iter().flatten()) {
            self.live.remove(&head.seq);
            self.anew.remove(&head.seq);
        }
        if let Some(reading) = &mut self.reading {
            reading.stale = true;
        }
        self.cursor = START;
        self.next = Some(START.due);
    }

    /// Since when the first waits that could be sent.
    pub(super) fn oldest(&self, now: i64) -> Option<i64> {
        let fronts = [self.aside.first(), self.returned.first(), self.late.first(), self.heads.front()];
        let here = fronts.into_iter().flatten().min().map(|head| head.due);
        here.or(self.next.filter(|next| *next > START.due && *next <= now))
    }

    /// When something is to be done about it; none: when something comes.
    pub(super) fn due(&self) -> Option<i64> {
        let reads = self.gate == Gate::Open && self.reading.is_none() && !self.is_crowded() && self.heads.len() < FEW;
        let next = self.next.filter(|_| reads);
        next.into_iter().chain(self.gate.due()).min()
    }
}

/// Notes one as live; whether it was not.
fn enters(live: &mut HashMap<Seq, i64>, head: Head) -> bool {
    match live.entry(head.seq) {
        Entry::Vacant(place) => {
            place.insert(head.due);
            true
        }
        Entry::Occupied(_) => false,
    }
}

/// Where a callback waits for its turn: behind those to the same host and port. One to a function of this actord, by whatever
/// name, waits behind those to the same function: one that is slow does not hold up the others. What a path says at another host
/// makes no lane of its own, or callers would make up as many as they like, each with its own calls under way to that host.
pub(super) fn of_callback(url: &str, rules: &Rules) -> LaneKey {
    match callback::read(url, rules) {
        Ok(Target::Function { id, .. } | Target::Queued { id, .. }) => LaneKey::Host(format!("{FUNCTION}{id}").into()),
        _ => of_url(url),
    }
}

/// The lane of callbacks to a host and port, whatever is known by that name.
#[must_use]
pub fn of_url(url: &str) -> LaneKey {
    let Ok(read) = Url::parse(url) else { return LaneKey::Host("nowhere".into()) };
    let server = read.host_str().unwrap_or_default().trim_end_matches('.');
    let port = read.port_or_known_default().unwrap_or_default();
    LaneKey::Host(format!("{server}:{port}").into())
}

#[cfg(test)]
mod tests;
