//! A request's head, read before actix reads it: it answers one that it can't read with an empty 400.
//!
//! What is let through is framed as actix frames it. What actix would refuse is refused here, in words.

use std::mem::MaybeUninit;

use actix_web::http::{Method, StatusCode, Uri};
use httparse::{Error, Header, Request, Status};

use super::authority;
use super::framing::Framing;
use super::refusal::Refusal;

/// The longest head that is read, in bytes; and the most headers. Both are actix's.
pub(super) const HEAD_MAX: usize = 131_072;
pub(super) const HEADERS_MAX: usize = 96;

/// The longest name of a header that actix's `HeaderName` takes, in bytes. Of a longer one actix does not survive the reading.
const NAME_MAX: usize = 65_535;

/// The longest path and query that actix's `Uri` takes, in bytes.
const TARGET_MAX: usize = 65_534;

/// A head that can be handed on.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// Its length, the empty line included.
    pub(super) length: usize,
    pub(super) framing: Framing,
    /// Path and query as they were sent, and the head with them percent-encoded, where actix can't read them otherwise.
    pub(super) encoded: Option<(Box<str>, Vec<u8>)>,
}

/// Reads a head at the beginning of `bytes`; none if it is not complete.
///
/// # Errors
/// When actix would refuse it.
pub(super) fn read(bytes: &[u8]) -> Result<Option<Head>, Refusal> {
    let mut headers = [const { MaybeUninit::uninit() }; HEADERS_MAX];
    let mut request = Request::new(&mut []);
    let length = match request.parse_with_uninit_headers(bytes, &mut headers) {
        Ok(Status::Complete(length)) if length <= HEAD_MAX => length,
        Ok(Status::Partial) if bytes.len() < HEAD_MAX => return Ok(None),
        Ok(_) => return Err(too_long(bytes)),
        Err(error) => return Err(unreadable(error, bytes)),
    };
    let (Some(method), Some(target), Some(version)) = (request.method, request.path, request.version) else {
        return Ok(None);
    };
    // httparse takes more for a method than actix.
    if Method::from_bytes(method.as_bytes()).is_err() {
        return Err(Refusal::bad("the request's method has a character that no method may have"));
    }
    let framing = framing(method, version, request.headers)?;
    let encoded = encode(target, method == "CONNECT")?.map(|(raw, encoded)| {
        let at = target.as_ptr() as usize - bytes.as_ptr() as usize;
        (raw, [&bytes[..at], encoded.as_bytes(), &bytes[at + target.len()..length]].concat())
    });
    let named = request.headers.iter().find(|header| header.name.eq_ignore_ascii_case("host"));
    authority::check(named.map(|header| header.value.trim_ascii()), authority::of_target(target))?;
    match &encoded {
        Some((_, head)) if head.len() > HEAD_MAX => Err(too_long(bytes)),
        _ => Ok(Some(Head { length, framing, encoded })),
    }
}

fn too_long(bytes: &[u8]) -> Refusal {
    match bytes.contains(&b'\n') {
        true => Refusal::new(
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            format!("the request's head is too long: it may have {HEAD_MAX} bytes"),
        ),
        false => Refusal::new(
            StatusCode::URI_TOO_LONG,
            format!("the request's first line is too long: the path and query may have {TARGET_MAX} bytes"),
        ),
    }
}

fn unreadable(error: Error, bytes: &[u8]) -> Refusal {
    let line = bytes.trim_ascii_start().split(|byte| *byte == b'\n').next().unwrap_or_default();
    let text = String::from_utf8_lossy(line);
    let is_http = text.contains(" HTTP/");
    let is_whole = is_http && text.split(' ').count() == 3;
    match error {
        _ if bytes.starts_with(&[0x16, 0x03]) => {
            Refusal::bad("this looks like TLS, and plain HTTP is spoken here: use http:// instead of https://")
        }
        Error::TooManyHeaders => Refusal::new(
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            format!("the request has too many headers: it may have {HEADERS_MAX}"),
        ),
        Error::HeaderName => Refusal::bad("a header's name has a character that no name may have"),
        Error::HeaderValue => Refusal::bad("a header's value has a character that no value may have"),
        Error::Version if is_whole => {
            Refusal::new(StatusCode::HTTP_VERSION_NOT_SUPPORTED, "HTTP/1.1 and HTTP/1.0 are spoken here")
        }
        _ if is_http && std::str::from_utf8(line).is_err() => not_utf8(),
        Error::NewLine if is_whole => Refusal::bad("a line of the request's head does not end as it must, with CR LF"),
        _ if is_http => Refusal::bad(
            "the request's first line must be a method, a path and HTTP/1.1, with a space between them: \
             percent-encode what else is in the path and query (a space is %20)",
        ),
        _ => Refusal::bad("this is no HTTP request"),
    }
}

fn not_utf8() -> Refusal {
    Refusal::bad("the path or query has bytes that are not UTF-8: percent-encode them (RFC 3986, 2.1)")
}

