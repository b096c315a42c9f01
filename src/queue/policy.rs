//! What the queue knows of functions: what their specs say of calls, and how they stand.
//!
//! ```text
//! of(function) -> known? else the engine is asked          a change of the engine -> note
//! ```
//! What is known is what was asked for since the function last changed: the many calls of one function ask the engine once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::engine::{Engine, Refused};
use crate::function::{FunctionId, LoadType, RetryRule, Rule, Spec, Status};

/// What one replica carries where nothing is said of its capacity.
const USUAL_CAPACITY: f64 = 16.0;
/// The most calls at a time that follow from capacity.
const MOST: f64 = 256.0;

/// What holds for the calls of a function.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Policy {
    /// When a call is tried again.
    pub(super) rule: RetryRule,
    /// The most calls that are under way to it; at least 1.
    pub(super) limit: u32,
    /// How long after it was accepted a call is worth a try.
    pub(super) deadline: Option<Duration>,
    /// Whether an operator keeps it down.
    pub(super) kept_down: bool,
}

impl Policy {
    /// What a status says; none of a function that is deleted.
    fn of(status: &Status) -> Option<Self> {
        let desired = status.desired.as_ref()?;
        let spec = desired.serving_spec();
        Some(Self {
            rule: spec.retry(),
            limit: limit(spec, status.ready),
            deadline: spec.call_deadline(),
            kept_down: desired.kept_down,
        })
    }
}

/// At zero one call wakes it, and the others need not wait for that in the proxy.
fn limit(spec: &Spec, ready: u32) -> u32 {
    if ready == 0 {
        return 1;
    }
    if let Some(limit) = spec.max_inflight() {
        return limit;
    }
    let target = match spec.scaling().rule {
        Some(Rule::Targets { signals, .. }) => {
            signals.into_iter().find(|signal| signal.load == LoadType::Capacity).map(|signal| signal.target)
        }
        _ => None,
    };
    let carried = (f64::from(ready) * target.unwrap_or(USUAL_CAPACITY)).clamp(1.0, MOST);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it lies between 1 and 256")]
    let whole = carried as u32;
    whole
}

/// See the module.
pub(super) struct Policies {
    engine: Arc<dyn Engine>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    functions: HashMap<FunctionId, Arc<Policy>>,
    /// How many changes were noted: what was asked for before one may be old.
    changes: u64,
}

impl Policies {
    pub(super) fn new(engine: Arc<dyn Engine>) -> Self {
        Self { engine, known: Mutex::default() }
    }

    /// What holds for a function; none if there is no such function.
    ///
    /// # Errors
    /// When the engine can't be asked.
    pub(super) async fn of(&self, function: &FunctionId) -> Result<Option<Arc<Policy>>, Refused> {
        let before = {
            let known = self.known();
            if let Some(policy) = known.functions.get(function) {
                return Ok(Some(policy.clone()));
            }
            known.changes
        };
        let view = self.engine.get(function).await?;
        let Some(policy) = view.and_then(|view| Policy::of(&view.status)).map(Arc::new) else { return Ok(None) };
        let mut known = self.known();
        if known.changes == before {
            known.functions.insert(function.clone(), policy.clone());
        }
        Ok(Some(policy))
    }

    /// Notes what has become of a function; none: it is deleted.
    pub(super) fn note(&self, function: &FunctionId, status: Option<&Status>) -> Option<Arc<Policy>> {
        let policy = status.and_then(Policy::of).map(Arc::new);
        let mut known = self.known();
        known.changes += 1;
        match &policy {
            Some(policy) => {
                if let Some(before) = known.functions.get_mut(function) {
                    *before = policy.clone();
                }
            }
            None => drop(known.functions.remove(function)),
        }
        policy
    }

    /// Some changes were missed.
    pub(super) fn forget_all(&self) {
        let mut known = self.known();
        known.changes += 1;
        known.functions.clear();
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::function::SpecDraft;

    fn spec(labels: &[(&str, &str)]) -> Spec {
        let labels = labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        SpecDraft { image: "i".into(), labels, ..SpecDraft::default() }.try_into().unwrap()
    }

    #[test]
    fn as_many_calls_are_under_way_as_replicas_carry_and_one_where_there_is_none() {
        let own = spec(&[("com.openfaas.queue.max-inflight", "300")]);
        let capacity = spec(&[("com.openfaas.scale.type", "rps,capacity"), ("com.openfaas.scale.target", "50,2.5")]);
        for (spec, ready, expected) in [
            (&spec(&[]), 0, 1),
            (&spec(&[]), 1, 16),
            (&spec(&[]), 3, 48),
            (&spec(&[]), 1000, 256),
            (&own, 0, 1),
            (&own, 1, 300),
            (&own, 9, 300),
            (&capacity, 1, 2),
            (&capacity, 4, 10),
            (&spec(&[("com.openfaas.scale.type", "capacity"), ("com.openfaas.scale.target", "0.1")]), 1, 1),
            (&spec(&[("com.openfaas.scale.type", "rps")]), 2, 32),
        ] {
            assert_eq!(limit(spec, ready), expected, "{:?} {ready}", spec.labels);
        }
    }
}
