use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::support::{House, answering, ask, function, mirror, nobody, read_reply};

#[actix_web::test]
async fn a_body_with_a_length_that_breaks_off_does_not_look_complete() {
    let house = House::public().await;
    let broken = function(|mut connection| async move {
        connection.head().await;
        connection.say("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nonly this").await;
    })
    .await;
    house.publish("broken", broken);
    let reply = house.get("/function/broken").await;
    assert!(!reply.complete, "{reply:?}");
}

#[actix_web::test]
async fn a_body_in_chunks_that_breaks_off_does_not_look_complete() {
    let house = House::public().await;
    let broken = function(|mut connection| async move {
        connection.head().await;
        connection.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n").await;
        // Long enough for the beginning to be passed on.
        tokio::time::sleep(Duration::from_millis(50)).await;
    })
    .await;
    house.publish("broken", broken);
    let reply = house.get("/function/broken").await;
    assert_eq!((reply.status, reply.text().as_str()), (200, "hello"));
    assert!(!reply.complete, "{reply:?}");
}

#[actix_web::test]
async fn an_upload_that_breaks_off_does_not_look_complete_to_the_function() {
    let house = House::public().await;
    let (to, mut from) = mpsc::unbounded_channel();
    let listener = function(move |mut connection| {
        let to = to.clone();
        async move {
            connection.head().await;
            let mut rest = String::new();
            connection.0.read_to_string(&mut rest).await.ok();
            to.send(rest).unwrap();
        }
    })
    .await;
    house.publish("echo", listener);
    let mut client = TcpStream::connect(house.address).await.unwrap();
    let head = "POST /function/echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";
    client.write_all(head.as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    drop(client);
    let got = timeout(Duration::from_secs(5), from.recv()).await.expect("the function was left waiting").unwrap();
    assert_eq!(got, "5\r\nhello\r\n", "no last chunk");
}

#[actix_web::test]
async fn when_the_client_is_gone_the_function_is_told() {
    let house = House::public().await;
    let (to, mut from) = mpsc::unbounded_channel();
    let slow = function(move |mut connection| {
        let to = to.clone();
        async move {
            connection.head().await;
            to.send("asked").unwrap();
            assert!(connection.head().await.is_empty());
            to.send("left alone").unwrap();
        }
    })
    .await;
    house.publish("slow", slow);
    let mut client = TcpStream::connect(house.address).await.unwrap();
    client.write_all(b"GET /function/slow HTTP/1.1\r\nHost: h\r\n\r\n").await.unwrap();
    assert_eq!(from.recv().await, Some("asked"));
    drop(client);
    let told = timeout(Duration::from_secs(5), from.recv()).await.expect("the function works on for nobody");
    assert_eq!(told, Some("left alone"));
}

#[actix_web::test]
async fn when_the_client_leaves_during_a_stream_the_function_is_told() {
    let house = House::public().await;
    let (to, mut from) = mpsc::unbounded_channel();
    let stream = function(move |mut connection| {
        let to = to.clone();
        async move {
            connection.head().await;
            connection.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n").await;
            connection.0.read_u8().await.ok();
            to.send(()).unwrap();
        }
    })
    .await;
    let instance = house.publish("stream", stream);
    let mut client = TcpStream::connect(house.address).await.unwrap();
    client.write_all(b"GET /function/stream HTTP/1.1\r\nHost: h\r\n\r\n").await.unwrap();
    let mut some = [0; 1];
    client.read_exact(&mut some).await.unwrap();

    let id = "stream".parse().unwrap();
    house.routes.retract(&id, &instance);
    let draining = house.routes.drained(&id, &instance);
    let drained = timeout(Duration::from_millis(100), draining.wait()).await;
    assert!(drained.is_err(), "the lease lasts as long as the body");
    drop(client);
    timeout(Duration::from_secs(5), from.recv()).await.expect("the function talks to nobody").unwrap();
    timeout(Duration::from_secs(5), house.routes.drained(&id, &instance).wait()).await.expect("the lease is over");
}

#[actix_web::test]
async fn a_request_that_finds_nobody_listening_goes_to_another_instance() {
    let house = House::public().await;
    house.publish("echo", nobody());
    house.publish("echo", mirror().await);
    for _ in 0..4 {
        assert_eq!(house.get("/function/echo").await.status, 200);
    }
}

#[actix_web::test]
async fn a_request_whose_instance_just_died_waits_for_the_next_with_its_body_whole() {
    let house = House::public().await;
    let id = "echo".parse().unwrap();
    let dead = house.publish("echo", nobody());
    let request = ask(house.address, "POST /function/echo HTTP/1.1\r\nHost: h\r\n", "hello");
    let replace = async {
        tokio::time::sleep(Duration::from_millis(30)).await;
        house.routes.retract(&id, &dead);
        tokio::time::sleep(Duration::from_millis(100)).await;
        let next = function(|mut connection| async move {
            connection.head().await;
            let body = connection.read(5).await;
            connection.say(&format!("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n{body}")).await;
        });
        house.publish("echo", next.await);
    };
    let (reply, ()) = tokio::join!(request, replace);
    assert_eq!((reply.status, reply.text().as_str()), (200, "hello"));
}

/// Publishes a function that reads a request's head and ends the connection. Tells of each head.
async fn publish_dying(house: &House) -> mpsc::UnboundedReceiver<String> {
    let (to, from) = mpsc::unbounded_channel();
    let dying = function(move |mut connection| {
        let to = to.clone();
        async move {
            to.send(connection.head().await).unwrap();
        }
    });
    house.publish("dying", dying.await);
    from
}

/// How many heads came since this was last asked.
fn tries(from: &mut mpsc::UnboundedReceiver<String>) -> usize {
    std::iter::from_fn(|| from.try_recv().ok()).count()
}

#[actix_web::test]
async fn a_safe_request_is_sent_again_when_its_connection_ends_without_an_answer_but_only_once() {
    let house = House::public().await;
    let mut from = publish_dying(&house).await;
    assert_eq!(house.get("/function/dying").await.status, 502);
    assert_eq!(tries(&mut from), 2);

    let reply = ask(house.address, "POST /function/dying HTTP/1.1\r\nHost: h\r\n", "").await;
    assert_eq!(reply.status, 502);
    assert!(from.try_recv().is_ok() && from.try_recv().is_err(), "what may have had an effect is sent once");
}

#[actix_web::test]
async fn a_function_that_wants_no_request_twice_gets_a_safe_one_once_too() {
    let house = House::public().await;
    let mut from = publish_dying(&house).await;
    let id = "dying".parse().unwrap();
    for (may, wanted) in [(false, 1), (true, 2), (false, 1)] {
        house.routes.resend(&id, may);
        for method in ["GET", "HEAD", "OPTIONS", "TRACE"] {
            let reply = ask(house.address, &format!("{method} /function/dying HTTP/1.1\r\nHost: h\r\n"), "").await;
            assert_eq!(reply.status, 502);
            assert_eq!(tries(&mut from), wanted, "{method}");
        }
    }
}

#[actix_web::test]
async fn a_connection_that_the_function_closed_while_idle_costs_no_request() {
    let house = House::public().await;
    // Says that it keeps the connection, and closes it.
    let fickle = function(|mut connection| async move {
        connection.head().await;
        connection.say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    })
    .await;
    house.publish("fickle", fickle);
    for i in 0..50 {
        let reply = ask(house.address, "POST /function/fickle HTTP/1.1\r\nHost: h\r\n", "").await;
        assert_eq!(reply.status, 200, "request {i}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[actix_web::test]
async fn a_body_that_met_a_connection_closed_while_idle_is_sent_whole_on_another() {
    let house = House::public().await;
    let fickle = function(|mut connection| async move {
        connection.head().await;
        let body = connection.read(5).await;
        connection.say(&format!("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n{body}")).await;
    })
    .await;
    house.publish("fickle", fickle);
    for i in 0..50 {
        let body = format!("no {i:02}");
        let reply = ask(house.address, "POST /function/fickle HTTP/1.1\r\nHost: h\r\n", &body).await;
        assert_eq!((reply.status, reply.text()), (200, body));
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[actix_web::test]
async fn a_body_that_was_begun_is_not_sent_again() {
    let house = House::public().await;
    let (to, mut from) = mpsc::unbounded_channel();
    let dying = function(move |mut connection| {
        let to = to.clone();
        async move {
            connection.head().await;
            to.send(connection.read(5).await).unwrap();
        }
    })
    .await;
    house.publish("dying", dying);
    let reply = ask(house.address, "POST /function/dying HTTP/1.1\r\nHost: h\r\n", "hello").await;
    assert_eq!(reply.status, 502);
    assert_eq!(reply.header("x-openfaas-internal").as_deref(), Some("proxy"));
    assert!(from.try_recv().is_ok() && from.try_recv().is_err(), "what may have had an effect is sent once");
}

#[actix_web::test]
async fn a_stream_ends_on_the_old_instance_while_a_kept_connection_goes_on_with_the_new_one() {
    let house = House::public().await;
    let id = "echo".parse().unwrap();
    let (go, gate) = tokio::sync::watch::channel(false);
    let old = function(move |mut connection| {
        let mut gate = gate.clone();
        async move {
            while connection.head().await.starts_with("GET /quick") {
                connection.say("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nold").await;
            }
            connection.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nbegin\r\n").await;
            gate.wait_for(|open| *open).await.unwrap();
            connection.say("3\r\nend\r\n0\r\n\r\n").await;
        }
    })
    .await;
    let new = answering(|_| "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nnew".into()).await;
    let before = house.publish("echo", old);

    let mut kept = TcpStream::connect(house.address).await.unwrap();
    let quick = |kept: TcpStream, last: &'static str| async move {
        let mut kept = kept;
        let request = format!("GET /function/echo/quick HTTP/1.1\r\nHost: h\r\n{last}\r\n");
        kept.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        while !(answer.ends_with(b"old") || answer.ends_with(b"new")) {
            answer.push(timeout(Duration::from_secs(5), kept.read_u8()).await.unwrap().unwrap());
        }
        (kept, String::from_utf8(answer).unwrap())
    };
    let (again, answer) = quick(kept, "").await;
    assert!(answer.ends_with("old"));
    kept = again;
    let mut stream = TcpStream::connect(house.address).await.unwrap();
    stream.write_all(b"GET /function/echo/stream HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut some = [0; 1];
    stream.read_exact(&mut some).await.unwrap();

    house.publish("echo", new);
    house.routes.retract(&id, &before);
    for _ in 0..3 {
        let (again, answer) = quick(kept, "").await;
        assert!(answer.ends_with("new"), "{answer}");
        kept = again;
    }
    let drained = house.routes.drained(&id, &before);
    assert!(timeout(Duration::from_millis(100), drained.wait()).await.is_err(), "the stream is still on the old one");
    go.send(true).unwrap();
    let mut rest = some.to_vec();
    timeout(Duration::from_secs(5), stream.read_to_end(&mut rest)).await.unwrap().unwrap();
    let reply = crate::support::Reply::parse(&rest);
    assert_eq!((reply.status, reply.text().as_str(), reply.complete), (200, "beginend", true));
    timeout(Duration::from_secs(5), house.routes.drained(&id, &before).wait())
        .await
        .expect("nothing holds the old one");
}

#[actix_web::test]
async fn an_answer_that_is_no_http_is_a_502() {
    let house = House::public().await;
    house.publish("odd", answering(|_| "SSH-2.0-OpenSSH_9.2\r\n\r\n".into()).await);
    assert_eq!(house.get("/function/odd").await.status, 502);
}

#[actix_web::test]
async fn a_request_that_can_not_be_read_is_refused_and_reaches_no_function() {
    let house = House::public().await;
    house.publish("echo", mirror().await);
    for head in [
        "POST /function/echo HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "POST /function/echo HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nContent-Length: 6\r\n",
        "POST /function/echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n",
        "GET /function/echo HTTP/1.1\r\nHost: a\r\nHost: b\r\n",
    ] {
        let mut client = TcpStream::connect(house.address).await.unwrap();
        client.write_all(format!("{head}\r\n").as_bytes()).await.unwrap();
        let reply = read_reply(&mut client).await;
        assert_eq!(reply.status, 400, "{head}");
    }
}

#[actix_web::test]
async fn a_server_that_is_stopped_finishes_the_requests_that_it_has() {
    let house = House::public().await;
    let (go, gate) = tokio::sync::watch::channel(false);
    let slow = function(move |mut connection| {
        let mut gate = gate.clone();
        async move {
            connection.head().await;
            connection.say("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello").await;
            gate.wait_for(|open| *open).await.unwrap();
            connection.say("world").await;
        }
    })
    .await;
    house.publish("slow", slow);
    let mut client = TcpStream::connect(house.address).await.unwrap();
    client.write_all(b"GET /function/slow HTTP/1.1\r\nHost: h\r\n\r\n").await.unwrap();
    client.readable().await.unwrap();
    house.draining.raise();
    let stopped = actix_web::rt::spawn(house.server.stop(true));
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!stopped.is_finished(), "a request is still under way");
    go.send(true).unwrap();
    let reply = read_reply(&mut client).await;
    assert_eq!((reply.status, reply.text().as_str()), (200, "helloworld"));
    timeout(Duration::from_secs(5), stopped).await.expect("the server did not end").unwrap();
    assert!(TcpStream::connect(house.address).await.is_err(), "nobody listens any more");
}
