//! Clients of HTTP/1.0, which know no chunks: a body of unknown length ends with its connection (RFC 9112, 6.1 and 6.3).

use std::time::Duration;

use actord::http::ApiFlavor;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::{AUTH, House, LocalHouse, answering};

/// Everything that comes on one connection, up to its end; a connection that stays open is ended after its answer.
async fn all(address: std::net::SocketAddr, request: &str) -> String {
    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(request.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    timeout(Duration::from_secs(10), client.read_to_end(&mut bytes)).await.expect("it goes on").unwrap();
    String::from_utf8(bytes).unwrap()
}

/// Head (in lower case) and body, as they came.
fn split(answer: &str) -> (String, &str) {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head: {answer:?}"));
    (head.to_ascii_lowercase(), body)
}

const CHUNKS: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n";

#[actix_web::test]
async fn a_body_in_chunks_ends_with_the_connection_of_a_client_that_knows_none() {
    for flavor in [ApiFlavor::Public, ApiFlavor::Provider] {
        let house = House::with(flavor, |_| {}).await;
        house.publish("chunks", answering(|_| CHUNKS.into()).await);
        // Its length beside the chunks counts for nothing.
        let liar = CHUNKS.replacen("Transfer", "Content-Length: 2\r\nTransfer", 1);
        house.publish("liar", answering(move |_| liar.clone()).await);
        for function in ["chunks", "liar"] {
            for (asked, method, body) in [
                ("", "GET", "hello"),
                ("Connection: keep-alive\r\n", "GET", "hello"),
                ("Connection: Keep-Alive\r\nHost: h\r\n", "GET", "hello"),
                ("Connection: close\r\n", "GET", "hello"),
                ("Content-Length: 0\r\n", "POST", "hello"),
                ("", "HEAD", ""),
                ("Connection: keep-alive\r\n", "HEAD", ""),
            ] {
                let request = format!("{method} /function/{function} HTTP/1.0\r\n{asked}\r\n");
                let answer = all(house.address, &request).await;
                let (head, came) = split(&answer);
                assert!(head.starts_with("http/1.0 200 "), "{request:?}: {answer:?}");
                for name in ["transfer-encoding", "content-length", "keep-alive"] {
                    assert!(!head.contains(name), "{request:?}: {answer:?}");
                }
                assert_eq!(came, body, "{request:?}");
            }
        }
    }
}

#[actix_web::test]
async fn an_answer_with_a_length_keeps_the_connection_of_a_client_that_asks_for_it() {
    let house = House::public().await;
    house.publish("sized", answering(|_| "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello".into()).await);
    house.publish("none", answering(|_| "HTTP/1.1 204 None\r\n\r\n".into()).await);
    house.publish("same", answering(|_| "HTTP/1.1 304 Same\r\nContent-Length: 7\r\n\r\n".into()).await);
    for (method, function, status, body) in [
        ("GET", "sized", "200", "hello"),
        ("HEAD", "sized", "200", ""),
        ("GET", "none", "204", ""),
        ("GET", "same", "304", ""),
        ("GET", "nosuch", "404", "function nosuch not found\n"),
    ] {
        let one = |connection: &str| format!("{method} /function/{function} HTTP/1.0\r\n{connection}\r\n");
        let end = format!("\r\n\r\n{body}");
        let mut client = TcpStream::connect(house.address).await.unwrap();
        for (connection, kept) in
            [("Connection: Keep-Alive\r\n", true), ("Connection: keep-alive, x\r\n", true), ("", false)]
        {
            client.write_all(one(connection).as_bytes()).await.unwrap();
            let mut came = Vec::new();
            while !came.ends_with(end.as_bytes()) {
                let count =
                    timeout(Duration::from_secs(10), client.read_buf(&mut came)).await.expect("an answer").unwrap();
                assert!(count > 0, "{method} {function} {connection:?}: {:?}", String::from_utf8_lossy(&came));
            }
            let answer = String::from_utf8(came).unwrap();
            assert!(answer.starts_with(&format!("HTTP/1.0 {status} ")), "{answer:?}");
            assert_eq!(answer.contains("connection: keep-alive\r\n"), kept, "{method} {function}: {answer:?}");
        }
        let end = timeout(Duration::from_secs(10), client.read_u8()).await.expect("its end");
        assert!(end.is_err(), "{method} {function}");
    }
}

#[actix_web::test]
async fn logs_end_with_the_connection_of_a_client_that_knows_no_chunks() {
    let house = LocalHouse::public().await;
    house.add("talker", "i");
    let (id, instance) = ("talker".parse().unwrap(), "talker-1".parse().unwrap());
    house.host.begin_log(&instance, &id);
    house.host.write_log(&instance, b"one\ntwo\n", "2126-01-02T03:04:05Z".parse().unwrap());
    for asked in ["", "Connection: keep-alive\r\n"] {
        let request = format!("GET /system/logs?name=talker HTTP/1.0\r\n{AUTH}{asked}\r\n");
        let answer = all(house.address, &request).await;
        let (head, body) = split(&answer);
        assert!(head.starts_with("http/1.0 200 ") && !head.contains("transfer-encoding"), "{answer:?}");
        let lines: Vec<serde_json::Value> = body.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 2, "{answer:?}");
    }
}

