use std::cell::RefCell;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::rc::Rc;
use std::sync::Arc;

use actix_web::dev::Payload;
use futures_util::{StreamExt as _, stream};

use super::super::pool::Pool;
use super::super::upload::Upload;
use super::*;
use crate::http::Metrics;

const HEAD: &str = "POST / HTTP/1.1\r\nhost: h\r\n\r\n";

/// What a function does to a connection.
#[derive(Debug, Clone, Copy)]
enum Act {
    /// Before anything is sent there: the request meets what this leaves.
    CloseBefore,
    ResetBefore,
    /// With the whole request in its hands.
    CloseAfterReading,
    ResetAfterReading,
    HalfAnswer,
    /// With the request, or the end of it, in its kernel's hands.
    CloseUnread,
    CloseHalfRead,
}

/// Closes so that the other side sees a reset.
fn reset(peer: TcpStream) {
    rustix::net::sockopt::set_socket_linger(&peer, Some(Duration::ZERO)).unwrap();
    drop(peer);
}

fn read(peer: &mut TcpStream, count: usize) {
    peer.read_exact(&mut vec![0; count]).unwrap();
}

/// What becomes of a request of [`HEAD`] on a connection that is open already.
async fn outcome(act: Act) -> Result<Head, Unanswered> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let pool = Pool::new(&Metrics::new().unwrap());
    let mut connection = pool.open(listener.local_addr().unwrap()).await.unwrap();
    let mut peer = listener.accept().unwrap().0;
    // Nothing is awaited between this and the request: the worker has not looked at its sockets since.
    let function = match act {
        Act::CloseBefore => {
            drop(peer);
            None
        }
        Act::ResetBefore => {
            reset(peer);
            None
        }
        later => Some(std::thread::spawn(move || match later {
            Act::CloseAfterReading => read(&mut peer, HEAD.len()),
            Act::ResetAfterReading => {
                read(&mut peer, HEAD.len());
                reset(peer);
            }
            Act::HalfAnswer => {
                read(&mut peer, HEAD.len());
                peer.write_all(b"HTTP/1.1 200 OK\r\nContent-").unwrap();
            }
            Act::CloseUnread => assert!(peer.peek(&mut [0; 1]).unwrap() > 0),
            _ => read(&mut peer, HEAD.len() / 2),
        })),
    };
    let outcome = connection.send(false, Sending::new(HEAD.into(), Upload::EMPTY)).await;
    if let Some(function) = function {
        function.join().unwrap();
    }
    outcome
}

#[actix_web::test]
async fn a_request_counts_as_unsent_only_if_the_function_can_not_have_got_any_of_it() {
    for (act, untaken) in [
        (Act::CloseBefore, true),
        (Act::ResetBefore, true),
        (Act::CloseAfterReading, false),
        (Act::ResetAfterReading, false),
        (Act::HalfAnswer, false),
        (Act::CloseUnread, false),
        (Act::CloseHalfRead, false),
    ] {
        for _ in 0..20 {
            match outcome(act).await {
                Err(Unanswered::Untaken) => assert!(untaken, "{act:?}"),
                Err(Unanswered::Ended(_)) => assert!(!untaken, "{act:?}"),
                other => panic!("{act:?}: {other:?}"),
            }
        }
    }
}

/// A piece of a body that tells whether its memory is still held.
struct Piece(Vec<u8>, #[allow(dead_code, reason = "it is counted")] Arc<()>);

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

#[actix_web::test]
async fn a_piece_that_is_sent_holds_no_memory_when_the_next_one_is_read() {
    const PIECE: usize = 64 << 10;
    const PIECES: usize = 16;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let pool = Pool::new(&Metrics::new().unwrap());
    let mut connection = pool.open(listener.local_addr().unwrap()).await.unwrap();
    let mut peer = listener.accept().unwrap().0;
    let function = std::thread::spawn(move || {
        read(&mut peer, HEAD.len() + PIECES * PIECE);
        peer.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
    });
    let (piece, held) = (Arc::new(()), Rc::new(RefCell::new(Vec::new())));
    let counted = held.clone();
    let pieces = stream::iter(0..PIECES).map(move |_| {
        counted.borrow_mut().push(Arc::strong_count(&piece) - 1);
        Ok(Bytes::from_owner(Piece(vec![b'x'; PIECE], piece.clone())))
    });
    let upload = Upload::of(Payload::Stream { payload: Box::pin(pieces) }, Some((PIECES * PIECE) as u64), 0);
    let head = connection.send(false, Sending::new(HEAD.into(), upload.try_next())).await.unwrap();
    assert_eq!(head.answer.status(), 200);
    function.join().unwrap();
    // The beginning is kept for the case that it has to be sent again.
    assert_eq!(held.borrow()[8..], [0; 8], "{held:?}");
}

#[actix_web::test]
async fn no_room_is_kept_for_an_answer_that_has_not_begun_or_for_a_piece_that_is_not_asked_for() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let pool = Pool::new(&Metrics::new().unwrap());
    let mut connection = pool.open(listener.local_addr().unwrap()).await.unwrap();
    let mut peer = listener.accept().unwrap().0;
    let waited = timeout(Duration::from_millis(20), connection.send(false, Sending::new(HEAD.into(), Upload::EMPTY)));
    assert!(waited.await.is_err());
    assert_eq!(connection.buffer.capacity(), 0);
    peer.write_all(&[b'x'; 64 << 10]).unwrap();
    let mut framing = Framing::Length(1 << 20);
    let piece = poll_fn(|cx| connection.poll_body(&mut framing, SHORT, cx)).await.unwrap().unwrap();
    assert_eq!((piece.len(), connection.buffer.capacity()), (SHORT, 0));
}
