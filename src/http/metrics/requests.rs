//! Requests under `/system`, by method, route and status: each listener's under the names of the peer that it stands for.

use actix_web::Error;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::middleware::Next;
use actix_web::web;
use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry};
use tokio::time::Instant;

use crate::http::{ApiFlavor, Services, Settings};

/// Paths that are no route's, and methods that no RFC names, have one label each: a client can make up any number of them.
const OTHER: &str = "other";

const TOTAL_HELP: &str = "Requests under /system that were answered";
const SECONDS_HELP: &str = "Time to the head of the answer to a request under /system";

/// One listener's.
#[derive(Debug, Clone)]
pub(super) struct Requests {
    total: IntCounterVec,
    seconds: HistogramVec,
}

impl Requests {
    /// Under the gateway's names, or the provider's.
    pub(super) fn new(flavor: ApiFlavor) -> Result<Self, prometheus::Error> {
        let (total, seconds, labels) = match flavor {
            ApiFlavor::Public => ("http_requests_total", "http_request_duration_seconds", ["method", "path", "status"]),
            ApiFlavor::Provider => {
                ("provider_http_requests_total", "provider_http_request_duration_seconds", ["method", "path", "code"])
            }
        };
        Ok(Self {
            total: IntCounterVec::new(Opts::new(total, TOTAL_HELP), &labels)?,
            seconds: HistogramVec::new(HistogramOpts::new(seconds, SECONDS_HELP), &labels)?,
        })
    }

    pub(super) fn register(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        registry.register(Box::new(self.total.clone()))?;
        registry.register(Box::new(self.seconds.clone()))
    }
}

/// Counts what passes.
pub(in crate::http) async fn count(
    services: web::Data<Services>,
    settings: web::Data<Settings>,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody + 'static>, Error> {
    let since = Instant::now();
    let method = method_label(request.method());
    let path = request.match_pattern().unwrap_or_else(|| OTHER.to_owned());
    let answer = next.call(request).await?;
    let Requests { total, seconds } = services.metrics.requests(settings.flavor);
    let status = answer.status();
    let labels = [method, &path, status.as_str()];
    total.with_label_values(&labels).inc();
    seconds.with_label_values(&labels).observe(since.elapsed().as_secs_f64());
    Ok(answer)
}

fn method_label(method: &Method) -> &'static str {
    let all = [Method::GET, Method::POST, Method::PUT, Method::DELETE, Method::HEAD, Method::OPTIONS, Method::PATCH];
    let names = ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"];
    all.iter().zip(names).find(|(one, _)| *one == method).map_or(OTHER, |(_, name)| name)
}
