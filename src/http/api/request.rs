//! What handlers under `/system` read of a request, each in the same way.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::web::{self, Bytes, Payload};
use actix_web::{HttpRequest, HttpResponse};
use tokio::time::timeout;

use super::error::HttpError;
use super::needs::enter;
use crate::function::Namespace;
use crate::http::{Services, Settings};

/// The longest JSON body that is read: deployments are a few KiB.
pub(super) const BODY_MAX: usize = 1 << 20;

/// The longest that a body may take to arrive: what has come of it is held meanwhile.
const BODY_WITHIN: Duration = Duration::from_secs(60);

/// Where a query names the namespace.
const NAMESPACE: &str = "namespace";

pub(super) type Answer = Result<HttpResponse, HttpError>;
pub(super) type Context = (web::Data<Services>, web::Data<Settings>);

/// The engine's answer, if it comes within `longest`. The engine goes on with what was asked when the wait is over, or when
/// the client leaves.
///
/// # Errors
/// 503 when there was no answer in time.
pub(super) async fn answer<T>(longest: Duration, answer: impl Future<Output = T>) -> Result<T, HttpError> {
    timeout(longest, answer).await.map_err(|_| {
        HttpError::busy(format!(
            "no answer within {longest:?}: the request may still take effect, look at the function's status"
        ))
    })
}

/// The whole body, of at most `longest` bytes.
pub(super) async fn read(body: Payload, longest: usize) -> Result<Bytes, HttpError> {
    let Ok(arrived) = timeout(BODY_WITHIN, body.to_bytes_limited(longest)).await else {
        let reason = format!("the request body did not arrive within {BODY_WITHIN:?}");
        return Err(HttpError::new(StatusCode::REQUEST_TIMEOUT, reason));
    };
    match arrived {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) => {
            Err(HttpError::new(StatusCode::BAD_REQUEST, format!("the request body did not arrive: {error}")))
        }
        Err(_) => {
            let reason = format!("the request body is longer than {longest} bytes");
            Err(HttpError::new(StatusCode::PAYLOAD_TOO_LARGE, reason))
        }
    }
}

/// The namespace that the body names, else the query, else the default one; it must be one that functions may live in, and
/// that who asks may enter.
pub(super) async fn namespace(
    services: &Services,
    in_body: &str,
    request: &HttpRequest,
) -> Result<Namespace, HttpError> {
    let in_query = last_in_query(request, NAMESPACE).unwrap_or_default();
    let sent = if in_body.is_empty() { in_query.as_str() } else { in_body };
    let namespace = if sent.is_empty() { Namespace::default() } else { sent.parse::<Namespace>()? };
    enter(request, &namespace)?;
    if services.namespaces.get(&namespace).await?.is_some() {
        return Ok(namespace);
    }
    Err(HttpError::new(StatusCode::BAD_REQUEST, "namespace not valid"))
}

/// Whether the query names a namespace.
pub(super) fn names_namespace(request: &HttpRequest) -> bool {
    last_in_query(request, NAMESPACE).is_some_and(|name| !name.is_empty())
}

/// As [`namespace`], for requests whose peers disagree on where it is read: when body and query both name one, it must
/// be the same.
pub(super) async fn agreed_namespace(
    services: &Services,
    in_body: &str,
    request: &HttpRequest,
) -> Result<Namespace, HttpError> {
    let in_query = last_in_query(request, NAMESPACE).unwrap_or_default();
    if !in_body.is_empty() && !in_query.is_empty() && in_body != in_query {
        let reason = format!("the body names namespace {in_body:?} and the query {in_query:?}: send one of them");
        return Err(HttpError::new(StatusCode::BAD_REQUEST, reason));
    }
    namespace(services, in_body, request).await
}

/// The value of a key in the query; of several, the last.
pub(super) fn last_in_query(request: &HttpRequest, key: &str) -> Option<String> {
    let pairs = web::Query::<Vec<(String, String)>>::from_query(request.query_string()).ok()?.into_inner();
    pairs.into_iter().rev().find(|(name, _)| name == key).map(|(_, value)| value)
}

/// Whether the query says yes to something, in the words that Go takes for a yes.
pub(super) fn is_yes(request: &HttpRequest, key: &str) -> bool {
    let said = last_in_query(request, key);
    said.is_some_and(|text| ["1", "t", "T", "true", "True", "TRUE"].contains(&text.as_str()))
}
