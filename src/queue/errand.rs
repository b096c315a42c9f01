//! What the dispatcher has to wait for, in tasks of its own: no lane holds up another.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::attempt::LATE;
use super::context::Context;
use super::ends::{End, Ended};
use super::lane;
use super::policy::Policy;
use crate::function::FunctionId;
use crate::store::calls::{Calls, Done, Head, Heads, LaneId, LaneKey, Notice, Op, Seq, State, StoreError, Why};

const DELETED: &str = "its function was deleted";
/// So many calls of a lane are ended together.
const TOGETHER: usize = 1000;

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
    /// What the disk refused is written down; where the call waits now, if it does.
    Settled(LaneId, Seq, Option<Notice>),
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

/// Ends calls whose deadline has passed. Those that are under way end themselves.
pub(super) async fn deadlines(context: &Context, calls: &Calls) -> Back {
    loop {
        let now = calls.ticks().now();
        let ended = async {
            let late = calls.overdue(now).await?;
            let waiting: Vec<_> = late.into_iter().filter(|(seq, _)| context.only_waits(*seq)).collect();
            if !waiting.is_empty() {
                context.end(calls, &waiting, LATE, "deadline").await?;
            }
            Ok::<_, StoreError>(waiting.len())
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
    let mut ends: Vec<(Seq, LaneId)> = Vec::new();
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
        let waiting = heads.heads.into_iter().map(|head| head.seq).filter(|seq| context.only_waits(*seq));
        ends.extend(waiting.map(|seq| (seq, lane)));
        if ends.len() >= TOGETHER || is_last && !ends.is_empty() {
            ended += ends.len();
            let batch = std::mem::take(&mut ends);
            if let Err(error) = context.end(calls, &batch, DELETED, "deleted").await {
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
    /// Whether a call is not under way, and was not answered either. Asked in the order in which it goes: what is answered is on its
    /// way onto the disk before it is under way no more.
    fn only_waits(&self, call: Seq) -> bool {
        !self.under_way.contains(call) && !self.settling.contains(call)
    }

    /// Ends calls that wait, each with the lane of its function.
    async fn end(&self, calls: &Calls, waiting: &[(Seq, LaneId)], reason: &str, kind: &str) -> Result<(), StoreError> {
        let seqs: Box<[Seq]> = waiting.iter().map(|(seq, _)| *seq).collect();
        let rules = self.settings.rules.clone();
        let callbacks = Arc::new(move |url: &str| lane::of_callback(url, &rules));
        let why = Why { reason: reason.to_owned(), callbacks };
        if let Done::Some(ended, _) = calls.commit(Op::End(seqs.clone(), why)).await? {
            self.metrics.dead(kind, ended);
            let told = if ended > 0 { dead(calls, waiting, reason) } else { Vec::new() };
            self.left(&seqs, Some(State::Dead), told);
        }
        Ok(())
    }
}

/// What is said of calls that became dead letters together: of each function once.
fn dead(calls: &Calls, ended: &[(Seq, LaneId)], reason: &str) -> Vec<Ended> {
    let mut counts = BTreeMap::<LaneId, u64>::new();
    ended.iter().for_each(|(_, lane)| *counts.entry(*lane).or_default() += 1);
    let told = counts.into_iter().filter_map(|(lane, count)| {
        let LaneKey::Function(function) = calls.lane(lane)?.key.clone() else { return None };
        Some(Ended { function, call: None, how: End::Dead, reason: Some(reason.to_owned()), count })
    });
    told.collect()
}
