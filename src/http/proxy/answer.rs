//! The head of a function's answer, from its bytes to what the client gets of it: everything but what belongs to one hop,
//! and what would let its script speak for other functions.

use std::mem::MaybeUninit;
use std::time::Duration;

use actix_http::Response;
use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderName, HeaderValue};
use bytes::{Bytes, BytesMut};
use httparse::{Error, Header, ParserConfig, Status};

use super::body::Framing;
use super::headers::{is_hop_by_hop, options};

/// The most headers of a function's answer.
pub(super) const HEADERS_MAX: usize = 512;

/// The largest head of a function's answer, in bytes.
pub(super) const HEAD_MAX: usize = 400 * 1024;

/// The longest time that a connection is kept without a request. Of the servers that are common in functions, gunicorn
/// closes first, after 2 s (Node, uvicorn and Apache: 5 s): a request should not meet a connection that is just ending.
pub(super) const IDLE_TIMEOUT: Duration = Duration::from_millis(1500);

/// Why a head can't be passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadHead {
    /// It has more headers than [`HEADERS_MAX`].
    #[error("answered with more than {HEADERS_MAX} headers")]
    Headers,
    /// It is larger than [`HEAD_MAX`].
    #[error("answered with a head of more than {} KiB", HEAD_MAX / 1024)]
    Long,
    /// It is no head of HTTP/1.1: which part of it is not.
    #[error("gave an answer that is no HTTP/1.1 (invalid {0})")]
    NoHttp(&'static str),
}

/// A head that was read.
#[derive(Debug)]
pub(super) struct Head {
    /// Status and headers for the client.
    pub(super) answer: Response<()>,
    pub(super) body: Framing,
    /// The body's length as the function said it, also of one that it does not send (HEAD).
    pub(super) length: Option<u64>,
    /// How long the connection may be kept after it without a request; none if not at all.
    pub(super) keep: Option<Duration>,
}

/// Reads the head of an answer to a request of HEAD, or of another method, and takes it from `bytes`; none as long as it is
/// not complete. Interim answers before it are skipped.
///
/// # Errors
/// [`BadHead`].
pub(super) fn read(bytes: &mut BytesMut, to_head: bool) -> Result<Option<Head>, BadHead> {
    while !bytes.is_empty() {
        let mut headers = [const { MaybeUninit::uninit() }; HEADERS_MAX];
        let mut parsed = httparse::Response::new(&mut []);
        let status = ParserConfig::default().parse_response_with_uninit_headers(&mut parsed, bytes, &mut headers);
        let length = match status {
            Ok(Status::Complete(length)) if length <= HEAD_MAX => length,
            Ok(Status::Partial) if bytes.len() < HEAD_MAX => return Ok(None),
            Ok(_) => return Err(BadHead::Long),
            Err(error) => return Err(told(error)),
        };
        let status =
            parsed.code.and_then(|code| StatusCode::from_u16(code).ok()).ok_or(BadHead::NoHttp("HTTP status"))?;
        let facts = Facts::of(parsed.headers, parsed.version == Some(1))?;
        if status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS {
            let _ = bytes.split_to(length);
            continue;
        }
        let body = facts.framing(status, to_head)?;
        let places = places(bytes, parsed.headers);
        let whole = bytes.split_to(length).freeze();
        let answer = for_client(status, &facts, &whole, places);
        let is_kept = facts.keeps && !matches!(body, Framing::UntilClose | Framing::Tunnel);
        let length = facts.length.filter(|_| !facts.is_coded);
        return Ok(Some(Head { answer, body, length, keep: is_kept.then_some(facts.keep) }));
    }
    Ok(None)
}

fn told(error: Error) -> BadHead {
    match error {
        Error::TooManyHeaders => BadHead::Headers,
        Error::Version => BadHead::NoHttp("HTTP version"),
        Error::Status => BadHead::NoHttp("HTTP status"),
        _ => BadHead::NoHttp("HTTP header"),
    }
}

/// What the headers say of the connection and of the body.
struct Facts {
    /// Whether the connection can take another request.
    keeps: bool,
    keep: Duration,
    /// Headers that `Connection` names.
    named: Vec<String>,
    length: Option<u64>,
    /// Whether there is a `Transfer-Encoding`, and whether it ends in chunks.
    is_coded: bool,
    is_chunked: bool,
}

