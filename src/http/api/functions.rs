//! `/system/functions`, `/system/function/{name}` with its `rollback`, `stop` and `start`, and `/system/scale-function/{name}`.
//!
//! A handler parses what was sent into the types, asks the engine, and turns its answer into one of HTTP.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::web::{self, Payload};
use actix_web::{HttpRequest, HttpResponse};
use tracing::info;

use super::error::HttpError;
use super::needs::caller;
use super::params::{InNamespace, Named, WithUsage};
use super::request::{Answer, BODY_MAX, Context, agreed_namespace, answer, is_yes, names_namespace, namespace, read};
use super::status;
use super::subject::about_function;
use crate::engine::{Mode, Refused, Used};
use crate::function::{FunctionId, FunctionName, Generation, Namespace, Spec};
use crate::http::Services;
use crate::wire::{
    self, DeleteFunctionRequest, FunctionDeployment, FunctionStatus, RollbackRequest, ScaleServiceRequest,
};

/// How long a status waits for what the function uses.
const USAGE_WITHIN: Duration = Duration::from_secs(3);

/// All functions of a namespace, by name
///
/// To a token that may not see the default one, a request that names none lists those of all that it may see.
#[utoipa::path(get, path = "/system/functions", tag = "functions", params(InNamespace), responses(
    (status = 200, description = "The functions", body = Vec<FunctionStatus>),
    (status = 400, description = "There is no such namespace", content_type = "text/plain", body = String),
))]
pub(super) async fn list(request: HttpRequest, (services, settings): Context) -> Answer {
    let caller = caller(&request)?;
    let namespaces = if names_namespace(&request) || caller.reaches(&Namespace::default()) {
        vec![namespace(&services, "", &request).await?]
    } else {
        // Clients log in by this request.
        services.namespaces.list().await?.into_iter().filter(|namespace| caller.reaches(namespace)).collect()
    };
    let mut all = Vec::new();
    for namespace in namespaces {
        let views = answer(settings.answer_timeout, services.engine.list(&namespace)).await??;
        all.extend(views.iter().filter_map(|view| status::listed(view, &services, &settings)));
    }
    Ok(HttpResponse::Ok().json(all))
}

/// One function, with what it uses if the query asks for that
///
/// Whatever is not there, for whatever reason, is a 404 without a body.
#[utoipa::path(get, path = "/system/function/{name}", tag = "functions", params(Named, InNamespace, WithUsage), responses(
    (status = 200, description = "The function", body = FunctionStatus),
    (status = 404, description = "There is none"),
))]
pub(super) async fn status(
    name: web::Path<String>,
    request: HttpRequest,
    (services, settings): Context,
) -> Result<HttpResponse, HttpError> {
    let missing = || Ok(HttpResponse::NotFound().finish());
    let namespace = match namespace(&services, "", &request).await {
        Ok(namespace) => namespace,
        Err(refused) if refused.status == StatusCode::FORBIDDEN => return Err(refused),
        Err(_) => return missing(),
    };
    let Ok(name) = name.parse::<FunctionName>() else { return missing() };
    let id = FunctionId::new(name, namespace);
    let Some(view) = answer(settings.answer_timeout, services.engine.get(&id)).await?? else {
        return missing();
    };
    let used = if is_yes(&request, "usage") { used(&services, &view.id).await } else { None };
    match status::status(&view, &services, &settings) {
        Some(status) => Ok(HttpResponse::Ok().json(FunctionStatus { usage: used.map(status::usage), ..status })),
        None => missing(),
    }
}

/// What a function uses; the status does without it when it can't be had in time.
async fn used(services: &Services, id: &FunctionId) -> Option<Used> {
    let measured = answer(USAGE_WITHIN, services.engine.measure(Some(id))).await.ok()?;
    measured.into_iter().find(|(measured, _)| measured == id).map(|(_, used)| used)
}

/// Deploys a function that must not be there yet
///
/// The answer waits for an instance, as long as `deploy-wait` allows.
#[utoipa::path(post, path = "/system/functions", tag = "functions", params(InNamespace),
request_body = FunctionDeployment,
responses(
    (status = 202, description = "Accepted, and kept whatever happens"),
    (status = 409, description = "It is there already: update it", content_type = "text/plain", body = String),
))]
pub(super) async fn create(request: HttpRequest, body: Payload, context: Context) -> Answer {
    apply(Mode::Create, &request, body, context).await
}

/// Updates a function that must be there
///
/// The version that serves goes on serving until the new one is ready.
#[utoipa::path(put, path = "/system/functions", tag = "functions", params(InNamespace),
request_body = FunctionDeployment,
responses(
    (status = 202, description = "Accepted, and kept whatever happens"),
    (status = 404, description = "There is none: deploy it", content_type = "text/plain", body = String),
))]
pub(super) async fn update(request: HttpRequest, body: Payload, context: Context) -> Answer {
    apply(Mode::Update, &request, body, context).await
}

