//! How long a function may take: what is usual, what it says itself, and what has no limit.

use std::time::Duration;

use actord::function::{AnswerLimit, Outlook};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use crate::support::{House, answering, function};

const MOMENT: Duration = Duration::from_millis(200);

/// A function that never answers.
async fn silent() -> std::net::SocketAddr {
    function(|mut connection| async move {
        connection.head().await;
        std::future::pending::<()>().await;
    })
    .await
}

#[actix_web::test]
async fn a_function_with_a_limit_of_its_own_is_given_no_more_and_no_less() {
    let house = House::with(actord::http::ApiFlavor::Public, |settings| settings.upstream_timeout = 300 * MOMENT).await;
    house.publish("brisk", silent().await);
    house.routes.limit(&"brisk".parse().unwrap(), AnswerLimit::Exactly(MOMENT));
    let begun = Instant::now();
    let reply = house.get("/function/brisk").await;
    assert_eq!((reply.status, reply.text().as_str()), (504, "function brisk did not answer within 200ms\n"));
    assert_eq!(reply.header("x-openfaas-internal").as_deref(), Some("proxy"));
    assert!(begun.elapsed() >= MOMENT);

    let house = House::with(actord::http::ApiFlavor::Public, |settings| settings.upstream_timeout = MOMENT).await;
    let slow = function(|mut connection| async move {
        connection.head().await;
        sleep(3 * MOMENT).await;
        connection.say("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nslow").await;
    })
    .await;
    house.publish("slow", slow);
    assert_eq!(house.get("/function/slow").await.status, 504);
    house.routes.limit(&"slow".parse().unwrap(), AnswerLimit::AtLeast(300 * MOMENT));
    assert_eq!(house.get("/function/slow").await.text(), "slow");
}

#[actix_web::test]
async fn a_wait_for_an_instance_ends_with_the_limit_too() {
    let house = House::public().await;
    let id = "late".parse().unwrap();
    house.routes.announce(&id, Outlook::Coming);
    house.routes.limit(&id, AnswerLimit::Exactly(MOMENT / 4));
    assert_eq!(house.get("/function/late").await.status, 504);
}

#[actix_web::test]
async fn a_wait_for_a_function_that_is_woken_does_not_count() {
    let house = House::public().await;
    let id = "asleep".parse().unwrap();
    for (outlook, status) in [(Outlook::AtZero, 200), (Outlook::Waking, 200), (Outlook::Coming, 504)] {
        house.routes.forget(&id);
        house.routes.announce(&id, outlook);
        house.routes.limit(&id, AnswerLimit::Exactly(MOMENT / 2));
        let answers = answering(|_| "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".into()).await;
        let started = async {
            sleep(MOMENT).await;
            house.routes.publish(&id, &"asleep-1".parse().unwrap(), answers);
        };
        let (reply, ()) = futures_util::join!(house.get("/function/asleep"), started);
        assert_eq!(reply.status, status, "{reply:?}");
    }
}

#[actix_web::test]
async fn nobody_there_and_nobody_answering_are_told_apart() {
    let house = House::with(actord::http::ApiFlavor::Public, |settings| settings.upstream_timeout = 10 * MOMENT).await;
    house.publish("gone", crate::support::nobody());
    house.publish("mute", silent().await);
    house.publish("cut", answering(|_| "HTTP/1.1 200".into()).await);
    assert_eq!(house.get("/function/gone").await.status, 502);
    assert_eq!(house.get("/function/mute").await.status, 504);
}

/// Each event must be there before the next one is sent: nothing waits in a buffer, however long the pause.
#[actix_web::test]
async fn server_sent_events_arrive_one_by_one_with_pauses_longer_than_the_timeout() {
    let house = House::with(actord::http::ApiFlavor::Public, |settings| settings.upstream_timeout = MOMENT).await;
    let (go, may_go) = tokio::sync::watch::channel(0);
    let events = function(move |mut connection| {
        let mut may_go = may_go.clone();
        async move {
            connection.head().await;
            connection
                .say("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
                .await;
            for n in 1..=3 {
                may_go.wait_for(|upto| *upto >= n).await.unwrap();
                connection.say(&format!("9\r\ndata: {n}\n\n\r\n")).await;
            }
            connection.say("0\r\n\r\n").await;
            may_go.wait_for(|upto| *upto > 3).await.ok();
        }
    })
    .await;
    house.publish("events", events);
    let mut client = TcpStream::connect(house.address).await.unwrap();
    let ask = "GET /function/events HTTP/1.1\r\nHost: h\r\nAccept: text/event-stream\r\nConnection: close\r\n\r\n";
    client.write_all(ask.as_bytes()).await.unwrap();
    let mut seen = String::new();
    let mut buffer = [0; 4096];
    for n in 1..=3 {
        sleep(2 * MOMENT).await;
        go.send(n).unwrap();
        while !seen.contains(&format!("data: {n}\n\n")) {
            let read =
                timeout(Duration::from_secs(10), client.read(&mut buffer)).await.expect("the event is held back");
            seen.push_str(std::str::from_utf8(&buffer[..read.unwrap()]).unwrap());
        }
        assert!(!seen.contains(&format!("data: {}\n", n + 1)), "{seen}");
    }
    client.read_to_string(&mut seen).await.unwrap();
    assert!(seen.ends_with("0\r\n\r\n"), "{seen}");
    assert!(seen.to_ascii_lowercase().contains("content-type: text/event-stream\r\n"), "{seen}");
}
