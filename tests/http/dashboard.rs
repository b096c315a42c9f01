//! The dashboard's listener: the page, the API that it works by, and no function.

use std::net::SocketAddr;

use actord::http::ApiFlavor;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::openapi::{example_path, operations};
use crate::support::{AUTH, House, Reply, ask, mirror, read_reply};

async fn get(address: SocketAddr, path: &str) -> Reply {
    ask(address, &format!("GET {path} HTTP/1.1\r\nHost: h\r\n"), "").await
}

/// The path of a file of the page, by its name.
async fn file(address: SocketAddr, name: &str) -> String {
    let index = get(address, "/").await.text();
    let main = index.split("src=\"").nth(1).unwrap().split('"').next().unwrap();
    let (folder, _) = main.rsplit_once('/').unwrap();
    format!("{folder}/{name}")
}

#[actix_web::test]
async fn the_page_is_served_with_all_that_it_names() {
    let house = House::public().await;
    let dashboard = house.dashboard();
    let index = get(dashboard, "/").await;
    assert_eq!(index.status, 200);
    assert_eq!(index.header("content-type").as_deref(), Some("text/html; charset=utf-8"));
    assert_eq!(
        index.header("cache-control").as_deref(),
        Some("no-store"),
        "it names the files of another version some day"
    );
    for (name, kind) in [
        ("main.js", "text/javascript; charset=utf-8"),
        ("style.css", "text/css; charset=utf-8"),
        ("keys.json", "application/json"),
    ] {
        let reply = get(dashboard, &file(dashboard, name).await).await;
        assert_eq!((reply.status, reply.header("content-type").as_deref()), (200, Some(kind)), "{name}");
        assert_eq!(reply.header("cache-control").as_deref(), Some("public, max-age=31536000, immutable"));
        assert!(reply.complete && !reply.body.is_empty());
    }
    let keys: Value = serde_json::from_slice(&get(dashboard, &file(dashboard, "keys.json").await).await.body).unwrap();
    let known = |name: &str| keys.as_array().unwrap().iter().find(|key| key["key"] == name).cloned();
    assert_eq!(known("com.openfaas.scale.zero").unwrap()["kind"], "label");
    assert_eq!(known("actord.auth").unwrap()["kind"], "annotation");
    let packed =
        format!("GET {} HTTP/1.1\r\nHost: h\r\nAccept-Encoding: gzip, br\r\n", file(dashboard, "main.js").await);
    let packed = ask(dashboard, &packed, "").await;
    assert_eq!(packed.header("content-encoding").as_deref(), Some("gzip"));
    assert!(packed.body.len() < get(dashboard, &file(dashboard, "main.js").await).await.body.len());
}

#[actix_web::test]
async fn files_are_asked_for_by_get_and_head_alone_and_those_of_another_version_are_not_there() {
    let house = House::public().await;
    let dashboard = house.dashboard();
    for path in ["/".to_owned(), file(dashboard, "main.js").await] {
        for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"] {
            let reply = ask(dashboard, &format!("{method} {path} HTTP/1.1\r\nHost: h\r\n"), "").await;
            assert_eq!((reply.status, reply.text().as_str()), (405, ""), "{method} {path}");
        }
        let head = ask(dashboard, &format!("HEAD {path} HTTP/1.1\r\nHost: h\r\n"), "").await;
        assert_eq!((head.status, head.body.len()), (200, 0), "{path}");
    }
    let main = file(dashboard, "main.js").await;
    for path in ["/000000000000/main.js".to_owned(), main.replace("main", "none"), main + "/", "/main.js".to_owned()] {
        assert_eq!(get(dashboard, &path).await.status, 404, "{path}");
    }
}

#[actix_web::test]
async fn the_dashboard_serves_no_function_by_any_path() {
    let house = House::public().await;
    house.publish("env", mirror().await);
    assert_eq!(house.get("/function/env").await.status, 200);
    let dashboard = house.dashboard();
    for path in [
        "/function/env",
        "/function/env/",
        "/function/env/path",
        "/function/env.openfaas-fn",
        "//function/env",
        "/./function/env",
        "/x/../function/env",
        "/%66unction/env",
        "/function%2fenv",
        "/function%2Fenv",
        "/%2e/function/env",
        "/system/../function/env",
        "/system/%2e%2e/function/env",
        "/FUNCTION/env",
        "/async-function/env",
        "/async-function/env/path",
        "//async-function/env",
        "/%61sync-function/env",
        "/metrics",
        "http://h/function/env",
        "http://h/async-function/env",
    ] {
        for method in ["GET", "POST", "DELETE"] {
            let reply = ask(dashboard, &format!("{method} {path} HTTP/1.1\r\nHost: h\r\n{AUTH}"), "").await;
            assert!([400, 404].contains(&reply.status), "{method} {path}: {reply:?}");
            // What is no request at all is refused before anything knows which listener it came to.
            assert!(
                reply.status == 400 || reply.header("content-security-policy").is_some(),
                "{method} {path}: {reply:?}"
            );
        }
    }
    assert_eq!(house.routes.find(&"env".parse().unwrap()).unwrap().calls(), 1, "only the one above");
}

