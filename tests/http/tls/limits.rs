//! The limits of clients hold with TLS, and on a connection that carries many requests.

use std::time::Duration;

use actord::http::{ClientTimes, ConnectionLimits, ReadingLimits};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use super::support::{Http2Client, Secure, get_over_http1};
use crate::support::{House, answering, ask, function, mirror};

const LENGTH: usize = 16 << 20;

/// Long enough for anything that is to happen.
const PATIENCE: Duration = Duration::from_secs(20);

async fn metric(house: &House, name: &str) -> u64 {
    let page = ask(house.metrics, "GET /metrics HTTP/1.1\r\nHost: h\r\n", "").await.text();
    let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name}: {page}")).parse().unwrap()
}

/// A function with a long answer.
async fn long() -> std::net::SocketAddr {
    function(|mut connection| async move {
        while !connection.head().await.is_empty() {
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {LENGTH}\r\n\r\n");
            if connection.0.write_all(head.as_bytes()).await.is_err()
                || connection.0.write_all(&vec![b'x'; LENGTH]).await.is_err()
            {
                return;
            }
        }
    })
    .await
}

#[actix_web::test]
async fn who_does_not_finish_its_handshake_or_its_first_head_is_closed() {
    let head = Duration::from_secs(1);
    let secure = Secure::house(|settings| settings.times = ClientTimes { head, ..ClientTimes::default() }).await;
    for begun in [&b""[..], b"\x16", b"\x16\x03\x01\x01\x00\x01\x00"] {
        let mut client = TcpStream::connect(secure.house.address).await.unwrap();
        client.write_all(begun).await.unwrap();
        let end = timeout(PATIENCE, client.read_to_end(&mut Vec::new())).await.expect("it is kept");
        assert!(matches!(end, Ok(0) | Err(_)), "{begun:?}: {end:?}");
    }
    let mut client = secure.connect(&["http/1.1"]).await;
    client.write_all(b"GET / HT").await.unwrap();
    let mut said = String::new();
    timeout(PATIENCE, client.read_to_string(&mut said)).await.expect("it is kept").unwrap();
    assert!(said.starts_with("HTTP/1.1 408 "), "{said}");
    // Of HTTP/2: without a word of it, and without a request.
    let mut client = secure.connect(&["h2"]).await;
    let end = timeout(PATIENCE, client.read_to_end(&mut Vec::new())).await.expect("it is kept");
    drop(end);
    let mut client = secure.http2().await;
    timeout(PATIENCE, client.end()).await.expect("it is kept").unwrap();
    // The place of each was given back, and others are served.
    let mut client = secure.connect(&["http/1.1"]).await;
    assert_eq!(get_over_http1(&mut client, "/healthz").await.status, 200);
}

#[actix_web::test]
async fn a_connection_of_http_2_without_a_request_is_closed_and_told_so() {
    let times = ClientTimes { idle: Duration::from_secs(1), ..ClientTimes::default() };
    let secure = Secure::house(|settings| settings.times = times).await;
    let mut client = secure.http2().await;
    assert_eq!(client.get("/healthz").await.status, 200);
    timeout(PATIENCE, client.end()).await.expect("it is kept").expect("an orderly end");
}

#[actix_web::test]
async fn who_does_not_take_its_answer_is_closed_over_both_protocols_and_what_waits_is_bounded() {
    const CLIENTS: usize = 10;
    // What actix collects, a piece of an answer, and what TLS and HTTP/2 have of it.
    const HELD: u64 = (8 << 10) + (4 << 10) + (16 << 10) + (32 << 10);
    let reading = ReadingLimits { idle: Duration::from_secs(3), floor: 256, memory: usize::MAX };
    let secure = Secure::house(|settings| settings.reading = reading).await;
    secure.house.publish("long", long().await);
    let (mut old, mut new) = (Vec::new(), Vec::new());
    for _ in 0..CLIENTS {
        let mut client = secure.connect_deaf(&["http/1.1"]).await;
        client.write_all(b"GET /function/long HTTP/1.1\r\nHost: h\r\n\r\n").await.unwrap();
        old.push(client);
        // One that would have room for all of it, and does not read its socket: its frames are written by hand.
        let mut client = secure.connect_deaf(&["h2"]).await;
        client.write_all(&hand_written("/function/long")).await.unwrap();
        new.push(client);
    }
    let closed = "actord_slow_clients_closed_total";
    let (mut most, begun) = (0, Instant::now());
    while metric(&secure.house, closed).await < 2 * CLIENTS as u64 {
        assert!(begun.elapsed() < 3 * PATIENCE, "they are kept");
        most = most.max(metric(&secure.house, "actord_answers_waiting_bytes").await);
        let mut client = secure.connect(&["http/1.1"]).await;
        assert_eq!(get_over_http1(&mut client, "/healthz").await.status, 200, "a client that reads is served");
        sleep(Duration::from_millis(50)).await;
    }
    // Of HTTP/2 both its answer and its connection may be what waits.
    assert!(most > 0 && most <= 3 * CLIENTS as u64 * HELD, "{most} bytes waited");
    for client in old.into_iter().chain(new) {
        let reset = async {
            while client.get_ref().0.take_error().unwrap().is_none() {
                sleep(Duration::from_millis(50)).await;
            }
        };
        timeout(PATIENCE, reset).await.expect("it was not reset");
    }
    nothing_is_held(&secure.house).await;
}

