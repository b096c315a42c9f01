//! What operators, callers and the clock ask of the queue: to see calls, to cancel them, to send them again, to remove them, and
//! to make one for a schedule.

use std::time::Duration;

use bytes::Bytes;

use super::accept::{New, NotAccepted};
use super::context::LaneShown;
use super::ends::{End, Ended};
use super::gate::Gate;
use super::view::Moment;
use super::{Inner, Queue, Standing, ticks};
use crate::function::{FunctionId, Namespace};
use crate::store::calls::{
    self, CallId, Calls, Filter, FiredKey, FiredRow, Firing, LaneKey, ListError, Loaded, Mark, Op, Page, Revive,
    Revived, Seq, State, StoreError, Wanted,
};

/// The queue can't be used just now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unusable(pub String);

impl From<StoreError> for Unusable {
    fn from(error: StoreError) -> Self {
        Self(error.to_string())
    }
}

/// Which call an id means is not known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotFound {
    /// No call that is kept has it.
    #[error("no call that is kept has this id")]
    None,
    /// Several have it: these, or more.
    #[error("{} calls or more have this id: name one by its own", .0.len())]
    Several(Vec<CallId>),
    /// They can't be looked at.
    #[error(transparent)]
    Unusable(#[from] Unusable),
}

/// Why a call is not cancelled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotCancelled {
    /// It has ended.
    #[error("the call has ended")]
    Ended,
    /// It is not kept any more.
    #[error("no call that is kept has this id")]
    Gone,
    /// It can't be written down.
    #[error(transparent)]
    Unusable(#[from] Unusable),
}

/// Why a call is not sent again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotRetried {
    /// It is no dead letter.
    #[error("the call is no dead letter")]
    NotDead,
    /// It is not kept any more.
    #[error("no call that is kept has this id")]
    Gone,
    /// It can't be written down.
    #[error(transparent)]
    Unusable(#[from] Unusable),
}

/// A schedule's due time has come.
#[derive(Debug, Clone)]
pub struct Fire {
    /// Which schedule, and of which function.
    pub key: FiredKey,
    /// The due time, in milliseconds of the wall's clock.
    pub due: i64,
    /// Whether it is skipped while the schedule's last call has not ended.
    pub skip: bool,
    /// The headers, as [`Head`](super::head::Head) encodes them.
    pub head: Bytes,
    /// The body.
    pub body: Bytes,
}

/// What came of a due time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fired {
    /// This call was made.
    Now(CallId),
    /// It had fired before.
    Already,
    /// The schedule's last call goes on.
    Skipped,
}

/// How the calls of a function stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Depth {
    /// Which function.
    pub function: FunctionId,
    /// Calls that wait for their first try, or are under way.
    pub waiting: u64,
    /// Calls that wait for another try.
    pub retrying: u64,
    /// Calls under way.
    pub in_flight: u32,
    /// Answers that are to be sent on.
    pub callbacks: u64,
    /// Dead letters.
    pub dead: u64,
    /// Dead letters that went for others, since the start.
    pub dropped: u64,
    /// What all of them take of the disk.
    pub bytes: u64,
    /// For how long the first waits that is due.
    pub oldest: Option<Duration>,
    /// Whether they are sent.
    pub gate: Gate,
}

impl Queue {
    fn usable(&self) -> Result<Calls, Unusable> {
        self.inner.open().map_err(|error| Unusable(error.to_string()))
    }

    /// The call that has this id, of those in namespaces that are reached: our own, or a caller's that only one of them has.
    ///
    /// # Errors
    /// [`NotFound`].
    pub async fn find(
        &self,
        id: &str,
        reaches: impl Fn(&Namespace) -> bool + Send + 'static,
    ) -> Result<CallId, NotFound> {
        let calls = self.usable()?;
        if let Ok(own) = id.parse::<CallId>() {
            let known = calls.by_id(own).await.map_err(Unusable::from)?;
            if known.is_some_and(|known| reaches(&known.call.function.namespace)) {
                return Ok(own);
            }
        }
        let mut found = calls.by_caller_id(id, reaches).await.map_err(Unusable::from)?;
        match (found.pop(), found.is_empty()) {
            (None, _) => Err(NotFound::None),
            (Some(one), true) => Ok(one),
            (Some(last), false) => {
                found.push(last);
                Err(NotFound::Several(found))
            }
        }
    }

    /// A call with all that is kept of it; none if it is not kept.
    ///
    /// # Errors
    /// [`Unusable`].
    pub async fn call(&self, id: CallId) -> Result<Option<Loaded>, Unusable> {
        Ok(self.usable()?.by_id(id).await?)
    }

    /// Some calls, the newest first.
    ///
    /// # Errors
    /// When there is no such page, or they can't be read.
    pub async fn list(&self, filter: Filter) -> Result<Page, ListError> {
        let calls = self.usable().map_err(|Unusable(why)| ListError::from(StoreError::Failed(why)))?;
        if filter.wanted == Wanted::Running {
            return calls.among(filter, self.inner.context.under_way.all()).await;
        }
        calls.page(filter).await
    }

    /// Whether a call is under way at this moment.
    #[must_use]
    pub fn is_running(&self, call: Seq) -> bool {
        self.inner.context.under_way.contains(call)
    }

    /// The most tries that calls of a function have.
    pub async fn max_tries(&self, function: &FunctionId) -> u32 {
        let policy = self.inner.context.policies.of(function).await.ok().flatten();
        policy.map(|policy| policy.rule.clone()).unwrap_or_default().attempts
    }

    /// This moment by both clocks.
    #[must_use]
    pub fn moment(&self) -> Moment {
        let wall = ticks::wall();
        Moment { ticks: self.inner.calls().map_or(wall, |calls| calls.ticks().now()), wall }
    }

