//! The server of a shard, from its first breath to its last.
//!
//! It has two threads: one for everything, and the one that copies logs ([`super::logs`]). A third does what waits for a
//! disk, and ends when there is nothing of that kind. Its socket was made by who started it, so what comes before it is up
//! waits in there.

use std::collections::HashMap;
use std::io;
use std::os::unix::net::UnixListener as StdListener;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use containerd_shim_protos::protobuf::Message as _;
use containerd_shim_protos::shim_async::create_task;
use containerd_shim_protos::ttrpc::asynchronous::transport::Listener;
use containerd_shim_protos::ttrpc::asynchronous::{MethodHandler, Server as Ttrpc, Service as Methods, TtrpcContext};
use containerd_shim_protos::ttrpc::{Code, Error, Request, Response, get_status};
use futures_util::stream;
use tokio::net::UnixListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, sleep, timeout};

use super::arguments::Arguments;
use super::connection::{Connection, Connections};
use super::container::Zygote;
use super::events::Events;
use super::logs::Logs;
use super::shard::{Lock, Shard};
use super::shared::Shared;
use super::task::{Service, remove_lost};
use super::{call, container, detach, exits, notes};

/// The stack of a thread that waits for disks.
const STACK: usize = 256 << 10;
/// How many of those there may be.
const WAITING_THREADS: usize = 8;
/// How long one is kept that has nothing to do.
const THREAD_IS_KEPT: Duration = Duration::from_secs(2);
/// How long a server that has nothing to do waits for its connections to be closed by the other side.
const CLOSED_WITHIN: Duration = Duration::from_secs(3);
/// How long between two looks at a lock that `start` holds.
const PAUSE: Duration = Duration::from_millis(5);

/// Serves a shard until it has neither containers nor the prospect of one.
///
/// # Errors
/// When it can't begin to.
pub(super) fn serve(arguments: &Arguments) -> io::Result<()> {
    // Its starter has done so; else it goes on from here as another mount of the same program.
    let sealed = container::seal().map_err(|error| {
        let words = "its program can't be sealed, and a container might write to it (Linux 5.12 or later is needed)";
        io::Error::new(error.kind(), format!("{words}: {error}"))
    });
    let served = sealed.and_then(|()| {
        detach::save_memory();
        begin(arguments)
    });
    if let Err(error) = &served {
        // Nobody reads its standard error. containerd reads this.
        notes::note(&arguments.bundle, &arguments.first, &format!("the shim's server ends: {error}"));
    }
    served
}

fn begin(arguments: &Arguments) -> io::Result<()> {
    let listener = detach::take_listener()?;
    detach::leave()?;
    // Before there is a second thread, and before what is for this process alone.
    let zygote = Zygote::spawn(Some(&arguments.bundle))?;
    detach::raise_descriptors();
    let (bundle, first) = (arguments.bundle.clone(), arguments.first.clone());
    detach::end_with_a_panic(move |panic| notes::note(&bundle, &first, panic));
    let logs = Logs::start()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .thread_name("disk")
        .thread_stack_size(STACK)
        .max_blocking_threads(WAITING_THREADS)
        .thread_keep_alive(THREAD_IS_KEPT)
        .build()?;
    let shard = Shard::new(&arguments.address, &arguments.namespace, &arguments.id);
    runtime.block_on(run(arguments, &shard, listener, zygote, logs))
}

async fn run(
    arguments: &Arguments,
    shard: &Shard,
    listener: StdListener,
    zygote: Zygote,
    logs: Logs,
) -> io::Result<()> {
    let (events, sending) = Events::to(&arguments.events, arguments.namespace.clone());
    let server = Arc::new(Shared::new(zygote, logs, events));
    server.table().reserve(&arguments.first, Instant::now());
    tokio::spawn(expect_none(Arc::clone(&server), signal(SignalKind::terminate())?));

    let connections = Arc::new(Connections::default());
    let mut ttrpc = Ttrpc::new()
        .register_service(create_task(Arc::new(Service(Arc::clone(&server)))))
        .register_service(of_shard(&server))
        .add_listener(counted(UnixListener::from_std(listener)?, &connections));
    ttrpc.start().await.map_err(io::Error::other)?;
    tokio::spawn(reap(Arc::clone(&server)));
    let zygote = exits::open(server.zygote.pid())?;

    let lock = tokio::select! {
        lock = not_wanted(&server, shard, &connections) => lock?,
        // Without it nothing can be made here any more. The end of this process is seen, and mended at once.
        _ = exits::of(zygote) => return Err(io::Error::other("the process that makes containers has ended")),
    };
    shard.remove(lock);
    drop(ttrpc);
    sending.end(&server.events).await;
    Ok(())
}

