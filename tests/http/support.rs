//! What all tests here stand on: a scripted registry, a server, raw functions and a raw client.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix::{Actor, ActorContext as _, Context, Handler};
use actord::actors::messages::{Apply, Delete, Get, List, Measure, Mode, Refused, Scale, Used, View};
use actord::credentials::Credentials;
use actord::function::{Desired, FunctionId, Generation, InstanceId, Phase, Spec, SpecDraft, Status};
use actord::host::fake::FakeHost;
use actord::http::{self, ApiFlavor, Draining, Metrics, Recipients, Services, Settings};
use actord::routes::{Parking, Routes};
use actord::store::{Metadata, Namespaces, Secrets, Store};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// `admin:secret-pw`, as in the recorded conversations.
pub(crate) const AUTH: &str = "Authorization: Basic YWRtaW46c2VjcmV0LXB3\r\n";

/// What the scripted registry holds, was told and is to answer.
#[derive(Default)]
pub(crate) struct Script {
    pub(crate) functions: BTreeMap<FunctionId, View>,
    pub(crate) refuse: Option<Refused>,
    /// Functions that can't be run, and why.
    pub(crate) unrunnable: BTreeMap<FunctionId, String>,
    pub(crate) silent: bool,
    /// Whether it stops at the next look at one function.
    pub(crate) stops: bool,
    pub(crate) seen: Vec<Seen>,
    /// What functions use; one that is not in here can't be measured.
    pub(crate) used: BTreeMap<FunctionId, Used>,
    /// Whether nothing that is asked to be measured is ever answered.
    pub(crate) immeasurable: bool,
}

/// A message that arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Seen {
    Applied(Mode, FunctionId, Box<Spec>),
    Deleted(FunctionId),
    Scaled(FunctionId, u32),
}

/// Stands for the registry.
pub(crate) struct Registry(Arc<Mutex<Script>>);

impl Actor for Registry {
    type Context = Context<Self>;
}

impl Registry {
    fn note(&self, seen: Seen, id: &FunctionId) -> Result<(), Refused> {
        let mut script = self.0.lock().unwrap();
        script.seen.push(seen.clone());
        if let Some(refused) = &script.refuse {
            return Err(refused.clone());
        }
        let known = script.functions.contains_key(id);
        if let (Seen::Applied(..), Some(reason)) = (&seen, script.unrunnable.get(id)) {
            return Err(Refused::Unrunnable(reason.clone()));
        }
        match seen {
            Seen::Applied(Mode::Create, ..) if known => Err(Refused::Exists(id.clone())),
            Seen::Applied(Mode::Create, _, spec) => {
                script.functions.insert(id.clone(), view(id, *spec));
                Ok(())
            }
            Seen::Deleted(_) if known => {
                script.functions.remove(id);
                Ok(())
            }
            _ if known => Ok(()),
            _ => Err(Refused::NotFound(id.clone())),
        }
    }
}

/// An answer that may never come.
type Later<T> = actix::ResponseFuture<T>;

fn later<T: 'static>(silent: bool, answer: T) -> Later<T> {
    Box::pin(async move {
        if silent {
            std::future::pending::<()>().await;
        }
        answer
    })
}

impl Handler<Apply> for Registry {
    type Result = Later<Result<(), Refused>>;
    fn handle(&mut self, message: Apply, _: &mut Context<Self>) -> Self::Result {
        let silent = self.0.lock().unwrap().silent;
        later(silent, self.note(Seen::Applied(message.mode, message.id.clone(), message.spec.into()), &message.id))
    }
}

impl Handler<Delete> for Registry {
    type Result = Result<(), Refused>;
    fn handle(&mut self, message: Delete, _: &mut Context<Self>) -> Self::Result {
        self.note(Seen::Deleted(message.id.clone()), &message.id)
    }
}

impl Handler<Scale> for Registry {
    type Result = Result<(), Refused>;
    fn handle(&mut self, message: Scale, _: &mut Context<Self>) -> Self::Result {
        self.note(Seen::Scaled(message.id.clone(), message.replicas), &message.id)
    }
}

impl Handler<Get> for Registry {
    type Result = Option<View>;
    fn handle(&mut self, message: Get, context: &mut Context<Self>) -> Self::Result {
        if self.0.lock().unwrap().stops {
            context.stop();
        }
        self.0.lock().unwrap().functions.get(&message.id).cloned()
    }
}

impl Handler<List> for Registry {
    type Result = Vec<View>;
    fn handle(&mut self, message: List, _: &mut Context<Self>) -> Self::Result {
        let script = self.0.lock().unwrap();
        script.functions.values().filter(|view| view.id.namespace == message.namespace).cloned().collect()
    }
}

