//! Sessions: what a page holds in the place of the password or a token.

use actord::credentials::Access;
use actord::http::ApiFlavor;
use serde_json::{Value, json};

use crate::support::{AUTH, House, Reply, mirror};
use crate::tokens::token;

async fn by(house: &House, line: &str, header: &str) -> Reply {
    house.ask(&format!("{line} HTTP/1.1\r\nHost: h\r\n{header}"), "").await
}

/// Begins a session: what is told of it, and the header that carries it.
pub(crate) async fn begin(house: &House, header: &str) -> (Value, String) {
    let reply = by(house, "POST /system/session", header).await;
    assert_eq!(reply.status, 201, "{reply:?}");
    assert_eq!(reply.header("cache-control").as_deref(), Some("no-store"));
    let begun = reply.json();
    let bearer = format!("Authorization: Bearer {}\r\n", begun["token"].as_str().unwrap());
    (begun, bearer)
}

#[actix_web::test]
async fn a_session_may_what_its_password_or_token_may_and_says_so() {
    for flavor in [ApiFlavor::Public, ApiFlavor::Provider] {
        let house = House::with(flavor, |_| {}).await;
        let (begun, admin) = begin(&house, AUTH).await;
        assert_eq!((&begun["who"], &begun["admin"]), (&json!("admin"), &json!(true)));
        assert_eq!((&begun["scopes"], &begun["namespaces"]), (&json!(["read", "write"]), &json!(["*"])));
        assert!(begun["id"].as_str().unwrap().starts_with("s-") && begun["endsAt"].is_string());
        assert_eq!(by(&house, "GET /system/tokens", &admin).await.status, 200);
        let mut told = begun.clone();
        told.as_object_mut().unwrap().remove("token");
        assert_eq!(by(&house, "GET /system/session", &admin).await.json(), told);

        let (id, read) = token(&house, &["read"], &["dev"]).await;
        let (begun, reader) = begin(&house, &read).await;
        assert_eq!((&begun["who"], &begun["admin"]), (&json!(id), &json!(false)));
        assert_eq!((&begun["scopes"], &begun["namespaces"]), (&json!(["read"]), &json!(["dev"])));
        for header in [&read, &reader] {
            for (line, status) in [
                ("GET /system/functions?namespace=dev", 200),
                ("GET /system/functions?namespace=openfaas-fn", 403),
                ("POST /system/function/f/stop?namespace=dev", 403),
                ("GET /system/tokens", 403),
            ] {
                assert_eq!(by(&house, line, header).await.status, status, "{line}");
            }
        }
        // What is no session has neither id nor end.
        let plain = by(&house, "GET /system/session", &read).await.json();
        assert_eq!((plain.get("id"), plain.get("endsAt"), &plain["who"]), (None, None, &json!(id)));
    }
}

#[actix_web::test]
async fn none_prolongs_itself_and_one_that_was_ended_is_refused() {
    let house = House::public().await;
    let (_, bearer) = begin(&house, AUTH).await;
    let again = by(&house, "POST /system/session", &bearer).await;
    assert!(again.status == 403 && again.text().contains("no other one"), "{again:?}");
    assert_eq!(by(&house, "DELETE /system/session", AUTH).await.status, 404);
    assert_eq!(by(&house, "DELETE /system/session", &bearer).await.status, 202);
    assert_eq!(by(&house, "GET /system/functions", &bearer).await.status, 401);
    assert_eq!(by(&house, "DELETE /system/session", &bearer).await.status, 401);
    assert_eq!(by(&house, "GET /system/functions", AUTH).await.status, 200, "the password is as it was");
}

#[actix_web::test]
async fn a_session_makes_no_credentials_that_outlive_it() {
    let house = House::public().await;
    let (_, session) = begin(&house, AUTH).await;
    let (id, _) = token(&house, &["read"], &["dev"]).await;
    for line in ["POST /system/tokens", "POST /system/password/rotate", &format!("POST /system/tokens/{id}/rotate")] {
        let reply = by(&house, line, &session).await;
        assert_eq!((reply.status, reply.text().contains("by the password itself")), (403, true), "{line}: {reply:?}");
    }
    assert_eq!(by(&house, &format!("DELETE /system/tokens/{id}"), &session).await.status, 202, "it may take some away");
    assert_eq!(by(&house, "GET /system/tokens", AUTH).await.status, 200, "the password is what it was");
}

#[actix_web::test]
async fn a_session_ends_with_the_password_or_token_that_began_it_and_is_no_guess_then() {
    let house = House::public().await;
    let (id, text) = token(&house, &["read"], &["*"]).await;
    let (_, by_token) = begin(&house, &text).await;
    let (_, by_password) = begin(&house, AUTH).await;
    house.system(&format!("POST /system/tokens/{id}/rotate"), "").await;
    // A page may ask for many things at once before it sees that it has to sign in again.
    for _ in 0..20 {
        let reply = by(&house, "GET /system/functions", &by_token).await;
        assert!(reply.status == 401 && reply.text().contains("sign in again"), "{reply:?}");
    }
    assert_eq!(by(&house, "GET /system/functions", &by_password).await.status, 200);
    assert_eq!(by(&house, "POST /system/password/rotate", AUTH).await.status, 200);
    let reply = by(&house, "GET /system/functions", &by_password).await;
    assert!(reply.status == 401 && reply.text().contains("sign in again"), "{reply:?}");
}

#[actix_web::test]
async fn it_opens_no_function_and_no_function_sees_it() {
    let house = House::public().await;
    house.publish("open", mirror().await);
    house.routes.guard(&"guarded".parse().unwrap(), true);
    house.publish("guarded", mirror().await);
    let (_, invoke) = token(&house, &["invoke"], &["*"]).await;
    assert_eq!(by(&house, "GET /function/guarded", &invoke).await.status, 200);
    for began in [AUTH, &invoke] {
        let (_, bearer) = begin(&house, began).await;
        assert_eq!(by(&house, "GET /function/guarded", &bearer).await.status, 401);
        let seen = by(&house, "GET /function/open", &bearer).await;
        assert!(seen.status == 200 && !seen.text().to_lowercase().contains("authorization"), "{seen:?}");
    }
}

#[actix_web::test]
async fn over_a_restart_it_holds() {
    let home = tempfile::tempdir().unwrap();
    let access = Access::open(home.path()).unwrap();
    let password = std::fs::read_to_string(home.path().join("basic-auth-password")).unwrap();
    let pair = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, format!("admin:{}", password.trim()));
    let house = House::with(ApiFlavor::Public, |settings| settings.access = access).await;
    let (_, bearer) = begin(&house, &format!("Authorization: Basic {pair}\r\n")).await;
    drop(house);
    let again = Access::open(home.path()).unwrap();
    let house = House::with(ApiFlavor::Public, |settings| settings.access = again).await;
    assert_eq!(by(&house, "GET /system/functions", &bearer).await.status, 200);
}
