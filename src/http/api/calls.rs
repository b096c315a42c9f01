//! `/system/calls`: calls that nobody waits for, and what came of them; and DELETE `/async-function/{id}`, which cancels one.
//!
//! A call is named by actord's own id, or by its caller's where that fits one call. One of a namespace that who asks does not
//! reach is not there.

use std::collections::BTreeMap;

use actix_web::http::{StatusCode, header};
use actix_web::web;
use actix_web::{HttpRequest, HttpResponse};
use jiff::Timestamp;

use super::auth::without_prompt;
use super::call_shown;
use super::error::HttpError;
use super::needs::caller;
use super::params::{InNamespace, ListCalls, NamedCall, PurgeCalls, RetryCall};
use super::request::{Answer, Context, answer, is_yes, last_in_query, namespace};
use super::subject::{Noted, about, about_function, in_namespace};
use crate::credentials::{Access, Caller, Denied, Scope};
use crate::function::{FunctionId, Namespace, parse_duration};
use crate::http::Services;
use crate::http::guesses::Guesses;
use crate::http::seconds::whole_seconds;
use crate::http::source::Source;
use crate::http::text::text;
use crate::queue::view::Moment;
use crate::queue::{CallId, Filter, ListError, Loaded, NotCancelled, NotFound, NotRetried, Revive, Unusable, Wanted};
use crate::wire::{Call, CallPage, CallSummary, FunctionQueue, PurgedCalls};

/// So many calls are on a page, if nothing else is asked for, and at most.
const PAGE: usize = 100;
const PAGE_MAX: usize = 1000;

/// The pattern of the route that cancels, for the audit log.
const OWN: &str = "/async-function/{name}";

/// Calls, the newest first
#[utoipa::path(get, path = "/system/calls", operation_id = "list_calls", tag = "calls", params(ListCalls), responses(
    (status = 200, description = "A page of them", body = CallPage),
    (status = 400, description = "What is asked for can't be meant", content_type = "text/plain", body = String),
))]
pub(super) async fn list((services, settings): Context, request: HttpRequest) -> Answer {
    let namespace = namespace(&services, "", &request).await?;
    let now = services.queue.moment();
    let limit = match last_in_query(&request, "limit") {
        None => PAGE,
        Some(said) => said
            .parse()
            .ok()
            .filter(|limit| (1..=PAGE_MAX).contains(limit))
            .ok_or_else(|| bad(format!("limit={said}: expected a number from 1 to {PAGE_MAX}")))?,
    };
    let wanted = wanted(&request)?;
    let filter = Filter {
        function: function(&request, &namespace)?,
        namespace: Some(namespace),
        wanted,
        since: time(&request, "since", now)?,
        ended_before: None,
        limit,
        after: last_in_query(&request, "after"),
    };
    let page = answer(settings.answer_timeout, services.queue.list(filter)).await??;
    let mut tries = BTreeMap::new();
    let mut calls = Vec::with_capacity(page.calls.len());
    for call in &page.calls {
        let most = match tries.get(&call.function) {
            Some(most) => *most,
            None => {
                let most = services.queue.max_tries(&call.function).await;
                tries.insert(&call.function, most);
                most
            }
        };
        // One that has ended since is shown as it was when it was looked at.
        let running = wanted == Wanted::Running || services.queue.is_running(call.seq);
        calls.push(CallSummary { max_tries: Some(most), ..call_shown::summary(call, running, now) });
    }
    Ok(HttpResponse::Ok().json(CallPage { calls, next: page.next }))
}

/// Removes calls that have ended
#[utoipa::path(delete, path = "/system/calls", operation_id = "purge_calls", tag = "calls", params(PurgeCalls), responses(
    (status = 200, description = "How many", body = PurgedCalls),
    (status = 400, description = "What is asked for can't be meant", content_type = "text/plain", body = String),
))]
pub(super) async fn purge((services, _): Context, request: HttpRequest) -> Answer {
    let namespace = namespace(&services, "", &request).await?;
    let wanted = wanted(&request)?;
    if !matches!(wanted, Wanted::Dead | Wanted::Done | Wanted::Cancelled) {
        return Err(bad("state: expected dead, done or cancelled: what waits is ended by cancelling it"));
    }
    let now = services.queue.moment();
    let function = function(&request, &namespace)?;
    if let Some(function) = &function {
        about_function(&request, function);
    }
    let filter = Filter {
        function,
        namespace: Some(namespace),
        wanted,
        ended_before: time(&request, "before", now)?.map(|wall| now.ticks(wall)),
        ..Filter::default()
    };
    let purged = services.queue.purge(filter).await?;
    Ok(HttpResponse::Ok().json(PurgedCalls { purged }))
}

