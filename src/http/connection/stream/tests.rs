use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep, timeout};

use super::super::kernel::KernelMemory;
use super::super::turn::Pace;
use super::*;
use crate::http::ReadingLimits;
use crate::http::metrics::Waiting;

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n";

/// Others than the defaults.
const TIMES: ClientTimes = ClientTimes { head: Duration::from_secs(3), idle: Duration::from_secs(20) };

fn readers() -> Readers {
    Readers::new(ReadingLimits::default(), Waiting::new().unwrap(), KernelMemory::unknown())
}

#[actix_web::test]
async fn a_client_that_takes_nothing_of_its_answer_is_closed_by_a_reset_and_nothing_waits_for_it() {
    let (waiting, listener) = (Waiting::new().unwrap(), TcpListener::bind("127.0.0.1:0").await.unwrap());
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let readers = Readers::new(ReadingLimits::default(), waiting.clone(), KernelMemory::unknown());
    let mut stream = ClientStream::new(listener.accept().await.unwrap().0, None, Strangers::default(), readers, TIMES);
    // More than can wait for it in the kernel, and than its kernel takes for it.
    let bytes = vec![b'x'; 64 << 20];
    let mut rest = &bytes[..];
    while let Ok(written) = timeout(Duration::from_millis(300), stream.write(rest)).await {
        rest = &rest[written.unwrap()..];
    }
    tokio::time::pause();
    let begun = Instant::now();
    let error = stream.write_all(rest).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut, "{error}");
    assert!(error.to_string().contains("took 0 bytes"), "{error}");
    let waited = begun.elapsed();
    assert!((59..=62).contains(&waited.as_secs()), "{waited:?}");
    assert!(waiting.bytes() > 0);
    drop(stream);
    assert_eq!(waiting.bytes(), 0, "what it held is given back");
    let end = client.read_to_end(&mut Vec::new()).await.unwrap_err();
    assert_eq!(end.kind(), io::ErrorKind::ConnectionReset, "{end}");
}

#[actix_web::test]
async fn pieces_of_an_answer_grow_for_a_client_that_takes_them_and_stay_small_for_one_that_does_not() {
    const LEAST: usize = 4 << 10;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    for (is_quick, expected) in [(true, 16 * LEAST), (false, LEAST)] {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(2 << 10).unwrap();
        let mut client = match is_quick {
            true => TcpStream::connect(listener.local_addr().unwrap()).await.unwrap(),
            false => socket.connect(listener.local_addr().unwrap()).await.unwrap(),
        };
        let tcp = listener.accept().await.unwrap().0;
        let mut stream = ClientStream::new(tcp, None, Strangers::default(), readers(), TIMES);
        let pace = Pace::at(stream.turn());
        stream.write_all(b"a short answer").await.unwrap();
        assert_eq!(pace.piece(), LEAST, "a short answer says nothing");
        client.read_exact(&mut [0; 14]).await.unwrap();
        for _ in 0..20 {
            let piece = vec![b'x'; pace.piece()];
            stream.write_all(&piece).await.unwrap();
            if is_quick {
                client.read_exact(&mut vec![0; piece.len()]).await.unwrap();
            }
        }
        assert_eq!(pace.piece(), expected, "{is_quick}");
    }
}

/// A connection whose client has asked once, and takes nothing of an answer that fills what the kernels hold for it.
async fn full() -> (TcpStream, ClientStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let mut stream =
        ClientStream::new(listener.accept().await.unwrap().0, None, Strangers::default(), readers(), TIMES);
    client.write_all(REQUEST).await.unwrap();
    assert_eq!(stream.read(&mut [0; 1024]).await.unwrap(), REQUEST.len());
    let bytes = vec![b'x'; 1 << 20];
    while timeout(Duration::from_millis(300), stream.write(&bytes)).await.is_ok() {}
    stream.turn().end();
    stream.flush().await.unwrap();
    tokio::time::pause();
    (client, stream)
}

