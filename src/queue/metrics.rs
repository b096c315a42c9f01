//! What the queue tells of itself, under the names that the field knows and under its own. Counts of what waits are those of the
//! database, read when they are asked for.

use std::sync::{Arc, Weak};

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{
    Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, exponential_buckets,
};

use super::Inner;
use crate::function::FunctionId;
use crate::store::calls::{Calls, LaneKey};

const FUNCTION: &str = "function_name";

/// See the module. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Metrics {
    submitted: IntCounterVec,
    processed: IntCounterVec,
    in_flight: IntGaugeVec,
    attempts: IntCounterVec,
    dead: IntCounterVec,
    callbacks: IntCounterVec,
    paused: IntGauge,
    restarts: IntCounter,
    commit_seconds: Histogram,
    commit_size: Histogram,
}

impl Metrics {
    pub(super) fn new() -> Result<Self, prometheus::Error> {
        let counters = |name, help, labels| IntCounterVec::new(Opts::new(name, help), labels);
        let metrics = Self {
            submitted: counters(
                "queue_worker_messages_submitted_total",
                "Asynchronous calls that were accepted",
                &[FUNCTION],
            )?,
            processed: counters(
                "queue_worker_messages_processed_total",
                "Asynchronous calls that a function answered, by the status of each try",
                &[FUNCTION, "status"],
            )?,
            in_flight: IntGaugeVec::new(
                Opts::new("queue_worker_function_invocation_inflight", "Asynchronous calls that are under way"),
                &[FUNCTION],
            )?,
            attempts: counters(
                "actord_queue_attempts_total",
                "Tries of asynchronous calls, by what came of them",
                &[FUNCTION, "outcome"],
            )?,
            dead: counters("actord_queue_dead_total", "Calls that became dead letters, by why", &["reason"])?,
            callbacks: counters(
                "actord_queue_callbacks_total",
                "Tries to send the answer of a call on, by what came of them",
                &["outcome"],
            )?,
            paused: IntGauge::new("actord_queue_paused", "1 while no call is sent because memory is short")?,
            restarts: IntCounter::new(
                "actord_queue_restarts_total",
                "Times that the dispatcher panicked and started over",
            )?,
            commit_seconds: Histogram::with_opts(
                HistogramOpts::new("actord_queue_commit_seconds", "How long calls waited for the disk")
                    .buckets(exponential_buckets(0.000_25, 2.0, 14)?),
            )?,
            commit_size: Histogram::with_opts(
                HistogramOpts::new("actord_queue_commit_size", "How many changes were made by one commit")
                    .buckets(exponential_buckets(1.0, 2.0, 9)?),
            )?,
        };
        for outcome in ["done", "again", "dead"] {
            metrics.callbacks.with_label_values(&[outcome]);
        }
        for reason in ["status", "tries", "deadline", "deleted", "callback", "damaged"] {
            metrics.dead.with_label_values(&[reason]);
        }
        Ok(metrics)
    }

    pub(super) fn register(
        &self,
        registry: &prometheus::Registry,
        queue: &Arc<Inner>,
    ) -> Result<(), prometheus::Error> {
        let all: [Box<dyn Collector>; 10] = [
            Box::new(self.submitted.clone()),
            Box::new(self.processed.clone()),
            Box::new(self.in_flight.clone()),
            Box::new(self.attempts.clone()),
            Box::new(self.dead.clone()),
            Box::new(self.callbacks.clone()),
            Box::new(self.paused.clone()),
            Box::new(self.restarts.clone()),
            Box::new(self.commit_seconds.clone()),
            Box::new(self.commit_size.clone()),
        ];
        all.into_iter().try_for_each(|one| registry.register(one))?;
        registry.register(Box::new(Depths::new(queue)?))
    }

    /// Sees the commits of a database.
    pub(super) fn observe(&self, calls: &Calls) {
        let (seconds, size) = (self.commit_seconds.clone(), self.commit_size.clone());
        calls.observe_commits(move |took, count| {
            seconds.observe(took.as_secs_f64());
            size.observe(f64::from(u32::try_from(count).unwrap_or(u32::MAX)));
        });
    }

    pub(super) fn submitted(&self, function: &FunctionId) {
        self.submitted.with_label_values(&[&function.to_string()]).inc();
    }

