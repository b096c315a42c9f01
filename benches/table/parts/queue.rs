//! Calls that nobody waits for: how many are on the disk and answered a second, beside a bare loop of commits to the same disk;
//! how many are sent, beside the same calls made by who waits; what a flood for one function is to another; and all of it
//! beside a million that wait.
//!
//! ```text
//! 64 callers -> /async-function/kept, which is kept down    accepted a second, and the bare loop, in turns
//! /async-function/busy, filled while it is kept down        sent a second once it is not, and /function/busy, in turns
//! flood of busy | calls of others                           from a call's 202 to when it is sent: its record says so
//! ```

mod million;

use std::net::SocketAddr;
use std::time::Duration;

use actord::queue::head::Head;
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::task::block_in_place;
use tokio::time::{Instant, sleep};

use crate::actord::{Actord, until};
use crate::client::Request;
use crate::frame::asking::Target;
use crate::frame::batches::Batches;
use crate::frame::{Bench, Goal, Measured, Row, Series, Unit, cpu, forget};

const fn row(id: &'static str, what: &'static str, unit: Unit, floor: &'static str, goal: Goal) -> Row {
    Row { id, issue: 12, what, unit, floor, goal }
}

const WITHOUT: &str = "without them";
const WAITED: &str = "waited for, by 16 callers";

pub(crate) const ROWS: &[Row] = &[
    row(
        "queue.accept",
        "calls of 200 B on the disk and answered, 64 callers",
        Unit::PerSecond,
        "a bare loop, 64 to a commit",
        Goal::AtLeastTimes(0.5),
    ),
    row("queue.accept-3000", "the same", Unit::PerSecond, "", Goal::AtLeast(3_000.0)),
    row("queue.accept-p99", "the same: p99", Unit::Ms, "", Goal::None),
    row("queue.accept-cpu", "the same: processor time of a call", Unit::Us, "", Goal::None),
    row("queue.dispatch", "calls sent and settled, 16 at a time", Unit::PerSecond, WAITED, Goal::None),
    row("queue.dispatch-cpu", "the same: processor time of a call", Unit::Us, WAITED, Goal::None),
    row(
        "queue.first-call",
        "beside a flood for one function: a call of another, from its acceptance to when it is sent",
        Unit::Ms,
        "without a flood",
        Goal::None,
    ),
    row("queue.first-call-p99", "the same: p99", Unit::Ms, "without a flood", Goal::None),
    row("queue.million-memory", "memory that 1,000,000 waiting calls take", Unit::Mb, "", Goal::AtMost(50.0)),
    row("queue.million-accept", "calls accepted beside these", Unit::PerSecond, WITHOUT, Goal::AtLeastTimes(0.9)),
    row("queue.million-dispatch", "calls sent beside these", Unit::PerSecond, WITHOUT, Goal::AtLeastTimes(0.9)),
    row("queue.million-own", "calls sent of these themselves", Unit::PerSecond, WITHOUT, Goal::AtLeastTimes(0.9)),
    row(
        "queue.million-start",
        "start with these, to an answer of a function",
        Unit::Seconds,
        WITHOUT,
        Goal::AtMostOf("without them + 2 s"),
    ),
    row(
        "queue.million-cold",
        "the same, of a file that is not in memory",
        Unit::Seconds,
        WITHOUT,
        Goal::AtMostOf("without them + 2 s"),
    ),
    row(
        "queue.million-open",
        "start with these, to the first call that is accepted",
        Unit::Seconds,
        WITHOUT,
        Goal::None,
    ),
    row("queue.million-stop", "stop in order with these", Unit::Seconds, WITHOUT, Goal::None),
];

/// Who calls side by side.
const CALLERS: usize = 64;
/// Calls of a function with one replica that are under way at a time.
const AT_ONCE: usize = 16;
/// A call's body, in bytes.
const BODY: usize = 200;
/// Functions that are called beside a flood.
const OTHERS: usize = 8;

/// Any number of calls may wait.
const SETTINGS: [&str; 2] = ["--queue-max-calls", "0"];

pub(crate) async fn run(bench: &mut Bench) {
    let actord = bench.actord(&SETTINGS).await;
    for name in ["kept", "busy"] {
        actord.deploy(name, json!({})).await;
    }
    hold(&actord, "kept").await;
    if ["queue.accept", "queue.accept-3000", "queue.accept-p99", "queue.accept-cpu"].iter().any(|id| bench.wants(id)) {
        accept(bench, &actord);
    }
    if ["queue.dispatch", "queue.dispatch-cpu"].iter().any(|id| bench.wants(id)) {
        dispatch(bench, &actord).await;
    }
    if ["queue.first-call", "queue.first-call-p99"].iter().any(|id| bench.wants(id)) {
        beside_a_flood(bench, &actord).await;
    }
    if ROWS.iter().any(|row| row.id.starts_with("queue.million") && bench.wants(row.id)) {
        million::run(bench, actord).await;
    } else {
        actord.finish().await;
    }
}

