//! How many calls there are, of each lane: counted with every change, in the file and in memory. Nothing is ever counted by looking
//! at all calls.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use rusqlite::{Connection, params};

use super::StoreError;
use super::id::LaneId;
use super::ops::LaneKey;
use super::row;
use crate::function::FunctionId;

/// A lane, with how many calls it has.
#[derive(Debug)]
pub struct Lane {
    /// Its number.
    pub id: LaneId,
    /// What it is for.
    pub key: LaneKey,
    counts: [AtomicI64; COLUMNS.len()],
    dropped: AtomicU64,
}

/// What is counted of a lane, as the columns have it.
const COLUMNS: [&str; 7] = ["waiting", "retrying", "callbacks", "ended", "dead", "dead_bytes", "bytes"];

/// By how much the counts of a lane change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Delta {
    /// Calls that wait in it, or are under way.
    pub(super) waiting: i64,
    /// Of these, those that were tried.
    pub(super) retrying: i64,
    /// Of a function: its calls whose callback is to be sent. They wait in the lane of the callback's host.
    pub(super) callbacks: i64,
    /// Of a function: its calls that have ended. Of a host: dead letters whose callback to it failed.
    pub(super) ended: i64,
    /// Of a function: its dead letters.
    pub(super) dead: i64,
    /// What these take.
    pub(super) dead_bytes: i64,
    /// Of a function: what all its calls take.
    pub(super) bytes: i64,
    /// Dead letters that had to go before their time. Only in memory.
    pub(super) dropped: u64,
}

impl Delta {
    fn columns(self) -> [i64; COLUMNS.len()] {
        [self.waiting, self.retrying, self.callbacks, self.ended, self.dead, self.dead_bytes, self.bytes]
    }
}

impl Lane {
    fn new(id: LaneId, key: LaneKey, counts: [i64; COLUMNS.len()]) -> Self {
        Self { id, key, counts: counts.map(AtomicI64::new), dropped: AtomicU64::new(0) }
    }

    fn count(&self, column: usize) -> u64 {
        u64::try_from(self.counts[column].load(Ordering::Relaxed)).unwrap_or(0)
    }

    /// Calls that wait in it, or are under way.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        self.count(0)
    }

    /// Of these, those that were tried before.
    #[must_use]
    pub fn retrying(&self) -> u64 {
        self.count(1)
    }

    /// Of a function: its calls whose callback is to be sent. They wait in the lane of the callback's host.
    #[must_use]
    pub fn callbacks(&self) -> u64 {
        self.count(2)
    }

    /// Of a function: its calls that have ended and are kept.
    #[must_use]
    pub fn ended(&self) -> u64 {
        self.count(3)
    }

    /// Of a function: of these, the dead letters.
    #[must_use]
    pub fn dead(&self) -> u64 {
        self.count(4)
    }

    /// Of a function: what its dead letters take, in bytes.
    #[must_use]
    pub fn dead_bytes(&self) -> u64 {
        self.count(5)
    }

    /// Of a function: what all its calls take, in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.count(6)
    }

    /// Of a function: dead letters that had to go for newer ones since this actord started.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    fn is_empty(&self) -> bool {
        self.counts.iter().all(|count| count.load(Ordering::Relaxed) == 0)
    }

    /// The function, if it is one's.
    #[must_use]
    pub fn function(&self) -> Option<&FunctionId> {
        match &self.key {
            LaneKey::Function(id) => Some(id),
            LaneKey::Host(_) => None,
        }
    }
}

/// All lanes, as the last commit left them.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    known: RwLock<Known>,
    bytes: AtomicI64,
    callbacks: AtomicI64,
    ended: AtomicI64,
}

#[derive(Debug, Default)]
struct Known {
    by_id: HashMap<LaneId, Arc<Lane>>,
    by_key: HashMap<LaneKey, Arc<Lane>>,
}

/// What a transaction does to lanes, until it is committed.
#[derive(Debug, Default)]
pub(super) struct Changes {
    pub(super) deltas: BTreeMap<LaneId, Delta>,
    pub(super) made: HashMap<LaneKey, LaneId>,
    pub(super) gone: Vec<LaneId>,
}

impl Lanes {
    /// Reads them all.
    pub(super) fn load(db: &Connection) -> Result<Self, StoreError> {
        let lanes = Self::default();
        let sql = format!("SELECT lane, kind, namespace, name, {} FROM lanes", COLUMNS.join(", "));
        let mut statement = db.prepare(&sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (kind, namespace, name): (i64, String, String) = (row.get(1)?, row.get(2)?, row.get(3)?);
            let key = match kind {
                0 => LaneKey::Function(row::function(&namespace, &name)?),
                _ => LaneKey::Host(name.into()),
            };
            let mut counts = [0; COLUMNS.len()];
            for (at, count) in counts.iter_mut().enumerate() {
                *count = row.get(4 + at)?;
            }
            lanes.add(Lane::new(LaneId(row.get(0)?), key, counts));
        }
        Ok(lanes)
    }