#[actix_web::test]
async fn the_answer_of_a_function_that_knows_no_chunks_has_them_for_a_client_that_does() {
    let house = House::public().await;
    let old = crate::support::function(|mut connection| async move {
        connection.head().await;
        connection.say("HTTP/1.0 200 OK\r\n\r\nhello").await;
    })
    .await;
    house.publish("old", old);
    for (version, framed, body) in [("1.1", true, "5\r\nhello\r\n0\r\n\r\n"), ("1.0", false, "hello")] {
        let request = format!("GET /function/old HTTP/{version}\r\nHost: h\r\nConnection: close\r\n\r\n");
        let answer = all(house.address, &request).await;
        let (head, came) = split(&answer);
        assert!(head.starts_with(&format!("http/{version} 200 ")), "{answer:?}");
        assert_eq!((head.contains("transfer-encoding: chunked"), came), (framed, body), "{answer:?}");
    }
}

#[actix_web::test]
async fn what_has_no_length_and_no_body_is_the_same_to_both() {
    let house = House::public().await;
    for (version, path, status) in
        [("1.0", "/system/functions", "405"), ("1.0", "/", "200"), ("1.0", "/nothing", "404")]
    {
        let method = if status == "405" { "PATCH" } else { "GET" };
        let request = format!("{method} {path} HTTP/{version}\r\n{AUTH}\r\n");
        let answer = all(house.address, &request).await;
        let (head, body) = split(&answer);
        assert!(head.starts_with(&format!("http/1.0 {status} ")), "{answer:?}");
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
        assert_eq!(length.parse::<usize>().unwrap(), body.len(), "{answer:?}");
    }
}

#[actix_web::test]
async fn a_body_that_breaks_off_does_not_look_complete_to_a_client_that_waits_for_the_connections_end() {
    let house = House::public().await;
    for (name, answer) in [
        ("chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel"),
        ("length", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel"),
    ] {
        let broken = crate::support::function(move |mut connection| async move {
            connection.head().await;
            connection.say(answer).await;
        });
        house.publish(name, broken.await);
        let mut client = TcpStream::connect(house.address).await.unwrap();
        client.write_all(format!("GET /function/{name} HTTP/1.0\r\n\r\n").as_bytes()).await.unwrap();
        let mut came = Vec::new();
        let end = timeout(Duration::from_secs(10), client.read_to_end(&mut came)).await.expect("it goes on");
        let came = String::from_utf8(came).unwrap();
        // A length says it; else a reset does.
        assert!(end.is_err() || came.contains("content-length: 5\r\n"), "{name}: {came}");
    }
}
