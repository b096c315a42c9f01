//! The stack file, as `faas-cli` defines it. A key that is not known is an error: it may be a misspelt one.

use std::collections::BTreeMap;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

/// Any scalar is text here, as for `faas-cli`; nothing is the empty text.
pub(super) type Texts = BTreeMap<String, Option<String>>;

/// A stack file with functions of the form that they are read or written in.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "what only faas-cli reads is named here, so that it is known")]
pub(super) struct StackFile<F> {
    pub(super) version: Option<String>,
    pub(super) provider: Option<Provider>,
    pub(super) functions: Option<BTreeMap<String, F>>,
    #[serde(default, skip_serializing)]
    configuration: IgnoredAny,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(dead_code, reason = "what only faas-cli reads is named here, so that it is known")]
pub(super) struct Provider {
    pub(super) name: Option<String>,
    #[serde(skip_serializing)]
    pub(super) gateway: Option<String>,
    #[serde(skip_serializing)]
    network: IgnoredAny,
}

/// A file of environment variables.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EnvironmentFile {
    pub(super) environment: Option<Texts>,
}

impl<F> StackFile<F> {
    pub(super) fn new(functions: BTreeMap<String, F>) -> Self {
        Self {
            version: Some("1.0".into()),
            provider: Some(Provider { name: Some("openfaas".into()), gateway: None, network: IgnoredAny }),
            functions: Some(functions),
            configuration: IgnoredAny,
        }
    }
}
