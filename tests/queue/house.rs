//! A platform with a queue beside it.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use actord::engine::{Engine, Mode};
use actord::function::{Phase, SpecDraft};
use actord::queue::callback::{Own, Rules};
use actord::queue::fake::{Began, Functions, Step};
use actord::queue::head::Head;
use actord::queue::{CallId, Calls, Loaded, New, NewCallback, Queue, Settings, State};
use actord::store::calls::Bounds;
use bytes::Bytes;
use futures_util::FutureExt;
use prometheus::{Encoder, Registry, TextEncoder};
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep};

use crate::platform::{Platform, draft, id};

pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const MINUTE: Duration = Duration::from_secs(60);

/// One call after the other.
pub(crate) const ONE: (&str, &str) = ("com.openfaas.queue.max-inflight", "1");

/// A platform with a queue beside it.
pub(crate) struct House {
    pub(crate) platform: Platform,
    pub(crate) calls: Calls,
    pub(crate) queue: Queue,
    pub(crate) functions: Functions,
    settings: Settings,
    registry: Registry,
}

impl Deref for House {
    type Target = Platform;

    fn deref(&self) -> &Platform {
        &self.platform
    }
}

pub(crate) fn usual() -> Settings {
    Settings {
        max_body: 1 << 20,
        max_calls: 0,
        max_bytes: None,
        parallel: 256,
        rules: Rules {
            own: Own { listen: vec!["0.0.0.0:8080".parse().unwrap()], names: vec!["gateway".into()] },
            subnet: "10.62.0.0/16".parse().unwrap(),
            allow: Vec::new(),
            local: |_| false,
        },
        directory: None,
    }
}

impl House {
    pub(crate) async fn start() -> Self {
        Self::start_with(usual()).await
    }

    pub(crate) async fn start_with(settings: Settings) -> Self {
        let platform = Platform::start().await;
        let functions = Functions::over(platform.routes.clone());
        let engine = Arc::new(platform.engine.clone());
        let bounds = Bounds { bytes: settings.give_way(), ..Bounds::default() };
        Self::over(platform, engine, Calls::in_memory_with(bounds).unwrap(), functions, settings).await
    }

    /// With a queue that sees this engine and this database.
    pub(crate) async fn over(
        platform: Platform,
        engine: Arc<dyn Engine>,
        calls: Calls,
        functions: Functions,
        settings: Settings,
    ) -> Self {
        let opened = calls.clone();
        let open = Box::new(move |_| {
            let calls = opened.clone();
            async move { Ok(calls) }.boxed()
        });
        let queue = Queue::open(open, engine, platform.routes.clone(), settings.clone(), &Handle::current()).unwrap();
        queue.opened(MINUTE).await;
        queue.begin(Arc::new(functions.clone()), Arc::new(functions.clone()));
        let registry = Registry::new();
        queue.measure(&registry).unwrap();
        Self { platform, calls, queue, functions, settings, registry }
    }

    /// The queue is killed, and one begins with what is on the disk.
    pub(crate) async fn killed(self) -> Self {
        let Self { platform, calls, queue, functions, settings, .. } = self;
        drop(queue);
        let engine = Arc::new(platform.engine.clone());
        Self::over(platform, engine, calls, functions, settings).await
    }

    /// The queue ends in order, with so much time for calls under way, and one begins with what is on the disk.
    pub(crate) async fn restarted(self, drain: Duration) -> Self {
        self.queue.end_dispatch();
        self.queue.finish(drain).await;
        self.killed().await
    }

    /// Deploys a function with these annotations, and waits until it serves.
    pub(crate) async fn serve(&self, name: &str, annotations: &[(&str, &str)]) {
        let annotations = annotations.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let spec = SpecDraft { annotations, ..draft("good:1") }.try_into().unwrap();
        self.apply(Mode::Create, name, spec).await.unwrap();
        self.until("it serves", async |p| p.phase(name).await == Some(Phase::Ready)).await;
    }

    pub(crate) fn script(&self, name: &str, steps: impl IntoIterator<Item = Step>) {
        self.functions.script(&id(name), steps);
    }

    pub(crate) fn always(&self, name: &str, step: Step) {
        self.functions.always(&id(name), step);
    }

    pub(crate) async fn accept(&self, name: &str) -> CallId {
        self.queue.accept(call(name)).await.unwrap()
    }

    /// Accepts so many calls, one after the other.
    pub(crate) async fn accept_many(&self, name: &str, count: usize) -> Vec<CallId> {
        let mut ids = Vec::new();
        for _ in 0..count {
            ids.push(self.accept(name).await);
        }
        ids
    }

    pub(crate) async fn call(&self, id: CallId) -> Loaded {
        self.queue.call(id).await.unwrap().expect("the call is kept")
    }

    pub(crate) async fn state(&self, id: CallId) -> State {
        self.call(id).await.call.state
    }

    /// Waits (in simulated time) until it holds.
    pub(crate) async fn when(&self, what: &str, holds: impl AsyncFn(&Self) -> bool) {
        for _ in 0..50_000 {
            if holds(self).await {
                return;
            }
            sleep(SECOND / 10).await;
        }
        panic!("never happened: {what}; {:?}", self.queue.queues());
    }

    pub(crate) async fn until_state(&self, id: CallId, state: State) -> Loaded {
        self.when(&format!("the call is {state:?}"), async |house| house.state(id).await == state).await;
        self.call(id).await
    }

    /// What was sent to a function, in its order.
    pub(crate) fn began(&self, name: &str) -> Vec<Began> {
        self.functions.began_of(&id(name))
    }

    /// The ids of what was sent to a function, in its order.
    pub(crate) fn sent(&self, name: &str) -> Vec<CallId> {
        self.began(name).into_iter().map(|began| began.sent.id).collect()
    }

    /// At how many whole seconds after this moment the function's calls began.
    pub(crate) fn seconds(&self, name: &str, since: Instant) -> Vec<u64> {
        self.began(name).iter().map(|began| (began.at - since).as_secs()).collect()
    }

    /// The value of a metric's line that begins like this.
    pub(crate) fn metric(&self, line: &str) -> Option<f64> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        text.lines().find_map(|found| found.strip_prefix(line)?.trim().parse().ok())
    }
}

/// A call of a function.
pub(crate) fn call(name: &str) -> New {
    New {
        function: id(name),
        method: "POST".to_owned(),
        path_and_query: "/path?query".to_owned(),
        head: Head(vec![("x-call-id".to_owned(), b"callers".to_vec())]).encode(),
        body: Bytes::from_static(b"body"),
        caller_id: Some("callers".to_owned()),
        guarded: false,
        callback: None,
        deadline: None,
    }
}

/// The same with a callback.
pub(crate) fn called_back(name: &str, url: &str) -> New {
    New { callback: Some(NewCallback { url: url.to_owned(), checked: false }), ..call(name) }
}
