//! From POST to the first answer, alone and many at once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::join_all;
use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};

use crate::actord::{Actord, HELLO_2, until};
use crate::client::{self, Request};
use crate::registry::Registry;
use crate::sample::Sample;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deploy_from_a_registry_is_accepted_and_the_very_next_request_is_answered() {
    let actord = Actord::with(&[], |_| {}).await;
    let elsewhere = tempfile::tempdir().unwrap();
    let registry = Registry::start(elsewhere.path()).await;
    let sample = Sample::new("sample").version("registry");
    let image = registry.push_archive("acme/hello", "v1", &sample.archive()).await;

    // Somebody calls all the while.
    let (public, over) = (actord.public, Arc::new(AtomicBool::new(false)));
    let poller = tokio::spawn({
        let over = over.clone();
        async move {
            let mut seen = Vec::new();
            while !over.load(Ordering::Relaxed) {
                let answer = client::ask(public, Request::get("/function/hello/version")).await.unwrap();
                seen.push(answer.status);
                tokio::task::yield_now().await;
            }
            seen
        }
    });
    until("the caller has called", async || actord.get("/function/hello").await.status == 404).await;
    let body = json!({ "service": "hello", "image": image });
    let post = actord.request("POST", "/system/functions", &body);
    let answer = client::ask(actord.provider, post).await.unwrap();
    assert_eq!((answer.status, answer.text().as_str()), (202, ""));
    let first = actord.get("/function/hello/version").await;
    assert_eq!((first.status, first.text().as_str()), (200, "registry\n"));
    over.store(true, Ordering::Relaxed);

    let mut seen = poller.await.unwrap();
    seen.dedup();
    assert_eq!(seen, [404, 200], "unknown, then parked, then served; nothing else in between");

    let missing = format!("{}/acme/nobody:1", registry.address);
    let answer = actord.apply("POST", "nobody", json!({ "image": missing })).await;
    assert_eq!(answer.status, 400, "{}", answer.text());
    assert!(answer.text().contains(&missing), "the reason names the image: {}", answer.text());
    assert_eq!(actord.describe("nobody").await, Value::Null);
    assert_eq!(actord.get("/function/nobody").await.status, 404);
    let pid = actord.process("hello");
    let answer = actord.update("hello", json!({ "image": missing })).await;
    assert_eq!(answer.status, 400, "{}", answer.text());
    assert!(answer.text().contains(&missing), "{}", answer.text());
    assert_eq!(actord.get("/function/hello/version").await.text(), "registry\n");
    assert_eq!(actord.process("hello"), pid, "untouched by an update that can't work");
    let containers = actord.traces().in_containerd();
    let of_hello = |line: &String| line.contains(" hello-");
    assert!(containers.iter().all(of_hello), "of what failed nothing is kept: {containers:#?}");
    actord.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_functions_deployed_sixteen_at_a_time_all_answer() {
    let running = Actord::start().await;
    let names: Vec<String> = (0..50).map(|n| format!("many-{n}")).collect();
    let begun = tokio::time::Instant::now();
    let actord = &running;
    let deploys = stream::iter(&names).map(|name| async move {
        let answer = actord.apply("POST", name, json!({ "envVars": { "WHO": name } })).await;
        assert_eq!(answer.status, 202, "{name}: {}", answer.text());
        let first = actord.get(&format!("/function/{name}/env")).await;
        assert_eq!(first.status, 200, "{name}: {}", first.text());
        assert!(first.text().contains(&format!("WHO={name}\n")), "{name} answers for itself: {}", first.text());
    });
    deploys.buffer_unordered(16).collect::<Vec<()>>().await;
    println!("50 deploys, 16 at a time: {} ms", begun.elapsed().as_millis());
    let instances: BTreeMap<String, Value> =
        actord.list().await.into_iter().map(|one| (one["name"].as_str().unwrap().to_owned(), one)).collect();
    assert_eq!(instances.len(), 50);
    assert!(instances.values().all(|one| one["availableReplicas"] == 1), "{instances:#?}");
    assert_eq!(actord.processes().len(), 50);
    running.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_name_asked_for_ten_times_at_once_ends_with_one_serving_generation() {
    let actord = Actord::start().await;
    let answers = join_all((0..10).map(|_| actord.apply("POST", "race", json!({})))).await;
    let count = |status| answers.iter().filter(|answer| answer.status == status).count();
    assert_eq!((count(202), count(409)), (1, 9), "{answers:#?}");
    assert_eq!(actord.get("/function/race/version").await.text(), "1\n");
    assert_eq!(actord.processes_of("race").len(), 1);

    // Ten different updates: the last one that was accepted stands, whichever that is.
    let updates = (0..10).map(|n| {
        let changes = json!({ "image": HELLO_2, "envVars": { "N": format!("{n}") } });
        let actord = &actord;
        async move { actord.update("race", changes).await }
    });
    let answers = join_all(updates).await;
    assert!(answers.iter().all(|answer| answer.status == 202), "{answers:#?}");
    until("one process is left", async || actord.processes_of("race").len() == 1).await;
    let described = actord.describe("race").await;
    let wanted = format!("N={}\n", described["envVars"]["N"].as_str().unwrap());
    let env = actord.get("/function/race/env").await.text();
    assert!(env.contains("VERSION=2\n") && env.contains(&wanted), "{described:#}: {env}");
    until("one container is left", async || actord.traces().in_containerd().len() == 3).await;

    // Deleted, the name is free at once.
    let first = actord.process("race");
    let answer = actord.delete("race").await;
    assert_eq!((answer.status, answer.text().as_str()), (202, ""));
    assert_eq!(actord.get("/function/race").await.status, 404);
    actord.deploy("race", json!({})).await;
    assert_eq!(actord.get("/function/race/version").await.text(), "1\n");
    until("the first is gone", async || !actord.processes_of("race").contains(&first)).await;
    assert_eq!(actord.delete("race").await.status, 202);
    assert_eq!(actord.delete("race").await.status, 404);
    until("nothing is left in containerd", async || actord.traces().in_containerd().is_empty()).await;
    actord.finish().await;
}
