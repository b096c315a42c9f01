//! `/system/secrets`: names go out, values only come in.

use actix_web::http::StatusCode;
use actix_web::web::Payload;
use actix_web::{HttpRequest, HttpResponse};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use tracing::info;

use super::error::HttpError;
use super::params::{InNamespace, WithForce};
use super::request::{Answer, BODY_MAX, Context, agreed_namespace, is_yes, namespace, read};
use super::subject::about;
use crate::function::{Invalid, SecretName};
use crate::wire::{self, DeleteSecretRequest, ListedSecret, Secret};

/// The longest value of a secret, as in Kubernetes: 1 MiB.
const VALUE_MAX: usize = 1 << 20;
/// The longest body that a secret comes in: every byte of its value may be written as `\u0000`, and in base64 beside it.
const SECRET_BODY_MAX: usize = VALUE_MAX * 8;

/// The value that was sent; `rawValue` counts if both are there.
fn value(name: &SecretName, sent: Secret) -> Result<Vec<u8>, HttpError> {
    let value = match sent.raw_value.as_str() {
        "" => sent.value.unwrap_or_default().into_bytes(),
        raw => BASE64_STANDARD.decode(raw).map_err(|why| Invalid(format!("invalid field \"rawValue\": {why}")))?,
    };
    if value.len() > VALUE_MAX {
        let reason = format!("secret {name} has {} bytes: at most {VALUE_MAX} are kept", value.len());
        return Err(HttpError::new(StatusCode::PAYLOAD_TOO_LARGE, reason));
    }
    Ok(value)
}

/// The two mistakes that other providers have words for are told in these.
fn secret_name(text: &str) -> Result<SecretName, Invalid> {
    if text.is_empty() {
        return Err(Invalid("non-empty name is required".into()));
    }
    if text.contains('/') || text.contains("..") {
        return Err(Invalid("directory traversal found in name".into()));
    }
    text.parse()
}

/// The names of a namespace's secrets
#[utoipa::path(get, path = "/system/secrets", operation_id = "list_secrets", tag = "secrets", params(InNamespace),
responses(
    (status = 200, description = "The names; values never go out", body = Vec<ListedSecret>),
    (status = 400, description = "There is no such namespace", content_type = "text/plain", body = String),
    (status = 500, description = "The secrets can't be read: the line says why", content_type = "text/plain", body = String),
))]
pub(super) async fn list(request: HttpRequest, (services, _): Context) -> Answer {
    let namespace = namespace(&services, "", &request).await?;
    let names = services.secrets.list(&namespace).await?;
    let listed = |name: &SecretName| ListedSecret { name: name.to_string(), namespace: namespace.to_string() };
    let all: Vec<_> = names.iter().map(listed).collect();
    Ok(HttpResponse::Ok().json(all))
}

/// Makes a secret that must not be there yet
#[utoipa::path(post, path = "/system/secrets", operation_id = "create_secret", tag = "secrets", params(InNamespace),
request_body = Secret, responses(
    (status = 202, description = "It is kept"),
    (status = 409, description = "It is there already: replace it", content_type = "text/plain", body = String),
    (status = 500, description = "What became of it is not known: the line says why", content_type = "text/plain", body = String),
))]
pub(super) async fn create(request: HttpRequest, body: Payload, (services, _): Context) -> Answer {
    let mut sent: Secret = wire::read(&read(body, SECRET_BODY_MAX).await?)?;
    let (name, sent_to) = (secret_name(&sent.name)?, std::mem::take(&mut sent.namespace));
    let value = value(&name, sent)?;
    about(&request, name.as_str());
    let namespace = agreed_namespace(&services, &sent_to, &request).await?;
    services.secrets.create(&namespace, name.clone(), value).await?;
    info!(secret = %name, %namespace, "secret made");
    Ok(HttpResponse::Accepted().finish())
}

/// Replaces a secret that must be there
///
/// Instances that have it get the new value.
#[utoipa::path(put, path = "/system/secrets", operation_id = "update_secret", tag = "secrets", params(InNamespace),
request_body = Secret, responses(
    (status = 202, description = "It is kept"),
    (status = 404, description = "There is none", content_type = "text/plain", body = String),
    (status = 500, description = "What became of it is not known: the line says why", content_type = "text/plain", body = String),
))]
pub(super) async fn update(request: HttpRequest, body: Payload, (services, _): Context) -> Answer {
    let mut sent: Secret = wire::read(&read(body, SECRET_BODY_MAX).await?)?;
    let (name, sent_to) = (secret_name(&sent.name)?, std::mem::take(&mut sent.namespace));
    let value = value(&name, sent)?;
    about(&request, name.as_str());
    let namespace = agreed_namespace(&services, &sent_to, &request).await?;
    services.secrets.update(&namespace, name.clone(), value).await?;
    info!(secret = %name, %namespace, "secret replaced");
    Ok(HttpResponse::Accepted().finish())
}

/// Deletes a secret that must be there
///
/// One that functions use only by force: they can't start without it.
#[utoipa::path(delete, path = "/system/secrets", operation_id = "delete_secret", tag = "secrets",
params(InNamespace, WithForce), request_body = DeleteSecretRequest, responses(
    (status = 202, description = "It is gone"),
    (status = 404, description = "There is none", content_type = "text/plain", body = String),
    (status = 409, description = "Functions use it: the line names them", content_type = "text/plain", body = String),
    (status = 500, description = "What became of it is not known: the line says why", content_type = "text/plain", body = String),
))]
pub(super) async fn delete(request: HttpRequest, body: Payload, (services, _): Context) -> Answer {
    let mut sent: Secret = wire::read(&read(body, BODY_MAX).await?)?;
    let (name, sent_to) = (secret_name(&sent.name)?, std::mem::take(&mut sent.namespace));
    // Clients send what they deploy: a value is of no use here, but one that can't be is a mistake all the same.
    value(&name, sent)?;
    about(&request, name.as_str());
    let namespace = agreed_namespace(&services, &sent_to, &request).await?;
    let force = is_yes(&request, "force");
    services.secrets.delete(&namespace, name.clone(), force).await?;
    info!(secret = %name, %namespace, force, "secret deleted");
    Ok(HttpResponse::Accepted().finish())
}
