//! GET `/system/events`: what becomes of functions, as a stream of server-sent events.
//!
//! ```text
//! query, Last-Event-ID -> Reader of the events -> those that the caller reaches -> frames, until the client leaves
//! ```
//! Who asks is looked up anew before each portion, so a token that is revoked hears of nothing any more. A client that takes its
//! time holds nothing up: nothing is read ahead of it.

use std::time::Duration;

use actix_web::http::{StatusCode, header};
use actix_web::web::{self, Bytes};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::stream;
use jiff::Timestamp;
use tokio::time::{Instant, timeout_at};

use super::error::HttpError;
use super::needs::{self, enter};
use super::params::ListEvents;
use super::request::{Answer, Context, last_in_query};
use super::{event_shown, sse};
use crate::credentials::{Access, Caller};
use crate::events::{EventId, Filter, Reader, Told};
use crate::function::{FunctionName, Namespace};
use crate::http::streams::Place;
use crate::http::text::text;
use crate::http::{Draining, Services, Settings};

/// After so long without anything else, something is sent: whoever is between says nothing of a connection that is dead.
const BEAT: Duration = Duration::from_secs(15);
/// What there is goes out together, up to so many bytes.
const PORTION: usize = 16 << 10;
/// When to come back where there are too many streams, in seconds.
const COME_BACK: header::HeaderValue = header::HeaderValue::from_static("5");
/// What a client of server-sent events sends when its connection broke.
const LAST_EVENT_ID: &str = "last-event-id";

/// What becomes of functions, as it happens
///
/// Server-sent events: `phase`, `deployed`, `deleted`, `restart`, `scale`, `refused`, `step` and `call` of functions, `faults` and
/// `paused` of the machine, each with an id; and `pull` and `load`, which are states and have none. Without a namespace they are
/// of all that the caller reaches, while a list without one shows the default namespace. Those of the machine are for callers
/// that reach all namespaces, and ask for no function. `after` (or the header `Last-Event-ID`) goes on after the event with that
/// id; where something was missed there is one `reset`, after which everything is to be looked at anew. Who falls behind the last
/// 10,000 gets that, and the stream ends.
#[utoipa::path(get, path = "/system/events", operation_id = "events", tag = "functions", params(ListEvents), responses(
    (status = 200, description = "The events, for as long as the client stays", content_type = "text/event-stream",
        body = String),
    (status = 400, description = "The query can't be read, or there is no such namespace", content_type = "text/plain",
        body = String),
))]
pub(super) async fn stream(request: HttpRequest, (services, settings): Context) -> Answer {
    let filter = filter(&services, &request).await?;
    let after = after(&request)?;
    let place = match settings.event_streams.take(&needs::caller(&request)?) {
        Ok(place) => place,
        Err(line) => {
            let mut refusal = text(StatusCode::SERVICE_UNAVAILABLE, line);
            refusal.headers_mut().insert(header::RETRY_AFTER, COME_BACK);
            return Ok(refusal);
        }
    };
    let sent = request.headers().get(header::AUTHORIZATION).map(|sent| sent.as_bytes().to_owned());
    let begun = Stream {
        reader: services.events.read(after, filter),
        draining: services.draining.clone(),
        settings,
        sent: sent.unwrap_or_default(),
        beat_at: Instant::now(),
        _place: place,
    };
    let portions = stream::unfold((true, begun), |(is_first, mut stream)| async move {
        let portion = if is_first { Bytes::from_static(sse::HELLO) } else { stream.next().await? };
        stream.beat_at = Instant::now() + BEAT;
        Some((Ok::<_, HttpError>(portion), (false, stream)))
    });
    let mut answer = HttpResponse::Ok();
    answer.content_type("text/event-stream").insert_header((header::CACHE_CONTROL, "no-store"));
    // nginx would keep the events to itself until it has a page of them.
    Ok(answer.insert_header(("x-accel-buffering", "no")).streaming(portions))
}

