//! What the autoscaler is shown of one function at one look.

use std::time::Duration;

use crate::function::{Generation, Phase, Status};

/// Counters of a function, as they stand at a look. What changed since the look before is the policy's to find out, so
/// looks may come late, and a look that is missed loses nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Invocations that came to an end, since whenever.
    pub calls: u64,
    /// Requests that hold an instance.
    pub in_flight: usize,
    /// Requests that wait for an instance.
    pub parked: usize,
    /// Cpu time that its instances used, since whenever. None if it was not read at this look: it is needed only where a
    /// function is scaled by it, see [`Autoscaler::needs_cpu`](super::Autoscaler::needs_cpu).
    pub cpu: Option<Duration>,
}

/// One look at a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observation {
    /// How many replicas were last asked for by a deploy or by hand.
    pub asked: u32,
    /// How many are to run now: none while the function is kept down, idle or asked to be at zero.
    pub running: u32,
    /// How many serve, of whatever version.
    pub ready: u32,
    /// The newest version.
    pub generation: Generation,
    /// Why replicas of the version that serves can't be started just now, if they can't.
    pub failing: Option<String>,
    /// How busy it is.
    pub counters: Counters,
}

impl Observation {
    /// What a function's status and counters say; none once it is deleted.
    #[must_use]
    pub fn of(status: &Status, counters: Counters) -> Option<Self> {
        let desired = status.desired.as_ref()?;
        let newest_serves = status.serving == Some(desired.generation);
        let waits = matches!(status.phase, Phase::BackingOff { .. } | Phase::Starting);
        let failure = status.failure.as_ref().filter(|failure| failure.generation == desired.generation);
        Some(Self {
            asked: desired.replicas,
            running: desired.running_replicas(),
            ready: status.ready,
            generation: desired.generation,
            failing: failure.filter(|_| newest_serves && waits).map(|failure| failure.reason.clone()),
            counters,
        })
    }
}
