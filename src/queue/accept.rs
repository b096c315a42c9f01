//! A call comes in: is there room for it? Then it is on the disk, or refused in words.
//!
//! ```text
//! open? -> queue-max-calls of its function -> queue-max-bytes, the disk -> its deadline -> commit -> its id
//! ```

use std::time::Duration;

use bytes::Bytes;

use super::context::Context;
use super::ticks;
use crate::function::FunctionId;
use crate::store::calls::{CallId, Callback, Calls, NewCall, Notice, Seq, StoreError};

/// How long a caller should wait for others' calls to go.
const CROWDED: Duration = Duration::from_secs(10);
/// How long a caller should wait for the queue to be opened.
pub(super) const OPENING: Duration = Duration::from_secs(1);

/// A call that is to be accepted.
#[derive(Debug, Clone)]
pub struct New {
    /// Whom it calls. That there is such a function is the caller's to know.
    pub function: FunctionId,
    /// The method.
    pub method: String,
    /// What comes after the function's name in the path, and the query.
    pub path_and_query: String,
    /// The headers, as [`Head`](super::head::Head) encodes them.
    pub head: Bytes,
    /// The body.
    pub body: Bytes,
    /// The caller's own id of it, by which it is to be found.
    pub caller_id: Option<String>,
    /// Whether its caller had to show a token.
    pub guarded: bool,
    /// Where its answer is to be sent.
    pub callback: Option<NewCallback>,
    /// Until when it is worth a try; none: what the function says of its calls.
    pub deadline: Option<Deadline>,
}

/// Where an answer is to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCallback {
    /// The URL, which [`callback::read`](super::callback::read) takes.
    pub url: String,
    /// Whether the caller showed a token that may call what it names.
    pub checked: bool,
}

/// Until when a call is worth a try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deadline {
    /// For so long.
    In(Duration),
    /// Until this time of the wall's clock, in milliseconds.
    At(i64),
}

/// Why a call is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAccepted {
    /// Too many calls of its function wait.
    #[error("{waiting} calls wait for function {function} already (queue-max-calls)")]
    TooMany {
        /// Which function.
        function: FunctionId,
        /// How many.
        waiting: u64,
        /// How long to wait before it is sent again.
        retry_after: Duration,
    },
    /// There is no room on the disk.
    #[error("the queue is full: {0}")]
    Full(String),
    /// It is being opened.
    #[error("the queue is being opened: ask again in {} s", .0.as_secs())]
    Busy(Duration),
    /// It can't be used until an operator has done something.
    #[error("{0}")]
    Unusable(String),
    /// Its deadline has passed.
    #[error("its deadline has passed")]
    Late,
}

impl From<StoreError> for NotAccepted {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Full(..) => Self::Full(error.to_string()),
            other => Self::Unusable(other.to_string()),
        }
    }
}

fn no_room(most: u64) -> NotAccepted {
    NotAccepted::Full(format!(
        "calls take nearly all of {most} bytes (queue-max-bytes), and the rest is for answers: see `actord calls ls`"
    ))
}

impl Context {
    /// Whether a call of this function would be accepted just now.
    pub(super) fn may_accept(&self, calls: &Calls, function: &FunctionId) -> Result<(), NotAccepted> {
        self.may_follow(calls, function)?;
        self.room.may_come(calls).map_err(no_room)
    }

    /// The same, but for what is kept in all.
    fn may_follow(&self, calls: &Calls, function: &FunctionId) -> Result<(), NotAccepted> {
        let most = self.settings.max_calls;
        let waiting = calls.function(function).map_or(0, |lane| lane.waiting() + lane.callbacks());
        if most > 0 && waiting >= most {
            return Err(NotAccepted::TooMany { function: function.clone(), waiting, retry_after: CROWDED });
        }
        if self.settling.is_stuck() || !self.disk.has_room() {
            return Err(NotAccepted::Full("the disk is full: free some space in data-dir".to_owned()));
        }
        Ok(())
    }

    /// Puts a call on the disk.
    pub(super) async fn accept(&self, calls: &Calls, new: New) -> Result<CallId, NotAccepted> {
        self.may_accept(calls, &new.function)?;
        let _coming = self.room.for_call(calls, new.head.len() + new.body.len()).map_err(no_room)?;
        self.keep(calls, new, None).await.map(|(id, _)| id)
    }

    /// Puts a call on the disk that is made of the answer of this one: it takes the room of that. Whether it was; if not, it has to
    /// wait for others. `id` is the same for each time that it is made of the same answer: after a kill between its commit and that
    /// of the callback it is there.
    pub(super) async fn follow_up(&self, calls: &Calls, from: Seq, id: CallId, new: New) -> Result<bool, NotAccepted> {
        if calls.by_id(id).await?.is_some() {
            return Ok(true);
        }
        self.may_follow(calls, &new.function)?;
        let bytes = new.head.len() + new.body.len();
        let Some(following) = self.room.follow(calls, from, bytes) else { return Ok(false) };
        let (_, notice) = self.keep(calls, new, Some(id)).await?;
        let seq = notice.head.seq;
        if following.made(notice) && !matches!(calls.load(seq).await, Ok(Some(_))) {
            // It had ended before it was noted.
            self.room.ended(seq);
        }
        Ok(true)
    }

    async fn keep(&self, calls: &Calls, new: New, id: Option<CallId>) -> Result<(CallId, Notice), NotAccepted> {
        let mut call = self.made(calls, new, None).await?;
        call.id = id.unwrap_or(call.id);
        let (id, function, deadline) = (call.id, call.function.clone(), call.deadline);
        let notice = calls.accept(call).await?;
        self.accepted(&function, deadline);
        Ok((id, notice))
    }

    /// The call as it is kept.
    pub(super) async fn made(&self, calls: &Calls, new: New, schedule: Option<String>) -> Result<NewCall, NotAccepted> {
        let (now, wall) = (calls.ticks().now(), ticks::wall());
        let deadline = match new.deadline {
            Some(deadline) => Some(deadline),
            // Where the engine can't be asked, the call is taken all the same.
            None => self
                .policies
                .of(&new.function)
                .await
                .ok()
                .flatten()
                .and_then(|policy| policy.deadline)
                .map(Deadline::In),
        };
        let left = deadline.map(|deadline| match deadline {
            Deadline::In(time) => i64::try_from(time.as_millis()).unwrap_or(i64::MAX),
            Deadline::At(at) => at.saturating_sub(wall),
        });
        if left.is_some_and(|left| left <= 0) {
            return Err(NotAccepted::Late);
        }
        Ok(NewCall {
            id: CallId::new(wall),
            caller_id: new.caller_id,
            function: new.function,
            accepted: wall,
            deadline: left.map(|left| now.saturating_add(left)),
            guarded: new.guarded,
            callback: new.callback.map(|NewCallback { url, checked }| Callback { url, checked }),
            method: new.method,
            path: new.path_and_query,
            schedule,
            head: new.head,
            body: new.body,
        })
    }

    /// A call was accepted.
    pub(super) fn accepted(&self, function: &FunctionId, deadline: Option<i64>) {
        self.metrics.submitted(function);
        if let Some(deadline) = deadline {
            self.deadlines.send_if_modified(|first| {
                let sooner = deadline < *first;
                *first = deadline.min(*first);
                sooner
            });
        }
    }
}
