//! An answer of one line of plain text, the way Go's `http.Error` writes it: for the API and for the proxy.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName, HeaderValue};

const PLAIN_TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");

/// When a client that was told "not now" should ask again.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

/// An answer of one line. A 503 says when to come back.
pub(super) fn text(status: StatusCode, line: &str) -> HttpResponse {
    let mut answer = HttpResponse::new(status).set_body(actix_web::body::BoxBody::new(format!("{line}\n")));
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, PLAIN_TEXT);
    headers.insert(HeaderName::from_static("x-content-type-options"), NOSNIFF);
    if status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(header::RETRY_AFTER, RETRY_AFTER);
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_not_now_says_when_to_come_back() {
        assert!(text(StatusCode::SERVICE_UNAVAILABLE, "x").headers().contains_key(header::RETRY_AFTER));
        assert!(!text(StatusCode::BAD_REQUEST, "x").headers().contains_key(header::RETRY_AFTER));
    }
}
