//! The body of a function's answer on its way to the client, piece by piece as actix asks for it.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use actix_web::body::{BodySize, MessageBody};
use actix_web::web::Bytes;

use super::body::Framing;
use super::connection::Connection;
use super::pool::Pool;
use crate::http::connection::Pace;

/// What is held while an answer's body is on its way.
pub(in crate::http) trait Held {
    /// The function broke off its answer.
    fn broken(&self, error: &io::Error);
}

/// The body of a function's answer. What it holds is let go when the last byte is out or the client is gone; the
/// connection is kept for the next request only after the last byte came.
pub(in crate::http) struct Download<T> {
    framing: Framing,
    size: BodySize,
    connection: Option<(Rc<Pool>, Connection)>,
    /// Its client's.
    pace: Pace,
    /// How it broke off, to be told when what came before is out.
    broken: Option<io::Error>,
    held: T,
}

impl<T> Download<T> {
    /// `size` is what the function said, also of a body that it does not send (HEAD).
    pub(super) fn new(
        framing: Framing,
        size: BodySize,
        connection: (Rc<Pool>, Connection),
        pace: Pace,
        held: T,
    ) -> Self {
        Self { framing, size, connection: Some(connection), pace, broken: None, held }
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
        if self.framing.is_complete() {
            self.give_back();
        }
    }
}

impl<T: Held + Unpin> MessageBody for Download<T> {
    type Error = io::Error;

    fn size(&self) -> BodySize {
        self.size
    }

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, io::Error>>> {
        let this = self.get_mut();
        // An error ends the connection to the client: a body cut short must not look complete.
        if let Some(error) = this.broken.take() {
            return Poll::Ready(Some(Err(error)));
        }
        let Some((_, connection)) = &mut this.connection else { return Poll::Ready(None) };
        match ready!(connection.poll_body(&mut this.framing, this.pace.piece(), cx)) {
            Some(Ok(piece)) => Poll::Ready(Some(Ok(piece))),
            None => {
                this.give_back();
                Poll::Ready(None)
            }
            Some(Err(error)) => {
                this.held.broken(&error);
                this.connection = None;
                this.broken = Some(error);
                // actix throws away what it has not written yet when it learns of an error.
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }
}
