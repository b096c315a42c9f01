//! Headers on their way through: everything but what belongs to one hop. (actix-web and hyper have a header map each.)

use std::time::{SystemTime, UNIX_EPOCH};

use actix_web::http::header::HeaderMap as InHeaders;
use actix_web::{HttpRequest, HttpResponse};
use hyper::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, HOST, HeaderMap, HeaderName, HeaderValue, PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE, USER_AGENT,
};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_CALL_ID: HeaderName = HeaderName::from_static("x-call-id");
const X_START_TIME: HeaderName = HeaderName::from_static("x-start-time");
const X_SERVED_BY: HeaderName = HeaderName::from_static("x-served-by");

/// What the gateway calls itself, in answers and to functions whose caller gave no name.
const ME: HeaderValue = HeaderValue::from_static(concat!("actord/", env!("CARGO_PKG_VERSION")));

/// RFC 9110, 7.6.1, and what older peers send.
fn is_hop_by_hop(name: &HeaderName) -> bool {
    [CONNECTION, TRANSFER_ENCODING, TE, TRAILER, UPGRADE, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION].contains(name)
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
    pub(super) fn of(request: &HttpRequest) -> Self {
        let has_call_id = request.headers().get("x-call-id").is_some_and(|id| !id.is_empty());
        let call_id = (!has_call_id).then(new_call_id).flatten();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let nanos = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        Self { call_id, start_time: nanos.into() }
    }

    /// Adds them to an answer, the function's or the proxy's own. Those that the function set stay as they are.
    pub(super) fn add_to<B>(&self, answer: &mut HttpResponse<B>) {
        let added =
            [(X_START_TIME, Some(&self.start_time)), (X_CALL_ID, self.call_id.as_ref()), (X_SERVED_BY, Some(&ME))];
        for (name, value) in added {
            if let Some(value) = value
                && !answer.headers().contains_key(name.as_str())
            {
                append(answer, &name, value);
            }
        }
    }
}

/// A random UUID (RFC 9562, version 4).
fn new_call_id() -> Option<HeaderValue> {
    let random = rand::random::<u128>() & !(0xf << 76 | 0b11 << 62) | 0x4 << 76 | 0b10 << 62;
    let (a, b, c, d, e) = (random >> 96, random >> 80, random >> 64, random >> 48, random);
    let text =
        format!("{a:08x}-{:04x}-{:04x}-{:04x}-{:012x}", b & 0xffff, c & 0xffff, d & 0xffff, e & 0xffff_ffff_ffff);
    HeaderValue::try_from(text).ok()
}

/// A comma-separated list in all lines of one header, in lower case.
fn listed(headers: &InHeaders, name: &str) -> Vec<String> {
    let lines = headers.get_all(name).filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(|item| item.trim().to_ascii_lowercase()).collect()
}

/// Whether the client asks to go on as a web socket.
pub(super) fn asks_for_web_socket(headers: &InHeaders) -> bool {
    headers.contains_key("upgrade")
        && listed(headers, "upgrade").iter().any(|protocol| protocol == "websocket")
        && listed(headers, "connection").iter().any(|option| option == "upgrade")
}

/// The headers that the function gets.
pub(super) fn to_function(request: &HttpRequest, call_headers: Option<&CallHeaders>, web_socket: bool) -> HeaderMap {
    let sent = request.headers();
    let named = if sent.contains_key("connection") { listed(sent, "connection") } else { Vec::new() };
    let mut headers = HeaderMap::with_capacity(sent.len() + 6);
    for (name, value) in sent {
        let Ok(name) = HeaderName::from_bytes(name.as_str().as_bytes()) else { continue };
        // `Host` is the instance's own; `Expect` was met when the body was let in; framing is not the client's to drop.
        let dropped = name == HOST || name == EXPECT || is_hop_by_hop(&name);
        if dropped || name != CONTENT_LENGTH && named.iter().any(|hop| *hop == name.as_str()) {
            continue;
        }
        if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
            headers.append(name, value);
        }
    }
    if web_socket {
        // What follows is no body.
        headers.remove(CONTENT_LENGTH);
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    }
    if !headers.contains_key(&X_FORWARDED_FOR)
        && let Some(value) = request.peer_addr().and_then(|peer| HeaderValue::try_from(peer.to_string()).ok())
    {
        headers.insert(X_FORWARDED_FOR, value);
    }
    if !headers.contains_key(&X_FORWARDED_HOST)
        && let Some(named) = sent.get("host").and_then(|named| HeaderValue::from_bytes(named.as_bytes()).ok())
    {
        headers.insert(X_FORWARDED_HOST, named);
    }
    if let Some(call_headers) = call_headers {
        headers.insert(X_START_TIME, call_headers.start_time.clone());
        if let Some(id) = &call_headers.call_id {
            headers.insert(X_CALL_ID, id.clone());
        }
        headers.entry(USER_AGENT).or_insert(ME);
    }
    headers
}

/// Gives the client the headers of the function's answer. `upgraded` keeps those that switch protocols.
pub(super) fn to_client<B>(headers: &HeaderMap, upgraded: bool, answer: &mut HttpResponse<B>) {
    let named: Vec<String> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(',').map(|item| item.trim().to_ascii_lowercase()))
        .collect();
    for (name, value) in headers {
        let dropped = is_hop_by_hop(name) || named.iter().any(|hop| *hop == name.as_str());
        // The length is written anew from the body, except for an answer that has none (304).
        if dropped && !(upgraded && name == UPGRADE) {
            continue;
        }
        append(answer, name, value);
    }
}

fn append<B>(answer: &mut HttpResponse<B>, name: &HeaderName, value: &HeaderValue) {
    use actix_web::http::header::{HeaderName, HeaderValue};
    let name = HeaderName::from_bytes(name.as_str().as_bytes());
    if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(value.as_bytes())) {
        answer.headers_mut().append(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

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
            .to_http_request();
        let headers = to_function(&request, None, false);
        let mut names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["content-length", "x-yours"]);
    }

    #[test]
    fn a_header_with_many_values_keeps_them_all_in_order() {
        let request =
            TestRequest::get().append_header(("X-Many", "a")).append_header(("X-Many", "b")).to_http_request();
        let headers = to_function(&request, None, false);
        assert_eq!(headers.get_all("x-many").iter().collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn a_web_socket_is_asked_for_with_both_headers() {
        let asks = |connection: &str, upgrade: &str| {
            let request =
                TestRequest::get().insert_header(("Connection", connection)).insert_header(("Upgrade", upgrade));
            asks_for_web_socket(request.to_http_request().headers())
        };
        assert!(asks("keep-alive, Upgrade", "WebSocket"));
        assert!(!asks("keep-alive", "websocket"));
        assert!(!asks("upgrade", "h2c"));
    }
}
