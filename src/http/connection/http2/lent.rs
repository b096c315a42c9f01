//! A link that h2 has for as long as it speaks, and not to its end: what a client still sends is read away before the socket
//! is closed. A kernel that closes with something unread resets the connection, and what the client has not got yet is lost.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::timeout;

use super::super::link::Link;

/// So much is read away at a time.
const PIECE: usize = 4 << 10;

/// The link of a connection. All of it are one.
#[derive(Clone)]
pub(super) struct Lent(Rc<RefCell<Link>>);

impl Lent {
    pub(super) fn new(link: Link) -> Self {
        Self(Rc::new(RefCell::new(link)))
    }

    /// Whether some of what was written waits for our kernel to take it.
    pub(super) fn is_blocked(&self) -> bool {
        self.0.borrow().is_blocked()
    }

    /// Has the connection end with a reset where the client has not taken all that was written.
    pub(super) fn give_up_untaken(&self) {
        self.0.borrow_mut().give_up_untaken();
    }

    /// Reads away what comes, to the client's end, for no longer than this.
    pub(super) async fn read_away(&mut self, within: Duration) {
        let all = poll_fn(|cx| {
            loop {
                let mut bytes = [0; PIECE];
                let mut piece = ReadBuf::new(&mut bytes);
                if ready!(Pin::new(&mut *self).poll_read(cx, &mut piece)).is_err() || piece.filled().is_empty() {
                    return Poll::Ready(());
                }
            }
        });
        // A client that has not left by then is left.
        let _ = timeout(within, all).await;
    }
}

impl AsyncRead for Lent {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_read(cx, out)
    }
}

impl AsyncWrite for Lent {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_shutdown(cx)
    }
}
