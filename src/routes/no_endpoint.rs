//! Why no instance can be leased, in words for the caller.

use std::time::Duration;

use crate::function::FunctionId;

/// Why no instance can be leased.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoEndpoint {
    /// There is no such function.
    #[error("function {0} not found")]
    Unknown(FunctionId),
    /// An operator keeps it down.
    #[error("function {0} is stopped by `actord stop`: `actord start {0}` ends that")]
    KeptDown(FunctionId),
    /// No instance of it will come until another version is deployed.
    #[error("function {0} failed: {1}")]
    Failed(FunctionId, String),
    /// The last starts failed, and the next one is too far off to wait for, or will fail as well.
    #[error("function {function} is backing off, the next start is in {} s: {reason}", .wait.as_secs_f64().ceil())]
    BackingOff {
        /// Which function.
        function: FunctionId,
        /// How long until the next start.
        wait: Duration,
        /// What went wrong last.
        reason: String,
    },
    /// No instance was ready in time.
    #[error("no instance of function {0} was ready within {1:?}")]
    NotReady(FunctionId, Duration),
    /// Too many requests wait for it already.
    #[error("{1} requests wait for an instance of function {0} already")]
    QueueFull(FunctionId, usize),
}

impl NoEndpoint {
    /// How long a caller should wait before it asks again, where that is known.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        if let Self::BackingOff { wait, .. } = self { Some(*wait) } else { None }
    }
}