/// What stands in every answer.
fn expect_headers(what: &str, reply: &Reply) {
    let policy = reply.header("content-security-policy").unwrap_or_else(|| panic!("{what}: {reply:?}"));
    for part in [
        "default-src 'none'",
        "script-src 'self'",
        "connect-src 'self'",
        "form-action 'none'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
    ] {
        assert!(policy.split("; ").any(|one| one == part), "{what}: {policy}");
    }
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
        ("cross-origin-embedder-policy", "require-corp"),
        ("x-frame-options", "DENY"),
    ] {
        assert_eq!(reply.headers(name), [value], "{what}: {name}");
    }
    let kept = reply.header("cache-control").unwrap();
    assert!(what.contains(".js") && reply.status == 200 || kept.contains("no-store"), "{what}: {kept}");
    assert!(!reply.head.to_lowercase().contains("access-control-"), "{what} lets others in: {reply:?}");
    assert_eq!(reply.headers("set-cookie"), [""; 0], "{what}");
}

#[actix_web::test]
async fn every_answer_has_the_headers() {
    let house = House::public().await;
    house.add("env", "me/env:1");
    let dashboard = house.dashboard();
    let document: Value = get(dashboard, "/openapi.json").await.json();
    for (method, path, operation) in operations(&document) {
        let path = example_path(&path, &operation);
        // Streams go on, and the password is needed for what comes next.
        if path == "/system/events" || path == "/system/password/rotate" {
            continue;
        }
        for (who, credentials) in [("nobody", ""), ("admin", AUTH)] {
            let head =
                format!("{} {path} HTTP/1.1\r\nHost: h\r\nOrigin: http://evil\r\n{credentials}", method.to_uppercase());
            expect_headers(&format!("{method} {path} by {who}"), &ask(dashboard, &head, "").await);
        }
    }
    for path in ["/", &file(dashboard, "main.js").await, "/none", "/system/none", "/function/env"] {
        expect_headers(path, &get(dashboard, path).await);
        let posted = ask(dashboard, &format!("POST {path} HTTP/1.1\r\nHost: h\r\n"), "").await;
        expect_headers(&format!("POST {path}").replace(".js", ""), &posted);
    }
}

#[actix_web::test]
async fn nothing_is_told_to_another_origin_that_asks_first() {
    let house = House::public().await;
    let dashboard = house.dashboard();
    let asks = "Origin: http://evil\r\nAccess-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: authorization\r\n";
    for address in [dashboard, house.address] {
        let reply = ask(address, &format!("OPTIONS /system/functions HTTP/1.1\r\nHost: h\r\n{asks}"), "").await;
        assert!(reply.status >= 400 && !reply.head.to_lowercase().contains("access-control"), "{reply:?}");
    }
}

#[actix_web::test]
async fn a_page_of_another_address_changes_and_reads_nothing_by_what_a_browser_has_kept() {
    let house = House::public().await;
    let dashboard = house.dashboard();
    for address in [house.address, dashboard] {
        for (says, status) in [
            ("", 200),
            ("Origin: http://h\r\n", 200),
            ("Origin: HTTPS://H\r\n", 200),
            ("Origin: http://h:8080\r\n", 403),
            ("Origin: http://evil\r\n", 403),
            ("Origin: null\r\n", 403),
            ("Origin: https://page.example\r\nX-Forwarded-Host: page.example\r\n", 200),
        ] {
            for line in ["GET /system/functions", "GET /system/session"] {
                let reply = ask(address, &format!("{line} HTTP/1.1\r\nHost: h\r\n{says}{AUTH}"), "").await;
                assert_eq!(reply.status, status, "{line} {says:?}: {reply:?}");
            }
        }
        let posted = format!("POST /system/password/rotate HTTP/1.1\r\nHost: h\r\nOrigin: http://evil\r\n{AUTH}");
        assert_eq!(ask(address, &posted, "").await.status, 403);
        assert_eq!(house.system("GET /system/functions", "").await.status, 200, "it is the password as before");
    }
}