impl Handler<Measure> for Registry {
    type Result = Later<Vec<(FunctionId, Used)>>;
    fn handle(&mut self, Measure { only }: Measure, _: &mut Context<Self>) -> Self::Result {
        let script = self.0.lock().unwrap();
        let wanted = script.used.iter().filter(|(id, _)| only.as_ref().is_none_or(|only| only == *id));
        later(script.immeasurable, wanted.map(|(id, used)| (id.clone(), *used)).collect())
    }
}

/// A function that serves with one replica.
pub(crate) fn view(id: &FunctionId, spec: Spec) -> View {
    let desired = Desired {
        generation: Generation(1),
        spec: Arc::new(spec),
        replicas: 1,
        last_good: None,
        has_served: true,
        failed: None,
        created_at: "2026-01-02T03:04:05.000000006Z".into(),
    };
    let status = Status {
        desired: Some(desired),
        phase: Phase::Ready,
        ready: 1,
        serving: Some(Generation(1)),
        restarts: 0,
        failure: None,
    };
    View { id: id.clone(), status, retry_in: None, step: None, pull: None }
}

/// A running server with everything around it.
pub(crate) struct House {
    pub(crate) address: SocketAddr,
    pub(crate) metrics: SocketAddr,
    pub(crate) script: Arc<Mutex<Script>>,
    pub(crate) routes: Arc<Routes>,
    /// The default namespace and `dev`, without a secret.
    pub(crate) namespaces: Namespaces,
    pub(crate) store: Store,
    /// Where the secrets lie.
    pub(crate) secrets: tempfile::TempDir,
    pub(crate) draining: Draining,
    /// Where the logs are.
    pub(crate) host: FakeHost,
    pub(crate) server: actix_web::dev::ServerHandle,
}

impl House {
    pub(crate) async fn public() -> Self {
        Self::with(ApiFlavor::Public, |_| {}).await
    }

    pub(crate) async fn with(flavor: ApiFlavor, set: impl FnOnce(&mut Settings)) -> Self {
        let script = Arc::new(Mutex::new(Script::default()));
        let routes = Arc::new(Routes::new(Parking { time: Duration::from_millis(300), ..Parking::default() }));
        let draining = Draining::default();
        let host = FakeHost::new();
        let (store, secrets) = (Store::in_memory().unwrap(), tempfile::tempdir().unwrap());
        let namespaces = Namespaces::new(store.clone(), Secrets::new(secrets.path().to_owned()));
        namespaces.create(&"dev".parse().unwrap(), Metadata::of_functions()).await.unwrap();
        let services = Arc::new(Services {
            provider: Recipients::from(Registry(script.clone()).start()).into(),
            routes: routes.clone(),
            namespaces: namespaces.clone(),
            metrics: Metrics::new().unwrap(),
            draining: draining.clone(),
            logs: host.host().logs,
        });
        let mut settings = Settings::new(Credentials { user: "admin".into(), password: "secret-pw".into() }, flavor);
        settings.release.sha = "abc".into();
        set(&mut settings);
        let (listener, metrics) = (local_listener(), local_listener());
        let (address, metrics_address) = (listener.local_addr().unwrap(), metrics.local_addr().unwrap());
        let server = http::serve(listener, 1, Duration::from_secs(10), &services, settings).unwrap();
        let handle = server.handle();
        actix_web::rt::spawn(server);
        actix_web::rt::spawn(http::serve_metrics(metrics, &services).unwrap());
        let metrics = metrics_address;
        Self { address, metrics, script, routes, namespaces, store, secrets, draining, host, server: handle }
    }

    /// Publishes an instance of a function.
    pub(crate) fn publish(&self, function: &str, address: SocketAddr) -> InstanceId {
        let id: FunctionId = function.parse().unwrap();
        let instance: InstanceId = format!("{}-{}", id.name, address.port()).parse().unwrap();
        self.routes.announce(&id, false);
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
        self.script.lock().unwrap().functions.insert(id.clone(), view(&id, draft.try_into().unwrap()));
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

fn local_listener() -> std::net::TcpListener {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap()
}

/// An address where nobody listens.
pub(crate) fn nobody() -> SocketAddr {
    local_listener().local_addr().unwrap()
}

/// Sends a request on a connection of its own, closed after the answer.
pub(crate) async fn ask(address: SocketAddr, head: &str, body: &str) -> Reply {
    let mut client = TcpStream::connect(address).await.unwrap();
    let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    client.write_all(format!("{head}{length}Connection: close\r\n\r\n{body}").as_bytes()).await.unwrap();
    read_reply(&mut client).await
}

/// Reads to the end of the connection.
pub(crate) async fn read_reply(client: &mut TcpStream) -> Reply {
    let mut bytes = Vec::new();
    let end = tokio::time::timeout(Duration::from_secs(10), client.read_to_end(&mut bytes)).await;
    end.expect("the connection was not closed").ok();
    Reply::parse(&bytes)
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
