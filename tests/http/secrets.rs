//! `/system/secrets`, as clients and other providers know it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use actord::http::ApiFlavor;
use serde_json::json;

use crate::support::{House, LocalHouse, Reply};

impl House {
    async fn secrets(&self, method: &str, body: &str) -> Reply {
        self.system(&format!("{method} /system/secrets"), body).await
    }

    async fn listed(&self, query: &str) -> serde_json::Value {
        let reply = self.system(&format!("GET /system/secrets{query}"), "").await;
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.json()
    }
}

impl LocalHouse {
    fn secret(&self, path: &str) -> String {
        fs::read_to_string(self.secrets.path().join(path)).unwrap_or_else(|error| format!("({error})"))
    }
}

fn refused(reply: &Reply, status: u16, line: &str) {
    assert_eq!((reply.status, reply.text()), (status, format!("{line}\n")));
    assert_eq!(reply.header("content-type").as_deref(), Some("text/plain; charset=utf-8"));
    assert_eq!(reply.header("x-content-type-options").as_deref(), Some("nosniff"));
}

fn accepted(reply: &Reply) {
    assert_eq!((reply.status, reply.text().as_str()), (202, ""), "{reply:?}");
}

#[actix_web::test]
async fn a_secret_is_made_listed_replaced_and_deleted_on_both_ports_and_its_value_never_comes_out() {
    for flavor in [ApiFlavor::Public, ApiFlavor::Provider] {
        let house = LocalHouse::with(flavor, |_| {}).await;
        assert_eq!(house.listed("").await, json!([]));
        accepted(&house.secrets("POST", r#"{"name":"db","value":"one"}"#).await);
        accepted(&house.secrets("POST", r#"{"name":"api.key_2","namespace":"openfaas-fn","value":"k"}"#).await);
        let all = json!([
            { "name": "api.key_2", "namespace": "openfaas-fn" },
            { "name": "db", "namespace": "openfaas-fn" },
        ]);
        assert_eq!(house.listed("").await, all);
        assert_eq!(house.secret("openfaas-fn/db"), "one");
        accepted(&house.secrets("PUT", r#"{"name":"db","value":"two"}"#).await);
        assert_eq!(house.secret("openfaas-fn/db"), "two");
        accepted(&house.secrets("DELETE", r#"{"name":"db"}"#).await);
        assert_eq!(house.listed("").await, json!([{ "name": "api.key_2", "namespace": "openfaas-fn" }]));
        assert!(house.secret("openfaas-fn/db").contains("No such file"));
    }
}

#[actix_web::test]
async fn a_secret_lies_where_root_alone_can_read_it() {
    let house = LocalHouse::public().await;
    accepted(&house.secrets("POST", r#"{"name":"db","value":"one"}"#).await);
    let mode = |path: &str| fs::metadata(house.secrets.path().join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("openfaas-fn/db"), mode("openfaas-fn")), (0o600, 0o700));
}

#[actix_web::test]
async fn post_of_one_that_is_there_is_409_and_put_or_delete_of_one_that_is_not_404() {
    let house = LocalHouse::public().await;
    accepted(&house.secrets("POST", r#"{"name":"db","value":"one"}"#).await);
    let reply = house.secrets("POST", r#"{"name":"db","value":"two"}"#).await;
    refused(&reply, 409, "secret db already exists: update it, or delete it first");
    assert_eq!(house.secret("openfaas-fn/db"), "one");
    refused(&house.secrets("PUT", r#"{"name":"x","value":"1"}"#).await, 404, "unable to find secret: x");
    refused(&house.secrets("DELETE", r#"{"name":"x"}"#).await, 404, "unable to find secret: x");
    // The same name in another namespace is another secret.
    refused(&house.secrets("DELETE", r#"{"name":"db","namespace":"dev"}"#).await, 404, "unable to find secret: db");
    assert_eq!(house.secret("openfaas-fn/db"), "one");
}

#[actix_web::test]
async fn of_many_who_make_the_same_secret_at_once_one_succeeds() {
    let house = House::public().await;
    let make = |n| house.secrets("POST", if n % 2 == 0 { r#"{"name":"db","value":"a"}"# } else { r#"{"name":"db"}"# });
    let replies = futures_util::future::join_all((0..8).map(make)).await;
    let mut statuses: Vec<_> = replies.iter().map(|reply| reply.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [202, 409, 409, 409, 409, 409, 409, 409]);
}

#[actix_web::test]
async fn the_namespace_is_in_the_body_or_in_the_query() {
    let house = LocalHouse::public().await;
    accepted(&house.secrets("POST", r#"{"name":"a","namespace":"dev","value":"1"}"#).await);
    accepted(&house.system("POST /system/secrets?namespace=dev", r#"{"name":"b","value":"2"}"#).await);
    accepted(&house.system("PUT /system/secrets?namespace=dev", r#"{"name":"a","namespace":null,"value":"3"}"#).await);
    let both = json!([{ "name": "a", "namespace": "dev" }, { "name": "b", "namespace": "dev" }]);
    assert_eq!(house.listed("?namespace=dev").await, both);
    assert_eq!(house.secret("dev/a"), "3");
    assert_eq!(house.listed("").await, json!([]), "the default namespace has none of them");
    accepted(&house.system("DELETE /system/secrets?namespace=dev", r#"{"name":"a"}"#).await);
    accepted(&house.system("DELETE /system/secrets?namespace=dev", r#"{"name":"b","namespace":"dev"}"#).await);
    assert_eq!(house.listed("?namespace=dev").await, json!([]));
}

#[actix_web::test]
async fn a_body_and_a_query_that_name_different_namespaces_are_refused() {
    let house = LocalHouse::public().await;
    accepted(&house.secrets("POST", r#"{"name":"a","value":"1"}"#).await);
    for method in ["POST", "PUT", "DELETE"] {
        let line = format!("{method} /system/secrets?namespace=dev");
        let reply = house.system(&line, r#"{"name":"a","namespace":"openfaas-fn"}"#).await;
        let words = r#"the body names namespace "openfaas-fn" and the query "dev": send one of them"#;
        refused(&reply, 400, words);
    }
    assert_eq!(house.secret("openfaas-fn/a"), "1");
}

#[actix_web::test]
async fn a_namespace_that_is_not_there_is_refused() {
    let house = LocalHouse::public().await;
    refused(&house.system("GET /system/secrets?namespace=nope", "").await, 400, "namespace not valid");
    for method in ["POST", "PUT", "DELETE"] {
        let reply = house.secrets(method, r#"{"name":"a","namespace":"nope"}"#).await;
        refused(&reply, 400, "namespace not valid");
        let reply = house.secrets(method, r#"{"name":"a","namespace":"../dev"}"#).await;
        assert_eq!(reply.status, 400);
        assert!(reply.text().contains("invalid namespace"), "{reply:?}");
    }
    assert_eq!(fs::read_dir(house.secrets.path()).unwrap().count(), 0);
}

#[actix_web::test]
async fn a_name_that_leads_elsewhere_is_refused_everywhere() {
    let house = LocalHouse::public().await;
    let outside = house.secrets.path().join("outside");
    fs::write(&outside, "keep").unwrap();
    fs::create_dir(house.secrets.path().join("openfaas-fn")).unwrap();
    for method in ["POST", "PUT", "DELETE"] {
        for name in ["../outside", "../../etc/passwd", "/etc/passwd", "a/b", "..", "a..b"] {
            let reply = house.secrets(method, &json!({ "name": name, "value": "x" }).to_string()).await;
            refused(&reply, 400, "directory traversal found in name");
        }
        refused(&house.secrets(method, r#"{"value":"x"}"#).await, 400, "non-empty name is required");
        for name in [".", ".hidden", "a b", "ä", "a\u{0}", "a\\b", &"n".repeat(254)] {
            let reply = house.secrets(method, &json!({ "name": name }).to_string()).await;
            assert_eq!(reply.status, 400, "{name:?}");
            assert!(reply.text().contains("invalid secret name"), "{reply:?}");
        }
    }
    assert_eq!(fs::read_to_string(outside).unwrap(), "keep");
    accepted(&house.secrets("POST", &json!({ "name": "n".repeat(253) }).to_string()).await);
}

#[actix_web::test]
async fn raw_bytes_win_over_text_unless_there_are_none() {
    let house = LocalHouse::public().await;
    let post = async |body: &str| accepted(&house.secrets("POST", body).await);
    post(r#"{"name":"a","value":"trimmed","rawValue":"IHJhdyAK"}"#).await;
    post(r#"{"name":"b","value":"text","rawValue":""}"#).await;
    post(r#"{"name":"c","value":"text","rawValue":null}"#).await;
    post(r#"{"name":"d","rawValue":"AP+A"}"#).await;
    post(r#"{"NAME":"e","Value":"any case","unknown":[1]}"#).await;
    post(r#"{"name":"f"}"#).await;
    for (name, value) in [("a", " raw \n"), ("b", "text"), ("c", "text"), ("e", "any case"), ("f", "")] {
        assert_eq!(house.secret(&format!("openfaas-fn/{name}")), value, "{name}");
    }
    assert_eq!(fs::read(house.secrets.path().join("openfaas-fn/d")).unwrap(), [0, 0xff, 0x80]);
    let reply = house.secrets("PUT", r#"{"name":"a","rawValue":"not base64!"}"#).await;
    assert_eq!(reply.status, 400);
    assert!(reply.text().starts_with(r#"invalid field "rawValue": "#), "{reply:?}");
}

#[actix_web::test]
async fn a_value_of_a_mebibyte_is_kept_and_a_longer_one_refused_with_the_bound() {
    let house = LocalHouse::public().await;
    let body = |length: usize| json!({ "name": "big", "value": "\u{0}".repeat(length) }).to_string();
    accepted(&house.secrets("POST", &body(1 << 20)).await);
    assert_eq!(house.secret("openfaas-fn/big").len(), 1 << 20);
    let reply = house.secrets("PUT", &body((1 << 20) + 1)).await;
    refused(&reply, 413, "secret big has 1048577 bytes: at most 1048576 are kept");
    assert_eq!(house.secret("openfaas-fn/big").len(), 1 << 20);
}

#[actix_web::test]
async fn what_is_no_json_object_is_refused() {
    let house = House::public().await;
    for method in ["POST", "PUT", "DELETE"] {
        for body in ["", "{", "[]", "\"db\"", r#"{"name":5}"#, r#"{"name":"a","value":{}}"#] {
            let reply = house.secrets(method, body).await;
            assert_eq!(reply.status, 400, "{method} {body}: {reply:?}");
            assert_eq!(reply.header("content-type").as_deref(), Some("text/plain; charset=utf-8"));
        }
    }
    assert_eq!(house.secrets("PATCH", "{}").await.status, 405);
}

#[actix_web::test]
async fn a_secret_that_was_deleted_is_made_again_as_clients_replace_one() {
    let house = LocalHouse::public().await;
    for value in ["one", "two"] {
        house.secrets("DELETE", r#"{"name":"db"}"#).await;
        accepted(&house.secrets("POST", &json!({ "name": "db", "value": value }).to_string()).await);
        assert_eq!(house.secret("openfaas-fn/db"), value);
    }
}

const USED: &str = "secret db is used by f, g, which can't start without it: update or delete them first, or delete it all \
                    the same with ?force=true (actord secret rm --force)";

#[actix_web::test]
async fn one_that_functions_use_is_kept_unless_by_force_and_they_are_named() {
    for flavor in [ApiFlavor::Public, ApiFlavor::Provider] {
        let house = LocalHouse::with(flavor, |_| {}).await;
        for name in ["db", "free"] {
            accepted(&house.secrets("POST", &json!({ "name": name, "value": "one" }).to_string()).await);
        }
        for function in ["g", "f"] {
            house.keep_with_secrets(function, &["db"]).await;
        }
        house.keep_with_secrets("h.dev", &["free"]).await;
        for no in
            ["", "?force=", "?force=0", "?force=false", "?force=yes", "?force=true&force=0", "?namespace=openfaas-fn"]
        {
            let reply = house.system(&format!("DELETE /system/secrets{no}"), r#"{"name":"db"}"#).await;
            refused(&reply, 409, USED);
        }
        accepted(&house.secrets("DELETE", r#"{"name":"free"}"#).await);
        for yes in ["?force=true", "?force=1", "?namespace=openfaas-fn&force=T"] {
            let line = format!("DELETE /system/secrets{yes}");
            accepted(&house.system(&line, r#"{"name":"db"}"#).await);
            refused(&house.system(&line, r#"{"name":"db"}"#).await, 404, "unable to find secret: db");
            accepted(&house.secrets("POST", r#"{"name":"db"}"#).await);
        }
    }
}

#[actix_web::test]
async fn a_client_that_applies_one_that_is_in_use_goes_on_to_give_it_its_value() {
    let house = LocalHouse::public().await;
    accepted(&house.secrets("POST", r#"{"name":"db","value":"one"}"#).await);
    for function in ["f", "g"] {
        house.keep_with_secrets(function, &["db"]).await;
    }
    // As faas-cli does: it lists, deletes what is there, makes it, and updates it when it is told that it is there.
    assert_eq!(house.listed("?namespace=openfaas-fn").await, json!([{ "name": "db", "namespace": "openfaas-fn" }]));
    let sent = r#"{"name":"db","namespace":"openfaas-fn","value":"two","rawValue":"dHdv"}"#;
    refused(&house.secrets("DELETE", r#"{"name":"db","namespace":"openfaas-fn"}"#).await, 409, USED);
    refused(&house.secrets("POST", sent).await, 409, "secret db already exists: update it, or delete it first");
    accepted(&house.secrets("PUT", sent).await);
    assert_eq!(house.secret("openfaas-fn/db"), "two");
}
