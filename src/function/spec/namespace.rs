//! What people and their tools say of a namespace. actord keeps it for them, and acts on none of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The label that makes a namespace one for functions.
pub const OPENFAAS: &str = "openfaas";

/// The labels and annotations of a namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamespaceMetadata {
    /// Labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

impl NamespaceMetadata {
    /// What holds for a namespace that was never described: that it is for functions.
    #[must_use]
    pub fn of_functions() -> Self {
        Self { labels: [(OPENFAAS.to_owned(), "1".to_owned())].into(), annotations: BTreeMap::new() }
    }
}
