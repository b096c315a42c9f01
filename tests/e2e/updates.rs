//! Updates while somebody calls.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::join_all;
use serde_json::json;
use tokio::time::{Duration, sleep};

use crate::actord::{Actord, HELLO_1, HELLO_2, until};
use crate::client::{self, Connection, Request};
use crate::registry::Registry;

/// Calls until it is told to end, and some times at least, since updates may be quicker than slow calls are; every answer has to
/// be whole and of one of the versions.
async fn caller(public: SocketAddr, over: Arc<AtomicBool>, keep_alive: bool, path: &'static str) -> u32 {
    let mut connection = None;
    let mut answers = 0;
    while answers < 3 || !over.load(Ordering::Relaxed) {
        let request = Request::get(path);
        let answer = if keep_alive {
            if connection.is_none() {
                connection = Some(Connection::open(public).await.unwrap());
            }
            let answer = connection.as_mut().unwrap().ask(&request).await.unwrap();
            assert!(answer.keeps_connection(), "{answer:?}");
            answer
        } else {
            client::ask(public, request).await.unwrap()
        };
        assert_eq!(answer.status, 200, "request {answers}: {answer:?}");
        answers += 1;
        sleep(Duration::from_millis(3)).await;
    }
    answers
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn updates_fail_no_request_and_the_answer_to_an_update_is_the_new_version() {
    let actord = Actord::start().await;
    actord.deploy("shift", json!({})).await;
    let over = Arc::new(AtomicBool::new(false));
    let paths = ["/function/shift/version", "/function/shift/sleep?ms=150", "/function/shift/stream?n=5&ms=20"];
    let callers: Vec<_> = paths
        .into_iter()
        .flat_map(|path| [true, false].map(|keep| tokio::spawn(caller(actord.public, over.clone(), keep, path))))
        .collect();
    for (image, version) in [(HELLO_2, "2\n"), (HELLO_1, "1\n"), (HELLO_2, "2\n")] {
        let answer = actord.update("shift", json!({ "image": image })).await;
        assert_eq!(answer.status, 202, "{}", answer.text());
        for _ in 0..20 {
            assert_eq!(actord.get("/function/shift/version").await.text(), version, "right after its 202");
        }
    }
    over.store(true, Ordering::Relaxed);
    let answers: Vec<u32> = join_all(callers).await.into_iter().map(Result::unwrap).collect();
    println!("3 updates under {} requests: 0 failed", answers.iter().sum::<u32>());
    assert!(answers.iter().all(|count| *count > 2), "{answers:?}");
    until("one process is left", async || actord.processes_of("shift").len() == 1).await;

    // An update to what it is already changes nothing.
    let pid = actord.process("shift");
    assert_eq!(actord.update("shift", json!({ "image": HELLO_2 })).await.status, 202);
    assert_eq!(actord.process("shift"), pid);
    assert_eq!(actord.update("nobody", json!({})).await.status, 404);
    actord.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rollbacks_fail_no_request_and_what_is_kept_outlives_a_kill() {
    let mut actord = Actord::start().await;
    actord.deploy("back", json!({})).await;
    assert_eq!(actord.update("back", json!({ "image": HELLO_2 })).await.status, 202);
    let roll_back = async |actord: &Actord, body: serde_json::Value| {
        actord.system("POST", "/system/function/back/rollback", body).await
    };
    let over = Arc::new(AtomicBool::new(false));
    let paths = ["/function/back/version", "/function/back/sleep?ms=150", "/function/back/stream?n=5&ms=20"];
    let callers: Vec<_> = paths
        .into_iter()
        .flat_map(|path| [true, false].map(|keep| tokio::spawn(caller(actord.public, over.clone(), keep, path))))
        .collect();
    for version in ["1\n", "2\n", "1\n"] {
        let answer = roll_back(&actord, json!({})).await;
        assert_eq!(answer.status, 202, "{}", answer.text());
        for _ in 0..20 {
            assert_eq!(actord.get("/function/back/version").await.text(), version, "right after its 202");
        }
    }
    over.store(true, Ordering::Relaxed);
    let answers: Vec<u32> = join_all(callers).await.into_iter().map(Result::unwrap).collect();
    println!("3 rollbacks under {} requests: 0 failed", answers.iter().sum::<u32>());
    assert!(answers.iter().all(|count| *count > 2), "{answers:?}");

    for restart in [false, true] {
        if restart {
            actord.kill().await;
            actord.launch(&[]).await;
        }
        let kept = actord.describe("back").await["lifecycle"]["generations"].take();
        let kept: Vec<_> = kept.as_array().unwrap().iter().map(|kept| (&kept["generation"], &kept["image"])).collect();
        assert_eq!(kept, [(&json!(5), &json!(HELLO_1)), (&json!(4), &json!(HELLO_2))]);
    }
    let answer = roll_back(&actord, json!({ "generation": 9 })).await;
    assert_eq!(answer.status, 400);
    assert!(answer.text().contains("it keeps 5, 4"), "{}", answer.text());
    assert_eq!(roll_back(&actord, json!({ "generation": 4 })).await.status, 202);
    assert_eq!(actord.get("/function/back/version").await.text(), "2\n");
    actord.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_update_fails_no_request_and_what_is_shown_is_what_runs() {
    let actord = Actord::start().await;
    let elsewhere = tempfile::tempdir().unwrap();
    let registry = Registry::start(elsewhere.path()).await;
    let missing = format!("{}/acme/hello:nosuch", registry.address);
    actord.deploy("steady", json!({ "envVars": { "WHO": "first" } })).await;
    let before = actord.describe("steady").await;
    let pid = actord.process("steady");
    let over = Arc::new(AtomicBool::new(false));
    let callers =
        [true, false].map(|keep| tokio::spawn(caller(actord.public, over.clone(), keep, "/function/steady/version")));
    for generation in [2, 3] {
        let changes = json!({ "image": missing, "envVars": { "WHO": "second" } });
        let answer = actord.update("steady", changes).await;
        assert_eq!(answer.status, 400, "{}", answer.text());
        let mut after = actord.describe("steady").await;
        let lifecycle = after["lifecycle"].take();
        assert_eq!(lifecycle["phase"], "ready");
        let refusal = &lifecycle["lastRefusal"];
        assert_eq!((&refusal["image"], &refusal["generation"]), (&json!(missing), &json!(generation)));
        assert!(answer.text().contains(refusal["reason"].as_str().unwrap()), "{refusal}: {}", answer.text());
        for key in ["image", "envVars", "replicas", "createdAt"] {
            assert_eq!(after[key], before[key], "{key}");
        }
        assert_eq!(actord.list().await[0]["image"], before["image"]);
    }
    over.store(true, Ordering::Relaxed);
    let answers: Vec<u32> = join_all(callers).await.into_iter().map(Result::unwrap).collect();
    assert!(answers.iter().all(|count| *count > 2), "{answers:?}");
    assert_eq!(actord.process("steady"), pid, "untouched");
    actord.finish().await;
}
