//! Cron over the queue itself: a due time is a call on the disk, and no due time is two.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use actord::cron::Cron;
use actord::engine::{Engine as _, Mode};
use actord::function::{FunctionId, Spec, SpecDraft};
use actord::queue::callback::{Own, Rules};
use actord::queue::fake::{Functions, Step};
use actord::queue::head::Head;
use actord::queue::{Calls, Filter, Queue, Settings};
use actord::routes::{Parking, Routes};
use futures_util::FutureExt;
use jiff::Timestamp;
use tokio::runtime::Handle;
use tokio::time::sleep;

use crate::house::{MORNING, SetClock, id, minutes};
use crate::memory_engine::{Image, MemoryEngine};

const SETTLED: Duration = Duration::from_millis(200);

struct House {
    engine: MemoryEngine,
    routes: Arc<Routes>,
    calls: Calls,
    functions: Functions,
    clock: Arc<SetClock>,
    alive: Option<(Queue, Cron)>,
}

impl House {
    async fn start() -> Self {
        let routes = Arc::new(Routes::new(Parking::default()));
        let engine = MemoryEngine::of(|_| Image::Runs(Vec::new()), Some(routes.clone()), || Timestamp::UNIX_EPOCH);
        let (calls, functions) = (Calls::in_memory().unwrap(), Functions::new());
        let clock = Arc::new(SetClock::at(MORNING));
        let mut house = Self { engine, routes, calls, functions, clock, alive: None };
        house.begin().await;
        house
    }

    async fn begin(&mut self) {
        let settings = Settings {
            max_body: 1 << 20,
            max_calls: 0,
            max_bytes: None,
            parallel: 256,
            rules: Rules {
                own: Own { listen: Vec::new(), names: Vec::new() },
                subnet: "10.62.0.0/16".parse().unwrap(),
                allow: Vec::new(),
                local: |_| false,
            },
            directory: None,
        };
        let opened = self.calls.clone();
        let open = Box::new(move |_| {
            let calls = opened.clone();
            async move { Ok(calls) }.boxed()
        });
        let (engine, runtime) = (Arc::new(self.engine.clone()), Handle::current());
        let queue = Queue::open(open, engine.clone(), self.routes.clone(), settings, &runtime).unwrap();
        queue.opened(Duration::from_secs(60)).await;
        queue.begin(Arc::new(self.functions.clone()), Arc::new(self.functions.clone()));
        let calls = Arc::new(queue.clone());
        let cron = Cron::start(engine, self.routes.clone(), calls, self.clock.clone(), &runtime).unwrap();
        self.alive = Some((queue, cron));
        sleep(SETTLED).await;
    }

    /// Neither is asked to end.
    fn kill(&mut self) {
        self.alive = None;
    }

    async fn deploy(&self, name: &str, annotations: &[(&str, &str)]) {
        let all = [&[("topic", "cron-function")], annotations].concat();
        let annotations: BTreeMap<_, _> =
            all.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let draft = SpecDraft { image: "hello".to_owned(), annotations, ..SpecDraft::default() };
        self.engine.apply(id(name), Spec::try_from(draft).unwrap(), Mode::Create).await.unwrap();
        sleep(SETTLED).await;
    }

    /// How many calls of it are kept.
    async fn kept(&self, name: &FunctionId) -> usize {
        let page =
            self.calls.page(Filter { function: Some(name.clone()), limit: 1000, ..Filter::default() }).await.unwrap();
        page.calls.len()
    }
}

#[tokio::test(start_paused = true)]
async fn a_due_time_is_one_call_on_the_disk_whatever_is_killed() {
    let mut house = House::start().await;
    house.functions.script(&id("often"), [Step::answers(200)]);
    house.deploy("often", &[("schedule", "* * * * *")]).await;
    for round in 0..20 {
        sleep(Duration::from_secs(11 + round * 5)).await;
        house.kill();
        sleep(Duration::from_secs(round)).await;
        house.begin().await;
    }
    sleep(Duration::from_secs(60)).await;
    let now = actord::cron::Wall::now(&*house.clock).strftime("%H:%M").to_string();
    assert_eq!(house.kept(&id("often")).await, minutes("10:01", &now, 1).len());
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_due_has_the_headers_of_a_connector_and_the_name_of_its_schedule() {
    let house = House::start().await;
    house.functions.script(&id("often"), [Step::answers(200)]);
    house.deploy("often", &[("schedule", "*/5 * * * *")]).await;
    sleep(Duration::from_secs(5 * 60)).await;
    let call = house.calls.fired().await.unwrap().remove(0).call.expect("it fired");
    let loaded = house.calls.by_id(call).await.unwrap().expect("it is kept");
    assert_eq!((loaded.call.method.as_str(), loaded.call.schedule.as_deref()), ("POST", Some("*/5 * * * *")));
    let started = house.functions.began();
    assert_eq!(started.len(), 1);
    let head = Head::decode(&started[0].sent.head).expect("headers");
    assert_eq!(head.get("x-topic"), Some(&b"cron-function"[..]));
    assert_eq!(head.get("x-connector"), Some(&b"cron-connector"[..]));
}

#[tokio::test(start_paused = true)]
async fn what_is_due_while_the_last_call_is_to_be_tried_again_is_skipped_where_that_is_asked_for() {
    let house = House::start().await;
    house.functions.always(&id("failing"), Step::answers(503));
    house.deploy("failing", &[("schedule", "* * * * *"), ("schedule.overlap", "skip")]).await;
    sleep(Duration::from_secs(3 * 60)).await;
    let row = house.calls.fired().await.unwrap().remove(0);
    assert_eq!((house.kept(&id("failing")).await, row.skipped), (1, 2));
}
