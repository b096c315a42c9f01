//! Giving up on a file that is being opened: a look through a large one takes as long as its disk likes, and actord may be asked to
//! end meanwhile.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, InterruptHandle};

use super::StoreError;

/// Ends what SQLite is at. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Stop(Arc<Inner>);

#[derive(Default)]
struct Inner {
    raised: AtomicBool,
    at_work: Mutex<Vec<InterruptHandle>>,
}

impl Stop {
    /// What this connection is at is ended, too.
    pub(super) fn watch(&self, db: &Connection) {
        self.at_work().push(db.get_interrupt_handle());
    }

    /// The file is open: what is done with it from here on is not ended.
    pub(super) fn leave(&self) {
        self.at_work().clear();
    }

    /// Ends what is under way. What begins just now may not notice: raise it again until all has ended.
    pub(super) fn raise(&self) {
        self.0.raised.store(true, Ordering::Release);
        self.at_work().iter().for_each(InterruptHandle::interrupt);
    }

    /// # Errors
    /// When it was raised. What SQLite said before that says nothing of the file.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        match self.0.raised.load(Ordering::Acquire) {
            true => Err(StoreError::Failed("actord ends, so the file of asynchronous calls is not opened".into())),
            false => Ok(()),
        }
    }

    fn at_work(&self) -> MutexGuard<'_, Vec<InterruptHandle>> {
        self.0.at_work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether anything is, or was, at work.
    #[cfg(test)]
    pub(super) fn has_begun(&self) -> bool {
        !self.at_work().is_empty()
    }
}
