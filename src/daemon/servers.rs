//! The listeners at work, and their end.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use crate::audit::Audit;
use crate::config::Config;
use crate::credentials::Access;
use crate::http;
use crate::tls::Tls;
use actix_web::dev::ServerHandle;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::context::resting;
use super::sockets::Sockets;
use super::trial::when_open;

/// No new connection is accepted, and no client has asked for anything on an open one for this long: those that are left are
/// idle, and lose nothing when they are closed. Who did ask was answered with `Connection: close`, and comes back on a new
/// one. It is also ample time for a connection that was just accepted to reach its worker.
const QUIET: Duration = Duration::from_millis(250);
/// It is waited for no longer than this: answers to what was asked before may come in for long.
const QUIET_WITHIN: Duration = Duration::from_secs(3);

/// Servers that answer.
pub(super) struct Servers {
    handles: Vec<ServerHandle>,
    draining: http::Draining,
    /// Calls that were kept are sent, as soon as they may be.
    begins: JoinHandle<()>,
}

impl Servers {
    /// Starts to answer on all sockets, and on that of the dashboard, if it has one.
    pub(super) fn start(
        config: &Config,
        access: &Access,
        audit: &Audit,
        (sockets, dashboard): (Sockets, Option<TcpListener>),
        services: &Arc<http::Services>,
        tls: Option<&Tls>,
    ) -> anyhow::Result<Self> {
        let workers = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let settings = |flavor| http::Settings {
            upstream_timeout: config.upstream_timeout,
            upload_idle_timeout: config.upload_idle_timeout,
            answer_timeout: config.deploy_wait + config.host_timeout,
            function_label: config.function_label,
            resting: resting(config),
            upload_min_rate: config.upload_min_rate,
            times: http::ClientTimes { head: config.head_timeout, idle: config.keep_alive_timeout },
            reading: http::ReadingLimits {
                idle: config.answer_idle_timeout,
                floor: config.answer_min_rate,
                memory: config.answer_memory,
            },
            connections: http::ConnectionLimits {
                all: config.max_connections,
                per_address: config.max_connections_per_address,
            },
            audit: audit.clone(),
            trusted_proxies: config.trusted_proxies.clone(),
            ..http::Settings::new(access.clone(), flavor)
        };
        let page = dashboard.as_ref().map(TcpListener::local_addr).transpose()?;
        // Each listener has its own: what bounds one is not taken by another.
        let public = || http::Settings { tls: tls.cloned(), dashboard: page, ..settings(http::ApiFlavor::Public) };
        let provider = settings(http::ApiFlavor::Provider);
        let sends = http::Queued::start(services, &public())?;
        let queue = services.queue.clone();
        let begins = when_open(&services.gate, move || queue.begin(sends.clone(), sends));
        let drain = config.drain_timeout;
        let page = dashboard.map(|socket| http::serve_dashboard(socket, drain, services, public())).transpose()?;
        let mut servers = vec![
            http::serve(sockets.public, workers, drain, services, public())?,
            http::serve(sockets.provider, workers, drain, services, provider)?,
            http::serve_metrics(sockets.metrics, services)?,
        ];
        servers.extend(page);
        let handles = servers.iter().map(actix_web::dev::Server::handle).collect();
        for server in servers {
            actix::spawn(server);
        }
        Ok(Self { handles, draining: services.draining.clone(), begins })
    }

    /// Accepts no more, lets every request finish that has come, and ends. Connections that were not accepted stay in the
    /// sockets' queues, for the next process that holds the sockets.
    ///
    /// Two steps, because a server that is told to stop drops connections that it has accepted and not yet looked at, and
    /// closes kept-alive ones at once, even where a request has come that it has not read.
    pub(super) async fn drain(self) {
        self.begins.abort();
        self.draining.raise();
        futures_util::future::join_all(self.handles.iter().map(ServerHandle::pause)).await;
        let since = Instant::now();
        loop {
            let answers = self.draining.answers();
            sleep(QUIET).await;
            if self.draining.answers() == answers || since.elapsed() >= QUIET_WITHIN {
                break;
            }
        }
        futures_util::future::join_all(self.handles.iter().map(|handle| handle.stop(true))).await;
    }
}
