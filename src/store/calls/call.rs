//! What is kept of a call.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::id::{CallId, LaneId, Seq};
use crate::function::FunctionId;

/// A call that is to be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCall {
    /// Our own id of it.
    pub id: CallId,
    /// The caller's, by which it is to be found. It may be another call's too.
    pub caller_id: Option<String>,
    /// Whom it calls.
    pub function: FunctionId,
    /// When it was accepted, in milliseconds of the wall's clock: to be shown.
    pub accepted: i64,
    /// When it is too late for it, in ticks.
    pub deadline: Option<i64>,
    /// Whether its caller had to show a token.
    pub guarded: bool,
    /// Where its answer is to be sent.
    pub callback: Option<Callback>,
    /// The method.
    pub method: String,
    /// What comes after the function's name in the path, and the query.
    pub path: String,
    /// The schedule that made it.
    pub schedule: Option<String>,
    /// The headers, in a form that is up to who sends them.
    pub head: Bytes,
    /// The body.
    pub body: Bytes,
}

/// Where the answer of a call is to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Callback {
    /// The URL as the caller gave it.
    pub url: String,
    /// Whether the caller showed a token that may call what the URL names.
    pub checked: bool,
}

/// What is to be done for a call that has not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Its function is to be called.
    Function,
    /// Its answer is to be sent.
    Callback,
}

/// What a call is, as the file has it: which of those that wait is under way is in memory alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It waits, or is under way.
    Waiting,
    /// It was answered.
    Done,
    /// It failed for good.
    Dead,
    /// It was cancelled.
    Cancelled,
}

/// What a call becomes when its callback is out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Done.
    Done,
    /// A dead letter.
    Dead {
        /// Why, for people.
        reason: String,
    },
}

/// One try of a call that counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// When it began, in milliseconds of the wall's clock: to be shown.
    #[serde(rename = "at")]
    pub started: i64,
    /// How long it took, in milliseconds.
    #[serde(rename = "ms")]
    pub took: u64,
    /// The status that came, ours if none came of the function.
    #[serde(rename = "s", default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Why it failed, if that is not told by the status.
    #[serde(rename = "e", default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Whether it was one of the callback.
    #[serde(rename = "cb", default, skip_serializing_if = "std::ops::Not::not")]
    pub callback: bool,
}

/// An answer, or the beginning of a longer one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kept {
    /// Its status.
    pub status: u16,
    /// Its headers, in their order.
    pub head: Vec<(String, Vec<u8>)>,
    /// Its body, as far as it is kept.
    pub body: Bytes,
    /// How long the whole body was.
    pub total: u64,
}

/// All of a call but its bodies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Its number in the file.
    pub seq: Seq,
    /// Our own id of it.
    pub id: CallId,
    /// The caller's id of it.
    pub caller_id: Option<String>,
    /// Whom it calls.
    pub function: FunctionId,
    /// The lane in which it waits, or waited at last.
    pub lane: LaneId,
    /// What it is.
    pub state: State,
    /// What is to be done for it.
    pub phase: Phase,
    /// When its next try is due, in ticks; of one that ended: when it did.
    pub due: i64,
    /// When it was accepted, in milliseconds of the wall's clock.
    pub accepted: i64,
    /// Tries of this phase that counted.
    pub tries: u32,
    /// Tries to call the function that counted.
    pub called: u32,
    /// When it is too late for it, in ticks.
    pub deadline: Option<i64>,
    /// The function's last status.
    pub status: Option<u16>,
    /// Why it is a dead letter, or becomes one when its callback is out.
    pub reason: Option<String>,
    /// What it becomes when its callback is out.
    pub verdict: Option<Verdict>,
    /// How much of the disk it takes, about, in bytes.
    pub bytes: u64,
    /// Whether its caller had to show a token.
    pub guarded: bool,
    /// Where its answer is to be sent.
    pub callback: Option<Callback>,
    /// The method.
    pub method: String,
    /// What comes after the function's name in the path, and the query.
    pub path: String,
    /// The schedule that made it.
    pub schedule: Option<String>,
}

/// A call with all that there is of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// All but its bodies.
    pub call: Summary,
    /// Its tries: the first and the last ones, if there were many.
    pub attempts: Vec<Attempt>,
    /// What was sent; none once it is done or cancelled.
    pub request: Option<Request>,
    /// What was answered, if anything was.
    pub answer: Option<Kept>,
    /// Whether all of it is as it was written. If not, it must not be sent.
    pub sound: bool,
}

/// What a caller sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The headers as they were handed in.
    pub head: Bytes,
    /// The body.
    pub body: Bytes,
}
