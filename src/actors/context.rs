//! What every function actor can reach.

use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::housekeeping::{self, Housekeeping, Relist};
use super::status_cache::StatusCache;
use super::{Network, Puller, Settings, Supervised};
use crate::function::Uptime;
use crate::host::Host;
use crate::routes::Routes;
use crate::store::{Secrets, Store};

/// The world context the function actors, made once by `main`.
pub struct Context {
    /// The machine. Images and networks are reached through their actors.
    pub(super) host: Host,
    pub(super) puller: Arc<Supervised<Puller>>,
    pub(super) network: Arc<Supervised<Network>>,
    pub(super) store: Store,
    pub(super) secrets: Secrets,
    pub(super) routes: Arc<Routes>,
    pub(super) status_cache: StatusCache,
    pub(super) relist: Relist,
    pub(super) housekeeping: Housekeeping,
    pub(super) starts: Semaphore,
    pub(super) settings: Settings,
    /// Effects run here, away from the actors' thread.
    pub(super) runtime: Handle,
    started: Instant,
}

impl Context {
    /// Starts the puller and the network actor on this thread's actor system, and gathers the rest.
    #[must_use]
    pub fn new(
        host: Host,
        store: Store,
        secrets: Secrets,
        routes: Arc<Routes>,
        settings: Settings,
        runtime: Handle,
    ) -> Arc<Self> {
        let puller = Puller::start(host.images.clone(), &settings, runtime.clone());
        let network = Network::start(host.network.clone(), &settings, runtime.clone());
        let starts = Semaphore::new(settings.parallel_starts.max(1));
        let status_cache = StatusCache::new(host.images.clone());
        let context = Arc::new(Self {
            host,
            puller,
            network,
            store,
            secrets,
            routes,
            status_cache,
            relist: Relist::default(),
            housekeeping: Housekeeping::new(runtime.clone()),
            starts,
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
        self.housekeeping.measure(registry)
    }

    /// The periodic jobs, for those that need more than this context.
    #[must_use]
    pub fn housekeeping(&self) -> &Housekeeping {
        &self.housekeeping
    }

    /// The time since this process began, as the lifecycles see it.
    pub(super) fn uptime(&self) -> Uptime {
        Uptime(self.started.elapsed())
    }
}
