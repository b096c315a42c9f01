//! Calls of another file, as an export has them.

use rusqlite::params;

use super::StoreError;
use super::accept::weight;
use super::batch::Batch;
use super::call::{Loaded, Phase, State, Summary, Verdict};
use super::id::{LaneId, Seq};
use super::ops::LaneKey;
use super::{answers, row};

/// No wait between two tries is longer, in milliseconds.
const LONGEST_WAIT: i64 = 24 * 3_600 * 1_000;

/// Takes over calls of another file that wait or are dead letters; one whose id is there already is left out. What waits is due
/// in the order in which they are given, or when the rest of its wait is over. Their times are the wall's, which stands at `wall`.
pub(super) fn import(batch: &mut Batch<'_>, calls: &[(LaneKey, Loaded)], wall: i64) -> Result<u64, StoreError> {
    let mut taken = 0;
    for (lane, call) in calls {
        taken += u64::from(import_one(batch, lane, call, wall)?);
    }
    Ok(taken)
}

fn import_one(batch: &mut Batch<'_>, lane: &LaneKey, loaded: &Loaded, wall: i64) -> Result<bool, StoreError> {
    let (call, Some(request)) = (&loaded.call, &loaded.request) else { return Ok(false) };
    if !matches!(call.state, State::Waiting | State::Dead) {
        return Ok(false);
    }
    let known = batch.db.prepare_cached("SELECT 1 FROM calls WHERE id = ?1")?.exists(params![call.id.as_bytes()])?;
    if known {
        return Ok(false);
    }
    let function = batch.lane(&LaneKey::Function(call.function.clone()))?;
    let lane = if call.phase == Phase::Callback { batch.lane(lane)? } else { function };
    let left = |time: i64| time.saturating_sub(wall);
    let wait = if call.state == State::Waiting { left(call.due).clamp(0, LONGEST_WAIT) } else { 0 };
    let (seq, due) = (batch.next_seq(), batch.now.saturating_add(wait));
    let deadline = call.deadline.map(|deadline| batch.now.saturating_add(left(deadline)));
    let url = call.callback.as_ref().map(|callback| callback.url.as_str());
    let answered =
        loaded.answer.as_ref().map(|answer| answers::write(batch.db, seq, answer, usize::MAX)).transpose()?;
    let bytes = weight(&call.path, url, request.head.len() + request.body.len()) + answered.unwrap_or(0);
    let attempts = loaded.attempts.iter().fold(None, |written: Option<Vec<u8>>, attempt| {
        let before = written.as_deref().map(|bytes| row::attempts(bytes.into())).unwrap_or_default();
        row::with_attempt(before, Some(attempt))
    });
    let sql = "INSERT INTO calls (seq, id, caller_id, function, lane, state, phase, due, accepted, tries, called, deadline, status,
               reason, verdict, attempts, bytes, guarded, callback, callback_checked, method, path, schedule)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23)";
    let reason = call.reason.clone().or_else(|| match &call.verdict {
        Some(Verdict::Dead { reason }) => Some(reason.clone()),
        _ => None,
    });
    let reason = reason.as_deref().map(row::shortened);
    batch.db.prepare_cached(sql)?.execute(params![
        seq.0,
        call.id.as_bytes(),
        call.caller_id,
        function.0,
        lane.0,
        call.state.number(),
        call.phase.number(),
        due,
        call.accepted,
        call.tries,
        call.called,
        deadline,
        call.status,
        reason,
        call.verdict.as_ref().map(row::verdict_number),
        attempts,
        bytes,
        call.guarded,
        url,
        call.callback.as_ref().is_some_and(|callback| callback.checked),
        call.method,
        call.path,
        call.schedule,
    ])?;
    let sum = row::request_sum(call.id, &call.method, &call.path, url, &request.head, &request.body);
    let sql = "INSERT INTO requests (seq, head, body, sum) VALUES (?1, ?2, ?3, ?4)";
    batch.db.prepare_cached(sql)?.execute(params![seq.0, &request.head[..], &request.body[..], sum])?;
    count_in(batch, (due, seq), call, function, lane, bytes);
    Ok(true)
}

fn count_in(batch: &mut Batch<'_>, (due, seq): (i64, Seq), call: &Summary, function: LaneId, lane: LaneId, bytes: i64) {
    batch.delta(function).bytes += bytes;
    if call.state == State::Waiting {
        batch.delta(lane).waiting += 1;
        batch.delta(lane).retrying += i64::from(call.tries > 0);
        batch.delta(function).callbacks += i64::from(call.phase == Phase::Callback);
        batch.tell(lane, due, seq);
    } else {
        batch.delta(function).ended += 1;
        batch.delta(function).dead += 1;
        batch.delta(function).dead_bytes += bytes;
        if lane != function {
            batch.delta(lane).ended += 1;
        }
    }
}
