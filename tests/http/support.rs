//! What all tests here stand on: an engine in memory with scripted faults, a server, raw functions and a raw client.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actord::actors::LocalLogs;
use actord::credentials::Credentials;
use actord::cron::{Cron, MachineClock};
use actord::engine::{self, Changes, Engine, InstanceView, Mode, Refused, Used, View};
use actord::events::Events;
use actord::function::{
    FunctionId, Generation, InstanceId, Namespace, NamespaceMetadata, Outlook, Spec, SpecDraft, Tier,
};
use actord::history::History;
use actord::host::fake::FakeHost;
use actord::http::{self, ApiFlavor, Bodies, Draining, Gate, Metrics, Services, Settings};
use actord::queue::callback::{Allowed, Place};
use actord::queue::{self, Queue};
use actord::routes::{Parking, Routes};
use actord::store::{Namespaces, Secrets, Store};
use async_trait::async_trait;
use jiff::Timestamp;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::memory_engine::{Image, MemoryEngine, desired};

/// `admin:secret-pw`, as in the recorded conversations.
pub(crate) const AUTH: &str = "Authorization: Basic YWRtaW46c2VjcmV0LXB3\r\n";

/// How long a request waits for an instance, and for one of a function that is at zero.
const PARKING: Duration = Duration::from_millis(300);
const WAKING: Duration = Duration::from_secs(2);

/// What goes wrong with the engine, what it was told, and what it says other than it would.
#[derive(Default)]
pub(crate) struct Script {
    /// What is shown of functions instead of what the engine knows.
    shown: BTreeMap<FunctionId, View>,
    pub(crate) refuse: Option<Refused>,
    /// Functions that can't be run, and why.
    pub(crate) unrunnable: BTreeMap<FunctionId, String>,
    pub(crate) silent: bool,
    /// What it says is wrong with what it needs.
    pub(crate) faults: Vec<String>,
    /// Whether it can't be reached.
    pub(crate) stops: bool,
    pub(crate) seen: Vec<Seen>,
    /// What functions use; one that is not in here can't be measured.
    pub(crate) used: BTreeMap<FunctionId, Used>,
    /// Whether nothing that is asked to be measured is ever answered.
    pub(crate) immeasurable: bool,
}

impl Script {
    fn is_there(&self) -> Result<(), Refused> {
        if self.stops { Err(Refused::Busy("the registry is restarting: try again".into())) } else { Ok(()) }
    }
}

/// A message that arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Seen {
    Applied(Mode, FunctionId, Box<Spec>),
    RolledBack(FunctionId, Option<Generation>),
    Deleted(FunctionId),
    Scaled(FunctionId, u32),
    KeptDown(FunctionId, bool),
}

/// An engine in memory with the faults of a script around it.
#[derive(Clone)]
struct Scripted {
    engine: MemoryEngine,
    script: Arc<Mutex<Script>>,
}

impl Scripted {
    fn note(&self, seen: Seen) -> Result<(), Refused> {
        let mut script = self.script.lock().unwrap();
        script.is_there()?;
        script.seen.push(seen);
        script.refuse.clone().map_or(Ok(()), Err)
    }

    fn show(&self, view: View) -> View {
        self.script.lock().unwrap().shown.get(&view.id).cloned().unwrap_or(view)
    }
}

/// An answer that may never come.
async fn later<T>(silent: bool, answer: T) -> T {
    if silent {
        std::future::pending::<()>().await;
    }
    answer
}

#[async_trait]
impl Engine for Scripted {
    async fn apply(&self, id: FunctionId, spec: Spec, mode: Mode) -> Result<(), Refused> {
        let silent = self.script.lock().unwrap().silent;
        let answer = async {
            self.note(Seen::Applied(mode, id.clone(), spec.clone().into()))?;
            let unrunnable = self.script.lock().unwrap().unrunnable.get(&id).cloned();
            unrunnable.map_or(Ok(()), |reason| Err(Refused::Unrunnable(reason)))?;
            self.engine.apply(id, spec, mode).await
        };
        later(silent, answer.await).await
    }

    async fn rollback(&self, id: &FunctionId, to: Option<Generation>) -> Result<(), Refused> {
        self.note(Seen::RolledBack(id.clone(), to))?;
        self.engine.rollback(id, to).await
    }

    async fn delete(&self, id: &FunctionId) -> Result<(), Refused> {
        self.note(Seen::Deleted(id.clone()))?;
        self.engine.delete(id).await
    }

