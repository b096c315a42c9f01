use actord::engine::Engine as _;
use actord::function::Tier;
use actord::http::ApiFlavor;

use crate::support::{House, Seen};

fn scaled(function: &str, replicas: u32) -> Seen {
    Seen::Scaled(function.parse().unwrap(), replicas)
}

#[actix_web::test]
async fn the_body_names_the_function_else_the_path_does() {
    let house = House::public().await;
    for function in ["a", "b", "p", "a.dev"] {
        house.add(function, "i");
    }
    for (line, body) in [
        ("POST /system/scale-function/p", r#"{"serviceName":"a","replicas":2}"#),
        ("POST /system/scale-function/p", r#"{"service":"b","replicas":0}"#),
        ("POST /system/scale-function/p", r#"{"replicas":1000}"#),
        ("POST /system/scale-function/a", r#"{"serviceName":"a","replicas":1,"namespace":"dev"}"#),
        ("POST /system/scale-function/a?namespace=dev", r#"{"ServiceName":"a","Replicas":3}"#),
    ] {
        let reply = house.system(line, body).await;
        assert_eq!((reply.status, reply.text().as_str()), (202, ""), "{line} {body}");
    }
    let expected = [scaled("a", 2), scaled("b", 0), scaled("p", 1000), scaled("a.dev", 1), scaled("a.dev", 3)];
    assert_eq!(house.seen(), expected);
}

#[actix_web::test]
async fn a_body_and_a_query_that_name_two_namespaces_are_refused_where_it_could_hit_the_wrong_function() {
    let house = House::public().await;
    house.add("a", "i");
    house.add("a.dev", "i");
    for (line, body) in [
        ("POST /system/scale-function/a?namespace=dev", r#"{"replicas":0,"namespace":"openfaas-fn"}"#),
        ("DELETE /system/functions?namespace=dev", r#"{"functionName":"a","namespace":"openfaas-fn"}"#),
    ] {
        let reply = house.system(line, body).await;
        let words = "the body names namespace \"openfaas-fn\" and the query \"dev\": send one of them\n";
        assert_eq!((reply.status, reply.text().as_str()), (400, words), "{line}");
    }
    assert!(house.seen().is_empty());
}

#[actix_web::test]
async fn a_number_that_no_function_can_have_is_refused() {
    let house = House::public().await;
    house.add("a", "i");
    for replicas in ["-1", "1001", "1.5", "\"2\"", "null", "99999999999999999999"] {
        let body = format!(r#"{{"serviceName":"a","replicas":{replicas}}}"#);
        assert_eq!(house.system("POST /system/scale-function/a", &body).await.status, 400, "{replicas}");
    }
    let reply = house.system("POST /system/scale-function/a", "{}").await;
    assert_eq!(reply.status, 400, "a body without a number must not stop the function");
    assert!(house.seen().is_empty());
}

#[actix_web::test]
async fn an_unknown_function_is_404() {
    let reply = House::public().await.system("POST /system/scale-function/x", r#"{"replicas":1}"#).await;
    assert_eq!((reply.status, reply.text().as_str()), (404, "function: x.openfaas-fn not found\n"));
}

#[actix_web::test]
async fn a_gateway_wakes_an_idle_function_by_a_scale_to_one_and_by_asking_until_it_is_available() {
    let house = House::with(ApiFlavor::Provider, |_| {}).await;
    house.add("f", "i");
    house.engine.rest(&"f".parse().unwrap(), Tier::Stopped).await.unwrap();
    let numbers = async || {
        let shown = house.system("GET /system/function/f?namespace=openfaas-fn&usage=false", "").await.json();
        ["replicas", "availableReplicas"].map(|key| shown[key].as_u64().unwrap_or_default())
    };
    assert_eq!(numbers().await, [0, 0]);
    let line = "POST /system/scale-function/f?namespace=openfaas-fn";
    assert_eq!(house.system(line, r#"{"serviceName":"f","replicas":1}"#).await.status, 202);
    assert_eq!(numbers().await, [1, 1]);
    let view = house.engine.view(&"f".parse().unwrap()).unwrap();
    assert!(!view.status.desired.unwrap().idle);
}
