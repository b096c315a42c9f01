//! A client's connection as actix sees it: whole heads only, and one request at a time.
//!
//! ```text
//! Head -> Body -> Answering -> Head ...        Head or Body -> Refusing -> Lingering -> Closed
//!                                              Body, answered before it is through  -> Lingering
//! ```
//! actix keeps version, method and connection type of the request that it read last, and frames every answer by them. So it
//! must not read the next request before it has answered.

#[cfg(test)]
mod tests;

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use actix_web::http::StatusCode;
use bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::Peer;
use super::admission::Place;
use super::framing::Framing;
use super::head;
use super::link::Link;
use super::patience::Patience;
use super::reading::{Reader, Readers};
use super::refusal::Refusal;
use super::socket::Socket;
use super::strangers::Strangers;
use super::turn::Turn;
use crate::http::unacknowledged::unsent;
use crate::http::{ClientTimes, room};

/// So many bytes of the requests that follow are held while one is answered.
const AHEAD: usize = 64 << 10;

/// So many bytes are read at once of what comes between two requests and of heads, most of which are shorter.
const ROOM: usize = 4 << 10;

/// With less room than this, there is more made first.
const LITTLE_ROOM: usize = 1 << 10;

/// How long a client that was refused may go on sending: an answer is lost where its connection ends before that.
pub(super) const LINGER: Duration = Duration::from_secs(1);

/// How long a client that was answered may go on sending a body that is not read.
pub(in crate::http) const UNREAD_LINGER: Duration = Duration::from_secs(5);

/// The connection of one client.
pub(in crate::http) struct ClientStream {
    link: Link,
    peer: Option<Peer>,
    /// What it takes of its listener's room.
    _place: Option<Place>,
    turn: Rc<Turn>,
    strangers: Strangers,
    state: State,
    /// What the client sent and actix has not got.
    held: BytesMut,
    /// How much of it actix may have.
    passed: usize,
    patience: Patience,
    /// Whether no request has come yet.
    is_new: bool,
    /// Whether actix has begun to answer the request.
    is_begun: bool,
}

/// What actix writes before an answer, for a client that waits for it with its body.
const INTERIM: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

enum State {
    /// Between two requests, or in a head.
    Head,
    Body(Framing),
    /// All of the request has come.
    Answering,
    /// What is left of the refusal.
    Refusing(Bytes),
    /// It was refused, or answered before its chunks had come, and what it still sends is read away.
    Lingering,
    Closed,
}

impl ClientStream {
    pub(super) fn new(
        socket: impl Into<Socket>,
        peer: Option<Peer>,
        strangers: Strangers,
        readers: Readers,
        times: ClientTimes,
    ) -> Self {
        Self {
            link: Link::new(socket.into(), Reader::new(readers, peer)),
            peer,
            _place: None,
            strangers,
            turn: Rc::new(Turn::new(peer)),
            state: State::Head,
            held: BytesMut::new(),
            passed: 0,
            patience: Patience::new(times),
            is_new: true,
            is_begun: false,
        }
    }

    /// Holds this until the connection ends.
    pub(super) fn hold(&mut self, place: Place) {
        self._place = Some(place);
    }

    /// A whole head must have come after so long, less than after a connection was accepted.
    pub(super) fn hurry(&mut self, left: Duration) {
        self.patience.begin(Some(left));
    }

    pub(super) fn turn(&self) -> Rc<Turn> {
        self.turn.clone()
    }

