//! `/system/tokens`: what may do less than the user with the password. Their texts go out once, when they are made. And
//! `/system/password/rotate`, for that one.

use std::sync::Arc;

use actix_web::http::{StatusCode, header};
use actix_web::web::{self, Payload};
use actix_web::{HttpRequest, HttpResponse};
use jiff::Timestamp;
use tracing::info;

use super::error::HttpError;
use super::needs::caller;
use super::params::NamedToken;
use super::request::{Answer, BODY_MAX, read};
use super::subject::about;
use crate::credentials::{Access, ChangeError, Credentials, Reach, Token, lifetime};
use crate::wire::{self, CreateTokenRequest, ListedToken, MadeToken, RotatedPassword};

/// How long a token holds if nothing is said about that.
const LIFETIME: &str = "30d";

/// All tokens, the newest last
#[utoipa::path(get, path = "/system/tokens", operation_id = "list_tokens", tag = "tokens", responses(
    (status = 200, description = "What each may do; their texts are not known", body = Vec<ListedToken>),
))]
pub(super) async fn list(access: web::Data<Access>) -> Answer {
    let all: Vec<_> = access.tokens().iter().map(|token| listed(token)).collect();
    Ok(HttpResponse::Ok().json(all))
}

/// Makes a token
///
/// It holds at once. Its text is told in this answer and never again.
#[utoipa::path(post, path = "/system/tokens", operation_id = "create_token", tag = "tokens",
request_body = CreateTokenRequest, responses(
    (status = 201, description = "The token", body = MadeToken),
    (status = 409, description = "There are too many", content_type = "text/plain", body = String),
    (status = 500, description = "It can't be kept: the line says why", content_type = "text/plain", body = String),
))]
pub(super) async fn create(request: HttpRequest, body: Payload, access: web::Data<Access>) -> Answer {
    by_no_session(&request, &access)?;
    let sent: CreateTokenRequest = wire::read(&read(body, BODY_MAX).await?)?;
    let namespaces = Reach::try_from(sent.namespaces)?;
    let scopes = sent.scopes.iter().map(|scope| scope.parse()).collect::<Result<_, _>>()?;
    let lifetime = lifetime(if sent.expires.is_empty() { LIFETIME } else { &sent.expires })?;
    let caller = caller(&request)?;
    let made = change(&access, move |access| access.create(namespaces, scopes, lifetime, sent.description)).await?;
    about(&request, &made.0.id);
    info!(token = made.0.id, by = caller.name(), "token made");
    Ok(shown_once(HttpResponse::Created(), made))
}

/// Gives a token another text, and its whole lifetime again
///
/// The old text is refused at once.
#[utoipa::path(post, path = "/system/tokens/{id}/rotate", operation_id = "rotate_token", tag = "tokens", params(NamedToken),
responses(
    (status = 200, description = "The token", body = MadeToken),
    (status = 404, description = "There is none", content_type = "text/plain", body = String),
    (status = 500, description = "It can't be kept: the line says why", content_type = "text/plain", body = String),
    (status = 507, description = "The disk is full: nothing was changed", content_type = "text/plain", body = String),
))]
pub(super) async fn rotate(id: web::Path<String>, request: HttpRequest, access: web::Data<Access>) -> Answer {
    by_no_session(&request, &access)?;
    let caller = caller(&request)?;
    let made = change(&access, move |access| access.rotate(&id)).await?;
    info!(token = made.0.id, by = caller.name(), "token rotated");
    Ok(shown_once(HttpResponse::Ok(), made))
}

/// Lets a token hold no longer
#[utoipa::path(delete, path = "/system/tokens/{id}", operation_id = "revoke_token", tag = "tokens", params(NamedToken),
responses(
    (status = 202, description = "It is refused from now on"),
    (status = 404, description = "There is none", content_type = "text/plain", body = String),
    (status = 500, description = "That can't be kept: the line says why", content_type = "text/plain", body = String),
    (status = 507, description = "The disk is full: nothing was changed", content_type = "text/plain", body = String),
))]
pub(super) async fn revoke(id: web::Path<String>, request: HttpRequest, access: web::Data<Access>) -> Answer {
    let (token, caller) = (id.clone(), caller(&request)?);
    change(&access, move |access| access.revoke(&id)).await?;
    info!(token, by = caller.name(), "token revoked");
    Ok(HttpResponse::Accepted().finish())
}

/// Makes another password for the user who may do everything
///
/// The old one is refused at once. The new one lies where the old one was, and is in this answer.
#[utoipa::path(post, path = "/system/password/rotate", operation_id = "rotate_password", tag = "tokens", responses(
    (status = 200, description = "The new one", body = RotatedPassword),
    (status = 500, description = "It can't be kept: the line says why", content_type = "text/plain", body = String),
    (status = 507, description = "The disk is full: nothing was changed", content_type = "text/plain", body = String),
))]
pub(super) async fn rotate_password(request: HttpRequest, access: web::Data<Access>) -> Answer {
    by_no_session(&request, &access)?;
    let Credentials { user, password } = change(&access, Access::rotate_password).await?;
    info!(user, "password rotated");
    let answer = RotatedPassword { user, password };
    Ok(HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(answer))
}

/// Refuses who asks by a session: what outlives it is not made by it, so that one that was stolen is worth no more than its hours.
fn by_no_session(request: &HttpRequest, access: &Access) -> Result<(), HttpError> {
    let sent = request.headers().get(header::AUTHORIZATION).map_or(&b""[..], header::HeaderValue::as_bytes);
    match access.session(sent) {
        None => Ok(()),
        Some(_) => {
            let line = "a session makes no credentials: ask by the password itself, as `actord token` and `actord password` do";
            Err(HttpError::new(StatusCode::FORBIDDEN, line))
        }
    }
}

/// A change waits for the disk, off the workers. A client that leaves does not undo it.
pub(super) async fn change<T: Send + 'static>(
    access: &Access,
    act: impl FnOnce(&Access) -> Result<T, ChangeError> + Send + 'static,
) -> Result<T, HttpError> {
    let access = access.clone();
    let done = tokio::task::spawn_blocking(move || act(&access)).await;
    Ok(done.map_err(|lost| ChangeError::Failed(format!("its thread was lost: {lost}")))??)
}

fn listed(token: &Token) -> ListedToken {
    ListedToken {
        id: token.id.clone(),
        namespaces: token.namespaces.clone().into(),
        scopes: token.scopes.iter().map(|scope| scope.as_str().to_owned()).collect(),
        created_at: token.created_at.to_string(),
        expires_at: token.expires_at.map(|end| end.to_string()),
        expired: token.is_expired(Timestamp::now()),
        description: token.description.clone(),
    }
}

fn shown_once(mut answer: actix_web::HttpResponseBuilder, (token, text): (Arc<Token>, String)) -> HttpResponse {
    answer.insert_header((header::CACHE_CONTROL, "no-store")).json(MadeToken { token: text, about: listed(&token) })
}

impl From<ChangeError> for HttpError {
    fn from(error: ChangeError) -> Self {
        let status = match &error {
            ChangeError::Invalid(_) => StatusCode::BAD_REQUEST,
            ChangeError::NotFound(_) => StatusCode::NOT_FOUND,
            ChangeError::Denied(_) => StatusCode::UNAUTHORIZED,
            ChangeError::TooMany => StatusCode::CONFLICT,
            ChangeError::Full(_) => StatusCode::INSUFFICIENT_STORAGE,
            ChangeError::Failed(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, error.to_string())
    }
}
