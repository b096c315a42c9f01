//! How many functions the machine may have, and how much memory they may request together: what can't fit is refused before
//! anything is written or pulled for it.
//!
//! ```text
//! a new generation -> admit: fits -> taken in the place of what the function had -> written (not: what it had is back)
//!                            else -> refused, with what it asks for, what is left, and the setting
//! a deletion, a scale, what is put back -> note: never refused
//! ```
//! What counts is `requests.memory` of each replica that was asked for, and of one where none is: a call starts it. An update
//! that asks for no more than its function has is always admitted, also where the setting was lowered since.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Settings;
use crate::function::{Desired, FunctionId};

const MIB: u64 = 1 << 20;

/// What functions have taken, by what they request.
#[derive(Debug)]
pub(super) struct Admission {
    /// The most functions; 0: any number.
    functions: usize,
    /// The most memory that they may request together, in bytes; 0: any.
    memory: u64,
    taken: Mutex<BTreeMap<FunctionId, u64>>,
}

impl Admission {
    pub(super) fn new(settings: &Settings) -> Self {
        let (functions, memory) = (settings.max_functions, settings.max_memory_requests);
        Self { functions, memory, taken: Mutex::default() }
    }

    /// Takes what a new generation of the function asks for, in the place of what it has, and returns that.
    pub(super) fn admit(&self, id: &FunctionId, desired: &Desired) -> Result<Option<u64>, String> {
        let asked = asked(desired);
        let mut taken = self.lock();
        let has = taken.get(id).copied();
        if has.is_none() && self.functions > 0 && taken.len() >= self.functions {
            return Err(format!(
                "function {id} is one too many: {} are deployed, and the setting max-functions allows {}: delete one, or raise it",
                taken.len(),
                self.functions
            ));
        }
        let others =
            taken.iter().filter(|(other, _)| *other != id).fold(0_u64, |sum, (_, one)| sum.saturating_add(*one));
        let left = self.memory.saturating_sub(others);
        if self.memory > 0 && asked > left && asked > has.unwrap_or(0) {
            return Err(format!(
                "function {id} requests {} MiB of memory (requests.memory of {} replicas), and {} of {} MiB are left that \
                 the setting max-memory-requests allows: request less, delete a function, or raise it",
                asked.div_ceil(MIB),
                desired.replicas.max(1),
                left / MIB,
                self.memory / MIB
            ));
        }
        taken.insert(id.clone(), asked);
        Ok(has)
    }

    /// Notes what a function asks for now, whether that fits or not. Returns what it had.
    pub(super) fn note(&self, id: &FunctionId, desired: Option<&Desired>) -> Option<u64> {
        self.put(id, desired.map(asked))
    }

    /// Puts back what a function had.
    pub(super) fn put(&self, id: &FunctionId, had: Option<u64>) -> Option<u64> {
        match had {
            Some(had) => self.lock().insert(id.clone(), had),
            None => self.lock().remove(id),
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<FunctionId, u64>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// In bytes. While an update has failed, what serves counts as well.
fn asked(desired: &Desired) -> u64 {
    let of = |spec: &crate::function::Spec| spec.memory_request_bytes().unwrap_or(0);
    of(&desired.spec).max(of(desired.serving_spec())).saturating_mul(u64::from(desired.replicas.max(1)))
}
