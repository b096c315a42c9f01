use actord::function::Outlook;
use actord::http::ApiFlavor;

use crate::support::{House, answering, mirror};

/// A request's head as the function saw it, without the request line.
async fn seen(house: &House, headers: &str) -> Vec<String> {
    let reply = house.ask(&format!("GET /function/echo HTTP/1.1\r\nHost: gateway:8080\r\n{headers}"), "").await;
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.text().lines().skip(1).filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

fn value<'a>(lines: &'a [String], name: &str) -> Option<&'a str> {
    lines.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

#[actix_web::test]
async fn a_function_learns_who_called_and_for_which_host_and_is_called_by_its_own_address() {
    let house = House::public().await;
    let address = mirror().await;
    house.publish("echo", address);
    let lines = seen(&house, "X-Custom: 1\r\nX-Custom: 2\r\nAuthorization: Bearer t\r\n").await;
    assert_eq!(value(&lines, "host"), Some(address.to_string().as_str()));
    assert_eq!(value(&lines, "x-forwarded-host"), Some("gateway:8080"));
    assert!(value(&lines, "x-forwarded-for").unwrap().starts_with("127.0.0.1:"), "{lines:?}");
    assert_eq!(value(&lines, "authorization"), Some("Bearer t"));
    assert_eq!(lines.iter().filter(|line| line.starts_with("x-custom: ")).count(), 2);
    for hop in ["connection", "transfer-encoding", "keep-alive", "te", "upgrade"] {
        assert_eq!(value(&lines, hop), None, "{lines:?}");
    }
}

#[actix_web::test]
async fn what_a_trusted_proxy_said_of_the_caller_is_kept() {
    for (flavor, trusted) in
        [(ApiFlavor::Public, vec!["127.0.0.0/8".parse().unwrap()]), (ApiFlavor::Provider, Vec::new())]
    {
        let house = House::with(flavor, |settings| settings.trusted_proxies = trusted).await;
        house.publish("echo", mirror().await);
        let sent = "X-Forwarded-For: 10.1.2.3\r\nX-Forwarded-Host: shop.example\r\nX-Forwarded-Proto: https\r\n\
                    Forwarded: for=10.1.2.3\r\nX-Real-IP: 10.1.2.3\r\n";
        let lines = seen(&house, sent).await;
        assert_eq!(value(&lines, "x-forwarded-for"), Some("10.1.2.3"));
        assert_eq!(value(&lines, "x-forwarded-host"), Some("shop.example"));
        assert_eq!(value(&lines, "x-forwarded-proto"), Some("https"));
        assert_eq!(value(&lines, "forwarded"), Some("for=10.1.2.3"));
        assert_eq!(value(&lines, "x-real-ip"), Some("10.1.2.3"));
    }
}

#[actix_web::test]
async fn what_a_client_says_of_itself_is_replaced_by_what_is_known_of_it() {
    for trusted in [Vec::new(), vec!["192.0.2.0/24".parse().unwrap()]] {
        let house = House::with(ApiFlavor::Public, |settings| settings.trusted_proxies = trusted).await;
        house.publish("echo", mirror().await);
        let sent = "X-Forwarded-For: 10.1.2.3\r\nX-FORWARDED-FOR: 10.9.9.9\r\nX-Forwarded-Host: shop.example\r\n\
                    X-Forwarded-Proto: https\r\nX-Forwarded-User: root\r\nForwarded: for=10.1.2.3\r\n\
                    X_Forwarded_For: 10.1.2.3\r\nX-Real-IP: 10.1.2.3\r\nX-Mine: 1\r\n";
        let lines = seen(&house, sent).await;
        let told: Vec<&String> =
            lines.iter().filter(|line| line.contains("forwarded") || line.contains("real")).collect();
        assert_eq!(told.len(), 2, "{lines:?}");
        assert_eq!(value(&lines, "x-forwarded-host"), Some("gateway:8080"));
        assert!(value(&lines, "x-forwarded-for").unwrap().starts_with("127.0.0.1:"), "{lines:?}");
        assert_eq!(value(&lines, "x-mine"), Some("1"));
    }
}

#[actix_web::test]
async fn a_call_id_is_made_and_told_to_both_sides_unless_the_client_has_its_own() {
    let house = House::public().await;
    house.publish("echo", mirror().await);
    let reply = house.get("/function/echo").await;
    let id = reply.header("x-call-id").unwrap();
    assert_eq!(id.len(), 36, "{id}");
    assert!(reply.text().contains(&format!("x-call-id: {id}\r\n")), "{reply:?}");
    let start: u128 = reply.header("x-start-time").unwrap().parse().unwrap();
    assert!(start > 1_700_000_000_000_000_000, "nanoseconds since 1970: {start}");
    assert!(reply.text().contains(&format!("x-start-time: {start}\r\n")), "{reply:?}");

    let reply = house.ask("GET /function/echo HTTP/1.1\r\nHost: h\r\nX-Call-Id: mine\r\n", "").await;
    assert_eq!(reply.header("x-call-id"), None);
    assert!(reply.text().contains("x-call-id: mine\r\n"), "{reply:?}");
}