    async fn scale(&self, id: &FunctionId, replicas: u32) -> Result<(), Refused> {
        self.note(Seen::Scaled(id.clone(), replicas))?;
        self.engine.scale(id, replicas).await
    }

    async fn keep_down(&self, id: &FunctionId, down: bool) -> Result<(), Refused> {
        self.note(Seen::KeptDown(id.clone(), down))?;
        self.engine.keep_down(id, down).await
    }

    async fn adjust(&self, id: &FunctionId, wanted: u32, reason: String) -> Result<(), Refused> {
        self.engine.adjust(id, wanted, reason).await
    }

    async fn rest(&self, id: &FunctionId, tier: Tier) -> Result<(), Refused> {
        self.engine.rest(id, tier).await
    }

    async fn get(&self, id: &FunctionId) -> Result<Option<View>, Refused> {
        self.script.lock().unwrap().is_there()?;
        Ok(self.engine.get(id).await?.map(|view| self.show(view)))
    }

    async fn list(&self, namespace: &Namespace) -> Result<Vec<View>, Refused> {
        self.script.lock().unwrap().is_there()?;
        Ok(self.engine.list(namespace).await?.into_iter().map(|view| self.show(view)).collect())
    }

    async fn measure(&self, only: Option<&FunctionId>) -> Vec<(FunctionId, Used)> {
        let (silent, used) = {
            let script = self.script.lock().unwrap();
            let wanted = script.used.iter().filter(|(id, _)| only.is_none_or(|only| only == *id));
            (script.immeasurable, wanted.map(|(id, used)| (id.clone(), *used)).collect())
        };
        later(silent, used).await
    }

    async fn cpu_time(&self, id: &FunctionId) -> Option<Duration> {
        self.engine.cpu_time(id).await
    }

    fn instances(&self, id: &FunctionId) -> Vec<InstanceView> {
        self.engine.instances(id)
    }

    fn faults(&self) -> Vec<String> {
        self.script.lock().unwrap().faults.clone()
    }

    fn watch(&self, after: Option<u64>) -> Changes {
        self.engine.watch(after)
    }
}

/// When everything is created here.
fn then() -> Timestamp {
    "2026-01-02T03:04:05.000000006Z".parse().unwrap()
}

/// A running server with everything around it.
pub(crate) struct House {
    pub(crate) address: SocketAddr,
    pub(crate) metrics: SocketAddr,
    /// The engine, with the default namespace and `dev`, without a secret.
    pub(crate) engine: MemoryEngine,
    pub(crate) script: Arc<Mutex<Script>>,
    pub(crate) routes: Arc<Routes>,
    pub(crate) draining: Draining,
    /// Until when nothing may be changed, if it is so.
    pub(crate) closed_until: watch::Sender<Option<Instant>>,
    pub(crate) services: Arc<Services>,
    pub(crate) server: actix_web::dev::ServerHandle,
    settings: Settings,
    _cron: Cron,
}

impl House {
    pub(crate) async fn public() -> Self {
        Self::with(ApiFlavor::Public, |_| {}).await
    }

    pub(crate) async fn with(flavor: ApiFlavor, set: impl FnOnce(&mut Settings)) -> Self {
        Self::over(flavor, set, |engine| (engine.clone(), engine.clone(), engine)).await
    }

    /// As [`House::with`], with secrets, namespaces and logs as the doors are given them.
    pub(crate) async fn over<S, N, L>(
        flavor: ApiFlavor,
        set: impl FnOnce(&mut Settings),
        rest: impl FnOnce(MemoryEngine) -> (S, N, L),
    ) -> Self
    where
        S: engine::Secrets + 'static,
        N: engine::Namespaces + 'static,
        L: engine::Logs + 'static,
    {
        Self::with_queue(flavor, set, rest, |_| {}).await
    }

