//! A client's connection that carries many requests at once: HTTP/2, which clients choose where TLS is spoken.
//!
//! ```text
//! link -> h2 -> a stream each: request -> routes or proxy -> answer -> h2 -> link
//!                              reset by its client, or its answer not taken: dropped, and its function learns of it
//! ```
//! Each limit of a connection holds here, too. What h2 takes in and holds back is bounded ([`builder`]). A request beside
//! another one counts as a connection does, so that a client gets no more of them by asking on one. An answer that its
//! client leaves no room for (flow control) is held to the rule of slow clients as a connection is whose socket is full, which
//! is `Link`'s to find. A connection without a request is closed after the time that idle ones have, whatever else is sent on
//! it. A client that has gone without a word is the kernel's to notice (TCP keep-alive), as with HTTP/1.1.
//!
//! When actord is about to end, and before an idle connection is closed, the client is told to send nothing more (GOAWAY);
//! what it had sent before it knew is answered.

mod answer;
mod lent;
mod request;

use std::convert::Infallible;
use std::error::Error as StdError;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use actix_http::{Request, Response, ServiceConfig};
use actix_service::Service;
use actix_web::body::MessageBody;
use actix_web::http::StatusCode;
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use h2::server::{Builder, Connection, SendResponse};
use h2::{Reason, RecvStream};
use tokio::time::{Sleep, sleep, timeout};

use self::lent::Lent;
use super::Peer;
use super::admission::{Admission, Place};
use super::head::HEAD_MAX;
use super::link::Link;
use super::patience::Patience;
use super::reading::Readers;
use super::refusal::Refusal;
use super::strangers::Strangers;
use super::stream::LINGER;
use super::turn::Caller;
use crate::http::{ClientTimes, Draining};

/// Requests that a client may have under way on one connection; what RFC 9113, 6.5.2 has as the least that makes sense.
const STREAMS: u32 = 100;

/// So many bytes of a request's body may come before some of it is read, and of all bodies of a connection.
const UNREAD: u32 = 128 << 10;
const UNREAD_OF_ALL: u32 = 512 << 10;

/// So many bytes of an answer wait in h2 at most for their connection's turn.
const UNSENT: usize = 32 << 10;

/// A client may take back so many requests more than it lets be answered: each has cost its function a call.
const TAKEN_BACK: u32 = 100;

/// What a request of a connection needs of it.
pub(super) struct Shared {
    pub(super) peer: Option<Peer>,
    pub(super) admission: Admission,
    pub(super) strangers: Strangers,
    pub(super) readers: Readers,
}

/// A connection of HTTP/2 whose client has not said anything yet.
pub(in crate::http) struct Http2 {
    link: Link,
    shared: Shared,
    _place: Place,
    times: ClientTimes,
    /// What is left of the time for the head of its first request.
    left: Duration,
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// Its answer was begun.
    Answered,
    /// Its client took it back before that.
    TakenBack,
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder
        .max_concurrent_streams(STREAMS)
        .initial_window_size(UNREAD)
        .initial_connection_window_size(UNREAD_OF_ALL)
        .max_header_list_size(u32::try_from(HEAD_MAX).unwrap_or(u32::MAX))
        .max_send_buffer_size(UNSENT);
    builder
}

impl Http2 {
    pub(super) fn new(link: Link, shared: Shared, place: Place, times: ClientTimes, left: Duration) -> Self {
        Self { link, shared, _place: place, times, left }
    }

