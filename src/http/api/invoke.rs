//! `/system/function/{name}/invoke`: a call of a function for who looks at it, by hand.
//!
//! ```text
//! JSON -> method, path, headers, body -> queue's senders -> proxy -> function -> its answer -> JSON
//! ```
//! What a function answers is data here, and never a document of this origin: a page that shows it runs nothing of it.

use std::net::IpAddr;
use std::time::Duration;

use actix_web::http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_LENGTH, EXPECT, HOST, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::web::{self, Bytes, Payload};
use actix_web::{HttpRequest, HttpResponse};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::time::timeout;
use tracing::info;

use super::error::HttpError;
use super::needs::caller;
use super::params::{InNamespace, Named};
use super::request::{Answer, BODY_MAX, Context, agreed_namespace, read};
use super::subject::about_function;
use crate::credentials::{Caller, Scope, looks_like_token};
use crate::function::{FunctionId, Invalid};
use crate::http::guesses::Guesses;
use crate::http::proxies::is_forwarding;
use crate::http::proxy::is_hop_by_hop;
use crate::queue::head::Head;
use crate::queue::retry::{Came, Hold};
use crate::queue::seam::{Reply, Sending};
use crate::queue::{CallId, Kept, wall};
use crate::wire::{self, InvokeAnswer, InvokeRequest};

/// So much of an answer's body is told.
const KEPT: usize = 256 << 10;

/// Beside the time for its answer and that for its start, which it may need first.
const MORE: Duration = Duration::from_secs(15);

/// What actord says of a call, and nobody else.
const OURS: [&str; 2] = ["x-actord-call", "x-actord-chain"];

/// Calls a function, and tells its answer as data
///
/// A function that asks for a token is called only for a token that may call it: the password opens no function. Of a long body
/// the beginning is told. What is no answer of the function's own is answered as its caller would be told it.
#[utoipa::path(post, path = "/system/function/{name}/invoke", operation_id = "invoke_function", tag = "functions",
params(Named, InNamespace), request_body = InvokeRequest, responses(
    (status = 200, description = "It answered, whatever it said", body = InvokeAnswer),
    (status = 404, description = "There is no such function", content_type = "text/plain", body = String),
    (status = 502, description = "It broke off, or could not be reached", content_type = "text/plain", body = String),
    (status = 504, description = "It did not answer in time", content_type = "text/plain", body = String),
))]
pub(super) async fn invoke(
    path: web::Path<String>,
    request: HttpRequest,
    body: Payload,
    guesses: web::Data<Guesses>,
    (services, settings): Context,
) -> Answer {
    let sent = read(body, BODY_MAX).await?;
    let sent = if sent.is_empty() { InvokeRequest::default() } else { wire::read(&sent)? };
    let id = FunctionId::new(path.parse()?, agreed_namespace(&services, &sent.namespace, &request).await?);
    about_function(&request, &id);
    let missing = || HttpError::new(StatusCode::NOT_FOUND, format!("function: {id} not found"));
    let entry = services.routes.find(&id).ok_or_else(missing)?;
    let caller = caller(&request)?;
    if entry.asks_for_token() {
        may_call(&caller, &id)?;
    }
    let from = guesses.client(request.peer_addr(), request.headers());
    let sending = sending(id.clone(), sent, entry.asks_for_token(), from)?;
    info!(function = %id, by = caller.name(), "call asked for");
    let limit = entry.limit().or(settings.upstream_timeout) + services.routes.waking() + MORE;
    let Ok(reply) = timeout(limit, services.queue.call_now(&sending)).await else {
        let line = format!(
            "function {id} was not started and did not end its answer within {limit:?}: `actord describe {id}` says how it stands"
        );
        return Err(HttpError::new(StatusCode::GATEWAY_TIMEOUT, line));
    };
    let Reply { came, answer, took, .. } = reply.ok_or_else(|| HttpError::busy("no function can be called yet"))?;
    let answer = match came {
        Came::Answered { status, .. } => answer.unwrap_or(Kept { status, ..Kept::default() }),
        Came::Internal { status, reason, .. } => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
            return Err(HttpError::new(status, reason));
        }
        Came::NotTried(Hold::Gone) => return Err(missing()),
        Came::NotTried(Hold::KeptDown) => {
            return Err(HttpError::busy(format!("function {id} is kept down: `actord start {id}` lets it run")));
        }
        Came::NotTried(_) => return Err(HttpError::busy("no function can be called just now")),
    };
    Ok(HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).json(told(answer, took)))
}

