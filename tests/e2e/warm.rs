//! Networks that are made before a start asks for one, by the real program: killed whenever, started with other settings.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use serde_json::json;
use tokio::time::sleep;

use crate::actord::{Actord, until};
use crate::client::{self, Request};
use crate::inventory::Inventory;

/// As tests have it.
const WANTED: usize = 4;

/// A metric's value, by its name and labels.
async fn metric(actord: &Actord, series: &str) -> usize {
    let page = client::ask(actord.metrics, Request::get("/metrics")).await.unwrap().text();
    let line = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {series} in {page}")).parse().unwrap()
}

async fn becomes_full(actord: &Actord, wanted: usize) {
    until("the pool is full", async || metric(actord, "actord_warm_attachments").await == wanted).await;
}

/// The network namespaces that no instance has claimed, or did when it had.
fn warm(actord: &Actord) -> BTreeSet<String> {
    let prefix = format!("{}.warm_", actord.traces().bridge);
    let names = fs::read_dir("/run/netns").unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with(&prefix)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_claims_a_network_that_a_killed_actord_had_made_and_the_function_reaches_and_is_reached() {
    let mut actord = Actord::start().await;
    becomes_full(&actord, WANTED).await;
    let before = warm(&actord);
    actord.kill().await;
    actord.launch(&[]).await;
    becomes_full(&actord, WANTED).await;
    assert_eq!(warm(&actord), before, "the same ones");
    actord.deploy("quick", json!({})).await;
    assert_eq!(actord.get("/function/quick").await.status, 200);
    assert_eq!(metric(&actord, "actord_attachments_total{how=\"claimed\"}").await, 1);
    assert_eq!(metric(&actord, "actord_attachments_total{how=\"made\"}").await, 0);
    becomes_full(&actord, WANTED).await;
    assert_eq!(Inventory::take(&actord.traces()).faults(), [""; 0]);

    // Adopted with what it claimed, and torn down with it.
    let process = actord.process("quick");
    actord.kill().await;
    actord.launch(&[]).await;
    assert_eq!(actord.get("/function/quick").await.status, 200);
    assert_eq!(actord.process("quick"), process);
    assert_eq!(actord.system("DELETE", "/system/functions", json!({ "functionName": "quick" })).await.status, 202);
    until("only the pool is left", async || warm(&actord).len() == WANTED).await;
    actord.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whenever_it_is_killed_while_it_makes_networks_ahead_of_time_the_next_one_is_whole_and_nothing_is_left() {
    let mut actord = Actord::start().await;
    for round in 0..12_u64 {
        if round % 3 == 2 {
            let name = format!("f{round}");
            let body = json!({ "service": name, "image": crate::actord::HELLO_1 });
            // Killed in the middle of a start that claims one, too.
            drop(
                tokio::time::timeout(Duration::from_millis(60), actord.system("POST", "/system/functions", body)).await,
            );
        }
        sleep(Duration::from_millis(rand::random_range(0..350))).await;
        actord.kill().await;
        actord.launch(&[]).await;
    }
    becomes_full(&actord, WANTED).await;
    until("all is whole", async || Inventory::take(&actord.traces()).faults().is_empty()).await;
    let claimed = actord.list().await.len();
    until("none is left over", async || warm(&actord).len() <= WANTED + claimed).await;

    assert!(actord.stop().await.success());
    actord.set_variable("ACTORD_WARM_ATTACHMENTS", "0");
    actord.launch(&[]).await;
    let called = || Inventory::take(&actord.traces()).warm().len();
    until("those that wait are given back", async || called() == 0).await;
    until("all is whole", async || Inventory::take(&actord.traces()).faults().is_empty()).await;
    actord.finish().await;
}
