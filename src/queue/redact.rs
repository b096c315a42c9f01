//! What is kept for sending and never shown: by the names of headers and of values in a query, and by what values look like.

use url::Url;

/// Parts of names whose values are secrets.
const PARTS: [&str; 10] =
    ["token", "secret", "password", "passwd", "api-key", "apikey", "signature", "credential", "session", "auth"];

/// Names of secrets without such a part.
const NAMES: [&str; 7] = ["cookie", "set-cookie", "key", "sig", "code", "pwd", "x-amz-security"];

/// What stands for a value that is not shown.
const HIDDEN: &str = "…";

/// Whether the value of a header, or of a query's key, with this name may be a secret.
#[must_use]
pub fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace('_', "-");
    NAMES.contains(&name.as_str()) || PARTS.iter().any(|part| name.contains(part))
}

/// The value of a header, if it may be shown. `is_token`: whether an `Authorization` header would carry a token of ours.
#[must_use]
pub fn value(name: &str, value: &[u8], is_token: fn(&[u8]) -> bool) -> Option<String> {
    let mut pieces = value.split(|byte| b" ,;=\"'".contains(byte));
    if is_secret(name) || pieces.any(|piece| looks_secret(piece, is_token)) {
        return None;
    }
    // A URL has its secrets in its query, and before its host.
    Some(url(&String::from_utf8_lossy(value)))
}

/// Whether a piece of a value is a token of ours, one that is signed (a JWT), or says that one follows.
fn looks_secret(piece: &[u8], is_token: fn(&[u8]) -> bool) -> bool {
    is_token(&[b"Bearer ", piece].concat())
        || piece.starts_with(b"eyJ") && piece.contains(&b'.')
        || piece.eq_ignore_ascii_case(b"bearer")
        || piece.eq_ignore_ascii_case(b"basic")
}

/// A path with its query, or a URL, as it may be shown: without the values of secret names, and without a user and password.
#[must_use]
pub fn url(text: &str) -> String {
    let (before, query) = text.split_once('?').map_or((text, None), |(before, query)| (before, Some(query)));
    let mut shown = without_user(before);
    if let Some(query) = query {
        let pairs = query.split('&').map(|pair| match pair.split_once('=') {
            Some((name, _)) if is_secret(&decoded(name)) => format!("{name}={HIDDEN}"),
            _ => pair.to_owned(),
        });
        shown.push('?');
        shown.push_str(&pairs.collect::<Vec<_>>().join("&"));
    }
    shown
}

/// `https://user:password@host/path` without what is before the host, in whatever way it is written: by the reader that the
/// sender has, to which `http:/user:password@host/` is the same.
fn without_user(url: &str) -> String {
    if let Ok(mut read) = Url::parse(url) {
        if read.username().is_empty() && read.password().is_none() {
            return url.to_owned();
        }
        if read.set_username("").is_ok() && read.set_password(None).is_ok() {
            return read.into();
        }
    }
    // What it can't read is sent nowhere, and may have a password all the same.
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let server = authority.rsplit_once('@').map_or(authority, |(_, server)| server);
    format!("{scheme}://{server}{path}")
}

/// A name in a query, as who reads it sees it: `%74oken` is `token`.
fn decoded(name: &str) -> String {
    let bytes = name.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let digits = name.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_known_by_their_names() {
        for name in [
            "Authorization",
            "proxy-authorization",
            "Cookie",
            "Set-Cookie",
            "X-Api-Key",
            "x_api_key",
            "X-Hub-Signature-256",
            "X-Session-Id",
            "X-Auth",
            "apikey",
            "access_token",
            "sig",
        ] {
            assert!(is_secret(name), "{name}");
        }
        for name in ["Content-Type", "X-Call-Id", "Host", "Accept", "X-Forwarded-For", "page", "keys"] {
            assert!(!is_secret(name), "{name}");
        }
    }

    #[test]
    fn a_url_is_shown_without_what_is_secret_in_it() {
        for (text, shown) in [
            ("/path?a=b&token=x", "/path?a=b&token=…"),
            ("/path", "/path"),
            ("?token", "?token"),
            ("?%74oken=x&a", "?%74oken=…&a"),
            ("?a=%", "?a=%"),
            ("https://u:p@host:1/a@b?sig=1", "https://host:1/a@b?sig=…"),
            ("http://host", "http://host"),
            ("http:/u:p@host/", "http://host/"),
            ("http:///u:p@host/?a=1", "http://host/?a=1"),
            ("http:u:p@host", "http://host/"),
            ("http:\\\\u:p@host/", "http://host/"),
            ("https://u:p@host:99999/x", "https://host:99999/x"),
            ("https://:p@host/", "https://host/"),
            ("", ""),
        ] {
            assert_eq!(url(text), shown, "{text}");
        }
    }
}
