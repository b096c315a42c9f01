use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

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
