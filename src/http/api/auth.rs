//! Who asks, for everything under `/system`, and whether it may (`needs`). Who guesses has to wait (`guesses`).

use std::time::Duration;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::HeaderMap;
use actix_web::http::{StatusCode, header};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage as _, HttpRequest, HttpResponse, web};

use super::needs::{Needs, named, row};
use super::subject::Noted;
use crate::credentials::{Caller, Denied};
use crate::http::guesses::Guesses;
use crate::http::seconds::whole_seconds;
use crate::http::source::Source;
use crate::http::text::text;
use crate::http::{Services, Settings};

/// What no client but a browser sends. A page can leave out none of them all.
const OF_BROWSERS: [&str; 4] = ["sec-fetch-mode", "accept-language", "origin", "upgrade-insecure-requests"];

/// What is said of credentials that are not known.
const UNKNOWN: &str = "invalid credentials";

/// Lets a request pass that carries credentials by which it may do what it asks for: any other is answered with 401, with 403
/// where others could, or with 429 where too many wrong ones came from its address.
pub(super) async fn require(
    (settings, services): (web::Data<Settings>, web::Data<Services>),
    guesses: web::Data<Guesses>,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let client = guesses.client(request.peer_addr(), request.headers());
    let mut noted = Noted::begin(&settings.audit, request.request(), client);
    let path = request.match_info().as_str();
    let row = row(request.method(), path);
    if let Some((pattern, _)) = row {
        noted.is_for(pattern, named(pattern, path));
    }
    let header = request.headers().get(header::AUTHORIZATION);
    let known = header.map_or(Err(Denied::Nothing), |header| settings.access.caller(header.as_bytes()));
    noted.is_from(&known);
    let caller = match admit(known, Needs::of(row), &guesses, client.into()).await {
        Ok(caller) => caller,
        Err(refusal) => {
            noted.answered(refusal.status());
            let refusal = without_prompt(request.headers(), refusal);
            return Ok(request.into_response(refusal));
        }
    };
    if is_of_another_page(request.request()) {
        let line = "a page of another address asks for this: only the dashboard's own may";
        noted.answered(StatusCode::FORBIDDEN);
        return Ok(request.into_response(text(StatusCode::FORBIDDEN, line)));
    }
    if let Some(refusal) = services.gate.refusal_of(request.method(), request.match_info().as_str()) {
        noted.answered(refusal.status());
        return Ok(request.into_response(refusal));
    }
    request.extensions_mut().insert(caller);
    let answer = next.call(request).await?;
    noted.answered(answer.status());
    Ok(answer.map_into_boxed_body())
}

/// A browser that is asked for credentials in the usual way asks its user, and sends what it is told with each later request to
/// the same address: also with those of a page that a function answered there. Only browsers say what they ask for something as,
/// and that alone where an address is secure in their eyes; all of them are called Mozilla everywhere, and name their languages.
pub(super) fn without_prompt(sent: &HeaderMap, mut refusal: HttpResponse) -> HttpResponse {
    let agent = sent.get(header::USER_AGENT).map_or(&[][..], |agent| agent.as_bytes());
    if agent.starts_with(b"Mozilla/") || OF_BROWSERS.iter().any(|name| sent.contains_key(*name)) {
        refusal.headers_mut().remove(header::WWW_AUTHENTICATE);
    }
    refusal
}

/// Whether a page of another address makes its reader's browser ask, by credentials that the browser has kept: it says where such
/// a page is from, whatever that does. A proxy in between may call this address otherwise, and no page can speak for it without
/// asking first, which is refused.
fn is_of_another_page(request: &HttpRequest) -> bool {
    let Some(origin) = request.headers().get(header::ORIGIN) else { return false };
    let Some((_, origin)) = origin.to_str().ok().and_then(|origin| origin.split_once("://")) else { return true };
    let header = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
    let own = header(header::HOST).or_else(|| Some(request.uri().authority()?.as_str()));
    let is_own = |own: &str| own.trim().eq_ignore_ascii_case(origin);
    !own.into_iter().chain(header(header::HeaderName::from_static("x-forwarded-host"))).any(is_own)
}

/// Whom a request is from, after the wait that its source has to have, and if that one may do what it needs.
async fn admit(
    known: Result<Caller, Denied>,
    needs: Needs,
    guesses: &Guesses,
    source: Source,
) -> Result<Caller, HttpResponse> {
    if known == Err(Denied::Nothing) {
        return Err(unauthorised(UNKNOWN));
    }
    guesses.hold_up(source).await;
    let caller = known.map_err(|denied| match denied {
        Denied::Nothing | Denied::Wrong => {
            guesses.note(source).map_or_else(|| unauthorised(UNKNOWN), |wait| too_many(source, wait))
        }
        // Who has such a token guesses nothing.
        Denied::Expired(token) => {
            let (id, end) = (&token.id, token.expires_at.map(|end| end.to_string()).unwrap_or_default());
            unauthorised(&format!("token {id} expired at {end}: `actord token rotate {id}` makes it anew"))
        }
        Denied::Ended(id) => unauthorised(&format!("session {id} has ended: sign in again")),
    })?;
    needs.met_by(&caller).map_err(|line| text(StatusCode::FORBIDDEN, &line))?;
    Ok(caller)
}

fn unauthorised(line: &str) -> HttpResponse {
    HttpResponse::Unauthorized()
        .insert_header((header::WWW_AUTHENTICATE, "Basic realm=\"Restricted\""))
        .content_type("text/plain; charset=utf-8")
        .body(line.to_owned())
}

fn too_many(source: Source, wait: Duration) -> HttpResponse {
    let seconds = whole_seconds(wait);
    let line = format!(
        "invalid credentials, and too many of them came from {source}: all that come from there are answered late, the \
         right ones too, until none has come for {seconds} s. Other addresses are not held up"
    );
    let mut refusal = text(StatusCode::TOO_MANY_REQUESTS, &line);
    refusal.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    refusal
}
