//! The generations of a function that ever served: what an update falls back on, and what a rollback brings back.
//!
//! ```text
//! accepted -> it serves -> the next one is accepted: kept here, newest first -> five newer versions served: forgotten
//! ```
//! A version that comes back is kept once, under its newest number: rolling back and forth pushes nothing else out.

use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize};

use super::{Desired, Generation};
use crate::function::spec::{Spec, SpecDraft};

/// How many generations are kept, the newest one included if it ever served.
const KEPT_MAX: usize = 5;

/// A generation that served at least once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GoodGeneration {
    /// Its number.
    pub generation: Generation,
    /// What it was asked to be.
    #[serde(deserialize_with = "accepted_before")]
    pub spec: Arc<Spec>,
    /// When it was accepted, RFC 3339; empty where an older actord accepted it, which did not note it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub accepted_at: String,
}

/// It was accepted once, perhaps by an older program with fewer rules, and stands in no file that a person would mend.
fn accepted_before<'de, D: Deserializer<'de>>(kept: D) -> Result<Arc<Spec>, D::Error> {
    SpecDraft::deserialize(kept).map(|draft| Arc::new(Spec::accepted_before(draft)))
}

/// Generations that served, newest first. Cheap to clone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History(Arc<[GoodGeneration]>);

impl History {
    /// The newest of them.
    #[must_use]
    pub fn newest(&self) -> Option<&GoodGeneration> {
        self.0.first()
    }

    /// All of them, newest first.
    pub fn iter(&self) -> std::slice::Iter<'_, GoodGeneration> {
        self.0.iter()
    }

    /// The same with a newer one before them.
    fn with(&self, newest: GoodGeneration) -> Self {
        let older = self.iter().filter(|older| older.spec != newest.spec).cloned().collect::<Vec<_>>();
        std::iter::once(newest).chain(older).take(KEPT_MAX).collect()
    }
}

impl FromIterator<GoodGeneration> for History {
    /// From the newest to the oldest.
    fn from_iter<I: IntoIterator<Item = GoodGeneration>>(newest_first: I) -> Self {
        Self(newest_first.into_iter().collect())
    }
}

impl<'a> IntoIterator for &'a History {
    type Item = &'a GoodGeneration;
    type IntoIter = std::slice::Iter<'a, GoodGeneration>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl Desired {
    /// The newest generation before this one that ever served: what serves if this one fails.
    #[must_use]
    pub fn last_good(&self) -> Option<&GoodGeneration> {
        self.history.newest()
    }

    /// The generations that can be rolled back to, newest first: this one if it ever served, and those before it.
    #[must_use]
    pub fn kept(&self) -> History {
        if !self.has_served {
            return self.history.clone();
        }
        let (generation, spec, accepted_at) = (self.generation, self.spec.clone(), self.accepted_at.clone());
        self.history.with(GoodGeneration { generation, spec, accepted_at })
    }

    /// What a rollback brings back: the generation with this number, or else the newest that served before this one. So an
    /// update that failed or has not served yet is rolled back to what serves instead of it.
    #[must_use]
    pub fn rollback_target(&self, to: Option<Generation>) -> Option<GoodGeneration> {
        let is_meant = |kept: &&GoodGeneration| match to {
            Some(number) => kept.generation == number,
            None => kept.generation != self.generation,
        };
        self.kept().iter().find(is_meant).cloned()
    }
}
