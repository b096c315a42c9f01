//! A platform with a scaler, and callers.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use actord::actors::Settings;
use actord::engine::{Engine, Mode};
use actord::function::{FunctionId, Phase, Resting, SpecDraft};
use actord::host::fake::{Behaviour, FakeHost};
use actord::routes::Routes;
use actord::scaler::{self, Scaler};
use actord::store::Store;
use prometheus::Registry;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use crate::platform::{Platform, draft, id};

pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const MINUTE: Duration = Duration::from_secs(60);

/// It rests, after the usual times.
pub(crate) const ZERO: (&str, &str) = ("com.openfaas.scale.zero", "true");

/// A platform with a scaler beside it.
pub(crate) struct House {
    platform: Platform,
    pub(crate) scaler: Scaler,
    registry: Registry,
}

impl Deref for House {
    type Target = Platform;

    fn deref(&self) -> &Platform {
        &self.platform
    }
}

/// The settings as they are shipped.
pub(crate) fn usual() -> scaler::Settings {
    let resting = Resting { freeze_after: Some(30 * SECOND), zero_after: Some(15 * MINUTE) };
    scaler::Settings { resting, down_window: MINUTE }
}

impl House {
    pub(crate) async fn start() -> Self {
        Self::of(Platform::start().await, usual())
    }

    pub(crate) async fn start_with(settings: scaler::Settings) -> Self {
        Self::of(Platform::start().await, settings)
    }

    pub(crate) fn of(platform: Platform, settings: scaler::Settings) -> Self {
        let engine = Arc::new(platform.engine.clone());
        Self::over(platform, engine, settings)
    }

    /// With a scaler that sees this engine.
    pub(crate) fn over(platform: Platform, engine: Arc<dyn Engine>, settings: scaler::Settings) -> Self {
        let scaler = Scaler::start(engine, platform.routes.clone(), settings, &Handle::current()).unwrap();
        let registry = Registry::new();
        scaler.measure(&registry).unwrap();
        Self { platform, scaler, registry }
    }

    /// Another actord on the same machine and store, after this one was killed.
    pub(crate) async fn restarted(self) -> Self {
        self.rebooted_to(|_| {}).await
    }

    /// The same after this happened to the machine.
    pub(crate) async fn rebooted_to(self, happens: impl FnOnce(&FakeHost)) -> Self {
        let (host, store): (FakeHost, Store) = (self.host.clone(), self.store.clone());
        self.scaler.stop().await;
        happens(&host);
        drop(self);
        Self::of(Platform::boot(host, store, Settings::default()).await, usual())
    }

    /// The platform alone.
    pub(crate) fn platform(&self) -> Platform {
        self.platform.clone()
    }

    /// Deploys `image` with these labels, and waits until it serves.
    pub(crate) async fn serve(&self, name: &str, image: &str, labels: &[(&str, &str)]) {
        self.apply(Mode::Create, name, spec(image, labels)).await.unwrap();
        self.until("it serves", async |p| p.phase(name).await == Some(Phase::Ready)).await;
    }

    /// As [`House::serve`], of an image that does this.
    pub(crate) async fn serve_as(&self, name: &str, behaviour: Behaviour, labels: &[(&str, &str)]) {
        let image = format!("{name}:1");
        self.host.publish_image(&image, behaviour);
        self.serve(name, &image, labels).await;
    }

    /// Waits until the function is in this phase; how long that took.
    pub(crate) async fn until_phase(&self, name: &str, phase: Phase) -> Duration {
        let since = Instant::now();
        self.until(&format!("{name} is {phase}"), async |p| p.phase(name).await == Some(phase)).await;
        since.elapsed()
    }

    /// Waits until so many instances get requests; how long that took.
    pub(crate) async fn until_serving(&self, name: &str, count: usize) -> Duration {
        let since = Instant::now();
        self.until(&format!("{count} of {name} serve"), async |p| p.published(name).len() == count).await;
        since.elapsed()
    }

    /// The greatest and the smallest number of instances that got requests in this time.
    pub(crate) async fn serving_for(&self, name: &str, time: Duration) -> (usize, usize) {
        let until = Instant::now() + time;
        let (mut least, mut most) = (usize::MAX, 0);
        while Instant::now() < until {
            let now = self.published(name).len();
            (least, most) = (least.min(now), most.max(now));
            sleep(SECOND / 10).await;
        }
        (least, most)
    }

    /// A call that takes this long at the instance; whether it was answered.
    pub(crate) fn call(&self, name: &str, takes: Duration) -> JoinHandle<bool> {
        tokio::spawn(call(self.routes.clone(), id(name), takes))
    }

    /// So many callers that each call again as soon as they have an answer, and count the calls that failed.
    pub(crate) fn callers(&self, name: &str, count: usize, takes: Duration) -> Callers {
        let one = || {
            let (routes, id) = (self.routes.clone(), id(name));
            tokio::spawn(async move {
                loop {
                    assert!(call(routes.clone(), id.clone(), takes).await, "a call failed");
                }
            })
        };
        Callers((0..count).map(|_| one()).collect())
    }

    /// So many callers that each begin a call that often a second.
    pub(crate) fn callers_at(&self, name: &str, count: usize, a_second: u32) -> Callers {
        let one = || {
            let (routes, id) = (self.routes.clone(), id(name));
            tokio::spawn(async move {
                let mut times = interval(SECOND / a_second);
                times.set_missed_tick_behavior(MissedTickBehavior::Delay);
                loop {
                    times.tick().await;
                    assert!(call(routes.clone(), id.clone(), SECOND / 50).await, "a call failed");
                }
            })
        };
        Callers((0..count).map(|_| one()).collect())
    }

    /// The value of a metric with these labels, if it is there.
    pub(crate) fn metric(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let families = self.registry.gather();
        let family = families.iter().find(|family| family.name() == name)?;
        let is_it = |metric: &&prometheus::proto::Metric| {
            let has = |(key, value): &(&str, &str)| {
                metric.get_label().iter().any(|label| label.name() == *key && label.value() == *value)
            };
            labels.iter().all(has)
        };
        let metric = family.get_metric().iter().find(is_it)?;
        let (gauge, counter) = (metric.get_gauge().get_value(), metric.get_counter().get_value());
        // One of the two is there.
        Some(gauge + counter)
    }

    /// Why the autoscaler wants the number that it wants, as the metrics name it.
    pub(crate) fn has_reason(&self, name: &str, reason: &str) -> bool {
        let function = id(name).to_string();
        self.metric("actord_scaler_reason", &[("function_name", &function), ("reason", reason)]) == Some(1.0)
    }
}

/// Callers at work; dropping this ends them.
pub(crate) struct Callers(Vec<JoinHandle<()>>);

impl Callers {
    /// Ends them, and checks that none had a call that failed.
    pub(crate) fn end(self) {
        assert!(self.0.iter().all(|caller| !caller.is_finished()), "a call failed");
    }
}

impl Drop for Callers {
    fn drop(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}

/// As the proxy does it.
async fn call(routes: Arc<Routes>, id: FunctionId, takes: Duration) -> bool {
    let entry = routes.find(&id).unwrap();
    let lease = entry.lease().await;
    if lease.is_ok() {
        sleep(takes).await;
    }
    let answered = lease.is_ok();
    drop(lease);
    entry.count_call(Duration::ZERO, false);
    answered
}

pub(crate) fn spec(image: &str, labels: &[(&str, &str)]) -> actord::function::Spec {
    let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    SpecDraft { labels, ..draft(image) }.try_into().unwrap()
}
