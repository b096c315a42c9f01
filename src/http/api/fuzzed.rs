//! The header with the password as a fuzz target: one text is let in, and nothing beside it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::credentials::{Access, Credentials};

pub(crate) fn auth_headers(header: &[u8]) -> bool {
    let with = |password: &str| Access::from(Credentials { user: "admin".into(), password: password.into() });
    let taken = with("secret-pw").caller(header).is_ok();
    let token = STANDARD.encode("admin:secret-pw");
    let is_it =
        header.len() > 6 && header[..6].eq_ignore_ascii_case(b"basic ") && header[6..].trim_ascii() == token.as_bytes();
    assert_eq!(taken, is_it, "{:?}", String::from_utf8_lossy(header));
    // Nor is another one's password, whatever is sent.
    assert!(!taken || with("another-pw").caller(header).is_err(), "two passwords by one header");
    taken
}
