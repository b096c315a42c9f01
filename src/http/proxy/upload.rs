//! A request's body on its way to the function, piece by piece and never as a whole.
//!
//! The beginning is kept until the answer comes, so that it can be sent again where nothing of it was read.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::web::Bytes;
use futures_util::Stream as _;
use tokio::time::Instant;

use super::deadline::Progress;

/// So much of a body is kept until its answer comes, in bytes, for the case that the connection turns out to have been
/// closed before anything of it could be read there.
const KEPT: usize = 256 * 1024;

/// The client went away, or sent something that is no body, before the body was complete.
#[derive(Debug, thiserror::Error)]
#[error("the client did not send its whole request body")]
pub(super) struct Incomplete;

/// A body that is here already is sent in pieces of so many bytes, so that it is seen that a function takes it.
const PIECE: usize = 64 * 1024;

/// The pieces that were sent already, as long as they are all there.
#[derive(Debug)]
struct Sent {
    pieces: Vec<Bytes>,
    bytes: usize,
    /// Of a longer body no piece is kept.
    most: usize,
    too_many: bool,
}

impl Sent {
    fn of(most: usize) -> Self {
        Self { pieces: Vec::new(), bytes: 0, most, too_many: false }
    }

    fn note(&mut self, piece: &Bytes) {
        self.bytes += piece.len();
        if self.bytes <= self.most {
            self.pieces.push(piece.clone());
        } else if !std::mem::replace(&mut self.too_many, true) {
            self.pieces = Vec::new();
        }
    }
}

struct Source {
    payload: RefCell<Payload>,
    sent: RefCell<Sent>,
    progress: Cell<Progress>,
    /// The client must send so many bytes a second of the time that it is waited for; 0: any byte is enough.
    floor: u64,
    /// How far it is behind that.
    behind: Cell<Duration>,
    broken: Cell<bool>,
}

/// A request's body, for as many tries to send it as it can be sent again.
pub(super) struct Upload {
    source: Option<Rc<Source>>,
    length: Option<u64>,
    /// How many of the pieces that were sent before were sent again.
    again: usize,
    /// Bytes that this try has taken.
    taken: u64,
    ended: bool,
}

impl Upload {
    /// No body.
    pub(super) const EMPTY: Self = Self { source: None, length: Some(0), again: 0, taken: 0, ended: true };

    /// The body of a request; `length` if the client said it, else it is sent in chunks. The client is late when it is as
    /// far behind `floor` bytes a second as it may be silent.
    pub(super) fn of(payload: Payload, length: Option<u64>, floor: u64) -> Self {
        Self::with(payload, length, floor, KEPT)
    }

    /// A body that is here already: it can be sent as often as it takes, whatever its length.
    pub(super) fn whole(body: Bytes) -> Self {
        if body.is_empty() {
            return Self::EMPTY;
        }
        let length = body.len();
        let piece = move |at| Ok(body.slice(at..length.min(at + PIECE)));
        let pieces = futures_util::stream::iter((0..length).step_by(PIECE).map(piece));
        Self::with(Payload::Stream { payload: Box::pin(pieces) }, Some(length as u64), 0, usize::MAX)
    }

    fn with(payload: Payload, length: Option<u64>, floor: u64, most: usize) -> Self {
        let source = Source {
            payload: RefCell::new(payload),
            sent: RefCell::new(Sent::of(most)),
            progress: Cell::new(Progress::Untouched),
            floor,
            behind: Cell::default(),
            broken: Cell::new(false),
        };
        Self { source: Some(Rc::new(source)), length, again: 0, taken: 0, ended: false }
    }

    /// The body for the next try, from its beginning. The try before it is over.
    pub(super) fn try_next(&self) -> Self {
        let Some(source) = &self.source else { return Self::EMPTY };
        Self { source: Some(source.clone()), length: self.length, again: 0, taken: 0, ended: false }
    }

    /// Whether it can still be sent from its beginning.
    pub(super) fn is_whole(&self) -> bool {
        self.source.as_ref().is_none_or(|source| !source.sent.borrow().too_many)
    }

    /// Whether the client broke it off.
    pub(super) fn is_broken(&self) -> bool {
        self.source.as_ref().is_some_and(|source| source.broken.get())
    }

    /// Whether it is sent in chunks, since its length is not known.
    pub(super) fn is_chunked(&self) -> bool {
        self.length.is_none()
    }

    /// Whether there is no body at all.
    pub(super) fn is_empty(&self) -> bool {
        self.source.is_none()
    }

    /// How far it is; none if there is no body. To be asked again later.
    pub(super) fn progress(&self) -> Option<impl Fn() -> Progress + use<>> {
        let source = self.source.clone()?;
        Some(move || source.progress.get())
    }
}

impl Source {
    /// The client has sent so many bytes: for these it may have taken its time.
    fn catch_up(&self, bytes: usize, now: Instant) {
        let micros = (bytes as u64).saturating_mul(1_000_000).checked_div(self.floor);
        let behind = match self.progress.get() {
            Progress::Awaited(since) => now - since,
            _ => self.behind.get(),
        };
        self.behind.set(behind.saturating_sub(micros.map_or(Duration::MAX, Duration::from_micros)));
    }

