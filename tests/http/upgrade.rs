use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::{House, function, mirror};

const ASK: &str = "GET /function/chat/room?x=1 HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, Upgrade\r\n\
                   Upgrade: websocket\r\nSec-WebSocket-Key: abc\r\nSec-WebSocket-Version: 13\r\n\r\n";

async fn head(client: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(timeout(Duration::from_secs(5), client.read_u8()).await.expect("no answer").unwrap());
    }
    String::from_utf8(head).unwrap().to_ascii_lowercase()
}

#[actix_web::test]
async fn a_web_socket_goes_through_to_the_function_and_back() {
    let house = House::public().await;
    let chat = function(|mut connection| async move {
        let head = connection.head().await;
        assert!(head.starts_with("GET /room?x=1 HTTP/1.1"), "{head}");
        assert!(head.contains("upgrade: websocket") && head.contains("connection: upgrade"), "{head}");
        assert!(head.contains("sec-websocket-key: abc"), "{head}");
        connection
            .say("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: def\r\n\r\nfirst")
            .await;
        while let Ok(byte) = connection.0.read_u8().await {
            connection.0.write_all(&[byte.to_ascii_uppercase()]).await.unwrap();
        }
        connection.say("bye").await;
    })
    .await;
    let instance = house.publish("chat", chat);
    let mut client = TcpStream::connect(house.address).await.unwrap();
    client.write_all(ASK.as_bytes()).await.unwrap();
    let answer = head(&mut client).await;
    assert!(answer.starts_with("http/1.1 101 "), "{answer}");
    for line in ["connection: upgrade", "upgrade: websocket", "sec-websocket-accept: def"] {
        assert!(answer.contains(&format!("{line}\r\n")), "{answer}");
    }
    assert!(!answer.contains("transfer-encoding") && !answer.contains("content-length"), "{answer}");
    let mut first = [0; 5];
    client.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"first");
    for word in [b"hello", b"world"] {
        client.write_all(word).await.unwrap();
        let mut back = [0; 5];
        timeout(Duration::from_secs(5), client.read_exact(&mut back)).await.expect("no echo").unwrap();
        assert_eq!(back.as_slice(), word.to_ascii_uppercase());
    }
    let id = "chat".parse().unwrap();
    house.routes.retract(&id, &instance);
    let drained = house.routes.drained(&id, &instance);
    assert!(timeout(Duration::from_millis(50), drained.wait()).await.is_err(), "an open socket holds its lease");
    drop(client);
    timeout(Duration::from_secs(5), house.routes.drained(&id, &instance).wait()).await.expect("the lease is over");
}

#[actix_web::test]
async fn a_function_that_does_not_switch_answers_as_to_any_request() {
    let house = House::public().await;
    house.publish("chat", mirror().await);
    let mut client = TcpStream::connect(house.address).await.unwrap();
    client.write_all(ASK.as_bytes()).await.unwrap();
    let answer = head(&mut client).await;
    assert!(answer.starts_with("http/1.1 200 "), "{answer}");
}

#[actix_web::test]
async fn when_the_function_ends_a_web_socket_the_client_sees_its_end() {
    let house = House::public().await;
    let brief = function(|mut connection| async move {
        connection.head().await;
        connection
            .say("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nbye")
            .await;
    })
    .await;
    house.publish("chat", brief);
    let mut client = TcpStream::connect(house.address).await.unwrap();
    client.write_all(ASK.as_bytes()).await.unwrap();
    head(&mut client).await;
    let mut rest = Vec::new();
    // Long before what the client may still say is not read away any more.
    timeout(Duration::from_secs(3), client.read_to_end(&mut rest)).await.expect("still open").ok();
    assert_eq!(rest, b"bye");
}

#[actix_web::test]
async fn an_upgrade_that_is_not_passed_on_is_answered_plainly_and_the_connection_closed() {
    let house = House::public().await;
    house.publish("chat", mirror().await);
    let paths = [
        ("/function/chat", 200),
        ("/function/nosuch", 404),
        ("/healthz", 200),
        ("/system/info", 401),
        ("/nosuch", 404),
    ];
    for (path, status) in paths {
        let mut client = TcpStream::connect(house.address).await.unwrap();
        let ask = format!(
            "GET {path} HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\
             HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n\r\n"
        );
        client.write_all(ask.as_bytes()).await.unwrap();
        let reply = crate::support::read_reply(&mut client).await;
        assert_eq!((reply.status, reply.header("connection").as_deref()), (status, Some("close")), "{path}");
        assert!(!reply.text().contains("upgrade") && !reply.text().contains("http2-settings"), "{reply:?}");
    }
}

#[actix_web::test]
async fn a_web_socket_request_has_no_body_whatever_it_says() {
    let house = House::public().await;
    house.publish("chat", mirror().await);
    let mut client = TcpStream::connect(house.address).await.unwrap();
    let ask = ASK.replace("\r\n\r\n", "\r\nContent-Length: 40\r\n\r\nGET /function/chat HTTP/1.1\r\nHost: x\r\n\r\n");
    client.write_all(ask.as_bytes()).await.unwrap();
    let reply = crate::support::read_reply(&mut client).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert!(!reply.text().contains("content-length"), "{reply:?}");
    assert_eq!(reply.text().matches("HTTP/1.1").count(), 1, "one request reached the function: {reply:?}");
}

#[actix_web::test]
async fn no_request_reaches_a_function_behind_one_that_names_a_web_socket_and_asks_for_none() {
    let house = House::public().await;
    let came = Rc::new(RefCell::new(Vec::<u8>::new()));
    let noted = Rc::clone(&came);
    let reader = function(move |mut connection| {
        let came = Rc::clone(&noted);
        async move {
            let mut bytes = Vec::new();
            while connection.0.read_buf(&mut bytes).await.is_ok_and(|count| count > 0) {
                came.borrow_mut().append(&mut bytes);
                connection.say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
            }
        }
    });
    house.publish("chat", reader.await);
    let hidden = "GET /hidden HTTP/1.1\r\nHost: h\r\n\r\n";
    for more in ["Content-Length: 5\r\n\r\nhello", "Content-Length: 0\r\n\r\n", "\r\n"] {
        let mut client = TcpStream::connect(house.address).await.unwrap();
        let ask = format!("POST /function/chat HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n{more}{hidden}");
        client.write_all(ask.as_bytes()).await.unwrap();
        crate::support::read_reply(&mut client).await;
        let came = String::from_utf8_lossy(&came.borrow()).into_owned();
        assert!(!came.contains("hidden"), "{more:?}: {came}");
    }
}

#[actix_web::test]
async fn a_function_that_switches_protocols_unasked_is_a_bad_gateway() {
    let house = House::public().await;
    let rude = function(|mut connection| async move {
        connection.head().await;
        connection.say("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nhi").await;
    })
    .await;
    house.publish("rude", rude);
    let reply = house.ask("GET /function/rude HTTP/1.1\r\nHost: h\r\n", "").await;
    assert_eq!((reply.status, reply.text().as_str()), (502, "function rude switched protocols unasked\n"));
}
