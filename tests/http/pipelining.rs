//! Several requests in one packet: an answer each, in order, and each the same as on a connection of its own.

use std::net::SocketAddr;
use std::time::Duration;

use actord::function::Outlook;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::{AUTH, House, function};

/// One request as it is sent.
#[derive(Clone)]
struct Request {
    name: &'static str,
    bytes: Vec<u8>,
}

fn request(name: &'static str, line: &str, headers: &str, body: &str) -> Request {
    Request { name, bytes: format!("{line} HTTP/1.1\r\nHost: h\r\n{headers}\r\n{body}").into_bytes() }
}

/// Requests after which a connection goes on.
fn requests() -> Vec<Request> {
    let chunked = "Transfer-Encoding: chunked\r\n";
    let five = "Content-Length: 5\r\n";
    let expect = "Content-Length: 5\r\nExpect: 100-continue\r\n";
    let auth = |more: &str| format!("{AUTH}{more}");
    vec![
        request("GET", "GET /function/echo/a?b=c", "", ""),
        request("GET, raw UTF-8", "GET /function/echo/ä", "", ""),
        request("GET, keep-alive", "GET /function/echo", "Connection: keep-alive\r\n", ""),
        request("GET, chunks back", "GET /function/echo/chunks", "", ""),
        request("GET, slow", "GET /function/echo/slow", "", ""),
        request("GET, 204", "GET /function/echo/204", "", ""),
        request("GET, 304", "GET /function/echo/304", "", ""),
        request("HEAD", "HEAD /function/echo", "", ""),
        request("HEAD, no length", "HEAD /function/echo/chunks", "", ""),
        request("OPTIONS", "OPTIONS /function/echo", "", ""),
        request("POST", "POST /function/echo", five, "hello"),
        request("POST, empty", "POST /function/echo", "Content-Length: 0\r\n", ""),
        request("POST, chunks", "POST /function/echo", chunked, "2\r\nhe\r\n3;a=b\r\nllo\r\n0\r\nX-Sum: 1\r\n\r\n"),
        request("POST, chunks back", "POST /function/echo/chunks", chunked, "5\r\nhello\r\n0\r\n\r\n"),
        request("POST, expects", "POST /function/echo", expect, "hello"),
        request("PUT, a request within", "PUT /function/echo/slow", "Content-Length: 18\r\n", "GET / HTTP/1.1\r\n\r\n"),
        request("DELETE, body", "DELETE /function/echo", five, "hello"),
        request("GET, body", "GET /function/echo", five, "hello"),
        request("404, function", "GET /function/nosuch", "", ""),
        request("404, function, body unread", "POST /function/nosuch", five, "hello"),
        request("404, function, chunks unread", "POST /function/nosuch", chunked, "5\r\nhello\r\n0\r\n\r\n"),
        request("404, function, expects", "POST /function/nosuch", expect, "hello"),
        request("503, body unread", "POST /function/zero", five, "hello"),
        request("404, route", "GET /nosuch", "", ""),
        request("404, route, body unread", "POST /nosuch", five, "hello"),
        request("401", "GET /system/functions", "", ""),
        request("401, body unread", "POST /system/functions", five, "hello"),
        request("401, HEAD", "HEAD /system/functions", "", ""),
        request("405, body unread", "PATCH /system/functions", &auth(five), "hello"),
        request("400, body read", "POST /system/functions", &auth(five), "hello"),
        request("404, asynchronous, body unread", "POST /async-function/nosuch", five, "hello"),
        request("200, API", "GET /system/functions", AUTH, ""),
        request("200, health", "GET /healthz", "", ""),
    ]
}

