//! What every function actor can reach.

use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::board::Board;
use super::census::Census;
use super::{Network, Puller, Settings, Supervised};
use super::{recency, tally};
use crate::endpoints::Endpoints;
use crate::function::Uptime;
use crate::host::Host;
use crate::store::{Secrets, Store};

/// The world around the function actors, made once by `main`.
pub struct Surroundings {
    /// The machine. Images and networks are reached through their actors.
    pub(super) host: Host,
    pub(super) puller: Arc<Supervised<Puller>>,
    pub(super) network: Arc<Supervised<Network>>,
    pub(super) store: Store,
    pub(super) secrets: Secrets,
    pub(super) endpoints: Arc<Endpoints>,
    pub(super) board: Board,
    pub(super) census: Census,
    pub(super) starts: Semaphore,
    pub(super) settings: Settings,
    /// Effects run here, away from the actors' thread.
    pub(super) runtime: Handle,
    started: Instant,
}

impl Surroundings {
    /// Starts the puller and the network actor on this thread's actor system, and gathers the rest.
    #[must_use]
    pub fn new(
        host: Host,
        store: Store,
        secrets: Secrets,
        endpoints: Arc<Endpoints>,
        settings: Settings,
        runtime: Handle,
    ) -> Arc<Self> {
        let puller = Puller::start(host.images.clone(), &settings, runtime.clone());
        let network = Network::start(host.network.clone(), &settings, runtime.clone());
        let starts = Semaphore::new(settings.parallel_starts.max(1));
        let board = Board::new(host.images.clone());
        let around = Arc::new(Self {
            host,
            puller,
            network,
            store,
            secrets,
            endpoints,
            board,
            census: Census::default(),
            starts,
            settings,
            runtime,
            started: Instant::now(),
        });
        Census::begin(&around);
        recency::begin(&around);
        tally::begin(&around);
        around
    }

    /// Writes down under `registry` how bring-ups go from now on.
    ///
    /// # Errors
    /// When its names are taken.
    pub fn measure(&self, registry: &prometheus::Registry) -> Result<(), prometheus::Error> {
        self.board.progress.measure(registry)
    }

    /// The time since this process began, as the lifecycles see it.
    pub(super) fn uptime(&self) -> Uptime {
        Uptime(self.started.elapsed())
    }
}
