//! Headers on their way to the function: everything but what belongs to one hop. What is sent is written from actix's map
//! straight into the bytes of the request; what comes back is read into actix's map in `answer`.

use std::time::{SystemTime, UNIX_EPOCH};

use actix_http::{Request, Response};
use actix_web::http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, EXPECT, HOST, HeaderMap, HeaderName, HeaderValue, PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE, USER_AGENT,
};

use crate::http::connection;
use crate::http::proxies::is_forwarding;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_CALL_ID: HeaderName = HeaderName::from_static("x-call-id");
const X_START_TIME: HeaderName = HeaderName::from_static("x-start-time");
const X_ACTORD_CALL: HeaderName = HeaderName::from_static("x-actord-call");
const X_SERVED_BY: HeaderName = HeaderName::from_static("x-served-by");

/// What the gateway calls itself, in answers and to functions whose caller gave no name.
const ME: HeaderValue = HeaderValue::from_static(concat!("actord/", env!("CARGO_PKG_VERSION")));

/// RFC 9110, 7.6.1, and what older peers send.
pub(in crate::http) fn is_hop_by_hop(name: &HeaderName) -> bool {
    // The names that HTTP knows are numbers: this compares no text for them.
    matches!(*name, CONNECTION | TRANSFER_ENCODING | TE | TRAILER | UPGRADE | PROXY_AUTHENTICATE | PROXY_AUTHORIZATION)
        || matches!(name.as_str(), "keep-alive" | "proxy-connection")
}

/// What the gateway adds to a request and to its answer.
#[derive(Debug)]
pub(super) struct CallHeaders {
    /// A call id made here; none if the client sent its own, which is passed on and not echoed.
    call_id: Option<HeaderValue>,
    start_time: HeaderValue,
}

impl CallHeaders {
    pub(super) fn of(request: &Request) -> Self {
        let has_call_id = request.head().headers().get(X_CALL_ID).is_some_and(|id| !id.is_empty());
        let call_id = (!has_call_id).then(new_call_id).flatten();
        Self { call_id, start_time: start_time() }
    }

    /// Of a call that was kept. With `call_id` none, its caller's own is among its headers.
    pub(super) fn for_call(call_id: Option<&str>) -> Self {
        let call_id = call_id.and_then(|id| HeaderValue::from_str(id).ok());
        Self { call_id, start_time: start_time() }
    }

    /// Adds them to an answer, the function's or the proxy's own. Those that the function set stay as they are.
    pub(super) fn add_to<B>(&self, answer: &mut Response<B>) {
        let added =
            [(X_START_TIME, Some(&self.start_time)), (X_CALL_ID, self.call_id.as_ref()), (X_SERVED_BY, Some(&ME))];
        for (name, value) in added {
            if let Some(value) = value
                && !answer.headers().contains_key(&name)
            {
                answer.headers_mut().append(name, value.clone());
            }
        }
    }
}

/// What time it is, in the gateway's way.
fn start_time() -> HeaderValue {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_nanos()).unwrap_or(u64::MAX).into()
}

/// A random UUID (RFC 9562, version 4).
fn new_call_id() -> Option<HeaderValue> {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let random = rand::random::<u128>() & !(0xf << 76 | 0b11 << 62) | 0x4 << 76 | 0b10 << 62;
    let mut text = Vec::with_capacity(36);
    for (at, byte) in random.to_be_bytes().into_iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            text.push(b'-');
        }
        text.extend([DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 0xf)]]);
    }
    HeaderValue::from_maybe_shared(bytes::Bytes::from(text)).ok()
}

/// The items of a comma-separated list, in lower case.
pub(super) fn options(value: &[u8]) -> impl Iterator<Item = String> + '_ {
    let text = std::str::from_utf8(value).unwrap_or_default();
    text.split(',').map(|item| item.trim().to_ascii_lowercase())
}

/// A comma-separated list in all lines of one header, in lower case.
pub(in crate::http) fn listed(headers: &HeaderMap, name: HeaderName) -> Vec<String> {
    headers.get_all(name).flat_map(|line| options(line.as_bytes())).collect()
}

/// Whether the client asks to go on as a web socket.
pub(super) fn asks_for_web_socket(headers: &HeaderMap) -> bool {
    headers.contains_key(UPGRADE)
        && listed(headers, UPGRADE).iter().any(|protocol| protocol == "websocket")
        && listed(headers, CONNECTION).iter().any(|option| option == "upgrade")
}

/// What a function is asked: where, and in which way the body comes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    /// Path and query as the function sees them.
    pub(super) path_and_query: &'a str,
    /// The instance's address.
    pub(super) authority: &'a str,
    pub(super) call_headers: Option<&'a CallHeaders>,
    /// What a call that was kept is called here: each of its tries says the same.
    pub(super) actord_call: Option<&'a str>,
    pub(super) web_socket: bool,
    /// Whether `Authorization` is for actord: the function could call others by what it says.
    pub(super) authorization_is_ours: bool,
    pub(super) chunked: bool,
}

