//! What becomes of functions, of calls and of the machine, told to everybody who listens, each at a pace of its own.
//!
//! ```text
//! Engine::watch ---> judge (pure): which events a change is --+
//! Queue::ends, faults ----------------------------------------+-> ring: the last 10,000 -> Reader of each listener
//! Engine::get, twice a second, of what starts -> steps -------+                               ^
//!                                             `-> how far pulls are ---- newest state only ---+
//! history: how busy functions are -------------------------------------- newest state only ---+
//! ```
//! An [`Event`] has an id, and can be read again by who comes back. Pulls and loads are states: the newest takes the place of the
//! one before. So nothing is ever held for a reader, and nothing waits for one; who falls behind the ring is told so, and cut off.
//! While nothing starts, nothing is looked at, and no request of a function is touched by any of this.

mod driver;
mod event;
#[cfg(feature = "testing")]
pub(crate) mod fuzzed;
mod id;
mod judge;
mod latest;
mod metrics;
mod reader;
mod ring;
#[cfg(test)]
mod testing;

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::FutureExt;
use prometheus::Registry;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::driver::Driver;
pub use self::event::{Because, Event, What};
pub use self::id::{EventId, NoEventId};
use self::latest::Pulls;
pub use self::latest::{Health, Pull};
use self::metrics::Metrics;
pub use self::reader::{Reader, Told};
use self::ring::Ring;
use crate::engine::{Engine, Namespaces};
use crate::function::{FunctionId, FunctionName, Namespace};
use crate::history::Loads;
use crate::queue::Queue;

/// After a panic, before it goes on.
const AGAIN: Duration = Duration::from_secs(1);

/// Which events are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only those of this namespace.
    pub namespace: Option<Namespace>,
    /// Only those of functions of this name.
    pub name: Option<FunctionName>,
}

impl Filter {
    /// Whether what happened to this function is wanted; none: to the machine.
    fn wants(&self, function: Option<&FunctionId>) -> bool {
        let Some(function) = function else { return *self == Self::default() };
        self.namespace.as_ref().is_none_or(|namespace| *namespace == function.namespace)
            && self.name.as_ref().is_none_or(|name| *name == function.name)
    }
}

/// Why a reader missed something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// What comes after the id that it named is not kept any more.
    Gone,
    /// It named an id of an earlier process.
    Earlier,
    /// It fell behind what is kept: nothing comes after this.
    Lagging,
}

impl Why {
    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Gone => "gone",
            Self::Earlier => "earlier",
            Self::Lagging => "lagging",
        }
    }
}

/// What happens, and those who listen. Dropping this ends it.
#[derive(Debug)]
pub struct Events {
    shared: Arc<Shared>,
    tasks: TaskTracker,
    end: CancellationToken,
}

/// What the driver and the readers share.
#[derive(Debug)]
struct Shared {
    ring: Ring,
    pulls: watch::Sender<Pulls>,
    /// How the machine is: told to who begins to listen, since events tell changes of it alone.
    health: watch::Sender<Arc<Health>>,
    loads: watch::Receiver<Loads>,
    /// None as long as nobody wants to know.
    metrics: OnceLock<Metrics>,
}

impl Shared {
    fn push(&self, function: Option<FunctionId>, what: What) {
        if let Some(metrics) = self.metrics.get() {
            metrics.events.with_label_values(&[what.word()]).inc();
        }
        self.ring.push(function, what);
    }

    fn count_reader(&self, more: i64) {
        if let Some(metrics) = self.metrics.get() {
            metrics.readers.add(more);
        }
    }

    fn count_reset(&self, why: Why) {
        if let Some(metrics) = self.metrics.get() {
            metrics.resets.with_label_values(&[why.word()]).inc();
        }
    }
}

impl Events {
    /// Begins to tell what becomes of functions, calls and the machine. What is there now is no news.
    #[must_use]
    pub fn start(
        engine: Arc<dyn Engine>,
        namespaces: Arc<dyn Namespaces>,
        queue: Queue,
        loads: watch::Receiver<Loads>,
        runtime: &Handle,
    ) -> Self {
        let events = Self::of(loads);
        let mut driver = Driver::new(engine, namespaces, queue, events.shared.clone());
        let work = async move {
            loop {
                let Err(_) = AssertUnwindSafe(driver.run()).catch_unwind().await;
                tracing::error!("telling what happens panicked: it goes on with how everything stands then");
                sleep(AGAIN).await;
            }
        };
        events.tasks.spawn_on(events.end.clone().run_until_cancelled_owned(work), runtime);
        events
    }

    /// Those of nothing: no event ever comes.
    #[must_use]
    pub fn none() -> Self {
        Self::of(watch::channel(Loads::default()).1)
    }

    fn of(loads: watch::Receiver<Loads>) -> Self {
        // By chance, since a clock may be set back. Zero is nobody's: it stands for an id that can't be read.
        Self::of_boot(rand::random::<u32>().max(1), loads)
    }

    fn of_boot(boot: u32, loads: watch::Receiver<Loads>) -> Self {
        let ring = Ring::new(boot);
        let shared = Shared {
            ring,
            pulls: watch::Sender::default(),
            health: watch::Sender::default(),
            loads,
            metrics: OnceLock::new(),
        };
        Self { shared: Arc::new(shared), tasks: TaskTracker::new(), end: CancellationToken::new() }
    }

    /// What comes from now on, or after the event with this id.
    #[must_use]
    pub fn read(&self, after: Option<EventId>, filter: Filter) -> Reader {
        Reader::new(self.shared.clone(), after, filter)
    }

    /// Writes down under `registry` how many there are, and who listens.
    ///
    /// # Errors
    /// When its names are taken.
    pub fn measure(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        let metrics = Metrics::new()?;
        metrics.register(registry)?;
        self.shared.metrics.get_or_init(|| metrics);
        Ok(())
    }

    /// Ends what makes events. Readers wait for ever from then on.
    pub async fn stop(&self) {
        self.end.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.end.cancel();
    }
}

#[cfg(test)]
mod tests;
