//! The label by which clients of another provider find a function: `faas_function`, with the function's name.
//!
//! ```text
//! setting function-label: status + label -> client        client -> deployment - label -> record
//! ```
//! It is part of no record: with the setting, every status carries it, and a deployment that sends it asks for nothing by it.

use super::{FunctionDeployment, FunctionStatus};

/// The label's key.
pub const FUNCTION_LABEL: &str = "faas_function";

impl FunctionStatus {
    /// With the label that has the function's name, unless the function has one of that key.
    #[must_use]
    pub fn with_function_label(mut self) -> Self {
        let name = self.name.clone();
        self.labels.entry(FUNCTION_LABEL.to_owned()).or_insert(name);
        self
    }

    /// Without that label: what was asked of the function, whatever the gateway adds.
    #[must_use]
    pub fn without_function_label(mut self) -> Self {
        self.labels.retain(|key, value| key != FUNCTION_LABEL || *value != self.name);
        self
    }
}

impl FunctionDeployment {
    /// Without the label that has the function's name.
    #[must_use]
    pub fn without_function_label(mut self) -> Self {
        self.labels.retain(|key, value| key != FUNCTION_LABEL || *value != self.service);
        self
    }
}
