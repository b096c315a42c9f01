//! While an upgrade is on trial from which the databases of before come back: nothing is taken that would be lost by it.

use std::net::SocketAddr;
use std::time::Duration;

use actord::http::ApiFlavor;
use serde_json::Value;
use tokio::time::Instant;

use crate::openapi::{body_example, example_path, operations};
use crate::queued::{FINE, house_of};
use crate::support::{AUTH, House, Reply, ask};

/// Longer than any test.
const LONG: Duration = Duration::from_secs(3_600);

async fn send(address: SocketAddr, method: &str, path: &str, (headers, body): (&str, &str)) -> Reply {
    let head =
        format!("{} {path} HTTP/1.1\r\nHost: h\r\n{headers}Content-Type: application/json\r\n", method.to_uppercase());
    ask(address, &head, body).await
}

fn is_held(reply: &Reply) -> bool {
    reply.status == 503 && reply.text().contains("on trial")
}

#[actix_web::test]
async fn every_documented_change_is_held_with_the_seconds_that_are_left_and_nothing_else_is() {
    for flavor in [ApiFlavor::Public, ApiFlavor::Provider] {
        let house = House::with(flavor, |_| {}).await;
        house.add("env", "me/env:1");
        let dashboard = house.dashboard();
        let document: Value = house.get("/openapi.json").await.json();
        house.closed_until.send_replace(Some(Instant::now() + LONG));
        let mut held = 0;
        for (method, path, operation) in operations(&document) {
            let line = example_path(&path, &operation);
            let body = body_example(&document, &operation).map(|body| body.to_string()).unwrap_or_default();
            let reply = send(house.address, &method, &line, (AUTH, &body)).await;
            let is_read = matches!(method.as_str(), "get" | "head");
            let is_change = path.starts_with("/system") && path != "/system/session" && !is_read;
            let is_call = path.starts_with("/async-function");
            if method == "head" {
                // It has no words. No other 503 says that it lasts for an hour.
                let seconds = reply.header("retry-after").and_then(|seconds| seconds.parse::<u64>().ok());
                assert_eq!(seconds.is_some_and(|seconds| seconds > 60), is_call, "{method} {path}: {reply:?}");
                continue;
            }
            assert_eq!(is_held(&reply), is_change || is_call, "{method} {path}: {reply:?}");
            if !is_held(&reply) {
                continue;
            }
            held += 1;
            let seconds: u64 = reply.header("retry-after").unwrap().parse().unwrap();
            assert!((1..=LONG.as_secs()).contains(&seconds), "{reply:?}");
            assert!(operation["responses"].get("503").is_some(), "{method} {path}: 503 is not documented");
            if is_change {
                let reply = send(dashboard, &method, &line, (AUTH, &body)).await;
                assert!(is_held(&reply), "the dashboard's {method} {path}: {reply:?}");
                let stranger = send(house.address, &method, &line, ("", &body)).await;
                assert_eq!(stranger.status, 401, "{method} {path}: {stranger:?}");
            }
        }
        assert!(held > 20, "{held} operations change something");
        assert_eq!(house.seen(), [], "the engine was not asked for a change");
    }
}

#[actix_web::test]
async fn functions_are_called_on_and_what_was_held_is_served_when_the_trial_is_over() {
    let (house, mut inbox) = house_of("env", FINE).await;
    house.closed_until.send_replace(Some(Instant::now() + LONG));
    let deploy = r#"{"service":"other","image":"me/other:1"}"#;
    let kept = async || send(house.address, "post", "/async-function/env", ("", "later")).await;
    assert!(is_held(&house.system("POST /system/functions", deploy).await));
    assert!(is_held(&kept().await));
    assert_eq!(house.get("/function/env").await.status, 200);
    assert_eq!(inbox.next().await.body, "", "the call that its caller waited for");

    house.closed_until.send_replace(None);
    assert_eq!(house.system("POST /system/functions", deploy).await.status, 202);
    let accepted = kept().await;
    assert_eq!(accepted.status, 202, "{accepted:?}");
    assert_eq!(inbox.next().await.body, "later", "nothing of what was held is sent as well");
    house.ended(&accepted.header("x-call-id").unwrap()).await;
    assert!(inbox.is_empty());
}

#[actix_web::test]
async fn who_may_not_change_anything_anyway_is_not_told_of_a_trial() {
    let house = House::public().await;
    let (_, reader) = crate::tokens::token(&house, &["read"], &["dev"]).await;
    house.closed_until.send_replace(Some(Instant::now() + LONG));
    let refused = send(house.address, "post", "/system/function/env/stop?namespace=dev", (&reader, "")).await;
    assert_eq!(refused.status, 403, "{refused:?}");
}
