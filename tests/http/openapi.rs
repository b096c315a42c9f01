//! The document of the API against the API: the same routes, the same methods, and no answer that it does not know.

use std::collections::BTreeSet;

use actord::http::ApiFlavor;
use serde_json::{Value, json};

use crate::support::{AUTH, House, Reply};

const METHODS: [&str; 8] = ["get", "head", "post", "put", "patch", "delete", "options", "trace"];

async fn document(house: &House) -> Value {
    let reply = house.get("/openapi.json").await;
    assert_eq!(reply.status, 200);
    reply.json()
}

/// Every operation of the document: method, path and description.
pub(crate) fn operations(document: &Value) -> Vec<(String, String, Value)> {
    let paths = document["paths"].as_object().unwrap().iter();
    let operations = paths.flat_map(|(path, item)| {
        item.as_object()
            .unwrap()
            .iter()
            .map(move |(method, operation)| (method.clone(), path.clone(), operation.clone()))
    });
    operations.collect()
}

/// The path with the examples of its parameters.
pub(crate) fn example_path(path: &str, operation: &Value) -> String {
    let parameters = operation["parameters"].as_array().into_iter().flatten();
    let mut path = path.to_owned();
    for parameter in parameters.filter(|parameter| parameter["in"] == "path") {
        let example = parameter["example"].as_str().unwrap_or_else(|| panic!("no example: {path} {parameter}"));
        path = path.replace(&format!("{{{}}}", parameter["name"].as_str().unwrap()), example);
    }
    path
}

/// The schema that a body has, with its reference followed; none for one that is somebody else's.
fn body_schema<'a>(document: &'a Value, operation: &'a Value) -> Option<&'a Value> {
    let schema = &operation.get("requestBody")?["content"].get("application/json")?["schema"];
    let name = schema["$ref"].as_str()?.rsplit('/').next().unwrap();
    Some(&document["components"]["schemas"][name])
}

/// The example of an operation's body, if it has one of ours.
pub(crate) fn body_example(document: &Value, operation: &Value) -> Option<Value> {
    body_schema(document, operation).map(|schema| schema["example"].clone())
}

async fn send(house: &House, method: &str, path: &str, body: &str) -> Reply {
    let method = method.to_uppercase();
    let head = |auth: &str| format!("{method} {path} HTTP/1.1\r\nHost: h\r\n{auth}Content-Type: application/json\r\n");
    if path != "/system/password/rotate" {
        return house.ask(&head(AUTH), body).await;
    }
    // The password is needed for what comes after it: it is tried on a house of its own.
    let other = House::public().await;
    other.ask(&head(AUTH), body).await
}

/// The document's words for an answer, which must be there, and fit its kind of content.
fn expect_documented(method: &str, path: &str, operation: &Value, reply: &Reply) {
    let answers = operation["responses"].as_object().unwrap();
    let answer = answers.get(&reply.status.to_string()).or_else(|| answers.get("default"));
    let answer = answer.unwrap_or_else(|| panic!("{method} {path}: {} is not documented: {reply:?}", reply.status));
    let kinds: Vec<&String> = answer["content"].as_object().into_iter().flat_map(|content| content.keys()).collect();
    let kind = reply.header("content-type").unwrap_or_default();
    let plain = kind.split(';').next().unwrap();
    assert!(
        kinds.is_empty() || kinds.iter().any(|known| *known == plain),
        "{method} {path}: {kind} is not in {kinds:?}"
    );
    assert!(
        !kinds.is_empty() || answers.contains_key("default") || reply.body.is_empty(),
        "{method} {path}: {reply:?}"
    );
}

