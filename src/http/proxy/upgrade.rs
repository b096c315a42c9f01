//! Web sockets: after both sides have switched protocols, bytes go through as they come.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use actix_http::Response;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::Payload;
use actix_web::http::ConnectionType;
use actix_web::rt;
use actix_web::web::Bytes;
use bytes::{Buf as _, BytesMut};
use futures_util::StreamExt as _;

use super::connection::Connection;
use super::socket::{Reading, Writing};

const PIECE: usize = 16 * 1024;

/// What the function says, as the client's answer.
struct FromFunction<H> {
    reading: Reading,
    buffer: BytesMut,
    /// The lease and the metrics' guard, held until the connection ends.
    _held: H,
}

/// The answer 101 of a function, with both directions joined.
pub(super) fn answer<H: Unpin + 'static>(
    head: Response<()>,
    connection: Connection,
    payload: Payload,
    held: H,
) -> Response<BoxBody> {
    let (reading, writing, buffer) = connection.into_tunnel();
    if let Some(writing) = writing {
        rt::spawn(to_function(payload, writing));
    }
    let mut answer = head.set_body(FromFunction { reading, buffer, _held: held });
    answer.head_mut().set_connection_type(ConnectionType::Upgrade);
    answer.map_into_boxed_body()
}

/// Carries what the client says until it is done or the function is gone.
async fn to_function(mut payload: Payload, mut writing: Writing) {
    while let Some(Ok(mut bytes)) = payload.next().await {
        while !bytes.is_empty() {
            match poll_fn(|cx| writing.poll_write(cx, &[IoSlice::new(&bytes)])).await {
                Ok(Some(count)) => bytes.advance(count),
                Ok(None) | Err(_) => return,
            }
        }
    }
    // If even that fails, neither side is left to be told.
    let _ = poll_fn(|cx| writing.poll_shutdown(cx)).await;
}

impl<H: Unpin> MessageBody for FromFunction<H> {
    type Error = io::Error;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        let this = self.get_mut();
        if this.buffer.is_empty() {
            ready!(this.reading.poll_more(cx, &mut this.buffer, PIECE))?;
        }
        let piece = std::mem::take(&mut this.buffer).freeze();
        Poll::Ready((!piece.is_empty()).then_some(Ok(piece)))
    }
}
