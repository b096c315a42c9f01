//! The ways to the functions' actors, and how they pass from a registry that panicked to the next.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use actix::Addr;
use futures_util::Stream;
use futures_util::stream::unfold;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::function::{Function, Incarnation};
use super::messages::SupervisorEvent;
use crate::function::FunctionId;

/// The way to one function's actor. The handle is none while a dead actor is being replaced.
pub(super) struct ActorSlot {
    pub(super) me: Incarnation,
    pub(super) handle: watch::Sender<Option<FunctionHandle>>,
    /// Requests to the incarnation that lives, or comes next.
    pub(super) in_flight: Arc<InFlight>,
    /// How often in a row the actor had to be replaced, and when last.
    pub(super) deaths: u32,
    pub(super) died: Option<Instant>,
    /// The actor that died, until a fresh one has taken over what it owned.
    pub(super) dead: Option<Incarnation>,
}

/// An actor that can be sent requests.
#[derive(Clone)]
pub(super) struct FunctionHandle {
    pub(super) actor: Addr<Function>,
    pub(super) in_flight: Arc<InFlight>,
}

/// Requests that were sent to one incarnation, so that it is not dismissed while one is on its way.
#[derive(Debug, Default)]
pub(super) struct InFlight(AtomicU64);

/// More requests than anybody ever sends: the incarnation was dismissed.
const DISMISSED: u64 = 1 << 63;

impl InFlight {
    /// Counts a request; no when it comes too late.
    pub(super) fn enter(&self) -> bool {
        self.0.fetch_add(1, Ordering::AcqRel) < DISMISSED
    }

    /// A request that was counted will not be sent.
    pub(super) fn leave(&self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }

    /// Dismisses the incarnation if the requests that it handled are all that there were.
    pub(super) fn dismiss(&self, handled: u64) -> bool {
        self.0.compare_exchange(handled, DISMISSED, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

/// What outlives a registry that panics: the slots, which it leaves behind as it unwinds, and the channel that its
/// functions tell it by.
pub(super) struct Handover {
    pub(super) slots: Mutex<Slots>,
    pub(super) notices: mpsc::UnboundedSender<SupervisorEvent>,
    pub(super) heard: Arc<tokio::sync::Mutex<mpsc::UnboundedReceiver<SupervisorEvent>>>,
}

#[derive(Default)]
pub(super) struct Slots {
    pub(super) by_function: HashMap<FunctionId, ActorSlot>,
    pub(super) incarnations: u64,
}

impl Handover {
    pub(super) fn new() -> Arc<Self> {
        let (notices, heard) = mpsc::unbounded_channel();
        Arc::new(Self { slots: Mutex::default(), notices, heard: Arc::new(tokio::sync::Mutex::new(heard)) })
    }

    /// Notices, for the one registry that lives: its predecessor let go of them when it died.
    pub(super) fn notices(&self) -> impl Stream<Item = SupervisorEvent> + use<> {
        unfold(self.heard.clone(), |heard| async {
            let notice = heard.lock().await.recv().await;
            notice.map(|notice| (notice, heard))
        })
    }

    pub(super) fn take(&self) -> Slots {
        std::mem::take(&mut *self.slots.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn leave(&self, slots: Slots) {
        *self.slots.lock().unwrap_or_else(PoisonError::into_inner) = slots;
    }
}
