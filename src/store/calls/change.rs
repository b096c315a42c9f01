//! Which change is made by what.

use super::StoreError;
use super::batch::Batch;
use super::ops::{Done, Op};
use super::{accept, fired, import, remove, revive, settle, upkeep};

/// Makes a change, as a part of a transaction.
pub(super) fn apply(batch: &mut Batch<'_>, op: &Op) -> Result<Done, StoreError> {
    match op {
        Op::Accept(call) => accept::accept(batch, call).map(Done::Accepted),
        Op::Fire(call, firing) => fired::fire(batch, call, firing).map(Done::Fired),
        Op::Settle(seq, settled) => {
            settle::settle(batch, *seq, settled).map(|(was, notice)| Done::Settled(was, notice))
        }
        Op::Cancel(seq) => settle::cancel(batch, *seq).map(|was| Done::Settled(was, None)),
        Op::Revive(seq, how) => revive::revive(batch, *seq, *how).map(Done::Revived),
        Op::End(seqs, why) => settle::end_all(batch, seqs, why).map(|ended| Done::Some(ended, false)),
        Op::Remove(seqs) => remove::remove_all(batch, seqs).map(|removed| Done::Some(removed, false)),
        Op::Import(calls, wall) => import::import(batch, calls, *wall).map(|taken| Done::Some(taken, false)),
        Op::Mark(key, mark) => fired::mark(batch, key, *mark).map(|()| Done::Nothing),
        Op::Upkeep(part) => upkeep::run(batch, *part).map(|(done, more)| Done::Some(done, more)),
        Op::Ticks | Op::Close => Ok(Done::Nothing),
    }
}
