//! What of a request is kept, and how a request is made of that again.
//!
//! ```text
//! request -> what belongs to one hop goes, what is told of its client is made true -> Head -> ... -> Head -> request -> proxy
//! ```
//! Between the two lie hours and restarts, and who asked is gone: so what a function is told of its client is written when the
//! call is accepted, in the words that the proxy has for a call that waits.

use actix_http::Request;
use actix_web::dev::Payload;
use actix_web::http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, EXPECT, HOST, HeaderName, HeaderValue, TRANSFER_ENCODING,
};
use actix_web::http::{Method, Uri};

use crate::http::connection;
use crate::http::proxies::is_forwarding;
use crate::http::proxy::{is_hop_by_hop, listed};
use crate::queue::head::{CHAIN, Head};

/// What we say of a call, and nobody else.
const OURS: [&str; 2] = ["x-actord-call", CHAIN];

/// The headers that are kept of a request whose body has this length. `authorization_is_ours` as in the proxy.
pub(super) fn head(request: &Request, authorization_is_ours: bool, length: usize) -> Head {
    let sent = request.head().headers();
    let named = if sent.contains_key(CONNECTION) { listed(sent, CONNECTION) } else { Vec::new() };
    let is_believed = connection::is_from_proxy(request);
    let mut head = Head::default();
    for (name, value) in sent {
        let dropped = matches!(*name, HOST | EXPECT | CONTENT_LENGTH)
            || is_hop_by_hop(name)
            || *name == AUTHORIZATION && authorization_is_ours
            || !is_believed && is_forwarding(name.as_str())
            || OURS.contains(&name.as_str())
            || named.iter().any(|hop| *hop == name.as_str());
        if !dropped {
            head.0.push((name.as_str().to_owned(), value.as_bytes().to_owned()));
        }
    }
    if sent.contains_key(CONTENT_LENGTH) || sent.contains_key(TRANSFER_ENCODING) {
        head.set("content-length", length.to_string());
    }
    if head.get("x-forwarded-host").is_none()
        && let Some(named) = sent.get(HOST)
    {
        head.set("x-forwarded-host", named.as_bytes());
    }
    if head.get("x-forwarded-for").is_none()
        && let Some(peer) = connection::peer(request)
    {
        head.set("x-forwarded-for", peer.as_bytes());
    }
    head
}

