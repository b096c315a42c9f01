//! What the rules are shown of one function: its status, what the routes count, and its cpu time.

use std::time::Duration;

use crate::function::Status;
use crate::function::scaling::{Counters, Idleness, Observation};
use crate::routes::{FunctionEntry, Load};

/// One function as it stands.
pub(super) struct Observed {
    pub(super) entry: FunctionEntry,
    pub(super) status: Status,
    /// Its cpu time, since it was last read and not shown to the autoscaler yet.
    pub(super) cpu: Option<Duration>,
}

impl Observed {
    /// For the idler. `cpu` is what was read for it just now.
    pub(super) fn idleness(&self, cpu: Option<Duration>) -> Option<Idleness> {
        Idleness::of(&self.status, self.entry.idle_for(), cpu)
    }

    /// For the autoscaler.
    pub(super) fn observation(&mut self) -> Option<Observation> {
        let Load { in_flight, parked } = self.entry.load();
        Observation::of(&self.status, Counters { calls: self.entry.calls(), in_flight, parked, cpu: self.cpu.take() })
    }
}
