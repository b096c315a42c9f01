//! `/function/{name}[.{namespace}][/{path}]`: the proxy.
//!
//! ```text
//! path -> target (id and metrics, remembered by the worker) -> forward (lease, send) -> answer, streamed
//! ```
//! No message is sent to an actor and nothing is waited for but the instance. The lease and the metrics' guard travel
//! in the answer's body and are dropped with it.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_http::{HttpMessage as _, Request, Response};
use actix_web::body::{BodySize, BoxBody, EitherBody};
use actix_web::dev::Payload;
use actix_web::http::header;
use actix_web::http::{Method, StatusCode};
use tokio::time::Instant;
use tracing::{error, warn};

use super::answer::Head;
use super::bearer;
use super::deadline::Limits;
use super::download::{Download, Held};
use super::error::ProxyError;
use super::forward::{Answer, UpstreamError, UpstreamRequest, wake};
use super::headers::{self, CallHeaders};
use super::pool::Pool;
use super::refusal::refusal;
use super::timers::Timers;
use super::upgrade;
use super::upload::Upload;
use crate::credentials::{Access, looks_like_token};
use crate::http::guesses::Guesses;
use crate::http::metrics::{Invocation, Series};
use crate::http::seconds::whole_seconds;
use crate::http::source::Source;
use crate::http::text::text;
use crate::http::{ApiFlavor, Services, Settings, connection};
use crate::routes::{FunctionEntry, Lease};

/// What the path of every call begins with.
const PREFIX: &str = "/function/";

/// The most targets that a worker remembers; beyond it, it begins anew.
const TARGETS: usize = 4_096;

/// How often a worker says of a function that it can't be reached.
const SAID_EVERY: Duration = Duration::from_secs(1);

/// A function that requests are sent to, as a worker remembers it.
pub(in crate::http) struct Target {
    pub(super) entry: FunctionEntry,
    series: Series,
    /// When it was last said that it can't be reached.
    said: Cell<Option<Instant>>,
}

impl Target {
    /// Whether it is time to say again what goes wrong at every request: callers must not fill the log.
    pub(super) fn may_say(&self) -> bool {
        let now = Instant::now();
        let may = self.said.get().is_none_or(|at| now.duration_since(at) >= SAID_EVERY);
        if may {
            self.said.set(Some(now));
        }
        may
    }
}

impl AsRef<Series> for Rc<Target> {
    fn as_ref(&self) -> &Series {
        &self.series
    }
}

/// The body of a function's answer.
pub(in crate::http) type FunctionBody = Download<InFlight>;

/// A function's answer, or the proxy's own.
type Answered = Response<EitherBody<FunctionBody, BoxBody>>;

/// What is held until an answer's last byte is out.
pub(in crate::http) type InFlight = (Lease, Invocation<Rc<Target>>);

impl Held for InFlight {
    fn broken(&self, error: &io::Error) {
        let target = self.1.target();
        if target.may_say() {
            warn!(function = %target.entry.function(), %error, "a function broke off its answer");
        }
    }
}

/// The proxy of one worker.
pub(in crate::http) struct Proxy {
    services: Arc<Services>,
    access: Access,
    guesses: Guesses,
    flavor: ApiFlavor,
    pub(super) timeout: Duration,
    upload_idle: Duration,
    upload_floor: u64,
    pub(super) pool: Rc<Pool>,
    pub(super) timers: Timers,
    targets: RefCell<HashMap<Box<str>, Rc<Target>>>,
}

impl Proxy {
    /// `guesses` counts wrong tokens for functions.
    pub(in crate::http) fn new(services: Arc<Services>, settings: &Settings, guesses: Guesses) -> Self {
        Self {
            pool: Pool::new(&services.metrics),
            services,
            access: settings.access.clone(),
            guesses,
            flavor: settings.flavor,
            timeout: settings.upstream_timeout,
            upload_idle: settings.upload_idle_timeout,
            upload_floor: settings.upload_min_rate,
            timers: Timers::default(),
            targets: RefCell::default(),
        }
    }

