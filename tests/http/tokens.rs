//! Tokens: what each may do and where, as the table of routes says, and that a change of them holds at once.

use std::collections::BTreeMap;

use actord::engine::Namespaces as _;
use actord::function::NamespaceMetadata;
use actord::http::{ApiFlavor, table_of_routes};
use serde_json::{Value, json};

use crate::openapi::{body_example, example_path, operations};
use crate::support::{AUTH, House, Reply};

/// A token of these scopes in these namespaces: its id, and the header that carries it.
pub(crate) async fn token(house: &House, scopes: &[&str], namespaces: &[&str]) -> (String, String) {
    let body = json!({ "namespaces": namespaces, "scopes": scopes, "description": "a test" });
    let reply = house.system("POST /system/tokens", &body.to_string()).await;
    assert_eq!(reply.status, 201, "{reply:?}");
    assert_eq!(reply.header("cache-control").as_deref(), Some("no-store"));
    let made = reply.json();
    let text = made["token"].as_str().unwrap();
    (made["id"].as_str().unwrap().to_owned(), format!("Authorization: Bearer {text}\r\n"))
}

async fn ask(house: &House, line: &str, header: &str, body: &str) -> Reply {
    house.ask(&format!("{line} HTTP/1.1\r\nHost: h\r\n{header}"), body).await
}

fn names(reply: &Reply) -> Vec<String> {
    let all: Vec<Value> = serde_json::from_slice(&reply.body).unwrap();
    let name = |one: &Value| one.as_str().or(one["name"].as_str()).unwrap().to_owned();
    all.iter().map(name).collect()
}

/// The namespace that the examples of the document are about.
fn place(path: &str, body: Option<&Value>) -> &'static str {
    let about_staging =
        path.starts_with("/system/namespace/") || body.is_some_and(|body| body["namespace"] == "staging");
    if about_staging { "staging" } else { "openfaas-fn" }
}

#[actix_web::test]
async fn every_documented_route_asks_for_what_the_table_says_and_for_no_more() {
    for flavor in [ApiFlavor::Public, ApiFlavor::Provider] {
        let house = House::with(flavor, |_| {}).await;
        house.engine.create(&"staging".parse().unwrap(), NamespaceMetadata::of_functions()).await.unwrap();
        house.engine.create(&"other".parse().unwrap(), NamespaceMetadata::of_functions()).await.unwrap();
        let document = house.get("/openapi.json").await.json();
        let all = ["openfaas-fn", "staging"];
        let mut headers = BTreeMap::new();
        for scope in ["read", "write", "invoke"] {
            headers.insert(scope, token(&house, &[scope], &all).await.1);
        }
        let elsewhere = token(&house, &["read", "write", "invoke"], &["other"]).await.1;
        let everything = token(&house, &["read", "write", "invoke"], &["*"]).await.1;
        let mut seen = 0;
        for (method, path, operation) in operations(&document) {
            let body = body_example(&document, &operation);
            // What is called by name below is about a function: without one, some say 404 before they look further.
            house.add("env", "me/env:1");
            let text = body.as_ref().map(ToString::to_string).unwrap_or_default();
            let mut line = format!("{} {}", method.to_uppercase(), example_path(&path, &operation));
            if path == "/system/logs" {
                line += "?name=env";
            }
            let needs = operation["x-actord-needs"].as_str().unwrap_or_else(|| panic!("{line} is not in the table"));
            if needs.starts_with("nothing") || needs.starts_with("the call's own id") {
                assert!(!path.starts_with("/system"), "{line}");
                assert_ne!(ask(&house, &line, "", &text).await.status, 401, "{line}");
                continue;
            }
            seen += 1;
            assert_eq!(ask(&house, &line, "", &text).await.status, 401, "{line}");
            let enough: &[&str] = match needs {
                "read" => &["read", "write"],
                "write" => &["write"],
                "any" => &["read", "write", "invoke"],
                "admin" => &[],
                other => panic!("{line}: {other}"),
            };
            let before = house.seen().len();
            for (scope, header) in headers.iter().filter(|(scope, _)| !enough.contains(*scope)) {
                let reply = ask(&house, &line, header, &text).await;
                assert_eq!(reply.status, 403, "{line} by {scope}: {reply:?}");
                assert!(reply.text().contains("may not do this"), "{reply:?}");
            }
            // Lists of everything show less instead.
            let lists = ["/system/functions", "/system/namespaces", "/system/events"];
            let lists = lists.contains(&path.as_str()) && method == "get";
            // A call of another namespace is not there.
            let lists = lists || path.starts_with("/system/call/");
            if ["read", "write"].contains(&needs) && !lists {
                let there = place(&path, body.as_ref());
                // Prometheus' example names no function, so one that is written here.
                let text = if path == "/system/alert" {
                    json!({"alerts": [{"status": "firing", "labels": {"function_name": "env"}}]}).to_string()
                } else {
                    text.clone()
                };
                let reply = ask(&house, &line, &elsewhere, &text).await;
                assert_eq!(reply.status, 403, "{line} in {there}: {reply:?}");
                assert!(reply.text().contains("other"), "{reply:?}");
            }
            if needs == "admin" {
                assert_eq!(ask(&house, &line, &everything, &text).await.status, 403, "{line}");
            }
            assert_eq!(house.seen().len(), before, "{line}: the engine was asked");
            // The password that it makes is needed here: `tests/http/cli/keep.rs` has it.
            if path != "/system/password/rotate" {
                let reply = ask(&house, &line, AUTH, &text).await;
                assert!(![401, 403].contains(&reply.status), "{line} by the password: {reply:?}");
            }
            for scope in enough {
                house.add("env", "me/env:1");
                let reply = ask(&house, &line, &headers[scope], &text).await;
                assert!(![401, 403].contains(&reply.status), "{line} by {scope}: {reply:?}");
            }
        }
        assert!(seen >= 25, "{seen}");
    }
}