#[actix_web::test]
async fn both_listeners_serve_the_same_document_without_credentials() {
    let public = document(&House::public().await).await;
    assert_eq!(public["openapi"], "3.1.0");
    assert_eq!(public["info"]["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(public, document(&House::with(ApiFlavor::Provider, |_| {}).await).await);
    let ids: Vec<_> =
        operations(&public).into_iter().map(|(_, _, operation)| operation["operationId"].clone()).collect();
    let unique: BTreeSet<String> = ids.iter().map(Value::to_string).collect();
    assert_eq!(unique.len(), ids.len(), "{ids:?}");
}

#[actix_web::test]
async fn every_documented_example_is_answered_as_documented_on_both_listeners() {
    for flavor in [ApiFlavor::Public, ApiFlavor::Provider] {
        let house = House::with(flavor, |_| {}).await;
        let document = document(&house).await;
        // Once while there is no function, then while there is one, then as somebody else.
        for known in [false, true] {
            for (method, path, operation) in operations(&document) {
                house.engine.clear();
                if known {
                    house.add("env", "me/env:1");
                }
                let body = body_schema(&document, &operation).map(|schema| {
                    let example = schema.get("example").unwrap_or_else(|| panic!("no example: {method} {path}"));
                    example.to_string()
                });
                let line = example_path(&path, &operation);
                let reply = send(&house, &method, &line, body.as_deref().unwrap_or_default()).await;
                assert!(
                    ![0, 405, 500, 501].contains(&reply.status) || path.starts_with("/async"),
                    "{method} {path}: {reply:?}"
                );
                expect_documented(&method, &path, &operation, &reply);
                if body.is_some() {
                    // A body that can be left out may as well be none.
                    let needed = operation["requestBody"]["required"] == true;
                    let null = needed.then_some("null");
                    for wrong in ["{", "[]", "{\"namespace\":\"Not A Namespace\"}"].into_iter().chain(null) {
                        let reply = send(&house, &method, &line, wrong).await;
                        assert_eq!(reply.status, 400, "{method} {path} {wrong}: {reply:?}");
                        expect_documented(&method, &path, &operation, &reply);
                    }
                    for none in ["", "null"].into_iter().filter(|_| !needed) {
                        let reply = send(&house, &method, &line, none).await;
                        expect_documented(&method, &path, &operation, &reply);
                    }
                }
                let head = format!("{} {line} HTTP/1.1\r\nHost: h\r\n", method.to_uppercase());
                let stranger = house.ask(&head, body.as_deref().unwrap_or_default()).await;
                // One that is empty means that it goes without; none at all does, too.
                let ways = operation.get("security").and_then(Value::as_array);
                let must = ways.is_some_and(|ways| !ways.contains(&json!({})));
                assert_eq!(stranger.status == 401, must, "{method} {path}: {stranger:?}");
                expect_documented(&method, &path, &operation, &stranger);
            }
        }
    }
}

#[actix_web::test]
async fn a_method_that_is_not_documented_is_not_allowed() {
    let house = House::public().await;
    let document = document(&house).await;
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in METHODS.iter().filter(|method| item.get(**method).is_none()) {
            let some = item.as_object().unwrap().values().next().unwrap();
            let reply = send(&house, method, &example_path(path, some), "").await;
            assert_eq!(reply.status, 405, "{method} {path}: document it or refuse it");
        }
    }
}

#[actix_web::test]
async fn every_route_of_the_table_is_documented() {
    let document = document(&House::public().await).await;
    let table = include_str!("../../src/http/api/mod.rs");
    // One path, or a list of them.
    let resources = table.split("web::resource(").skip(1).map(|rest| rest.split(')').next().unwrap());
    let routes: Vec<&str> = resources.flat_map(|paths| paths.split('"').skip(1).step_by(2)).collect();
    assert!(routes.len() >= 5, "the route table is not where it was: {routes:?}");
    for route in routes {
        let documented = document["paths"].as_object().unwrap().keys();
        let same = |path: &str, route: &str| path.trim_end_matches('/') == route.trim_end_matches('/');
        let found = documented.into_iter().any(|path| same(path, route) || same(path, &format!("/system{route}")));
        assert!(
            found,
            "{route} is not in the document: give its handlers #[utoipa::path(...)] and list them in http/openapi"
        );
    }
}

#[actix_web::test]
async fn every_documented_property_of_a_body_is_read() {
    let house = House::public().await;
    let document = document(&house).await;
    for (method, path, operation) in operations(&document) {
        let Some(schema) = body_schema(&document, &operation) else { continue };
        for property in schema["properties"].as_object().unwrap().keys() {
            let mut body = schema["example"].clone();
            // Of no type that any of them has.
            body[property] = json!([[1.5]]);
            let reply = send(&house, &method, &example_path(&path, &operation), &body.to_string()).await;
            assert_eq!(reply.status, 400, "{method} {path} passes over {property}: {reply:?}");
            assert!(reply.text().contains(property.as_str()), "{method} {path}: {reply:?}");
        }
    }
}
