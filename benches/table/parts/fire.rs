//! What callers see while something happens to functions: an update, a neighbour that crashes again and again, a kill.

use futures_util::{StreamExt as _, stream};
use rustix::process::Signal;
use serde_json::json;
use tokio::time::{Duration, Instant, sleep};

use crate::actord::{Actord, HELLO_1, HELLO_2, kill, until};
use crate::bare::Bare;
use crate::frame::{Bench, Goal, Measured, Row, Series, Unit};
use crate::freezer::Freezer;
use crate::killed::killed;
use crate::load::Load;

pub(crate) const ROWS: &[Row] = &[
    Row {
        id: "fire.update-failed",
        issue: 3,
        what: "20 updates under 200 requests a second: of 10,000",
        unit: Unit::Failed,
        floor: "",
        goal: Goal::AtMost(0.0),
    },
    Row {
        id: "fire.update-p99",
        issue: 3,
        what: "p99 of these requests during an update",
        unit: Unit::Ms,
        floor: "between updates",
        goal: Goal::None,
    },
    Row {
        id: "fire.crash-loop",
        issue: 3,
        what: "p99 of 49 functions beside one that crashes again and again",
        unit: Unit::Ms,
        floor: "without it",
        goal: Goal::AtMostTimes(2.0),
    },
    Row {
        id: "fire.crash",
        issue: 2,
        what: "kill -9 of a function to its next answer",
        unit: Unit::Ms,
        floor: "bare container",
        goal: Goal::None,
    },
    Row {
        id: "fire.spare",
        issue: 9,
        what: "longest gap at 100 requests a second, kill -9, with a spare",
        unit: Unit::Ms,
        floor: "without one",
        goal: Goal::AtMostTimes(0.1),
    },
    Row {
        id: "fire.spare-failed",
        issue: 9,
        what: "the same: beyond those in flight at the kill",
        unit: Unit::Failed,
        floor: "",
        goal: Goal::AtMost(0.0),
    },
];

const UPDATE_LOAD: u32 = 200;
const CALM_LOAD: u32 = 100;
/// A function that ran for less is taken for one that crashes again and again, and its next start waits.
const STABLE: Duration = Duration::from_secs(30);

pub(crate) async fn run(bench: &mut Bench) {
    let actord = bench.actord(&["--deploy-wait", "1s"]).await;
    let killed = ["fire.crash", "fire.spare", "fire.spare-failed"].iter().any(|id| bench.wants(id));
    let doomed = bench.sized(1, 5);
    // Before there are functions: `Bare` finds the image's layer where there is nothing else.
    let bare = Bare::new(&actord.socket(), &actord.namespace(), &actord.directory().join("bare")).await;
    if killed {
        deploy_doomed(&actord, doomed).await;
    }
    let begun = Instant::now();
    if bench.wants("fire.update-failed") || bench.wants("fire.update-p99") {
        updates(bench, &actord).await;
    }
    if bench.wants("fire.crash-loop") {
        crash_loop(bench, &actord).await;
    }
    if killed {
        let stable = bench.sized(Duration::ZERO, STABLE);
        sleep(stable.saturating_sub(begun.elapsed())).await;
        crashes(bench, &actord, &bare, doomed).await;
        spares(bench, &actord).await;
    }
    actord.finish().await;
}

async fn updates(bench: &mut Bench, actord: &Actord) {
    let (updates, requests) = bench.sized((2, 200), (20, 10_000));
    actord.deploy("shift", json!({})).await;
    let load = Load::start(actord.public, &["shift"], UPDATE_LOAD);
    for n in 1..=updates {
        // Evenly, so that the last one comes before the last request.
        until("the next update's turn", async || load.sent() >= requests * n / (updates + 1)).await;
        load.event(true);
        let image = if n % 2 == 1 { HELLO_2 } else { HELLO_1 };
        let answer = actord.update("shift", json!({ "image": image })).await;
        assert_eq!(answer.status, 202, "{}: {}", answer.text(), actord.log());
        load.event(false);
    }
    until("all requests are sent", async || load.sent() >= requests).await;
    let report = load.end().await;
    let failed = Measured::ours(report.failures.len() as f64);
    let failed = if report.failures.is_empty() { failed } else { failed.note(report.failures[0].clone()) };
    bench.tell("fire.update-failed", failed);
    let [during, between] = [&report.stormy, &report.calm].map(|seen| seen.percentile(99) / 1e3);
    bench.tell("fire.update-p99", Measured::ours(during).floor(between));
    assert_eq!(actord.delete("shift").await.status, 202);
}

