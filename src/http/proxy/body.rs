//! Bodies on their way through, piece by piece and never as a whole.
//!
//! actix's request body lives on its worker's thread while hyper wants one that could move between threads, so a task
//! of the worker carries it over a short channel. The answer's body is polled by actix itself.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use actix_web::body::{BodySize, MessageBody};
use actix_web::web::{Bytes, Payload};
use futures_util::StreamExt as _;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::sync::mpsc;

/// Pieces of a request body that wait for the function: enough to keep both sides busy.
const PIECES: usize = 2;

#[derive(Debug)]
enum Piece {
    Bytes(Bytes),
    /// The body is complete.
    End,
}

/// The client went away, or sent something that is no body, before the body was complete.
#[derive(Debug, thiserror::Error)]
#[error("the client did not send its whole request body")]
pub(super) struct Incomplete;

#[derive(Debug)]
struct Source {
    pieces: Mutex<mpsc::Receiver<Piece>>,
    /// Whether any of it was asked for, so that it can't be sent a second time.
    touched: AtomicBool,
}

/// A request body for hyper. Its clones share one source: the first that is polled gets the body.
#[derive(Debug, Clone)]
pub(super) struct Upload {
    source: Option<Arc<Source>>,
    length: Option<u64>,
    ended: bool,
}

impl Upload {
    /// No body.
    pub(super) const EMPTY: Self = Self { source: None, length: Some(0), ended: true };

    /// The body of a request; `length` if the client said it, else it is sent in chunks.
    pub(super) fn of(payload: Payload, length: Option<u64>) -> Self {
        let (to, pieces) = mpsc::channel(PIECES);
        actix_web::rt::spawn(carry(payload, to));
        let source = Source { pieces: Mutex::new(pieces), touched: AtomicBool::new(false) };
        Self { source: Some(Arc::new(source)), length, ended: false }
    }

    /// Whether it can still be sent from its beginning.
    pub(super) fn is_whole(&self) -> bool {
        self.source.as_ref().is_none_or(|source| !source.touched.load(Ordering::Acquire))
    }

    /// Whether it is sent in chunks, since its length is not known.
    pub(super) fn is_chunked(&self) -> bool {
        self.length.is_none()
    }

    /// Whether there is no body at all.
    pub(super) fn is_empty(&self) -> bool {
        self.source.is_none()
    }
}

/// Carries pieces until the body ends, or the request to the function is given up. Ending without [`Piece::End`] says that the body
/// is incomplete.
async fn carry(mut payload: Payload, to: mpsc::Sender<Piece>) {
    loop {
        let piece = tokio::select! {
            () = to.closed() => return,
            piece = payload.next() => piece,
        };
        let piece = match piece {
            Some(Ok(bytes)) => Piece::Bytes(bytes),
            Some(Err(_)) => return,
            None => Piece::End,
        };
        let last = matches!(piece, Piece::End);
        if to.send(piece).await.is_err() || last {
            return;
        }
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = Incomplete;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Incomplete>>> {
        let this = self.get_mut();
        let Some(source) = this.source.as_ref().filter(|_| !this.ended) else { return Poll::Ready(None) };
        source.touched.store(true, Ordering::Release);
        let piece = ready!(source.pieces.lock().unwrap_or_else(PoisonError::into_inner).poll_recv(cx));
        this.ended = !matches!(piece, Some(Piece::Bytes(_)));
        Poll::Ready(match piece {
            Some(Piece::Bytes(bytes)) => Some(Ok(Frame::data(bytes))),
            Some(Piece::End) => None,
            None => Some(Err(Incomplete)),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }

    fn size_hint(&self) -> SizeHint {
        self.length.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

/// What is held while an answer's body is on its way.
pub(super) trait Held {
    /// The function broke off its answer.
    fn broken(&self, error: &hyper::Error);
}

/// The body of a function's answer. What it holds is let go when the last byte is out or the client is gone.
pub(super) struct Download<T> {
    incoming: Incoming,
    size: BodySize,
    held: T,
}

impl<T> Download<T> {
    /// `size` is what the function said, also of a body that it does not send (HEAD).
    pub(super) fn new(incoming: Incoming, size: BodySize, held: T) -> Self {
        Self { incoming, size, held }
    }
}

impl<T: Held + Unpin> MessageBody for Download<T> {
    type Error = hyper::Error;

    fn size(&self) -> BodySize {
        self.size
    }

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, hyper::Error>>> {
        loop {
            // An error ends the connection to the client: a body cut short must not look complete.
            match ready!(Pin::new(&mut self.incoming).poll_frame(cx)) {
                None => return Poll::Ready(None),
                Some(Err(error)) => {
                    self.held.broken(&error);
                    return Poll::Ready(Some(Err(error)));
                }
                Some(Ok(frame)) => {
                    // What is no data are trailers, which end here.
                    if let Ok(bytes) = frame.into_data() {
                        return Poll::Ready(Some(Ok(bytes)));
                    }
                }
            }
        }
    }
}
