//! The whole of actord above the seam, on the machine in memory and on simulated time.

#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, missing_docs, unreachable_pub)]

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use actix::System;
use actord::actors::{Context, LocalEngine, Settings};
use actord::engine::{Engine as _, Mode, Refused, Used, View};
use actord::function::{FunctionId, InstanceId, Namespace, Phase, Spec, SpecDraft, Tier};
use actord::host::fake::{Behaviour, FakeHost, Leftovers};
use actord::routes::{Parking, Routes};
use actord::store::{Secrets, Store};
use tokio::time::{sleep, timeout};

/// Runs a test in an actor system whose clock jumps over every wait.
pub fn simulate<F: Future<Output = ()>>(test: F) {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    System::with_tokio_rt(runtime).block_on(async {
        timeout(Duration::from_secs(24 * 3600), test).await.expect("the test hangs: a day went by");
    });
}

/// A running platform; a clone is another handle of the same.
#[derive(Clone)]
pub struct Platform {
    pub host: FakeHost,
    pub store: Store,
    pub secrets: Secrets,
    pub routes: Arc<Routes>,
    pub context: Arc<Context>,
    pub engine: LocalEngine,
    pub dir: Arc<tempfile::TempDir>,
    pub settings: Settings,
}

impl Platform {
    /// A platform on an empty machine that can pull the images `good:1` to `good:3`.
    pub async fn start() -> Self {
        Self::start_with(Settings::default()).await
    }

    pub async fn start_with(settings: Settings) -> Self {
        let host = FakeHost::new();
        for tag in 1..=3 {
            host.publish_image(&format!("good:{tag}"), Behaviour::new());
        }
        Self::boot(host, Store::in_memory().unwrap(), settings).await
    }

    /// A platform on a machine and a store that may have a past.
    pub async fn boot(host: FakeHost, store: Store, settings: Settings) -> Self {
        Self::boot_on(host, store, Arc::new(tempfile::tempdir().unwrap()), settings).await
    }

    /// As [`Platform::boot`], with a disk that may have a past, too.
    pub async fn boot_on(host: FakeHost, store: Store, dir: Arc<tempfile::TempDir>, settings: Settings) -> Self {
        let secrets = Secrets::new(dir.path().join("secrets"));
        let routes = Arc::new(Routes::new(Parking::default()));
        let runtime = tokio::runtime::Handle::current();
        let (machine, all) = (host.host(), settings.clone());
        let context = Context::new(machine, store.clone(), secrets.clone(), routes.clone(), all, runtime);
        let engine = LocalEngine::recover(context.clone()).await.unwrap();
        Self { host, store, secrets, routes, context, engine, dir, settings }
    }

    pub async fn apply(&self, mode: Mode, name: &str, spec: Spec) -> Result<(), Refused> {
        self.engine.apply(id(name), spec, mode).await
    }

    pub async fn deploy(&self, name: &str, image: &str) -> Result<(), Refused> {
        self.apply(Mode::Create, name, spec(image)).await
    }

    pub async fn update(&self, name: &str, image: &str) -> Result<(), Refused> {
        self.apply(Mode::Update, name, spec(image)).await
    }

    pub async fn delete(&self, name: &str) -> Result<(), Refused> {
        self.engine.delete(&id(name)).await
    }

    pub async fn scale(&self, name: &str, replicas: u32) -> Result<(), Refused> {
        self.engine.scale(&id(name), replicas).await
    }

    pub async fn keep_down(&self, name: &str, down: bool) -> Result<(), Refused> {
        self.engine.keep_down(&id(name), down).await
    }

    pub async fn rest(&self, name: &str, tier: Tier) -> Result<(), Refused> {
        self.engine.rest(&id(name), tier).await
    }

    pub async fn view(&self, name: &str) -> Option<View> {
        self.engine.get(&id(name)).await.unwrap()
    }

    pub async fn list(&self) -> Vec<View> {
        self.engine.list(&Namespace::default()).await.unwrap()
    }

    /// What the functions use whose instances run.
    pub async fn used(&self, only: Option<&str>) -> Vec<(FunctionId, Used)> {
        self.engine.measure(only.map(id).as_ref()).await
    }

    pub async fn phase(&self, name: &str) -> Option<Phase> {
        self.view(name).await.map(|view| view.status.phase)
    }

    /// Writes a secret of the default namespace.
    pub fn write_secret(&self, name: &str, value: &str) {
        self.secrets.write(&Namespace::default(), &name.parse().unwrap(), value.as_bytes()).unwrap();
    }

    /// What an instance holds of a secret.
    pub fn held(&self, instance: &InstanceId, name: &str) -> String {
        let held = self.host.secrets(instance).remove(&name.parse().unwrap());
        String::from_utf8(held.unwrap_or_default()).unwrap()
    }

    /// The instances that requests for the function are sent to.
    pub fn published(&self, name: &str) -> Vec<InstanceId> {
        self.routes.published(&id(name))
    }

    /// Waits (in simulated time) until the condition holds.
    pub async fn until(&self, what: &str, holds: impl AsyncFn(&Self) -> bool) {
        for _ in 0..60_000 {
            if holds(self).await {
                return;
            }
            sleep(Duration::from_millis(20)).await;
        }
        panic!("never happened: {what}; machine: {:?}", self.host.leftovers());
    }

    /// Waits until the machine holds nothing but what is published, and checks that the host was used as its contract
    /// says.
    pub async fn tidy(&self, names: &[&str]) {
        let wanted = |this: &Self| names.iter().flat_map(|name| this.published(name)).collect();
        self.until("the machine is tidy", async |this| this.host.running() == wanted(this)).await;
        if names.iter().all(|name| self.published(name).is_empty()) {
            let left = |this: &Self| Leftovers { warm: BTreeSet::new(), ..this.host.leftovers() };
            self.until("nothing is left", async |this| left(this).is_empty()).await;
        }
        assert_eq!(self.host.violations(), Vec::<String>::new());
    }
}

pub fn id(name: &str) -> FunctionId {
    name.parse().unwrap()
}

/// A spec that names these secrets.
pub fn secretive(image: &str, secrets: &[&str]) -> Spec {
    let secrets = secrets.iter().map(|name| name.parse().unwrap()).collect();
    SpecDraft { secrets, ..draft(image) }.try_into().unwrap()
}

pub fn draft(image: &str) -> SpecDraft {
    SpecDraft { image: image.into(), ..SpecDraft::default() }
}

pub fn spec(image: &str) -> Spec {
    draft(image).try_into().unwrap()
}