#[actix_web::test]
async fn a_browser_is_never_asked_for_the_password_by_itself() {
    for flavor in [ApiFlavor::Public, ApiFlavor::Provider] {
        let house = House::with(flavor, |_| {}).await;
        let dashboard = house.dashboard();
        for address in [house.address, dashboard] {
            // No more wrong ones than are slowed.
            for (path, credentials) in [
                ("/system/functions", ""),
                ("/system/none", ""),
                ("/system/session", ""),
                ("/system/info", "Authorization: Basic eDp5\r\n"),
                ("/system/info", "Authorization: Bearer actord_x\r\n"),
            ] {
                let head = format!("GET {path} HTTP/1.1\r\nHost: h\r\n{credentials}");
                let client = ask(address, &head, "").await;
                assert_eq!(client.status, 401, "{client:?}");
                let asks = (address == house.address).then(|| "Basic realm=\"Restricted\"".to_owned());
                assert_eq!(client.header("www-authenticate"), asks, "only browsers come to the dashboard");
                // What it says over plain HTTP to another machine, and to this one or by TLS.
                for says in [
                    "User-Agent: Mozilla/5.0 (X11)",
                    "User-Agent: Mozilla/5.0\r\nSec-Fetch-Mode: navigate",
                    "User-Agent: other\r\nAccept-Language: de",
                    "Upgrade-Insecure-Requests: 1",
                ] {
                    let browser = ask(address, &format!("{head}{says}\r\n"), "").await;
                    assert_eq!((browser.status, browser.header("www-authenticate")), (401, None), "{browser:?}");
                    assert_eq!(browser.text(), client.text());
                }
            }
        }
        let cancel = "DELETE /async-function/mine HTTP/1.1\r\nHost: h\r\nSec-Fetch-Mode: cors\r\n";
        let reply = house.ask(cancel, "").await;
        assert_eq!((reply.status, reply.header("www-authenticate")), (401, None), "{reply:?}");
    }
}

#[actix_web::test]
async fn the_public_port_leads_to_the_page_and_says_how_it_is_reached_from_elsewhere() {
    let none = House::public().await;
    assert_eq!(none.get("/ui/").await.status, 404);
    assert!(!none.get("/").await.text().contains("/ui/"));
    let led = async |dashboard: &str, trusted: bool, host: &str, more: &str| {
        let house = House::with(ApiFlavor::Public, |settings| {
            settings.dashboard = Some(dashboard.parse().unwrap());
            if trusted {
                settings.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
            }
        });
        let house = house.await;
        assert!(house.get("/").await.text().contains("/ui/"));
        assert_eq!(house.get("/ui").await.status, house.get("/ui/").await.status);
        let reply = house.ask(&format!("GET /ui/ HTTP/1.1\r\nHost: {host}\r\n{more}"), "").await;
        (reply.status, reply.header("location"), reply.text())
    };
    for (dashboard, host, location) in [
        ("127.0.0.1:8083", "localhost:8080", "http://localhost:8083/"),
        ("127.0.0.1:8083", "127.0.0.1:8080", "http://127.0.0.1:8083/"),
        ("[::1]:8083", "[::1]:8080", "http://[::1]:8083/"),
        ("0.0.0.0:9000", "actord.lan:8080", "http://actord.lan:9000/"),
        ("0.0.0.0:9000", "actord.lan", "http://actord.lan:9000/"),
    ] {
        let (status, to, _) = led(dashboard, false, host, "").await;
        assert_eq!((status, to.as_deref()), (307, Some(location)), "{dashboard} {host}");
    }
    let tunnel = "ssh -L 8083:127.0.0.1:8083 actord.lan";
    let (status, to, text) = led("127.0.0.1:8083", false, "actord.lan:8080", "").await;
    assert!(status == 200 && to.is_none() && text.contains(tunnel), "{text}");
    // A proxy says that its client is elsewhere.
    let (status, to, text) = led("127.0.0.1:8083", true, "localhost", "X-Forwarded-For: 192.0.2.7\r\n").await;
    assert!(status == 200 && to.is_none() && text.contains("ssh -L 8083:127.0.0.1:8083 localhost"), "{text}");
    // Where a gateway stands before actord, the page is not asked for by it.
    let provider =
        House::with(ApiFlavor::Provider, |settings| settings.dashboard = Some("127.0.0.1:8083".parse().unwrap()));
    assert_eq!(provider.await.get("/ui/").await.status, 404);
}

#[actix_web::test]
async fn the_machine_is_told_to_the_password_alone() {
    let house = House::public().await;
    let reply = house.system("GET /system/machine", "").await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.json()["findings"], json!([]));
    let token = crate::tokens::token(&house, &["read", "write", "invoke"], &["*"]).await.1;
    let asked = format!("GET /system/machine HTTP/1.1\r\nHost: h\r\n{token}");
    assert_eq!(house.ask(&asked, "").await.status, 403);
}

#[actix_web::test]
async fn its_limits_on_clients_are_those_of_the_public_port() {
    let house = House::with(ApiFlavor::Public, |settings| settings.connections.all = 1).await;
    let dashboard = house.dashboard();
    let mut first = TcpStream::connect(dashboard).await.unwrap();
    first.write_all(b"GET / HTTP/1.1\r\nHost: h\r\n").await.unwrap();
    // One has its place, and the next is told so.
    let mut second = TcpStream::connect(dashboard).await.unwrap();
    second.write_all(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").await.unwrap();
    assert_eq!(read_reply(&mut second).await.status, 503);
    first.write_all(b"Connection: close\r\n\r\n").await.unwrap();
    assert_eq!(read_reply(&mut first).await.status, 200);
}
