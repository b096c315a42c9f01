use std::fs;

use actord::http::{ApiFlavor, Settings};
use serde_json::json;

use crate::support::{House, ask};

#[path = "../../build.rs"]
#[allow(dead_code, reason = "cargo runs what is not called here")]
mod build;

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
async fn release_and_commit_are_never_empty_whoever_built_it_in_both_shapes() {
    let built = |settings: &mut Settings| {
        settings.release = Settings::new(settings.access.clone(), settings.flavor).release;
    };
    for (flavor, versions) in [
        (ApiFlavor::Public, ["/version", "/provider/version"].as_slice()),
        (ApiFlavor::Provider, ["/version"].as_slice()),
    ] {
        let info = House::with(flavor, built).await.system("GET /system/info", "").await.json();
        for version in versions.iter().map(|path| info.pointer(path).unwrap()) {
            assert_eq!(version["release"], env!("CARGO_PKG_VERSION"));
            let commit = version["sha"].as_str().unwrap();
            assert!(!commit.is_empty() && !commit.contains(char::is_whitespace), "{commit:?}");
        }
    }
}

#[test]
fn the_commit_is_found_wherever_git_keeps_it() {
    let (a, b) = ("a1".repeat(20), "b2".repeat(32));
    let packed = format!("# pack-refs with: peeled\n{} refs/heads/other\n{b} refs/heads/main\n^{a}\n", "c3".repeat(20));
    let named = "ref: refs/heads/main\n".to_owned();
    for (what, files, found) in [
        ("a commit itself", vec![(".git/HEAD", format!("{a}\n"))], Some(&a)),
        ("a branch", vec![(".git/HEAD", named.clone()), (".git/refs/heads/main", format!("{a}\n"))], Some(&a)),
        ("a packed branch", vec![(".git/HEAD", named.clone()), (".git/packed-refs", packed.clone())], Some(&b)),
        (
            "a branch that has moved since it was packed",
            vec![(".git/HEAD", named.clone()), (".git/packed-refs", packed), (".git/refs/heads/main", a.clone())],
            Some(&a),
        ),
        (
            "a worktree",
            vec![
                (".git", "gitdir: main/.git/worktrees/w\n".to_owned()),
                ("main/.git/worktrees/w/HEAD", named.clone()),
                ("main/.git/worktrees/w/commondir", "../..\n".to_owned()),
                ("main/.git/refs/heads/main", a.clone()),
            ],
            Some(&a),
        ),
        ("no repository", vec![("Cargo.toml", String::new())], None),
        ("a branch without a commit", vec![(".git/HEAD", named)], None),
        ("something else", vec![(".git/HEAD", "main\n".to_owned())], None),
    ] {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let head = build::head(root.path());
        assert_eq!(head.as_ref().map(|head| &head.commit), found, "{what}");
        assert!(head.is_none_or(|head| head.moves_with.iter().all(|path| path.exists())), "{what}");
    }
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
    let dashboard = house.dashboard();
    house.draining.raise();
    for (listener, path, status) in [
        (house.address, "/healthz", 200),
        (house.address, "/nothing", 404),
        (house.address, "/system/functions", 401),
        (house.address, "/function/echo", 200),
        (house.address, "/function/x", 404),
        (dashboard, "/", 200),
        (dashboard, "/nothing", 404),
        (dashboard, "/system/functions", 401),
        (house.metrics, "/metrics", 200),
    ] {
        let mut client = tokio::net::TcpStream::connect(listener).await.unwrap();
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

#[actix_web::test]
async fn readiness_is_told_in_words_on_both_listeners_and_health_stays() {
    let house = House::public().await;
    let asked = async |method: &str, path: &str| {
        let head = format!("{method} {path} HTTP/1.1\r\nHost: h\r\n");
        let (public, metrics) = (house.ask(&head, "").await, ask(house.metrics, &head, "").await);
        assert_eq!(public.status, metrics.status, "{method} {path}");
        if path == "/readyz" {
            assert_eq!(public.text(), metrics.text());
        }
        (public.status, public.text())
    };
    assert_eq!(asked("GET", "/readyz").await, (200, "ready\n".to_owned()));
    let faults = ["containerd: it does not answer".to_owned(), "store: the disk is full".to_owned()];
    house.script.lock().unwrap().faults = faults.to_vec();
    assert_eq!(asked("GET", "/readyz").await, (503, format!("{}\n", faults.join("\n"))));
    assert_eq!(asked("HEAD", "/readyz").await, (503, String::new()));
    assert_eq!(asked("GET", "/healthz").await.0, 200, "the process is well");
    house.script.lock().unwrap().faults.clear();
    assert_eq!(asked("GET", "/readyz").await.0, 200);
    house.draining.raise();
    let (status, words) = asked("GET", "/readyz").await;
    assert!(status == 503 && words.contains("ending"), "{status} {words}");
}