/// Lets a caller go on whose own token may call this function.
fn may_call(caller: &Caller, id: &FunctionId) -> Result<(), HttpError> {
    let line = match caller {
        Caller::Token(token) if token.has(Scope::Invoke) && token.namespaces.contains(&id.namespace) => return Ok(()),
        Caller::Token(token) => format!("function {id} asks for a token, and token {} may not call it", token.id),
        Caller::Admin(_) => format!("function {id} asks for a token: sign in with one that has invoke"),
    };
    Err(HttpError::new(StatusCode::FORBIDDEN, line))
}

fn sending(function: FunctionId, sent: InvokeRequest, guarded: bool, from: IpAddr) -> Result<Sending, Invalid> {
    let body = body(&sent)?;
    let method = method(&sent.method)?;
    let length = (!body.is_empty() || matches!(method.as_str(), "POST" | "PUT" | "PATCH")).then_some(body.len());
    Ok(Sending {
        id: CallId::new(wall()),
        function,
        path_and_query: target(sent.path)?,
        head: head(&sent.headers, guarded, length, from)?.encode(),
        method: method.as_str().to_owned(),
        body,
        keep: KEPT,
    })
}

fn body(sent: &InvokeRequest) -> Result<Bytes, Invalid> {
    match (&sent.body, &sent.body_base64) {
        (Some(_), Some(_)) => Err(Invalid("there are a body and a bodyBase64: send one of them".to_owned())),
        (Some(text), None) => Ok(Bytes::from(text.clone())),
        (None, Some(text)) => {
            STANDARD.decode(text).map(Bytes::from).map_err(|error| Invalid(format!("bodyBase64 is no base64: {error}")))
        }
        (None, None) => Ok(Bytes::new()),
    }
}

fn method(sent: &str) -> Result<Method, Invalid> {
    if sent.is_empty() {
        return Ok(Method::POST);
    }
    let method = Method::from_bytes(sent.as_bytes()).ok().filter(|method| *method != Method::CONNECT);
    method.ok_or_else(|| Invalid(format!("no function is called by the method {sent:?}: expected one such as POST")))
}

fn target(sent: String) -> Result<String, Invalid> {
    match sent.as_str() {
        "" => Ok("/".to_owned()),
        text if text.starts_with('/') && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#') => Ok(sent),
        _ => Err(Invalid(
            "path begins with a slash, and has what may not stand in a URL as %XX: /items?page=2".to_owned(),
        )),
    }
}

/// What the function gets of the headers, and who calls it.
fn head(sent: &[Vec<String>], guarded: bool, length: Option<usize>, from: IpAddr) -> Result<Head, Invalid> {
    let mut head = Head::default();
    for pair in sent {
        let [name, value] = pair.as_slice() else {
            return Err(Invalid("each of headers is a name and a value: [\"Accept\", \"text/plain\"]".to_owned()));
        };
        let wrong = || Invalid(format!("{name:?} with this value can be no header"));
        let name = HeaderName::from_bytes(name.trim().as_bytes()).map_err(|_| wrong())?;
        let value = HeaderValue::from_bytes(value.trim().as_bytes()).map_err(|_| wrong())?;
        let dropped = matches!(name, HOST | EXPECT | CONTENT_LENGTH)
            || is_hop_by_hop(&name)
            || is_forwarding(name.as_str())
            || OURS.contains(&name.as_str())
            // The function could call others by it.
            || name == AUTHORIZATION && (guarded || looks_like_token(value.as_bytes()));
        if !dropped {
            head.0.push((name.as_str().to_owned(), value.as_bytes().to_owned()));
        }
    }
    if let Some(length) = length {
        head.set("content-length", length.to_string());
    }
    head.set("x-forwarded-for", from.to_string());
    Ok(head)
}

fn told(answer: Kept, took: Duration) -> InvokeAnswer {
    let cut = answer.total > answer.body.len() as u64;
    let (body, body_base64) = match text(&answer.body, cut) {
        Some(text) => (Some(text.to_owned()), None),
        None => (None, Some(STANDARD.encode(&answer.body))),
    };
    let value = |(name, value): (String, Vec<u8>)| [name, String::from_utf8_lossy(&value).into_owned()];
    InvokeAnswer {
        status: answer.status,
        headers: answer.head.into_iter().map(value).collect(),
        body,
        body_base64,
        bytes: answer.total,
        cut,
        seconds: took.as_secs_f64(),
    }
}

