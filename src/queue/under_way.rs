//! The calls that are under way: only memory knows. Dropping one drops its request.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

use super::retry::Hold;
use crate::store::calls::Seq;

/// See the module. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct UnderWay {
    calls: Arc<Mutex<HashMap<Seq, CancellationToken>>>,
    /// All of them.
    drain: CancellationToken,
}

/// One of them, as long as this is held.
#[derive(Debug)]
pub(super) struct Entry {
    all: UnderWay,
    seq: Seq,
    cancelled: CancellationToken,
}

impl UnderWay {
    pub(super) fn begin(&self, seq: Seq) -> Entry {
        let cancelled = CancellationToken::new();
        self.calls().insert(seq, cancelled.clone());
        Entry { all: self.clone(), seq, cancelled }
    }

    pub(super) fn contains(&self, seq: Seq) -> bool {
        self.calls().contains_key(&seq)
    }

    /// All of them.
    pub(super) fn all(&self) -> Vec<Seq> {
        self.calls().keys().copied().collect()
    }

    /// Drops the request of a call, if it is under way.
    pub(super) fn cancel(&self, seq: Seq) {
        if let Some(cancelled) = self.calls().get(&seq) {
            cancelled.cancel();
        }
    }

    /// Drops all of them, and those to come.
    pub(super) fn drain(&self) {
        self.drain.cancel();
    }

    fn calls(&self) -> MutexGuard<'_, HashMap<Seq, CancellationToken>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    /// Returns why the request is to be dropped, when it is.
    pub(super) async fn dropped(&self) -> Hold {
        tokio::select! {
            biased;
            () = self.cancelled.cancelled() => Hold::Cancelled,
            () = self.all.drain.cancelled() => Hold::Drained,
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.all.calls().remove(&self.seq);
    }
}
