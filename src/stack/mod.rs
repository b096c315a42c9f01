//! A whole desired state as a directory that people and `faas-cli` can read.
//!
//! ```text
//! <namespace>.yml               an OpenFaaS stack file: what was asked for
//! actord.json                   what stack files have no words for: generations, replicas, the last good spec
//! secrets.json                  names of secrets by namespace
//! secrets/<namespace>/<name>    their values, only where the export asks for them
//! ```
//! Reading takes every `*.yml` and `*.yaml` of a directory, written by us or by hand; the other files may be missing.
//! [`read_stack_files`] reads stack files alone, to be deployed, and fills in the variables that they name. [`gather`] does so for
//! another machine that is to read them.

mod function;
#[cfg(feature = "testing")]
pub(crate) mod fuzzed;
mod gather;
mod read;
mod state_file;
mod substitute;
mod write;
mod yaml;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

pub use function::lines;
pub use gather::{Gathered, gather};
pub use read::{read, read_stack_files};
pub use substitute::Variables;
pub use write::{write, write_with};

use crate::function::{Desired, FunctionId, Namespace, SecretName, Spec};

/// What stack files have no words for.
const STATE_FILE: &str = "actord.json";
const SECRETS_FILE: &str = "secrets.json";
const SECRETS_DIR: &str = "secrets";

/// Secrets by namespace; those without a value are known by name alone.
pub type SecretValues = BTreeMap<Namespace, BTreeMap<SecretName, Option<Vec<u8>>>>;

/// Why a directory is not a desired state.
#[derive(Debug, thiserror::Error)]
pub enum StackError {
    /// A file can't be read or written.
    #[error("can't {what} {path}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There is nothing to read.
    #[error("{0} holds no stack file: no name in it ends with .yml or .yaml")]
    Empty(PathBuf),
    /// A file says something that can't be.
    #[error("{path}: {reason}")]
    Content {
        /// Which file.
        path: PathBuf,
        /// Which key, and why.
        reason: String,
    },
}

impl StackError {
    fn io(what: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { what, path, source }
    }
}

/// A function as a directory has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// As it was exported, with its history.
    Kept(Desired),
    /// As a stack file alone describes it: a new one.
    Asked(Arc<Spec>),
}

impl Found {
    /// What is asked for.
    #[must_use]
    pub fn spec(&self) -> &Spec {
        match self {
            Self::Kept(desired) => &desired.spec,
            Self::Asked(spec) => spec,
        }
    }
}

/// What a directory holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contents {
    /// The functions.
    pub functions: BTreeMap<FunctionId, Found>,
    /// The secrets.
    pub secrets: SecretValues,
}

/// What stack files ask for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StackFiles {
    /// The functions.
    pub functions: BTreeMap<FunctionId, Spec>,
    /// The gateways that the files name.
    pub gateways: BTreeSet<String>,
}

#[cfg(test)]
mod tests;
