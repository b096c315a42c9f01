//! `/async-function/{name}`: a call is accepted when it is on the disk.
//!
//! ```text
//! which function? -> may who asks call it? -> its length, its callback, its deadline -> room? -> body -> queue -> 202
//! ```
//! Whatever can be refused without the body is refused before that is read.

use std::time::Duration;

use actix_http::{HttpMessage as _, Request, Response};
use actix_web::body::BoxBody;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use jiff::Timestamp;

use super::body::{self, NoBody};
use super::stored;
use crate::function::{FunctionId, parse_duration};
use crate::http::proxy::{Proxy, split};
use crate::http::seconds::whole_seconds;
use crate::http::text::text;
use crate::http::{Services, connection};
use crate::queue::callback::{self, Target};
use crate::queue::{Deadline, New, NewCallback, NotAccepted};

/// What the path of every asynchronous call begins with.
const PREFIX: &str = "/async-function/";

const X_CALL_ID: HeaderName = HeaderName::from_static("x-call-id");

/// Until a client should try again for whose body there was no memory.
const CROWDED: Duration = Duration::from_secs(1);

/// A longer id of a caller's goes to the function, and no call is found by it.
const CALLERS_ID_MAX: usize = 128;

/// Whether a request is a call that is to be kept. A DELETE there cancels one, which its path names with nothing behind it.
pub(in crate::http) fn is_queued(request: &Request) -> bool {
    let Some(named) = request.path().strip_prefix(PREFIX) else { return false };
    *request.method() != Method::DELETE || named.contains('/')
}

/// What is said instead of 202.
type Refusal = Response<BoxBody>;

fn refuse(status: StatusCode, line: &str) -> Refusal {
    text(status, line).into()
}

fn refuse_until(status: StatusCode, line: &str, wait: Duration) -> Refusal {
    let mut answer = refuse(status, line);
    answer.headers_mut().insert(header::RETRY_AFTER, whole_seconds(wait).max(1).into());
    answer
}

/// Calls a function without waiting for its answer
///
/// By any method but CONNECT and DELETE. The call is on the disk when this is answered: it outlives restarts, is tried again
/// where the function's rule for it says so, and what came of it is shown by `/system/call/{id}`. The name may be followed by a
/// dot and a namespace.
#[utoipa::path(method(get, head, post, put, patch, options, trace), path = "/async-function/{name}", tag = "proxy",
params(
    ("name" = String, Path, description = "The function's name, or name.namespace", example = "env"),
    ("X-Callback-Url" = Option<String>, Header, description = "Where the answer is sent"),
    ("X-Call-Deadline" = Option<String>, Header, description = "How long the call is worth a try: a time such as 10m, or a date"),
    ("X-Call-Id" = Option<String>, Header, description = "An id of the caller's own, by which the call is found as well"),
),
request_body(content = String, content_type = "application/octet-stream", description = "Handed on to the function"),
responses(
    (status = 202, description = "It is accepted; X-Call-Id is the call's own id"),
    (status = 400, description = "The callback's URL or the deadline can't be meant, or the body can't be read", content_type = "text/plain", body = String),
    (status = 401, description = "The function asks for a token, and none that holds was sent", content_type = "text/plain", body = String),
    (status = 403, description = "The token may not call this function, or none that may call the one that is called back", content_type = "text/plain", body = String),
    (status = 404, description = "There is no such function", content_type = "text/plain", body = String),
    (status = 408, description = "The body did not come in time", content_type = "text/plain", body = String),
    (status = 413, description = "The body is longer than queue-max-body", content_type = "text/plain", body = String),
    (status = 429, description = "Too many tokens that are none came from this address", content_type = "text/plain", body = String),
    (status = 503, description = "Too many calls wait for the function, the queue can't be used now, or an upgrade is on trial", content_type = "text/plain", body = String),
    (status = 507, description = "The disk is full, or the queue has what it may have of it", content_type = "text/plain", body = String),
))]
pub(in crate::http) async fn accept(proxy: &Proxy, request: Request) -> Response<BoxBody> {
    match try_accept(proxy, request).await {
        Ok(id) => {
            let mut answer = Response::with_body(StatusCode::ACCEPTED, BoxBody::new(()));
            if let Ok(id) = HeaderValue::from_str(&id) {
                answer.headers_mut().insert(X_CALL_ID, id);
            }
            answer
        }
        Err(refusal) => refusal,
    }
}

