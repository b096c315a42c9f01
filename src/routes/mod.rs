//! Where requests may go: function -> ready instances, with a lease on the one that is chosen.
//!
//! The data path reads this table and nothing else. The function actors write it (`Publish`, `Retract`, and the outlook
//! of a request that finds no instance). A lease keeps an instance from being torn down while it answers: draining waits
//! for its count to fall to zero. Requests that are parked while no instance is asked for are demand, which an actor
//! watches ([`FunctionEntry::demand`]).

mod entry;
mod no_endpoint;
mod parked;
#[cfg(test)]
pub(crate) mod tests;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dashmap::DashMap;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

pub use self::entry::{FunctionEntry, Load};
pub use self::no_endpoint::NoEndpoint;
use self::parked::Queue;
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

/// One ready instance and the count of requests that it has.
#[derive(Debug)]
struct Endpoint {
    id: InstanceId,
    address: SocketAddr,
    leases: AtomicUsize,
    released: Notify,
}

/// The right to send one request to an instance. While it is held the instance is not torn down by an update.
#[derive(Debug)]
pub struct Lease(Arc<Endpoint>);

impl Lease {
    /// Where the instance listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.0.address
    }

    /// Which instance it is.
    #[must_use]
    pub fn instance(&self) -> &InstanceId {
        &self.0.id
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.0.leases.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.released.notify_waiters();
        }
    }
}

/// What is left to wait for after an instance was retracted.
#[derive(Debug)]
pub struct Drained(Option<Arc<Endpoint>>);

impl Drained {
    /// Returns when the instance has no request left.
    pub async fn wait(self) {
        let Some(endpoint) = self.0 else { return };
        loop {
            let released = endpoint.released.notified();
            tokio::pin!(released);
            released.as_mut().enable();
            if endpoint.leases.load(Ordering::Acquire) == 0 {
                return;
            }
            released.await;
        }
    }
}

/// The ready instances of one function; replaced as a whole at every change.
#[derive(Debug, Default, Clone)]
struct RouteEntry {
    ready: Arc<[Arc<Endpoint>]>,
    /// What a request can expect while none is ready.
    outlook: Outlook<Instant>,
    limit: AnswerLimit,
    /// Whether no request may be sent a second time.
    once: bool,
    /// No instance will ever be ready here: a function of the same name that comes later gets an entry of its own.
    forgotten: bool,
}

#[derive(Debug)]
struct Function {
    id: FunctionId,
    /// Changed by [`Function::change`] alone.
    state: watch::Sender<RouteEntry>,
    turn: AtomicUsize,
    /// Requests that wait for an instance, in the order in which they came. Locked while `state` is held, never before.
    queue: Mutex<Queue>,
    /// Told when a request is parked that no instance is on its way for.
    demand: Notify,
    parking: Parking,
    /// Whether it was called since this was last asked.
    used: AtomicBool,
    /// Invocations that came to an end, and how many of them are kept through a restart.
    calls: AtomicU64,
    calls_kept: AtomicU64,
    /// Instances that were retracted and still have requests, so that draining finds them.
    leaving: Mutex<Vec<Arc<Endpoint>>>,
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

    /// Makes the function known, and says what a request can expect that finds no instance ready. Those that wait are
    /// answered if it is nothing to wait for.
    pub fn announce(&self, function: &FunctionId, outlook: Outlook<Instant>) {
        self.function_or_new(function).change(|state| {
            let changed = state.outlook != outlook;
            state.outlook = outlook;
            changed
        });
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
                *state = RouteEntry { forgotten: true, ..RouteEntry::default() };
                true
            });
        }
    }

    /// Sends requests to this instance, too. Idempotent.
    pub fn publish(&self, function: &FunctionId, id: &InstanceId, address: SocketAddr) {
        let entry = self.function_or_new(function);
        entry.change(|state| {
            if state.ready.iter().any(|endpoint| endpoint.id == *id) {
                return false;
            }
            let endpoint = entry.returning(id, address).unwrap_or_else(|| {
                Arc::new(Endpoint { id: id.clone(), address, leases: AtomicUsize::new(0), released: Notify::new() })
            });
            state.ready = state.ready.iter().cloned().chain([endpoint]).collect();
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
            let mut all = entry.leaving();
            all.retain(|endpoint| endpoint.leases.load(Ordering::Acquire) > 0);
            all.push(leaving);
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
        let new = || {
            Arc::new(Function {
                id: function.clone(),
                state: watch::Sender::new(RouteEntry::default()),
                turn: AtomicUsize::new(0),
                queue: Mutex::default(),
                demand: Notify::new(),
                parking: self.parking,
                used: AtomicBool::new(false),
                calls: AtomicU64::new(0),
                calls_kept: AtomicU64::new(0),
                leaving: Mutex::default(),
            })
        };
        self.functions.entry(function.clone()).or_insert_with(new).value().clone()
    }
}

impl Function {
    fn leaving(&self) -> MutexGuard<'_, Vec<Arc<Endpoint>>> {
        self.leaving.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An instance that was retracted and comes back: the requests that it still has count when it leaves for good.
    fn returning(&self, id: &InstanceId, address: SocketAddr) -> Option<Arc<Endpoint>> {
        let mut leaving = self.leaving();
        let at = leaving.iter().position(|endpoint| endpoint.id == *id && endpoint.address == address)?;
        Some(leaving.swap_remove(at))
    }

    /// The next ready instance in turn, if there is one.
    fn take(&self) -> Option<Lease> {
        self.take_of(&self.state.borrow())
    }

    /// The next ready instance in turn. The count is raised while the entry is held, so that a retract either comes
    /// before (and the instance is not chosen) or sees the lease.
    fn take_of(&self, state: &RouteEntry) -> Option<Lease> {
        let ready = &state.ready;
        let turn = match ready.len() {
            0 => return None,
            1 => 0,
            many => self.turn.fetch_add(1, Ordering::Relaxed) % many,
        };
        // Looked at first: a write would take the cache line from the other workers.
        if !self.used.load(Ordering::Relaxed) {
            self.used.store(true, Ordering::Relaxed);
        }
        let endpoint = ready[turn].clone();
        endpoint.leases.fetch_add(1, Ordering::AcqRel);
        Some(Lease(endpoint))
    }
}
