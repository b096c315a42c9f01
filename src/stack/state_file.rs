//! `actord.json`: what stack files have no words for, by function.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::function::{Desired, Generation, GoodGeneration, RefusedUpdate, Spec};

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
    good: Option<GoodGeneration>,
    /// What served before `good`, newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    earlier: Vec<GoodGeneration>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    accepted_at: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    kept_down: bool,
    created_at: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    refused: Option<Arc<RefusedUpdate>>,
}

impl Kept {
    pub(super) fn of(desired: &Desired) -> Self {
        Self {
            generation: desired.generation,
            replicas: desired.replicas,
            proven: desired.has_served,
            failed: desired.failed.clone(),
            good: desired.last_good().cloned(),
            earlier: desired.history.iter().skip(1).cloned().collect(),
            accepted_at: desired.accepted_at.clone(),
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
            accepted_at: self.accepted_at,
            history: self.good.into_iter().chain(self.earlier).collect(),
            has_served: self.proven,
            failed: self.failed,
            created_at: self.created_at,
            refused: self.refused,
        }
    }
}
