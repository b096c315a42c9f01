//! Why no instance can be leased, in words for the caller.

use std::time::Duration;

use tokio::time::Instant;

use super::{Parking, RouteEntry};
use crate::function::{FunctionId, Outlook};

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

impl RouteEntry {
    /// Why a request that finds no instance ready is answered at once; none if it is worth its wait.
    pub(super) fn refusal(&self, function: &FunctionId, parking: Parking) -> Option<NoEndpoint> {
        if self.forgotten {
            return Some(NoEndpoint::Unknown(function.clone()));
        }
        match &self.outlook {
            Outlook::Coming | Outlook::Waking | Outlook::AtZero => None,
            Outlook::KeptDown => Some(NoEndpoint::KeptDown(function.clone())),
            Outlook::Failed(reason) => Some(NoEndpoint::Failed(function.clone(), reason.clone())),
            Outlook::BackingOff { until, is_permanent, reason } => {
                let wait = until.saturating_duration_since(Instant::now());
                let pointless = wait > parking.time || *is_permanent && !wait.is_zero();
                let (function, reason) = (function.clone(), reason.clone());
                pointless.then_some(NoEndpoint::BackingOff { function, wait, reason })
            }
        }
    }

    /// How long a request may wait that comes now.
    pub(super) fn patience(&self, parking: Parking) -> Duration {
        if matches!(self.outlook, Outlook::AtZero | Outlook::Waking) { parking.waking } else { parking.time }
    }
}
