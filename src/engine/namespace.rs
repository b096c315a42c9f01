//! Why a request about a namespace, or about a secret in one, was refused.

use crate::function::{Namespace, SecretName};

/// Why a secret was not changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretRefused {
    /// There is no such namespace.
    #[error("namespace not valid")]
    NoNamespace(Namespace),
    /// There is no such secret.
    #[error("unable to find secret: {0}")]
    NotFound(SecretName),
    /// There is such a secret already.
    #[error("secret {0} already exists: update it, or delete it first")]
    Exists(SecretName),
    /// Functions name it, in what is desired of them or in the spec that they fall back to.
    #[error(
        "secret {name} is used by {}, which can't start without it: update or delete them first, or delete it all the \
         same with ?force=true (actord secret rm --force)",
        .functions.join(", ")
    )]
    InUse {
        /// Which secret.
        name: SecretName,
        /// Their names, sorted.
        functions: Vec<String>,
    },
    /// There is no room to make it durable: the operator frees some.
    #[error("{0}")]
    Full(String),
    /// It is not known what became of it.
    #[error("{0}")]
    Failed(String),
}

/// Why a namespace was not changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NamespaceRefused {
    /// There is such a namespace already.
    #[error("namespace {0} already exists")]
    Exists(Namespace),
    /// There is no such namespace.
    #[error("namespace {0} not found")]
    NotFound(Namespace),
    /// Functions live in it.
    #[error("namespace {namespace} has functions in it, delete them first: {}", .functions.join(", "))]
    InUse {
        /// Which namespace.
        namespace: Namespace,
        /// Their names, sorted.
        functions: Vec<String>,
    },
    /// The default namespace stays.
    #[error("namespace {0} is the default one and can't be deleted")]
    Default(Namespace),
    /// There is no room to make it durable; nothing was changed.
    #[error("{0}")]
    Full(String),
    /// It could not be made durable for another reason; nothing was changed.
    #[error("{0}")]
    Failed(String),
}