    /// The next piece, for the first time, of a body of `length` bytes, if that is known.
    fn poll(&self, length: Option<u64>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Incomplete>>> {
        let polled = Pin::new(&mut *self.payload.borrow_mut()).poll_next(cx);
        let now = Instant::now();
        let (progress, next) = match polled {
            Poll::Pending => match self.progress.get() {
                waiting @ Progress::Awaited(_) => (waiting, Poll::Pending),
                _ => (Progress::Awaited(now.checked_sub(self.behind.get()).unwrap_or(now)), Poll::Pending),
            },
            Poll::Ready(Some(Ok(mut piece))) => {
                self.catch_up(piece.len(), now);
                let mut sent = self.sent.borrow_mut();
                // The function would take what is beyond it for another request.
                let left = length.map_or(u64::MAX, |length| length.saturating_sub(sent.bytes as u64));
                piece.truncate(usize::try_from(left).unwrap_or(usize::MAX));
                sent.note(&piece);
                // What comes after the last byte of a length that is known is not asked for.
                let is_last = length.is_some_and(|length| sent.bytes as u64 >= length);
                let progress = if is_last { Progress::Complete(now) } else { Progress::Taken(now) };
                (progress, Poll::Ready(Some(Ok(piece))))
            }
            Poll::Ready(Some(Err(_))) => {
                self.broken.set(true);
                (Progress::Complete(now), Poll::Ready(Some(Err(Incomplete))))
            }
            Poll::Ready(None) => (Progress::Complete(now), Poll::Ready(None)),
        };
        self.progress.set(progress);
        next
    }
}

impl Upload {
    /// The next piece; none at the end.
    ///
    /// # Errors
    /// [`Incomplete`].
    pub(super) fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Incomplete>>> {
        let Some(source) = self.source.as_ref().filter(|_| !self.ended) else { return Poll::Ready(None) };
        let sent_before = source.sent.borrow().pieces.get(self.again).cloned();
        let piece = match sent_before {
            Some(piece) => Some(Ok(piece)),
            None => ready!(source.poll(self.length, cx)),
        };
        self.again += 1;
        if let Some(Ok(piece)) = &piece {
            self.taken += piece.len() as u64;
        }
        self.ended = !matches!(piece, Some(Ok(_))) || self.length.is_some_and(|length| self.taken >= length);
        Poll::Ready(piece)
    }

    /// Whether there is no more of it.
    pub(super) fn is_ended(&self) -> bool {
        self.ended
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use futures_util::stream::unfold;
    use tokio::time::{sleep, timeout};

    use super::super::deadline::{Late, Limits};
    use super::super::timers::Timers;
    use super::*;

    const IDLE: Duration = Duration::from_secs(60);

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// What comes of a client that sends so many bytes each so many seconds, to a function that takes its time before each
    /// piece; none if it goes on for an hour. And after how many seconds.
    async fn sent(floor: u64, bytes: usize, every: u64, function: u64) -> (Option<Late>, u64) {
        let pieces = unfold((), move |()| async move {
            sleep(seconds(every)).await;
            Some((Ok(Bytes::from(vec![b'x'; bytes])), ()))
        });
        let mut upload = Upload::of(Payload::Stream { payload: Box::pin(pieces) }, None, floor);
        let (begun, progress) = (Instant::now(), upload.progress());
        let work = async {
            loop {
                sleep(seconds(function)).await;
                poll_fn(|cx| upload.poll_piece(cx)).await;
            }
        };
        let limits = Limits { begun, answer: IDLE, idle: IDLE };
        let timers = Timers::default();
        let held = timeout(60 * IDLE, limits.hold(&timers, work, progress)).await;
        (held.ok().and_then(Result::<(), _>::err), begun.elapsed().as_secs())
    }

    #[tokio::test]
    async fn no_more_is_sent_than_the_length_that_was_told() {
        let pieces = ["hel", "lo, and a request", "more"].map(|piece| Ok(Bytes::from(piece)));
        let payload: Payload = Payload::Stream { payload: Box::pin(futures_util::stream::iter(pieces)) };
        let (first, mut sent) = (Upload::of(payload, Some(5), 0), Vec::new());
        // What is sent again is the same.
        for mut upload in [first.try_next(), first] {
            while let Some(piece) = poll_fn(|cx| upload.poll_piece(cx)).await {
                sent.push(piece.unwrap());
            }
        }
        assert_eq!(sent, ["hel", "lo", "hel", "lo"]);
    }

    #[tokio::test]
    async fn a_body_that_is_here_already_is_sent_again_whatever_its_length() {
        let body = Bytes::from(vec![b'x'; 2 * KEPT + 1]);
        let first = Upload::whole(body.clone());
        for mut upload in [first.try_next(), first.try_next(), first] {
            let mut sent = Vec::new();
            while let Some(piece) = poll_fn(|cx| upload.poll_piece(cx)).await {
                sent.extend_from_slice(&piece.unwrap());
            }
            assert!(upload.is_whole() && upload.is_ended() && !upload.is_chunked());
            assert!(sent == body, "{} bytes", sent.len());
        }
        assert!(Upload::whole(Bytes::new()).is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_is_late_when_it_is_as_far_behind_its_rate_as_it_may_be_silent() {
        for (what, floor, bytes, every, function, late) in [
            ("a slow body attack", 64, 3, 10, 0, Some(60..70)),
            ("as fast as it must", 64, 640, 10, 0, None),
            ("a little slower", 64, 600, 10, 0, Some(500..1_000)),
            ("much, after long silence", 64, 59 * 64, 59, 0, None),
            ("any byte is enough", 0, 1, 59, 0, None),
            ("silence", 0, 1, 61, 0, Some(60..61)),
            ("the function takes its time, not the client", 64, 1, 0, 50, None),
        ] {
            let (came, after) = sent(floor, bytes, every, function).await;
            assert_eq!(came, late.as_ref().map(|_| Late::Sending(IDLE)), "{what} {after}");
            assert!(late.is_none_or(|late| late.contains(&after)), "{what}: {after}");
        }
    }
}
