//! Bodies that no route has read. actix ends a connection when it answers before a body was read to its end; a short one is
//! read away first, as Go's server does, so that the next request on the connection is answered, too.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_http::Request;
use actix_web::dev::Payload;
use actix_web::error::PayloadError;
use actix_web::http::header::CONTENT_LENGTH;
use actix_web::web::Bytes;
use futures_util::{Stream, StreamExt as _};
use tokio::task::yield_now;
use tokio::time::timeout;

/// The longest body that is read away, in bytes. Go's limit.
const LENGTH: u64 = 256 << 10;

/// The longest that an answer waits for it.
const WITHIN: Duration = Duration::from_millis(500);

/// A request's body, also while its route has it.
pub(super) struct Unread(Rc<RefCell<Shared>>);

struct Shared {
    payload: Payload,
    is_read: bool,
}

/// What the route gets.
struct Body(Rc<RefCell<Shared>>);

impl Unread {
    /// Puts the body of a request where it can be read by both; none if it has none, or one too long to be read away.
    pub(super) fn watch(request: &mut Request) -> Option<Self> {
        if matches!(request.payload(), Payload::None) {
            return None;
        }
        let length =
            request.head().headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.trim().parse().ok());
        if length.is_some_and(|length: u64| length > LENGTH) {
            return None;
        }
        let payload = request.take_payload();
        let shared = Rc::new(RefCell::new(Shared { payload, is_read: false }));
        *request.payload() = Payload::Stream { payload: Box::pin(Body(shared.clone())) };
        Some(Self(shared))
    }

    /// Reads what is left, unless the route still does. False where that is too long or takes too long, and is given up.
    pub(super) async fn read_away(self) -> bool {
        if !self.0.borrow().is_read && Rc::strong_count(&self.0) > 1 {
            // The task that carries the body to a function lets it go in a moment, when the function wants none of it.
            yield_now().await;
        }
        if self.0.borrow().is_read || Rc::strong_count(&self.0) > 1 {
            return true;
        }
        let mut body = Body(self.0);
        let all = async {
            let mut read = 0;
            while let Some(Ok(bytes)) = body.next().await {
                read += bytes.len() as u64;
                if read > LENGTH {
                    return false;
                }
            }
            true
        };
        timeout(WITHIN, all).await.unwrap_or(false)
    }
}

impl Stream for Body {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut shared = self.0.borrow_mut();
        let piece = Pin::new(&mut shared.payload).poll_next(cx);
        shared.is_read |= matches!(piece, Poll::Ready(None | Some(Err(_))));
        piece
    }
}
