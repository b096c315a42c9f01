use actord::http::ApiFlavor;
use serde_json::json;

use crate::support::{House, ask};

#[actix_web::test]
async fn the_public_port_tells_about_itself_in_the_gateways_shape() {
    let reply = House::public().await.system("GET /system/info", "").await;
    let version = json!({"release": env!("CARGO_PKG_VERSION"), "sha": "abc", "commit_message": ""});
    let provider = json!({"provider": "actord", "version": version, "orchestration": "containerd"});
    assert_eq!(reply.json(), json!({"provider": provider, "version": version, "arch": std::env::consts::ARCH}));
}

#[actix_web::test]
async fn the_provider_port_tells_about_itself_in_the_providers_shape() {
    let reply = House::with(ApiFlavor::Provider, |_| {}).await.system("GET /system/info", "").await;
    let version = json!({"release": env!("CARGO_PKG_VERSION"), "sha": "abc", "commit_message": ""});
    assert_eq!(reply.json(), json!({"provider": "actord", "version": version, "orchestration": "containerd"}));
}

#[actix_web::test]
async fn health_is_an_empty_200_for_get_and_head() {
    let house = House::public().await;
    for method in ["GET", "HEAD"] {
        let reply = house.ask(&format!("{method} /healthz HTTP/1.1\r\nHost: h\r\n"), "").await;
        assert_eq!((reply.status, reply.text().as_str()), (200, ""), "{method}");
    }
    assert_eq!(house.ask("POST /healthz HTTP/1.1\r\nHost: h\r\n", "").await.status, 405);
}

#[actix_web::test]
async fn an_actord_that_drains_says_close_on_every_answer() {
    let house = House::public().await;
    house.publish("echo", crate::support::mirror().await);
    house.draining.raise();
    for (path, status) in [
        ("/healthz", 200),
        ("/nothing", 404),
        ("/system/functions", 401),
        ("/function/echo", 200),
        ("/function/x", 404),
    ] {
        let mut client = tokio::net::TcpStream::connect(house.address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n");
        tokio::io::AsyncWriteExt::write_all(&mut client, request.as_bytes()).await.unwrap();
        let reply = crate::support::read_reply(&mut client).await;
        assert_eq!(reply.status, status, "{path}");
        assert_eq!(reply.header("connection").as_deref(), Some("close"), "{path}");
    }
}

#[actix_web::test]
async fn the_metrics_listener_is_well_and_has_nothing_else() {
    let house = House::public().await;
    let reply = ask(house.metrics, "GET /healthz HTTP/1.1\r\nHost: h\r\n", "").await;
    assert_eq!((reply.status, reply.text().as_str()), (200, "OK"));
    assert_eq!(ask(house.metrics, "GET /system/functions HTTP/1.1\r\nHost: h\r\n", "").await.status, 404);
    assert_eq!(house.get("/metrics").await.status, 404);
}
