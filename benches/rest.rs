//! What rest and growth cost the callers, on the real machine: goals beside what they are measured against, in one run.
//!
//! | measured                                        | beside                                                       |
//! | ----------------------------------------------- | ------------------------------------------------------------ |
//! | calls to frozen functions, one by one           | the same calls to ready ones, and a bare write to a freezer  |
//! | calls to all of them at once                    | the same calls to ready ones                                 |
//! | actord's CPU time while all are frozen          | the time that passes                                         |
//! | the first answer of a function that was stopped | the first answer of a deploy                                 |
//! | a ramp of calls to one that grows               | none fails, replicas follow                                  |
//!
//! Between two rounds a function that is to be called ready rests as long as the proxy keeps no connection to it: both
//! calls make a new one. `FUNCTIONS=` says how many sleep, `ONLY=sleeping`, `ONLY=zero` or `ONLY=growing` what is measured.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "a bench that fails says why")]

use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, sleep};

#[path = "../tests/support/actord.rs"]
mod actord;
#[path = "../tests/support/client.rs"]
mod client;
#[path = "../tests/support/freezer.rs"]
mod freezer;
#[path = "../tests/support/leaks.rs"]
mod leaks;
#[path = "../tests/support/rising.rs"]
mod rising;
#[path = "../tests/support/run.rs"]
mod run;
#[path = "../tests/support/sample.rs"]
mod sample;
#[path = "../tests/support/sleepers.rs"]
mod sleepers;

use actord::{Actord, until};
use rising::Ramp;
use sleepers::{KEPT, Sleepers, cpu, median};

const FREEZE_AFTER: Duration = Duration::from_secs(10);
const ROUNDS: usize = 5;
/// For how long actord's idle CPU time is measured.
const STILL: Duration = Duration::from_secs(30);
/// Deploys, and starts from zero.
const STARTS: usize = 15;

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn verdict(so: bool) -> &'static str {
    if so { "met" } else { "MISSED" }
}

async fn sleeping(actord: &Actord, count: usize) {
    let sleepers = Sleepers::deploy(actord, count, FREEZE_AFTER).await;
    let [mut frozen, mut ready, mut bare, mut frozen_at_once, mut ready_at_once] = [const { Vec::new() }; 5];
    let mut wrong = Vec::new();
    // The first round warms up and is not counted.
    for round in 0..=ROUNDS {
        if round == 1 {
            for times in [&mut frozen, &mut ready, &mut bare, &mut frozen_at_once, &mut ready_at_once] {
                times.clear();
            }
        }
        sleepers.asleep().await;
        bare.extend(sleepers.bare_thaws().await);
        frozen.extend(sleepers.one_by_one().await);
        sleep(KEPT).await;
        assert_eq!(sleepers.frozen(), 0, "they are called ready");
        ready.extend(sleepers.one_by_one().await);

        sleepers.asleep().await;
        let (time, faults) = sleepers.all_at_once().await;
        frozen_at_once.push(time);
        wrong.extend(faults);
        sleep(KEPT).await;
        assert_eq!(sleepers.frozen(), 0, "they are called ready");
        let (time, faults) = sleepers.all_at_once().await;
        ready_at_once.push(time);
        wrong.extend(faults);
    }
    sleepers.asleep().await;
    let (before, begun) = (cpu(actord.pid()), Instant::now());
    sleep(STILL).await;
    let percent = 100.0 * (cpu(actord.pid()) - before).as_secs_f64() / begun.elapsed().as_secs_f64();

    let [frozen, ready, bare] = [frozen, ready, bare].map(|times| ms(median(&times)));
    let [frozen_at_once, ready_at_once] = [frozen_at_once, ready_at_once].map(|times| ms(median(&times)));
    let goal = ready + 3.0 * bare;
    let (wrong_count, met) = (wrong.len(), verdict(frozen <= goal));
    println!("{count} idle functions frozen, {ROUNDS} rounds, medians");
    println!(
        "  a call, one by one: frozen {frozen:.2} ms, ready {ready:.2} ms, bare thaw {bare:.2} ms; goal {goal:.2} ms: {met}"
    );
    println!(
        "  all at once: frozen {frozen_at_once:.0} ms, ready {ready_at_once:.0} ms, ratio {:.2}, {wrong_count} failed; \
         goal 2, 0 failed: {}",
        frozen_at_once / ready_at_once,
        verdict(frozen_at_once <= 2.0 * ready_at_once && wrong.is_empty()),
    );
    println!("  actord's CPU: {percent:.2} %; goal 1 %: {}", verdict(percent <= 1.0));
    for name in &sleepers.names {
        assert_eq!(actord.delete(name).await.status, 202);
    }
    until("all are gone", async || actord.processes().is_empty()).await;
    assert!(wrong.is_empty(), "{wrong:#?}");
}