/// Where the request ends, by the rules of RFC 9112, 6.3, and actix's stricter ones.
fn framing(method: &str, version: u8, headers: &[Header<'_>]) -> Result<Framing, Refusal> {
    let is = |header: &Header<'_>, name: &str| header.name.eq_ignore_ascii_case(name);
    let (mut length, mut coding, mut hosts, mut web_socket, mut switches) = (None, None, 0, false, false);
    for header in headers {
        if header.name.len() > NAME_MAX {
            let words = format!("the name of a header is too long: it may have {NAME_MAX} bytes");
            return Err(Refusal::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, words));
        }
        let value = header.value.trim_ascii();
        if is(header, "content-length") {
            let digits = std::str::from_utf8(value).ok().filter(|digits| !digits.starts_with('+'));
            match digits.and_then(|digits| digits.parse().ok()) {
                Some(told) if length.is_none() => length = Some(told),
                Some(_) => return Err(Refusal::bad("the request has more than one Content-Length")),
                None => return Err(Refusal::bad("the request's Content-Length is no number of bytes")),
            }
        } else if is(header, "transfer-encoding") {
            if coding.replace(value).is_some() {
                return Err(Refusal::bad("the request has more than one Transfer-Encoding"));
            }
        } else if is(header, "host") {
            hosts += 1;
        } else if is(header, "upgrade") {
            web_socket |= value.eq_ignore_ascii_case(b"websocket");
        } else if is(header, "connection") {
            switches |= value.split(|byte| *byte == b',').any(|one| one.trim_ascii().eq_ignore_ascii_case(b"upgrade"));
        }
    }
    match (hosts, version, coding, length) {
        (0, 1, ..) => Err(Refusal::bad("the request has no Host header, which HTTP/1.1 asks for")),
        (2.., ..) => Err(Refusal::bad("the request has more than one Host header")),
        (_, 0, Some(_), _) => Err(Refusal::bad("HTTP/1.0 has no Transfer-Encoding: send a Content-Length")),
        (_, _, Some(_), Some(_)) => {
            Err(Refusal::bad("the request has both Content-Length and Transfer-Encoding: send one of them"))
        }
        (_, _, Some(coding), None) if coding.eq_ignore_ascii_case(b"chunked") => Ok(Framing::CHUNKED),
        (_, _, Some(_), None) => Err(Refusal::bad(
            "the only Transfer-Encoding of a request that is read here is chunked, with nothing beside it",
        )),
        // By HTTP its body ends after so many bytes, and actix takes all that follows for it.
        (_, _, None, Some(_)) if web_socket && !switches => Err(Refusal::bad(
            "the request has a Content-Length and names a web socket in Upgrade, but no upgrade in Connection: leave one out",
        )),
        _ if web_socket => Ok(Framing::Endless),
        (_, 0, None, None) if method == "POST" => {
            Err(Refusal::new(StatusCode::LENGTH_REQUIRED, "a POST of HTTP/1.0 needs a Content-Length"))
        }
        (_, _, None, None | Some(0)) if method == "CONNECT" => Ok(Framing::Endless),
        (_, _, None, length) => Ok(Framing::Length(length.unwrap_or_default())),
    }
}

/// Path and query as they were sent and percent-encoded for actix, whose `Uri` takes no raw UTF-8; none if there is no need.
pub(super) fn encode(target: &str, is_connect: bool) -> Result<Option<(Box<str>, String)>, Refusal> {
    let in_query = target.find('?').unwrap_or(target.len());
    let mut high = 0;
    for (at, byte) in target.bytes().enumerate() {
        match byte {
            b'#' | b'<' | b'>' => return Err(must_encode(byte)),
            b'`' if at < in_query => return Err(must_encode(byte)),
            b'"' if at > in_query => return Err(must_encode(byte)),
            0x80.. => high += 1,
            _ => {}
        }
    }
    if target.len() + 2 * high > TARGET_MAX {
        let words = format!("the request's path and query are too long: they may have {TARGET_MAX} bytes");
        return Err(Refusal::new(StatusCode::URI_TOO_LONG, words));
    }
    let encoded = (high > 0).then(|| {
        let encode = |byte: u8| if byte < 0x80 { char::from(byte).to_string() } else { format!("%{byte:02X}") };
        target.bytes().map(encode).collect::<String>()
    });
    let checked = encoded.as_deref().unwrap_or(target);
    let is_path = checked.starts_with('/') || checked == "*";
    if !is_path && !checked.parse::<Uri>().is_ok_and(|uri| is_connect || uri.scheme().is_some()) {
        return Err(Refusal::bad("the request's target is no path, such as /function/NAME"));
    }
    Ok(encoded.map(|encoded| (path_and_query(target).into(), encoded)))
}

fn must_encode(byte: u8) -> Refusal {
    let character = char::from(byte);
    Refusal::bad(format!("the path or query has a {character} in it: percent-encode it, as %{byte:02X}"))
}

/// What stands after scheme and host, where a proxy's client sends them.
fn path_and_query(target: &str) -> &str {
    let Some((_, rest)) = target.split_once("://").filter(|_| !target.starts_with('/')) else { return target };
    rest.find(['/', '?']).map_or("/", |at| &rest[at..])
}

#[cfg(test)]
mod tests;