    async fn with_queue<S, N, L>(
        flavor: ApiFlavor,
        set: impl FnOnce(&mut Settings),
        rest: impl FnOnce(MemoryEngine) -> (S, N, L),
        set_queue: impl FnOnce(&mut queue::Settings),
    ) -> Self
    where
        S: engine::Secrets + 'static,
        N: engine::Namespaces + 'static,
        L: engine::Logs + 'static,
    {
        let engine = MemoryEngine::of(|_| Image::Runs(Vec::new()), None, then);
        engine::Namespaces::create(&engine, &dev(), NamespaceMetadata::of_functions()).await.unwrap();
        let script = Arc::new(Mutex::new(Script::default()));
        let routes = Arc::new(Routes::new(Parking { time: PARKING, waking: WAKING, ..Parking::default() }));
        let draining = Draining::default();
        let (closed_until, gate) = watch::channel(None);
        let (secrets, namespaces, logs) = rest(engine.clone());
        let scripted = Arc::new(Scripted { engine: engine.clone(), script: script.clone() });
        let mut calls = queue::Settings::usual();
        set_queue(&mut calls);
        let queue = Queue::in_memory(scripted.clone(), routes.clone(), calls).await.unwrap();
        let (kept, clock) = (Arc::new(queue.clone()), Arc::new(MachineClock));
        let runtime = tokio::runtime::Handle::current();
        let cron = Cron::start(scripted.clone(), routes.clone(), kept, clock, &runtime).unwrap();
        let (namespaces, history) = (Arc::new(namespaces), History::none());
        let events = Events::start(scripted.clone(), namespaces.clone(), queue.clone(), history.loads(), &runtime);
        let services = Arc::new(Services {
            engine: scripted,
            secrets: Arc::new(secrets),
            routes: routes.clone(),
            namespaces,
            metrics: Metrics::new().unwrap(),
            draining: draining.clone(),
            gate: Gate::of(gate),
            logs: Arc::new(logs),
            machine: Arc::new(actord::wire::MachineView::default()),
            queue: queue.clone(),
            bodies: Bodies::default(),
            schedules: cron.handle(),
            events,
            history,
        });
        let mut settings = Settings::new(Credentials { user: "admin".into(), password: "secret-pw".into() }, flavor);
        settings.release.sha = "abc".into();
        set(&mut settings);
        let sends = http::Queued::start(&services, &settings).unwrap();
        queue.begin(sends.clone(), sends);
        let (listener, metrics) = (local_listener(), local_listener());
        let (address, metrics_address) = (listener.local_addr().unwrap(), metrics.local_addr().unwrap());
        let server = http::serve(listener, 1, Duration::from_secs(10), &services, settings.clone()).unwrap();
        let handle = server.handle();
        actix_web::rt::spawn(server);
        actix_web::rt::spawn(http::serve_metrics(metrics, &services).unwrap());
        let metrics = metrics_address;
        Self {
            address,
            metrics,
            engine,
            script,
            routes,
            draining,
            closed_until,
            server: handle,
            services,
            settings,
            _cron: cron,
        }
    }

    /// Begins to serve the dashboard of the same settings, and says where.
    pub(crate) fn dashboard(&self) -> SocketAddr {
        let listener = local_listener();
        let address = listener.local_addr().unwrap();
        let settings = self.settings.clone();
        let server = http::serve_dashboard(listener, Duration::from_secs(10), &self.services, settings).unwrap();
        actix_web::rt::spawn(server);
        address
    }

    /// Publishes an instance of a function.
    pub(crate) fn publish(&self, function: &str, address: SocketAddr) -> InstanceId {
        let id: FunctionId = function.parse().unwrap();
        let instance: InstanceId = format!("{}-{}", id.name, address.port()).parse().unwrap();
        self.routes.announce(&id, Outlook::Coming);
        self.routes.publish(&id, &instance, address);
        instance
    }

    /// Adds a function with this image to the registry.
    pub(crate) fn add(&self, function: &str, image: &str) {
        self.add_with(function, |draft| draft.image = image.into());
    }

    /// Adds a function that is asked to be what `set` says.
    pub(crate) fn add_with(&self, function: &str, set: impl FnOnce(&mut SpecDraft)) {
        let id: FunctionId = function.parse().unwrap();
        let mut draft = SpecDraft { image: "i".into(), ..SpecDraft::default() };
        set(&mut draft);
        self.engine.put(&id, draft.try_into().unwrap());
    }

    /// Adds a secret that functions may name.
    pub(crate) async fn add_secret(&self, namespace: &Namespace, name: &str) {
        engine::Secrets::create(&self.engine, namespace, name.parse().unwrap(), Vec::new()).await.unwrap();
    }

    /// Lets a function be shown in another way.
    pub(crate) fn show(&self, function: &str, change: impl FnOnce(&mut View)) {
        let id: FunctionId = function.parse().unwrap();
        let mut script = self.script.lock().unwrap();
        let known = || self.engine.view(&id).expect("the function was added");
        change(script.shown.entry(id.clone()).or_insert_with(known));
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.script.lock().unwrap().seen.clone()
    }

    /// Sends a whole request and reads the whole answer; `head` is everything up to the empty line.
    pub(crate) async fn ask(&self, head: &str, body: &str) -> Reply {
        ask(self.address, head, body).await
    }

