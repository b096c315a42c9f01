//! A spare on a real machine: how long callers wait when the process is killed that serves alone, with a spare and without.

use serde_json::json;
use tokio::time::{Duration, sleep};

use crate::actord::{Actord, until};
use crate::freezer::Freezer;
use crate::killed::killed;

fn is_frozen(actord: &Actord, instance: &str) -> bool {
    Freezer::of(&actord.namespace(), instance).is_some_and(|freezer| freezer.is_frozen())
}

/// Waits until one instance of the function serves and one stands by, frozen, and returns them.
async fn stands_by(actord: &Actord) -> (String, String) {
    let mut found = None;
    until("a spare stands by, frozen", async || {
        let function = actord.describe("guarded").await;
        let told = (&function["availableReplicas"], &function["lifecycle"]["spares"]) == (&json!(1), &json!(1));
        let ids = actord.processes().into_keys().filter(|id| id.starts_with("guarded-"));
        let (frozen, awake): (Vec<_>, Vec<_>) = ids.partition(|id| is_frozen(actord, id));
        if let (true, [spare], [serving]) = (told, &*frozen, &*awake) {
            found = Some((serving.clone(), spare.clone()));
        }
        found.is_some()
    })
    .await;
    found.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_of_the_only_replica_is_hardly_noticed_where_there_is_a_spare() {
    let mut actord = Actord::start().await;
    // It takes as long to listen as a program does that an interpreter has to read first.
    let start = json!({ "START_DELAY_MS": "200" });
    actord.deploy("alone", json!({ "envVars": start })).await;
    actord.deploy("guarded", json!({ "envVars": start, "annotations": { "actord.spare": "1" } })).await;
    stands_by(&actord).await;
    // What crashes sooner is taken for a loop, and its next start waits.
    sleep(Duration::from_secs(30)).await;
    let alone = killed(&actord, "alone", actord.process("alone")).await;

    // What else the machine does adds to a gap: the shortest of three tells most of what is actord's.
    let mut guarded = Vec::new();
    for _ in 0..3 {
        let (serving, spare) = stands_by(&actord).await;
        let pids = actord.processes();
        guarded.push(killed(&actord, "guarded", pids[&serving]).await);
        assert_eq!(actord.processes().get(&spare), pids.get(&spare), "the one that stood by serves");
        assert!(!is_frozen(&actord, &spare));
    }
    println!("killed under 100 requests a second: without a spare {alone:?}, with one {guarded:?}");
    for cost in guarded.iter().chain([&alone]) {
        assert!(cost.failures.len() <= cost.in_flight, "{cost:?}");
    }
    // The aim is a tenth, of which two processors that build something else meanwhile may leave less. (Between two requests
    // are 10 ms, which every gap has at least.)
    let gap = guarded.iter().map(|cost| cost.gap).min().unwrap();
    assert!(gap * 5 <= alone.gap, "with a spare {gap:?}, without {:?}", alone.gap);

    // A restart starts nothing: one of those that run serves, the other stands by.
    let before = stands_by(&actord).await;
    actord.stop().await;
    actord.launch(&[]).await;
    let after = stands_by(&actord).await;
    assert!(after == before || (&after.1, &after.0) == (&before.0, &before.1), "{before:?}, then {after:?}");
    assert_eq!(actord.get("/function/guarded/version").await.status, 200);
    actord.finish().await;
}
