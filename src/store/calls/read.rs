//! What dispatch reads: each by an index, however many calls wait.

use rusqlite::{Connection, OptionalExtension, params};

use super::call::{Loaded, Phase, Request, State, Summary};
use super::id::{CallId, LaneId, Seq};
use super::ops::{Head, LaneKey};
use super::{StoreError, answers, row};
use crate::function::Namespace;

/// How many heads of a lane are read at a time.
pub(super) const HEADS: i64 = 64;
/// How many calls whose time is over are read at a time.
const OVERDUE: i64 = 256;
/// How many calls of one caller's id are told.
const SAME_ID: usize = 11;

/// The calls of a lane that are next.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Heads {
    /// Those that are due, in their order; 64 at most.
    pub heads: Vec<Head>,
    /// When the first one after these is due; none: there is none.
    pub next: Option<i64>,
}

pub(super) const DUE: &str =
    "SELECT due, seq FROM calls WHERE lane = ?1 AND state = 0 AND (due, seq) > (?2, ?3) AND due <= ?4
     ORDER BY due, seq LIMIT ?5";
pub(super) const NEXT: &str =
    "SELECT due, seq FROM calls WHERE lane = ?1 AND state = 0 AND (due, seq) > (?2, ?3) ORDER BY due, seq LIMIT 1";
pub(super) const SOONEST: &str =
    "SELECT deadline FROM calls WHERE state = 0 AND deadline IS NOT NULL ORDER BY deadline LIMIT 1";
pub(super) const OVER: &str =
    "SELECT seq, function FROM calls WHERE state = 0 AND deadline IS NOT NULL AND deadline <= ?1
     ORDER BY deadline LIMIT ?2";
pub(super) const CALLERS: &str = "SELECT c.id, l.namespace FROM calls c CROSS JOIN lanes l ON l.lane = c.function
     WHERE c.caller_id = ?1 ORDER BY c.seq DESC";
pub(super) const WAITS: &str = "c.seq = ?1 AND c.state = 0";

fn head(row: &rusqlite::Row<'_>) -> rusqlite::Result<Head> {
    Ok(Head { due: row.get(0)?, seq: Seq(row.get(1)?) })
}

/// The calls of a lane after `after` that are due by `until`.
pub(super) fn heads(db: &Connection, lane: LaneId, after: Option<Head>, until: i64) -> Result<Heads, StoreError> {
    let after = after.unwrap_or(Head { due: i64::MIN, seq: Seq(i64::MIN) });
    let Look(db) = &Look::begin(db)?;
    let mut statement = db.prepare_cached(DUE)?;
    let values = params![lane.0, after.due, after.seq.0, until, HEADS];
    let heads = statement.query_map(values, head)?.collect::<Result<Vec<_>, _>>()?;
    let last = heads.last().copied().unwrap_or(after);
    let next = first_after(db, lane, last)?.map(|head| head.due);
    Ok(Heads { heads, next })
}

/// The first call of a lane after `after`, whenever it is due.
pub(super) fn first_after(db: &Connection, lane: LaneId, after: Head) -> Result<Option<Head>, StoreError> {
    Ok(db.prepare_cached(NEXT)?.query_row((lane.0, after.due, after.seq.0), head).optional()?)
}

/// The first call of a lane.
pub(super) fn oldest(db: &Connection, lane: LaneId) -> Result<Option<Head>, StoreError> {
    first_after(db, lane, Head { due: i64::MIN, seq: Seq(i64::MIN) })
}

/// A call with all that is kept of it, whatever it is.
pub(super) fn by_id(db: &Connection, id: CallId) -> Result<Option<Loaded>, StoreError> {
    one(&Look::begin(db)?, "c.id = ?1", params![id.as_bytes()])
}

/// What all that is read of the file belongs to: it is as it was at one time.
pub(super) struct Look<'a>(&'a Connection);

impl<'a> Look<'a> {
    /// It lasts until this is dropped.
    pub(super) fn begin(db: &'a Connection) -> Result<Self, StoreError> {
        db.prepare_cached("BEGIN")?.execute([])?;
        Ok(Self(db))
    }

    /// A call with what it takes to do what is next for it; none if it does not wait any more.
    pub(super) fn load(&self, seq: Seq) -> Result<Option<Loaded>, StoreError> {
        one(self, WAITS, params![seq.0])
    }
}

impl Drop for Look<'_> {
    fn drop(&mut self) {
        // Nothing was changed. What can't be ended so is ended as a whole.
        let ended = self.0.prepare_cached("COMMIT").and_then(|mut commit| commit.execute([]));
        if ended.is_err() {
            let _ = self.0.execute_batch("ROLLBACK");
        }
    }
}

