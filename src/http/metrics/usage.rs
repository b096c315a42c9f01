//! What functions use of the machine, as metrics: read at each scrape, under the names that OpenFaaS Pro has.

use prometheus::{CounterVec, IntGaugeVec, Opts, Registry};

use super::FUNCTION;
use crate::engine::Used;
use crate::function::FunctionId;

const LABELS: [&str; 2] = [FUNCTION, "namespace"];

/// Cpu time and memory of every function that can be read; one of which nothing runs has no series.
#[derive(Debug, Clone)]
pub(super) struct Usage {
    cpu: CounterVec,
    memory: IntGaugeVec,
}

impl Usage {
    pub(super) fn new() -> Result<Self, prometheus::Error> {
        let cpu =
            Opts::new("pod_cpu_usage_seconds_total", "Cpu time of a function's replicas, also of those that are gone");
        let memory =
            Opts::new("pod_memory_working_set_bytes", "Memory that can't easily be taken back from a function");
        Ok(Self { cpu: CounterVec::new(cpu, &LABELS)?, memory: IntGaugeVec::new(memory, &LABELS)? })
    }

    pub(super) fn register(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        registry.register(Box::new(self.cpu.clone()))?;
        registry.register(Box::new(self.memory.clone()))
    }

    /// Forgets all functions.
    pub(super) fn forget(&self) {
        self.cpu.reset();
        self.memory.reset();
    }

    /// Writes these functions down, and no others.
    pub(super) fn show(&self, used: &[(FunctionId, Used)]) {
        self.forget();
        for (id, used) in used {
            // The name goes with its namespace, as in the gateway's metrics, so that the two can be joined.
            let (function, namespace) = (id.to_string(), id.namespace.to_string());
            let labels = [function.as_str(), namespace.as_str()];
            self.cpu.with_label_values(&labels).inc_by(used.cpu_total.as_secs_f64());
            self.memory.with_label_values(&labels).set(i64::try_from(used.memory_bytes).unwrap_or(i64::MAX));
        }
    }
}
