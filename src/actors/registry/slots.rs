//! The ways to the functions' actors, and how they pass from a registry that panicked to the next.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use actix::Addr;
use futures_util::Stream;
use futures_util::stream::unfold;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::actors::function::{Function, Incarnation};
use crate::actors::messages::SupervisorEvent;
use crate::function::FunctionId;

/// The way to one function's actor. The handle is none while a dead actor is being replaced.
pub(in crate::actors) struct ActorSlot {
    pub(in crate::actors) me: Incarnation,
    pub(in crate::actors) handle: watch::Sender<Option<FunctionHandle>>,
    /// Requests to the incarnation that lives, or comes next.
    pub(in crate::actors) in_flight: Arc<InFlight>,
    /// How often in a row the actor had to be replaced, and when last.
    pub(in crate::actors) deaths: u32,
    pub(in crate::actors) died: Option<Instant>,
    /// The actor that died, until a fresh one has taken over what it owned.
    pub(in crate::actors) dead: Option<Incarnation>,
}

/// An actor that can be sent requests.
#[derive(Clone)]
pub(in crate::actors) struct FunctionHandle {
    pub(in crate::actors) actor: Addr<Function>,
    pub(in crate::actors) in_flight: Arc<InFlight>,
}

/// Requests that were sent to one incarnation, so that it is not dismissed while one is on its way.
#[derive(Debug, Default)]
pub(in crate::actors) struct InFlight(AtomicU64);

/// More requests than callers ever send: the incarnation was dismissed.
const DISMISSED: u64 = 1 << 63;

impl InFlight {
    /// Counts a request; no when it comes too late.
    pub(in crate::actors) fn enter(&self) -> bool {
        self.0.fetch_add(1, Ordering::AcqRel) < DISMISSED
    }

    /// A request that was counted will not be sent.
    pub(in crate::actors) fn leave(&self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }

    /// Dismisses the incarnation if the requests that it handled are all that there were.
    pub(in crate::actors) fn dismiss(&self, handled: u64) -> bool {
        self.0.compare_exchange(handled, DISMISSED, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

/// What outlives a registry that panics: the slots, which it leaves behind as it unwinds, and the channel that its
/// functions tell it by.
pub(in crate::actors) struct Handover {
    pub(in crate::actors) slots: Mutex<Slots>,
    pub(in crate::actors) notices: mpsc::UnboundedSender<SupervisorEvent>,
    pub(in crate::actors) heard: Arc<tokio::sync::Mutex<mpsc::UnboundedReceiver<SupervisorEvent>>>,
}

#[derive(Default)]
pub(in crate::actors) struct Slots {
    pub(in crate::actors) by_function: HashMap<FunctionId, ActorSlot>,
    pub(in crate::actors) incarnations: u64,
}

impl Handover {
    pub(in crate::actors) fn new() -> Arc<Self> {
        let (notices, heard) = mpsc::unbounded_channel();
        Arc::new(Self { slots: Mutex::default(), notices, heard: Arc::new(tokio::sync::Mutex::new(heard)) })
    }

    /// Notices, for the one registry that lives: its predecessor let go of them when it died.
    pub(in crate::actors) fn notices(&self) -> impl Stream<Item = SupervisorEvent> + use<> {
        unfold(self.heard.clone(), |heard| async {
            let notice = heard.lock().await.recv().await;
            notice.map(|notice| (notice, heard))
        })
    }

    pub(in crate::actors) fn take(&self) -> Slots {
        std::mem::take(&mut *self.slots.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(in crate::actors) fn leave(&self, slots: Slots) {
        *self.slots.lock().unwrap_or_else(PoisonError::into_inner) = slots;
    }
}
