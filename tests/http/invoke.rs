use std::time::Duration;

use actord::function::Outlook;
use actord::http::ApiFlavor;
use tokio::time::Instant;

use crate::support::{House, answering, function, mirror, nobody};

#[actix_web::test]
async fn the_prefix_is_stripped_and_the_rest_reaches_the_function_byte_for_byte() {
    let house = House::public().await;
    house.publish("echo", mirror().await);
    for (path, seen) in [
        ("/function/echo", "/"),
        ("/function/echo/", "/"),
        ("/function/echo?", "/?"),
        ("/function/echo?a=1&b=%20+c", "/?a=1&b=%20+c"),
        ("/function/echo/a/b%2Fc/%C3%A4?x=/y", "/a/b%2Fc/%C3%A4?x=/y"),
        ("/function/echo//double/../up/./x", "//double/../up/./x"),
        ("/function/echo/../../system/functions", "/../../system/functions"),
        ("/function/echo//evil.example/x", "//evil.example/x"),
        ("/function/echo.openfaas-fn/x", "/x"),
    ] {
        let reply = house.get(path).await;
        assert_eq!(reply.status, 200, "{path}");
        assert_eq!(reply.text().lines().next(), Some(format!("GET {seen} HTTP/1.1").as_str()), "{path}");
    }
}

#[actix_web::test]
async fn the_namespace_stands_after_the_last_dot() {
    let house = House::public().await;
    house.publish("echo.dev", mirror().await);
    assert_eq!(house.get("/function/echo.dev/x").await.status, 200);
    assert_eq!(house.get("/function/echo/x").await.status, 404);
    assert_eq!(house.get("/function/echo.prod/x").await.status, 404);
}

#[actix_web::test]
async fn every_method_reaches_the_function() {
    let house = House::public().await;
    house.publish("echo", mirror().await);
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "BREW"] {
        let reply = house.ask(&format!("{method} /function/echo/x HTTP/1.1\r\nHost: h\r\n"), "").await;
        assert!(reply.text().starts_with(&format!("{method} /x HTTP/1.1\r\n")), "{method}: {reply:?}");
    }
}

#[actix_web::test]
async fn head_gets_the_length_of_a_body_that_is_not_sent() {
    let house = House::public().await;
    house.publish("echo", answering(|_| "HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n".into()).await);
    let reply = house.ask("HEAD /function/echo HTTP/1.1\r\nHost: h\r\n", "").await;
    assert_eq!((reply.status, reply.header("content-length").as_deref()), (200, Some("1234")));
    assert!(reply.body.is_empty());
}