/// The methods that a function is called by.
const ANY: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, TRACE";

/// Those of a call that is kept.
const QUEUED: &str = "GET, HEAD, POST, PUT, PATCH, OPTIONS, TRACE";

/// Methods, path and need of each row of the table.
fn table() -> BTreeMap<(String, String), String> {
    let text = table_of_routes();
    let rows = text.lines().skip(2).flat_map(|line| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [path, methods, needs] = cells[..] else { panic!("{line}") };
        let row = move |method: &str| ((path.trim_matches('`').to_owned(), method.to_lowercase()), needs.to_owned());
        let methods = match methods {
            "any" => ANY,
            "any but DELETE" => QUEUED,
            some => some,
        };
        methods.split(", ").map(row).collect::<Vec<_>>()
    });
    rows.collect()
}

#[actix_web::test]
async fn the_document_and_the_table_have_the_same_routes() {
    let house = House::public().await;
    let document = house.get("/openapi.json").await.json();
    let mut table = table();
    for (method, path, operation) in operations(&document) {
        let needs = table.remove(&(path.clone(), method.clone()));
        assert_eq!(needs.as_deref(), operation["x-actord-needs"].as_str(), "{method} {path}");
        assert!(needs.is_some(), "{method} {path} is not in the table");
    }
    // HEAD is GET without a body, and the path without its slash is a spelling of the other.
    let is_told_with_another = |path: &str, method: &str| method == "head" || path == "/system/namespace";
    table.retain(|(path, method), _| !is_told_with_another(path, method));
    assert!(table.is_empty(), "in the table alone: {table:?}");
}

