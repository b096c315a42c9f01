//! How functions fare: what their supervisors last said and how busy they are, read at each scrape and at no other time.
//! Functions that were deleted leave with their labels.

use prometheus::{GaugeVec, IntCounterVec, IntGaugeVec, Opts, Registry};

use super::FUNCTION;
use crate::engine::View;
use crate::function::Desired;
use crate::routes::FunctionEntry;

const PHASE: &str = "phase";

/// One series a function, and no more: of the phases only the present one is written down.
#[derive(Debug, Clone)]
pub(super) struct FunctionMetrics {
    replicas: IntGaugeVec,
    min: IntGaugeVec,
    target: GaugeVec,
    ready: [IntGaugeVec; 2],
    frozen: IntGaugeVec,
    generation: IntGaugeVec,
    restarts: IntCounterVec,
    phase: IntGaugeVec,
    in_flight: IntGaugeVec,
    parked: IntGaugeVec,
}

impl FunctionMetrics {
    pub(super) fn new() -> Result<Self, prometheus::Error> {
        let gauge = |name: &str, help: &str| IntGaugeVec::new(Opts::new(name, help), &[FUNCTION]);
        let restarts = Opts::new("actord_function_restarts_total", "Instances that served and had to be replaced");
        let phase = Opts::new("actord_function_phase", "1 for the phase that a function is in");
        let target =
            Opts::new("gateway_service_target", "The load that a replica is meant to take, where the function says so");
        Ok(Self {
            replicas: gauge("gateway_service_count", "Replicas that a function is asked to have")?,
            min: gauge("gateway_service_min", "The fewest replicas that a function is scaled to by alerts")?,
            target: GaugeVec::new(target, &[FUNCTION])?,
            ready: [
                gauge("gateway_service_ready_count", "Replicas of a function that take requests")?,
                gauge("actord_function_ready", "Instances that take requests")?,
            ],
            frozen: gauge("actord_function_frozen", "Instances that are frozen until the next call")?,
            generation: gauge("actord_function_generation", "How many specs a function has accepted")?,
            restarts: IntCounterVec::new(restarts, &[FUNCTION])?,
            phase: IntGaugeVec::new(phase, &[FUNCTION, PHASE])?,
            in_flight: gauge("actord_function_requests_in_flight", "Requests that hold an instance of a function")?,
            parked: gauge("actord_function_requests_parked", "Requests that wait for an instance of a function")?,
        })
    }

    fn gauges(&self) -> [&IntGaugeVec; 9] {
        let Self { replicas, min, ready: [ready, also], frozen, generation, phase, in_flight, parked, .. } = self;
        [replicas, min, ready, also, frozen, generation, phase, in_flight, parked]
    }

    pub(super) fn register(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        for gauge in self.gauges() {
            registry.register(Box::new(gauge.clone()))?;
        }
        registry.register(Box::new(self.target.clone()))?;
        registry.register(Box::new(self.restarts.clone()))
    }

    /// Forgets all functions.
    pub(super) fn forget(&self) {
        for gauge in self.gauges() {
            gauge.reset();
        }
        self.target.reset();
        self.restarts.reset();
    }

    /// Writes these functions down, and no others.
    pub(super) fn show(&self, views: &[View], entries: &[FunctionEntry]) {
        self.forget();
        for view in views {
            if let Some(desired) = &view.status.desired {
                self.show_one(view, desired);
            }
        }
        for entry in entries.iter().filter(|entry| !entry.is_deleted()) {
            let (function, load) = (entry.function().to_string(), entry.load());
            let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
            self.in_flight.with_label_values(&[&function]).set(number(load.in_flight));
            self.parked.with_label_values(&[&function]).set(number(load.parked));
        }
    }

    fn show_one(&self, View { id, status, .. }: &View, desired: &Desired) {
        let function = id.to_string();
        let of = [function.as_str()];
        self.replicas.with_label_values(&of).set(desired.running_replicas().into());
        self.min.with_label_values(&of).set(desired.serving_spec().min_replicas().into());
        if let Some(target) = desired.serving_spec().scaling().target {
            self.target.with_label_values(&of).set(target);
        }
        for ready in &self.ready {
            ready.with_label_values(&of).set(status.ready.into());
        }
        self.frozen.with_label_values(&of).set(status.frozen.into());
        let generation = i64::try_from(desired.generation.0).unwrap_or(i64::MAX);
        self.generation.with_label_values(&of).set(generation);
        self.restarts.with_label_values(&of).inc_by(status.restarts);
        let phase = status.phase.to_string().replace(' ', "_");
        self.phase.with_label_values(&[&function, &phase]).set(1);
    }
}
