//! One function that crashes again and again, among others that don't.

use std::fs;

use futures_util::{StreamExt as _, stream};
use serde_json::json;
use tokio::time::{Duration, sleep};

use crate::actord::Actord;
use crate::load::{Load, Report};
use crate::sized;

const PER_SECOND: u32 = 100;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_function_that_crashes_again_and_again_disturbs_no_other() {
    let (others, seconds) = (sized(9, 49), sized(8, 60));
    let actord = Actord::start_with(&["--deploy-wait", "1s"]).await;
    let names: Vec<String> = (0..others).map(|n| format!("calm-{n}")).collect();
    let deploys = stream::iter(&names).map(|name| actord.deploy(name, json!({})));
    deploys.buffer_unordered(8).collect::<Vec<()>>().await;

    let (without, cpu_without) = measure(&actord, &names, seconds).await;
    actord.deploy("wild", json!({ "envVars": { "EXIT_AT_START": "7" } })).await;
    let (with, cpu_with) = measure(&actord, &names, seconds).await;
    let starts = actord.traces().instances.iter().filter(|id| id.starts_with("wild-")).count();
    println!(
        "crash loop: {others} others at {PER_SECOND}/s, {} + {} requests, {} failed; p99 {:.1} ms with it, {:.1} ms \
         without; {starts} starts of it; actord's CPU {cpu_with:.1} % with it, {cpu_without:.1} % without",
        without.sent,
        with.sent,
        without.failures.len() + with.failures.len(),
        with.calm.percentile(99),
        without.calm.percentile(99),
    );
    assert!(with.failures.is_empty() && without.failures.is_empty(), "{without:#?} {with:#?}");
    // It is started less and less often.
    assert!((2..=12).contains(&starts), "{starts} starts in {seconds} s");
    let shown = actord.describe("wild").await;
    assert!(shown["lifecycle"]["reason"].as_str().unwrap().contains("exited with code 7"), "{shown:#}");
    actord.finish().await;
}

/// What the others' callers saw, and how much of a CPU actord took meanwhile, in percent.
async fn measure(actord: &Actord, names: &[String], seconds: usize) -> (Report, f64) {
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let before = ticks(actord.pid());
    let load = Load::start(actord.public, &names, PER_SECOND);
    sleep(Duration::from_secs(seconds as u64)).await;
    let spent = ticks(actord.pid()) - before;
    (load.end().await, spent as f64 / seconds as f64)
}

/// The processor time that a process has had, in hundredths of a second.
fn ticks(pid: i32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}
