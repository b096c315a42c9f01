//! `/system/namespaces` and `/system/namespace/{name}`.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::{self, Payload};
use serde::Serialize;
use tracing::info;

use super::Services;
use super::error::HttpError;
use super::json::Fields;
use super::openapi::{FunctionNamespace, NamedNamespace};
use super::request::{Answer, BODY_MAX, Context, read};
use crate::function::{Invalid, Namespace, NamespaceMetadata, OPENFAAS};

/// What GET shows of one namespace.
#[derive(Debug, Serialize)]
struct Shown<'a> {
    name: &'a Namespace,
    #[serde(flatten)]
    metadata: &'a NamespaceMetadata,
}

/// Body of POST, PUT and DELETE.
struct Sent {
    /// As it was sent; empty if it was not.
    name: String,
    metadata: NamespaceMetadata,
}

impl Sent {
    /// Reads a body, which has to say that it is about a namespace of functions.
    async fn read(body: Payload) -> Result<Self, HttpError> {
        let mut fields = Fields::parse(&read(body, BODY_MAX).await?)?;
        let metadata = NamespaceMetadata { labels: fields.map("labels")?, annotations: fields.map("annotations")? };
        match metadata.labels.get(OPENFAAS).map(String::as_str) {
            Some("1" | "true") => Ok(Self { name: fields.text("name")?, metadata }),
            _ => Err(Invalid("request does not have openfaas=1 label".into()).into()),
        }
    }

    /// The namespace that both path and body name.
    fn named(self, path: &str) -> Result<(Namespace, NamespaceMetadata), HttpError> {
        if self.name != path {
            return Err(Invalid("namespace in request body does not match namespace in URL".into()).into());
        }
        Ok((path.parse()?, self.metadata))
    }
}

/// The names of all namespaces, the default one first
#[utoipa::path(get, path = "/system/namespaces", operation_id = "list_namespaces", tag = "namespaces", responses(
    (status = 200, description = "The names", body = Vec<String>),
))]
pub(super) async fn list((services, _): Context) -> Answer {
    Ok(HttpResponse::Ok().json(services.namespaces.list().await?))
}

/// One namespace
#[utoipa::path(get, path = "/system/namespace/{name}", operation_id = "get_namespace", tag = "namespaces",
params(NamedNamespace), responses(
    (status = 200, description = "Its labels and annotations", body = FunctionNamespace),
    (status = 404, description = "There is none", content_type = "text/plain", body = String),
))]
pub(super) async fn get(path: web::Path<String>, (services, _): Context) -> Answer {
    if let Ok(name) = path.parse()
        && let Some(metadata) = services.namespaces.get(&name).await?
    {
        return Ok(HttpResponse::Ok().json(Shown { name: &name, metadata: &metadata }));
    }
    Err(HttpError::new(StatusCode::NOT_FOUND, format!("namespace {path} not found")))
}

/// Makes the namespace that the body names
#[utoipa::path(post, path = "/system/namespace/", operation_id = "create_unnamed_namespace", tag = "namespaces",
request_body = FunctionNamespace, responses(
    (status = 201, description = "It is there now"),
    (status = 409, description = "It was there already", content_type = "text/plain", body = String),
))]
pub(super) async fn create_unnamed(body: Payload, (services, _): Context) -> Answer {
    let Sent { name, metadata } = Sent::read(body).await?;
    made(&services, &name.parse()?, metadata).await
}

/// Makes a namespace
#[utoipa::path(post, path = "/system/namespace/{name}", operation_id = "create_namespace", tag = "namespaces",
params(NamedNamespace), request_body = FunctionNamespace, responses(
    (status = 201, description = "It is there now"),
    (status = 409, description = "It was there already", content_type = "text/plain", body = String),
))]
pub(super) async fn create(path: web::Path<String>, body: Payload, (services, _): Context) -> Answer {
    let (name, metadata) = Sent::read(body).await?.named(&path)?;
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
    let (name, metadata) = Sent::read(body).await?.named(&path)?;
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
    let (name, _) = Sent::read(body).await?.named(&path)?;
    services.namespaces.delete(&name).await?;
    info!(namespace = %name, "namespace deleted");
    Ok(HttpResponse::Accepted().finish())
}