    /// Cancels a call, whether it waits or is under way: then the request to the function is dropped. It has no callback.
    ///
    /// # Errors
    /// [`NotCancelled`].
    pub async fn cancel(&self, id: CallId) -> Result<(), NotCancelled> {
        let calls = self.usable()?;
        let call = calls.by_id(id).await.map_err(Unusable::from)?.ok_or(NotCancelled::Gone)?.call;
        if !calls.cancel(call.seq).await.map_err(Unusable::from)? {
            return Err(NotCancelled::Ended);
        }
        // Only then: what is given back before it is on the disk would be sent again.
        self.inner.context.under_way.cancel(call.seq);
        let told =
            Ended { function: call.function.clone(), call: Some(id), how: End::Cancelled, reason: None, count: 1 };
        self.inner.context.left(&[call.seq], Some(State::Cancelled), vec![told]);
        tracing::info!(call = %id, function = %call.function, "the call was cancelled");
        Ok(())
    }

    /// Sends a dead letter again, with all of its tries before it.
    ///
    /// # Errors
    /// [`NotRetried`].
    pub async fn retry(&self, id: CallId, how: Revive) -> Result<(), NotRetried> {
        let calls = self.usable()?;
        let call = calls.by_id(id).await.map_err(Unusable::from)?.ok_or(NotRetried::Gone)?.call;
        match calls.revive(call.seq, how).await.map_err(Unusable::from)? {
            Revived::Waits(_) => {
                let (function, call) = (call.function, Some(id));
                let told = Ended { function, call, how: End::Revived, reason: None, count: 1 };
                self.inner.context.ends.tell(told);
                Ok(())
            }
            Revived::NotDead => Err(NotRetried::NotDead),
            Revived::Gone => Err(NotRetried::Gone),
        }
    }

    /// Removes calls that have ended, and returns how many.
    ///
    /// # Errors
    /// As for [`Queue::list`]; those that went until then are gone.
    pub async fn purge(&self, filter: Filter) -> Result<u64, ListError> {
        let calls = self.usable().map_err(|Unusable(why)| ListError::from(StoreError::Failed(why)))?;
        calls.purge(filter).await
    }

    /// How the calls of each function stand, by name.
    #[must_use]
    pub fn queues(&self) -> Vec<Depth> {
        self.inner.calls().map(|calls| self.inner.depths(&calls)).unwrap_or_default()
    }

    /// Makes a schedule's call, once for each due time.
    ///
    /// # Errors
    /// As for [`Queue::accept`].
    pub async fn fire(&self, fire: Fire) -> Result<Fired, NotAccepted> {
        let calls = self.inner.open()?;
        let function = fire.key.function.clone();
        self.inner.context.may_accept(&calls, &function)?;
        let new = New {
            function: function.clone(),
            method: "POST".to_owned(),
            path_and_query: String::new(),
            head: fire.head,
            body: fire.body,
            caller_id: None,
            guarded: false,
            callback: None,
            deadline: None,
        };
        let call = self.inner.context.made(&calls, new, Some(fire.key.schedule.clone())).await?;
        let (id, deadline) = (call.id, call.deadline);
        let firing = Firing { key: fire.key, due: fire.due, now: call.accepted, skip: fire.skip };
        Ok(match calls.fire(call, firing).await? {
            calls::Fired::Now(_) => {
                self.inner.context.accepted(&function, deadline);
                Fired::Now(id)
            }
            calls::Fired::Already => Fired::Already,
            calls::Fired::Skipped => Fired::Skipped,
        })
    }

    /// Says something of a schedule.
    ///
    /// # Errors
    /// [`Unusable`].
    pub async fn mark(&self, key: FiredKey, mark: Mark) -> Result<(), Unusable> {
        self.usable()?.commit(Op::Mark(key, mark)).await?;
        Ok(())
    }

    /// What is known of schedules.
    ///
    /// # Errors
    /// [`Unusable`].
    pub async fn fired(&self) -> Result<Vec<FiredRow>, Unusable> {
        Ok(self.usable()?.fired().await?)
    }

    /// Keeps house: what ended long ago goes, and the disk gets back what it took.
    ///
    /// # Errors
    /// [`Unusable`].
    pub async fn tidy(&self) -> Result<(), Unusable> {
        // One that is being opened, or can't be, is told of elsewhere.
        let Some(calls) = self.inner.calls() else { return Ok(()) };
        calls.tidy().await?;
        Ok(())
    }

    /// Whether the database is open.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(*self.inner.standing.borrow(), Standing::Open(_))
    }
}

impl Inner {
    pub(super) fn depths(&self, calls: &Calls) -> Vec<Depth> {
        let now = calls.ticks().now();
        let shown = self.context.shown();
        let mut depths: Vec<Depth> = calls
            .lanes()
            .into_iter()
            .filter_map(|lane| {
                let LaneKey::Function(function) = &lane.key else { return None };
                let usual = LaneShown { gate: Gate::Open, in_flight: 0, oldest: None };
                let LaneShown { gate, in_flight, oldest } = shown.get(&lane.id).copied().unwrap_or(usual);
                let oldest = oldest.map(|since| Duration::from_millis(u64::try_from(now - since).unwrap_or(0)));
                Some(Depth {
                    function: function.clone(),
                    waiting: lane.waiting().saturating_sub(lane.retrying()),
                    retrying: lane.retrying(),
                    in_flight,
                    callbacks: lane.callbacks(),
                    dead: lane.dead(),
                    dropped: lane.dropped(),
                    bytes: lane.bytes(),
                    oldest,
                    gate,
                })
            })
            .collect();
        drop(shown);
        depths.sort_by(|one, other| one.function.cmp(&other.function));
        depths
    }
}
