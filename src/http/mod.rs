//! The REST surface and the function proxy, on actix-web.
//!
//! ```text
//! server -> connection (TLS, HTTP/2 or HTTP/1.1) -> front: which of these
//! /system/...    api: authorise, parse with `wire`, ask the engine, answer
//! /function/...  proxy: name -> lease -> forward (client of this worker) -> headers, body streamed both ways
//! /async-function/...  queued: accept -> queue, which sends by the proxy later
//! /openapi.json  api, from what stands at the handlers
//! dashboard      a page for people and /system, on a listener of its own
//! /metrics       metrics, on a listener of its own
//! ```
//! Two listeners have the same routes and differ in their [`ApiFlavor`]. What goes wrong becomes an answer in `api::error`,
//! for everything under `/system`, or in `proxy`.

mod api;
#[cfg(test)]
mod captured_log;
mod connection;
mod dashboard;
mod draining;
mod front;
#[cfg(feature = "testing")]
pub(crate) mod fuzzed {
    //! All fuzz targets of the room.

    pub(crate) use super::api::fuzzed::auth_headers;
    pub(crate) use super::connection::fuzzed::request_heads;
    pub(crate) use super::proxy::fuzzed::{answers, forwarding};
    pub(crate) use super::queued::fuzzed::stored_heads;
}
mod gate;
mod guesses;
mod metrics;
mod proxies;
mod proxy;
mod queued;
mod room;
mod seconds;
mod server;
mod source;
mod streams;
mod text;
mod unacknowledged;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use actix_web::web::{self, ServiceConfig};
pub use api::{Machine, table_of_routes};
pub use draining::Draining;
pub use gate::Gate;
use ipnet::IpNet;
pub use metrics::Metrics;
pub use queued::{Bodies, Queued};
pub use server::{serve, serve_dashboard, serve_metrics};
pub use streams::Streams;

use self::api::system;
use self::guesses::Guesses;

use crate::audit::Audit;
use crate::credentials::Access;
use crate::engine::{Engine, Logs, Namespaces, Secrets};
use crate::events::Events;
use crate::function::{FunctionId, Resting};
use crate::history::History;
use crate::queue::Queue;
use crate::routes::Routes;
use crate::tls::Tls;

/// Which peer a listener stands for; they disagree on `/system/info`, on the proxy's errors and on its extra headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApiFlavor {
    /// The gateway, where clients come in.
    Public,
    /// The provider, behind a gateway.
    Provider,
}

/// What this build calls itself in `/system/info`.
#[derive(Debug, Clone, Default)]
pub struct Release {
    /// Its version, such as `0.1.0`.
    pub version: String,
    /// The commit that it was built from, as `build.rs` says it: never empty.
    pub sha: String,
    /// The subject of that commit; empty if the builder did not say.
    pub commit_message: String,
}

/// How many connections a listener takes; 0 is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// All.
    pub all: usize,
    /// From one address, or one IPv6 /64. Trusted proxies and loopback are not held to it.
    pub per_address: usize,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self { all: 8_192, per_address: 1_024 }
    }
}

/// How long a client is waited for that sends nothing, or no whole head of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientTimes {
    /// A request's head must have come so long after the connection, or after the head's first byte.
    pub head: Duration,
    /// A connection without a request is closed after so long.
    pub idle: Duration,
}

impl Default for ClientTimes {
    fn default() -> Self {
        Self { head: Duration::from_secs(10), idle: Duration::from_secs(75) }
    }
}

/// What a client may take its time for, with an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadingLimits {
    /// After so long a client that has not taken enough of its answer is closed.
    pub idle: Duration,
    /// Enough is so many bytes a second of that time; 0: any byte is.
    pub floor: u64,
    /// While more bytes than this wait in memory for clients of all listeners, those that take next to nothing are closed
    /// within seconds.
    pub memory: usize,
}

impl Default for ReadingLimits {
    fn default() -> Self {
        Self { idle: Duration::from_secs(60), floor: 256, memory: 64 << 20 }
    }
}

