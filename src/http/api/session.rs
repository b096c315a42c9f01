//! `/system/session`: who asks, and what a page holds in the place of the password or token that was typed into it.

use std::sync::Arc;

use actix_web::http::header::HeaderValue;
use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, web};
use tracing::info;

use super::error::HttpError;
use super::needs::caller;
use super::request::Answer;
use super::subject::about;
use super::tokens::change;
use crate::credentials::{Access, Caller, Scope, Session};
use crate::wire::{BegunSession, WhoAsks};

/// Who asks, and what that one may do
#[utoipa::path(get, path = "/system/session", operation_id = "session", tag = "tokens", responses(
    (status = 200, description = "Of a session also its id and its end", body = WhoAsks),
))]
pub(super) async fn get(request: HttpRequest, access: web::Data<Access>) -> Answer {
    let session = access.session(sent(&request));
    Ok(HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(about_caller(&caller(&request)?, session)))
}

/// Begins a session
///
/// It lets its bearer do what who asks may do, for eight hours, until it is ended, and for as long as the password or the token
/// that it was asked for with holds. Its text is told in this answer and never again. It opens no function.
#[utoipa::path(post, path = "/system/session", operation_id = "begin_session", tag = "tokens", responses(
    (status = 201, description = "The session", body = BegunSession),
    (status = 500, description = "It could not be begun: the line says why", content_type = "text/plain", body = String),
))]
pub(super) async fn begin(request: HttpRequest, access: web::Data<Access>) -> Answer {
    let (caller, header) = (caller(&request)?, sent(&request).to_owned());
    if access.session(&header).is_some() {
        let line = "a session begins no other one: sign in with the password or a token";
        return Err(HttpError::new(StatusCode::FORBIDDEN, line));
    }
    let (session, token) = change(&access, move |access| access.begin_session(&header)).await?;
    about(&request, &session.id);
    info!(session = session.id, by = caller.name(), "session begun");
    let begun = BegunSession { token, about: about_caller(&caller, Some(session)) };
    Ok(HttpResponse::Created().insert_header((header::CACHE_CONTROL, "no-store")).json(begun))
}

/// Ends the session that asks for it
#[utoipa::path(delete, path = "/system/session", operation_id = "end_session", tag = "tokens", responses(
    (status = 202, description = "It is refused from now on"),
    (status = 404, description = "It is no session that asks", content_type = "text/plain", body = String),
    (status = 500, description = "It could not be ended: the line says why", content_type = "text/plain", body = String),
))]
pub(super) async fn end(request: HttpRequest, access: web::Data<Access>) -> Answer {
    let (caller, header) = (caller(&request)?, sent(&request).to_owned());
    let none = || HttpError::new(StatusCode::NOT_FOUND, "these credentials are no session: there is nothing to end");
    let session = access.session(&header).ok_or_else(none)?;
    about(&request, &session.id);
    if !change(&access, move |access| access.end_session(&header)).await? {
        return Err(none());
    }
    info!(session = session.id, by = caller.name(), "session ended");
    Ok(HttpResponse::Accepted().finish())
}

/// The credentials of a request.
fn sent(request: &HttpRequest) -> &[u8] {
    request.headers().get(header::AUTHORIZATION).map_or(&b""[..], HeaderValue::as_bytes)
}

fn about_caller(caller: &Caller, session: Option<Arc<Session>>) -> WhoAsks {
    let words = |scopes: &[Scope]| scopes.iter().map(|scope| scope.as_str().to_owned()).collect();
    let (scopes, namespaces) = match caller {
        // Functions that ask for a token are called by one alone.
        Caller::Admin(_) => (words(&[Scope::Read, Scope::Write]), vec!["*".to_owned()]),
        Caller::Token(token) => {
            (words(&token.scopes.iter().copied().collect::<Vec<_>>()), token.namespaces.clone().into())
        }
    };
    WhoAsks {
        id: session.as_ref().map(|session| session.id.clone()),
        who: caller.name().to_owned(),
        admin: caller.is_admin(),
        scopes,
        namespaces,
        ends_at: session.map(|session| session.ends_at.to_string()),
    }
}
