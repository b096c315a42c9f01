//! What the proxy costs: the same requests sent to a backend directly and through `/function/{name}`, in turns, in one
//! run. Prints medians of the rounds and their ratios; absolute figures depend on the machine, ratios less so.
//!
//! The load, the proxy and the backend have one thread each and share the machine's cores, so the throughput ratio is
//! a lower bound for a machine with cores to spare. The proxy's own CPU time is the difference of the process's.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "a bench that fails prints why")]

#[path = "../tests/support/memory_engine/mod.rs"]
mod memory_engine;

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_web::{App, HttpResponse, HttpServer, web};
use actord::credentials::Credentials;
use actord::function::Outlook;
use actord::http::{self, ApiFlavor, Draining, Metrics, Services, Settings};
use actord::routes::{Parking, Routes};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::Instant;

use self::memory_engine::MemoryEngine;

const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_secs(2);
const LONG: usize = 1 << 20;

/// One way to ask: where, and the bytes of the request.
struct Way {
    address: SocketAddr,
    request: Vec<u8>,
}

impl Way {
    fn new(address: SocketAddr, path: &str, body: usize) -> Self {
        let length = if body > 0 { format!("Content-Length: {body}\r\n") } else { String::new() };
        let method = if body > 0 { "POST" } else { "GET" };
        let head =
            format!("{method} {path} HTTP/1.1\r\nHost: bench\r\nUser-Agent: bench\r\nAccept: */*\r\n{length}\r\n");
        Self { address, request: head.into_bytes().into_iter().chain(std::iter::repeat_n(b'x', body)).collect() }
    }
}

/// Asks in a loop until `end`; returns the time of each answer.
async fn ask(way: Rc<Way>, end: Instant, all: Rc<Cell<Vec<Duration>>>) {
    let (mut read, mut write) = {
        let client = TcpStream::connect(way.address).await.unwrap();
        client.set_nodelay(true).unwrap();
        client.into_split()
    };
    let mut times = Vec::new();
    let mut buffer = Vec::with_capacity(LONG + 4096);
    while Instant::now() < end {
        let begin = Instant::now();
        let exchange = async {
            buffer.clear();
            answer(&mut read, &mut buffer).await;
        };
        let (sent, ()) = tokio::join!(write.write_all(&way.request), exchange);
        sent.unwrap();
        times.push(begin.elapsed());
    }
    let mut sum = all.take();
    sum.append(&mut times);
    all.set(sum);
}

/// Reads one whole answer.
async fn answer(read: &mut tokio::net::tcp::OwnedReadHalf, buffer: &mut Vec<u8>) {
    let head = loop {
        assert!(read.read_buf(buffer).await.unwrap() > 0, "closed");
        if let Some(at) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
            break at;
        }
    };
    let text = std::str::from_utf8(&buffer[..head]).unwrap();
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
    let length = text.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
    let all = head + 4 + length.parse::<usize>().unwrap();
    while buffer.len() < all {
        assert!(read.read_buf(buffer).await.unwrap() > 0, "closed");
    }
}

/// What one round says: requests a second, median and 99th percentile of their times, CPU time of this process each.
#[derive(Clone, Copy)]
struct Figures {
    rate: f64,
    median: f64,
    slow: f64,
    cpu: f64,
}

async fn round(way: &Rc<Way>, connections: usize) -> Figures {
    let all = Rc::new(Cell::new(Vec::new()));
    let (begin, cpu) = (Instant::now(), cpu_micros());
    let asking = (0..connections).map(|_| ask(way.clone(), begin + ROUND, all.clone()));
    futures_util::future::join_all(asking).await;
    let (took, cpu) = (begin.elapsed().as_secs_f64(), cpu_micros() - cpu);
    let mut times: Vec<_> = all.take().iter().map(|time| time.as_secs_f64() * 1e6).collect();
    times.sort_by(f64::total_cmp);
    let count = times.len() as f64;
    Figures {
        rate: count / took,
        median: times[times.len() / 2],
        slow: times[times.len() * 99 / 100],
        cpu: cpu / count,
    }
}

/// User and system time of this process so far.
fn cpu_micros() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
    ticks * 10_000.0
}

fn median(rounds: &[Figures], of: impl Fn(&Figures) -> f64) -> f64 {
    let mut values: Vec<f64> = rounds.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

async fn compare(title: &str, connections: usize, direct: Way, proxied: Way) {
    let (direct, proxied) = (Rc::new(direct), Rc::new(proxied));
    let (mut plain, mut through) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        plain.push(round(&direct, connections).await);
        through.push(round(&proxied, connections).await);
    }
    println!("{title}, {connections} connection(s): median of {ROUNDS} rounds");
    for (name, of) in [
        ("requests/s", (|one: &Figures| one.rate) as fn(&Figures) -> f64),
        ("median us", |one| one.median),
        ("p99 us", |one| one.slow),
        ("cpu us/request", |one| one.cpu),
    ] {
        let (a, b) = (median(&plain, of), median(&through, of));
        println!("  {name:<15} direct {a:>10.1}   proxied {b:>10.1}   proxied/direct {:>5.2}", b / a);
    }
    let own = median(&through, |one| one.cpu) - median(&plain, |one| one.cpu);
    println!("  the proxy's own cpu time: {own:.1} us a request");
}

fn backend() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let long = web::Bytes::from(vec![b'x'; LONG]);
    let app = move || {
        let long = long.clone();
        App::new()
            .app_data(web::PayloadConfig::new(2 * LONG))
            .route("/long", web::get().to(move || std::future::ready(HttpResponse::Ok().body(long.clone()))))
            .default_service(web::to(|_body: web::Bytes| std::future::ready(HttpResponse::Ok().body("ok"))))
    };
    let server = HttpServer::new(app).workers(1).disable_signals().listen(listener).unwrap().run();
    actix_web::rt::spawn(server);
    address
}

#[actix_web::main]
async fn main() {
    let routes = Arc::new(Routes::new(Parking::default()));
    let engine = MemoryEngine::new();
    let services = Arc::new(Services {
        engine: Arc::new(engine.clone()),
        secrets: Arc::new(engine.clone()),
        routes: routes.clone(),
        namespaces: Arc::new(engine.clone()),
        metrics: Metrics::new().unwrap(),
        draining: Draining::default(),
        logs: Arc::new(engine),
    });
    let settings = Settings::new(Credentials { user: "admin".into(), password: "x".into() }, ApiFlavor::Public);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (backend, proxy) = (backend(), listener.local_addr().unwrap());
    actix_web::rt::spawn(http::serve(listener, 1, Duration::from_secs(1), &services, settings).unwrap());
    let id = "echo".parse().unwrap();
    routes.announce(&id, Outlook::Coming);
    routes.publish(&id, &"echo-0".parse().unwrap(), backend);

    let short = |body| (Way::new(backend, "/x", body), Way::new(proxy, "/function/echo/x", body));
    for connections in [1, 32] {
        let (direct, proxied) = short(0);
        compare("GET, 2 bytes back", connections, direct, proxied).await;
    }
    let (direct, proxied) = short(1024);
    compare("POST 1 KiB, 2 bytes back", 32, direct, proxied).await;
    let long = (Way::new(backend, "/long", 0), Way::new(proxy, "/function/echo/long", 0));
    compare("GET, 1 MiB back", 4, long.0, long.1).await;
    let (direct, proxied) = short(LONG);
    compare("POST 1 MiB, 2 bytes back", 4, direct, proxied).await;
}
