//! What is counted about functions, under the names that the OpenFaaS dashboards and autoscalers look for.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use prometheus::core::Collector as _;
use prometheus::{Encoder as _, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGaugeVec, Opts};
use prometheus::{Registry, TextEncoder};
use tokio::time::Instant;

use super::Services;
use super::error::{HttpError, text};
use super::lives::Lives;
use super::provider::ask;
use crate::actors::messages::List;
use crate::function::FunctionId;

const FUNCTION: &str = "function_name";
const CODE: &str = "code";

/// The code that is counted for a client that left before it got an answer (nginx's word for it).
const CLIENT_LEFT: u16 = 499;

/// A scrape must not wait for a busy registry: the counters matter more than the gauge.
const LIST_WITHIN: Duration = Duration::from_secs(2);

/// All metrics, and the registry that writes them down.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Registry,
    seconds: HistogramVec,
    total: IntCounterVec,
    started: IntCounterVec,
    services: IntGaugeVec,
    lives: Lives,
}

impl Metrics {
    /// Metrics that have counted nothing yet.
    ///
    /// # Errors
    /// When a name is registered twice, which is a mistake in this file.
    pub fn new() -> Result<Self, prometheus::Error> {
        let metrics = Self {
            registry: Registry::new(),
            seconds: HistogramVec::new(
                HistogramOpts::new("gateway_functions_seconds", "Time of a function's answer, to its last byte"),
                &[FUNCTION, CODE],
            )?,
            total: IntCounterVec::new(
                Opts::new("gateway_function_invocation_total", "Requests for a function that were answered"),
                &[FUNCTION, CODE],
            )?,
            started: IntCounterVec::new(
                Opts::new("gateway_function_invocation_started", "Requests for a function that were begun"),
                &[FUNCTION],
            )?,
            services: IntGaugeVec::new(Opts::new("gateway_service_count", "Replicas of a function"), &[FUNCTION])?,
            lives: Lives::new()?,
        };
        metrics.registry.register(Box::new(metrics.seconds.clone()))?;
        metrics.registry.register(Box::new(metrics.total.clone()))?;
        metrics.registry.register(Box::new(metrics.started.clone()))?;
        metrics.registry.register(Box::new(metrics.services.clone()))?;
        metrics.lives.register(&metrics.registry)?;
        Ok(metrics)
    }

    /// The registry, for metrics of other rooms.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// How often each function was invoked, by `name.namespace`, whatever came of it.
    pub(super) fn invocations(&self) -> HashMap<String, u64> {
        let mut counts = HashMap::new();
        for family in self.total.collect() {
            for metric in family.get_metric() {
                let Some(function) = metric.get_label().iter().find(|label| label.name() == FUNCTION) else { continue };
                let value = metric.get_counter().get_value();
                // Counters are whole numbers, kept as floats in what a collector gives.
                #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
                let value = value as u64;
                *counts.entry(function.value().to_owned()).or_default() += value;
            }
        }
        counts
    }

    /// One function's series.
    pub(super) fn series(&self, id: &FunctionId) -> Series {
        let function = id.to_string();
        Series {
            started: self.started.with_label_values(&[&function]),
            total: self.total.clone(),
            seconds: self.seconds.clone(),
            by_code: RefCell::default(),
            function,
        }
    }
}

/// One function's series, looked up once per worker so that a request takes no lock and formats no label.
#[derive(Debug)]
pub(super) struct Series {
    function: String,
    started: IntCounter,
    total: IntCounterVec,
    seconds: HistogramVec,
    by_code: RefCell<Vec<(u16, IntCounter, Histogram)>>,
}

impl Series {
    pub(super) fn count_start(&self) {
        self.started.inc();
    }

    fn count_end(&self, code: u16, took: Duration) {
        let mut by_code = self.by_code.borrow_mut();
        let known = by_code.iter().position(|(known, ..)| *known == code).unwrap_or_else(|| {
            let text = code.to_string();
            let labels = [self.function.as_str(), text.as_str()];
            by_code.push((code, self.total.with_label_values(&labels), self.seconds.with_label_values(&labels)));
            by_code.len() - 1
        });
        let (_, total, seconds) = &by_code[known];
        total.inc();
        seconds.observe(took.as_secs_f64());
    }
}

/// Counts one invocation when it is dropped: when the last byte of the answer is out or the client is gone.
#[derive(Debug)]
pub(super) struct Invocation<T: AsRef<Series>> {
    target: T,
    since: Instant,
    code: u16,
}

impl<T: AsRef<Series>> Invocation<T> {
    /// Counts its start.
    pub(super) fn begin(target: T, since: Instant) -> Self {
        target.as_ref().count_start();
        Self { target, since, code: CLIENT_LEFT }
    }

    /// Notes the status that the client gets.
    pub(super) fn answered(&mut self, status: u16) {
        self.code = status;
    }
}

impl<T: AsRef<Series>> Drop for Invocation<T> {
    fn drop(&mut self) {
        self.target.as_ref().count_end(self.code, self.since.elapsed());
    }
}

/// GET `/metrics`.
pub(super) async fn scrape(services: web::Data<Services>) -> Result<HttpResponse, HttpError> {
    let metrics = &services.metrics;
    let mut known = Vec::new();
    for namespace in services.namespaces.all() {
        // Without an answer the gauges are left out of this scrape; a stale or wrong value would be worse.
        let views = ask(&services.provider.now().list, List { namespace }, LIST_WITHIN).await.unwrap_or_default();
        known.extend(views.into_iter().filter(|view| view.status.desired.is_some()));
    }
    // Functions that were deleted leave with their labels.
    metrics.services.reset();
    for view in &known {
        let replicas = view.status.desired.as_ref().map_or(0, |desired| desired.replicas);
        metrics.services.with_label_values(&[&view.id.to_string()]).set(replicas.into());
    }
    metrics.lives.show(&known);
    let encoder = TextEncoder::new();
    let mut page = Vec::new();
    match encoder.encode(&metrics.registry.gather(), &mut page) {
        Ok(()) => Ok(HttpResponse::Ok().content_type(encoder.format_type()).body(page)),
        Err(error) => Ok(text(StatusCode::INTERNAL_SERVER_ERROR, &format!("metrics can't be written: {error}"))),
    }
}
