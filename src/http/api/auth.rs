//! Basic authentication for everything under `/system`. Who guesses has to wait (`guesses`).

use std::time::Duration;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::{StatusCode, header};
use actix_web::middleware::Next;
use actix_web::{Error, HttpResponse, web};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::status::whole_seconds;
use crate::credentials::Credentials;
use crate::http::guesses::Guesses;
use crate::http::source::Source;
use crate::http::text::text;

/// What the one user who may use `/system` has to send. Only a digest is kept: comparing digests takes the same time
/// whatever was sent, its length included.
pub(super) struct Expected([u8; 32]);

impl Expected {
    pub(super) fn new(credentials: &Credentials) -> Self {
        Self(Sha256::digest(format!("{}:{}", credentials.user, credentials.password)).into())
    }

    /// What an `Authorization` header carries.
    pub(super) fn judge(&self, header: &[u8]) -> Sent {
        let Some((scheme, token)) = header.split_at_checked(6) else { return Sent::Nothing };
        let Ok(pair) = STANDARD.decode(token.trim_ascii()) else { return Sent::Nothing };
        if !scheme.eq_ignore_ascii_case(b"basic ") || pair.is_empty() {
            return Sent::Nothing;
        }
        let sent: [u8; 32] = Sha256::digest(pair).into();
        if sent.ct_eq(&self.0).into() { Sent::Right } else { Sent::Wrong }
    }
}

/// What a request carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sent {
    /// Nothing that could be credentials, which is no guess: a browser asks so first.
    Nothing,
    Wrong,
    Right,
}

/// Lets a request pass that carries the credentials; answers any other with 401, or with 429 where too many wrong ones came
/// from its address.
pub(super) async fn require(
    expected: web::Data<Expected>,
    guesses: web::Data<Guesses>,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let header = request.headers().get(header::AUTHORIZATION);
    let sent = header.map_or(Sent::Nothing, |value| expected.judge(value.as_bytes()));
    if sent == Sent::Nothing {
        return Ok(request.into_response(unauthorized()));
    }
    let source = guesses.source(&request);
    guesses.hold_up(source).await;
    if sent == Sent::Right {
        return Ok(next.call(request).await?.map_into_boxed_body());
    }
    let refusal = guesses.note(source).map_or_else(unauthorized, |wait| too_many(source, wait));
    Ok(request.into_response(refusal))
}

fn unauthorized() -> HttpResponse {
    HttpResponse::Unauthorized()
        .insert_header((header::WWW_AUTHENTICATE, "Basic realm=\"Restricted\""))
        .content_type("text/plain; charset=utf-8")
        .body("invalid credentials")
}

fn too_many(source: Source, wait: Duration) -> HttpResponse {
    let seconds = whole_seconds(wait);
    let line = format!(
        "invalid credentials, and too many of them came from {source}: all that come from there are answered late, the \
         right ones too, until none has come for {seconds} s. Other addresses are not held up"
    );
    let mut refusal = text(StatusCode::TOO_MANY_REQUESTS, &line);
    refusal.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    refusal
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(header: &str) -> bool {
        let credentials = Credentials { user: "admin".into(), password: "secret-pw".into() };
        Expected::new(&credentials).judge(header.as_bytes()) == Sent::Right
    }

    #[test]
    fn the_right_user_and_password_pass_whatever_the_case_of_the_scheme() {
        let token = STANDARD.encode("admin:secret-pw");
        assert!(matches(&format!("Basic {token}")));
        assert!(matches(&format!("basic  {token} ")));
    }

    #[test]
    fn anything_else_does_not() {
        let other = |pair: &str| matches(&format!("Basic {}", STANDARD.encode(pair)));
        assert!(!other("admin:secret-p"));
        assert!(!other("admin:secret-pw "));
        assert!(!other("Admin:secret-pw"));
        assert!(!other(":"));
        for header in ["", "Basic", "Basic ", "Bearer ", "Bearer YWRtaW46c2VjcmV0LXB3", "Basic %%%", "ÄÄÄ"] {
            assert!(!matches(header), "{header:?}");
        }
    }

    #[test]
    fn only_what_could_be_credentials_is_a_guess() {
        let credentials = Credentials { user: "admin".into(), password: "secret-pw".into() };
        let judge = |header: &str| Expected::new(&credentials).judge(header.as_bytes());
        for header in ["", "Basic", "Basic ", "Bearer ", "Bearer YWRtaW46c2VjcmV0LXB3", "Basic %%%"] {
            assert_eq!(judge(header), Sent::Nothing, "{header:?}");
        }
        for pair in ["admin:", "admin", ":", "admin:secret-p"] {
            assert_eq!(judge(&format!("Basic {}", STANDARD.encode(pair))), Sent::Wrong, "{pair:?}");
        }
    }
}
