//! The socket of one connection to an instance, which hyper speaks HTTP over.
//!
//! A function may answer and close while it is still being sent a body. Its kernel then refuses the rest with a reset; the
//! answer, which came before, can still be read. So a write that is refused fails nothing: the reading side tells what there
//! is, the answer first, and what hyper writes meanwhile is dropped.

use std::io::{self, ErrorKind, IoSlice};
use std::os::fd::AsRawFd as _;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::http::metrics::OpenConnection;

/// How a connection has gone so far, told by its socket to its handle. Both live on one thread; hyper wants a socket that
/// could move, hence atomics.
#[derive(Debug, Default)]
pub(super) struct Course {
    /// Bytes that the kernel took from us.
    written: AtomicU64,
    /// Bytes that came.
    read: AtomicU64,
    /// When the function closed in order: the bytes that its kernel had not taken by then, and one more. Else 0.
    untaken: AtomicU64,
}

impl Course {
    /// Bytes that our kernel took so far.
    pub(super) fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// Bytes that came so far.
    pub(super) fn read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// Whether nothing that was written since then was taken by the function's kernel before the function closed: a server
    /// that has closed a connection does not act on what comes after. Its last word is its end, which acknowledges what it
    /// had got. A reset says no such thing.
    pub(super) fn is_untaken_since(&self, written: u64) -> bool {
        let since = self.written() - written;
        since == 0 || self.untaken.load(Ordering::Relaxed) > since
    }
}

/// So many times a write that was refused lets others go first. The end of the connection can be read then, as soon as the
/// worker looks at its sockets again, and no more of the request's body is taken in vain.
const WAITS: u8 = 128;

/// A socket that is counted until it is closed.
pub(super) struct Socket {
    tcp: TcpStream,
    course: Arc<Course>,
    /// How the first write that was refused failed.
    refused: Option<ErrorKind>,
    waited: u8,
    _open: OpenConnection,
}

impl Socket {
    pub(super) fn new(tcp: TcpStream, course: Arc<Course>, open: OpenConnection) -> Self {
        Self { tcp, course, refused: None, waited: 0, _open: open }
    }

    /// What hyper is told of a write of `length` bytes.
    fn written(&mut self, result: io::Result<usize>, length: usize, cx: &Context<'_>) -> Poll<io::Result<usize>> {
        match result {
            Ok(count) => {
                self.course.written.fetch_add(count as u64, Ordering::Relaxed);
                Poll::Ready(Ok(count))
            }
            Err(error) if matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => {
                self.refused = Some(error.kind());
                self.dropped(length, cx)
            }
            Err(error) => Poll::Ready(Err(error)),
        }
    }

    /// What hyper is told of a write after one that was refused.
    fn dropped(&mut self, length: usize, cx: &Context<'_>) -> Poll<io::Result<usize>> {
        if self.waited == WAITS {
            return Poll::Ready(Ok(length));
        }
        self.waited += 1;
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// What hyper is told at the end of what comes.
    fn ended(&self) -> io::Result<()> {
        // The kernel tells a reset once, and it told our write. After an end in order it fails with a broken pipe instead.
        if self.refused == Some(ErrorKind::ConnectionReset) {
            return Err(ErrorKind::ConnectionReset.into());
        }
        self.course.untaken.store(untaken(&self.tcp).map_or(0, |bytes| bytes + 1), Ordering::Relaxed);
        Ok(())
    }
}

/// The bytes that were given to our kernel and that the other one has not acknowledged (`tcp(7)`, SIOCOUTQ).
fn untaken(tcp: &TcpStream) -> Option<u64> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: the descriptor is open as long as `tcp` is borrowed; the call writes one int, which is ours.
    #[allow(unsafe_code)]
    let done = unsafe { libc::ioctl(tcp.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
    (done == 0).then(|| u64::try_from(bytes).ok()).flatten()
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.tcp).poll_read(cx, buffer))?;
        let count = buffer.filled().len() - before;
        self.course.read.fetch_add(count as u64, Ordering::Relaxed);
        Poll::Ready(if count == 0 && buffer.remaining() > 0 { self.ended() } else { Ok(()) })
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.refused.is_some() {
            return self.dropped(bytes.len(), cx);
        }
        let result = ready!(Pin::new(&mut self.tcp).poll_write(cx, bytes));
        self.written(result, bytes.len(), cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let length = pieces.iter().map(|piece| piece.len()).sum();
        if self.refused.is_some() {
            return self.dropped(length, cx);
        }
        let result = ready!(Pin::new(&mut self.tcp).poll_write_vectored(cx, pieces));
        self.written(result, length, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}