async fn try_accept(proxy: &Proxy, mut request: Request) -> Result<String, Refusal> {
    if let Method::CONNECT | Method::DELETE = *request.method() {
        let line = format!("no function is called here by {}", request.method());
        return Err(refuse(StatusCode::METHOD_NOT_ALLOWED, &line));
    }
    let services = proxy.services();
    if let Some(refusal) = services.gate.refusal() {
        return Err(refusal.into());
    }
    let payload = request.take_payload();
    let sent = connection::sent(&request);
    let target = sent.as_deref().or_else(|| Some(request.uri().path_and_query()?.as_str()));
    let (name, path_and_query) = target
        .and_then(|target| split(PREFIX, target))
        .ok_or_else(|| refuse(StatusCode::NOT_FOUND, "404 page not found"))?;
    if name.is_empty() {
        return Err(refuse(StatusCode::BAD_REQUEST, "Provide function name in the request path"));
    }
    let found = name.parse::<FunctionId>().ok().and_then(|id| services.routes.find(&id));
    let entry = found.ok_or_else(|| refuse(StatusCode::NOT_FOUND, &format!("function {name} not found")))?;
    let authorization_is_ours = proxy.admit_stored(&entry, &request).await?;
    let most = services.queue.max_body();
    let length = length(&request);
    if length.is_some_and(|length| length > most as u64) {
        return Err(too_long(most));
    }
    let callback = callback(proxy, &request)?;
    let deadline = deadline(&request)?;
    services.queue.may_accept(entry.function()).map_err(|why| not_accepted(&why))?;

    let longest = length.and_then(|length| usize::try_from(length).ok()).unwrap_or(most);
    // Held until the call is on the disk.
    let mut place = services.bodies.place(proxy.source(&request));
    let body = body::read(payload, longest, proxy.upload_idle(), &mut place).await;
    let body = body.map_err(|why| match why {
        NoBody::Long => too_long(most),
        NoBody::Crowded => refuse_until(StatusCode::SERVICE_UNAVAILABLE, &why.to_string(), CROWDED),
        NoBody::Broken => refuse(StatusCode::BAD_REQUEST, &why.to_string()),
        NoBody::Idle(_) | NoBody::Late => refuse(StatusCode::REQUEST_TIMEOUT, &why.to_string()),
    })?;
    if length.is_some_and(|length| body.len() as u64 != length) {
        return Err(refuse(StatusCode::BAD_REQUEST, &NoBody::Broken.to_string()));
    }
    let new = New {
        function: entry.function().clone(),
        method: request.method().as_str().to_owned(),
        path_and_query: path_and_query.to_owned(),
        head: stored::head(&request, authorization_is_ours, body.len()).encode(),
        body,
        caller_id: callers_id(&request),
        guarded: entry.asks_for_token(),
        callback,
        deadline,
    };
    let id = services.queue.accept(new).await.map_err(|why| not_accepted(&why))?;
    drop(place);
    Ok(id.to_string())
}

fn too_long(most: usize) -> Refusal {
    let line = format!("the request's body is longer than {most} bytes (queue-max-body)");
    refuse(StatusCode::PAYLOAD_TOO_LARGE, &line)
}

fn not_accepted(why: &NotAccepted) -> Refusal {
    let line = why.to_string();
    match why {
        NotAccepted::TooMany { retry_after, .. } => refuse_until(StatusCode::SERVICE_UNAVAILABLE, &line, *retry_after),
        NotAccepted::Full(_) => refuse(StatusCode::INSUFFICIENT_STORAGE, &line),
        NotAccepted::Busy(wait) => refuse_until(StatusCode::SERVICE_UNAVAILABLE, &line, *wait),
        NotAccepted::Late => refuse(StatusCode::BAD_REQUEST, &format!("X-Call-Deadline: {line}")),
        NotAccepted::Unusable(_) => refuse(StatusCode::SERVICE_UNAVAILABLE, &line),
    }
}

/// How long the body is, if the client said it or there is none.
fn length(request: &Request) -> Option<u64> {
    if request.chunked().unwrap_or(false) {
        return None;
    }
    let said = request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    Some(said.unwrap_or(0))
}

