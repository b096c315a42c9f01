//! Connections to a function that are kept for the next request, and functions that close them.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::raw_client;
use crate::support::{House, ask, function};

/// A request that comes after the function has closed the connection meets that connection or a new one, as it happens.
#[actix_web::test]
async fn a_request_that_meets_a_connection_just_closed_is_answered_and_acted_on_once() {
    const CLIENTS: usize = 8;
    const EACH: usize = 250;
    let house = House::public().await;
    let seen: Rc<RefCell<BTreeMap<String, usize>>> = Rc::default();
    let (closed, mut told) = mpsc::unbounded_channel();
    let noted = seen.clone();
    let fickle = function(move |mut connection| {
        let (noted, closed) = (noted.clone(), closed.clone());
        async move {
            let head = connection.head().await;
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            connection.read(length.map_or(0, |length| length.parse().unwrap())).await;
            let number = head.lines().find_map(|line| line.strip_prefix("x-number: ")).expect("a number").to_owned();
            *noted.borrow_mut().entry(number).or_default() += 1;
            // It does not say that it closes.
            connection.say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
            drop(connection);
            closed.send(()).unwrap();
        }
    })
    .await;
    house.publish("fickle", fickle);
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        clients.push(raw_client::Connection::open(house.address).await.unwrap());
    }
    for round in 0..EACH {
        let requests = clients.iter_mut().enumerate().map(async |(n, client)| {
            let (method, body) = [("POST", b"hello".as_slice()), ("PUT", b""), ("GET", b"")][(n + round) % 3];
            let number = format!("X-Number: {n}.{round}\r\n");
            let answer = client.send(method, "/function/fickle", &number, body).await.unwrap();
            assert_eq!(answer.status, 200, "{method} {n}.{round}: {}", answer.text());
        });
        futures_util::future::join_all(requests).await;
        // The next requests come at once, so that the proxy may not have looked at its connections again.
        for _ in 0..CLIENTS {
            told.recv().await.unwrap();
        }
    }
    let seen = seen.borrow();
    assert_eq!(seen.len(), CLIENTS * EACH);
    assert!(seen.values().all(|times| *times == 1), "{:?}", seen.iter().find(|(_, times)| **times > 1));
}

#[actix_web::test]
async fn a_long_upload_that_meets_a_connection_just_closed_is_sent_whole_on_another() {
    const UPLOAD: usize = 1_000_000;
    let house = House::public().await;
    let (closed, mut told) = mpsc::unbounded_channel();
    let fickle = function(move |mut connection| {
        let closed = closed.clone();
        async move {
            connection.head().await;
            let body = connection.read(UPLOAD).await;
            let sum = body.bytes().map(u64::from).sum::<u64>().to_string();
            connection.say(&format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{sum}", sum.len())).await;
            drop(connection);
            closed.send(()).unwrap();
        }
    });
    house.publish("fickle", fickle.await);
    let body: Vec<u8> = (0..UPLOAD).map(|n| b'a' + u8::try_from(n % 23).unwrap()).collect();
    let sum = body.iter().map(|byte| u64::from(*byte)).sum::<u64>().to_string();
    let mut client = raw_client::Connection::open(house.address).await.unwrap();
    for i in 0..100 {
        let answer = client.send("POST", "/function/fickle", "", &body).await.unwrap();
        assert_eq!((answer.status, answer.text()), (200, sum.clone()), "{i}");
        told.recv().await.unwrap();
    }
}

/// How often a function was connected to for three requests, each answered with these headers on a connection that it
/// keeps.
async fn connections(headers: &'static str) -> usize {
    let house = House::public().await;
    let (to, mut accepted) = mpsc::unbounded_channel();
    let keeping = function(move |mut connection| {
        to.send(()).unwrap();
        async move {
            while !connection.head().await.is_empty() {
                connection.say(&format!("HTTP/1.1 200 OK\r\n{headers}Content-Length: 2\r\n\r\nok")).await;
            }
        }
    });
    house.publish("keeping", keeping.await);
    for _ in 0..3 {
        let reply = ask(house.address, "POST /function/keeping HTTP/1.1\r\nHost: h\r\n", "").await;
        assert_eq!((reply.status, reply.text().as_str()), (200, "ok"), "{headers}");
    }
    let mut count = 0;
    while accepted.try_recv().is_ok() {
        count += 1;
    }
    count
}

#[actix_web::test]
async fn what_a_function_says_of_its_connection_holds() {
    for (headers, wanted) in [
        ("", 1),
        ("Keep-Alive: timeout=5, max=100\r\n", 1),
        ("Connection: close\r\n", 3),
        ("Connection: Keep-Alive, Close\r\n", 3),
        ("Keep-Alive: timeout=0\r\n", 3),
    ] {
        assert_eq!(connections(headers).await, wanted, "{headers}");
    }
}

#[actix_web::test]
async fn a_kept_connection_is_closed_before_a_function_would_close_it() {
    let house = House::public().await;
    let (to, mut ended) = mpsc::unbounded_channel();
    let keeping = function(move |mut connection| {
        let to = to.clone();
        async move {
            connection.head().await;
            connection.say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
            assert!(connection.head().await.is_empty());
            to.send(()).unwrap();
        }
    });
    house.publish("keeping", keeping.await);
    assert_eq!(house.get("/function/keeping").await.status, 200);
    timeout(Duration::from_secs(10), ended.recv()).await.expect("it is kept for ever").unwrap();
}
