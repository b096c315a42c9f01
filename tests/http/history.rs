//! `/system/function/{name}/history` and `/system/history`.

use actord::history::Point;
use jiff::{Timestamp, ToSpan as _};
use serde_json::{Value, json};

use crate::support::House;

/// Two steps: one with calls, one without.
const TWO: [Point; 2] = [
    Point { calls: 12, errors: 1, p50: 1.234_5, p99: 90.5, cpu_millis: 250, memory_kib: 2_048, in_flight: 3, ready: 2 },
    Point { ready: 1, ..Point::NOTHING },
];

/// A house with a function of which there is some history.
async fn house() -> House {
    let house = House::public().await;
    house.add("env", "me/env:1");
    house.publish("env", crate::support::nobody());
    house.services.history.keep(&house.routes.find(&"env".parse().unwrap()).unwrap(), &TWO);
    house
}

/// The answer without the time of its end, which is this moment.
async fn shown(house: &House, path: &str) -> Value {
    let reply = house.system(&format!("GET {path}"), "").await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let mut shown = reply.json();
    let end: Timestamp = shown["end"].take().as_str().unwrap().parse().unwrap();
    let now = Timestamp::now();
    assert!(end <= now && end > now.checked_sub(1.minute()).unwrap(), "{end}");
    shown.as_object_mut().unwrap().remove("end");
    shown
}

#[actix_web::test]
async fn a_functions_history_is_columns_of_one_length_the_oldest_first() {
    let house = house().await;
    let expected = json!({"function": "env", "namespace": "openfaas-fn", "step": 10, "calls": [12, 0], "errors": [1, 0],
        "p50": [1.23, null], "p99": [90.5, null], "inFlight": [3, 0], "replicas": [2, 1], "cpu": [250, 0],
        "memory": [2 << 20, 0]});
    assert_eq!(shown(&house, "/system/function/env/history").await, expected);
    let last = shown(&house, "/system/function/env/history?points=1").await;
    assert_eq!((&last["calls"], &last["memory"]), (&json!([0]), &json!([0])));
}

#[actix_web::test]
async fn the_list_has_what_a_small_graph_needs_of_each_function_of_the_namespace() {
    let house = house().await;
    house.add("other.dev", "i");
    let env = json!({"calls": [12, 0], "errors": [1, 0], "p99": null, "inFlight": 0});
    assert_eq!(shown(&house, "/system/history").await, json!({"step": 10, "functions": {"env": env}}));
    assert_eq!(shown(&house, "/system/history?namespace=dev").await, json!({"step": 10, "functions": {}}));
}

#[actix_web::test]
async fn a_function_that_is_young_has_an_empty_history_and_one_that_is_not_there_none() {
    let house = House::public().await;
    house.add("young", "i");
    let young = shown(&house, "/system/function/young/history").await;
    assert_eq!((&young["calls"], &young["p99"]), (&json!([]), &json!([])));
    for (path, status) in [
        ("/system/function/nobody/history", 404),
        ("/system/function/young/history?namespace=dev", 404),
        ("/system/function/young/history?namespace=nope", 400),
        ("/system/function/young/history?points=0", 400),
        ("/system/function/young/history?points=361", 400),
        ("/system/function/No_Name/history", 400),
        ("/system/history?namespace=nope", 400),
        ("/system/history?points=x", 400),
    ] {
        assert_eq!(house.system(&format!("GET {path}"), "").await.status, status, "{path}");
    }
}
