//! Basic authentication for everything under `/system`. Who guesses has to wait (`guesses`).

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::{StatusCode, header};
use actix_web::middleware::Next;
use actix_web::{Error, HttpResponse, web};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::credentials::Credentials;
use crate::http::guesses::Guesses;
use crate::http::text::text;

/// What the one user who may use `/system` has to send. Only a digest is kept: comparing digests takes the same time
/// whatever was sent, its length included.
pub(super) struct Expected([u8; 32]);

impl Expected {
    pub(super) fn new(credentials: &Credentials) -> Self {
        Self(Sha256::digest(format!("{}:{}", credentials.user, credentials.password)).into())
    }

    /// Whether an `Authorization` header carries them.
    fn match_header(&self, header: &[u8]) -> bool {
        let Some((scheme, token)) = header.split_at_checked(6) else { return false };
        let Ok(pair) = STANDARD.decode(token.trim_ascii()) else { return false };
        let sent: [u8; 32] = Sha256::digest(pair).into();
        scheme.eq_ignore_ascii_case(b"basic ") && bool::from(sent.ct_eq(&self.0))
    }
}

/// Lets a request pass that carries the credentials; answers any other with 401, or with 429 where too many wrong ones came
/// from its address.
pub(super) async fn require(
    expected: web::Data<Expected>,
    guesses: web::Data<Guesses>,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let allowed = match request.headers().get(header::AUTHORIZATION) {
        // A browser asks without them first: that is no guess.
        None => false,
        Some(value) => {
            let source = guesses.source(&request);
            if let Some(wait) = guesses.wait(source) {
                let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
                let line = format!(
                    "too many wrong passwords came from {source}: none is looked at for {seconds} s, not even the right one. \
                     Other addresses are not held up"
                );
                let mut refusal = text(StatusCode::TOO_MANY_REQUESTS, &line);
                refusal.headers_mut().insert(header::RETRY_AFTER, seconds.into());
                return Ok(request.into_response(refusal));
            }
            let is_right = expected.match_header(value.as_bytes());
            if !is_right {
                guesses.note(source);
            }
            is_right
        }
    };
    if allowed {
        Ok(next.call(request).await?.map_into_boxed_body())
    } else {
        let refusal = HttpResponse::Unauthorized()
            .insert_header((header::WWW_AUTHENTICATE, "Basic realm=\"Restricted\""))
            .content_type("text/plain; charset=utf-8")
            .body("invalid credentials");
        Ok(request.into_response(refusal))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(header: &str) -> bool {
        let credentials = Credentials { user: "admin".into(), password: "secret-pw".into() };
        Expected::new(&credentials).match_header(header.as_bytes())
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
}
