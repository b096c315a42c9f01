//! The end of a shim that functions share: it takes those along, and nothing of the others.

use std::collections::BTreeMap;

use serde_json::json;
use tokio::time::{Duration, sleep};

use crate::actord::{Actord, until};
use crate::inventory::shims;
use crate::killed::killed;
use crate::load::Load;

fn name_of(instance: &str) -> &str {
    instance.rsplit_once('-').unwrap().0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shims_death_fails_no_request_of_another_shard_and_heals_like_a_crash_of_its_functions() {
    let actord = Actord::start_with(&["--runtime", "builtin"]).await;
    for n in 0..8 {
        actord.deploy(&format!("f{n}"), json!({})).await;
    }
    actord.deploy("twice", json!({ "labels": { "com.openfaas.scale.min": "2" } })).await;
    until("two of it serve", async || actord.describe("twice").await["availableReplicas"] == json!(2)).await;

    let found = shims(&actord.namespace());
    let shards: BTreeMap<_, _> = found.into_iter().map(|(id, shims)| (id, shims[0])).collect();
    let twice: Vec<_> = shards.iter().filter(|(id, _)| name_of(id) == "twice").map(|(_, shard)| *shard).collect();
    assert!(twice[0] != twice[1], "replicas of one function do not go down together: {shards:?}");
    let (of_killed, server) = (0..8)
        .map(|n| format!("f{n}"))
        .find_map(|name| {
            let (_, server) = shards.iter().find(|(id, _)| name_of(id) == name)?;
            twice.contains(server).then_some((name, *server))
        })
        .unwrap();
    let lost: Vec<_> = shards.iter().filter(|(_, shard)| **shard == server).map(|(id, _)| id.clone()).collect();
    let is_lost = |name: &str| lost.iter().any(|id| name_of(id) == name);
    let others: Vec<_> = (0..8).map(|n| format!("f{n}")).filter(|name| !is_lost(name)).collect();
    assert!(lost.len() > 1 && others.len() > 1, "{shards:?}");
    // What crashes sooner is taken for a loop, and its next start waits.
    sleep(Duration::from_secs(30)).await;

    // One of the others that is left out of the load is what a crash costs.
    let crashing = others.last().unwrap();
    let called: Vec<_> = others.iter().filter(|name| *name != crashing).map(String::as_str).collect();
    let crash = killed(&actord, crashing, actord.process(crashing)).await;
    let load = Load::start(actord.public, &called, 100);
    let both = Load::start(actord.public, &["twice"], 50);
    let death = killed(&actord, &of_killed, server).await;
    until("all that it took along is there again", async || {
        let now = actord.processes();
        shards.keys().all(|id| now.keys().filter(|other| name_of(other) == name_of(id)).count() >= 1)
            && now.len() == shards.len()
    })
    .await;
    let (load, both) = (load.end().await, both.end().await);
    println!(
        "a shim with {} of {} instances was killed: a gap of {:?}, beside {:?} of a crash; {} requests to other shards, \
         {} failed; of a function with a replica in another shard {} of {}",
        lost.len(),
        shards.len(),
        death.gap,
        crash.gap,
        load.sent,
        load.failures.len(),
        both.failures.len(),
        both.sent,
    );
    assert!(load.failures.is_empty(), "{:#?}\n{}", load.failures, actord.log());
    for cost in [&death, &crash] {
        assert!(cost.failures.len() <= cost.in_flight, "{cost:?}");
    }
    // More functions start than after a crash, on two processors, and the server before them.
    let starts = u32::try_from(lost.len()).unwrap() + 1;
    assert!(death.gap <= crash.gap * starts * 2, "{:?} beside {:?}", death.gap, crash.gap);
    let untouched = |id: &String| !lost.contains(id) && name_of(id) != crashing.as_str();
    let now = actord.processes();
    assert!(shards.keys().filter(|id| untouched(id)).all(|id| now.contains_key(id)), "{shards:?}\n{now:?}");
    actord.finish().await;
}
