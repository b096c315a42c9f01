//! `/system/namespaces` and `/system/namespace/{name}`, as clients and other providers know them.

use actord::function::{FunctionId, SpecDraft};
use actord::http::ApiFlavor;
use serde_json::{Value, json};

use crate::memory_engine::{Image, desired};
use crate::support::{House, LocalHouse, Reply};

impl House {
    async fn namespace(&self, method: &str, name: &str, body: &Value) -> Reply {
        self.system(&format!("{method} /system/namespace/{name}"), &body.to_string()).await
    }

    async fn names(&self) -> Value {
        let reply = self.system("GET /system/namespaces", "").await;
        assert_eq!(reply.status, 200);
        reply.json()
    }
}

impl LocalHouse {
    /// Keeps a function as a deploy does.
    async fn keep(&self, function: &str) -> Result<(), actord::store::StoreError> {
        let draft = SpecDraft { image: "i".into(), ..SpecDraft::default() };
        let desired = desired(None, draft.try_into().unwrap(), &Image::Runs(Vec::new()), jiff::Timestamp::UNIX_EPOCH);
        self.store.put(&function.parse().unwrap(), &desired).await
    }
}

fn of(name: &str) -> Value {
    json!({ "name": name, "labels": { "openfaas": "1" } })
}

fn refused(reply: &Reply, status: u16, line: &str) {
    assert_eq!((reply.status, reply.text()), (status, format!("{line}\n")));
    assert_eq!(reply.header("content-type").as_deref(), Some("text/plain; charset=utf-8"));
}

fn done(reply: &Reply, status: u16) {
    assert_eq!((reply.status, reply.text().as_str()), (status, ""), "{reply:?}");
}

#[actix_web::test]
async fn a_namespace_is_made_listed_shown_changed_and_deleted_on_both_ports() {
    for flavor in [ApiFlavor::Public, ApiFlavor::Provider] {
        let house = House::with(flavor, |_| {}).await;
        let sent = json!({
            "name": "stage",
            "annotations": { "c": "d", "openfaas": "1" },
            "labels": { "a": "b", "openfaas": "1" },
        });
        done(&house.namespace("POST", "", &sent).await, 201);
        assert_eq!(house.names().await, json!(["openfaas-fn", "dev", "stage"]));
        let reply = house.system("GET /system/namespace/stage", "").await;
        assert_eq!((reply.status, reply.json()), (200, sent));

        let mut changed = json!({ "name": "stage", "labels": { "a": "c", "openfaas": "true" } });
        done(&house.namespace("PUT", "stage", &changed).await, 202);
        changed["annotations"] = json!({});
        assert_eq!(house.system("GET /system/namespace/stage", "").await.json(), changed, "what it had is replaced");

        done(&house.namespace("DELETE", "stage", &of("stage")).await, 202);
        assert_eq!(house.names().await, json!(["openfaas-fn", "dev"]));
        refused(&house.system("GET /system/namespace/stage", "").await, 404, "namespace stage not found");
    }
}

#[actix_web::test]
async fn the_default_namespace_is_first_once_and_stays() {
    let house = House::public().await;
    done(&house.namespace("POST", "", &of("a")).await, 201);
    assert_eq!(house.names().await, json!(["openfaas-fn", "a", "dev"]));
    let shown = async || house.system("GET /system/namespace/openfaas-fn", "").await.json();
    let mut plain = of("openfaas-fn");
    plain["annotations"] = json!({});
    assert_eq!(shown().await, plain, "both maps are always there");
    refused(&house.namespace("POST", "", &of("openfaas-fn")).await, 409, "namespace openfaas-fn already exists");

    let labels = json!({ "openfaas": "1", "team": "blue" });
    let labelled = json!({ "name": "openfaas-fn", "labels": labels, "annotations": null });
    done(&house.namespace("PUT", "openfaas-fn", &labelled).await, 202);
    assert_eq!(shown().await, json!({ "name": "openfaas-fn", "labels": labels, "annotations": {} }));
    assert_eq!(house.names().await, json!(["openfaas-fn", "a", "dev"]), "no duplicate");
    let reply = house.namespace("DELETE", "openfaas-fn", &of("openfaas-fn")).await;
    refused(&reply, 400, "namespace openfaas-fn is the default one and can't be deleted");
}

#[actix_web::test]
async fn one_that_is_there_is_409_and_one_that_is_not_404() {
    let house = House::public().await;
    refused(&house.namespace("POST", "", &of("dev")).await, 409, "namespace dev already exists");
    refused(&house.namespace("POST", "dev", &of("dev")).await, 409, "namespace dev already exists");
    refused(&house.namespace("PUT", "nope", &of("nope")).await, 404, "namespace nope not found");
    refused(&house.namespace("DELETE", "nope", &of("nope")).await, 404, "namespace nope not found");
    refused(&house.system("GET /system/namespace/Nope", "").await, 404, "namespace Nope not found");
}

#[actix_web::test]
async fn every_change_says_that_it_is_about_functions() {
    let house = House::public().await;
    for labels in [json!(null), json!({}), json!({ "openfaas": "0" }), json!({ "openfaas": "" }), json!({ "a": "1" })] {
        let body = json!({ "name": "dev", "labels": labels, "annotations": { "openfaas": "1" } });
        for (method, path) in [("POST", ""), ("POST", "dev"), ("PUT", "dev"), ("DELETE", "dev")] {
            let reply = house.namespace(method, path, &body).await;
            refused(&reply, 400, "request does not have openfaas=1 label");
        }
    }
    done(&house.namespace("PUT", "dev", &json!({ "NAME": "dev", "Labels": { "openfaas": "true" } })).await, 202);
}

