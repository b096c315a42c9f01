//! One machine: its clock, its functions, and an actord that comes and goes.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use actord::cron::{Cron, Listed, Wall};
use actord::engine::{Engine as _, Mode};
use actord::function::{FunctionId, Namespace, Spec, SpecDraft};
use actord::routes::{Parking, Routes};
use jiff::{SignedDuration, Timestamp};
use prometheus::Registry;
use prometheus::proto::MetricFamily;
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep};

use crate::kept::Kept;
use crate::memory_engine::{Image, MemoryEngine};

/// A moment after the program's day; a Friday.
pub(crate) const MORNING: &str = "2026-11-27T10:00:30Z";
/// What is done at a moment is done this much later.
const SETTLED: Duration = Duration::from_millis(50);

/// A clock that shows what it was set to and goes on from there.
pub(crate) struct SetClock(Mutex<(Timestamp, Instant)>);

impl SetClock {
    pub(crate) fn at(time: &str) -> Self {
        Self(Mutex::new((time.parse().unwrap(), Instant::now())))
    }
}

impl Wall for SetClock {
    fn now(&self) -> Timestamp {
        let (shown, at) = *self.0.lock().unwrap();
        shown + SignedDuration::try_from(at.elapsed()).unwrap()
    }
}

/// See the module.
pub(crate) struct House {
    pub(crate) engine: MemoryEngine,
    pub(crate) calls: Arc<Kept>,
    pub(crate) registry: Registry,
    routes: Arc<Routes>,
    clock: Arc<SetClock>,
    cron: Option<Cron>,
}

impl House {
    /// An actord that starts at this time.
    pub(crate) fn at(time: &str) -> Self {
        let routes = Arc::new(Routes::new(Parking::default()));
        let engine = MemoryEngine::of(|_| Image::Runs(Vec::new()), Some(routes.clone()), || Timestamp::UNIX_EPOCH);
        let clock = Arc::new(SetClock::at(time));
        let (calls, registry) = (Arc::new(Kept::default()), Registry::new());
        let mut house = Self { engine, calls, registry, routes, clock, cron: None };
        house.start();
        house
    }

    pub(crate) fn start(&mut self) {
        let (engine, routes) = (Arc::new(self.engine.clone()), self.routes.clone());
        let cron = Cron::start(engine, routes, self.calls.clone(), self.clock.clone(), &Handle::current()).unwrap();
        self.registry = Registry::new();
        cron.measure(&self.registry).unwrap();
        self.cron = Some(cron);
    }

    pub(crate) async fn stop(&mut self) {
        self.cron.take().unwrap().stop().await;
    }

    /// What is called `NAME` has these annotations from now on, beside the topic.
    pub(crate) async fn deploy(&self, mode: Mode, name: &str, annotations: &[(&str, &str)]) {
        let all = [&[("topic", "cron-function")], annotations].concat();
        let annotations = all.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let draft = SpecDraft { image: "hello".to_owned(), annotations, ..SpecDraft::default() };
        self.engine.apply(id(name), Spec::try_from(draft).unwrap(), mode).await.unwrap();
        sleep(SETTLED).await;
    }

    /// A function with this schedule, and nothing else.
    pub(crate) async fn scheduled(&self, name: &str, schedule: &str) {
        self.deploy(Mode::Create, name, &[("schedule", schedule)]).await;
    }

    pub(crate) async fn pass(&self, minutes: u64) {
        sleep(Duration::from_secs(minutes * 60) + SETTLED).await;
    }

    pub(crate) async fn pass_seconds(&self, seconds: u64) {
        sleep(Duration::from_secs(seconds) + SETTLED).await;
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Sets the clock forward, or back.
    pub(crate) fn set_clock(&self, by: SignedDuration) {
        let time = self.now() + by;
        *self.clock.0.lock().unwrap() = (time, Instant::now());
    }

    /// The due times of a function's calls.
    pub(crate) fn due(&self, name: &str) -> Vec<String> {
        self.calls.fired().into_iter().filter(|(function, _)| function == name).map(|(_, due)| due).collect()
    }

    pub(crate) fn listed(&self) -> Vec<Listed> {
        self.cron.as_ref().unwrap().handle().list()
    }

    /// The sum of a metric over all functions.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let families = self.registry.gather();
        let metrics = families.iter().filter(|family| family.name() == name).flat_map(MetricFamily::get_metric);
        metrics.map(|metric| metric.get_counter().get_value()).sum()
    }
}

pub(crate) fn id(name: &str) -> FunctionId {
    FunctionId::new(name.parse().unwrap(), Namespace::default())
}

/// Every so many minutes of a day, from one `HH:MM` to another.
pub(crate) fn minutes(from: &str, to: &str, step: i64) -> Vec<String> {
    let at = |time: &str| format!("2026-11-27T{time}:00Z").parse::<Timestamp>().unwrap();
    let next = |time: &Timestamp| Some(*time + SignedDuration::from_mins(step));
    let each = std::iter::successors(Some(at(from)), next).take_while(|time| *time <= at(to));
    each.map(|time| time.to_string()).collect()
}
