//! Lets functions rest that nothing calls, and lets as many of their instances run as the load needs. A thin driver that
//! knows the [`engine`](crate::engine) and the [`routes`](crate::routes): what it sees goes to the pure rules of
//! [`function::scaling`](crate::function::scaling), and what those decide, to the engine.
//!
//! ```text
//! Engine::watch -> followed: the functions that ask for it      routes -> how busy and how idle each is
//!    due -> Idler, Autoscaler (pure) -> errand -> Engine::rest, Engine::adjust, Engine::cpu_time
//! ```
//! There are no rounds: each function has its moments at which it is looked at, and a change of its status brings one forward.
//! A function that asks for nothing costs nothing, one that rests nothing until its next tier, and one that is scaled four
//! looks a second, or one while nothing calls it. What waits for the engine does so in a task of its own, so no function
//! holds up another. Nothing is kept here that has to survive: a restart goes on from what runs.

mod driver;
mod errand;
mod followed;
mod metrics;
mod observed;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::runtime::Handle;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::driver::Driver;
use self::metrics::Metrics;
use crate::engine::Engine;
use crate::function::Resting;
use crate::routes::Routes;

/// After a panic, before it starts over.
const AGAIN: Duration = Duration::from_secs(1);

/// What holds for functions that do not say otherwise.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// After how long without a call functions rest that ask for it.
    pub resting: Resting,
    /// For how long fewer replicas must have been enough before they are taken away.
    pub down_window: Duration,
}

/// The scaler at work. Dropping this ends it.
#[derive(Debug)]
pub struct Scaler {
    tasks: TaskTracker,
    end: CancellationToken,
    metrics: Metrics,
}

impl Scaler {
    /// Begins with what the engine says and the routes know now. Functions go on as they are until a rule says otherwise.
    ///
    /// # Errors
    /// When a metric's name is no name, which is a mistake in this room.
    pub fn start(
        engine: Arc<dyn Engine>,
        routes: Arc<Routes>,
        settings: Settings,
        runtime: &Handle,
    ) -> Result<Self, prometheus::Error> {
        let scaler = Self { tasks: TaskTracker::new(), end: CancellationToken::new(), metrics: Metrics::new()? };
        let metrics = scaler.metrics.clone();
        let work = async move {
            loop {
                let driver = Driver::new(engine.clone(), routes.clone(), settings, metrics.clone());
                let Err(_) = AssertUnwindSafe(driver.run()).catch_unwind().await;
                tracing::error!("the scaler panicked: it starts over, and functions go on as they are meanwhile");
                metrics.starts_over();
                sleep(AGAIN).await;
            }
        };
        scaler.tasks.spawn_on(scaler.end.clone().run_until_cancelled_owned(work), runtime);
        Ok(scaler)
    }

    /// Writes down under `registry` what it sees and does.
    ///
    /// # Errors
    /// When its names are taken.
    pub fn measure(&self, registry: &prometheus::Registry) -> Result<(), prometheus::Error> {
        self.metrics.register(registry)
    }

    /// Ends it, and returns when it asks the engine for nothing any more. Functions stay as they are.
    pub async fn stop(&self) {
        self.end.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Drop for Scaler {
    fn drop(&mut self) {
        self.end.cancel();
    }
}
