//! An answer on its way to a client that speaks HTTP/2: its head, and its body as fast as the client takes it.
//!
//! ```text
//! body -> a piece, held here while the client leaves no room for it -> h2: as much as there is room for -> link
//! ```
//! A client that resets its stream, or leaves no room for too long, is sent no more of it, and the body is dropped: so the
//! function learns of it.

use std::error::Error as StdError;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use actix_http::{Response, ResponseHead, ServiceConfig};
use actix_web::body::{BodySize, MessageBody};
use actix_web::http::StatusCode;
use actix_web::http::header::{CONNECTION, CONTENT_LENGTH, DATE, HeaderName, TRANSFER_ENCODING, UPGRADE};
use bytes::{Bytes, BytesMut};
use h2::server::SendResponse;
use h2::{Reason, SendStream};

use super::super::reading::Reader;
use super::super::refusal::Refusal;
use super::{Shared, UNSENT};

/// Where the value stands in a line that says the date, and how long it is.
const IN_LINE: std::ops::Range<usize> = 6..35;

/// Lets a client send the body that it waits with.
pub(super) fn say_continue(respond: &mut SendResponse<Bytes>) {
    let mut interim = ::http::Response::new(());
    *interim.status_mut() = ::http::StatusCode::CONTINUE;
    // A stream that has ended takes none, which is told next.
    let _ = respond.send_informational(interim);
}

/// Answers with why there is no other answer.
pub(super) fn refuse(mut respond: SendResponse<Bytes>, refusal: &Refusal) {
    let mut answer = ::http::Response::builder()
        .status(refusal.status.as_u16())
        .header("content-type", "text/plain; charset=utf-8")
        .header("x-content-type-options", "nosniff");
    if refusal.status == StatusCode::SERVICE_UNAVAILABLE {
        answer = answer.header("retry-after", "1");
    }
    // Where the stream has ended there is nobody to be told.
    let Ok(answer) = answer.body(()) else { return };
    if let Ok(mut sending) = respond.send_response(answer, false) {
        let _ = sending.send_data(format!("{}\n", refusal.words).into(), true);
    }
}

/// Sends an answer to its end, or until its client does not want it any more.
pub(super) async fn send<B>(
    answer: Response<B>,
    mut respond: SendResponse<Bytes>,
    to_head: bool,
    shared: &Shared,
    clock: &ServiceConfig,
) where
    B: MessageBody,
    B::Error: Into<Box<dyn StdError>>,
{
    let (answer, body) = answer.into_parts();
    let (head, has_body) = head(answer.head(), body.size(), clock);
    let is_all = to_head || !has_body;
    let Ok(mut sending) = respond.send_response(head, is_all) else { return };
    if is_all {
        return;
    }
    let mut reader = Reader::new(shared.readers.clone(), shared.peer);
    let mut body = pin!(body);
    loop {
        let piece = poll_fn(|cx| match body.as_mut().poll_next(cx) {
            Poll::Pending => sending.poll_reset(cx).map(|_| Err(Gone::Client)),
            Poll::Ready(Some(Ok(piece))) => Poll::Ready(Ok(Some(piece))),
            Poll::Ready(Some(Err(_))) => Poll::Ready(Err(Gone::Function)),
            Poll::Ready(None) => Poll::Ready(Ok(None)),
        })
        .await;
        let sent = match piece {
            Ok(Some(piece)) => send_piece(&mut sending, piece, &mut reader).await,
            // The stream may have ended meanwhile.
            Ok(None) => return drop(sending.send_data(Bytes::new(), true)),
            Err(gone) => Err(gone),
        };
        match sent {
            Ok(()) => {}
            Err(Gone::Client) => return,
            // What came is not the whole body, and must not look as if it were.
            Err(Gone::Function) => return sending.send_reset(Reason::INTERNAL_ERROR),
            Err(Gone::Slow) => return sending.send_reset(Reason::CANCEL),
        }
    }
}

/// Who is to blame that an answer is not sent to its end.
enum Gone {
    Client,
    Function,
    /// The client, which takes too little of it.
    Slow,
}

async fn send_piece(sending: &mut SendStream<Bytes>, mut piece: Bytes, reader: &mut Reader) -> Result<(), Gone> {
    while !piece.is_empty() {
        sending.reserve_capacity(piece.len());
        let room = poll_fn(|cx| match sending.capacity() {
            0 => match sending.poll_capacity(cx) {
                Poll::Ready(Some(Ok(room))) => Poll::Ready(Ok(room)),
                Poll::Ready(_) => Poll::Ready(Err(Gone::Client)),
                // What h2 has of it is not known here: it is counted as what it may be at most.
                Poll::Pending => reader.poll_slow(piece.len() + UNSENT, || Some(0), cx).map(|_| Err(Gone::Slow)),
            },
            room => Poll::Ready(Ok(room)),
        })
        .await?;
        let part = piece.split_to(room.min(piece.len()));
        reader.took(part.len());
        sending.send_data(part, false).map_err(|_| Gone::Client)?;
    }
    reader.is_free();
    Ok(())
}

/// The head of an answer, and whether a body follows it.
fn head(head: &ResponseHead, size: BodySize, clock: &ServiceConfig) -> (::http::Response<()>, bool) {
    let mut answer = ::http::Response::new(());
    *answer.status_mut() = ::http::StatusCode::from_u16(head.status.as_u16()).unwrap_or_default();
    let headers = answer.headers_mut();
    for (name, value) in head.headers() {
        // What HTTP/1.1 says of a connection is no header here (RFC 9113, 8.2.2).
        let is_framing = matches!(*name, CONNECTION | TRANSFER_ENCODING | UPGRADE)
            || matches!(name.as_str(), "keep-alive" | "proxy-connection")
            || *name == CONTENT_LENGTH && !matches!(size, BodySize::None);
        if let (false, Some((name, value))) = (is_framing, converted(name, value.as_bytes())) {
            headers.append(name, value);
        }
    }
    if let BodySize::Sized(length) = size {
        headers.insert(::http::header::CONTENT_LENGTH, length.into());
    }
    if !head.headers().contains_key(DATE) {
        let mut line = BytesMut::new();
        clock.write_date_header(&mut line, false);
        if let Some(Ok(value)) = line.get(IN_LINE).map(::http::HeaderValue::from_bytes) {
            headers.insert(::http::header::DATE, value);
        }
    }
    let never = matches!(head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    (answer, !never && !matches!(size, BodySize::None | BodySize::Sized(0)))
}

fn converted(name: &HeaderName, value: &[u8]) -> Option<(::http::HeaderName, ::http::HeaderValue)> {
    let name = ::http::HeaderName::from_bytes(name.as_str().as_bytes()).ok()?;
    Some((name, ::http::HeaderValue::from_bytes(value).ok()?))
}
