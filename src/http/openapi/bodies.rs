//! What requests carry in path, query and body, as the document shows it. The parsers in `wire` are more lenient than any schema; a test holds
//! both together: they read every property that stands here, and refuse one that is of another type.

#![expect(dead_code, reason = "read by derive alone")]

use std::collections::BTreeMap;

use utoipa::{IntoParams, ToSchema};

/// A function as it is deployed.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase", example = json!({"service": "env", "image": "docker.io/functions/alpine:latest", "envProcess": "env"}))]
pub(crate) struct FunctionDeployment {
    /// The function's name, a DNS label
    #[schema(max_length = 63, pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
    service: String,
    /// The image's reference
    #[schema(min_length = 1)]
    image: String,
    /// The namespace, else the query's, else the default one
    namespace: Option<String>,
    /// The process that the watchdog runs
    env_process: Option<String>,
    /// Environment variables
    env_vars: Option<BTreeMap<String, String>>,
    /// Kept and given back
    constraints: Option<Vec<String>>,
    /// Names of secrets, which must be there
    secrets: Option<Vec<String>>,
    /// Labels; com.openfaas.scale.min is how many replicas it starts with
    labels: Option<BTreeMap<String, String>>,
    /// Annotations
    annotations: Option<BTreeMap<String, String>>,
    /// The most that an instance may use
    limits: Option<FunctionResources>,
    /// What an instance asks for
    requests: Option<FunctionResources>,
    /// Whether the root file system is read-only
    read_only_root_filesystem: Option<bool>,
}

/// Quantities as Kubernetes writes them. Those of vendors, any name with a domain before it, are kept and given back.
#[derive(ToSchema)]
pub(crate) struct FunctionResources {
    /// Bytes, such as 128Mi
    memory: Option<String>,
    /// Cores, such as 500m
    cpu: Option<String>,
    /// Kept and given back
    #[schema(rename = "nvidia.com/gpu")]
    nvidia_gpu: Option<String>,
    /// Kept and given back
    #[schema(rename = "amd.com/gpu")]
    amd_gpu: Option<String>,
    /// Kept and given back
    #[schema(rename = "intel.com/gpu")]
    intel_gpu: Option<String>,
}

/// Which function is to go.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase", example = json!({"functionName": "env"}))]
pub(crate) struct DeleteFunctionRequest {
    /// The function's name
    function_name: String,
    /// The namespace, else the query's, else the default one
    namespace: Option<String>,
}

/// How many instances a function is to have.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase", example = json!({"serviceName": "env", "replicas": 2}))]
pub(crate) struct ScaleServiceRequest {
    /// The function's name, else the path's
    service_name: Option<String>,
    /// How many; 0 stops it
    #[schema(minimum = 0, maximum = 1000)]
    replicas: u64,
    /// The namespace, else the query's, else the default one
    namespace: Option<String>,
}

/// A secret and its value.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase", example = json!({"name": "api-key", "value": "s3cret"}))]
pub(crate) struct Secret {
    /// The secret's name
    #[schema(min_length = 1)]
    name: String,
    /// The namespace, else the query's, else the default one
    namespace: Option<String>,
    /// The value as text
    value: Option<String>,
    /// The value in base64; it counts if both are there
    #[schema(content_encoding = "base64", example = "czNjcmV0")]
    raw_value: Option<String>,
}

/// Which secret is to go.
#[derive(ToSchema)]
#[schema(example = json!({"name": "api-key"}))]
pub(crate) struct DeleteSecretRequest {
    /// The secret's name
    #[schema(min_length = 1)]
    name: String,
    /// The namespace, else the query's, else the default one
    namespace: Option<String>,
}

/// A secret as the list shows it.
#[derive(ToSchema)]
pub(crate) struct ListedSecret {
    /// The secret's name
    name: String,
    /// Where it is
    namespace: String,
}

/// A namespace of functions. A body must say so by the label openfaas, 1 or true.
#[derive(ToSchema)]
#[schema(example = json!({"name": "staging", "labels": {"openfaas": "1"}}))]
pub(crate) struct FunctionNamespace {
    /// Its name, a DNS label
    name: String,
    /// Its labels
    labels: Option<BTreeMap<String, String>>,
    /// Its annotations
    annotations: Option<BTreeMap<String, String>>,
}

/// The namespace that a path names.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct NamedNamespace {
    /// The namespace's name, as the body says it
    #[param(example = "staging")]
    name: String,
}

/// The function that a path names.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct Named {
    /// The function's name
    #[param(example = "env")]
    name: String,
}

/// The namespace that a query names.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct InNamespace {
    /// The namespace, where the body names none; the default one if it is left out
    namespace: Option<String>,
}

/// What else a query for one function can ask for.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct WithUsage {
    /// Whether to measure what the function uses
    usage: Option<bool>,
}

/// Which lines are asked for.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct LogRequest {
    /// The function's name
    #[param(example = "env")]
    name: Option<String>,
    /// The namespace; the default one if it is left out
    namespace: Option<String>,
    /// Only what this instance wrote
    instance: Option<String>,
    /// Only the last so many lines, of all instances together; 0 and less are all
    tail: Option<i64>,
    /// Only what was written at this time or later
    #[param(format = DateTime)]
    since: Option<String>,
    /// Whether to wait for more
    follow: Option<bool>,
}
