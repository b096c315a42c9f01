//! One function's entry, which the proxy keeps: its next request looks in no table.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::time::{Instant, timeout_at};

use super::{Function, Lease, NoEndpoint, Parking, RouteEntry};
use crate::function::{AnswerLimit, FunctionId};

/// A function that is deployed. It stays the entry of that one function when another of the same name comes after it.
#[derive(Debug, Clone)]
pub struct FunctionEntry {
    pub(super) function: Arc<Function>,
    pub(super) parking: Parking,
}

/// How busy a function is at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// Requests that hold an instance, those that are leaving included.
    pub in_flight: usize,
    /// Requests that wait for an instance.
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

    /// Counts an invocation, whatever came of it.
    pub fn count_call(&self) {
        self.function.calls.fetch_add(1, Ordering::Relaxed);
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
        let ready = self.function.state.borrow().ready.clone();
        let leaving = self.function.leaving().clone();
        let leases = ready.iter().chain(&leaving).map(|endpoint| endpoint.leases.load(Ordering::Relaxed));
        Load { in_flight: leases.sum(), parked: self.function.parked.load(Ordering::Relaxed) }
    }

    /// A lease on a ready instance, in turn, if there is one at this moment.
    #[must_use]
    pub fn try_lease(&self) -> Option<Lease> {
        self.function.take()
    }

    /// As [`FunctionEntry::try_lease`], but waits for an instance within the bounds of [`Parking`].
    ///
    /// # Errors
    /// [`NoEndpoint`] says why there is none.
    pub async fn lease(&self) -> Result<Lease, NoEndpoint> {
        match self.try_lease() {
            Some(lease) => Ok(lease),
            None => self.park().await,
        }
    }

    async fn park(&self) -> Result<Lease, NoEndpoint> {
        let Self { function, parking } = self;
        let mut state = function.state.subscribe();
        let (waiting, _parked) = function.queue();
        let nobody_comes = |state: &RouteEntry| match state {
            RouteEntry { forgotten: true, .. } => Some(NoEndpoint::Unknown(function.id.clone())),
            RouteEntry { scaled_to_zero: true, .. } => Some(NoEndpoint::ScaledToZero(function.id.clone())),
            _ => None,
        };
        if let Some(why) = nobody_comes(&state.borrow()) {
            return Err(why);
        }
        if waiting >= parking.requests {
            return Err(NoEndpoint::QueueFull(function.id.clone(), waiting));
        }
        let deadline = Instant::now() + parking.time;
        loop {
            if let Some(lease) = function.take() {
                return Ok(lease);
            }
            match timeout_at(deadline, state.changed()).await {
                Err(_) => return Err(NoEndpoint::NotReady(function.id.clone(), parking.time)),
                Ok(Err(_)) => return Err(NoEndpoint::Unknown(function.id.clone())),
                Ok(Ok(())) => {}
            }
            if let Some(why) = nobody_comes(&state.borrow()) {
                return Err(why);
            }
        }
    }
}