    /// Reads more of what the client sends. False at its end. Room for it is made when something came.
    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let ready = |link: &mut Link, cx: &mut Context<'_>| link.socket().poll_readable(cx);
        let count = ready!(room::poll_more(&mut self.link, ready, &mut self.held, (LITTLE_ROOM, ROOM), cx))?;
        Poll::Ready(Ok(count > 0))
    }

    /// Keeps no empty room for a client that is waited for with something else.
    fn give_back_room(&mut self) {
        if self.held.is_empty() {
            self.held = BytesMut::new();
        }
    }

    /// Lets actix have a whole head, or refuses. False if there is none yet.
    fn read_head(&mut self) -> bool {
        match head::read(&self.held) {
            Ok(None) => return false,
            Ok(Some(mut head)) => {
                self.patience.head_came();
                (self.is_new, self.is_begun) = (false, false);
                self.passed = head.length;
                let sent = head.encoded.take().map(|(sent, encoded)| {
                    let rest = self.held.split_off(head.length);
                    self.passed = encoded.len();
                    self.held = BytesMut::from(encoded.as_slice());
                    self.held.unsplit(rest);
                    sent
                });
                self.turn.begin(head.framing == Framing::Endless, sent);
                self.state = if head.framing.is_complete() { State::Answering } else { State::Body(head.framing) };
            }
            Err(refusal) => {
                self.strangers.note(self.peer.map(|peer| peer.address), &refusal);
                self.refuse(&refusal);
            }
        }
        true
    }

    /// Goes on after a piece of a body.
    fn go_on(&mut self, framing: Framing) {
        match framing {
            Framing::Broken => {
                let refusal =
                    Refusal::bad("the request's body can't be read: it is not framed in chunks, as its head says");
                self.strangers.note(self.peer.map(|peer| peer.address), &refusal);
                if self.is_begun {
                    // It has an answer already.
                    self.state = State::Closed;
                } else {
                    self.refuse(&refusal);
                }
            }
            framing if framing.is_complete() => self.state = State::Answering,
            framing => self.state = State::Body(framing),
        }
    }

    /// Answers with this, and nothing else.
    pub(super) fn refuse(&mut self, refusal: &Refusal) {
        self.patience.begin(None);
        self.state = State::Refusing(refusal.answer().into());
    }

    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        loop {
            if !self.held.is_empty() && self.read_head() {
                return Poll::Ready(Ok(true));
            }
            match self.poll_more(cx)? {
                Poll::Ready(true) => {}
                Poll::Ready(false) => return Poll::Ready(Ok(false)),
                Poll::Pending => {
                    if self.is_new || !self.held.is_empty() {
                        let within = ready!(self.patience.poll_head(cx));
                        let words = format!("no whole request head came within {within:?}");
                        self.refuse(&Refusal::new(StatusCode::REQUEST_TIMEOUT, words));
                        return Poll::Ready(Ok(true));
                    }
                    ready!(self.patience.poll_idle(cx));
                    // Of one that has not even taken its last answer our kernel would keep that for minutes.
                    self.link.give_up_untaken();
                    return Poll::Ready(Ok(false));
                }
            }
        }
    }

    /// Hands on a body, from what is held or straight from the connection. False at the client's end.
    fn poll_body(
        &mut self,
        mut framing: Framing,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<bool>> {
        let is_open = if self.held.is_empty() {
            let before = out.filled().len();
            if Pin::new(&mut self.link).poll_read(cx, out)?.is_pending() {
                self.give_back_room();
                return Poll::Pending;
            }
            let came = &out.filled()[before..];
            let taken = framing.take(came);
            let is_open = !came.is_empty();
            self.held.extend_from_slice(&came[taken..]);
            out.set_filled(before + taken);
            is_open
        } else {
            self.passed = framing.take(&self.held);
            true
        };
        self.go_on(framing);
        Poll::Ready(Ok(is_open))
    }

    /// Waits for the answer's end, and reads ahead meanwhile, so that a client that goes away is noticed. False if it does
    /// and has not asked for more.
    fn poll_answered(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        while self.held.len() < AHEAD {
            if !ready!(self.poll_more(cx))? {
                if self.held.is_empty() {
                    return Poll::Ready(Ok(false));
                }
                break;
            }
        }
        // What wakes it is the answer's end.
        Poll::Pending
    }

    /// Says no, and waits until that has arrived. False when it is over.
    fn poll_refusing(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        while let State::Refusing(answer) = &mut self.state {
            let written = match answer.is_empty() {
                true => self.link.socket().poll_shutdown(cx)?.map(|()| None),
                false => self.link.socket().poll_write(cx, answer)?.map(Some),
            };
            match written {
                Poll::Ready(Some(count)) => answer.advance(count),
                Poll::Ready(None) => self.state = State::Lingering,
                Poll::Pending => {
                    // It has not taken its answers before this.
                    ready!(self.patience.poll_late(LINGER, cx));
                    self.link.give_up();
                    self.state = State::Closed;
                    return Poll::Ready(Ok(false));
                }
            }
        }
        while self.patience.poll_late(LINGER, cx).is_pending() {
            self.held.clear();
            if !ready!(self.poll_more(cx))? {
                break;
            }
        }
        self.state = State::Closed;
        Poll::Ready(Ok(false))
    }
}

