//! What dispatch reads: each by an index, however many calls wait.

use rusqlite::{Connection, OptionalExtension, Transaction, params};

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
    "SELECT seq FROM calls WHERE state = 0 AND deadline IS NOT NULL AND deadline <= ?1 ORDER BY deadline LIMIT ?2";
pub(super) const CALLERS: &str = "SELECT c.id, l.namespace FROM calls c CROSS JOIN lanes l ON l.lane = c.function
     WHERE c.caller_id = ?1 ORDER BY c.seq DESC";

fn head(row: &rusqlite::Row<'_>) -> rusqlite::Result<Head> {
    Ok(Head { due: row.get(0)?, seq: Seq(row.get(1)?) })
}

/// The calls of a lane after `after` that are due by `until`.
pub(super) fn heads(db: &Connection, lane: LaneId, after: Option<Head>, until: i64) -> Result<Heads, StoreError> {
    let after = after.unwrap_or(Head { due: i64::MIN, seq: Seq(i64::MIN) });
    // Both statements see the same state.
    let read = db.unchecked_transaction()?;
    let mut statement = read.prepare_cached(DUE)?;
    let values = params![lane.0, after.due, after.seq.0, until, HEADS];
    let heads = statement.query_map(values, head)?.collect::<Result<Vec<_>, _>>()?;
    let last = heads.last().copied().unwrap_or(after);
    let next = first_after(&read, lane, last)?.map(|head| head.due);
    drop(statement);
    read.commit()?;
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

/// A call with what it takes to do what is next for it; none if it does not wait any more.
pub(super) fn load(db: &Connection, seq: Seq) -> Result<Option<Loaded>, StoreError> {
    let read = db.unchecked_transaction()?;
    one(&read, "c.seq = ?1 AND c.state = 0", params![seq.0])
}

/// A call with all that is kept of it, whatever it is.
pub(super) fn by_id(db: &Connection, id: CallId) -> Result<Option<Loaded>, StoreError> {
    let read = db.unchecked_transaction()?;
    one(&read, "c.id = ?1", params![id.as_bytes()])
}

/// Its statements have to see the same state.
fn one(read: &Transaction<'_>, condition: &str, values: &[&dyn rusqlite::ToSql]) -> Result<Option<Loaded>, StoreError> {
    let sql =
        format!("SELECT {} FROM calls c CROSS JOIN lanes l ON l.lane = c.function WHERE {condition}", row::SUMMARY);
    let all = |row: &rusqlite::Row<'_>| Ok((row::summary(row)?, row::attempts(row.get_ref("attempts")?)));
    let found = read.prepare_cached(&sql)?.query_row(values, all).optional()?;
    let Some((call, attempts)) = found else { return Ok(None) };
    let (request, sound) = request(read, &call)?.map_or((None, true), |(request, sound)| (Some(request), sound));
    let answer = answers::read(read, call.seq)?;
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

/// Calls that wait although it is too late for them.
pub(super) fn overdue(db: &Connection, until: i64) -> Result<Vec<Seq>, StoreError> {
    let mut statement = db.prepare_cached(OVER)?;
    let found = statement.query_map((until, OVERDUE), |row| row.get(0).map(Seq))?;
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
    let read = db.unchecked_transaction()?;
    let lanes = super::lanes::Lanes::load(&read)?;
    let mut seqs = read.prepare("SELECT seq FROM calls WHERE state IN (0, 2) ORDER BY seq")?;
    let mut rows = seqs.query([])?;
    while let Some(row) = rows.next()? {
        let seq = Seq(row.get(0)?);
        let Some(loaded) = one(&read, "c.seq = ?1", params![seq.0])? else { continue };
        if let Some(lane) = lanes.get(loaded.call.lane) {
            take(lane.key.clone(), loaded)?;
        }
    }
    Ok(())
}
