//! Basic authentication for everything under `/system`.

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header;
use actix_web::middleware::Next;
use actix_web::{Error, HttpResponse, web};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::credentials::Credentials;

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

/// Lets a request pass that carries the credentials; answers any other with 401.
pub(super) async fn require(
    expected: web::Data<Expected>,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let header = request.headers().get(header::AUTHORIZATION);
    let allowed = header.is_some_and(|value| expected.match_header(value.as_bytes()));
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
