//! The header with the password as a fuzz target: one text is let in, and nothing beside it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::auth::{Expected, Sent};
use crate::credentials::Credentials;

pub(crate) fn auth_headers(header: &[u8]) -> bool {
    let credentials = Credentials { user: "admin".into(), password: "secret-pw".into() };
    let taken = Expected::new(&credentials).judge(header) == Sent::Right;
    let token = STANDARD.encode("admin:secret-pw");
    let is_it =
        header.len() > 6 && header[..6].eq_ignore_ascii_case(b"basic ") && header[6..].trim_ascii() == token.as_bytes();
    assert_eq!(taken, is_it, "{:?}", String::from_utf8_lossy(header));
    // Nor is another one's password, whatever is sent.
    let other = Credentials { user: "admin".into(), password: "another-pw".into() };
    assert!(!taken || Expected::new(&other).judge(header) != Sent::Right, "two passwords by one header");
    taken
}
