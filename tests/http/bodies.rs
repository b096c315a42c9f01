use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::support::{House, Reply, function, read_reply};

/// Reads from a client until `text` came.
async fn expect(client: &mut TcpStream, text: &str) -> String {
    let mut all = Vec::new();
    while !String::from_utf8_lossy(&all).contains(text) {
        let more = timeout(Duration::from_secs(5), client.read_buf(&mut all)).await.expect("nothing came").unwrap();
        assert!(more > 0, "closed before {text:?}: {:?}", String::from_utf8_lossy(&all));
    }
    String::from_utf8_lossy(&all).into_owned()
}

/// Gives the body of a request back in chunks, while it still comes.
async fn echo() -> std::net::SocketAddr {
    function(|mut connection| async move {
        let head = connection.head().await;
        connection.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await;
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let mut left: usize = length.expect("a length").parse().unwrap();
        let mut buffer = vec![0; 65_536];
        while left > 0 {
            let count = connection.0.read(&mut buffer).await.unwrap();
            left -= count;
            connection.say(&format!("{count:x}\r\n")).await;
            connection.0.write_all(&buffer[..count]).await.unwrap();
            connection.say("\r\n").await;
        }
        connection.say("0\r\n\r\n").await;
    })
    .await
}

#[actix_web::test]
async fn a_long_body_with_a_length_goes_both_ways_unchanged() {
    let house = House::public().await;
    house.publish("echo", echo().await);
    let body: Vec<u8> = (0..3_000_000_u32).map(|i| b'a' + u8::try_from(i % 23).unwrap()).collect();
    let client = TcpStream::connect(house.address).await.unwrap();
    let (mut read, mut write) = client.into_split();
    let sent = body.clone();
    actix_web::rt::spawn(async move {
        let head = format!(
            "POST /function/echo HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
            sent.len()
        );
        write.write_all(head.as_bytes()).await.unwrap();
        write.write_all(&sent).await.unwrap();
        std::future::pending::<()>().await;
    });
    let mut bytes = Vec::new();
    read.read_to_end(&mut bytes).await.unwrap();
    let reply = Reply::parse(&bytes);
    assert!(reply.status == 200 && reply.complete);
    assert!(reply.body == body, "{} bytes came back", reply.body.len());
}

