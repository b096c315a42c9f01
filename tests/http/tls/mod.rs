//! TLS on the public listener: what is spoken, who is refused, and that the limits of clients hold.

mod certificates;
mod http2;
mod limits;
mod page;
mod support;

use std::time::Duration;

use rustls::ProtocolVersion;
use rustls::version::{TLS12, TLS13};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use self::support::{Secure, get_over_http1};
use crate::support::{answering, ask, function, mirror};

#[actix_web::test]
async fn clients_of_tls_1_2_and_1_3_are_served_and_one_of_1_1_is_refused() {
    let secure = Secure::house(|_| {}).await;
    secure.house.publish("mirror", mirror().await);
    for (version, protocol) in [(&TLS12, ProtocolVersion::TLSv1_2), (&TLS13, ProtocolVersion::TLSv1_3)] {
        let mut client = secure.connect_by(&[version], &["http/1.1"]).await;
        assert_eq!(client.get_ref().1.protocol_version(), Some(protocol));
        let reply = get_over_http1(&mut client, "/function/mirror").await;
        assert_eq!(reply.status, 200, "{reply:?}");
    }
    // A hello of 1.1, with what it would choose of: AES by ECDHE and ECDSA, and how it would have that signed.
    let signatures = [0, 8, 0, 13, 0, 4, 0, 2, 4, 3];
    let body = [&[3, 2][..], &[7; 32], &[0], &[0, 2, 0xc0, 0x09], &[1, 0], &signatures].concat();
    let hello = [&[1, 0, 0, u8::try_from(body.len()).unwrap()][..], &body].concat();
    let record = [&[22, 3, 1, 0, u8::try_from(hello.len()).unwrap()][..], &hello].concat();
    let mut client = TcpStream::connect(secure.house.address).await.unwrap();
    client.write_all(&record).await.unwrap();
    let mut said = Vec::new();
    client.read_to_end(&mut said).await.unwrap();
    // A fatal alert: protocol_version.
    assert_eq!((said[0], &said[5..]), (21, &[2, 70][..]), "{said:?}");
}

#[actix_web::test]
async fn a_client_chooses_between_http_1_1_and_http_2() {
    let secure = Secure::house(|_| {}).await;
    for (offered, chosen) in [
        (&["h2", "http/1.1"][..], Some(&b"h2"[..])),
        (&["http/1.1"], Some(b"http/1.1")),
        (&["http/1.1", "h2"], Some(b"h2")),
        (&[], None),
    ] {
        let mut client = secure.connect_by(&[&TLS13], offered).await;
        assert_eq!(client.get_ref().1.alpn_protocol(), chosen, "{offered:?}");
        if chosen != Some(b"h2") {
            assert_eq!(get_over_http1(&mut client, "/healthz").await.status, 200, "{offered:?}");
        }
    }
    assert_eq!(secure.http2().await.get("/healthz").await.status, 200);
}

#[actix_web::test]
async fn who_speaks_plain_http_is_told_that_tls_is_spoken() {
    let secure = Secure::house(|_| {}).await;
    let reply = ask(secure.house.address, "GET /healthz HTTP/1.1\r\nHost: h\r\n", "").await;
    assert_eq!((reply.status, reply.text().contains("https://")), (400, true), "{reply:?}");
}

#[actix_web::test]
async fn a_big_body_goes_both_ways_over_both_protocols() {
    const LENGTH: usize = 8 << 20;
    let secure = Secure::house(|_| {}).await;
    let echo = function(|mut connection| async move {
        while !connection.head().await.is_empty() {
            let body = connection.read(LENGTH).await;
            connection.say(&format!("HTTP/1.1 200 OK\r\nContent-Length: {LENGTH}\r\n\r\n")).await;
            connection.say(&body).await;
        }
    });
    secure.house.publish("echo", echo.await);
    let body: String = (0..LENGTH).map(|at| char::from(b'a' + u8::try_from(at % 23).unwrap())).collect();

    let mut client = secure.connect(&["http/1.1"]).await;
    let head = format!("POST /function/echo HTTP/1.1\r\nHost: h\r\nContent-Length: {LENGTH}\r\n\r\n");
    client.write_all(head.as_bytes()).await.unwrap();
    client.write_all(body.as_bytes()).await.unwrap();
    let mut came = Vec::new();
    while !came.ends_with(&body.as_bytes()[LENGTH - 64..]) || came.len() < LENGTH {
        assert!(client.read_buf(&mut came).await.unwrap() > 0, "after {} bytes", came.len());
    }
    assert!(came.ends_with(body.as_bytes()), "the body came whole");

    let length = LENGTH.to_string();
    let reply = secure.http2().await.post("/function/echo", &[("content-length", &length)], body.clone().into()).await;
    assert_eq!((reply.status, reply.body == body.as_bytes()), (200, true));
}

