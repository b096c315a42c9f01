//! The connections to the instances, of all workers: those that are open, and those that were ever opened.

use prometheus::{IntCounter, IntGauge, Registry};

/// Counts connections while they are open.
#[derive(Debug, Clone)]
pub(in crate::http) struct Connections {
    open: IntGauge,
    opened: IntCounter,
}

impl Connections {
    pub(super) fn new() -> Result<Self, prometheus::Error> {
        Ok(Self {
            open: IntGauge::new(
                "actord_upstream_connections",
                "Connections to instances that are open, idle ones included",
            )?,
            opened: IntCounter::new(
                "actord_upstream_connections_opened_total",
                "Connections to instances that were opened",
            )?,
        })
    }

    pub(super) fn register(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        registry.register(Box::new(self.open.clone()))?;
        registry.register(Box::new(self.opened.clone()))
    }

    /// Counts a connection that was opened just now; it is open until what is returned is dropped.
    pub(in crate::http) fn opened(&self) -> OpenConnection {
        self.opened.inc();
        self.open.inc();
        OpenConnection(self.open.clone())
    }
}

/// One connection that is open.
pub(in crate::http) struct OpenConnection(IntGauge);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.dec();
    }
}
