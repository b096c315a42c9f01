//! The answer to a head that can't be read, or to a connection that there is no room for: in words, and the last on its connection.

use std::borrow::Cow;

use actix_web::http::StatusCode;

/// Why a request goes no further.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) words: Cow<'static, str>,
}

impl Refusal {
    /// 400, the caller's to mend.
    pub(super) fn bad(words: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, words)
    }

    pub(super) fn new(status: StatusCode, words: impl Into<Cow<'static, str>>) -> Self {
        Self { status, words: words.into() }
    }

    /// As it is sent.
    pub(super) fn answer(&self) -> String {
        let Self { status, words } = self;
        let (code, reason) = (status.as_u16(), status.canonical_reason().unwrap_or_default());
        let later = if *status == StatusCode::SERVICE_UNAVAILABLE { "retry-after: 1\r\n" } else { "" };
        format!(
            "HTTP/1.1 {code} {reason}\r\ncontent-length: {}\r\nconnection: close\r\n\
             content-type: text/plain; charset=utf-8\r\nx-content-type-options: nosniff\r\n{later}\r\n{words}\n",
            words.len() + 1
        )
    }
}