/// One call
#[utoipa::path(get, path = "/system/call/{id}", operation_id = "show_call", tag = "calls", params(NamedCall), responses(
    (status = 200, description = "What is known of it", body = Call),
    (status = 404, description = "There is none", content_type = "text/plain", body = String),
    (status = 409, description = "It is its caller's id, and fits several", content_type = "text/plain", body = String),
))]
pub(super) async fn show(id: web::Path<String>, (services, _): Context, request: HttpRequest) -> Answer {
    let caller = caller(&request)?;
    let (_, kept) = found(&services, &id, &caller).await?;
    let running = services.queue.is_running(kept.call.seq);
    let mut shown = call_shown::call(&kept, running, services.queue.moment());
    shown.summary.max_tries = Some(services.queue.max_tries(&kept.call.function).await);
    Ok(HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(shown))
}

/// Cancels a call
///
/// One that is under way is dropped: its function sees its caller leave.
#[utoipa::path(delete, path = "/system/call/{id}", operation_id = "cancel_call", tag = "calls", params(NamedCall), responses(
    (status = 202, description = "It is not tried any more"),
    (status = 404, description = "There is none", content_type = "text/plain", body = String),
    (status = 409, description = "It has ended, or the id fits several", content_type = "text/plain", body = String),
))]
pub(super) async fn cancel(id: web::Path<String>, (services, _): Context, request: HttpRequest) -> Answer {
    let caller = caller(&request)?;
    let (id, kept) = found(&services, &id, &caller).await?;
    is_about(&request, id, &kept.call.function);
    end(&services, id).await
}

/// Lets a dead letter be tried again
///
/// It keeps its id, and has all its tries again. Where the function was called and only the callback failed, that is sent again.
#[utoipa::path(post, path = "/system/call/{id}/retry", operation_id = "retry_call", tag = "calls", params(NamedCall, RetryCall),
responses(
    (status = 202, description = "It waits for its turn"),
    (status = 404, description = "There is none", content_type = "text/plain", body = String),
    (status = 409, description = "It is no dead letter, or the id fits several", content_type = "text/plain", body = String),
    (status = 507, description = "The disk is full: nothing was changed", content_type = "text/plain", body = String),
))]
pub(super) async fn retry(id: web::Path<String>, (services, _): Context, request: HttpRequest) -> Answer {
    let caller = caller(&request)?;
    let (id, kept) = found(&services, &id, &caller).await?;
    is_about(&request, id, &kept.call.function);
    let retried = services.queue.retry(id, Revive { call: is_yes(&request, "call") }).await;
    retried.map_err(|why| match why {
        NotRetried::NotDead => HttpError::new(StatusCode::CONFLICT, format!("call {id} is no dead letter")),
        NotRetried::Gone => none(&id.to_string()),
        NotRetried::Unusable(why) => why.into(),
    })?;
    Ok(HttpResponse::Accepted().finish())
}

/// How many calls wait for each function
#[utoipa::path(get, path = "/system/queues", operation_id = "list_queues", tag = "calls", params(InNamespace), responses(
    (status = 200, description = "Of each function that has calls", body = Vec<FunctionQueue>),
))]
pub(super) async fn queues((services, _): Context, request: HttpRequest) -> Answer {
    let namespace = namespace(&services, "", &request).await?;
    let all = services.queue.queues();
    let some = all.iter().filter(|depth| depth.function.namespace == namespace).map(call_shown::depth);
    Ok(HttpResponse::Ok().json(some.collect::<Vec<_>>()))
}

