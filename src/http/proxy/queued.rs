//! Calls that were kept (`/async-function/...`): each is sent as any other, and its answer is read to its end, of which the
//! beginning is kept.
//!
//! ```text
//! target -> exchange (wake, lease, send) -> the answer's head -> whole: its body -> the connection goes back to the pool
//! ```
//! The lease is handed on: it ends when it is kept what came of the call, so that no update takes its instance before.

use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use actix_http::{HttpMessage as _, Request};
use actix_web::http::StatusCode;
use actix_web::http::header::HeaderMap;
use bytes::{Bytes, BytesMut};
use tokio::time::Instant;
use tracing::warn;

use super::body::Framing;
use super::connection::Connection;
use super::error::ProxyError;
use super::forward::{Answer, UpstreamError, UpstreamRequest};
use super::headers::CallHeaders;
use super::invoke::{Proxy, Target};
use super::pool::Pool;
use super::timers::Timers;
use super::upload::Upload;
use crate::http::metrics::Invocation;
use crate::routes::{Lease, NoEndpoint};

/// The longest that the body of one answer may take, however steadily it comes.
const LONGEST: Duration = Duration::from_secs(60 * 60);

/// So much of a body is read at once.
const PIECE: usize = 64 << 10;

/// A call that was kept.
pub(in crate::http) struct StoredCall<'a> {
    /// What actord calls it.
    pub(in crate::http) id: &'a str,
    /// Its function, as `name.namespace`.
    pub(in crate::http) function: &'a str,
    /// Path and query as the function sees them.
    pub(in crate::http) path_and_query: &'a str,
    /// Method and headers.
    pub(in crate::http) request: &'a Request,
    pub(in crate::http) body: Bytes,
    /// So much of the answer's body is wanted, in bytes.
    pub(in crate::http) keep: usize,
}

/// What a function said.
pub(in crate::http) struct StoredAnswer {
    pub(in crate::http) status: StatusCode,
    pub(in crate::http) headers: HeaderMap,
    /// The beginning of its body, and the length of all of it.
    pub(in crate::http) body: Bytes,
    pub(in crate::http) total: u64,
    pub(in crate::http) lease: Lease,
}

/// Why there is no answer.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::http) enum NoAnswer {
    /// There is no such function.
    Gone,
    /// An operator keeps the function down.
    KeptDown,
    /// Another time may go better. The status is the one that a caller who waits gets.
    Failed { status: StatusCode, reason: String, retry_after: Option<Duration> },
}

impl NoAnswer {
    fn of(error: &ProxyError, function: &str) -> Self {
        match error {
            ProxyError::Unknown => Self::Gone,
            ProxyError::Upstream(UpstreamError::NoEndpoint(NoEndpoint::KeptDown(_))) => Self::KeptDown,
            _ => {
                let (status, reason) = error.told(function);
                Self::Failed { status, reason, retry_after: error.retry_after() }
            }
        }
    }

    fn failed(status: StatusCode, reason: String) -> Self {
        Self::Failed { status, reason, retry_after: None }
    }
}

/// How the body of an answer ended before its end.
enum Cut {
    Broken(io::Error),
    Late(Duration),
}

impl Proxy {
    /// Sends a call that was kept, and reads its answer to the end.
    ///
    /// # Errors
    /// [`NoAnswer`].
    pub(in crate::http) async fn call_stored(&self, call: StoredCall<'_>) -> Result<StoredAnswer, NoAnswer> {
        let since = Instant::now();
        let StoredCall { id, function, path_and_query, request, body, keep } = call;
        let target = self.target(function).ok_or(NoAnswer::Gone)?;
        let mut invocation = Invocation::begin(target.clone(), since);
        let has_call_id = request.headers().get("x-call-id").is_some_and(|id| !id.is_empty());
        let call_headers = CallHeaders::for_call((!has_call_id).then_some(id));
        let upstream = UpstreamRequest {
            request,
            path_and_query,
            call_headers: Some(&call_headers),
            actord_call: Some(id),
            web_socket: false,
            // What is ours was not kept.
            authorization_is_ours: false,
            upload: Upload::whole(body),
        };
        let read = match self.exchange(upstream, &target).await {
            Ok(answer) => self.read(answer, &target, keep).await,
            Err(error) => {
                self.note(&error, function, &target);
                Err(NoAnswer::of(&error, function))
            }
        };
        match &read {
            Ok(answer) => invocation.answered(answer.status.as_u16()),
            Err(NoAnswer::Gone) => invocation.answered(StatusCode::NOT_FOUND.as_u16()),
            Err(NoAnswer::KeptDown) => invocation.answered(StatusCode::SERVICE_UNAVAILABLE.as_u16()),
            Err(NoAnswer::Failed { status, .. }) => invocation.answered(status.as_u16()),
        }
        read
    }

    fn note(&self, error: &ProxyError, function: &str, target: &Target) {
        match error {
            ProxyError::Unknown => self.forget(function),
            ProxyError::Upstream(UpstreamError::Unreachable(_) | UpstreamError::Unanswered(_)) if target.may_say() => {
                warn!(function, %error, "a call that was kept got no answer");
            }
            _ => {}
        }
    }

    async fn read(&self, answer: Answer, target: &Target, keep: usize) -> Result<StoredAnswer, NoAnswer> {
        let idle = target.entry.limit().or(self.timeout);
        let Answer { head, connection, lease } = answer;
        let (status, headers) = (head.answer.status(), head.answer.headers().clone());
        let function = target.entry.function();
        let read = whole((head.body, connection), (&self.pool, &self.timers), keep, idle).await;
        let (body, total) = read.map_err(|cut| match cut {
            Cut::Broken(error) => {
                let reason = format!("function {function} broke off its answer: {error}");
                NoAnswer::failed(StatusCode::BAD_GATEWAY, reason)
            }
            Cut::Late(within) => {
                let reason =
                    format!("function {function} did not end its answer: nothing of it came within {within:?}");
                NoAnswer::failed(StatusCode::GATEWAY_TIMEOUT, reason)
            }
        })?;
        Ok(StoredAnswer { status, headers, body, total, lease })
    }
}

/// The beginning of an answer's body, `keep` bytes at most, and how long all of it was. The connection is given back.
async fn whole(
    (mut framing, mut connection): (Framing, Connection),
    (pool, timers): (&Rc<Pool>, &Timers),
    keep: usize,
    idle: Duration,
) -> Result<(Bytes, u64), Cut> {
    let (mut body, mut total) = (BytesMut::new(), 0);
    let (begun, mut timer) = (Instant::now(), timers.timer());
    let mut last = begun;
    loop {
        let (due, within) = match last + idle < begun + LONGEST {
            true => (last + idle, idle),
            false => (begun + LONGEST, LONGEST),
        };
        let piece = poll_fn(|cx| match connection.poll_body(&mut framing, PIECE, cx) {
            Poll::Ready(piece) => Poll::Ready(Ok(piece)),
            Poll::Pending => timer.poll(due, cx).map(|()| Err(Cut::Late(within))),
        });
        match piece.await? {
            Some(Ok(piece)) => {
                total += piece.len() as u64;
                body.extend_from_slice(&piece[..piece.len().min(keep - body.len())]);
                last = Instant::now();
            }
            Some(Err(error)) => return Err(Cut::Broken(error)),
            None => break,
        }
    }
    pool.give_back(connection);
    Ok((body.freeze(), total))
}