    /// Serves it to its end. `front` answers, and `clock` knows the date.
    pub(in crate::http) async fn serve<S, B>(self, front: &S, draining: &Draining, clock: &ServiceConfig)
    where
        S: Service<Request, Response = Response<B>, Error = Infallible>,
        B: MessageBody,
        B::Error: Into<Box<dyn StdError>>,
    {
        let Self { link, shared, _place, times, left } = self;
        let mut patience = Patience::new(times);
        patience.begin(Some(left));
        let mut link = Lent::new(link);
        let Ok(Ok(mut connection)) = timeout(left, builder().handshake(link.clone())).await else { return };
        let caller = Caller::of(shared.peer);
        let mut streams = FuturesUnordered::new();
        let mut ending = Ending::default();
        let (mut is_new, mut is_idle) = (true, false);
        let mut taken_back = 0_u32;
        let mut raised = pin!(draining.raised());
        poll_fn(|cx| {
            if !ending.is_told && raised.as_mut().poll(cx).is_ready() {
                ending.tell(&mut connection);
            }
            loop {
                match connection.poll_accept(cx) {
                    Poll::Ready(Some(Ok((request, respond)))) => {
                        patience.head_came();
                        is_new = false;
                        let place = match streams.is_empty() {
                            true => Ok(None),
                            false => shared.admission.one_more(shared.peer).map(Some),
                        };
                        let refused = |full| Refusal::new(StatusCode::SERVICE_UNAVAILABLE, format!("not now: {full}"));
                        let place = place.map_err(refused);
                        streams.push(exchange(request, respond, place, &caller, front, &shared, clock));
                        continue;
                    }
                    Poll::Ready(_) => return Poll::Ready(()),
                    Poll::Pending => {}
                }
                match streams.poll_next_unpin(cx) {
                    Poll::Ready(Some(End::Answered)) => taken_back = taken_back.saturating_sub(1),
                    Poll::Ready(Some(End::TakenBack)) => {
                        taken_back += 1;
                        if taken_back > TAKEN_BACK {
                            connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
                            ending.is_told = true;
                        }
                    }
                    Poll::Ready(None) => break,
                    Poll::Pending => {
                        ending.linger = None;
                        return Poll::Pending;
                    }
                }
            }
            if link.is_blocked() {
                // What is left of an answer. It is the link that finds a client too slow for it.
                ending.linger = None;
                return Poll::Pending;
            }
            if !ending.is_told {
                let waited = if is_new { patience.poll_head(cx).map(drop) } else { patience.poll_idle(cx) };
                if waited.is_pending() {
                    return Poll::Pending;
                }
                is_idle = true;
                ending.tell(&mut connection);
                cx.waker().wake_by_ref();
            }
            ending.poll_over(cx)
        })
        .await;
        drop((streams, connection));
        link.read_away(LINGER).await;
        if is_idle {
            // Of one that has not even taken its last answer our kernel would keep that for minutes.
            link.give_up_untaken();
        }
    }
}

/// The end of a connection that its client is told of.
#[derive(Default)]
struct Ending {
    is_told: bool,
    /// Rings when it has had its time to leave.
    linger: Option<Pin<Box<Sleep>>>,
}

impl Ending {
    fn tell(&mut self, connection: &mut Connection<Lent, Bytes>) {
        connection.graceful_shutdown();
        self.is_told = true;
    }

    /// Ready when a client without a request has not left in time.
    fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.linger.get_or_insert_with(|| Box::pin(sleep(LINGER))).as_mut().poll(cx)
    }
}

/// One request, to the end of its answer. Dropped, it tells the function as well as the client.
async fn exchange<S, B>(
    request: ::http::Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    place: Result<Option<Place>, Refusal>,
    caller: &Caller,
    front: &S,
    shared: &Shared,
    clock: &ServiceConfig,
) -> End
where
    S: Service<Request, Response = Response<B>, Error = Infallible>,
    B: MessageBody,
    B::Error: Into<Box<dyn StdError>>,
{
    let to_head = request.method() == ::http::Method::HEAD;
    let wants_word = request::waits_for_continue(&request);
    let (request, _place) = match (place, request::read(request, caller)) {
        (Ok(place), Ok(request)) => (request, place),
        (Err(full), _) => {
            answer::refuse(respond, &full);
            return End::Answered;
        }
        (_, Err(refusal)) => {
            shared.strangers.note(shared.peer.map(|peer| peer.address), &refusal);
            answer::refuse(respond, &refusal);
            return End::Answered;
        }
    };
    if wants_word {
        answer::say_continue(&mut respond);
    }
    let answer = {
        let mut call = pin!(front.call(request));
        poll_fn(|cx| match call.as_mut().poll(cx) {
            Poll::Ready(Ok(answer)) => Poll::Ready(Some(answer)),
            Poll::Ready(Err(never)) => match never {},
            Poll::Pending => respond.poll_reset(cx).map(|_| None),
        })
        .await
    };
    let Some(answer) = answer else { return End::TakenBack };
    answer::send(answer, respond, to_head, shared, clock).await;
    End::Answered
}