    /// Forgets a target that is no more.
    pub(super) fn forget(&self, name: &str) {
        self.targets.borrow_mut().remove(name);
    }

    /// The target that a path names, if that can be a function's name.
    pub(super) fn target(&self, name: &str) -> Option<Rc<Target>> {
        if let Some(target) = self.targets.borrow().get(name).filter(|target| !target.entry.is_deleted()) {
            return Some(target.clone());
        }
        // The name of no function must leave no trace: callers can make up any number of them.
        let entry = self.services.routes.find(&name.parse().ok()?)?;
        let series = self.services.metrics.series(&entry).inspect_err(|error| error!(%error, name, "can't be counted"));
        let target = Rc::new(Target { series: series.ok()?, entry, said: Cell::default() });
        let mut targets = self.targets.borrow_mut();
        if targets.len() >= TARGETS {
            targets.clear();
        }
        targets.insert(name.into(), target.clone());
        Some(target)
    }

    pub(super) async fn exchange(&self, upstream: UpstreamRequest<'_>, target: &Target) -> Result<Answer, ProxyError> {
        // A call that wakes its function waits as long as a start may take. The limit is for the time after that.
        wake(&target.entry, &self.services.metrics).await.map_err(UpstreamError::from)?;
        let (begun, answer) = (Instant::now(), target.entry.limit().or(self.timeout));
        let limits = Limits { begun, answer, idle: self.upload_idle };
        let (asked_to_switch, progress) = (upstream.web_socket, upstream.upload.progress());
        // Pinned here: it is large, and would be copied as a whole on its way through others' hands.
        let answer = pin!(upstream.send(&self.pool, &self.services.metrics, &target.entry));
        let answer = limits.hold(&self.timers, answer, progress).await.map_err(ProxyError::Late)??;
        if answer.head.answer.status() == StatusCode::SWITCHING_PROTOCOLS && !asked_to_switch {
            return Err(ProxyError::Switched);
        }
        Ok(answer)
    }

    /// Lets a call pass, of a function that asks for a token only with one that may. Whether what the caller sent for
    /// `Authorization` is for actord: no function is to see that.
    pub(super) fn admit(&self, entry: &FunctionEntry, request: &Request) -> Result<bool, bearer::Refused> {
        let guarded = entry.asks_for_token();
        if guarded {
            bearer::check(&self.access, entry.function(), request)?;
        }
        // A token that is sent to a function which asks for none is no gift to it.
        let sent = request.head().headers().get(header::AUTHORIZATION);
        Ok(guarded || sent.is_some_and(|sent| looks_like_token(sent.as_bytes())))
    }

    /// As [`Proxy::admit`], for a call that is kept.
    ///
    /// # Errors
    /// The answer to one that may not pass.
    pub(in crate::http) async fn admit_stored(
        &self,
        entry: &FunctionEntry,
        request: &Request,
    ) -> Result<bool, Response<BoxBody>> {
        match self.admit(entry, request) {
            Ok(is_ours) => Ok(is_ours),
            Err(refused) => Err(refused.answer(&self.guesses, entry.function(), request).await),
        }
    }

    /// Whether a request carries what it takes to call this function.
    pub(in crate::http) fn may_call(&self, entry: &FunctionEntry, request: &Request) -> bool {
        self.admit(entry, request).is_ok()
    }

    /// Whose share of what all may take a request is counted to, if anybody's.
    pub(in crate::http) fn source(&self, request: &Request) -> Option<Source> {
        self.guesses.sharer(request.peer_addr(), request.head().headers())
    }

    /// What all of this listener work with.
    pub(in crate::http) fn services(&self) -> &Services {
        &self.services
    }

    /// The longest time in which a client may send nothing of a body.
    pub(in crate::http) fn upload_idle(&self) -> Duration {
        self.upload_idle
    }