async fn apply(mode: Mode, request: &HttpRequest, body: Payload, (services, settings): Context) -> Answer {
    let mut sent: FunctionDeployment = wire::read(&read(body, BODY_MAX).await?)?;
    if settings.function_label {
        sent = sent.without_function_label();
    }
    let (draft, name) = (sent.draft()?, sent.service.parse()?);
    let spec = Spec::try_from(draft)?;
    crate::cron::check(&spec)?;
    let id = FunctionId::new(name, namespace(&services, &sent.namespace, request).await?);
    about_function(request, &id);
    info!(function = %id, image = %spec.image, ?mode, "deployment asked for");
    accepted(answer(settings.answer_timeout, services.engine.apply(id, spec, mode)).await?)
}

/// Deletes a function
#[utoipa::path(delete, path = "/system/functions", tag = "functions", params(InNamespace),
request_body = DeleteFunctionRequest,
responses(
    (status = 202, description = "It is gone, and gets no more requests"),
    (status = 404, description = "There is none", content_type = "text/plain", body = String),
))]
pub(super) async fn delete(request: HttpRequest, body: Payload, (services, settings): Context) -> Answer {
    let sent: DeleteFunctionRequest = wire::read(&read(body, BODY_MAX).await?)?;
    let name = sent.function_name.parse()?;
    let id = FunctionId::new(name, agreed_namespace(&services, &sent.namespace, &request).await?);
    about_function(&request, &id);
    info!(function = %id, "deletion asked for");
    match answer(settings.answer_timeout, services.engine.delete(&id)).await? {
        // Clients of the provider know this one without the colon that the others have.
        Err(Refused::NotFound(id)) => Err(HttpError::new(StatusCode::NOT_FOUND, format!("function {id} not found"))),
        other => accepted(other),
    }
}

/// Sets how many instances a function has
///
/// With 0 nothing runs until the next call. 1 or more starts one that is idle. Of one that follows its load the number holds
/// until the load counts again.
#[utoipa::path(post, path = "/system/scale-function/{name}", tag = "functions", params(Named, InNamespace),
request_body = ScaleServiceRequest, responses(
    (status = 202, description = "Accepted"),
    (status = 404, description = "There is none", content_type = "text/plain", body = String),
))]
pub(super) async fn scale(
    path: web::Path<String>,
    request: HttpRequest,
    body: Payload,
    (services, settings): Context,
) -> Answer {
    let sent: ScaleServiceRequest = wire::read(&read(body, BODY_MAX).await?)?;
    let (replicas, name) = (sent.replicas()?, sent.name(&path).parse()?);
    let id = FunctionId::new(name, agreed_namespace(&services, &sent.namespace, &request).await?);
    about_function(&request, &id);
    info!(function = %id, replicas, "scaling asked for");
    accepted(answer(settings.answer_timeout, services.engine.scale(&id, replicas)).await?)
}

/// Brings back what a function was before
///
/// It is an update, under a new number: the version that serves goes on serving until the one that comes back is ready.
/// Without a body it is the newest generation that served before the one that was asked for last; one of an update that
/// failed, or does not serve yet, is rolled back to what serves instead.
#[utoipa::path(post, path = "/system/function/{name}/rollback", tag = "functions", params(Named, InNamespace),
request_body = RollbackRequest, responses(
    (status = 202, description = "Accepted, and kept whatever happens"),
    (status = 400, description = "No such generation is kept, or it can't be run any more", content_type = "text/plain",
        body = String),
    (status = 404, description = "There is no such function", content_type = "text/plain", body = String),
))]
pub(super) async fn rollback(
    path: web::Path<String>,
    request: HttpRequest,
    body: Payload,
    (services, settings): Context,
) -> Answer {
    let body = read(body, BODY_MAX).await?;
    let sent = if body.is_empty() { RollbackRequest::default() } else { wire::read(&body)? };
    let id = FunctionId::new(path.parse()?, agreed_namespace(&services, &sent.namespace, &request).await?);
    let to = sent.generation.map(Generation);
    info!(function = %id, to = sent.generation, "rollback asked for");
    accepted(answer(settings.answer_timeout, services.engine.rollback(&id, to)).await?)
}

/// Stops a function, whatever is called
///
/// Nothing of it runs until it is started: also after a restart, and whatever is deployed or scaled meanwhile. Requests
/// under way are finished.
#[utoipa::path(post, path = "/system/function/{name}/stop", tag = "functions", params(Named, InNamespace), responses(
    (status = 202, description = "It is kept down, or was already"),
    (status = 404, description = "There is none", content_type = "text/plain", body = String),
))]
pub(super) async fn stop(path: web::Path<String>, request: HttpRequest, context: Context) -> Answer {
    keep_down(true, &path, &request, context).await
}

/// Lets a function run that was stopped, or is idle
///
/// It has as many instances as were asked for last.
#[utoipa::path(post, path = "/system/function/{name}/start", tag = "functions", params(Named, InNamespace), responses(
    (status = 202, description = "It is not kept down any more, or was not"),
    (status = 404, description = "There is none", content_type = "text/plain", body = String),
))]
pub(super) async fn start(path: web::Path<String>, request: HttpRequest, context: Context) -> Answer {
    keep_down(false, &path, &request, context).await
}

async fn keep_down(down: bool, name: &str, request: &HttpRequest, (services, settings): Context) -> Answer {
    let id = FunctionId::new(name.parse()?, namespace(&services, "", request).await?);
    info!(function = %id, "{} asked for", if down { "stop" } else { "start" });
    accepted(answer(settings.answer_timeout, services.engine.keep_down(&id, down)).await?)
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
