//! Five hundred functions on 4 GB: what they cost while nothing calls them, how long the list of them takes, and whether each
//! is updated without a failed call. What is no function is actord, its containerd, the shims, and whatever those run.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::times;
use crate::actord::{Actord, HELLO_2, until};
use crate::client::{Connection, Request};
use crate::frame::asking::Target;
use crate::frame::limit::MemoryLimit;
use crate::frame::{Bench, Goal, Measured, Row, Series, Unit, cpu, machine, memory};
use crate::load::Load;
use crate::run::Subnet;

pub(crate) const ROWS: &[Row] = &[
    Row {
        id: "density.rss-none",
        issue: 10,
        what: "actord's RSS with no function",
        unit: Unit::Mb,
        floor: "",
        goal: Goal::AtMost(25.0),
    },
    Row {
        id: "density.overhead",
        issue: 10,
        what: "PSS of all that is no function, for each of 100 functions",
        unit: Unit::Mb,
        floor: "",
        goal: Goal::AtMost(0.5),
    },
    Row {
        id: "density.overhead-all",
        issue: 10,
        what: "PSS of all that is no function, with 100 functions",
        unit: Unit::Mb,
        floor: "with none",
        goal: Goal::None,
    },
    Row {
        id: "density.idle",
        issue: 10,
        what: "processor time of all that is no function, 200 functions that nothing calls",
        unit: Unit::Percent,
        floor: "",
        goal: Goal::AtMost(0.5),
    },
    Row {
        id: "density.deploy",
        issue: 10,
        what: "deploy of the last 100 of 500 functions, 8 at a time",
        unit: Unit::Seconds,
        floor: "of the first 100",
        goal: Goal::None,
    },
    Row {
        id: "density.rss-uncalled",
        issue: 10,
        what: "actord's RSS with 500 functions that were not called yet",
        unit: Unit::Mb,
        floor: "",
        goal: Goal::AtMost(40.0),
    },
    Row {
        id: "density.silent",
        issue: 10,
        what: "500 functions: calls without an answer",
        unit: Unit::Failed,
        floor: "",
        goal: Goal::AtMost(0.0),
    },
    Row {
        id: "density.list",
        issue: 10,
        what: "list of 500 functions",
        unit: Unit::Ms,
        floor: "",
        goal: Goal::AtMost(10.0),
    },
    Row {
        id: "density.metrics",
        issue: 10,
        what: "metrics page of 500 functions",
        unit: Unit::Ms,
        floor: "",
        goal: Goal::None,
    },
    Row {
        id: "density.rss",
        issue: 10,
        what: "actord's RSS with 500 functions that were called",
        unit: Unit::Mb,
        floor: "",
        goal: Goal::AtMost(40.0),
    },
    Row {
        id: "density.calls",
        issue: 10,
        what: "processor time of a request, 16 connections, 500 functions in turns",
        unit: Unit::Us,
        floor: "one function",
        goal: Goal::AtMostTimes(1.1),
    },
    Row {
        id: "density.update",
        issue: 10,
        what: "500 functions that are called: update of each, one by one",
        unit: Unit::Ms,
        floor: "",
        goal: Goal::None,
    },
    Row {
        id: "density.update-failed",
        issue: 10,
        what: "the same: calls",
        unit: Unit::Failed,
        floor: "",
        goal: Goal::AtMost(0.0),
    },
    Row {
        id: "density.memory",
        issue: 10,
        what: "500 functions: all memory at its highest, page cache included, of 4 GB that there are",
        unit: Unit::Mb,
        floor: "",
        goal: Goal::None,
    },
];

/// What all that is no function may take, and all functions together: 4 GB.
const LIMIT: (u64, u64) = (2 << 30, 2 << 30);
/// Deploys at the same time.
const AT_ONCE: usize = 8;
/// So that what a burst left is let go, as far as it ever is.
const SETTLE: Duration = Duration::from_secs(5);
/// Until what the bursts needed is given back.
const GIVEN_BACK: Duration = Duration::from_secs(22);

