//! The body of a call that is to be kept: read whole, within bounds of size, time and memory.

use std::time::Duration;

use actix_web::dev::Payload;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use tokio::time::{Instant, timeout_at};

use super::places::Place;

/// The longest that a body may take to arrive.
const WITHIN: Duration = Duration::from_secs(60);

/// Why there is no body.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoBody {
    #[error("the client sent nothing of its request's body for {0:?}")]
    Idle(Duration),
    #[error("the request's body did not arrive within {WITHIN:?}")]
    Late,
    #[error("it is longer")]
    Long,
    #[error("too many bodies of calls are on their way from this address, or in all")]
    Crowded,
    #[error("the request's body broke off, or can't be read")]
    Broken,
}

/// The whole body, of at most `most` bytes, from a client that is never silent for longer than `idle`. Its place grows with
/// what has come: a client that says much and sends nothing takes none.
pub(super) async fn read(
    mut payload: Payload,
    most: usize,
    idle: Duration,
    place: &mut Place,
) -> Result<Bytes, NoBody> {
    let end = Instant::now() + WITHIN;
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
        if !place.grow(piece.len()).await {
            return Err(NoBody::Crowded);
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
    Ok(first.unwrap_or_else(|| body.freeze()))
}

#[cfg(test)]
mod tests {
    use actix_web::error::PayloadError;
    use futures_util::stream::unfold;
    use tokio::time::sleep;

    use super::*;
    use crate::http::queued::Bodies;

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
            let mut place = Bodies::default().place(None);
            let body = read(pieces(script), 16, IDLE, &mut place).await;
            assert_eq!(body, read_as.map(Bytes::from), "{script:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_sends_nothing_takes_no_memory_from_others() {
        let bodies = Bodies::default();
        let silent = (0..100).map(|_| async {
            let mut place = bodies.place(None);
            read(pieces(&[(19, "late")]), 1 << 20, IDLE, &mut place).await
        });
        let mut whole = bodies.place(None);
        let (silent, taken) = tokio::join!(futures_util::future::join_all(silent), whole.grow(64 << 20));
        assert!(taken);
        drop(whole);
        assert!(silent.iter().all(|read| read.as_ref().is_err_and(|why| *why == NoBody::Crowded)), "{silent:?}");
        let mut place = bodies.place(None);
        assert_eq!(read(pieces(&[(0, "now")]), 16, IDLE, &mut place).await.unwrap(), "now");
    }
}
