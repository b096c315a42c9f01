//! A request of HTTP/2 as actix has those of HTTP/1.1: the same checks in the same words, and the same headers.
//!
//! h2 has refused what RFC 9113 forbids: headers that belong to one connection, a body that is longer or shorter than it is
//! said to be, and names and values with bytes that none may have. So what goes on to a function hides no other request.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use actix_http::{HttpMessage as _, Request};
use actix_web::dev::Payload;
use actix_web::error::PayloadError;
use actix_web::http::header::{CONTENT_LENGTH, COOKIE, HOST, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING};
use actix_web::http::{Method, StatusCode, Uri, Version};
use bytes::Bytes;
use futures_util::Stream;
use h2::RecvStream;

use super::super::authority;
use super::super::head::{self, HEADERS_MAX};
use super::super::refusal::Refusal;
use super::super::turn::Caller;

/// Whether the client waits with its body until it is told to go on.
pub(super) fn waits_for_continue(request: &::http::Request<RecvStream>) -> bool {
    let expects = request.headers().get(::http::header::EXPECT);
    expects.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
        && !request.body().is_end_stream()
}

/// The request as the routes and the proxy get it.
///
/// # Errors
/// What is wrong with it, in words for its client.
pub(super) fn read(request: ::http::Request<RecvStream>, caller: &Caller) -> Result<Request, Refusal> {
    let (parts, body) = request.into_parts();
    let method = Method::from_bytes(parts.method.as_str().as_bytes());
    let method = method.map_err(|_| Refusal::bad("the request's method has a character that no method may have"))?;
    let Some(target) = parts.uri.path_and_query().map(::http::uri::PathAndQuery::as_str) else {
        return Err(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "no tunnel is made here (CONNECT)"));
    };
    let (sent, uri) = match head::encode(target, false)? {
        Some((sent, encoded)) => (Some(sent), encoded.parse::<Uri>()),
        None => (None, target.parse::<Uri>()),
    };
    let uri = uri.map_err(|_| Refusal::bad("the request's target is no path, such as /function/NAME"))?;
    let headers =
        headers(&parts.headers, parts.uri.authority().map(::http::uri::Authority::as_str), !body.is_end_stream())?;
    let payload: Payload = match body.is_end_stream() {
        true => Payload::None,
        false => Payload::Stream { payload: Box::pin(Body(body)) },
    };
    let mut request = Request::with_payload(payload);
    let head = request.head_mut();
    (head.method, head.uri, head.version, head.headers) = (method, uri, Version::HTTP_2, headers);
    head.peer_addr = caller.address;
    request.extensions_mut().insert(caller.with(sent));
    Ok(request)
}

/// The headers of a request for this authority, with or without a body.
fn headers(sent: &::http::HeaderMap, authority: Option<&str>, has_body: bool) -> Result<HeaderMap, Refusal> {
    let no_value = || Refusal::bad("a header's value has a character that no value may have");
    let mut headers = HeaderMap::with_capacity(sent.keys_len() + 2);
    let mut cookies: Vec<u8> = Vec::new();
    let mut count = 0;
    for (name, value) in sent {
        if name == ::http::header::COOKIE {
            // A client may send a part of them each (RFC 9113, 8.2.3).
            if !cookies.is_empty() {
                cookies.extend_from_slice(b"; ");
            }
            cookies.extend_from_slice(value.as_bytes());
            continue;
        }
        count += 1;
        let name = HeaderName::from_bytes(name.as_str().as_bytes())
            .map_err(|_| Refusal::bad("a header's name has a character that no name may have"))?;
        headers.append(name, HeaderValue::from_bytes(value.as_bytes()).map_err(|_| no_value())?);
    }
    if count > HEADERS_MAX {
        return Err(Refusal::new(
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            format!("the request has too many headers: it may have {HEADERS_MAX}"),
        ));
    }
    if !cookies.is_empty() {
        headers.insert(COOKIE, HeaderValue::from_maybe_shared(Bytes::from(cookies)).map_err(|_| no_value())?);
    }
    if headers.get_all(HOST).count() > 1 {
        return Err(Refusal::bad("the request has more than one Host header"));
    }
    // Whom the request is for is told by its own field; a header beside it says the same or nothing (RFC 9113, 8.3.1).
    authority::check(headers.get(HOST).map(HeaderValue::as_bytes), authority.map(str::as_bytes))?;
    match authority {
        Some(authority) => {
            headers.insert(HOST, HeaderValue::from_str(authority).map_err(|_| no_value())?);
        }
        None if headers.contains_key(HOST) => {}
        None => return Err(Refusal::bad("the request has no :authority and no Host header")),
    }
    match headers.get_all(CONTENT_LENGTH).count() {
        // As HTTP/1.1 says it of a body whose length is not known.
        0 if has_body => drop(headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"))),
        0 | 1 => {}
        _ => return Err(Refusal::bad("the request has more than one Content-Length")),
    }
    Ok(headers)
}

/// A request's body. Its client may send more when what came was asked for.
struct Body(RecvStream);

impl Stream for Body {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(match ready!(self.0.poll_data(cx)) {
            Some(Ok(piece)) => {
                // It fails where the stream has ended, which is told next.
                let _ = self.0.flow_control().release_capacity(piece.len());
                Some(Ok(piece))
            }
            Some(Err(_)) => Some(Err(PayloadError::Incomplete(None))),
            None => None,
        })
    }
}
