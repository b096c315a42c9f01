//! Where requests may go: function -> ready instances, with a lease on the one that is chosen.
//!
//! The data path reads this table and nothing else. The function actors write it (`Publish`, `Retract`, and the outlook
//! of a request that finds no instance). A lease keeps an instance from being torn down while it answers: draining waits
//! for its count to fall to zero. Requests that are parked while no instance is asked for are demand, which an actor
//! watches ([`FunctionEntry::demand`]). An instance may be frozen while it has no lease; the request that then comes is
//! what its task watches for ([`Routes::called`]).

mod endpoint;
mod entry;
mod frozen;
mod function;
mod idle;
pub mod meter;
mod no_endpoint;
mod queue;
mod route_entry;
#[cfg(test)]
pub(crate) mod tests;
mod wait;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use dashmap::DashMap;
use tokio::time::Instant;

use self::endpoint::Endpoint;
pub use self::endpoint::Lease;
pub use self::entry::{FunctionEntry, Load};
use self::function::Function;
pub use self::no_endpoint::NoEndpoint;
pub use self::wait::Wait;
use crate::function::{AnswerLimit, FunctionId, InstanceId, Outlook};

/// How long and how many requests may wait for a function that has no ready instance.
#[derive(Debug, Clone, Copy)]
pub struct Parking {
    /// The longest wait of one request.
    pub time: Duration,
    /// The longest wait of one that finds the function at zero, or being started from there.
    pub waking: Duration,
    /// The most requests that wait for one function at a time.
    pub requests: usize,
}

impl Default for Parking {
    fn default() -> Self {
        Self { time: Duration::from_secs(10), waking: Duration::from_secs(60), requests: 512 }
    }
}

/// What is left to wait for after an instance was retracted.
#[derive(Debug)]
pub struct Drained(Option<Arc<Endpoint>>);

impl Drained {
    /// Returns when the instance has no request left.
    pub async fn wait(self) {
        if let Some(endpoint) = self.0 {
            endpoint.drained().await;
        }
    }
}

/// The table.
#[derive(Debug, Default)]
pub struct Routes {
    functions: DashMap<FunctionId, Arc<Function>>,
    parking: Parking,
}

impl Routes {
    /// An empty table.
    #[must_use]
    pub fn new(parking: Parking) -> Self {
        Self { functions: DashMap::new(), parking }
    }

    /// How long a call waits at most for an instance that is started for it.
    #[must_use]
    pub fn waking(&self) -> Duration {
        self.parking.waking
    }

    /// Makes the function known, and says what a request can expect that finds no instance ready. Those that wait are
    /// answered if it is nothing to wait for.
    pub fn announce(&self, function: &FunctionId, outlook: Outlook<Instant>) {
        self.function_or_new(function).change(|state| {
            let changed = state.outlook != outlook;
            state.outlook = outlook;
            changed
        });
    }

    /// Makes the function known, and says whether calls of it need a token: from the first moment on, where it was not known.
    pub fn guard(&self, function: &FunctionId, guarded: bool) {
        let new = || {
            let new = Function::new(function.clone(), self.parking);
            new.guarded.store(guarded, Ordering::Release);
            Arc::new(new)
        };
        let entry = self.functions.entry(function.clone()).or_insert_with(new).value().clone();
        entry.guarded.store(guarded, Ordering::Release);
    }

    /// How long its instances may take to begin an answer.
    pub fn limit(&self, function: &FunctionId, limit: AnswerLimit) {
        let Some(entry) = self.get(function) else { return };
        entry.change(|state| std::mem::replace(&mut state.limit, limit) != limit);
    }

    /// Whether a safe request may be sent to it a second time when its connection broke before an answer.
    pub fn resend(&self, function: &FunctionId, may: bool) {
        let Some(entry) = self.get(function) else { return };
        entry.change(|state| std::mem::replace(&mut state.once, !may) == may);
    }

    /// Makes the function known, and goes on counting its invocations from what an earlier process counted.
    pub fn restore_count(&self, function: &FunctionId, calls: u64) {
        let entry = self.function_or_new(function);
        entry.calls.fetch_add(calls, Ordering::Relaxed);
        entry.calls_kept.fetch_add(calls, Ordering::Relaxed);
    }

    /// Functions whose count of invocations changed since it was last kept, each with its count.
    #[must_use]
    pub fn calls_to_keep(&self) -> Vec<(FunctionEntry, u64)> {
        let changed = |entry: FunctionEntry| {
            let calls = entry.calls();
            (calls != entry.function.calls_kept.load(Ordering::Relaxed)).then_some((entry, calls))
        };
        self.all().into_iter().filter_map(changed).collect()
    }