impl Drop for ClientStream {
    fn drop(&mut self) {
        if self.turn.is_cut_short() {
            self.link.give_up();
        }
    }
}

impl AsyncRead for ClientStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = out.filled().len();
        loop {
            if this.passed > 0 {
                let count = this.passed.min(out.remaining());
                out.put_slice(&this.held[..count]);
                this.held.advance(count);
                this.passed -= count;
            }
            if out.filled().len() > before {
                return Poll::Ready(Ok(()));
            }
            let goes_on = match &this.state {
                State::Head => ready!(this.poll_head(cx))?,
                State::Body(framing) => ready!(this.poll_body(*framing, cx, out))?,
                State::Answering => ready!(this.poll_answered(cx))?,
                // A client that does not listen to why it is refused has gone.
                State::Refusing(_) | State::Lingering => ready!(this.poll_refusing(cx)).unwrap_or(false),
                State::Closed => false,
            };
            if !goes_on {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.state {
            // The refusal is the answer.
            State::Refusing(_) | State::Lingering | State::Closed => Poll::Ready(Ok(bytes.len())),
            _ => {
                self.is_begun |= bytes != INTERIM;
                let this = self.get_mut();
                let Poll::Ready(count) = Pin::new(&mut this.link).poll_write(cx, bytes)? else {
                    this.give_back_room();
                    return Poll::Pending;
                };
                if count == bytes.len() {
                    this.turn.took(count, || unsent(this.link.tcp()) == Some(0));
                }
                Poll::Ready(Ok(count))
            }
        }
    }

    /// actix flushes when it has written all that it had to say.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(Pin::new(&mut this.link).poll_flush(cx))?;
        if this.turn.is_answered() {
            match this.state {
                State::Answering => {
                    this.state = State::Head;
                    if !this.held.is_empty() || this.patience.poll_idle(cx).is_ready() {
                        cx.waker().wake_by_ref();
                    }
                }
                // actix ends a connection where a body was not read to its end, after it has read away for a while what still
                // comes. The client learns at once that this was all, also of another protocol that both sides spoke; what is
                // left of its body is no request.
                State::Body(Framing::Length(_) | Framing::Endless) => {
                    this.state = State::Body(Framing::Endless);
                    // Where that fails the connection has ended already.
                    let _ = Pin::new(&mut this.link).poll_shutdown(cx);
                }
                // Chunks actix would read away for as long as they come, and then go on.
                State::Body(Framing::Chunked(_)) => {
                    this.held.clear();
                    this.passed = 0;
                    this.patience.begin(Some(UNREAD_LINGER));
                    this.state = State::Lingering;
                    // As above.
                    let _ = Pin::new(&mut this.link).poll_shutdown(cx);
                    cx.waker().wake_by_ref();
                }
                _ => {}
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.state {
            State::Refusing(_) | State::Lingering | State::Closed => Poll::Ready(Ok(())),
            _ => Pin::new(&mut self.link).poll_shutdown(cx),
        }
    }
}