    /// A request under `/system`, with credentials.
    pub(crate) async fn system(&self, line: &str, body: &str) -> Reply {
        self.ask(&format!("{line} HTTP/1.1\r\nHost: gateway\r\n{AUTH}Content-Type: application/json\r\n"), body).await
    }

    /// A plain request for a function.
    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: gateway\r\n"), "").await
    }
}

/// Calls that nobody waits for.
impl House {
    /// A house whose callbacks may go to this address of this machine.
    pub(crate) async fn allowing(receiver: SocketAddr) -> Self {
        let allowed = Allowed { place: Place::Net(receiver.ip().into()), port: Some(receiver.port()) };
        Self::queueing(|queue| queue.rules.allow.push(allowed)).await
    }

    /// A house whose queue is set so.
    pub(crate) async fn queueing(set: impl FnOnce(&mut queue::Settings)) -> Self {
        Self::with_queue(ApiFlavor::Public, |_| {}, |engine| (engine.clone(), engine.clone(), engine), set).await
    }

    /// A call, as it is shown.
    pub(crate) async fn call(&self, id: &str) -> serde_json::Value {
        let reply = self.system(&format!("GET /system/call/{id}"), "").await;
        assert_eq!(reply.status, 200, "{id}: {reply:?}");
        reply.json()
    }

    /// A call, as soon as it is what is waited for.
    pub(crate) async fn until(&self, id: &str, is: impl Fn(&serde_json::Value) -> bool) -> serde_json::Value {
        let seen = async {
            loop {
                let call = self.call(id).await;
                if is(&call) {
                    return call;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        match tokio::time::timeout(Duration::from_secs(20), seen).await {
            Ok(call) => call,
            Err(_) => panic!("it did not become what was waited for: {}", self.call(id).await),
        }
    }

    /// A call, as soon as it has ended.
    pub(crate) async fn ended(&self, id: &str) -> serde_json::Value {
        self.until(id, |call| !call["ended"].is_null()).await
    }
}

fn dev() -> Namespace {
    "dev".parse().unwrap()
}

/// A house whose secrets, namespaces and logs are those of one machine, in memory and in a directory.
pub(crate) struct LocalHouse {
    house: House,
    /// The default namespace and `dev`, without a secret.
    pub(crate) namespaces: Namespaces,
    pub(crate) store: Store,
    /// Where the secrets lie.
    pub(crate) secrets: tempfile::TempDir,
    /// Where the logs are.
    pub(crate) host: FakeHost,
}

impl LocalHouse {
    pub(crate) async fn public() -> Self {
        Self::with(ApiFlavor::Public, |_| {}).await
    }

    pub(crate) async fn with(flavor: ApiFlavor, set: impl FnOnce(&mut Settings)) -> Self {
        let (store, secrets, host) = (Store::in_memory().unwrap(), tempfile::tempdir().unwrap(), FakeHost::new());
        let namespaces = Namespaces::new(store.clone(), Secrets::new(secrets.path().to_owned()));
        namespaces.create(&dev(), NamespaceMetadata::of_functions()).await.unwrap();
        let house = House::over(flavor, set, |engine| {
            let created = move |id: &FunctionId| engine.view(id).map(|view| view.status.desired.unwrap().created_at);
            let logs = LocalLogs::new(host.host().logs, created);
            (namespaces.clone(), namespaces.clone(), logs)
        });
        Self { house: house.await, namespaces, store, secrets, host }
    }

    /// Keeps a function that names these secrets, as a deploy does.
    pub(crate) async fn keep_with_secrets(&self, function: &str, secrets: &[&str]) {
        let secrets = secrets.iter().map(|name| name.parse().unwrap()).collect();
        let draft = SpecDraft { image: "i".into(), secrets, ..SpecDraft::default() };
        let desired = desired(None, draft.try_into().unwrap(), &Image::Runs(Vec::new()), then());
        self.store.put(&function.parse().unwrap(), &desired).await.unwrap();
    }
}

impl std::ops::Deref for LocalHouse {
    type Target = House;

    fn deref(&self) -> &House {
        &self.house
    }
}

fn local_listener() -> std::net::TcpListener {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap()
}

/// An address where nothing listens. Its port stays taken as long as the tests run: a free one may be given to the next
/// function that they start.
pub(crate) fn nobody() -> SocketAddr {
    let taken = TcpSocket::new_v4().unwrap();
    taken.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = taken.local_addr().unwrap();
    std::mem::forget(taken);
    address
}

/// Sends a request on a connection of its own, closed after the answer.
pub(crate) async fn ask(address: SocketAddr, head: &str, body: &str) -> Reply {
    let mut client = TcpStream::connect(address).await.unwrap();
    let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    client.write_all(format!("{head}{length}Connection: close\r\n\r\n{body}").as_bytes()).await.unwrap();
    read_reply(&mut client).await
}

/// Reads to the end of the connection; of actord's stream of events, which has none, the head.
pub(crate) async fn read_reply(client: &mut TcpStream) -> Reply {
    let mut bytes = Vec::new();
    let reading =
        async { while !is_endless(&bytes) && client.read_buf(&mut bytes).await.is_ok_and(|read| read > 0) {} };
    tokio::time::timeout(Duration::from_secs(10), reading).await.expect("the connection was not closed");
    Reply::parse(&bytes)
}

fn is_endless(answer: &[u8]) -> bool {
    let head = answer.windows(4).position(|four| four == b"\r\n\r\n").map(|end| &answer[..end]);
    // A function's own stream has an end.
    head.is_some_and(|head| String::from_utf8_lossy(head).to_ascii_lowercase().contains("\r\nx-accel-buffering: no"))
}

/// What a client got.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    /// De-chunked, as far as it came.
    pub(crate) body: Vec<u8>,
    /// Whether the body ended as its framing says it does.
    pub(crate) complete: bool,
}

impl Reply {
    pub(crate) fn parse(bytes: &[u8]) -> Self {
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
            return Self { status: 0, head: String::from_utf8_lossy(bytes).into(), body: Vec::new(), complete: false };
        };
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let raw = &bytes[end + 4..];
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let mut reply = Self { status, head, body: raw.to_vec(), complete: true };
        if reply.header("transfer-encoding").as_deref() == Some("chunked") {
            (reply.body, reply.complete) = unchunk(raw);
        } else if let Some(length) = reply.header("content-length") {
            reply.complete = reply.body.len() == length.parse::<usize>().unwrap();
        }
        reply
    }

    pub(crate) fn header(&self, name: &str) -> Option<String> {
        self.headers(name).pop()
    }

    pub(crate) fn headers(&self, name: &str) -> Vec<String> {
        let lines = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        lines.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned()).collect()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        assert_eq!(self.header("content-type").as_deref(), Some("application/json"), "{self:?}");
        serde_json::from_slice(&self.body).unwrap()
    }
}