/// Writes the head of the request that the function gets.
pub(super) fn to_function(request: &Request, asked: Asked<'_>, out: &mut Vec<u8>) {
    let sent = request.head().headers();
    let named = if sent.contains_key(CONNECTION) { listed(sent, CONNECTION) } else { Vec::new() };
    let slash = if asked.path_and_query.starts_with('/') { "" } else { "/" };
    for part in [request.method().as_str(), " ", slash, asked.path_and_query, " HTTP/1.1\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
    let mut add = |name: &HeaderName, value: &[u8]| {
        for part in [name.as_str().as_bytes(), b": ", value, b"\r\n"] {
            out.extend_from_slice(part);
        }
    };
    // `Host` is the instance's own.
    add(&HOST, asked.authority.as_bytes());
    let (mut has_for, mut has_host, mut has_agent) = (false, false, false);
    let is_believed = connection::is_from_proxy(request);
    for (name, value) in sent {
        // `Expect` was met when the body was let in; framing is not the client's to drop.
        let dropped = *name == HOST || *name == EXPECT || is_hop_by_hop(name);
        if dropped || *name != CONTENT_LENGTH && named.iter().any(|hop| *hop == name.as_str()) {
            continue;
        }
        match *name {
            // What follows is no body.
            CONTENT_LENGTH if asked.web_socket => continue,
            AUTHORIZATION if asked.authorization_is_ours => continue,
            USER_AGENT => has_agent = true,
            _ => match name.as_str() {
                // Functions tell tries of one call by it: no client says it.
                "x-actord-call" => continue,
                // Told anew below.
                "x-start-time" if asked.call_headers.is_some() => continue,
                "x-call-id" if asked.call_headers.is_some_and(|headers| headers.call_id.is_some()) => continue,
                // A client may say of itself what it likes: functions go by what is told below.
                forwarding if !is_believed && is_forwarding(forwarding) => continue,
                "x-forwarded-for" => has_for = true,
                "x-forwarded-host" => has_host = true,
                _ => {}
            },
        }
        add(name, value.as_bytes());
    }
    if asked.web_socket {
        add(&CONNECTION, b"upgrade");
        add(&UPGRADE, b"websocket");
    }
    if asked.chunked {
        add(&TRANSFER_ENCODING, b"chunked");
    }
    if let (false, Some(named)) = (has_host, sent.get(HOST)) {
        add(&X_FORWARDED_HOST, named.as_bytes());
    }
    if let Some(id) = asked.actord_call {
        add(&X_ACTORD_CALL, id.as_bytes());
    }
    if let Some(headers) = asked.call_headers {
        add(&X_START_TIME, headers.start_time.as_bytes());
        if let Some(id) = &headers.call_id {
            add(&X_CALL_ID, id.as_bytes());
        }
        if !has_agent {
            add(&USER_AGENT, ME.as_bytes());
        }
    }
    if let (false, Some(peer)) = (has_for, connection::peer(request)) {
        add(&X_FORWARDED_FOR, peer.as_bytes());
    }
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    /// The header lines that a function gets, sorted.
    fn sent(request: &Request) -> Vec<String> {
        let mut out = Vec::new();
        let asked = Asked {
            path_and_query: "?a=b",
            authority: "10.0.0.1:8080",
            call_headers: None,
            actord_call: None,
            web_socket: false,
            authorization_is_ours: false,
            chunked: false,
        };
        to_function(request, asked, &mut out);
        let text = String::from_utf8(out).unwrap();
        let lines = text.strip_prefix("GET /?a=b HTTP/1.1\r\n").and_then(|rest| rest.strip_suffix("\r\n\r\n"));
        let mut lines: Vec<_> = lines.expect(&text).split("\r\n").map(str::to_owned).collect();
        lines.sort();
        lines
    }

    #[test]
    fn a_call_id_is_a_uuid_of_version_4() {
        for _ in 0..100 {
            let id = new_call_id().unwrap();
            let id = id.to_str().unwrap();
            assert_eq!(id.split('-').map(str::len).collect::<Vec<_>>(), [8, 4, 4, 4, 12], "{id}");
            assert_eq!(id.as_bytes()[14], b'4', "{id}");
            assert!(b"89ab".contains(&id.as_bytes()[19]), "{id}");
        }
    }

    #[test]
    fn what_belongs_to_one_hop_does_not_reach_the_function() {
        let request = TestRequest::get()
            .insert_header(("Connection", "close, X-Mine, Content-Length"))
            .insert_header(("X-Mine", "1"))
            .insert_header(("X-Yours", "2"))
            .insert_header(("Keep-Alive", "timeout=5"))
            .insert_header(("TE", "trailers"))
            .insert_header(("Upgrade", "h2c"))
            .insert_header(("Proxy-Authorization", "Basic x"))
            .insert_header(("Expect", "100-continue"))
            .insert_header(("Content-Length", "3"))
            .to_request();
        assert_eq!(sent(&request), ["content-length: 3", "host: 10.0.0.1:8080", "x-yours: 2"]);
    }

    #[test]
    fn a_header_with_many_values_keeps_them_all_in_order() {
        let request = TestRequest::get().append_header(("X-Many", "a")).append_header(("X-Many", "b")).to_request();
        assert_eq!(sent(&request), ["host: 10.0.0.1:8080", "x-many: a", "x-many: b"]);
    }

    #[test]
    fn a_web_socket_is_asked_for_with_both_headers() {
        let asks = |connection: &str, upgrade: &str| {
            let request =
                TestRequest::get().insert_header(("Connection", connection)).insert_header(("Upgrade", upgrade));
            asks_for_web_socket(request.to_request().head().headers())
        };
        assert!(asks("keep-alive, Upgrade", "WebSocket"));
        assert!(!asks("keep-alive", "websocket"));
        assert!(!asks("upgrade", "h2c"));
    }
}
