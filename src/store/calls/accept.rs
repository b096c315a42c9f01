//! New calls.

use rusqlite::params;

use super::StoreError;
use super::batch::Batch;
use super::call::NewCall;
use super::ops::{LaneKey, Notice};
use super::row::{self, OVERHEAD};

/// Keeps a call. It is due at once, after those that came before it.
pub(super) fn accept(batch: &mut Batch<'_>, call: &NewCall) -> Result<Notice, StoreError> {
    let lane = batch.lane(&LaneKey::Function(call.function.clone()))?;
    let (seq, due) = (batch.next_seq(), batch.now);
    let callback = call.callback.as_ref();
    let url = callback.map(|callback| callback.url.as_str());
    let bytes = weight(&call.path, url, call.head.len() + call.body.len());
    let sql = "INSERT INTO calls (seq, id, caller_id, function, lane, state, due, accepted, deadline, bytes, guarded, callback,
               callback_checked, method, path, schedule) VALUES (?1, ?2, ?3, ?4, ?4, 0, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)";
    batch.db.prepare_cached(sql)?.execute(params![
        seq.0,
        call.id.as_bytes(),
        call.caller_id,
        lane.0,
        due,
        call.accepted,
        call.deadline,
        bytes,
        call.guarded,
        url,
        callback.is_some_and(|callback| callback.checked),
        call.method,
        call.path,
        call.schedule,
    ])?;
    let sum = row::request_sum(call.id, &call.method, &call.path, url, &call.head, &call.body);
    let sql = "INSERT INTO requests (seq, head, body, sum) VALUES (?1, ?2, ?3, ?4)";
    batch.db.prepare_cached(sql)?.execute(params![seq.0, &call.head[..], &call.body[..], sum])?;
    let delta = batch.delta(lane);
    delta.waiting += 1;
    delta.bytes += bytes;
    Ok(batch.tell(lane, due, seq))
}

/// What a call takes that carries so many bytes, about.
pub(super) fn weight(path: &str, callback: Option<&str>, carried: usize) -> i64 {
    let bytes = path.len() + callback.map_or(0, str::len) + carried;
    i64::try_from(bytes).unwrap_or(i64::MAX / 2) + OVERHEAD
}
