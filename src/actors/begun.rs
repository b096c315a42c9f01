//! The instances that are known to be a function's.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::function::InstanceId;

/// The instances that an actor began and has not seen removed.
#[derive(Debug, Clone, Default)]
pub(super) struct BegunInstances(Arc<Mutex<BTreeSet<InstanceId>>>);

impl BegunInstances {
    pub(super) fn lock(&self) -> MutexGuard<'_, BTreeSet<InstanceId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn list(&self) -> Vec<InstanceId> {
        self.lock().iter().cloned().collect()
    }
}
