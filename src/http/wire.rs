//! The types of the REST API: read leniently, written exactly.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use super::json::Fields;
use super::openapi::FunctionResources;
use crate::engine::{Used, View};
use crate::function::{FunctionName, Generation, Invalid, Phase, Resources, SecretName, Spec, SpecDraft};

/// The most replicas that may be asked for: a typing error should not fill the machine.
const REPLICAS_MAX: u64 = 1_000;

/// What Go writes for a time that was never set.
const NO_TIME: &str = "0001-01-01T00:00:00Z";

/// Body of POST and PUT `/system/functions`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Deployment {
    pub(super) name: FunctionName,
    /// As it was sent; empty if it was not.
    pub(super) namespace: String,
    pub(super) spec: Spec,
}

impl Deployment {
    pub(super) fn parse(body: &[u8]) -> Result<Self, Invalid> {
        let mut fields = Fields::parse(body)?;
        let secrets = fields.texts("secrets")?;
        let draft = SpecDraft {
            image: fields.text("image")?,
            env_process: fields.text("envProcess")?,
            env_vars: fields.map("envVars")?,
            constraints: fields.texts("constraints")?,
            secrets: secrets.iter().map(|name| name.parse()).collect::<Result<Vec<SecretName>, _>>()?,
            labels: fields.map("labels")?,
            annotations: fields.map("annotations")?,
            limits: resources(fields.object("limits")?)?,
            requests: resources(fields.object("requests")?)?,
            read_only_root_filesystem: fields.flag("readOnlyRootFilesystem")?,
        };
        Ok(Self {
            name: fields.text("service")?.parse()?,
            namespace: fields.text("namespace")?,
            spec: Spec::try_from(draft)?,
        })
    }
}

fn resources(mut fields: Fields) -> Result<Option<Resources>, Invalid> {
    let known = [("memory".to_owned(), fields.text("memory")?), ("cpu".to_owned(), fields.text("cpu")?)];
    let mut quantities = fields.remaining(Resources::is_vendors)?;
    quantities.extend(known);
    Ok(Resources::of(quantities))
}

/// Body of DELETE `/system/functions`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Deletion {
    pub(super) name: FunctionName,
    pub(super) namespace: String,
}

impl Deletion {
    pub(super) fn parse(body: &[u8]) -> Result<Self, Invalid> {
        let mut fields = Fields::parse(body)?;
        Ok(Self { name: fields.text("functionName")?.parse()?, namespace: fields.text("namespace")? })
    }
}

/// Body of POST `/system/scale-function/{name}`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Scaling {
    /// As the body says; the path's name if it says nothing.
    pub(super) name: FunctionName,
    pub(super) namespace: String,
    pub(super) replicas: u32,
}

impl Scaling {
    pub(super) fn parse(body: &[u8], name_in_path: &str) -> Result<Self, Invalid> {
        let mut fields = Fields::parse(body)?;
        let names = [fields.text("serviceName")?, fields.text("service")?];
        let name = names.iter().map(String::as_str).find(|name| !name.is_empty()).unwrap_or(name_in_path);
        // A body without it must not stop a function.
        let replicas = fields.count("replicas")?.filter(|n| *n <= REPLICAS_MAX);
        let replicas = replicas.and_then(|n| u32::try_from(n).ok()).ok_or_else(|| {
            Invalid(format!("invalid field \"replicas\": expected a number from 0 to {REPLICAS_MAX}"))
        })?;
        Ok(Self { name: name.parse()?, namespace: fields.text("namespace")?, replicas })
    }
}

/// What `GET /system/functions` and `GET /system/function/{name}` show. Whatever is empty or zero is left out.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct FunctionStatus<'a> {
    name: &'a str,
    image: &'a str,
    namespace: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    env_process: &'a str,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    env_vars: &'a BTreeMap<String, String>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    constraints: &'a [String],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    #[schema(value_type = Vec<String>)]
    secrets: &'a [SecretName],
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    labels: &'a BTreeMap<String, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: &'a BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<FunctionResources>)]
    limits: Option<&'a Resources>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<FunctionResources>)]
    requests: Option<&'a Resources>,
    #[serde(skip_serializing_if = "is_false")]
    read_only_root_filesystem: bool,
    #[serde(skip_serializing_if = "is_zero")]
    invocation_count: u64,
    #[serde(skip_serializing_if = "is_zero")]
    replicas: u64,
    #[serde(skip_serializing_if = "is_zero")]
    available_replicas: u64,
    #[schema(format = DateTime)]
    created_at: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Usage>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lifecycle: Option<Lifecycle<'a>>,
}

