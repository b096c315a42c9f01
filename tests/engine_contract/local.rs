//! What both subjects of the engine of one machine have in common: its lives, and what is kept between them.
//!
//! ```text
//! System -> a LocalSet of its own for each life: dropped with all actors in it, as a process that was killed
//! ```

use std::path::Path;
use std::sync::Arc;

use actord::actors::{Context, LocalEngine, Settings};
use actord::engine;
use actord::host::Host;
use actord::routes::{Lease, Parking, Routes};
use actord::store::{Namespaces, Secrets, Store};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, LocalSet, spawn_local};

use crate::subject::{Kind, Subject};

/// One life of the engine.
pub struct Life {
    pub engine: LocalEngine,
    pub namespaces: Namespaces,
    pub routes: Arc<Routes>,
    actors: JoinHandle<()>,
}

impl Life {
    /// Takes over what this directory and this host hold.
    pub async fn begin(host: Host, directory: &Path, settings: Settings) -> Self {
        let store = Store::open(&directory.join("store.db")).unwrap();
        let secrets = Secrets::new(directory.join("secrets"));
        let routes = Arc::new(Routes::new(Parking::default()));
        let namespaces = Namespaces::new(store.clone(), secrets.clone());
        let context = Context::new(host, store, secrets, routes.clone(), settings, Handle::current());
        let (begun, engine) = oneshot::channel();
        let actors = LocalSet::new();
        actors.spawn_local(async move { begun.send(LocalEngine::recover(context).await.unwrap()).ok() });
        let actors = spawn_local(actors);
        Self { engine: engine.await.unwrap(), namespaces, routes, actors }
    }

    /// Ends it without a word to its actors.
    pub async fn end(self) {
        self.actors.abort();
        self.actors.await.unwrap_err();
    }
}

/// A subject that is this machine's engine, over one host or the other.
pub trait Local {
    /// A reference to an image.
    fn image(&self, kind: Kind) -> String;

    /// See [`Subject::answers`].
    async fn answers(&self, lease: &Lease) -> bool;

    /// The life that there is between two restarts.
    fn life(&mut self) -> &mut Option<Life>;

    /// As [`Local::life`], while there is one.
    fn living(&self) -> &Life;

    /// Begins a life.
    async fn begin(&mut self);
}

impl<T: Local> Subject for T {
    fn engine(&self) -> Arc<dyn engine::Engine> {
        Arc::new(self.living().engine.clone())
    }

    fn secrets(&self) -> Arc<dyn engine::Secrets> {
        Arc::new(self.living().namespaces.clone())
    }

    fn namespaces(&self) -> Arc<dyn engine::Namespaces> {
        Arc::new(self.living().namespaces.clone())
    }

    fn logs(&self) -> Arc<dyn engine::Logs> {
        Arc::new(self.living().engine.logs())
    }

    fn routes(&self) -> Arc<Routes> {
        self.living().routes.clone()
    }

    fn image(&self, kind: Kind) -> String {
        Local::image(self, kind)
    }

    async fn answers(&self, lease: &Lease) -> bool {
        Local::answers(self, lease).await
    }

    async fn restart(&mut self) {
        self.life().take().unwrap().end().await;
        self.begin().await;
    }
}
