//! The types of the REST API as a client sees them: nulls, missing keys and keys of a later version are no errors.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::ClientError;
use crate::function::{FunctionId, Resources, SecretName, Spec};

type Texts = BTreeMap<String, String>;

/// A function as `GET /system/functions` shows it.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(in crate::cli) struct Function {
    pub(in crate::cli) name: String,
    #[serde(deserialize_with = "or_default")]
    pub(in crate::cli) image: String,
    #[serde(deserialize_with = "or_default")]
    pub(in crate::cli) namespace: String,
    #[serde(deserialize_with = "or_default")]
    pub(in crate::cli) env_process: String,
    #[serde(deserialize_with = "or_default")]
    pub(in crate::cli) env_vars: Texts,
    #[serde(deserialize_with = "or_default")]
    pub(in crate::cli) constraints: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    pub(in crate::cli) secrets: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    pub(in crate::cli) labels: Texts,
    #[serde(deserialize_with = "or_default")]
    pub(in crate::cli) annotations: Texts,
    #[serde(deserialize_with = "quantities")]
    pub(in crate::cli) limits: Texts,
    #[serde(deserialize_with = "quantities")]
    pub(in crate::cli) requests: Texts,
    #[serde(deserialize_with = "or_default")]
    pub(in crate::cli) read_only_root_filesystem: bool,
    #[serde(deserialize_with = "or_default")]
    pub(in crate::cli) invocation_count: f64,
    #[serde(deserialize_with = "or_default")]
    pub(in crate::cli) replicas: u64,
    #[serde(deserialize_with = "or_default")]
    pub(in crate::cli) available_replicas: u64,
    #[serde(deserialize_with = "or_default")]
    pub(in crate::cli) created_at: String,
    pub(in crate::cli) usage: Option<Usage>,
    /// What actord says beyond OpenFaaS, when there is something to say.
    pub(in crate::cli) lifecycle: Option<Lifecycle>,
}

/// What a function uses now.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(in crate::cli) struct Usage {
    /// Milli-cores.
    pub(in crate::cli) cpu: f64,
    pub(in crate::cli) total_memory_bytes: f64,
}

/// Where a function stands that is not simply ready.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(in crate::cli) struct Lifecycle {
    pub(in crate::cli) phase: String,
    pub(in crate::cli) generation: u64,
    pub(in crate::cli) serving_generation: Option<u64>,
    pub(in crate::cli) reason: Option<String>,
    pub(in crate::cli) restarts: u64,
    pub(in crate::cli) retry_in_seconds: Option<u64>,
    /// What is being done for the instance that comes up.
    pub(in crate::cli) step: Option<String>,
}

fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(from: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

/// Limits or requests by their names. Of another type than text are only those of a later version.
fn quantities<'de, D: Deserializer<'de>>(from: D) -> Result<Texts, D::Error> {
    let all: BTreeMap<String, Value> = or_default(from)?;
    let texts = all.into_iter().filter_map(|(name, quantity)| Some((name, quantity.as_str()?.to_owned())));
    Ok(texts.collect())
}

impl Function {
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
    pub(in crate::cli) function: Function,
}

impl TryFrom<Value> for Shown {
    type Error = ClientError;

    fn try_from(json: Value) -> Result<Self, ClientError> {
        let function = Function::deserialize(&json)
            .map_err(|error| ClientError::Unreachable(format!("the gateway's answer is no function: {error}")))?;
        Ok(Self { json, function })
    }
}

/// Body of POST and PUT `/system/functions`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::cli) struct Deployment<'a> {
    service: &'a str,
    image: &'a str,
    namespace: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    env_process: &'a str,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    env_vars: &'a Texts,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    constraints: &'a [String],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    secrets: &'a [SecretName],
    labels: &'a Texts,
    annotations: &'a Texts,
    #[serde(skip_serializing_if = "Option::is_none")]
    limits: Option<&'a Resources>,
    #[serde(skip_serializing_if = "Option::is_none")]
    requests: Option<&'a Resources>,
    read_only_root_filesystem: bool,
}

impl<'a> Deployment<'a> {
    pub(in crate::cli) fn new(id: &'a FunctionId, spec: &'a Spec) -> Self {
        Self {
            service: id.name.as_str(),
            image: &spec.image,
            namespace: id.namespace.as_str(),
            env_process: &spec.env_process,
            env_vars: &spec.env_vars,
            constraints: &spec.constraints,
            secrets: &spec.secrets,
            labels: &spec.labels,
            annotations: &spec.annotations,
            limits: spec.limits.as_ref(),
            requests: spec.requests.as_ref(),
            read_only_root_filesystem: spec.read_only_root_filesystem,
        }
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
        let limits = Shown::try_from(mixed).unwrap().function.limits;
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
