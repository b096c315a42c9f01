//! How much functions were called, in steps of time: each list is as long as any other of its answer, the oldest first.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The last hour of a function, or less where there is less.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct FunctionHistory {
    /// Whose
    #[schema(required)]
    pub function: String,
    /// Its namespace
    #[schema(required)]
    pub namespace: String,
    /// Seconds from one value to the next
    #[schema(required)]
    pub step: u64,
    /// When the last step ended
    #[schema(required, format = DateTime)]
    pub end: String,
    /// Calls that ended in each step
    #[schema(required)]
    pub calls: Vec<u32>,
    /// Those of them with a status of 500 or more
    #[schema(required)]
    pub errors: Vec<u32>,
    /// Half of them took no longer, in milliseconds; null: there was none
    #[schema(required)]
    pub p50: Vec<Option<f32>>,
    /// 99 of 100 took no longer, in milliseconds; null: there was none
    #[schema(required)]
    pub p99: Vec<Option<f32>>,
    /// Calls under way at each step's end
    #[schema(required)]
    pub in_flight: Vec<u32>,
    /// Instances that could be called at each step's end
    #[schema(required)]
    pub replicas: Vec<u32>,
    /// Cpu in thousandths of a core, all instances together
    #[schema(required)]
    pub cpu: Vec<u32>,
    /// Memory in bytes, all instances together
    #[schema(required)]
    pub memory: Vec<u64>,
}

/// The last minutes of all functions of a namespace.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct NamespaceHistory {
    /// Seconds from one value to the next
    #[schema(required)]
    pub step: u64,
    /// When the last step ended
    #[schema(required, format = DateTime)]
    pub end: String,
    /// Functions by name
    #[schema(required)]
    pub functions: BTreeMap<String, CallsOfFunction>,
}

/// How a function was called in the last steps.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct CallsOfFunction {
    /// Calls that ended in each step
    #[schema(required)]
    pub calls: Vec<u32>,
    /// Those of them with a status of 500 or more
    #[schema(required)]
    pub errors: Vec<u32>,
    /// 99 of 100 of the last step took no longer, in milliseconds; null: there was none
    #[schema(required)]
    pub p99: Option<f32>,
    /// Calls under way at the end, those that wait for an instance included
    #[schema(required)]
    pub in_flight: u32,
}
