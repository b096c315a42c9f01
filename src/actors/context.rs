//! What every function actor can reach.

use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::Settings;
use super::admission::Admission;
use super::host_call::host_call;
use super::housekeeping::{self, Housekeeping, Relist};
use super::network::Networks;
use super::pressure::PressureMeters;
use super::pulls::Pulls;
use crate::actors::engine::status_cache::StatusCache;
use crate::actors::engine::usage::UsageTrackers;
use crate::function::Uptime;
use crate::host::{Host, HostError};
use crate::routes::Routes;
use crate::store::{Secrets, Store};

/// What the actors work with, made once when actord starts.
pub struct Context {
    /// The machine. Images are pulled through `pulls`, networks are attached by their actor.
    pub(super) host: Host,
    pub(super) pulls: Pulls,
    pub(super) network: Networks,
    pub(super) store: Store,
    pub(super) secrets: Secrets,
    pub(super) routes: Arc<Routes>,
    pub(super) status_cache: StatusCache,
    pub(super) usage: UsageTrackers,
    pub(super) relist: Relist,
    pub(super) housekeeping: Housekeeping,
    pub(super) pressure: PressureMeters,
    pub(super) admission: Admission,
    pub(super) starts: Arc<Semaphore>,
    /// One at a time of what counts the files of instances: it reads much of the disk.
    pub(super) counting: Semaphore,
    pub(super) settings: Settings,
    /// Effects run here, away from the actors' thread.
    pub(super) runtime: Handle,
    started: Instant,
}

impl Context {
    /// Starts the network actor on this thread's actor system, and gathers the rest.
    #[must_use]
    pub fn new(
        host: Host,
        store: Store,
        secrets: Secrets,
        routes: Arc<Routes>,
        settings: Settings,
        runtime: Handle,
    ) -> Arc<Self> {
        let pulls = Pulls::new(host.images.clone(), &settings, runtime.clone());
        let starts = Arc::new(Semaphore::new(settings.parallel_starts.max(1)));
        let network = Networks::start(host.network.clone(), &settings, starts.clone(), runtime.clone());
        let usage = UsageTrackers::new(host.runtime.clone(), runtime.clone());
        let status_cache = StatusCache::new(host.images.clone(), host.network.clone());
        let context = Arc::new(Self {
            host,
            pulls,
            network,
            store,
            secrets,
            routes,
            status_cache,
            usage,
            relist: Relist::default(),
            housekeeping: Housekeeping::new(runtime.clone()),
            pressure: PressureMeters::new(),
            admission: Admission::new(&settings),
            starts,
            counting: Semaphore::new(1),
            settings,
            runtime,
            started: Instant::now(),
        });
        housekeeping::begin(&context);
        context
    }

    /// Writes down under `registry` how bring-ups and periodic jobs go from now on.
    ///
    /// # Errors
    /// When its names are taken.
    pub fn measure(&self, registry: &prometheus::Registry) -> Result<(), prometheus::Error> {
        self.status_cache.progress.measure(registry)?;
        self.network.measure(registry)?;
        self.pressure.measure(registry)?;
        self.housekeeping.measure(registry)
    }

    /// The periodic jobs, for those that need more than this context.
    #[must_use]
    pub fn housekeeping(&self) -> &Housekeeping {
        &self.housekeeping
    }

    /// Makes no more attachments ahead of time, and returns when none is being made.
    pub async fn stop_warming(&self) {
        self.network.stop_warming().await;
    }

    /// One call to the host with the usual deadline, in a task of its own: see [`host_call`].
    pub(super) async fn call<T: Send + 'static>(
        &self,
        what: impl FnOnce() -> String,
        call: impl Future<Output = Result<T, HostError>> + Send + 'static,
    ) -> Result<T, HostError> {
        host_call(&self.runtime, what, self.settings.host_timeout, call).await
    }

    /// When that is, or was, on tokio's clock.
    pub(super) fn moment(&self, uptime: Uptime) -> Instant {
        self.started + uptime.0
    }

    /// The time since this process began, as the lifecycles see it.
    pub(super) fn uptime(&self) -> Uptime {
        Uptime(self.started.elapsed())
    }
}