    fn add(&self, lane: Lane) {
        self.bytes.fetch_add(lane.counts[6].load(Ordering::Relaxed), Ordering::Relaxed);
        self.callbacks.fetch_add(lane.counts[2].load(Ordering::Relaxed), Ordering::Relaxed);
        self.ended.fetch_add(
            kept(&lane, lane.counts.each_ref().map(|count| count.load(Ordering::Relaxed))),
            Ordering::Relaxed,
        );
        let lane = Arc::new(lane);
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.by_key.insert(lane.key.clone(), lane.clone());
        known.by_id.insert(lane.id, lane);
    }

    pub(super) fn all(&self) -> Vec<Arc<Lane>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).by_id.values().cloned().collect()
    }

    pub(super) fn get(&self, id: LaneId) -> Option<Arc<Lane>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).by_id.get(&id).cloned()
    }

    pub(super) fn find(&self, key: &LaneKey) -> Option<Arc<Lane>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).by_key.get(key).cloned()
    }

    /// What all calls take, in bytes.
    pub(super) fn bytes(&self) -> u64 {
        u64::try_from(self.bytes.load(Ordering::Relaxed)).unwrap_or(0)
    }

    /// How many calls wait for their callback.
    pub(super) fn callbacks(&self) -> u64 {
        u64::try_from(self.callbacks.load(Ordering::Relaxed)).unwrap_or(0)
    }

    /// How many calls have ended and are no dead letters.
    pub(super) fn kept(&self) -> u64 {
        u64::try_from(self.ended.load(Ordering::Relaxed)).unwrap_or(0)
    }

    /// Those without any call.
    pub(super) fn empty(&self) -> Vec<LaneId> {
        self.all().iter().filter(|lane| lane.is_empty()).map(|lane| lane.id).collect()
    }

    /// Takes over what was committed.
    pub(super) fn apply(&self, changes: &Changes) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        for id in &changes.gone {
            if let Some(lane) = known.by_id.remove(id) {
                known.by_key.remove(&lane.key);
            }
        }
        drop(known);
        for (key, id) in &changes.made {
            self.add(Lane::new(*id, key.clone(), [0; COLUMNS.len()]));
        }
        for (id, delta) in &changes.deltas {
            let Some(lane) = self.get(*id) else { continue };
            for (count, by) in lane.counts.iter().zip(delta.columns()) {
                count.fetch_add(by, Ordering::Relaxed);
            }
            lane.dropped.fetch_add(delta.dropped, Ordering::Relaxed);
            self.bytes.fetch_add(delta.bytes, Ordering::Relaxed);
            self.callbacks.fetch_add(delta.callbacks, Ordering::Relaxed);
            self.ended.fetch_add(kept(&lane, delta.columns()), Ordering::Relaxed);
        }
    }
}

/// How many of these have ended and are no dead letters.
fn kept(lane: &Lane, counts: [i64; COLUMNS.len()]) -> i64 {
    if lane.function().is_some() { counts[3] - counts[4] } else { 0 }
}

/// Writes a new lane.
pub(super) fn insert(db: &Connection, id: LaneId, key: &LaneKey) -> Result<(), StoreError> {
    let sql = "INSERT INTO lanes (lane, kind, namespace, name) VALUES (?1, ?2, ?3, ?4)";
    let (kind, namespace, name) = match key {
        LaneKey::Function(id) => (0, id.namespace.as_str(), id.name.as_str()),
        LaneKey::Host(name) => (1, "", name.as_ref()),
    };
    db.prepare_cached(sql)?.execute(params![id.0, kind, namespace, name])?;
    Ok(())
}

/// Writes by how much counts have changed: one statement a lane.
pub(super) fn write(db: &Connection, deltas: &BTreeMap<LaneId, Delta>) -> Result<(), StoreError> {
    let sql = "UPDATE lanes SET waiting = waiting + ?2, retrying = retrying + ?3, callbacks = callbacks + ?4,
               ended = ended + ?5, dead = dead + ?6, dead_bytes = dead_bytes + ?7, bytes = bytes + ?8 WHERE lane = ?1";
    for (id, delta) in deltas {
        let [waiting, retrying, callbacks, ended, dead, dead_bytes, bytes] = delta.columns();
        let counts = params![id.0, waiting, retrying, callbacks, ended, dead, dead_bytes, bytes];
        db.prepare_cached(sql)?.execute(counts)?;
    }
    Ok(())
}

