//! `actord.json`: what stack files have no words for, by function.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize};

use crate::function::{Desired, Generation, RefusedUpdate, Spec, SpecDraft};

/// The form of the file that this program reads and writes.
pub(super) const FORMAT: u32 = 1;

/// The file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StateFile {
    pub(super) format: u32,
    /// By `name.namespace`.
    pub(super) functions: BTreeMap<String, Kept>,
}

/// All of a [`Desired`] but its spec.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Kept {
    generation: Generation,
    replicas: u32,
    proven: bool,
    failed: Option<String>,
    good: Option<Good>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    kept_down: bool,
    created_at: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    refused: Option<Arc<RefusedUpdate>>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Good {
    generation: Generation,
    #[serde(deserialize_with = "accepted_before")]
    spec: Arc<Spec>,
}

/// It was accepted once, perhaps by an older program with fewer rules, and stands in no file that a person would mend.
fn accepted_before<'de, D: Deserializer<'de>>(file: D) -> Result<Arc<Spec>, D::Error> {
    SpecDraft::deserialize(file).map(|draft| Arc::new(Spec::accepted_before(draft)))
}

impl Kept {
    pub(super) fn of(desired: &Desired) -> Self {
        let good = desired.last_good.as_ref();
        Self {
            generation: desired.generation,
            replicas: desired.replicas,
            proven: desired.has_served,
            failed: desired.failed.clone(),
            good: good.map(|(generation, spec)| Good { generation: *generation, spec: spec.clone() }),
            kept_down: desired.kept_down,
            created_at: desired.created_at.clone(),
            refused: desired.refused.clone(),
        }
    }

    pub(super) fn with(self, spec: Spec) -> Desired {
        Desired {
            generation: self.generation,
            spec: Arc::new(spec),
            replicas: self.replicas,
            kept_down: self.kept_down,
            // What the load of that machine asked for is not what that of another does.
            idle: false,
            adjusted: None,
            last_good: self.good.map(|good| (good.generation, good.spec)),
            has_served: self.proven,
            failed: self.failed,
            created_at: self.created_at,
            refused: self.refused,
        }
    }
}