    /// The answer to a request that its function did not answer. Clients tell it by its header from a function's own.
    fn refuse(&self, name: &str, error: &ProxyError) -> Response<BoxBody> {
        let (status, line) = error.told(name);
        let mut answer = match (self.flavor, status) {
            (ApiFlavor::Public, _) | (_, StatusCode::BAD_REQUEST | StatusCode::REQUEST_TIMEOUT) => {
                refusal(status, &line)
            }
            (ApiFlavor::Provider, StatusCode::NOT_FOUND | StatusCode::SERVICE_UNAVAILABLE) => {
                refusal(StatusCode::SERVICE_UNAVAILABLE, &format!("No endpoints available for: {name}."))
            }
            (ApiFlavor::Provider, _) => {
                let line = if error.is_of_the_answer() { format!(" The {line}.") } else { String::new() };
                refusal(StatusCode::INTERNAL_SERVER_ERROR, &format!("Can't reach service for: {name}.{line}"))
            }
        };
        if let Some(wait) = error.retry_after() {
            answer.headers_mut().insert(header::RETRY_AFTER, whole_seconds(wait).max(1).into());
        }
        answer
    }
}

/// Calls a function
///
/// By any method but CONNECT. What the function says is the answer, whatever its status. The proxy's own answers carry `X-OpenFaaS-Internal: proxy`.
/// The name may be followed by a dot and a namespace.
#[utoipa::path(method(get, post, put, patch, delete, options, head, trace), path = "/function/{name}", tag = "proxy",
params(("name" = String, Path, description = "The function's name, or name.namespace", example = "env")),
request_body(content = String, content_type = "application/octet-stream", description = "Handed on to the function"),
responses(
    (status = "default", description = "The function's own answer"),
    (status = 400, description = "No function can be meant, or the request can't be sent on"),
    (status = 401, description = "The function asks for a token, and none that holds was sent"),
    (status = 403, description = "The token may not call this function"),
    (status = 404, description = "On the public listener: there is no such function"),
    (status = 429, description = "Too many tokens that are none came from this address"),
    (status = 500, description = "On the provider's listener: the function can't be reached, or did not answer in time"),
    (status = 502, description = "On the public listener: the function can't be reached"),
    (status = 503, description = "No instance is ready, and too many requests wait for one, it took too long, or none will come soon"),
    (status = 504, description = "On the public listener: the function did not begin its answer in time"),
))]
pub(in crate::http) async fn invoke(proxy: &Proxy, mut request: Request) -> Answered {
    let since = Instant::now();
    if *request.method() == Method::CONNECT {
        return own(text(StatusCode::METHOD_NOT_ALLOWED, "no function is called by CONNECT").into());
    }
    let payload = request.take_payload();
    let sent = connection::sent(&request);
    let path_and_query = sent.as_deref().or_else(|| Some(request.uri().path_and_query()?.as_str()));
    let Some((name, path_and_query)) = path_and_query.and_then(|target| split(PREFIX, target)) else {
        return own(text(StatusCode::NOT_FOUND, "404 page not found").into());
    };
    if name.is_empty() {
        return own(refusal(StatusCode::BAD_REQUEST, "Provide function name in the request path"));
    }
    let call_headers = (proxy.flavor == ApiFlavor::Public).then(|| CallHeaders::of(&request));
    let mut answer = match proxy.target(name) {
        Some(target) => {
            call(&request, payload, proxy, (name, path_and_query), target, call_headers.as_ref(), since).await
        }
        None => own(proxy.refuse(name, &ProxyError::Unknown)),
    };
    if let Some(call_headers) = &call_headers {
        call_headers.add_to(&mut answer);
    }
    answer
}

/// Whether a request is a call of a function.
pub(in crate::http) fn is_call(request: &Request) -> bool {
    request.path().starts_with(PREFIX)
}

fn own(answer: Response<BoxBody>) -> Answered {
    answer.map_body(|_, body| EitherBody::right(body))
}

