//! The bound on what dead letters take.

use super::StoreError;
use super::batch::Batch;
use super::id::{LaneId, Seq};
use super::remove;

/// How many are looked at at a time.
const SOME: i64 = 100;

/// Removes the oldest dead letters of a function until the others take no more than they may. The newest stays, whatever it takes.
pub(super) fn bound(batch: &mut Batch<'_>, function: LaneId, newest: Seq) -> Result<(), StoreError> {
    let most = i64::try_from(batch.bounds.dead_bytes).unwrap_or(i64::MAX);
    let mut dropped = 0;
    while batch.dead_bytes(function) > most {
        let oldest = oldest(batch, function)?;
        let before = dropped;
        for seq in oldest.into_iter().filter(|seq| *seq != newest) {
            if batch.dead_bytes(function) <= most {
                break;
            }
            dropped += u64::from(remove::remove(batch, seq)?);
        }
        if dropped == before {
            break;
        }
    }
    if dropped > 0 {
        batch.delta(function).dropped += dropped;
        let (function, bound) = (batch.name(function), batch.bounds.dead_bytes);
        tracing::warn!(%function, dropped, bound, "dead letters went for newer ones: they take more than dead-letter-max-size");
    }
    Ok(())
}

pub(super) const OLDEST: &str = "SELECT seq FROM calls WHERE function = ?1 AND state = 2 ORDER BY due, seq LIMIT ?2";

fn oldest(batch: &Batch<'_>, function: LaneId) -> Result<Vec<Seq>, StoreError> {
    let mut statement = batch.db.prepare_cached(OLDEST)?;
    let found = statement.query_map((function.0, SOME), |row| row.get(0).map(Seq))?;
    Ok(found.collect::<Result<_, _>>()?)
}
