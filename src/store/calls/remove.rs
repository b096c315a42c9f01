//! Removes calls that have ended, with all that is kept of them.

use rusqlite::OptionalExtension;

use super::StoreError;
use super::batch::Batch;
use super::call::State;
use super::id::{LaneId, Seq};

/// Removes them; those that have not ended stay. Says how many went.
pub(super) fn remove_all(batch: &mut Batch<'_>, seqs: &[Seq]) -> Result<u64, StoreError> {
    let mut removed = 0;
    for seq in seqs {
        removed += u64::from(remove(batch, *seq)?);
    }
    Ok(removed)
}

/// Removes one, if it has ended: whether it had.
pub(super) fn remove(batch: &mut Batch<'_>, seq: Seq) -> Result<bool, StoreError> {
    let sql = "SELECT function, lane, state, bytes FROM calls WHERE seq = ?1 AND state > 0";
    let read = |row: &rusqlite::Row<'_>| {
        Ok((LaneId(row.get(0)?), LaneId(row.get(1)?), row.get::<_, i64>(2)?, row.get::<_, i64>(3)?))
    };
    let Some((function, lane, state, bytes)) = batch.db.prepare_cached(sql)?.query_row([seq.0], read).optional()?
    else {
        return Ok(false);
    };
    for sql in [
        "DELETE FROM calls WHERE seq = ?1",
        "DELETE FROM requests WHERE seq = ?1",
        "DELETE FROM answers WHERE seq = ?1",
    ] {
        batch.db.prepare_cached(sql)?.execute([seq.0])?;
    }
    if lane != function {
        batch.delta(lane).ended -= 1;
    }
    let delta = batch.delta(function);
    delta.ended -= 1;
    delta.bytes -= bytes;
    if state == State::Dead.number() {
        delta.dead -= 1;
        delta.dead_bytes -= bytes;
    }
    Ok(true)
}
