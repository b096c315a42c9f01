//! Web sockets: after both sides have switched protocols, bytes go through as they come.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use actix_web::body::{BodySize, MessageBody};
use actix_web::http::StatusCode;
use actix_web::web::{Bytes, Payload};
use actix_web::{HttpResponse, rt};
use bytes::BytesMut;
use futures_util::StreamExt as _;
use hyper::Response;
use hyper::body::Incoming;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncWriteExt as _, ReadHalf, WriteHalf, split};
use tokio_util::io::poll_read_buf;

use super::headers;

const PIECE: usize = 16 * 1024;

/// What the function says, as the client's answer.
struct FromFunction<H> {
    state: State,
    buffer: BytesMut,
    /// The lease and the metrics' guard, held until the connection ends.
    _held: H,
}

enum State {
    /// hyper has not handed the connection over yet; the client's bytes wait.
    Switching(OnUpgrade, Option<Payload>),
    Open(ReadHalf<TokioIo<Upgraded>>),
}

/// The answer 101 of a function, with both directions joined.
pub(super) fn answer<H: Unpin + 'static>(mut head: Response<Incoming>, payload: Payload, held: H) -> HttpResponse {
    let state = State::Switching(hyper::upgrade::on(&mut head), Some(payload));
    let body = FromFunction { state, buffer: BytesMut::new(), _held: held };
    let mut answer = HttpResponse::with_body(StatusCode::SWITCHING_PROTOCOLS, body);
    headers::to_client(head.headers(), true, &mut answer);
    answer.head_mut().set_connection_type(actix_web::http::ConnectionType::Upgrade);
    answer.map_into_boxed_body()
}

/// Carries what the client says until it is done or the function is gone.
async fn to_function(mut payload: Payload, mut write: WriteHalf<TokioIo<Upgraded>>) {
    while let Some(Ok(bytes)) = payload.next().await {
        if write.write_all(&bytes).await.is_err() {
            return;
        }
    }
    // If even that fails, neither side is left to be told.
    let _ = write.shutdown().await;
}

impl<H: Unpin> MessageBody for FromFunction<H> {
    type Error = Box<dyn std::error::Error>;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let this = self.get_mut();
        loop {
            match &mut this.state {
                State::Switching(upgrade, payload) => {
                    let (read, write) = split(TokioIo::new(ready!(Pin::new(upgrade).poll(cx))?));
                    if let Some(payload) = payload.take() {
                        rt::spawn(to_function(payload, write));
                    }
                    this.state = State::Open(read);
                }
                State::Open(read) => {
                    this.buffer.reserve(PIECE);
                    let count = ready!(poll_read_buf(Pin::new(read), cx, &mut this.buffer))?;
                    return Poll::Ready((count > 0).then(|| Ok(this.buffer.split().freeze())));
                }
            }
        }
    }
}
