//! The audit log: who, from where, what and what came of it, and no value.

use actord::audit::Audit;
use actord::http::ApiFlavor;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;

use crate::support::{AUTH, House};
use crate::tokens::token;

/// A house with an audit log, in this directory.
async fn house(home: &tempfile::TempDir, proxy: bool) -> (House, Audit) {
    let audit = Audit::start(home.path(), 1 << 20, &prometheus::Registry::new()).unwrap();
    let kept = audit.clone();
    let house = House::with(ApiFlavor::Public, |settings| {
        settings.audit = kept;
        if proxy {
            settings.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
        }
    });
    (house.await, audit)
}

async fn entries(home: &tempfile::TempDir, audit: &Audit) -> Vec<Value> {
    audit.settle().await;
    let text = std::fs::read_to_string(home.path().join("audit.log")).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What an entry says, without its time.
fn said(entry: &Value) -> String {
    let text = |key: &str| entry[key].as_str().unwrap_or("-").to_owned();
    let keys = ["who", "from", "method", "route", "namespace", "name", "outcome"];
    format!("{} {}", keys.map(text).join(" "), entry["status"])
}

#[actix_web::test]
async fn every_change_says_who_from_where_what_and_what_came_of_it_and_holds_no_value() {
    let home = tempfile::tempdir().unwrap();
    let (house, audit) = house(&home, false).await;
    let (id, bearer) = token(&house, &["write"], &["dev"]).await;
    let by_token =
        async |line: &str, body: &str| house.ask(&format!("{line} HTTP/1.1\r\nHost: h\r\n{bearer}"), body).await.status;
    let secret = json!({"name": "key", "namespace": "dev", "value": "hunter2"}).to_string();
    let deploy = json!({"service": "f", "image": "i", "namespace": "dev", "envVars": {"PASS": "hunter2"}}).to_string();
    let scale = json!({"serviceName": "f", "namespace": "dev", "replicas": 2}).to_string();
    assert_eq!(by_token("POST /system/secrets", &secret).await, 202);
    assert_eq!(by_token("POST /system/functions", &deploy).await, 202);
    assert_eq!(by_token("POST /system/scale-function/f", &scale).await, 202);
    assert_eq!(by_token("POST /system/function/f/stop?namespace=dev", "").await, 202);
    assert_eq!(by_token("POST /system/function/f/stop", "").await, 403);
    assert_eq!(
        by_token("DELETE /system/functions", &json!({"functionName": "g", "namespace": "dev"}).to_string()).await,
        404
    );
    assert_eq!(
        house
            .system("POST /system/namespace/new", &json!({"name": "new", "labels": {"openfaas": "1"}}).to_string())
            .await
            .status,
        201
    );
    house.system(&format!("DELETE /system/tokens/{id}"), "").await;
    let expected = [
        format!("admin 127.0.0.1 POST /system/tokens - {id} done 201"),
        format!("{id} 127.0.0.1 POST /system/secrets dev key done 202"),
        format!("{id} 127.0.0.1 POST /system/functions dev f done 202"),
        format!("{id} 127.0.0.1 POST /system/scale-function/{{name}} dev f done 202"),
        format!("{id} 127.0.0.1 POST /system/function/{{name}}/stop dev f done 202"),
        format!("{id} 127.0.0.1 POST /system/function/{{name}}/stop openfaas-fn f refused 403"),
        format!("{id} 127.0.0.1 DELETE /system/functions dev g refused 404"),
        "admin 127.0.0.1 POST /system/namespace/{name} new - done 201".to_owned(),
        format!("admin 127.0.0.1 DELETE /system/tokens/{{id}} - {id} done 202"),
    ];
    let found: Vec<String> = entries(&home, &audit).await.iter().map(said).collect();
    assert_eq!(found, expected);
    let text = std::fs::read_to_string(home.path().join("audit.log")).unwrap();
    let secret_of_token = bearer.trim().rsplit(' ').next().unwrap();
    for value in ["hunter2", "secret-pw", secret_of_token, "PASS"] {
        assert!(!text.contains(value), "{value}: {text}");
    }
}

#[actix_web::test]
async fn sessions_and_calls_by_hand_are_in_it_and_no_text_of_one() {
    let home = tempfile::tempdir().unwrap();
    let (house, audit) = house(&home, false).await;
    let begun = house.system("POST /system/session", "").await.json();
    let (id, text) = (begun["id"].as_str().unwrap(), begun["token"].as_str().unwrap());
    let by = async |line: &str| {
        house.ask(&format!("{line} HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {text}\r\n"), "").await.status
    };
    assert_eq!(by("POST /system/function/f/invoke?namespace=dev").await, 404);
    assert_eq!(by("DELETE /system/session").await, 202);
    assert_eq!(by("DELETE /system/session").await, 401);
    let expected = [
        format!("admin 127.0.0.1 POST /system/session - {id} done 201"),
        "admin 127.0.0.1 POST /system/function/{name}/invoke dev f refused 404".to_owned(),
        format!("admin 127.0.0.1 DELETE /system/session - {id} done 202"),
        "- 127.0.0.1 DELETE /system/session - - refused 401".to_owned(),
    ];
    let found: Vec<String> = entries(&home, &audit).await.iter().map(said).collect();
    assert_eq!(found, expected);
    let log = std::fs::read_to_string(home.path().join("audit.log")).unwrap();
    assert!(!log.contains(text.strip_prefix("actord_").unwrap()), "{log}");
}

#[actix_web::test]
async fn a_token_pushes_nothing_out_of_it_by_beginning_sessions() {
    let home = tempfile::tempdir().unwrap();
    let (house, audit) = house(&home, false).await;
    let (_, header) = token(&house, &["read"], &["dev"]).await;
    for _ in 0..30 {
        crate::sessions::begin(&house, &header).await;
    }
    let found: Vec<String> = entries(&home, &audit).await.iter().map(said).collect();
    let begun = found.iter().filter(|line| line.contains("POST /system/session")).count();
    assert_eq!(begun, 20, "{found:?}");
}

#[actix_web::test]
async fn reads_and_calls_are_not_in_it_but_who_is_kept_out_and_who_guesses() {
    let home = tempfile::tempdir().unwrap();
    let (house, audit) = house(&home, true).await;
    house.publish("f", crate::support::mirror().await);
    let (id, bearer) = token(&house, &["invoke"], &["dev"]).await;
    let from = "X-Forwarded-For: 198.51.100.7\r\n";
    let ask = async |line: &str, header: &str| {
        house.ask(&format!("{line} HTTP/1.1\r\nHost: h\r\n{header}{from}"), "").await.status
    };
    assert_eq!(ask("GET /system/functions", AUTH).await, 200);
    assert_eq!(ask("GET /function/f", "").await, 200);
    assert_eq!(ask("GET /system/functions", "").await, 401);
    assert_eq!(ask("POST /system/functions", "").await, 401);
    assert_eq!(ask("GET /system/functions", &bearer).await, 403);
    assert_eq!(ask("GET /system/functions", "Authorization: Basic YWRtaW46d3Jvbmc=\r\n").await, 401);
    let found: Vec<String> = entries(&home, &audit).await.iter().map(said).skip(1).collect();
    assert_eq!(
        found,
        [
            format!("{id} 198.51.100.7 GET /system/functions - - refused 403"),
            "- 198.51.100.7 GET /system/functions - - refused 401".to_owned()
        ]
    );
}

#[actix_web::test]
async fn what_a_person_sends_as_a_name_by_mistake_is_not_in_it_and_an_expired_token_is_named() {
    let home = tempfile::tempdir().unwrap();
    let (house, audit) = house(&home, false).await;
    let (_, bearer) = token(&house, &["read"], &["dev"]).await;
    let text = bearer.trim().rsplit(' ').next().unwrap();
    assert_eq!(house.system(&format!("DELETE /system/tokens/{text}"), "").await.status, 404);
    assert_eq!(house.system(&format!("DELETE /system/tokens/{}", "x".repeat(4_000)), "").await.status, 404);
    let body = json!({ "namespaces": ["dev"], "scopes": ["read"], "expires": "1s" }).to_string();
    let made = house.system("POST /system/tokens", &body).await.json();
    let (id, expired) = (made["id"].as_str().unwrap(), made["token"].as_str().unwrap());
    while house.system("GET /system/tokens", "").await.json()[1]["expired"] == false {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let head = format!("GET /system/functions HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {expired}\r\n");
    assert_eq!(house.ask(&head, "").await.status, 401);
    let found: Vec<String> = entries(&home, &audit).await.iter().map(said).skip(1).collect();
    let nameless = "admin 127.0.0.1 DELETE /system/tokens/{id} - - refused 404".to_owned();
    assert_eq!(
        found,
        [
            nameless.clone(),
            nameless,
            format!("admin 127.0.0.1 POST /system/tokens - {id} done 201"),
            format!("{id} 127.0.0.1 GET /system/functions - - refused 401"),
        ]
    );
    let log = std::fs::read_to_string(home.path().join("audit.log")).unwrap();
    assert!(!log.contains(text) && !log.contains(expired), "{log}");
}

#[actix_web::test]
async fn a_guesser_does_not_push_out_what_is_known_of_others() {
    let home = tempfile::tempdir().unwrap();
    let (house, audit) = house(&home, true).await;
    house.system("DELETE /system/tokens/t-none", "").await;
    let guess = async |n: u32| {
        let from = format!("X-Forwarded-For: 2001:db8:0:{n:x}::1\r\nAuthorization: Bearer wrong\r\n");
        house.ask(&format!("DELETE /system/functions HTTP/1.1\r\nHost: h\r\n{from}"), "").await.status
    };
    for n in 0..100 {
        assert_eq!(guess(n).await, 401);
    }
    let found: Vec<String> = entries(&home, &audit).await.iter().map(said).collect();
    // One comes back in a minute, which a slow machine may have taken.
    assert!((21..=23).contains(&found.len()), "{found:#?}");
    assert!(found[0].starts_with("admin") && found[1] == "- 2001:db8::1 DELETE /system/functions - - refused 401");
}

#[actix_web::test]
async fn a_disk_that_takes_nothing_fails_no_call() {
    let home = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/dev/full", home.path().join("audit.log")).unwrap();
    let registry = prometheus::Registry::new();
    let audit = Audit::start(home.path(), 1 << 20, &registry).unwrap();
    let kept = audit.clone();
    let house = House::with(ApiFlavor::Public, |settings| settings.audit = kept).await;
    let secret = json!({"name": "key", "value": "v"}).to_string();
    assert_eq!(house.system("POST /system/secrets", &secret).await.status, 202);
    assert_eq!(house.system("PUT /system/secrets", &secret).await.status, 202);
    audit.settle().await;
    let counted = prometheus::TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
    assert!(counted.contains("actord_audit_entries_total{outcome=\"failed\"} 2"), "{counted}");
}

#[actix_web::test]
async fn a_change_whose_client_left_before_its_answer_is_in_it_all_the_same() {
    let home = tempfile::tempdir().unwrap();
    let (house, audit) = house(&home, false).await;
    house.script.lock().unwrap().silent = true;
    let body = json!({"service": "f", "image": "i"}).to_string();
    let mut client = tokio::net::TcpStream::connect(house.address).await.unwrap();
    let head =
        format!("POST /system/functions HTTP/1.1\r\nHost: h\r\n{AUTH}Content-Length: {}\r\n\r\n{body}", body.len());
    client.write_all(head.as_bytes()).await.unwrap();
    while house.seen().is_empty() {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    drop(client);
    let left = async {
        loop {
            if let Some(entry) = entries(&home, &audit).await.pop() {
                return entry;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    let entry = tokio::time::timeout(std::time::Duration::from_secs(10), left).await.unwrap();
    assert_eq!(said(&entry), "admin 127.0.0.1 POST /system/functions openfaas-fn f left null");
}

#[actix_web::test]
async fn a_token_can_not_push_out_what_is_known_of_others_by_what_it_may_not_do() {
    let home = tempfile::tempdir().unwrap();
    let (house, audit) = house(&home, false).await;
    let (id, bearer) = token(&house, &["invoke"], &["dev"]).await;
    for _ in 0..60 {
        let head = format!("POST /system/tokens HTTP/1.1\r\nHost: h\r\n{bearer}");
        assert_eq!(house.ask(&head, "").await.status, 403);
    }
    for _ in 0..40 {
        assert_eq!(house.system("DELETE /system/tokens/t-none", "").await.status, 404);
    }
    let found = entries(&home, &audit).await;
    let of = |who: &str| found.iter().filter(|entry| entry["who"] == who).count();
    // One more may be noted each minute.
    assert!((20..25).contains(&of(&id)), "{}", of(&id));
    assert_eq!(of("admin"), 41, "what the password does is noted, whatever comes of it");
}
