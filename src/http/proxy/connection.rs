//! One connection to an instance: requests are sent by it one after the other, and what became of each is told.

#[cfg(test)]
mod tests;

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper::header::HeaderValue;
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::socket::{Course, Socket};
use super::upload::Upload;
use crate::http::metrics::OpenConnection;

/// Instances are on this machine: a connection takes microseconds, or its accept queue is full.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The longest time that a connection is kept without a request. Of the servers that are common in functions, gunicorn
/// closes first, after 2 s (Node, uvicorn and Apache: 5 s): a request should not meet a connection that is just ending.
pub(super) const IDLE_TIMEOUT: Duration = Duration::from_millis(1500);

/// The most headers of a function's answer.
pub(super) const HEADERS_MAX: usize = 512;

/// The largest head of a function's answer, in bytes.
pub(super) const HEAD_MAX: usize = 400 * 1024;

/// Why a request that was given to a connection has no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unanswered {
    /// Nothing of it reached the function, which had closed the connection before.
    #[error("can't be reached: it closed the connection before the request came")]
    Untaken,
    /// The connection ended before the head of an answer was whole; the function may have acted on the request.
    #[error("can't be reached: the connection ended before an answer ({0})")]
    Ended(hyper::Error),
    /// The answer has more headers than [`HEADERS_MAX`].
    #[error("answered with more than {HEADERS_MAX} headers")]
    Headers,
    /// The answer's head is larger than [`HEAD_MAX`].
    #[error("answered with a head of more than {} KiB", HEAD_MAX / 1024)]
    Head,
    /// What came is no answer of HTTP/1.1.
    #[error("gave an answer that is no HTTP/1.1 ({0})")]
    NoHttp(hyper::Error),
}

/// A connection that is open and has no request.
pub(super) struct Connection {
    sender: SendRequest<Upload>,
    course: Arc<Course>,
    /// Where it leads.
    pub(super) address: SocketAddr,
    authority: HeaderValue,
    /// How long it may be kept without a request.
    pub(super) keep: Duration,
}

impl Connection {
    /// Connects to an instance.
    ///
    /// # Errors
    /// When it can't be reached: no request has been sent.
    pub(super) async fn open(
        http: &Builder,
        address: SocketAddr,
        open: impl FnOnce() -> OpenConnection,
    ) -> io::Result<Self> {
        let connecting = timeout(CONNECT_TIMEOUT, TcpStream::connect(address));
        let tcp = connecting.await.map_err(|_| io::Error::from(ErrorKind::TimedOut))??;
        tcp.set_nodelay(true)?;
        let course = Arc::new(Course::default());
        let socket = Socket::new(tcp, course.clone(), open());
        let (sender, connection) = http.handshake(TokioIo::new(socket)).await.map_err(io::Error::other)?;
        // Its error is told to the request that it fails.
        actix_web::rt::spawn(connection.with_upgrades());
        let authority = HeaderValue::try_from(address.to_string()).map_err(io::Error::other)?;
        Ok(Self { sender, course, address, authority, keep: IDLE_TIMEOUT })
    }

    /// Its address, as a `Host` header has it.
    pub(super) fn authority(&self) -> HeaderValue {
        self.authority.clone()
    }

    /// Sends a request; the head of its answer.
    ///
    /// # Errors
    /// [`Unanswered`], of which `Untaken` may be sent again whatever it is.
    pub(super) async fn send(&mut self, request: Request<Upload>) -> Result<Response<Incoming>, Unanswered> {
        let (written, read) = (self.course.written(), self.course.read());
        let mut failed = match self.sender.try_send_request(request).await {
            Ok(answer) => {
                self.keep = keep(answer.headers());
                return Ok(answer);
            }
            Err(failed) => failed,
        };
        if failed.take_message().is_some() {
            return Err(Unanswered::Untaken);
        }
        let error = failed.into_error();
        let came = self.course.read() - read;
        Err(match error {
            _ if error.is_parse_too_large() && came < HEAD_MAX as u64 => Unanswered::Headers,
            _ if error.is_parse_too_large() => Unanswered::Head,
            _ if error.is_parse() => Unanswered::NoHttp(error),
            _ if came == 0 && self.course.is_untaken_since(written) => Unanswered::Untaken,
            _ => Unanswered::Ended(error),
        })
    }

    /// Whether the function has closed it, or HTTP says that it takes no other request.
    pub(super) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Whether request and answer are through, so that it can take the next one.
    pub(super) fn is_ready(&self) -> bool {
        self.sender.is_ready()
    }

    /// Returns when request and answer are through, and whether it can take another one.
    pub(super) async fn ready(&mut self) -> bool {
        self.sender.ready().await.is_ok()
    }
}

/// How long a connection may be kept after this answer: less than the function says that it keeps it (`Keep-Alive:
/// timeout=5`), so that we close first.
fn keep(headers: &HeaderMap) -> Duration {
    let said = headers.get("keep-alive").and_then(|value| value.to_str().ok());
    let seconds = said.and_then(|text| {
        let mut parts = text.split(',').filter_map(|part| part.split_once('='));
        let (_, value) = parts.find(|(name, _)| name.trim().eq_ignore_ascii_case("timeout"))?;
        value.trim().parse::<u32>().ok()
    });
    seconds.map_or(IDLE_TIMEOUT, |seconds| (Duration::from_secs(seconds.into()) * 3 / 4).min(IDLE_TIMEOUT))
}
