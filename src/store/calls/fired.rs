//! When schedules fired. That a due time fired and the call that it made are one change: it fires once, whatever comes between.

use rusqlite::{Connection, OptionalExtension, params};

use super::batch::Batch;
use super::call::NewCall;
use super::ops::{Fired, FiredKey, FiredRow, Firing, Mark};
use super::{StoreError, accept, row};

/// Keeps the call of a due time, unless that fired before or is to be skipped.
pub(super) fn fire(batch: &mut Batch<'_>, call: &NewCall, firing: &Firing) -> Result<Fired, StoreError> {
    let (namespace, name, schedule) = columns(&firing.key);
    let sql = "SELECT last_due, call FROM fired WHERE namespace = ?1 AND name = ?2 AND schedule = ?3";
    let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, Option<i64>>(0)?, row.get::<_, Option<Vec<u8>>>(1)?));
    let known = batch.db.prepare_cached(sql)?.query_row([namespace, name, schedule], read).optional()?;
    let (last_due, last_call) = known.unwrap_or_default();
    if last_due.is_some_and(|last| last >= firing.due) {
        return Ok(Fired::Already);
    }
    if firing.skip && is_waiting(batch.db, last_call.as_deref())? {
        let sql = "UPDATE fired SET last_due = ?4, skipped = skipped + 1 WHERE namespace = ?1 AND name = ?2 AND schedule = ?3";
        batch.db.prepare_cached(sql)?.execute(params![namespace, name, schedule, firing.due])?;
        return Ok(Fired::Skipped);
    }
    let notice = accept::accept(batch, call)?;
    let sql = "INSERT INTO fired (namespace, name, schedule, anchor, last_due, call, fired_at) VALUES (?1, ?2, ?3, ?4, ?4, ?5, ?6)
               ON CONFLICT (namespace, name, schedule) DO UPDATE SET last_due = ?4, call = ?5, fired_at = ?6";
    let values = params![namespace, name, schedule, firing.due, call.id.as_bytes(), firing.now];
    batch.db.prepare_cached(sql)?.execute(values)?;
    Ok(Fired::Now(notice))
}

fn is_waiting(db: &Connection, id: Option<&[u8]>) -> Result<bool, StoreError> {
    let Some(id) = id else { return Ok(false) };
    let state = db.prepare_cached("SELECT state FROM calls WHERE id = ?1")?.query_row([id], |row| row.get::<_, i64>(0));
    Ok(state.optional()? == Some(0))
}

/// Notes something of a schedule.
pub(super) fn mark(batch: &mut Batch<'_>, key: &FiredKey, mark: Mark) -> Result<(), StoreError> {
    let (namespace, name, schedule) = columns(key);
    let (sql, first, second) = match mark {
        Mark::Seen { now } => (
            "INSERT INTO fired (namespace, name, schedule, anchor, last_due) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (namespace, name, schedule) DO NOTHING",
            now,
            now,
        ),
        Mark::Anew { now } => (
            "INSERT INTO fired (namespace, name, schedule, anchor, last_due) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (namespace, name, schedule) DO UPDATE SET anchor = ?4, last_due = ?5",
            now,
            now,
        ),
        Mark::Missed { last_due, count } => (
            "INSERT INTO fired (namespace, name, schedule, anchor, last_due, missed) VALUES (?1, ?2, ?3, ?4, ?4, ?5)
             ON CONFLICT (namespace, name, schedule) DO UPDATE SET last_due = max(coalesce(last_due, ?4), ?4), missed = missed + ?5",
            last_due,
            i64::try_from(count).unwrap_or(i64::MAX),
        ),
        Mark::Gone => {
            let sql = "DELETE FROM fired WHERE namespace = ?1 AND name = ?2 AND schedule = ?3";
            batch.db.prepare_cached(sql)?.execute([namespace, name, schedule])?;
            return Ok(());
        }
    };
    batch.db.prepare_cached(sql)?.execute(params![namespace, name, schedule, first, second])?;
    Ok(())
}

fn columns(key: &FiredKey) -> (&str, &str, &str) {
    (key.function.namespace.as_str(), key.function.name.as_str(), &key.schedule)
}

/// All that is known of schedules, by function.
pub(super) fn all(db: &Connection) -> Result<Vec<FiredRow>, StoreError> {
    let sql = "SELECT namespace, name, schedule, anchor, last_due, call, fired_at, missed, skipped FROM fired
               ORDER BY namespace, name, schedule";
    let mut statement = db.prepare_cached(sql)?;
    let read = |row: &rusqlite::Row<'_>| {
        let (namespace, name): (String, String) = (row.get(0)?, row.get(1)?);
        let count = |value: i64| u64::try_from(value).unwrap_or(0);
        let call = row.get::<_, Option<Vec<u8>>>(5)?;
        Ok(FiredRow {
            key: FiredKey { function: row::function(&namespace, &name)?, schedule: row.get(2)? },
            anchor: row.get(3)?,
            last_due: row.get(4)?,
            call: call.map(|id| row::id(id.as_slice().into())).transpose()?,
            fired_at: row.get(6)?,
            missed: count(row.get(7)?),
            skipped: count(row.get(8)?),
        })
    };
    Ok(statement.query_map([], read)?.collect::<Result<_, _>>()?)
}