#[actix_web::test]
async fn the_body_names_the_namespace_of_the_path() {
    let house = House::public().await;
    for method in ["POST", "PUT", "DELETE"] {
        for body in [of("other"), of(""), json!({ "labels": { "openfaas": "1" } })] {
            let reply = house.namespace(method, "dev", &body).await;
            refused(&reply, 400, "namespace in request body does not match namespace in URL");
        }
        assert_eq!(house.system(&format!("{method} /system/namespace/dev"), "{").await.status, 400);
    }
    for name in ["", "Bad", "a.b", "../x", &"x".repeat(64)] {
        let reply = house.namespace("POST", "", &of(name)).await;
        assert_eq!(reply.status, 400, "{name}");
        assert!(reply.text().starts_with("invalid namespace "), "{reply:?}");
    }
    done(&house.system("POST /system/namespace", &of("no-slash").to_string()).await, 201);
    done(&house.namespace("POST", "in-path", &of("in-path")).await, 201);
    assert_eq!(house.names().await, json!(["openfaas-fn", "dev", "in-path", "no-slash"]));
}

#[actix_web::test]
async fn one_with_functions_in_it_is_not_deleted_and_they_are_named() {
    let house = House::public().await;
    for function in ["b.dev", "a.dev", "elsewhere"] {
        house.add(function, "i");
    }
    let reply = house.namespace("DELETE", "dev", &of("dev")).await;
    refused(&reply, 409, "namespace dev has functions in it, delete them first: a, b");
    for function in ["b.dev", "a.dev"] {
        house.engine.remove(&function.parse().unwrap());
    }
    done(&house.namespace("DELETE", "dev", &of("dev")).await, 202);
}

#[actix_web::test]
async fn its_secrets_go_with_it_and_one_of_the_same_name_begins_without_any() {
    let house = LocalHouse::public().await;
    let secret = r#"{"name":"db","namespace":"dev","value":"old"}"#;
    assert_eq!(house.system("POST /system/secrets", secret).await.status, 202);
    done(&house.namespace("DELETE", "dev", &of("dev")).await, 202);
    assert!(!house.secrets.path().join("dev").exists());
    refused(&house.system("POST /system/secrets", secret).await, 400, "namespace not valid");

    // As a deletion leaves it that was cut short.
    std::fs::create_dir(house.secrets.path().join("dev")).unwrap();
    std::fs::write(house.secrets.path().join("dev/db"), "old").unwrap();
    done(&house.namespace("POST", "", &of("dev")).await, 201);
    assert_eq!(house.system("GET /system/secrets?namespace=dev", "").await.json(), json!([]));
}

#[actix_web::test]
async fn functions_are_listed_shown_and_deployed_only_where_there_is_a_namespace() {
    let house = House::public().await;
    done(&house.namespace("POST", "", &of("stage")).await, 201);
    let body = r#"{"service":"f","image":"i","namespace":"stage"}"#;
    assert_eq!(house.system("POST /system/functions", body).await.status, 202);
    assert_eq!(house.system("GET /system/functions?namespace=stage", "").await.json()[0]["namespace"], "stage");
    house.engine.remove(&"f.stage".parse().unwrap());
    done(&house.namespace("DELETE", "stage", &of("stage")).await, 202);
    refused(&house.system("GET /system/functions?namespace=stage", "").await, 400, "namespace not valid");
    for method in ["POST", "PUT"] {
        let reply = house.system(&format!("{method} /system/functions"), body).await;
        refused(&reply, 400, "namespace not valid");
    }
}

#[actix_web::test]
async fn of_a_new_function_and_the_end_of_its_namespace_exactly_one_is_refused() {
    let house = LocalHouse::public().await;
    for round in 0..20 {
        let name = format!("race-{round}");
        done(&house.namespace("POST", "", &of(&name)).await, 201);
        let function = format!("f.{name}");
        let deletion = of(&name);
        let (kept, deleted) = futures_util::join!(house.keep(&function), house.namespace("DELETE", &name, &deletion));
        let id: FunctionId = function.parse().unwrap();
        assert_eq!(kept.is_ok(), deleted.status == 409, "{kept:?} {deleted:?}");
        assert_eq!(kept.is_err(), deleted.status == 202, "{kept:?} {deleted:?}");
        assert_eq!(house.store.get(&id).await.unwrap().is_some(), kept.is_ok());
        assert_eq!(house.namespaces.contains(&id.namespace), kept.is_ok());
    }
}

#[actix_web::test]
async fn a_full_store_says_so_and_nothing_is_changed() {
    let house = LocalHouse::public().await;
    house.store.limit_pages(1).await.unwrap();
    let labels = json!({ "openfaas": "1", "long": "x".repeat(500_000) });
    let reply = house.namespace("POST", "", &json!({ "name": "big", "labels": labels })).await;
    assert_eq!(reply.status, 507, "{reply:?}");
    assert!(reply.text().contains("full"), "{reply:?}");
    assert_eq!(house.names().await, json!(["openfaas-fn", "dev"]));
}
