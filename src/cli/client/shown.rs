//! A function as the client shows it.

use serde_json::Value;

use super::ClientError;
use crate::wire::{self, FunctionStatus};

impl FunctionStatus {
    /// One word for where it stands.
    pub(in crate::cli) fn state(&self) -> &str {
        match &self.lifecycle {
            Some(lifecycle) if !lifecycle.phase.is_empty() => &lifecycle.phase,
            _ if self.replicas == 0 => "stopped",
            _ if self.available_replicas >= self.replicas => "ready",
            _ => "not ready",
        }
    }

    /// Ready replicas of those that should be.
    pub(in crate::cli) fn ready(&self) -> String {
        format!("{}/{}", self.available_replicas, self.replicas)
    }
}

/// A function, and the JSON that it was read from: what is shown as JSON is what the gateway said.
#[derive(Debug, Clone)]
pub(in crate::cli) struct Shown {
    pub(in crate::cli) json: Value,
    pub(in crate::cli) function: FunctionStatus,
}

impl TryFrom<Value> for Shown {
    type Error = ClientError;

    fn try_from(json: Value) -> Result<Self, ClientError> {
        let function = wire::read_value(&json)
            .map_err(|error| ClientError::Unreachable(format!("the gateway's answer is no function: {error}")))?;
        Ok(Self { json, function })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_function_is_read_whatever_is_missing_null_or_new() {
        let value = json!({"name": "a", "labels": null, "limits": null, "replicas": 2, "invocationCount": 1.0,
            "usage": null, "lifecycle": null, "createdAt": "x", "brandNew": {"a": 1}});
        let shown = Shown::try_from(value.clone()).unwrap();
        assert_eq!((shown.json, shown.function.state(), shown.function.ready().as_str()), (value, "not ready", "0/2"));
        let mixed = json!({"name": "a", "limits": {"cpu": "1", "memory": null, "nvidia.com/gpu": "2", "new": {}}});
        let limits = Shown::try_from(mixed).unwrap().function.limits.quantities();
        let limits: Vec<_> = limits.iter().map(|(name, quantity)| (name.as_str(), quantity.as_str())).collect();
        assert_eq!(limits, [("cpu", "1"), ("nvidia.com/gpu", "2")]);
        assert!(Shown::try_from(json!("a")).is_err());
    }

    #[test]
    fn the_state_is_the_lifecycles_phase_or_follows_from_the_replicas() {
        let state = |value: Value| Shown::try_from(value).unwrap().function.state().to_owned();
        assert_eq!(state(json!({"name": "a"})), "stopped");
        assert_eq!(state(json!({"name": "a", "replicas": 1, "availableReplicas": 1})), "ready");
        assert_eq!(state(json!({"name": "a", "replicas": 1, "lifecycle": {"phase": "backing off"}})), "backing off");
    }
}
