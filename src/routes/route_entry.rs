//! What the table says of one function at a moment.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::endpoint::Endpoint;
use super::{NoEndpoint, Parking};
use crate::function::{AnswerLimit, FunctionId, Outlook};

/// The ready instances of one function; replaced as a whole at every change.
#[derive(Debug, Default, Clone)]
pub(super) struct RouteEntry {
    pub(super) ready: Arc<[Arc<Endpoint>]>,
    /// What a request can expect while none is ready.
    pub(super) outlook: Outlook<Instant>,
    pub(super) limit: AnswerLimit,
    /// Whether no request may be sent a second time.
    pub(super) once: bool,
    /// No instance will ever be ready here: a function of the same name that comes later gets an entry of its own.
    pub(super) forgotten: bool,
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
