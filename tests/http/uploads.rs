//! Request bodies and answers that cross: a function that answers without reading, a client that sends slowly or stops.

use std::net::SocketAddr;
use std::time::Duration;

use actord::http::ApiFlavor;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use crate::raw_client::Connection;
use crate::support::{House, Reply, function, read_reply};

const MOMENT: Duration = Duration::from_millis(200);
const UPLOAD: usize = 300_000;

/// How a function ends a connection on which it has answered without reading the body.
#[derive(Debug, Clone, Copy)]
enum End {
    /// It closes: its kernel resets the connection, because there are bytes that it has not read.
    Close,
    /// It says that it is done, and closes.
    SayAndClose,
    /// It says that it is done, reads on for a moment, and closes.
    Linger,
    /// It reads the body away, and keeps the connection unless the body is in chunks.
    ReadOn,
}

/// A function that answers as soon as it has the head of a request.
async fn hasty(status: &'static str, end: End) -> SocketAddr {
    function(move |mut connection| async move {
        loop {
            let head = connection.head().await;
            if head.is_empty() {
                return;
            }
            let chunked = head.contains("transfer-encoding: chunked");
            let close = if matches!(end, End::ReadOn) && !chunked { "" } else { "Connection: close\r\n" };
            connection.say(&format!("HTTP/1.1 {status}\r\n{close}Content-Length: 3\r\n\r\nno!")).await;
            match end {
                End::Close => return,
                End::SayAndClose => return connection.0.shutdown().await.unwrap_or_default(),
                End::Linger => {
                    connection.0.shutdown().await.unwrap();
                    let mut sink = tokio::io::sink();
                    let rest = tokio::io::copy(&mut connection.0, &mut sink);
                    timeout(Duration::from_millis(50), rest).await.ok();
                    return;
                }
                End::ReadOn if chunked => {
                    let mut rest = Vec::new();
                    while !rest.ends_with(b"0\r\n\r\n") && connection.0.read_buf(&mut rest).await.unwrap_or(0) > 0 {}
                    return;
                }
                End::ReadOn => {
                    if connection.0.read_exact(&mut vec![0; UPLOAD]).await.is_err() {
                        return;
                    }
                }
            }
        }
    })
    .await
}

fn upload(method: &str, headers: &str, chunked: bool) -> Vec<u8> {
    let framing =
        if chunked { "Transfer-Encoding: chunked\r\n".to_owned() } else { format!("Content-Length: {UPLOAD}\r\n") };
    let mut request = format!("{method} /function/hasty HTTP/1.1\r\nHost: h\r\n{headers}{framing}\r\n").into_bytes();
    if chunked {
        for _ in 0..UPLOAD / 1000 {
            request.extend(format!("3e8\r\n{}\r\n", "x".repeat(1000)).bytes());
        }
        request.extend(b"0\r\n\r\n");
    } else {
        request.resize(request.len() + UPLOAD, b'x');
    }
    request
}

#[actix_web::test]
async fn an_answer_that_comes_before_the_body_is_read_reaches_the_client_every_time() {
    for (status, method, headers, chunked, end, times) in [
        ("413 Too Large", "POST", "", false, End::Close, 100),
        ("413 Too Large", "PUT", "", false, End::Close, 100),
        ("401 Unauthorized", "POST", "", true, End::Close, 50),
        ("429 Too Many", "PATCH", "", false, End::SayAndClose, 50),
        ("401 Unauthorized", "PUT", "", true, End::SayAndClose, 50),
        ("413 Too Large", "POST", "Connection: close\r\n", false, End::Close, 50),
        ("413 Too Large", "POST", "", false, End::Linger, 10),
        ("200 OK", "POST", "", false, End::ReadOn, 30),
        ("200 OK", "PUT", "", true, End::ReadOn, 30),
    ] {
        let house = House::public().await;
        house.publish("hasty", hasty(status, end).await);
        let request = upload(method, headers, chunked);
        for i in 0..times {
            let what = format!("{method} {i}, chunked: {chunked}, {end:?}");
            let mut client = Connection::open(house.address).await.unwrap();
            let answer = timeout(Duration::from_secs(10), client.exchange(&request)).await.expect(&what);
            let answer = answer.unwrap_or_else(|fault| panic!("{what}: {fault}"));
            assert!(status.starts_with(&answer.status.to_string()), "{what}: {}: {}", answer.head, answer.text());
            assert_eq!(answer.text(), "no!", "{what}");
        }
    }
}

#[actix_web::test]
async fn a_client_that_waits_for_100_continue_gets_the_early_answer_too() {
    let house = House::public().await;
    house.publish("hasty", hasty("413 Too Large", End::Close).await);
    for i in 0..20 {
        let mut client = TcpStream::connect(house.address).await.unwrap();
        let request = upload("PUT", "Expect: 100-continue\r\n", false);
        let (head, body) = request.split_at(request.len() - UPLOAD);
        client.write_all(head).await.unwrap();
        let mut go_on = [0; 25];
        client.read_exact(&mut go_on).await.unwrap();
        assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
        client.write_all(body).await.unwrap_or_else(|error| panic!("{i}: {error}"));
        let mut answer = Vec::new();
        while !answer.ends_with(b"no!") {
            assert!(client.read_buf(&mut answer).await.unwrap() > 0, "{i}: {}", String::from_utf8_lossy(&answer));
        }
        assert!(answer.starts_with(b"HTTP/1.1 413 "), "{i}: {}", String::from_utf8_lossy(&answer));
    }
}