/// Cancels a call, for who made it
///
/// With actord's own id of it, which the 202 said, no credentials are asked for, unless the function asked for a token. Else
/// they must hold the scope `write`, or `invoke` for that function.
#[utoipa::path(delete, path = "/async-function/{name}", operation_id = "cancel_own_call", tag = "proxy",
params(("name" = String, Path, description = "The call's id", example = "018f2f6e-7c1a-7b3c-8d4e-5f6071829304")), responses(
    (status = 202, description = "It is not tried any more"),
    (status = 401, description = "Credentials are asked for", content_type = "text/plain", body = String),
    (status = 403, description = "They may not do that", content_type = "text/plain", body = String),
    (status = 404, description = "There is none", content_type = "text/plain", body = String),
    (status = 409, description = "It has ended, or the id fits several", content_type = "text/plain", body = String),
    (status = 429, description = "Too many wrong credentials came from this address", content_type = "text/plain", body = String),
    (status = 503, description = "An upgrade is on trial", content_type = "text/plain", body = String),
))]
pub(super) async fn cancel_own(
    id: web::Path<String>,
    (services, settings): Context,
    access: web::Data<Access>,
    guesses: web::Data<Guesses>,
    request: HttpRequest,
) -> HttpResponse {
    let client = guesses.client(request.peer_addr(), request.headers());
    let mut noted = Noted::begin(&settings.audit, &request, client);
    noted.is_for(OWN, Some(id.as_str()));
    let sent = request.headers().get(header::AUTHORIZATION);
    let known = sent.map_or(Err(Denied::Nothing), |sent| access.caller(sent.as_bytes()));
    noted.is_from(&known);
    let answer = match cancel_for(&services, &id, known, (&guesses, client.into()), &request).await {
        Ok(answer) => answer,
        Err(refusal) => refusal,
    };
    noted.answered(answer.status());
    without_prompt(request.headers(), answer)
}

async fn cancel_for(
    services: &Services,
    id: &str,
    known: Result<Caller, Denied>,
    (guesses, source): (&Guesses, Source),
    request: &HttpRequest,
) -> Result<HttpResponse, HttpResponse> {
    if let Some(refusal) = services.gate.refusal() {
        return Err(refusal);
    }
    let refused = |error: HttpError| text(error.status, &error.text);
    // What such an id is known to is who made the call: nobody guesses one.
    if let Ok(own) = id.parse::<CallId>() {
        match services.queue.call(own).await {
            Ok(Some(kept)) if !kept.call.guarded => {
                is_about(request, own, &kept.call.function);
                return end(services, own).await.map_err(refused);
            }
            Ok(Some(_)) => {}
            Ok(None) if matches!(known, Err(Denied::Nothing)) => return Err(refused(none(id))),
            // Callers make up ids of this shape, too.
            Ok(None) => {}
            Err(error) => return Err(refused(error.into())),
        }
    }
    let caller = match known {
        Ok(caller) => caller,
        Err(denied) => return Err(denial(denied, guesses, source).await),
    };
    if !caller.has(Scope::Write) && !caller.has(Scope::Invoke) {
        let line = format!("token {} may not do this: it needs the scope write, or invoke", caller.name());
        return Err(text(StatusCode::FORBIDDEN, &line));
    }
    let (own, kept) = found(services, id, &caller).await.map_err(refused)?;
    is_about(request, own, &kept.call.function);
    end(services, own).await.map_err(refused)
}

/// The answer to credentials that are none, or are not there.
async fn denial(denied: Denied, guesses: &Guesses, source: Source) -> HttpResponse {
    let wait = match denied {
        Denied::Nothing | Denied::Expired(_) | Denied::Ended(_) => None,
        Denied::Wrong => {
            guesses.hold_up(source).await;
            guesses.note(source)
        }
    };
    if let Some(wait) = wait {
        let line = format!("too many credentials that do not hold came from {source}");
        let mut answer = text(StatusCode::TOO_MANY_REQUESTS, &line);
        answer.headers_mut().insert(header::RETRY_AFTER, whole_seconds(wait).into());
        return answer;
    }
    let line = "to cancel this call, send credentials with the scope write, or invoke for its function";
    let mut answer = text(StatusCode::UNAUTHORIZED, line);
    let realm = header::HeaderValue::from_static("Basic realm=\"Restricted\"");
    answer.headers_mut().insert(header::WWW_AUTHENTICATE, realm);
    answer
}

