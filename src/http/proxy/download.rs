//! The body of a function's answer on its way to the client, piece by piece as actix asks for it.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use actix_web::body::{BodySize, MessageBody};
use actix_web::web::Bytes;
use hyper::body::{Body as _, Incoming};

use super::connection::Connection;
use super::pool::Pool;

/// What is held while an answer's body is on its way.
pub(super) trait Held {
    /// The function broke off its answer.
    fn broken(&self, error: &hyper::Error);
}

/// The body of a function's answer. What it holds is let go when the last byte is out or the client is gone; the
/// connection is kept for the next request only after the last byte came.
pub(super) struct Download<T> {
    incoming: Incoming,
    size: BodySize,
    connection: Option<(Rc<Pool>, Connection)>,
    held: T,
}

impl<T> Download<T> {
    /// `size` is what the function said, also of a body that it does not send (HEAD).
    pub(super) fn new(incoming: Incoming, size: BodySize, connection: (Rc<Pool>, Connection), held: T) -> Self {
        Self { incoming, size, connection: Some(connection), held }
    }

    fn give_back(&mut self) {
        if let Some((pool, connection)) = self.connection.take() {
            pool.give_back(connection);
        }
    }
}

impl<T> Drop for Download<T> {
    fn drop(&mut self) {
        // actix does not ask for a body that has no bytes.
        if self.incoming.is_end_stream() {
            self.give_back();
        }
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
                None => {
                    self.give_back();
                    return Poll::Ready(None);
                }
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
