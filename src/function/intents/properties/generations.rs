//! What the model knows of generations: which spec each was given, and which served. A rollback has to come to that.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::function::{Desired, Generation, InstanceId, Lifecycle, Spec};

/// The generations of the function that is there now.
#[derive(Default)]
pub(super) struct Generations {
    specs: BTreeMap<Generation, Arc<Spec>>,
    served: BTreeSet<Generation>,
}

impl Generations {
    pub(super) fn accepted(&mut self, desired: &Desired) {
        self.specs.insert(desired.generation, desired.spec.clone());
    }

    pub(super) fn published(&mut self, life: &Lifecycle, id: &InstanceId) {
        self.served.extend(life.instances().find(|(known, ..)| *known == id).map(|(_, generation, _)| generation));
    }

    /// One that was refused is never gone back to, also where an instance of it came to serve while that was written.
    pub(super) fn refused(&mut self, generation: Generation) {
        self.served.remove(&generation);
    }

    pub(super) fn deleted(&mut self) {
        self.served.clear();
    }

    /// What may be gone back to, newest first: of the same specs the newest alone.
    pub(super) fn kept(&self) -> Vec<Generation> {
        let mut kept: Vec<Generation> = Vec::new();
        for served in self.served.iter().rev() {
            if kept.len() < 5 && !kept.iter().any(|newer| self.specs[newer] == self.specs[served]) {
                kept.push(*served);
            }
        }
        kept
    }

    /// What a rollback of a function comes to that is asked to be `newest`.
    pub(super) fn target(&self, newest: Generation, to: Option<Generation>) -> Option<&Arc<Spec>> {
        let meant = |kept: &Generation| to.map_or(*kept != newest, |to| *kept == to);
        self.kept().into_iter().find(meant).map(|target| &self.specs[&target])
    }
}