/// A request with these headers and a body of this length, as the proxy takes it; none where they are no headers. What an answer
/// says of clients, or of who it is, is a function's word, and told to no other one. Where the body ends is said by nothing but
/// the body, whatever has been kept: what follows on the connection would be read as another request.
pub(super) fn request(method: &str, head: &[u8], length: usize) -> Option<Request> {
    let kept = Head::decode(head)?;
    let mut request = Request::with_payload(Payload::None);
    let head = request.head_mut();
    head.method = Method::from_bytes(method.as_bytes()).ok()?;
    // The proxy goes by what it is told beside the request.
    head.uri = Uri::from_static("/");
    let is_of_an_answer = kept.get(CHAIN).is_some();
    let mut is_framed = length > 0;
    for (name, value) in kept.0 {
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        if is_of_an_answer && (is_forwarding(name.as_str()) || matches!(name, HOST | EXPECT | AUTHORIZATION)) {
            continue;
        }
        let value = HeaderValue::from_bytes(&value).ok()?;
        if name == CONTENT_LENGTH {
            is_framed = true;
        } else if !is_hop_by_hop(&name) {
            head.headers.append(name, value);
        }
    }
    if is_framed {
        head.headers.insert(CONTENT_LENGTH, length.into());
    }
    connection::of_stored(&mut request);
    Some(request)
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    fn kept(request: &Request, authorization_is_ours: bool) -> Vec<String> {
        let head = head(request, authorization_is_ours, 7);
        let line = |(name, value): &(String, Vec<u8>)| format!("{name}: {}", String::from_utf8_lossy(value));
        let mut lines: Vec<_> = head.0.iter().map(line).collect();
        lines.sort();
        lines
    }

    #[test]
    fn what_belongs_to_one_hop_or_is_a_clients_word_for_itself_is_not_kept() {
        let sent = TestRequest::post()
            .insert_header(("Host", "gateway"))
            .insert_header(("Connection", "close, X-Mine"))
            .insert_header(("X-Mine", "1"))
            .insert_header(("X-Yours", "2"))
            .append_header(("X-Yours", "3"))
            .insert_header(("Transfer-Encoding", "chunked"))
            .insert_header(("Expect", "100-continue"))
            .insert_header(("X-Forwarded-For", "1.2.3.4"))
            .insert_header(("X_Real_IP", "1.2.3.4"))
            .insert_header(("X-Call-Id", "mine"))
            .insert_header(("X-Actord-Call", "mine"))
            .insert_header(("X-Actord-Chain", "1"))
            .insert_header(("Authorization", "Bearer secret"))
            .to_request();
        let always = ["content-length: 7", "x-call-id: mine", "x-forwarded-host: gateway", "x-yours: 2", "x-yours: 3"];
        assert_eq!(kept(&sent, true), always);
        let with: Vec<&str> = ["authorization: Bearer secret"].into_iter().chain(always).collect();
        assert_eq!(kept(&sent, false), with);
    }

    #[test]
    fn a_request_without_a_body_has_no_length() {
        assert_eq!(kept(&TestRequest::get().to_request(), false), Vec::<String>::new());
    }

    #[test]
    fn a_request_is_made_again_with_every_value_as_it_came() {
        let sent = TestRequest::put()
            .insert_header(("X-Bytes", HeaderValue::from_bytes(b"\xfc \t x").unwrap()))
            .append_header(("X-Many", "a"))
            .append_header(("X-Many", "b"))
            .to_request();
        let again = request("PUT", &head(&sent, false, 0).encode(), 0).unwrap();
        assert_eq!(again.method(), Method::PUT);
        let many: Vec<_> = again.head().headers().get_all("x-many").map(HeaderValue::as_bytes).collect();
        assert_eq!(many, [b"a", b"b"]);
        assert_eq!(again.head().headers().get("x-bytes").unwrap().as_bytes(), b"\xfc \t x");
        assert!(connection::is_from_proxy(&again), "what it says of its client was made true before");
        assert_eq!(connection::peer(&again), None);
    }

    #[test]
    fn what_an_answer_says_of_clients_is_not_believed_by_the_next_function() {
        let mut answer = Head::default();
        for (name, value) in [
            ("content-type", "text/plain"),
            ("x-forwarded-for", "10.0.0.1"),
            ("x_real_ip", "10.0.0.1"),
            ("forwarded", "for=10.0.0.1"),
            ("host", "elsewhere"),
            ("expect", "100-continue"),
            ("authorization", "Basic YTpi"),
        ] {
            answer.set(name, value);
        }
        let names = |head: &Head| {
            let request = request("POST", &head.encode(), 0).unwrap();
            let mut names: Vec<_> = request.head().headers().keys().map(|name| name.as_str().to_owned()).collect();
            names.sort();
            names
        };
        assert_eq!(names(&answer).len(), 7, "what was made true at the door stays");
        answer.set(CHAIN, "1");
        assert_eq!(names(&answer), ["content-type", CHAIN]);
    }

    #[test]
    fn a_body_is_as_long_as_it_is_whatever_is_kept() {
        let kept = |lines: &[(&str, &str)]| {
            Head(lines.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec())).collect()).encode()
        };
        let framing =
            [("content-length", "0"), ("Content-Length", "3"), ("transfer-encoding", "chunked"), ("upgrade", "x")];
        for (lines, length, said) in
            [(&framing[..], 30, vec!["30"]), (&framing[..2], 0, vec!["0"]), (&[], 30, vec!["30"]), (&[], 0, vec![])]
        {
            let request = request("POST", &kept(lines), length).unwrap();
            let headers = request.head().headers();
            let lengths: Vec<_> = headers.get_all(CONTENT_LENGTH).map(|value| value.to_str().unwrap()).collect();
            assert_eq!((&lengths, headers.len()), (&said, said.len()), "{lines:?}");
        }
    }

    #[test]
    fn what_is_no_head_makes_no_request() {
        for (method, head) in [
            ("GET", &b""[..]),
            ("GET", b"\x02"),
            ("G T", b"\x01"),
            ("GET", b"\x01\x00\x01 \x00\x00\x00\x00"),
            ("GET", b"\x01\x00\x01a\x00\x00\x00\x01\n"),
        ] {
            assert!(request(method, head, 0).is_none(), "{method} {head:?}");
        }
    }
}
