//! What every route does with methods that are not its own, and what is said where there is no route.

use actord::http::ApiFlavor;

use crate::support::{House, ask};

/// Routes of both ports, and the methods that they have.
const ROUTES: &[(&str, &[&str])] = &[
    ("/system/functions", &["GET", "POST", "PUT", "DELETE"]),
    ("/system/function/any", &["GET"]),
    ("/system/function/any/history", &["GET"]),
    ("/system/function/any/instances", &["GET"]),
    ("/system/function/any/rollback", &["POST"]),
    ("/system/function/any/invoke", &["POST"]),
    ("/system/function/any/stop", &["POST"]),
    ("/system/function/any/start", &["POST"]),
    ("/system/scale-function/any", &["POST"]),
    ("/system/info", &["GET"]),
    ("/system/session", &["GET", "POST", "DELETE"]),
    ("/system/machine", &["GET"]),
    ("/system/alert", &["POST"]),
    ("/system/events?name=-", &["GET"]),
    ("/system/history", &["GET"]),
    ("/system/logs?name=any", &["GET"]),
    ("/system/secrets", &["GET", "POST", "PUT", "DELETE"]),
    ("/system/calls", &["GET", "DELETE"]),
    ("/system/call/any", &["GET", "DELETE"]),
    ("/system/call/any/retry", &["POST"]),
    ("/system/queues", &["GET"]),
    ("/system/schedules", &["GET"]),
    ("/system/namespaces", &["GET"]),
    ("/system/namespace/any", &["GET", "POST", "PUT", "DELETE"]),
    ("/system/namespace/", &["POST"]),
    ("/system/tokens", &["GET", "POST"]),
    ("/system/password/rotate", &["POST"]),
    ("/system/tokens/any", &["DELETE"]),
    ("/system/tokens/any/rotate", &["POST"]),
    ("/healthz", &["GET", "HEAD"]),
    ("/readyz", &["GET", "HEAD"]),
    ("/openapi.json", &["GET"]),
];

#[actix_web::test]
async fn a_method_that_a_path_does_not_have_is_a_405_without_a_body() {
    for flavor in [ApiFlavor::Public, ApiFlavor::Provider] {
        let house = House::with(flavor, |_| {}).await;
        for (path, own) in ROUTES {
            for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"] {
                if *path == "/system/password/rotate" && own.contains(&method) {
                    // It does what it says: what comes next would be refused.
                    continue;
                }
                let reply = house.system(&format!("{method} {path}"), "").await;
                if own.contains(&method) {
                    assert_ne!(reply.status, 405, "{method} {path}");
                } else {
                    assert_eq!((reply.status, reply.text().as_str()), (405, ""), "{method} {path}");
                }
            }
        }
    }
}

#[actix_web::test]
async fn a_path_that_is_not_there_is_a_404_in_gos_words_and_never_a_redirect() {
    for flavor in [ApiFlavor::Public, ApiFlavor::Provider] {
        let house = House::with(flavor, |_| {}).await;
        for path in ["/nothing", "/function", "//system/functions", "/systemx", "/system", "/system/", "/system/x"] {
            for method in ["GET", "POST"] {
                let reply = house.system(&format!("{method} {path}"), "").await;
                assert_eq!((reply.status, reply.text().as_str()), (404, "404 page not found\n"), "{path}");
                assert_eq!(reply.header("content-type").as_deref(), Some("text/plain; charset=utf-8"), "{path}");
                assert_eq!(reply.header("x-content-type-options").as_deref(), Some("nosniff"), "{path}");
            }
        }
    }
}

#[actix_web::test]
async fn the_front_door_of_the_public_port_says_where_to_go_on() {
    let house = House::public().await;
    let reply = house.get("/").await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("content-type").as_deref(), Some("text/plain; charset=utf-8"));
    assert!(reply.text().starts_with("actord ") && reply.text().contains("/function/"), "{reply:?}");
    assert_eq!(house.system("POST /", "").await.status, 405);
    let provider = House::with(ApiFlavor::Provider, |_| {}).await;
    assert_eq!(provider.get("/").await.status, 404);
}

#[actix_web::test]
async fn every_method_but_connect_reaches_a_function() {
    let house = House::public().await;
    house.publish("echo", crate::support::mirror().await);
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"] {
        for path in ["/function/echo", "/function/echo/", "/function/echo/a//b"] {
            let reply = house.ask(&format!("{method} {path} HTTP/1.1\r\nHost: h\r\n"), "").await;
            assert_eq!(reply.status, 200, "{method} {path}");
            let rest = path.strip_prefix("/function/echo").unwrap();
            let line = format!("{method} {} HTTP/1.1", if rest.is_empty() { "/" } else { rest });
            assert!(method == "HEAD" || reply.text().starts_with(&line), "{line}: {reply:?}");
        }
    }
}

#[actix_web::test]
async fn the_provider_port_shows_metrics_and_the_public_one_does_not() {
    let provider = House::with(ApiFlavor::Provider, |_| {}).await;
    for method in ["GET", "POST"] {
        let reply = ask(provider.address, &format!("{method} /metrics HTTP/1.1\r\nHost: h\r\n"), "").await;
        assert_eq!(reply.status, 200);
    }
    assert_eq!(House::public().await.get("/metrics").await.status, 404);
}
