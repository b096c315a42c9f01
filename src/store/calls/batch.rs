//! One transaction: what it changes, until it is committed.

use rusqlite::Connection;

use super::StoreError;
use super::bounds::Bounds;
use super::id::{LaneId, Seq};
use super::lanes::{self, Changes, Delta, Lanes};
use super::ops::{Head, LaneKey, Notice};

/// The next numbers. They are used once in a process, also when what they were for is gone.
#[derive(Debug, Clone, Copy)]
pub(super) struct Next {
    pub(super) seq: i64,
    pub(super) lane: i64,
}

impl Next {
    pub(super) fn load(db: &Connection) -> Result<Self, StoreError> {
        let after =
            |sql: &str| db.query_row(sql, [], |row| row.get::<_, Option<i64>>(0)).map(|max| max.unwrap_or(0) + 1);
        Ok(Self { seq: after("SELECT max(seq) FROM calls")?, lane: after("SELECT max(lane) FROM lanes")? })
    }
}

/// A transaction under way.
pub(super) struct Batch<'a> {
    pub(super) db: &'a Connection,
    pub(super) bounds: &'a Bounds,
    /// How late it is, in ticks: the same for all of it.
    pub(super) now: i64,
    pub(super) changes: Changes,
    pub(super) notices: Vec<Notice>,
    lanes: &'a Lanes,
    next: &'a mut Next,
}

impl<'a> Batch<'a> {
    pub(super) fn new(db: &'a Connection, lanes: &'a Lanes, next: &'a mut Next, bounds: &'a Bounds, now: i64) -> Self {
        Self { db, bounds, now, changes: Changes::default(), notices: Vec::new(), lanes, next }
    }

    /// Writes down what was counted, before the commit.
    pub(super) fn seal(&self) -> Result<(), StoreError> {
        lanes::write(self.db, &self.changes.deltas)?;
        set_meta(self.db, "ticks", self.now)
    }

    pub(super) fn next_seq(&mut self) -> Seq {
        let seq = Seq(self.next.seq);
        self.next.seq += 1;
        seq
    }

    /// The lane of this key, which is made if there is none.
    pub(super) fn lane(&mut self, key: &LaneKey) -> Result<LaneId, StoreError> {
        let known = self.changes.made.get(key).copied().or_else(|| self.lanes.find(key).map(|lane| lane.id));
        if let Some(id) = known.filter(|id| !self.changes.gone.contains(id)) {
            return Ok(id);
        }
        let id = LaneId(self.next.lane);
        self.next.lane += 1;
        lanes::insert(self.db, id, key)?;
        self.changes.made.insert(key.clone(), id);
        Ok(id)
    }

    /// What the counts of a lane change by.
    pub(super) fn delta(&mut self, lane: LaneId) -> &mut Delta {
        self.changes.deltas.entry(lane).or_default()
    }

    /// What the dead letters of a function take, with what this transaction changes.
    pub(super) fn dead_bytes(&self, function: LaneId) -> i64 {
        let before = self.lanes.get(function).and_then(|lane| i64::try_from(lane.dead_bytes()).ok()).unwrap_or(0);
        before + self.changes.deltas.get(&function).map_or(0, |delta| delta.dead_bytes)
    }

    /// What all calls take, with what this transaction changes.
    pub(super) fn bytes(&self) -> u64 {
        let changes: i64 = self.changes.deltas.values().map(|delta| delta.bytes).sum();
        self.lanes.bytes().saturating_add_signed(changes)
    }

    /// How many calls have ended and are no dead letters, as of the last commit.
    pub(super) fn kept(&self) -> u64 {
        self.lanes.kept()
    }

    /// Lanes without any call, which this transaction touches not either.
    pub(super) fn empty_lanes(&self) -> Vec<LaneId> {
        let mut empty = self.lanes.empty();
        empty.retain(|id| self.changes.deltas.get(id).is_none_or(|delta| *delta == Delta::default()));
        empty
    }

    /// What a function is called, for the log.
    pub(super) fn name(&self, lane: LaneId) -> String {
        let lane = self.lanes.get(lane);
        lane.as_ref().and_then(|lane| lane.function()).map(ToString::to_string).unwrap_or_default()
    }

    /// A call waits anew.
    pub(super) fn tell(&mut self, lane: LaneId, due: i64, seq: Seq) -> Notice {
        let notice = Notice { lane, head: Head { due, seq } };
        self.notices.push(notice);
        notice
    }
}

/// Writes a number that concerns the whole file.
pub(super) fn set_meta(db: &Connection, key: &str, value: i64) -> Result<(), StoreError> {
    let sql = "INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = ?2";
    db.prepare_cached(sql)?.execute((key, value))?;
    Ok(())
}