/// What can be set about a listener.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Who may use `/system`.
    pub access: Access,
    /// Where it is noted who changed what.
    pub audit: Audit,
    /// Which peer it stands for.
    pub flavor: ApiFlavor,
    /// The longest time from a request for a function, waiting for an instance included, or from the end of its body to
    /// the head of its answer.
    pub upstream_timeout: Duration,
    /// The longest time in which a client may send next to nothing of a request body that it has begun.
    pub upload_idle_timeout: Duration,
    /// What a client must send at least of a body that is waited for, in bytes a second of that time; 0: any byte is enough.
    pub upload_min_rate: u64,
    /// The longest wait for the engine's answer; longer than a deployment waits for its instance.
    pub answer_timeout: Duration,
    /// Whether every status carries the label `faas_function` with the function's name.
    pub function_label: bool,
    /// After how long without a call functions rest that ask for it: what is next is told by this.
    pub resting: Resting,
    /// How long clients are waited for that send nothing.
    pub times: ClientTimes,
    /// How slowly clients may read.
    pub reading: ReadingLimits,
    /// How many connections it takes.
    pub connections: ConnectionLimits,
    /// The proxies whose `X-Forwarded-*` are believed and passed on. A gateway on this machine is one for the provider's listener.
    pub trusted_proxies: Vec<IpNet>,
    /// Places for streams of events.
    pub event_streams: Streams,
    /// The certificate that it shows; none: it does not speak TLS.
    pub tls: Option<Tls>,
    /// Where the dashboard listens, for those who look for it here; it speaks TLS where this does. None: there is none.
    pub dashboard: Option<SocketAddr>,
    /// What it calls itself.
    pub release: Release,
}

impl Settings {
    /// The defaults: 60 s for a function and for a client's body, 55 s for the engine (faas-cli gives up after 60 s).
    #[must_use]
    pub fn new(access: impl Into<Access>, flavor: ApiFlavor) -> Self {
        Self {
            access: access.into(),
            audit: Audit::none(),
            flavor,
            upstream_timeout: Duration::from_secs(60),
            upload_idle_timeout: Duration::from_secs(60),
            upload_min_rate: 64,
            answer_timeout: Duration::from_secs(55),
            function_label: false,
            resting: Resting::default(),
            times: ClientTimes::default(),
            reading: ReadingLimits::default(),
            connections: ConnectionLimits::default(),
            trusted_proxies: Vec::new(),
            event_streams: Streams::default(),
            tls: None,
            dashboard: None,
            release: Release {
                version: env!("CARGO_PKG_VERSION").to_owned(),
                sha: env!("ACTORD_COMMIT").to_owned(),
                commit_message: option_env!("ACTORD_COMMIT_MESSAGE").unwrap_or_default().to_owned(),
            },
        }
    }
}

/// What the handlers work with; shared by all listeners.
pub struct Services {
    /// What runs functions.
    pub engine: Arc<dyn Engine>,
    /// The secrets of functions.
    pub secrets: Arc<dyn Secrets>,
    /// The namespaces that functions live in.
    pub namespaces: Arc<dyn Namespaces>,
    /// What functions wrote.
    pub logs: Arc<dyn Logs>,
    /// What this runs on.
    pub machine: Arc<dyn Machine>,
    /// Where requests for functions may go.
    pub routes: Arc<Routes>,
    /// What is counted.
    pub metrics: Metrics,
    /// Whether actord is about to end.
    pub draining: Draining,
    /// Whether anything may be changed.
    pub gate: Gate,
    /// What calls functions without their callers waiting.
    pub queue: Queue,
    /// What is called by the clock.
    pub schedules: crate::cron::Handle,
    /// What becomes of everything.
    pub events: Events,
    /// How much functions were called.
    pub history: History,
    /// The memory that bodies of such calls may take on their way in.
    pub bodies: Bodies,
}

impl Services {
    /// How often a function was invoked, whatever came of it, in earlier processes too.
    fn calls(&self, id: &FunctionId) -> u64 {
        self.routes.find(id).map_or(0, |entry| entry.calls())
    }
}

/// The route table of actix-web: all but the calls of functions, which `front` gives to the proxy.
fn configure(cfg: &mut ServiceConfig, services: &Arc<Services>, settings: &Arc<Settings>, guesses: &Guesses) {
    cfg.app_data(web::Data::from(services.clone()))
        .app_data(web::Data::from(settings.clone()))
        .configure(|cfg| api::configure(cfg, settings, guesses))
        .configure(api::configure_calls)
        .configure(|cfg| configure_flavor(cfg, settings.flavor))
        .default_service(web::to(system::not_found));
}

/// The route table of the metrics listener, which asks for no credentials.
fn configure_metrics(cfg: &mut ServiceConfig, services: &Arc<Services>) {
    cfg.app_data(web::Data::from(services.clone()))
        .service(web::resource("/metrics").route(web::to(metrics::scrape)))
        .service(web::resource("/healthz").route(web::get().to(system::healthz_ok)))
        .service(web::resource("/readyz").route(web::get().to(system::readyz)).route(web::head().to(system::readyz)))
        .default_service(web::to(system::not_found));
}

/// What only one of the peers has.
fn configure_flavor(cfg: &mut ServiceConfig, flavor: ApiFlavor) {
    match flavor {
        ApiFlavor::Public => cfg
            .service(web::resource("/").route(web::get().to(system::front_door)))
            .service(web::resource(["/ui", "/ui/"]).route(web::get().to(system::to_dashboard))),
        ApiFlavor::Provider => cfg.service(web::resource("/metrics").route(web::to(metrics::scrape))),
    };
}
