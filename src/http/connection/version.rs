//! Answers to HTTP/1.0: a client of that version knows no chunks (RFC 9112, 6.1), so the connection's end is the body's.

use actix_http::Response;
use actix_web::body::{BodySize, MessageBody};
use actix_web::http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use actix_web::http::{ConnectionType, StatusCode};

/// Frames a body of unknown length for a client of that version.
pub(super) fn fit(answer: &mut Response<impl MessageBody>) {
    if answer.body().size() == BodySize::Stream && answer.status() != StatusCode::SWITCHING_PROTOCOLS {
        // A length that the body does not keep to (RFC 9112, 6.3) must not be told instead.
        for name in [CONTENT_LENGTH, TRANSFER_ENCODING] {
            answer.headers_mut().remove(name);
        }
        let head = answer.head_mut();
        head.no_chunking(true);
        head.set_connection_type(ConnectionType::Close);
    }
}
