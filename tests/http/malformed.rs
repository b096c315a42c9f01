//! Requests that can't be read: each gets an answer in words, whatever came before it on its connection.

use std::time::Duration;

use actord::http::ApiFlavor;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::{AUTH, House, Reply, mirror};

/// What is sent, and the status and some of the words that come back.
fn malformed() -> Vec<(Vec<u8>, u16, &'static str)> {
    let get = |target: &[u8]| [b"GET ".as_slice(), target, b" HTTP/1.1\r\nHost: h\r\n\r\n"].concat();
    let with = |headers: &str| format!("GET /function/echo HTTP/1.1\r\nHost: h\r\n{headers}\r\n").into_bytes();
    let many = |count: usize| (0..count).map(|i| format!("X-{i}: {i}\r\n")).collect::<String>();
    let plain = |text: &str| text.as_bytes().to_vec();
    vec![
        (get(b"/function/echo/\xe4"), 400, "not UTF-8: percent-encode"),
        (get(b"/function/echo?q=\xff\xfe"), 400, "not UTF-8: percent-encode"),
        (get(b"/function/echo/<"), 400, "as %3C"),
        (get(b"/function/echo/a`b"), 400, "as %60"),
        (get(b"/function/echo?q=\"a\""), 400, "as %22"),
        (get(b"/function/echo?q=>"), 400, "as %3E"),
        (get(b"/function/echo/a#b"), 400, "as %23"),
        (get(b"/function/echo/a b"), 400, "%20"),
        (get(b"/function/echo/a\tb"), 400, "percent-encode"),
        (get(b"/function/echo/\x00"), 400, "percent-encode"),
        (get(&[b"/function/echo/".as_slice(), &[b'a'; 70_000]].concat()), 414, "65534 bytes"),
        (
            get("/function/echo/".replace("echo/", &format!("echo/{}", "ä".repeat(12_000))).as_bytes()),
            414,
            "65534 bytes",
        ),
        (get(b"function/echo"), 400, "no path"),
        (get(b"h"), 400, "no path"),
        (get("ä".as_bytes()), 400, "no path"),
        (get(b"http://"), 400, "no path"),
        (with(&many(96)), 431, "may have 96"),
        (with(&format!("X: {}\r\n", "a".repeat(140_000))), 431, "may have 131072 bytes"),
        (with(&format!("{}: 1\r\n", "a".repeat(65_536))), 431, "may have 65535 bytes"),
        (with("X Y: 1\r\n"), 400, "header's name"),
        (with("X\u{e4}: 1\r\n"), 400, "header's name"),
        (with(": 1\r\n"), 400, "header's name"),
        (with("X: a\u{0}b\r\n"), 400, "header's value"),
        (with("no colon\r\n"), 400, "header's name"),
        (with("Host: other\r\n"), 400, "more than one Host"),
        (plain("GET /function/echo HTTP/1.1\r\nHost: a/b\r\n\r\n"), 400, "no host"),
        (plain("GET http://other/function/echo HTTP/1.1\r\nHost: h\r\n\r\n"), 400, "names another host"),
        (plain("GET http://user@h/function/echo HTTP/1.0\r\n\r\n"), 400, "no host"),
        (plain("GET /function/echo HTTP/1.1\r\nHost: user@h\r\n\r\n"), 400, "no host"),
        (with("Content-Length: x\r\n"), 400, "Content-Length is no number"),
        (with("Content-Length: -1\r\n"), 400, "Content-Length is no number"),
        (with("Content-Length: +1\r\n"), 400, "Content-Length is no number"),
        (with("Content-Length: 1, 1\r\n"), 400, "Content-Length is no number"),
        (with("Content-Length: 99999999999999999999\r\n"), 400, "Content-Length is no number"),
        (with("Content-Length: 1\r\nContent-Length: 1\r\n"), 400, "more than one Content-Length"),
        (with("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n"), 400, "both Content-Length and"),
        (with("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), 400, "more than one Transfer-Encoding"),
        (with("Transfer-Encoding: gzip\r\n"), 400, "is chunked"),
        (with("Transfer-Encoding: gzip, chunked\r\n"), 400, "is chunked"),
        (with("Upgrade: websocket\r\nContent-Length: 1\r\n"), 400, "no upgrade in Connection"),
        (plain("GET /function/echo HTTP/1.1\r\n\r\n"), 400, "no Host header"),
        (plain("GET /function/echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), 400, "HTTP/1.0 has no"),
        (plain("POST /function/echo HTTP/1.0\r\n\r\n"), 411, "needs a Content-Length"),
        (plain("GET /function/echo HTTP/2.0\r\nHost: h\r\n\r\n"), 505, "HTTP/1.1 and HTTP/1.0"),
        (plain("GET /function/echo HTTP/9\r\nHost: h\r\n\r\n"), 505, "HTTP/1.1 and HTTP/1.0"),
        (plain("GET /function/echo\r\n\r\n"), 400, "no HTTP request"),
        (plain("G\u{e4}T / HTTP/1.1\r\nHost: h\r\n\r\n"), 400, "first line"),
        (plain("GET\r\n\r\n"), 400, "no HTTP request"),
        (plain("hello\r\n"), 400, "no HTTP request"),
        (plain("& /function/echo HTTP/1.1\r\nHost: h\r\n\r\n"), 400, "method has a character"),
        (plain("CONNECT :: HTTP/1.1\r\nHost: h\r\n\r\n"), 400, "no path"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(), 400, "TLS"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x12\x04".to_vec(), 505, "HTTP/1.1 and HTTP/1.0"),
    ]
}

/// Sends all of it and reads to the connection's end.
async fn converse(address: std::net::SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(bytes).await.unwrap();
    let mut came = Vec::new();
    let end = timeout(Duration::from_secs(10), client.read_to_end(&mut came)).await;
    let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(200)]).into_owned();
    end.unwrap_or_else(|_| panic!("the connection goes on after {shown:?}: {came:?}"))
        .unwrap_or_else(|error| panic!("{error} after {shown:?}: {came:?}"));
    came
}

#[actix_web::test]
async fn a_request_that_can_not_be_read_is_answered_in_words() {
    for flavor in [ApiFlavor::Public, ApiFlavor::Provider] {
        let house = House::with(flavor, |_| {}).await;
        house.publish("echo", mirror().await);
        for (bytes, status, words) in malformed() {
            let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(200)]).into_owned();
            for address in [house.address, house.metrics] {
                let reply = Reply::parse(&converse(address, &bytes).await);
                assert_eq!(reply.status, status, "{shown:?}: {reply:?}");
                assert!(reply.complete && reply.text().contains(words), "{shown:?}: {reply:?}");
                assert_eq!(reply.header("connection").as_deref(), Some("close"), "{shown:?}");
                assert_eq!(reply.header("content-type").as_deref(), Some("text/plain; charset=utf-8"), "{shown:?}");
            }
        }
    }
}

#[actix_web::test]
async fn a_request_before_one_that_can_not_be_read_is_answered_first() {
    let house = House::public().await;
    let slow = crate::support::function(|mut connection| async move {
        connection.head().await;
        tokio::time::sleep(Duration::from_millis(5)).await;
        connection.say("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nslow").await;
    });
    house.publish("slow", slow.await);
    for (bytes, status, words) in malformed() {
        let first = b"GET /function/slow HTTP/1.1\r\nHost: h\r\n\r\n";
        let came = converse(house.address, &[first.as_slice(), &bytes].concat()).await;
        let came = String::from_utf8(came).unwrap();
        let (answer, refusal) = came.split_once("slow").unwrap_or_else(|| panic!("no answer: {came:?}"));
        assert!(answer.starts_with("HTTP/1.1 200 "), "{came:?}");
        let reply = Reply::parse(refusal.as_bytes());
        assert!(reply.status == status && reply.complete && reply.text().contains(words), "{came:?}");
    }
}

#[actix_web::test]
async fn raw_utf8_reaches_a_function_byte_for_byte() {
    for flavor in [ApiFlavor::Public, ApiFlavor::Provider] {
        let house = House::with(flavor, |_| {}).await;
        house.publish("echo", mirror().await);
        for rest in ["/ä", "/a/日本語/b", "?q=ä", "/ä/%C3%A4?q=€&r=%E2%82%AC", "?😀", "/a?b=c"] {
            for scheme in ["", "http://h"] {
                let head = format!("GET {scheme}/function/echo{rest} HTTP/1.1\r\nHost: h\r\n");
                let reply = house.ask(&head, "").await;
                assert_eq!(reply.status, 200, "{rest}: {reply:?}");
                let slash = if rest.starts_with('/') { "" } else { "/" };
                assert_eq!(reply.text().lines().next(), Some(format!("GET {slash}{rest} HTTP/1.1").as_str()), "{rest}");
            }
        }
        // One connection does not remember it.
        let one = |path: &str, more: &str| format!("GET /function/echo/{path} HTTP/1.1\r\nHost: h\r\n{more}\r\n");
        let both = format!("{}{}", one("ä", ""), one("a", "Connection: close\r\n"));
        let came = String::from_utf8(converse(house.address, both.as_bytes()).await).unwrap();
        assert!(came.contains("\r\n\r\nGET /ä HTTP/1.1\r\n") && came.contains("\r\n\r\nGET /a HTTP/1.1\r\n"), "{came}");
    }
}

#[actix_web::test]
async fn raw_utf8_means_the_same_to_the_api_as_percent_encoded() {
    let house = House::public().await;
    for path in ["/system/function/ä", "/system/functions?namespace=ä", "/nothing/ä", "/system/namespace/ä"] {
        let encoded = path.replace('ä', "%C3%A4");
        let ask = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: h\r\n{AUTH}");
        let (raw, encoded) = (house.ask(&ask(path), "").await, house.ask(&ask(&encoded), "").await);
        assert_eq!((raw.status, raw.text()), (encoded.status, encoded.text()), "{path}");
        assert!(raw.status >= 400, "{path}: {raw:?}");
    }
}

#[actix_web::test]
async fn a_body_that_is_not_framed_as_its_head_says_is_refused_in_words_whoever_was_to_read_it() {
    let house = House::public().await;
    let reader = crate::support::function(|mut connection| async move {
        tokio::io::copy(&mut connection.0, &mut tokio::io::sink()).await.ok();
    });
    house.publish("reader", reader.await);
    house.publish("echo", mirror().await);
    for path in ["/function/reader", "/function/nosuch", "/nosuch", "/system/functions"] {
        for authorised in ["", AUTH] {
            for expects in ["", "Expect: 100-continue\r\n"] {
                for body in ["x\r\n", "5\r\nhelloX", "2\r\nhe\r\n\r\n", "5\nhello\n0\n\n", "0\r\n\rX", "-1\r\n"] {
                    let line = format!("POST {path} HTTP/1.1\r\nHost: h\r\n{authorised}{expects}");
                    let request = format!("{line}Transfer-Encoding: chunked\r\n\r\n{body}");
                    // It follows another one, and is followed by what is not to be read any more.
                    let first = "GET /function/echo HTTP/1.1\r\nHost: h\r\n\r\n";
                    let next = "GET /function/echo HTTP/1.1\r\nHost: h\r\n\r\n";
                    let all = format!("{first}{request}{next}");
                    let came = String::from_utf8(converse(house.address, all.as_bytes()).await).unwrap();
                    let interim = "HTTP/1.1 100 Continue\r\n\r\n";
                    let answers: Vec<_> =
                        came.split("HTTP/1.1 ").filter(|part| part.starts_with(['2', '4', '5'])).collect();
                    assert_eq!(answers.len(), 2, "{request:?}: {came}");
                    assert!(answers[0].starts_with("200 "), "{request:?}: {came}");
                    assert!(answers[1].starts_with("400 ") && answers[1].contains("not framed in chunks"), "{came}");
                    assert!(came.matches(interim).count() <= usize::from(!expects.is_empty()), "{came}");
                }
            }
        }
    }
}

#[actix_web::test]
async fn a_body_that_breaks_after_its_answer_has_begun_ends_the_connection_without_a_second_one() {
    let house = House::public().await;
    let early = crate::support::function(|mut connection| async move {
        connection.head().await;
        connection.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nearly\r\n").await;
        tokio::io::copy(&mut connection.0, &mut tokio::io::sink()).await.ok();
    });
    house.publish("early", early.await);
    let mut client = TcpStream::connect(house.address).await.unwrap();
    let head = "POST /function/early HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n";
    client.write_all(head.as_bytes()).await.unwrap();
    let mut came = Vec::new();
    while !came.ends_with(b"early\r\n") {
        client.read_buf(&mut came).await.unwrap();
    }
    client.write_all(b"no chunk").await.unwrap();
    timeout(Duration::from_secs(10), client.read_to_end(&mut came)).await.expect("it goes on").ok();
    let came = String::from_utf8(came).unwrap();
    assert_eq!(came.matches("HTTP/1.1 ").count(), 1, "{came}");
}
