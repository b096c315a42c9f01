//! One connection to an instance: requests are sent by it one after the other, and what became of each is told.
//!
//! ```text
//! send: Sending (head, body) -> Writing        Reading -> buffer -> answer (head) -> body (framing) -> pieces
//! ```
//! It has no task of its own: the request that has it polls it. What is left of a request's body when its answer's head is
//! there already goes on in a task, since the function may wait for it before it says the rest.

#[cfg(test)]
mod tests;

use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::answer::{self, Head, IDLE_TIMEOUT};
use super::body::Framing;
use super::sending::Sending;
use super::socket::{Reading, Writing, sides};
use super::unanswered::Unanswered;
use crate::http::metrics::OpenConnection;

/// Instances are on this machine: a connection takes microseconds, or its accept queue is full.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// So much is read at once of what may be short.
const SHORT: usize = 4 << 10;

/// A piece of a body that is as large is no small matter for as long as its client takes it.
const LARGE: usize = 32 << 10;

/// A connection that is open and has no request, or one whose answer is being read.
pub(super) struct Connection {
    reading: Reading,
    /// Where it is none, a task writes what is left of a request.
    writing: Option<Writing>,
    /// What came and was not looked at yet.
    buffer: BytesMut,
    /// For the head of the next request.
    head: Vec<u8>,
    /// Where it leads.
    pub(super) address: SocketAddr,
    authority: Box<str>,
    /// How long it may be kept without a request; none if it can take no other.
    pub(super) keep: Option<Duration>,
}

impl Connection {
    /// Connects to an instance.
    ///
    /// # Errors
    /// When it can't be reached: no request has been sent.
    pub(super) async fn open(address: SocketAddr, open: impl FnOnce() -> OpenConnection) -> io::Result<Self> {
        let connecting = timeout(CONNECT_TIMEOUT, TcpStream::connect(address));
        let tcp = connecting.await.map_err(|_| io::Error::from(ErrorKind::TimedOut))??;
        tcp.set_nodelay(true)?;
        let (reading, writing) = sides(tcp, open());
        let (buffer, head) = (BytesMut::new(), Vec::new());
        let (writing, authority, keep) = (Some(writing), address.to_string().into(), Some(IDLE_TIMEOUT));
        Ok(Self { reading, writing, buffer, head, address, authority, keep })
    }

    /// Its address, as a `Host` header has it.
    pub(super) fn authority(&self) -> &str {
        &self.authority
    }

    /// An empty buffer for the head of the next request.
    pub(super) fn take_head(&mut self) -> Vec<u8> {
        self.head.clear();
        std::mem::take(&mut self.head)
    }

    /// Sends a request; the head of its answer. `to_head` tells whether it is one of HEAD.
    ///
    /// # Errors
    /// [`Unanswered`], of which `Untaken` may be sent again whatever it is.
    pub(super) async fn send(&mut self, to_head: bool, mut sending: Sending) -> Result<Head, Unanswered> {
        let Some(mut writing) = self.writing.take() else { return Err(Unanswered::Untaken) };
        let (written, read) = (writing.written(), self.reading.read());
        self.keep = None;
        let outcome = poll_fn(|cx| {
            if !sending.is_done() {
                match sending.poll(&mut writing, cx) {
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Ready(Ok(())) | Poll::Pending => {}
                }
            }
            self.poll_head(to_head, cx)
        });
        match outcome.await {
            Ok(head) => {
                self.keep = head.keep.filter(|keep| !keep.is_zero());
                self.head = sending.take_buffer();
                if sending.is_done() {
                    self.writing = Some(writing);
                } else {
                    actix_web::rt::spawn(async move { poll_fn(|cx| sending.poll(&mut writing, cx)).await });
                }
                Ok(head)
            }
            Err(Unanswered::Ended(error))
                if self.reading.read() == read && self.is_untaken(&writing, written, &error) =>
            {
                Err(Unanswered::Untaken)
            }
            Err(error) => Err(error),
        }
    }

    fn poll_head(&mut self, to_head: bool, cx: &mut Context<'_>) -> Poll<Result<Head, Unanswered>> {
        loop {
            if let Some(head) = answer::read(&mut self.buffer, to_head).map_err(Unanswered::Bad)? {
                return Poll::Ready(Ok(head));
            }
            match ready!(self.reading.poll_more(cx, &mut self.buffer, SHORT)) {
                Ok(0) => return Poll::Ready(Err(Unanswered::Ended(ErrorKind::UnexpectedEof.into()))),
                Ok(_) => {}
                Err(error) => return Poll::Ready(Err(Unanswered::Ended(error))),
            }
        }
    }

    /// Whether nothing that was written since then was taken by the function's kernel before the function closed: a server
    /// that has closed a connection does not act on what comes after. Its last word is its end, which acknowledges what it
    /// had got. A reset says no such thing.
    fn is_untaken(&self, writing: &Writing, written: u64, error: &io::Error) -> bool {
        let since = writing.written() - written;
        // The kernel tells a reset once, and it may have told our write.
        let is_end = error.kind() == ErrorKind::UnexpectedEof && writing.refused() != Some(ErrorKind::ConnectionReset);
        // After an end in order a write fails with a broken pipe.
        since == 0 || is_end && self.reading.untaken().is_some_and(|bytes| bytes >= since)
    }

    /// The next piece of an answer's body, of which `most` bytes are read at once; none at its end.
    ///
    /// # Errors
    /// Where it breaks off, or what comes are no chunks.
    pub(super) fn poll_body(
        &mut self,
        framing: &mut Framing,
        most: usize,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Bytes>>> {
        loop {
            match framing.take(&mut self.buffer) {
                Ok(Some(piece)) => {
                    // A client that takes its time holds this piece. There is no use in memory for the next one meanwhile.
                    if self.buffer.is_empty() && (piece.len() >= LARGE || !framing.is_complete()) {
                        self.buffer = BytesMut::new();
                    }
                    return Poll::Ready(Some(Ok(piece)));
                }
                Ok(None) if framing.is_complete() => return Poll::Ready(None),
                Ok(None) => {}
                Err(_) => {
                    return Poll::Ready(Some(Err(io::Error::new(ErrorKind::InvalidData, "what came is no chunk"))));
                }
            }
            let room = framing.left().clamp(SHORT, most.max(SHORT));
            match ready!(self.reading.poll_more(cx, &mut self.buffer, room)) {
                Ok(0) if framing.ends_with_connection() => return Poll::Ready(None),
                Ok(0) => return Poll::Ready(Some(Err(ErrorKind::UnexpectedEof.into()))),
                Ok(_) => {}
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
        }
    }

    /// Whether request and answer are through, so that it can take the next one.
    pub(super) fn is_free(&self) -> bool {
        self.keep.is_some() && self.writing.is_some() && self.buffer.is_empty()
    }

    /// Whether the function has closed it, or said something unasked, as far as this thread's sockets were looked at.
    pub(super) fn is_closed(&self) -> bool {
        !self.reading.is_quiet()
    }

    /// Lets go of what is not needed while it is kept.
    pub(super) fn rest(&mut self) {
        if self.buffer.capacity() > 2 * SHORT {
            self.buffer = BytesMut::new();
        }
    }

    /// Both sides and what came already, of a connection that has switched protocols.
    pub(super) fn into_tunnel(self) -> (Reading, Option<Writing>, BytesMut) {
        (self.reading, self.writing, self.buffer)
    }
}
