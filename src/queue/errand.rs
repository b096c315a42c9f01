//! What the dispatcher has to wait for, in tasks of its own: no lane holds up another.

use std::sync::Arc;

use super::attempt::LATE;
use super::context::Context;
use super::lane;
use super::policy::Policy;
use crate::function::FunctionId;
use crate::store::calls::{Calls, Done, Head, Heads, LaneId, Notice, Op, Seq, Settled, StoreError, Why};

const DELETED: &str = "its function was deleted";
/// So many calls of a lane are ended together.
const TOGETHER: usize = 1000;

/// What could not be written down yet.
#[derive(Debug)]
pub(super) struct Unsettled {
    pub(super) lane: LaneId,
    pub(super) head: Head,
    pub(super) settled: Settled,
}

/// How a function stands.
#[derive(Debug)]
pub(super) enum Answer {
    Stands(Arc<Policy>),
    Gone,
    /// The engine can't be asked just now.
    Unknown,
}

/// What an errand comes back with.
#[derive(Debug)]
pub(super) enum Back {
    /// Calls that wait.
    Read(LaneId, Result<Heads, StoreError>),
    /// How the function of a lane stands, and how many changes of it were noted when it was asked.
    Asked(LaneId, u64, Answer),
    /// What could be written down, and what could not.
    Resettled { settled: Vec<(LaneId, Head, Option<Notice>)>, left: Vec<Unsettled> },
    /// When the next deadline is.
    Deadlines(Option<i64>),
    /// The calls of a deleted function were ended; whether all were.
    Buried(LaneId, bool),
}

pub(super) async fn ask(context: &Context, function: FunctionId) -> Answer {
    match context.policies.of(&function).await {
        Ok(Some(policy)) => Answer::Stands(policy),
        Ok(None) => Answer::Gone,
        Err(error) => {
            tracing::debug!(%function, %error, "the engine can't be asked just now");
            Answer::Unknown
        }
    }
}

/// Writes down what can be. After one that can't, the others would fail as well.
pub(super) async fn settle(calls: &Calls, unsettled: Vec<Unsettled>) -> Back {
    let (mut settled, mut unsettled) = (Vec::new(), unsettled.into_iter());
    while let Some(one) = unsettled.next() {
        match calls.settle(one.head.seq, one.settled.clone()).await {
            Ok((_, notice)) => settled.push((one.lane, one.head, notice)),
            Err(_) => {
                let left = std::iter::once(one).chain(unsettled).collect();
                return Back::Resettled { settled, left };
            }
        }
    }
    tracing::info!("what came of calls is written down again");
    Back::Resettled { settled, left: Vec::new() }
}

/// Ends calls whose deadline has passed. Those that are under way end themselves.
pub(super) async fn deadlines(context: &Context, calls: &Calls) -> Back {
    loop {
        let now = calls.ticks().now();
        let ended = async {
            let late: Vec<Seq> = calls.overdue(now).await?;
            let waiting: Box<[Seq]> = late.into_iter().filter(|seq| !context.under_way.contains(*seq)).collect();
            let count = waiting.len();
            if count > 0 {
                context.end(calls, waiting, LATE, "deadline").await?;
            }
            Ok::<_, StoreError>(count)
        };
        match ended.await {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) => {
                tracing::error!(%error, "calls whose deadline has passed can't be ended: it is tried again");
                return Back::Deadlines(Some(now));
            }
        }
    }
    Back::Deadlines(calls.soonest_deadline().await.unwrap_or_else(|_| Some(calls.ticks().now())))
}

/// Ends the calls of a function that was deleted, as long as it is not back.
pub(super) async fn bury(context: &Context, calls: &Calls, lane: LaneId, function: FunctionId) -> Back {
    let mut after: Option<Head> = None;
    let mut ended = 0_usize;
    let mut seqs: Vec<Seq> = Vec::new();
    loop {
        if context.routes.find(&function).is_some() {
            break;
        }
        let heads = match calls.heads(lane, after, i64::MAX).await {
            Ok(heads) => heads,
            Err(error) => {
                tracing::error!(%function, %error, "calls of a deleted function can't be ended: it is tried again");
                return Back::Buried(lane, false);
            }
        };
        let is_last = heads.heads.is_empty();
        after = heads.heads.last().copied().or(after);
        // Those under way may still be answered, by instances that finish what they have.
        let waiting = heads.heads.into_iter().map(|head| head.seq).filter(|seq| !context.under_way.contains(*seq));
        seqs.extend(waiting);
        if seqs.len() >= TOGETHER || is_last && !seqs.is_empty() {
            ended += seqs.len();
            let batch = std::mem::take(&mut seqs).into_boxed_slice();
            if let Err(error) = context.end(calls, batch, DELETED, "deleted").await {
                tracing::error!(%function, %error, "calls of a deleted function can't be ended: it is tried again");
                return Back::Buried(lane, false);
            }
        }
        if is_last {
            break;
        }
    }
    if ended > 0 {
        tracing::warn!(%function, calls = ended, "it was deleted five minutes ago: its calls are dead letters");
    }
    Back::Buried(lane, true)
}

impl Context {
    /// Ends calls that wait.
    async fn end(&self, calls: &Calls, seqs: Box<[Seq]>, reason: &str, kind: &str) -> Result<(), StoreError> {
        let why = Why { reason: reason.to_owned(), callbacks: lane::of_callback };
        if let Done::Some(ended, _) = calls.commit(Op::End(seqs, why)).await? {
            self.metrics.dead(kind, ended);
        }
        Ok(())
    }
}
