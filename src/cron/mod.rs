//! Calls that are due by the clock. A driver that knows the [`engine`](crate::engine) and whatever keeps calls.
//!
//! ```text
//! Engine::watch ──> Spec::schedules ──> Timetable: the next time ─┐
//! Wall ───────────> Clock: is it set, did it jump ────────────────┼─> missed::due ──> Calls::fire, a call and
//! Calls::fired ───> how far each schedule has come ───────────────┘                   how far it came, in one
//! ```
//! Schedules, clock and what was missed are pure: they are told what time it is. Nothing is remembered here that has to
//! survive: a due time fires once because the call and the due time are kept by one commit, whatever ends in between.

mod check;
mod clock;
mod driver;
mod followed;
#[cfg(feature = "testing")]
pub(crate) mod fuzzed;
mod kept;
mod metrics;
mod missed;
mod schedule;
mod seam;
mod zone;

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::runtime;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use self::check::check;
pub use self::clock::{Clock, NOT_BEFORE, Seen};
pub use self::driver::MachineClock;
use self::driver::{Driver, Surroundings};
pub use self::followed::Listed;
use self::metrics::Metrics;
pub use self::missed::{Due, FiredState, MOST_COUNTED, due};
pub use self::schedule::Timetable;
pub use self::seam::{Calls, Fired, Firing, Key, Known, Mark, Wall};
pub use self::zone::UnknownZone;
use crate::engine::Engine;
use crate::routes::Routes;

/// After a panic, before it starts over.
const AGAIN: Duration = Duration::from_secs(1);

/// Cron at work. Dropping this ends it.
#[derive(Debug)]
pub struct Cron {
    tasks: TaskTracker,
    end: CancellationToken,
    metrics: Metrics,
    handle: Handle,
}

/// Tells of the schedules that there are. Cheap to clone; by itself it tells of none.
#[derive(Debug, Clone, Default)]
pub struct Handle(Arc<Mutex<Vec<Listed>>>);

impl Cron {
    /// Begins with what the engine says now and with what is remembered of schedules: due times that passed meanwhile are
    /// made up for, or counted as missed.
    ///
    /// # Errors
    /// When a metric's name is no name, which is a mistake in this room.
    pub fn start(
        engine: Arc<dyn Engine>,
        routes: Arc<Routes>,
        calls: Arc<dyn Calls>,
        wall: Arc<dyn Wall>,
        runtime: &runtime::Handle,
    ) -> Result<Self, prometheus::Error> {
        let (metrics, handle) = (Metrics::new()?, Handle::default());
        let cron = Self { tasks: TaskTracker::new(), end: CancellationToken::new(), metrics, handle };
        let (metrics, shown) = (cron.metrics.clone(), cron.handle.0.clone());
        let with = Surroundings { engine, routes, calls, wall, metrics, shown };
        let work = async move {
            loop {
                let Err(_) = AssertUnwindSafe(Driver::new(with.clone()).run()).catch_unwind().await;
                tracing::error!("cron panicked: it starts over from what is remembered");
                with.metrics.starts_over();
                sleep(AGAIN).await;
            }
        };
        cron.tasks.spawn_on(cron.end.clone().run_until_cancelled_owned(work), runtime);
        Ok(cron)
    }

    /// Tells of the schedules.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Writes down under `registry` what it does.
    ///
    /// # Errors
    /// When its names are taken.
    pub fn measure(&self, registry: &prometheus::Registry) -> Result<(), prometheus::Error> {
        self.metrics.register(registry)
    }

    /// Ends it, and returns when nothing fires any more.
    pub async fn stop(&self) {
        self.end.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Drop for Cron {
    fn drop(&mut self) {
        self.end.cancel();
    }
}

impl Handle {
    /// All schedules, by the names of their functions.
    #[must_use]
    pub fn list(&self) -> Vec<Listed> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
