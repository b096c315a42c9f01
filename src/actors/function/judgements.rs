//! How each version of a function was found to be ready: for the status, and for the version that comes after it.
//!
//! Nothing of it is kept on disk. After a restart it is learnt anew: what runs is asked when it is adopted.

use std::collections::BTreeMap;

use dashmap::DashMap;

use crate::function::{Desired, FunctionId, Generation, Judged};

/// The newest judgement of each generation that matters still.
#[derive(Debug, Default)]
pub(in crate::actors) struct Judgements(DashMap<FunctionId, BTreeMap<Generation, Judged>>);

impl Judgements {
    pub(super) fn note(&self, function: &FunctionId, generation: Generation, judged: Judged) {
        self.0.entry(function.clone()).or_default().insert(generation, judged);
    }

    pub(in crate::actors) fn of(&self, function: &FunctionId, generation: Generation) -> Option<Judged> {
        self.0.get(function)?.get(&generation).cloned()
    }

    /// Forgets what can't serve any more: all but the newest generation and the one to fall back on.
    pub(in crate::actors) fn keep(&self, function: &FunctionId, desired: Option<&Desired>) {
        let Some(desired) = desired else {
            self.0.remove(function);
            return;
        };
        if let Some(mut known) = self.0.get_mut(function) {
            let last_good = desired.last_good().map(|good| good.generation);
            known.retain(|generation, _| *generation >= desired.generation || Some(*generation) == last_good);
        }
    }
}
