//! Many functions asked for at the same moment, beside as many bare containers at the parallelism that suits those best.

use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use serde_json::json;
use tokio::time::Instant;

use crate::bare::Bare;
use crate::process::Actord;
use crate::{accepted, addresses, answers_version, sized, spec, until};

/// How many bare containers are started side by side.
const SIDE_BY_SIDE: [usize; 5] = [1, 2, 4, 8, 16];

/// The times of `count` bare containers, so many at a time, and of their removal.
pub(crate) async fn bare_containers(bare: &Bare, count: usize, at_a_time: usize) -> Duration {
    let ids: Vec<String> = (0..count).map(|n| format!("bulk-{at_a_time}-{n}")).collect();
    let begun = Instant::now();
    stream::iter(&ids).for_each_concurrent(at_a_time, |id| bare.start(id)).await;
    let took = begun.elapsed();
    stream::iter(&ids).for_each_concurrent(4, |id| bare.remove(id)).await;
    took
}

/// From the first POST until each of these functions answered.
async fn functions(actord: &Actord, names: &[String]) -> Duration {
    let begun = Instant::now();
    stream::iter(names)
        .for_each_concurrent(None, |name| async move {
            accepted(actord, "POST", &spec(name, 1)).await;
            answers_version(actord, name, 1).await;
        })
        .await;
    begun.elapsed()
}

/// Removes functions, and waits until nothing is left of them.
async fn removed(actord: &Actord, bare: &Bare, names: &[String]) {
    stream::iter(names)
        .for_each_concurrent(8, |name| async move {
            accepted(actord, "DELETE", &json!({ "functionName": name }).to_string()).await;
        })
        .await;
    until("an instance is still there", || async { bare.count().await == 0 && addresses(actord).is_empty() }).await;
}

/// Prints the best times, in turns, with the processor time that the machine spent on each.
pub(crate) async fn at_once(actord: &Actord, bare: &Bare, count: usize) {
    let names: Vec<String> = (0..count).map(|n| format!("bulk-{n}")).collect();
    let (mut best, mut ours) = ((Duration::MAX, 0), Vec::new());
    for (turn, at_a_time) in SIDE_BY_SIDE.into_iter().enumerate() {
        let (took, spent) = with_cpu(bare_containers(bare, count, at_a_time)).await;
        println!("  {count} bare, {at_a_time} at a time: {:.2} s, {spent:.2} s of cpu", took.as_secs_f64());
        best = best.min((took, at_a_time));
        if turn < sized("TURNS", 3) {
            let (took, spent) = with_cpu(functions(actord, &names)).await;
            println!("  {count} functions at once: {:.2} s, {spent:.2} s of cpu", took.as_secs_f64());
            ours.push(took);
            removed(actord, bare, &names).await;
        }
    }
    ours.sort_unstable();
    let (took, (floor, at_a_time)) = (ours[ours.len() / 2].as_secs_f64(), best);
    let floor = floor.as_secs_f64();
    println!("{count} at once: {took:.2} s   bare, {at_a_time} at a time: {floor:.2} s   ratio {:.2}", took / floor);
}

/// What `act` returns, and the processor seconds that the whole machine spent meanwhile.
pub(crate) async fn with_cpu<T>(act: impl Future<Output = T>) -> (T, f64) {
    let before = busy();
    let done = act.await;
    (done, busy() - before)
}

/// The processor seconds of this machine that were not idle.
fn busy() -> f64 {
    let text = std::fs::read_to_string("/proc/stat").unwrap();
    let ticks: Vec<f64> = text.lines().next().unwrap().split_whitespace().skip(1).map(|n| n.parse().unwrap()).collect();
    // user, nice, system, idle, iowait, irq, softirq
    (ticks[0] + ticks[1] + ticks[2] + ticks[5] + ticks[6]) / 100.0
}