/// The counts as all calls give them: for tests, and for a file whose counts can't be right.
pub(super) const SCAN: &str = "SELECT lane, sum(waiting) AS waiting, sum(retrying) AS retrying, sum(callbacks) AS callbacks, sum(ended) AS ended, sum(dead) AS dead, sum(dead_bytes) AS dead_bytes, sum(bytes) AS bytes FROM (
        SELECT lane, state = 0 AS waiting, state = 0 AND tries > 0 AS retrying, 0 AS callbacks,
               state > 0 AND lane <> function AS ended, 0 AS dead, 0 AS dead_bytes, 0 AS bytes FROM calls
        UNION ALL
        SELECT function, 0, 0, state = 0 AND phase = 1, state > 0, state = 2, iif(state = 2, bytes, 0), bytes FROM calls
     ) GROUP BY lane";

/// Whether no count of the file is one that none can be.
pub(super) fn are_possible(db: &Connection) -> Result<bool, StoreError> {
    let negative = COLUMNS.map(|column| format!("{column} < 0")).join(" OR ");
    Ok(!db.prepare(&format!("SELECT 1 FROM lanes WHERE {negative}"))?.exists([])?)
}

/// Counts all calls.
pub(super) fn count_anew(db: &Connection) -> Result<(), StoreError> {
    let transaction = db.unchecked_transaction()?;
    let zero = COLUMNS.map(|column| format!("{column} = 0")).join(", ");
    transaction.execute_batch(&format!("UPDATE lanes SET {zero}"))?;
    let set = COLUMNS.map(|column| format!("{column} = counted.{column}")).join(", ");
    transaction
        .execute_batch(&format!("UPDATE lanes SET {set} FROM ({SCAN}) AS counted WHERE lanes.lane = counted.lane"))?;
    Ok(transaction.commit()?)
}

/// What is wrong with the counts of the file and of memory, compared with all calls.
#[cfg(feature = "testing")]
pub(super) fn miscounts(db: &Connection, lanes: &Lanes) -> Result<Vec<String>, StoreError> {
    let read = |sql: &str| -> Result<BTreeMap<i64, Vec<i64>>, StoreError> {
        let mut statement = db.prepare(sql)?;
        let row = |row: &rusqlite::Row<'_>| {
            Ok((row.get(0)?, (1..=COLUMNS.len()).map(|at| row.get(at)).collect::<Result<_, _>>()?))
        };
        Ok(statement.query_map([], row)?.collect::<Result<_, _>>()?)
    };
    let scanned = read(SCAN)?;
    let counted = read(&format!("SELECT lane, {} FROM lanes", COLUMNS.join(", ")))?;
    let of = |lane: &Lane| lane.counts.each_ref().map(|count| count.load(Ordering::Relaxed)).to_vec();
    let remembered: BTreeMap<i64, Vec<i64>> = lanes.all().iter().map(|lane| (lane.id.0, of(lane))).collect();
    let mut wrong = Vec::new();
    if remembered != counted {
        wrong.push(format!("memory has {remembered:?}, the file {counted:?}"));
    }
    for (lane, counts) in &counted {
        let real = scanned.get(lane).cloned().unwrap_or_else(|| vec![0; COLUMNS.len()]);
        if real != *counts {
            wrong.push(format!("lane {lane} has {COLUMNS:?} = {real:?}, its counts are {counts:?}"));
        }
    }
    wrong.extend(
        scanned.keys().filter(|lane| !counted.contains_key(lane)).map(|lane| format!("lane {lane} is not there")),
    );
    let all = |column: usize| counted.values().map(|counts| counts[column]).sum::<i64>();
    if u64::try_from(all(6)).ok() != Some(lanes.bytes()) {
        wrong.push(format!("{} bytes in all, {} counted", all(6), lanes.bytes()));
    }
    if u64::try_from(all(2)).ok() != Some(lanes.callbacks()) {
        wrong.push(format!("{} wait for their callback, {} counted", all(2), lanes.callbacks()));
    }
    let sql = "SELECT count(*) FROM calls WHERE state IN (1, 3)";
    let kept: i64 = db.query_row(sql, [], |row| row.get(0))?;
    if u64::try_from(kept).ok() != Some(lanes.kept()) {
        wrong.push(format!("{kept} have ended and are no dead letters, {} counted", lanes.kept()));
    }
    Ok(wrong)
}
