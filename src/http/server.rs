//! Listeners: how actix is set up for ours. The sockets come from `daemon`, which also ends the servers.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::middleware::from_fn;
use actix_web::{App, HttpServer};

use super::{Services, Settings, configure, configure_metrics, connection, draining};

/// A client's idle connection is closed after this long.
const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// A client must have sent its first request's head by then.
const HEAD_WITHIN: Duration = Duration::from_secs(10);

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
    let server = HttpServer::new(move || {
        let app = App::new().configure(|cfg| configure(cfg, &services, &settings));
        app.wrap(from_fn(draining::close_connections)).wrap(from_fn(connection::fit_version))
    })
    .workers(workers)
    .keep_alive(KEEP_ALIVE)
    .client_request_timeout(HEAD_WITHIN)
    // A client that closes its side is gone: its function should not work on an answer that has no reader (Go's server does so, too).
    .h1_allow_half_closed(false)
    .tcp_nodelay(true)
    // Whole seconds are all that it takes; less than one must not become none.
    .shutdown_timeout(drain.as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX))
    .disable_signals()
    .listen(listener)?;
    Ok(server.run())
}

/// Serves the metrics.
///
/// # Errors
/// When the socket can't be used.
pub fn serve_metrics(listener: TcpListener, services: &Arc<Services>) -> std::io::Result<Server> {
    let services = services.clone();
    let server = HttpServer::new(move || App::new().configure(|cfg| configure_metrics(cfg, &services)))
        .workers(1)
        .disable_signals()
        .listen(listener)?;
    Ok(server.run())
}
