//! Functions that end without being asked to, or that are not there: no request goes to anything but a live instance.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rustix::process::Signal;
use serde_json::json;
use tokio::time::{Duration, Instant};

use crate::actord::{Actord, HELLO_2, kill, until};
use crate::client::{Connection, Request};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_function_comes_back_by_itself_and_no_request_goes_anywhere_else() {
    // What answered in place of the function in other houses: the machine's own port 8080.
    let decoy = TcpListener::bind("127.0.0.1:8080").ok();
    if let Some(decoy) = &decoy {
        decoy.set_nonblocking(true).unwrap();
    }
    let actord = Actord::start().await;
    actord.deploy("phoenix", json!({})).await;

    let (over, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let (public, subnet) = (actord.public, actord.subnet());
    let client = tokio::spawn({
        let (over, asked) = (over.clone(), asked.clone());
        async move {
            let mut connection = Connection::open(public).await.unwrap();
            let (mut answers, mut instances, mut longest) = (0, Vec::new(), Duration::ZERO);
            while !over.load(Ordering::Relaxed) {
                let begun = Instant::now();
                let answer = connection.ask(&Request::get("/function/phoenix/version")).await.unwrap();
                longest = longest.max(begun.elapsed());
                assert_eq!((answer.status, answer.text().as_str()), (200, "1\n"), "after {answers}: {answer:?}");
                let instance = answer.header("x-instance").unwrap().to_owned();
                assert!(instance.starts_with(&subnet), "{instance} is no address of ours");
                answers += 1;
                asked.store(answers, Ordering::Relaxed);
                instances.push(instance);
                instances.dedup();
            }
            (answers, instances, longest)
        }
    });
    let mut pid = actord.process("phoenix");
    for _ in 0..2 {
        // Each instance has answered before it is killed, however slow the machine is just now.
        let before = asked.load(Ordering::Relaxed);
        until("it answers", async || asked.load(Ordering::Relaxed) > before + 1).await;
        kill(pid, Signal::KILL);
        until("it is back", async || actord.processes_of("phoenix").first().is_some_and(|now| *now != pid)).await;
        until("it is ready", async || actord.describe("phoenix").await["availableReplicas"] == 1).await;
        pid = actord.process("phoenix");
    }
    over.store(true, Ordering::Relaxed);
    let (answers, instances, longest) = client.await.unwrap();
    println!("two kills under {answers} requests: 0 failed, longest {} ms", longest.as_millis());
    assert!(instances.len() >= 2, "{instances:?}");
    let described = actord.describe("phoenix").await;
    assert_eq!(described["availableReplicas"], 1);

    // At zero a call starts one.
    assert_eq!(actord.scale("phoenix", 0).await.status, 202);
    until("it has no process", async || actord.processes_of("phoenix").is_empty()).await;
    assert_eq!(actord.get("/function/phoenix").await.status, 200);

    // Kept down by hand nobody is asked, and the caller is told when to come back.
    let by_hand = async |act: &str| {
        actord.system("POST", &format!("/system/function/phoenix/{act}"), serde_json::Value::Null).await.status
    };
    assert_eq!(by_hand("stop").await, 202);
    let answer = actord.get("/function/phoenix").await;
    assert_eq!((answer.status, answer.header("x-openfaas-internal")), (503, Some("proxy")), "{answer:?}");
    assert!(answer.header("retry-after").is_some(), "{answer:?}");
    until("it has no process", async || actord.processes_of("phoenix").is_empty()).await;
    assert_eq!(actord.get("/function/phoenix").await.status, 503);
    assert_eq!(actord.describe("phoenix").await["availableReplicas"], serde_json::Value::Null);
    assert_eq!((by_hand("start").await, actord.scale("phoenix", 2).await.status), (202, 202));
    assert_eq!(actord.get("/function/phoenix").await.status, 200, "parked until it is there");
    until("both serve", async || actord.describe("phoenix").await["availableReplicas"] == 2).await;
    if let Some(decoy) = decoy {
        assert!(decoy.accept().is_err(), "the machine's own port 8080 was called");
    }
    actord.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_function_that_keeps_crashing_is_shown_with_its_reason_and_healed_by_an_update() {
    let actord = Actord::start_with(&["--deploy-wait", "1s", "--park-time", "300ms"]).await;
    // It might heal, so it is accepted, kept and shown; nobody is left waiting for it for long.
    let answer = actord.apply("POST", "broken", json!({ "envVars": { "EXIT_AT_START": "3" } })).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    // On a busy machine the answer comes before the first end.
    until("its reason is shown", async || {
        let shown = actord.describe("broken").await;
        assert_eq!(shown["availableReplicas"], serde_json::Value::Null, "{shown:#}");
        shown["lifecycle"]["reason"].as_str().is_some_and(|reason| reason.contains("exited with code 3"))
    })
    .await;
    let answer = actord.get("/function/broken").await;
    assert_eq!((answer.status, answer.header("x-openfaas-internal")), (503, Some("proxy")), "{answer:?}");
    assert!(answer.header("retry-after").is_some(), "{answer:?}");
    let answer = actord.update("broken", json!({ "image": HELLO_2 })).await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    until("it is healed", async || actord.get("/function/broken/version").await.text() == "2\n").await;
    assert_eq!(actord.describe("broken").await["lifecycle"], serde_json::Value::Null);

    // One that worked, and ends again and again.
    actord.deploy("moody", json!({})).await;
    for _ in 0..3 {
        let pid = actord.process("moody");
        let exit = Request::get("/function/moody/exit?code=7");
        let _ = Connection::open(actord.public).await.unwrap().ask(&exit).await;
        until("it is back", async || actord.processes_of("moody").first().is_some_and(|now| *now != pid)).await;
        until("it serves", async || actord.describe("moody").await["availableReplicas"] == 1).await;
    }
    assert!(actord.log().contains("exited with code 7"), "{}", actord.log());
    actord.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_image_whose_process_ends_at_once_is_answered_long_before_the_wait_is_over() {
    let actord = Actord::start_with(&["--deploy-wait", "1h"]).await;
    for code in ["126", "127"] {
        let answer = actord.apply("POST", "ends", json!({ "envVars": { "EXIT_AT_START": code } })).await;
        assert_eq!(answer.status, 400, "{code}: {answer:?}");
        assert!(answer.text().contains(&format!("exited with code {code}")), "{}", answer.text());
        assert_eq!(actord.describe("ends").await, serde_json::Value::Null, "nothing is kept");
    }
    for code in ["0", "1", "255"] {
        let answer = actord.apply("POST", "ends", json!({ "envVars": { "EXIT_AT_START": code } })).await;
        assert_eq!(answer.status, 202, "{code}: {answer:?}");
        let shown = actord.describe("ends").await;
        assert_eq!(shown["lifecycle"]["phase"], "backing off", "{shown:#}");
        let reason = shown["lifecycle"]["reason"].as_str().unwrap();
        assert!(
            reason.contains(&format!("exited with code {code} before it was ready: ")),
            "its last words too: {reason}"
        );
        assert_eq!(actord.delete("ends").await.status, 202);
    }
    actord.finish().await;
}
