//! One try of a call: memory for it, the call as it is on the disk, the request, and what came of it on the disk.
//!
//! ```text
//! reserve -> load -> gone? moved? damaged?
//!                 -> function: invoke -> retry::next -> settle -> the lease ends
//!                 -> callback: delivery
//! ```
//! Nothing is written when it begins: after a kill the call waits as before. What was answered is on the disk before the
//! function's lease ends and before another takes the place.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::time::{Instant, sleep};

use super::budget::{BESIDE, Reserved};
use super::context::{Context, Senders};
use super::ends::{self, End};
use super::lane;
use super::retry::{self, Came, Hold, Next};
use super::room::Place;
use super::seam::{Reply, Sending};
use super::settling::Written;
use super::ticks;
use super::under_way::Entry;
use crate::function::RetryRule;
use crate::store::calls::{
    Attempt, Calls, Head, Kept, LaneId, LaneKey, Notice, Phase, Request, Settled, State, Summary, Verdict,
};

/// So much of an answer is kept.
pub(super) const KEPT: usize = 64 << 10;
pub(super) const LATE: &str = "its deadline has passed";
const DAMAGED: &str = "its record is damaged";

/// A call whose turn it is.
pub(super) struct Try {
    pub(super) context: Arc<Context>,
    pub(super) calls: Calls,
    pub(super) senders: Arc<Senders>,
    pub(super) lane: LaneId,
    pub(super) head: Head,
    /// Whether it waits for memory where others have it all.
    pub(super) waits: bool,
    /// Room for its answer, if it is known to need some.
    pub(super) place: Option<Place>,
    /// Whether others of its lane wait for such room: it does not go before them.
    pub(super) behind: bool,
}

/// A try has ended, and its place is free.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) lane: LaneId,
    pub(super) head: Head,
    pub(super) outcome: Outcome,
}

/// What came of a try.
#[derive(Debug)]
pub(super) enum Outcome {
    /// It is on the disk; the call waits again, perhaps in another lane.
    Settled(Option<Notice>),
    /// What came of it is refused by the disk, which is asked again and again.
    Unsettled(Written),
    /// The call waits as before.
    Held(Hold),
    /// The call had ended.
    Nothing,
    /// The call waits in another lane.
    Moved(Notice),
    /// The call could not be read.
    Unread,
}

impl Try {
    pub(super) async fn run(self) -> Ended {
        let outcome = self.outcome().await;
        Ended { lane: self.lane, head: self.head, outcome }
    }

    async fn outcome(&self) -> Outcome {
        let entry = self.context.under_way.begin(self.head.seq);
        let most = self.context.settings.max_body;
        let reserve =
            async { if self.waits { self.context.budget.reserve(most + BESIDE).await } else { Reserved::NOTHING } };
        let mut reserved = tokio::select! {
            biased;
            hold = entry.dropped() => return held(hold),
            reserved = reserve => reserved,
        };
        // What came of it before a dispatcher panicked may still be on its way.
        self.context.settling.of(self.head.seq).await;
        let loaded = match self.calls.load(self.head.seq).await {
            Ok(Some(loaded)) => loaded,
            Ok(None) => return Outcome::Nothing,
            Err(error) => {
                tracing::error!(%error, "a call can't be read: it is tried again");
                return Outcome::Unread;
            }
        };
        let call = &loaded.call;
        // It was read before it was moved, or put off.
        if call.lane != self.lane || call.due != self.head.due {
            return Outcome::Moved(Notice { lane: call.lane, head: Head { due: call.due, seq: call.seq } });
        }
        let body = loaded.request.as_ref().map_or(0, |request| request.body.len());
        let answer = loaded.answer.as_ref().map_or(0, |answer| answer.body.len());
        reserved.keep(body + answer + if call.callback.is_some() { most } else { BESIDE });
        if !loaded.sound {
            tracing::error!(call = %call.id, function = %call.function, "the record of a call is damaged: it is not sent");
            self.context.metrics.dead("damaged", 1);
            let reason = DAMAGED.to_owned();
            return self.settle(call, Settled::Dead { attempt: None, reason, answer: None }).await;
        }
        let needs_place = call.phase == Phase::Function
            && call.callback.is_some()
            && self.place.is_none()
            && !self.context.room.is_follow_up(call.seq);
        let place = if needs_place && !self.behind { self.context.room.for_answer(&self.calls) } else { None };
        if needs_place && place.is_none() {
            return Outcome::Held(Hold::Full);
        }
        // A function that is gone has the usual rule: its callbacks still go out.
        let policy = self.context.policies.of(&call.function).await.ok().flatten();
        let rule = policy.map(|policy| policy.rule.clone()).unwrap_or_default();
        match (call.phase, &loaded.request) {
            (Phase::Function, Some(request)) => self.call(call, request, &rule, &entry).await,
            // One without what is to be sent is not sound.
            (Phase::Function, None) => Outcome::Nothing,
            (Phase::Callback, _) => self.deliver(&loaded, &rule, &entry).await,
        }
    }

