//! What keeps the file small: a bounded part at a time, so that no call waits long behind it.

use std::ops::RangeInclusive;

use rusqlite::{Connection, params};

use super::StoreError;
use super::batch::Batch;
use super::bounds::ANSWER_KEPT;
use super::id::Seq;
use super::ops::Upkeep;
use super::remove;

/// How many calls go in one transaction.
const SOME: usize = 1000;
const SOME_ROWS: i64 = 1000;
/// How many of those that are done stay at least and at most, however little room there is, where an eighth of it is enough for so
/// many.
const STAY: RangeInclusive<u64> = 4..=256;
const STAY_SHARE: u64 = 8;
/// So many of them go together for others.
const A_FEW: usize = 16;
/// Pages are given back to the disk so many at a time,
const PAGES: i64 = 2000;
/// from so many bytes that are free,
const FREE: i64 = 64 << 20;
/// if they are at least one part in this many.
const SHARE: i64 = 4;

/// Does a part: how much, and whether there is more.
pub(super) fn run(batch: &mut Batch<'_>, part: Upkeep) -> Result<(u64, bool), StoreError> {
    match part {
        Upkeep::Ended => ended(batch),
        Upkeep::Lanes => lanes(batch).map(|gone| (gone, false)),
        Upkeep::Pages => pages(batch.db),
    }
}

fn ended(batch: &mut Batch<'_>) -> Result<(u64, bool), StoreError> {
    let ago = |time: std::time::Duration| batch.now.saturating_sub(i64::try_from(time.as_millis()).unwrap_or(i64::MAX));
    let kept = ago(batch.bounds.kept);
    let mut due = old(batch.db, DONE_BEFORE, kept)?;
    due.extend(old(batch.db, CANCELLED_BEFORE, kept)?);
    if let Some(time) = batch.bounds.dead {
        due.extend(old(batch.db, DEAD_BEFORE, ago(time))?);
    }
    let kept_after = batch.kept().saturating_sub(due.len() as u64);
    let excess = kept_after.saturating_sub(batch.bounds.kept_most);
    if excess > 0 {
        // Those that are due by their time are the oldest, too.
        let count = usize::try_from(excess).unwrap_or(SOME).saturating_add(due.len());
        due.extend(oldest(batch.db, count.min(SOME))?);
    }
    due.sort_unstable();
    due.dedup();
    due.truncate(SOME);
    let removed = remove::remove_all(batch, &due)?;
    Ok((removed, due.len() == SOME))
}

/// Lets calls go that are done or were cancelled, for others that need the room; the last ones stay, for who asks for them.
pub(super) fn give_way(batch: &mut Batch<'_>) -> Result<(), StoreError> {
    let Some(most) = batch.bounds.bytes else { return Ok(()) };
    let stay = (most / STAY_SHARE / ANSWER_KEPT as u64).clamp(*STAY.start(), *STAY.end());
    let mut may_go = usize::try_from(batch.kept().saturating_sub(stay)).unwrap_or(SOME).min(SOME);
    while batch.bytes() > most && may_go > 0 {
        let some = oldest(batch.db, may_go.min(A_FEW))?;
        if some.is_empty() {
            break;
        }
        may_go -= some.len();
        remove::remove_all(batch, &some)?;
    }
    Ok(())
}

/// `state > 0` is what lets SQLite take the index.
pub(super) const DONE_BEFORE: &str =
    "SELECT seq FROM calls WHERE state = 1 AND state > 0 AND due < ?1 ORDER BY due, seq LIMIT ?2";
pub(super) const DEAD_BEFORE: &str =
    "SELECT seq FROM calls WHERE state = 2 AND state > 0 AND due < ?1 ORDER BY due, seq LIMIT ?2";
pub(super) const CANCELLED_BEFORE: &str =
    "SELECT seq FROM calls WHERE state = 3 AND state > 0 AND due < ?1 ORDER BY due, seq LIMIT ?2";
pub(super) const OLDEST_DONE: &str =
    "SELECT due, seq FROM calls WHERE state = 1 AND state > 0 ORDER BY due, seq LIMIT ?1";
pub(super) const OLDEST_CANCELLED: &str =
    "SELECT due, seq FROM calls WHERE state = 3 AND state > 0 ORDER BY due, seq LIMIT ?1";

fn old(db: &Connection, sql: &str, before: i64) -> Result<Vec<Seq>, StoreError> {
    let mut statement = db.prepare_cached(sql)?;
    let found = statement.query_map(params![before, SOME_ROWS], |row| row.get(0).map(Seq))?;
    Ok(found.collect::<Result<_, _>>()?)
}

/// The oldest of those that have ended and are no dead letters.
fn oldest(db: &Connection, count: usize) -> Result<Vec<Seq>, StoreError> {
    let mut all: Vec<(i64, i64)> = Vec::new();
    for sql in [OLDEST_DONE, OLDEST_CANCELLED] {
        let mut statement = db.prepare_cached(sql)?;
        let found =
            statement.query_map([i64::try_from(count).unwrap_or(SOME_ROWS)], |row| Ok((row.get(0)?, row.get(1)?)))?;
        all.extend(found.collect::<Result<Vec<_>, _>>()?);
    }
    all.sort_unstable();
    Ok(all.into_iter().take(count).map(|(_, seq)| Seq(seq)).collect())
}

fn lanes(batch: &mut Batch<'_>) -> Result<u64, StoreError> {
    let sql = "DELETE FROM lanes WHERE lane = ?1 AND waiting = 0 AND callbacks = 0 AND ended = 0 AND bytes = 0";
    let mut gone = 0;
    for id in batch.empty_lanes() {
        if batch.db.prepare_cached(sql)?.execute([id.0])? == 1 {
            batch.changes.gone.push(id);
            gone += 1;
        }
    }
    Ok(gone)
}

fn pages(db: &Connection) -> Result<(u64, bool), StoreError> {
    let pragma = |name: &str| db.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let (free, all, size) = (pragma("freelist_count")?, pragma("page_count")?, pragma("page_size")?);
    if free * size < FREE || free * SHARE < all {
        return Ok((0, false));
    }
    let mut statement = db.prepare(&format!("PRAGMA incremental_vacuum({PAGES})"))?;
    let mut rows = statement.query([])?;
    while rows.next()?.is_some() {}
    let left = pragma("freelist_count")?;
    Ok((u64::try_from(free - left).unwrap_or(0), free > left))
}
