//! What a caller sees while thousands of clients send heads or bodies, or read answers, as slowly as they like, and what
//! actord takes for them.

use serde_json::json;
use tokio::time::{Duration, sleep};

use crate::actord::until;
use crate::frame::{Bench, Goal, Measured, Row, Unit};
use crate::slow_clients::{ATTACKS, Force, called, resident, withstand};

const fn p99_row(id: &'static str, what: &'static str) -> Row {
    Row { id, issue: 11, what, unit: Unit::Ms, floor: "alone", goal: Goal::AtMostTimes(2.0) }
}

const fn memory_row(id: &'static str, what: &'static str) -> Row {
    Row { id, issue: 11, what, unit: Unit::Mb, floor: "", goal: Goal::AtMost(128.0) }
}

pub(crate) const ROWS: &[Row] = &[
    p99_row("slow.heads", "p99 of 50 calls a second beside 4,000 clients that send their heads slowly"),
    memory_row("slow.heads-memory", "memory that these take"),
    p99_row("slow.bodies", "p99 of 50 calls a second beside 4,000 clients that send their bodies slowly"),
    memory_row("slow.bodies-memory", "memory that these take"),
    p99_row("slow.readers", "p99 of 50 calls a second beside 4,000 clients that read their answers slowly"),
    memory_row("slow.readers-memory", "memory that these take"),
    Row {
        id: "slow.failed",
        issue: 11,
        what: "calls beside all of these",
        unit: Unit::Failed,
        floor: "",
        goal: Goal::AtMost(0.0),
    },
];

/// In the order of `ATTACKS`.
const IDS: [(&str, &str); 3] = [
    ("slow.heads", "slow.heads-memory"),
    ("slow.bodies", "slow.bodies-memory"),
    ("slow.readers", "slow.readers-memory"),
];

/// Of the short form.
const IMPATIENT: [&str; 6] = ["--head-timeout", "3s", "--upload-idle-timeout", "3s", "--answer-idle-timeout", "3s"];

pub(crate) async fn run(bench: &mut Bench) {
    let force = bench.sized(
        Force { connections: 50, rate: 100, interval: 2 },
        Force { connections: 4_000, rate: 800, interval: 10 },
    );
    let actord = bench.actord(bench.sized(&IMPATIENT, &[])).await;
    // A thread of the sample for each of them.
    actord.deploy("hello", json!({ "annotations": { "com.openfaas.pids.limit": "10000" } })).await;
    let alone = called(&actord, sleep(bench.sized(Duration::from_secs(1), Duration::from_secs(30)))).await;
    let before = resident(actord.pid());
    let mut failed = alone.failures.len();
    for (attack, (p99, memory)) in ATTACKS.iter().zip(IDS) {
        if !bench.wants(p99) && !bench.wants(memory) && !bench.wants("slow.failed") {
            continue;
        }
        let seen = withstand(&actord, attack, force).await;
        failed += seen.beside.failures.len();
        let [beside, alone] = [&seen.beside, &alone].map(|report| report.calm.percentile(99) / 1e3);
        bench.tell(p99, Measured::ours(beside).floor(alone));
        bench.tell(memory, Measured::ours(seen.most.saturating_sub(before) as f64));
        until("what they took is given back", async || resident(actord.pid()) <= before + (16 << 20)).await;
    }
    bench.tell("slow.failed", Measured::ours(failed as f64));
    actord.finish().await;
}
