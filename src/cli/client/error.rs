//! Why a verb did not do what it was asked to, and the exit code that says so.

use std::io;

use crate::bundle::BundleError;
use crate::stack::StackError;

/// The exit codes of the client verbs. Each is one fact that a script can act on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitWith {
    /// Done.
    Done = 0,
    /// Something failed on this side, or a function did not become what was asked for.
    Failed = 1,
    /// The arguments or a file are wrong; nothing was asked of the gateway.
    Usage = 2,
    /// The gateway can't be reached, or the connection broke.
    Unreachable = 3,
    /// The answer was a 4xx: what was asked for can't be had as it is.
    Refused = 4,
    /// The answer was a 5xx: the same may work later.
    Unable = 5,
    /// Interrupted with Ctrl-C.
    Interrupted = 130,
}

impl ExitWith {
    /// The code for the status of an answer.
    #[must_use]
    pub fn of_status(status: u16) -> Self {
        match status {
            200..=299 => Self::Done,
            400..=499 => Self::Refused,
            500..=599 => Self::Unable,
            _ => Self::Failed,
        }
    }
}

/// Why a verb did not do what it was asked to: a sentence with the next step.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The arguments can't be right.
    #[error("{0}")]
    Usage(String),
    /// A stack file can't be used.
    #[error(transparent)]
    Stack(#[from] StackError),
    /// A bundle can't be made or applied.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// There is no gateway, or the connection to it broke.
    #[error("{0}")]
    Unreachable(String),
    /// The gateway answered, with something else than success.
    #[error("{text}")]
    Answer {
        /// Its status.
        status: u16,
        /// What it said, and what to do about it.
        text: String,
    },
    /// Something on this side failed.
    #[error("{0}")]
    Local(String),
    /// Standard output can't be written: its reader is gone.
    #[error("can't write to standard output: {0}")]
    Output(io::Error),
}

impl ClientError {
    /// The exit code that tells it apart.
    #[must_use]
    pub fn exit(&self) -> ExitWith {
        match self {
            Self::Usage(_) | Self::Stack(_) | Self::Bundle(BundleError::Broken { .. } | BundleError::Unfit(_)) => {
                ExitWith::Usage
            }
            Self::Unreachable(_) => ExitWith::Unreachable,
            Self::Answer { status, .. } => ExitWith::of_status(*status),
            Self::Local(_) | Self::Bundle(_) | Self::Output(_) => ExitWith::Failed,
        }
    }

    /// Whether the reader of standard output went away, as `head` does: nothing to complain about.
    #[must_use]
    pub fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }

    pub(in crate::cli) fn is_not_found(&self) -> bool {
        matches!(self, Self::Answer { status: 404, .. })
    }
}
