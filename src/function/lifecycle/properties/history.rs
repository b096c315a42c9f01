//! What is kept for a rollback, beside what the model saw: which spec each generation was given, and which ones served.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::rule::{Rule, Violation, check};
use crate::function::{Desired, Generation, InstanceId, Lifecycle, Spec};

/// What the model knows of the generations of the function that is there now.
#[derive(Debug, Default)]
pub(super) struct Generations {
    specs: BTreeMap<Generation, Arc<Spec>>,
    served: BTreeSet<Generation>,
}

impl Generations {
    pub(super) fn accepted(&mut self, desired: &Desired) {
        self.specs.insert(desired.generation, desired.spec.clone());
    }

    pub(super) fn published(&mut self, life: &Lifecycle, id: &InstanceId) {
        let generation = life.instances().find(|(known, ..)| *known == id).map(|(_, generation, _)| generation);
        self.served.extend(generation);
    }

    /// It is deleted: one that is deployed later under its name begins with nothing.
    pub(super) fn deleted(&mut self) {
        self.served.clear();
    }

    pub(super) fn check(&self, life: &Lifecycle) -> Result<(), Violation> {
        let kept = life.desired().map(Desired::kept).unwrap_or_default();
        let kept: Vec<_> = kept.iter().collect();
        let did_serve = |at: usize| {
            let (generation, spec) = (kept[at].generation, &kept[at].spec);
            let is_newer = kept[at + 1..].iter().all(|older| generation > older.generation && *spec != older.spec);
            self.served.contains(&generation) && self.specs.get(&generation) == Some(spec) && is_newer
        };
        let right = kept.len() <= 5 && (0..kept.len()).all(did_serve);
        check(right, Rule::OnlyWhatServedIsKept, || format!("{kept:?} of {:?}, served {:?}", self.specs, self.served))
    }
}