/// What OpenFaaS has no words for: said only when there is something to say.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Lifecycle<'a> {
    phase: String,
    #[schema(value_type = u64)]
    generation: Generation,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u64>)]
    serving_generation: Option<Generation>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "is_zero")]
    restarts: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_in_seconds: Option<u64>,
    /// What the start that is under way waits for, also while an older generation serves.
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<String>,
    /// Bytes of its image that are here, while it is being pulled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pulled: Option<u64>,
    /// Bytes that the image has, once the registry has told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pull_total: Option<u64>,
}

impl<'a> FunctionStatus<'a> {
    /// None for a function that is deleted and on its way out.
    pub(super) fn of(view: &'a View, invocations: u64) -> Option<Self> {
        let desired = view.status.desired.as_ref()?;
        let spec = &desired.spec;
        Some(Self {
            name: view.id.name.as_str(),
            image: &spec.image,
            namespace: view.id.namespace.as_str(),
            env_process: &spec.env_process,
            env_vars: &spec.env_vars,
            constraints: &spec.constraints,
            secrets: &spec.secrets,
            labels: &spec.labels,
            annotations: &spec.annotations,
            limits: spec.limits.as_ref(),
            requests: spec.requests.as_ref(),
            read_only_root_filesystem: spec.read_only_root_filesystem,
            invocation_count: invocations,
            replicas: desired.replicas.into(),
            available_replicas: view.status.ready.into(),
            created_at: Some(desired.created_at.as_str()).filter(|time| !time.is_empty()).unwrap_or(NO_TIME),
            usage: None,
            lifecycle: Lifecycle::of(view),
        })
    }

    /// With what the function uses of the machine.
    pub(super) fn using(self, used: Option<Used>) -> Self {
        // Hundredths of a milli-core are as much as anybody can measure.
        let usage = |used: Used| Usage {
            cpu: (used.cpu_millis * 100.0).round() / 100.0,
            total_memory_bytes: used.memory_bytes,
        };
        Self { usage: used.map(usage), ..self }
    }
}

/// All replicas together.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Usage {
    /// Milli-cores.
    #[serde(skip_serializing_if = "is_nothing")]
    cpu: f64,
    #[serde(skip_serializing_if = "is_zero")]
    total_memory_bytes: u64,
}

impl<'a> Lifecycle<'a> {
    fn of(view: &'a View) -> Option<Self> {
        let status = &view.status;
        let desired = status.desired.as_ref()?;
        let reason = status.failure.as_ref().map(|failure| &failure.reason).or(desired.failed.as_ref());
        if matches!(status.phase, Phase::Ready | Phase::Stopped) && reason.is_none() {
            return None;
        }
        Some(Self {
            phase: status.phase.to_string(),
            generation: desired.generation,
            serving_generation: status.serving,
            reason: reason.map(String::as_str),
            restarts: status.restarts,
            retry_in_seconds: view.retry_in.map(|wait| wait.as_secs() + u64::from(wait.subsec_nanos() > 0)),
            step: view.step.map(|step| step.to_string()),
            pulled: view.pull.map(|pull| pull.pulled),
            pull_total: view.pull.and_then(|pull| pull.total),
        })
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_nothing(number: &f64) -> bool {
    *number == 0.0
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(flag: &bool) -> bool {
    !*flag
}

/// Both shapes of `GET /system/info` are made of this.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Version<'a> {
    pub(super) release: &'a str,
    pub(super) sha: &'a str,
    pub(super) commit_message: &'a str,
}

/// The provider's `GET /system/info`: `provider` is a string.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ProviderInfo<'a> {
    pub(super) provider: &'a str,
    pub(super) version: Version<'a>,
    pub(super) orchestration: &'a str,
}

/// The gateway's `GET /system/info`: `provider` is an object.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct GatewayInfo<'a> {
    pub(super) provider: ProviderInfo<'a>,
    pub(super) version: Version<'a>,
    pub(super) arch: &'a str,
}

/// What `GET /system/info` answers: the gateway's shape on the public listener, the provider's on the other.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(super) enum Info<'a> {
    Gateway(GatewayInfo<'a>),
    Provider(ProviderInfo<'a>),
}