#[actix_web::test]
async fn answers_without_a_body_stay_so_and_the_connection_goes_on() {
    let house = House::public().await;
    let bodiless = answering(|head| match head.starts_with("GET /204") {
        true => "HTTP/1.1 204 No Content\r\n\r\n".into(),
        false => "HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\nContent-Length: 77\r\n\r\n".into(),
    })
    .await;
    house.publish("echo", bodiless);
    let mut client = tokio::net::TcpStream::connect(house.address).await.unwrap();
    let mut ask = async |path: &str, last: &str| {
        let request = format!("GET /function/echo/{path} HTTP/1.1\r\nHost: h\r\n{last}\r\n");
        tokio::io::AsyncWriteExt::write_all(&mut client, request.as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        while last.is_empty() && !bytes.ends_with(b"\r\n\r\n") {
            bytes.push(tokio::io::AsyncReadExt::read_u8(&mut client).await.unwrap());
        }
        tokio::time::timeout(Duration::from_millis(50), tokio::io::AsyncReadExt::read_to_end(&mut client, &mut bytes))
            .await
            .ok();
        String::from_utf8(bytes).unwrap()
    };
    let first = ask("204", "").await;
    assert!(first.starts_with("HTTP/1.1 204") && !first.contains("content-") && first.ends_with("\r\n\r\n"), "{first}");
    let second = ask("304", "Connection: close\r\n").await;
    assert!(second.starts_with("HTTP/1.1 304") && second.contains("etag: \"x\"\r\n"), "{second}");
    assert!(second.contains("content-length: 77\r\n") && second.ends_with("\r\n\r\n"), "{second}");
}

#[actix_web::test]
async fn a_redirect_is_the_clients_to_follow() {
    let house = House::public().await;
    let away = answering(|_| "HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n".into()).await;
    house.publish("echo", away);
    let reply = house.get("/function/echo").await;
    assert_eq!((reply.status, reply.header("location").as_deref()), (302, Some("/elsewhere")));
}

#[actix_web::test]
async fn unusual_statuses_pass() {
    let house = House::public().await;
    let odd = |head: &str| {
        let code = head.split([' ', '/']).nth(2).unwrap_or_default().to_owned();
        format!("HTTP/1.1 {code} Odd\r\nContent-Length: 0\r\n\r\n")
    };
    house.publish("echo", answering(odd).await);
    for code in [201, 299, 418, 500, 503, 599, 799] {
        assert_eq!(house.get(&format!("/function/echo/{code}")).await.status, code);
    }
}

#[actix_web::test]
async fn on_the_public_port_each_trouble_has_its_own_status() {
    let house = House::with(ApiFlavor::Public, |settings| settings.upstream_timeout = Duration::from_secs(3)).await;
    house.publish("dead", nobody());
    house.publish("mute", function(|mut connection| async move { while !connection.head().await.is_empty() {} }).await);
    house.routes.announce(&"starting".parse().unwrap(), Outlook::Coming);
    house.routes.announce(&"zero".parse().unwrap(), Outlook::AtZero);
    house.routes.announce(&"stopped".parse().unwrap(), Outlook::KeptDown);
    house.routes.announce(&"failed".parse().unwrap(), Outlook::Failed("no such image".to_owned()));
    house.routes.announce(&"crashing".parse().unwrap(), backing_off(Duration::from_secs(30)));
    for (path, status, words) in [
        ("/function/nosuch", 404, "nosuch not found"),
        ("/function/No_Name", 404, "not found"),
        ("/function/..", 404, "not found"),
        ("/function/", 400, "Provide function name in the request path\n"),
        ("/function/starting", 503, "starting.openfaas-fn"),
        ("/function/zero", 503, "ready within"),
        ("/function/stopped", 503, "`actord start stopped.openfaas-fn`"),
        ("/function/failed", 503, "failed: no such image"),
        ("/function/crashing", 503, "backing off, the next start is in"),
        ("/function/dead", 502, "dead can't be reached"),
        ("/function/mute", 504, "within 3s"),
    ] {
        let reply = house.get(path).await;
        assert_eq!(reply.status, status, "{path}: {reply:?}");
        assert!(reply.text().contains(words), "{path}: {reply:?}");
        assert_eq!(reply.header("x-openfaas-internal").as_deref(), Some("proxy"), "{path}");
        assert_eq!(reply.header("retry-after").is_some(), status == 503, "{path}");
    }
}

#[actix_web::test]
async fn on_the_provider_port_troubles_are_told_in_the_peers_words() {
    let house = House::with(ApiFlavor::Provider, |settings| settings.upstream_timeout = Duration::from_secs(3)).await;
    house.publish("dead", nobody());
    house.publish("mute", function(|mut connection| async move { while !connection.head().await.is_empty() {} }).await);
    house.routes.announce(&"zero".parse().unwrap(), Outlook::AtZero);
    house.routes.announce(&"stopped".parse().unwrap(), Outlook::KeptDown);
    for (path, status, text) in [
        ("/function/nosuch", 503, "No endpoints available for: nosuch.\n"),
        ("/function/zero.openfaas-fn/x", 503, "No endpoints available for: zero.openfaas-fn.\n"),
        ("/function/stopped", 503, "No endpoints available for: stopped.\n"),
        ("/function/dead", 500, "Can't reach service for: dead.\n"),
        ("/function/mute", 500, "Can't reach service for: mute.\n"),
    ] {
        let reply = house.get(path).await;
        assert_eq!((reply.status, reply.text().as_str()), (status, text), "{path}");
        assert_eq!(reply.header("x-openfaas-internal").as_deref(), Some("proxy"), "{path}");
    }
}

fn backing_off(wait: Duration) -> Outlook<Instant> {
    let reason = "the process exited with code 3".to_owned();
    Outlook::BackingOff { until: Instant::now() + wait, is_permanent: false, reason }
}

/// (A second may pass until the call.)
#[actix_web::test]
async fn a_call_that_comes_too_early_is_told_at_once_when_the_next_start_is() {
    for flavor in [ApiFlavor::Public, ApiFlavor::Provider] {
        let house = House::with(flavor, |_| {}).await;
        house.routes.announce(&"f".parse().unwrap(), backing_off(Duration::from_secs(3600)));
        let reply = house.get("/function/f").await;
        let wait: u64 = reply.header("retry-after").unwrap().parse().unwrap();
        assert!(reply.status == 503 && (3500..=3600).contains(&wait), "{reply:?}");
        assert_eq!(reply.headers("retry-after").len(), 1);
    }
}

#[actix_web::test]
async fn an_error_of_the_function_itself_does_not_look_like_the_proxys() {
    let house = House::public().await;
    house.publish("echo", answering(|_| "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 4\r\n\r\nmine".into()).await);
    let reply = house.get("/function/echo").await;
    assert_eq!((reply.status, reply.text().as_str()), (502, "mine"));
    assert_eq!(reply.header("x-openfaas-internal"), None);
}

#[actix_web::test]
async fn connect_is_no_method_for_a_function() {
    let house = House::public().await;
    house.publish("echo", mirror().await);
    let reply = house.ask("CONNECT /function/echo HTTP/1.1\r\nHost: h\r\n", "").await;
    assert!(matches!(reply.status, 400 | 404 | 405), "{reply:?}");
}
