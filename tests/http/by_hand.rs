//! `/system/function/{name}/invoke`: a call whose answer is told as data.

use std::time::Duration;

use actord::http::ApiFlavor;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::support::{AUTH, House, Reply, answering, function, mirror, nobody};
use crate::tokens::token;

async fn invoke(house: &House, name: &str, header: &str, body: &Value) -> Reply {
    let head =
        format!("POST /system/function/{name}/invoke HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 1.2.3.4\r\n{header}");
    house.ask(&head, &body.to_string()).await
}

fn header<'a>(answer: &'a Value, name: &str) -> Option<&'a str> {
    let all = answer["headers"].as_array().unwrap();
    all.iter().find(|pair| pair[0].as_str().is_some_and(|it| it.eq_ignore_ascii_case(name)))?[1].as_str()
}

#[actix_web::test]
async fn a_function_gets_the_call_and_its_answer_is_told_as_data() {
    // A gateway on this machine is believed whom it names.
    for (flavor, from) in [(ApiFlavor::Public, "127.0.0.1"), (ApiFlavor::Provider, "1.2.3.4")] {
        let house = House::with(flavor, |_| {}).await;
        house.publish("env", mirror().await);
        let call = json!({
            "method": "PATCH", "path": "/a/b?c=%20", "body": "",
            "headers": [["X-Mine", "ü"], ["X-Forwarded-For", "6.6.6.6"], ["Host", "evil"], ["Connection", "upgrade"]],
        });
        let reply = invoke(&house, "env", AUTH, &call).await;
        assert_eq!((reply.status, reply.header("cache-control").as_deref()), (200, Some("no-store")), "{reply:?}");
        let answer = reply.json();
        let seen = answer["body"].as_str().unwrap();
        assert!(seen.starts_with("PATCH /a/b?c=%20 HTTP/1.1\r\n"), "{seen}");
        let seen = seen.to_lowercase();
        for line in ["x-mine: ü\r\n", &format!("x-forwarded-for: {from}\r\n"), "content-length: 0\r\n"] {
            assert!(seen.contains(line), "{line}: {seen}");
        }
        for line in ["6.6.6.6", "evil", "upgrade", "authorization"] {
            assert!(!seen.contains(line), "{line}: {seen}");
        }
        assert_eq!((&answer["status"], &answer["cut"]), (&json!(200), &json!(false)));
        assert_eq!(answer["bytes"], json!(answer["body"].as_str().unwrap().len()));
        assert_eq!(header(&answer, "content-type"), Some("text/plain"));
        assert!(answer["seconds"].as_f64().is_some_and(|seconds| seconds >= 0.0));
        assert_eq!(house.routes.find(&"env".parse().unwrap()).unwrap().calls(), 1, "it counts as any call");
    }
}

#[actix_web::test]
async fn a_body_of_bytes_goes_and_comes_in_base64_and_of_a_long_one_the_beginning_is_told() {
    let house = House::public().await;
    let echo = function(|mut connection| async move {
        let head = connection.head().await;
        let length: usize =
            head.to_lowercase().split("content-length: ").nth(1).unwrap().split('\r').next().unwrap().parse().unwrap();
        let mut body = vec![0; length];
        tokio::io::AsyncReadExt::read_exact(&mut connection.0, &mut body).await.unwrap();
        connection.say(&format!("HTTP/1.1 201 Created\r\nContent-Length: {length}\r\n\r\n")).await;
        tokio::io::AsyncWriteExt::write_all(&mut connection.0, &body).await.unwrap();
    });
    house.publish("echo", echo.await);
    let bytes = STANDARD.encode(b"\xff\x00\xfe");
    let answer = invoke(&house, "echo", AUTH, &json!({ "bodyBase64": bytes })).await.json();
    assert_eq!((&answer["status"], &answer["bodyBase64"], answer.get("body")), (&json!(201), &json!(bytes), None));
    let long = "ä".repeat(200 << 10);
    let answer = invoke(&house, "echo", AUTH, &json!({ "body": long })).await.json();
    assert_eq!((&answer["bytes"], &answer["cut"]), (&json!(long.len()), &json!(true)));
    let told = answer["body"].as_str().unwrap();
    assert!(told.len() <= 256 << 10 && told.len() > (256 << 10) - 4 && long.starts_with(told));
}

#[actix_web::test]
async fn what_is_no_answer_of_the_functions_own_is_told_as_its_caller_would_be_told() {
    let house = House::with(ApiFlavor::Public, |settings| settings.upstream_timeout = Duration::from_millis(200)).await;
    let bad = answering(|_| "HTTP/1.1 500 Oh\r\nContent-Length: 2\r\n\r\nno".to_owned());
    house.publish("bad", bad.await);
    house.publish(
        "silent",
        function(|connection| async move {
            let _open = connection;
            std::future::pending::<()>().await;
        })
        .await,
    );
    let answer = invoke(&house, "bad", AUTH, &json!({})).await;
    assert_eq!((answer.status, &answer.json()["status"]), (200, &json!(500)), "that is its answer");
    for (name, status) in [("silent", 504), ("none", 404), ("No%20Name", 400)] {
        let reply = invoke(&house, name, AUTH, &json!({})).await;
        assert_eq!(reply.status, status, "{name}: {reply:?}");
        assert!(!reply.text().is_empty());
    }
    // It is tried again for a while whether somebody listens.
    let patient = House::public().await;
    patient.publish("gone", nobody());
    assert_eq!(invoke(&patient, "gone", AUTH, &json!({})).await.status, 502);
    patient.routes.announce(&"waits".parse().unwrap(), actord::function::Outlook::Coming);
    assert_eq!(invoke(&patient, "waits", AUTH, &json!({})).await.status, 503);
}

#[actix_web::test]
async fn the_password_opens_no_guarded_function_by_invoke_either() {
    let house = House::public().await;
    house.routes.guard(&"f.dev".parse().unwrap(), true);
    house.publish("f.dev", mirror().await);
    let at = "f/invoke?namespace=dev";
    let call = async |header: &str| {
        let head = format!("POST /system/function/{at} HTTP/1.1\r\nHost: h\r\n{header}");
        house.ask(&head, r#"{"headers":[["Authorization","Bearer mine"]]}"#).await
    };
    let reply = call(AUTH).await;
    assert!(reply.status == 403 && reply.text().contains("sign in with one that has invoke"), "{reply:?}");
    for (scopes, namespaces, status) in [
        (&["write"][..], &["dev"][..], 403),
        (&["invoke"], &["dev"], 403),
        (&["write", "invoke"], &["openfaas-fn"], 403),
        (&["write", "invoke"], &["dev"], 200),
        (&["write", "invoke"], &["*"], 200),
    ] {
        let reply = call(&token(&house, scopes, namespaces).await.1).await;
        assert_eq!(reply.status, status, "{scopes:?} {namespaces:?}: {reply:?}");
        if status == 200 {
            assert!(!reply.text().to_lowercase().contains("authorization"), "{reply:?}");
        }
    }
}