#[actix_web::test]
async fn a_client_that_is_idle_and_has_not_taken_its_last_answer_is_reset() {
    let (mut client, mut stream) = full().await;
    assert_eq!(stream.read(&mut [0; 1024]).await.unwrap(), 0);
    drop(stream);
    let end = client.read_to_end(&mut Vec::new()).await.unwrap_err();
    assert_eq!(end.kind(), io::ErrorKind::ConnectionReset, "our kernel keeps nothing for it: {end}");
}

#[actix_web::test]
async fn a_client_that_has_no_room_for_its_refusal_does_not_stay() {
    let (mut client, mut stream) = full().await;
    client.write_all(b"what?\r\n\r\n").await.unwrap();
    let begun = Instant::now();
    assert_eq!(stream.read(&mut [0; 1024]).await.unwrap(), 0);
    assert!(begun.elapsed() < 3 * LINGER, "{:?}", begun.elapsed());
    drop(stream);
    client.read_to_end(&mut Vec::new()).await.unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn a_client_is_let_go_when_it_has_asked_for_nothing_since_its_last_answer() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let mut stream =
        ClientStream::new(listener.accept().await.unwrap().0, None, Strangers::default(), readers(), TIMES);
    let (turn, mut buffer) = (stream.turn(), [0; 1024]);
    for _ in 0..3 {
        client.write_all(REQUEST).await.unwrap();
        assert_eq!(stream.read(&mut buffer).await.unwrap(), REQUEST.len());
        stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
        turn.end();
        stream.flush().await.unwrap();
        sleep(TIMES.idle - Duration::from_secs(1)).await;
    }
    let last = Instant::now();
    assert_eq!(stream.read(&mut buffer).await.unwrap(), 0);
    let waited = last.elapsed();
    assert!(waited >= Duration::from_secs(1) && waited < Duration::from_secs(2), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_sends_its_head_bit_by_bit_is_told_when_its_time_is_over() {
    for is_first in [true, false] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let tcp = listener.accept().await.unwrap().0;
        let mut stream = ClientStream::new(tcp, None, Strangers::default(), readers(), TIMES);
        if !is_first {
            client.write_all(REQUEST).await.unwrap();
            assert_eq!(stream.read(&mut [0; 1024]).await.unwrap(), REQUEST.len());
            stream.turn().end();
            stream.flush().await.unwrap();
        }
        let begun = Instant::now();
        let dripping = async {
            client.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
            while client.write_all(b"X-A: b\r\n").await.is_ok() && begun.elapsed() < 2 * TIMES.head {
                sleep(Duration::from_millis(100)).await;
            }
        };
        let both = futures_util::future::join(async { stream.read(&mut [0; 1024]).await }, dripping);
        let (read, ()) = timeout(10 * TIMES.head, both).await.expect("it is waited for without end");
        assert_eq!(read.unwrap(), 0);
        drop(stream);
        let mut came = String::new();
        client.read_to_string(&mut came).await.ok();
        assert!(came.starts_with("HTTP/1.1 408 ") && came.contains("within 3s"), "{is_first}: {came}");
    }
}

#[actix_web::test]
async fn no_room_is_kept_for_a_client_that_says_nothing_or_is_waited_for_with_its_body_or_its_answer() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let tcp = listener.accept().await.unwrap().0;
    let mut stream = ClientStream::new(tcp, None, Strangers::default(), readers(), TIMES);
    let mut buffer = [0; 1024];
    let moment = Duration::from_millis(20);
    assert!(timeout(moment, stream.read(&mut buffer)).await.is_err());
    assert_eq!(stream.held.capacity(), 0, "it has said nothing");
    let head = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n";
    client.write_all(head).await.unwrap();
    assert_eq!(stream.read(&mut buffer).await.unwrap(), head.len());
    assert!(timeout(moment, stream.read(&mut buffer)).await.is_err());
    assert_eq!(stream.held.capacity(), 0, "its body is waited for");
    client.write_all(b"xx").await.unwrap();
    assert_eq!(stream.read(&mut buffer).await.unwrap(), 2);
    let bytes = vec![b'x'; 1 << 20];
    while let Ok(written) = timeout(moment, stream.write(&bytes)).await {
        written.unwrap();
    }
    assert!(timeout(moment, stream.read(&mut buffer)).await.is_err());
    assert_eq!(stream.held.capacity(), 0, "it is to take its answer");
}