#[actix_web::test]
async fn a_token_reaches_no_other_namespace_however_a_request_names_it() {
    let house = House::public().await;
    house.engine.create(&"other".parse().unwrap(), NamespaceMetadata::of_functions()).await.unwrap();
    house.add("f", "i");
    house.add("f.dev", "i");
    house.add("f.other", "i");
    let dev = token(&house, &["read", "write"], &["dev"]).await.1;
    let before = house.seen().len();
    let deploy = |namespace: &str| json!({"service": "f", "image": "i", "namespace": namespace}).to_string();
    let named = |name: &str, namespace: &str| json!({"functionName": name, "namespace": namespace}).to_string();
    let secret = |namespace: &str| json!({"name": "key", "namespace": namespace, "value": "v"}).to_string();
    let scaled = |namespace: &str| json!({"serviceName": "f", "namespace": namespace, "replicas": 2}).to_string();
    let alert = |function: &str| json!({"alerts": [{"status": "firing", "labels": {"function_name": function}}]});
    let both = json!({"alerts": [alert("f.dev")["alerts"][0], alert("f.other")["alerts"][0]]}).to_string();
    for (line, body, status) in [
        // Without a namespace it is the default one.
        ("POST /system/functions", deploy(""), 403),
        ("PUT /system/functions", deploy("other"), 403),
        // The body's counts for a deployment; elsewhere body and query have to agree.
        ("PUT /system/functions?namespace=dev", deploy("other"), 403),
        ("PUT /system/functions?namespace=other", deploy(""), 403),
        ("PUT /system/functions?namespace=dev&namespace=other", deploy(""), 403),
        ("DELETE /system/functions?namespace=dev", named("f", "other"), 400),
        ("DELETE /system/functions?namespace=other", named("f", "dev"), 400),
        ("DELETE /system/functions", named("f", "other"), 403),
        ("DELETE /system/functions", named("f.other", "dev"), 400),
        ("DELETE /system/functions?namespace=dev", named("f.other", ""), 400),
        ("POST /system/scale-function/f", scaled("other"), 403),
        ("POST /system/scale-function/f.other?namespace=dev", json!({"replicas": 2}).to_string(), 400),
        ("POST /system/function/f/rollback?namespace=other", String::new(), 403),
        ("POST /system/function/f.other/rollback?namespace=dev", String::new(), 400),
        ("POST /system/function/f/stop?namespace=other", String::new(), 403),
        ("POST /system/function/f.other/stop?namespace=dev", String::new(), 400),
        ("POST /system/function/f%2Eother/start?namespace=dev", String::new(), 400),
        ("GET /system/function/f.other?namespace=dev", String::new(), 404),
        ("GET /system/function/f?namespace=other", String::new(), 403),
        ("GET /system/functions?namespace=other", String::new(), 403),
        ("GET /system/functions?namespace=dev&namespace=other", String::new(), 403),
        ("GET /system/functions?name%73pace=other", String::new(), 403),
        ("GET /system/secrets?namespace=other", String::new(), 403),
        ("POST /system/secrets", secret("other"), 403),
        ("POST /system/secrets?namespace=dev", secret("other"), 400),
        ("PUT /system/secrets", secret(""), 403),
        ("DELETE /system/secrets", secret("other"), 403),
        ("GET /system/logs?name=f", String::new(), 403),
        ("GET /system/logs?name=f.other", String::new(), 404),
        ("GET /system/logs?name=f&namespace=other", String::new(), 403),
        ("GET /system/logs?name=f.other&namespace=dev", String::new(), 404),
        ("GET /system/namespace/other", String::new(), 403),
        ("GET /system/namespace/nowhere", String::new(), 403),
        ("DELETE /system/namespace/dev", json!({"name": "dev"}).to_string(), 403),
        // Of an alert nothing is done that is about others, too.
        ("POST /system/alert", both, 403),
    ] {
        let reply = ask(&house, line, &dev, &body).await;
        assert_eq!(reply.status, status, "{line} {body}: {reply:?}");
    }
    assert_eq!(house.seen().len(), before, "the engine was asked: {:?}", house.seen());
    assert_eq!(ask(&house, "PUT /system/functions", &dev, &deploy("dev")).await.status, 202);
    assert_eq!(ask(&house, "GET /system/function/f?namespace=dev", &dev, "").await.status, 200);
}