fn accept(bench: &mut Bench, actord: &Actord) {
    let bare = Batches::open(actord.directory());
    let (head, body) = (head(), vec![b'x'; BODY]);
    let time = bench.sized(Duration::from_millis(100), Duration::from_secs(3));
    let (mut rates, mut slow, mut spent) = (Series::default(), Series::default(), Series::default());
    let mut floor = Series::default();
    // The first round warms up and is not counted.
    for round in 0..=bench.sized(1, 7) {
        let before = cpu::of_process(actord.pid());
        let (rate, times) = accepted(actord.public, time);
        spent.push((cpu::of_process(actord.pid()) - before).as_secs_f64() / times.values().len() as f64);
        floor.push(block_in_place(|| bare.hurry(CALLERS, (&head, &body), time)));
        rates.push(rate);
        slow.push(times.quantile(0.99));
        if round == 0 {
            [&mut rates, &mut slow, &mut spent, &mut floor].into_iter().for_each(Series::clear);
        }
    }
    bench.tell("queue.accept", Measured::ours(rates.clone()).floor(floor));
    bench.tell("queue.accept-3000", Measured::ours(rates));
    bench.tell("queue.accept-p99", Measured::ours(slow));
    bench.tell("queue.accept-cpu", Measured::ours(spent));
}

/// As many calls of a function that is kept down as are accepted in this time: how many a second, and how long each took.
fn accepted(to: SocketAddr, time: Duration) -> (f64, Series) {
    let (rate, times) = block_in_place(|| calls_of("kept", to).hurry(CALLERS, time));
    (rate, times.into_iter().collect())
}

fn calls_of(name: &str, to: SocketAddr) -> Target {
    Target::new(to, &[format!("/async-function/{name}/count")], BODY)
}

/// The headers of such a call as they are kept, or as long.
fn head() -> Bytes {
    let headers = [
        ("user-agent", "bench"),
        ("accept", "*/*"),
        ("content-length", "200"),
        ("x-forwarded-host", "bench"),
        ("x-forwarded-for", "127.0.0.1:50000"),
    ];
    Head(headers.map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec())).to_vec()).encode()
}

async fn dispatch(bench: &mut Bench, actord: &Actord) {
    let empty = || [Series::default(), Series::default()];
    let (mut rates, mut spent) = (empty(), empty());
    let time = bench.sized(Duration::from_millis(100), Duration::from_secs(2));
    let direct = Target::new(actord.public, &["/function/busy/count".to_owned()], BODY);
    for round in 0..=bench.sized(1, 5) {
        let sent = settled(actord, "busy", bench.sized(300, 20_000)).await;
        let before = cpu::of_process(actord.pid());
        let (rate, times) = block_in_place(|| direct.hurry(AT_ONCE, time));
        let waited = (cpu::of_process(actord.pid()) - before).as_secs_f64() / times.len() as f64;
        for (at, (rate, cpu)) in [(sent.rate, sent.cpu), (rate, waited)].into_iter().enumerate() {
            rates[at].push(rate);
            spent[at].push(cpu);
        }
        if round == 0 {
            forget(&mut rates);
            forget(&mut spent);
        }
    }
    for (id, [sent, waited]) in [("queue.dispatch", rates), ("queue.dispatch-cpu", spent)] {
        bench.tell(id, Measured::ours(sent).floor(waited));
    }
}

/// How calls were sent.
struct Sent {
    /// How many were answered a second.
    rate: f64,
    /// Actord's processor time for each, in seconds.
    cpu: f64,
}

/// Lets so many calls wait, then sends them.
async fn settled(actord: &Actord, name: &str, count: usize) -> Sent {
    hold(actord, name).await;
    let mut waiting = 0;
    while waiting < count {
        waiting += block_in_place(|| calls_of(name, actord.public).hurry(CALLERS, Duration::from_millis(50))).1.len();
    }
    sent(actord, name, waiting).await
}