    /// Calls the function.
    async fn call(&self, call: &Summary, request: &Request, rule: &RetryRule, entry: &Entry) -> Outcome {
        let left = self.left(call);
        if left.is_some_and(|left| left.is_zero()) {
            self.context.metrics.dead("deadline", 1);
            return self.settle(call, self.dead(call, None, LATE.to_owned(), None)).await;
        }
        let sending = Sending {
            id: call.id,
            function: call.function.clone(),
            method: call.method.clone(),
            path_and_query: call.path.clone(),
            head: request.head.clone(),
            body: request.body.clone(),
            keep: if call.callback.is_some() { self.context.settings.max_body } else { KEPT },
        };
        let started = Started::now();
        let mut is_late = false;
        let reply = tokio::select! {
            biased;
            // What was answered counts, whatever else happens.
            reply = self.invoke(&sending) => reply,
            hold = entry.dropped() => return held(hold),
            () = sleep(left.unwrap_or_default()), if left.is_some() => {
                is_late = true;
                internal(504, format!("no answer before {LATE}"))
            }
        };
        let Reply { came, answer, held: lease, .. } = reply;
        let attempt = started.attempt(&came, false);
        let next = if is_late {
            Next::Dead { reason: LATE.to_owned() }
        } else {
            retry::next(rule, call.tries.saturating_add(1), &came, self.left(call), rand::random())
        };
        let function = &call.function;
        if let Came::Answered { status, .. } = came {
            self.context.metrics.processed(function, status);
        }
        let settled = match next {
            Next::Held(hold) => {
                self.context.metrics.attempt(function, "held");
                return Outcome::Held(hold);
            }
            Next::Again { wait } => {
                self.context.metrics.attempt(function, "again");
                Settled::Again { due: self.calls.ticks().now() + millis(wait), attempt }
            }
            Next::Done => {
                self.context.metrics.attempt(function, "done");
                let answer = answer.unwrap_or_else(|| status_alone(&came));
                match self.lane_of(call) {
                    Some(lane) => Settled::ToCallback {
                        lane,
                        verdict: Verdict::Done,
                        attempt: Some(attempt),
                        answer: Some(answer),
                    },
                    None => Settled::Done { attempt, answer },
                }
            }
            Next::Dead { reason } => {
                self.context.metrics.attempt(function, "dead");
                let is_last = call.tries.saturating_add(1) >= rule.attempts;
                self.context.metrics.dead(
                    if is_late {
                        "deadline"
                    } else if is_last {
                        "tries"
                    } else {
                        "status"
                    },
                    1,
                );
                self.dead(call, Some(attempt), reason, answer)
            }
        };
        let outcome = self.settle(call, settled).await;
        drop(lease);
        outcome
    }

    pub(super) async fn invoke(&self, sending: &Sending) -> Reply {
        let invoked = AssertUnwindSafe(self.senders.invoke.invoke(sending)).catch_unwind().await;
        invoked.unwrap_or_else(|_| {
            tracing::error!(function = %sending.function, call = %sending.id, "sending a call panicked: it counts as a try");
            internal(502, "what sends calls panicked".to_owned())
        })
    }

