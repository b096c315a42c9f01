//! What functions were like in the last hour, in steps of ten seconds: calls, errors, how long they took, what their instances
//! used. In bounded memory, and nowhere near a request.
//!
//! ```text
//! routes: counters of each function --taken each 10 s--+
//! Engine::sample: cpu time, memory of what is awake ---+--> sampler --> a ring of points for each function --> series
//!                                                                  `--> the newest loads, for those who watch
//! ```
//! Nothing of it is kept through a restart. A function takes its history with it: one of the same name that comes later begins
//! with none.

mod latency;
mod point;
mod ring;
mod sampler;
#[cfg(feature = "testing")]
mod testing;

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use prometheus::{IntGauge, Registry};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use self::point::Point;
use self::ring::Ring;
use self::sampler::Sampler;
use crate::engine::Engine;
use crate::function::{FunctionId, FunctionName, Namespace};
use crate::routes::{FunctionEntry, Routes};

/// How much time a point is for.
pub const STEP: Duration = Duration::from_secs(10);
/// The most points that are kept of a function: an hour.
pub const MOST: usize = ring::HOUR;
/// After a panic, before it goes on.
const AGAIN: Duration = Duration::from_secs(1);

/// The last points of a function.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// How much time each is for.
    pub step: Duration,
    /// How long ago the last one ended.
    pub age: Duration,
    /// They, the oldest first.
    pub points: Vec<Point>,
}

/// How busy functions were in the last step.
#[derive(Debug, Clone, Default)]
pub struct Loads {
    /// Counts the steps.
    pub round: u64,
    /// Each function.
    pub functions: Arc<BTreeMap<FunctionId, Loaded>>,
}

/// How busy a function was in the last step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Loaded {
    /// That step.
    pub point: Point,
    /// The round at whose end there was something to tell of it: of one that nothing calls, that is when it fell silent.
    pub since: u64,
}

/// The history. Dropping this ends it.
#[derive(Debug)]
pub struct History {
    kept: Arc<Kept>,
    tasks: TaskTracker,
    end: CancellationToken,
}

/// What is kept of all functions.
#[derive(Debug)]
struct Kept {
    functions: Mutex<Functions>,
    loads: watch::Sender<Loads>,
    /// How many points there are; none as long as nobody wants to know.
    points: OnceLock<IntGauge>,
}

#[derive(Debug, Default)]
struct Functions {
    /// When the last points ended.
    end: Option<Instant>,
    each: BTreeMap<FunctionId, Past>,
}

/// What is kept of one function.
#[derive(Debug)]
struct Past {
    entry: FunctionEntry,
    ring: Ring,
}

impl Kept {
    fn functions(&self) -> MutexGuard<'_, Functions> {
        self.functions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Past {
    /// None of a function that is gone, also if there is another one of its name.
    fn series(&self, end: Option<Instant>, points: usize) -> Option<Series> {
        let age = end.filter(|_| !self.entry.is_deleted())?.elapsed();
        Some(Series { step: STEP, age, points: self.ring.last(points) })
    }
}

impl History {
    /// Begins to keep it, of all functions.
    #[must_use]
    pub fn start(engine: Arc<dyn Engine>, routes: Arc<Routes>, runtime: &Handle) -> Self {
        let history = Self::none();
        let kept = history.kept.clone();
        let work = async move {
            let mut sampler = Sampler::new(engine, routes, kept);
            loop {
                let Err(_) = AssertUnwindSafe(sampler.run()).catch_unwind().await;
                tracing::error!("keeping the history of functions panicked: it goes on");
                sleep(AGAIN).await;
            }
        };
        history.tasks.spawn_on(history.end.clone().run_until_cancelled_owned(work), runtime);
        history
    }

    /// One that keeps nothing.
    #[must_use]
    pub fn none() -> Self {
        let kept = Kept { functions: Mutex::default(), loads: watch::Sender::default(), points: OnceLock::new() };
        Self { kept: Arc::new(kept), tasks: TaskTracker::new(), end: CancellationToken::new() }
    }

    /// The last points of a function, so many at most; none where there are none yet.
    #[must_use]
    pub fn of(&self, function: &FunctionId, points: usize) -> Option<Series> {
        let functions = self.kept.functions();
        functions.each.get(function)?.series(functions.end, points)
    }

    /// The same of all functions of a namespace, by name.
    #[must_use]
    pub fn all(&self, namespace: &Namespace, points: usize) -> Vec<(FunctionName, Series)> {
        let functions = self.kept.functions();
        let there = functions.each.iter().filter(|(id, _)| id.namespace == *namespace);
        there.filter_map(|(id, past)| Some((id.name.clone(), past.series(functions.end, points)?))).collect()
    }

    /// How busy functions are, told at the end of each step.
    #[must_use]
    pub fn loads(&self) -> watch::Receiver<Loads> {
        self.kept.loads.subscribe()
    }

    /// Writes down under `registry` how much of it there is.
    ///
    /// # Errors
    /// When its name is taken.
    pub fn measure(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        let help = "Points of the history of all functions that are in memory, 28 bytes each";
        let points = IntGauge::new("actord_history_points", help)?;
        registry.register(Box::new(points.clone()))?;
        self.kept.points.get_or_init(|| points);
        Ok(())
    }

    /// Ends it, and returns when it asks the engine for nothing any more.
    pub async fn stop(&self) {
        self.end.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Drop for History {
    fn drop(&mut self) {
        self.end.cancel();
    }
}
