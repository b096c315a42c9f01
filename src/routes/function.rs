//! What the table keeps of one function, and how an instance is chosen for a request.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};

use super::endpoint::{Endpoint, Taken};
use super::idle::LastUse;
use super::meter::Meter;
use super::queue::Queue;
use super::route_entry::RouteEntry;
use super::{Load, Parking};
use crate::function::{FunctionId, InstanceId};

#[derive(Debug)]
pub(super) struct Function {
    pub(super) id: FunctionId,
    /// Changed by [`Function::change`] alone.
    pub(super) state: watch::Sender<RouteEntry>,
    turn: AtomicUsize,
    /// Requests that wait for an instance, in the order in which they came. Locked while `state` is held, never before.
    queue: Mutex<Queue>,
    /// Told when a request is parked that no instance is on its way for.
    pub(super) demand: Notify,
    pub(super) parking: Parking,
    /// Whether a call needs a token.
    pub(super) guarded: AtomicBool,
    /// Whether it was called since this was last asked.
    pub(super) used: AtomicBool,
    pub(super) last_use: Arc<LastUse>,
    /// Invocations that came to an end, and how many of them are kept through a restart.
    pub(super) calls: AtomicU64,
    pub(super) calls_kept: AtomicU64,
    /// What they came to since that was last taken.
    pub(super) meter: Meter,
    /// Instances that were retracted and still have requests, so that draining finds them. Locked as `queue` is.
    leaving: Mutex<Vec<Arc<Endpoint>>>,
}

impl Function {
    pub(super) fn new(id: FunctionId, parking: Parking) -> Self {
        Self {
            id,
            state: watch::Sender::new(RouteEntry::default()),
            turn: AtomicUsize::new(0),
            queue: Mutex::default(),
            demand: Notify::new(),
            parking,
            guarded: AtomicBool::new(false),
            used: AtomicBool::new(false),
            last_use: Arc::new(LastUse::new()),
            calls: AtomicU64::new(0),
            calls_kept: AtomicU64::new(0),
            meter: Meter::new(),
            leaving: Mutex::default(),
        }
    }

    /// Changes the entry, and gives the parked requests what follows for them before any other sees the change.
    pub(super) fn change(&self, change: impl FnOnce(&mut RouteEntry) -> bool) {
        self.state.send_if_modified(|state| {
            let changed = change(state);
            if changed {
                self.settle(state);
            }
            changed
        });
    }

    pub(super) fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn leaving(&self) -> MutexGuard<'_, Vec<Arc<Endpoint>>> {
        self.leaving.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes an instance out of service. It is found again while it has requests.
    pub(super) fn leave(&self, endpoint: Arc<Endpoint>) {
        endpoint.retract();
        let mut all = self.leaving();
        all.retain(|endpoint| endpoint.leases() > 0);
        all.push(endpoint);
    }

    /// An instance that was retracted and comes back: the requests that it still has count when it leaves for good.
    pub(super) fn returning(&self, id: &InstanceId, address: SocketAddr) -> Option<Arc<Endpoint>> {
        let mut leaving = self.leaving();
        let at = leaving.iter().position(|endpoint| endpoint.id == *id && endpoint.address == address)?;
        let endpoint = leaving.swap_remove(at);
        endpoint.restore();
        Some(endpoint)
    }

    /// An instance that is published, or was and is leaving.
    pub(super) fn endpoint(&self, id: &InstanceId) -> Option<Arc<Endpoint>> {
        let state = self.state.borrow();
        let published = state.ready.iter().find(|endpoint| endpoint.id == *id).cloned();
        published.or_else(|| self.leaving().iter().find(|endpoint| endpoint.id == *id).cloned())
    }

    /// How busy it is. A request that goes from the queue to an instance meanwhile is counted in either place.
    pub(super) fn load(&self) -> Load {
        let mut load = Load { in_flight: 0, parked: self.queue().len() };
        let state = self.state.borrow();
        for endpoint in state.ready.iter().chain(self.leaving().iter()) {
            // Those of a frozen instance wait for its thaw.
            let place = if endpoint.is_frozen() { &mut load.parked } else { &mut load.in_flight };
            *place += endpoint.leases();
        }
        load
    }

    /// How long no request has held an instance or waited for one.
    pub(super) fn idle_for(&self) -> Duration {
        let Load { in_flight, parked } = self.load();
        if in_flight + parked > 0 { Duration::ZERO } else { self.last_use.elapsed() }
    }

    /// A lease on the next ready instance in turn, if there is one; where that one is frozen, on one that is awake and has
    /// nothing to do. The count is raised while the entry is held, so that a retract either comes before (and the
    /// instance is not chosen) or sees the lease.
    pub(super) fn take_of(&self, state: &RouteEntry) -> Option<Taken> {
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
        let in_turn = &ready[turn];
        if ready.len() > 1
            && in_turn.is_frozen()
            && let Some(free) = ready.iter().find_map(Endpoint::lease_if_free)
        {
            return Some(Taken::Awake(free));
        }
        Some(in_turn.lease())
    }
}
