//! Answers to HTTP/1.0: a client of that version knows no chunks (RFC 9112, 6.1), so the connection's end is the body's.

use actix_web::body::{BodySize, MessageBody};
use actix_web::dev::ServiceResponse;
use actix_web::http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use actix_web::http::{ConnectionType, StatusCode, Version};
use actix_web::middleware::Next;
use actix_web::{Error, dev::ServiceRequest};

/// Around every route: frames a body of unknown length for the version that the client speaks.
pub(in crate::http) async fn fit_version<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    let mut answer = next.call(request).await?;
    let is_old = answer.request().version() < Version::HTTP_11;
    if is_old
        && answer.response().body().size() == BodySize::Stream
        && answer.status() != StatusCode::SWITCHING_PROTOCOLS
    {
        // A length that the body does not keep to (RFC 9112, 6.3) must not be told instead.
        for name in [CONTENT_LENGTH, TRANSFER_ENCODING] {
            answer.headers_mut().remove(name);
        }
        let head = answer.response_mut().head_mut();
        head.no_chunking(true);
        head.set_connection_type(ConnectionType::Close);
    }
    Ok(answer)
}