/// What is asked for. A namespace that is named must be there, and the caller must reach it.
async fn filter(services: &Services, request: &HttpRequest) -> Result<Filter, HttpError> {
    let given = |key| last_in_query(request, key).filter(|text| !text.is_empty());
    let name = given("name").map(|text| text.parse::<FunctionName>()).transpose()?;
    let namespace = given("namespace").map(|text| text.parse::<Namespace>()).transpose()?;
    if let Some(namespace) = &namespace {
        enter(request, namespace)?;
        if services.namespaces.get(namespace).await?.is_none() {
            return Err(HttpError::new(StatusCode::BAD_REQUEST, "namespace not valid"));
        }
    }
    Ok(Filter { namespace, name })
}

/// The event to go on after. A header that can't be read is of another server that was here before.
fn after(request: &HttpRequest) -> Result<Option<EventId>, HttpError> {
    if let Some(text) = last_in_query(request, "after").filter(|text| !text.is_empty()) {
        let id = text
            .parse::<EventId>()
            .map_err(|no| HttpError::new(StatusCode::BAD_REQUEST, format!("after={text}: {no}")));
        return id.map(Some);
    }
    let header = request.headers().get(LAST_EVENT_ID).filter(|header| !header.is_empty());
    let id = |header: &header::HeaderValue| header.to_str().ok()?.parse::<EventId>().ok();
    Ok(header.map(|header| id(header).unwrap_or(event_shown::NO_ID)))
}

/// A stream under way.
struct Stream {
    reader: Reader,
    draining: Draining,
    settings: web::Data<Settings>,
    /// The credentials.
    sent: Vec<u8>,
    /// When something is to be sent again.
    beat_at: Instant,
    _place: Place,
}

impl Stream {
    /// What goes out next; none at the end.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            let told = tokio::select! {
                biased;
                () = self.draining.raised() => return None,
                told = timeout_at(self.beat_at, self.reader.next()) => told,
            };
            let Some(caller) = caller(&self.settings.access, &self.sent) else {
                tracing::info!("events are not told any more to credentials that do not hold any more");
                return None;
            };
            let Ok(told) = told else { return Some(sse::beat(&self.reader.place().to_string()).into()) };
            let (mut next, now, mut portion) = (Some(told?), Timestamp::now(), Vec::new());
            while let Some(told) = next {
                write(&mut portion, &caller, told, now);
                next = if portion.len() < PORTION { self.reader.try_next() } else { None };
            }
            if !portion.is_empty() {
                return Some(portion.into());
            }
        }
    }
}

fn caller(access: &Access, sent: &[u8]) -> Option<Caller> {
    access.caller(sent).ok()
}

/// Adds what the caller may know of it.
fn write(portion: &mut Vec<u8>, caller: &Caller, told: Told, now: Timestamp) {
    match told {
        Told::Event(event) => {
            let is_seen = match &event.function {
                Some(function) => caller.reaches(&function.namespace),
                None => caller.reaches_all(),
            };
            if is_seen {
                let id = event.id.to_string();
                sse::frame(portion, Some(&id), event.what.word(), &event_shown::event(&event, now));
            }
        }
        Told::Pulls(pulls) => {
            for (function, pull) in pulls.iter().filter(|(id, _)| caller.reaches(&id.namespace)) {
                sse::frame(portion, None, "pull", &event_shown::pull(function, pull));
            }
        }
        Told::Loads(mut loads) => {
            loads.retain(|(id, _)| caller.reaches(&id.namespace));
            event_shown::loads(&loads).iter().for_each(|load| sse::frame(portion, None, "load", load));
        }
        Told::Health(health) if caller.reaches_all() => {
            for (name, data) in event_shown::health(&health, now) {
                sse::frame(portion, None, name, &data);
            }
        }
        Told::Health(_) => {}
        Told::Reset(why, id) => {
            sse::frame(portion, Some(&id.to_string()), "reset", &event_shown::reset(why));
        }
    }
}
