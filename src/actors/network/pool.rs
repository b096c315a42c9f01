//! The warm attachments of this machine: which can be handed out, and which are to go. Makes none itself.
//!
//! ```text
//! (make) --> Open --made--> the pool --take--> Open --settled--> an instance's
//!              \_____________________________________\___dropped--> to be discarded, which knows what was claimed
//! ```

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus::IntGauge;
use tokio::sync::Notify;

use crate::host::WarmId;

/// See the module.
#[derive(Debug)]
pub(super) struct Pool {
    wanted: usize,
    state: Mutex<State>,
    /// Told when there may be something to do.
    changed: Notify,
    /// Held while the machine is changed.
    working: tokio::sync::Mutex<()>,
    count: IntGauge,
}

#[derive(Debug, Default)]
struct State {
    /// The oldest first: a place in the network is used in turn.
    ready: VecDeque<WarmId>,
    doomed: VecDeque<WarmId>,
    /// Whether those of an earlier run were looked for.
    recovered: bool,
    /// Whether none is made for the time being.
    held: bool,
    closed: bool,
}

/// What is to be done for the pool.
#[derive(Debug)]
pub(super) enum Chore {
    /// Look for those of an earlier run.
    Recover,
    /// Make one.
    Make(Open),
    /// Discard one.
    Discard(Open),
}

impl Chore {
    /// What it is, for the log.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Recover => "looking for warm attachments",
            Self::Make(_) => "making warm attachments",
            Self::Discard(_) => "removing warm attachments",
        }
    }
}

/// A warm attachment of which it is open what becomes of it. Dropped, it is to be discarded: nothing is forgotten,
/// whatever happens to the task that had it.
#[derive(Debug)]
pub(super) struct Open {
    pool: Arc<Pool>,
    warm: Option<WarmId>,
    id: WarmId,
}

impl Pool {
    /// An empty one that is to have so many; `count` shows how many it has.
    pub(super) fn new(wanted: usize, count: IntGauge) -> Arc<Self> {
        Arc::new(Self { wanted, state: Mutex::default(), changed: Notify::new(), working: <_>::default(), count })
    }

    /// The oldest that can be handed out.
    pub(super) fn take(self: &Arc<Self>) -> Option<Open> {
        let taken = self.change(|state| state.ready.pop_front())?;
        Some(self.open(taken))
    }

    /// What is to be done next; none when the pool is as it should be, or closed. What should go comes first: it holds
    /// addresses.
    pub(super) fn next(self: &Arc<Self>) -> Option<Chore> {
        let mut state = self.lock();
        if state.closed {
            None
        } else if !state.recovered {
            Some(Chore::Recover)
        } else if let Some(doomed) = state.doomed.pop_front() {
            drop(state);
            Some(Chore::Discard(self.open(doomed)))
        } else if state.ready.len() < self.wanted && !state.held {
            drop(state);
            Some(Chore::Make(self.open(WarmId::random())))
        } else {
            None
        }
    }

    /// Takes over what an earlier run has left, as far as it can be used and is wanted. Returns how many those are.
    pub(super) fn recovered(&self, found: Vec<(WarmId, bool)>) -> usize {
        self.change(|state| {
            state.recovered = true;
            for (warm, fit) in found {
                let keep = fit && state.ready.len() < self.wanted;
                if keep { &mut state.ready } else { &mut state.doomed }.push_back(warm);
            }
            state.ready.len()
        })
    }

    /// Whether none is made for the time being.
    pub(super) fn hold(&self, hold: bool) {
        if self.lock().held != hold {
            self.change(|state| state.held = hold);
        }
    }

    /// Returns when something changed since the last time.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Held while the machine is changed for the pool; none once it is closed.
    pub(super) async fn work(&self) -> Option<tokio::sync::MutexGuard<'_, ()>> {
        let working = self.working.lock().await;
        (!self.lock().closed).then_some(working)
    }

    /// The machine is not changed for the pool any more. Returns when it is not being changed either.
    pub(super) async fn close(&self) {
        self.lock().closed = true;
        drop(self.working.lock().await);
    }

    fn open(self: &Arc<Self>, warm: WarmId) -> Open {
        Open { pool: self.clone(), id: warm.clone(), warm: Some(warm) }
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        let done = change(&mut state);
        self.count.set(i64::try_from(state.ready.len()).unwrap_or(i64::MAX));
        drop(state);
        self.changed.notify_one();
        done
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    pub(super) fn id(&self) -> &WarmId {
        &self.id
    }

    /// It was made: it can be handed out.
    pub(super) fn made(mut self) {
        if let Some(warm) = self.warm.take() {
            self.pool.change(|state| state.ready.push_back(warm));
        }
    }

    /// It is an instance's, or it was discarded.
    pub(super) fn settled(mut self) {
        self.warm = None;
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if let Some(warm) = self.warm.take() {
            self.pool.change(|state| state.doomed.push_back(warm));
        }
    }
}
