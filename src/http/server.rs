//! Listeners: how actix is set up for ours. The sockets come from `daemon`, which also ends the servers.

use std::convert::Infallible;
use std::net::TcpListener;
use std::os::fd::AsRawFd as _;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_http::error::DispatchError;
use actix_http::{HttpService, KeepAlive, Request, Response, ServiceConfig};
use actix_server::{Server, ServerBuilder};
use actix_service::{Service, fn_factory, fn_service};
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::middleware::from_fn;
use actix_web::rt::net::TcpStream;
use actix_web::{App, Error};

use super::connection::{ClientStream, Connections, Secured, UNREAD_LINGER, introduce};
use super::front::front;
use super::guesses::Guesses;
use super::proxies::TrustedProxies;
use super::proxy::Proxy;
use super::{
    ClientTimes, ConnectionLimits, Draining, ReadingLimits, Services, Settings, configure, configure_metrics, dashboard,
};
use crate::tls::Tls;

/// While so many bytes of an answer wait for its client, no more of it is read. The last piece may be of 64 KiB; that of a
/// client that takes its time is of 4 KiB, and both fit into the 8 KiB that actix has for them, with what frames them.
const HELD: usize = (4 << 10) - 256;

/// So many bytes that were not sent yet wait in the kernel for a client, about. It would let megabytes wait.
const UNSENT: libc::c_int = 128 << 10;

/// Serves the API and the functions on a socket that is listening already. `drain` bounds how long requests may go on
/// after the server was asked to stop.
///
/// # Errors
/// When the socket can't be used.
pub fn serve(
    listener: TcpListener,
    workers: usize,
    drain: Duration,
    services: &Arc<Services>,
    settings: Settings,
) -> std::io::Result<Server> {
    let (services, settings) = (services.clone(), Arc::new(settings));
    let proxies = TrustedProxies::new(&settings.trusted_proxies, settings.flavor);
    let door = Door::of(&services, &settings, proxies.clone());
    let guesses = Guesses::of("/system", proxies.clone());
    let guesses_at_functions = Guesses::of("functions", proxies);
    listen(server(workers, drain), listener, door, move || {
        let app = App::new().configure(|cfg| configure(cfg, &services, &settings, &guesses));
        (app, Some(Proxy::new(services.clone(), &settings, guesses_at_functions.clone())))
    })
}

/// Serves the dashboard, and the API that it works by: no function.
///
/// # Errors
/// When the socket can't be used.
pub fn serve_dashboard(
    listener: TcpListener,
    drain: Duration,
    services: &Arc<Services>,
    settings: Settings,
) -> std::io::Result<Server> {
    let (services, settings) = (services.clone(), Arc::new(settings));
    let proxies = TrustedProxies::new(&settings.trusted_proxies, settings.flavor);
    let door = Door::of(&services, &settings, proxies.clone());
    let guesses = Guesses::of("the dashboard", proxies);
    listen(server(1, drain), listener, door, move || {
        let app = App::new().wrap(from_fn(dashboard::protect));
        (app.configure(|cfg| dashboard::configure(cfg, &services, &settings, &guesses)), None)
    })
}

/// A server whose requests may go on for so long after it was asked to stop.
fn server(workers: usize, drain: Duration) -> ServerBuilder {
    // Whole seconds are all that it takes; less than one must not become none.
    let drain = drain.as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX);
    Server::build().workers(workers).shutdown_timeout(drain)
}

/// Serves the metrics.
///
/// # Errors
/// When the socket can't be used.
pub fn serve_metrics(listener: TcpListener, services: &Arc<Services>) -> std::io::Result<Server> {
    let services = services.clone();
    let connections = Connections::behind(
        TrustedProxies::default(),
        ConnectionLimits::default(),
        ReadingLimits::default(),
        ClientTimes::default(),
        services.metrics.waiting().clone(),
    );
    let door = Door { connections, tls: None, draining: services.draining.clone() };
    listen(Server::build().workers(1), listener, door, move || {
        (App::new().configure(|cfg| configure_metrics(cfg, &services)), None)
    })
}

/// What stands at a listener's door.
#[derive(Clone)]
struct Door {
    connections: Connections,
    /// The certificate, where TLS is spoken.
    tls: Option<Tls>,
    draining: Draining,
}

impl Door {
    fn of(services: &Services, settings: &Settings, proxies: TrustedProxies) -> Self {
        let Settings { connections, reading, times, .. } = *settings;
        let connections = Connections::behind(proxies, connections, reading, times, services.metrics.waiting().clone());
        Self { connections, tls: settings.tls.clone(), draining: services.draining.clone() }
    }
}

