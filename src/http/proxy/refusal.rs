//! Answers of the proxy's own.

use actix_http::Response;
use actix_web::body::BoxBody;
use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderName, HeaderValue};

use crate::http::text::text;

/// An answer of the proxy's own. Clients tell it by its header from a function's.
pub(super) fn refusal(status: StatusCode, line: &str) -> Response<BoxBody> {
    let mut answer = Response::from(text(status, line));
    let proxy = HeaderValue::from_static("proxy");
    answer.headers_mut().insert(HeaderName::from_static("x-openfaas-internal"), proxy);
    answer
}
