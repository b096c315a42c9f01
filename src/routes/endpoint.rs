//! One published instance. All that decides about its requests is one atomic word:
//!
//! ```text
//! RETRACTED | FROZEN | leases        freeze: 0 -> FROZEN, by a compare-exchange: it meets no lease, and none meets it
//!                                    lease:  + 1; where FROZEN was set, its request waits for the thaw or the retraction
//!                                    thaw:   FROZEN is cleared, and all that wait go on, in the order in which they came
//! ```
//! So a request either is there before the mark, and the instance is not frozen, or sees the mark and is seen by the thaw.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

use super::idle::LastUse;
use crate::function::InstanceId;

/// The instance gets no new request.
const RETRACTED: usize = 1 << (usize::BITS - 1);
/// Its process does not run: requests wait until it does.
const FROZEN: usize = 1 << (usize::BITS - 2);
/// The rest counts its requests, those that wait for its thaw included.
const LEASES: usize = FROZEN - 1;

/// See the module.
#[derive(Debug)]
pub(super) struct Endpoint {
    pub(super) id: InstanceId,
    pub(super) address: SocketAddr,
    word: AtomicUsize,
    /// Told when the last lease is given back.
    released: Notify,
    /// Told when a frozen instance has its first lease, when it is thawed, and when it is retracted.
    changed: Notify,
    last_use: Arc<LastUse>,
}

/// The right to send one request to an instance. While it is held the instance is neither frozen nor torn down by an update.
#[derive(Debug)]
pub struct Lease(Arc<Endpoint>);

/// A lease, as it comes.
#[derive(Debug)]
pub(super) enum Taken {
    Awake(Lease),
    /// To be used after the thaw ([`Lease::awake`]).
    Frozen(Lease),
}

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

    /// Returns when no new request is sent to the instance any more.
    pub async fn retracted(&self) {
        self.0.when(|word| word & RETRACTED != 0).await;
    }

    /// Waits until the instance is awake, and returns true; false if it was retracted while it was frozen: no thaw may come.
    pub(super) async fn awake(&self) -> bool {
        self.0.when(|word| word & (FROZEN | RETRACTED) != FROZEN).await & FROZEN == 0
    }

    /// Whether it is awake at this moment.
    pub(super) fn is_awake(&self) -> bool {
        !self.0.is_frozen()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let endpoint = &self.0;
        let given_back = |word: usize| {
            // Before the count falls: an instance without a lease has been without one since the last use that is noted.
            if word & LEASES == 1 {
                endpoint.last_use.note();
            }
            Some(word - 1)
        };
        let before = endpoint.word.fetch_update(Ordering::AcqRel, Ordering::Acquire, given_back);
        if before.is_ok_and(|word| word & LEASES == 1) {
            endpoint.released.notify_waiters();
        }
    }
}

impl Endpoint {
    pub(super) fn new(id: InstanceId, address: SocketAddr, last_use: Arc<LastUse>) -> Self {
        Self { id, address, word: AtomicUsize::new(0), released: Notify::new(), changed: Notify::new(), last_use }
    }

    /// Requests that hold it, or wait for its thaw.
    pub(super) fn leases(&self) -> usize {
        self.word.load(Ordering::Acquire) & LEASES
    }

    pub(super) fn is_frozen(&self) -> bool {
        self.word.load(Ordering::Acquire) & FROZEN != 0
    }

    pub(super) fn lease(self: &Arc<Self>) -> Taken {
        let before = self.word.fetch_add(1, Ordering::AcqRel);
        let lease = Lease(self.clone());
        if before & FROZEN == 0 {
            return Taken::Awake(lease);
        }
        if before & LEASES == 0 {
            self.changed.notify_waiters();
        }
        Taken::Frozen(lease)
    }

    /// A lease if it is awake and has no other.
    pub(super) fn lease_if_free(self: &Arc<Self>) -> Option<Lease> {
        self.word.compare_exchange(0, 1, Ordering::AcqRel, Ordering::Relaxed).ok()?;
        Some(Lease(self.clone()))
    }

    /// Marks it frozen, if it is published, awake, and has no lease.
    pub(super) fn freeze(&self) -> bool {
        self.word.compare_exchange(0, FROZEN, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// Marks it frozen before it is published: what it still has goes on, what comes waits for the thaw.
    pub(super) fn mark_frozen(&self) {
        self.word.fetch_or(FROZEN, Ordering::AcqRel);
    }

    /// Lets the requests go on that wait for it.
    pub(super) fn thaw(&self) {
        if self.word.fetch_and(!FROZEN, Ordering::AcqRel) & FROZEN != 0 {
            self.changed.notify_waiters();
        }
    }

    /// No lease is given any more. What waits for its thaw is told.
    pub(super) fn retract(&self) {
        self.word.fetch_or(RETRACTED, Ordering::AcqRel);
        self.changed.notify_waiters();
    }

    /// It is back, and runs: the leases that it still had go on to count.
    pub(super) fn restore(&self) {
        self.word.fetch_and(LEASES, Ordering::AcqRel);
        self.changed.notify_waiters();
    }

    /// Returns when it is frozen and a request waits for it, when it is awake, and when it is retracted.
    pub(super) async fn called(&self) {
        self.when(|word| word & FROZEN == 0 || word & RETRACTED != 0 || word & LEASES > 0).await;
    }

    /// Returns when no lease is left.
    pub(super) async fn drained(&self) {
        loop {
            let released = self.released.notified();
            tokio::pin!(released);
            released.as_mut().enable();
            if self.leases() == 0 {
                return;
            }
            released.await;
        }
    }

    /// Waits until `is_so` of the word, which it returns.
    async fn when(&self, is_so: impl Fn(usize) -> bool) -> usize {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let word = self.word.load(Ordering::Acquire);
            if is_so(word) {
                return word;
            }
            changed.await;
        }
    }
}