/// What `actix_web::HttpServer` does, with connections of our own between the socket and actix, and the proxy beside the
/// routes. `rooms` makes both for each worker: the proxy's connections belong to the worker.
fn listen<A, R>(builder: ServerBuilder, listener: TcpListener, door: Door, rooms: A) -> std::io::Result<Server>
where
    A: Fn() -> (App<R>, Option<Proxy>) + Clone + Send + 'static,
    R: ServiceFactory<ServiceRequest, Config = (), Response = ServiceResponse, Error = Error, InitError = ()> + 'static,
{
    bound_unsent(&listener);
    let (address, ending) = (listener.local_addr()?, builder.graceful_shutdown_signal());
    let builder = builder.disable_signals().listen(format!("http-{address}"), listener, move || {
        let (door, ending, rooms) = (door.clone(), ending.clone(), rooms.clone());
        fn_factory(move || {
            let (door, ending, front) = (door.clone(), ending.clone(), front(door.draining.clone(), rooms.clone()));
            async move {
                let front = Rc::new(front.new_service(()).await?);
                let answers = front.clone();
                let http1 = HttpService::build()
                    .graceful_shutdown_signal(move || {
                        let ending = ending.clone();
                        async move { ending.notified().await }
                    })
                    // `connection` bounds the wait for a request and for its head.
                    .keep_alive(KeepAlive::Os)
                    .client_request_timeout(Duration::ZERO)
                    .client_disconnect_timeout(UNREAD_LINGER)
                    .h1_write_buffer_size(HELD)
                    // A client that closes its side is gone: its function should not work on an answer that has no reader (Go's server does so, too).
                    .h1_allow_half_closed(false)
                    .local_addr(address)
                    .on_connect_ext(introduce)
                    .h1(fn_service(move |request| answers.call(request)));
                let http1 = http1.new_service(()).await?;
                let worker = Rc::new(Worker { door, front, http1, clock: ServiceConfig::default() });
                Ok::<_, ()>(fn_service(move |tcp: TcpStream| accept(worker.clone(), tcp)))
            }
        })
    })?;
    Ok(builder.run())
}

/// What a worker answers connections with.
struct Worker<F, H> {
    door: Door,
    front: Rc<F>,
    http1: H,
    /// Knows the date.
    clock: ServiceConfig,
}

/// Serves a connection that was just accepted to its end. What TLS and HTTP/2 need is boxed: a plain connection's future must
/// not be larger for it.
async fn accept<F, H, B>(worker: Rc<Worker<F, H>>, tcp: TcpStream) -> Result<(), DispatchError>
where
    F: Service<Request, Response = Response<B>, Error = Infallible>,
    H: Service<(ClientStream, Option<std::net::SocketAddr>), Response = (), Error = DispatchError>,
    B: MessageBody,
{
    let door = &worker.door;
    // An answer goes out at once, or later where that can't be set.
    let _ = tcp.set_nodelay(true);
    let peer = tcp.peer_addr().ok();
    let connection = match &door.tls {
        None => door.connections.open(tcp),
        Some(tls) => match Box::pin(door.connections.open_tls(tcp, tls.config())).await {
            Some(Secured::Http2(connection)) => {
                Box::pin(connection.serve(&*worker.front, &door.draining, &worker.clock)).await;
                return Ok(());
            }
            Some(Secured::Http1(connection)) => Some(connection),
            None => None,
        },
    };
    match connection {
        Some(connection) => worker.http1.call((connection, peer)).await,
        None => Err(DispatchError::Io(std::io::ErrorKind::ConnectionRefused.into())),
    }
}

/// Bounds what waits in the kernel for a client to take it, beside what is on its way to it (`tcp(7)`, TCP_NOTSENT_LOWAT).
/// Accepted connections inherit this.
fn bound_unsent(listener: &TcpListener) {
    let unsent = UNSENT;
    // SAFETY: the descriptor is open as long as `listener` is borrowed; the call reads one int, which is ours.
    #[allow(unsafe_code)]
    let done = unsafe {
        libc::setsockopt(
            listener.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_NOTSENT_LOWAT,
            (&raw const unsent).cast(),
            libc::socklen_t::try_from(size_of_val(&unsent)).unwrap_or_default(),
        )
    };
    if done != 0 {
        let error = std::io::Error::last_os_error();
        tracing::warn!(%error, "what waits in the kernel for slow clients is not bounded");
    }
}
