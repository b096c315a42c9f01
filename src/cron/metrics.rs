//! What fires, what does not, and how late. Functions that are gone leave with their labels.

use std::time::Duration;

use prometheus::{HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts, Registry};

use crate::function::FunctionId;

const FUNCTION: &str = "function_name";
/// From what nobody sees, over a restart, to hours for what runs once after it was missed.
const SECONDS: [f64; 10] = [0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 120.0, 3600.0, 86400.0];

/// See the module. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Metrics {
    fired: IntCounterVec,
    missed: IntCounterVec,
    skipped: IntCounterVec,
    lateness: HistogramVec,
    jumps: IntCounterVec,
    restarts: IntCounter,
}

impl Metrics {
    pub(super) fn new() -> Result<Self, prometheus::Error> {
        let counted = |name: &str, help: &str| IntCounterVec::new(Opts::new(name, help), &[FUNCTION]);
        let metrics = Self {
            fired: counted("actord_cron_fired_total", "Calls that were made because they were due by a schedule")?,
            missed: counted("actord_cron_missed_total", "Due times that passed while nothing could fire")?,
            skipped: counted(
                "actord_cron_skipped_total",
                "Due times that were left out because the schedule's last call had not ended",
            )?,
            lateness: HistogramVec::new(
                HistogramOpts::new("actord_cron_lateness_seconds", "How long after it was due a call was made")
                    .buckets(SECONDS.to_vec()),
                &[FUNCTION],
            )?,
            jumps: IntCounterVec::new(
                Opts::new("actord_cron_clock_jumps_total", "Times that the machine's clock was found set anew"),
                &["direction"],
            )?,
            restarts: IntCounter::new("actord_cron_restarts_total", "Times that cron panicked and started over")?,
        };
        for direction in ["forward", "back"] {
            metrics.jumps.with_label_values(&[direction]);
        }
        Ok(metrics)
    }

    pub(super) fn register(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        for counter in [&self.fired, &self.missed, &self.skipped, &self.jumps] {
            registry.register(Box::new(counter.clone()))?;
        }
        registry.register(Box::new(self.lateness.clone()))?;
        registry.register(Box::new(self.restarts.clone()))
    }

    /// A function has a schedule from now on. What is counted of it is there before the first: an increase from nothing is
    /// none to who reads counters.
    pub(super) fn follow(&self, id: &FunctionId) {
        for counter in [&self.fired, &self.missed, &self.skipped] {
            counter.with_label_values(&[&id.to_string()]);
        }
        self.lateness.with_label_values(&[&id.to_string()]);
    }

    pub(super) fn fired(&self, id: &FunctionId, late: Duration) {
        let name = id.to_string();
        self.fired.with_label_values(&[&name]).inc();
        self.lateness.with_label_values(&[&name]).observe(late.as_secs_f64());
    }

    pub(super) fn missed(&self, id: &FunctionId, count: u64) {
        self.missed.with_label_values(&[&id.to_string()]).inc_by(count);
    }

    pub(super) fn skipped(&self, id: &FunctionId) {
        self.skipped.with_label_values(&[&id.to_string()]).inc();
    }

    pub(super) fn jumped(&self, direction: &str) {
        self.jumps.with_label_values(&[direction]).inc();
    }

    pub(super) fn starts_over(&self) {
        self.restarts.inc();
    }

    pub(super) fn forget(&self, id: &FunctionId) {
        let name = id.to_string();
        for counter in [&self.fired, &self.missed, &self.skipped] {
            // An error says that there is none.
            let _ = counter.remove_label_values(&[&name]);
        }
        let _ = self.lateness.remove_label_values(&[&name]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_of_a_schedule_is_there_from_its_beginning_and_goes_with_it() {
        let (metrics, registry) = (Metrics::new().unwrap(), Registry::new());
        metrics.register(&registry).unwrap();
        let series = || {
            let of = |family: &prometheus::proto::MetricFamily| {
                family
                    .get_metric()
                    .iter()
                    .any(|one| one.get_label().iter().any(|label| label.value() == "tick.openfaas-fn"))
            };
            registry
                .gather()
                .iter()
                .filter(|family| of(family))
                .map(|family| family.name().to_owned())
                .collect::<Vec<_>>()
        };
        let id = "tick.openfaas-fn".parse().unwrap();
        metrics.follow(&id);
        assert_eq!(
            series(),
            [
                "actord_cron_fired_total",
                "actord_cron_lateness_seconds",
                "actord_cron_missed_total",
                "actord_cron_skipped_total"
            ]
        );
        metrics.missed(&id, 2);
        metrics.follow(&id);
        assert_eq!(metrics.missed.with_label_values(&["tick.openfaas-fn"]).get(), 2);
        metrics.forget(&id);
        assert_eq!(series(), [""; 0]);
    }
}
