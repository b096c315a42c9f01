use actord::http::ApiFlavor;

use crate::support::{AUTH, House};

#[actix_web::test]
async fn everything_under_system_asks_for_credentials_on_both_ports() {
    for flavor in [ApiFlavor::Public, ApiFlavor::Provider] {
        let house = House::with(flavor, |_| {}).await;
        for line in [
            "GET /system/functions",
            "POST /system/functions",
            "PUT /system/functions",
            "DELETE /system/functions",
            "PATCH /system/functions",
            "GET /system/function/x",
            "POST /system/scale-function/x",
            "GET /system/info",
            "GET /system/namespaces",
            "POST /system/namespace/x",
            "GET /system/nothing",
            "GET /%73ystem/info",
            "GET /system",
        ] {
            let reply = house.ask(&format!("{line} HTTP/1.1\r\nHost: h\r\n"), "").await;
            assert_eq!(reply.status, 401, "{line}");
            assert_eq!(reply.text(), "invalid credentials", "{line}");
            assert_eq!(reply.header("www-authenticate").as_deref(), Some("Basic realm=\"Restricted\""));
        }
        assert!(house.seen().is_empty());
    }
}

#[actix_web::test]
async fn a_bearer_without_a_token_is_no_credential_and_no_error() {
    let house = House::public().await;
    for header in ["Authorization: Bearer \r\n", "Authorization: Bearer abc\r\n", "Authorization: Basic \r\n"] {
        let reply = house.ask(&format!("GET /system/functions HTTP/1.1\r\nHost: h\r\n{header}"), "").await;
        assert_eq!(reply.status, 401, "{header}");
    }
}

#[actix_web::test]
async fn with_credentials_an_unknown_path_is_404_and_a_wrong_method_405_without_a_body() {
    let house = House::public().await;
    let reply = house.system("GET /system/nothing", "").await;
    assert_eq!((reply.status, reply.text().as_str()), (404, "404 page not found\n"));
    let reply = house.system("PATCH /system/functions", "").await;
    assert_eq!((reply.status, reply.text().as_str()), (405, ""));
    let reply = house.system("GET /system/scale-function/x", "").await;
    assert_eq!((reply.status, reply.text().as_str()), (405, ""));
}

#[actix_web::test]
async fn functions_and_health_ask_for_none() {
    let house = House::public().await;
    assert_eq!(house.get("/healthz").await.status, 200);
    assert_eq!(house.get("/function/nosuch").await.status, 404);
    let head = format!("GET /healthz HTTP/1.1\r\nHost: h\r\n{AUTH}");
    assert_eq!(house.ask(&head, "").await.status, 200);
}
