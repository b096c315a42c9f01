//! Sends one request to one of a function's instances: lease, connect, wait for the head of the answer.
//!
//! An instance that died a moment ago is still in the table of routes until its actor knows. A request whose connection
//! was refused has lost nothing: it takes another lease, which waits for the next instance if there is none.

use std::net::SocketAddr;
use std::time::Duration;

use actix_web::HttpRequest;
use hyper::body::Incoming;
use hyper::header::{HeaderValue, TRANSFER_ENCODING};
use hyper::{HeaderMap, Method, Request, Response, Uri};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client, Error};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::sleep;

use super::body::Upload;
use super::headers::{self, CallHeaders};
use super::pool::Connector;
use crate::http::metrics::Metrics;
use crate::routes::{FunctionEntry, Lease, NoEndpoint};

/// Instances are on this machine: a connection takes microseconds, or its accept queue is full.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// An idle connection is closed before common servers close it (Node after 5 s), so that a request seldom meets a
/// connection that is just ending.
const IDLE_TIMEOUT: Duration = Duration::from_secs(4);

/// Idle connections to one instance that a worker keeps.
const IDLE_PER_INSTANCE: usize = 256;

/// How often one request is tried, and the wait before its second try, which then doubles: 1.3 s in all.
const TRIES: u32 = 9;
const FIRST_WAIT: Duration = Duration::from_millis(5);

/// The connections of one worker to the instances.
pub(super) type Connections = Client<Connector, Upload>;

/// Connections that are opened when they are needed.
pub(super) fn connections(metrics: &Metrics) -> Connections {
    let mut tcp = HttpConnector::new();
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_TIMEOUT)
        .pool_max_idle_per_host(IDLE_PER_INSTANCE)
        .build(Connector { tcp, counts: metrics.connections().clone() })
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum UpstreamError {
    /// No instance to send it to.
    #[error(transparent)]
    NoEndpoint(#[from] NoEndpoint),
    /// The request's path or method is none.
    #[error("the request can't be sent on: {0}")]
    Malformed(#[from] hyper::http::Error),
    /// The instance could not be reached, or went away before it answered.
    #[error("{0}")]
    Unreachable(#[from] Error),
}

/// A request that is about to be sent, as often as it takes.
pub(super) struct UpstreamRequest<'a> {
    pub(super) request: &'a HttpRequest,
    /// Path and query as the function sees them, byte for byte as the client sent them.
    pub(super) path_and_query: &'a str,
    pub(super) call_headers: Option<&'a CallHeaders>,
    pub(super) web_socket: bool,
    pub(super) upload: Upload,
}

impl UpstreamRequest<'_> {
    /// The function's answer, and the lease that must be held until its body is out.
    pub(super) async fn send(
        self,
        connections: &Connections,
        metrics: &Metrics,
        entry: &FunctionEntry,
    ) -> Result<(Response<Incoming>, Lease), UpstreamError> {
        let method = Method::from_bytes(self.request.method().as_str().as_bytes()).map_err(hyper::http::Error::from)?;
        let mut again_once = self.upload.is_empty() && method.is_safe();
        let mut wait = FIRST_WAIT;
        let mut tried = 0;
        loop {
            tried += 1;
            let lease = lease(entry, metrics).await?;
            let error = match connections.request(self.for_instance(lease.address(), &method)?).await {
                Ok(answer) => return Ok((answer, lease)),
                Err(error) => error,
            };
            if error.is_connect() {
                if tried == TRIES || !self.upload.is_whole() {
                    return Err(error.into());
                }
            } else if !std::mem::take(&mut again_once) || !ended_before_answer(&error) {
                return Err(error.into());
            }
            tracing::debug!(function = %entry.function(), instance = %lease.instance(), %error, "instance not reached, trying again");
            drop(lease);
            sleep(wait).await;
            wait *= 2;
        }
    }

    fn for_instance(&self, address: SocketAddr, method: &Method) -> Result<Request<Upload>, hyper::http::Error> {
        let slash = if self.path_and_query.starts_with('/') { "" } else { "/" };
        let uri = Uri::try_from(format!("http://{address}{slash}{}", self.path_and_query))?;
        let mut request = Request::new(self.upload.clone());
        *request.method_mut() = method.clone();
        *request.uri_mut() = uri;
        *request.headers_mut() = self.headers();
        if self.upload.is_chunked() {
            // hyper leaves out a body of unknown length for the methods that seldom have one, unless it is told.
            request.headers_mut().insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
        Ok(request)
    }

    fn headers(&self) -> HeaderMap {
        headers::to_function(self.request, self.call_headers, self.web_socket)
    }
}

/// Waits for a function that is at zero, as long as a start may take; of any other it says nothing. The lease is given
/// back: the request takes one at once, as all do.
pub(super) async fn wake(entry: &FunctionEntry, metrics: &Metrics) -> Result<(), NoEndpoint> {
    if entry.is_waking() {
        drop(lease(entry, metrics).await?);
    }
    Ok(())
}

/// An instance to send to, and how long that took if it took any time.
async fn lease(entry: &FunctionEntry, metrics: &Metrics) -> Result<Lease, NoEndpoint> {
    if let Some(lease) = entry.try_lease() {
        return Ok(lease);
    }
    let wait = metrics.wait();
    let leased = entry.lease().await;
    wait.end(leased.is_ok());
    leased
}

/// Whether the connection ended before the first byte of an answer: a safe request may then be sent again (RFC 9110,
/// 9.2.2), since it met either a connection that was just being closed or an instance that was just ending.
fn ended_before_answer(error: &Error) -> bool {
    let cause = std::error::Error::source(error).and_then(|source| source.downcast_ref::<hyper::Error>());
    cause.is_some_and(|cause| {
        let io = std::error::Error::source(cause).and_then(|source| source.downcast_ref::<std::io::Error>());
        cause.is_incomplete_message()
            || io.is_some_and(|io| {
                matches!(io.kind(), std::io::ErrorKind::ConnectionReset | std::io::ErrorKind::BrokenPipe)
            })
    })
}
