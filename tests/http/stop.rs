//! POST /system/function/{name}/stop and /start: kept down by hand.

use actord::function::FunctionId;
use serde_json::{Value, json};

use crate::support::{House, Seen, ask};

fn kept_down(function: &str, down: bool) -> Seen {
    Seen::KeptDown(function.parse().unwrap(), down)
}

#[actix_web::test]
async fn a_function_is_stopped_and_started_by_name_and_namespace_as_often_as_one_likes() {
    let house = House::public().await;
    house.add("a", "i");
    house.add("a.dev", "i");
    let dev: FunctionId = "a.dev".parse().unwrap();
    for (line, function, down) in [
        ("POST /system/function/a/stop", "a", true),
        ("POST /system/function/a/stop", "a", true),
        ("POST /system/function/a/stop?namespace=dev", "a.dev", true),
        ("POST /system/function/a/start", "a", false),
        ("POST /system/function/a/start", "a", false),
    ] {
        let reply = house.system(line, "").await;
        assert_eq!((reply.status, reply.text().as_str()), (202, ""), "{line}");
        assert_eq!(house.seen().last(), Some(&kept_down(function, down)));
    }
    assert!(house.engine.view(&dev).unwrap().status.desired.unwrap().kept_down);
    assert_eq!(house.seen().len(), 5);
}

#[actix_web::test]
async fn what_is_not_there_can_be_neither_stopped_nor_started() {
    let house = House::public().await;
    house.add("a", "i");
    for verb in ["stop", "start"] {
        let reply = house.system(&format!("POST /system/function/b/{verb}"), "").await;
        assert_eq!((reply.status, reply.text().as_str()), (404, "function: b.openfaas-fn not found\n"));
        assert_eq!(house.system(&format!("POST /system/function/a/{verb}?namespace=gone"), "").await.status, 400);
        assert_eq!(house.system(&format!("POST /system/function/No_Name/{verb}"), "").await.status, 400);
        let head = format!("POST /system/function/a/{verb} HTTP/1.1\r\nHost: h\r\n");
        assert_eq!(ask(house.address, &head, "").await.status, 401);
    }
    assert_eq!(
        house.seen().iter().filter(|seen| matches!(seen, Seen::KeptDown(id, _) if id.name.as_str() == "a")).count(),
        0
    );
}

#[actix_web::test]
async fn a_stopped_function_is_shown_with_no_replicas_and_with_what_ends_that() {
    let house = House::public().await;
    house.add_with("a", |draft| drop(draft.labels.insert("com.openfaas.scale.min".into(), "3".into())));
    house.system("POST /system/function/a/stop", "").await;
    let expected = json!({
        "phase": "stopped", "keptDown": true, "generation": 1, "asked": 3,
        "reason": "kept down by `actord stop`: `actord start a.openfaas-fn` ends that",
    });
    let one = house.system("GET /system/function/a", "").await.json();
    let listed = house.system("GET /system/functions", "").await.json()[0].clone();
    for shown in [one, listed] {
        assert_eq!(shown["lifecycle"], expected);
        assert_eq!((&shown["replicas"], &shown["availableReplicas"]), (&Value::Null, &Value::Null), "zero is left out");
    }
    let page = ask(house.metrics, "GET /metrics HTTP/1.1\r\nHost: h\r\n", "").await.text();
    assert!(page.contains(r#"gateway_service_count{function_name="a.openfaas-fn"} 0"#), "{page}");
    // A deploy and a scale are accepted, and change nothing of that.
    assert_eq!(house.system("PUT /system/functions", r#"{"service": "a", "image": "j"}"#).await.status, 202);
    assert_eq!(house.system("POST /system/scale-function/a", r#"{"replicas": 2}"#).await.status, 202);
    let shown = house.system("GET /system/function/a", "").await.json();
    assert_eq!(
        (&shown["image"], &shown["lifecycle"]["phase"], &shown["replicas"]),
        (&json!("j"), &json!("stopped"), &Value::Null)
    );
    house.system("POST /system/function/a/start", "").await;
    let shown = house.system("GET /system/functions", "").await.json()[0].clone();
    assert_eq!((&shown["lifecycle"], &shown["replicas"]), (&Value::Null, &json!(2)));
    let shown = house.system("GET /system/function/a", "").await.json();
    assert_eq!((&shown["lifecycle"]["phase"], &shown["lifecycle"]["keptDown"]), (&json!("ready"), &Value::Null));
}
