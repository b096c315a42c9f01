//! Why nothing is upgraded.

use std::io;

/// Why nothing is upgraded.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// It would not be an upgrade, or one without a way back.
    #[error("{0}")]
    Not(String),
    /// What has to be kept can't be.
    #[error(transparent)]
    Io(#[from] io::Error),
}
