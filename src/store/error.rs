//! Why the store did not do it, for the operator, who has to put it right.

use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

use crate::function::{Namespace, SecretName};

/// Why the store did not do it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// No room: nothing was changed.
    #[error("the store is full: free some disk space where the data directory lies ({0})")]
    Full(String),
    /// A newer actord wrote it.
    #[error("the store has schema version {found}, this actord knows {known}: start the newer actord again")]
    Newer {
        /// The version in the file.
        found: i64,
        /// The newest version that this program knows.
        known: i64,
    },
    /// An older actord wrote it, and its reader may not change it.
    #[error(
        "the store has schema version {found}, this actord has {known}: run `actord up` once, it brings it up to date"
    )]
    Older {
        /// The version in the file.
        found: i64,
        /// The version that this program reads.
        known: i64,
    },
    /// The file can't be read as a store.
    #[error("the store is damaged: {0}")]
    Damaged(String),
    /// The file can't be read as a store, and its copy can't stand in for it. Both are left as they are.
    #[error(
        "the store {path} is damaged ({reason}), and its copy {copy} can't replace it ({copy_reason}): put a backup of it \
         there, or move both away to begin without any function"
    )]
    Unrecoverable {
        /// The store.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
        /// Where its copy should be.
        copy: PathBuf,
        /// What is wrong with that.
        copy_reason: String,
    },
    /// A function was to be written into a namespace that is not there.
    #[error("namespace {0} not found: create it first")]
    NoNamespace(Namespace),
    /// A function was to be written that names a secret which is not there.
    #[error("unable to find secret: {0}")]
    NoSecret(SecretName),
    /// Anything else; nothing was changed.
    #[error("the store failed: {0}")]
    Failed(String),
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full(error.to_string()),
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Damaged(error.to_string()),
            _ => Self::Failed(error.to_string()),
        }
    }
}

impl StoreError {
    /// The system refused something of a file.
    pub(super) fn io(what: &str, path: &Path, error: &std::io::Error) -> Self {
        let text = format!("can't {what} {}: {error}", path.display());
        match error.kind() {
            std::io::ErrorKind::StorageFull => Self::Full(text),
            _ => Self::Failed(text),
        }
    }
}
