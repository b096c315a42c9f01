//! What is done to the file, and what comes of it. Each is done wholly or not at all.

use std::sync::Arc;

use super::call::{Attempt, Kept, Loaded, NewCall, Verdict};
use super::id::{CallId, LaneId, Seq};
use crate::function::FunctionId;

/// Where calls wait, each for its turn: those to a function, or callbacks to a host.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LaneKey {
    /// Calls of a function.
    Function(FunctionId),
    /// Callbacks to what a URL calls `host:port`.
    Host(Arc<str>),
}

/// A change of the file.
#[derive(Debug, Clone)]
pub enum Op {
    /// Keep a call.
    Accept(NewCall),
    /// Keep the call of a schedule, once.
    Fire(NewCall, Firing),
    /// Say what came of a try.
    Settle(Seq, Settled),
    /// End a call that has not ended, without a callback.
    Cancel(Seq),
    /// Let a dead letter wait anew.
    Revive(Seq, Revive),
    /// Make dead letters of calls that wait. Those that have ended meanwhile are left as they are.
    End(Box<[Seq]>, Why),
    /// Remove these calls. Those that have not ended stay.
    Remove(Box<[Seq]>),
    /// Take over calls of another file, each with the lane in which its callback waits if that is what is next for it;
    /// and what it is on the wall, by which their times are.
    Import(Box<[(LaneKey, Loaded)]>, i64),
    /// Say something of a schedule.
    Mark(FiredKey, Mark),
    /// Keep house, a bounded part of it at a time.
    Upkeep(Upkeep),
    /// Nothing but to say how late it is.
    Ticks,
    /// Say that all is in order. It is the last change.
    Close,
}

impl Op {
    /// Whether the last good copy is behind after it. One is made for no change of the clock.
    pub(super) fn changes_calls(&self) -> bool {
        !matches!(self, Self::Upkeep(_) | Self::Ticks)
    }

    /// How many bytes it carries, about.
    pub(super) fn carries(&self) -> usize {
        let kept = |answer: &Option<Kept>| answer.as_ref().map_or(0, |answer| answer.body.len());
        match self {
            Self::Accept(call) | Self::Fire(call, _) => call.head.len() + call.body.len(),
            Self::Settle(_, Settled::Done { answer, .. }) => answer.body.len(),
            Self::Settle(_, Settled::Dead { answer, .. } | Settled::ToCallback { answer, .. }) => kept(answer),
            Self::Import(calls, _) => {
                let bodies =
                    calls.iter().filter_map(|(_, call)| call.request.as_ref()).map(|request| request.body.len());
                bodies.sum()
            }
            _ => 0,
        }
    }
}

/// What came of a try. Nothing is changed of a call that has ended meanwhile.
#[derive(Debug, Clone)]
pub enum Settled {
    /// It is tried again.
    Again {
        /// When, in ticks; in the next tick at the earliest.
        due: i64,
        /// The try.
        attempt: Attempt,
    },
    /// It is done.
    Done {
        /// The try.
        attempt: Attempt,
        /// Its answer; of a longer body the first 64 KiB are kept.
        answer: Kept,
    },
    /// It is a dead letter.
    Dead {
        /// The try, if one was made.
        attempt: Option<Attempt>,
        /// Why, for people.
        reason: String,
        /// The last answer, if one came; of a longer body the first 64 KiB are kept.
        answer: Option<Kept>,
    },
    /// The function was called, and now its answer is to be sent.
    ToCallback {
        /// Where the callback waits for its turn.
        lane: LaneKey,
        /// What the call becomes when that is out.
        verdict: Verdict,
        /// The try, if one was made.
        attempt: Option<Attempt>,
        /// The answer, if one came. All of it is kept until it is out.
        answer: Option<Kept>,
    },
    /// The callback is out: the call becomes what it is.
    Delivered {
        /// The try.
        attempt: Attempt,
    },
}

/// How a dead letter is sent again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Revive {
    /// Whether the function is called again where only the callback failed.
    pub call: bool,
}

/// Why calls end that wait.
#[derive(Clone)]
pub struct Why {
    /// For people.
    pub reason: String,
    /// The lane of the callback of a URL: who asked for one is told of a dead letter too.
    pub callbacks: Arc<dyn Fn(&str) -> LaneKey + Send + Sync>,
}

impl std::fmt::Debug for Why {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Why").field("reason", &self.reason).finish_non_exhaustive()
    }
}

/// A schedule of a function.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FiredKey {
    /// Whose.
    pub function: FunctionId,
    /// The schedule as it is written.
    pub schedule: String,
}

/// A due time that fires. Times of schedules are in milliseconds of the wall's clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Firing {
    /// Of which schedule.
    pub key: FiredKey,
    /// The due time. One that is not after the last that fired does not fire again.
    pub due: i64,
    /// When it fires.
    pub now: i64,
    /// Whether it is skipped while the schedule's last call has not ended.
    pub skip: bool,
}

/// What is said of a schedule. Times are in milliseconds of the wall's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// It is seen, for the first time perhaps: it then counts from here on, and nothing before is due. One that is known stays as it is.
    Seen {
        /// From when on.
        now: i64,
    },
    /// It counts anew from here on, whatever fired before.
    Anew {
        /// From when on.
        now: i64,
    },
    /// Due times were missed, the last of them at this time.
    Missed {
        /// The last of them.
        last_due: i64,
        /// How many.
        count: u64,
    },
    /// It is gone.
    Gone,
}

/// What is known of a schedule. Times are in milliseconds of the wall's clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FiredRow {
    /// Which.
    pub key: FiredKey,
    /// Since when it counts.
    pub anchor: i64,
    /// The last due time that fired, was skipped or was missed.
    pub last_due: Option<i64>,
    /// The call that it made last.
    pub call: Option<CallId>,
    /// When it made that.
    pub fired_at: Option<i64>,
    /// Due times that were missed, in all.
    pub missed: u64,
    /// Due times that were skipped, in all.
    pub skipped: u64,
}

/// A part of keeping house.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Upkeep {
    /// Remove calls that ended long enough ago, and the oldest of too many.
    Ended,
    /// Remove lanes without calls.
    Lanes,
    /// Give pages back to the disk, if many are free.
    Pages,
}

/// A call that waits: when it is due, in ticks, and which.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Head {
    /// When.
    pub due: i64,
    /// Which.
    pub seq: Seq,
}

/// A call waits that did not wait there before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Notice {
    /// Where.
    pub lane: LaneId,
    /// When it is due, and which it is.
    pub head: Head,
}

/// What came of the call of a schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fired {
    /// It is kept.
    Now(Notice),
    /// This due time, or a later one, has fired before.
    Already,
    /// The call before it goes on.
    Skipped,
}

/// What came of a call that was to be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Revived {
    /// It waits.
    Waits(Notice),
    /// It is no dead letter.
    NotDead,
    /// There is no such call any more.
    Gone,
}

/// What came of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Done {
    /// The call is kept, and waits.
    Accepted(Notice),
    /// See there.
    Fired(Fired),
    /// Whether the call had not ended before; it waits again, if it does.
    Settled(bool, Option<Notice>),
    /// See there.
    Revived(Revived),
    /// So many calls were ended, removed or kept house of; whether there may be more.
    Some(u64, bool),
    /// It is done.
    Nothing,
}
