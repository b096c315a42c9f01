//! What is counted, under the names that the OpenFaaS dashboards and autoscalers look for, and more under `actord_`.
//!
//! ```text
//! requests count (invocations, requests, waits, connections); actors and store count through [`Metrics::registry`]
//! GET /metrics -> how functions fare (functions), what they use (usage), what the kernel says of us (process):
//!                 all read now -> one page
//! ```

mod connections;
mod functions;
mod invocations;
mod process;
mod requests;
mod usage;
mod waiting;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use prometheus::{Encoder as _, HistogramOpts, HistogramVec, IntGaugeVec, Opts, Registry, TextEncoder};
use tokio::time::{Instant, timeout, timeout_at};

pub(super) use self::connections::{Connections, OpenConnection};
use self::functions::FunctionMetrics;
use self::invocations::Invocations;
pub(super) use self::invocations::{Invocation, Series};
use self::process::Process;
use self::requests::Requests;
pub(super) use self::requests::count;
use self::usage::Usage;
pub(super) use self::waiting::Waiting;
use super::text::text;
use super::{ApiFlavor, Services};
use crate::routes::FunctionEntry;

const FUNCTION: &str = "function_name";
const CODE: &str = "code";

/// A scrape must not wait for a busy registry: the counters matter more than the gauges.
const LIST_WITHIN: Duration = Duration::from_secs(2);
/// Nor for a host that is stuck; functions are left out one by one well before this.
const MEASURE_WITHIN: Duration = Duration::from_secs(4);

/// From a start that was all but done to the longest wait that makes sense, in seconds.
const WAIT_BUCKETS: &[f64] = &[0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// All metrics, and the registry that writes them down.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Registry,
    invocations: Invocations,
    public: Requests,
    provider: Requests,
    waits: HistogramVec,
    connections: Connections,
    waiting: Waiting,
    functions: FunctionMetrics,
    process: Process,
    usage: Usage,
    /// Held while a page is made, since the gauges are written anew for each.
    turn: Arc<Mutex<()>>,
}

impl Metrics {
    /// Metrics that have counted nothing yet.
    ///
    /// # Errors
    /// When a name is registered twice, which is a mistake in this room.
    pub fn new() -> Result<Self, prometheus::Error> {
        let waits = HistogramOpts::new("actord_park_seconds", "Waits of requests for an instance, by what ended them");
        let metrics = Self {
            registry: Registry::new(),
            invocations: Invocations::new()?,
            public: Requests::new(ApiFlavor::Public)?,
            provider: Requests::new(ApiFlavor::Provider)?,
            waits: HistogramVec::new(waits.buckets(WAIT_BUCKETS.to_vec()), &["outcome"])?,
            connections: Connections::new()?,
            waiting: Waiting::new()?,
            functions: FunctionMetrics::new()?,
            process: Process::new()?,
            usage: Usage::new()?,
            turn: Arc::default(),
        };
        let registry = &metrics.registry;
        registry.register(Box::new(metrics.invocations.clone()))?;
        metrics.public.register(registry)?;
        metrics.provider.register(registry)?;
        registry.register(Box::new(metrics.waits.clone()))?;
        metrics.connections.register(registry)?;
        metrics.waiting.register(registry)?;
        metrics.functions.register(registry)?;
        metrics.process.register(registry)?;
        metrics.usage.register(registry)?;
        let build = IntGaugeVec::new(Opts::new("actord_build_info", "1, with the version that runs"), &["version"])?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        registry.register(Box::new(build))?;
        Ok(metrics)
    }

    /// The registry, for metrics of other rooms.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// One function's series.
    pub(super) fn series(&self, entry: &FunctionEntry) -> Result<Series, prometheus::Error> {
        self.invocations.series(entry)
    }

    /// The connections to the instances.
    pub(super) fn connections(&self) -> &Connections {
        &self.connections
    }

    /// What of answers waits for clients.
    pub(super) fn waiting(&self) -> &Waiting {
        &self.waiting
    }

    /// Begins to measure how long a request waits for an instance.
    pub(super) fn wait(&self) -> Wait {
        Wait { waits: self.waits.clone(), since: Instant::now(), outcome: "left" }
    }

    fn requests(&self, flavor: ApiFlavor) -> &Requests {
        match flavor {
            ApiFlavor::Public => &self.public,
            ApiFlavor::Provider => &self.provider,
        }
    }
}

/// A request's wait for an instance; one that is dropped before its end was given up by its client.
pub(super) struct Wait {
    waits: HistogramVec,
    since: Instant,
    outcome: &'static str,
}

impl Wait {
    /// It is over, with an instance or without.
    pub(super) fn end(mut self, leased: bool) {
        self.outcome = if leased { "leased" } else { "refused" };
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        self.waits.with_label_values(&[self.outcome]).observe(self.since.elapsed().as_secs_f64());
    }
}

/// GET `/metrics`.
pub(super) async fn scrape(services: web::Data<Services>) -> HttpResponse {
    let metrics = &services.metrics;
    let mut views = Vec::new();
    let until = Instant::now() + LIST_WITHIN;
    for namespace in services.namespaces.list().await.unwrap_or_default() {
        // Without an answer the gauges are left out of this scrape; a stale or wrong value would be worse.
        if let Ok(Ok(of_namespace)) = timeout_at(until, services.engine.list(&namespace)).await {
            views.extend(of_namespace);
        }
    }
    let used = timeout(MEASURE_WITHIN, services.engine.measure(None)).await.unwrap_or_default();
    let encoder = TextEncoder::new();
    let mut page = Vec::new();
    let written = {
        let _turn = metrics.turn.lock().unwrap_or_else(PoisonError::into_inner);
        metrics.functions.show(&views, &services.routes.all());
        metrics.process.refresh();
        metrics.usage.show(&used);
        let families = metrics.registry.gather();
        // Until the next page, the series of hundreds of functions would only take memory.
        metrics.functions.forget();
        metrics.usage.forget();
        encoder.encode(&families, &mut page)
    };
    match written {
        Ok(()) => HttpResponse::Ok().content_type(encoder.format_type()).body(page),
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, &format!("metrics can't be written: {error}")),
    }
}
