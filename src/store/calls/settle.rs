//! What came of a try, and what ends a call.
//!
//! ```text
//! waiting --again--> waiting, later                    function's lane
//!   |--done, dead, cancelled--> ended
//!   `--to callback--> waiting in the lane of the callback's host --again--> ...
//!                        |--delivered--> ended as its verdict says
//!                        `--dead--> ended, and stays in that lane: the callback can be sent again without the call
//! ```
//! Whoever comes first has it: nothing is changed of a call that does not wait any more.

use rusqlite::{OptionalExtension, params};

use super::batch::Batch;
use super::bounds::ANSWER_KEPT;
use super::call::{Attempt, Kept, Phase, State, Verdict};
use super::id::{LaneId, Seq};
use super::ops::{LaneKey, Notice, Settled, Why};
use super::{StoreError, answers, dead, row};

/// A call that waits, as far as a change needs it.
struct Waiting {
    seq: Seq,
    function: LaneId,
    lane: LaneId,
    phase: Phase,
    tries: i64,
    called: i64,
    bytes: i64,
    attempts: Vec<Attempt>,
    verdict: Option<i64>,
    reason: Option<String>,
    callback: Option<String>,
}

fn waiting(batch: &Batch<'_>, seq: Seq) -> Result<Option<Waiting>, StoreError> {
    let sql = "SELECT function, lane, phase, tries, called, bytes, attempts, verdict, reason, callback FROM calls
               WHERE seq = ?1 AND state = 0";
    let read = |row: &rusqlite::Row<'_>| {
        Ok(Waiting {
            seq,
            function: LaneId(row.get(0)?),
            lane: LaneId(row.get(1)?),
            phase: row::phase(row.get(2)?)?,
            tries: row.get(3)?,
            called: row.get(4)?,
            bytes: row.get(5)?,
            attempts: row::attempts(row.get_ref(6)?),
            verdict: row.get(7)?,
            reason: row.get(8)?,
            callback: row.get(9)?,
        })
    };
    Ok(batch.db.prepare_cached(sql)?.query_row([seq.0], read).optional()?)
}

impl Waiting {
    /// Counts a try.
    fn tried(&mut self, attempt: Option<&Attempt>) -> Option<u16> {
        let attempt = attempt?;
        self.tries += 1;
        if self.phase == Phase::Callback {
            return None;
        }
        self.called += 1;
        attempt.status
    }

    /// Its tries with one more, as a column has them.
    fn with(&mut self, attempt: Option<&Attempt>) -> Option<Vec<u8>> {
        row::with_attempt(std::mem::take(&mut self.attempts), attempt)
    }
}

/// What a call becomes that does not wait any more.
struct End {
    state: State,
    reason: Option<String>,
    /// Whether it was its callback that failed.
    callback_failed: bool,
    /// Whether what was sent is not needed any more.
    forgets: bool,
}

/// Says what came of a try: whether the call waited until now, and where it waits now, if it does.
pub(super) fn settle(batch: &mut Batch<'_>, seq: Seq, settled: &Settled) -> Result<(bool, Option<Notice>), StoreError> {
    let Some(call) = waiting(batch, seq)? else { return Ok((false, None)) };
    match settled {
        Settled::Again { due, attempt } => again(batch, call, *due, attempt).map(|notice| (true, Some(notice))),
        Settled::Done { attempt, answer } => {
            let to = End { state: State::Done, reason: None, callback_failed: false, forgets: true };
            end(batch, call, &to, Some(attempt), Some(answer)).map(|()| (true, None))
        }
        Settled::Dead { attempt, reason, answer } => {
            dead_letter(batch, call, reason, attempt.as_ref(), answer.as_ref()).map(|()| (true, None))
        }
        Settled::ToCallback { lane, verdict, attempt, answer } if call.phase == Phase::Function => {
            let notice = to_callback(batch, call, lane, verdict, attempt.as_ref(), answer.as_ref())?;
            Ok((true, Some(notice)))
        }
        Settled::Delivered { attempt } if call.phase == Phase::Callback => {
            let done = call.verdict != Some(State::Dead.number());
            let (state, reason) = if done { (State::Done, None) } else { (State::Dead, call.reason.clone()) };
            let to = End { state, reason, callback_failed: false, forgets: done };
            end(batch, call, &to, Some(attempt), None).map(|()| (true, None))
        }
        Settled::ToCallback { .. } | Settled::Delivered { .. } => Ok((false, None)),
    }
}

/// Ends a call without a callback: whether it had not ended before.
pub(super) fn cancel(batch: &mut Batch<'_>, seq: Seq) -> Result<bool, StoreError> {
    let Some(call) = waiting(batch, seq)? else { return Ok(false) };
    let to = End { state: State::Cancelled, reason: None, callback_failed: false, forgets: true };
    end(batch, call, &to, None, None).map(|()| true)
}

/// Makes dead letters of those whose function was to be called; who asked for a callback gets one first.
pub(super) fn end_all(batch: &mut Batch<'_>, seqs: &[Seq], why: &Why) -> Result<u64, StoreError> {
    let mut ended = 0;
    for seq in seqs {
        let Some(call) = waiting(batch, *seq)?.filter(|call| call.phase == Phase::Function) else { continue };
        if let Some(url) = call.callback.clone() {
            let verdict = Verdict::Dead { reason: why.reason.clone() };
            to_callback(batch, call, &(why.callbacks)(&url), &verdict, None, None)?;
        } else {
            dead_letter(batch, call, &why.reason, None, None)?;
        }
        ended += 1;
    }
    Ok(ended)
}