/// Windows with it and without it take turns. Each sees the loop from its begin, when it starts most often.
async fn crash_loop(bench: &mut Bench, actord: &Actord) {
    let (others, rounds, window) = bench.sized((3, 1, 1), (49, 3, 6));
    let names: Vec<String> = (0..others).map(|n| format!("calm-{n}")).collect();
    let deploys = stream::iter(&names).map(|name| actord.deploy(name, json!({})));
    deploys.buffer_unordered(8).collect::<Vec<()>>().await;
    let (mut with, mut without) = (Series::default(), Series::default());
    let watch = async || {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let load = Load::start(actord.public, &names, CALM_LOAD);
        sleep(Duration::from_secs(window)).await;
        let report = load.end().await;
        assert!(report.failures.is_empty(), "{:#?}", report.failures);
        report.calm.percentile(99) / 1e3
    };
    for _ in 0..rounds {
        without.push(watch().await);
        actord.deploy("wild", json!({ "envVars": { "EXIT_AT_START": "7" } })).await;
        with.push(watch().await);
        assert_eq!(actord.delete("wild").await.status, 202);
        until("it is gone", async || actord.processes_of("wild").is_empty()).await;
    }
    bench.tell("fire.crash-loop", Measured::ours(with).floor(without));
    for name in &names {
        assert_eq!(actord.delete(name).await.status, 202);
    }
    until("they are gone", async || !actord.processes().keys().any(|id| id.starts_with("calm-"))).await;
}

async fn deploy_doomed(actord: &Actord, doomed: usize) {
    for n in 0..doomed {
        actord.deploy(&format!("doomed-{n}"), json!({})).await;
    }
    // They take as long to listen as a program does that an interpreter has to read first.
    let start = json!({ "START_DELAY_MS": "200" });
    actord.deploy("alone", json!({ "envVars": start })).await;
    actord.deploy("guarded", json!({ "envVars": start, "annotations": { "actord.spare": "1" } })).await;
    stands_by(actord).await;
}

async fn crashes(bench: &mut Bench, actord: &Actord, bare: &Bare, doomed: usize) {
    let (mut healed, mut starts) = (Series::default(), Series::default());
    for n in 0..doomed {
        let (id, name) = (format!("bare-{n}"), format!("doomed-{n}"));
        starts.time(bare.start(&id)).await;
        bare.remove(&id).await;
        let pid = actord.process(&name);
        let back = async {
            kill(pid, Signal::KILL);
            let path = format!("/function/{name}/version");
            // A request that the kill meets may fail; one that waits is answered by the next instance.
            while actord.processes_of(&name) == [pid] || actord.get(&path).await.status != 200 {
                sleep(Duration::from_micros(500)).await;
            }
        };
        healed.time(back).await;
    }
    bench.tell("fire.crash", Measured::ours(healed).floor(starts));
}

async fn spares(bench: &mut Bench, actord: &Actord) {
    let alone = killed(actord, "alone", actord.process("alone")).await;
    let (mut gaps, mut failed) = (Series::default(), alone.failures.len().saturating_sub(alone.in_flight));
    for _ in 0..bench.sized(1, 3) {
        let serving = stands_by(actord).await;
        let cost = killed(actord, "guarded", actord.processes()[&serving]).await;
        gaps.took(cost.gap);
        failed += cost.failures.len().saturating_sub(cost.in_flight);
    }
    let note = "10 ms lie between two requests: no gap is less";
    bench.tell("fire.spare", Measured::ours(gaps).floor(alone.gap).note(note));
    bench.tell("fire.spare-failed", Measured::ours(failed as f64));
}

/// Waits until one instance of the function serves and one stands by, frozen, and returns the one that serves.
async fn stands_by(actord: &Actord) -> String {
    let is_frozen = |id: &String| Freezer::of(&actord.namespace(), id).is_some_and(|freezer| freezer.is_frozen());
    let mut found = String::new();
    until("a spare stands by, frozen", async || {
        let ids = actord.processes().into_keys().filter(|id| id.starts_with("guarded-"));
        let (frozen, awake): (Vec<_>, Vec<_>) = ids.partition(is_frozen);
        let stands = frozen.len() == 1 && awake.len() == 1;
        if stands {
            found.clone_from(&awake[0]);
        }
        stands && actord.describe("guarded").await["availableReplicas"] == json!(1)
    })
    .await;
    found
}
