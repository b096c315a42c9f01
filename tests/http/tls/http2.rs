//! Requests of HTTP/2 on their way to functions of HTTP/1.1, and what is refused of them.

use std::time::Duration;

use tokio::time::sleep;

use super::support::{Secure, reply};
use crate::support::{function, mirror};

#[actix_web::test]
async fn what_goes_to_a_function_is_one_head_of_http_1_1() {
    let secure = Secure::house(|_| {}).await;
    secure.house.publish("mirror", mirror().await);
    let mut client = secure.http2().await;
    let headers = [
        ("te", "trailers"),
        ("cookie", "a=b"),
        ("cookie", "c=d"),
        ("host", "FAAS.example"),
        ("x-many", "1"),
        ("x-many", "2"),
        ("x-forwarded-for", "192.0.2.7"),
        ("expect", "100-continue"),
    ];
    let told = client.ask("GET", "/function/mirror//x/../%2e?q=%20", &headers).await.text();
    assert!(told.starts_with("GET //x/../%2e?q=%20 HTTP/1.1\r\n"), "{told}");
    for line in ["cookie: a=b; c=d", "x-many: 1", "x-many: 2", "x-forwarded-host: faas.example"] {
        assert!(told.contains(&format!("{line}\r\n")), "{line}: {told}");
    }
    for not in ["te:", "expect", "FAAS", "192.0.2.7", "transfer-encoding", "content-length", ":authority"] {
        assert!(!told.contains(not), "{not}: {told}");
    }
}

#[actix_web::test]
async fn a_body_of_unknown_length_goes_on_in_chunks_and_one_of_known_length_with_it() {
    let secure = Secure::house(|_| {}).await;
    let heads = function(|mut connection| async move {
        let head = connection.head().await;
        let body = if head.contains("content-length: 5") { "hello" } else { "5\r\nhello\r\n0\r\n\r\n" };
        assert_eq!(connection.read(body.len()).await, body);
        connection.say(&format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{head}", head.len())).await;
    });
    secure.house.publish("heads", heads.await);
    let mut client = secure.http2().await;
    let known = client.post("/function/heads", &[("content-length", "5")], "hello".into()).await.text();
    assert!(known.contains("content-length: 5\r\n") && !known.contains("chunked"), "{known}");
    let unknown = client.post("/function/heads", &[], "hello".into()).await.text();
    assert!(unknown.contains("transfer-encoding: chunked\r\n") && !unknown.contains("content-length"), "{unknown}");
    // One that ends with trailers, which do not go on.
    let (answer, mut sending) = client.begin("POST", "/function/heads", &[("trailer", "x-sum")], false).await;
    sending.send_data("hello".into(), false).unwrap();
    let mut trailers = http::HeaderMap::new();
    trailers.insert("x-sum", http::HeaderValue::from_static("1"));
    sending.send_trailers(trailers).unwrap();
    let told = reply(answer.await.unwrap()).await.text();
    assert!(told.contains("transfer-encoding: chunked\r\n") && !told.contains("x-sum"), "{told}");
}

#[actix_web::test]
async fn a_client_that_waits_with_its_body_is_told_to_go_on() {
    let secure = Secure::house(|_| {}).await;
    secure.house.publish("mirror", mirror().await);
    let mut client = secure.http2().await;
    let (mut answer, mut sending) =
        client.begin("POST", "/function/mirror", &[("expect", "100-continue"), ("content-length", "0")], false).await;
    let told = std::future::poll_fn(|cx| answer.poll_informational(cx)).await.unwrap().unwrap();
    assert_eq!(told.status(), http::StatusCode::CONTINUE);
    sending.send_data(bytes::Bytes::new(), true).unwrap();
    assert_eq!(reply(answer.await.unwrap()).await.status, 200);
}

#[actix_web::test]
async fn what_is_refused_of_http_1_1_is_refused_of_http_2() {
    let secure = Secure::house(|_| {}).await;
    secure.house.publish("mirror", mirror().await);
    let mut client = secure.http2().await;
    let many: Vec<(String, &str)> = (0..97).map(|number| (format!("x-{number}"), "a")).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    for (headers, status, words) in [
        (&many[..], 431, "too many headers"),
        (&[("content-length", "0"), ("content-length", "0")], 400, "more than one Content-Length"),
        (&[("host", "faas.example"), ("host", "faas.example")], 400, "more than one Host"),
        (&[("host", "elsewhere.example")], 400, "names another host"),
    ] {
        let told = client.ask("GET", "/function/mirror", headers).await;
        assert_eq!((told.status, told.text().contains(words)), (status, true), "{told:?}");
    }
    // The host before it is the name of a user then.
    let told = client.ask("GET", "@other.example/function/mirror", &[]).await;
    assert_eq!((told.status, told.text().contains("no host")), (400, true), "{told:?}");
    assert_eq!(client.get("/function/mirror").await.status, 200, "the connection goes on");
    assert_eq!(client.get("/system/functions").await.status, 401);
    let authorized = [("authorization", "Basic YWRtaW46c2VjcmV0LXB3")];
    assert_eq!(client.ask("GET", "/system/functions", &authorized).await.status, 200);
}

#[actix_web::test]
async fn an_answer_before_the_bodys_end_ends_the_request_and_not_its_connection() {
    let secure = Secure::house(|_| {}).await;
    let no = function(|mut connection| async move {
        connection.head().await;
        connection.say("HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno").await;
    });
    secure.house.publish("no", no.await);
    let mut client = secure.http2().await;
    let (answer, mut sending) = client.begin("POST", "/function/no", &[], false).await;
    sending.send_data(vec![b'x'; 1 << 20].into(), false).unwrap();
    let told = reply(answer.await.unwrap()).await;
    assert_eq!((told.status, told.text().as_str()), (413, "no"));
    let reset = std::future::poll_fn(|cx| sending.poll_reset(cx)).await.unwrap();
    assert_eq!(reset, h2::Reason::NO_ERROR);
    assert_eq!(client.get("/healthz").await.status, 200);
}

#[actix_web::test]
async fn when_actord_ends_a_client_is_told_and_its_requests_are_answered() {
    let secure = Secure::house(|_| {}).await;
    let slow = function(|mut connection| async move {
        connection.head().await;
        sleep(Duration::from_millis(500)).await;
        connection.say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    });
    secure.house.publish("slow", slow.await);
    let (mut client, mut idle) = (secure.http2().await, secure.http2().await);
    assert_eq!(idle.get("/healthz").await.status, 200);
    let (answer, _) = client.begin("GET", "/function/slow", &[], true).await;
    sleep(Duration::from_millis(100)).await;
    secure.house.draining.raise();
    let stopped = actix_web::rt::spawn(secure.house.server.stop(true));
    let told = reply(answer.await.unwrap()).await;
    assert_eq!((told.status, told.text().as_str()), (200, "ok"));
    client.end().await.expect("an orderly end");
    idle.end().await.expect("an orderly end");
    stopped.await.unwrap();
}
