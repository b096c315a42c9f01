//! Functions that nobody calls stand still, and a call wakes one without a start.

use serde_json::json;
use tokio::time::{Duration, Instant, sleep};

use crate::actord::{Actord, until};
use crate::sized;
use crate::sleepers::{KEPT, Sleepers, cpu, median};

/// The most of one processor that actord may take while all functions stand still, in percent; unoptimised, and with
/// whatever else the machine does.
const STILL: f64 = 10.0;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn functions_that_nobody_calls_stand_still_and_a_call_wakes_one_without_a_start() {
    let (functions, rounds, seconds) = (sized(20, 200), sized(1, 10), sized(4, 60));
    let actord = Actord::start_with(&["--log-level", "info"]).await;
    // More than all calls of a round take, and the wait for the proxy to forget its connections.
    let freeze_after = Duration::from_secs(sized(3, 12) as u64);
    let sleepers = Sleepers::deploy(&actord, functions, freeze_after).await;
    let born = actord.processes();
    assert_eq!(born.len(), functions);
    let start = start_from_zero(&actord).await;

    let (mut frozen, mut ready, mut at_once, mut wrong) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        sleepers.asleep().await;
        frozen.extend(sleepers.one_by_one().await);
        sleep(KEPT).await;
        ready.extend(sleepers.one_by_one().await);
        sleepers.asleep().await;
        let (time, faults) = sleepers.all_at_once().await;
        at_once.push(time);
        wrong.extend(faults);
    }
    sleepers.asleep().await;
    for name in &sleepers.names {
        // The kernel's word is read before actord's own, which follows it by a message.
        until("actord knows of it, too", async || actord.describe(name).await["lifecycle"]["phase"] == "frozen").await;
        let shown = actord.describe(name).await;
        assert_eq!((&shown["replicas"], &shown["availableReplicas"]), (&json!(1), &json!(1)), "{shown:#}");
    }
    let (before, begun) = (cpu(actord.pid()), Instant::now());
    sleep(Duration::from_secs(seconds as u64)).await;
    let percent = 100.0 * (cpu(actord.pid()) - before).as_secs_f64() / begun.elapsed().as_secs_f64();

    let [frozen, ready, at_once] = [frozen, ready, at_once].map(|times| median(&times));
    println!(
        "rest: {functions} functions frozen, {rounds} rounds, {} failed; median of a call {frozen:.1?} frozen, {ready:.1?} \
         ready, {start:.1?} from zero; all at once {at_once:.1?}; actord's CPU while all stand still {percent:.1} %",
        wrong.len(),
    );
    assert!(wrong.is_empty(), "{wrong:#?}\n{}", actord.log());
    assert_eq!(actord.processes(), born, "they are woken, not started");
    assert!(frozen < start, "a frozen function answers after {frozen:?}, one from zero after {start:?}");
    let (count, all_started) = (u32::try_from(functions).unwrap(), start * u32::try_from(functions).unwrap());
    assert!(at_once < all_started, "{count} frozen ones answer after {at_once:?}, a start takes {start:?}");
    assert!(percent < STILL, "{percent:.1} % of a processor for functions that stand still");
    actord.finish().await;
}

/// How long the first answer takes of a function that has to be started for it.
async fn start_from_zero(actord: &Actord) -> Duration {
    actord.deploy("absent", json!({})).await;
    assert_eq!(actord.scale("absent", 0).await.status, 202);
    until("nothing of it runs", async || actord.processes_of("absent").is_empty()).await;
    let begun = Instant::now();
    assert_eq!(actord.get("/function/absent/version").await.status, 200);
    let time = begun.elapsed();
    assert_eq!(actord.delete("absent").await.status, 202);
    until("it is gone", async || actord.processes_of("absent").is_empty()).await;
    time
}
