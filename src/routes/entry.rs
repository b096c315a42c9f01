//! One function's entry, which the proxy keeps: its next request looks in no table.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::endpoint::Lease;
use super::function::Function;
use super::meter::Counts;
use super::no_endpoint::NoEndpoint;
use super::wait::Wait;
use crate::function::{AnswerLimit, FunctionId, Outlook};

/// A function that is deployed. It stays the entry of that one function when another of the same name comes after it.
#[derive(Debug, Clone)]
pub struct FunctionEntry {
    pub(super) function: Arc<Function>,
}

/// How busy a function is at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// Requests that hold an instance, those that are leaving included.
    pub in_flight: usize,
    /// Requests that wait for an instance, or for the thaw of one.
    pub parked: usize,
}

impl FunctionEntry {
    /// Which function it is.
    #[must_use]
    pub fn function(&self) -> &FunctionId {
        &self.function.id
    }

    /// Whether it was deleted since.
    #[must_use]
    pub fn is_deleted(&self) -> bool {
        self.function.state.borrow().forgotten
    }

    /// Whether both are the same function, not only of the same name.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.function, &other.function)
    }

    /// How long it may take to begin an answer.
    #[must_use]
    pub fn limit(&self) -> AnswerLimit {
        self.function.state.borrow().limit
    }

    /// Whether a call needs a token.
    #[must_use]
    pub fn asks_for_token(&self) -> bool {
        self.function.guarded.load(Ordering::Acquire)
    }

    /// Whether a safe request may be sent to it a second time when its connection broke before an answer.
    #[must_use]
    pub fn may_resend(&self) -> bool {
        !self.function.state.borrow().once
    }

    /// Counts an invocation, whatever came of it: how long it took, and whether it failed.
    pub fn count_call(&self, took: Duration, is_error: bool) {
        self.function.calls.fetch_add(1, Ordering::Relaxed);
        self.function.meter.count(took, is_error);
    }

    /// What its invocations came to since this was last asked. It has one asker, who keeps the history: another one would
    /// take from it what it is to tell.
    #[must_use]
    pub fn take_counts(&self) -> Counts {
        self.function.meter.take()
    }

    /// How often it was invoked, in earlier processes too.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.function.calls.load(Ordering::Relaxed)
    }

    /// So many calls are kept by now.
    pub fn note_kept(&self, calls: u64) {
        self.function.calls_kept.store(calls, Ordering::Relaxed);
    }

    /// How busy it is.
    #[must_use]
    pub fn load(&self) -> Load {
        self.function.load()
    }

    /// How long no request has held an instance or waited for one; zero while one does. An instance that is published
    /// counts as a use.
    #[must_use]
    pub fn idle_for(&self) -> Duration {
        self.function.idle_for()
    }

    /// How many of its instances get requests, frozen ones included.
    #[must_use]
    pub fn ready(&self) -> usize {
        self.function.state.borrow().ready.len()
    }

    /// How many of its instances are frozen.
    #[must_use]
    pub fn frozen(&self) -> usize {
        self.function.state.borrow().ready.iter().filter(|endpoint| endpoint.is_frozen()).count()
    }

    /// A lease on an instance that is awake, in turn, or what there is to wait for. A request that finds the function at
    /// zero is demand: an instance is started for it. One that finds it frozen lets it be thawed.
    ///
    /// # Errors
    /// [`Wait`], if none is awake at this moment.
    pub fn take(&self) -> Result<Lease, Wait<'_>> {
        self.function.take()
    }

    /// As [`FunctionEntry::take`], and waits for an instance within the bounds of [`super::Parking`].
    ///
    /// # Errors
    /// [`NoEndpoint`] says why there is none.
    pub async fn lease(&self) -> Result<Lease, NoEndpoint> {
        match self.take() {
            Ok(lease) => Ok(lease),
            Err(wait) => wait.end().await,
        }
    }

    /// Whether a call would wait for the first instance since none was asked for.
    #[must_use]
    pub fn is_waking(&self) -> bool {
        let state = self.function.state.borrow();
        state.ready.is_empty() && matches!(state.outlook, Outlook::AtZero | Outlook::Waking)
    }

    /// Waits until there is demand: a request is parked although no instance is asked for. Returns true then, at once if
    /// it is so already; false when the function is deleted.
    pub async fn demand(&self) -> bool {
        self.function.demand().await
    }
}