pub(crate) async fn run(bench: &mut Bench) {
    let subnet = Subnet::draw(22);
    let actord = bench.actord(&["--cni-subnet", &subnet.cidr()]).await;
    let limit = MemoryLimit::open(&actord, LIMIT);
    let (hundred, idle, all) = bench.sized((2, 3, 5), (100, 200, 500));
    let settle = bench.sized(Duration::from_secs(1), SETTLE);
    let given_back = bench.sized(settle, GIVEN_BACK);

    sleep(settle).await;
    bench.tell("density.rss-none", Measured::ours(memory::resident(actord.pid())));
    let none = memory::shares(machine::everything(&actord));
    let first = deploy(&actord, 0..hundred).await;
    sleep(settle).await;
    let with = memory::shares(machine::everything(&actord));
    bench.tell("density.overhead", Measured::ours((with - none) / hundred as f64));
    bench.tell("density.overhead-all", Measured::ours(with).floor(none));

    deploy(&actord, hundred..idle).await;
    sleep(settle).await;
    let still = cpu::Account::open(machine::everything(&actord));
    let begun = Instant::now();
    sleep(bench.sized(Duration::from_secs(1), Duration::from_secs(30))).await;
    bench.tell("density.idle", Measured::ours(still.used().as_secs_f64() / begun.elapsed().as_secs_f64()));
    drop(still);

    deploy(&actord, idle..all - hundred).await;
    let last = deploy(&actord, all - hundred..all).await;
    bench.tell("density.deploy", Measured::ours(last).floor(first));
    sleep(given_back).await;
    bench.tell("density.rss-uncalled", Measured::ours(memory::resident(actord.pid())));
    bench.tell("density.silent", Measured::ours(silent(actord.public, all).await as f64));
    let list = actord.request("GET", "/system/functions", &Value::Null);
    bench.tell("density.list", Measured::ours(times(actord.public, &list, bench.sized(3, 50)).await));
    let page = Request::get("/metrics");
    bench.tell("density.metrics", Measured::ours(times(actord.metrics, &page, bench.sized(3, 10)).await));
    sleep(given_back).await;
    bench.tell("density.rss", Measured::ours(memory::resident(actord.pid())));

    if bench.wants("density.calls") {
        let [one, each] = calls(bench, &actord, all);
        bench.tell("density.calls", Measured::ours(each).floor(one));
    }
    updates(bench, &actord, all).await;
    bench.tell("density.memory", Measured::ours(limit.highest()));
    let deletes = stream::iter(0..all).map(async |number| actord.delete(&name(number)).await.status);
    assert!(deletes.buffer_unordered(AT_ONCE).all(async |status| status == 202).await);
    until("all are gone", async || actord.processes().is_empty()).await;
    drop(limit);
    actord.finish().await;
}

fn name(number: usize) -> String {
    format!("dense-{number}")
}

/// Deploys these, and says how long that took.
async fn deploy(actord: &Actord, numbers: std::ops::Range<usize>) -> Duration {
    let begun = Instant::now();
    let deploys = stream::iter(numbers).map(async |number| actord.deploy(&name(number), json!({})).await);
    deploys.buffer_unordered(AT_ONCE).collect::<Vec<()>>().await;
    begun.elapsed()
}

/// Calls each function once, and counts those that do not answer as they should.
async fn silent(to: SocketAddr, all: usize) -> usize {
    let mut connection = Connection::open(to).await.unwrap();
    let mut silent = 0;
    for number in 0..all {
        let answer = connection.ask(&Request::get(&format!("/function/{}/version", name(number)))).await;
        silent += usize::from(!answer.is_ok_and(|answer| answer.status == 200 && answer.text() == "1\n"));
    }
    silent
}

/// What a request costs actord: where all are for one function, and where they are for each of them in turns.
fn calls(bench: &Bench, actord: &Actord, all: usize) -> [Series; 2] {
    let paths: Vec<String> = (0..all).map(|number| format!("/function/{}/version", name(number))).collect();
    let targets = [&paths[..1], &paths].map(|paths| Target::new(actord.public, paths, 0));
    let (account, mut spent) = (cpu::Account::open([actord.pid()]), [Series::default(), Series::default()]);
    // The first round opens connections and is not counted.
    for round in 0..=bench.sized(1, 5) {
        for (target, spent) in targets.iter().zip(&mut spent) {
            let before = account.used();
            let time = bench.sized(Duration::from_millis(100), Duration::from_secs(1));
            let (_, times) = tokio::task::block_in_place(|| target.hurry(16, time));
            if round > 0 {
                spent.push((account.used() - before).as_secs_f64() / times.len() as f64);
            }
        }
    }
    spent
}

/// Updates each, one after the other, while all of them are called.
async fn updates(bench: &mut Bench, actord: &Actord, all: usize) {
    let names: Vec<String> = (0..all).map(name).collect();
    let called: Vec<&str> = names.iter().map(String::as_str).collect();
    let load = Load::start(actord.public, &called, bench.sized(50, 200));
    let mut updates = Series::default();
    for name in &called {
        let answer = updates.time(actord.update(name, json!({ "image": HELLO_2 }))).await;
        assert_eq!(answer.status, 202, "{}", answer.text());
    }
    let failures = load.end().await.failures;
    bench.tell("density.update", Measured::ours(updates));
    let failed = Measured::ours(failures.len() as f64);
    bench.tell("density.update-failed", failures.first().map_or(failed.clone(), |first| failed.note(first)));
}
