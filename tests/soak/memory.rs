//! The memory of actord itself while everything happens at once: functions come, change, are scaled and go, calls small and
//! large, logs that are followed, slow clients, wrong passwords, lists, the metrics' page, names of no function, garbage. It
//! stays within a bound that is written down (docs/operations.md, "Memory of actord"), and is given back.
//!
//! ```text
//! calm -> all of it at once, for a while (MEMORY_SECONDS)   at most: calm + what clients hold + the rest
//!      -> nothing                                           at most: calm + what may be left
//! ```

use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Duration, Instant, sleep, timeout};

use crate::actord::{Actord, Api, HELLO_2, until};
use crate::client::{self, Connection, Request};
use crate::load::Load;
use crate::{chosen, sized};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// Clients that read slowly, and those that send heads that do not end.
const SLOW_READERS: u64 = 200;
const SLOW_HEADS: u64 = 50;
/// Clients that send and take bodies of some MiB as fast as they can.
const LARGE: u64 = 6;

/// What one of each may hold at most: of an answer that waits, of a head, and of a body that may have to be sent again.
const OF_A_READER: u64 = 68 * KIB;
const OF_A_HEAD: u64 = 128 * KIB;
const OF_AN_UPLOAD: u64 = 320 * KIB;
/// All else: requests and answers of the API, the followers' pieces, the store's pages, what the allocator keeps.
const THE_REST: u64 = 32 * MIB;

const BOUND: u64 = SLOW_READERS * OF_A_READER + SLOW_HEADS * OF_A_HEAD + LARGE * OF_AN_UPLOAD + THE_REST;
/// What may be left of it a minute after all is over.
const LEFT: u64 = 16 * MIB;

/// A part of everything, again and again; it is ended from outside.
struct Everything {
    api: Api,
    public: SocketAddr,
    metrics: SocketAddr,
    /// How often each thing was done: a test that does nothing would hold any bound.
    done: [AtomicU64; NAMES.len()],
}

const NAMES: [&str; 11] = [
    "deploys",
    "deletes",
    "downloads",
    "uploads",
    "followed logs",
    "slow readers",
    "slow heads",
    "wrong passwords",
    "lists",
    "metrics",
    "garbage",
];

impl Everything {
    fn note(&self, what: &str) {
        let at = NAMES.iter().position(|name| *name == what).unwrap();
        self.done[at].fetch_add(1, Ordering::Relaxed);
    }

    /// One name: deployed, updated, scaled, described, deleted.
    async fn churn(self: Arc<Self>, name: String) {
        let body = |image: &str| json!({ "service": name, "image": image, "envVars": { "X": "x".repeat(2_000) } });
        loop {
            let deployed = self.api.system("POST", "/system/functions", &body(crate::actord::HELLO_1)).await;
            if deployed.is_ok_and(|answer| answer.status == 202) {
                self.note("deploys");
            }
            let _ = self.api.system("PUT", "/system/functions", &body(HELLO_2)).await;
            let wish = json!({ "serviceName": name, "replicas": 2 });
            let _ = self.api.system("POST", &format!("/system/scale-function/{name}"), &wish).await;
            let _ = self.api.system("GET", &format!("/system/function/{name}?usage=1"), &Value::Null).await;
            let gone = self.api.system("DELETE", "/system/functions", &json!({ "functionName": name })).await;
            if gone.is_ok_and(|answer| answer.status == 202) {
                self.note("deletes");
            }
        }
    }

    async fn large(self: Arc<Self>) {
        loop {
            let took = client::ask(self.public, Request::get("/function/hello/bytes?n=4194304")).await;
            if took.is_ok_and(|answer| answer.status == 200 && answer.body.len() == 4 << 20) {
                self.note("downloads");
            }
            let body = vec![b'x'; 4 << 20];
            let sent = client::ask(self.public, Request::new("POST", "/function/hello/count").body(body)).await;
            if sent.is_ok_and(|answer| answer.status == 200) {
                self.note("uploads");
            }
        }
    }

    /// Follows the log for some seconds, while it is written.
    async fn follow(self: Arc<Self>) {
        loop {
            let path = "/system/logs?name=hello&follow=true&tail=100";
            let _ = timeout(Duration::from_secs(3), self.api.system("GET", path, &Value::Null)).await;
            self.note("followed logs");
            let _ = client::ask(self.public, Request::get("/function/hello/log?lines=200&bytes=500")).await;
        }
    }

    /// Asks for an answer of 4 MiB and takes some of it so often, until it is closed.
    async fn slow_reader(self: Arc<Self>, every: Duration) {
        loop {
            let Ok(mut client) = slow_socket(self.public).await else { continue };
            let head = b"GET /function/hello/bytes?n=4194304 HTTP/1.1\r\nHost: h\r\n\r\n";
            let mut some = [0; 512];
            if client.write_all(head).await.is_ok() {
                while client.read(&mut some).await.is_ok_and(|count| count > 0) {
                    sleep(every).await;
                }
            }
            self.note("slow readers");
        }
    }

    /// Sends a head that does not end, until it is closed.
    async fn slow_head(self: Arc<Self>) {
        loop {
            let Ok(mut client) = TcpStream::connect(self.public).await else { continue };
            let mut head = b"GET /function/hello HTTP/1.1\r\nHost: h\r\n".to_vec();
            head.extend(format!("X: {}\r\n", "x".repeat(60_000)).bytes());
            let _ = client.write_all(&head).await;
            while client.write_all(b"Y: 1\r\n").await.is_ok() {
                sleep(Duration::from_millis(500)).await;
            }
            self.note("slow heads");
        }
    }

