//! How functions fare, as metrics: what their supervisors last said, read when somebody scrapes and at no other time.

use prometheus::{IntCounterVec, IntGaugeVec, Opts, Registry};

use crate::actors::messages::View;

const FUNCTION: &str = "function_name";
const PHASE: &str = "phase";

/// One series a function, and no more: of the phases only the present one is written down.
#[derive(Debug, Clone)]
pub(super) struct Lives {
    restarts: IntCounterVec,
    ready: IntGaugeVec,
    phase: IntGaugeVec,
}

impl Lives {
    pub(super) fn new() -> Result<Self, prometheus::Error> {
        let opts = Opts::new;
        Ok(Self {
            restarts: IntCounterVec::new(
                opts("actord_function_restarts_total", "Instances that served and had to be replaced"),
                &[FUNCTION],
            )?,
            ready: IntGaugeVec::new(opts("actord_function_ready", "Instances that take requests"), &[FUNCTION])?,
            phase: IntGaugeVec::new(
                opts("actord_function_phase", "1 for the phase that a function is in"),
                &[FUNCTION, PHASE],
            )?,
        })
    }

    pub(super) fn register(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        registry.register(Box::new(self.restarts.clone()))?;
        registry.register(Box::new(self.ready.clone()))?;
        registry.register(Box::new(self.phase.clone()))
    }

    /// Writes these functions down, and forgets all others.
    pub(super) fn show(&self, views: &[View]) {
        self.restarts.reset();
        self.ready.reset();
        self.phase.reset();
        for View { id, status, .. } in views {
            let function = id.to_string();
            self.restarts.with_label_values(&[&function]).inc_by(status.restarts);
            self.ready.with_label_values(&[&function]).set(status.ready.into());
            let phase = status.phase.to_string().replace(' ', "_");
            self.phase.with_label_values(&[&function, &phase]).set(1);
        }
    }
}
