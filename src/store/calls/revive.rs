//! Dead letters that are sent again.

use rusqlite::{OptionalExtension, params};

use super::StoreError;
use super::batch::Batch;
use super::call::{Phase, State};
use super::id::{LaneId, Seq};
use super::ops::{Revive, Revived};
use super::row;

/// Lets a dead letter wait anew, under its id and with its tries to be shown, but as if it had none. Where only its callback failed
/// that is what is sent again, unless the call is asked for.
pub(super) fn revive(batch: &mut Batch<'_>, seq: Seq, how: Revive) -> Result<Revived, StoreError> {
    let sql = "SELECT function, lane, state, phase, bytes, due FROM calls WHERE seq = ?1";
    let read = |row: &rusqlite::Row<'_>| {
        let (function, lane) = (LaneId(row.get(0)?), LaneId(row.get(1)?));
        Ok((
            function,
            lane,
            row.get::<_, i64>(2)?,
            row::phase(row.get(3)?)?,
            row.get::<_, i64>(4)?,
            row.get::<_, i64>(5)?,
        ))
    };
    let found = batch.db.prepare_cached(sql)?.query_row([seq.0], read).optional()?;
    let Some((function, lane, state, phase, bytes, ended)) = found else { return Ok(Revived::Gone) };
    if state != State::Dead.number() {
        return Ok(Revived::NotDead);
    }
    let only_callback = phase == Phase::Callback && !how.call;
    let sql = if only_callback {
        "UPDATE calls SET state = 0, due = ?2, tries = 0, deadline = NULL, reason = iif(verdict = 2, reason, NULL)
         WHERE seq = ?1 AND state = 2"
    } else {
        "UPDATE calls SET state = 0, due = ?2, tries = 0, deadline = NULL, lane = function, phase = 0, verdict = NULL,
         reason = NULL WHERE seq = ?1 AND state = 2"
    };
    // Later than it ever was due, so that nobody takes it for what waited before.
    let due = batch.now.max(ended.saturating_add(1));
    batch.db.prepare_cached(sql)?.execute(params![seq.0, due])?;
    if lane != function {
        batch.delta(lane).ended -= 1;
    }
    let delta = batch.delta(function);
    delta.ended -= 1;
    delta.dead -= 1;
    delta.dead_bytes -= bytes;
    delta.callbacks += i64::from(only_callback);
    let to = if only_callback { lane } else { function };
    batch.delta(to).waiting += 1;
    Ok(Revived::Waits(batch.tell(to, due, seq)))
}