/// Connections as they come, each counted while it is open.
fn counted(listener: UnixListener, connections: &Arc<Connections>) -> Listener {
    let state = (listener, Arc::clone(connections));
    Listener::new(stream::unfold(state, async |(listener, connections)| {
        let accepted = listener.accept().await.map(|(stream, _)| Connection::new(stream, Arc::clone(&connections)));
        Some((accepted, (listener, connections)))
    }))
}

/// Returns when the server is not wanted any more, with the lock under which nobody can want it.
async fn not_wanted(server: &Shared, shard: &Shard, connections: &Connections) -> io::Result<Lock> {
    let mut idle_since = None;
    loop {
        match server.wanted() {
            None => {
                idle_since = None;
                server.changed(Duration::MAX).await;
            }
            Some(time) if !time.is_zero() => {
                idle_since = None;
                server.changed(time).await;
            }
            // An answer may be on its way still: the other side closes when it has it.
            Some(_)
                if connections.are_open() && idle_since.get_or_insert_with(Instant::now).elapsed() < CLOSED_WITHIN =>
            {
                let _ = timeout(CLOSED_WITHIN, connections.closed()).await;
            }
            Some(_) => match shard.try_lock()? {
                Some(lock) if server.wanted() == Some(Duration::ZERO) => return Ok(lock),
                // `start` looks for a server: perhaps for this one.
                Some(_) | None => sleep(PAUSE).await,
            },
        }
    }
}

/// SIGTERM: no container comes any more. actord says so when it has removed everything; a server that has containers has
/// to stay with them.
async fn expect_none(server: Arc<Shared>, mut said: Signal) {
    while said.recv().await.is_some() {
        server.give_up_all();
    }
}

/// Reaps children that nobody waits for, whenever one ends.
async fn reap(server: Arc<Shared>) {
    let Ok(mut ended) = signal(SignalKind::child()) else { return };
    while ended.recv().await.is_some() {
        server.reap_others();
    }
}

/// The calls of `start` and `delete`.
fn of_shard(server: &Arc<Shared>) -> HashMap<String, Methods> {
    let mut methods = HashMap::<String, Box<dyn MethodHandler + Send + Sync>>::new();
    methods.insert(call::RESERVE.to_owned(), Box::new(Reserve(Arc::clone(server))));
    methods.insert(call::REMOVE.to_owned(), Box::new(Remove(Arc::clone(server))));
    HashMap::from([(call::SERVICE.to_owned(), Methods { methods, streams: HashMap::new() })])
}

struct Reserve(Arc<Shared>);
struct Remove(Arc<Shared>);

#[async_trait]
impl MethodHandler for Reserve {
    async fn handler(&self, _: TtrpcContext, request: Request) -> Result<Response, Error> {
        let id = String::from_utf8(request.payload).map_err(|error| Error::Others(error.to_string()))?;
        self.0.table().reserve(&id, Instant::now());
        Ok(Response::default())
    }
}

#[async_trait]
impl MethodHandler for Remove {
    async fn handler(&self, _: TtrpcContext, request: Request) -> Result<Response, Error> {
        let id = String::from_utf8(request.payload).map_err(|error| Error::Others(error.to_string()))?;
        let removed = remove_lost(&self.0, &id).await;
        let mut response = Response::default();
        match removed {
            Ok(answer) => {
                response.set_status(get_status(Code::OK, ""));
                response.payload = answer.write_to_bytes().map_err(|error| Error::Others(error.to_string()))?;
            }
            Err(Error::RpcStatus(status)) => response.set_status(status),
            Err(error) => response.set_status(get_status(Code::UNKNOWN, error)),
        }
        Ok(response)
    }
}
