//! The seam's part for logs: bytes with the times at which they were written, kept by instance.
//!
//! Lines, filters and the order of several instances are made of them above the seam, in `http::logs`.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::watch;

use super::HostError;
use crate::function::{FunctionId, InstanceId};

/// What is kept of one instance's log. Places in it are counted in bytes from its very beginning and never move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// Whose log it is.
    pub id: InstanceId,
    /// The first byte that is still there.
    pub begins: u64,
    /// Where it ends for now.
    pub ends: u64,
    /// Whether nothing will be added any more.
    pub ended: bool,
    /// Whether it was forgotten while its instance was there: it goes with that, and is for those alone who read it already.
    pub forgotten: bool,
}

/// What is kept of a function's instances.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSet {
    /// Each log once, in no particular order.
    pub logs: Vec<Log>,
    /// The change that this is the outcome of, for [`Logs::changed`].
    pub version: u64,
}

/// Everything after the stamp before, up to `end`, was written at this time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogTime {
    /// The place after the last byte.
    pub end: u64,
    /// When: recorded once, and the same for every reader.
    pub at: Timestamp,
}

/// A part of a log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogChunk {
    /// The place of its first byte: later than what was asked for if that is not kept any more.
    pub from: u64,
    /// The bytes; none at the end of what there is.
    pub bytes: Vec<u8>,
    /// When they were written: in order, the last one at or after the last byte.
    pub stamps: Vec<LogTime>,
}

/// What instances wrote, on both of their streams. It outlives the instance: [`super::Runtime::remove`] ends it, and it is
/// kept until its function is forgotten, or there is too much of it.
#[async_trait]
pub trait Logs: Send + Sync {
    /// What is kept of a function's instances; of a function that never had one, nothing.
    ///
    /// # Errors
    /// [`HostError::Failed`] when it can't be told.
    async fn kept(&self, function: &FunctionId) -> Result<LogSet, HostError>;

    /// Reads at most `most` bytes of an instance's log, from a place on.
    ///
    /// # Errors
    /// [`HostError::NotFound`] when the log is not kept (any more).
    async fn read(&self, id: &InstanceId, from: u64, most: usize) -> Result<LogChunk, HostError>;

    /// Waits, without a deadline, until a function's logs are not those of version `seen` any more. It may say so when
    /// nothing has changed.
    ///
    /// # Errors
    /// [`HostError::Failed`] when the logs are not watched any more.
    async fn changed(&self, function: &FunctionId, seen: u64) -> Result<(), HostError>;

    /// Forgets what instances of a function wrote that were made before a time: at once what is of those that are
    /// removed, together with the instance what is of the others, which is marked until then. Idempotent.
    ///
    /// # Errors
    /// [`HostError::Failed`] when something could not be removed.
    async fn forget(&self, function: &FunctionId, before: Timestamp) -> Result<(), HostError>;

    /// [`Logs::forget`] for all functions at once: for the known ones before the time beside them, else before `before`.
    ///
    /// # Errors
    /// As for [`Logs::forget`].
    async fn sweep(&self, known: &BTreeMap<FunctionId, Timestamp>, before: Timestamp) -> Result<(), HostError>;
}

/// Who waits for which function's logs to change. For the implementations of [`Logs`].
#[derive(Debug, Default)]
pub(super) struct Changes(Mutex<Numbers>);

#[derive(Debug, Default)]
struct Numbers {
    /// Never used twice, whatever is forgotten in between.
    last: u64,
    by_function: HashMap<FunctionId, watch::Sender<u64>>,
}

impl Changes {
    /// The number of the latest change of a function's logs.
    pub(super) fn version(&self, function: &FunctionId) -> u64 {
        self.lock().by_function.get(function).map_or(0, |number| *number.borrow())
    }

    /// Tells all callers that wait for this function.
    pub(super) fn note(&self, function: &FunctionId) {
        let mut numbers = self.lock();
        numbers.last += 1;
        let last = numbers.last;
        numbers.by_function.entry(function.clone()).or_default().send_replace(last);
    }

    /// Forgets functions that are no longer `known`, unless a caller waits for them.
    pub(super) fn keep(&self, known: impl Fn(&FunctionId) -> bool) {
        self.lock().by_function.retain(|function, number| known(function) || number.receiver_count() > 0);
    }

    /// Returns when the latest change of a function's logs has another number than this.
    pub(super) async fn after(&self, function: &FunctionId, seen: u64) -> Result<(), HostError> {
        let mut number = self.lock().by_function.entry(function.clone()).or_default().subscribe();
        match number.wait_for(|number| *number != seen).await {
            Ok(_) => Ok(()),
            Err(_) => Err(HostError::Failed(format!("the logs of {function} are not watched any more"))),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Numbers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_function_that_is_gone_leaves_nothing_unless_somebody_waits_for_it() {
        let changes = Changes::default();
        let [kept, gone, awaited] = ["kept", "gone", "awaited"].map(|name| name.parse::<FunctionId>().unwrap());
        for function in [&kept, &gone, &awaited] {
            changes.note(function);
        }
        let seen = changes.version(&awaited);
        let mut waiting = std::pin::pin!(changes.after(&awaited, seen));
        assert!(futures_util::poll!(&mut waiting).is_pending());
        changes.keep(|function| *function == kept);
        assert_eq!(changes.lock().by_function.len(), 2);
        assert_eq!(changes.version(&gone), 0);
        changes.note(&awaited);
        waiting.await.unwrap();
    }
}