#[actix_web::test]
async fn the_provider_port_stamps_nothing_because_the_gateway_did() {
    let house = House::with(ApiFlavor::Provider, |_| {}).await;
    house.publish("echo", mirror().await);
    let reply = house.get("/function/echo").await;
    assert!(!reply.text().contains("x-call-id") && !reply.text().contains("x-start-time"), "{reply:?}");
    assert_eq!((reply.header("x-call-id"), reply.header("x-start-time")), (None, None));
}

#[actix_web::test]
async fn all_headers_of_the_answer_arrive_but_those_of_its_hop_and_a_workers_way_to_all_paths() {
    let house = House::public().await;
    let answer = "HTTP/1.1 200 Fine\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nX-Duration-Seconds: 0.1\r\n\
                  Date: Thu, 01 Jan 1970 00:00:00 GMT\r\nConnection: keep-alive, X-Secret\r\nX-Secret: s\r\n\
                  Keep-Alive: timeout=5\r\nService-Worker-Allowed: /\r\nContent-Type: a/b\r\nContent-Length: 2\r\n\r\nok";
    house.publish("echo", answering(move |_| answer.into()).await);
    let reply = house.get("/function/echo").await;
    assert_eq!(reply.headers("set-cookie"), ["a=1", "b=2"]);
    assert_eq!(reply.header("x-duration-seconds").as_deref(), Some("0.1"));
    assert_eq!(reply.headers("date"), ["Thu, 01 Jan 1970 00:00:00 GMT"]);
    assert_eq!(reply.headers("content-type"), ["a/b"]);
    assert_eq!(reply.headers("content-length"), ["2"]);
    assert_eq!((reply.header("x-secret"), reply.header("keep-alive")), (None, None));
    assert_eq!(reply.header("service-worker-allowed"), None);
    assert_eq!(reply.text(), "ok");
}

#[actix_web::test]
async fn an_answer_without_a_content_type_gets_none() {
    for flavor in [ApiFlavor::Public, ApiFlavor::Provider] {
        let house = House::with(flavor, |_| {}).await;
        for (i, (answer, content_type)) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", None),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", None),
            ("HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n", None),
            ("HTTP/1.1 204 None\r\n\r\n", None),
            ("HTTP/1.1 304 Same\r\n\r\n", None),
            ("HTTP/1.1 200 OK\r\nContent-Type:\r\nContent-Length: 2\r\n\r\nok", Some("")),
            ("HTTP/1.1 200 OK\r\nContent-Type: x/y; z=\"a b\"\r\nContent-Length: 2\r\n\r\nok", Some("x/y; z=\"a b\"")),
        ]
        .into_iter()
        .enumerate()
        {
            house.publish(&format!("f{i}"), answering(move |_| answer.into()).await);
            for asked in ["", "Content-Type: a/b\r\n", "Content-Type: multipart/form-data; boundary=x\r\n"] {
                for method in ["GET", "HEAD", "POST"] {
                    let head = format!("{method} /function/f{i} HTTP/1.1\r\nHost: h\r\n{asked}");
                    let reply = house.ask(&head, "").await;
                    let types = reply.headers("content-type");
                    assert_eq!(
                        types,
                        content_type.into_iter().collect::<Vec<_>>(),
                        "{method} {asked:?} {answer:?}: {reply:?}"
                    );
                }
            }
        }
    }
}

#[actix_web::test]
async fn every_answer_of_the_public_port_is_marked_also_one_that_no_function_gave() {
    let house = House::public().await;
    house.publish("echo", mirror().await);
    house.publish("gone", crate::support::nobody());
    house.routes.announce(&"off".parse().unwrap(), Outlook::KeptDown);
    for (name, status) in [("echo", 200), ("gone", 502), ("off", 503), ("nosuch", 404)] {
        let reply = house.get(&format!("/function/{name}")).await;
        assert_eq!(reply.status, status, "{name}");
        assert_eq!(reply.headers("x-call-id").len(), 1, "{reply:?}");
        assert_eq!(reply.headers("x-start-time").len(), 1, "{reply:?}");
        assert_eq!(reply.headers("x-served-by"), [concat!("actord/", env!("CARGO_PKG_VERSION"))]);
    }
    let reply = house.ask("GET /function/nosuch HTTP/1.1\r\nHost: h\r\nX-Call-Id: mine\r\n", "").await;
    assert_eq!((reply.status, reply.header("x-call-id")), (404, None));
}

#[actix_web::test]
async fn an_empty_call_id_is_none() {
    let house = House::public().await;
    house.publish("echo", mirror().await);
    let reply = house.ask("GET /function/echo HTTP/1.1\r\nHost: h\r\nX-Call-Id:\r\n", "").await;
    let id = reply.header("x-call-id").unwrap();
    assert_eq!(reply.text().matches("x-call-id").count(), 1, "{reply:?}");
    assert!(reply.text().contains(&format!("x-call-id: {id}\r\n")), "{reply:?}");
}

#[actix_web::test]
async fn a_function_is_told_the_callers_agent_or_the_gateways_own() {
    let house = House::public().await;
    house.publish("echo", mirror().await);
    assert_eq!(value(&seen(&house, "User-Agent: curl/8\r\n").await, "user-agent"), Some("curl/8"));
    let own = concat!("actord/", env!("CARGO_PKG_VERSION"));
    assert_eq!(value(&seen(&house, "").await, "user-agent"), Some(own));
}
