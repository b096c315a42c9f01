//! What AlertManager sends to a webhook, as far as it is read.

use serde::{Deserialize, Serialize};

/// Body of POST `/system/alert`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Alerts {
    /// What there is to say, of one function each.
    pub alerts: Vec<Alert>,
}

/// What AlertManager has to say of one function.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Alert {
    /// `firing` or `resolved`.
    pub status: String,
    /// What the rule wrote on it.
    pub labels: AlertLabels,
}

/// The labels of an alert that are read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AlertLabels {
    /// As it was sent; empty for an alert that is about no function.
    pub function_name: String,
}