async fn from_zero(actord: &Actord) {
    let (mut deploys, mut starts) = (Vec::new(), Vec::new());
    let keys = json!({
        "com.openfaas.scale.zero": "true",
        "com.openfaas.scale.zero-duration": "2s",
        "actord.freeze-after": "1s",
    });
    for round in 0..=STARTS {
        let name = format!("zero-{round}");
        let answers = async || {
            let answer = actord.get(&format!("/function/{name}/version")).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
        };
        let begun = Instant::now();
        actord.deploy(&name, json!({ "annotations": keys })).await;
        answers().await;
        deploys.push(begun.elapsed());
        until("it is stopped", async || actord.processes_of(&name).is_empty()).await;
        // What is left of it goes behind its process.
        sleep(Duration::from_millis(500)).await;
        let begun = Instant::now();
        answers().await;
        starts.push(begun.elapsed());
        assert_eq!(actord.delete(&name).await.status, 202);
        until("it is gone", async || actord.processes_of(&name).is_empty()).await;
        sleep(Duration::from_millis(500)).await;
    }
    let [deploy, start] = [&deploys[1..], &starts[1..]].map(|times| ms(median(times)));
    let ratio = start / deploy;
    println!("from zero, {STARTS} rounds, medians");
    println!(
        "  first answer: {start:.1} ms, of a deploy {deploy:.1} ms, ratio {ratio:.2}; goal 1.25: {}",
        verdict(ratio <= 1.25)
    );
}

async fn growing(actord: &Actord) {
    let labels = json!({
        "com.openfaas.scale.type": "capacity",
        "com.openfaas.scale.target": "1",
        "com.openfaas.scale.max": "12",
    });
    actord.deploy("worker", json!({ "envVars": { "ONE_AT_A_TIME": "1" }, "labels": labels })).await;
    let side = Duration::from_secs(60);
    let ramp = Ramp { peak: 400.0, rise: side, hold: side / 3, fall: side, path: "worker/sleep?ms=20".to_owned() };
    let seen = ramp.run(actord, "worker", Duration::from_secs(600)).await;
    let (most, last) = (seen.most(), seen.seconds.last().unwrap().1);
    println!("a ramp, 0 to 400 to 0 calls a second for 20 ms each, one at a time, capacity 1, at most 12 replicas");
    println!(
        "  {} calls, {} failed, median {:.0} ms; at most {most} replicas, {last} in the end: {}",
        seen.sent,
        seen.failures.len(),
        ms(median(&seen.times)),
        verdict(seen.failures.is_empty() && most >= 8 && last == 1),
    );
    println!("  calls/replicas, every 10 s: {}", seen.series(10));
    assert!(seen.failures.is_empty(), "{:#?}", seen.failures);
}

#[tokio::main(worker_threads = 2)]
async fn main() {
    let functions = std::env::var("FUNCTIONS").map_or(200, |text| text.parse().expect("FUNCTIONS is a number"));
    let only = std::env::var("ONLY").unwrap_or_default();
    let actord = Actord::start_with(&["--log-level", "info"]).await;
    if only.is_empty() || only == "sleeping" {
        sleeping(&actord, functions).await;
    }
    if only.is_empty() || only == "zero" {
        from_zero(&actord).await;
    }
    if only.is_empty() || only == "growing" {
        growing(&actord).await;
    }
    actord.finish().await;
}