/// Requests after which a connection ends.
fn last_requests() -> Vec<Request> {
    let plain = |name, text: &str| Request { name, bytes: text.as_bytes().to_vec() };
    vec![
        request("upgrade, function", "GET /function/echo", "Connection: Upgrade\r\nUpgrade: h2c\r\n", ""),
        request("upgrade, API", "GET /healthz", "Connection: Upgrade\r\nUpgrade: h2c\r\n", ""),
        request("close", "GET /function/echo", "Connection: close\r\n", ""),
        request("close, chunks back", "POST /function/echo/chunks", "Connection: close\r\nContent-Length: 1\r\n", "x"),
        plain("HTTP/1.0", "GET /function/echo HTTP/1.0\r\n\r\n"),
        plain("HTTP/1.0, chunks back", "GET /function/echo/chunks HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"),
        plain("HTTP/1.0, POST", "POST /function/echo HTTP/1.0\r\nContent-Length: 5\r\n\r\nhello"),
        plain("HTTP/1.0, no length", "POST /function/echo HTTP/1.0\r\n\r\n"),
        plain("no HTTP", "\u{1}\u{2}\u{3}\r\n\r\n"),
        plain("HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        request("too long to be read away", "POST /function/nosuch", "Content-Length: 9000000\r\n", "beginning"),
        request("413", "POST /system/functions", &format!("{AUTH}Content-Length: 2000000\r\n"), &"x".repeat(1_100_000)),
    ]
}

/// Says what it was sent. Its path chooses the shape of the answer.
async fn echo() -> SocketAddr {
    function(|mut connection| async move {
        loop {
            let head = connection.head().await;
            if head.is_empty() {
                return;
            }
            let mut body = String::new();
            if let Some(length) = head.lines().find_map(|line| line.strip_prefix("content-length: ")) {
                body = connection.read(length.parse().unwrap()).await;
            } else if head.contains("transfer-encoding: chunked") {
                while !body.ends_with("0\r\n\r\n") {
                    body.push_str(&connection.read(1).await);
                }
            }
            let line = head.lines().next().unwrap();
            if line.contains("/slow") {
                tokio::time::sleep(Duration::from_millis(3)).await;
            }
            let text = format!("{line}: {body}");
            let is_head = line.starts_with("HEAD");
            let sent = if is_head { "" } else { &text };
            connection
                .say(&match () {
                    () if line.contains("/204") => "HTTP/1.1 204 None\r\n\r\n".to_owned(),
                    () if line.contains("/304") => "HTTP/1.1 304 Same\r\nETag: \"x\"\r\n\r\n".to_owned(),
                    () if line.contains("/chunks") && is_head => {
                        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned()
                    }
                    () if line.contains("/chunks") => format!(
                        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{text}\r\n0\r\n\r\n",
                        text.len()
                    ),
                    () => format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{sent}", text.len()),
                })
                .await;
        }
    })
    .await
}

async fn house() -> House {
    let house = House::public().await;
    house.publish("echo", echo().await);
    house.routes.announce(&"zero".parse().unwrap(), Outlook::KeptDown);
    house
}

/// A connection whose answers are read one by one.
struct Client {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Client {
    async fn new(address: SocketAddr) -> Self {
        Self { stream: TcpStream::connect(address).await.unwrap(), read: Vec::new() }
    }

    /// False at the connection's end.
    async fn more(&mut self) -> bool {
        let count = timeout(Duration::from_secs(10), self.stream.read_buf(&mut self.read)).await;
        count
            .unwrap_or_else(|_| panic!("no answer came; so far {:?}", String::from_utf8_lossy(&self.read)))
            .is_ok_and(|n| n > 0)
    }

    async fn take(&mut self, length: usize, request: &Request) -> String {
        while self.read.len() < length {
            assert!(self.more().await, "{}: a body cut short", request.name);
        }
        String::from_utf8(self.read.drain(..length).collect()).unwrap()
    }

    /// The size of the next chunk.
    async fn size(&mut self, request: &Request) -> usize {
        let mut line = String::new();
        while !line.ends_with("\r\n") {
            line.push_str(&self.take(1, request).await);
        }
        usize::from_str_radix(line.trim_end(), 16).unwrap_or_else(|_| panic!("{}: no chunk: {line:?}", request.name))
    }

    /// The next answer to a request, interim ones before it: status line, headers that do not change by the call, and body.
    /// Empty at the end of the connection.
    async fn answer(&mut self, request: &Request) -> String {
        let mut all = String::new();
        loop {
            let end = loop {
                if let Some(at) = self.read.windows(4).position(|four| four == b"\r\n\r\n") {
                    break at + 4;
                }
                if !self.more().await {
                    assert!(
                        self.read.is_empty(),
                        "{}: a broken head: {:?}",
                        request.name,
                        String::from_utf8_lossy(&self.read)
                    );
                    return all;
                }
            };
            let head = String::from_utf8(self.read.drain(..end).collect()).unwrap();
            let header = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            let changing = ["date", "x-call-id", "x-start-time"];
            let lines = head.lines().filter(|line| !changing.contains(&line.split(':').next().unwrap()));
            let mut lines: Vec<_> = lines.collect();
            lines[1..].sort_unstable();
            all.push_str(&lines.join("\n"));
            let status: u16 = head.split(' ').nth(1).unwrap().parse().unwrap();
            if status == 100 {
                continue;
            }
            let length = header("content-length").map(|length| length.parse::<usize>().unwrap());
            if request.bytes.starts_with(b"HEAD") || matches!(status, 204 | 304) {
            } else if header("transfer-encoding") == Some("chunked") {
                while let size @ 1.. = self.size(request).await {
                    let chunk = self.take(size + 2, request).await;
                    all.push_str(chunk.trim_end_matches("\r\n"));
                }
                self.take(2, request).await;
            } else if let Some(length) = length {
                all.push_str(&self.take(length, request).await);
            } else {
                while self.more().await {}
                all.push_str(&String::from_utf8(std::mem::take(&mut self.read)).unwrap());
            }
            return all;
        }
    }
}

/// What each request gets on a connection of its own.
async fn alone(house: &House, requests: &[Request]) -> Vec<String> {
    let mut answers = Vec::new();
    for request in requests {
        let mut client = Client::new(house.address).await;
        client.stream.write_all(&request.bytes).await.unwrap();
        let answer = client.answer(request).await;
        assert!(!answer.is_empty(), "{}", request.name);
        answers.push(answer);
    }
    answers
}

/// Sends requests at once, in pieces, and compares the answers.
async fn together(house: &House, requests: &[(&Request, &String)], piece: usize) {
    let names: Vec<_> = requests.iter().map(|(request, _)| request.name).collect();
    let bytes: Vec<u8> = requests.iter().flat_map(|(request, _)| request.bytes.iter().copied()).collect();
    let mut client = Client::new(house.address).await;
    for piece in bytes.chunks(piece) {
        client.stream.write_all(piece).await.unwrap();
        if piece.len() < bytes.len() {
            tokio::task::yield_now().await;
        }
    }
    for (i, (request, due)) in requests.iter().enumerate() {
        let answer = client.answer(request).await;
        assert_eq!(&answer, *due, "answer {i} of {names:?}");
    }
    assert!(client.read.is_empty(), "{names:?}: {:?}", String::from_utf8_lossy(&client.read));
}

#[actix_web::test]
async fn two_requests_in_one_packet_get_the_answers_that_they_get_alone() {
    let (house, requests, last) = (house().await, requests(), last_requests());
    let (due, last_due) = (alone(&house, &requests).await, alone(&house, &last).await);
    for (answer, request) in due.iter().zip(&requests) {
        assert!(!answer.contains("connection: close"), "{}: {answer}", request.name);
    }
    let all: Vec<_> = requests.iter().zip(&due).collect();
    for first in &all {
        for second in all.iter().copied().chain(last.iter().zip(&last_due)) {
            together(&house, &[*first, second], usize::MAX).await;
        }
    }
}

#[actix_web::test]
async fn many_requests_in_one_packet_get_the_answers_that_they_get_alone() {
    let (house, requests, last) = (house().await, requests(), last_requests());
    let (due, last_due) = (alone(&house, &requests).await, alone(&house, &last).await);
    let all: Vec<_> = requests.iter().zip(&due).collect();
    let backwards: Vec<_> = all.iter().rev().copied().collect();
    // More than actix holds for later, and more than is held here.
    let sixteen = all.iter().cycle().take(all.len() * 16).copied().collect::<Vec<_>>();
    for mix in [&all, &backwards, &sixteen] {
        for end in last.iter().zip(&last_due) {
            let mix: Vec<_> = mix.iter().copied().chain([end]).collect();
            together(&house, &mix, usize::MAX).await;
        }
        for piece in [1, 7, 100, 1_460] {
            together(&house, &mix[..mix.len().min(40)], piece).await;
        }
    }
}

/// The answer says that it is the last, and it is.
async fn ends_after_the_answer(address: SocketAddr, line: &str, request: &Request) {
    let mut client = Client::new(address).await;
    client.stream.write_all(&request.bytes).await.unwrap();
    let answer = client.answer(request).await;
    assert!(answer.starts_with("HTTP/1.1 40") && answer.contains("connection: close"), "{line}: {answer}");
    assert!(!client.more().await, "{line}");
}

#[actix_web::test]
async fn a_body_that_no_route_reads_and_that_does_not_come_ends_the_connection_after_the_answer() {
    let house = house().await;
    for line in ["POST /function/nosuch", "POST /nosuch", "POST /system/functions"] {
        let request = request("waits", line, "Content-Length: 5\r\n", "he");
        ends_after_the_answer(house.address, line, &request).await;
    }
}

#[actix_web::test]
async fn chunks_that_no_route_reads_and_that_do_not_end_end_the_connection_after_the_answer() {
    let house = house().await;
    let chunked = "Transfer-Encoding: chunked\r\n";
    let long = format!("40000\r\n{}\r\n1\r\n", "x".repeat(0x40000));
    for line in ["POST /function/nosuch", "POST /nosuch", "POST /system/functions"] {
        for body in ["5\r\nhel", &long] {
            let request = request("waits", line, chunked, body);
            ends_after_the_answer(house.address, line, &request).await;
        }
    }
}

#[actix_web::test]
async fn a_client_that_leaves_while_its_requests_wait_leaves_nothing_behind() {
    let house = house().await;
    let one = request("slow", "GET /function/echo/slow", "", "");
    let mut client = Client::new(house.address).await;
    client.stream.write_all(&one.bytes.repeat(20)).await.unwrap();
    client.answer(&one).await;
    drop(client);
    let id = "echo".parse().unwrap();
    let instance = house.routes.published(&id).pop().unwrap();
    house.routes.retract(&id, &instance);
    let drained = house.routes.drained(&id, &instance);
    timeout(Duration::from_secs(10), drained.wait()).await.expect("a lease is still held");
}