impl Facts {
    fn of(headers: &[Header<'_>], is_new: bool) -> Result<Self, BadHead> {
        let mut facts = Self {
            keeps: is_new,
            keep: IDLE_TIMEOUT,
            named: Vec::new(),
            length: None,
            is_coded: false,
            is_chunked: false,
        };
        let mut is_closed = false;
        for Header { name, value } in headers {
            // Looked at by their lengths first: few headers say anything of these.
            match name.len() {
                10 if name.eq_ignore_ascii_case("connection") => {
                    for option in options(value) {
                        is_closed |= option == "close";
                        facts.keeps |= option == "keep-alive";
                        facts.named.push(option);
                    }
                }
                10 if name.eq_ignore_ascii_case("keep-alive") => facts.keep = keep(value),
                14 if name.eq_ignore_ascii_case("content-length") => facts.add_length(value)?,
                17 if name.eq_ignore_ascii_case("transfer-encoding") => {
                    if !is_new {
                        return Err(BadHead::NoHttp("transfer-encoding"));
                    }
                    facts.is_coded = true;
                    let last = value.rsplit(|byte| *byte == b',').next().unwrap_or_default();
                    facts.is_chunked = last.trim_ascii().eq_ignore_ascii_case(b"chunked");
                }
                _ => {}
            }
        }
        facts.keeps &= !is_closed;
        Ok(facts)
    }

    /// A length that is told twice must be the same (RFC 9112, 6.3).
    fn add_length(&mut self, value: &[u8]) -> Result<(), BadHead> {
        for told in value.split(|byte| *byte == b',') {
            let told = told.trim_ascii();
            let digits = std::str::from_utf8(told).ok().filter(|_| told.iter().all(u8::is_ascii_digit));
            let length = digits.and_then(|digits| digits.parse().ok()).ok_or(BadHead::NoHttp("content-length"))?;
            if self.length.is_some_and(|before| before != length) {
                return Err(BadHead::NoHttp("content-length"));
            }
            self.length = Some(length);
        }
        Ok(())
    }

    /// Where the body ends (RFC 9112, 6.3).
    fn framing(&self, status: StatusCode, to_head: bool) -> Result<Framing, BadHead> {
        Ok(match status {
            StatusCode::SWITCHING_PROTOCOLS => Framing::Tunnel,
            StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED => Framing::Length(0),
            _ if to_head => Framing::Length(0),
            _ if self.is_chunked => Framing::CHUNKED,
            _ if self.is_coded => Framing::UntilClose,
            _ => self.length.map_or(Framing::UntilClose, Framing::Length),
        })
    }
}

/// How long a connection may be kept after this answer: less than the function says that it keeps it (`Keep-Alive:
/// timeout=5`), so that we close first.
fn keep(value: &[u8]) -> Duration {
    let seconds = std::str::from_utf8(value).ok().and_then(|text| {
        let mut parts = text.split(',').filter_map(|part| part.split_once('='));
        let (_, value) = parts.find(|(name, _)| name.trim().eq_ignore_ascii_case("timeout"))?;
        value.trim().parse::<u32>().ok()
    });
    seconds.map_or(IDLE_TIMEOUT, |seconds| (Duration::from_secs(seconds.into()) * 3 / 4).min(IDLE_TIMEOUT))
}

/// From where to where a name or a value goes.
type Span = (usize, usize);

/// Where each name and value stands in the bytes that they were read from.
fn places(bytes: &[u8], headers: &[Header<'_>]) -> impl Iterator<Item = (Span, Span)> + use<> {
    let begin = bytes.as_ptr() as usize;
    let place = move |part: &[u8]| {
        let at = part.as_ptr() as usize - begin;
        (at, at + part.len())
    };
    let all: smallvec::SmallVec<[(Span, Span); 24]> =
        headers.iter().map(|header| (place(header.name.as_bytes()), place(header.value))).collect();
    all.into_iter()
}

/// By this a script of a function's would become a worker of the whole origin: it would stand between a browser and all other
/// functions, and `/ui/`. Without it a worker has the paths beside its script, which are the function's own.
const WORKERS_SCOPE: &str = "service-worker-allowed";

/// The answer as the client gets it, without its body. Values stay where they were read to.
fn for_client(
    status: StatusCode,
    facts: &Facts,
    head: &Bytes,
    places: impl Iterator<Item = (Span, Span)>,
) -> Response<()> {
    let mut answer = Response::with_body(status, ());
    let headers = answer.headers_mut();
    let is_switched = status == StatusCode::SWITCHING_PROTOCOLS;
    for ((from, to), (begin, end)) in places {
        let Ok(name) = HeaderName::from_bytes(&head[from..to]) else { continue };
        // The length is written anew from the body, except for an answer that has none (304).
        let dropped = is_hop_by_hop(&name) || facts.named.iter().any(|hop| hop == name.as_str());
        if (dropped && !(is_switched && name == actix_web::http::header::UPGRADE)) || name.as_str() == WORKERS_SCOPE {
            continue;
        }
        if let Ok(value) = HeaderValue::from_maybe_shared(head.slice(begin..end)) {
            headers.append(name, value);
        }
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a whole head; what is left of the bytes after it.
    fn parse(text: &str, to_head: bool) -> (Result<Option<Head>, BadHead>, String) {
        let mut bytes = BytesMut::from(text);
        let head = read(&mut bytes, to_head);
        (head, String::from_utf8(bytes.to_vec()).unwrap())
    }

    #[test]
    fn the_body_ends_where_the_head_says() {
        for (status, headers, to_head, framing, length) in [
            ("200", "Content-Length: 5", false, Framing::Length(5), Some(5)),
            ("200", "Content-Length: 5\r\nContent-Length: 5, 5", false, Framing::Length(5), Some(5)),
            ("200", "Content-Length: 5", true, Framing::Length(0), Some(5)),
            ("304", "Content-Length: 5", false, Framing::Length(0), Some(5)),
            ("204", "X: y", false, Framing::Length(0), None),
            ("200", "X: y", false, Framing::UntilClose, None),
            ("200", "Transfer-Encoding: chunked", false, Framing::CHUNKED, None),
            ("200", "Content-Length: 5\r\ntransfer-encoding: gzip, Chunked", false, Framing::CHUNKED, None),
            ("200", "Content-Length: 5\r\nTransfer-Encoding: gzip", false, Framing::UntilClose, None),
            ("101", "Upgrade: websocket", false, Framing::Tunnel, None),
        ] {
            let (head, rest) = parse(&format!("HTTP/1.1 {status} Told\r\n{headers}\r\n\r\nrest"), to_head);
            let head = head.unwrap().unwrap();
            assert_eq!((head.body, head.length, rest.as_str()), (framing, length, "rest"), "{status} {headers}");
        }
    }

    #[test]
    fn interim_answers_are_skipped_and_a_head_is_waited_for_to_its_last_byte() {
        let text =
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 201 Made\r\nX: y\r\n\r\n";
        for length in 0..text.len() {
            assert!(matches!(parse(&text[..length], false), (Ok(None), _)), "{length}");
        }
        assert_eq!(parse(text, false).0.unwrap().unwrap().answer.status(), StatusCode::CREATED);
    }

    #[test]
    fn what_belongs_to_one_hop_does_not_reach_the_client() {
        let text = "HTTP/1.1 200 OK\r\nConnection: close, X-Mine\r\nX-Mine: 1\r\nX-Many: a\r\nKeep-Alive: timeout=5\r\nx-many: b\r\n\r\n";
        let head = parse(text, false).0.unwrap().unwrap();
        let told: Vec<_> =
            head.answer.headers().iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        assert_eq!(told, [("x-many", b"a".as_slice()), ("x-many", b"b")]);
        assert_eq!(head.keep, None, "it is closed");
    }

    #[test]
    fn a_connection_is_kept_for_less_than_the_function_says_and_never_longer_than_usual() {
        for (said, millis) in [
            (None, 1500),
            (Some("timeout=1"), 750),
            (Some("timeout=2, max=100"), 1500),
            (Some("max=5,Timeout = 1"), 750),
            (Some("timeout=0"), 0),
            (Some("timeout=60"), 1500),
            (Some("timeout=soon"), 1500),
            (Some("timeout"), 1500),
        ] {
            let line = said.map_or(String::new(), |said| format!("Keep-Alive: {said}\r\n"));
            let head = parse(&format!("HTTP/1.1 200 OK\r\n{line}Content-Length: 0\r\n\r\n"), false).0.unwrap().unwrap();
            assert_eq!(head.keep, Some(Duration::from_millis(millis)), "{said:?}");
        }
    }
}