fn again(batch: &mut Batch<'_>, mut call: Waiting, due: i64, attempt: &Attempt) -> Result<Notice, StoreError> {
    batch.delta(call.lane).retrying += i64::from(call.tries == 0);
    let status = call.tried(Some(attempt));
    // Whatever waits now goes before it.
    let due = due.max(batch.now + 1);
    let sql = "UPDATE calls SET due = ?2, tries = ?3, called = ?4, status = coalesce(?5, status), attempts = ?6
               WHERE seq = ?1 AND state = 0";
    let attempts = call.with(Some(attempt));
    batch.db.prepare_cached(sql)?.execute(params![call.seq.0, due, call.tries, call.called, status, attempts])?;
    Ok(batch.tell(call.lane, due, call.seq))
}

fn dead_letter(
    batch: &mut Batch<'_>,
    call: Waiting,
    reason: &str,
    attempt: Option<&Attempt>,
    answer: Option<&Kept>,
) -> Result<(), StoreError> {
    let callback_failed = call.phase == Phase::Callback;
    let failed_before = call.verdict == Some(State::Dead.number());
    let reason = match call.reason.as_deref().filter(|_| callback_failed && failed_before) {
        // What the call itself came to is told first. A callback that was sent again and failed again is told once.
        Some(first) => format!("{}{CALLBACK}{reason}", first.split(CALLBACK).next().unwrap_or(first)),
        None => reason.to_owned(),
    };
    let to = End { state: State::Dead, reason: Some(row::shortened(&reason)), callback_failed, forgets: false };
    end(batch, call, &to, attempt, answer.filter(|_| !callback_failed))
}

/// Between why a call failed and why its callback did.
const CALLBACK: &str = "; its callback: ";

fn to_callback(
    batch: &mut Batch<'_>,
    mut call: Waiting,
    lane: &LaneKey,
    verdict: &Verdict,
    attempt: Option<&Attempt>,
    answer: Option<&Kept>,
) -> Result<Notice, StoreError> {
    let lane = batch.lane(lane)?;
    leave(batch, &call);
    let status = call.tried(attempt);
    let mut bytes = call.bytes;
    if let Some(answer) = answer {
        bytes += answers::write_anew(batch.db, call.seq, answer, usize::MAX)?;
    }
    let reason = match verdict {
        Verdict::Dead { reason } => Some(row::shortened(reason)),
        Verdict::Done => None,
    };
    let sql = "UPDATE calls SET lane = ?2, phase = 1, due = ?3, tries = 0, called = ?4, status = coalesce(?5, status), reason = ?6,
               verdict = ?7, attempts = ?8, bytes = ?9, deadline = NULL WHERE seq = ?1 AND state = 0";
    let (due, verdict, attempts) = (batch.now, row::verdict_number(verdict), call.with(attempt));
    batch.db.prepare_cached(sql)?.execute(params![
        call.seq.0,
        lane.0,
        due,
        call.called,
        status,
        reason,
        verdict,
        attempts,
        bytes
    ])?;
    batch.delta(lane).waiting += 1;
    let function = batch.delta(call.function);
    function.callbacks += 1;
    function.bytes += bytes - call.bytes;
    Ok(batch.tell(lane, due, call.seq))
}

/// Counts a call out of where it waited.
fn leave(batch: &mut Batch<'_>, call: &Waiting) {
    let lane = batch.delta(call.lane);
    lane.waiting -= 1;
    lane.retrying -= i64::from(call.tries > 0);
    batch.delta(call.function).callbacks -= i64::from(call.phase == Phase::Callback);
}

fn end(
    batch: &mut Batch<'_>,
    mut call: Waiting,
    to: &End,
    attempt: Option<&Attempt>,
    answer: Option<&Kept>,
) -> Result<(), StoreError> {
    leave(batch, &call);
    let status = call.tried(attempt);
    let mut bytes = call.bytes;
    if let Some(answer) = answer {
        bytes += answers::write_anew(batch.db, call.seq, answer, ANSWER_KEPT)?;
    } else if !to.callback_failed {
        bytes += answers::shorten(batch.db, call.seq, ANSWER_KEPT)?;
    }
    if to.forgets {
        bytes -= answers::drop_request(batch.db, call.seq)?;
    }
    let (lane, phase) =
        if to.callback_failed { (call.lane, Phase::Callback) } else { (call.function, Phase::Function) };
    let verdict = call.verdict.filter(|_| to.callback_failed);
    let sql = "UPDATE calls SET state = ?2, lane = ?3, phase = ?4, due = ?5, tries = ?6, called = ?7, status = coalesce(?8, status),
               reason = ?9, verdict = ?10, attempts = ?11, bytes = ?12 WHERE seq = ?1 AND state = 0";
    let attempts = call.with(attempt);
    batch.db.prepare_cached(sql)?.execute(params![
        call.seq.0,
        to.state.number(),
        lane.0,
        phase.number(),
        batch.now,
        call.tries,
        call.called,
        status,
        to.reason,
        verdict,
        attempts,
        bytes
    ])?;
    if to.callback_failed {
        batch.delta(lane).ended += 1;
    }
    let function = batch.delta(call.function);
    function.ended += 1;
    function.bytes += bytes - call.bytes;
    if to.state == State::Dead {
        function.dead += 1;
        function.dead_bytes += bytes;
        dead::bound(batch, call.function, call.seq)?;
    }
    Ok(())
}