    pub(super) fn processed(&self, function: &FunctionId, status: u16) {
        self.processed.with_label_values(&[&function.to_string(), &status.to_string()]).inc();
    }

    pub(super) fn attempt(&self, function: &FunctionId, outcome: &str) {
        self.attempts.with_label_values(&[&*function.to_string(), outcome]).inc();
    }

    pub(super) fn dead(&self, reason: &str, count: u64) {
        self.dead.with_label_values(&[reason]).inc_by(count);
    }

    pub(super) fn callback(&self, outcome: &str) {
        self.callbacks.with_label_values(&[outcome]).inc();
    }

    pub(super) fn in_flight(&self, lane: &LaneKey, count: u32) {
        if let LaneKey::Function(function) = lane {
            self.in_flight.with_label_values(&[&function.to_string()]).set(count.into());
        }
    }

    pub(super) fn forget_in_flight(&self, lane: &LaneKey) {
        if let LaneKey::Function(function) = lane {
            let _ = self.in_flight.remove_label_values(&[&function.to_string()]);
        }
    }

    pub(super) fn paused(&self, paused: bool) {
        self.paused.set(paused.into());
    }

    pub(super) fn starts_over(&self) {
        self.restarts.inc();
        self.in_flight.reset();
    }
}

/// What waits and what is kept, as it is when it is asked for.
struct Depths {
    queue: Weak<Inner>,
    pending: IntGaugeVec,
    depth: IntGaugeVec,
    oldest: IntGaugeVec,
    dead: IntGaugeVec,
    dropped: IntCounterVec,
    bytes: IntGauge,
}

impl Depths {
    fn new(queue: &Arc<Inner>) -> Result<Self, prometheus::Error> {
        let gauges = |name, help, labels| IntGaugeVec::new(Opts::new(name, help), labels);
        Ok(Self {
            queue: Arc::downgrade(queue),
            pending: gauges(
                "queue_worker_pending_messages",
                "Asynchronous calls that wait or are under way",
                &[FUNCTION],
            )?,
            depth: gauges(
                "actord_queue_depth",
                "Asynchronous calls that wait: for their first try, for another, or for their callback",
                &[FUNCTION, "state"],
            )?,
            oldest: gauges(
                "actord_queue_oldest_seconds",
                "For how long the first call waits that is due",
                &[FUNCTION],
            )?,
            dead: gauges("actord_queue_dead", "Dead letters that are kept", &[FUNCTION])?,
            dropped: IntCounterVec::new(
                Opts::new(
                    "actord_queue_dead_dropped_total",
                    "Dead letters that went for others because they took too much room",
                ),
                &[FUNCTION],
            )?,
            bytes: IntGauge::new("actord_queue_bytes", "What calls, their answers and dead letters take on the disk")?,
        })
    }

    fn all(&self) -> [&dyn Collector; 6] {
        [&self.pending, &self.depth, &self.oldest, &self.dead, &self.dropped, &self.bytes]
    }

    fn look(&self) {
        for gauge in [&self.pending, &self.depth, &self.oldest, &self.dead] {
            gauge.reset();
        }
        self.dropped.reset();
        let Some(queue) = self.queue.upgrade() else { return };
        let Some(calls) = queue.calls() else { return };
        self.bytes.set(i64::try_from(calls.bytes()).unwrap_or(i64::MAX));
        let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        for depth in queue.depths(&calls) {
            let name = depth.function.to_string();
            let name = name.as_str();
            self.pending.with_label_values(&[name]).set(count(depth.waiting + depth.retrying));
            for (state, number) in
                [("waiting", depth.waiting), ("retrying", depth.retrying), ("callback", depth.callbacks)]
            {
                self.depth.with_label_values(&[name, state]).set(count(number));
            }
            self.oldest.with_label_values(&[name]).set(count(depth.oldest.map_or(0, |oldest| oldest.as_secs())));
            self.dead.with_label_values(&[name]).set(count(depth.dead));
            self.dropped.with_label_values(&[name]).inc_by(depth.dropped);
        }
    }
}

impl Collector for Depths {
    fn desc(&self) -> Vec<&Desc> {
        self.all().into_iter().flat_map(Collector::desc).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.look();
        self.all().into_iter().flat_map(Collector::collect).collect()
    }
}
