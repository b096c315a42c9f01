//! The scaler of the real program: functions that nothing calls go to sleep and wake, and replicas follow a load.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::sleep;

use crate::actord::{Actord, until};
use crate::client::{self, Request};

async fn is_in_phase(actord: &Actord, name: &str, phase: &str) {
    until(&format!("{name} is {phase}"), async || actord.describe(name).await["lifecycle"]["phase"] == phase).await;
}

async fn metrics(actord: &Actord) -> String {
    client::ask(actord.metrics, Request::get("/metrics")).await.unwrap().text()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_function_that_nothing_calls_is_frozen_then_stopped_and_comes_back_for_a_call_or_a_gateway() {
    let mut actord = Actord::start_with(&["--freeze-after", "500ms", "--zero-duration", "4s"]).await;
    actord.deploy("f", json!({ "labels": { "com.openfaas.scale.zero": "true" } })).await;
    // Frozen for as long as nothing calls it, however slow the machine is.
    let sleeps = json!({ "com.openfaas.scale.zero": "true", "com.openfaas.scale.zero-duration": "24h" });
    actord.deploy("sleeper", json!({ "labels": sleeps })).await;
    actord.deploy("awake", json!({})).await;
    let first = actord.process("sleeper");
    is_in_phase(&actord, "sleeper", "frozen").await;
    assert_eq!(actord.describe("sleeper").await["availableReplicas"], 1, "it counts as ready");
    let answer = actord.get("/function/sleeper/version").await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "1\n"));
    assert_eq!(actord.process("sleeper"), first, "it was thawed, and not started anew");

    is_in_phase(&actord, "f", "idle").await;
    until("nothing of it runs", async || actord.processes_of("f").is_empty()).await;
    assert_eq!(actord.get("/function/f/version").await.status, 200);

    // The way of an OpenFaaS gateway: it scales to one and asks until a replica is available.
    is_in_phase(&actord, "f", "idle").await;
    assert_eq!(actord.scale("f", 1).await.status, 202);
    until("a replica is available", async || actord.describe("f").await["availableReplicas"] == 1).await;

    is_in_phase(&actord, "f", "idle").await;
    actord.stop().await;
    actord.launch(&[]).await;
    until("what runs is taken over", async || actord.describe("awake").await["availableReplicas"] == 1).await;
    is_in_phase(&actord, "f", "idle").await;
    assert_eq!(actord.processes_of("f"), [0; 0]);
    assert_eq!(actord.get("/function/f/version").await.status, 200);
    is_in_phase(&actord, "sleeper", "frozen").await;
    assert_eq!(actord.process("sleeper"), first, "the next actord took it over");
    assert!(metrics(&actord).await.contains(r#"actord_scaler_rests_total{tier="frozen"}"#));
    assert_eq!(actord.describe("awake").await["lifecycle"], Value::Null);
    actord.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_follow_the_requests_in_flight_both_ways_and_no_call_fails() {
    let actord = Actord::start_with(&["--scale-down-window", "2s"]).await;
    let labels = json!({
        "com.openfaas.scale.type": "capacity",
        "com.openfaas.scale.target": "2",
        "com.openfaas.scale.target-proportion": "1",
        "com.openfaas.scale.max": "4",
    });
    actord.deploy("f", json!({ "labels": labels })).await;
    let (over, answered, public) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)), actord.public);
    let callers = (0..6).map(|_| {
        let (over, answered) = (over.clone(), answered.clone());
        tokio::spawn(async move {
            while !over.load(Ordering::Relaxed) {
                let answer = client::ask(public, Request::get("/function/f/sleep?ms=200")).await.unwrap();
                assert_eq!(answer.status, 200, "{}", answer.text());
                answered.fetch_add(1, Ordering::Relaxed);
            }
        })
    });
    let callers: Vec<_> = callers.collect();
    until("three serve", async || actord.describe("f").await["availableReplicas"] == 3).await;
    let because = actord.describe("f").await["lifecycle"]["scaledBecause"].clone();
    assert!(because.as_str().is_some_and(|why| why.contains("requests in flight")), "{because}");
    assert!(metrics(&actord).await.contains(r#"actord_scaler_wanted{function_name="f.openfaas-fn"} 3"#));
    sleep(Duration::from_secs(2)).await;
    over.store(true, Ordering::Relaxed);
    for caller in callers {
        caller.await.unwrap();
    }
    assert!(answered.load(Ordering::Relaxed) > 6);
    until("one is left", async || actord.describe("f").await["availableReplicas"] == 1).await;
    until("the others are gone", async || actord.processes_of("f").len() == 1).await;
    let log = actord.log();
    assert!(log.contains("the load asks for another number of replicas"), "each change is told once");
    actord.finish().await;
}
