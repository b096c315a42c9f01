//! A client's socket, held to how fast its client takes what is written: one that takes too little is given up.
//!
//! ```text
//! written -> TLS, if there is any: a record or two -> our kernel: 128 KiB, about -> the client's kernel
//! ```
//! A connection that is given up ends with a reset: it tells the client, which would take an end for the end of the body,
//! and lets our kernel drop what the client does not take.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::reading::Reader;
use super::socket::Socket;
use crate::http::unacknowledged::unacknowledged;

/// So many bytes of answers wait in TLS at most, beside the record that is being made.
pub(super) const IN_TLS: usize = 16 << 10;

/// A client's socket.
pub(super) struct Link {
    socket: Socket,
    /// How it takes its answers.
    reader: Reader,
    /// Whether it did not take them in time.
    is_given_up: bool,
}

impl Link {
    pub(super) fn new(socket: Socket, reader: Reader) -> Self {
        Self { socket, reader, is_given_up: false }
    }

    /// The socket, for what is not to be waited for by the rule of slow clients.
    pub(super) fn socket(&mut self) -> Pin<&mut Socket> {
        Pin::new(&mut self.socket)
    }

    /// The socket that the kernel knows.
    pub(super) fn tcp(&self) -> &TcpStream {
        self.socket.tcp()
    }

    /// Whether some of what was written waits for our kernel to take it.
    pub(super) fn is_blocked(&self) -> bool {
        self.reader.is_blocked()
    }

    /// Has the connection end with a reset.
    pub(super) fn give_up(&mut self) {
        self.is_given_up = true;
    }

    /// Has it end so where the client has not taken all that was written.
    pub(super) fn give_up_untaken(&mut self) {
        self.is_given_up |= unacknowledged(self.socket.tcp()).is_some_and(|bytes| bytes > 0);
    }

    /// Counts what our kernel took, of these bytes or of earlier ones.
    fn took(&mut self, count: usize) {
        match self.socket.written() {
            None => self.reader.took(count),
            Some(written) => self.reader.has_taken(written),
        }
    }

    /// An error where the client has taken too little for too long. So many bytes wait.
    fn poll_slow<T>(&mut self, waiting: usize, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        self.took(0);
        let socket = &self.socket;
        let slow = ready!(self.reader.poll_slow(waiting, || unacknowledged(socket.tcp()), cx));
        self.is_given_up = true;
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, slow.to_string())))
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        if self.is_given_up {
            // Nothing can be done where it fails.
            let _ = rustix::net::sockopt::set_socket_linger(self.socket.tcp(), Some(Duration::ZERO));
        }
    }
}

impl AsyncRead for Link {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(cx, out)
    }
}

impl AsyncWrite for Link {
    /// Writes what the kernel takes of an answer now. An error where the client has taken too little of it for too long.
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if let Poll::Ready(count) = Pin::new(&mut self.socket).poll_write(cx, bytes)? {
            self.took(count);
            return Poll::Ready(Ok(count));
        }
        let in_tls = if self.socket.written().is_some() { IN_TLS } else { 0 };
        self.poll_slow(bytes.len() + in_tls, cx)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if Pin::new(&mut self.socket).poll_flush(cx)?.is_ready() {
            self.took(0);
            self.reader.is_free();
            return Poll::Ready(Ok(()));
        }
        self.poll_slow(IN_TLS, cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
