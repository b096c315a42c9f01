//! The stack file, as `faas-cli` defines it. A key that is not known is an error: it may be a misspelt one.

use std::collections::BTreeMap;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use crate::function::{Invalid, Resources, SecretName, Spec, SpecDraft};

/// Any scalar is text here, as for `faas-cli`; nothing is the empty text.
pub(super) type Texts = BTreeMap<String, Option<String>>;

/// A stack file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "what only faas-cli reads is named here, so that it is known")]
pub(super) struct StackFile {
    pub(super) version: Option<String>,
    pub(super) provider: Option<Provider>,
    pub(super) functions: Option<BTreeMap<String, Function>>,
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

/// One function of a stack file.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(dead_code, reason = "what only `faas-cli build` reads is named here, so that it is known")]
pub(super) struct Function {
    image: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) namespace: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fprocess: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) environment: Option<Texts>,
    #[serde(skip_serializing)]
    pub(super) environment_file: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    constraints: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    secrets: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    labels: Option<Texts>,
    #[serde(skip_serializing_if = "Option::is_none")]
    annotations: Option<Texts>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limits: Option<Texts>,
    #[serde(skip_serializing_if = "Option::is_none")]
    requests: Option<Texts>,
    #[serde(skip_serializing_if = "Option::is_none")]
    readonly_root_filesystem: Option<bool>,
    #[serde(skip_serializing)]
    lang: IgnoredAny,
    #[serde(skip_serializing)]
    handler: IgnoredAny,
    #[serde(skip_serializing)]
    registry_auth: IgnoredAny,
    #[serde(skip_serializing)]
    skip_build: IgnoredAny,
    #[serde(skip_serializing)]
    build_args: IgnoredAny,
    #[serde(skip_serializing)]
    build_options: IgnoredAny,
    #[serde(skip_serializing)]
    build_secrets: IgnoredAny,
    #[serde(skip_serializing)]
    copy: IgnoredAny,
    #[serde(skip_serializing)]
    platforms: IgnoredAny,
}

impl StackFile {
    pub(super) fn new(functions: BTreeMap<String, Function>) -> Self {
        Self {
            version: Some("1.0".into()),
            provider: Some(Provider { name: Some("openfaas".into()), gateway: None, network: IgnoredAny }),
            functions: Some(functions),
            configuration: IgnoredAny,
        }
    }
}

impl Function {
    pub(super) fn of(namespace: &str, spec: &Spec) -> Self {
        let texts = |map: &BTreeMap<String, String>| {
            (!map.is_empty()).then(|| map.iter().map(|(key, value)| (key.clone(), Some(value.clone()))).collect())
        };
        let list = |list: Vec<String>| (!list.is_empty()).then_some(list);
        let quantities = |of: &Option<Resources>| texts(&of.as_ref().map(Resources::quantities).unwrap_or_default());
        Self {
            image: Some(spec.image.clone()),
            namespace: Some(namespace.to_owned()),
            fprocess: (!spec.env_process.is_empty()).then(|| spec.env_process.clone()),
            environment: texts(&spec.env_vars),
            constraints: list(spec.constraints.clone()),
            secrets: list(spec.secrets.iter().map(ToString::to_string).collect()),
            labels: texts(&spec.labels),
            annotations: texts(&spec.annotations),
            limits: quantities(&spec.limits),
            requests: quantities(&spec.requests),
            readonly_root_filesystem: spec.read_only_root_filesystem.then_some(true),
            ..Self::default()
        }
    }

    /// What it asks for. Files of variables were merged into the environment before.
    pub(super) fn spec(self) -> Result<Spec, Invalid> {
        let texts = |map: Option<Texts>| {
            map.unwrap_or_default().into_iter().map(|(key, value)| (key, value.unwrap_or_default())).collect()
        };
        let resources = |of: Option<Texts>| Resources::of(texts(of));
        let secrets = self.secrets.unwrap_or_default();
        Spec::try_from(SpecDraft {
            image: self.image.unwrap_or_default(),
            env_process: self.fprocess.unwrap_or_default(),
            env_vars: texts(self.environment),
            constraints: self.constraints.unwrap_or_default(),
            secrets: secrets.iter().map(|name| name.parse()).collect::<Result<Vec<SecretName>, _>>()?,
            labels: texts(self.labels),
            annotations: texts(self.annotations),
            limits: resources(self.limits),
            requests: resources(self.requests),
            read_only_root_filesystem: self.readonly_root_filesystem.unwrap_or_default(),
        })
    }
}
