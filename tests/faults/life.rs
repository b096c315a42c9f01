//! One actord after the other on the same machine and store: each in an actor system of its own, which ends with all of
//! its tasks, wherever they are, as a process does that is killed.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use actix::System;
use actord::actors::Settings;
use actord::host::fake::{Behaviour, FakeHost};
use actord::store::Store;
use tokio::time::{Instant, timeout};

use crate::platform::Platform;

/// The machine and the disk, which outlive every actord.
pub struct World {
    pub host: FakeHost,
    pub store: Store,
    pub disk: Arc<tempfile::TempDir>,
    pub settings: Settings,
    /// Each system has a simulated clock of its own; the machine knows only one time.
    now: Cell<Option<Instant>>,
}

impl World {
    pub fn new(settings: Settings) -> Self {
        let host = FakeHost::new();
        for tag in 1..=3 {
            // Behind a watchdog, so that their sockets are looked at, too.
            let watchdog = Behaviour::new().env("mode", "http").env("upstream_url", "http://127.0.0.1:5000");
            let watchdog = watchdog.listens_from(Duration::ZERO, ([127, 0, 0, 1], 5000).into());
            host.publish_image(&format!("good:{tag}"), watchdog);
        }
        let disk = Arc::new(tempfile::tempdir().unwrap());
        Self { host, store: Store::in_memory().unwrap(), disk, settings, now: Cell::new(None) }
    }

    /// An actord from its start to the end of the story; none when it was killed before.
    pub fn live<T>(&self, story: impl AsyncFnOnce(&Platform) -> T) -> Option<T> {
        let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        let system = System::with_tokio_rt(runtime);
        let end = system.block_on(async {
            if let Some(ahead) = self.now.get().and_then(|now| now.checked_duration_since(Instant::now())) {
                tokio::time::advance(ahead).await;
            }
            let life = async {
                let (host, store, disk) = (self.host.clone(), self.store.clone(), self.disk.clone());
                let platform = Platform::boot_on(host, store, disk, self.settings.clone()).await;
                story(&platform).await
            };
            let life = timeout(Duration::from_secs(24 * 3600), life);
            let end = tokio::select! {
                biased;
                () = self.host.halted() => None,
                end = life => Some(end.expect("the test hangs: a day went by")),
            };
            self.now.set(Some(Instant::now()));
            end
        });
        drop(system);
        self.host.resume();
        end
    }

    /// Does something to the store while no actord lives: nothing that one has begun to write comes after it.
    pub fn at_rest<T>(&self, act: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(act)
    }
}
