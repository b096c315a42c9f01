//! What of answers waits in memory for clients that don't take it, of all listeners.

use prometheus::{IntCounter, IntGauge, Registry};

/// Counts it. Cheap to clone.
#[derive(Debug, Clone)]
pub(in crate::http) struct Waiting {
    bytes: IntGauge,
    closed: IntCounter,
}

impl Waiting {
    pub(in crate::http) fn new() -> Result<Self, prometheus::Error> {
        Ok(Self {
            bytes: IntGauge::new(
                "actord_answers_waiting_bytes",
                "Bytes of answers that wait in memory for clients that do not take them",
            )?,
            closed: IntCounter::new(
                "actord_slow_clients_closed_total",
                "Connections that were closed because their client took its answer too slowly",
            )?,
        })
    }

    pub(super) fn register(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        registry.register(Box::new(self.bytes.clone()))?;
        registry.register(Box::new(self.closed.clone()))
    }

    /// What waits for one client was so much, and is so much now.
    pub(in crate::http) fn add(&self, before: usize, now: usize) {
        let number = |bytes| i64::try_from(bytes).unwrap_or(i64::MAX);
        if before != now {
            self.bytes.add(number(now) - number(before));
        }
    }

    /// What waits for all clients.
    pub(in crate::http) fn bytes(&self) -> usize {
        usize::try_from(self.bytes.get()).unwrap_or(0)
    }

    /// A client was closed.
    pub(in crate::http) fn closed(&self) {
        self.closed.inc();
    }
}