#[actix_web::test]
async fn a_function_is_told_of_its_caller_alike_by_both_protocols() {
    let secure = Secure::house(|_| {}).await;
    secure.house.publish("mirror", mirror().await);
    let mut client = secure.connect(&["http/1.1"]).await;
    let address = client.get_ref().0.local_addr().unwrap();
    let reply = get_over_http1(&mut client, "/function/mirror").await;
    assert!(reply.text().contains(&format!("x-forwarded-for: {address}\r\n")), "{}", reply.text());

    let mut client = secure.http2().await;
    let reply = client.get("/function/mirror/a?b=c").await;
    let told = reply.text();
    assert!(told.starts_with("GET /a?b=c HTTP/1.1\r\n"), "{told}");
    assert!(told.contains(&format!("x-forwarded-for: {}\r\n", client.address)), "{told}");
    assert!(told.contains("x-forwarded-host: faas.example\r\n"), "{told}");
}

#[actix_web::test]
async fn when_a_client_goes_its_function_learns_of_it() {
    let secure = Secure::house(|_| {}).await;
    let (told, mut ended) = tokio::sync::mpsc::unbounded_channel();
    let mut learns = async || {
        let learnt = tokio::time::timeout(Duration::from_secs(20), ended.recv());
        learnt.await.expect("it does not learn of it").unwrap()
    };
    let waiting = function(move |mut connection| {
        let told = told.clone();
        async move {
            connection.head().await;
            told.send("asked").unwrap();
            // It has ended, or something of it can't be read.
            let _ = connection.0.read(&mut [0; 1]).await;
            told.send("gone").unwrap();
        }
    });
    secure.house.publish("waiting", waiting.await);

    let mut client = secure.connect(&["http/1.1"]).await;
    client.write_all(b"GET /function/waiting HTTP/1.1\r\nHost: h\r\n\r\n").await.unwrap();
    assert_eq!(learns().await, "asked");
    drop(client);
    assert_eq!(learns().await, "gone");

    // Of HTTP/2: by taking the request back, and by leaving.
    let mut client = secure.http2().await;
    let (_, mut stream) = client.begin("GET", "/function/waiting", &[], true).await;
    assert_eq!(learns().await, "asked");
    stream.send_reset(h2::Reason::CANCEL);
    assert_eq!(learns().await, "gone");
    let (_answer, _stream) = client.begin("GET", "/function/waiting", &[], true).await;
    assert_eq!(learns().await, "asked");
    drop(client);
    assert_eq!(learns().await, "gone");
}

#[actix_web::test]
async fn an_answer_that_breaks_off_does_not_look_whole() {
    let secure = Secure::house(|_| {}).await;
    let short = function(|mut connection| async move {
        connection.head().await;
        connection.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n").await;
    });
    secure.house.publish("short", short.await);
    let mut client = secure.http2().await;
    let (answer, _) = client.begin("GET", "/function/short", &[], true).await;
    let mut body = answer.await.unwrap().into_body();
    let error = loop {
        if let Err(error) = body.data().await.expect("it looks whole") {
            break error;
        }
    };
    assert_eq!(error.reason(), Some(h2::Reason::INTERNAL_ERROR), "{error}");
}

#[actix_web::test]
async fn answers_without_a_body_have_none_over_http_2() {
    let secure = Secure::house(|_| {}).await;
    let plain = answering(|head| match head.split(' ').nth(1) {
        Some("/none") => "HTTP/1.1 204 No Content\r\n\r\n".to_owned(),
        Some("/same") => "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n".to_owned(),
        _ if head.starts_with("HEAD ") => "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n".to_owned(),
        _ => "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello".to_owned(),
    });
    secure.house.publish("plain", plain.await);
    let mut client = secure.http2().await;
    for (method, path, status, length, body) in [
        ("GET", "/none", 204, None, ""),
        ("GET", "/same", 304, None, ""),
        ("HEAD", "", 200, Some("5"), ""),
        ("GET", "", 200, Some("5"), "hello"),
    ] {
        let reply = client.ask(method, &format!("/function/plain{path}"), &[]).await;
        assert_eq!((reply.status, reply.text().as_str()), (status, body), "{method} {path}");
        assert_eq!(reply.header("content-length").as_deref(), length, "{method} {path}");
        assert!(reply.header("date").is_some_and(|date| date.ends_with("GMT")), "{method} {path}: {reply:?}");
        assert_eq!(reply.header("connection"), None, "{method} {path}");
    }
}

#[actix_web::test]
async fn web_sockets_go_over_tls_by_http_1_1() {
    let secure = Secure::house(|_| {}).await;
    let socket = function(|mut connection| async move {
        connection.head().await;
        connection.say("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n").await;
        let said = connection.read(4).await;
        connection.say(&said.to_uppercase()).await;
    });
    secure.house.publish("socket", socket.await);
    let mut client = secure.connect(&["http/1.1"]).await;
    let head = "GET /function/socket HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
    client.write_all(head.as_bytes()).await.unwrap();
    let mut came = Vec::new();
    while !came.ends_with(b"\r\n\r\n") {
        client.read_buf(&mut came).await.unwrap();
    }
    assert!(came.starts_with(b"HTTP/1.1 101 "), "{came:?}");
    client.write_all(b"ping").await.unwrap();
    let mut four = [0; 4];
    tokio::time::timeout(Duration::from_secs(10), client.read_exact(&mut four)).await.unwrap().unwrap();
    assert_eq!(&four, b"PING");
}