#[actix_web::test]
async fn lists_show_a_token_only_the_namespaces_that_it_may_see() {
    let house = House::public().await;
    house.add("a", "i");
    house.add("b.dev", "i");
    let dev = token(&house, &["read"], &["dev"]).await.1;
    let all = token(&house, &["read"], &["*"]).await.1;
    assert_eq!(names(&ask(&house, "GET /system/namespaces", &dev, "").await), ["dev"]);
    assert_eq!(names(&ask(&house, "GET /system/namespaces", &all, "").await), ["openfaas-fn", "dev"]);
    for (line, header, listed) in [
        ("GET /system/functions", &dev, &["b"][..]),
        ("GET /system/functions?namespace=dev", &dev, &["b"]),
        ("GET /system/functions", &all, &["a"]),
        ("GET /system/functions?namespace=dev", &all, &["b"]),
    ] {
        assert_eq!(names(&ask(&house, line, header, "").await), listed, "{line}");
    }
    // Whether there is a namespace is not told to who may not see it.
    for namespace in ["openfaas-fn", "nowhere"] {
        for line in ["GET /system/functions", "GET /system/secrets", "GET /system/function/a", "GET /system/logs"] {
            let reply = ask(&house, &format!("{line}?name=a&namespace={namespace}"), &dev, "").await;
            assert_eq!(reply.status, 403, "{line} {namespace}: {reply:?}");
        }
    }
}

#[actix_web::test]
async fn a_token_is_sent_as_bearer_or_as_the_password_of_the_user_token_until_it_is_revoked_or_rotated() {
    use base64::Engine as _;
    let house = House::public().await;
    let (id, bearer) = token(&house, &["read"], &["*"]).await;
    let text = bearer.trim().rsplit(' ').next().unwrap();
    let basic = base64::prelude::BASE64_STANDARD.encode(format!("token:{text}"));
    let basic = format!("Authorization: Basic {basic}\r\n");
    for header in [&bearer, &basic] {
        assert_eq!(ask(&house, "GET /system/functions", header, "").await.status, 200);
        // A path that is written in another way is the same route.
        assert_eq!(ask(&house, "GET /%73ystem/functions", header, "").await.status, 200);
        assert_eq!(ask(&house, "GET /%73ystem/tokens", header, "").await.status, 403);
        assert_eq!(ask(&house, "GET /system/nothing", header, "").await.status, 403);
    }
    let rotated = house.system(&format!("POST /system/tokens/{id}/rotate"), "").await.json();
    assert_eq!(rotated["id"], id.as_str());
    let new = format!("Authorization: Bearer {}\r\n", rotated["token"].as_str().unwrap());
    for header in [&bearer, &basic] {
        assert_eq!(ask(&house, "GET /system/functions", header, "").await.status, 401);
    }
    assert_eq!(ask(&house, "GET /system/functions", &new, "").await.status, 200);
    let listed = house.system("GET /system/tokens", "").await;
    assert_eq!((listed.json()[0]["id"].as_str(), listed.text().contains(text)), (Some(id.as_str()), false));
    assert_eq!(house.system(&format!("DELETE /system/tokens/{id}"), "").await.status, 202);
    assert_eq!(house.system(&format!("DELETE /system/tokens/{id}"), "").await.status, 404);
    assert_eq!(ask(&house, "GET /system/functions", &new, "").await.status, 401);
}

#[actix_web::test]
async fn a_token_whose_time_is_over_is_told_so_and_is_no_guess() {
    let house = House::public().await;
    let body = json!({ "namespaces": ["dev"], "scopes": ["read"], "expires": "1s" }).to_string();
    let made = house.system("POST /system/tokens", &body).await.json();
    let header = format!("Authorization: Bearer {}\r\n", made["token"].as_str().unwrap());
    while house.system("GET /system/tokens", "").await.json()[0]["expired"] == false {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let (id, _) = token(&house, &["read"], &["dev"]).await;
    assert!(house.system("GET /system/tokens", "").await.text().contains(&id));
    for _ in 0..20 {
        let reply = ask(&house, "GET /system/functions", &header, "").await;
        assert_eq!(reply.status, 401);
        assert!(reply.text().contains("expired at") && reply.text().contains("actord token rotate"), "{reply:?}");
    }
}
