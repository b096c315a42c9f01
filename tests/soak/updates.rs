//! Updates under load.

use serde_json::{Value, json};
use tokio::time::{Duration, sleep};

use crate::actord::{Actord, HELLO_1, HELLO_2, until};
use crate::load::Load;
use crate::{hardened, sized};

const PER_SECOND: u32 = 200;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn updates_under_load_fail_no_request() {
    let actord = Actord::start().await;
    update_under_load(actord, json!({}), |_| None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nor_do_they_where_everything_that_hardens_is_switched_on() {
    let actord = Actord::start_with(&hardened::SETTINGS).await;
    let changes = json!({ "annotations": hardened::annotations(), "readOnlyRootFilesystem": true });
    update_under_load(actord, changes, |actord| Some(hardened::authorization(actord))).await;
}

async fn update_under_load(actord: Actord, changes: Value, authorization: impl Fn(&Actord) -> Option<String>) {
    let (updates, requests) = (sized(5, 20), sized(1_600, 12_000));
    actord.deploy("shift", changes.clone()).await;
    let load = Load::start_as(authorization(&actord), actord.public, &["shift"], PER_SECOND);
    sleep(Duration::from_secs(2)).await;
    for n in 1..=updates {
        load.event(true);
        let image = if n % 2 == 1 { HELLO_2 } else { HELLO_1 };
        let mut changes = changes.clone();
        changes["image"] = json!(image);
        let answer = actord.update("shift", changes).await;
        assert_eq!(answer.status, 202, "{}: {}", answer.text(), actord.log());
        load.event(false);
        // Evenly, so that the last one comes before the last request.
        until("the next update's turn", async || load.sent() >= requests * n / (updates + 1)).await;
    }
    until("all requests are sent", async || load.sent() >= requests).await;
    let report = load.end().await;
    println!(
        "updates under load: {updates} updates, {} requests at {PER_SECOND}/s, {} failed; p99 {:.1} ms during updates \
         ({} requests), {:.1} ms without",
        report.sent,
        report.failures.len(),
        report.stormy.percentile(99),
        report.stormy.count(),
        report.calm.percentile(99),
    );
    assert!(report.failures.is_empty(), "{:#?}\n{}", report.failures, actord.log());
    until("one process is left", async || actord.processes_of("shift").len() == 1).await;
    actord.finish().await;
}

/// Each update finds the function frozen, and the first requests come at the same time as the update.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn updates_of_a_frozen_function_fail_no_request_that_comes_meanwhile() {
    let (updates, requests) = (sized(5, 40), sized(300, 600));
    let actord = Actord::start().await;
    let annotations = json!({ "actord.freeze-after": "1s" });
    actord.deploy("shift", json!({ "annotations": annotations })).await;
    let (mut sent, mut failures) = (0, Vec::new());
    for n in 1..=updates {
        until("it is frozen", async || actord.describe("shift").await["lifecycle"]["phase"] == "frozen").await;
        let (image, version) = if n % 2 == 1 { (HELLO_2, "2\n") } else { (HELLO_1, "1\n") };
        let load = async || {
            let load = Load::start(actord.public, &["shift"], PER_SECOND);
            until("all requests are sent", async || load.sent() >= requests).await;
            load.end().await
        };
        let update = actord.update("shift", json!({ "image": image, "annotations": annotations }));
        let (answer, report) = tokio::join!(update, load());
        assert_eq!(answer.status, 202, "{}: {}", answer.text(), actord.log());
        assert_eq!(actord.get("/function/shift/version").await.text(), version);
        sent += report.sent;
        failures.extend(report.failures);
    }
    println!("updates of a frozen function: {updates} updates, {sent} requests, {} failed", failures.len());
    assert!(failures.is_empty(), "{failures:#?}\n{}", actord.log());
    until("one process is left", async || actord.processes_of("shift").len() == 1).await;
    actord.finish().await;
}
