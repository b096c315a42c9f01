//! Room for what is read: made when something came, so that who is waited for has none.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use tokio::io::AsyncRead;
use tokio_util::io::poll_read_buf;

/// Reads more into a buffer, as much as it has room for. Where that is less than `least`, `room` is made first, when
/// `poll_ready` tells that something may have come. None is the end.
pub(super) fn poll_more<R: AsyncRead + Unpin>(
    from: &mut R,
    poll_ready: impl FnOnce(&mut R, &mut Context<'_>) -> Poll<io::Result<()>>,
    buffer: &mut BytesMut,
    (least, room): (usize, usize),
    cx: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    let is_little = buffer.capacity() - buffer.len() < least;
    if is_little {
        ready!(poll_ready(from, cx))?;
        buffer.reserve(room);
    }
    let read = poll_read_buf(Pin::new(from), cx, buffer);
    if read.is_pending() && is_little && buffer.is_empty() {
        // tokio takes a socket for readable until it was read from once, and after a read that filled the buffer.
        *buffer = BytesMut::new();
    }
    read
}
