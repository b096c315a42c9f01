//! The REST surface and the function proxy, on actix-web.
//!
//! ```text
//! /system/...    auth -> functions, secrets, namespaces, logs, system: parse with `wire`, ask the engine, answer
//! /function/...  invoke: name -> lease -> forward (client of this worker) -> headers, body streamed both ways
//! /openapi.json  openapi, from what stands at the handlers
//! /metrics       metrics, on a listener of its own
//! ```
//! Two listeners have the same routes and differ in their [`ApiFlavor`]. What goes wrong becomes an answer in `error`, for
//! everything under `/system`, or in `invoke`, for the proxy.

mod alert;
mod auth;
mod body;
mod draining;
mod error;
mod forward;
mod functions;
mod headers;
mod invoke;
mod logs;
mod metrics;
mod namespaces;
mod openapi;
mod params;
mod pool;
mod request;
mod secrets;
mod server;
mod status;
mod system;
mod upgrade;

use std::sync::Arc;
use std::time::Duration;

use actix_web::middleware::from_fn;
use actix_web::web::{self, ServiceConfig};
pub use draining::Draining;
pub use metrics::Metrics;
pub use server::{serve, serve_metrics};

use crate::credentials::Credentials;
use crate::engine::{Engine, Logs, Namespaces, Secrets};
use crate::function::FunctionId;
use crate::routes::Routes;

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
    /// The commit that it was built from.
    pub sha: String,
    /// The subject of that commit.
    pub commit_message: String,
}

/// What can be set about a listener.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Who may use `/system`.
    pub credentials: Credentials,
    /// Which peer it stands for.
    pub flavor: ApiFlavor,
    /// The longest time from a request for a function to the head of its answer, waiting for an instance included.
    pub upstream_timeout: Duration,
    /// The longest wait for an actor's answer; longer than a deployment waits for its instance.
    pub answer_timeout: Duration,
    /// What it calls itself.
    pub release: Release,
}

impl Settings {
    /// The defaults: 60 s for a function, 55 s for an actor (faas-cli gives up after 60 s).
    #[must_use]
    pub fn new(credentials: Credentials, flavor: ApiFlavor) -> Self {
        Self {
            credentials,
            flavor,
            upstream_timeout: Duration::from_secs(60),
            answer_timeout: Duration::from_secs(55),
            release: Release {
                version: env!("CARGO_PKG_VERSION").to_owned(),
                sha: option_env!("ACTORD_COMMIT").unwrap_or_default().to_owned(),
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
    /// Where requests for functions may go.
    pub routes: Arc<Routes>,
    /// What is counted.
    pub metrics: Metrics,
    /// Whether actord is about to end.
    pub draining: Draining,
}

impl Services {
    /// How often a function was invoked, whatever came of it, in earlier processes too.
    fn calls(&self, id: &FunctionId) -> u64 {
        self.routes.find(id).map_or(0, |known| known.calls())
    }
}

/// The route table. Call it in the application factory of each worker: the proxy's connections belong to the worker.
pub fn configure(cfg: &mut ServiceConfig, services: &Arc<Services>, settings: &Arc<Settings>) {
    let function = web::resource("/function/{name}");
    let (functions, secrets) = (web::resource("/functions"), web::resource("/secrets"));
    let namespace = web::resource("/namespace/{name}");
    cfg.app_data(web::Data::from(services.clone()))
        .app_data(web::Data::from(settings.clone()))
        .app_data(web::Data::new(auth::Expected::new(&settings.credentials)))
        .app_data(web::Data::new(invoke::Proxy::new(services.clone(), settings)))
        .service(web::scope("/function").default_service(web::to(invoke::invoke)))
        .service(web::scope("/async-function").default_service(web::to(system::no_async)))
        .service(
            web::scope("/system")
                .wrap(from_fn(auth::require))
                .wrap(from_fn(metrics::count))
                .service(
                    functions
                        .route(web::get().to(functions::list))
                        .route(web::post().to(functions::create))
                        .route(web::put().to(functions::update))
                        .route(web::delete().to(functions::delete)),
                )
                .service(function.route(web::get().to(functions::status)))
                .service(web::resource("/scale-function/{name}").route(web::post().to(functions::scale)))
                .service(web::resource("/logs").route(web::get().to(logs::logs)))
                .service(
                    secrets
                        .route(web::get().to(secrets::list))
                        .route(web::post().to(secrets::create))
                        .route(web::put().to(secrets::update))
                        .route(web::delete().to(secrets::delete)),
                )
                .service(web::resource("/namespaces").route(web::get().to(namespaces::list)))
                .service(web::resource(["/namespace", "/namespace/"]).route(web::post().to(namespaces::create_unnamed)))
                .service(
                    namespace
                        .route(web::get().to(namespaces::get))
                        .route(web::post().to(namespaces::create))
                        .route(web::put().to(namespaces::update))
                        .route(web::delete().to(namespaces::delete)),
                )
                .service(web::resource("/alert").route(web::post().to(alert::receive)))
                .service(web::resource("/info").route(web::get().to(system::info)))
                .default_service(web::to(system::not_found)),
        )
        .service(web::resource("/healthz").route(web::get().to(system::healthz)).route(web::head().to(system::healthz)))
        .service(web::resource("/openapi.json").route(web::get().to(openapi::document)))
        .configure(|cfg| configure_flavor(cfg, settings.flavor))
        .default_service(web::to(system::not_found));
}

/// The route table of the metrics listener, which asks for no credentials.
pub fn configure_metrics(cfg: &mut ServiceConfig, services: &Arc<Services>) {
    cfg.app_data(web::Data::from(services.clone()))
        .service(web::resource("/metrics").route(web::to(metrics::scrape)))
        .service(web::resource("/healthz").route(web::get().to(system::healthz_ok)))
        .default_service(web::to(system::not_found));
}

/// What only one of the peers has.
fn configure_flavor(cfg: &mut ServiceConfig, flavor: ApiFlavor) {
    cfg.service(match flavor {
        ApiFlavor::Public => web::resource("/").route(web::get().to(system::front_door)),
        ApiFlavor::Provider => web::resource("/metrics").route(web::to(metrics::scrape)),
    });
}
