//! The socket of one connection to an instance.
//!
//! A function may answer and close while it is still being sent a body. Its kernel then refuses the rest with a reset; the
//! answer, which came before, can still be read. So a write that is refused fails nothing: the reading side tells what there
//! is, the answer first.

use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use tokio::io::AsyncWrite as _;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use crate::http::metrics::OpenConnection;
use crate::http::room;
use crate::http::unacknowledged::unacknowledged;

/// The side of a connection that is read from. It is counted until it is closed.
pub(super) struct Reading {
    half: OwnedReadHalf,
    /// Bytes that came so far.
    read: u64,
    _open: OpenConnection,
}

/// The side of a connection that is written to.
pub(super) struct Writing {
    half: OwnedWriteHalf,
    /// Bytes that our kernel took so far.
    written: u64,
    /// How the first write that was refused failed.
    refused: Option<ErrorKind>,
}

/// Both sides of a connection.
pub(super) fn sides(tcp: TcpStream, open: OpenConnection) -> (Reading, Writing) {
    let (read, write) = tcp.into_split();
    (Reading { half: read, read: 0, _open: open }, Writing { half: write, written: 0, refused: None })
}

impl Reading {
    /// Bytes that came so far.
    pub(super) fn read(&self) -> u64 {
        self.read
    }

    /// Reads more into a buffer, as much as it has room for, and that is made for so many bytes. None is the end. The room
    /// is made when something came: a function that takes its time, or is sent a slow body, has none waiting for it.
    pub(super) fn poll_more(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut BytesMut,
        room: usize,
    ) -> Poll<io::Result<usize>> {
        let ready = |half: &mut OwnedReadHalf, cx: &mut Context<'_>| half.as_ref().poll_read_ready(cx);
        let count = ready!(room::poll_more(&mut self.half, ready, buffer, (room, room), cx))?;
        self.read += count as u64;
        Poll::Ready(Ok(count))
    }

    /// Whether nothing has come, the function's end included, as far as this thread's sockets were looked at.
    pub(super) fn is_quiet(&self) -> bool {
        matches!(self.half.try_read(&mut [0; 1]), Err(error) if error.kind() == ErrorKind::WouldBlock)
    }

    /// The bytes that were given to our kernel and that the other one has not acknowledged.
    pub(super) fn untaken(&self) -> Option<u64> {
        unacknowledged(self.half.as_ref())
    }
}

impl Writing {
    /// Bytes that our kernel took so far.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// How the function's kernel refused to take more, if it did.
    pub(super) fn refused(&self) -> Option<ErrorKind> {
        self.refused
    }

    /// Writes what the kernel takes of this now. None where it is refused, now and from now on.
    pub(super) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<Option<usize>>> {
        if self.refused.is_some() {
            return Poll::Ready(Ok(None));
        }
        let half = Pin::new(&mut self.half);
        let written = match pieces {
            [piece] => half.poll_write(cx, piece),
            pieces => half.poll_write_vectored(cx, pieces),
        };
        Poll::Ready(match ready!(written) {
            Ok(count) => {
                self.written += count as u64;
                Ok(Some(count))
            }
            Err(error) if matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => {
                self.refused = Some(error.kind());
                Ok(None)
            }
            Err(error) => Err(error),
        })
    }

    /// Tells the function that no more comes.
    pub(super) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.half).poll_shutdown(cx)
    }
}