async fn call(
    request: &Request,
    payload: Payload,
    proxy: &Proxy,
    (name, path_and_query): (&str, &str),
    target: Rc<Target>,
    call_headers: Option<&CallHeaders>,
    since: Instant,
) -> Answered {
    let authorization_is_ours = match proxy.admit(&target.entry, request) {
        Ok(is_ours) => is_ours,
        Err(refused) => return own(refused.answer(&proxy.guesses, target.entry.function(), request).await),
    };
    let mut invocation = Invocation::begin(target.clone(), since);
    let web_socket = headers::asks_for_web_socket(request.headers());
    let (upload, socket) = match web_socket {
        true => (Upload::EMPTY, Some(payload)),
        false => (upload(request, payload, proxy.upload_floor), None),
    };
    let upstream = UpstreamRequest {
        request,
        path_and_query,
        call_headers,
        actord_call: None,
        web_socket,
        authorization_is_ours,
        upload,
    };
    match proxy.exchange(upstream, &target).await {
        Ok(answer) => {
            let status = answer.head.answer.status();
            invocation.answered(status.as_u16());
            match socket {
                Some(payload) if status == StatusCode::SWITCHING_PROTOCOLS => {
                    own(upgrade::answer(answer.head.answer, answer.connection, payload, (answer.lease, invocation)))
                }
                _ => stream(answer, &proxy.pool, connection::Pace::of(request), invocation),
            }
        }
        Err(error) => {
            match &error {
                ProxyError::Unknown => proxy.forget(name),
                ProxyError::Upstream(UpstreamError::Unreachable(_) | UpstreamError::Unanswered(_))
                    if target.may_say() =>
                {
                    warn!(function = %target.entry.function(), %error, "a request got no answer");
                }
                _ => {}
            }
            let answer = proxy.refuse(name, &error);
            invocation.answered(answer.status().as_u16());
            own(answer)
        }
    }
}

/// The name and what the function sees of the path, from `/function/name/path?query`, where `/function/` is the prefix.
pub(in crate::http) fn split<'a>(prefix: &str, path_and_query: &'a str) -> Option<(&'a str, &'a str)> {
    let rest = path_and_query.strip_prefix(prefix)?;
    Some(rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len())))
}

/// The request's body, if it has one.
fn upload(request: &Request, payload: Payload, floor: u64) -> Upload {
    if request.chunked().unwrap_or(false) {
        return Upload::of(payload, None, floor);
    }
    let length = request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    match length {
        None | Some(0) => Upload::EMPTY,
        some => Upload::of(payload, some, floor),
    }
}

/// The function's own answer, with its body to come.
fn stream(answer: Answer, pool: &Rc<Pool>, pace: connection::Pace, invocation: Invocation<Rc<Target>>) -> Answered {
    let Answer { head, connection, lease } = answer;
    let size = size(&head);
    let held: InFlight = (lease, invocation);
    let body = Download::new(head.body, size, (pool.clone(), connection), pace, held);
    head.answer.set_body(EitherBody::left(body))
}

/// How the body of an answer is framed for the client.
pub(super) fn size(head: &Head) -> BodySize {
    let has_body = !matches!(head.answer.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    match head.length {
        _ if !has_body => BodySize::None,
        Some(length) => BodySize::Sized(length),
        None => BodySize::Stream,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_splits_after_the_name_and_keeps_every_byte_of_the_rest() {
        for (path, name, rest) in [
            ("/function/echo", "echo", ""),
            ("/function/echo?", "echo", "?"),
            ("/function/echo.dev?a=b/c", "echo.dev", "?a=b/c"),
            ("/function/echo//x/../%2e%2F?q=%20+", "echo", "//x/../%2e%2F?q=%20+"),
            ("/function/", "", ""),
        ] {
            assert_eq!(split(PREFIX, path), Some((name, rest)), "{path}");
        }
        assert_eq!(split(PREFIX, "/function"), None);
    }
}
