//! One function that crashes again and again, among others that don't.
//!
//! Windows without it and with it take turns, so that what else the machine does falls on both. Each window sees the
//! loop from its begin, when it starts most often.

use std::fs;

use futures_util::{StreamExt as _, stream};
use serde_json::json;
use tokio::time::{Duration, sleep};

use crate::actord::{Actord, until};
use crate::load::Load;
use crate::sized;

const PER_SECOND: u32 = 100;

/// The others' slowest answers with it stay below so many times their slowest without it. Judged in the long form only,
/// which has the machine to itself.
const NOISE: f64 = 2.0;

/// What the others' callers saw for a while, and what it took.
struct Window {
    sent: usize,
    failures: Vec<String>,
    /// In milliseconds.
    p99: f64,
    /// In percent of one processor.
    cpu: f64,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_function_that_crashes_again_and_again_disturbs_no_other() {
    let (others, rounds, seconds) = (sized(9, 49), sized(1, 3), sized(8, 30));
    let actord = Actord::start_with(&["--deploy-wait", "1s"]).await;
    let names: Vec<String> = (0..others).map(|n| format!("calm-{n}")).collect();
    let deploys = stream::iter(&names).map(|name| actord.deploy(name, json!({})));
    deploys.buffer_unordered(8).collect::<Vec<()>>().await;

    let (mut without, mut with) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        without.push(watch(&actord, &names, seconds).await);
        let known = starts(&actord);
        actord.deploy("wild", json!({ "envVars": { "EXIT_AT_START": "7" } })).await;
        with.push(watch(&actord, &names, seconds).await);
        let shown = actord.describe("wild").await;
        assert!(shown["lifecycle"]["reason"].as_str().unwrap().contains("exited with code 7"), "{shown:#}");
        let starts = starts(&actord) - known;
        // It is started less and less often.
        assert!((2..=12).contains(&starts), "{starts} starts in {seconds} s");
        assert_eq!(actord.delete("wild").await.status, 202);
        until("it is gone", async || actord.processes_of("wild").is_empty()).await;
    }
    let sent: usize = without.iter().chain(&with).map(|window| window.sent).sum();
    let failures: Vec<&String> = without.iter().chain(&with).flat_map(|window| &window.failures).collect();
    println!(
        "crash loop: {others} others at {PER_SECOND}/s, {sent} requests, {} failed; p99 in ms {} with it, {} without; \
         actord's CPU in percent {} with it, {} without",
        failures.len(),
        figures(&with, |window| window.p99),
        figures(&without, |window| window.p99),
        figures(&with, |window| window.cpu),
        figures(&without, |window| window.cpu),
    );
    assert!(failures.is_empty(), "{failures:#?}\n{}", actord.log());
    let slowest = |windows: &[Window]| windows.iter().map(|window| window.p99).fold(0.0, f64::max);
    let ratio = slowest(&with) / slowest(&without);
    assert!(rounds == 1 || ratio < NOISE, "the others' p99 is {ratio:.1} times what it is without the crash loop");
    actord.finish().await;
}

async fn watch(actord: &Actord, names: &[String], seconds: usize) -> Window {
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let before = ticks(actord.pid());
    let load = Load::start(actord.public, &names, PER_SECOND);
    sleep(Duration::from_secs(seconds as u64)).await;
    let spent = ticks(actord.pid()) - before;
    let report = load.end().await;
    let cpu = spent as f64 / seconds as f64;
    Window { sent: report.sent, p99: report.calm.percentile(99), failures: report.failures, cpu }
}

fn figures(windows: &[Window], figure: impl Fn(&Window) -> f64) -> String {
    windows.iter().map(|window| format!("{:.1}", figure(window))).collect::<Vec<_>>().join(", ")
}

/// How often it was started: every start has an instance of its own.
fn starts(actord: &Actord) -> usize {
    actord.traces().instances.iter().filter(|id| id.starts_with("wild-")).count()
}

/// The processor time that a process has had, in hundredths of a second.
fn ticks(pid: i32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}
