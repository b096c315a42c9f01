//! A namespace as it is made, changed and shown.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A namespace of functions. A body must say so by the label openfaas, 1 or true. Both maps are always sent, as clients read
/// them without a look whether they are there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
#[schema(example = json!({"name": "staging", "labels": {"openfaas": "1"}}))]
pub struct FunctionNamespace {
    /// Its name, a DNS label
    #[schema(required)]
    pub name: String,
    /// Its labels
    #[schema(nullable)]
    pub labels: BTreeMap<String, String>,
    /// Its annotations
    #[schema(nullable)]
    pub annotations: BTreeMap<String, String>,
}
