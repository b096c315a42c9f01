//! Whose turn it is on a connection: the client's, to ask, or ours, to answer. Shared by the connection and the routes.

use std::cell::{Cell, RefCell};
use std::error::Error as StdError;
use std::ops::RangeInclusive;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use actix_http::{Request, Response};
use actix_web::body::{BodySize, MessageBody};
use actix_web::http::{ConnectionType, StatusCode, Version};
use actix_web::web::Bytes;

use super::Peer;
use super::unread::Unread;
use super::version;

/// So much of an answer's body is read at once for a client of which nothing is known, and at most for one that is quick.
const PIECE: RangeInclusive<usize> = 4 << 10..=64 << 10;

/// The request that a connection is at.
#[derive(Debug)]
pub(super) struct Turn {
    /// Who asks: address and port, as functions are told of it with each request.
    peer: Option<Box<str>>,
    /// Whether that is a proxy that is believed what it says of its own clients.
    is_proxy: bool,
    /// Whether its answer is complete, or given up.
    answered: Cell<bool>,
    /// Whether its answer broke off where only the connection's end says that it is complete.
    cut_short: Cell<bool>,
    /// Whether what follows its head is no body, but another protocol.
    is_tunnel: Cell<bool>,
    /// Path and query as they were sent, if actix was given them percent-encoded.
    sent: RefCell<Option<Rc<str>>>,
    /// So much of an answer's body may be read at once.
    piece: Cell<usize>,
}

impl Turn {
    /// Of a connection that was just accepted.
    pub(super) fn new(peer: Option<Peer>) -> Self {
        Self {
            peer: peer.map(|peer| peer.address.to_string().into()),
            is_proxy: peer.is_some_and(|peer| peer.is_proxy),
            answered: Cell::default(),
            cut_short: Cell::default(),
            is_tunnel: Cell::default(),
            sent: RefCell::default(),
            piece: Cell::new(*PIECE.start()),
        }
    }

    /// A request was read.
    pub(super) fn begin(&self, is_tunnel: bool, sent: Option<Box<str>>) {
        self.answered.set(false);
        self.is_tunnel.set(is_tunnel);
        self.sent.replace(sent.map(Rc::from));
    }

    /// Its answer is complete, or given up.
    pub(super) fn end(&self) {
        self.answered.set(true);
    }

    /// Our kernel took so many bytes at once, all that there were. The next piece of the answer may be larger if it
    /// `has_sent_all` of them: a client that takes its time never has a large piece waiting for it.
    pub(super) fn took(&self, bytes: usize, has_sent_all: impl FnOnce() -> bool) {
        let piece = self.piece.get();
        if piece < *PIECE.end() && bytes >= piece && has_sent_all() {
            self.piece.set(2 * piece);
        }
    }

    pub(super) fn is_cut_short(&self) -> bool {
        self.cut_short.get()
    }

    pub(super) fn is_answered(&self) -> bool {
        self.answered.get()
    }
}

/// The request's path and query as its client sent them, if actix knows them percent-encoded.
pub(in crate::http) fn sent(request: &Request) -> Option<Rc<str>> {
    request.conn_data::<Rc<Turn>>()?.sent.borrow().clone()
}

/// How quickly a client takes what it is sent.
#[derive(Debug, Clone)]
pub(in crate::http) struct Pace(Option<Rc<Turn>>);

impl Pace {
    /// Of the client that sent a request.
    pub(in crate::http) fn of(request: &Request) -> Self {
        Self(request.conn_data::<Rc<Turn>>().cloned())
    }

    #[cfg(test)]
    pub(super) fn at(turn: Rc<Turn>) -> Self {
        Self(Some(turn))
    }

    /// So many bytes of its answer may be read at once.
    pub(in crate::http) fn piece(&self) -> usize {
        self.0.as_ref().map_or(*PIECE.start(), |turn| turn.piece.get())
    }
}

/// Address and port of the client that sent a request.
pub(in crate::http) fn peer(request: &Request) -> Option<&str> {
    request.conn_data::<Rc<Turn>>()?.peer.as_deref()
}

/// Whether a request came from a proxy that is believed what it says of its own clients.
pub(in crate::http) fn is_from_proxy(request: &Request) -> bool {
    request.conn_data::<Rc<Turn>>().is_some_and(|turn| turn.is_proxy)
}

/// Ends the turn when it is dropped: with the last byte of the answer, or without one.
struct Answering(Option<Rc<Turn>>);

impl Drop for Answering {
    fn drop(&mut self) {
        if let Some(turn) = &self.0 {
            turn.end();
        }
    }
}

/// Around every route, from a request to its answer: tells the connection when the answer is complete, and reads away a
/// short body that no route has read, so that the connection can go on. An upgrade that is not granted is told its end.
pub(in crate::http) struct Exchange {
    answering: Answering,
    unread: Option<Unread>,
    is_upgrade: bool,
    /// Whether the client speaks HTTP/1.0.
    is_old: bool,
}

impl Exchange {
    /// Before the route has the request.
    pub(in crate::http) fn begin(request: &mut Request) -> Self {
        let turn = request.conn_data::<Rc<Turn>>().cloned();
        let is_tunnel = turn.as_ref().is_some_and(|turn| turn.is_tunnel.get());
        let answering = Answering(turn);
        let unread = if is_tunnel { None } else { Unread::watch(request) };
        Self { answering, unread, is_upgrade: request.upgrade(), is_old: request.version() < Version::HTTP_11 }
    }

    /// With what the route answers.
    pub(in crate::http) async fn end<B: MessageBody>(self, mut answer: Response<B>) -> Response<Answer<B>> {
        if self.is_old {
            version::fit(&mut answer);
        }
        // An upgrade that was asked for and not granted ends the connection: both sides would have to guess what comes next on it.
        if self.is_upgrade && answer.status() != StatusCode::SWITCHING_PROTOCOLS {
            answer.head_mut().set_connection_type(ConnectionType::Close);
        }
        if let Some(unread) = self.unread
            && !unread.read_away().await
        {
            // actix says so of a body whose length it knows. Of chunks it would read whatever still comes.
            answer.head_mut().set_connection_type(ConnectionType::Close);
        }
        let is_endless = self.is_old && answer.body().size() == BodySize::Stream;
        let answering = self.answering;
        answer.map_body(|_, body| Answer { body, is_endless, answering })
    }
}

/// The body of an answer; the turn ends with it.
pub(in crate::http) struct Answer<B> {
    body: B,
    /// Whether nothing but the connection's end says where it ends.
    is_endless: bool,
    answering: Answering,
}

impl<B: MessageBody + Unpin> MessageBody for Answer<B>
where
    B::Error: Into<Box<dyn StdError>>,
{
    type Error = B::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, B::Error>>> {
        let this = self.get_mut();
        let piece = Pin::new(&mut this.body).poll_next(cx);
        if let (true, Poll::Ready(Some(Err(_))), Some(turn)) = (this.is_endless, &piece, &this.answering.0) {
            turn.cut_short.set(true);
        }
        piece
    }
}
