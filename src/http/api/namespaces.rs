//! `/system/namespaces` and `/system/namespace/{name}`.

use actix_web::http::StatusCode;
use actix_web::web::{self, Payload};
use actix_web::{HttpRequest, HttpResponse};
use tracing::info;

use super::error::HttpError;
use super::needs::{caller, enter};
use super::params::NamedNamespace;
use super::request::{Answer, BODY_MAX, Context, read};
use super::subject::in_namespace;
use crate::function::{Invalid, Namespace, NamespaceMetadata, OPENFAAS};
use crate::http::Services;
use crate::wire::{self, FunctionNamespace};

/// Reads a body, which has to say that it is about a namespace of functions: the name in it, and what else it says.
async fn sent(body: Payload) -> Result<(String, NamespaceMetadata), HttpError> {
    let FunctionNamespace { name, labels, annotations } = wire::read(&read(body, BODY_MAX).await?)?;
    match labels.get(OPENFAAS).map(String::as_str) {
        Some("1" | "true") => Ok((name, NamespaceMetadata { labels, annotations })),
        _ => Err(Invalid("request does not have openfaas=1 label".into()).into()),
    }
}

/// The namespace that both path and body name.
async fn sent_to(path: &str, body: Payload) -> Result<(Namespace, NamespaceMetadata), HttpError> {
    let (name, metadata) = sent(body).await?;
    if name != path {
        return Err(Invalid("namespace in request body does not match namespace in URL".into()).into());
    }
    Ok((path.parse()?, metadata))
}

/// The names of all namespaces, the default one first
///
/// To a token, of those that it may see.
#[utoipa::path(get, path = "/system/namespaces", operation_id = "list_namespaces", tag = "namespaces", responses(
    (status = 200, description = "The names", body = Vec<String>),
))]
pub(super) async fn list(request: HttpRequest, (services, _): Context) -> Answer {
    let (caller, mut all) = (caller(&request)?, services.namespaces.list().await?);
    all.retain(|namespace| caller.reaches(namespace));
    Ok(HttpResponse::Ok().json(all))
}

/// One namespace
#[utoipa::path(get, path = "/system/namespace/{name}", operation_id = "get_namespace", tag = "namespaces",
params(NamedNamespace), responses(
    (status = 200, description = "Its labels and annotations", body = FunctionNamespace),
    (status = 404, description = "There is none", content_type = "text/plain", body = String),
))]
pub(super) async fn get(path: web::Path<String>, request: HttpRequest, (services, _): Context) -> Answer {
    let name = path.parse();
    if let Ok(name) = &name {
        enter(&request, name)?;
    }
    if let Ok(name) = name
        && let Some(NamespaceMetadata { labels, annotations }) = services.namespaces.get(&name).await?
    {
        return Ok(HttpResponse::Ok().json(FunctionNamespace { name: path.into_inner(), labels, annotations }));
    }
    Err(HttpError::new(StatusCode::NOT_FOUND, format!("namespace {path} not found")))
}

/// Makes the namespace that the body names
#[utoipa::path(post, path = "/system/namespace/", operation_id = "create_unnamed_namespace", tag = "namespaces",
request_body = FunctionNamespace, responses(
    (status = 201, description = "It is there now"),
    (status = 409, description = "It was there already", content_type = "text/plain", body = String),
))]
pub(super) async fn create_unnamed(request: HttpRequest, body: Payload, (services, _): Context) -> Answer {
    let (name, metadata) = sent(body).await?;
    let name = name.parse()?;
    in_namespace(&request, &name);
    made(&services, &name, metadata).await
}

/// Makes a namespace
#[utoipa::path(post, path = "/system/namespace/{name}", operation_id = "create_namespace", tag = "namespaces",
params(NamedNamespace), request_body = FunctionNamespace, responses(
    (status = 201, description = "It is there now"),
    (status = 409, description = "It was there already", content_type = "text/plain", body = String),
))]
pub(super) async fn create(path: web::Path<String>, body: Payload, (services, _): Context) -> Answer {
    let (name, metadata) = sent_to(&path, body).await?;
    made(&services, &name, metadata).await
}

async fn made(services: &Services, name: &Namespace, metadata: NamespaceMetadata) -> Answer {
    services.namespaces.create(name, metadata).await?;
    info!(namespace = %name, "namespace made");
    Ok(HttpResponse::Created().finish())
}

/// Replaces a namespace's labels and annotations
#[utoipa::path(put, path = "/system/namespace/{name}", operation_id = "update_namespace", tag = "namespaces",
params(NamedNamespace), request_body = FunctionNamespace, responses(
    (status = 202, description = "They are replaced"),
    (status = 404, description = "There is none", content_type = "text/plain", body = String),
))]
pub(super) async fn update(path: web::Path<String>, body: Payload, (services, _): Context) -> Answer {
    let (name, metadata) = sent_to(&path, body).await?;
    services.namespaces.update(&name, metadata).await?;
    Ok(HttpResponse::Accepted().finish())
}

/// Deletes a namespace without functions, and its secrets with it
#[utoipa::path(delete, path = "/system/namespace/{name}", operation_id = "delete_namespace", tag = "namespaces",
params(NamedNamespace), request_body = FunctionNamespace, responses(
    (status = 202, description = "It is gone"),
    (status = 404, description = "There is none", content_type = "text/plain", body = String),
    (status = 409, description = "Functions are in it: the line says which", content_type = "text/plain", body = String),
))]
pub(super) async fn delete(path: web::Path<String>, body: Payload, (services, _): Context) -> Answer {
    let (name, _) = sent_to(&path, body).await?;
    services.namespaces.delete(&name).await?;
    info!(namespace = %name, "namespace deleted");
    Ok(HttpResponse::Accepted().finish())
}
