//! What only tests have: a program that stands for the next version of this one, with tables that today's does not know.

use std::sync::atomic::{AtomicBool, Ordering};

use rusqlite::Transaction;

use super::StoreError;

static IS_NEXT_VERSION: AtomicBool = AtomicBool::new(false);

/// From now on this process stands for a program of the next version: it brings stores to a version that today's refuses.
pub fn be_the_next_version() {
    IS_NEXT_VERSION.store(true, Ordering::Relaxed);
}

pub(super) fn is_next_version() -> bool {
    IS_NEXT_VERSION.load(Ordering::Relaxed)
}

/// The step to the next version.
pub(super) fn make_next(db: &Transaction<'_>) -> Result<(), StoreError> {
    Ok(db.execute_batch("CREATE TABLE next (name TEXT NOT NULL PRIMARY KEY) STRICT")?)
}