/// A function that tells the head of a request and each of these parts when it has come, or what came instead of it.
async fn listening<const N: usize>(parts: [&'static str; N]) -> (SocketAddr, mpsc::UnboundedReceiver<String>) {
    let (to, from) = mpsc::unbounded_channel();
    let listener = function(move |mut connection| {
        let to = to.clone();
        async move {
            to.send(connection.head().await).unwrap();
            for part in parts {
                to.send(connection.read(part.len()).await).unwrap();
            }
            connection.say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
        }
    })
    .await;
    (listener, from)
}

#[actix_web::test]
async fn a_body_in_chunks_arrives_in_chunks_as_it_is_sent() {
    let house = House::public().await;
    let (listener, mut from) = listening(["5\r\nhello\r\n", "6\r\n world\r\n0\r\n\r\n"]).await;
    house.publish("echo", listener);
    let mut client = TcpStream::connect(house.address).await.unwrap();
    let head = "POST /function/echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n";
    client.write_all(head.as_bytes()).await.unwrap();
    client.write_all(b"5\r\nhello\r\n").await.unwrap();
    let head = from.recv().await.unwrap();
    assert!(head.contains("transfer-encoding: chunked\r\n") && !head.contains("content-length"), "{head}");
    assert_eq!(from.recv().await.unwrap(), "5\r\nhello\r\n", "before the client has sent the rest");
    client.write_all(b"6\r\n world\r\n0\r\n\r\n").await.unwrap();
    assert_eq!(from.recv().await.unwrap(), "6\r\n world\r\n0\r\n\r\n");
    assert_eq!(read_reply(&mut client).await.status, 200);
}

#[actix_web::test]
async fn a_body_in_chunks_arrives_whatever_the_method() {
    for method in ["GET", "HEAD", "DELETE", "OPTIONS", "PATCH"] {
        let house = House::public().await;
        let (listener, mut from) = listening(["5\r\nhello\r\n0\r\n\r\n"]).await;
        house.publish("echo", listener);
        let mut client = TcpStream::connect(house.address).await.unwrap();
        let request = format!(
            "{method} /function/echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n\
             5\r\nhello\r\n0\r\n\r\n"
        );
        client.write_all(request.as_bytes()).await.unwrap();
        assert_eq!(read_reply(&mut client).await.status, 200, "{method}");
        let head = from.recv().await.unwrap();
        assert_eq!(head.matches("transfer-encoding: chunked\r\n").count(), 1, "{head}");
        assert_eq!(from.recv().await.unwrap(), "5\r\nhello\r\n0\r\n\r\n", "{method}");
    }
}

#[actix_web::test]
async fn an_answer_in_chunks_is_whole_whatever_length_it_claims() {
    let house = House::public().await;
    let liar = function(|mut connection| async move {
        connection.head().await;
        connection
            .say("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
            .await;
    })
    .await;
    house.publish("liar", liar);
    let reply = house.ask("GET /function/liar HTTP/1.1\r\nHost: h\r\n", "").await;
    assert_eq!((reply.status, reply.text().as_str()), (200, "hello"));
    assert_eq!(reply.header("content-length"), None);
}

#[actix_web::test]
async fn an_empty_post_keeps_its_length_of_zero() {
    let house = House::public().await;
    house.publish("echo", crate::support::mirror().await);
    let reply = house.ask("POST /function/echo HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n", "").await;
    assert!(reply.text().contains("content-length: 0\r\n"), "{reply:?}");
    assert!(!reply.text().contains("transfer-encoding"), "{reply:?}");
}

#[actix_web::test]
async fn events_reach_the_client_one_by_one_while_the_function_goes_on() {
    let house = House::public().await;
    let (next, gate) = mpsc::unbounded_channel::<()>();
    let gate = std::rc::Rc::new(tokio::sync::Mutex::new(gate));
    let events = function(move |mut connection| {
        let gate = gate.clone();
        async move {
            connection.head().await;
            connection.say("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n").await;
            for i in 0..3 {
                connection.say(&format!("data: {i}\n\n")).await;
                gate.lock().await.recv().await;
            }
        }
    })
    .await;
    house.publish("events", events);
    let mut client = TcpStream::connect(house.address).await.unwrap();
    let head = "GET /function/events HTTP/1.1\r\nHost: h\r\nAccept: text/event-stream\r\nConnection: close\r\n\r\n";
    client.write_all(head.as_bytes()).await.unwrap();
    for i in 0..3 {
        expect(&mut client, &format!("data: {i}\n\n")).await;
        next.send(()).unwrap();
    }
    expect(&mut client, "0\r\n\r\n").await;
}

#[actix_web::test]
async fn a_client_that_expects_100_continue_gets_it_and_the_function_gets_the_body() {
    let house = House::public().await;
    house.publish("echo", echo().await);
    let mut client = TcpStream::connect(house.address).await.unwrap();
    let head = "POST /function/echo HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\
                Connection: close\r\n\r\n";
    client.write_all(head.as_bytes()).await.unwrap();
    expect(&mut client, "100 Continue").await;
    client.write_all(b"hello").await.unwrap();
    assert_eq!(read_reply(&mut client).await.text(), "hello");
}

#[actix_web::test]
async fn a_function_may_answer_before_it_has_the_whole_body() {
    let house = House::public().await;
    let early = function(|mut connection| async move {
        connection.head().await;
        connection.say("HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nno!").await;
        // The rest is read away, so that no reset overtakes the answer.
        tokio::io::copy(&mut connection.0, &mut tokio::io::sink()).await.ok();
    })
    .await;
    house.publish("early", early);
    let mut client = TcpStream::connect(house.address).await.unwrap();
    let head = "POST /function/early HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\nbeginning";
    client.write_all(head.as_bytes()).await.unwrap();
    let reply = read_reply(&mut client).await;
    assert_eq!((reply.status, reply.text().as_str()), (413, "no!"));
}

#[actix_web::test]
async fn many_requests_share_one_connection_to_the_function() {
    let house = House::public().await;
    let (to, mut accepted) = mpsc::unbounded_channel();
    let listener = function(move |mut connection| {
        to.send(()).unwrap();
        async move {
            while !connection.head().await.is_empty() {
                connection.say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
            }
        }
    })
    .await;
    house.publish("echo", listener);
    for _ in 0..20 {
        assert_eq!(house.get("/function/echo").await.text(), "ok");
    }
    accepted.recv().await.unwrap();
    assert!(accepted.try_recv().is_err(), "a second connection was opened");
}

#[actix_web::test]
async fn a_client_that_still_sends_its_body_is_told_at_once_that_its_answer_was_all_and_is_not_cut_off() {
    let house = House::public().await;
    for line in ["POST /function/nosuch", "PUT /nosuch", "POST /system/functions"] {
        let mut client = TcpStream::connect(house.address).await.unwrap();
        let head = format!("{line} HTTP/1.1\r\nHost: h\r\nContent-Length: 9000000\r\n\r\nbeginning");
        client.write_all(head.as_bytes()).await.unwrap();
        let reply = read_reply(&mut client).await;
        assert!(matches!(reply.status, 401 | 404) && reply.complete, "{line}: {reply:?}");
        assert_eq!(reply.header("connection").as_deref(), Some("close"), "{line}");
        for _ in 0..20 {
            client.write_all(&[b'x'; 10_000]).await.unwrap_or_else(|error| panic!("{line}: {error}"));
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}
