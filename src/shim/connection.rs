//! A connection of the server: counted, and written to a message at a time.
//!
//! The server that is underneath writes a message's header in four pieces and its body in a fifth, each a system call. Here
//! the header is kept until the body is there.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use containerd_shim_protos::ttrpc::proto::{MESSAGE_HEADER_LENGTH, MessageHeader};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;
use tokio::sync::Notify;

/// How many connections are open.
#[derive(Debug, Default)]
pub(super) struct Connections {
    open: AtomicUsize,
    closed: Notify,
}

impl Connections {
    pub(super) fn are_open(&self) -> bool {
        self.open.load(Ordering::Acquire) > 0
    }

    /// Returns when one was closed since the last call.
    pub(super) async fn closed(&self) {
        self.closed.notified().await;
    }
}

/// One of them.
#[derive(Debug)]
pub(super) struct Connection<S = UnixStream> {
    stream: S,
    /// The beginning of a message that is being written, up to its body.
    head: Vec<u8>,
    /// How much of the message's body is still to come.
    left: usize,
    all: Arc<Connections>,
}

impl<S> Connection<S> {
    pub(super) fn new(stream: S, all: Arc<Connections>) -> Self {
        all.open.fetch_add(1, Ordering::AcqRel);
        Self { stream, head: Vec::with_capacity(MESSAGE_HEADER_LENGTH), left: 0, all }
    }
}

impl<S> Drop for Connection<S> {
    fn drop(&mut self) {
        self.all.open.fetch_sub(1, Ordering::AcqRel);
        self.all.closed.notify_one();
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Connection<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Connection<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.left == 0 && this.head.len() < MESSAGE_HEADER_LENGTH {
            let taken = bytes.len().min(MESSAGE_HEADER_LENGTH - this.head.len());
            this.head.extend_from_slice(&bytes[..taken]);
            if this.head.len() == MESSAGE_HEADER_LENGTH {
                this.left = MessageHeader::from(&this.head).length as usize;
            }
            return Poll::Ready(Ok(taken));
        }
        loop {
            let written = {
                let both = [IoSlice::new(&this.head), IoSlice::new(bytes)];
                ready!(Pin::new(&mut this.stream).poll_write_vectored(cx, &both))?
            };
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            let of_head = written.min(this.head.len());
            this.head.drain(..of_head);
            let of_body = written - of_head;
            if of_body > 0 {
                this.left = this.left.saturating_sub(of_body);
                return Poll::Ready(Ok(of_body));
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        // A message without a body is over with its header.
        while this.left == 0 && !this.head.is_empty() && this.head.len() <= MESSAGE_HEADER_LENGTH {
            let written = ready!(Pin::new(&mut this.stream).poll_write(cx, &this.head))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            this.head.drain(..written);
        }
        Pin::new(&mut this.stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    /// Takes so many bytes at once, and remembers what it took.
    #[derive(Debug, Default)]
    struct Pieces {
        at_most: usize,
        taken: Vec<Vec<u8>>,
    }

    impl AsyncWrite for Pieces {
        fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
        }

        fn poll_write_vectored(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            slices: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            let this = self.get_mut();
            let mut bytes: Vec<u8> = slices.iter().flat_map(|slice| slice.to_vec()).collect();
            bytes.truncate(this.at_most);
            this.taken.push(bytes);
            Poll::Ready(Ok(this.taken.last().map_or(0, Vec::len)))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    /// Writes messages as the library does, and returns what was taken.
    async fn written(at_most: usize, bodies: &[&[u8]]) -> Vec<Vec<u8>> {
        let stream = Pieces { at_most, ..Pieces::default() };
        let mut connection = Connection::new(stream, Arc::default());
        for body in bodies {
            let header = Vec::from(MessageHeader::new_response(1, u32::try_from(body.len()).unwrap()));
            for piece in [&header[..4], &header[4..8], &header[8..9], &header[9..]] {
                connection.write_all(piece).await.unwrap();
            }
            connection.flush().await.unwrap();
            connection.write_all(body).await.unwrap();
        }
        connection.stream.taken.clone()
    }

    #[tokio::test]
    async fn a_message_is_written_at_once() {
        let taken = written(usize::MAX, &[b"first", b"", b"second one"]).await;
        assert_eq!(taken.iter().map(Vec::len).collect::<Vec<_>>(), [15, 10, 20]);
    }

    #[tokio::test]
    async fn nothing_is_lost_where_a_message_does_not_fit() {
        let bodies: [&[u8]; 4] = [b"first", b"", b"second one", b"3"];
        let whole = written(usize::MAX, &bodies).await.concat();
        for at_most in 1..12 {
            assert_eq!(written(at_most, &bodies).await.concat(), whole, "{at_most} bytes at once");
        }
    }

    #[test]
    fn connections_are_open_until_the_last_is_closed() {
        let all = Arc::<Connections>::default();
        let two = [(), ()].map(|()| Connection::new((), Arc::clone(&all)));
        assert!(all.are_open());
        drop(two);
        assert!(!all.are_open());
    }
}
