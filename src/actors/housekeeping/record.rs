//! What came of a job's rounds, for the log and the metrics.

use std::fmt::Display;
use std::sync::{Arc, OnceLock};

use prometheus::IntCounterVec;

use super::standing::Standing;
use super::table::Job;

/// The outcomes of a round, as the metrics name them.
pub(super) const OUTCOMES: [&str; 3] = ["ok", "failed", "panicked"];

/// The rounds of one job so far.
pub(super) struct Record {
    pub(super) job: &'static Job,
    /// By job and outcome, once they are measured.
    pub(super) rounds: Arc<OnceLock<IntCounterVec>>,
    pub(super) failing: bool,
    /// What readiness is told of it.
    pub(super) standing: Standing,
}

impl Record {
    /// Counts a round, and logs it if it went otherwise than the one before. The outer error is a panic.
    pub(super) fn note<E: Display>(&mut self, done: Result<Result<(), E>, ()>) {
        let [ok, failed, panicked] = OUTCOMES;
        let (outcome, error) = match done {
            Ok(Ok(())) => (ok, None),
            Ok(Err(error)) => (failed, Some(error.to_string())),
            Err(()) => (panicked, Some("it panicked".to_owned())),
        };
        if let Some(rounds) = self.rounds.get() {
            rounds.with_label_values(&[self.job.name, outcome]).inc();
        }
        let Job { name, when_it_fails, .. } = self.job;
        self.standing.note(self.job, error.as_deref());
        match error {
            Some(error) if !self.failing => tracing::error!(job = name, error, "{when_it_fails}"),
            Some(error) => tracing::debug!(job = name, error, "fails still"),
            None if self.failing => tracing::info!(job = name, "succeeds again"),
            None => {}
        }
        self.failing = outcome != ok;
    }
}
