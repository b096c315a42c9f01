//! Instances of a function as they are listed.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// An instance of a function.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct ListedInstance {
    /// What it is called: logs name it so
    #[schema(required)]
    pub id: String,
    /// What it is an instance of
    #[schema(required)]
    pub generation: u64,
    /// `starting`, `adopting`, `ready`, `frozen`, `spare`, `not ready`, `draining` or `removing`
    #[schema(required)]
    pub phase: String,
    /// Where it listens, as this machine reaches it; left out until it was ready
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}