/// The statement that reads a call.
pub(super) fn whole(condition: &str) -> String {
    format!("SELECT {} FROM calls c CROSS JOIN lanes l ON l.lane = c.function WHERE {condition}", row::SUMMARY)
}

fn one(Look(db): &Look<'_>, condition: &str, values: &[&dyn rusqlite::ToSql]) -> Result<Option<Loaded>, StoreError> {
    let sql = whole(condition);
    let all = |row: &rusqlite::Row<'_>| Ok((row::summary(row)?, row::attempts(row.get_ref(row::ATTEMPTS)?)));
    let found = db.prepare_cached(&sql)?.query_row(values, all).optional()?;
    let Some((call, attempts)) = found else { return Ok(None) };
    let (request, sound) = request(db, &call)?.map_or((None, true), |(request, sound)| (Some(request), sound));
    let answer = answers::read(db, call.seq)?;
    // Only what is sent next has to be sound.
    let answer_sound = answer.as_ref().is_none_or(|(_, sound)| *sound);
    let missing = call.state == State::Waiting && request.is_none();
    let sound = match call.phase {
        Phase::Function => sound && !missing,
        Phase::Callback => sound && !missing && answer_sound,
    };
    Ok(Some(Loaded { call, attempts, request, answer: answer.map(|(answer, _)| answer), sound }))
}

fn request(db: &Connection, call: &Summary) -> Result<Option<(Request, bool)>, StoreError> {
    let read =
        |row: &rusqlite::Row<'_>| Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, Vec<u8>>(1)?, row.get::<_, Vec<u8>>(2)?));
    let found = db.prepare_cached("SELECT head, body, sum FROM requests WHERE seq = ?1")?.query_row([call.seq.0], read);
    Ok(found.optional()?.map(|(head, body, sum)| {
        let callback = call.callback.as_ref().map(|callback| callback.url.as_str());
        let sound = sum == row::request_sum(call.id, &call.method, &call.path, callback, &head, &body);
        (Request { head: head.into(), body: body.into() }, sound)
    }))
}

/// The soonest deadline of a call that waits.
pub(super) fn soonest_deadline(db: &Connection) -> Result<Option<i64>, StoreError> {
    Ok(db.prepare_cached(SOONEST)?.query_row([], |row| row.get(0)).optional()?)
}

/// Calls that wait although it is too late for them, and the lanes of their functions.
pub(super) fn overdue(db: &Connection, until: i64) -> Result<Vec<(Seq, LaneId)>, StoreError> {
    let mut statement = db.prepare_cached(OVER)?;
    let read = |row: &rusqlite::Row<'_>| Ok((Seq(row.get(0)?), LaneId(row.get(1)?)));
    let found = statement.query_map((until, OVERDUE), read)?;
    Ok(found.collect::<Result<_, _>>()?)
}

/// Our ids of calls with this id of a caller's in namespaces that are reached, the newest first. Those of others don't count:
/// whoever calls a function can repeat an id.
pub(super) fn by_caller_id(
    db: &Connection,
    id: &str,
    reaches: impl Fn(&Namespace) -> bool,
) -> Result<Vec<CallId>, StoreError> {
    let mut statement = db.prepare_cached(CALLERS)?;
    let (mut rows, mut found) = (statement.query([id])?, Vec::new());
    while let Some(row) = rows.next()? {
        if found.len() == SAME_ID {
            break;
        }
        if row.get::<_, String>(1)?.parse().is_ok_and(|namespace| reaches(&namespace)) {
            found.push(row::id(row.get_ref(0)?)?);
        }
    }
    Ok(found)
}

/// Calls that are exported, with their lanes: those that wait and dead letters, in the order in which they were accepted.
pub(super) fn each_unended(
    db: &Connection,
    mut take: impl FnMut(LaneKey, Loaded) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let look = Look::begin(db)?;
    let lanes = super::lanes::Lanes::load(db)?;
    let mut seqs = db.prepare("SELECT seq FROM calls WHERE state IN (0, 2) ORDER BY seq")?;
    let mut rows = seqs.query([])?;
    while let Some(row) = rows.next()? {
        let seq = Seq(row.get(0)?);
        let Some(loaded) = one(&look, "c.seq = ?1", params![seq.0])? else { continue };
        if let Some(lane) = lanes.get(loaded.call.lane) {
            take(lane.key.clone(), loaded)?;
        }
    }
    Ok(())
}
