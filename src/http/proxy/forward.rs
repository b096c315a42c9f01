//! Sends one request to one of a function's instances: lease, connection, wait for the head of the answer.
//!
//! An instance that died a moment ago is still in the table of routes until its actor knows. A request whose connection
//! was refused has lost nothing: it takes another lease, which waits for the next instance if there is none. Nor has one
//! whose connection was closed before anything of it came there. A request that the function may have got is sent again
//! only if that does no harm.
//!
//! What is seldom waited for is boxed: it would make the future of every request larger, and that is moved as a whole.

use std::net::SocketAddr;
use std::time::Duration;

use actix_http::Request;
use actix_web::http::Method;
use tokio::time::timeout;

use super::ahead;
use super::answer::Head;
use super::connection::Connection;
use super::headers::{Asked, CallHeaders, to_function};
use super::pool::Pool;
use super::sending::Sending;
use super::unanswered::Unanswered;
use super::upload::Upload;
use crate::http::metrics::Metrics;
use crate::routes::{FunctionEntry, Lease, NoEndpoint};

/// How often one request is tried, and the longest wait before its second try, which then doubles: 1.3 s in all.
const TRIES: u32 = 9;
const FIRST_WAIT: Duration = Duration::from_millis(5);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum UpstreamError {
    /// No instance to send it to.
    #[error(transparent)]
    NoEndpoint(#[from] NoEndpoint),
    /// The client broke its body off, or what it sent is no body.
    #[error("the request's body broke off, or can't be read")]
    Incomplete,
    /// The instance could not be reached.
    #[error("can't be reached: {0}")]
    Unreachable(#[from] std::io::Error),
    /// It was reached, and gave no answer that can be passed on.
    #[error(transparent)]
    Unanswered(#[from] Unanswered),
}

impl UpstreamError {
    /// Whether nothing of the request has reached a function.
    fn is_unsent(&self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::Unanswered(Unanswered::Untaken))
    }
}

/// The head of an answer, with what is needed for the rest of it.
pub(super) struct Answer {
    pub(super) head: Head,
    pub(super) connection: Connection,
    /// To be held until the body is out.
    pub(super) lease: Lease,
}

/// A request that is about to be sent, as often as it takes.
pub(super) struct UpstreamRequest<'a> {
    pub(super) request: &'a Request,
    /// Path and query as the function sees them, byte for byte as the client sent them.
    pub(super) path_and_query: &'a str,
    pub(super) call_headers: Option<&'a CallHeaders>,
    /// What a call that was kept is called here.
    pub(super) actord_call: Option<&'a str>,
    pub(super) web_socket: bool,
    /// Whether `Authorization` is for actord, and the function is not to see it.
    pub(super) authorization_is_ours: bool,
    pub(super) upload: Upload,
}

impl UpstreamRequest<'_> {
    /// The function's answer.
    pub(super) async fn send(
        self,
        pool: &Pool,
        metrics: &Metrics,
        entry: &FunctionEntry,
    ) -> Result<Answer, UpstreamError> {
        let mut harmless = self.upload.is_empty() && self.request.method().is_safe();
        let mut wait = FIRST_WAIT;
        let mut tried = 0;
        loop {
            tried += 1;
            let (lease, ahead) = lease(entry, metrics, Some(pool)).await?;
            let error = match self.attempt(pool, lease.address(), ahead).await {
                Ok((head, connection)) => return Ok(Answer { head, connection, lease }),
                Err(_) if self.upload.is_broken() => return Err(UpstreamError::Incomplete),
                Err(error) => error,
            };
            let again = match &error {
                unsent if unsent.is_unsent() => tried < TRIES && self.upload.is_whole(),
                // RFC 9110, 9.2.2: it met a connection or an instance that was just ending.
                UpstreamError::Unanswered(Unanswered::Ended(_)) => std::mem::take(&mut harmless) && entry.may_resend(),
                _ => false,
            };
            if !again {
                return Err(error);
            }
            tracing::debug!(function = %entry.function(), instance = %lease.instance(), %error, "no answer, trying again");
            // As soon as the instance is known to be gone there is another one, or one is waited for.
            let _ = Box::pin(timeout(wait, lease.retracted())).await;
            drop(lease);
            wait *= 2;
        }
    }

    /// One try: on a connection that was made ahead or kept, or on a new one where there is none or the function had closed it.
    async fn attempt(
        &self,
        pool: &Pool,
        address: SocketAddr,
        ahead: Option<Connection>,
    ) -> Result<(Head, Connection), UpstreamError> {
        if let Some(mut kept) = ahead.or_else(|| pool.take(address)) {
            match self.send_on(&mut kept).await {
                Ok(head) => return Ok((head, kept)),
                Err(Unanswered::Untaken) if self.upload.is_whole() && !self.upload.is_broken() => {}
                Err(error) => return Err(error.into()),
            }
        }
        let mut fresh = Box::pin(pool.open(address)).await?;
        let head = self.send_on(&mut fresh).await?;
        Ok((head, fresh))
    }

    async fn send_on(&self, connection: &mut Connection) -> Result<Head, Unanswered> {
        let mut head = connection.take_head();
        let asked = Asked {
            path_and_query: self.path_and_query,
            authority: connection.authority(),
            call_headers: self.call_headers,
            actord_call: self.actord_call,
            web_socket: self.web_socket,
            authorization_is_ours: self.authorization_is_ours,
            chunked: self.upload.is_chunked(),
        };
        to_function(self.request, asked, &mut head);
        connection.send(self.request.method() == Method::HEAD, Sending::new(head, self.upload.try_next())).await
    }
}

/// Waits for a function that is at zero, as long as a start may take; of any other it says nothing. The lease is given
/// back: the request takes one at once, as all do.
pub(super) async fn wake(entry: &FunctionEntry, metrics: &Metrics) -> Result<(), NoEndpoint> {
    if entry.is_waking() {
        drop(lease(entry, metrics, None).await?);
    }
    Ok(())
}

/// An instance to send to, with a connection to it if one was made meanwhile, and how long that took if it took any time.
async fn lease(
    entry: &FunctionEntry,
    metrics: &Metrics,
    pool: Option<&Pool>,
) -> Result<(Lease, Option<Connection>), NoEndpoint> {
    let wait = match entry.take() {
        Ok(lease) => return Ok((lease, None)),
        Err(wait) => wait,
    };
    let waited = metrics.wait();
    let leased = match pool {
        Some(pool) => Box::pin(ahead::lease(pool, wait)).await,
        None => Box::pin(wait.end()).await.map(|lease| (lease, None)),
    };
    waited.end(leased.is_ok());
    leased
}
