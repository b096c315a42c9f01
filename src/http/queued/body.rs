//! The body of a call that is to be kept: read whole, within bounds of size, time and memory.

use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::Payload;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout, timeout_at};

/// So many KiB of all bodies together are in memory on their way to the disk.
const MEMORY: u32 = 64 << 10;

/// How long a call waits for a place among them.
const WAIT: Duration = Duration::from_secs(1);

/// The longest that a body may take to arrive.
const WITHIN: Duration = Duration::from_secs(60);

/// The memory that bodies on their way in may take, of all listeners. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Bodies(Arc<Semaphore>);

impl Default for Bodies {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MEMORY as usize)))
    }
}

/// A place for as much of a body as has come; it is to be held until the call is on the disk.
#[derive(Debug)]
pub(super) struct Place(OwnedSemaphorePermit);

impl Bodies {
    /// A place for so many bytes; none if there was none in time.
    async fn place(&self, bytes: usize) -> Option<Place> {
        let wanted = u32::try_from(bytes.div_ceil(1 << 10)).map_or(MEMORY, |wanted| wanted.clamp(1, MEMORY));
        let place = timeout(WAIT, self.0.clone().acquire_many_owned(wanted)).await;
        place.ok()?.ok().map(Place)
    }
}

/// Why there is no body.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoBody {
    #[error("the client sent nothing of its request's body for {0:?}")]
    Idle(Duration),
    #[error("the request's body did not arrive within {WITHIN:?}")]
    Late,
    #[error("it is longer")]
    Long,
    #[error("too many bodies of calls are on their way")]
    Crowded,
    #[error("the request's body broke off, or can't be read")]
    Broken,
}

/// The whole body, of at most `most` bytes, from a client that is never silent for longer than `idle`, and its place, which
/// grows with what has come: a client that says much and sends nothing takes none.
pub(super) async fn read(
    mut payload: Payload,
    most: usize,
    idle: Duration,
    bodies: &Bodies,
) -> Result<(Bytes, Option<Place>), NoBody> {
    let end = Instant::now() + WITHIN;
    let mut place: Option<Place> = None;
    let mut first: Option<Bytes> = None;
    let mut body = BytesMut::new();
    loop {
        let last = Instant::now() + idle;
        let piece = match timeout_at(end.min(last), payload.next()).await {
            Ok(Some(Ok(piece))) => piece,
            Ok(Some(Err(_))) => return Err(NoBody::Broken),
            Ok(None) => break,
            Err(_) if last < end => return Err(NoBody::Idle(idle)),
            Err(_) => return Err(NoBody::Late),
        };
        let length = first.as_ref().map_or(body.len(), Bytes::len) + piece.len();
        if length > most {
            return Err(NoBody::Long);
        }
        let more = bodies.place(piece.len()).await.ok_or(NoBody::Crowded)?;
        match &mut place {
            Some(place) => place.0.merge(more.0),
            none => *none = Some(more),
        }
        // Most bodies come in one piece, which is not copied.
        match first.take() {
            None if body.is_empty() => first = Some(piece),
            before => {
                body.extend_from_slice(&before.unwrap_or_default());
                body.extend_from_slice(&piece);
            }
        }
    }
    Ok((first.unwrap_or_else(|| body.freeze()), place))
}

#[cfg(test)]
mod tests {
    use actix_web::error::PayloadError;
    use futures_util::stream::unfold;
    use tokio::time::sleep;

    use super::*;

    const IDLE: Duration = Duration::from_secs(20);

    /// Pieces that come after so many seconds each.
    fn pieces(script: &'static [(u64, &'static str)]) -> Payload {
        let pieces = unfold(script, |left| async move {
            let ((after, piece), rest) = left.split_first()?;
            sleep(Duration::from_secs(*after)).await;
            let piece = if *piece == "!" { Err(PayloadError::Incomplete(None)) } else { Ok(Bytes::from(*piece)) };
            Some((piece, rest))
        });
        Payload::Stream { payload: Box::pin(pieces) }
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_is_read_whole_or_it_is_said_why_not() {
        for (script, read_as) in [
            (&[][..], Ok("")),
            (&[(0, "one")], Ok("one")),
            (&[(0, "one"), (0, ", two"), (19, ", three")], Ok("one, two, three")),
            (&[(0, "0123456789abcdef")], Ok("0123456789abcdef")),
            (&[(0, "0123456789abcdef"), (0, "g")], Err(NoBody::Long)),
            (&[(0, "0123456789abcdefg")], Err(NoBody::Long)),
            (&[(0, "one"), (21, "two")], Err(NoBody::Idle(IDLE))),
            (&[(15, "1"), (15, "2"), (15, "3"), (10, "4"), (10, "5")], Err(NoBody::Late)),
            (&[(0, "one"), (0, "!")], Err(NoBody::Broken)),
        ] {
            let body = read(pieces(script), 16, IDLE, &Bodies::default()).await.map(|(body, _)| body);
            assert_eq!(body, read_as.map(Bytes::from), "{script:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_sends_nothing_takes_no_memory_from_others() {
        let bodies = Bodies::default();
        let silent: Vec<_> = (0..100).map(|_| read(pieces(&[(19, "late")]), 1 << 20, IDLE, &bodies)).collect();
        let (silent, whole) = tokio::join!(futures_util::future::join_all(silent), bodies.place(64 << 20));
        assert!(whole.is_some());
        drop(whole);
        assert!(silent.iter().all(|read| read.as_ref().is_err_and(|why| *why == NoBody::Crowded)), "{silent:?}");
        let (body, place) = read(pieces(&[(0, "now")]), 16, IDLE, &bodies).await.unwrap();
        assert!(body == "now" && place.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn bodies_wait_for_memory_for_a_second_and_no_longer() {
        let bodies = Bodies::default();
        let whole = bodies.place(64 << 20).await.unwrap();
        assert!(bodies.place(1).await.is_none());
        let (second, ()) = tokio::join!(bodies.place(32 << 20), async {
            sleep(WAIT / 2).await;
            drop(whole);
        });
        let third = bodies.place(32 << 20).await;
        assert!(second.is_some() && third.is_some());
        assert!(bodies.place(1).await.is_none());
    }
}