    /// How long until its deadline.
    fn left(&self, call: &Summary) -> Option<Duration> {
        let left = call.deadline?.saturating_sub(self.calls.ticks().now());
        Some(Duration::from_millis(u64::try_from(left).unwrap_or(0)))
    }

    /// Writes down what came of it.
    pub(super) async fn settle(&self, call: &Summary, settled: Settled) -> Outcome {
        let end = match &settled {
            Settled::Done { .. } => Some(State::Done),
            Settled::Dead { .. } => Some(State::Dead),
            Settled::Delivered { .. } if matches!(call.verdict, Some(Verdict::Dead { .. })) => Some(State::Dead),
            Settled::Delivered { .. } => Some(State::Done),
            Settled::Again { .. } | Settled::ToCallback { .. } => None,
        };
        let told = end_without_answer(call, &settled).into_iter().collect();
        let mut written = self.context.settle(&self.calls, self.head.seq, settled, (end, told));
        match written.or_refused().await {
            Some(notice) => Outcome::Settled(notice),
            None => Outcome::Unsettled(written),
        }
    }

    /// Where the callback of a call waits, if it has one.
    fn lane_of(&self, call: &Summary) -> Option<LaneKey> {
        let rules = &self.context.settings.rules;
        call.callback.as_ref().map(|callback| lane::of_callback(&callback.url, rules))
    }

    /// A dead letter, of which who asked for a callback is told first.
    fn dead(&self, call: &Summary, attempt: Option<Attempt>, reason: String, answer: Option<Kept>) -> Settled {
        match self.lane_of(call).filter(|_| call.phase == Phase::Function) {
            Some(lane) => Settled::ToCallback { lane, verdict: Verdict::Dead { reason }, attempt, answer },
            None => Settled::Dead { attempt, reason, answer },
        }
    }
}

/// What is said of a call by which it is known now that no answer will come. Its callback tells it as well, and ends later.
fn end_without_answer(call: &Summary, settled: &Settled) -> Option<ends::Ended> {
    let reason = match settled {
        Settled::Dead { .. } if matches!(call.verdict, Some(Verdict::Dead { .. })) => return None,
        Settled::Dead { reason, .. } | Settled::ToCallback { verdict: Verdict::Dead { reason }, .. } => reason.clone(),
        _ => return None,
    };
    let (function, call) = (call.function.clone(), Some(call.id));
    Some(ends::Ended { function, call, how: End::Dead, reason: Some(reason), count: 1 })
}

/// When a try began.
pub(super) struct Started {
    wall: i64,
    at: Instant,
}

impl Started {
    pub(super) fn now() -> Self {
        Self { wall: ticks::wall(), at: Instant::now() }
    }

    /// The try, as it is kept.
    pub(super) fn attempt(&self, came: &Came, callback: bool) -> Attempt {
        let (status, error) = match came {
            Came::Answered { status, .. } => (Some(*status), None),
            Came::Internal { status, reason, .. } => (Some(*status), Some(reason.clone())),
            Came::NotTried(_) => (None, None),
        };
        let took = u64::try_from(self.at.elapsed().as_millis()).unwrap_or(u64::MAX);
        Attempt { started: self.wall, took, status, error, callback }
    }
}

pub(super) fn held(hold: Hold) -> Outcome {
    // What was cancelled is so on the disk already.
    if hold == Hold::Cancelled { Outcome::Nothing } else { Outcome::Held(hold) }
}

pub(super) fn internal(status: u16, reason: String) -> Reply {
    let came = Came::Internal { status, retry_after: None, reason };
    Reply { came, answer: None, took: Duration::ZERO, held: None }
}

fn status_alone(came: &Came) -> Kept {
    let status = match came {
        Came::Answered { status, .. } | Came::Internal { status, .. } => *status,
        Came::NotTried(_) => 0,
    };
    Kept { status, ..Kept::default() }
}

pub(super) fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}
