//! Heads on their way through the proxy as fuzz targets: what goes out is read by a strict parser, and is one head that says
//! what came in, without what belongs to one hop.

#![allow(clippy::expect_used, reason = "a target fails by a panic")]

use actix_http::h1::Message;
use actix_web::http::{Method, StatusCode};
use bytes::BytesMut;
use httparse::Header;
use tokio_util::codec::{Decoder as _, Encoder as _};

use super::answer;
use super::body::Framing;
use super::headers::{Asked, CallHeaders, asks_for_web_socket, to_function};
use super::invoke::size;
use crate::http::connection::fuzzed::{codec, pass};

const AUTHORITY: &str = "10.62.0.7:8080";

/// Names that no head that goes out may have, but for a web socket.
const OF_ONE_HOP: [&str; 8] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "upgrade",
];

/// What we say ourselves.
const OURS: [&str; 6] =
    ["x-forwarded-for", "x-forwarded-host", "x-call-id", "x-start-time", "user-agent", "transfer-encoding"];

fn is(header: &Header<'_>, name: &str) -> bool {
    header.name.eq_ignore_ascii_case(name)
}

fn values<'a>(headers: &[Header<'a>], name: &str) -> Vec<&'a [u8]> {
    headers.iter().filter(|header| is(header, name)).map(|header| header.value).collect()
}

pub(crate) fn forwarding(bytes: &[u8]) -> bool {
    let Some(passed) = pass(bytes) else { return false };
    let request = &passed.request;
    let path_and_query = passed.sent.as_deref().or_else(|| Some(request.uri().path_and_query()?.as_str()));
    let Some(path_and_query) = path_and_query.filter(|_| *request.method() != Method::CONNECT) else { return false };
    let web_socket = asks_for_web_socket(request.head().headers());
    let chunked = !web_socket && actix_http::HttpMessage::chunked(request).unwrap_or(false);
    for call_headers in [None, Some(CallHeaders::of(request))] {
        let call_headers = call_headers.as_ref();
        let asked = Asked {
            path_and_query,
            authority: AUTHORITY,
            call_headers,
            actord_call: None,
            web_socket,
            authorization_is_ours: false,
            chunked,
        };
        let mut out = Vec::new();
        to_function(request, asked, &mut out);
        check_sent(bytes, &out, &asked, request.method());
    }
    true
}

fn check_sent(came: &[u8], out: &[u8], asked: &Asked<'_>, method: &Method) {
    let shown = String::from_utf8_lossy(out);
    let mut space = [httparse::EMPTY_HEADER; 128];
    let mut sent = httparse::Request::new(&mut space);
    let length = sent.parse(out).unwrap_or_else(|error| unreachable!("{error}: {shown:?}"));
    assert_eq!(length, httparse::Status::Complete(out.len()), "one head and nothing behind it: {shown:?}");
    let slash = if asked.path_and_query.starts_with('/') { "" } else { "/" };
    assert_eq!((sent.method, sent.version), (Some(method.as_str()), Some(1)), "{shown:?}");
    assert_eq!(sent.path, Some(&*format!("{slash}{}", asked.path_and_query)), "{shown:?}");
    let headers = &*sent.headers;
    assert_eq!(values(headers, "host"), [AUTHORITY.as_bytes()], "{shown:?}");
    let lengths = values(headers, "content-length");
    let codings = values(headers, "transfer-encoding");
    assert!(lengths.len() <= 1 && lengths.iter().all(|digits| digits.iter().all(u8::is_ascii_digit)), "{shown:?}");
    assert_eq!(codings, if asked.chunked { vec![b"chunked".as_slice()] } else { vec![] }, "{shown:?}");
    assert!(!asked.chunked || lengths.is_empty(), "two readings of where the body ends: {shown:?}");
    if asked.web_socket {
        let (connection, upgrade) = (values(headers, "connection"), values(headers, "upgrade"));
        assert_eq!((connection, upgrade), (vec![b"upgrade".as_slice()], vec![b"websocket".as_slice()]), "{shown:?}");
        assert!(lengths.is_empty(), "what follows is no body: {shown:?}");
    }
    let mut space = [httparse::EMPTY_HEADER; 128];
    let mut request = httparse::Request::new(&mut space);
    let _ = request.parse(came).expect("it was read before");
    let named = |name: &str| {
        let lines = values(request.headers, "connection");
        let options = lines.iter().filter_map(|line| std::str::from_utf8(line).ok()).flat_map(|line| line.split(','));
        options.map(str::trim).any(|option| option.eq_ignore_ascii_case(name))
    };
    // The client is no proxy that is believed: nothing of what it says of itself comes through, however it is spelt.
    let of_clients = |header: &&Header<'_>| {
        let name = header.name.to_ascii_lowercase().replace('_', "-");
        name.starts_with("x-forwarded-") || matches!(&*name, "forwarded" | "x-real-ip")
    };
    for header in headers.iter().filter(of_clients) {
        let hosts = values(request.headers, "host");
        assert!(is(header, "x-forwarded-host") && hosts.contains(&header.value), "{}: {shown:?}", header.name);
    }
    for header in headers {
        let (name, value) = (header.name, header.value);
        let of_one_hop = OF_ONE_HOP.iter().any(|hop| is(header, hop));
        assert!(!of_one_hop || asked.web_socket, "{name} belongs to one hop: {shown:?}");
        let ours = of_one_hop || is(header, "host") || OURS.iter().any(|ours| is(header, ours));
        let said = values(request.headers, name).iter().any(|said| said.trim_ascii() == value.trim_ascii());
        assert!(ours || said, "{name} was not said by the client: {shown:?}");
        assert!(ours || is(header, "content-length") || !named(name), "{name} is the client's connection's: {shown:?}");
    }
}