fn unchunk(mut raw: &[u8]) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    loop {
        let Some(line) = raw.windows(2).position(|two| two == b"\r\n") else { return (body, false) };
        let size = usize::from_str_radix(std::str::from_utf8(&raw[..line]).unwrap(), 16).unwrap();
        raw = &raw[line + 2..];
        if size == 0 {
            return (body, true);
        }
        if raw.len() < size + 2 {
            body.extend_from_slice(&raw[..size.min(raw.len())]);
            return (body, false);
        }
        body.extend_from_slice(&raw[..size]);
        raw = &raw[size + 2..];
    }
}

/// One connection that a function accepted.
pub(crate) struct Connection(pub(crate) TcpStream);

impl Connection {
    /// Reads a request's head, up to and with the empty line; empty at the end of the connection.
    pub(crate) async fn head(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            match self.0.read_u8().await {
                Ok(byte) => head.push(byte),
                Err(_) => return String::new(),
            }
        }
        String::from_utf8(head).unwrap()
    }

    pub(crate) async fn say(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.unwrap();
    }

    pub(crate) async fn read(&mut self, count: usize) -> String {
        let mut bytes = vec![0; count];
        self.0.read_exact(&mut bytes).await.unwrap();
        String::from_utf8(bytes).unwrap()
    }
}

/// Listens as a function would; `serve` gets each connection.
pub(crate) async fn function<F, R>(serve: F) -> SocketAddr
where
    F: Fn(Connection) -> R + 'static,
    R: Future<Output = ()> + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    actix_web::rt::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            actix_web::rt::spawn(serve(Connection(connection)));
        }
    });
    address
}

/// A function that gives back the head it got, on connections that it keeps.
pub(crate) async fn mirror() -> SocketAddr {
    answering(|head| {
        format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{head}", head.len())
    })
    .await
}

/// A function that answers each request without a body from its head.
pub(crate) async fn answering(answer: impl Fn(&str) -> String + Clone + 'static) -> SocketAddr {
    function(move |mut connection| {
        let answer = answer.clone();
        async move {
            loop {
                let head = connection.head().await;
                if head.is_empty() {
                    return;
                }
                connection.say(&answer(&head)).await;
            }
        }
    })
    .await
}