/// The caller's own id, if a call can be found by it.
fn callers_id(request: &Request) -> Option<String> {
    let id = request.headers().get(X_CALL_ID)?.as_bytes();
    let is_findable = (1..=CALLERS_ID_MAX).contains(&id.len()) && id.iter().all(u8::is_ascii_graphic);
    is_findable.then(|| String::from_utf8_lossy(id).into_owned())
}

/// Where the answer is to be sent. A function of ours that asks for a token is called back only for who may call it: else a call
/// of an open one would open it.
fn callback(proxy: &Proxy, request: &Request) -> Result<Option<NewCallback>, Refusal> {
    let bad = |why: &str| refuse(StatusCode::BAD_REQUEST, &format!("X-Callback-Url: {why}"));
    let said = request.headers().get("x-callback-url").filter(|value| !value.is_empty());
    let Some(value) = said else { return Ok(None) };
    let url = value.to_str().map_err(|_| bad("it has a character that no URL may have"))?;
    let services: &Services = proxy.services();
    let target = callback::read(url, services.queue.rules()).map_err(|why| bad(&why))?;
    let mut checked = false;
    if let Target::Function { id, .. } | Target::Queued { id, .. } = &target
        && let Some(entry) = services.routes.find(id)
        && entry.asks_for_token()
    {
        checked = proxy.may_call(&entry, request);
        if !checked {
            return Err(refuse(StatusCode::FORBIDDEN, &format!("X-Callback-Url: function {id} asks for a token")));
        }
    }
    Ok(Some(NewCallback { url: url.to_owned(), checked }))
}

/// Until when the call is worth a try.
fn deadline(request: &Request) -> Result<Option<Deadline>, Refusal> {
    let Some(value) = request.headers().get("x-call-deadline").filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    let said = value.to_str().map(str::trim).unwrap_or_default();
    let within = parse_duration(said).ok().filter(|time| !time.is_zero()).map(Deadline::In);
    let read = within.or_else(|| said.parse::<Timestamp>().ok().map(|at| Deadline::At(at.as_millisecond())));
    let wrong = "X-Call-Deadline: expected a time such as 90s or 10m, or a date such as 2026-01-31T12:00:00Z";
    read.map(Some).ok_or_else(|| refuse(StatusCode::BAD_REQUEST, wrong))
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    fn with(name: &str, value: &str) -> Request {
        TestRequest::post().insert_header((name, value)).to_request()
    }

    #[test]
    fn a_deadline_is_a_time_or_a_date() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap().as_millisecond();
        for (said, read) in [
            ("90s", Some(Deadline::In(Duration::from_secs(90)))),
            ("1h30m", Some(Deadline::In(Duration::from_secs(5400)))),
            ("2026-01-31T12:00:00Z", Some(Deadline::At(at("2026-01-31T12:00:00Z")))),
            ("2026-01-31T12:00:00+01:00", Some(Deadline::At(at("2026-01-31T11:00:00Z")))),
            ("0s", None),
            ("-5s", None),
            ("soon", None),
            ("2026-01-31", None),
        ] {
            assert_eq!(deadline(&with("X-Call-Deadline", said)).ok().flatten(), read, "{said}");
        }
        assert_eq!(deadline(&with("X-Other", "90s")).unwrap(), None);
    }

    #[test]
    fn a_callers_id_is_one_that_people_can_type() {
        for (said, id) in [
            ("order-7", Some("order-7")),
            ("a b", None),
            (&"x".repeat(128), Some(&*"x".repeat(128))),
            (&"x".repeat(129), None),
        ] {
            assert_eq!(callers_id(&with("X-Call-Id", said)).as_deref(), id, "{said}");
        }
    }

    #[test]
    fn what_is_a_call_and_what_cancels_one_is_told_by_the_method() {
        for (method, path, is) in [
            (Method::POST, "/async-function/f", true),
            (Method::GET, "/async-function/", true),
            (Method::DELETE, "/async-function/f", false),
            (Method::DELETE, "/async-function/f/path", true),
            (Method::POST, "/async-function", false),
            (Method::POST, "/function/async-function/f", false),
        ] {
            let request = TestRequest::with_uri(path).method(method.clone()).to_request();
            assert_eq!(is_queued(&request), is, "{method} {path}");
        }
    }
}
