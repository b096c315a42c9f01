//! Whose turn it is on a connection: the client's, to ask, or ours, to answer. Shared by the connection and the routes.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::error::Error as StdError;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use actix_http::{HttpMessage as _, Request, Response};
use actix_web::body::{BodySize, MessageBody};
use actix_web::http::{ConnectionType, StatusCode, Version};
use actix_web::web::Bytes;

use super::Peer;
use super::unread::Unread;
use super::version;

/// So much of an answer's body is read at once for a client of which nothing is known, and at most for one that is quick.
const PIECE: RangeInclusive<usize> = 4 << 10..=64 << 10;

/// Where a connection has several answers at once (HTTP/2), of each so much: what fits into one frame of it.
const FRAME: usize = 16 << 10;

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

/// What is known of the client of a request that shares its connection with others (HTTP/2), beside the request.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    pub(super) address: Option<SocketAddr>,
    /// That, as functions are told of it.
    peer: Option<Rc<str>>,
    is_proxy: bool,
    /// Path and query as they were sent, if actix was given them percent-encoded.
    sent: Option<Rc<str>>,
}

impl Caller {
    /// With one of its requests.
    pub(super) fn with(&self, sent: Option<Box<str>>) -> Self {
        Self { sent: sent.map(Rc::from), ..self.clone() }
    }

    pub(super) fn of(peer: Option<Peer>) -> Self {
        Self {
            address: peer.map(|peer| peer.address),
            peer: peer.map(|peer| peer.address.to_string().into()),
            is_proxy: peer.is_some_and(|peer| peer.is_proxy),
            sent: None,
        }
    }
}

/// Says of a request that was kept, and is sent by actord now, that what it tells of its client is true: it was made so when it
/// was kept.
pub(in crate::http) fn of_stored(request: &mut Request) {
    let nobody = Caller { address: None, peer: None, is_proxy: true, sent: None };
    request.extensions_mut().insert(nobody);
}

/// What a request carries of its client, where its connection does not.
fn caller<T>(request: &Request, what: impl FnOnce(&Caller) -> T) -> Option<T> {
    request.extensions().get::<Caller>().map(what)
}

fn turn(request: &Request) -> Option<&Rc<Turn>> {
    request.conn_data()
}

/// The request's path and query as its client sent them, if actix knows them percent-encoded.
pub(in crate::http) fn sent(request: &Request) -> Option<Rc<str>> {
    match turn(request) {
        Some(turn) => turn.sent.borrow().clone(),
        None => caller(request, |caller| caller.sent.clone())?,
    }
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
        self.0.as_ref().map_or(FRAME, |turn| turn.piece.get())
    }
}

/// Address and port of the client that sent a request.
pub(in crate::http) fn peer(request: &Request) -> Option<Cow<'_, str>> {
    match turn(request) {
        Some(turn) => turn.peer.as_deref().map(Cow::Borrowed),
        None => caller(request, |caller| caller.peer.as_deref().map(|peer| Cow::Owned(peer.to_owned())))?,
    }
}

/// Whether a request came from a proxy that is believed what it says of its own clients.
pub(in crate::http) fn is_from_proxy(request: &Request) -> bool {
    match turn(request) {
        Some(turn) => turn.is_proxy,
        None => caller(request, |caller| caller.is_proxy).unwrap_or_default(),
    }
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
        // A request of HTTP/2 leaves what was not read of it to its stream, which ends with it.
        let is_watched = !is_tunnel && request.version() != Version::HTTP_2;
        let unread = if is_watched { Unread::watch(request) } else { None };
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
