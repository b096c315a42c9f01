//! How far the instances have come that are being brought up: for those who watch, and for the metrics.
//!
//! A bring-up opens a [`StartProgress`], enters one step after the other, and leaves no trace when it is dropped.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use dashmap::DashMap;
use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry};
use tokio::time::Instant;

use crate::function::{FunctionId, Generation, InstanceId, Step};

/// From a container that is made in milliseconds to a pull of many minutes, in seconds.
const BUCKETS: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0];

/// Where every bring-up stands.
#[derive(Debug, Default)]
pub(in crate::actors) struct Progress {
    under_way: DashMap<FunctionId, BTreeMap<InstanceId, (Generation, Stage)>>,
    meters: OnceLock<Meters>,
}

/// Where one bring-up stands. The later one is the greater.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::actors) struct Stage {
    pub(in crate::actors) step: Step,
    /// What it waits for in this step, if it knows.
    pub(in crate::actors) waits_for: Option<String>,
}

#[derive(Debug)]
struct Meters {
    seconds: HistogramVec,
    starts: IntCounterVec,
}

impl Progress {
    /// Of the newest generation that is being brought up: the stage of the instance that is furthest behind.
    pub(in crate::actors) fn of(&self, function: &FunctionId) -> Option<Stage> {
        let instances = self.under_way.get(function)?;
        let newest = instances.values().map(|(generation, _)| generation).max()?;
        instances.values().filter(|(generation, _)| generation == newest).map(|(_, stage)| stage).min().cloned()
    }

    /// Measures every step from now on.
    pub(in crate::actors) fn measure(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        let seconds =
            HistogramOpts::new("actord_bring_up_phase_seconds", "Time that instances spent in a phase of their start");
        let starts = Opts::new(
            "actord_starts_total",
            "Starts of instances, by the phase that they ended in and what came of them",
        );
        let meters = Meters {
            seconds: HistogramVec::new(seconds.buckets(BUCKETS.to_vec()), &["phase"])?,
            starts: IntCounterVec::new(starts, &["phase", "outcome"])?,
        };
        registry.register(Box::new(meters.seconds.clone()))?;
        registry.register(Box::new(meters.starts.clone()))?;
        // A second call is refused by the metrics' registry already.
        let _ = self.meters.set(meters);
        Ok(())
    }

    fn note(&self, start: &StartProgress<'_>) {
        let mut instances = self.under_way.entry(start.function.clone()).or_default();
        instances.insert(start.id.clone(), (start.generation, start.stage.clone()));
    }

    fn forget(&self, function: &FunctionId, id: &InstanceId) {
        if let Some(mut instances) = self.under_way.get_mut(function) {
            instances.remove(id);
        }
        self.under_way.remove_if(function, |_, instances| instances.is_empty());
    }
}

/// One bring-up, from its first step to its end.
pub(super) struct StartProgress<'a> {
    progress: &'a Progress,
    function: &'a FunctionId,
    id: &'a InstanceId,
    generation: Generation,
    stage: Stage,
    since: Instant,
    outcome: &'static str,
}

impl<'a> StartProgress<'a> {
    pub(super) fn begin(
        progress: &'a Progress,
        function: &'a FunctionId,
        id: &'a InstanceId,
        generation: Generation,
    ) -> Self {
        let (stage, since) = (Stage { step: Step::Pulling, waits_for: None }, Instant::now());
        let start = Self { progress, function, id, generation, stage, since, outcome: "cancelled" };
        progress.note(&start);
        start
    }

    pub(super) fn enter(&mut self, step: Step) {
        self.time();
        (self.stage, self.since) = (Stage { step, waits_for: None }, Instant::now());
        self.progress.note(self);
    }

    /// Says what it waits for in its step.
    pub(super) fn waits_for(&mut self, what: String) {
        let what = Some(what);
        if self.stage.waits_for != what {
            self.stage.waits_for = what;
            self.progress.note(self);
        }
    }

    /// Notes what came of it; it is "cancelled" where this is not called.
    pub(super) fn end(mut self, outcome: &'static str) {
        self.outcome = outcome;
    }

    fn time(&self) {
        if let Some(meters) = self.progress.meters.get() {
            meters.seconds.with_label_values(&[&label(self.stage.step)]).observe(self.since.elapsed().as_secs_f64());
        }
    }
}

impl Drop for StartProgress<'_> {
    fn drop(&mut self) {
        self.time();
        self.progress.forget(self.function, self.id);
        if let Some(meters) = self.progress.meters.get() {
            meters.starts.with_label_values(&[label(self.stage.step).as_str(), self.outcome]).inc();
        }
    }
}

fn label(step: Step) -> String {
    step.to_string().replace(' ', "_")
}
