//! A function as it is deployed and as it is shown: a spec's fields are listed once for both.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use super::FunctionResources;
use crate::function::{FunctionId, Invalid, SecretName, Spec, SpecDraft};

/// Makes a type of the fields of a spec, with others before and after them, and the ways from and to a spec.
macro_rules! with_spec {
    ($(#[$about:meta])* nullable: $nullable:tt, maps_left_out: $left_out:tt, $name:ident { $($before:tt)* } { $($after:tt)* }) => {
        #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
        $(#[$about])*
        #[serde(default, rename_all = "camelCase")]
        pub struct $name {
            $($before)*
            /// The process that the watchdog runs
            #[serde(skip_serializing_if = "String::is_empty")]
            #[schema(nullable = $nullable)]
            pub env_process: String,
            /// Environment variables
            #[serde(skip_serializing_if = "BTreeMap::is_empty")]
            #[schema(nullable = $nullable)]
            pub env_vars: BTreeMap<String, String>,
            /// Kept and given back
            #[serde(skip_serializing_if = "Vec::is_empty")]
            #[schema(nullable = $nullable)]
            pub constraints: Vec<String>,
            /// Names of secrets, which must be there
            #[serde(skip_serializing_if = "Vec::is_empty")]
            #[schema(nullable = $nullable)]
            pub secrets: Vec<String>,
            /// Labels; com.openfaas.scale.min is how many replicas it starts with
            #[serde(skip_serializing_if = $left_out)]
            #[schema(nullable = $nullable)]
            pub labels: BTreeMap<String, String>,
            /// Annotations
            #[serde(skip_serializing_if = $left_out)]
            #[schema(nullable = $nullable)]
            pub annotations: BTreeMap<String, String>,
            /// The most that an instance may use
            #[serde(skip_serializing_if = "FunctionResources::is_empty")]
            #[schema(nullable = $nullable)]
            pub limits: FunctionResources,
            /// What an instance asks for
            #[serde(skip_serializing_if = "FunctionResources::is_empty")]
            #[schema(nullable = $nullable)]
            pub requests: FunctionResources,
            /// Whether the root file system is read-only
            #[serde(skip_serializing_if = "std::ops::Not::not")]
            #[schema(nullable = $nullable)]
            pub read_only_root_filesystem: bool,
            $($after)*
        }

        impl $name {
            /// What a spec asks for, and nothing else.
            #[must_use]
            pub fn of(spec: &SpecDraft) -> Self {
                let SpecDraft {
                    image, env_process, env_vars, constraints, secrets, labels, annotations, limits, requests,
                    read_only_root_filesystem,
                } = spec.clone();
                Self {
                    image, env_process, env_vars, constraints, labels, annotations, read_only_root_filesystem,
                    secrets: secrets.into_iter().map(String::from).collect(),
                    limits: FunctionResources(limits),
                    requests: FunctionResources(requests),
                    ..Self::default()
                }
            }

            /// The spec that it asks for, unchecked but for the names in it.
            ///
            /// # Errors
            /// [`Invalid`] with a name that can't be a secret's.
            pub fn draft(&self) -> Result<SpecDraft, Invalid> {
                let Self {
                    image, env_process, env_vars, constraints, secrets, labels, annotations, limits, requests,
                    read_only_root_filesystem, ..
                } = self.clone();
                Ok(SpecDraft {
                    image, env_process, env_vars, constraints, labels, annotations, read_only_root_filesystem,
                    secrets: secrets.iter().map(|name| name.parse()).collect::<Result<Vec<SecretName>, _>>()?,
                    limits: limits.0,
                    requests: requests.0,
                })
            }
        }
    };
}

with_spec! {
    /// A function as it is deployed.
    #[schema(example = json!({"service": "env", "image": "docker.io/functions/alpine:latest", "envProcess": "env"}))]
    nullable: true,
    maps_left_out: "BTreeMap::is_empty",
    FunctionDeployment {
        /// The function's name, a DNS label
        #[schema(required, max_length = 63, pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
        pub service: String,
        /// The image's reference
        #[schema(required, min_length = 1)]
        pub image: String,
        /// The namespace, else the query's, else the default one
        #[serde(skip_serializing_if = "String::is_empty")]
        #[schema(nullable)]
        pub namespace: String,
    } {}
}

impl FunctionDeployment {
    /// What asks for this function.
    #[must_use]
    pub fn new(id: &FunctionId, spec: &Spec) -> Self {
        Self { service: id.name.to_string(), namespace: id.namespace.to_string(), ..Self::of(spec) }
    }
}

with_spec! {
    /// What `GET /system/functions` and `GET /system/function/{name}` show. Whatever is empty or zero is left out, but for
    /// labels and annotations: clients of OpenFaaS read them without a look whether they are there.
    nullable: false,
    maps_left_out: "never",
    FunctionStatus {
        /// The function's name
        #[schema(required)]
        pub name: String,
        /// The image's reference
        #[schema(required)]
        pub image: String,
        /// The namespace that it is in
        #[schema(required)]
        pub namespace: String,
    } {
        /// How many requests it was asked
        #[serde(skip_serializing_if = "is_zero", deserialize_with = "whole")]
        pub invocation_count: u64,
        /// How many instances it is to have
        #[serde(skip_serializing_if = "is_zero")]
        pub replicas: u64,
        /// How many of them are ready
        #[serde(skip_serializing_if = "is_zero")]
        pub available_replicas: u64,
        /// When it was deployed first
        #[schema(required, format = DateTime)]
        pub created_at: String,
        /// What it uses of the machine, if the query asks for that
        #[serde(skip_serializing_if = "Option::is_none")]
        pub usage: Option<Usage>,
        /// What actord says beyond OpenFaaS, when there is something to say
        #[serde(skip_serializing_if = "Option::is_none")]
        pub lifecycle: Option<Lifecycle>,
    }
}

/// All replicas together.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Usage {
    /// Milli-cores.
    #[serde(skip_serializing_if = "is_nothing")]
    pub cpu: f64,
    /// Bytes that can't easily be taken back.
    #[serde(skip_serializing_if = "is_zero", deserialize_with = "whole")]
    pub total_memory_bytes: u64,
}

/// What OpenFaaS has no words for: said only when there is something to say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Lifecycle {
    /// One word for where it stands.
    #[schema(required)]
    pub phase: String,
    /// How long it has been that, as far as this actord knows: an earlier one took its knowledge along.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub for_seconds: Option<u64>,
    /// What it becomes next if nothing calls it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<NextTier>,
    /// How many of its ready instances are frozen until the next call.
    #[serde(skip_serializing_if = "is_zero")]
    pub frozen: u64,
    /// How many instances are ready beyond those, to take the place of one that dies.
    #[serde(skip_serializing_if = "is_zero")]
    pub spares: u64,
    /// How many instances were asked for, where `replicas` is another number: it is idle, kept down, or follows its load.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asked: Option<u64>,
    /// Why the autoscaler chose the number of replicas, if it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scaled_because: Option<String>,
    /// What its labels ask for and does not come of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remark: Option<String>,
    /// Whether it was stopped by hand: nothing runs, whatever is called, until it is started by hand.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub kept_down: bool,
    /// Counts the specs that it was given.
    #[schema(required)]
    pub generation: u64,
    /// The newest generation with an instance that serves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serving_generation: Option<u64>,
    /// What went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How often an instance that served had to be replaced.
    #[serde(skip_serializing_if = "is_zero")]
    pub restarts: u64,
    /// Until the next start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_in_seconds: Option<u64>,
    /// What the start that is under way waits for, also while an older generation serves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// What it waits for in that step, if it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting_for: Option<String>,
    /// Bytes of its image that are here, while it is being pulled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pulled: Option<u64>,
    /// Bytes that the image has, once the registry has told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pull_total: Option<u64>,
    /// How the version that serves was found to be ready, where that was not by its own word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub judged: Option<String>,
    /// The image that was asked for last, where that failed and what is shown is the one that serves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asked_image: Option<String>,
    /// The last update that was refused; what was asked for before it was put back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_refusal: Option<Refusal>,
    /// The generations that ever served, newest first, if it can be rolled back to one of them. Said of one function, and
    /// not in lists.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub generations: Vec<KeptGeneration>,
}

/// A generation that served, and that a function can be rolled back to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct KeptGeneration {
    /// Its number.
    #[schema(required)]
    pub generation: u64,
    /// Its image.
    #[schema(required)]
    pub image: String,
    /// When it was accepted, if that was noted.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schema(format = DateTime)]
    pub accepted: String,
}

/// A tier of idleness, and when it is due.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct NextTier {
    /// `frozen`: its processes stand still until the next call. `stopped`: nothing of it runs until then.
    #[schema(required)]
    pub tier: String,
    /// Until then, if nothing calls it meanwhile; 0 if it is due.
    #[schema(required)]
    pub in_seconds: u64,
}

/// An update that was refused.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Refusal {
    /// The image that it asked for.
    pub image: String,
    /// Why it was refused.
    pub reason: String,
    /// When.
    #[schema(format = DateTime)]
    pub time: String,
    /// Its number among the specs that the function was given; it is not used again.
    pub generation: u64,
}

/// Go's gateways count in floating point.
fn whole<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    let number = f64::deserialize(from)?;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "what is no count is the nearest one")]
    Ok(number as u64)
}

/// Of what is always shown.
fn never<T>(_: &T) -> bool {
    false
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_nothing(number: &f64) -> bool {
    *number == 0.0
}