#[actix_web::test]
async fn a_client_may_go_on_to_send_for_a_while_after_it_was_answered() {
    let house = House::public().await;
    house.publish("hasty", hasty("413 Too Large", End::Close).await);
    let mut client = TcpStream::connect(house.address).await.unwrap();
    let request = upload("POST", "", false);
    let (begin, rest) = request.split_at(1000);
    client.write_all(begin).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"no!") {
        client.read_buf(&mut answer).await.unwrap();
    }
    for piece in rest.chunks(rest.len() / 15) {
        sleep(Duration::from_millis(100)).await;
        client.write_all(piece).await.expect("no reset while it sends");
    }
}

/// A function that reads the whole body before it answers.
async fn reader() -> SocketAddr {
    function(|mut connection| async move {
        let head = connection.head().await;
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
        let body = connection.read(length.parse().unwrap()).await;
        connection.say(&format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())).await;
    })
    .await
}

#[actix_web::test]
async fn an_upload_that_takes_longer_than_the_answer_may_is_answered() {
    let house = House::with(ApiFlavor::Public, |settings| settings.upstream_timeout = 5 * MOMENT).await;
    house.publish("reader", reader().await);
    let mut client = TcpStream::connect(house.address).await.unwrap();
    let head = "POST /function/reader HTTP/1.1\r\nHost: h\r\nContent-Length: 20\r\nConnection: close\r\n\r\n";
    client.write_all(head.as_bytes()).await.unwrap();
    for _ in 0..20 {
        sleep(MOMENT / 2).await;
        client.write_all(b"x").await.unwrap();
    }
    let reply = read_reply(&mut client).await;
    assert_eq!((reply.status, reply.text()), (200, "x".repeat(20)));
}

#[actix_web::test]
async fn a_client_that_stops_to_send_is_told_so_and_its_function_is_left_alone() {
    for flavor in [ApiFlavor::Public, ApiFlavor::Provider] {
        let house = House::with(flavor, |settings| settings.upload_idle_timeout = MOMENT).await;
        let (to, mut from) = mpsc::unbounded_channel();
        let waiting = function(move |mut connection| {
            let to = to.clone();
            async move {
                connection.head().await;
                let mut body = Vec::new();
                connection.0.read_to_end(&mut body).await.ok();
                to.send(body).unwrap();
            }
        });
        house.publish("waiting", waiting.await);
        let mut client = TcpStream::connect(house.address).await.unwrap();
        client
            .write_all(b"POST /function/waiting HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nhalf")
            .await
            .unwrap();
        let reply = read_reply(&mut client).await;
        assert_eq!(reply.status, 408, "{reply:?}");
        assert_eq!(reply.text(), "the client sent nothing, or too little, of its request's body for 200ms\n");
        assert_eq!(reply.header("x-openfaas-internal").as_deref(), Some("proxy"));
        let body = timeout(Duration::from_secs(5), from.recv()).await.expect("the function was left waiting");
        assert_eq!(body.unwrap(), b"half");
    }
}

#[actix_web::test]
async fn a_function_that_stops_to_read_is_given_up() {
    let house = House::with(ApiFlavor::Public, |settings| settings.upstream_timeout = MOMENT).await;
    let deaf = function(|mut connection| async move {
        connection.head().await;
        std::future::pending::<()>().await;
    });
    house.publish("deaf", deaf.await);
    let client = TcpStream::connect(house.address).await.unwrap();
    let (mut read, mut write) = client.into_split();
    // More than the buffers on the way hold.
    let request = format!("POST /function/deaf HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n", 64 << 20);
    actix_web::rt::spawn(async move {
        write.write_all(request.as_bytes()).await.unwrap();
        let piece = vec![b'x'; 1 << 20];
        while write.write_all(&piece).await.is_ok() {}
    });
    let mut answer = Vec::new();
    while !answer.ends_with(b"\n") || answer.ends_with(b"\r\n") {
        let more = timeout(Duration::from_secs(10), read.read_buf(&mut answer)).await.expect("no answer").unwrap();
        assert!(more > 0, "{}", String::from_utf8_lossy(&answer));
    }
    let reply = Reply::parse(&answer);
    assert_eq!(reply.status, 504, "{reply:?}");
    assert_eq!(reply.text(), "function deaf took nothing of the request's body for 200ms\n");
}

#[actix_web::test]
async fn a_function_that_read_everything_and_says_nothing_is_told_as_one_that_does_not_answer() {
    let house = House::with(ApiFlavor::Public, |settings| settings.upstream_timeout = MOMENT).await;
    let mute = function(|mut connection| async move {
        let mut body = Vec::new();
        connection.0.read_to_end(&mut body).await.ok();
    });
    house.publish("mute", mute.await);
    for request in [
        "Content-Length: 5\r\n\r\nhello",
        "Content-Length: 0\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    ] {
        let mut client = TcpStream::connect(house.address).await.unwrap();
        let request = format!("POST /function/mute HTTP/1.1\r\nHost: h\r\nConnection: close\r\n{request}");
        client.write_all(request.as_bytes()).await.unwrap();
        let reply = read_reply(&mut client).await;
        let due = "function mute did not answer within 200ms\n";
        assert_eq!((reply.status, reply.text().as_str()), (504, due), "{request}");
    }
}

#[actix_web::test]
async fn a_body_that_can_not_be_read_is_not_told_as_the_functions_fault() {
    let house = House::public().await;
    let waiting = function(|mut connection| async move {
        connection.head().await;
        connection.0.read_to_end(&mut Vec::new()).await.ok();
    });
    house.publish("waiting", waiting.await);
    for body in ["5\r\nhelloworld\r\n", "five\r\n", "5\r\nhello\r\n-1\r\n"] {
        let mut client = TcpStream::connect(house.address).await.unwrap();
        let head = "POST /function/waiting HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
        client.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
        let reply = read_reply(&mut client).await;
        // It is closed at once where what came is not even framed.
        assert!(matches!(reply.status, 400 | 0), "{body:?}: {reply:?}");
    }
}