async fn end(services: &Services, id: CallId) -> Answer {
    services.queue.cancel(id).await.map_err(|why| match why {
        NotCancelled::Ended => HttpError::new(StatusCode::CONFLICT, format!("call {id} has ended")),
        NotCancelled::Gone => none(&id.to_string()),
        NotCancelled::Unusable(why) => why.into(),
    })?;
    Ok(HttpResponse::Accepted().finish())
}

/// The call with this id, of those in namespaces that the caller reaches.
async fn found(services: &Services, id: &str, caller: &Caller) -> Result<(CallId, Loaded), HttpError> {
    let who = caller.clone();
    match services.queue.find(id, move |namespace| who.reaches(namespace)).await {
        Ok(own) => {
            let kept = services.queue.call(own).await?;
            // It may have gone since.
            let kept = kept.filter(|kept| caller.reaches(&kept.call.function.namespace));
            kept.map(|kept| (own, kept)).ok_or_else(|| none(id))
        }
        Err(NotFound::Several(ids)) => {
            let count = ids.len();
            let ids: Vec<_> = ids.iter().take(10).map(CallId::to_string).collect();
            let line = format!("{count} calls have the id {id}: name one by its own id, such as {}", ids.join(", "));
            Err(HttpError::new(StatusCode::CONFLICT, line))
        }
        Err(NotFound::None) => Err(none(id)),
        Err(NotFound::Unusable(why)) => Err(why.into()),
    }
}

fn is_about(request: &HttpRequest, id: CallId, function: &FunctionId) {
    in_namespace(request, &function.namespace);
    about(request, &id.to_string());
}

fn none(id: &str) -> HttpError {
    HttpError::new(StatusCode::NOT_FOUND, format!("call {id} not found: calls that were done are kept for an hour"))
}

fn bad(line: impl Into<std::borrow::Cow<'static, str>>) -> HttpError {
    HttpError::new(StatusCode::BAD_REQUEST, line)
}

/// The function that the query names, as its name or with its namespace.
fn function(request: &HttpRequest, namespace: &Namespace) -> Result<Option<FunctionId>, HttpError> {
    let Some(said) = last_in_query(request, "function").filter(|said| !said.is_empty()) else { return Ok(None) };
    let name = said.strip_suffix(&format!(".{namespace}")).unwrap_or(&said);
    Ok(Some(FunctionId::new(name.parse()?, namespace.clone())))
}

fn wanted(request: &HttpRequest) -> Result<Wanted, HttpError> {
    Ok(match last_in_query(request, "state").as_deref() {
        None | Some("") => Wanted::Any,
        Some("waiting") => Wanted::Waiting,
        Some("running") => Wanted::Running,
        Some("retrying") => Wanted::Retrying,
        Some("callback") => Wanted::Callback,
        Some("done") => Wanted::Done,
        Some("dead") => Wanted::Dead,
        Some("cancelled") => Wanted::Cancelled,
        Some(other) => {
            let states =
                "waiting (which those are as well that run), running, retrying, callback, done, dead or cancelled";
            return Err(bad(format!("state={other}: expected {states}")));
        }
    })
}

/// A time on the wall in milliseconds, or so long ago.
fn time(request: &HttpRequest, key: &str, now: Moment) -> Result<Option<i64>, HttpError> {
    let Some(said) = last_in_query(request, key).filter(|said| !said.is_empty()) else { return Ok(None) };
    if let Ok(ago) = parse_duration(&said) {
        return Ok(Some(now.wall - i64::try_from(ago.as_millis()).unwrap_or(i64::MAX / 2)));
    }
    let at = said.parse::<Timestamp>();
    let wrong =
        || bad(format!("{key}={said}: expected a date such as 2026-01-31T12:00:00Z, or so long ago, such as 1h"));
    Ok(Some(at.map_err(|_| wrong())?.as_millisecond()))
}

impl From<Unusable> for HttpError {
    fn from(error: Unusable) -> Self {
        Self::busy(error.to_string())
    }
}

impl From<ListError> for HttpError {
    fn from(error: ListError) -> Self {
        match error {
            ListError::NoSuchPage(why) => bad(why.to_string()),
            ListError::Store(why) => Self::busy(why.to_string()),
        }
    }
}
