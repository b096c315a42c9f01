//! What the proxy costs beside Debian's nginx, and beside the function itself: the same requests to the same instance, in
//! turns, in one run.
//!
//! ```text
//! load (this process) -> the sample, in its container
//!                     -> nginx, 2 workers  -> the sample
//!                     -> actord, 2 workers -> the sample
//! ```
//! All share the machine's processors. The processor time of a request is what the kernel counts for the proxy's process.

use std::net::SocketAddr;
use std::process::{Child, Command};
use std::time::Duration;

use serde_json::json;

use crate::actord::Actord;
use crate::frame::asking::Target;
use crate::frame::{Bench, Goal, Measured, Row, Series, Unit, cpu, finish, memory, nginx};

const fn cpu_row(id: &'static str, what: &'static str) -> Row {
    Row { id, issue: 10, what, unit: Unit::Us, floor: "nginx", goal: Goal::AtMostTimes(1.0) }
}

const fn rate_row(id: &'static str, what: &'static str) -> Row {
    Row { id, issue: 10, what, unit: Unit::PerSecond, floor: "nginx", goal: Goal::AtLeastTimes(1.0) }
}

/// What bounds the memory of slow clients must not cost a client that takes its answer as quickly as it comes.
const fn answer_row(id: &'static str, what: &'static str, unit: Unit, goal: Goal) -> Row {
    Row { id, issue: 11, what, unit, floor: "nginx", goal }
}

const fn p99_row(id: &'static str, what: &'static str) -> Row {
    Row { id, issue: 10, what, unit: Unit::Us, floor: "direct", goal: Goal::AtMostTimes(2.0) }
}

const fn flat_row(id: &'static str, what: &'static str) -> Row {
    Row { id, issue: 10, what, unit: Unit::Mb, floor: "nginx", goal: Goal::AtMost(8.0) }
}

pub(crate) const ROWS: &[Row] = &[
    cpu_row("proxy.cpu-1", "processor time of a request, 1 connection"),
    rate_row("proxy.rate-1", "requests, 1 connection"),
    cpu_row("proxy.cpu-16", "processor time of a request, 16 connections"),
    rate_row("proxy.rate-16", "requests, 16 connections"),
    cpu_row("proxy.cpu-256", "processor time of a request, 256 connections"),
    rate_row("proxy.rate-256", "requests, 256 connections"),
    cpu_row("proxy.cpu-post", "processor time of a POST of 1 MiB, 4 connections"),
    answer_row(
        "proxy.cpu-answer",
        "processor time of an answer of 1 MiB, 4 connections",
        Unit::Us,
        Goal::AtMostTimes(1.0),
    ),
    answer_row("proxy.rate-answer", "answers of 1 MiB, 4 connections", Unit::PerSecond, Goal::AtLeastTimes(1.0)),
    p99_row("proxy.p99-1", "p99 at 1,000 requests a second, 1 connection"),
    p99_row("proxy.p99-16", "p99 at 2,000 requests a second, 16 connections"),
    flat_row("proxy.flat-up", "memory that a POST of 1 GiB takes on its way"),
    flat_row("proxy.flat-down", "memory that an answer of 1 GiB takes on its way"),
];

/// A function's name in the paths that it is asked for through a proxy.
const NAME: &str = "shown";

pub(crate) async fn run(bench: &mut Bench) {
    let field = bench.field(&[]).await;
    for actord in &field {
        actord.deploy(NAME, json!({})).await;
        assert_eq!(actord.get(&format!("/function/{NAME}/version")).await.status, 200);
    }
    let backend = instance(&field[0]);
    let nginx = Nginx::start(backend);
    let through = format!("/function/{NAME}");
    let mut ways = vec![Way::new(backend, "", Vec::new()), Way::new(nginx.address, &through, nginx.pids())];
    ways.extend(field.iter().map(|actord| Way::new(actord.public, &through, vec![actord.pid()])));
    for (connections, cpu_id, rate_id) in [
        (1, "proxy.cpu-1", "proxy.rate-1"),
        (16, "proxy.cpu-16", "proxy.rate-16"),
        (256, "proxy.cpu-256", "proxy.rate-256"),
    ] {
        if bench.wants(cpu_id) || bench.wants(rate_id) {
            let (rates, spent) = hurry(bench, &ways, "/version", 0, connections);
            bench.tell(cpu_id, measured(spent));
            bench.tell(rate_id, measured(rates));
        }
    }
    if bench.wants("proxy.cpu-post") {
        bench.tell("proxy.cpu-post", measured(hurry(bench, &ways, "/count", 1 << 20, 4).1));
    }
    if bench.wants("proxy.cpu-answer") || bench.wants("proxy.rate-answer") {
        let (rates, spent) = hurry(bench, &ways, &format!("/bytes?n={}", 1 << 20), 0, 4);
        bench.tell("proxy.cpu-answer", measured(spent));
        bench.tell("proxy.rate-answer", measured(rates));
    }
    for (id, connections, rate) in [("proxy.p99-1", 1, 1_000.0), ("proxy.p99-16", 16, 2_000.0)] {
        if bench.wants(id) {
            let mut slow = pace(bench, &ways, connections, rate);
            let direct = slow.remove(0);
            slow.remove(0);
            bench.tell(id, Measured::of(slow).floor(direct));
        }
    }
    let long = bench.sized(8 << 20, 1 << 30);
    for (id, path, body) in
        [("proxy.flat-up", "/count".to_owned(), long), ("proxy.flat-down", format!("/bytes?n={long}"), 0)]
    {
        if bench.wants(id) {
            bench.tell(id, measured(flat(&ways, &path, body)));
        }
    }
    drop(ways);
    drop(nginx);
    finish(field).await;
}