    /// Forgets the function: requests for it are refused, those that wait as well.
    pub fn forget(&self, function: &FunctionId) {
        if let Some((_, entry)) = self.functions.remove(function) {
            entry.change(|state| {
                let before = std::mem::take(state);
                before.ready.iter().for_each(|endpoint| endpoint.retract());
                state.forgotten = true;
                true
            });
        }
    }

    /// Sends requests to this instance, too. Idempotent.
    pub fn publish(&self, function: &FunctionId, id: &InstanceId, address: SocketAddr) {
        self.publish_as(function, id, address, false);
    }

    /// As [`Routes::publish`], of an instance that is frozen still: requests are given to it, and wait for [`Routes::thaw`].
    pub fn publish_frozen(&self, function: &FunctionId, id: &InstanceId, address: SocketAddr) {
        self.publish_as(function, id, address, true);
    }

    fn publish_as(&self, function: &FunctionId, id: &InstanceId, address: SocketAddr, frozen: bool) {
        let entry = self.function_or_new(function);
        entry.change(|state| {
            if state.ready.iter().any(|endpoint| endpoint.id == *id) {
                return false;
            }
            let new = || Arc::new(Endpoint::new(id.clone(), address, entry.last_use.clone()));
            let endpoint = entry.returning(id, address).unwrap_or_else(new);
            if frozen {
                endpoint.mark_frozen();
            }
            state.ready = state.ready.iter().cloned().chain([endpoint]).collect();
            entry.last_use.note();
            true
        });
    }

    /// Sends no new request to this instance. Idempotent.
    pub fn retract(&self, function: &FunctionId, id: &InstanceId) {
        let Some(entry) = self.get(function) else { return };
        entry.change(|state| {
            let Some(at) = state.ready.iter().position(|endpoint| endpoint.id == *id) else { return false };
            let leaving = state.ready[at].clone();
            state.ready = state.ready.iter().filter(|endpoint| endpoint.id != *id).cloned().collect();
            entry.leave(leaving);
            true
        });
    }

    /// The end of the requests that a retracted instance still has.
    #[must_use]
    pub fn drained(&self, function: &FunctionId, id: &InstanceId) -> Drained {
        let Some(entry) = self.get(function) else { return Drained(None) };
        let leaving = entry.leaving();
        Drained(leaving.iter().find(|endpoint| endpoint.id == *id).cloned())
    }

    /// Instances that get requests now.
    #[must_use]
    pub fn published(&self, function: &FunctionId) -> Vec<InstanceId> {
        self.get(function)
            .map(|entry| entry.state.borrow().ready.iter().map(|endpoint| endpoint.id.clone()).collect())
            .unwrap_or_default()
    }

    /// Whether there is such a function.
    #[must_use]
    pub fn is_known(&self, function: &FunctionId) -> bool {
        self.functions.contains_key(function)
    }

    /// The functions that were called since this was last asked.
    pub fn take_used(&self) -> Vec<FunctionId> {
        let used = self.functions.iter().filter(|entry| entry.value().used.swap(false, Ordering::Relaxed));
        used.map(|entry| entry.key().clone()).collect()
    }

    /// The function's entry, if there is such a function.
    #[must_use]
    pub fn find(&self, function: &FunctionId) -> Option<FunctionEntry> {
        self.get(function).map(|function| FunctionEntry { function })
    }

    /// All functions' entries.
    #[must_use]
    pub fn all(&self) -> Vec<FunctionEntry> {
        let known = |function: &Arc<Function>| FunctionEntry { function: function.clone() };
        self.functions.iter().map(|entry| known(entry.value())).collect()
    }

    /// A lease on a ready instance, in turn; waits for one within the bounds of [`Parking`], and starts one where none is
    /// asked for.
    ///
    /// # Errors
    /// [`NoEndpoint`] says why there is none.
    pub async fn lease(&self, function: &FunctionId) -> Result<Lease, NoEndpoint> {
        match self.find(function) {
            Some(entry) => entry.lease().await,
            None => Err(NoEndpoint::Unknown(function.clone())),
        }
    }

    fn get(&self, function: &FunctionId) -> Option<Arc<Function>> {
        self.functions.get(function).map(|entry| entry.value().clone())
    }

    fn function_or_new(&self, function: &FunctionId) -> Arc<Function> {
        let new = || Arc::new(Function::new(function.clone(), self.parking));
        self.functions.entry(function.clone()).or_insert_with(new).value().clone()
    }
}