/// Lets the function run, and looks at so many calls of it that wait, from a twentieth of them on.
async fn sent(actord: &Actord, name: &str, count: usize) -> Sent {
    let before = answered(actord, name).await;
    let answer = actord.system("POST", &format!("/system/function/{name}/start"), Value::Null).await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    let reached = async |part: f64| {
        let begun = Instant::now();
        loop {
            let done = answered(actord, name).await - before;
            if done >= part {
                return (done, Instant::now(), cpu::of_process(actord.pid()));
            }
            assert!(begun.elapsed() < Duration::from_secs(120), "{done} of {count} calls are sent");
            sleep(Duration::from_millis(10)).await;
        }
    };
    let edge = count as f64 / 20.0;
    let (first, begun, used) = reached(edge).await;
    let (last, ended, used_then) = reached(count as f64 - edge).await;
    let calls = last - first;
    Sent { rate: calls / (ended - begun).as_secs_f64(), cpu: (used_then - used).as_secs_f64() / calls }
}

/// How many asynchronous calls of a function were answered.
async fn answered(actord: &Actord, name: &str) -> f64 {
    let page = crate::client::ask(actord.metrics, Request::get("/metrics")).await.unwrap().text();
    let of = format!("queue_worker_messages_processed_total{{function_name=\"{name}.openfaas-fn\"");
    page.lines()
        .filter(|line| line.starts_with(&of))
        .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
        .sum()
}

/// Keeps a function down: its calls wait.
async fn hold(actord: &Actord, name: &str) {
    let answer = actord.system("POST", &format!("/system/function/{name}/stop"), Value::Null).await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    until("nothing of it runs", async || actord.processes_of(name).is_empty()).await;
}

async fn beside_a_flood(bench: &mut Bench, actord: &Actord) {
    for number in 0..OTHERS {
        actord.deploy(&format!("other-{number}"), json!({})).await;
    }
    let count = bench.sized(OTHERS, 400);
    let calm = waits(actord, count).await;
    let (to, time) = (actord.public, Duration::from_millis(100));
    let (ends, ended) = std::sync::mpsc::channel::<()>();
    let flood = std::thread::spawn(move || {
        let (mut rates, target) = (Series::default(), calls_of("busy", to));
        while ended.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
            rates.push(target.hurry(CALLERS, time).0);
        }
        rates
    });
    let (before, begun) = (answered(actord, "busy").await, Instant::now());
    let beside = waits(actord, count).await;
    let sent = (answered(actord, "busy").await - before) / begun.elapsed().as_secs_f64();
    drop(ends);
    let rate = flood.join().unwrap().median();
    let note = format!("the flood: {rate:.0} calls a second accepted and {sent:.0} sent");
    bench.tell("queue.first-call", Measured::ours(beside.clone()).floor(calm.clone()).note(note));
    let p99 = |waits: &Series| Series::from(waits.quantile(0.99));
    bench.tell("queue.first-call-p99", Measured::ours(p99(&beside)).floor(p99(&calm)));
    until("the flood has gone", async || waiting(actord, "busy").await == 0).await;
    for number in 0..OTHERS {
        assert_eq!(actord.delete(&format!("other-{number}")).await.status, 202);
    }
}

/// How long calls of functions that have none under way wait until they are sent: in whole milliseconds, as calls tell.
async fn waits(actord: &Actord, count: usize) -> Series {
    let mut waits = Series::default();
    for number in 0..count {
        let path = format!("/async-function/other-{}/count", number % OTHERS);
        let answer = actord.ask(Request::new("POST", &path).body(vec![b'x'; BODY])).await;
        assert_eq!(answer.status, 202, "{}", answer.text());
        let id = answer.header("x-call-id").unwrap();
        // It is not asked for while it is on its way: what is asked takes its part of the machine.
        sleep(Duration::from_millis(20)).await;
        let mut call = Value::Null;
        until("the call is done", async || {
            let answer = actord.system("GET", &format!("/system/call/{id}"), Value::Null).await;
            call = serde_json::from_str(&answer.text()).unwrap();
            call["state"] == "done"
        })
        .await;
        let at = |time: &Value| time.as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
        let waited = at(&call["attempts"][0]["started"]) - at(&call["accepted"]);
        waits.push(waited.as_secs_f64());
    }
    waits
}

/// How many calls of a function wait or are under way.
async fn waiting(actord: &Actord, name: &str) -> u64 {
    let answer = actord.system("GET", "/system/queues", Value::Null).await;
    let queues: Value = serde_json::from_str(&answer.text()).unwrap();
    let of = queues.as_array().unwrap().iter().find(|queue| queue["function"] == name).cloned().unwrap_or_default();
    ["waiting", "retrying"].iter().filter_map(|field| of[field].as_u64()).sum()
}