/// What a body says, if it is text. One that is cut may end within a letter.
fn text(body: &[u8], cut: bool) -> Option<&str> {
    let text = match std::str::from_utf8(body) {
        Ok(text) => text,
        Err(error) if cut && error.error_len().is_none() => std::str::from_utf8(&body[..error.valid_up_to()]).ok()?,
        Err(_) => return None,
    };
    (!text.contains('\0')).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(headers: &[[&str; 2]]) -> InvokeRequest {
        let headers = headers.iter().map(|pair| pair.map(str::to_owned).to_vec()).collect();
        InvokeRequest { headers, ..InvokeRequest::default() }
    }

    fn made(sent: InvokeRequest, guarded: bool) -> Result<(Sending, Vec<String>), Invalid> {
        let sending = sending("env".parse().unwrap(), sent, guarded, "192.0.2.7".parse().unwrap())?;
        let head = Head::decode(&sending.head).unwrap();
        let lines = head.0.iter().map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value)));
        let lines = lines.collect();
        Ok((sending, lines))
    }

    #[test]
    fn a_call_that_says_nothing_is_a_post_of_nothing() {
        let (sending, lines) = made(InvokeRequest::default(), false).unwrap();
        assert_eq!((sending.method.as_str(), sending.path_and_query.as_str()), ("POST", "/"));
        assert_eq!(lines, ["content-length: 0", "x-forwarded-for: 192.0.2.7"]);
        let get = InvokeRequest { method: "GET".into(), path: "/a?b=%20".into(), ..InvokeRequest::default() };
        let (sending, lines) = made(get, false).unwrap();
        assert_eq!((sending.method.as_str(), sending.path_and_query.as_str()), ("GET", "/a?b=%20"));
        assert_eq!(lines, ["x-forwarded-for: 192.0.2.7"]);
    }

    #[test]
    fn headers_are_handed_on_but_those_of_one_hop_of_proxies_of_actord_and_its_tokens() {
        let sent = request(&[
            ["X-Mine", " 1 "],
            ["x-mine", "2"],
            ["Host", "other"],
            ["Connection", "close"],
            ["Transfer-Encoding", "chunked"],
            ["Content-Length", "7"],
            ["X-Forwarded-For", "1.2.3.4"],
            ["X_Real_IP", "1.2.3.4"],
            ["X-Actord-Call", "x"],
            ["Authorization", "Bearer actord_x"],
            ["Authorization", "Bearer mine"],
        ]);
        let sent = InvokeRequest { body: Some("ü".into()), ..sent };
        let all =
            ["x-mine: 1", "x-mine: 2", "authorization: Bearer mine", "content-length: 2", "x-forwarded-for: 192.0.2.7"];
        assert_eq!(made(sent.clone(), false).unwrap().1, all);
        assert!(made(sent, true).unwrap().1.iter().all(|line| !line.starts_with("authorization")));
    }

    #[test]
    fn what_can_be_no_request_is_refused_in_words() {
        let nothing = InvokeRequest::default;
        for (sent, words) in [
            (InvokeRequest { method: "G T".into(), ..nothing() }, "method"),
            (InvokeRequest { method: "CONNECT".into(), ..nothing() }, "method"),
            (InvokeRequest { path: "x".into(), ..nothing() }, "slash"),
            (InvokeRequest { path: "/a b".into(), ..nothing() }, "slash"),
            (InvokeRequest { path: "/\r\nHost: x".into(), ..nothing() }, "slash"),
            (request(&[["a b", "c"]]), "no header"),
            (request(&[["a", "b\r\nc: d"]]), "no header"),
            (InvokeRequest { headers: vec![vec!["a".into()]], ..nothing() }, "a name and a value"),
            (InvokeRequest { body_base64: Some("%".into()), ..nothing() }, "base64"),
            (InvokeRequest { body: Some(String::new()), body_base64: Some(String::new()), ..nothing() }, "one of them"),
        ] {
            let Invalid(line) = made(sent.clone(), false).unwrap_err();
            assert!(line.contains(words), "{sent:?}: {line}");
        }
    }

    #[test]
    fn a_body_is_told_as_text_where_it_is_one_and_its_end_may_be_missing() {
        let answer = |body: &'static [u8], total: u64| {
            let kept = Kept { status: 200, body: Bytes::from_static(body), total, ..Kept::default() };
            let InvokeAnswer { body, body_base64, bytes, cut, .. } = told(kept, Duration::ZERO);
            (body, body_base64, bytes, cut)
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(answer(b"", 0), (some(""), None, 0, false));
        assert_eq!(answer("ä".as_bytes(), 2), (some("ä"), None, 2, false));
        assert_eq!(answer(b"a\xc3", 9), (some("a"), None, 9, true));
        assert_eq!(answer(b"a\xc3", 2), (None, some("YcM="), 2, false));
        assert_eq!(answer(b"\0", 1), (None, some("AA=="), 1, false));
    }
}