/// Of the function itself, nginx, and each contender: nginx is the floor of the contenders.
fn measured(mut series: Vec<Series>) -> Measured {
    series.remove(0);
    let nginx = series.remove(0);
    Measured::of(series).floor(nginx)
}

/// Where the only instance listens: the addresses that are given out to instances have a file each; one answers.
fn instance(actord: &Actord) -> SocketAddr {
    let pid = actord.process(NAME);
    let output = Command::new("nsenter")
        .args([&format!("--net=/proc/{pid}/ns/net"), "ip", "-4", "-o", "address", "show", "scope", "global"])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let address = text.split_whitespace().find_map(|word| word.split_once('/')?.0.parse().ok());
    SocketAddr::new(address.unwrap_or_else(|| panic!("the instance has no address: {text:?}")), 8080)
}

/// One way to the function.
struct Way {
    address: SocketAddr,
    prefix: String,
    /// The processes of the proxy, and what they use.
    pids: Vec<i32>,
    account: cpu::Account,
}

impl Way {
    fn new(address: SocketAddr, prefix: &str, pids: Vec<i32>) -> Self {
        let account = cpu::Account::open(pids.iter().copied());
        Self { address, prefix: prefix.to_owned(), pids, account }
    }

    fn target(&self, path: &str, body: usize) -> Target {
        Target::new(self.address, &[format!("{}{path}", self.prefix)], body)
    }

    fn resident(&self) -> f64 {
        self.pids.iter().map(|pid| memory::resident(*pid)).sum()
    }
}

/// As fast as it is answered: requests a second, and processor time of the proxy for each, of every way.
fn hurry(bench: &Bench, ways: &[Way], path: &str, body: usize, connections: usize) -> (Vec<Series>, Vec<Series>) {
    let time = bench.sized(Duration::from_millis(100), Duration::from_millis(1_500));
    let mut figures = (vec![Series::default(); ways.len()], vec![Series::default(); ways.len()]);
    // The first round warms up and is not counted.
    for round in 0..=bench.sized(1, 5) {
        for (at, way) in ways.iter().enumerate() {
            let target = way.target(path, body);
            let before = way.account.used();
            let (rate, times) = tokio::task::block_in_place(|| target.hurry(connections, time));
            let spent = (way.account.used() - before).as_secs_f64() / times.len() as f64;
            if round > 0 {
                figures.0[at].push(rate);
                figures.1[at].push(spent);
            }
        }
    }
    figures
}

/// At the same rate: the 99th percentile of each round, of every way.
fn pace(bench: &Bench, ways: &[Way], connections: u32, rate: f64) -> Vec<Series> {
    let time = bench.sized(Duration::from_millis(100), Duration::from_secs(2));
    let mut slow = vec![Series::default(); ways.len()];
    for round in 0..=bench.sized(1, 3) {
        for (at, way) in ways.iter().enumerate() {
            let target = way.target("/version", 0);
            let times = tokio::task::block_in_place(|| target.pace(connections, rate, time));
            if round > 0 {
                slow[at].push(times.into_iter().collect::<Series>().quantile(0.99));
            }
        }
    }
    slow
}

/// How much more each has in memory, at most, while one exchange goes through it.
fn flat(ways: &[Way], path: &str, body: usize) -> Vec<Series> {
    let more = |way: &Way| {
        let before = way.resident();
        let target = way.target(path, body);
        let highest = std::thread::scope(|scope| {
            let asking = scope.spawn(|| target.hurry(1, Duration::from_millis(1)));
            let mut highest = before;
            while !asking.is_finished() {
                std::thread::park_timeout(Duration::from_millis(5));
                highest = highest.max(way.resident());
            }
            asking.join().unwrap();
            highest
        });
        Series::from(highest - before)
    };
    ways.iter().map(|way| tokio::task::block_in_place(|| more(way))).collect()
}

/// Debian's nginx in front of the function.
struct Nginx {
    process: Child,
    address: SocketAddr,
    _directory: tempfile::TempDir,
}

impl Nginx {
    fn start(backend: SocketAddr) -> Self {
        let started = tokio::task::block_in_place(|| nginx::start(backend));
        let (process, address, directory) = started.expect("nginx: config/setup --bench brings it");
        Self { process, address, _directory: directory }
    }

    fn pids(&self) -> Vec<i32> {
        let pid = self.process.id();
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
        let children = children.split_whitespace().map(|pid| pid.parse().unwrap());
        std::iter::once(pid.cast_signed()).chain(children).collect()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        nginx::end(&mut self.process);
    }
}
