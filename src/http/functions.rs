//! `/system/functions`, `/system/function/{name}` and `/system/scale-function/{name}`.
//!
//! A handler parses what was sent into the types, asks the registry, and turns its answer into one of HTTP.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::web::{self, Bytes, Payload};
use actix_web::{HttpRequest, HttpResponse};
use tracing::info;

use super::error::HttpError;
use super::provider::ask;
use super::wire::{Deletion, Deployment, FunctionStatus, Scaling};
use super::{Services, Settings};
use crate::actors::messages::{Apply, Delete, Get, List, Measure, Mode, Refused, Scale, Used};
use crate::function::{FunctionId, FunctionName, Namespace};

/// The longest JSON body that is read: deployments are a few KiB.
const BODY_MAX: usize = 1 << 20;

/// How long a status waits for what the function uses.
const USAGE_WITHIN: Duration = Duration::from_secs(3);

type Answer = Result<HttpResponse, HttpError>;
type Context = (web::Data<Services>, web::Data<Settings>);

/// GET `/system/functions`: all functions of a namespace, by name.
pub(super) async fn list(request: HttpRequest, (services, settings): Context) -> Answer {
    let namespace = namespace(&services, "", &request)?;
    let views = ask(&services.provider.now().list, List { namespace }, settings.answer_timeout).await?;
    let invocations = services.metrics.invocations();
    let count = |id: &FunctionId| invocations.get(&id.to_string()).copied().unwrap_or(0);
    let all: Vec<_> = views.iter().filter_map(|view| FunctionStatus::of(view, count(&view.id))).collect();
    Ok(HttpResponse::Ok().json(all))
}

/// GET `/system/function/{name}`: one function, with what it uses if the query asks for that. Whatever is not there, for
/// whatever reason, is a 404 without a body.
pub(super) async fn status(
    name: web::Path<String>,
    request: HttpRequest,
    (services, settings): Context,
) -> Result<HttpResponse, HttpError> {
    let missing = || Ok(HttpResponse::NotFound().finish());
    let (Ok(name), Ok(namespace)) = (name.parse::<FunctionName>(), namespace(&services, "", &request)) else {
        return missing();
    };
    let id = FunctionId::new(name, namespace);
    let Some(view) = ask(&services.provider.now().get, Get { id }, settings.answer_timeout).await? else {
        return missing();
    };
    let invocations = services.metrics.invocations().get(&view.id.to_string()).copied().unwrap_or(0);
    let used = if wants_usage(&request) { used(&services, &view.id).await } else { None };
    match FunctionStatus::of(&view, invocations) {
        Some(status) => Ok(HttpResponse::Ok().json(status.using(used))),
        None => missing(),
    }
}

/// What Go takes for a yes.
fn wants_usage(request: &HttpRequest) -> bool {
    let usage = last_in_query(request, "usage");
    usage.is_some_and(|text| ["1", "t", "T", "true", "True", "TRUE"].contains(&text.as_str()))
}

/// What a function uses; the status does without it when it can't be had in time.
async fn used(services: &Services, id: &FunctionId) -> Option<Used> {
    let measure = Measure { only: Some(id.clone()) };
    let measured = ask(&services.provider.now().measure, measure, USAGE_WITHIN).await.ok()?;
    measured.into_iter().find(|(measured, _)| measured == id).map(|(_, used)| used)
}

/// POST `/system/functions`: a function that must not be there yet.
pub(super) async fn create(request: HttpRequest, body: Payload, context: Context) -> Answer {
    apply(Mode::Create, &request, body, context).await
}

/// PUT `/system/functions`: a function that must be there.
pub(super) async fn update(request: HttpRequest, body: Payload, context: Context) -> Answer {
    apply(Mode::Update, &request, body, context).await
}

async fn apply(mode: Mode, request: &HttpRequest, body: Payload, (services, settings): Context) -> Answer {
    let Deployment { name, namespace: sent, spec } = Deployment::parse(&read(body).await?)?;
    let id = FunctionId::new(name, namespace(&services, &sent, request)?);
    info!(function = %id, image = %spec.image, ?mode, "deployment asked for");
    accepted(ask(&services.provider.now().apply, Apply { id, spec, mode }, settings.answer_timeout).await?)
}

/// DELETE `/system/functions`.
pub(super) async fn delete(request: HttpRequest, body: Payload, (services, settings): Context) -> Answer {
    let Deletion { name, namespace: sent } = Deletion::parse(&read(body).await?)?;
    let id = FunctionId::new(name, namespace(&services, &sent, &request)?);
    info!(function = %id, "deletion asked for");
    match ask(&services.provider.now().delete, Delete { id }, settings.answer_timeout).await? {
        // Clients of the provider know this one without the colon that the others have.
        Err(Refused::NotFound(id)) => Err(HttpError::new(StatusCode::NOT_FOUND, format!("function {id} not found"))),
        other => accepted(other),
    }
}

/// POST `/system/scale-function/{name}`.
pub(super) async fn scale(
    path: web::Path<String>,
    request: HttpRequest,
    body: Payload,
    (services, settings): Context,
) -> Answer {
    let Scaling { name, namespace: sent, replicas } = Scaling::parse(&read(body).await?, &path)?;
    let id = FunctionId::new(name, namespace(&services, &sent, &request)?);
    info!(function = %id, replicas, "scaling asked for");
    accepted(ask(&services.provider.now().scale, Scale { id, replicas }, settings.answer_timeout).await?)
}

/// 202 is the answer that every client takes as plain success.
fn accepted(result: Result<(), Refused>) -> Answer {
    match result {
        Ok(()) => Ok(HttpResponse::Accepted().finish()),
        // faas-cli deploys with PUT and, told this, goes on with POST.
        Err(Refused::NotFound(id)) => Err(HttpError::new(StatusCode::NOT_FOUND, format!("function: {id} not found"))),
        Err(refused) => Err(refused.into()),
    }
}

async fn read(body: Payload) -> Result<Bytes, HttpError> {
    match body.to_bytes_limited(BODY_MAX).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) => {
            Err(HttpError::new(StatusCode::BAD_REQUEST, format!("the request body did not arrive: {error}")))
        }
        Err(_) => Err(HttpError::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("the request body is longer than {BODY_MAX} bytes"),
        )),
    }
}

/// The namespace that the body names, else the query, else the default one; it must be one that functions may live in.
fn namespace(services: &Services, in_body: &str, request: &HttpRequest) -> Result<Namespace, HttpError> {
    let in_query = last_in_query(request, "namespace").unwrap_or_default();
    let sent = [in_body, in_query.as_str()].into_iter().find(|text| !text.is_empty());
    let namespace = sent.map_or_else(|| Ok(Namespace::default()), str::parse::<Namespace>)?;
    if services.namespaces.contains(&namespace) {
        return Ok(namespace);
    }
    Err(HttpError::new(StatusCode::BAD_REQUEST, "namespace not valid"))
}

/// The value of a key in the query; of several, the last.
fn last_in_query(request: &HttpRequest, key: &str) -> Option<String> {
    let pairs = web::Query::<Vec<(String, String)>>::from_query(request.query_string()).ok()?.into_inner();
    pairs.into_iter().rev().find(|(name, _)| name == key).map(|(_, value)| value)
}
