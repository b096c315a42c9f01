//! What an `Authorization` header says: a token, or a user with a password.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::token::PREFIX;

/// The user that a token is the password of, for clients that know nothing but basic authentication.
const TOKEN_USER: &str = "token";

/// What an `Authorization` header says.
pub(super) enum Sent<'a> {
    Bearer(&'a [u8]),
    /// User and password, with a colon between them.
    Pair(Vec<u8>),
}

impl<'a> Sent<'a> {
    /// None if it says nothing that could be credentials.
    pub(super) fn read(header: &'a [u8]) -> Option<Self> {
        let (scheme, rest) = header.split_at(header.iter().position(|byte| *byte == b' ')?);
        match rest.trim_ascii() {
            b"" => None,
            text if scheme.eq_ignore_ascii_case(b"bearer") => Some(Self::Bearer(text)),
            pair if scheme.eq_ignore_ascii_case(b"basic") => STANDARD.decode(pair).ok().map(Self::Pair),
            _ => None,
        }
    }

    /// Whether it carries what looks like a token of ours, whoever made it up.
    pub(super) fn looks_like_token(&self) -> bool {
        self.token().is_some_and(|text| text.starts_with(PREFIX.as_bytes()))
    }

    /// The text of a token, if it is sent as one.
    pub(super) fn token(&self) -> Option<&[u8]> {
        match self {
            Self::Bearer(text) => Some(text),
            Self::Pair(pair) => pair.strip_prefix(TOKEN_USER.as_bytes())?.strip_prefix(b":"),
        }
    }
}