    async fn guess(self: Arc<Self>) {
        for guess in 0_u64.. {
            let wrong = format!("Basic {guess:032}");
            let request = Request::get("/system/functions").header("Authorization", &wrong);
            let _ = client::ask(self.public, request).await;
            self.note("wrong passwords");
        }
    }

    async fn list(self: Arc<Self>) {
        loop {
            let _ = self.api.system("GET", "/system/functions?usage=1", &Value::Null).await;
            self.note("lists");
            sleep(Duration::from_millis(20)).await;
        }
    }

    async fn scrape(self: Arc<Self>) {
        loop {
            let _ = client::ask(self.metrics, Request::get("/metrics")).await;
            self.note("metrics");
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// What is no request, and calls of names that no function has, each another one.
    async fn garbage(self: Arc<Self>) {
        for number in 0_u64.. {
            let _ = client::ask(self.public, Request::get(&format!("/function/no-{number}/a"))).await;
            if let Ok(mut connection) = Connection::open(self.public).await {
                let _ = connection.write(&[&number.to_le_bytes()[..], &[b'\r', b'\n', 0x16, 0x03]].concat()).await;
                let _ = timeout(Duration::from_secs(2), connection.read(1)).await;
            }
            self.note("garbage");
        }
    }
}

/// A connection with as small a buffer for what comes as there is.
async fn slow_socket(to: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(4_096)?;
    socket.connect(to).await
}

/// The memory that a process has, in bytes.
fn resident(pid: i32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * KIB
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / MIB as f64
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn actords_memory_is_bounded_while_everything_happens_at_once_and_given_back() {
    let long = chosen("MEMORY_SECONDS").unwrap_or(3_600);
    let length = Duration::from_secs(if sized(0, 1) == 1 { long } else { 20 });
    let actord = Actord::start_with(&[
        "--log-level",
        "info",
        "--head-timeout",
        "5s",
        "--answer-idle-timeout",
        "5s",
        "--warm-attachments",
        "8",
    ])
    .await;
    actord.deploy("hello", json!({ "annotations": { "com.openfaas.pids.limit": "10000" } })).await;
    // Code that was run and pools that were made once do not come again.
    let load = Load::start(actord.public, &["hello"], 50);
    until("it is called", async || load.sent() > 100).await;
    let (calm, begun) = (resident(actord.pid()), Instant::now());

    let (public, metrics) = (actord.public, actord.metrics);
    let all = Arc::new(Everything { api: actord.api(), public, metrics, done: Default::default() });
    let mut tasks = JoinSet::new();
    for number in 0..3 {
        tasks.spawn(all.clone().churn(format!("churn-{number}")));
        tasks.spawn(all.clone().follow());
        tasks.spawn(all.clone().guess());
        tasks.spawn(all.clone().list());
    }
    (0..LARGE).for_each(|_| _ = tasks.spawn(all.clone().large()));
    // Some take as much as they must, and stay; others are closed, and come again.
    for number in 0..SLOW_READERS {
        tasks.spawn(all.clone().slow_reader(Duration::from_millis(if number % 2 == 0 { 500 } else { 10_000 })));
    }
    (0..SLOW_HEADS).for_each(|_| _ = tasks.spawn(all.clone().slow_head()));
    tasks.spawn(all.clone().scrape());
    tasks.spawn(all.clone().garbage());

    let (mut most, mut told) = (calm, begun);
    let is_done = || all.done.iter().all(|count| count.load(Ordering::Relaxed) > 0);
    // On a machine that is busy it goes on until each thing was done.
    while begun.elapsed() < length || (!is_done() && begun.elapsed() < 6 * length) {
        most = most.max(resident(actord.pid()));
        if told.elapsed() > Duration::from_secs(60) {
            told = Instant::now();
            println!("after {:.0?}: {:.1} MiB, at most {:.1}", begun.elapsed(), mib(resident(actord.pid())), mib(most));
        }
        sleep(Duration::from_millis(50)).await;
    }
    tasks.shutdown().await;
    let report = load.end().await;
    let done: Vec<_> = NAMES.iter().zip(all.done.iter().map(|count| count.load(Ordering::Relaxed))).collect();
    for number in 0..3 {
        // A deploy may have been under way.
        until("it is gone", async || matches!(actord.delete(&format!("churn-{number}")).await.status, 202 | 404)).await;
    }
    println!(
        "everything at once for {:.0?}: {:.1} MiB, at most {:.1} (bound {:.1}); {} calls, {} failed; {done:?}",
        begun.elapsed(),
        mib(calm),
        mib(most),
        mib(calm + BOUND),
        report.sent,
        report.failures.len(),
    );
    assert!(done.iter().all(|(_, count)| *count > 0), "something was not done: {done:?}");
    assert!(most <= calm + BOUND, "{:.1} MiB more, {:.1} are allowed", mib(most - calm), mib(BOUND));
    until("its memory is given back", async || resident(actord.pid()) <= calm + LEFT).await;
    println!("{:.1} MiB are left", mib(resident(actord.pid())));
    assert_eq!(report.failures, Vec::<String>::new(), "{}", actord.log());
    actord.finish().await;
}
