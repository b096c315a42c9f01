//! Periodic jobs: all of them in one idiom, listed in one [`table`].
//!
//! ```text
//! row of the table + async fn -> Result  -- every() -->  a task: pause, round, pause, round ... until stop()
//! ```
//! To add one: a row in the table, an async function that does one round, and a line that begins it: in [`begin`] where the
//! actors' [`Context`] is enough, in `daemon::housekeeping` where it needs more of the machine. A round that fails is
//! counted, and logged once until a round is good again; a round that panics has failed, and the next one comes all the
//! same.

mod images;
mod invocation_counts;
mod last_used;
mod record;
mod relist;
mod standing;
pub mod table;
#[cfg(test)]
mod tests;

use std::fmt::Display;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::FutureExt;
use prometheus::{IntCounterVec, Opts};
use tokio::runtime::Handle;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::images::Rounds;
pub use self::images::Watermarks;
use self::record::{OUTCOMES, Record};
use self::standing::Standing;
use self::table::Job;
use super::Context;
use crate::store::StoreError;
pub use invocation_counts::keep_invocations;
pub(super) use invocation_counts::restore;
pub(super) use relist::Relist;

/// The longest round of any job: one that hangs has failed, and the next one begins.
const LONGEST: Duration = Duration::from_secs(600);

/// The jobs that were begun. Dropping this ends them.
#[derive(Debug)]
pub struct Housekeeping {
    runtime: Handle,
    tasks: TaskTracker,
    end: CancellationToken,
    rounds: Arc<OnceLock<IntCounterVec>>,
    standing: Standing,
}

impl Housekeeping {
    /// No job yet; those to come run on `runtime`.
    #[must_use]
    pub fn new(runtime: Handle) -> Self {
        let (rounds, standing) = Default::default();
        Self { runtime, tasks: TaskTracker::new(), end: CancellationToken::new(), rounds, standing }
    }

    /// Does one round of a job again and again, until [`Self::stop`] or a drop ends it, in the middle of a round if need be.
    pub fn every<F, E>(&self, job: &'static Job, mut round: impl FnMut() -> F + Send + 'static)
    where
        F: Future<Output = Result<(), E>> + Send,
        E: Display + Send,
    {
        let (end, rounds, standing) = (self.end.clone(), self.rounds.clone(), self.standing.clone());
        standing.begin(job);
        let work = async move {
            let mut record = Record { job, rounds, failing: false, standing };
            if !job.at_once {
                sleep(job.period).await;
            }
            loop {
                let done = timeout(LONGEST, AssertUnwindSafe(async { round().await }).catch_unwind()).await;
                record.note(match done {
                    Ok(done) => done.map(|done| done.map_err(|error| error.to_string())).map_err(|_| ()),
                    Err(_) => Ok(Err(format!("it took longer than {LONGEST:?}"))),
                });
                sleep(job.period).await;
            }
        };
        self.tasks.spawn_on(end.run_until_cancelled_owned(work), &self.runtime);
    }

    /// What is wrong just now with what actord needs in order to be ready, one line each.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        self.standing.faults()
    }

    /// Ends all jobs, and returns when none is at work any more.
    pub async fn stop(&self) {
        self.end.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Counts rounds under `registry` from now on, by job and outcome.
    ///
    /// # Errors
    /// When the name is taken.
    pub fn measure(&self, registry: &prometheus::Registry) -> Result<(), prometheus::Error> {
        let opts = Opts::new("actord_housekeeping_runs_total", "Rounds of periodic jobs, by what came of them");
        let rounds = IntCounterVec::new(opts, &["job", "outcome"])?;
        for (job, outcome) in table::ALL.iter().flat_map(|job| OUTCOMES.map(|outcome| (job, outcome))) {
            rounds.with_label_values(&[job.name, outcome]);
        }
        registry.register(Box::new(rounds.clone()))?;
        // The registry has refused a second call already.
        let _ = self.rounds.set(rounds);
        Ok(())
    }
}

impl Drop for Housekeeping {
    fn drop(&mut self) {
        self.end.cancel();
    }
}

/// Begins the jobs that need nothing but the actors' context, for as long as that lives.
pub(super) fn begin(context: &Arc<Context>) {
    with(context, &table::RELIST, relist::count);
    with(context, &table::INVOCATION_COUNTS, invocation_counts::keep);
    with(context, &table::LAST_USED, last_used::note);
    with(context, &table::COMPACTION, compact);
    if !context.settings.image_retention.is_zero() {
        let mut rounds = Rounds::begin();
        with(context, &table::PRUNING, move |context| images::prune(context, rounds.passed()));
    }
    if let Some(marks) = context.settings.image_watermarks {
        with(context, &table::WATERMARK, move |context| images::reclaim(context, marks));
    }
}

async fn compact(context: Arc<Context>) -> Result<(), StoreError> {
    context.store.compact().await.map(drop)
}

/// Does one round of a job on the context again and again. It must not keep the context alive: that ends the job.
pub(super) fn with<F, E>(
    context: &Arc<Context>,
    job: &'static Job,
    mut round: impl FnMut(Arc<Context>) -> F + Send + 'static,
) where
    F: Future<Output = Result<(), E>> + Send,
    E: Display + Send,
{
    let context_of = Arc::downgrade(context);
    context.housekeeping.every(job, move || {
        let round = context_of.upgrade().map(&mut round);
        async move {
            match round {
                Some(round) => round.await,
                None => Ok(()),
            }
        }
    });
}