/// A connection of HTTP/2 that asks for a path, with more room for its answer than that is long.
fn hand_written(path: &str) -> Vec<u8> {
    let frame = |kind: u8, flags: u8, stream: u32, payload: &[u8]| {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
    };
    // Literals without an index (RFC 7541, 6.2.2), and what the static table has: GET, https.
    let text = |text: &str| [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    let head = [&[0x82, 0x87][..], &[0x04], &text(path), &[0x01], &text("h")].concat();
    [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        frame(4, 0, 0, &[0, 4, 0x7f, 0xff, 0xff, 0xff]),
        frame(8, 0, 0, &0x7000_0000_u32.to_be_bytes()),
        frame(1, 5, 1, &head),
    ]
    .concat()
}

impl Secure {
    /// A function `sized` whose answer has as many bytes as its path says.
    async fn publish_sized(&self) {
        let sized = answering(|head| {
            let length = head.split([' ', '/']).nth(2).unwrap().parse().unwrap();
            format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{}", "x".repeat(length))
        });
        self.house.publish("sized", sized.await);
    }
}

#[actix_web::test]
async fn a_client_that_takes_its_time_gets_all_of_its_answer_when_actord_ends() {
    let secure = Secure::house(|_| {}).await;
    secure.publish_sized().await;
    // Of one of these, what is left when all of it was given to HTTP/2 does not fit into the kernels.
    let mut clients = Vec::new();
    for length in (60..=600).step_by(15).map(|kib| kib << 10) {
        let mut client = secure.connect_deaf(&["h2"]).await;
        client.write_all(&hand_written(&format!("/function/sized/{length}"))).await.unwrap();
        clients.push((client, length));
    }
    sleep(Duration::from_secs(1)).await;
    secure.house.draining.raise();
    sleep(Duration::from_secs(3)).await;
    for (mut client, length) in clients {
        let mut came = Vec::new();
        let taking = async {
            while body_of(&came) < length {
                let read = client.read_buf(&mut came).await;
                assert!(read.is_ok_and(|count| count > 0), "{} of {length} bytes", body_of(&came));
            }
        };
        timeout(PATIENCE, taking).await.expect("no more comes");
    }
}

#[actix_web::test]
async fn a_client_of_http_1_1_that_takes_its_time_gets_all_of_the_last_answer_of_its_connection() {
    let secure = Secure::house(|_| {}).await;
    secure.publish_sized().await;
    let mut clients = Vec::new();
    for length in (60..=600).step_by(15).map(|kib| kib << 10) {
        let mut client = secure.connect_deaf(&["http/1.1"]).await;
        let head = format!("GET /function/sized/{length} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
        client.write_all(head.as_bytes()).await.unwrap();
        clients.push((client, length));
    }
    // Longer than the end of a connection may take that has nothing to say any more.
    sleep(Duration::from_secs(8)).await;
    for (mut client, length) in clients {
        let mut came = Vec::new();
        timeout(PATIENCE, client.read_to_end(&mut came)).await.expect("it is kept").ok();
        let body = came.windows(4).position(|four| four == b"\r\n\r\n").map_or(0, |at| came.len() - at - 4);
        assert_eq!(body, length);
    }
}

/// How much there is of bodies in whole frames of HTTP/2.
fn body_of(mut frames: &[u8]) -> usize {
    let mut body = 0;
    while let [a, b, c, kind, _, _, _, _, _, rest @ ..] = frames {
        let length = usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c);
        let Some((_, after)) = rest.split_at_checked(length) else { break };
        body += if *kind == 0 { length } else { 0 };
        frames = after;
    }
    body
}

async fn nothing_is_held(house: &House) {
    let begun = Instant::now();
    while metric(house, "actord_answers_waiting_bytes").await > 0
        || metric(house, "gateway_function_invocation_inflight{function_name=\"long.openfaas-fn\"}").await > 0
    {
        assert!(begun.elapsed() < PATIENCE, "something is held");
        sleep(Duration::from_millis(20)).await;
    }
}

#[actix_web::test]
async fn an_answer_that_is_given_no_room_is_given_up_and_the_others_of_its_connection_go_on() {
    let reading = ReadingLimits { idle: Duration::from_secs(2), floor: 256, memory: usize::MAX };
    let secure = Secure::house(|settings| settings.reading = reading).await;
    secure.house.publish("long", long().await);
    secure.house.publish("mirror", mirror().await);
    // A client with room for others beside what it does not take.
    let mut roomy = h2::client::Builder::new();
    roomy.initial_connection_window_size(1 << 20);
    let mut client = Http2Client::new(secure.connect(&["h2"]).await, &roomy).await;
    let (answer, _) = client.begin("GET", "/function/long", &[], true).await;
    let mut body = answer.await.unwrap().into_body();
    let closed = async {
        while metric(&secure.house, "actord_slow_clients_closed_total").await == 0 {
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, closed).await.expect("it is kept");
    let reason = loop {
        // What came is not given back, so no more has room.
        let came = timeout(PATIENCE, body.data()).await.expect("it was not told");
        if let Err(error) = came.expect("it looks whole") {
            break error.reason();
        }
    };
    assert_eq!(reason, Some(h2::Reason::CANCEL));
    assert_eq!(client.get("/function/mirror").await.status, 200);
    nothing_is_held(&secure.house).await;
}

#[actix_web::test]
async fn a_request_beside_another_one_counts_as_a_connection_does() {
    let secure = Secure::house(|settings| settings.connections = ConnectionLimits { all: 3, per_address: 0 }).await;
    let waiting = function(|mut connection| async move {
        connection.head().await;
        std::future::pending::<()>().await;
    });
    secure.house.publish("waiting", waiting.await);
    let mut client = secure.http2().await;
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(client.begin("GET", "/function/waiting", &[], true).await);
    }
    let told = client.get("/healthz").await;
    assert_eq!((told.status, told.header("retry-after").as_deref()), (503, Some("1")), "{told:?}");
    assert!(told.text().contains("max-connections"), "{told:?}");
    let (_, mut stream) = held.pop().unwrap();
    stream.send_reset(h2::Reason::CANCEL);
    let room = async {
        while client.get("/healthz").await.status != 200 {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, room).await.expect("its place is not given back");
}

#[actix_web::test]
async fn who_takes_back_one_request_after_the_other_is_sent_away() {
    let secure = Secure::house(|_| {}).await;
    let waiting = function(|mut connection| async move {
        connection.head().await;
        let _ = connection.0.read(&mut [0; 1]).await;
    });
    secure.house.publish("waiting", waiting.await);
    let mut client = secure.http2().await;
    let mut taken_back = 0;
    let error = loop {
        let (answer, mut stream) = match client.try_begin("GET", "/function/waiting", &[], true).await {
            Ok(begun) => begun,
            Err(error) => break error,
        };
        // It has gone out, and was begun.
        sleep(Duration::from_millis(2)).await;
        stream.send_reset(h2::Reason::CANCEL);
        drop(answer);
        taken_back += 1;
        assert!(taken_back < 1_000, "it may go on");
    };
    assert!(taken_back > 50, "{taken_back}: {error}");
    let end = timeout(PATIENCE, client.end()).await.expect("it is kept").unwrap_err();
    assert_eq!(end.reason(), Some(h2::Reason::ENHANCE_YOUR_CALM), "{end}");
    // One that takes back less than it lets be answered is not.
    secure.house.publish("mirror", mirror().await);
    let mut client = secure.http2().await;
    for _ in 0..300 {
        assert_eq!(client.get("/function/mirror").await.status, 200);
        let (_, mut stream) = client.begin("GET", "/function/waiting", &[], true).await;
        stream.send_reset(h2::Reason::CANCEL);
    }
}

#[actix_web::test]
async fn no_more_requests_are_under_way_on_a_connection_than_it_is_told() {
    let secure = Secure::house(|_| {}).await;
    let mut few = h2::client::Builder::new();
    few.initial_max_send_streams(1);
    let mut client = Http2Client::new(secure.connect(&["h2"]).await, &few).await;
    assert_eq!(client.get("/healthz").await.status, 200);
    assert_eq!(client.most_streams(), 100);
}