/// The first byte chooses what was asked for: by HEAD, where it is odd.
pub(crate) fn answers(bytes: &[u8]) -> bool {
    let Some((first, came)) = bytes.split_first() else { return false };
    let to_head = first % 2 == 1;
    let mut buffer = BytesMut::from(came);
    let Ok(Some(head)) = answer::read(&mut buffer, to_head) else { return false };
    assert!(came.ends_with(&buffer), "what is left is the end of what came");
    let head_length = came.len() - buffer.len();
    for cut in [0, head_length / 2, head_length - 1] {
        let read = answer::read(&mut BytesMut::from(&came[..cut]), to_head);
        assert!(matches!(read, Ok(None)), "a head is complete, or refused, before its last byte");
    }
    let status = head.answer.status();
    assert!(!status.is_informational() || status == StatusCode::SWITCHING_PROTOCOLS, "{status} is no answer");
    check_body(head.body, &buffer);
    if status != StatusCode::SWITCHING_PROTOCOLS {
        check_answered(head, to_head);
    }
    true
}

/// A body is the same in however many pieces it comes.
fn check_body(framing: Framing, body: &[u8]) {
    let read = |pieces: usize| {
        let (mut framing, mut buffer, mut read) = (framing, BytesMut::new(), Vec::new());
        for piece in body.chunks(body.len().div_ceil(pieces).max(1)) {
            buffer.extend_from_slice(piece);
            loop {
                match framing.take(&mut buffer) {
                    Ok(Some(piece)) => read.extend_from_slice(&piece),
                    Ok(None) => break,
                    Err(_) => return (read, None),
                }
            }
        }
        (read, Some(framing.is_complete()))
    };
    let whole = read(1);
    assert_eq!(whole, read(2), "{framing:?}");
    assert_eq!(whole, read(body.len().max(1)), "{framing:?}");
    if let (Framing::Length(length), Some(true)) = (framing, whole.1) {
        assert_eq!(whole.0.len() as u64, length, "a body of another length");
    }
}

/// What the client gets of an answer, written by actix.
fn check_answered(head: answer::Head, to_head: bool) {
    let (mut codec, mut out) = (codec(), BytesMut::new());
    // The codec frames an answer by the request that it has read.
    let method = if to_head { "HEAD" } else { "GET" };
    let mut request = BytesMut::from(&*format!("{method} / HTTP/1.1\r\nHost: h\r\n\r\n"));
    assert!(matches!(codec.decode(&mut request), Ok(Some(Message::Item(_)))));
    let status = head.answer.status();
    let size = size(&head);
    codec.encode(Message::Item((head.answer, size)), &mut out).expect("memory");
    let shown = String::from_utf8_lossy(&out);
    let mut space = [httparse::EMPTY_HEADER; answer::HEADERS_MAX + 8];
    let mut told = httparse::Response::new(&mut space);
    let length = told.parse(&out).unwrap_or_else(|error| unreachable!("{error}: {shown:?}"));
    assert_eq!(length, httparse::Status::Complete(out.len()), "one head and nothing behind it: {shown:?}");
    assert_eq!(told.code, Some(status.as_u16()), "{shown:?}");
    let headers = &*told.headers;
    let (lengths, codings) = (values(headers, "content-length"), values(headers, "transfer-encoding"));
    assert!(lengths.len() + codings.len() <= 1, "two readings of where the body ends: {shown:?}");
    for header in headers.iter().filter(|header| !is(header, "connection")) {
        assert!(!OF_ONE_HOP.iter().any(|hop| is(header, hop)), "{} belongs to one hop: {shown:?}", header.name);
    }
}
